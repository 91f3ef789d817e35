"""The facts about an SSH access, each with its look, and what they will be once an app has (re)started.

A look asks for other facts by `await at(Other)`: that graph gives the order and lets independent looks run side by side.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ha_ssh.core import inside, keys, knownhosts, logs, sshconfig
from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import (
    At,
    CannotLook,
    CoreState,
    DoorState,
    Facts,
    FileState,
    Flavour,
    JournalRun,
    KeyState,
    Later,
    NotKnown,
    PublicKeyOf,
    Ran,
    Serving,
    SetAside,
    SshTrouble,
)
from ha_ssh.core.settings import apply_edits, required
from ha_ssh.core.versions import lies_within

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ha_ssh.core.inside import Inside
    from ha_ssh.core.model import Flaw, Reader, Session, Target, Want

SSH_PORT = 22
"""The port that SSH has where none is named; `known_hosts` leaves it out."""

_A_WHILE = 2.0
"""Seconds for which the house's word on its apps is waited for before SSH is tried where it was."""
_LOG_SECONDS = 2.0
"""How long the app's log may take to show that somebody was turned away."""
_COMMAND_SECONDS = 8.0
"""How long a command in a session may take; `ha` asks the Supervisor, which takes its time on small computers."""
SETTING_KEYS = ("options", "network", "boot", "watchdog", "auto_update")
"""The parts of an app's info that are settings (POST /addons/<slug>/options takes just these)."""


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """The runs in the journal that were neither finished nor put back."""

    runs: tuple[JournalRun, ...] = ()

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the journal; the run that this very process is in was not cut off."""
        return cls(runs=tuple(run for run in at.journal.runs() if run.state == "open" and run.id not in at.journal.ours))


@dataclass(frozen=True, kw_only=True)
class Restarts:
    """The apps that runs of ours have restarted within the last day for nothing but the restart: what that cured is cured."""

    slugs: frozenset[str] = field(default_factory=frozenset, compare=False)

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the journal."""
        yesterday = datetime.fromisoformat(at.reader.clock.date()) - timedelta(days=1)
        done = (
            entry
            for run in at.journal.runs()
            if run.state == "closed" and run.house == at.target.house_id and datetime.fromisoformat(run.started) > yesterday
            for entry in run.entries
        )
        return cls(slugs=frozenset(str(one.fields["slug"]) for one in done if "edits" in one.fields and not one.fields["edits"]))


@dataclass(frozen=True, kw_only=True)
class Computer:
    """This computer: its own OpenSSH client, as `ssh -V` names it, and the terminal that we were started in."""

    ssh: str | None
    terminal: str | None = None
    trouble: str = ""
    """Why the `ssh` that is there is no use, where there is one that is none."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Ask `ssh` for its version."""
        try:
            return cls(ssh=await at.reader.ssh_version(), terminal=at.reader.terminal)
        except HaSshError as error:
            if error.code != "ssh-mute":
                raise
            return cls(ssh=None, terminal=at.reader.terminal, trouble=error.message)


@dataclass(frozen=True, kw_only=True)
class OwnFiles:
    """The user's OpenSSH files: the configuration, the known hosts, and the file of ours that the configuration includes."""

    config: FileState
    known_hosts: FileState
    block: FileState
    """Our own file for this house."""
    folder: FileState = field(default=FileState(path=""), compare=False)
    """The folder in which they lie."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the three files, and look at their folder."""
        places = at.target.places
        return cls(
            config=await at.reader.file(places.config),
            known_hosts=await at.reader.file(places.known_hosts),
            block=await at.reader.file(block_path(at.target)),
            folder=await at.reader.file(places.ssh_dir),
        )


def written(state: FileState, text: str) -> FileState:
    """Return a file as it will be once that text is in it; where it lies and its mode, only the writing of a new one tells."""
    if state.exists:
        return replace(state, text=text)
    later: Any = Later("the new file")
    return replace(state, kind="file", text=text, mode=later, real_path=later)


def why_not_written(file: FileState) -> str:
    """Return why a file of the user cannot be written; empty where it can."""
    if file.problem:
        return file.problem
    odd = {"folder": "is a folder, not a file", "other": "is no plain file"}.get(file.kind, "")
    return odd or ("" if file.writable else "is read-only" if file.exists else "cannot be made there")


def way_to_write(file: FileState) -> str:
    """Return what a person can do about it."""
    if file.kind == "other" and file.mode is None:
        return f"let your user look into the folder of `{file.path}`: `chmod u+rwx` it"
    if file.kind in {"folder", "other"}:
        return f"move it away: `mv {file.path} {file.path}.old`"
    if file.kind == "link" and file.mode is None:
        return f"`ls -l {file.path}` shows where the link leads: put the file there, or delete the link"
    if file.closed:
        return f"`chmod u+rw {file.path}`" if file.mine else f"`sudo chown $USER {file.path}`: it is another user's"
    if not file.exists:
        return f"let your user write in the folder of `{file.path}`"
    return f"let your user write `{file.path}`"


def block_path(target: Target) -> str:
    """Return the path of our included file for this house."""
    return f"{target.places.include_dir}/{target.house_id}.conf"


