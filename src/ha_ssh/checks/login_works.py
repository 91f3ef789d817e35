"""Truth: a login with exactly our key succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, Apps, Door, Doors, app_and_door
from ha_ssh.core.model import Check, DoorState, Facts, Fix, Stage, Verdict, Want, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the one login."""
    app, door = app_and_door(want, facts)
    if door.admitted:
        return ok(f"`{app.serving.user}` logs in with your key")
    if door.admitted is None:
        return unknown("no login was tried: there is no key that could be used", CHECK.why)
    return wrong(f"the server refuses your key for `{app.serving.user}`", CHECK.why, *_evidence(app, door), fix=_way(door))


def _evidence(app: App, door: Door) -> tuple[str, ...]:
    offered = f"it offers: {', '.join(door.methods)}" if door.methods else ""
    seen = "the app's log shows no such attempt: somebody else answers on this port" if door.app_saw is False else ""
    return tuple(text for text in (str(door.message), offered, f"login name {app.serving.user}, port {door.port}", seen) if text)


def _way(door: Door) -> Fix:
    if door.state is DoorState.TOO_MANY:
        return tell("wait", "too many failed logins came from this computer: wait ten minutes, then try again")
    return tell(
        "see whether it is the app that answers",
        "another SSH server may have the port: compare the address with Home Assistant's",
    )


def break_it(scene: Breakable) -> None:
    """Let another SSH server answer that knows nobody."""
    scene.house.knobs.door = "stranger"


CHECK = Check(
    id="login-works",
    stage=Stage.LOGIN,
    title="A login with your key succeeds",
    why="nothing else proves that the door opens",
    needs=(Apps, Doors),
    rests_on=("port-answers", "key-authorised"),
    judge=judge,
    break_it=break_it,
)
