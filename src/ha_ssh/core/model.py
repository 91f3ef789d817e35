"""The nouns of the program: what is looked at, wanted, found wrong, planned and done.

Everything here is pure data or a protocol. Setup is a doctor that is allowed to act: checks judge `Facts` against a
`Want`, their fixes become a `Plan`, and only `engine.apply` and `engine.put_back` ever hold a `Home`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from ha_ssh.core.errors import Exit
from ha_ssh.core.redact import redact
from ha_ssh.core.words import Consent as Consent
from ha_ssh.core.words import IfFailed as IfFailed
from ha_ssh.core.words import KeyKind as KeyKind
from ha_ssh.core.words import Level as Level
from ha_ssh.core.words import Outcome as Outcome
from ha_ssh.core.words import PasswordWish as PasswordWish
from ha_ssh.core.words import Risk as Risk
from ha_ssh.core.words import Scope as Scope
from ha_ssh.core.words import Stage as Stage
from ha_ssh.core.words import StepState as StepState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from ha_ssh.core.errors import HaSshError
    from ha_ssh.core.secret import Secret

T = TypeVar("T")

WANT_SCHEMA = 1
"""The version of the stored form of a `Want`; raised whenever a field changes its meaning."""


# ----------------------------------------------------------------------------------------------------- target and want


@dataclass(frozen=True)
class SecretRef:
    """The name of a secret that lies in the vault; the only form in which plans, journals and wants know secrets."""

    name: str

    @classmethod
    def of_password(cls, password: str) -> Self:
        """Name a random password so that it is known again when it is met, and cannot be told from its name."""
        return cls(f"password {hashlib.sha256(password.encode()).hexdigest()[:16]}")


@dataclass(frozen=True, kw_only=True)
class Places:
    """The user's own files that this program reads and writes (absolute paths)."""

    ssh_dir: str
    config: str
    known_hosts: str
    include_dir: str
    portable: bool = False
    """True when these are not OpenSSH's own defaults, so every `ssh` call must be told about them."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is looked at: a house, its candidate apps, the key to log in with, the files. It says nothing of wishes."""

    url: str
    ssh_host: str
    apps: tuple[Flavour, ...]
    """The candidate apps, the preferred one first."""
    places: Places
    identity: str | None = None
    """Path of the private key to log in with."""
    passphrase: SecretRef | None = None
    alias: str | None = None
    house_id: str = "home"
    """The name under which the house is remembered; names the included file and the host key."""
    known_as: str | None = None
    """What tells the app's host keys in `known_hosts` from those of the app that was set up first; `None` for that one."""
    machine_id: str | None = None
    """The machine that was there when the house was remembered."""
    rides_on: str | None = None
    """The SSH app that carries this very run, or that it runs in: a restart of it cuts the branch that we sit on."""
    ssh_port: int | None = None
    """The port that SSH had when the house was remembered, or that somebody names; counts only where the apps cannot be seen."""
    ssh_user: str | None = None
    """The login name, likewise."""
    ssh_app: str | None = None
    """The slug of the app, likewise."""

    @property
    def ssh_url(self) -> str | None:
        """What `ssh` is called with where no house is known, but its SSH port."""
        if self.url or not self.ssh_host or self.ssh_port is None:
            return None
        host = f"[{self.ssh_host}]" if ":" in self.ssh_host else self.ssh_host
        return f"ssh://{self.ssh_user or 'root'}@{host}:{self.ssh_port}"

    @property
    def host_key_alias(self) -> str:
        """The name under which the alias looks the app's host keys up, so that a new address changes nothing."""
        return f"ha-ssh-{self._server}"

    @property
    def host_key_tag(self) -> str:
        """The comment of our lines in `known_hosts` with the app's host keys."""
        return f"ha-ssh:{self._server}"

    @property
    def _server(self) -> str:
        return self.house_id if self.known_as is None else f"{self.house_id}+{self.known_as}"


@dataclass(frozen=True, kw_only=True)
class Want:
    """What is wanted; `None` means no opinion and is never a reason to find fault."""

    schema: int = WANT_SCHEMA
    app: str | None = None
    identity: str | None = None
    make_key: KeyKind | None = None
    passphrase: SecretRef | None = None
    comment: str | None = None
    port: int | None = None
    username: str | None = None
    password: PasswordWish | None = None
    new_password: SecretRef | None = None
    """The password to set, by a name made from it (`SecretRef.of_password`); never stored."""
    boot: bool | None = None
    watchdog: bool | None = None
    alias: str | None = None
    tunnels: bool | None = None
    multiplex: bool | None = None
    accepted: frozenset[Risk] = frozenset()
    """The named risks that were agreed to; never stored."""
    taken: frozenset[str] = frozenset()
    """The checks whose offer was taken; never stored."""
    remembered: frozenset[str] = frozenset()
    """The wishes that nobody has named in this very run: what was changed in the house since goes before; never stored."""