@dataclass(frozen=True, kw_only=True)
class MyKey:
    """The private key that logs in; `public` is `Later` while a plan is still to make it."""

    state: KeyState
    public: Any

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the key file, with its passphrase if one is known."""
        if at.target.identity is None:
            raise CannotLook("no key is chosen yet", code="no-key-chosen")
        state = await at.reader.key(at.target.identity, at.target.passphrase)
        left = None if state.exists else state.beside or None  # its private half may lie in an agent
        return cls(state=state, public=state.public or left)

    @property
    def usable(self) -> bool:
        """True when a login can be tried with it."""
        return self.state.exists and self.state.problem is None and self.state.unlocked


@dataclass(frozen=True, kw_only=True)
class Core:
    """Home Assistant Core, and who our credentials are there."""

    state: CoreState
    patience: ClassVar[float] = 20.0
    """Every answer of a sign-in has a limit of its own; a slow house may take its time over all of them together."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Sign in and ask who we are."""
        return cls(state=await at.reader.core())


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """The Supervisor: its version and health, and the machine it runs."""

    version: str
    state: str
    healthy: bool
    supported: bool
    machine_id: str | None
    hostname: str | None
    latest: str | None = None
    """The version to which it could be updated."""
    arch: tuple[str, ...] = ()
    """The processors that it can run apps for; empty where it does not say."""
    tells_health: bool = field(default=True, compare=False)
    """False where it says neither that the system is healthy nor that it is not, as older ones."""
    tells_updates: bool = field(default=True, compare=False)
    """False where it does not say whether there is a newer version of it."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read `/info` and `/supervisor/info`; what an older Supervisor does not say counts as well."""
        core = await at(Core)
        if not core.state.has_supervisor:
            raise CannotLook("this Home Assistant has no Supervisor, so it has no apps", because="Core", code="no-supervisor")
        info, own = await asyncio.gather(at.reader.supervisor("/info"), at.reader.supervisor("/supervisor/info"))
        return cls(
            version=str(info.get("supervisor") or own.get("version") or "unknown"),
            state=str(info.get("state") or "running"),
            healthy=own.get("healthy") is not False,
            supported=own.get("supported") is not False,
            machine_id=text(info.get("machine_id")),
            hostname=text(info.get("hostname")),
            latest=text(own.get("version_latest")) if own.get("update_available") else None,
            arch=texts(info.get("supported_arch")),
            tells_health=isinstance(own.get("healthy"), bool),
            tells_updates=isinstance(own.get("update_available"), bool),
        )


@dataclass(frozen=True, kw_only=True)
class App:
    """One SSH app as the Supervisor knows it; `settings` are the SAVED ones."""

    flavour: Flavour
    installed: bool
    available: bool = True
    version: str | None = None
    version_latest: str | None = None
    state: str = "unknown"
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    """Why it cannot be installed, where it cannot."""
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The options that it requires, with their defaults."""
    problem_code: str = ""
    """That reason's code."""
    arch: tuple[str, ...] = field(default=(), compare=False)
    """The processors that it is made for."""
    hidden: bool = field(default=False, compare=False)
    """True where the store shows it to nobody who has not switched on the advanced mode."""
    detached: bool = field(default=False, compare=False)
    """True where it is installed and no store knows it any more."""
    protected: bool = field(default=True, compare=False)
    """The protection mode, which keeps Docker from it."""
    role: str | None = field(default=None, compare=False)
    """What it may do at the Supervisor."""
    seen: bool = field(default=True, compare=False)
    """False where only its port and login name are remembered: nothing else may be said of it."""
    boots_by_hand: bool = field(default=False, compare=False)
    """True where its own configuration lets nobody make it start with the house."""

    @property
    def slug(self) -> str:
        """The Supervisor's name of it."""
        return self.flavour.slug

    @property
    def serving(self) -> Serving:
        """What it serves once it runs with the saved settings."""
        return self.flavour.read(self.settings)

    def flaw(self, failure: str = "") -> Flaw | None:
        """Return what is known against the very version that is installed, as this failure where one is named."""
        here = (flaw for flaw in self.flavour.flaws if lies_within(self.version, flaw.since, flaw.mended))
        return next((flaw for flaw in here if failure in {"", flaw.failure}), None)

    @property
    def running(self) -> bool:
        """True while its container is up; that says nothing of sshd."""
        return self.state in {"started", "startup"}

    @property
    def down(self) -> bool:
        """True where it is known not to run; a state that is not recognised is neither up nor down."""
        return self.state in {"stopped", "error"}

    @property
    def may_be_visited(self) -> bool:
        """True where it has a port, and a connection does not end its server."""
        return isinstance(self.serving.port, int) and not self.serving.debugging


