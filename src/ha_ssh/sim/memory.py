"""The world of the laws: a house and a computer in memory behind the protocol `Home`, where any write can fail or kill.

It goes straight to the `House`, without servers: thousands of cases a minute. Time is the house's virtual clock.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import fnmatch
import hashlib
import json
import posixpath
import re
import secrets
import struct
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.model import (
    CoreState,
    DoorState,
    FileState,
    IfFailed,
    JournalEntry,
    JournalRun,
    KeyKind,
    KeyState,
    OwnLogin,
    Places,
    Ran,
    Said,
    SecretRef,
    SetAside,
    SshTrouble,
)
from ha_ssh.sim import answers, openssh
from ha_ssh.sim.apps import public_key
from ha_ssh.sim.house import CLIENT_IP, Dropped, Refusal
from ha_ssh.sim.inside import Inside
from ha_ssh.sim.keys import MadeUpKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from ha_ssh.core.model import Clock
    from ha_ssh.core.secret import Secret
    from ha_ssh.sim.house import House, Login

T = TypeVar("T")

# ------------------------------------------------------------------------------------------------------- what goes wrong


class Killed(BaseException):
    """The process is gone: whatever it calls from now on raises this again."""


class How(StrEnum):
    """How a write goes wrong."""

    FAIL_BEFORE = "fail-before"
    """An error, and nothing happened."""
    FAIL_AFTER = "fail-after"
    """An error, though it happened."""
    FAIL_LATER = "fail-later"
    """An error, and it happens some seconds later (a call of the house; a file is as with `fail-after`)."""
    KILL_BEFORE = "kill-before"
    KILL_AFTER = "kill-after"
    OUTAGE = "outage"
    """As `fail-before`, and the house answers nobody for `seconds`."""


@dataclass(frozen=True)
class Injury:
    """What happens at write number `at` (the first is 1)."""

    at: int
    how: How
    seconds: float = 5.0


@dataclass(frozen=True)
class Write:
    """One change that was begun: `what` is the method's name, `where` its endpoint, path or secret name."""

    number: int
    what: str
    where: str


# ---------------------------------------------------------------------------------------------------------- the computer


@dataclass
class FileNode:
    """One file or link of the simulated computer."""

    text: str = ""
    mode: int = 0o600
    link: str | None = None
    """Where it leads, if it is a link."""


@dataclass
class Computer:
    """The person's computer: files, vault, journal and OpenSSH client; it outlives the processes that use it."""

    home: str = "/home/me"
    user: str = "me"
    ssh_version: str | None = "OpenSSH_9.9p1, OpenSSL 3.4.0"
    address: str = CLIENT_IP
    terminal: str | None = "xterm-256color"
    """Its `$TERM`."""
    files: dict[str, FileNode] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    """Paths that are folders even where no file lies in them."""
    vault: dict[str, Secret] = field(default_factory=dict)
    journal: dict[str, dict[str, Any]] = field(default_factory=dict)
    agent: list[str] = field(default_factory=list)
    """Public key lines that the user's agent holds."""
    read_only: set[str] = field(default_factory=set)
    """Patterns of paths that the user may not change."""
    disk_full_on: set[str] = field(default_factory=set)
    """Patterns of paths that do not fit on the disk."""

    @property
    def places(self) -> Places:
        """The user's own OpenSSH files."""
        ssh = f"{self.home}/.ssh"
        return Places(ssh_dir=ssh, config=f"{ssh}/config", known_hosts=f"{ssh}/known_hosts", include_dir=f"{ssh}/ha-ssh")

    def put(self, path: str, text: str | None, mode: int = 0o600) -> None:
        """Write a file as its user would, or delete it with `None`; for setting up a case."""
        real = self.real(path)
        if text is None:
            self.files.pop(real, None)
        else:
            self.files[real] = FileNode(text, mode)

    def put_link(self, path: str, target: str) -> None:
        """Make a link."""
        self.files[self._absolute(path)] = FileNode(link=target)

    def text(self, path: str) -> str | None:
        """The text of a file, or `None`."""
        node = self.files.get(self.real(path))
        return None if node is None or node.link is not None or not node.mode & 0o400 else node.text

    def mode(self, path: str) -> int:
        """The mode of a file that exists."""
        return self.files[self.real(path)].mode

    def matching(self, pattern: str) -> list[str]:
        """The paths of the files that match a shell pattern, folder by folder, sorted."""
        folder, name = posixpath.split(pattern)
        return sorted(
            path
            for path in self.files
            if posixpath.dirname(path) == posixpath.normpath(folder) and fnmatch.fnmatchcase(posixpath.basename(path), name)
        )

    def real(self, path: str) -> str:
        """The absolute path with links followed."""
        path = self._absolute(path)
        for _ in range(16):
            node = self.files.get(path)
            if node is None or node.link is None:
                return path
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), node.link))
        return path

    def _absolute(self, path: str) -> str:
        if path == "~" or path.startswith("~/"):
            path = self.home + path[1:]
        return posixpath.normpath(path)

    def is_folder(self, path: str) -> bool:
        """Say whether a path is a folder."""
        path = self._absolute(path)
        return path in self.folders or any(each.startswith(f"{path}/") for each in self.files)

    def snapshot(self) -> dict[str, tuple[str, int, str | None]]:
        """The user's files as plain data: path to text, mode and link."""
        return {path: (node.text, node.mode, node.link) for path, node in sorted(self.files.items())}


