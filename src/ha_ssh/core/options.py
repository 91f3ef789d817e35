"""What a command was told: its flags, and every answer with where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ha_ssh.core.secret import Secret
    from ha_ssh.core.words import Risk


class Source(StrEnum):
    """Where an answer came from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    ASKED = "asked"
    LAST = "last time"
    DEFAULT = "default"


@dataclass(frozen=True)
class Given:
    """An answer and its source; `where` is the flag, the variable, or the file and line."""

    value: Any
    source: Source
    where: str = ""


class Answers(Mapping[str, Any]):
    """The answers so far, by question; an immutable mapping to values that also knows their sources."""

    def __init__(self, given: Mapping[str, Given] | None = None) -> None:
        self._given = dict(given or {})

    def __getitem__(self, id: str) -> Any:  # noqa: A002 - the question's id, named so everywhere
        return self._given[id].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __repr__(self) -> str:
        return f"Answers({self._given!r})"

    def given(self, id: str) -> Given | None:  # noqa: A002 - the word that is used everywhere
        """Return the answer with its source, or `None`."""
        return self._given.get(id)

    def source(self, id: str) -> Source | None:  # noqa: A002 - the word that is used everywhere
        """Return where the answer came from, or `None` where there is none."""
        given = self._given.get(id)
        return given.source if given else None

    def said(self, id: str) -> Any:  # noqa: A002 - the word that is used everywhere
        """Return the value that somebody chose; `None` for a default and for no answer."""
        given = self._given.get(id)
        return None if given is None or given.source is Source.DEFAULT else given.value

    def with_(self, id: str, value: Any, source: Source, where: str = "") -> Answers:  # noqa: A002 - the word that is used everywhere
        """Return these answers with one more, or another in its place."""
        return Answers(self._given | {id: Given(value, source, where)})

    def without(self, id: str) -> Answers:  # noqa: A002 - the word that is used everywhere
        """Return these answers without one."""
        return Answers({known: given for known, given in self._given.items() if known != id})

    def or_(self, weaker: Answers) -> Answers:
        """Return these answers, and the weaker ones where these have none."""
        return Answers(weaker._given | self._given)


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What vouches for a TLS server where the common authorities do not: the file of a private CA, or a fingerprint (SHA-256)."""

    ca_file: str | None = None
    fingerprint: str | None = None

    def __bool__(self) -> bool:
        return bool(self.ca_file or self.fingerprint)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that was said on the command line, in the environment and in an answers file."""

    answers: Answers = field(default_factory=Answers)
    house: str | None = None
    url: str | None = None
    ssh_host: str | None = None
    """Where SSH is, when that is not the host of the URL."""
    trust: Trust = field(default_factory=Trust)
    once: bool = False
    """True when the sign-in is for this run only."""
    json: bool = False
    json_lines: bool = False
    yes: bool = False
    no_input: bool = False
    """True also for `--json`, and where stdin or stdout is no terminal."""
    dry_run: bool = False
    demo: bool = False
    scene: str | None = None
    verbose: bool = False
    color: bool = True
    """False for `--no-color`, `NO_COLOR` and `TERM=dumb`: then nothing redraws either."""
    accepted: frozenset[Risk] = frozenset()
    token: Secret | None = None
    token_file: str | None = None
    """Where the token came from, to be named in the same run as one command."""
    passphrase_file: str | None = None
    """Where the passphrase in the answers came from, to be named in a saved answers file."""
    secret_out: str | None = None
    save_answers: str | None = None
    fix: bool = False
    list_only: bool = False
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """The checks whose offers are taken."""
    strict: bool = False
    offline: bool = False
    """True where only this computer's own files are to be looked at."""
    report: str | None = None
    """The file for a report that can be shown to others."""
    host: str | None = None
    """Where SSH is, for a look at SSH alone."""
    ssh_port: int | None = None
    ssh_user: str | None = None
    run_id: str | None = None
    browser: bool | None = None
    """Whether to sign in with the browser: opened (True), elsewhere (False), or as it fits (`None`)."""
    username: str | None = None
    """Who signs in to Home Assistant by name and password."""
    password: Secret | None = None
    make_token: str | None = None
    """The name of the long-lived token to make."""
    days: int = 365
    """How long that token lasts."""
    names: tuple[str, ...] = ()
    """The houses that a command is about."""

    @property
    def machine(self) -> bool:
        """True when stdout belongs to a machine."""
        return self.json or self.json_lines
