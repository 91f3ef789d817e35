"""A Home Assistant with Supervisor that is not there: its state, its knobs and its answers, pure but for a clock.

Settings are saved and running: what is saved takes effect when the app starts. Answers, messages and shapes are those of
Core 2026.11.0 and its Supervisor as recorded in `tests/recorded`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import hashlib
import heapq
import hmac
import itertools
import re
import secrets
import struct
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ha_ssh.core.model import DoorState
from ha_ssh.sim import answers
from ha_ssh.sim.apps import KINDS, MOSQUITTO, PORT, AppKind, Boot, PublicKey, Sshd, Surroundings, public_key
from ha_ssh.sim.keys import RealKeys
from ha_ssh.sim.schema import Unfit, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ha_ssh.core.model import Clock
    from ha_ssh.sim.keys import HostKey, KeyMaker

TERMINALS = ("ansi", "dumb", "linux", "screen", "screen-256color", "tmux", "tmux-256color", "vt100", "xterm", "xterm-256color")
"""The terminals that an app's image knows."""
CLIENT_IP = "192.168.1.50"
"""The address from which logins come unless another is named."""


class Refusal(Exception):
    """The Supervisor's (or Core's) no: its words, the HTTP status, and the code that Core gives it."""

    def __init__(self, message: str, status: int = 400, *, code: str = "unknown_error") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code


class Dropped(Exception):
    """The connection ended without an answer; `sent` is false where the request never went out."""

    def __init__(self, *, sent: bool = True) -> None:
        super().__init__("the connection was lost" if sent else "the connection was refused")
        self.sent = sent


class VirtualClock:
    """A clock whose sleep passes at once, yielding once to the loop; what is due on the way happens in order."""

    def __init__(self, start: str = "2026-11-23T12:00:00+00:00") -> None:
        self._start = datetime.fromisoformat(start)
        self._now = 1000.0
        self._listeners: list[Callable[[float], None]] = []

    def now(self) -> float:
        """Seconds that only ever grow."""
        return self._now

    def date(self) -> str:
        """The wall clock in ISO 8601, UTC."""
        return (self._start + timedelta(seconds=self._now - 1000.0)).astimezone(UTC).isoformat(timespec="seconds")

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._now += max(0.0, seconds)
        for listener in self._listeners:
            listener(self._now)

    def on_advance(self, listener: Callable[[float], None]) -> None:
        """Call `listener` with the new time whenever time has passed."""
        self._listeners.append(listener)

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once and give others a turn."""
        self.advance(seconds)
        await asyncio.sleep(0)


class WallClock:
    """The real time."""

    def now(self) -> float:
        """Seconds that only ever grow."""
        return asyncio.get_running_loop().time()

    def date(self) -> str:
        """The wall clock in ISO 8601, UTC."""
        return datetime.now(UTC).isoformat(timespec="seconds")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


# ---------------------------------------------------------------------------------------------------------------- knobs


@dataclass
class Fault:
    """A misbehaviour of one call: the `nth` whose "METHOD endpoint" matches.

    `when`: `unreachable` (nothing was sent), `before` (the socket drops, nothing happened), `after` (the effect is there, the
    answer lost), `later` (the answer lost, the effect comes `seconds` later), `timeout` (an empty refusal, the effect comes
    `seconds` later), `refuse` (the words of `message`).
    """

    match: str
    nth: int = 1
    when: str = "before"
    message: str = ""
    status: int = 400
    seconds: float = 5.0
    seen: int = 0


@dataclass
class Knobs:
    """How the house misbehaves; the defaults are a well-behaved house without delays."""

    install_seconds: float = 0.0
    start_seconds: float = 0.0
    restart_seconds: float = 0.0
    stop_seconds: float = 0.0
    dies_after: float = 1.0
    """Seconds after which an app with bad settings is in state `error`."""
    supervisor_state: str = "running"
    """`initialize`, `setup`, `startup`, `running`, `freeze`, `shutdown`, `stopping` or `close`."""
    core_down: bool = False
    """Core does not answer (restarting)."""
    no_supervisor: bool = False
    apps_paths: bool = False
    """A coming release whose paths say `apps` where they said `addons`."""
    old_supervisor: bool = False
    """A release that answers an error for the info of an app that is not installed, and says `Addon` for `App`."""
    refuse: list[tuple[str, str]] = field(default_factory=list)
    """("METHOD endpoint" regex, message): answered with that refusal, always."""
    faults: list[Fault] = field(default_factory=list)
    port_taken: set[int] = field(default_factory=set)
    """Ports of the host that something else holds."""
    options_refused: str | None = None
    """The reason with which every change of options is refused."""
    store_empty: bool = False
    offline: bool = False
    """The house has no internet."""
    disk_free: float = 74.8
    """Gigabytes; below 2 nothing can be installed."""
    unhealthy: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    update_needed: bool = False
    """The Supervisor insists on its own update first."""
    door: str = ""
    """Who answers on the SSH ports; empty for the apps themselves.

    `impostor` (another server: every login succeeds, the app's log shows nothing), `forger` (an impostor that makes the app's log
    show the very line of a login, by a farewell with line feeds in it), `stranger` (another server that admits nobody); else a
    `DoorState`, such as `not-ssh` or `timeout`, which every connection there meets.
    """
    too_new: bool = False
    """What a hardened app offers, no client knows."""
    keys_in_vain: bool = False
    """The apps' own servers refuse every key, for no reason that anybody can see."""
    penalties: bool = True
    """sshd's PerSourcePenalties."""
    sshd_gone: set[str] = field(default_factory=set)
    """Apps (slugs) that run while their sshd is dead: connections end before a banner."""
    mute_logs: bool = False
    """The logs of apps come empty."""
    nat: bool = False
    """An address translation stands between: the house sees other source ports than the client."""
    ha_fails: bool = False
    """`ha` has no token in an SSH session."""
    ha_hangs: bool = False
    """`ha` comes to no end in a session."""
    ha_needs_login: bool = False
    """Only login shells have the token, as in old versions of the apps."""
    banner: str = "SSH-2.0-OpenSSH_10.0"
    """How the server behind the SSH ports introduces itself."""
    vain_password: bool = False
    """The servers offer `keyboard-interactive` although no password opens the door."""
    old_folders: bool = False
    """The configuration is `/config` in the containers, as before 2023."""
    sftp_broken: bool = False
    """SFTP does not open, whatever the settings say."""
    without: set[str] = field(default_factory=set)
    """Programs that the containers lack."""
    terminals: set[str] = field(default_factory=lambda: set(TERMINALS))
    """The terminals that the containers know."""
    front: str = ""
    """What stands in the way to Core: `untrusted-proxy`, `no-websocket`, `timed-out` (nobody answers), or `tls-self-signed` (a
    certificate that nobody vouches for)."""
    store_corrupt: bool = False
    """A repository of the store is damaged: the store is empty until the Supervisor follows its own suggestion."""
    store_stale: bool = False
    """The store is empty until it is reloaded."""
    mirrors_down: bool = False
    """Extra packages cannot be fetched, though the internet is there."""
    image_broken: set[str] = field(default_factory=set)
    """Apps (slugs) whose image is damaged until the Supervisor repairs it."""
    data_damaged: set[str] = field(default_factory=set)
    """Apps whose own data folder cannot be written, as after an odd restore."""
    dies_silently: set[str] = field(default_factory=set)
    """Apps whose container ends before it has logged anything."""
    arch: str = "aarch64"
    """The processor of the machine."""
    cgnat: bool = False
    """The house has an address that its internet provider shares among customers."""
    silent: set[str] = field(default_factory=set)
    """Requests (paths) whose answer leaves every field empty, as an older Supervisor may."""
    disk_worn: int | None = None
    """How much of the disk's life is used up, in percent."""


