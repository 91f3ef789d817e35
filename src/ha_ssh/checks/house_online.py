"""Truth: the house reaches the internet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.house_facts import Network, still_to_install
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, note, ok, tell, warn, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge what the Supervisor says of its connection."""
    network = facts[Network]
    cut = [name for name in ("host_internet", "supervisor_internet") if getattr(network, name) is False]
    if not cut and network.host_internet is None and network.supervisor_internet is None:
        return note(
            "whether the house reaches the internet, the Supervisor does not say", "", "/network/info: neither yes nor no"
        )
    if not cut:
        return ok("the house reaches the internet")
    fix = tell(
        "bring it online",
        "Settings, System, Network: check the address, the gateway and the name servers (a DNS filter may be in the way)",
    )
    why = "apps come from the internet; those that fetch extra packages do not even start without it"
    judged = wrong if still_to_install(want, facts) else warn
    says = "the house does not reach the internet"
    return judged(says, why, f"/network/info: {', '.join(cut)} false", fix=fix, failure="no-internet")


def break_it(scene: Breakable) -> None:
    """Cut it off."""
    scene.house.knobs.offline = True


CHECK = Check(
    id="house-online",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="The house reaches the internet",
    why="apps and their packages come from the internet",
    needs=(Network, Apps),
    rests_on=("supervisor-ready",),
    judge=judge,
    break_it=break_it,
    faults={"no-internet": break_it},
)
