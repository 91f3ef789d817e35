"""What `setup` asks: pure clauses, from the answers so far and the house as seen to the next question, or none."""

from __future__ import annotations

import os.path
import re
import shlex
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from ha_ssh.core.errors import MissingAnswer, UsageError
from ha_ssh.core.options import Answers, Given, Source
from ha_ssh.core.risks import RISKS
from ha_ssh.core.secret import Secret
from ha_ssh.core.words import KeyKind, PasswordWish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ha_ssh.core.model import SecretRef, Want
    from ha_ssh.core.words import Risk

NEW = "new"
"""The answer to `key` that means: make one."""
OTHER = "other"
"""The answer to `key` that means: a file that is typed next."""
NO_ALIAS = ""
"""The answer to `alias` that means: none."""


# ------------------------------------------------------------------------------------------------------------- the words


class Kind(StrEnum):
    """How a question is answered."""

    CHOICE = "choice"
    TEXT = "text"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    CONFIRM = "confirm"
    NUMBER = "number"


class Agreement(StrEnum):
    """What was said to the plan."""

    YES = "yes"
    CHANGE = "change"
    NO = "no"


class NotThis(ValueError):
    """An answer that cannot be: what is the matter with it, what would do instead, and which question it is about."""

    def __init__(self, says: str, instead: Any = None, *, about: str | None = None) -> None:
        super().__init__(says)
        self.says = says
        self.instead = instead
        self.about = about


@dataclass(frozen=True)
class Choice:
    """One of the answers to choose from."""

    value: Any
    label: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, ready to be put; a `default` of `None` means that somebody has to answer."""

    id: str
    text: str
    why: str
    kind: Kind
    flag: str
    env: str
    metavar: str = ""
    off: str | None = None
    """The flag that answers no."""
    default: Any = None
    choices: tuple[Choice, ...] = ()
    validate: Callable[[str], Any]
    """Turns what was typed into the answer; raises `NotThis`."""
    twice: bool = False
    """True for a secret that is made here, so a slip of the finger is noticed."""

    def pick(self, typed: str) -> Any:
        """Turn what was typed into the answer: a choice by number, value or the start of its label; else `validate`."""
        wanted = typed.strip().lower()
        if self.kind is Kind.CONFIRM:
            return parse_bool(typed)
        if self.kind is not Kind.CHOICE:
            return self.validate(typed)
        for place, choice in enumerate(self.choices, 1):
            if wanted in {str(place), str(choice.value).lower(), choice.label.lower()}:
                return choice.value
        starting = [choice for choice in self.choices if wanted and choice.label.lower().startswith(wanted)]
        if len(starting) == 1:
            return starting[0].value
        raise NotThis(f"Answer with a number from 1 to {len(self.choices)}.")


class Asker(Protocol):
    """Whoever puts the questions: a terminal, nobody, or a test."""

    @property
    def source(self) -> Source:
        """The source of its answers: asked or default."""
        ...

    async def ask(self, question: Question) -> Any:
        """Put a question and return its valid answer; raises `MissingAnswer` where nobody can answer."""
        ...

    async def secret(self, question: Question) -> Secret:
        """Put a question whose answer is not shown."""
        ...

    async def agree(self, summary: str, risks: Sequence[Risk], *, changeable: bool = False) -> Agreement:
        """Ask for the one yes to the plan that was shown; raises `MissingAnswer` where nobody can agree.

        `changeable` says that answers led to the plan, which can be given anew.
        """
        ...

    def complain(self, says: str) -> None:
        """Say what is the matter with the answer just given."""
        ...


# --------------------------------------------------------------------------------------------------------- what was seen


@dataclass(frozen=True, kw_only=True)
class SeenApp:
    """An SSH app as the questions see it; `username` is the present one, else the app's own default."""

    slug: str
    name: str
    short: str
    default_port: int
    installed: bool = False
    available: bool = True
    running: bool = False
    port: int | None = None
    username: str = "root"
    username_fixed: bool = True
    password_set: bool = False
    key_ends_password: bool = False


@dataclass(frozen=True, kw_only=True)
class SeenKey:
    """A private key on this computer."""

    path: str
    kind: str = ""
    """Such as `ssh-ed25519`; empty where the file would not tell."""
    encrypted: bool = False
    ours: bool = False
    """True for a key that an earlier run made."""


