"""The way into a house: which one, and with which sign-in; asked before anything is changed, and no secret goes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.ask import questions as ask
from ha_ssh.core.errors import CORE_IS_DOWN, HaSshError, MissingAnswer, UnknownCertificate
from ha_ssh.core.facts import texts
from ha_ssh.core.house_facts import dicts
from ha_ssh.core.model import Risk, Target
from ha_ssh.core.options import Trust
from ha_ssh.core.settings import section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Home
    from ha_ssh.core.secret import Secret
    from ha_ssh.flows.tools import Credentials, Found, KnownHouse, Tools

CLOUD = ".ui.nabu.casa"
"""The end of the names under which Home Assistant Cloud carries HTTPS, and nothing else."""
_PASSWORD_TRIES = 3
_BROWSER_PATIENCE = 300.0
"""Seconds that a sign-in in the browser may take."""
FROM_INSIDE = "172.30.32.1"
"""The host of the house, as every app's container sees it."""


@dataclass(frozen=True, kw_only=True)
class Met:
    """A house whose address is known, and what was remembered of it."""

    url: str
    name: str
    id: str
    """The word that names its files."""
    known: KnownHouse | None
    trust: Trust
    trouble: HaSshError | None = None
    """Why it does not answer as it should; only for those who come to look."""
    inside: bool = False
    """True where this computer is inside the house, and its Supervisor is asked directly."""


@dataclass(frozen=True, kw_only=True)
class Reached(Met):
    """The world with a house, as far as it can be reached."""

    home: Home
    rides_on: str | None = None
    """The SSH app whose login carries everything that is asked of the house, where one does."""


@dataclass(frozen=True, kw_only=True)
class Entered(Reached):
    """A house that somebody is signed in to."""

    credentials: Credentials | None
    """`None` where the way does not lead through Core."""
    ssh_host: str

    def target(self, tools: Tools) -> Target:
        """What to look at, as far as it was remembered."""
        return replace(target_of(tools, self, self.ssh_host), rides_on=self.rides_on)


def target_of(tools: Tools, met: Met, ssh_host: str) -> Target:
    """What to look at, as far as it was remembered."""
    known, answers = met.known, tools.options.answers
    identity = answers.get("key") if answers.get("key") not in {None, "new", "other"} else known.identity if known else None
    return Target(
        url=met.url,
        ssh_host=ssh_host,
        apps=tools.flavours,
        places=tools.places,
        identity=identity,
        alias=answers.get("alias") or (known.alias if known else None),
        house_id=met.id,
        known_as=known.known_as if known else None,
        machine_id=known.machine_id if known else None,
    )


async def enter(tools: Tools, *, only_looks: bool = False, anew: bool = False) -> Entered:
    """Find out which house is meant and sign in there; raises `MissingAnswer` where nobody can say how.

    With `only_looks`, a house that does not answer, or that another machine answers for, is left to the checks to tell; without,
    it is an error, so nothing is ever changed there. With `anew`, a sign-in that is kept already does not count.
    """
    return await come_in(tools, await meet(tools, only_looks=only_looks), only_looks=only_looks, anew=anew)


async def come_in(tools: Tools, met: Met, *, only_looks: bool = False, anew: bool = False) -> Entered:
    """Sign in to a house that was met; see `enter`."""
    if met.inside:
        home = tools.detours.inside()
        return Entered(**vars(met), home=home, credentials=None, ssh_host=await ssh_host_of(tools, met, home))
    try:
        credentials, fresh = await credentials_for(tools, met, only_looks=only_looks, anew=anew)
        home = tools.connect(met.url, credentials, met.trust)
        if not only_looks and may_ride(met):
            await mind_a_core_that_is_down(home)
    except HaSshError as error:
        riding = None if only_looks or anew else await through_ssh(tools, met, error)
        if riding is None:
            raise
        return Entered(**vars(riding), credentials=None, ssh_host=await ssh_host_of(tools, met, riding.home))
    if not only_looks:
        await mind_another_machine(met, home)
    if fresh:
        await stay_signed_in(tools, met, home, credentials)
    ssh_host = await ssh_host_of(tools, met, home)
    return Entered(**vars(met), home=home, credentials=credentials, ssh_host=ssh_host)


# ------------------------------------------------------------------------------------------------------- past Core


