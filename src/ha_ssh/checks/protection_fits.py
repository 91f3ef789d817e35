"""Truth: nothing in the app's settings needs what its protection mode withholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Edit, EditOp, Facts, Scope, Stage, Verdict, Want, note, ok

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Look for Docker among the packages and commands of an app that is protected."""
    app = facts[Apps].chosen(want.app)
    wishes = [one for one in (*app.serving.packages, *app.serving.commands) if "docker" in one.lower()]
    if not (app.installed and app.protected and wishes):
        return ok("nothing in the app's settings needs what its protection mode withholds")
    return note(
        f"{app.flavour.name} is in protection mode, and its settings name Docker",
        "`docker` answers `PROTECTION MODE ENABLED` in a session; the switch is on the app's Info page, and takes a restart. "
        "Without it, whoever logs in rules the whole machine: leave it on unless you must",
        f"/addons/{app.slug}/info: protected true; settings: {wishes[0]}",
        failure="protected",
    )


def _docker(scene: Breakable) -> None:
    """Ask for Docker among the extra packages."""
    path = scene.flavour.drop_packages().path
    scene.save(Edit(path=path, op=EditOp.SET, value=["docker-cli"], title="ask for Docker"))
    scene.restart()


CHECK = Check(
    id="protection-fits",
    stage=Stage.APP,
    scope=Scope.HYGIENE,
    title="The protection mode withholds nothing that is wanted",
    why="it keeps Docker from the app, and nothing else",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    faults={"protected": _docker},
)
