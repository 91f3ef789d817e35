"""Truth: it is the app itself that answers on the port, because its own log shows our very login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import keys
from ha_ssh.core.facts import Apps, Door, Doors, app_and_door
from ha_ssh.core.model import Check, Facts, NotKnown, Stage, Verdict, Want, known, note, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_FAILURES = (
    ("names another machine", "another-house", "the address may belong to another Home Assistant, or to a copy of this one"),
    ("have written into the app's log", "forged-log", "somebody sends the app words that look like lines of its log"),
    ("shows no login", "impostor", "another server has the address or the port, or stands in the middle and lets everybody in"),
)
"""What a missing proof can mean: words of its reason, the known failure, and who it may be."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the proof; over plain http it is trust on first use, and is called that."""
    _app, door = app_and_door(want, facts)
    if known(door.admitted, "log in with your key") is not True:
        return unknown("nobody was let in, so there is nothing to prove", CHECK.why)
    proof = known(door.proof, "prove by the app's own log that it is the app that answers")
    if proof is None and isinstance(facts.get(Apps), NotKnown):
        return _first_contact(door)
    if proof is None:
        failure, who = next(((code, who) for words, code, who in _FAILURES if words in door.unproven), ("unproven", ""))
        fix = tell(
            "find out who answers there",
            f"{door.host} port {door.port} let you in, but {door.unproven}",
            *((who,) if who else ()),
            "send no password there; look again with `ha-ssh doctor`",
        )
        says = "whoever answers on the SSH port is not proven to be the app"
        return wrong(says, CHECK.why, door.unproven, *_greeting(door), fix=fix, failure=failure)
    if proof.method == "known-host":
        return ok("the server owns a host key that this computer knows (the app's log is out of reach, or empty)", proof.line)
    if proof.channel == "http":
        return note(
            "the app's log shows your login (read over plain http: trust on first use)",
            "somebody inside the home network could forge what plain http carries",
            proof.line,
        )
    return ok("the app's own log shows your login: it is the app that answers", proof.line)


def _greeting(door: Door) -> tuple[str, ...]:
    return (f"greeting: {door.banner}",) if door.banner else ()


def _first_contact(door: Door) -> Verdict:
    """Nobody vouches for a server that is met for the first time, where the app's log cannot be read."""
    offered = tuple(f"it offers {key.split()[0]} {keys.fingerprint(key)}" for key in known(door.host_keys, "see its host keys"))
    fix = tell(
        "let the app vouch for it, or compare the fingerprint",
        "sign in to Home Assistant: `ha-ssh login`; then `ha-ssh setup` proves the server by the app's own log and pins its keys",
        "or open the app's web terminal: `ssh-keyscan localhost | ssh-keygen -lf -` has to show the same fingerprint",
    )
    if door.known_host is False:
        says = "the server shows another host key than this computer knows, and the app's log is out of reach"
        return unknown(says, CHECK.why, *_greeting(door), *offered, fix=fix, failure="hostkey-changed")
    says = "this computer meets the server for the first time: its host key is not known here, and the app's log is out of reach"
    return unknown(says, CHECK.why, *_greeting(door), *offered, fix=fix, failure="hostkey-unknown")


def break_it(scene: Breakable) -> None:
    """Let somebody else answer who lets everybody in."""
    scene.house.knobs.door = "impostor"


def _forge(scene: Breakable) -> None:
    """Let him make the app's log show the very line of a login."""
    scene.house.knobs.door = "forger"


CHECK = Check(
    id="right-server",
    stage=Stage.IDENTITY,
    title="It is the app that answers",
    why="a machine in the middle can imitate a prompt, but it cannot log in to the app as you",
    needs=(Apps, Doors),
    rests_on=("login-works",),
    judge=judge,
    break_it=break_it,
    faults={"forged-log": _forge},
)
