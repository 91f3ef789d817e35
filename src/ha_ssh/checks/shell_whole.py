"""Truth: a login has its usual shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps, Doors, app_and_door
from ha_ssh.core.inside import Inside
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, known, ok, tell, unknown, warn

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge whether `bash` is there, and say what it is that one logs in to."""
    app, door = app_and_door(want, facts)
    shown = known(door.inside, "see the shell")
    if not isinstance(shown, Inside):
        return unknown("the shell was not seen", CHECK.why)
    if "bash" not in shown.programs:
        fix = tell(
            "update the app",
            f"update {app.flavour.name}: versions 9.20.0 and 10.0.0 lost `bash`, 9.20.1 and 10.0.1 have it again",
        )
        says = "the app has no `bash`: no completion, no colours, and scripts for it fail"
        return warn(says, CHECK.why, "command -v bash: nothing", f"version {app.version}", fix=fix, failure="shell-sh")
    mosh = "; `mosh` would work" if "mosh-server" in shown.programs else ""
    system = shown.system or "Linux"
    return ok(f"you get a shell in the app's own container ({system}), not on the host: `ha` is the way to the host{mosh}")


def _lose_bash(scene: Breakable) -> None:
    scene.house.knobs.without.add("bash")


CHECK = Check(
    id="shell-whole",
    stage=Stage.SESSION,
    scope=Scope.HYGIENE,
    title="The shell is the usual one",
    why="some versions of the app came without their shell",
    needs=(Apps, Doors),
    rests_on=("right-server",),
    judge=judge,
    faults={"shell-sh": _lose_bash},
)
