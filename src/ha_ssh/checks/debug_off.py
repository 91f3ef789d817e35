"""Truth: the app's server takes more than one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Consent, Edit, EditOp, Facts, Fix, Stage, Verdict, Want, ok, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable, Flavour


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the mode in which the app runs its server; in debug mode nobody knocks, since that would end it."""
    app = facts[Apps].chosen(want.app)
    edit = app.flavour.end_debugging()
    if edit is None or not app.serving.debugging:
        return ok("the app does not run its server in debug mode")
    return wrong(
        "the app runs its SSH server in debug mode",
        "it then takes a single connection, and stops with it",
        f"settings: {'.'.join(edit.path[1:])}",
        fix=Fix(does=edit.title, consent=Consent.ASK, slug=app.slug, edits=(edit,)),
        failure="debug-mode",
    )


def _has_it(flavour: Flavour) -> bool:
    return flavour.end_debugging() is not None


def _debug(scene: Breakable) -> None:
    """Switch it on."""
    edit = scene.flavour.end_debugging()
    if edit is not None:
        scene.save(Edit(path=edit.path, op=EditOp.SET, value="debug", title="debug"))
        scene.restart()


CHECK = Check(
    id="debug-off",
    stage=Stage.SETTINGS,
    title="The server is not in debug mode",
    why="a server in debug mode takes one connection only",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    faults={"debug-mode": _debug},
    befalls={"debug-mode": _has_it},
)