@dataclass(frozen=True, kw_only=True)
class SeenHouse:
    """What the questions need of the facts; the preferred app comes first."""

    apps: tuple[SeenApp, ...]
    new_key: str
    """Where a new key would lie."""
    keys: tuple[SeenKey, ...] = ()
    taken_ports: Mapping[int, str] = field(default_factory=dict)
    """Ports that are not free, each with who has it (the SSH apps' own ports are not among them)."""
    taken_aliases: frozenset[str] = frozenset()
    """Host names in the user's own configuration."""
    last: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen last time, by question: taken as it is, asked only for a change."""

    def app(self, word: Any) -> SeenApp | None:
        """Return the app that is meant by a slug or a short word."""
        return next((app for app in self.apps if word in {app.slug, app.short}), None)

    def key(self, path: Any) -> SeenKey | None:
        """Return a key by its path."""
        return next((key for key in self.keys if key.path == path), None)


# ------------------------------------------------------------------------------------------------------------ validators


def parse_bool(text: str) -> bool:
    """Read yes or no."""
    word = text.strip().lower()
    if word in {"y", "yes", "true", "on", "1"}:
        return True
    if word in {"n", "no", "false", "off", "0"}:
        return False
    raise NotThis("Answer with `yes` or `no`.")


def parse_app(text: str) -> str:
    """Read the name of an app: `terminal`, `advanced`, or a slug."""
    word = text.strip().lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", word):
        raise NotThis(f"`{text}` is no name of an app.", "terminal")
    return word


def parse_port(text: str) -> int:
    """Read a port that an SSH app may use."""
    digits = text.strip()
    if not re.fullmatch(r"[0-9]{1,9}", digits) or not 1 <= int(digits) <= 65535:
        raise NotThis(f"`{text}` is no port: a port is a number from 1 to 65535.", 2222)
    port = int(digits)
    if port == 22222:
        raise NotThis("Port 22222 belongs to the host's own SSH server, which is not the app's.", 2222)
    if port == 8123:
        raise NotThis("Port 8123 belongs to Home Assistant's own web page.", 2222)
    return port


def parse_alias(text: str) -> str:
    """Read a short name for `ssh`, or `none`."""
    name = text.strip()
    if name.lower() in {"", "none", "-"}:
        return NO_ALIAS
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name):
        better = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:63] or "ha"
        raise NotThis(
            f"`{name}` cannot be a short name: letters, digits, `.`, `_` and `-` only, a letter or digit first.", better
        )
    return name


def parse_username(text: str) -> str:
    """Read a login name; capitals become small, as the app makes them."""
    name = (typed := text.strip()).lower()
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", name):
        better = re.sub(r"[^a-z0-9_-]+", "-", name).lstrip("-0123456789").rstrip("-")[:32]
        raise NotThis(f"`{typed}` cannot be a login name: letters, digits, `_` and `-`, a letter first.", better or "root")
    return name


def parse_key(text: str) -> str:
    """Read the path of a private key, or `new`; `~` and relative paths are resolved."""
    path = text.strip().strip("'\"").strip()
    if not path:
        raise NotThis("Name a private key file, such as `~/.ssh/id_ed25519`.")
    if path == NEW:
        return NEW
    if path.endswith(".pub"):
        raise NotThis(f"`{path}` is the public half of a key; the private one is needed.", path.removesuffix(".pub"))
    if path.lower().endswith(".ppk"):
        raise NotThis(f"`{path}` is a PuTTY key, which OpenSSH does not read; `puttygen` exports one that it does.")
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - text in, text out; nothing is looked up


def parse_url(text: str) -> str:
    """Read the address of Home Assistant; one without `http://` stays so: where it listens there is found out."""
    url = text.strip().rstrip("/")
    scheme, there, rest = url.partition("://") if "://" in url else ("", "", url)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise NotThis("An address with a name or password in it is not taken.", f"{scheme}{there}{rest.rpartition('@')[2]}")
    if there and scheme.lower() not in {"http", "https"}:
        raise NotThis(f"`{scheme}` is not spoken here: the address starts with `http://` or `https://`.", f"http://{rest}")
    host = re.fullmatch(r"(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[^\s:\[\]%]+)(:([0-9]{1,5}))?", authority)
    bare_ipv6 = not there and re.fullmatch(r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[\w.-]+)?", authority)
    if not bare_ipv6 and (host is None or (host[4] and not 1 <= int(host[4]) <= 65535)):
        raise NotThis(f"`{url}` is no address: the host or port in it cannot be.")
    return f"{scheme.lower()}{there}{rest}"


def _parse_word(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(text: str) -> StrEnum:
        try:
            return words(text.strip().lower())
        except ValueError:
            raise NotThis(f"`{text}` is none of {', '.join(f'`{word}`' for word in words)}.", next(iter(words))) from None

    return parse


# --------------------------------------------------------------------------------------------------------------- clauses


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A question in the light of this house; `suits` raises `NotThis` for a value that this house cannot have."""

    text: str
    why: str
    default: Any = None
    choices: tuple[Choice, ...] = ()
    kind: Kind | None = None
    suits: Callable[[Any], None] = lambda _value: None
    twice: bool = False
    can_be_off: bool = True
    """False where the flag that answers no is no answer in this house."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A question as the command line knows it, before any house is seen."""

    id: str
    flag: str
    kind: Kind
    help: str
    metavar: str = ""
    off: str | None = None
    off_help: str = ""
    words: tuple[str, ...] = ()
    """The values it can have, where they are few."""
    asked: bool = False
    """True for the few that are asked though they have a default."""
    way: str = ""
    """The way out of an answer that cannot be, where no better one is known."""
    opinion: bool = True
    """False where the default is no wish: nothing is found wrong because of it."""
    parse: Callable[[str], Any]
    word: Callable[[Answers, SeenHouse], Wording | None]
    """The wording for this house; `None` where the question does not arise."""

    @property
    def env(self) -> str:
        """The environment variable that answers it."""
        return variable(self.flag)

    def question(self, answers: Answers, seen: SeenHouse) -> Question | None:
        """Return the question as this house puts it; what was chosen last time is its default, if it still can be."""
        wording = self.word(answers, seen)
        if wording is None:
            return None

        def validate(typed: str) -> Any:
            value = self.parse(typed)
            wording.suits(value)
            return value

        default = wording.default
        if self.id in seen.last and _suits(wording, seen.last[self.id]):
            default = seen.last[self.id]
        return Question(
            id=self.id,
            text=wording.text,
            why=wording.why,
            kind=wording.kind or self.kind,
            flag=self.flag,
            env=self.env,
            metavar=self.metavar,
            off=self.off if wording.can_be_off else None,
            default=default,
            choices=wording.choices,
            validate=validate,
            twice=wording.twice,
        )

    def read(self, text: str, given: Given) -> Given:
        """Return a raw answer in its proper form; raises `UsageError` naming where it came from."""
        try:
            return replace(given, value=self.parse(text))
        except NotThis as no:
            raise refusal(self, given, no) from None

    def as_flags(self, value: Any) -> tuple[str, ...]:
        """Return the flags that give this answer; a secret stands as the file it would come from."""
        if self.kind is Kind.CONFIRM:
            return (self.flag if value else str(self.off),)
        if self.off and not value:
            return (self.off,)
        if self.kind is Kind.SECRET:
            return (self.flag, "FILE")
        return (self.flag, str(value))


