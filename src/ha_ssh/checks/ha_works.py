"""Truth: the `ha` command answers inside a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps, Doors, app_and_door
from ha_ssh.core.model import Check, Facts, Stage, Verdict, Want, known, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the answer of `ha info`."""
    app, door = app_and_door(want, facts)
    ha = known(door.ha, "run `ha info` in the session")
    if ha is None:
        return unknown("no command was run", CHECK.why)
    if ha:
        return ok("a command runs, and `ha info` answers")
    command = app.serving.ha_command.format("info")
    fix = tell("update the app", "versions before 9.6.2 give the `ha` command no token in a session without a terminal")
    return wrong("you can log in, but `ha` does not answer", CHECK.why, f"`{command}`: {door.ha_said}", fix=fix)


def break_it(scene: Breakable) -> None:
    """Take the `ha` command its token."""
    scene.house.knobs.ha_fails = True


CHECK = Check(
    id="ha-works",
    stage=Stage.SESSION,
    title="The `ha` command answers",
    why="`ha` is what most people log in for",
    needs=(Apps, Doors),
    rests_on=("right-server",),
    judge=judge,
    break_it=break_it,
)
