"""Truth: there is a Supervisor, and it is up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ha_ssh.core.facts import Apps, Supervisor
from ha_ssh.core.house_facts import Disk, Jobs, Network, Resolution
from ha_ssh.core.model import HOUSE_SLOW, Check, Facts, NotKnown, Stage, Verdict, Want, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


_ASKED: dict[type[Any], str] = {
    Apps: "`/addons/.../info`",
    Disk: "`/host/info`",
    Jobs: "`/jobs/info`",
    Network: "`/network/info`",
    Resolution: "`/resolution/info`",
}
"""The facts that the Supervisor alone tells, with what it is asked for them."""
_PATIENCE = tell("wait for it", "it is starting, updating or restoring a backup: run the command again in a few minutes")
_ELSEWHERE = tell(
    "use the SSH server of the machine itself",
    "apps exist only on Home Assistant OS and Supervised; in a container or a virtual environment, SSH belongs to the host",
)
_AGAIN = tell(
    "ask it again",
    "a slow machine or a full disk makes it slow: run the command again in a minute",
    "if it stays so, restart the machine that Home Assistant runs on",
)


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge the Supervisor's state."""
    found = facts.get(Supervisor)
    if isinstance(found, NotKnown):
        return _not_known(found)
    if found.state != "running":
        says = f"the Supervisor is not ready: its state is `{found.state}`"
        return wrong(says, CHECK.why, f"/info: state {found.state}", fix=_PATIENCE, failure="sup-notready")
    if silent := [asked for kind, asked in _ASKED.items() if _is_silent(facts.get(kind))]:
        says = f"the Supervisor {found.version} is up, but did not answer all that it was asked"
        seen = f"not answered in time: {', '.join(silent)}"
        return wrong(says, CHECK.why, "/info: answered", seen, fix=_AGAIN, failure="ws-timeout")
    return ok(f"the Supervisor {found.version} is up")


def _is_silent(fact: object) -> bool:
    """Return whether a look ran out of time by itself."""
    return isinstance(fact, NotKnown) and fact.code == "took-too-long" and fact.because is None


def _not_known(found: NotKnown) -> Verdict:
    if found.because == "Core" and found.code != "no-supervisor":
        return unknown(found.reason, CHECK.why)
    match found.code:
        case "not-ready":
            says = "the Supervisor is not ready"
            return wrong(says, CHECK.why, found.reason, *found.evidence, fix=_PATIENCE, failure="sup-notready")
        case "no-supervisor":
            says = "this Home Assistant has no Supervisor, so there are no apps (add-ons)"
            return wrong(says, CHECK.why, "get_config: `hassio` is not loaded", fix=_ELSEWHERE, failure="no-supervisor")
        case "no-answer" | "took-too-long":
            says = "the Supervisor did not answer in time"
            return wrong(says, CHECK.why, found.reason, *found.evidence, fix=_AGAIN, failure="ws-timeout")
        case "no-reason":
            says = "the Supervisor could not be asked: Home Assistant Core gave no reason"
            return wrong(says, CHECK.why, *found.evidence, fix=tell("see why", *found.hints))
        case _:
            fix = tell("see why", *found.hints) if found.hints else None
            because = "house-answers" if found.code == HOUSE_SLOW else None
            return unknown(found.reason, CHECK.why, found.code, *found.evidence, fix=fix, because=because)


def break_it(scene: Breakable) -> None:
    """Let it start for ever."""
    scene.house.knobs.supervisor_state = "setup"


def _freeze(scene: Breakable) -> None:
    """Let it make a backup for ever: it answers, and does nothing."""
    scene.house.knobs.supervisor_state = "freeze"


def _none(scene: Breakable) -> None:
    """Take it away."""
    scene.house.knobs.no_supervisor = True


def _slow(scene: Breakable) -> None:
    """Let Core wait for it in vain, which it tells by an empty message."""
    scene.house.knobs.refuse.append(("GET /(info|supervisor/info)$", ""))


CHECK = Check(
    id="supervisor-ready",
    stage=Stage.SUPERVISOR,
    title="The Supervisor is up",
    why="the Supervisor installs, configures and starts apps",
    needs=(Supervisor,),
    rests_on=("signed-in-admin",),
    judge=judge,
    break_it=break_it,
    faults={"sup-notready": _freeze, "no-supervisor": _none, "ws-timeout": _slow},
)