def variable(flag: str) -> str:
    """Return the environment variable of a flag: `--no-alias` is `HA_SSH_NO_ALIAS`."""
    return "HA_SSH_" + flag.removeprefix("--").replace("-", "_").upper()


def reconciled(answers: Answers) -> Answers:
    """Return the answers with what they imply: a kind of new key means a new key, unless a stronger source named a file."""
    kind, key = answers.given("new-key"), answers.given("key")
    if kind is None:
        return answers
    if key is None:
        return answers.with_("key", NEW, kind.source, kind.where)
    if key.value == NEW:
        return answers
    if key.source is kind.source:
        raise UsageError(
            "bad-key", f"{kind.where or '--new-key'} and {key.where or '--key'} exclude each other.", "leave one out"
        )
    order = list(Source)
    if order.index(kind.source) < order.index(key.source):
        return answers.with_("key", NEW, kind.source, kind.where)
    return answers.without("new-key")


def refusal(clause: Clause, given: Given, no: NotThis) -> UsageError:
    """Return the error for an answer that cannot be, naming the flag, variable or line that gave it."""
    hints = (f"`{clause.flag} {no.instead}` would do",) if no.instead is not None else (clause.way,) if clause.way else ()
    return UsageError(f"bad-{clause.id}", f"{given.where or clause.flag}: {no.says}", *hints)


def missing(question: Question) -> MissingAnswer:
    """Return the error for a question that nobody is there to answer, naming its flag and variable."""
    flag = f"{question.flag} {question.metavar}".strip()
    either = f"`{flag}`" + (f" or `{question.off}`" if question.off else "")
    return MissingAnswer(
        f"missing-{question.id}",
        f"An answer is missing: {question.text}",
        f"give {either}, or set `{question.env}`",
    )


def _suits(wording: Wording, value: Any) -> bool:
    try:
        wording.suits(value)
    except NotThis:
        return False
    return True


def _chosen(answers: Answers, seen: SeenHouse) -> SeenApp | None:
    """The app that was chosen, or that would be."""
    if "app" in answers:
        return seen.app(answers["app"])
    question = APP.question(answers, seen)
    return seen.app(question.default) if question else None


def _word_app(_answers: Answers, seen: SeenHouse) -> Wording:
    usable = [app for app in seen.apps if app.installed or app.available]
    installed = [app for app in usable if app.installed]

    def suits(word: Any) -> None:
        app = seen.app(word)
        known = ", ".join(f"`{app.short}`" for app in usable)
        if app is None:
            raise NotThis(f"`{word}` is no SSH app that is known here; known are {known}.", usable[0].short if usable else None)
        if app not in usable:
            raise NotThis(f"{app.name} is not available for this machine.", usable[0].short if usable else None)

    default = installed[0] if len(installed) == 1 else None if installed or not usable else usable[0]
    return Wording(
        text="Which SSH app (add-on)?",
        why="An SSH app lets you log in to the house; one of them is enough.",
        default=default.slug if default else None,
        choices=tuple(Choice(app.slug, f"{app.name}{' (installed)' if app.installed else ''}") for app in usable),
        suits=suits,
    )