@dataclass(frozen=True, kw_only=True)
class Apps:
    """The candidate SSH apps by slug."""

    by_slug: Mapping[str, App]

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the info of every candidate."""
        await at(Supervisor)
        looked = await asyncio.gather(*(_look_at_app(at.reader, flavour) for flavour in at.target.apps))
        return cls(by_slug={app.slug: app for app in looked})

    def chosen(self, slug: str | None) -> App:
        """Return the app that was asked for, else the installed one, else the recommended one.

        Raises `CannotLook` where no app is a candidate.
        """
        if slug is not None and slug in self.by_slug:
            return self.by_slug[slug]
        installed = [app for app in self.by_slug.values() if app.installed]
        candidates = installed or list(self.by_slug.values())
        if not candidates:
            raise CannotLook("no SSH app is a candidate", because="Apps")
        return candidates[0]

    def but(self, slug: str, **changes: Any) -> Apps:
        """Return the apps as they will be once one of them has changed so."""
        return replace(self, by_slug={**self.by_slug, slug: replace(self.by_slug[slug], **changes)})


async def _look_at_app(reader: Reader, flavour: Flavour) -> App:
    """Read one app; Supervisors differ in what they answer for one that is not installed."""
    try:
        info = await reader.supervisor(f"/addons/{flavour.slug}/info")
    except HaSshError as error:
        if error.code not in {"not-installed", "no-such-app"}:
            error.evidence = (*error.evidence, f"asked for: GET /addons/{flavour.slug}/info")
            raise
        try:
            info = {**await reader.supervisor(f"/store/addons/{flavour.slug}"), "installed": False}
        except HaSshError as missing:
            if missing.code not in {"no-such-app", "not-in-store", "not-installed"}:
                raise
            return App(flavour=flavour, installed=False, available=False, problem=missing.message, problem_code=missing.code)
    installed = info.get("installed", True) is not False and info.get("version") is not None
    if installed and "options" not in info:
        raise CannotLook("the app's settings are shown to administrators only", because="Core", code="not-admin")
    return App(
        flavour=flavour,
        installed=installed,
        available=info.get("available") is not False,
        version=text(info.get("version")),
        version_latest=text(info.get("version_latest")),
        state=str(info.get("state") or "none given"),
        settings=settings_of(info),
        defaults=required(info.get("schema"), flavour.defaults),
        arch=texts(info.get("arch")),
        hidden=info.get("advanced") is True,
        detached=info.get("detached") is True,
        protected=info.get("protected") is not False,
        role=text(info.get("hassio_role")),
        boots_by_hand=info.get("boot_config") == "manual_only",
    )


def text(value: Any) -> str | None:
    """Return a text of an answer; whatever else a release may put there counts as missing."""
    return value if isinstance(value, str) else None


def texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a list in an answer, likewise."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list | tuple) else ()


def settings_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in an app's info, as `core.settings` edits them."""
    return {key: info[key] for key in SETTING_KEYS if key in info}


@dataclass(frozen=True, kw_only=True)
class AppLog:
    """The log lines of every installed candidate, by slug."""

    lines: Mapping[str, tuple[str, ...]]

    @classmethod
    async def look(cls, at: At) -> Self:
        """Read the logs through the API."""
        apps = await at(Apps)
        installed = [app for app in apps.by_slug.values() if app.installed]
        read = await asyncio.gather(*(at.reader.log(app.slug) for app in installed))
        for app, log in zip(installed, read, strict=True):
            if app.running and not log.strip():
                raise _says_nothing(app)
        return cls(lines={app.slug: logs.lines_of(log) for app, log in zip(installed, read, strict=True)})


def _says_nothing(app: App) -> HaSshError:
    """The error for a log without a line, though its app runs, and every start of one is logged."""
    return HaSshError(
        "log-empty",
        f"the log of {app.flavour.name} says nothing at all, though the app runs",
        "does Settings, Apps, the app, Log show anything? If not: restart the app, then the machine",
        evidence=(f"the log of `{app.slug}`: no line; its state: {app.state}",),
    )


def log_of(facts: Facts, app: App) -> tuple[str, ...]:
    """Return what is known of an app's log: nothing where it cannot be read, or where a plan is still to add to it."""
    log = facts.get(AppLog)
    lines: Any = log.lines.get(app.slug, ()) if isinstance(log, AppLog) else ()
    return () if isinstance(lines, Later) else tuple(lines)


@dataclass(frozen=True)
class Failure:
    """Why an app's log says that its start failed; `stale` where the saved settings leave no such reason any more."""

    reason: logs.Reason
    stale: bool


_BY_SETTINGS = frozenset({"no-login", "user-empty", "sftp-needs-root"})
"""The reasons that an app gives for its settings alone."""


def failure_of(facts: Facts, app: App) -> Failure | None:
    """Return why the app's log says that its latest start failed; `None` where it does not say.

    The log may be of an earlier start than the latest one, which ended before it logged anything: a reason that the settings
    contradict explains nothing.
    """
    reason = logs.fatal(log_of(facts, app))
    return None if reason is None else Failure(reason, stale=_contradicted(app, reason))


