"""Truth: a login has its usual shell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, Apps, Doors, app_and_door
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
        return _no_bash(app)
    mosh = "; `mosh` would work" if "mosh-server" in shown.programs else ""
    system = shown.system or "Linux"
    return ok(f"you get a shell in the app's own container ({system}), not on the host: `ha` is the way to the host{mosh}")


def _no_bash(app: App) -> Verdict:
    """The version is to blame where it is one that is known for it; else the cause is not recognised."""
    says = "the app has no `bash`: no completion, no colours, and scripts for it fail"
    evidence, flaw = ("command -v bash: nothing", f"version {app.version}"), app.flaw("shell-sh")
    if flaw is not None:
        fix = tell("update the app", f"version {flaw.mended} of {app.flavour.name} has it again")
        return replace(warn(says, CHECK.why, *evidence, fix=fix, failure=flaw.failure), because="app-version")
    fix = tell(
        "find out where it went",
        "in a session: `ls -l /bin/bash /usr/bin/bash; getent passwd root` shows whether it is there, and which shell is set",
        "if it is gone after a restart too: a command of yours removes it, or the image is damaged (reinstall the app)",
    )
    return warn(says, "what took it away is not recognised: nothing of the kind is known of this version", *evidence, fix=fix)


def _lose_bash(scene: Breakable) -> None:
    scene.house.knobs.without.add("bash")


CHECK = Check(
    id="shell-whole",
    stage=Stage.SESSION,
    scope=Scope.HYGIENE,
    title="The shell is the usual one",
    why="some versions of the app came without their shell",
    needs=(Apps, Doors),
    rests_on=("right-server", "app-version"),
    judge=judge,
    break_it=_lose_bash,
)
