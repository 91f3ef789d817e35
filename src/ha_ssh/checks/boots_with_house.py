"""Truth: the app starts when the house starts, if that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, Apps
from ha_ssh.core.model import Check, Edit, EditOp, Facts, Fix, Stage, Verdict, Want, note, ok, tell, warn, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the app's `boot` setting with the wish."""
    app = facts[Apps].chosen(want.app)
    now = app.settings.get("boot")
    if want.boot is None:
        return ok("the app starts with the house") if now != "manual" else _note()
    wanted = "auto" if want.boot else "manual"
    if now == wanted:
        return ok("the app starts with the house" if want.boot else "the app waits to be started by hand, as wanted")
    if want.boot and app.boots_by_hand:
        return _by_hand(app)
    edit = Edit(
        path=("boot",),
        op=EditOp.SET,
        value=wanted,
        title="let the app start with the house" if want.boot else "let the app wait to be started by hand",
    )
    return wrong(
        "the app does not start with the house" if want.boot else "the app starts with the house, which is not wanted",
        CHECK.why if want.boot else "an app that is up lets people in",
        f"/addons/{app.slug}/info: boot {now}",
        fix=Fix(does=edit.title, slug=app.slug, edits=(edit,)),
        failure="boot-manual" if want.boot else "",
    )


def _by_hand(app: App) -> Verdict:
    """It cannot, whatever is wanted: the Supervisor would refuse it, and every other repair would be put back with it."""
    fix = tell(
        "start it by hand after each start of the house",
        f"Settings, Apps, {app.flavour.name}, Start",
        "or by an automation on the start of Home Assistant, with the action `hassio.addon_start`",
    )
    says = f"{app.flavour.name} cannot start with the house: this version of it lets nobody switch that on"
    return warn(says, CHECK.why, f"/addons/{app.slug}/info: boot_config manual_only", fix=fix)


def _note() -> Verdict:
    fix = tell("switch it on, if you want it", "`ha-ssh setup --boot`")
    return note("the app does not start with the house", CHECK.why, "`boot` is `manual`", fix=fix, failure="boot-manual")


def break_it(scene: Breakable) -> None:
    """Switch it off."""
    scene.app.boot = "manual"


CHECK = Check(
    id="boots-with-house",
    stage=Stage.SETTINGS,
    title="The app starts with the house",
    why="after the next power cut there would be no SSH",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    break_it=break_it,
    faults={"boot-manual": break_it},
)
