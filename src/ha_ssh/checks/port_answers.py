"""Truth: an SSH server answers on the app's port."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ha_ssh.core.facts import Apps, Core, Door, Doors, app_and_door
from ha_ssh.core.model import Check, DoorState, Facts, NotKnown, Stage, Verdict, Want, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_MET: dict[DoorState, tuple[str, str]] = {
    DoorState.UNRESOLVED: ("the name {host} cannot be resolved", "give the address instead: `--ssh-host 192.168.…`"),
    DoorState.REFUSED: ("nothing listens on {host} port {port}", "read the app's log: Settings, Apps, the app, Log"),
    DoorState.TIMEOUT: (
        "{host} port {port} does not answer",
        "a firewall, another network or a wrong address stands between: compare with a browser",
    ),
    DoorState.UNREACHABLE: ("there is no way to {host} from here", "check this computer's network and VPN"),
    DoorState.RESET: (
        "{host} port {port} closes the connection at once",
        "wait ten minutes without trying: sshd punishes failed logins; then read the app's log",
    ),
    DoorState.NOT_SSH: ("something else than SSH answers on {host} port {port}", "choose another port: `ha-ssh setup --port N`"),
    DoorState.NO_COMMON: ("the SSH server and this client share no algorithm", "update the app, or allow its compatibility mode"),
    DoorState.LOST: (
        "the SSH server on {host} port {port} broke the connection off",
        "read the app's log: Settings, Apps, the app, Log",
    ),
}

_SILENT: dict[DoorState, tuple[str, ...]] = {
    DoorState.UNRESOLVED: ("not-resolvable",),
    DoorState.REFUSED: ("connection-refused",),
    DoorState.TIMEOUT: ("timed-out", "took-too-long", "no-route"),
    DoorState.UNREACHABLE: ("no-route", "timed-out"),
}
"""What Home Assistant's own address meets where the whole host is out of reach."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge what the one connection met."""
    _app, door = app_and_door(want, facts)
    if door.state not in _MET:
        return ok(f"an SSH server answers on {door.host} port {door.port}")
    if _nobody_is_there(facts, door):
        return unknown(f"{door.host} does not answer at all, neither Home Assistant nor SSH", CHECK.why, str(door.message))
    says, way = _MET[door.state]
    return wrong(_fill(says, door), CHECK.why, str(door.message), fix=tell("open the way to the port", _fill(way, door)))


def _nobody_is_there(facts: Facts, door: Door) -> bool:
    """Return whether the way to the host itself is missing, so that nothing can be said about its SSH server."""
    core = facts.get(Core)
    same = (urlsplit(facts.target.url).hostname or "") == door.host
    return same and isinstance(core, NotKnown) and core.code in _SILENT.get(door.state, ())


def _fill(text: str, door: Door) -> str:
    return text.format(host=door.host, port=door.port)


def break_it(scene: Breakable) -> None:
    """Put a web server behind the port."""
    scene.house.knobs.door = DoorState.NOT_SSH


CHECK = Check(
    id="port-answers",
    stage=Stage.PORT,
    title="The port speaks SSH",
    why="the app may be up and its SSH server still out of reach",
    needs=(Apps, Core, Doors),
    rests_on=("settings-live",),
    judge=judge,
    break_it=break_it,
)
