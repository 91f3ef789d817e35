"""Truth: there is a Supervisor, and it is up and healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Supervisor
from ha_ssh.core.model import Check, Facts, NotKnown, Stage, Verdict, Want, note, ok, tell, unknown, warn, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


_PATIENCE = tell("wait for it", "it is starting, updating or restoring a backup: run the command again in a few minutes")


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge the Supervisor's state and health."""
    found = facts.get(Supervisor)
    if isinstance(found, NotKnown):
        if found.code == "not-ready":
            return wrong("the Supervisor is not ready", CHECK.why, found.reason, fix=_PATIENCE)
        if found.code != "no-supervisor":
            return unknown(f"could not look: {found.reason}", CHECK.why)
        fix = tell("use the SSH server of the machine itself", "apps exist only on Home Assistant OS and Supervised")
        return wrong("this Home Assistant has no Supervisor, so there are no apps (add-ons)", CHECK.why, found.code, fix=fix)
    if found.state != "running":
        fix = tell("wait for it", "it is starting, updating or restoring a backup: run the command again in a few minutes")
        return wrong(
            f"the Supervisor is not ready: its state is `{found.state}`", CHECK.why, f"/info: state {found.state}", fix=fix
        )
    if not found.healthy:
        fix = tell("make it healthy", "Settings, System, Repairs names the reason")
        return warn("the Supervisor calls itself unhealthy", "it refuses to install apps until that is settled", fix=fix)
    if not found.supported:
        return note("this installation is not supported by Home Assistant", "apps may fail in ways that nobody has seen")
    return ok(f"the Supervisor {found.version} is up and healthy")


def break_it(scene: Breakable) -> None:
    """Let it start for ever."""
    scene.house.knobs.supervisor_state = "setup"


CHECK = Check(
    id="supervisor-ready",
    stage=Stage.SUPERVISOR,
    title="The Supervisor is up",
    why="the Supervisor installs, configures and starts apps",
    needs=(Supervisor,),
    rests_on=("signed-in-admin",),
    judge=judge,
    break_it=break_it,
)