# --------------------------------------------------------------------------------------------------------------- facts


@dataclass(frozen=True)
class PublicKeyOf:
    """In an edit: the public key of a private key file that an earlier step may only make."""

    identity: str
    comment: str = ""


@dataclass(frozen=True)
class NotKnown:
    """A fact that could not be read: why, and which other fact stood in the way. Unknown is never empty."""

    reason: str
    code: str = "not-known"
    because: str | None = None
    hints: tuple[str, ...] = field(default=(), compare=False)
    """The ways out."""
    evidence: tuple[str, ...] = field(default=(), compare=False)
    """What was seen."""


HOUSE_SLOW = "house-slow"
"""The code of a look that ran out of time while the house did answer, and took long over it."""


class CannotLook(Exception):
    """Raised by a look that has nothing to look at; `because` names the fact that stands in the way."""

    def __init__(
        self,
        reason: str,
        *,
        because: str | None = None,
        code: str = "not-known",
        hints: tuple[str, ...] = (),
        evidence: tuple[str, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.because = because
        self.code = code
        self.hints = hints
        self.evidence = evidence

    @classmethod
    def at(cls, kind: type[Any], why: NotKnown) -> Self:
        """What stands in the way of whoever needs a fact that is not known."""
        return cls(why.reason, because=kind.__name__, code=why.code, hints=why.hints, evidence=why.evidence)


@dataclass(frozen=True)
class Later:
    """A value that a step will only make: it is equal to nothing, and judging it postpones the check."""

    what: str

    __hash__ = None  # type: ignore[assignment] # a value that is not there yet is no key of a map

    def __eq__(self, other: object) -> bool:
        raise NotYet(self.what)

    def __bool__(self) -> bool:
        raise NotYet(self.what)


class NotYet(Exception):
    """Raised by a judgement that met a `Later`: the check waits for the next round, announced by these words."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def known(value: Any, then: str) -> Any:
    """Return `value`, or raise `NotYet(then)` when it is a `Later`; `then` says what will be done once it is known."""
    if isinstance(value, Later):
        raise NotYet(then)
    return value


class Fact(Protocol):
    """Something seen of the world: a frozen dataclass that knows how to be looked at."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read this fact; raises `CannotLook` or `HaSshError` when that cannot be done."""
        ...


F = TypeVar("F", bound=Fact)


class At(Protocol):
    """Where a look stands: the target, the reader, and (by calling it) any other fact of the same round."""

    @property
    def target(self) -> Target:
        """What is looked at."""
        ...

    @property
    def reader(self) -> Reader:
        """The hands-off view of the world."""
        ...

    @property
    def journal(self) -> Journal:
        """What earlier runs did."""
        ...

    async def __call__(self, kind: type[F]) -> F:
        """Return another fact, looked at once per round; raises `CannotLook` when it is not known."""
        ...


class Facts:
    """An immutable set of facts by kind, as they are or as a plan expects them to be."""

    def __init__(self, target: Target, known: Mapping[type[Any], Any], *, fresh: frozenset[str] = frozenset()) -> None:
        self.target = target
        self.fresh = fresh
        """The apps that this run (re)started after their settings were last saved."""
        self._known = dict(known)

    def __getitem__(self, kind: type[F]) -> F:
        """Return the fact of that kind; raises `CannotLook` where it is not known, `NotYet` where a step will tell."""
        value = self.get(kind)
        if isinstance(value, NotKnown):
            raise CannotLook.at(kind, value)
        return value

    def get(self, kind: type[F]) -> F | NotKnown:
        """Return the fact, or why it is not known; raises `NotYet` where all of it is still to come."""
        value: F | NotKnown | Later = self._known.get(kind, NotKnown("was not looked at", "not-looked"))
        if isinstance(value, Later):
            raise NotYet(value.what)
        return value

    def comes(self, kind: type[Any]) -> bool:
        """Return whether all of a fact is still to come."""
        return isinstance(self._known.get(kind), Later)

    def with_(self, *facts: Any) -> Facts:
        """Return these facts with others of the same kinds in their place."""
        return Facts(self.target, self._known | {type(fact): fact for fact in facts}, fresh=self.fresh)

    def without(self, kind: type[Any], why: NotKnown | Later) -> Facts:
        """Return these facts with one of them unknown, or with all of it still to come."""
        return Facts(self.target, self._known | {kind: why}, fresh=self.fresh)

    def aimed_at(self, target: Target) -> Facts:
        """Return these facts with another aim, under which the same was looked at."""
        return Facts(target, self._known, fresh=self.fresh)

    def refreshed(self, slug: str) -> Facts:
        """Return these facts, knowing that this run (re)started an app."""
        return Facts(self.target, self._known, fresh=self.fresh | {slug})

    def items(self) -> Iterable[tuple[type[Any], Any]]:
        """Return every kind with its fact or `NotKnown`."""
        return self._known.items()


# ------------------------------------------------------------------------------------------------- verdicts and checks


class EditOp(StrEnum):
    """How an edit changes the value at its path: set it, add to the list, remove from the list."""

    SET = "set"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A pure change of an app's settings at one path, such as `("options", "authorized_keys")` or `("network", "22/tcp")`."""

    path: tuple[str, ...]
    op: EditOp
    value: Any
    """Plain JSON, a `SecretRef`, or a `PublicKeyOf`."""
    title: str


class Step(Protocol):
    """One change of the world. Its fields are plain JSON (or `SecretRef`), so a journal can keep it."""

    id: ClassVar[str]
    version: ClassVar[int]
    if_failed: ClassVar[IfFailed]
    keeps: ClassVar[frozenset[type[Any]]]
    """The facts that stay true whatever it does, so that nobody has to look again."""

    @property
    def title(self) -> str:
        """What it does, in a few words, without secrets."""
        ...

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The paths it touches and the differences it makes, a line each, secrets masked."""
        ...

    def after(self, facts: Facts) -> Facts:
        """The facts as they will be when it is done (pure)."""
        ...

    async def save(self, home: Home) -> dict[str, Any]:
        """What must be known to undo it, as JSON; called, and written down, before `do`."""
        ...

    async def do(self, home: Home, show: Show) -> None:
        """Make the change; doing it where it is already done changes nothing."""
        ...

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Reverse it on the state of now, only what is still as we left it; returns what had to stay and why.

        Undoing what never happened does nothing.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Fix:
    """How a finding is put right."""

    does: str
    consent: Consent = Consent.AUTO
    risk: Risk | None = None
    edits: tuple[Edit, ...] = ()
    slug: str | None = None
    """The app that `edits` are for, and that is started or restarted."""
    restart: bool = False
    """True when the app must be (re)started even without an edit."""
    steps: tuple[Step, ...] = ()
    instructions: tuple[str, ...] = ()
    """What a person has to do, a line each; with `Consent.TELL`, and beside an offer."""
    offered: bool = False
    """Done only where a person says yes to just this: the plan's one yes does not cover it."""
    wants: Mapping[str, Any] = field(default_factory=dict)
    """What is wanted from then on where the offer is taken, by the fields of a `Want`: the truths about them then act."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check says: what is, why it matters, the evidence, and perhaps a fix."""

    level: Level
    says: str
    why: str = ""
    evidence: tuple[str, ...] = ()
    fix: Fix | None = None
    failure: str = ""
    """Which known failure it is (docs/checks.md lists them), permanent like a check's id; empty where it is none of them."""
    because: str | None = None
    """The check that explains it, where the evidence itself shows that; only one that comes before it."""
    apart_from: frozenset[str] = frozenset()
    """Checks that it rests on and that cannot explain it, as the evidence shows."""
    excuses: bool = False
    """True of a note where what rests on it cannot be looked at either, and is no fault."""


def ok(says: str, *evidence: str) -> Verdict:
    """A truth that holds."""
    return Verdict(level=Level.OK, says=says, evidence=evidence)


def note(says: str, why: str = "", *evidence: str, fix: Fix | None = None, failure: str = "") -> Verdict:
    """Something worth knowing that is no fault."""
    return Verdict(level=Level.NOTE, says=says, why=why, evidence=evidence, fix=fix, failure=failure)


def warn(says: str, why: str, *evidence: str, fix: Fix | None = None, failure: str = "") -> Verdict:
    """Something that works but will bite."""
    return Verdict(level=Level.WARN, says=says, why=why, evidence=evidence, fix=fix, failure=failure)


def wrong(says: str, why: str, *evidence: str, fix: Fix | None = None, failure: str = "") -> Verdict:
    """A truth that does not hold."""
    return Verdict(level=Level.WRONG, says=says, why=why, evidence=evidence, fix=fix, failure=failure)


def unknown(
    says: str, why: str = "", *evidence: str, fix: Fix | None = None, failure: str = "", because: str | None = None
) -> Verdict:
    """A truth that could not be looked at; never taken for ok."""
    return Verdict(level=Level.UNKNOWN, says=says, why=why, evidence=evidence, fix=fix, failure=failure, because=because)


def tell(does: str, *instructions: str) -> Fix:
    """A fix that only a person can do."""
    return Fix(does=does, consent=Consent.TELL, instructions=instructions)


def offer(does: str, edit: Edit, slug: str, *instructions: str) -> Fix:
    """A change of an app's settings that is a matter of taste or trust: made where a person wants just this."""
    return Fix(does=does, consent=Consent.ASK, offered=True, slug=slug, edits=(edit,), instructions=instructions)


def rather(does: str, *instructions: str, **wants: Any) -> Fix:
    """Another wish than until now, which is a person's to take; what it takes is done by the truths that the wish is about."""
    return Fix(does=does, consent=Consent.ASK, offered=True, wants=wants, instructions=instructions)


class Breakable(Protocol):
    """A healthy simulated house as `break_it` sees it: its preferred app, and the user's files."""

    slug: str
    flavour: Flavour
    target: Target
    ssh_host: str
    """Where SSH is looked for; a scene may look elsewhere."""

    @property
    def app(self) -> Any:
        """The app's state in the house: `installed`, `options`, `network`, `boot`, `watchdog`, `state` and so on."""
        ...

    @property
    def house(self) -> Any:
        """The house itself, with its knobs."""
        ...

    def save(self, *edits: Edit) -> None:
        """Change the app's saved settings; it takes them up when it starts."""
        ...

    def restart(self) -> None:
        """Make the app take up what is saved; what comes of it, its state and its log tell."""
        ...

    def stop(self) -> None:
        """Stop the app."""
        ...

    def uninstall(self) -> None:
        """Uninstall the app."""
        ...

    def set_password(self) -> None:
        """Save a password in the app's settings."""
        ...

    def forget_our_key(self) -> None:
        """Put somebody else's key in the place of ours, in the settings and in the running app."""
        ...

    def touch_options(self) -> None:
        """Save a changed option without restarting the app."""
        ...

    def revoke_token(self) -> None:
        """Make the house refuse our token."""
        ...

    def demote(self) -> None:
        """Make our user one that is no administrator."""
        ...

    def leave_run_open(self) -> None:
        """Put a run that was cut off into the journal."""
        ...

    def file(self, path: str) -> str | None:
        """The text of one of the user's files, or `None`."""
        ...

    def put_file(self, path: str, text: str | None, mode: int = 0o600) -> None:
        """Write (or, with `None`, delete) one of the user's files."""
        ...


@dataclass(frozen=True, kw_only=True)
class Check:
    """One truth about working SSH access."""

    id: str
    """Permanent: scripts rely on it."""
    stage: Stage
    scope: Scope = Scope.ACCESS
    title: str
    why: str
    needs: tuple[type[Any], ...] = ()
    """The facts that it judges."""
    rests_on: tuple[str, ...] = ()
    """The checks without which this truth cannot hold: where one of them fails, this one is its consequence."""
    judge: Callable[[Want, Facts], Verdict]
    break_it: Callable[[Breakable], None] | None = None
    """Breaks this truth in a healthy simulated house; the scene of that name."""
    faults: Mapping[str, Callable[[Breakable], None]] = field(default_factory=dict)
    """Further ways to break it, by the `failure` that the verdict then names; each is a scene of that name."""
    bars_start: bool = False
    """True where no app is (re)started while this truth does not hold: the start would fail, and every repair be put back."""
    befalls: Mapping[str, Callable[[Flavour], bool]] = field(default_factory=dict)
    """Which apps a fault can befall, by failure; every app where it is not named."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A check with its verdict on fresh facts, and the finding that is its root cause."""

    check: Check
    verdict: Verdict
    because: str | None = None
    left_out: Finding | None = None
    """The root cause, where it is not among what is shown."""

    @property
    def id(self) -> str:
        """The id of the check."""
        return self.check.id

    @property
    def level(self) -> Level:
        """How it came out."""
        return self.verdict.level


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A check that waits for the next round, and what it will do then."""

    check: Check
    what: str


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """A step in its place in the plan, with the checks that it puts right."""

    step: Step
    because: tuple[str, ...]
    risks: tuple[Risk, ...] = ()
    preview: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a round will do, what it waits with, and the facts as they will be afterwards."""

    steps: tuple[PlannedStep, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    told: tuple[Finding, ...] = ()
    """What only a person can put right, or decide."""
    unaccepted: tuple[Finding, ...] = ()
    """Fixes left out because their risk was not accepted."""
    expected: Facts | None = None

    @property
    def risks(self) -> tuple[Risk, ...]:
        """Every risk that some step needs, in order, each once."""
        return tuple(dict.fromkeys(risk for planned in self.steps for risk in planned.risks))

    @property
    def offers(self) -> tuple[Finding, ...]:
        """What a person may decide to have done."""
        return tuple(finding for finding in self.told if finding.verdict.fix and finding.verdict.fix.offered)

    def __bool__(self) -> bool:
        return bool(self.steps)


# --------------------------------------------------------------------------------------------------- what a run reports


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """A step of a run, as reported."""

    id: str
    title: str
    state: StepState
    seconds: float = 0.0
    preview: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ErrorReport:
    """An error of a run, as reported."""

    code: str
    message: str
    hints: tuple[str, ...] = ()


_RESULTS = {Exit.WRONG: Outcome.PUT_BACK, Exit.STUCK: Outcome.STUCK, Exit.INTERRUPTED: Outcome.INTERRUPTED}


@dataclass(kw_only=True)
class Report:
    """Everything a command has to say at its end; `show` renders it for people or machines."""

    command: str
    result: Outcome = Outcome.OK
    changed: bool = False
    house: dict[str, Any] | None = None
    ssh: dict[str, Any] | None = None
    steps: list[StepReport] = field(default_factory=list)
    waiting: tuple[Waiting, ...] = ()
    kept: list[str] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    error: ErrorReport | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Further top-level members of the JSON, such as `scenes`."""
    next_line: str | None = None
    """The one line to type next."""
    same_run: str | None = None
    """The same run as one non-interactive command."""
    exit: int = 0

    def end_by(self, error: HaSshError) -> None:
        """Let an error be how the run ended, with the result and the exit code that are its own."""
        self.error = ErrorReport(code=error.code, message=redact(error.message), hints=error.hints)
        self.result = Outcome.PLANNED if error.code == "agreement" else _RESULTS.get(error.exit, Outcome.ERROR)
        self.exit, self.next_line = error.exit, None


# --------------------------------------------------------------------------------------------------- the world, as seen


PIPE = "is a pipe, not a file"


@dataclass(frozen=True, kw_only=True)
class FileState:
    """One file of the user: `kind` is missing, file, link, folder or other; `text` keeps its line ends."""

    path: str
    kind: str = "missing"
    text: str | None = None
    mode: int | None = None
    real_path: str | None = None
    writable: bool = True
    problem: str | None = None
    """Why it could not be read, where it could not."""
    mine: bool = True
    """True where it is the user's own, so that he may change its mode."""

    @property
    def exists(self) -> bool:
        """True for anything but `missing`."""
        return self.kind != "missing"

    @property
    def is_folder(self) -> bool:
        """True for a folder."""
        return self.kind == "folder"

    @property
    def closed(self) -> bool:
        """True for a plain file that is there and that the user may not read."""
        return self.kind in {"file", "link"} and self.text is None and self.mode is not None

    @property
    def is_pipe(self) -> bool:
        """True where whoever reads it waits for somebody who writes."""
        return self.kind == "other" and self.problem == PIPE


@dataclass(frozen=True, kw_only=True)
class KeyState:
    """A private key file; `problem`: missing, public, putty, wrong-passphrase, locked, broken, unsupported or unreadable."""

    path: str
    exists: bool = False
    public: str | None = None
    """The public key as `type base64`, without a comment."""
    comment: str = ""
    encrypted: bool = False
    unlocked: bool = True
    mode: int | None = None
    mine: bool = True
    """True where the file is the user's own; OpenSSH minds the mode of no other."""
    crlf: bool = False
    """True where the key is whole, and written in a form that OpenSSH refuses."""
    before: str = ""
    """What stands before it in the file, where OpenSSH wants nothing there: `mark` (a byte order mark), `blank` or `text`."""
    beside: str | None = None
    """The key in the `.pub` file beside it, as `type base64`: empty where that holds none, `None` where there is no such file."""
    problem: str | None = None
    detail: str = ""


class DoorState(StrEnum):
    """What a connection to the SSH port met."""

    OPEN = "open"
    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    """Nothing came back: no connection was made."""
    SILENT = "silent"
    """It took the connection, and said nothing."""
    STALLED = "stalled"
    """It began to speak SSH, and then said nothing more."""
    UNREACHABLE = "unreachable"
    RESET = "reset"
    """Closed or reset before a banner."""
    NOT_SSH = "not-ssh"
    NO_COMMON = "no-common-algorithm"
    DENIED = "denied"
    SECOND_FACTOR = "second-factor"
    """It took our key, and wants something else besides."""
    CUT = "cut"
    """It let us in, and then ended the connection."""
    TOO_MANY = "too-many"
    LOST = "lost"
    BROKEN_KEY = "broken-key"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A remote command's end: exit code and output."""

    code: int
    out: str = ""
    err: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnLogin:
    """A login by the user's own OpenSSH: exit code of `ssh ALIAS true`, and what it complained about."""

    code: int
    err: str = ""
    steps: tuple[str, ...] = field(default=(), compare=False)
    """What it told of its way (`debug1`), in order."""
    hung: bool = False
    """True where it came to no end and was ended."""
    mute_agent: str = ""
    """Then: the socket of the user's agent, where that takes a connection and does not answer."""


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A setting that a look by the user's `ssh` sets aside, and over which `ssh` itself stumbles: what it would meet."""

    keyword: str
    value: str
    trouble: str


class Said(dict[str, tuple[str, ...]]):
    """What `ssh -G` prints: lower-case keyword to its values; and the files of the configuration that it read, in order."""

    def __init__(self, values: Mapping[str, tuple[str, ...]] | None = None, *, files: tuple[str, ...] = ()) -> None:
        super().__init__(values or {})
        self.files = files


@dataclass(frozen=True, kw_only=True)
class CoreState:
    """Home Assistant Core as our credentials see it."""

    url: str
    version: str
    is_admin: bool
    user: str = ""
    components: tuple[str, ...] = ()
    has_supervisor: bool = True
    tls: bool = False
    detour: str = ""
    """Where not Core itself was asked but the Supervisor: how that was reached, `inside` or `ssh`."""
    mode: str = ""
    """`recovery` or `safe` where it runs in that mode."""
    past: NotKnown | None = None
    """With a detour through SSH: why Core itself could not be asked."""


class SshTrouble(Exception):
    """An SSH connection that did not end in a session: what it met, in which words, and what was learnt until then."""

    def __init__(
        self,
        state: DoorState,
        message: str,
        *,
        banner: str = "",
        host_key: str = "",
        methods: Sequence[str] | None = None,
        said: str = "",
        source_port: int = 0,
    ) -> None:
        super().__init__(message)
        self.state = state
        self.message = message
        self.banner = banner
        self.host_key = host_key
        self.methods = None if methods is None else tuple(methods)
        self.said = said
        """The server's own words to whoever logs in, where it had some."""
        self.source_port = source_port
        """Our port of the connection, as we see it; 0 where there was none."""


class Session(Protocol):
    """An SSH login that is held open; every host key is `type base64`."""

    banner: str
    """The server's version, such as `SSH-2.0-OpenSSH_10.0`."""
    host_key: str
    """The host key of this connection."""
    host_keys: tuple[str, ...]
    """All host keys that the server announced and proved to own after the login; at least `host_key`."""
    methods: tuple[str, ...]
    """The ways to authenticate that the server offered."""
    source_port: int
    """Our port of this connection, as we see it."""

    @property
    def ended(self) -> str:
        """Why the server has ended it, in its own words where it had some; empty while it is open."""
        ...

    async def run(self, command: str, *, limit: float = 15.0) -> Ran:
        """Run a command without a terminal; `limit` in seconds."""
        ...

    async def sftp(self) -> str:
        """Open SFTP and close it again; returns why it does not open, empty where it does."""
        ...

    async def forward(self, host: str, port: int) -> str:
        """Open a connection through the server; returns why the server forbids it, empty where it does not (whoever answers)."""
        ...


class Clock(Protocol):
    """Time, so that no test has to wait for it."""

    def now(self) -> float:
        """Seconds that only ever grow."""
        ...

    def date(self) -> str:
        """The wall clock in ISO 8601, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class Reader(Protocol):
    """The world, to look at only. Every method raises `HaSshError` with a stable code when it cannot look."""

    @property
    def clock(self) -> Clock:
        """Its time."""
        ...

    @property
    def channel(self) -> str:
        """How the house is reached: `https`, `http`, `inside` or `ssh`."""
        ...

    def answered(self, since: float) -> tuple[float, ...]:
        """Seconds that each answer of the house took that came since then (in the time of the event loop)."""
        ...

    async def core(self) -> CoreState:
        """Core's version and who we are there."""
        ...

    async def supervisor(self, endpoint: str) -> Any:
        """The Supervisor's answer to a GET, such as `/addons/core_ssh/info`."""
        ...

    async def log(self, slug: str) -> str:
        """The log of an app (or of the `supervisor`) as plain text, newest line last, without colour codes."""
        ...

    def session(
        self, host: str, port: int, user: str, identity: str, passphrase: SecretRef | None
    ) -> AbstractAsyncContextManager[Session]:
        """Log in with exactly this key, once; raises `SshTrouble`."""
        ...

    async def knock(self, host: str, port: int) -> str:
        """Read the banner of an SSH server, once, without logging in; raises `SshTrouble`."""
        ...

    async def file(self, path: str) -> FileState:
        """One of the user's files."""
        ...

    async def folder(self, path: str) -> tuple[str, ...]:
        """The names of the files in a folder, sorted; empty where it does not exist."""
        ...

    async def key(self, path: str, passphrase: SecretRef | None) -> KeyState:
        """A private key file, opened with the passphrase if one is given."""
        ...

    @property
    def terminal(self) -> str | None:
        """The name of the user's terminal (`$TERM`), `None` where there is none."""
        ...

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses that this computer finds for a name, as `ssh` would; empty where it finds none."""
        ...

    async def ssh_version(self) -> str | None:
        """What `ssh -V` says, or `None` where there is no OpenSSH client; raises `ssh-mute` where there is one that is no use."""
        ...

    async def resolve_alias(self, alias: str) -> Said:
        """What the user's OpenSSH makes of an alias (`ssh -G`).

        The error's code is `ssh-too-old` where it cannot be asked, `ssh-mute` where it cannot be started.
        """
        ...

    async def own_login(
        self,
        alias: str,
        passphrase: SecretRef | None,
        *,
        identity: str | None = None,
        said: Mapping[str, tuple[str, ...]] | None = None,
    ) -> OwnLogin:
        """Log in by the user's own OpenSSH (with just this key, if one is named) and run `true`; changes none of their files.

        `said` is what `resolve_alias` returned for it, where that was asked already.
        """
        ...

    async def set_aside(self, said: Mapping[str, tuple[str, ...]]) -> tuple[SetAside, ...]:
        """What `own_login` set aside of these settings that would hinder `ssh`: sockets and forwards; runs none of it."""
        ...

    async def until(self, what: str, look: Callable[[], Awaitable[T | None]], *, limit: float) -> T | None:
        """Look, with growing pauses or when the house reports something, until `look` answers; `None` after `limit` seconds."""
        ...


class Home(Reader, Protocol):
    """The world, to change. Only `engine.apply` and `engine.put_back` hold one."""

    async def call(
        self,
        endpoint: str,
        data: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[float | None, str], None] | None = None,
    ) -> Any:
        """POST to the Supervisor and wait for the end, however long it takes; raises `Refused` or `Unreachable`."""
        ...

    async def write(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Write a file of the user in one piece (through a link, keeping its mode); `mode` is for a new one."""
        ...

    async def delete(self, path: str) -> None:
        """Delete a file of the user; missing is fine."""
        ...

    async def set_mode(self, path: str, mode: int) -> None:
        """Change who may read a file (on Windows: only the user, by its own means)."""
        ...

    async def make_key(self, path: str, kind: KeyKind, passphrase: SecretRef | None, comment: str) -> str:
        """Make a key pair, private from birth, never over an existing file; returns `type base64`."""
        ...

    async def keep(self, name: str, secret: Secret) -> SecretRef:
        """Put a secret into the vault."""
        ...

    async def recall(self, ref: SecretRef) -> Secret:
        """Take a secret out of the vault; raises `HaSshError` where it is gone."""
        ...


class Flavour(Protocol):
    """An SSH app: what its settings mean, and the edits that change them. Pure; no check mentions a slug."""

    @property
    def slug(self) -> str:
        """The Supervisor's name of the app."""
        ...

    @property
    def name(self) -> str:
        """The app's name as people see it."""
        ...

    @property
    def short(self) -> str:
        """The word for `--app`."""
        ...

    @property
    def rank(self) -> int:
        """Its place when several would do; the lowest is recommended."""
        ...

    @property
    def default_port(self) -> int:
        """The port to suggest."""
        ...

    @property
    def store_port(self) -> int | None:
        """The port it has when it is newly installed."""
        ...

    @property
    def key_ends_password(self) -> bool:
        """True where the first key switches password login off."""
        ...

    def read(self, settings: Mapping[str, Any]) -> Serving:
        """What the app serves when it runs with these settings."""
        ...

    def add_key(self, key: str | PublicKeyOf) -> Edit:
        """The edit that authorises a public key line."""
        ...

    def drop_key(self, entry: str) -> Edit:
        """The edit that withdraws an entry as it stands in the settings."""
        ...

    def list_keys(self, entries: Sequence[str]) -> Edit:
        """The edit that makes a list of the keys, where they stand in something else."""
        ...

    def forget_keys(self) -> Edit | None:
        """The edit after which a start makes the app forget every key of before; `None` where an empty list does."""
        ...

    def set_port(self, port: int) -> Edit:
        """The edit that publishes the port."""
        ...

    def set_password(self, ref: SecretRef | None) -> Edit:
        """The edit that sets (or with `None` clears) the password."""
        ...

    def set_username(self, name: str) -> Edit | None:
        """The edit that sets the login name; `None` where it cannot be chosen."""
        ...

    def set_forwarding(self, on: bool) -> Edit:
        """The edit that lets TCP connections be forwarded."""
        ...

    def allow(self, what: str) -> Edit | None:
        """The edit that allows `sftp`, `rsync`, `remote-forwarding`, `agent-forwarding`, `old-clients` or `own-session`s.

        `None` where the app has no setting for it.
        """
        ...

    def refuses(self, settings: Mapping[str, Any]) -> str | None:
        """Why the app would not run with these settings, in its own log's words; `None` if it would."""
        ...

    def secret_paths(self) -> tuple[tuple[str, ...], ...]:
        """The paths in the settings that hold secrets."""
        ...

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Its options as they are when it is newly installed."""
        ...

    @property
    def default_username(self) -> str:
        """The login name that it has when it is newly installed."""
        ...

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """What is known to be wrong with some of its versions."""
        ...

    def drop_packages(self) -> Edit:
        """The edit that empties the list of extra packages, which are fetched at every start."""
        ...

    def drop_command(self, command: str) -> Edit | None:
        """The edit that removes a command which runs at every start; `None` where there are none."""
        ...

    def end_debugging(self) -> Edit | None:
        """The edit that ends a mode in which the server takes one connection only; `None` where there is no such mode."""
        ...


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A known failure of an app's versions, from `since` on until it was `mended`."""

    failure: str
    since: str
    mended: str
    says: str
    level: Level


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What an app with certain settings serves; `keys` are the entries as they stand in the settings."""

    user: str
    port: int | None
    keys: tuple[str, ...]
    keys_listed: bool
    """False where the keys stand in something else than a list, which the app reads as none."""
    password_set: bool
    password_login: bool
    """True when a password opens the door."""
    sftp: bool
    forwarding: bool
    """True when connections may be forwarded through it (`ssh -L`, `-D`, VS Code)."""
    ha_command: str
    """The command that runs `ha` in a session without a terminal; `{}` stands for its arguments."""
    options_command: str
    """The command that prints the options the app runs with."""
    remote_forwarding: bool = False
    """True when the app listens for the client (`ssh -R`)."""
    agent_forwarding: bool = True
    """True when the client's agent may be used inside (`ssh -A`)."""
    one_session: bool = False
    """True when a login shell joins a shared terminal session (tmux)."""
    hardened: bool = False
    """True when only few, newer algorithms are offered."""
    packages: tuple[str, ...] = ()
    """Extra packages that it fetches at every start."""
    commands: tuple[str, ...] = ()
    """Commands that it runs at every start."""
    debugging: bool = False
    """True where its server takes one connection only, and ends with it."""


class Show(Protocol):
    """Where a run tells what it is doing; renders, never decides."""

    def say(self, text: str) -> None:
        """A sentence for people."""
        ...

    def step(self, report: StepReport) -> None:
        """A step started (`planned`) or ended."""
        ...

    def progress(self, what: str, fraction: float | None, detail: str = "") -> None:
        """A long wait: what is waited for, how far it is (0 to 1) if that is known."""
        ...

    def plan(self, plan: Plan) -> None:
        """The plan, before it is agreed to."""
        ...

    def steps(self, steps: Sequence[StepReport]) -> None:
        """What would be put back, before it is agreed to."""
        ...

    def findings(self, findings: Sequence[Finding]) -> None:
        """What the doctor found."""
        ...


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One change of a run in the journal: the step as JSON, what was there, and how far it came."""

    step: str
    version: int
    fields: dict[str, Any]
    title: str
    if_failed: IfFailed
    saved: dict[str, Any]
    state: str = "begun"
    """begun, done, undone or failed-undo."""


@dataclass(frozen=True, kw_only=True)
class JournalRun:
    """One run in the journal; `state` is open, closed or undone."""

    id: str
    command: str
    house: str
    started: str
    state: str
    entries: tuple[JournalEntry, ...] = ()
    target: dict[str, Any] = field(default_factory=dict)
    """Enough to find the house again: url, app, identity, alias."""
    remembered: dict[str, Any] = field(default_factory=dict)
    """What was remembered of the house `before` the run (`None` for nothing) and `after` it; empty for none."""

    def at(self, index: int, state: str) -> JournalRun:
        """The same run with one entry in another state."""
        entries = list(self.entries)
        entries[index] = replace(entries[index], state=state)
        return replace(self, entries=tuple(entries))


class Journal(Protocol):
    """The undo journal: every method has reached the disk when it returns."""

    @property
    def ours(self) -> frozenset[str]:
        """The runs that this very process has written into."""
        ...

    def begin(self, command: str, house: str, target: dict[str, Any]) -> str:
        """Open a run; returns its id."""
        ...

    def entry(self, run: str, entry: JournalEntry) -> int:
        """Write a change down before it is made; returns its index."""
        ...

    def mark(self, run: str, index: int, state: str) -> None:
        """Say how far an entry came."""
        ...

    def remembered(self, run: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        """Write down what a run has changed in what is remembered of its house."""
        ...

    def close(self, run: str, state: str) -> None:
        """Close a run as `closed` (it stands) or `undone`."""
        ...

    def runs(self) -> tuple[JournalRun, ...]:
        """All runs, oldest first."""
        ...