def _contradicted(app: App, reason: logs.Reason) -> bool:
    serving = app.serving
    match reason.code:
        case "init-command":
            return not any(command.strip() and command.strip() in reason.line for command in serving.commands)
        case "packages":
            return not serving.packages
        case "password-refused":
            return not serving.password_set
        case "user-taken":
            return serving.user == "root"
        case "port-busy":
            named = re.search(r"\bport (\d+)\b", reason.line)
            return named is not None and named[1] != str(serving.port)
        case code if code in _BY_SETTINGS:
            refusal = app.flavour.refuses(app.settings)
            now = logs.fatal((refusal,)) if refusal else None
            return now is None or now.code != code
        case _:
            return False


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What shows that it is the app: its own log, read over this channel (`https`, `http`, `inside`), shows our very login."""

    channel: str
    method: str = "log"
    """`known-host` where the log is out of reach: the server owns a host key that this computer knows (channel `ssh`)."""
    line: str = field(compare=False, default="")
    at: str = field(compare=False, default="")
    """When it was seen, in ISO 8601."""
    same_machine: bool = field(compare=False, default=False)
    """True when `ha info` in the session also named the machine that the API names."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """What one connection to an app's SSH port met: everything that a single login can tell."""

    host: str
    port: int
    state: Any
    """A `DoorState`."""
    message: Any = ""
    banner: Any = ""
    methods: Any = None
    """The ways to authenticate that were offered, or `None` where the connection did not come so far."""
    admitted: Any = None
    """True when our key was let in; `None` when no login was tried."""
    app_saw: Any = None
    """Where our key was refused: whether the app's own log shows an attempt, so that it was the app that refused."""
    host_keys: Any = ()
    proof: Any = None
    unproven: str = ""
    """Why there is no proof, where there is none."""
    running: Any = None
    """The options the app runs with, read inside the session."""
    ha: Any = None
    """True when `ha info` answered inside the session, False when it did not."""
    ha_said: Any = field(compare=False, default="")
    """What `ha info` complained about."""
    ha_by_login: Any = field(compare=False, default=None)
    """Where `ha info` did not answer: whether it does in a login shell."""
    logged: tuple[str, ...] = field(compare=False, default=())
    """Where the connection came to no session: what the app's log said of it meanwhile."""
    said: str = field(compare=False, default="")
    """The server's own words to whoever logs in."""
    known_host: bool | None = field(compare=False, default=None)
    """Whether its host key is the one that this computer knows under the house's name, or by its address; `None` for none."""
    mute: str = field(compare=False, default="")
    """Where no command runs in a session: what came instead."""
    at: str = field(compare=False, default="")
    """When that was, in ISO 8601."""
    inside: Any = field(compare=False, default=None)
    """The container as the session found it (`Inside`), or `None`."""


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The SSH port of the candidates that are installed, running and have one, by slug: the first, and who holds our key."""

    by_slug: Mapping[str, Door]

    patience: ClassVar[float] = 25.0
    """Every part of a login has a limit of its own; small computers take their time over some."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Make one connection to each port; log in where there is a key, else read the banner.

        Where the house leaves its answer open for a while, the remembered door is looked at meanwhile.
        """
        key, apps = await _key_or_none(at), asyncio.ensure_future(at(Apps))
        known, early = remembered(at.target), None
        if known is not None:
            await asyncio.wait({apps}, timeout=_A_WHILE)
            if not apps.done() or apps.exception():
                early = await _look_at_door(at, known, key, log=False)
        try:
            seen = (await apps).by_slug.values()
        except CannotLook:
            if known is None or early is None:
                raise
            return cls(by_slug={known.slug: early})
        doors = {}
        open_ones = _worth_a_try(seen, key, at.target.identity)
        if early is not None and known is not None:
            doors = {app.slug: early for app in open_ones if _same_door(app, known)}
            open_ones = tuple(app for app in open_ones if app.slug not in doors)
        looked = await asyncio.gather(*(_look_at_door(at, app, key) for app in open_ones))
        return cls(by_slug=doors | {app.slug: door for app, door in zip(open_ones, looked, strict=True)})

    def of(self, app: App) -> Door:
        """Return the door of an app; raises `CannotLook` where it has none."""
        if app.slug not in self.by_slug:
            why = "was not tried: it does not hold your key" if app.running and app.may_be_visited else "does not run with a port"
            raise CannotLook(f"{app.flavour.name} {why}", because="Apps", code="no-door")
        return self.by_slug[app.slug]


def _worth_a_try(apps: Iterable[App], key: MyKey | None, identity: str | None) -> tuple[App, ...]:
    """Return the apps to connect to: the preferred one that runs, and those with our key; a refused login is punished by sshd."""
    running = [app for app in apps if app.installed and not app.down and app.may_be_visited]
    public = key.public if key else None
    return tuple(app for app in running if app is running[0] or holds_key(app.serving.keys, public, identity))


def _same_door(app: App, other: App) -> bool:
    one, two = app.serving, other.serving
    return (app.slug, one.port, one.user) == (other.slug, two.port, two.user)


def remembered(target: Target) -> App | None:
    """Return the app as it was remembered, or as flags name it, to look at its door where the house cannot be asked.

    Its settings are the port and the login name alone: nothing else may be judged by them.
    """
    if target.ssh_port is None:
        return None
    user = target.ssh_user or "root"
    known = [flavour for flavour in target.apps if flavour.slug == target.ssh_app]
    fitting = [flavour for flavour in target.apps if user == "root" or flavour.set_username(user) is not None]
    flavour = next(iter((*known, *fitting, *target.apps)), None)
    if flavour is None:
        return None
    edit = flavour.set_username(user)
    settings = apply_edits({}, (flavour.set_port(target.ssh_port), *((edit,) if edit else ())))
    return App(flavour=flavour, installed=True, settings=settings, seen=False)


def app_and_door(want: Want, facts: Facts) -> tuple[App, Door]:
    """Return the chosen app with its door; where the apps cannot be seen, the remembered one. Raises `CannotLook`."""
    apps = facts.get(Apps)
    if not isinstance(apps, NotKnown):
        app = apps.chosen(want.app)
    else:
        app = remembered(facts.target)  # type: ignore[assignment] # None is refused on the next line
        if app is None:
            raise CannotLook(apps.reason, because="Apps", code=apps.code)
    return app, facts[Doors].of(app)


async def _key_or_none(at: At) -> MyKey | None:
    try:
        key = await at(MyKey)
    except CannotLook:
        return None
    return key if key.usable and isinstance(key.public, str) else None


async def _look_at_door(at: At, app: App, key: MyKey | None, *, log: bool = True) -> Door:
    """Make the one connection of this round to an app's port; `log` says whether the app's log can be asked for."""
    host, port = at.target.ssh_host, int(app.serving.port or 0)
    before = await _log_or_none(at.reader, app.slug) if log else None
    try:
        if key is None or at.target.identity is None:
            banner = await at.reader.knock(host, port)
            return Door(host=host, port=port, state=DoorState.OPEN, banner=banner)
        async with at.reader.session(host, port, app.serving.user, at.target.identity, at.target.passphrase) as session:
            return await _look_inside(at, app, key, session, before)
    except SshTrouble as trouble:
        return await _turned_away(at, app, trouble, before)


_NOT_LET_IN = frozenset({DoorState.DENIED, DoorState.TOO_MANY, DoorState.SECOND_FACTOR})
_TELLING = _NOT_LET_IN | {DoorState.RESET, DoorState.LOST, DoorState.NO_COMMON}
"""What the app's log says more about."""


