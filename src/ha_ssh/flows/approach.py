"""How near the doctor comes to a house: signed in, from outside, to its SSH server alone, or not beyond this computer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from ha_ssh.ask.questions import passphrase_question
from ha_ssh.core.errors import HaSshError, MissingAnswer, UsageError
from ha_ssh.core.facts import Core, Doors, Proof
from ha_ssh.core.model import NotKnown, SshTrouble
from ha_ssh.core.options import Source, Trust
from ha_ssh.core.secret import Secret
from ha_ssh.flows.enter import (
    Met,
    Reached,
    credentials_for,
    may_ride,
    meet,
    ssh_host_of,
    stay_signed_in,
    target_of,
    through_ssh,
)

if TYPE_CHECKING:
    from ha_ssh.core.model import Facts, Home, Target
    from ha_ssh.flows.tools import KnownHouse, Tools

OFFLINE = "offline"
"""The code of everything that is not looked at with `--offline`."""
_OUT_OF_REACH = frozenset({"connection-refused", "no-route", "not-resolvable", "timed-out"})
"""The troubles of an address that nobody answers at: another try would only take as long again."""
_NOT_TRIED_AGAIN = _OUT_OF_REACH | {"captive-portal", "client-certificate", "needs-https"}
"""The troubles that another request to the same address meets as well; those of TLS are so, too."""
_NAME_IT = ("name it with `--url URL`, and sign in: `ha-ssh login`", "`ha-ssh setup` does all of it")
_NOWHERE = Met(url="", name="", id="elsewhere", known=None, trust=Trust())
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Approached(Reached):
    """A house as near as the doctor came to it; `url` is empty where no address is known."""

    target: Target


async def approach(tools: Tools) -> Approached:
    """Come as near as flags, memory and people allow; nobody is asked under `--no-input`, and nothing is changed."""
    options = tools.options
    known = tools.memory.find(options.house, options.url)
    if options.offline:
        return await _with_home(tools, _by_memory(tools, known), HaSshError(OFFLINE, "it is not looked at with `--offline`"))
    if options.host and not (options.url or options.house):
        return await _with_home(tools, _NOWHERE, HaSshError("no-address", "no address of Home Assistant was given", *_NAME_IT))
    nowhere = options.no_input and not options.url and known is None
    port = options.answers.given("ssh-port")
    if nowhere and port is not None and port.source is Source.FLAG and not options.ssh_host:
        raise UsageError(
            "no-host",
            "--port says a door, but not of which machine: no house is remembered.",
            f"say `--host HOST --port {port.value}`, or `--url URL`",
        )
    if nowhere:
        return await _with_home(tools, _NOWHERE, HaSshError("no-house", "no house is named, and none is remembered", *_NAME_IT))
    met = await meet(tools, only_looks=True)
    if met.inside:
        return await _with_home(tools, met, tools.detours.inside())
    return await _with_home(tools, met, await _entered(tools, met))


async def past_core(tools: Tools, came: Approached, facts: Facts) -> Approached | None:
    """The house through its SSH app, where Core was seen to be down and the app to let us in; `None` where there is no need."""
    core, doors = facts.get(Core), facts.get(Doors)
    if not isinstance(core, NotKnown) or isinstance(doors, NotKnown) or not may_ride(came):
        return None
    if not any(isinstance(door.proof, Proof) for door in doors.by_slug.values()):
        return None
    met = Met(**{one.name: getattr(came, one.name) for one in fields(Met)})
    riding = await through_ssh(tools, met, HaSshError(core.code, core.reason))
    if riding is None:
        return None
    return replace(came, home=riding.home, rides_on=riding.rides_on, target=replace(came.target, rides_on=riding.rides_on))


def _by_memory(tools: Tools, known: KnownHouse | None) -> Met:
    """What is known of a house without asking anybody."""
    url = tools.options.url or (known.url if known else "")
    if not url:
        return _NOWHERE
    name = tools.options.house or (known.name if known else tools.memory.name_for(url))
    trust = tools.options.trust or (known.trust if known else Trust())
    return Met(url=url, name=name, id=tools.memory.id_for(name), known=known, trust=trust)


async def _entered(tools: Tools, met: Met) -> Home | HaSshError:
    """The house with somebody signed in; else why it is seen from outside only."""
    trouble = met.trouble
    if trouble is not None and (trouble.code in _NOT_TRIED_AGAIN or trouble.code.startswith("tls-")):
        return trouble
    try:
        credentials, fresh = await credentials_for(tools, met, only_looks=True, or_nobody=True)
    except MissingAnswer as nobody:
        return trouble or await _seen_from_outside(tools, met, nobody.hints)
    except HaSshError as error:
        if error is trouble:
            return trouble
        raise
    home = tools.connect(met.url, credentials, met.trust)
    if fresh:
        await stay_signed_in(tools, met, home, credentials)
    return home


async def _seen_from_outside(tools: Tools, met: Met, ways: tuple[str, ...]) -> HaSshError:
    """What the address tells everybody: whether it is Home Assistant, and which."""
    try:
        version = await tools.ways.greeting(met.url, met.trust)
    except HaSshError as error:
        return error
    return HaSshError("no-sign-in", f"Home Assistant {version} answers at {met.url}, but nobody is signed in there", *ways)


async def _with_home(tools: Tools, met: Met, home: Home | HaSshError) -> Approached:
    """Aim at the house, at where its SSH is known, or thought, to be, and at the key, opened where that can be done."""
    options = tools.options
    outside = isinstance(home, HaSshError)
    why = home.code if isinstance(home, HaSshError) else ""
    if isinstance(home, HaSshError):
        home = tools.outside(home, why != OFFLINE)
    ssh_host = options.host or (await ssh_host_of(tools, met, home) if met.url else options.ssh_host or "")
    known = met.known
    target = replace(
        target_of(tools, met, ssh_host),
        ssh_port=(options.ssh_port or (known.ssh_port if known else None)) if ssh_host else None,
        ssh_user=options.ssh_user or (known.user if known else None),
        ssh_app=known.app if known else None,
    )
    if outside and ssh_host and target.ssh_port is None and why not in {OFFLINE, *_OUT_OF_REACH}:
        target = replace(target, ssh_port=await _guessed_port(tools, home, ssh_host))
    return Approached(**vars(met), home=home, target=await unlocked(tools, home, target))


async def _guessed_port(tools: Tools, home: Home, host: str) -> int | None:
    """The first of the usual ports where an SSH server speaks up; `None` where none does."""
    for port in dict.fromkeys(flavour.default_port for flavour in tools.flavours):
        try:
            await home.knock(host, port)
        except SshTrouble:
            continue
        tools.show.say(f"no port was named: an SSH server answers on {host} port {port}")
        return port
    return None


async def unlocked(tools: Tools, home: Home, target: Target) -> Target:
    """Aim with the passphrase of a key that has one: as given, else as a person types it; without, the key stays locked."""
    if target.identity is None or (await home.key(target.identity, None)).problem != "locked":
        return target
    secret = tools.options.answers.get("passphrase")
    if isinstance(secret, Secret):
        return replace(target, passphrase=tools.memory.keep("passphrase", secret))
    for _ in range(0 if tools.options.no_input or tools.options.offline else _TRIES):
        typed = await tools.asker.secret(passphrase_question(target.identity))
        if not typed:
            break
        ref = tools.memory.keep("passphrase", typed)
        if (await home.key(target.identity, ref)).problem is None:
            return replace(target, passphrase=ref)
        tools.asker.complain("That passphrase does not open it.")
    return target
