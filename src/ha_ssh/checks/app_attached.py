"""Truth: the store still knows the installed app, so that updates come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, ok, tell, warn

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge whether the app is detached from its store."""
    app = facts[Apps].chosen(want.app)
    if not (app.installed and app.detached):
        return ok(f"the store knows {app.flavour.name}")
    fix = tell(
        "bring it back into the store",
        "Settings, Apps, the store, the three dots: check for updates",
        "if it stays detached: uninstall it, install it again from the store, and run `ha-ssh setup`",
    )
    evidence = f"/addons/{app.slug}/info: detached true"
    return warn(f"{app.flavour.name} is detached: no store knows it", CHECK.why, evidence, fix=fix, failure="sup-detached")


def _detach(scene: Breakable) -> None:
    """Detach it."""
    scene.app.detached = True


CHECK = Check(
    id="app-attached",
    stage=Stage.APP,
    scope=Scope.HYGIENE,
    title="The store knows the app",
    why="an app that no store knows gets no updates, not even those that close holes",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    faults={"sup-detached": _detach},
)