def may_ride(met: Met) -> bool:
    """Return whether an SSH login into this house is remembered."""
    known = met.known
    return known is not None and None not in (known.ssh_host, known.ssh_port, known.user, known.identity)


async def mind_a_core_that_is_down(home: Home) -> None:
    """Raise why Core does not answer; whatever else there is to say is told by the looks that follow."""
    try:
        await home.core()
    except HaSshError as error:
        if error.code in CORE_IS_DOWN:
            raise


async def through_ssh(tools: Tools, met: Met, error: HaSshError) -> Reached | None:
    """Reach a remembered house whose Core does not answer through its own SSH app; `None` where that is no way either."""
    known = met.known
    if known is None or not may_ride(met) or error.code not in CORE_IS_DOWN:
        return None
    secret = tools.options.answers.get("passphrase")
    home = tools.detours.through_ssh(
        str(known.ssh_host),
        int(known.ssh_port or 0),
        str(known.user),
        str(known.identity),
        tools.memory.keep("passphrase", secret) if secret else None,
        target_of(tools, met, str(known.ssh_host)).host_key_alias,
    )
    try:
        await home.core()
        await mind_another_machine(met, home)
    except HaSshError as no:
        tools.show.say(f"{error.message} Its SSH app is no way to it either: {no.message}")
        return None
    tools.show.say(f"{error.message} Its SSH app does: everything goes through that login.")
    return Reached(**vars(met), home=home, rides_on=known.app)


# ------------------------------------------------------------------------------------------------------------ which house


async def meet(tools: Tools, *, only_looks: bool = False) -> Met:
    """Find out which house is meant, and that it is one; nothing secret goes out before."""
    options, memory = tools.options, tools.memory
    known = memory.find(options.house, options.url)
    address = options.url or (known.url if known else None) or await tools.detours.supervisor()
    if address is not None and address == await tools.detours.supervisor():
        known = known or memory.find(None, address)
        name = options.house or (known.name if known else memory.name_for(address))
        return Met(url=address, name=name, id=memory.id_for(name), known=known, trust=Trust(), inside=True)
    if address is None:
        address = await _asked_for_address(tools)
        known = memory.find(None, address)
    trust = options.trust or (known.trust if known else Trust())
    trouble = None
    if known is None or address != known.url or trust != known.trust:
        try:
            address, trust = await _identified(tools, address, trust)
        except HaSshError as error:
            if not only_looks:
                raise
            address, trouble = tools.ways.likeliest(address), error
    await _mind_plain_http(tools, address)
    name = options.house or (known.name if known else memory.name_for(address))
    return Met(url=address, name=name, id=memory.id_for(name), known=known, trust=trust, trouble=trouble)


async def _asked_for_address(tools: Tools) -> str:
    """Look around and offer what is there; the choice is the confirmation that secrets may go there."""
    if tools.options.no_input:
        raise MissingAnswer(
            "missing-url",
            "No house is named, and none is remembered.",
            "give `--url URL`, or set `HA_SSH_URL`; `ha-ssh discover` finds addresses",
            "`--house NAME` means a house that is remembered: `ha-ssh houses list`",
        )
    found = await look_around(tools)
    if found:
        chosen = await tools.asker.ask(ask.found_question([(house.url, described(house)) for house in found]))
        if chosen != ask.OTHER:
            return str(chosen)
    else:
        tools.show.say("no Home Assistant shows itself on this network")
    return str(await tools.asker.ask(ask.url_question()))


async def look_around(tools: Tools) -> tuple[Found, ...]:
    """All houses on the network that have an address."""
    tools.show.progress("looking for Home Assistant on this network", None)
    return tuple(house for house in await tools.ways.look_around() if house.url)


def described(house: Found) -> str:
    """A house that was found, in a few words."""
    name = house.name if house.name and house.name not in house.url else "Home Assistant"
    version = f" {house.version}" if house.version else ""
    return f"{name}{version}, {house.url}" + (f" ({house.trouble.replace('-', ' ')})" if house.trouble else "")


async def _identified(tools: Tools, address: str, trust: Trust) -> tuple[str, Trust]:
    """The address that Home Assistant answers at in the end; a certificate that nobody vouches for may be pinned by a person."""
    try:
        found = await tools.ways.identify(address, trust)
    except UnknownCertificate as unknown:
        if tools.options.no_input or trust:
            raise
        if not await tools.asker.ask(ask.pin_question(unknown.message, unknown.fingerprint)):
            raise
        trust = Trust(fingerprint=unknown.fingerprint)
        found = await tools.ways.identify(unknown.url, trust)
    if found.url != address:
        tools.show.say(f"Home Assistant answers at {found.url}")
    return found.url, trust


