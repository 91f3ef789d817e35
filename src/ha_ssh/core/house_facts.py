"""The facts about the house around its SSH app: what its Supervisor complains of, its disk, network, jobs and ports.

None of them holds another one up, and what a Supervisor does not say (older ones lack some requests) is `None` or empty here.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.facts import Apps, Supervisor, text, texts
from ha_ssh.core.logs import lines_of
from ha_ssh.core.model import DoorState, NotKnown, SshTrouble
from ha_ssh.core.settings import section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ha_ssh.core.model import At, Facts, Reader, Want

SUPERVISOR_LOG = "supervisor"
"""What stands for the Supervisor's own log where an app's slug names the app's."""

_NOT_SAID = frozenset({"not-found", "forbidden"})
"""The codes of a Supervisor that does not know (or does not allow) a request."""

_KNOCK_SECONDS = 2.0
_NOBODY = frozenset({DoorState.REFUSED, DoorState.TIMEOUT, DoorState.UNREACHABLE, DoorState.UNRESOLVED})
"""What a connection meets where nobody has the port, as far as can be seen from here."""
_PROVIDERS_OWN = ipaddress.ip_network("100.64.0.0/10")


async def _asked(reader: Reader, endpoint: str) -> Mapping[str, Any]:
    """Return an answer of the Supervisor, empty where it does not know the request."""
    try:
        return dict(await reader.supervisor(endpoint) or {})
    except HaSshError as error:
        if error.code in _NOT_SAID:
            return {}
        raise


def dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list in an answer; whatever else a release may put there counts as missing."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def still_to_install(want: Want, facts: Facts) -> bool:
    """Return whether the app is not there yet: then what hinders an installation is wrong, and not only worth a warning."""
    apps = facts.get(Apps)
    return not isinstance(apps, NotKnown) and not apps.chosen(want.app).installed


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Something that the Supervisor has put into Settings, System, Repairs."""

    type: str
    context: str = ""
    reference: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """It as evidence."""
        about = f" of {self.reference}" if self.reference else ""
        return f"/resolution/info: issue `{self.type}`{about}"


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A way out that the Supervisor offers for one of its issues, and does itself when told to."""

    uuid: str
    type: str
    context: str = ""
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What the Supervisor finds wrong with the house; a run does not change it foreseeably, so plans do not foretell it."""

    issues: tuple[Issue, ...] = field(default=(), compare=False)
    unhealthy: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    said: bool = field(default=True, compare=False)
    """False where the Supervisor does not say what it finds, as older ones."""
    suggestions: tuple[Suggestion, ...] = field(default=(), compare=False)

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read `/resolution/info`."""
        await at(Supervisor)
        said = await _asked(at.reader, "/resolution/info")
        issues = tuple(
            Issue(
                type=str(one.get("type") or ""),
                context=str(one.get("context") or ""),
                reference=text(one.get("reference")),
                extra=section(one, "reference_extra"),
            )
            for one in dicts(said.get("issues"))
        )
        return cls(
            issues=issues,
            unhealthy=texts(said.get("unhealthy")),
            unsupported=texts(said.get("unsupported")),
            said=isinstance(said.get("unhealthy"), list),
            suggestions=tuple(
                Suggestion(
                    uuid=str(one["uuid"]),
                    type=str(one.get("type") or ""),
                    context=str(one.get("context") or ""),
                    reference=text(one.get("reference")),
                )
                for one in dicts(said.get("suggestions"))
                if one.get("uuid")
            ),
        )

    def of(self, *types: str, reference: str | None = None) -> Issue | None:
        """Return the first issue whose type ends in one of these words, about an app where one is named."""
        return next((one for one in self.issues if one.type.endswith(types) and reference in {None, one.reference}), None)


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The disk of the house: gigabytes that are free, and how much of its life is used up (percent)."""

    free: float | None = field(default=None, compare=False)
    worn: float | None = field(default=None, compare=False)

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read `/host/info`."""
        await at(Supervisor)
        said = await _asked(at.reader, "/host/info")
        return cls(free=_number(said.get("disk_free")), worn=_number(said.get("disk_life_time")))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network of the house: whether it reaches the internet, and its addresses by interface."""

    host_internet: bool | None = None
    supervisor_internet: bool | None = None
    addresses: tuple[tuple[str, str], ...] = ()

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read `/network/info`."""
        await at(Supervisor)
        said = await _asked(at.reader, "/network/info")
        found = [
            (str(one.get("interface")), address.partition("/")[0])
            for one in dicts(said.get("interfaces"))
            for address in texts(section(one, "ipv4").get("address"))
        ]
        return cls(
            host_internet=said.get("host_internet"), supervisor_internet=said.get("supervisor_internet"), addresses=tuple(found)
        )

    def of_the_provider(self) -> tuple[str, str] | None:
        """Return an interface with an address that an internet provider shares among customers (RFC 6598)."""
        return next((pair for pair in self.addresses if _is_shared(pair[1])), None)


