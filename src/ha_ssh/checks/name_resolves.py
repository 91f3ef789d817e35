"""Truth: this computer finds an address for the name under which SSH is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Core, Name
from ha_ssh.core.house_facts import Network
from ha_ssh.core.model import Check, Facts, Fix, NotKnown, Stage, Verdict, Want, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge the addresses that were found, and name one that the house itself says it has."""
    name, core = facts.get(Name), facts.get(Core)
    if isinstance(name, NotKnown):
        return unknown(name.reason, CHECK.why, because="house-answers")
    if not name.addresses and isinstance(core, NotKnown) and core.code == "not-resolvable" and name.host in facts.target.url:
        return unknown(f"`{name.host}` is not known to this computer, for SSH neither", CHECK.why, because="house-answers")
    if name.leads_somewhere:
        return ok(f"`{name.host}` is found" if name.host not in name.addresses else f"`{name.host}` is an address")
    evidence = tuple(text for text in (_api(facts), *(f"found: {one}" for one in name.addresses)) if text)
    if name.addresses:
        return wrong(
            f"`{name.host}` is found only at {name.addresses[0]}, which leads nowhere beyond one cable",
            "such an address (fe80::) is of use only together with an interface, and `ssh` tries no other",
            *evidence,
            fix=_fix(facts),
            failure="ipv6",
        )
    local = name.host.lower().rstrip(".").endswith(".local")
    why = (
        "names that end in `.local` are found by asking around in the same network (mDNS): other networks, VPNs and containers "
        "hear no answer"
        if local
        else "no name server that this computer asks knows the name: it may be misspelt, or known in another network only"
    )
    return wrong(
        f"this computer finds no address for `{name.host}`",
        why,
        *evidence,
        fix=_fix(facts),
        failure="mdns" if local else "name-unknown",
    )


def _api(facts: Facts) -> str:
    return "" if isinstance(facts.get(Core), NotKnown) else f"Home Assistant itself answers at {facts.target.url}"


def _fix(facts: Facts) -> Fix:
    """Name an address instead; the alias then keeps it."""
    network = facts.get(Network)
    own = () if isinstance(network, NotKnown) else tuple(address for _, address in network.addresses)
    instead = own[0] if own else "192.168.…"
    says = f"the house says that it has {', '.join(own)}" if own else "your router lists the address of the house"
    by_itself = ("`ha-ssh doctor --fix` goes there by itself, and writes it into the alias",) if own else ()
    return tell("use an address instead of the name", says, *by_itself, f"`ha-ssh setup --ssh-host {instead}` does the same")


def break_it(scene: Breakable) -> None:
    """Look for the house under a name that nobody answers to."""
    scene.ssh_host = "no-such-house.local"


def _at_link_local(scene: Breakable) -> None:
    scene.ssh_host = "fe80::1"


def _at_unknown(scene: Breakable) -> None:
    scene.ssh_host = "no-such-house.invalid"


CHECK = Check(
    id="name-resolves",
    stage=Stage.PORT,
    title="The house is found by its name",
    why="without an address there is nowhere to connect to",
    needs=(Name, Core, Network),
    judge=judge,
    break_it=break_it,
    faults={"ipv6": _at_link_local, "name-unknown": _at_unknown},
)