async def _mind_plain_http(tools: Tools, url: str) -> None:
    """Refuse to send a sign-in in clear text over the internet, unless that risk was named."""
    if not url.startswith("http://") or Risk.PLAIN_HTTP in tools.options.accepted or not await tools.ways.is_public(url):
        return
    says = f"`{url}` leads over the internet without TLS: everybody on the way could read the sign-in"
    if not tools.options.no_input and await tools.asker.ask(ask.risk_question(Risk.PLAIN_HTTP, says)):
        return
    raise MissingAnswer("risk-not-accepted", says, "use an `https://` address", "or add `--accept-risk plain-http`")


# ----------------------------------------------------------------------------------------------------------- which sign-in


async def credentials_for(
    tools: Tools, met: Met, *, only_looks: bool = False, anew: bool = False, or_nobody: bool = False
) -> tuple[Credentials, bool]:
    """The token that was given, else the sign-in that is kept, else a new one; and whether it is to be kept.

    With `or_nobody`, people may choose not to sign in, which raises `MissingAnswer`.
    """
    options, ways = tools.options, tools.ways
    if options.token is not None:
        return ways.by_token(met.url, options.token), anew
    if not anew and (kept := ways.kept(met.url, met.trust)):
        try:
            await kept.access()
        except HaSshError as error:
            if only_looks:
                return kept, False
            if error.code != "signed-out" or options.no_input:
                raise
            tools.show.say(error.message)
        else:
            return kept, False
    if met.trouble is not None:
        raise met.trouble
    return await _signed_in(tools, met, or_nobody=or_nobody), True


async def _signed_in(tools: Tools, met: Met, *, or_nobody: bool) -> Credentials:
    """Sign in the way that was named, else the one that a person chooses."""
    options = tools.options
    if options.username or options.password is not None:
        return await _by_password(tools, met)
    if options.browser is not None:
        return await _by_browser(tools, met)
    if options.no_input:
        raise _nobody(met, ", and nobody is there to do it")
    match await tools.asker.ask(ask.sign_in_question(met.url, or_nobody=or_nobody)):
        case ask.NOBODY:
            raise _nobody(met)
        case ask.BROWSER:
            return await _by_browser(tools, met)
        case ask.PASSWORD:
            return await _by_password(tools, met)
        case _:
            return tools.ways.by_token(met.url, await tools.asker.secret(ask.token_question(met.url)))


def _nobody(met: Met, more: str = "") -> MissingAnswer:
    return MissingAnswer(
        "missing-sign-in",
        f"Nobody is signed in to {met.url}{more}.",
        "set `HA_SSH_TOKEN`, or give `--token-file FILE`",
        "or sign in once at a terminal, for all later runs: `ha-ssh login`",
    )


async def _by_browser(tools: Tools, met: Met) -> Credentials:
    """Sign in on Home Assistant's own page, in the browser of this computer or of another one."""
    here = tools.ways.browser_here() if tools.options.browser is None else tools.options.browser

    def show(address: str) -> None:
        tools.show.say("opening this page in your browser:" if here else "open this page in a browser:")
        tools.show.say(f"\n{address}\n")
        tools.show.say(f"waiting until you are signed in there, {_BROWSER_PATIENCE / 60:.0f} minutes at most")

    async def paste(problem: str) -> str:
        if problem:
            tools.asker.complain(problem)
        return str(await tools.asker.ask(ask.paste_question()))

    return await tools.ways.by_browser(
        met.url, met.trust, show, open_it=here, paste=None if tools.options.no_input else paste, limit=_BROWSER_PATIENCE
    )


async def _by_password(tools: Tools, met: Met) -> Credentials:
    """Sign in by name and password; a person may mistype, a script may not: Home Assistant bans those who keep trying."""
    options, asker = tools.options, tools.asker

    async def code(problem: str) -> Secret:
        if problem:
            asker.complain(problem)
        return await asker.secret(ask.code_question())

    name = options.username or str(await asker.ask(ask.username_question()))
    for attempt in range(_PASSWORD_TRIES):
        password = options.password or await asker.secret(ask.password_question())
        try:
            return await tools.ways.by_password(met.url, met.trust, name, password, None if options.no_input else code)
        except HaSshError as error:
            if error.code != "wrong-password" or options.password is not None or attempt == _PASSWORD_TRIES - 1:
                raise
            asker.complain(error.message)
    raise AssertionError("the last attempt returns or raises")