# -------------------------------------------------------------------------------------------------------------- people


@dataclass
class User:
    """Somebody who may sign in to Core."""

    id: str
    name: str
    username: str
    password: str = field(repr=False)
    is_admin: bool = True
    is_owner: bool = False
    totp_secret: str | None = field(default=None, repr=False)
    """Base32; two-factor sign-in is on where it is set."""


@dataclass
class Token:
    """An access token, long-lived or of a session."""

    text: str = field(repr=False)
    user: User
    name: str = ""
    client_id: str = ""
    refresh: str | None = field(default=None, repr=False)
    """The refresh token it came from."""
    expires: float | None = None
    """By the house's clock; `None` for never."""


# ---------------------------------------------------------------------------------------------------------------- apps


@dataclass(frozen=True)
class Running:
    """The settings that an app took up at its last start; `options` as in its `/data/options.json`, secrets looked up."""

    options: dict[str, Any]
    network: dict[str, int | None]
    sshd: Sshd | None
    since: float


@dataclass(frozen=True)
class Login:
    """An attempt to log in, as the app saw it."""

    slug: str
    user: str
    source_ip: str
    source_port: int
    accepted: bool
    key: PublicKey | None = None
    line: str = ""
    """The log line that tells the outcome; empty where the log shows nothing."""


@dataclass
class App:
    """An app of the house: SAVED settings as plain attributes, the RUNNING ones in `running`."""

    kind: AppKind
    installed: bool = False
    version: str | None = None
    version_latest: str = ""
    available: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    network: dict[str, int | None] = field(default_factory=dict)
    boot: str = "auto"
    boot_config: str = "auto"
    """What its configuration says of `boot`; `manual_only` lets nobody change it."""
    watchdog: bool = False
    auto_update: bool = False
    protected: bool = True
    detached: bool = False
    hidden: bool = False
    """Shown in the store only in the advanced mode."""
    role: str = ""
    """What it may do at the Supervisor; empty for what its configuration says."""
    state: str = "unknown"
    running: Running | None = None
    log: list[str] = field(default_factory=list)
    kept_keys: str | None = None
    """The `authorized_keys` file that persists in `/data/.ssh`."""
    host_keys: tuple[HostKey, ...] = ()
    """Made by the first start; they live in `/data`."""
    sessions: list[Login] = field(default_factory=list)
    """Logins that are open now."""
    starts: int = 0

    @property
    def slug(self) -> str:
        """The app's slug."""
        return self.kind.slug

    @property
    def port(self) -> int | None:
        """The SAVED SSH port on the host."""
        return self.network.get(PORT)

    @property
    def sshd(self) -> Sshd | None:
        """The SSH server that runs now."""
        return self.running.sshd if self.running is not None else None


@dataclass(order=True)
class _Due:
    at: float
    number: int
    effect: Callable[[], None] = field(compare=False)


@dataclass
class _Penalty:
    until: float = 0.0
    shut: bool = False


@dataclass(frozen=True)
class _Action:
    """What a call will do: at once, or after `seconds` as the job `job` of an app."""

    apply: Callable[[], Any]
    seconds: float = 0.0
    job: str = ""
    slug: str = ""


