"""Truth: Home Assistant answers at its address and takes our credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Core
from ha_ssh.core.model import Check, Facts, NotKnown, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge the one connection to Core's API."""
    core = facts.get(Core)
    if isinstance(core, NotKnown):
        way = tell("make it reachable", "open the address in a browser on this computer", "give the right one with `--url`")
        if core.code in {"token-refused", "no-token", "session-expired"}:
            way = tell("sign in again", "make a long-lived token in your Home Assistant profile, Security, at the bottom")
        return wrong(f"no way into Home Assistant at {facts.target.url}: {core.reason}", CHECK.why, core.code, fix=way)
    return ok(f"Home Assistant {core.state.version} answers at {facts.target.url}")


def break_it(scene: Breakable) -> None:
    """Revoke the token."""
    scene.revoke_token()


CHECK = Check(
    id="house-answers",
    stage=Stage.HOUSE,
    title="Home Assistant answers and takes our credentials",
    why="everything about the app goes through Home Assistant's own API",
    needs=(Core,),
    judge=judge,
    break_it=break_it,
)