def _is_shared(address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in _PROVIDERS_OWN
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something that the Supervisor is doing: its name, what it is about, and the job that it is a part of."""

    name: str
    about: str = ""
    part_of: str = ""
    hours: float | None = None
    """For how long already, it or what it is a part of; `None` where that is not said."""

    @property
    def text(self) -> str:
        """It as evidence."""
        part = f", a part of {self.part_of}" if self.part_of else ""
        since = "" if self.hours is None or self.hours < 1 else f", for {self.hours:.0f} h"
        return f"/jobs/info: {self.name}, {self.about}{part}{since}"


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """What the Supervisor is doing now, the parts of a job (a backup does one app after the other) as jobs of their own."""

    running: tuple[Job, ...] = field(default=(), compare=False)
    said: bool = field(default=True, compare=False)
    """False where the Supervisor does not tell its jobs."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read `/jobs/info`."""
        await at(Supervisor)
        said = await _asked(at.reader, "/jobs/info")
        jobs, now = said.get("jobs"), at.reader.clock.date()
        return cls(running=tuple(_under_way(dicts(jobs), now)), said=isinstance(jobs, list))


def _under_way(jobs: list[dict[str, Any]], now: str, whole: Job | None = None) -> Iterator[Job]:
    """Return the jobs that are not over, each before its parts; a part is as old as what it belongs to where it does not say."""
    for one in jobs:
        if one.get("done") is not False:
            continue
        hours = _hours(text(one.get("created")), now)
        job = Job(
            name=str(one.get("name") or "job"),
            about=str(one.get("reference") or ""),
            part_of=whole.name if whole else "",
            hours=whole.hours if whole and hours is None else hours,
        )
        yield job
        yield from _under_way(dicts(one.get("child_jobs")), now, job)


def _hours(since: str | None, now: str) -> float | None:
    try:
        passed = datetime.fromisoformat(now) - datetime.fromisoformat(since or "")
    except (ValueError, TypeError):
        return None
    return passed.total_seconds() / 3600


@dataclass(frozen=True, kw_only=True)
class SupervisorLog:
    """The Supervisor's own log, newest line last; a record, which every run adds to."""

    lines: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the log through the API."""
        await at(Supervisor)
        return cls(lines=lines_of(await at.reader.log(SUPERVISOR_LOG)))

    def last(self, *words: str) -> str | None:
        """Return the newest line with one of these words in it."""
        return next((line for line in reversed(self.lines) if any(word in line for word in words)), None)


async def who_answer(reader: Reader, host: str, ports: Iterable[int]) -> dict[int, str]:
    """Return who answers on those ports of a host where anybody does, as far as can be seen from here."""
    ports = tuple(ports)
    met = await asyncio.gather(*(_who_answers(reader, host, port) for port in ports))
    return {port: who for port, who in zip(ports, met, strict=True) if who}


async def _who_answers(reader: Reader, host: str, port: int) -> str:
    try:
        async with asyncio.timeout(_KNOCK_SECONDS):
            banner = await reader.knock(host, port)
    except TimeoutError:
        return ""
    except SshTrouble as trouble:
        return "" if trouble.state in _NOBODY else f"something else that answers on {host}"
    return f"another SSH server on {host} ({banner.removeprefix('SSH-2.0-')[:40]})"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A program of the house as the Supervisor knows it, with the ports of the host that are its own while it runs."""

    slug: str
    name: str
    ports: tuple[int, ...] = ()
    running: bool = True
    ssh: bool = False
    """True for an app that has an SSH server's port."""

    @property
    def text(self) -> str:
        """It in words."""
        return f"{self.name} (`{self.slug}`)" if self.slug else self.name


@dataclass(frozen=True, kw_only=True)
class PortHolders:
    """Who has the host's ports, looked at only while an SSH app that has a port is down, or none of those that we know runs."""

    holders: tuple[Holder, ...] = field(default=(), compare=False)
    """The apps that run, those that look like SSH apps, and Core."""
    answering: Mapping[int, str] = field(default_factory=dict, compare=False)
    """Who answers from outside on a port that should be such an app's, and is nobody's that the Supervisor knows."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the ports of every running app, and Core's."""
        known = (await at(Apps)).by_slug.values()
        missed = [app.serving.port for app in known if app.installed and app.down and app.serving.port is not None]
        if not missed and any(app.installed for app in known):
            return cls()
        listed = dicts((await _asked(at.reader, "/addons")).get("addons"))
        worth = [str(one.get("slug")) for one in listed if one.get("state") in _UP or str(one.get("slug")).endswith("ssh")]
        core, *infos = await asyncio.gather(
            _or_nothing(at.reader, "/core/info"), *(_or_nothing(at.reader, f"/addons/{slug}/info") for slug in worth)
        )
        holders = [_holder(slug, info) for slug, info in zip(worth, infos, strict=True)]
        if isinstance(core.get("port"), int):
            holders.append(Holder(slug="", name="Home Assistant itself", ports=(core["port"],)))
        held = {port for one in holders if one.running for port in one.ports}
        unknown = [port for port in missed if port not in held]
        return cls(holders=tuple(holders), answering=await who_answer(at.reader, at.target.ssh_host, unknown))

    def of(self, port: int, *, but: str) -> Holder | None:
        """Return who has a port, but for one app: nobody takes a port from itself."""
        return next((one for one in self.holders if one.running and port in one.ports and one.slug != but), None)

    def strangers(self, known: Iterable[str]) -> tuple[Holder, ...]:
        """Return the SSH apps that are none of those that are known."""
        return tuple(one for one in self.holders if one.ssh and one.slug not in known)


_UP = frozenset({"started", "startup"})
_SSH_PORT = "22/tcp"


def _holder(slug: str, info: Mapping[str, Any]) -> Holder:
    network = section(info, "network")
    ports = tuple(port for port in network.values() if isinstance(port, int))
    name = text(info.get("name")) or slug
    return Holder(slug=slug, name=name, ports=ports, running=info.get("state") in _UP, ssh=_SSH_PORT in network)


_NEVER = frozenset({8123, 22222})
"""Home Assistant's own port, and that of the host's SSH server."""


def free_port(want: Want, facts: Facts, *but: int) -> int:
    """Return a port that nobody has as far as is known: the wanted one, else one that people expect SSH on."""
    taken = {*but, *_NEVER, *(app.serving.port for app in facts[Apps].by_slug.values() if app.installed)}
    holders = facts.get(PortHolders)
    taken |= set() if isinstance(holders, NotKnown) else {port for one in holders.holders for port in one.ports}
    liked: tuple[int, ...] = (*([want.port] if want.port else []), 2222, 22022, *range(2223, 2400))
    return next(port for port in liked if port not in taken)


async def _or_nothing(reader: Reader, endpoint: str) -> Mapping[str, Any]:
    """Return an answer, empty where there is none: one app that cannot be asked must not hide the others."""
    try:
        return await _asked(reader, endpoint)
    except HaSshError:
        return {}