def _word_key(answers: Answers, seen: SeenHouse) -> Wording:
    if answers.get("key") == OTHER:
        return Wording(
            text="Which private key file?",
            why="The file without `.pub` at its end.",
            kind=Kind.TEXT,
        )
    ours = next((key.path for key in seen.keys if key.ours), None)
    existing = tuple(Choice(key.path, f"{tilde(key.path)} ({describe_key(key)})") for key in seen.keys)
    return Wording(
        text="Which key should open the door?",
        why="A key of its own can be withdrawn later without touching your other logins.",
        default=ours or NEW,
        choices=(Choice(NEW, f"Make a new Ed25519 key, {tilde(seen.new_key)}"), *existing, Choice(OTHER, "Another file")),
    )


def _word_new_key(answers: Answers, _seen: SeenHouse) -> Wording | None:
    if answers.get("key", NEW) != NEW:
        return None
    return Wording(
        text="Which kind of key?",
        why="Ed25519 suits every SSH app; the others are for special needs.",
        default=KeyKind.ED25519,
        choices=tuple(Choice(kind, kind) for kind in KeyKind),
    )


def _word_passphrase(answers: Answers, seen: SeenHouse) -> Wording | None:
    question = KEY.question(answers.without("key"), seen)
    path = answers.get("key", question.default if question else NEW)
    if path in {NEW, OTHER}:
        return Wording(
            text="A passphrase for the new key?",
            why="It protects the key file if this computer is lost; leave it empty for none.",
            default=Secret(""),
            twice=True,
        )
    key = seen.key(path)
    if key is None or not key.encrypted:
        return None

    def suits(secret: Any) -> None:
        if not secret:
            raise NotThis(f"`{tilde(path)}` is encrypted: it opens with its passphrase only.")

    return Wording(
        text=f"The passphrase of {tilde(path)}?",
        why="The key is encrypted; the login is proven with it.",
        suits=suits,
        can_be_off=False,
    )


def _word_port(answers: Answers, seen: SeenHouse) -> Wording | None:
    app = _chosen(answers, seen)
    if app is None:
        return None
    siblings = {other.port: other.name for other in seen.apps if other.installed and other.slug != app.slug and other.port}
    if app.running and app.port:
        siblings.pop(app.port, None)  # it has its port, whatever one that is stopped would like
    taken = {**seen.taken_ports, **siblings}

    def free(port: int) -> int:
        return next(near for near in range(port, 65536) if near not in taken and near not in {8123, 22222})

    def suits(port: Any) -> None:
        if port in taken:
            raise NotThis(f"Port {port} is taken by {taken[port]}.", free(2222))

    wanted = app.port or app.default_port
    return Wording(
        text="On which port should SSH listen?",
        why=f"{app.name} is reached there; nothing else may use it.",
        default=wanted if wanted not in taken else free(2222),
        suits=suits,
    )


def _word_username(answers: Answers, seen: SeenHouse) -> Wording | None:
    app = _chosen(answers, seen)
    if app is None:
        return None
    if not app.username_fixed:
        return Wording(
            text="Log in under which name?",
            why="Only `root` has SFTP, rsync and the `ha` command without detours.",
            default=app.username,
        )
    if answers.get("username", app.username) == app.username:
        return None

    def suits(name: Any) -> None:
        raise NotThis(f"{app.name} always logs in as `{app.username}`, not as `{name}`.", app.username)

    return Wording(text="Log in under which name?", why="", default=app.username, suits=suits)


def _word_password(answers: Answers, seen: SeenHouse) -> Wording | None:
    app = _chosen(answers, seen)
    if app is None:
        return None
    ends = app.key_ends_password
    if not app.password_set:
        return Wording(text="Password login?", why="A key is enough.", default=PasswordWish.OFF, choices=_PASSWORD)
    return Wording(
        text=f"A password is set in {app.name}. What should become of it?",
        why="With this app the first key ends password login, whatever is chosen here."
        if ends
        else "Whoever logs in with it today cannot any more once it is off.",
        choices=_PASSWORD,
    )


_PASSWORD = (
    Choice(PasswordWish.OFF, "Off, once the key is proven"),
    Choice(PasswordWish.KEEP, "Keep it as it is"),
    Choice(PasswordWish.GENERATE, "Replace it with a new random one"),
)


def _word_alias(_answers: Answers, seen: SeenHouse) -> Wording:
    tries = ("ha", "ha-home", "homeassistant", *(f"ha{n}" for n in range(2, len(seen.taken_aliases) + 4)))
    free = next(name for name in tries if name not in seen.taken_aliases)

    def suits(name: Any) -> None:
        if name in seen.taken_aliases:
            raise NotThis(f"`{name}` is already a host in your own SSH configuration.", free)

    return Wording(
        text="A short name for `ssh`?",
        why=f"Then `ssh {free}` is all you type; `none` leaves your SSH configuration alone.",
        default=free,
        suits=suits,
    )