class House:
    """The state of a simulated Home Assistant with Supervisor."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        keys: KeyMaker | None = None,
        knobs: Knobs | None = None,
        address: str = "192.168.1.20",
        hostname: str = "homeassistant",
    ) -> None:
        self.clock: Clock = VirtualClock() if clock is None else clock
        self.keys: KeyMaker = RealKeys() if keys is None else keys
        self.knobs = Knobs() if knobs is None else knobs
        self.core_version = "2026.11.0"
        self.supervisor_version = "2026.11.0"
        self.core_port = 8123
        self.name = "Home"
        self.address = address
        self.hostname = hostname
        self.uuid = secrets.token_hex(16)
        self.machine_id = str(uuid.uuid4())
        self.onboarded = True
        self.components = ["api", "auth", "config", "frontend", "hassio", "homeassistant", "http", "onboarding", "websocket_api"]
        self.security = {"pwned": True, "force_security": False}
        self.issues: list[dict[str, Any]] = []
        self.suggestions: list[dict[str, Any]] = []
        self.jobs: list[dict[str, Any]] = []
        """The jobs that run now."""
        self.secrets: dict[str, str] = {}
        """The names in `secrets.yaml` with their values."""
        self.supervisor_log: list[str] = []

        self.users: list[User] = []
        self.tokens: dict[str, Token] = {}
        """Access tokens by their text."""
        self.refresh_tokens: dict[str, Token] = {}
        self.ban_after: int | None = None
        """Failed sign-ins after which an address is banned; `None` for never."""
        self.failed_sign_ins: Counter[str] = Counter()
        self.owner = self.add_user("Owner", "owner", is_owner=True)
        self.guest = self.add_user("Guest", "guest", is_admin=False)
        self.admin_token = self.add_token(self.owner, name="admin").text
        self.guest_token = self.add_token(self.guest, name="guest").text

        self._subscribers: list[Callable[[dict[str, Any]], None]] = []
        self._due: list[_Due] = []
        self._numbers = itertools.count(1)
        self._moment: float | None = None
        self._penalties: dict[str, _Penalty] = {}
        self._shut_until = 0.0
        self._foreign_keys: tuple[HostKey, ...] = ()
        self._busy: dict[str, str] = {}
        self._rescheduled = asyncio.Event()
        if isinstance(self.clock, VirtualClock):
            self.clock.on_advance(lambda _now: self.tick())
        self.apps: dict[str, App] = {kind.slug: App(kind, version_latest=kind.version) for kind in KINDS}
        self.install_now(MOSQUITTO.slug)
        self.start_now(MOSQUITTO.slug)

    # -------------------------------------------------------------------------------------------------------- people

    def add_user(
        self, name: str, username: str, *, is_admin: bool = True, is_owner: bool = False, totp_secret: str | None = None
    ) -> User:
        """Add somebody with a random password."""
        user = User(
            id=secrets.token_hex(16),
            name=name,
            username=username,
            password=secrets.token_urlsafe(12),
            is_admin=is_admin,
            is_owner=is_owner,
            totp_secret=totp_secret,
        )
        self.users.append(user)
        return user

    def add_token(
        self, user: User, *, name: str = "", client_id: str = "", lifetime: float | None = None, refresh: str | None = None
    ) -> Token:
        """Make an access token; long-lived names are unique per user, as in Core."""
        if name and any(token.name == name and token.user is user for token in self.tokens.values()):
            raise Refusal("Unknown error", 500)
        text = ".".join(secrets.token_urlsafe(size) for size in (27, 90, 32))
        expires = None if lifetime is None else self.clock.now() + lifetime
        token = Token(text=text, user=user, name=name, client_id=client_id, refresh=refresh, expires=expires)
        self.tokens[text] = token
        return token

    def add_session(self, user: User, client_id: str, *, lifetime: float = 1800.0) -> Token:
        """Sign somebody in: an access token of half an hour with its refresh token."""
        refresh = secrets.token_hex(64)
        self.refresh_tokens[refresh] = Token(text=refresh, user=user, client_id=client_id)
        return self.add_token(user, client_id=client_id, lifetime=lifetime, refresh=refresh)

    def refresh(self, refresh: str, client_id: str, *, lifetime: float = 1800.0) -> Token:
        """A new access token for a refresh token; raises `Refusal` where it was revoked or belongs to another client."""
        known = self.refresh_tokens.get(refresh)
        if known is None:
            raise Refusal("invalid_grant", 400)
        if known.client_id != client_id:
            raise Refusal("invalid_request", 400)
        return self.add_token(known.user, client_id=client_id, lifetime=lifetime, refresh=refresh)

    def revoke(self, token: str) -> None:
        """End a session by its refresh token, or a token by itself; unknown ones are no fault."""
        self.refresh_tokens.pop(token, None)
        for text in [text for text, each in self.tokens.items() if text == token or each.refresh == token]:
            del self.tokens[text]

    def token(self, text: str) -> Token | None:
        """The token with that text, if it is valid now."""
        found = self.tokens.get(text)
        if found is None or (found.expires is not None and found.expires <= self.clock.now()):
            return None
        return found

    def user_named(self, username: str, password: str) -> User | None:
        """Whoever has that name and password."""
        found = next((user for user in self.users if user.username == username.strip().casefold()), None)
        return found if found is not None and secrets.compare_digest(found.password.encode(), password.encode()) else None

    def code_is_right(self, user: User, code: str) -> bool:
        """Say whether a TOTP code is the one of now, or of half a minute before or after."""
        if user.totp_secret is None:
            return True
        now = datetime.fromisoformat(self.clock.date()).timestamp()
        return any(secrets.compare_digest(totp(user.totp_secret, now + shift), code.strip()) for shift in (-30, 0, 30))

    def failed_sign_in(self, address: str) -> None:
        """Count a failed sign-in from an address."""
        self.failed_sign_ins[address] += 1

    def banned(self, address: str) -> bool:
        """Say whether Core answers 403 to everything from an address."""
        return self.ban_after is not None and self.failed_sign_ins[address] >= self.ban_after

    # ---------------------------------------------------------------------------------------------------------- time

    def subscribe(self, callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Be told every event of the Supervisor (`{"event": "job"|"addon", ...}`); returns what ends it."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _tell(self, event: dict[str, Any]) -> None:
        for callback in list(self._subscribers):
            callback(copy.deepcopy(event))

    def later(self, seconds: float, effect: Callable[[], None]) -> None:
        """Let something happen `seconds` from now."""
        start = self.clock.now() if self._moment is None else self._moment
        heapq.heappush(self._due, _Due(start + seconds, next(self._numbers), effect))
        self._rescheduled.set()

    def tick(self) -> None:
        """Let happen what is due."""
        if self._moment is not None:
            return
        try:
            while self._due and self._due[0].at <= self.clock.now():
                due = heapq.heappop(self._due)
                self._moment = due.at
                due.effect()
        finally:
            self._moment = None

    def settle(self) -> None:
        """Let virtual time pass until nothing is pending."""
        if not isinstance(self.clock, VirtualClock):
            raise TypeError("only a virtual clock can be moved; await settled()")
        while self._due:
            self.clock.advance(max(0.0, self._due[0].at - self.clock.now()))

    async def settled(self) -> None:
        """Wait until nothing is pending, by whatever clock there is."""
        while self._due:
            await self.clock.sleep(max(0.0, self._due[0].at - self.clock.now()))
            self.tick()

    async def keep_time(self) -> None:
        """Let what is due happen when it is due, for ever; servers on a real clock run this beside them."""
        while True:
            self.tick()
            self._rescheduled.clear()
            pause = max(0.0, self._due[0].at - self.clock.now()) if self._due else 3600.0
            woken = asyncio.ensure_future(self._rescheduled.wait())
            slept = asyncio.ensure_future(self.clock.sleep(pause))
            try:
                await asyncio.wait({woken, slept}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                woken.cancel()
                slept.cancel()

    # ---------------------------------------------------------------------------------------------------------- apps

    def app(self, slug: str) -> App:
        """An app by its slug; raises `Refusal` in the Supervisor's words where there is none."""
        if slug not in self.apps:
            raise Refusal(f"{self._app_word} {slug} does not exist", 404)
        return self.apps[slug]

    @property
    def _app_word(self) -> str:
        return "Addon" if self.knobs.old_supervisor else "App"

    def install_now(self, slug: str) -> None:
        """Install an app at once, with its default settings."""
        app = self.app(slug)
        app.installed = True
        app.version = app.version_latest
        app.options = copy.deepcopy(dict(app.kind.options))
        app.network = dict(app.kind.ports)
        app.boot, app.watchdog, app.auto_update, app.protected = "auto", False, False, True
        self._becomes(app, "stopped")

    def uninstall_now(self, slug: str) -> None:
        """Take an app away at once, with all it kept."""
        app = self.app(slug)
        self.stop_now(slug)
        self.apps[slug] = App(app.kind, version_latest=app.version_latest, available=app.available)

    def start_now(self, slug: str) -> None:
        """Start an app at once: it takes up its saved settings. Starting one that runs does nothing."""
        app = self.app(slug)
        if app.state in {"started", "startup"}:
            return
        self._publish(app)
        number = app.starts = app.starts + 1
        self.knobs.sshd_gone.discard(slug)
        options = copy.deepcopy(self._resolved(app.options))
        if slug in self.knobs.dies_silently:
            self._becomes(app, "started")
            self.later(self.knobs.dies_after, lambda: self._die(slug, number, silently=True))
            return
        boot = self._booted(app, options)
        app.log.append("s6-rc: info: service s6rc-oneshot-runner: starting")
        app.kept_keys = boot.kept_keys
        if boot.host_keys and not app.host_keys:
            app.host_keys = tuple(self.keys.make(kind) for kind in app.kind.host_keys)
            app.log.extend(self._host_key_lines(app))
        app.log.extend(self._stamped(line) for line in boot.log)
        app.running = Running(options, dict(app.network), boot.sshd, self.clock.now())
        self._becomes(app, "started")
        if boot.failed:
            self.later(self.knobs.dies_after, lambda: self._die(slug, number))

    def _booted(self, app: App, options: dict[str, Any]) -> Boot:
        """What a start of an app comes to."""
        failures = {
            "exec /init: exec format error": self.knobs.image_broken,
            "FATAL: Failed to create a persistent .ssh folder": self.knobs.data_damaged,
        }
        for line, slugs in failures.items():
            if app.slug in slugs:
                return Boot(log=(line,), kept_keys=app.kept_keys, failed=True)
        if app.kind.start is None:
            return Boot(log=(), kept_keys=app.kept_keys)
        around = Surroundings(
            port=app.port,
            kept_keys=app.kept_keys,
            online=not (self.knobs.offline or self.knobs.mirrors_down),
            taken=frozenset(self.ports_in_use(but=app.slug)),
        )
        return app.kind.start(options, around)

    def stop_now(self, slug: str) -> None:
        """Stop an app at once; its open sessions end."""
        app = self.app(slug)
        if app.running is not None and app.running.sshd is not None:
            app.log.append("Received signal 15; terminating.")
        app.running = None
        app.sessions.clear()
        if app.installed and app.state not in {"stopped", "unknown"}:
            self._becomes(app, "stopped")

    def restart_now(self, slug: str) -> None:
        """Stop and start an app at once."""
        self.stop_now(slug)
        self.start_now(slug)

    def save(self, slug: str, data: Mapping[str, Any]) -> None:
        """Save settings as POST `/addons/<slug>/options` does; raises `Refusal`."""
        app = self.app(slug)
        changes = self._checked(app, data)
        for name, value in changes.items():
            setattr(app, name, value)

    def _checked(self, app: App, data: Mapping[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for key, value in data.items():
            where = f"data['{key}']. Got {value!r}"
            if key == "boot":
                if value not in ("auto", "manual"):
                    raise Refusal(f"expected {self._app_word}Boot or one of 'auto', 'manual' for dictionary value @ {where}")
                if app.boot_config == "manual_only":
                    word = f"{self._app_word} {app.slug}"
                    raise Refusal(f"{word} boot option is set to {app.boot_config} so it cannot be changed")
            elif key in {"watchdog", "auto_update", "ingress_panel"}:
                if not isinstance(value, bool):
                    raise Refusal(f"expected boolean for dictionary value @ {where}")
            elif key == "network":
                value = self._checked_network(app, value)
            elif key == "options":
                value = self._checked_options(app, value)
            elif key in {"audio_input", "audio_output"}:
                continue
            else:
                raise Refusal(f"extra keys not allowed @ {where}")
            if key != "ingress_panel":
                changes[key] = value
        return changes

    def _checked_network(self, app: App, value: Any) -> dict[str, int | None]:
        if value is None:
            return dict(app.kind.ports)
        if not isinstance(value, dict):
            raise Refusal(f"expected a dictionary for dictionary value @ data['network']. Got {value!r}")
        for name, port in value.items():
            if re.fullmatch(r"\d+(?:/tcp|/udp)?", str(name)) is None:
                raise Refusal(f"does not match regular expression ^\\d+(?:/tcp|/udp)?$ @ data['network'][{name!r}]. Got {name!r}")
            if port is not None and not (isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= 65535):
                raise Refusal(f"not a valid value for dictionary value @ data['network'][{name!r}]. Got {port!r}")
        return {name: port for name, port in value.items() if name in app.kind.ports}

    def _checked_options(self, app: App, value: Any) -> dict[str, Any]:
        if value is None:
            return copy.deepcopy(dict(app.kind.options))
        problem = self.knobs.options_refused or None
        if problem is None:
            try:
                return self._conform(app, value)
            except Unfit as unfit:
                problem = str(unfit)
        raise Refusal(f"{self._app_word} {app.slug} has invalid options: {problem}. Got {value}")

    def _conform(self, app: App, value: Any) -> dict[str, Any]:
        where = f"{app.kind.name} ({app.slug})"
        if not isinstance(value, dict):
            raise Unfit("expected dict")
        return fit(app.kind.schema, value, "root", where, self.secrets)

    def _resolved(self, value: Any) -> Any:
        """Options with their `!secret` references looked up, as an app sees them."""
        if isinstance(value, dict):
            return {key: self._resolved(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._resolved(each) for each in value]
        if isinstance(value, str) and value.startswith("!secret "):
            return self.secrets.get(value.partition(" ")[2], value)
        return value

    def ports_in_use(self, *, but: str = "") -> set[int]:
        """The host's ports that are taken by Core, something foreign, or another running app."""
        taken = {self.core_port, *self.knobs.port_taken}
        for app in self.apps.values():
            if app.slug == but or app.running is None:
                continue
            if app.kind.host_network:
                taken |= {app.running.sshd.port} if app.running.sshd else set()
            else:
                taken |= {port for port in app.running.network.values() if port is not None}
        return taken

    def _publish(self, app: App) -> None:
        """Let Docker map the app's ports; raises `Refusal` and raises an issue where one is taken."""
        if app.kind.host_network:
            return
        taken = self.ports_in_use(but=app.slug)
        for port in app.network.values():
            if port in taken:
                self._becomes(app, "error")
                self.issues = [
                    each for each in self.issues if (each["type"], each["reference"]) != ("app_port_conflict", app.slug)
                ]
                self.issues.append(
                    {
                        "uuid": secrets.token_hex(16),
                        "type": "app_port_conflict",
                        "context": "addon",
                        "reference": app.slug,
                        "reference_extra": {"port": port},
                    }
                )
                word = "addon" if self.knobs.old_supervisor else "app"
                raise Refusal(f"Cannot start {word} {app.slug} because port {port} is already in use")
        self.issues = [each for each in self.issues if (each["type"], each["reference"]) != ("app_port_conflict", app.slug)]

    def _die(self, slug: str, number: int, *, silently: bool = False) -> None:
        app = self.apps[slug]
        if app.starts == number and app.state == "started":
            app.running = None
            app.sessions.clear()
            if silently:
                self.supervisor_log.append(
                    f"{self.clock.date()} WARNING (MainThread) [supervisor.docker.monitor] "
                    f"App {slug} exited with non-zero exit code 137"
                )
            else:
                app.log.append("s6-rc: warning: unable to start service legacy-cont-init: command exited 1")
            self._becomes(app, "error")

    def _becomes(self, app: App, state: str) -> None:
        if app.state != state:
            app.state = state
            self._tell({"event": "addon", "data": {"slug": app.slug, "state": state}, "slug": app.slug, "state": state})

    def _stamped(self, line: str) -> str:
        word = line.split(":", 1)[0]
        return f"[{self.clock.date()[11:19]}] {line}" if word in {"INFO", "NOTICE", "WARNING", "FATAL", "ERROR"} else line

    def _host_key_lines(self, app: App) -> list[str]:
        if not app.kind.says_host_keys:
            return [self._stamped("INFO: Generating host keys...")]
        lines = []
        for key in app.host_keys:
            parsed = public_key(key.public)
            if parsed is None:
                continue
            lines += [
                self._stamped(f"NOTICE: {parsed.short} host key missing, generating one..."),
                f"Generating public/private {key.kind} key pair.",
                "The key fingerprint is:",
                f"{parsed.fingerprint} root@{app.slug.replace('_', '-')}",
            ]
        return lines

    def log_text(self, slug: str) -> str:
        """The log of an app (or of the `supervisor`) as the API gives it; raises `Refusal` where it is not installed."""
        self.tick()
        if slug == "supervisor":
            return "".join(f"{line}\n" for line in self.supervisor_log)
        app = self.app(slug)
        if not app.installed:
            raise Refusal(f"{self._app_word} is not installed")
        return "" if self.knobs.mute_logs else "".join(f"{line}\n" for line in app.log)

    # ----------------------------------------------------------------------------------------------------------- ssh

    @property
    def foreign(self) -> bool:
        """True while another SSH server answers on the ports of the apps."""
        return self.knobs.door in {"impostor", "forger", "stranger"}

    def serving(self, slug: str) -> int | None:
        """The host's port on which the app's SSH server listens now, or `None`."""
        self.tick()
        sshd = self.app(slug).sshd
        return None if sshd is None or slug in self.knobs.sshd_gone else sshd.port

    def slug_at(self, port: int) -> str | None:
        """The app whose SSH server listens on a port of the host."""
        return next((slug for slug in self.apps if self.serving(slug) == port), None)

    def bound_to(self, port: int) -> str | None:
        """The app whose server was started on a port of the host, whoever answers there now."""
        return next((app.slug for app in self.apps.values() if app.sshd is not None and app.sshd.port == port), None)

    def methods(self, slug: str) -> tuple[str, ...]:
        """The ways to authenticate that the running server offers."""
        sshd = self.app(slug).sshd
        if self.foreign:
            return ("publickey", "password")
        if sshd is None:
            return ()
        vain = ("keyboard-interactive",) if self.knobs.vain_password else ()
        return ("publickey", *vain) if sshd.password is None else ("publickey", "password", *vain)

    @property
    def banner(self) -> str:
        """How the server behind the SSH ports introduces itself."""
        return self.knobs.banner

    def host_keys(self, slug: str) -> tuple[HostKey, ...]:
        """The host keys that a connection meets: the app's, or those of whoever stands in its place."""
        if not self.foreign:
            return self.app(slug).host_keys
        if not self._foreign_keys:
            self._foreign_keys = (self.keys.make("ed25519"),)
        return self._foreign_keys

    def new_host_keys(self, slug: str) -> None:
        """Give an app other host keys, as a reinstallation does."""
        app = self.app(slug)
        app.host_keys = tuple(self.keys.make(kind) for kind in app.kind.host_keys)

    def door_at(self, port: int, *, source_ip: str = CLIENT_IP) -> DoorState:
        """What a connection to a port of the host meets now."""
        self.tick()
        bound = self.bound_to(port) is not None
        if bound and self.knobs.door and not self.foreign:
            return DoorState(self.knobs.door)
        if bound and self.foreign:
            return DoorState.OPEN
        if (slug := self.slug_at(port)) is not None:
            sshd = self.app(slug).sshd
            if self.knobs.too_new and sshd is not None and sshd.hardened:
                return DoorState.NO_COMMON
            return DoorState.RESET if self.penalised(source_ip) else DoorState.OPEN
        if bound:
            return DoorState.RESET
        return DoorState.NOT_SSH if port in self.ports_in_use() else DoorState.REFUSED

    def door(self, slug: str, *, source_ip: str = CLIENT_IP) -> DoorState:
        """What a connection to the app's SAVED port meets now."""
        port = self.app(slug).port
        return DoorState.REFUSED if port is None else self.door_at(port, source_ip=source_ip)

    def admits(
        self, slug: str, user: str, *, key_line: str | None = None, password: str | None = None, source_ip: str = CLIENT_IP
    ) -> bool:
        """Say whether the RUNNING app lets somebody in."""
        if self.foreign:
            return self.app(slug).sshd is not None and self.knobs.door != "stranger"
        sshd = self.app(slug).sshd
        if self.serving(slug) is None or sshd is None or user != sshd.user:
            return False
        key = None if key_line is None else public_key(key_line)
        if key is not None and not self.knobs.keys_in_vain and sshd.entry_for(key, source_ip, self.clock.date()[:10]) is not None:
            return True
        return password is not None and sshd.password is not None and password == sshd.password

    def login(
        self,
        slug: str,
        user: str,
        *,
        key_line: str | None = None,
        password: str | None = None,
        source_ip: str = CLIENT_IP,
        source_port: int = 0,
    ) -> Login:
        """Try to log in: the app's log tells it, and sshd counts failures. An accepted login stays open until `logout`."""
        app = self.app(slug)
        accepted = self.admits(slug, user, key_line=key_line, password=password, source_ip=source_ip)
        key = None if key_line is None else public_key(key_line)
        port = source_port or secrets.randbelow(20000) + 40000
        if self.foreign:
            if self.knobs.door == "forger" and key is not None:
                lie = f"Accepted publickey for {user} from {source_ip} port {port} ssh2: {key.short} {key.fingerprint}"
                app.log += ["Received disconnect from 192.168.1.66 port 40666:11: bye", lie, "bye [preauth]"]
            return Login(slug, user, source_ip, port, accepted, key)
        lines = self._login_lines(app, user, key, accepted, f"{source_ip} port {port}", by_password=password is not None)
        app.log.extend(lines)
        login = Login(slug, user, source_ip, port, accepted, key, next((line for line in lines if "Accepted" in line), ""))
        if accepted:
            app.sessions.append(login)
        else:
            self.penalise(source_ip, 5.0)
        return login

    def _login_lines(
        self, app: App, user: str, key: PublicKey | None, accepted: bool, source: str, *, by_password: bool
    ) -> list[str]:
        sshd = app.sshd
        if sshd is None or app.slug in self.knobs.sshd_gone:
            return []
        lines: list[str] = []
        method = "publickey" if key is not None else "password"
        tail = f" ssh2: {key.short} {key.fingerprint}" if key is not None else " ssh2"
        if sshd.verbose:
            lines.append(f'Connection from {source} on {self.address} port {sshd.port} rdomain ""')
        if user != sshd.user:
            unlisted = user == "root"
            lines.append(
                f"User root from {source.split()[0]} not allowed because not listed in AllowUsers"
                if unlisted
                else f"Invalid user {user} from {source}"
            )
            if by_password:
                lines.append(f"Failed password for invalid user {user} from {source} ssh2")
            return [*lines, f"Connection closed by {'authenticating' if unlisted else 'invalid'} user {user} {source} [preauth]"]
        if accepted:
            opened = None if key is None else sshd.entry_for(key, source.split()[0], self.clock.date()[:10])
            if sshd.verbose and opened is not None and key is not None:
                lines.append(f"Accepted key {key.short} {key.fingerprint} found at {opened[0]}:{opened[1]}")
            if opened is None:
                method, tail = "password", " ssh2"
            return [*lines, f"Accepted {method} for {user} from {source}{tail}"]
        if key is not None and key in sshd.listed() and not self.knobs.keys_in_vain:
            where = f"(host={source.split()[0]}, ip={source.split()[0]})"
            lines.append(f"Authentication tried for {user} with correct key but not from a permitted host {where}.")
        if key is not None and sshd.verbose:
            lines.append(f"Failed publickey for {user} from {source}{tail}")
        if by_password and sshd.password is not None:
            lines.append(f"Failed password for {user} from {source} ssh2")
        return [*lines, f"Connection closed by authenticating user {user} {source} [preauth]"]

    def logout(self, login: Login) -> None:
        """End a session."""
        app = self.apps.get(login.slug)
        if app is not None and login in app.sessions:
            app.sessions.remove(login)
            app.log.append(f"Received disconnect from {login.source_ip} port {login.source_port}:11: disconnected by user")

    def knock(self, slug: str, *, source_ip: str = CLIENT_IP) -> None:
        """A connection that ends without trying to log in."""
        if not self.foreign:
            self.penalise(source_ip, 1.0)

    def penalise(self, source_ip: str, seconds: float) -> None:
        """Count against an address, as OpenSSH 9.8 does by default."""
        if not self.knobs.penalties:
            return
        penalty = self._penalties.setdefault(source_ip, _Penalty())
        now = self.clock.now()
        if penalty.until <= now:
            penalty.shut = False
        penalty.until = min(max(penalty.until, now) + seconds, now + 600.0)
        # sshd counts in whole seconds: three failures in a row are enough.
        penalty.shut = penalty.shut or penalty.until - now > 14.0

    def penalised(self, source_ip: str) -> bool:
        """Say whether every new SSH connection from an address is reset now."""
        penalty = self._penalties.get(source_ip)
        shut = penalty is not None and penalty.shut and penalty.until > self.clock.now()
        return self.knobs.penalties and (shut or self._shut_until > self.clock.now())

    def penalise_everybody(self, seconds: float) -> None:
        """Reset every new SSH connection for a while, as after many failed logins."""
        self._shut_until = self.clock.now() + seconds

    def turn_away(self, slug: str, source_ip: str, source_port: int) -> None:
        """Write into the app's log that a connection was dropped for a penalty."""
        app = self.apps[slug]
        port = app.sshd.port if app.sshd else 22
        route = f"from [{source_ip}]:{source_port} on [{self.address}]:{port}"
        app.log.append(f"drop connection #0 {route} penalty: failed authentication")

    def admitted(self, slug: str) -> frozenset[str]:
        """Every credential that the running app admits now: `USER key TYPE BASE64`, `USER password DIGEST`."""
        sshd = None if self.serving(slug) is None else self.apps[slug].sshd
        if sshd is None:
            return frozenset()
        found = {f"{sshd.user} key {key.text}" for key in sshd.listed()}
        if sshd.password is not None:
            found.add(f"{sshd.user} password {hashlib.sha256(sshd.password.encode()).hexdigest()}")
        return frozenset(found)

    def snapshot(self) -> dict[str, Any]:
        """Everything that a run could change, as plain data; logs, sessions and counters are left out."""
        self.tick()
        return copy.deepcopy(
            {
                "apps": {
                    app.slug: {
                        "installed": app.installed,
                        "version": app.version,
                        "options": app.options,
                        "network": app.network,
                        "boot": app.boot,
                        "watchdog": app.watchdog,
                        "auto_update": app.auto_update,
                        "protected": app.protected,
                        "state": app.state,
                        "running": None
                        if app.running is None
                        else {"options": app.running.options, "network": app.running.network},
                        "kept_keys": app.kept_keys,
                        "host_keys": [key.public for key in app.host_keys],
                    }
                    for app in self.apps.values()
                },
                "users": [user.username for user in self.users],
                "tokens": sorted(token.name for token in self.tokens.values()),
                "issues": [{key: issue[key] for key in ("type", "reference", "reference_extra")} for issue in self.issues],
            }
        )

    # ------------------------------------------------------------------------------------------------------ requests

    async def request(self, method: str, endpoint: str, data: Any = None, *, admin: bool = True) -> Any:
        """Answer a call as the Supervisor does; raises `Refusal` or `Dropped`."""
        self.tick()
        method, path = method.upper(), endpoint.split("?", 1)[0]
        fault = self._fault(f"{method} {path}")
        if fault is not None and fault.when in {"unreachable", "before"}:
            raise Dropped(sent=fault.when == "before")
        if fault is not None and fault.when == "refuse":
            raise Refusal(fault.message, fault.status)
        if fault is not None and fault.when in {"later", "timeout"}:
            self.later(fault.seconds, lambda: self.do_unheard(method, path, data, admin=admin))
            raise Dropped if fault.when == "later" else Refusal("", 504)
        action = self._action(method, path, data, admin=admin)
        result = await self._perform(action)
        if fault is not None:
            raise Dropped
        return copy.deepcopy(result)

    def _fault(self, call: str) -> Fault | None:
        found = None
        for fault in self.knobs.faults:
            if re.search(fault.match, call):
                fault.seen += 1
                if fault.seen == fault.nth and found is None:
                    found = fault
        return found

    def do_unheard(self, method: str, path: str, data: Any, *, admin: bool = True) -> None:
        """Do at once what a call does, with nobody left to hear the answer."""
        with contextlib.suppress(Refusal):
            self._action(method, path, data, admin=admin).apply()

    async def _perform(self, action: _Action) -> Any:
        if not action.job:
            return action.apply()
        job = {
            "name": action.job,
            "reference": action.slug,
            "uuid": secrets.token_hex(16),
            "progress": 0,
            "stage": None,
            "done": False,
            "child_jobs": [],
            "errors": [],
            "created": self.clock.date(),
            "extra": None,
        }
        self.jobs.append(job)
        self._busy[action.slug] = action.job
        passed = 0.0
        try:
            for part in range(1, 5):
                self._tell({"event": "job", "data": job})
                await self.clock.sleep(action.seconds / 4)
                passed += action.seconds / 4
                job["progress"] = part * 25
        except asyncio.CancelledError:
            self.later(action.seconds - passed, lambda: self._finish_alone(action, job))
            raise
        return self._finish(action, job)

    def _finish(self, action: _Action, job: dict[str, Any]) -> Any:
        self.jobs.remove(job)
        self._busy.pop(action.slug, None)
        job.update(done=True)
        try:
            return action.apply()
        except Refusal as refusal:
            job["errors"] = [{"type": "AppsError", "message": refusal.message, "stage": None}]
            raise
        finally:
            self._tell({"event": "job", "data": job})

    def _finish_alone(self, action: _Action, job: dict[str, Any]) -> None:
        with contextlib.suppress(Refusal):
            self._finish(action, job)

    def _action(self, method: str, path: str, data: Any, *, admin: bool) -> _Action:
        knobs = self.knobs
        if not admin and not (method == "GET" and re.fullmatch(r"/addons/[^/]+/info", path)):
            raise Refusal("Unauthorized", 401, code="unauthorized")
        for pattern, message in knobs.refuse:
            if re.search(pattern, f"{method} {path}"):
                raise Refusal(message)
        if knobs.supervisor_state not in {"startup", "running", "freeze"}:
            raise Refusal(f"System is not ready with state: {knobs.supervisor_state}")
        reading = self._reading(path, admin=admin) if method == "GET" else None
        if reading is not None:
            return reading
        own: dict[str, dict[str, Any]] = {
            "/store/reload": {"store_stale": False},
            "/supervisor/repair": {"image_broken": set[str]()},
            "/supervisor/update": {"update_needed": False},
        }
        if method == "POST" and path in own:
            return _Action(lambda: self._managed(own[path]))
        if method == "POST" and (suggested := re.fullmatch(r"/resolution/suggestion/([^/]+)", path)):
            return _Action(lambda: self._follow(suggested[1]))
        found = re.fullmatch(
            r"/(store/)?addons/([^/]+)/(install|update|options|options/validate|start|stop|restart|uninstall|security)", path
        )
        if method != "POST" or found is None:
            raise Refusal("404: Not Found", 404)
        store, slug, verb = found.groups()
        if verb in {"install", "update"} and store:
            return self._store_action(slug, verb)
        if store or verb == "install":
            raise Refusal("404: Not Found", 404)
        return self._app_action(slug, verb, {} if data is None else data)

    def _managed(self, better: Mapping[str, Any]) -> dict[str, Any]:
        """What the Supervisor does for itself: some knobs are as they should be again."""
        if "update_needed" in better and self.knobs.update_needed:
            self.supervisor_version = answers.NEXT_SUPERVISOR
        for knob, value in better.items():
            setattr(self.knobs, knob, value)
        return {}

    def corrupt_store(self) -> None:
        """Damage the repository of the official apps; the Supervisor sees it, and suggests to reset it."""
        self.knobs.store_corrupt = True
        about = {"context": "store", "reference": "core"}
        self.issues.append({**about, "uuid": secrets.token_hex(16), "type": "corrupt_repository", "reference_extra": None})
        self.suggestions.append({**about, "uuid": secrets.token_hex(16), "type": "execute_reset", "auto": True})

    def _follow(self, suggestion: str) -> dict[str, Any]:
        if suggestion not in {one["uuid"] for one in self.suggestions}:
            raise Refusal("The supplied UUID is not a valid suggestion", 404)
        self.suggestions = [one for one in self.suggestions if one["uuid"] != suggestion]
        self.issues = [one for one in self.issues if one["type"] != "corrupt_repository"]
        self.knobs.store_corrupt = False
        return {}

    def _reading(self, path: str, *, admin: bool) -> _Action | None:
        plain: dict[str, Callable[[], Any]] = {
            "/info": lambda: answers.info(self),
            "/supervisor/info": lambda: answers.supervisor_info(self),
            "/supervisor/ping": dict,
            "/core/info": lambda: answers.core_info(self),
            "/os/info": lambda: answers.os_info(self),
            "/host/info": lambda: answers.host_info(self),
            "/network/info": lambda: answers.network_info(self),
            "/resolution/info": lambda: answers.resolution_info(self),
            "/security/info": lambda: dict(self.security),
            "/jobs/info": lambda: {"ignore_conditions": [], "jobs": self.jobs},
            "/available_updates": lambda: answers.available_updates(self),
            "/addons": lambda: {"addons": [answers.listed(app) for app in self.apps.values() if app.installed]},
            "/store": lambda: {
                "addons": [answers.store_entry(app) for app in self._in_store()],
                "repositories": self._repositories(),
            },
            "/store/addons": lambda: {"addons": [answers.store_entry(app) for app in self._in_store()]},
            "/store/repositories": self._repositories,
        }
        if path in plain and path in self.knobs.silent:
            return _Action(lambda: dict.fromkeys(plain[path]()))
        if path in plain:
            return _Action(plain[path])
        found = re.fullmatch(r"/(store/)?addons/([^/]+)(?:/(info|stats|logs))?", path)
        if found is None:
            return None
        store, slug, verb = found.groups()
        if store and verb is None:
            return _Action(lambda: answers.store_entry(self._store_app(slug)))
        if store or verb is None:
            return None
        if verb == "logs":
            raise Refusal("", 502)
        app = self.app(slug)
        if verb == "stats":
            if app.state != "started":
                raise Refusal(
                    f"An unknown error occurred with {self._app_word.lower()} {slug}. Check Supervisor logs for details"
                )
            return _Action(lambda: answers.stats(app))
        if not app.installed and (self.knobs.old_supervisor or self.store_is_empty):
            raise Refusal(
                f"{self._app_word} {slug} does not exist" if self.store_is_empty else f"{self._app_word} is not installed", 404
            )
        return _Action(lambda: {k: v for k, v in answers.app_info(app, self).items() if admin or k != "options"})

    @property
    def store_is_empty(self) -> bool:
        """True while no app can be installed."""
        return self.knobs.store_empty or self.knobs.store_stale or self.knobs.store_corrupt

    def _in_store(self) -> Iterable[App]:
        return () if self.store_is_empty else self.apps.values()

    def _store_app(self, slug: str) -> App:
        if slug not in {app.slug for app in self._in_store()}:
            raise Refusal(f"{self._app_word} {slug} does not exist in the store", 404)
        return self.apps[slug]

    def _repositories(self) -> list[dict[str, Any]]:
        keys = ("slug", "name", "source", "url", "maintainer")
        return [dict(zip(keys, each, strict=True)) for each in answers.REPOSITORIES]

    def _may(self, job: str) -> None:
        """Raise the Supervisor's refusal where the conditions of a job are not met."""
        knobs = self.knobs
        word = "AddonManager" if knobs.old_supervisor else "AppManager"
        blocked = f"'{word}.{job}' blocked from execution,"
        if knobs.supervisor_state != "running":
            raise Refusal(f"{blocked} system is not running - {knobs.supervisor_state}")
        if job not in {"install", "update"}:
            return
        if knobs.unhealthy:
            raise Refusal(f"{blocked} system is not healthy - {', '.join(knobs.unhealthy)}")
        if knobs.disk_free < 2:
            raise Refusal(f"{blocked} not enough free space ({knobs.disk_free}GB) left on the device")
        if knobs.offline:
            raise Refusal(f"{blocked} no host internet connection")
        if knobs.update_needed:
            raise Refusal(f"{blocked} supervisor needs to be updated first")

    def _alone(self, slug: str) -> None:
        if slug in self._busy:
            prefix = "addon" if self.knobs.old_supervisor else "app"
            raise Refusal(f"Another job is running for job group {prefix}_{slug}")

    def _store_action(self, slug: str, verb: str) -> _Action:
        app = self._store_app(slug)
        word = "addon_manager" if self.knobs.old_supervisor else "app_manager"
        if verb == "update":
            if not app.installed:
                raise Refusal(f"{self._app_word} {slug} is not installed")
            if app.version == app.version_latest:
                raise Refusal(f"No update available for {self._app_word.lower()} {slug}")
            self._may("update")
            self._alone(slug)
            return _Action(lambda: self._update(app), self.knobs.install_seconds, f"{word}_update", slug)

        def install() -> dict[str, Any]:
            if app.installed:
                raise Refusal(f"{self._app_word} {app.kind.name} is already installed")
            self.install_now(slug)
            return {}

        if app.installed:
            raise Refusal(f"{self._app_word} {app.kind.name} is already installed")
        if not app.available:
            raise Refusal(f"{self._app_word} {slug} not supported on this platform, supported architectures: aarch64, amd64")
        self._may("install")
        if slug in self._busy:
            # The second of two installs waits for the first, then finds it done.
            return _Action(install, self.knobs.install_seconds, f"{word}_install", slug)
        return _Action(install, self.knobs.install_seconds, f"{word}_install", slug)

    def _update(self, app: App) -> dict[str, Any]:
        runs = app.state == "started"
        self.stop_now(app.slug)
        app.version = app.version_latest
        if runs:
            self.start_now(app.slug)
        return {}

    def _app_action(self, slug: str, verb: str, data: Any) -> _Action:
        app = self.app(slug)
        if not app.installed:
            raise Refusal(f"{self._app_word} is not installed")
        if verb == "options/validate":
            return _Action(lambda: self._validated(app, data))
        if not isinstance(data, dict):
            raise Refusal(f"expected a dictionary. Got {data!r}")

        def then(effect: Callable[[], None]) -> Callable[[], dict[str, Any]]:
            def apply() -> dict[str, Any]:
                effect()
                return {}

            return apply

        if verb == "options":
            self._checked(app, data)
            return _Action(then(lambda: self.save(slug, data)))
        if verb == "security":
            return _Action(then(lambda: setattr(app, "protected", bool(data.get("protected", app.protected)))))
        self._alone(slug)
        if verb == "start" and app.state in {"started", "startup"}:
            return _Action(dict)
        if verb in {"start", "restart", "uninstall"}:
            self._may(verb)
        knobs = self.knobs
        effects: dict[str, tuple[Callable[[str], None], float]] = {
            "start": (self.start_now, knobs.start_seconds),
            "restart": (self.restart_now, knobs.restart_seconds),
            "stop": (self.stop_now, knobs.stop_seconds),
            "uninstall": (self.uninstall_now, knobs.stop_seconds),
            "update": (lambda _slug: None, 0.0),
        }
        if verb == "update":
            return self._store_action(slug, verb)
        effect, seconds = effects[verb]
        prefix = "addon" if knobs.old_supervisor else "app"
        return _Action(then(lambda: effect(slug)), seconds, f"{prefix}_{verb}", slug)

    def _validated(self, app: App, data: Any) -> dict[str, Any]:
        try:
            self._conform(app, data)
        except Unfit as unfit:
            return {"message": f"{unfit}. Got {data}", "valid": False, "pwned": False}
        return {"message": "", "valid": True, "pwned": None if self.knobs.offline else False}


def totp(secret: str, at: float) -> str:
    """The six-digit code of a base32 secret at a time (RFC 6238, 30 s, SHA-1)."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(at) // 30), "sha1")
    offset = digest[-1] & 0x0F
    number = struct.unpack_from(">I", digest, offset)[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"