async def _turned_away(at: At, app: App, met: SshTrouble, before: str | None) -> Door:
    """What a connection met that came to no session, and what the app's log says of it."""
    told = await _logged_since(at.reader, app, before, met.source_port) if met.state in _TELLING else None
    denied = met.state in _NOT_LET_IN
    return Door(
        host=at.target.ssh_host,
        port=int(app.serving.port or 0),
        state=met.state,
        message=met.message,
        banner=met.banner,
        methods=met.methods,
        admitted=False if denied else None,
        app_saw=bool(told) if denied and told is not None and met.state is not DoorState.SECOND_FACTOR else None,
        logged=tuple(one.line for one in told or ()),
        host_keys=(met.host_key,) if met.host_key else (),
        said=met.said,
        known_host=await _is_known_host(at, app, *((met.host_key,) if met.host_key else ())),
        at=at.reader.clock.date(),
    )


async def _look_inside(at: At, app: App, key: MyKey, session: Session, before: str | None) -> Door:
    """Learn what a login tells; nothing is sent into the session before it is proven who answers."""
    known_host = await _is_known_host(at, app, *session.host_keys)
    door = Door(
        host=at.target.ssh_host,
        port=int(app.serving.port or 0),
        state=DoorState.OPEN,
        banner=session.banner,
        methods=session.methods,
        admitted=True,
        host_keys=session.host_keys,
        known_host=known_host,
    )
    now = at.reader.clock.date()
    known = Proof(channel="ssh", method="known-host", line=keys.fingerprint(session.host_key), at=now)
    # A log that is read through this very server proves nothing about it; that it owns the key that was pinned does.
    if (before is None or at.reader.channel == "ssh") and known_host:
        proof, tainted = known, False
    else:
        seen = await _seen_in_log(at.reader, app, key, session, before)
        if isinstance(seen, _Seen):
            proof, tainted = Proof(channel=at.reader.channel, line=seen.line, at=now), seen.tainted
        elif known_host and seen.mute:
            proof, tainted = known, False
        else:
            return replace(door, unproven=seen.reason)
    ha = await _answer(session, app.serving.ha_command.format("info --raw-json"))
    same = _same_machine(ha, await _machine(at))
    if same is False or (same is None and tainted):
        why = "it names another machine than Home Assistant does" if same is False else "others have written into the app's log"
        return replace(door, unproven=why)
    works = ha.code == 0 and '"result"' in ha.out
    hangs = _NO_END in ha.err
    options, (shown, mute), by_login = await asyncio.gather(
        _answer(session, app.serving.options_command),
        _look_around(at, app, session),
        _nothing() if works or hangs else _answer(session, "bash -lc 'ha info --raw-json'"),
    )
    if session.ended:
        message = f"the server let us in, and ended the connection while commands ran: {session.ended}"
        return replace(door, state=DoorState.CUT, message=message, admitted=None)
    return replace(
        door,
        proof=replace(proof, same_machine=bool(same)),
        running=_options_in(options),
        ha=works,
        ha_said="" if works else (ha.err or ha.out).strip()[:200],
        ha_by_login=None if by_login is None else by_login.code == 0 and '"result"' in by_login.out,
        inside=shown,
        mute=mute,
    )


async def _nothing() -> None:
    """Take the place of a look that is not needed."""


async def _look_around(at: At, app: App, session: Session) -> tuple[Inside | None, str]:
    """Ask what the container has, and try what the settings allow; what they do not allow would only be logged as refused.

    Where no command runs, the second of the pair is what came instead.
    """
    ran, sftp, forwarding = await asyncio.gather(
        _answer(session, inside.command(at.reader.terminal)),
        session.sftp() if app.serving.sftp or not app.seen else _nothing(),
        session.forward("localhost", 8123) if app.serving.forwarding else _nothing(),
    )
    shown = inside.read(ran.out)
    if shown is None:
        return None, (ran.err or ran.out).strip()[:200] or f"it ended with {ran.code}, without a word"
    return replace(shown, sftp=sftp, forwarding=forwarding), ""


_NO_END = "did not end within"


async def _answer(session: Session, command: str) -> Ran:
    """Run a command; one without an end is a failed command, and says nothing against the login."""
    try:
        return await session.run(command, limit=_COMMAND_SECONDS)
    except SshTrouble as trouble:
        return Ran(code=255, err=trouble.message)