def _yes_no(text: str, why: str, *, default: bool) -> Callable[[Answers, SeenHouse], Wording]:
    wording = Wording(text=text, why=why, default=default)
    return lambda _answers, _seen: wording


APP = Clause(
    id="app",
    flag="--app",
    kind=Kind.CHOICE,
    metavar="NAME",
    help="The SSH app (add-on): terminal, advanced, or a slug.",
    parse=parse_app,
    word=_word_app,
)
KEY = Clause(
    id="key",
    flag="--key",
    kind=Kind.CHOICE,
    metavar="FILE",
    help="Use this private key.",
    way="name another one with `--key FILE`, or make a new one: `--new-key ed25519`",
    asked=True,
    parse=parse_key,
    word=_word_key,
)
SETUP: tuple[Clause, ...] = (
    APP,
    KEY,
    Clause(
        id="new-key",
        flag="--new-key",
        kind=Kind.CHOICE,
        metavar="KIND",
        help="Make a new key: " + ", ".join(KeyKind) + ".",
        words=tuple(KeyKind),
        parse=_parse_word(KeyKind),
        word=_word_new_key,
    ),
    Clause(
        id="passphrase",
        flag="--passphrase-file",
        kind=Kind.SECRET,
        metavar="FILE",
        help="The key's passphrase is in this file (- is stdin).",
        off="--no-passphrase",
        off_help="No passphrase for the new key.",
        way="give the right one with `--passphrase-file FILE`, or set `HA_SSH_PASSPHRASE`",
        asked=True,
        parse=Secret,
        word=_word_passphrase,
    ),
    Clause(
        id="port",
        flag="--port",
        kind=Kind.NUMBER,
        metavar="N",
        help="The port that SSH listens on.",
        parse=parse_port,
        word=_word_port,
    ),
    Clause(
        id="username",
        flag="--username",
        kind=Kind.TEXT,
        metavar="NAME",
        help="The login name, where the app lets you choose.",
        parse=parse_username,
        word=_word_username,
    ),
    Clause(
        id="password",
        flag="--password",
        kind=Kind.CHOICE,
        metavar="WISH",
        help="Password login: off, keep or generate.",
        words=tuple(PasswordWish),
        parse=_parse_word(PasswordWish),
        word=_word_password,
    ),
    Clause(
        id="boot",
        flag="--boot",
        off="--no-boot",
        kind=Kind.CONFIRM,
        help="Start the app when the house starts.",
        parse=parse_bool,
        word=_yes_no("Start the app whenever the house starts?", "Otherwise SSH is gone after a reboot.", default=True),
    ),
    Clause(
        id="watchdog",
        flag="--watchdog",
        off="--no-watchdog",
        kind=Kind.CONFIRM,
        help="Restart the app when it crashes.",
        parse=parse_bool,
        word=_yes_no("Restart the app if it crashes?", "The Supervisor watches over it.", default=True),
    ),
    Clause(
        id="alias",
        flag="--alias",
        off="--no-alias",
        off_help="Leave ~/.ssh/config alone.",
        kind=Kind.TEXT,
        metavar="NAME",
        help="The short name for ssh.",
        asked=True,
        parse=parse_alias,
        word=_word_alias,
    ),
    Clause(
        id="tunnels",
        flag="--tunnels",
        off="--no-tunnels",
        kind=Kind.CONFIRM,
        help="Allow tunnels through the SSH app.",
        opinion=False,
        parse=parse_bool,
        word=_yes_no("Allow tunnels through the SSH app?", "Needed to forward ports, and by VS Code.", default=False),
    ),
    Clause(
        id="multiplex",
        flag="--multiplex",
        off="--no-multiplex",
        kind=Kind.CONFIRM,
        help="Let later logins share the first connection.",
        opinion=False,
        parse=parse_bool,
        word=_yes_no("Let later logins share the first connection?", "Faster, while the first one is open.", default=False),
    ),
)
"""Every question of `setup`, in the order in which they are put."""


# -------------------------------------------------------------------------------------------------------- the interview


def next_question(answers: Answers, seen: SeenHouse) -> Question | None:
    """Return what is still to be asked, or `None`; raises `UsageError` for an answer that this house cannot have."""
    _insist(answers, seen)
    for clause in SETUP:
        if clause.id in answers and answers[clause.id] != OTHER:
            continue
        question = clause.question(answers, seen)
        if question is not None and (question.default is None or (clause.asked and clause.id not in seen.last)):
            return question
    return None


def _insist(answers: Answers, seen: SeenHouse) -> None:
    """Refuse, before anything is asked, what was answered and cannot be."""
    for clause in SETUP:
        given, wording = answers.given(clause.id), clause.word(answers, seen)
        if given is None or wording is None or given.value == OTHER:
            continue
        try:
            wording.suits(given.value)
        except NotThis as no:
            raise refusal(clause, given, no) from None