# ------------------------------------------------------------------------------------------------------------------ keys


def _wire(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _unwire(data: bytes, count: int) -> list[bytes]:
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from(">I", data)
        if len(data) < 4 + size:
            raise ValueError("cut short")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return [*found, data]


_MAGIC = b"openssh-key-v1\0"
_BEGIN, _END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"


def private_text(public: str, passphrase: str | None = None) -> str:
    """Return a text that looks like OpenSSH's private key for a public one; its private half is noise."""
    blob = base64.b64decode(public.split()[1])
    salt = secrets.token_bytes(16)
    seal = hashlib.sha256(salt + (passphrase or "").encode()).digest()
    names = (b"aes256-ctr", b"bcrypt", salt) if passphrase else (b"none", b"none", b"")
    data = _MAGIC + _wire(*names) + struct.pack(">I", 1) + _wire(blob, seal + secrets.token_bytes(64))
    lines = base64.b64encode(data).decode()
    return "\n".join((_BEGIN, *(lines[at : at + 70] for at in range(0, len(lines), 70)), _END, ""))


@dataclass(frozen=True)
class _Opened:
    public: str
    encrypted: bool
    opens: bool


def _open_private(text: str, passphrase: str | None) -> _Opened | None:
    body = text.replace("\r", "").partition(_BEGIN)[2].partition(_END)[0]
    try:
        data = base64.b64decode(body.replace("\n", ""), validate=True)
        if not data.startswith(_MAGIC):
            return None
        cipher, _kdf, salt, rest = _unwire(data[len(_MAGIC) :], 3)
        blob, private, _nothing = _unwire(rest[4:], 2)
        kind = _unwire(blob, 1)[0].decode()
    except (ValueError, struct.error):
        return None
    encrypted = cipher != b"none"
    opens = not encrypted or private[:32] == hashlib.sha256(salt + (passphrase or "").encode()).digest()
    return _Opened(f"{kind} {base64.b64encode(blob).decode()}", encrypted, opens)


# --------------------------------------------------------------------------------------------------------------- journal


class MemoryJournal:
    """The undo journal of a process on a computer; a process that was killed writes no more."""

    def __init__(self, computer: Computer, *, date: Callable[[], str], alive: Callable[[], None] = lambda: None) -> None:
        self.ours: frozenset[str] = frozenset()
        self._runs = computer.journal
        self._date = date
        self._alive = alive

    def begin(self, command: str, house: str, target: dict[str, Any]) -> str:
        """Open a run; returns its id."""
        self._alive()
        run = f"{len(self._runs) + 1:04d}"
        head = {"command": command, "house": house, "started": self._date(), "state": "open", "target": target}
        self._runs[run] = _plain(head) | {"entries": []}
        self.ours |= {run}
        return run

    def entry(self, run: str, entry: JournalEntry) -> int:
        """Write a change down before it is made; returns its index."""
        self._alive()
        self.ours |= {run}
        entries: list[Any] = self._runs[run]["entries"]
        entries.append(_plain(asdict(entry)))
        return len(entries) - 1

    def mark(self, run: str, index: int, state: str) -> None:
        """Say how far an entry came."""
        self._alive()
        self._runs[run]["entries"][index]["state"] = state

    def remembered(self, run: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        """Write down what a run has changed in what is remembered of its house."""
        self._alive()
        self._runs[run]["remembered"] = _plain({"before": before, "after": after})

    def close(self, run: str, state: str) -> None:
        """Close a run as `closed` (it stands) or `undone`."""
        self._alive()
        self._runs[run]["state"] = state

    def runs(self) -> tuple[JournalRun, ...]:
        """All runs, oldest first."""
        return tuple(
            JournalRun(id=run, **{**copy.deepcopy(kept), "entries": tuple(map(_entry, kept["entries"]))})
            for run, kept in sorted(self._runs.items())
        )


def _plain(value: Any) -> Any:
    """The value as it comes back from a file of JSON; raises `TypeError` for what is no plain JSON, such as a `Secret`."""
    return json.loads(json.dumps(value))


def _entry(kept: dict[str, Any]) -> JournalEntry:
    return JournalEntry(**{**copy.deepcopy(kept), "if_failed": IfFailed(kept["if_failed"])})


# --------------------------------------------------------------------------------------------------------------- refusals

_REFUSALS: tuple[tuple[str, str, bool], ...] = (
    (r"already installed", "already-installed", False),
    (r"is not installed", "not-installed", False),
    (r"does not exist in the store", "not-in-store", False),
    (r"does not exist", "no-such-app", False),
    (r"Another job is running", "busy", True),
    (r"System is not ready|system is not running", "not-ready", True),
    (r"not healthy", "unhealthy", False),
    (r"supervisor needs to be updated", "supervisor-outdated", False),
    (r"not enough free space", "no-space", False),
    (r"no host internet", "no-internet", False),
    (r"port \d+ is already in use", "port-in-use", False),
    (r"Unknown secret", "unknown-secret", False),
    (r"@ data\['network'\]", "invalid-port", False),
    (r"invalid options|@ data", "invalid-options", False),
    (r"not supported on this platform", "not-supported", False),
    (r"rate limit", "registry-limit", True),
    (r"^404", "not-found", False),
    (r"Unknown error|unknown error", "unknown-error", False),
)
"""The words of a refusal, the code that the program gives it, and whether it passes by itself."""


def refused(refusal: Refusal, *, changing: bool) -> HaSshError:
    """The error that the program makes of a refusal; submitted values are left out."""
    if refusal.code == "unauthorized":
        return Refused("not-admin", "this user is no administrator")
    if not refusal.message:
        return Unreachable("no-answer", "nobody knows how it ended", maybe_done=changing)
    said = re.sub(r"\bGot\b.*", "Got ***", refusal.message, flags=re.DOTALL)
    for pattern, code, passing in _REFUSALS:
        if re.search(pattern, said):
            return Refused(code, said, passing=passing)
    return Refused("refused", said)


# ------------------------------------------------------------------------------------------------------------------ home


class _Hangs(Exception):
    """An `ssh` that comes to no end, since an agent does not answer: the simulated ones do not whose path says so."""

    def __init__(self, agent: str) -> None:
        super().__init__(agent)
        self.agent = agent


@dataclass
class MemorySession:
    """An SSH login into the house in memory."""

    house: House
    login: Login
    banner: str
    host_key: str
    host_keys: tuple[str, ...]
    methods: tuple[str, ...]
    source_port: int
    alive: Callable[[], None]
    inside: Inside
    ended: str = ""

    async def sftp(self) -> str:
        """Say why SFTP does not open."""
        sshd = self.house.app(self.login.slug).sshd
        if self.house.knobs.sftp_broken or sshd is None or not sshd.sftp:
            return "Session request failed"
        return ""

    async def forward(self, host: str, port: int) -> str:
        """Say why no connection is forwarded to a place."""
        del host, port
        sshd = self.house.app(self.login.slug).sshd
        return "" if sshd is not None and sshd.tcp_forwarding else "open failed"

    async def run(self, command: str, *, limit: float = 15.0) -> Ran:
        """Run `ha info`, read the options, or hand a command to the house's own shell."""
        self.alive()
        self.house.tick()
        app = self.house.app(self.login.slug)
        if self.house.foreign:
            return Ran(code=127, err="sh: not found")
        if self.login not in app.sessions or app.running is None:
            raise SshTrouble(DoorState.LOST, "the connection was lost")
        if limit <= 0:
            raise SshTrouble(DoorState.LOST, "the command took too long")
        root = self.login.user == "root"
        if "options.json" in command:
            if not root and "sudo" not in command:
                return Ran(code=1, err="cat: can't open '/data/options.json': Permission denied")
            return Ran(code=0, out=json.dumps(app.running.options))
        if "ha info" in command and self.house.knobs.ha_hangs:
            raise SshTrouble(DoorState.TIMEOUT, f"the command did not end within {limit:g} s")
        if "ha info" in command:
            if app.running.options.get("share_sessions") and re.search(r"^bash -l", command):
                return Ran(code=1, err="open terminal failed: not a terminal\n")
            plain = root and not self.house.knobs.ha_needs_login
            if self.house.knobs.ha_fails or not (plain or re.search(r"\bbash -l", command)):
                return Ran(code=1, out="Error: Unexpected server response. Status code: 401\n")
            return Ran(code=0, out=json.dumps({"result": "ok", "data": answers.info(self.house)}))
        ended = await self.inside.shell(self.login.slug, self.login.user).run(command)
        return Ran(code=ended.code, out=ended.out.decode(), err=ended.err.decode())


class MemoryHome:
    """A process that works on a house and a computer in memory: `Reader` and `Home` in one."""

    def __init__(
        self,
        house: House,
        computer: Computer | None = None,
        *,
        token: str | None = None,
        injury: Injury | None = None,
        places: Places | None = None,
        tls: bool = False,
    ) -> None:
        self.house = house
        self.computer = Computer() if computer is None else computer
        self._journal: MemoryJournal | None = None
        self.places = self.computer.places if places is None else places
        self.token = house.admin_token if token is None else token
        self.injury = injury
        self.tls = tls
        self.writes: list[Write] = []
        """The changes that this process began, in order."""
        self.looks = 0
        """How often the house or its SSH server was asked for something."""
        self.inside = Inside(house)
        self._only_looking = False
        self._dead = False
        self._gone_until = 0.0

    @property
    def clock(self) -> Clock:
        """The house's clock."""
        return self.house.clock

    @property
    def channel(self) -> str:
        """How the house is reached."""
        return "https" if self.tls else "http"

    @property
    def journal(self) -> MemoryJournal:
        """The journal of this computer, as this process writes it."""
        if self._journal is None:
            self._journal = MemoryJournal(self.computer, date=self.clock.date, alive=self._alive)
        return self._journal

    def fresh(self, *, injury: Injury | None = None) -> MemoryHome:
        """A new process on the same computer and house."""
        return MemoryHome(self.house, self.computer, token=self.token, injury=injury, places=self.places, tls=self.tls)

    @contextlib.contextmanager
    def only_looking(self) -> Iterator[None]:
        """Make every write an `AssertionError` for as long as this holds."""
        self._only_looking = True
        try:
            yield
        finally:
            self._only_looking = False

    def _alive(self) -> None:
        if self._dead:
            raise Killed

    # ------------------------------------------------------------------------------------------------------- every write

    async def _write(self, what: str, where: str, effect: Callable[[], Awaitable[T]], failure: HaSshError) -> T:
        """Make a change, unless the injury is at this one; `failure` is how it then fails."""
        self._alive()
        if self._only_looking:
            raise AssertionError(f"{what} {where}: a look must not write")
        write = Write(len(self.writes) + 1, what, where)
        self.writes.append(write)
        how = self.injury.how if self.injury is not None and self.injury.at == write.number else None
        if how is None or self.injury is None:
            return await effect()
        if how is How.FAIL_LATER and what == "call":
            raise failure
        if how in {How.FAIL_AFTER, How.FAIL_LATER, How.KILL_AFTER}:
            await effect()
        if how in {How.KILL_BEFORE, How.KILL_AFTER}:
            self._dead = True
            raise Killed
        if how is How.OUTAGE:
            self._gone_until = self.clock.now() + self.injury.seconds
        raise failure

    # --------------------------------------------------------------------------------------------------------- the house

    def _reach(self) -> bool:
        """Raise where the house does not answer or does not know us; returns whether we are an administrator there."""
        self._alive()
        self.looks += 1
        self.house.tick()
        if self.house.knobs.core_down or self.clock.now() < self._gone_until:
            raise Unreachable("connection-refused", "Home Assistant does not answer")
        if self.house.knobs.front:
            raise Unreachable(self.house.knobs.front, f"the way to Home Assistant: {self.house.knobs.front}")
        if self.house.banned(self.computer.address):
            raise Refused("ip-banned", "Home Assistant has banned the address of this computer")
        token = self.house.token(self.token)
        if token is None:
            raise HaSshError("token-refused", "Home Assistant refuses the token")
        return token.user.is_admin

    def answered(self, since: float) -> tuple[float, ...]:
        """Nothing: its answers take no time."""
        del since
        return ()

    async def core(self) -> CoreState:
        """Core's version and who we are there."""
        is_admin = self._reach()
        token = self.house.token(self.token)
        return CoreState(
            url=f"{'https' if self.tls else 'http'}://{self.house.hostname}.local:{self.house.core_port}",
            version=self.house.core_version,
            is_admin=is_admin,
            user=token.user.name if token is not None else "",
            components=tuple(part for part in self.house.components if part != "hassio" or not self.house.knobs.no_supervisor),
            has_supervisor=not self.house.knobs.no_supervisor,
            tls=self.tls,
        )

    async def supervisor(self, endpoint: str) -> Any:
        """The Supervisor's answer to a GET."""
        return await self._request("GET", endpoint, None)

    async def _request(self, method: str, endpoint: str, data: Any) -> Any:
        is_admin = self._reach()
        if self.house.knobs.no_supervisor:
            raise Refused("no-supervisor", "this Home Assistant runs without a Supervisor")
        try:
            return await self.house.request(method, endpoint, data, admin=is_admin)
        except Refusal as refusal:
            raise refused(refusal, changing=method == "POST") from refusal
        except Dropped as dropped:
            raise Unreachable(
                "connection-lost" if dropped.sent else "connection-refused",
                str(dropped),
                maybe_done=dropped.sent and method == "POST",
            ) from dropped

    async def log(self, slug: str) -> str:
        """The app's log as plain text."""
        if not self._reach():
            raise Refused("not-admin", "this user is no administrator")
        try:
            return self.house.log_text(slug)
        except Refusal as refusal:
            raise refused(refusal, changing=False) from refusal

    async def call(
        self,
        endpoint: str,
        data: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[float | None, str], None] | None = None,
    ) -> Any:
        """POST to the Supervisor and wait for the end; a refusal that passes is waited out for a minute."""
        body = None if data is None else _plain(data)
        lost = Unreachable("connection-lost", "the connection was lost", maybe_done=True)
        before = len(self.writes)
        try:
            return await self._write("call", endpoint, lambda: self._patiently(endpoint, body, on_progress), lost)
        except Unreachable:
            injury = self.injury
            if injury is not None and injury.how is How.FAIL_LATER and injury.at == before + 1:
                self.house.later(injury.seconds, lambda: self.house.do_unheard("POST", endpoint, body))
            raise

    async def _patiently(self, endpoint: str, body: Any, on_progress: Callable[[float | None, str], None] | None) -> Any:
        last, pause = self.clock.now() + 60.0, 0.5
        while True:
            try:
                return await self._heard(endpoint, body, on_progress)
            except Refused as no:
                if not no.passing or self.clock.now() >= last:
                    raise
                if on_progress is not None:
                    on_progress(None, f"waiting: {no.message}")
            await self.clock.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _heard(self, endpoint: str, body: Any, on_progress: Callable[[float | None, str], None] | None) -> Any:
        """Make a call, and pass its progress on."""
        if on_progress is None:
            return await self._request("POST", endpoint, body)
        tell = on_progress

        def hear(event: dict[str, Any]) -> None:
            if event["event"] == "job":
                tell(event["data"]["progress"] / 100, event["data"]["stage"] or "")

        end = self.house.subscribe(hear)
        try:
            return await self._request("POST", endpoint, body)
        finally:
            end()

    async def until(self, what: str, look: Callable[[], Awaitable[T | None]], *, limit: float) -> T | None:
        """Look, with growing pauses, until `look` answers; `None` after `limit` seconds."""
        last, pause = self.clock.now() + limit, 0.05
        while True:
            self._alive()
            answer = await look()
            if answer is not None or self.clock.now() >= last:
                return answer
            await self.clock.sleep(min(pause, last - self.clock.now()))
            pause = min(pause * 1.5, 2.0)

    # --------------------------------------------------------------------------------------------------------------- ssh

    def _knock(self, host: str, port: int) -> str:
        """Meet the door; returns the app behind it, or raises `SshTrouble`."""
        self._alive()
        self.looks += 1
        if host not in {self.house.address, self.house.hostname, f"{self.house.hostname}.local"}:
            literal = re.fullmatch(r"[0-9.]+|[0-9a-f:]+(?:%\w+)?", host)
            raise SshTrouble(*(_ELSEWHERE if literal else (DoorState.UNRESOLVED, f"the name {host} is not known")))
        state = self.house.door_at(port, source_ip=self.computer.address)
        if state is DoorState.RESET and self.house.penalised(self.computer.address):
            self.house.turn_away(self.house.bound_to(port) or "", self.computer.address, 40000)
        if state is not DoorState.OPEN:
            raise SshTrouble(state, _MET.get(state, f"the connection met: {state.value}"))
        slug = self.house.bound_to(port)
        if slug is None:
            raise SshTrouble(DoorState.REFUSED, _MET[DoorState.REFUSED])
        return slug

    async def knock(self, host: str, port: int) -> str:
        """Read the banner of an SSH server, once, without logging in."""
        self.house.knock(self._knock(host, port), source_ip=self.computer.address)
        return self.house.banner

    @contextlib.asynccontextmanager
    async def session(
        self, host: str, port: int, user: str, identity: str, passphrase: SecretRef | None
    ) -> AsyncIterator[MemorySession]:
        """Log in with exactly this key, once; raises `SshTrouble`."""
        key = await self.key(identity, passphrase)
        if key.public is None or key.problem is not None:
            raise SshTrouble(DoorState.BROKEN_KEY, f"the key `{identity}` cannot be used: {key.problem}")
        slug = self._knock(host, port)
        port_seen = secrets.randbelow(20000) + 40000
        ours = port_seen + 7 if self.house.knobs.nat else port_seen
        login = self.house.login(slug, user, key_line=key.public, source_ip=self.computer.address, source_port=port_seen)
        served = tuple(each.public for each in self.house.host_keys(slug))
        # The first connection takes the kind that clients like best.
        first = next((line for line in served if line.startswith("ssh-ed25519 ")), served[0])
        methods = self.house.methods(slug)
        if not login.accepted:
            raise SshTrouble(
                DoorState.DENIED,
                f"Permission denied for user {user}",
                banner=self.house.banner,
                host_key=first,
                methods=methods,
                source_port=ours,
            )
        banner = self.house.banner
        try:
            yield MemorySession(self.house, login, banner, first, served, methods, ours, self._alive, self.inside)
        finally:
            self.house.logout(login)

    @property
    def terminal(self) -> str | None:
        """The user's `$TERM`."""
        return self.computer.terminal

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of the house, for its names; an address is its own."""
        self._alive()
        if host in {self.house.hostname, f"{self.house.hostname}.local"}:
            return (self.house.address,)
        return (host,) if re.fullmatch(r"[0-9.]+|[0-9a-f:]+(?:%\w+)?", host) else ()

    async def ssh_version(self) -> str | None:
        """What `ssh -V` says."""
        return self.computer.ssh_version

    async def resolve_alias(self, alias: str) -> Said:
        """What the user's OpenSSH makes of an alias."""
        self._alive()
        if self.computer.ssh_version is None:
            raise HaSshError("no-ssh", "there is no `ssh` on this computer")
        try:
            return Said(self._resolve(alias))
        except openssh.Complaint as complaint:
            raise HaSshError("ssh-config-broken", f"your `ssh` cannot read its configuration: {complaint}") from complaint

    def _resolve(self, alias: str) -> dict[str, tuple[str, ...]]:
        own = self.places.known_hosts if self.places.portable else None
        return openssh.resolve(
            alias, self.places.config, self.computer, home=self.computer.home, user=self.computer.user, known_hosts=own
        )

    async def own_login(
        self,
        alias: str,
        passphrase: SecretRef | None,
        *,
        identity: str | None = None,
        said: Mapping[str, tuple[str, ...]] | None = None,
    ) -> OwnLogin:
        """Log in by the user's own OpenSSH and run `true`; the key is the one of the configuration."""
        del identity, said
        self._alive()
        if self.computer.ssh_version is None:
            raise HaSshError("no-ssh", "there is no `ssh` on this computer")
        secret = None if passphrase is None else (await self.recall(passphrase)).reveal()
        try:
            said = self._resolve(alias)
            self._log_in_as_ssh_does(said, secret)
        except openssh.Complaint as complaint:
            return OwnLogin(code=255, err=str(complaint))
        except SshTrouble as trouble:
            return OwnLogin(code=255, err=trouble.message)
        except _Hangs as hangs:
            return OwnLogin(
                code=255, err="`ssh` was ended after 20 s without an end of its own", hung=True, mute_agent=hangs.agent
            )
        return OwnLogin(code=0)

    async def set_aside(self, said: Mapping[str, tuple[str, ...]]) -> tuple[SetAside, ...]:
        """Paths of sockets whose folder is not there."""
        self._alive()
        places = (
            [("controlpath", said.get("controlpath", ("",))[0])] if said.get("controlmaster", ("false",))[0] != "false" else []
        )
        if said.get("exitonforwardfailure", ("no",))[0] == "yes":
            places += [(word, value) for word in ("localforward", "dynamicforward") for value in said.get(word, ())]
        found = []
        for keyword, value in places:
            folder = posixpath.dirname(value.split(" ")[0])
            if folder and not self.computer.is_folder(folder):
                found.append(SetAside(keyword=keyword, value=value, trouble=f"the folder `{folder}` is not there"))
        return tuple(found)

    def _log_in_as_ssh_does(self, said: dict[str, tuple[str, ...]], passphrase: str | None) -> None:
        host, port, user = said["hostname"][0], int(said["port"][0]), said["user"][0]
        for detour in ("proxyjump", "proxycommand"):
            if detour in said:
                raise openssh.Complaint("kex_exchange_identification: Connection closed by remote host")
        self._set_out(host, port, said)
        slug = self._knock(host, port)
        self._agree_on_algorithms(slug, host, port, said)
        bare = said.get("hostkeyalias", (host,))[0]
        name = bare if port == 22 or "hostkeyalias" in said else f"[{host}]:{port}"
        known = [self.computer.text(path) or "" for path in said["userknownhostsfile"][0].split(" ")]
        served = [key for each in self.house.host_keys(slug) if (key := public_key(each.public)) is not None]
        problem = openssh.host_key_problem(known, name, served, strict="true")
        revoked = said.get("revokedhostkeys", ("none",))[0]
        if problem is None and revoked != "none" and self.computer.text(revoked) is None:
            problem = f"Error checking host key in revoked keys file {revoked}: No such file or directory"
            problem += "\nHost key verification failed."
        if problem is not None:
            self.house.knock(slug, source_ip=self.computer.address)
            raise openssh.Complaint(problem)
        if (agent := said.get("identityagent", ("",))[0]).startswith("/mute/"):
            self.house.knock(slug, source_ip=self.computer.address)
            raise _Hangs(agent)
        offered, complaints = self._offered(said, passphrase)
        opening = next((key for key in offered[:6] if self.house.admits(slug, user, key_line=key)), None)
        tried = opening or (offered[0] if offered else None)
        login = self.house.login(slug, user, key_line=tried, source_ip=self.computer.address)
        if opening is None:
            if len(offered) > 6:
                raise openssh.Complaint(f"Received disconnect from {host} port {port}:2: Too many authentication failures")
            methods = ",".join(self.house.methods(slug))
            raise openssh.Complaint("\n".join((*complaints, f"{user}@{host}: Permission denied ({methods}).")))
        self.house.logout(login)

    def _set_out(self, host: str, port: int, said: dict[str, tuple[str, ...]]) -> None:
        """Raise what `ssh` says before it connects: a variable without a value, an address that is not its own, or of no use."""
        variable = next((found[0] for path in said["identityfile"] if (found := re.search(r"\$\{\w+\}", path))), None)
        if variable is not None:
            raise openssh.Complaint(
                f"vdollar_percent_expand: env var {variable} has no value\ninvalid environment variable expansion"
            )
        if "bindaddress" in said and said["bindaddress"][0] != self.computer.address:
            bind = f"bind {said['bindaddress'][0]}: Cannot assign requested address"
            raise openssh.Complaint(f"{bind}\nssh: connect to host {host} port {port}: failure")
        if said.get("addressfamily", ("any",))[0] == ("inet" if ":" in self.house.address else "inet6"):
            raise openssh.Complaint(f"ssh: Could not resolve hostname {host}: Address family for hostname not supported")

    def _agree_on_algorithms(self, slug: str, host: str, port: int, said: dict[str, tuple[str, ...]]) -> None:
        """Raise what `ssh` says where its configuration leaves nothing that a hardened server takes."""
        sshd = self.house.app(slug).sshd
        taken = _HARDENED if sshd is not None and sshd.hardened and not self.house.foreign else _MODERN
        for keyword, what in (("ciphers", "cipher"), ("macs", "MAC")):
            wanted = said.get(keyword, ("+",))[0]
            if wanted[:1] not in "+-^" and not any(map(taken.fullmatch, wanted.split(","))):
                raise openssh.Complaint(f"Unable to negotiate with {host} port {port}: no matching {what} found.")

    def _offered(self, said: dict[str, tuple[str, ...]], passphrase: str | None) -> tuple[list[str], list[str]]:
        """The public keys that `ssh` offers, in order, and what it complains about."""
        offered: list[str] = []
        complaints: list[str] = []
        named: list[str] = []
        methods = said.get("preferredauthentications", ("publickey",))[0].split(",")
        if said["pubkeyauthentication"][0] == "false" or "publickey" not in methods:
            return [], []
        for path in said["identityfile"]:
            if path.lower() == "none":
                continue
            node = self.computer.files.get(self.computer.real(path))
            if node is None:
                if (beside := self._beside(path)) and beside in self.computer.agent:
                    named.append(beside)  # the public half names the key that the agent holds
                continue
            if not node.mode & 0o400:
                complaints.append(f'Load key "{path}": Permission denied')
                continue
            if node.mode & 0o077:
                complaints.append(f"Permissions 0{node.mode:o} for '{path}' are too open.\nLoad key \"{path}\": bad permissions")
                continue
            opened = _open_private(node.text, passphrase)
            if opened is None or not node.text.startswith(f"{_BEGIN}\n") or f"\n{_END}\n" not in node.text:
                complaints.append(f'Load key "{path}": error in libcrypto')
            elif not opened.opens and opened.public not in self.computer.agent:
                complaints.append(f'Load key "{path}": incorrect passphrase supplied to decrypt private key')
            elif self._beside(path) not in {opened.public, "", None}:
                continue  # the other key is offered, for which this one cannot sign
            else:
                named.append(opened.public)
        for line in self.computer.agent if said.get("identityagent", ("",))[0] != "none" else ():
            bare = " ".join(line.split()[:2])
            if said.get("identitiesonly", ("no",))[0] == "no" or bare in named:
                offered.append(bare)
        offered += [key for key in named if key not in offered]
        return offered, complaints

    # ------------------------------------------------------------------------------------------------------------- files

    async def file(self, path: str) -> FileState:
        """One of the user's files."""
        self._alive()
        computer = self.computer
        absolute, real = computer._absolute(path), computer.real(path)  # noqa: SLF001 - one module
        node = computer.files.get(real)
        writable = not _any_matches(real, computer.read_only)
        is_link = absolute != real
        if node is None:
            if computer.is_folder(real):
                return FileState(path=path, kind="folder", mode=0o700, real_path=real, writable=False)
            if is_link:
                return FileState(path=path, kind="link", real_path=real, writable=writable, problem="is a link to nothing")
            return FileState(path=path, writable=writable)
        return FileState(
            path=path,
            kind="link" if is_link else "file",
            text=node.text if node.mode & 0o400 else None,
            problem=None if node.mode & 0o400 else "cannot be read by you",
            mode=node.mode,
            real_path=real,
            writable=writable and bool(node.mode & 0o200),
        )

    async def folder(self, path: str) -> tuple[str, ...]:
        """The names of the files in a folder, sorted."""
        self._alive()
        place = self.computer.real(path)
        return tuple(sorted(posixpath.basename(each) for each in self.computer.files if posixpath.dirname(each) == place))

    def _beside(self, path: str) -> str | None:
        """The key in the `.pub` file beside a private one."""
        text = self.computer.text(f"{path}.pub")
        line = " ".join((text or "").split()[:2])
        return None if text is None else line if public_key(line) is not None else ""

    async def key(self, path: str, passphrase: SecretRef | None) -> KeyState:
        """A private key file, opened with the passphrase if one is given."""
        there = await self.file(path)
        if not there.exists:
            return KeyState(path=path, beside=self._beside(path), problem="missing", detail="there is no such file")
        state = KeyState(path=path, exists=True, unlocked=False, mode=there.mode, beside=self._beside(path))
        if there.text is None:
            return replace(state, problem="unreadable", detail=there.problem or f"it is a {there.kind}")
        refused = not there.text.startswith(f"{_BEGIN}\n") or f"\n{_END}\n" not in there.text
        before = there.text.partition(_BEGIN)[0]
        what = "mark" if before == "\ufeff" else "text" if before.strip() else "blank" if before else ""
        state = replace(state, crlf=refused, before=what)
        beside = self.computer.text(f"{path}.pub") or ""
        secret = None if passphrase is None else (await self.recall(passphrase)).reveal()
        opened = _open_private(there.text, secret)
        if opened is None:
            return replace(state, crlf=False, before="", **_no_private_key(there.text))
        comment = beside.split(None, 2)[2].strip() if beside.startswith(f"{opened.public} ") else ""
        state = replace(state, public=opened.public, comment=comment, encrypted=opened.encrypted)
        if opened.opens:
            return replace(state, unlocked=True)
        if secret is None:
            return replace(state, problem="locked", detail="it has a passphrase, and none was given")
        return replace(state, problem="wrong-passphrase", detail="the passphrase does not open it")

    async def write(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Write a file of the user in one piece, through a link, keeping its mode."""

        async def effect() -> None:
            self._store(path, text, mode)

        await self._write("write", path, effect, _file_trouble(path))

    def _store(self, path: str, text: str, mode: int | None) -> None:
        computer, real = self.computer, self.computer.real(path)
        if computer.is_folder(real):
            raise HaSshError("not-a-file", f"`{path}` is a folder, not a file")
        there = computer.files.get(real)
        if _any_matches(real, computer.read_only) or (there is not None and not there.mode & 0o200):
            raise HaSshError("read-only", f"`{path}` may not be changed by you")
        if _any_matches(real, computer.disk_full_on):
            raise HaSshError("no-room", f"`{path}` does not fit: the disk is full")
        computer.files[real] = FileNode(text, there.mode if there is not None else mode or 0o600)

    async def delete(self, path: str) -> None:
        """Delete a file of the user; missing is fine."""

        async def effect() -> None:
            real = self.computer.real(path)
            if real in self.computer.files and _any_matches(real, self.computer.read_only):
                raise HaSshError("read-only", f"`{path}` may not be changed by you")
            self.computer.files.pop(real, None)

        await self._write("delete", path, effect, _file_trouble(path))

    async def set_mode(self, path: str, mode: int) -> None:
        """Change who may read a file."""

        async def effect() -> None:
            node = self.computer.files.get(self.computer.real(path))
            if node is None:
                raise HaSshError("file-trouble", f"`{path}` is not there")
            node.mode = mode

        await self._write("set_mode", path, effect, _file_trouble(path))

    async def make_key(self, path: str, kind: KeyKind, passphrase: SecretRef | None, comment: str) -> str:
        """Make a key pair, never over an existing file; returns `type base64`."""
        secret = None if passphrase is None else (await self.recall(passphrase)).reveal()

        async def effect() -> str:
            for each in (path, f"{path}.pub"):
                if (await self.file(each)).exists:
                    raise HaSshError("key-exists", f"`{each}` is already there and is not overwritten")
            public = MadeUpKeys().make({KeyKind.RSA_4096: "rsa", KeyKind.ECDSA: "ecdsa"}.get(kind, "ed25519")).public
            self._store(path, private_text(public, secret), 0o600)
            self._store(f"{path}.pub", f"{public} {comment}".rstrip() + "\n", 0o644)
            return public

        return await self._write("make_key", path, effect, _file_trouble(path))

    # ----------------------------------------------------------------------------------------------------------- secrets

    async def keep(self, name: str, secret: Secret) -> SecretRef:
        """Put a secret into the vault."""

        async def effect() -> SecretRef:
            self.computer.vault[name] = secret
            return SecretRef(name)

        return await self._write("keep", name, effect, HaSshError("vault-trouble", "the vault could not be written"))

    async def recall(self, ref: SecretRef) -> Secret:
        """Take a secret out of the vault."""
        self._alive()
        if ref.name not in self.computer.vault:
            raise HaSshError("secret-gone", f"the secret `{ref.name}` is gone")
        return self.computer.vault[ref.name]


_HARDENED = re.compile(r"aes(?:128|192|256)-(?:ctr|gcm@openssh\.com)|(?:hmac-sha2-(?:256|512)|umac-128)-etm@openssh\.com")
"""The ciphers and MACs of a hardened server."""
_MODERN = re.compile(r"(?!.*-(?:cbc|md5|96)\b).*")
"""Those of any other server."""

_MET = {
    DoorState.REFUSED: "Connection refused",
    DoorState.TIMEOUT: "Connection timed out",
    DoorState.RESET: "Connection reset by peer",
    DoorState.UNREACHABLE: "No route to host",
    DoorState.NOT_SSH: "the server is no SSH server",
    DoorState.NO_COMMON: "no matching key exchange method found",
}


_ELSEWHERE = (DoorState.UNREACHABLE, "no way leads there: network is unreachable")


def _any_matches(path: str, patterns: set[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _file_trouble(path: str) -> HaSshError:
    return HaSshError("file-trouble", f"`{path}` could not be written: input/output error")


def _no_private_key(text: str) -> dict[str, Any]:
    if text.startswith("PuTTY-User-Key-File"):
        return {"problem": "putty", "detail": "it is a key of PuTTY"}
    if public_key(text.split("\n")[0]) is not None:
        return {"problem": "public", "detail": "it holds a public key"}
    return {"problem": "broken", "detail": "it is no private key"}
