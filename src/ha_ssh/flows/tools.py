"""What a flow is handed by `compose`: every tool it may use, already built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from ha_ssh.ask.questions import Asker, SeenKey
    from ha_ssh.core.model import Flavour, Home, Journal, Places, SecretRef, Show, Want
    from ha_ssh.core.options import Options
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
    def ssh_host(self) -> str | None:
        """Where its SSH server is."""
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


class Memory(Protocol):
    """The remembered houses, and the secrets that belong to them."""

    def find(self, name: str | None, url: str | None) -> KnownHouse | None:
        """Return a house by name, else by address, else the current one."""
        ...

    def name_for(self, url: str) -> str:
        """Return the name of a house at an address, or a free one for a new house."""
        ...

    def remember(self, **house: Any) -> None:
        """Write down what is known of a house; `name` and `url` at least."""
        ...

    def token(self, url: str) -> Secret | None:
        """Return the sign-in that is kept for an address."""
        ...

    def keep_token(self, url: str, token: Secret) -> None:
        """Keep the sign-in for an address."""
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
    connect: Callable[[str, Secret | None], Home]
    """The world with the house at an address; nothing is connected before the first look."""
    is_public: Callable[[str], Awaitable[bool]]
    """Whether an address leads out of the home network."""
    keys: Callable[[], tuple[SeenKey, ...]]
    """The private keys in the user's SSH folder."""
    comment: str
    """The comment of a key that is made here: who and where."""
    lock: Callable[[], AbstractContextManager[None]]
    """Keeps two changing runs apart; raises `HaSshError` while another one works."""
    write_text: Callable[[str, str], None]
    """Write a private file that was asked for by a flag."""
    read_text: Callable[[str], str]
    """Read a file that a flag names; empty where it is missing."""