def settled(answers: Answers, seen: SeenHouse) -> Answers:
    """Return the answers with everything that nobody was asked: what was chosen last time, else the default."""
    for clause in SETUP:
        question = clause.question(answers, seen)
        if question is not None and clause.id not in answers and question.default is not None:
            last = question.default == seen.last.get(clause.id)
            answers = answers.with_(clause.id, question.default, Source.LAST if last else Source.DEFAULT)
    return answers


def question_about(id: str, answers: Answers, seen: SeenHouse) -> Question | None:  # noqa: A002 - the question's id
    """Return one question with the present answer as its default."""
    clause = next(clause for clause in SETUP if clause.id == id)
    question = clause.question(answers.without(id), seen)
    if question is None or id not in answers or clause.kind is Kind.SECRET:
        return question
    present = answers[id]
    if question.kind is Kind.CHOICE and present not in {choice.value for choice in question.choices}:
        question = replace(question, choices=(Choice(present, tilde(str(present))), *question.choices))
    return replace(question, default=present)


def menu(answers: Answers, seen: SeenHouse) -> Question:
    """Return the question which answer to change, each with its present value."""
    full = settled(answers, seen)
    choices = []
    for clause in SETUP:
        question = question_about(clause.id, full, seen)
        if question is not None and clause.id in full:
            choices.append(Choice(clause.id, f"{question.text} {show_answer(question, full[clause.id])}"))
    return Question(
        id="change",
        text="Which answer?",
        why="",
        kind=Kind.CHOICE,
        flag="--from",
        env="HA_SSH_FROM",
        choices=tuple(choices),
        validate=str,
    )


async def interview(
    asker: Asker,
    answers: Answers,
    seen: SeenHouse,
    learn: Callable[[Answers, SeenHouse], Awaitable[SeenHouse]] | None = None,
) -> tuple[Answers, SeenHouse]:
    """Ask until nothing is open and return everything settled.

    `learn` looks at the world after each answer (a key file that was typed, a passphrase to try) and may raise `NotThis`:
    then an answer that was asked for is asked for again, and any other is refused.
    """
    while True:
        if learn is not None:
            try:
                seen = await learn(answers, seen)
            except NotThis as no:
                answers = _again(asker, answers, no)
        question = next_question(answers, seen)
        if question is None:
            return settled(answers, seen), seen
        answers = answers.with_(question.id, await asker.ask(question), asker.source)


def _again(asker: Asker, answers: Answers, no: NotThis) -> Answers:
    """Return the answers without the one that cannot be, for it to be asked again; raises `UsageError` where it was not asked."""
    given = answers.given(no.about) if no.about else None
    if no.about is None or given is None or given.source is not Source.ASKED:
        clause = next((clause for clause in SETUP if clause.id == no.about), None)
        if clause is None or given is None:
            raise UsageError("bad-answer", no.says) from None
        raise refusal(clause, given, no) from None
    asker.complain(no.says)
    return answers.without(no.about)


async def change(asker: Asker, answers: Answers, seen: SeenHouse) -> Answers:
    """Let one answer be changed; what hangs on it is asked again by the next interview."""
    id = await asker.ask(menu(answers, seen))  # noqa: A001 - the question's id
    question = question_about(id, settled(answers, seen), seen)
    if question is None:
        return answers
    for dependent in _DEPENDENTS.get(id, ()):
        if answers.source(dependent) in {Source.DEFAULT, Source.LAST, Source.ASKED, None}:
            answers = answers.without(dependent)
    return answers.with_(id, await asker.ask(question), Source.ASKED)


_DEPENDENTS = {"app": ("port", "username", "password"), "key": ("new-key", "passphrase")}


def want_of(
    answers: Answers,
    seen: SeenHouse,
    *,
    passphrase: SecretRef | None = None,
    comment: str | None = None,
    accepted: frozenset[Risk] = frozenset(),
) -> Want:
    """Return what is wanted, from settled answers; `passphrase` names the secret in the vault."""
    from ha_ssh.core.model import Want

    app = _chosen(answers, seen)
    new = answers["key"] == NEW
    return Want(
        app=app.slug if app else None,
        identity=seen.new_key if new else answers["key"],
        make_key=KeyKind(answers.get("new-key", KeyKind.ED25519)) if new else None,
        passphrase=passphrase,
        comment=comment,
        port=answers.get("port"),
        username=answers.get("username"),
        password=answers.get("password"),
        boot=answers.get("boot"),
        watchdog=answers.get("watchdog"),
        alias=answers.get("alias") or None,
        tunnels=answers.said("tunnels"),
        multiplex=answers.said("multiplex"),
        accepted=accepted,
    )


def last_of(want: Want) -> dict[str, Any]:
    """Return what was chosen, by question, from a remembered want."""
    chosen = {
        "app": want.app,
        "key": want.identity,
        "port": want.port,
        "username": want.username,
        "password": want.password,
        "boot": want.boot,
        "watchdog": want.watchdog,
        "alias": want.alias,
        "tunnels": want.tunnels,
        "multiplex": want.multiplex,
    }
    return {id: value for id, value in chosen.items() if value is not None}  # noqa: A001 - the question's id


