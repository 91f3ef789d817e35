"""Truth: the house has an address of its own network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.house_facts import Network
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, note, ok

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(_want: Want, facts: Facts) -> Verdict:
    """Look for an address that an internet provider shares; what a router has outside cannot be seen from here."""
    shared = facts[Network].of_the_provider()
    if shared is None:
        return ok("the house has no address of an internet provider's shared network")
    name, address = shared
    return note(
        f"the house has the address {address}, which its internet provider shares among customers",
        "no forwarded port makes it reachable from outside: use a VPN (Tailscale, WireGuard) to log in from elsewhere",
        f"/network/info: {name} {address}",
        failure="cgnat",
    )


def _shared(scene: Breakable) -> None:
    """Give it such an address."""
    scene.house.knobs.cgnat = True


CHECK = Check(
    id="own-address",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="The house has an address of its own",
    why="behind a shared address nothing can be reached from outside",
    needs=(Network,),
    rests_on=("supervisor-ready",),
    judge=judge,
    faults={"cgnat": _shared},
)