async def _is_known_host(at: At, app: App, *host_keys: str) -> bool | None:
    """Return whether this computer knows one of a server's host keys, under the house's own name or by its address.

    `None` where it knows none of their kinds.
    """
    text = (await at(OwnFiles)).known_hosts.text or ""
    host, port = at.target.ssh_host, app.serving.port
    names = (at.target.host_key_alias, host if port == SSH_PORT else f"[{host}]:{port}")
    known = {line.public for name in names for line in knownhosts.keys_for(text, name)}
    if known.intersection(host_keys):
        return True
    kinds = {key.split(" ", 1)[0] for key in host_keys}
    return False if any(key.split(" ", 1)[0] in kinds for key in known) else None


async def _machine(at: At) -> str | None:
    """Return the id of the machine that Home Assistant runs on: as it says, else as it was remembered."""
    try:
        return (await at(Supervisor)).machine_id
    except CannotLook:
        return at.target.machine_id


def _same_machine(ha: Ran, machine_id: str | None) -> bool | None:
    """Return whether `ha info` in the session names that machine; `None` where either does not say."""
    try:
        named = json.loads(ha.out)["data"]["machine_id"]
    except (ValueError, TypeError, KeyError):
        return None
    return None if not named or not machine_id else bool(named == machine_id)


async def _log_or_none(reader: Reader, slug: str) -> str | None:
    try:
        return await reader.log(slug)
    except HaSshError:
        return None


async def _logged_since(reader: Reader, app: App, before: str | None, source_port: int) -> tuple[logs.Refusal, ...] | None:
    """Return what the app's log has said since of our connection, as soon as it does; `None` where it cannot be read."""
    if before is None:
        return None
    told: tuple[logs.Refusal, ...] = ()

    async def seen() -> bool | None:
        nonlocal told
        told = logs.refusals(logs.new_since(before, await reader.log(app.slug)))
        return any(one.port == source_port for one in told) or None

    try:
        await reader.until("the app's log to show the attempt", seen, limit=_LOG_SECONDS)
    except HaSshError:
        return None
    return logs.about(told, app.serving.user, source_port)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Our login in the app's log; `tainted` where a stranger's words near it could have forged the line."""

    line: str
    tainted: bool


@dataclass(frozen=True, kw_only=True)
class _Unseen:
    """Why our login is not in the app's log; one that is `mute` says nothing at all, neither for a server nor against it."""

    reason: str
    mute: bool


async def _seen_in_log(reader: Reader, app: App, key: MyKey, session: Session, before: str | None) -> _Seen | _Unseen:
    """Wait until the app's log shows this login (home-assistant.md, "Proving who answers"); returns it, or why it does not.

    A client that never logs in can make sshd write line feeds of its choice (seen on OpenSSH 9.2), so a line counts alone
    only where nothing near it can carry a client's words; otherwise the machine's own name must agree.
    """
    if before is None:
        return _Unseen(reason="the app's log could not be read", mute=True)
    ours = keys.fingerprint(str(key.public))
    new: tuple[str, ...] = ()

    def mine(lines: Sequence[logs.Accepted]) -> str | None:
        fitting = [line for line in lines if line.fingerprint == ours and line.user == app.serving.user]
        exact = [line for line in fitting if line.port == session.source_port]
        found = exact or (fitting if len(fitting) == 1 else [])
        return str(found[0].line) if found else None

    said = before

    async def seen() -> _Seen | None:
        nonlocal said, new
        said = await reader.log(app.slug)
        new = logs.new_since(before, said)
        clean, any_line = mine(logs.accepted(new)), mine(logs.logins(new))
        line = clean or any_line
        return _Seen(line=line, tainted=clean is None) if line else None

    try:
        found = await reader.until("the app's log to show this login", seen, limit=5.0)
        if found is None and not said.strip():
            raise _says_nothing(app)
    except HaSshError as error:
        return _Unseen(reason=error.message, mute=True)
    if found is not None:
        return found
    reason = "the app's log shows no login with this key" + ("" if new else ", nor anything else since")
    return _Unseen(reason=reason, mute=not new)


def _options_in(ran: Ran) -> Any:
    """Return the options that a session printed, or `None` where it printed none."""
    if ran.code != 0:
        return None
    try:
        return json.loads(ran.out)
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class Name:
    """The addresses that this computer finds for the name under which SSH is looked for."""

    host: str
    addresses: tuple[str, ...] = field(compare=False)

    @classmethod
    async def look(cls, at: At) -> Self:
        """Look the name up as `ssh` would."""
        host = at.target.ssh_host
        if not host:
            raise CannotLook("it is not known where SSH is", code="no-host")
        return cls(host=host, addresses=await at.reader.addresses(host))

    @property
    def leads_somewhere(self) -> bool:
        """True where an address leads further than one cable, as `fe80::` ones do not unless they name the cable (`%eth0`)."""
        named = "%" in self.host
        return any(named or not address.lower().startswith("fe80:") for address in self.addresses)