async def stay_signed_in(tools: Tools, met: Met, home: Home, credentials: Credentials) -> None:
    """Keep a new sign-in once the house has taken it, unless it is for this run only, and end the one in whose place it is."""
    who = await home.core()
    tools.show.say(f"signed in to {met.url} as {who.user or 'somebody without a name'}")
    if tools.options.once or tools.options.dry_run or not who.is_admin:
        return
    former = tools.ways.kept(met.url, met.trust)
    await tools.ways.keep(credentials)
    if met.known is None:
        tools.memory.remember(name=met.name, url=met.url, trust=met.trust)
    if former is not None:
        await _end_former(tools, former)


async def _end_former(tools: Tools, former: Credentials) -> None:
    """End the session that was kept before: nobody has its secret any more, and it would go on for months."""
    try:
        await tools.ways.revoke(former)
    except HaSshError as error:
        tools.show.say(f"the session of before goes on: {error.message} {where_to_end(former)}")


def where_to_end(credentials: Credentials) -> str:
    """Say where Home Assistant lets people end a sign-in."""
    kind = "Refresh tokens" if credentials.is_session else "Long-lived access tokens"
    return f"Delete it at `{credentials.origin}/profile/security`, under {kind}."


# ------------------------------------------------------------------------------------------------------- the same house?


async def mind_another_machine(met: Met, home: Home) -> None:
    """Stop where another machine answers at the address of a remembered house: a clone, a restored one, an exchanged one."""
    remembered = met.known.machine_id if met.known else None
    if remembered is None:
        return
    try:
        there = (await home.supervisor("/info")).get("machine_id")
    except HaSshError:
        return  # what cannot be looked at is told by the looks that follow
    if there and there != remembered:
        raise another_house(met.name, met.url)


def another_house(name: str, url: str) -> HaSshError:
    """The error for a machine that is not the remembered one."""
    return HaSshError(
        "another-house",
        f"The machine at {url} is not the one that is remembered as `{name}`: it is a clone, was restored from a backup, "
        "or has taken its place.",
        f"If it has taken the place of `{name}`: `ha-ssh houses forget {name}`, then `ha-ssh setup --house {name} --url {url}`.",
        "If it is another house: `--url` with the address of the right one.",
    )


# --------------------------------------------------------------------------------------------------------- where SSH is


async def ssh_host_of(tools: Tools, met: Met, home: Home) -> str:
    """Where SSH is looked for: where somebody said, where it was, else at the host of the URL; never in the cloud."""
    told = tools.options.ssh_host or (met.known.ssh_host if met.known else None)
    host = host_of(met.url)
    if told or not (met.inside or host.endswith(CLOUD)):
        return told or host
    try:
        address = lan_address(await home.supervisor("/network/info"))
    except HaSshError:
        return host
    if met.inside:
        return address or FROM_INSIDE
    if address is None:
        raise HaSshError(
            "no-lan-address",
            f"`{host}` carries HTTPS only, never SSH, and Home Assistant names no address of its own at home.",
            "say where SSH is: `--ssh-host HOST`",
        )
    tools.show.say(f"`{host}` carries HTTPS only: SSH is looked for at {address}, the house's own address at home")
    return address


def lan_address(network: Mapping[str, Any]) -> str | None:
    """The house's own address at home in `/network/info`: of the primary interface, IPv4 before IPv6, no link-local one."""
    connected = [one for one in dicts(network.get("interfaces")) if one.get("connected") is not False]
    for interface in sorted(connected, key=lambda one: not one.get("primary")):
        for family in ("ipv4", "ipv6"):
            for address in texts(section(interface, family).get("address")):
                if not address.lower().startswith(("fe80:", "169.254.", "127.", "::1")):
                    return str(address).partition("/")[0]
    return None


def host_of(url: str) -> str:
    """Return the host of an address; SSH is looked for there."""
    return (urlsplit(url).hostname or url).replace("%25", "%")