def same_run(
    answers: Answers, *, url: str | None, accepted: Sequence[Risk] = (), where: Mapping[str, str | None] | None = None
) -> str:
    """Return the same run as one non-interactive command; secrets stand as the files they would come from.

    `where` are flags about the way to the house, with their values.
    """
    words = ["ha-ssh", "setup", *(("--url", url) if url else ())]
    words += [word for name, value in (where or {}).items() if value for word in (name, value)]
    chosen = {id: answers.said(id) for id in answers}  # noqa: A001 - the question's id
    for clause in SETUP:
        value = chosen.get(clause.id)
        if value is None or value == NEW or (clause.id == "new-key" and chosen.get("key", NEW) != NEW):
            continue
        words += clause.as_flags(value)
    if chosen.get("key") == NEW and chosen.get("new-key") is None:
        words += ["--new-key", KeyKind.ED25519]
    for risk in accepted:
        words += ["--accept-risk", risk]
    return shlex.join([*words, "--yes"])


# ------------------------------------------------------------------------------------------------------- other questions


def url_question(default: str | None = None) -> Question:
    """The question where the house is."""
    return Question(
        id="url",
        text="Where is your Home Assistant?",
        why="The address that you open in the browser, such as `http://homeassistant.local:8123`.",
        kind=Kind.TEXT,
        flag="--url",
        env="HA_SSH_URL",
        metavar="URL",
        default=default,
        validate=parse_url,
    )


def found_question(found: Sequence[tuple[str, str]]) -> Question:
    """The question which of the houses that were found on the network is meant; each is its address and its description."""
    return Question(
        id="url",
        text="Which Home Assistant is yours?",
        why="This is what answers on your network; nothing secret has been sent yet.",
        kind=Kind.CHOICE,
        flag="--url",
        env="HA_SSH_URL",
        metavar="URL",
        default=found[0][0],
        choices=(*(Choice(url, text) for url, text in found), Choice(OTHER, "Another address")),
        validate=parse_url,
    )


def pin_question(problem: str, fingerprint: str) -> Question:
    """The question whether a certificate that nobody vouches for is the one of the house."""
    return Question(
        id="tls-fingerprint",
        text="Is this the certificate of your house, to be trusted from now on?",
        why=f"{problem} Its SHA-256 fingerprint: {fingerprint}",
        kind=Kind.CONFIRM,
        flag="--tls-fingerprint",
        env="HA_SSH_TLS_FINGERPRINT",
        metavar=fingerprint,
        default=False,
        validate=parse_bool,
    )


BROWSER, PASSWORD, TOKEN = "browser", "password", "token"
NOBODY = "nobody"
"""The answers to `sign-in`."""


def sign_in_question(url: str, *, or_nobody: bool = False) -> Question:
    """The question how to sign in; `or_nobody` offers not to."""
    choices = (
        Choice(BROWSER, "In the browser, on Home Assistant's own page"),
        Choice(PASSWORD, "Here, with name and password"),
        Choice(TOKEN, "With a long-lived access token"),
    )
    return Question(
        id="sign-in",
        text="How do you want to sign in?",
        why=f"Home Assistant at {url} lets administrators see and set up its apps.",
        kind=Kind.CHOICE,
        flag="--token-file",
        env="HA_SSH_TOKEN",
        metavar="FILE",
        default=BROWSER,
        choices=(*choices, Choice(NOBODY, "Not at all: only look from outside")) if or_nobody else choices,
        validate=str,
    )


def anew_question(who: str, url: str) -> Question:
    """The question whether to sign in though somebody is; the answer of nobody is no."""
    return Question(
        id="anew",
        text="Sign in anew?",
        why=f"`{who}` is signed in to {url} already, and that works. A new sign-in takes its place.",
        kind=Kind.CONFIRM,
        flag="--browser",
        env="HA_SSH_BROWSER",
        metavar="",
        default=False,
        validate=parse_bool,
    )


def passphrase_question(path: str) -> Question:
    """The question for the passphrase of a key that is only looked at; an empty answer goes without."""
    return Question(
        id="passphrase",
        text=f"The passphrase of {tilde(path)}?",
        why="The key is encrypted, and a login with it is tried. Leave it empty to go without.",
        kind=Kind.SECRET,
        flag="--passphrase-file",
        env="HA_SSH_PASSPHRASE",
        metavar="FILE",
        default=Secret(""),
        validate=Secret,
    )


def new_passphrase_question(path: str) -> Question:
    """The question for the passphrase of a key that is to be made; an empty answer, and that of nobody, is none."""
    return replace(
        passphrase_question(path),
        id="new-passphrase",
        text=f"A passphrase for the new key {tilde(path)}?",
        why="It protects the key file if this computer is lost; leave it empty for none.",
        twice=True,
    )


