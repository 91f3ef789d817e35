"""Truth: the Supervisor calls this system healthy and supported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps, Supervisor
from ha_ssh.core.house_facts import Resolution, still_to_install
from ha_ssh.core.model import Check, Facts, NotKnown, Scope, Stage, Verdict, Want, note, ok, tell, warn, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge what the Supervisor says of the system, with its own reasons."""
    supervisor, resolution = facts[Supervisor], facts.get(Resolution)
    reasons = Resolution(said=False) if isinstance(resolution, NotKnown) else resolution
    if reasons.unhealthy or not supervisor.healthy:
        fix = tell("make it healthy", "Settings, System, Repairs names the reason and the way out")
        why = "it refuses to install and update apps until that is settled"
        says = f"the Supervisor calls this system unhealthy{_because(reasons.unhealthy)}"
        evidence = (
            f"/resolution/info: unhealthy {list(reasons.unhealthy)}" if reasons.unhealthy else "/supervisor/info: healthy false"
        )
        judged = wrong if still_to_install(want, facts) else warn
        return judged(says, why, evidence, fix=fix, failure="unhealthy")
    if reasons.unsupported or not supervisor.supported:
        says = f"Home Assistant does not support this installation{_because(reasons.unsupported)}"
        return note(says, "apps may fail here in ways that nobody has seen", "supported: false", failure="supervised-odd")
    if not supervisor.tells_health and not reasons.said:
        evidence = "/supervisor/info, /resolution/info: neither yes nor no"
        return note("whether this system is healthy and supported, the Supervisor does not say", "", evidence)
    return ok("the Supervisor calls this system healthy and supported")


def _because(reasons: tuple[str, ...]) -> str:
    return f" ({', '.join(reasons)})" if reasons else ""


def break_it(scene: Breakable) -> None:
    """Let it find something unhealthy."""
    scene.house.knobs.unhealthy.append("docker")


def _odd(scene: Breakable) -> None:
    """Let it run on something else than Home Assistant OS."""
    scene.house.knobs.unsupported.append("os")


CHECK = Check(
    id="supervisor-healthy",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="The system is healthy and supported",
    why="an unhealthy system installs no apps, and an unsupported one fails in odd ways",
    needs=(Supervisor, Resolution, Apps),
    rests_on=("supervisor-ready",),
    judge=judge,
    break_it=break_it,
    faults={"unhealthy": break_it, "supervised-odd": _odd},
)
