"""What a flow is handed by `compose`: every tool it may use, already built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from ha_ssh.ask.questions import Asker, SeenKey
    from ha_ssh.core.errors import HaSshError
    from ha_ssh.core.model import Flavour, Home, Journal, Places, Report, SecretRef, Show, Want
    from ha_ssh.core.options import Options, Trust
    from ha_ssh.core.redact import Private
    from ha_ssh.core.secret import Secret


class KnownHouse(Protocol):
    """A house as it was remembered; what is `None` was never learnt."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def url(self) -> str:
        """Its address."""
        ...

    @property
    def id(self) -> str | None:
        """The word that names its files, where that is not its name."""
        ...

    @property
    def trust(self) -> Trust:
        """What vouches for its TLS server."""
        ...

    @property
    def ssh_host(self) -> str | None:
        """Where its SSH server is."""
        ...

    @property
    def ssh_port(self) -> int | None:
        """The port of its SSH server."""
        ...

    @property
    def user(self) -> str | None:
        """The login name."""
        ...

    @property
    def known_as(self) -> str | None:
        """What tells its host keys from those of the app that was set up first."""
        ...

    @property
    def identity(self) -> str | None:
        """The key that logs in."""
        ...

    @property
    def alias(self) -> str | None:
        """The alias in the user's SSH configuration."""
        ...

    @property
    def app(self) -> str | None:
        """The slug of its SSH app."""
        ...

    @property
    def machine_id(self) -> str | None:
        """The machine that was there."""
        ...

    @property
    def want(self) -> Want | None:
        """What was wanted of it."""
        ...


class Found(Protocol):
    """A Home Assistant that was found on the network, or at an address; what is empty is not known."""

    @property
    def name(self) -> str:
        """The name that it gives itself."""
        ...

    @property
    def url(self) -> str:
        """Its address, after redirects."""
        ...

    @property
    def version(self) -> str:
        """The version of Core."""
        ...

    @property
    def how(self) -> str:
        """How it was found: `announced`, `named` or `given`."""
        ...

    @property
    def trouble(self) -> str:
        """The code of the error where it does not answer as it should."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """The IP addresses it is at."""
        ...


class Credentials(Protocol):
    """What gives access tokens for one origin, and for no other."""

    origin: str
    """Scheme, host and port."""
    is_session: bool
    """Whether it is a session, which can be ended from here; a long-lived token is its owner's to delete."""

    async def access(self) -> Secret:
        """An access token that is valid now."""
        ...

    def refuse(self) -> HaSshError:
        """Never use it again; returns the error that says so."""
        ...


class Ways(Protocol):
    """How houses are found and signed in to; a session that nobody kept is ended with the run."""

    async def look_around(self) -> tuple[Found, ...]:
        """All houses on the network; nothing secret goes out."""
        ...

    async def identify(self, address: str, trust: Trust) -> Found:
        """The house at an address as people type it, after safe redirects; else raises what is the matter there."""
        ...

    async def greeting(self, url: str, trust: Trust) -> str:
        """The version that Home Assistant tells everybody; else raises what is the matter there."""
        ...

    def likeliest(self, address: str) -> str:
        """The origin that an address most likely means."""
        ...

    async def is_public(self, url: str) -> bool:
        """Whether an address leads out of the home network."""
        ...

    def browser_here(self) -> bool:
        """Whether a browser that is opened shows up in front of the person."""
        ...

    def by_token(self, url: str, token: Secret) -> Credentials:
        """The credentials that a long-lived token is."""
        ...

    async def by_password(
        self, url: str, trust: Trust, name: str, password: Secret, ask_code: Callable[[str], Awaitable[Secret]] | None
    ) -> Credentials:
        """Sign in by name and password; `ask_code(problem)` is asked for the second factor."""
        ...

    async def by_browser(
        self,
        url: str,
        trust: Trust,
        show: Callable[[str], None],
        *,
        open_it: bool,
        paste: Callable[[str], Awaitable[str]] | None,
        limit: float,
    ) -> Credentials:
        """Sign in on Home Assistant's own page, whose address `show` gets; `paste` yields where a browser elsewhere ended.

        Raises `MissingAnswer` after `limit` seconds.
        """
        ...

    async def make_token(self, url: str, credentials: Credentials, trust: Trust, name: str, days: int) -> Secret:
        """Make a long-lived token; raises `Refused` (`token-name-taken`) where its name is not new."""
        ...

    def kept(self, url: str, trust: Trust) -> Credentials | None:
        """The sign-in that is kept for an address."""
        ...

    async def keep(self, credentials: Credentials) -> None:
        """Keep a sign-in for later runs."""
        ...

    def forget(self, url: str) -> None:
        """Forget the sign-in that is kept for an address."""
        ...

    async def revoke(self, credentials: Credentials) -> bool:
        """End a session in the house; False for a long-lived token, which is its owner's to delete."""
        ...