@dataclass(frozen=True, kw_only=True)
class SshConfig:
    """What the user's own OpenSSH makes of its configuration: its complaint, or all that `ssh -G` prints for the alias."""

    complaint: Any = ""
    said: Any = field(default_factory=dict, compare=False)
    """Keyword in lower case to its values; for the address where there is no alias."""
    untold: str = ""
    """Why `ssh` cannot be asked (`ssh -G`), where it is too old for that, or no OpenSSH."""
    files: tuple[FileState, ...] = field(default=(), compare=False)
    """The files that it read beside the user's own and ours, in order; where it came to no end, those that it may wait for."""
    trusted: tuple[FileState, ...] = field(default=(), compare=False)
    """The files of host keys that it names, beside the user's own."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Ask `ssh -G`, which opens no connection."""
        computer = await at(Computer)
        if computer.ssh is None:
            raise CannotLook(computer.trouble or _NO_SSH, because="Computer", code="no-ssh-client")
        files = await at(OwnFiles)
        try:
            said = await at.reader.resolve_alias(at.target.alias or at.target.ssh_host or "localhost")
        except HaSshError as error:
            words = error.message.partition("configuration: ")[2] or error.message
            if error.code == "ssh-too-old":
                return cls(untold=words)
            if error.code != "ssh-config-broken":
                raise
            waits = [await at.reader.file(path) for path in sshconfig.included(files.config.text or "", at.target.places.ssh_dir)]
            return cls(complaint="\n".join(line.strip() for line in words.splitlines()), files=tuple(waits))
        own = {files.config.path, files.config.real_path, files.block.path, files.block.real_path}
        read = [await at.reader.file(path) for path in said.files if path not in own]
        named = " ".join(said.get(key, ("",))[0] for key in ("userknownhostsfile", "globalknownhostsfile"))
        others = [path for path in sshconfig.split_args(named) or () if path != files.known_hosts.path]
        trusted = [await at.reader.file(path) for path in dict.fromkeys(others)]
        return cls(said=said, files=tuple(read), trusted=tuple(trusted))


_NO_SSH = "there is no OpenSSH client on this computer"


ALIAS_KEYS = (
    *("hostname", "port", "user", "identityfile", "identitiesonly", "hostkeyalias"),
    *("controlmaster", "localforward", "serveraliveinterval", "setenv", "macs"),
)
"""What of `ssh -G` makes an alias lead to the right place in the right way."""


@dataclass(frozen=True, kw_only=True)
class Alias:
    """What the user's own OpenSSH makes of the alias, and whether it logs in by it."""

    name: str
    resolved: Any
    """The first value of each of `ALIAS_KEYS`, as `ssh -G` prints it; empty where it prints none."""
    patience: ClassVar[float] = 25.0
    login: Any = None
    """An `OwnLogin`, or `None` where the alias does not lead to this house yet."""
    aside: tuple[SetAside, ...] = field(default=(), compare=False)
    """What that login set aside, and over which the user's own `ssh` stumbles."""

    @classmethod
    async def look(cls, at: At) -> Self:
        """Ask `ssh -G`, and log in by the alias where our own file defines it, or where SSH is all that is known."""
        name = at.target.alias or at.target.ssh_url
        if not name:
            raise CannotLook("no alias is chosen", code="no-alias-chosen")
        config = await at(SshConfig)
        if config.complaint:
            raise CannotLook(config.complaint, because="SshConfig", code="ssh-config-broken")
        resolved = {key: config.said.get(key, ("",))[0] for key in ALIAS_KEYS}
        files = await at(OwnFiles)
        if not files.block.exists and name != at.target.ssh_url:
            return cls(name=name, resolved=resolved)
        # After the other login, so that a door that is shut is met once and not twice (sshd punishes probing).
        try:
            doors = (await at(Doors)).by_slug.values()
        except CannotLook:
            return cls(name=name, resolved=resolved)
        if any(_NO_END in door.mute for door in doors):
            return cls(name=name, resolved=resolved)  # it would only wait for what does not come
        untried = any(door.state is DoorState.OPEN and door.admitted is None for door in doors)
        by_its_keys = untried and (name == at.target.ssh_url or await _is_locked(at))
        if not by_its_keys and not any(door.admitted for door in doors):
            return cls(name=name, resolved=resolved)
        identity = at.target.identity if name == at.target.ssh_url else None
        said = config.said if name == at.target.alias or config.untold else None
        login = await at.reader.own_login(name, at.target.passphrase, identity=identity, said=said)
        aside = await at.reader.set_aside(config.said) if login.code == 0 else ()
        return cls(name=name, resolved=resolved, login=login, aside=aside)


async def _is_locked(at: At) -> bool:
    """Return whether our key waits for its passphrase, so that only the user's `ssh`, by an agent, can log in with it."""
    try:
        state = (await at(MyKey)).state
        return state.problem == "locked" or (not state.exists and bool(state.beside))
    except CannotLook:
        return False


ACCESS_FACTS: tuple[type[Any], ...] = (Unfinished, Computer, OwnFiles, MyKey, Core, Supervisor, Apps, Doors, SshConfig, Alias)
"""What every command looks at; a check's `needs` add to it."""
ALWAYS_SO: frozenset[type[Any]] = frozenset({Computer, Core, Name})
"""What no step changes."""
OF_THE_HOUSE: frozenset[type[Any]] = ALWAYS_SO | {Supervisor, Apps, AppLog, Doors}
"""What a change of the user's own files leaves as it is."""


# ------------------------------------------------------------------------------------------------------------- forecast