def _sign_in_part(
    id: str,  # noqa: A002 - the question's id
    text: str,
    why: str,
    kind: Kind,
    flag: str,
    env: str,
    metavar: str,
) -> Question:
    def validate(typed: str) -> Any:
        if not typed.strip():
            raise NotThis("This cannot be empty; Ctrl-C leaves.")
        return Secret(typed) if kind is Kind.SECRET else typed.strip()

    return Question(id=id, text=text, why=why, kind=kind, flag=flag, env=env, metavar=metavar, validate=validate)


def username_question() -> Question:
    """The question who signs in to Home Assistant."""
    why = "The name that you type on Home Assistant's sign-in page, not the one that it greets you with."
    return _sign_in_part("username", "Your user name?", why, Kind.TEXT, "--username", "HA_SSH_LOGIN_USERNAME", "NAME")


def password_question() -> Question:
    """The question for the password of a Home Assistant user."""
    why = "It goes to Home Assistant only, and is not kept."
    return _sign_in_part("password", "Your password?", why, Kind.SECRET, "--password-file", "HA_SSH_PASSWORD_FILE", "FILE")


def code_question() -> Question:
    """The question for the code of the second factor."""
    why = "This user signs in with a second factor."
    return _sign_in_part(
        "code", "The code from your authenticator app?", why, Kind.SECRET, "--token-file", "HA_SSH_TOKEN", "FILE"
    )


def paste_question() -> Question:
    """The question where a browser on another machine ended up."""
    why = (
        "This goes on by itself once you are signed in. A browser on another machine ends at a page that it cannot open: "
        "paste the address of that page here."
    )
    return _sign_in_part("paste", "The address?", why, Kind.TEXT, "--token-file", "HA_SSH_TOKEN", "FILE")


def secret_out_question(name: str, what: str = "token") -> Question:
    """The question where to write a token, or another secret that is made."""
    return Question(
        id="secret-out",
        text=f"Write the {what} to which file?",
        why="Only you will be able to read it; it is not shown here.",
        kind=Kind.TEXT,
        flag="--secret-out",
        env="HA_SSH_SECRET_OUT",
        metavar="FILE",
        default=f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.') or 'ha-ssh'}.{what}",
        validate=lambda typed: os.path.expanduser(typed.strip()),  # noqa: PTH111 - text in, text out
    )


def token_question(url: str) -> Question:
    """The question for a long-lived token of an administrator."""

    def validate(typed: str) -> Secret:
        token = "".join(typed.split()).strip("'\"")
        if not token:
            raise NotThis("Paste a token, or press Ctrl-C to leave.")
        return Secret(token)

    return Question(
        id="token",
        text="A long-lived access token?",
        why=f"Make one at `{url}/profile/security`, at the bottom of the page; it is not shown here.",
        kind=Kind.SECRET,
        flag="--token-file",
        env="HA_SSH_TOKEN",
        metavar="FILE",
        validate=validate,
    )


def risk_question(risk: Risk, does: str) -> Question:
    """The question whether a named risk is accepted; the answer of nobody is no."""
    return Question(
        id=f"risk-{risk}",
        text=f"{does}: accept the risk `{risk}`?",
        why=f"It {RISKS[risk]}.",
        kind=Kind.CONFIRM,
        flag="--accept-risk",
        env="HA_SSH_ACCEPT_RISK",
        metavar=risk,
        default=False,
        validate=parse_bool,
    )


def offer_question(check: str, says: str, does: str) -> Question:
    """The question whether an offered change is wanted; the answer of nobody is no."""
    return Question(
        id=f"offer-{check}",
        text=f"{does[0].upper()}{does[1:]}?",
        why=f"{says[0].upper()}{says[1:]}.",
        kind=Kind.CONFIRM,
        flag="--also",
        env="HA_SSH_ALSO",
        metavar=check,
        default=False,
        validate=parse_bool,
    )


# ----------------------------------------------------------------------------------------------------------------- words


def tilde(path: str) -> str:
    """Return a path with the home folder as `~`."""
    home = os.path.expanduser("~")  # noqa: PTH111 - text in, text out
    return f"~{path.removeprefix(home)}" if path.startswith(home + os.sep) else path


def describe_key(key: SeenKey) -> str:
    """Return a key in a few words."""
    kind = {"ssh-ed25519": "Ed25519", "ssh-rsa": "RSA"}.get(key.kind) or (
        "ECDSA" if key.kind.startswith("ecdsa-") else key.kind or "unknown kind"
    )
    return ", ".join((kind, *(("encrypted",) if key.encrypted else ()), *(("made by ha-ssh",) if key.ours else ())))


def show_answer(question: Question, value: Any) -> str:
    """Return an answer as people read it, secrets masked."""
    if isinstance(value, Secret):
        return "set" if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    label = next((choice.label for choice in question.choices if choice.value == value), None)
    return label or str(value) or "none"
