"""Truth: the configuration of Home Assistant lies where it is expected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps, Doors, app_and_door
from ha_ssh.core.inside import Inside
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, known, note, ok, tell, unknown, warn

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge which of the two folders a session sees."""
    app, door = app_and_door(want, facts)
    shown = known(door.inside, "see the folders")
    if not isinstance(shown, Inside):
        return unknown("the folders were not seen", CHECK.why)
    if "/homeassistant" in shown.folders:
        return ok("the configuration lies in `/homeassistant`")
    if "/config" in shown.folders:
        fix = tell("use the old name, or update", "write `/config` in commands here", f"or update {app.flavour.name}")
        says = "the configuration lies in `/config`: this version of the app does not know `/homeassistant`"
        return note(says, "newer guides say `/homeassistant`", "ls -d: /config alone", fix=fix, failure="config-path")
    fix = tell(
        "look what there is",
        "`ls /` in a session shows the folders",
        f"restart {app.flavour.name}: they are given to it at its start",
    )
    says = "a session sees neither `/homeassistant` nor `/config`"
    gone = warn(says, CHECK.why, "ls -d: neither", fix=fix, failure="config-gone")
    return gone if shown.system in {"", "alpine"} else replace(gone, because="ha-works")


def _be_old(scene: Breakable) -> None:
    scene.house.knobs.old_folders = True


CHECK = Check(
    id="config-there",
    stage=Stage.SESSION,
    scope=Scope.HYGIENE,
    title="The configuration is where it is expected",
    why="commands and backups name its folder",
    needs=(Apps, Doors),
    rests_on=("right-server",),
    judge=judge,
    faults={"config-path": _be_old},
)