class Detours(Protocol):
    """The ways to a house that do not lead through Core."""

    async def supervisor(self) -> str | None:
        """The Supervisor's address, where this computer is inside the house."""
        ...

    async def app(self, flavours: tuple[Flavour, ...]) -> str | None:
        """The slug of the app in whose container this very process runs, as far as can be seen."""
        ...

    def inside(self) -> Home:
        """The house that this computer is inside of."""
        ...

    def through_ssh(
        self, host: str, port: int, user: str, identity: str, passphrase: SecretRef | None, host_key_alias: str
    ) -> Home:
        """The house through an SSH login that is made when first asked, to a server whose host keys this computer knows."""
        ...


class Memory(Protocol):
    """The remembered houses, and the secrets of this run."""

    def find(self, name: str | None, url: str | None) -> KnownHouse | None:
        """Return a house by name, else by address, else the current one."""
        ...

    def name_for(self, url: str) -> str:
        """Return the name of a house at an address, or a free one for a new house."""
        ...

    def id_for(self, name: str) -> str:
        """Return the word that names the files of a house."""
        ...

    def with_files(self, word: str) -> KnownHouse | None:
        """Return the house whose files are named by a word."""
        ...

    def every(self) -> tuple[KnownHouse, ...]:
        """Return all houses in their order."""
        ...

    @property
    def current(self) -> str | None:
        """The name of the house that is meant where none is named."""
        ...

    def remember(self, **house: Any) -> None:
        """Write down what is known of a house; `name` and `url` at least; what is not named stays as it was."""
        ...

    def written(self, name: str) -> dict[str, Any] | None:
        """Return what is written down of a house, as plain JSON; `None` where that is nothing."""
        ...

    def take_back(self, word: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """Take back, of the house whose files a word names, what a change of what is written down has left there."""
        ...

    def use(self, name: str) -> None:
        """Make a house the current one."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a house another name; its files keep theirs."""
        ...

    def forget(self, name: str) -> None:
        """Drop a house; its files stay."""
        ...

    def keep(self, name: str, secret: Secret) -> SecretRef:
        """Put a secret of this run into the vault."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The tools of one command."""

    options: Options
    show: Show
    asker: Asker
    journal: Journal
    memory: Memory
    flavours: tuple[Flavour, ...]
    places: Places
    ways: Ways
    connect: Callable[[str, Credentials | None, Trust], Home]
    """The world with the house at an address; nothing is connected before the first look."""
    detours: Detours
    outside: Callable[[HaSshError, bool], Home]
    """This computer, with SSH (or without any network, for False): whatever else is asked of the house raises that error."""
    keys: Callable[[], tuple[SeenKey, ...]]
    """The private keys in the user's SSH folder."""
    comment: str
    """The comment of a key that is made here: who and where."""
    lock: Callable[[], AbstractContextManager[None]]
    """Keeps two changing runs apart; raises `HaSshError` while another one works."""
    write_text: Callable[[str, str], None]
    """Write a private file that was asked for by a flag."""
    no_room: Callable[[str], str]
    """Why no file can be written at a path that a flag names; empty where one can."""
    is_anothers: Callable[[str], bool]
    """Whether something lies at a path that is neither empty nor a report of ours."""
    publish: Callable[[str, Report, Mapping[str, str], Private], None]
    """Write a report that can be shown to others to a private file, with what is private hidden in it."""
    read_text: Callable[[str], str]
    """Read a file that a flag names; empty where it is missing."""
    secret_file: Callable[[str], AbstractContextManager[Callable[[Secret], None]]]
    """Hold a new private file ready for a secret, for as long as the block lasts; a block that fails leaves none."""