def after_start(facts: Facts, slug: str, settings: Mapping[str, Any]) -> Facts:
    """Return the facts as they will be once the app runs with these settings (pure; the truth of it is law 1)."""
    apps = facts[Apps].but(slug, settings=settings, state="started")
    app, facts = apps.by_slug[slug], facts.with_(apps).refreshed(slug)
    log = facts.get(AppLog)
    if isinstance(log, AppLog):
        facts = facts.with_(AppLog(lines={**log.lines, slug: Later("the app's log")}))  # type: ignore[dict-item] # of a plan
    if facts.comes(Doors):
        return with_new_login(facts)  # what a connection meets is open already
    doors = facts.get(Doors)
    by_slug = dict(doors.by_slug) if isinstance(doors, Doors) else {}
    old = by_slug.pop(slug, None)
    if app.may_be_visited:
        by_slug[slug] = door = _door_to_come(facts, app, old)
        if door.state is DoorState.OPEN:
            by_slug[slug] = replace(door, running=_as_it_runs(app.settings.get("options")))
    key = facts.get(MyKey)
    found = facts[Apps].by_slug.values()
    tried = _worth_a_try(found, None if isinstance(key, NotKnown) else key, facts.target.identity)
    by_slug = {app.slug: by_slug[app.slug] for app in tried if app.slug in by_slug}
    return with_new_login(facts.with_(Doors(by_slug=by_slug)))


def _as_it_runs(options: Any) -> Any:
    """Return options as the running app will hold them: what a secret stands for, it alone knows."""
    if isinstance(options, Mapping):
        return {key: _as_it_runs(value) for key, value in options.items()}
    if isinstance(options, list | tuple):
        return [_as_it_runs(value) for value in options]
    return Later("what the secret stands for") if isinstance(options, str) and options.startswith("!secret ") else options


def with_key(facts: Facts, key: MyKey) -> Facts:
    """Return the facts as they will be once this key is there: from then on every look tries to log in with it."""
    facts = facts.with_(key)
    doors, apps = facts.get(Doors), facts.get(Apps)
    if isinstance(doors, Doors) and isinstance(apps, Apps):
        coming = {slug: _door_to_come(facts, apps.by_slug[slug], door) for slug, door in doors.by_slug.items()}
        facts = facts.with_(Doors(by_slug=coming))
    return with_new_login(facts)


def with_new_login(facts: Facts) -> Facts:
    """Return the facts with the outcome of the alias's login open again."""
    if facts.comes(Alias) or facts.comes(OwnFiles):
        return facts
    alias, files = facts.get(Alias), facts.get(OwnFiles)
    if isinstance(alias, Alias) and isinstance(files, OwnFiles) and files.block.exists:
        return facts.with_(replace(alias, login=Later("the login by the alias")))
    return facts


_NO_WAY_THERE = frozenset({DoorState.UNRESOLVED, DoorState.UNREACHABLE})
"""What a connection meets on its way, whatever the app does."""


def _leads_nowhere(facts: Facts) -> bool:
    name = facts.get(Name)
    return isinstance(name, Name) and not name.leads_somewhere


def _door_to_come(facts: Facts, app: App, old: Door | None) -> Door:
    """Foresee what a connection will meet once the app has (re)started, or once there is a key to try."""
    if old is not None and isinstance(old.state, DoorState) and old.state in _NO_WAY_THERE:
        return old
    key = facts.get(MyKey)
    admitted = None
    if isinstance(key, MyKey) and (isinstance(key.public, Later) or (key.usable and key.public is not None)):
        admitted = holds_key(app.serving.keys, key.public, facts.target.identity)
    silent = old is not None and (old.state is DoorState.TIMEOUT or isinstance(old.admitted, Later))
    door = Door(
        host=facts.target.ssh_host,
        port=int(app.serving.port or 0),
        state=Later("what the connection meets"),
        message=Later("its words"),
        banner=Later("the server's version"),
        methods=Later("the ways to log in"),
        admitted=admitted,
        app_saw=Later("whether the app saw the attempt"),
        host_keys=Later("the server's host keys"),
    )
    if admitted is not True:
        return door
    session = replace(
        door,
        proof=Later("the proof of who answers"),
        running=Later("the options it runs with"),
        ha=Later("the answer of `ha info`"),
        ha_said=Later("the answer of `ha info`"),
        inside=Later("what the session shows"),
    )
    if silent or _leads_nowhere(facts):
        return replace(session, admitted=Later("whether the key is admitted"))
    kept = old is not None and isinstance(old.proof, Proof)
    host_keys = old.host_keys if old is not None and kept else door.host_keys
    return replace(session, state=DoorState.OPEN, message="", app_saw=None, host_keys=host_keys)


def holds_key(entries: Sequence[Any], public: Any, identity: str | None) -> bool:
    """Return whether the authorised entries admit our key, also one that is still to be made."""
    for entry in entries:
        if isinstance(entry, PublicKeyOf):
            if entry.identity == identity:
                return True
        elif isinstance(entry, str) and isinstance(public, str) and keys.admits(entry, public):
            return True
    return False


def matches(expected: Any, actual: Any) -> bool:
    """Return whether what was expected came true; a `Later` matches anything, a key to be made matches the made one."""
    if isinstance(expected, Later):
        return True
    if isinstance(expected, PublicKeyOf):
        return isinstance(actual, str) and keys.first_key(actual) is not None
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and expected.keys() == actual.keys()
            and all(matches(expected[k], actual[k]) for k in expected)
        )
    if isinstance(expected, list | tuple):
        return isinstance(actual, list | tuple) and len(expected) == len(actual) and all(map(matches, expected, actual))
    if hasattr(expected, "__dataclass_fields__"):
        compared = [name for name, one in expected.__dataclass_fields__.items() if one.compare]
        return type(expected) is type(actual) and all(
            matches(getattr(expected, name), getattr(actual, name)) for name in compared
        )
    return bool(expected == actual)
