"""The two SSH apps as the simulated house runs them: their facts, and what their start scripts make of their settings."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import ipaddress
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PORT = "22/tcp"
"""The one port that an SSH app declares."""


# ------------------------------------------------------------------------------------------------------ key lines


@dataclass(frozen=True)
class PublicKey:
    """A public key as sshd reads it."""

    type: str
    blob: bytes

    @property
    def text(self) -> str:
        """The key as `type base64`."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """The fingerprint as sshd logs it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def short(self) -> str:
        """The kind as sshd logs it."""
        return {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA", "sk-ssh-ed25519@openssh.com": "ED25519-SK"}.get(
            self.type, "ECDSA-SK" if self.type.startswith("sk-") else "ECDSA"
        )


_CURVES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
_FLAGS = frozenset(
    (
        *("agent-forwarding", "cert-authority", "no-agent-forwarding", "no-port-forwarding", "no-pty", "no-touch-required"),
        *(
            "no-user-rc",
            "no-x11-forwarding",
            "port-forwarding",
            "pty",
            "restrict",
            "user-rc",
            "verify-required",
            "x11-forwarding",
        ),
    )
)
_VALUED = frozenset(("command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"))


def _fields(blob: bytes) -> list[bytes] | None:
    found, at = [], 0
    while at < len(blob):
        if at + 4 > len(blob):
            return None
        (size,) = struct.unpack_from(">I", blob, at)
        at += 4
        if at + size > len(blob):
            return None
        found.append(blob[at : at + size])
        at += size
    return found


def _sound(type_: str, blob: bytes) -> bool:
    parts = _fields(blob)
    if not parts or parts[0] != type_.encode("utf-8", "replace"):
        return False
    rest = parts[1:]
    match type_:
        case "ssh-ed25519":
            return len(rest) == 1 and len(rest[0]) == 32
        case "sk-ssh-ed25519@openssh.com":
            return len(rest) == 2 and len(rest[0]) == 32
        case "ssh-rsa":
            return len(rest) == 2 and int.from_bytes(rest[1], "big").bit_length() >= 1024
    curve = type_.removeprefix("sk-").removesuffix("@openssh.com").removeprefix("ecdsa-sha2-")
    if curve not in _CURVES:
        return False
    sizes = len(rest) == (3 if type_.startswith("sk-") else 2)
    return sizes and rest[0] == curve.encode() and len(rest[1]) == _CURVES[curve]


def _read_key(text: str) -> PublicKey | None:
    words = text.replace("\t", " ").split(" ", 1)
    if len(words) < 2:
        return None
    type_, rest = words[0], words[1].lstrip(" ")
    word = rest.split(" ", 1)[0].rstrip("\r\n")
    try:
        blob = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return None
    return PublicKey(type_, blob) if _sound(type_, blob) else None


def _split_options(text: str) -> tuple[str, str]:
    quoted = False
    for at, char in enumerate(text):
        if char == '"' and (at == 0 or text[at - 1] != "\\"):
            quoted = not quoted
        if char in " \t" and not quoted:
            return text[:at], text[at:].lstrip(" \t")
    return text, ""


def _options(text: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    word, quoted = "", False
    words: list[str] = []
    for char in text:
        if char == '"':
            quoted = not quoted
        if char == "," and not quoted:
            words.append(word)
            word = ""
        else:
            word += char
    words.append(word)
    for each in words:
        name, equals, value = each.partition("=")
        name = name.lower()
        if equals and name in _VALUED and len(value) >= 2 and value[0] == value[-1] == '"':
            found[name] = value[1:-1]
        elif not equals and name in _FLAGS:
            found[name] = ""
        else:
            return None
    return None if quoted else found


@dataclass(frozen=True)
class Entry:
    """A line of an `authorized_keys` file that sshd accepts, with its options."""

    key: PublicKey
    options: Mapping[str, str] = field(default_factory=dict)

    def lets_in(self, key: PublicKey, source_ip: str, day: str) -> bool:
        """Say whether this entry opens the door for a key from an address on a day (ISO date)."""
        if key != self.key or "cert-authority" in self.options:
            return False
        if "from" in self.options and not _from_matches(self.options["from"], source_ip):
            return False
        until = self.options.get("expiry-time", "")
        return not until or day.replace("-", "")[:8] < until[:8]


def _from_matches(patterns: str, source_ip: str) -> bool:
    hit = False
    for pattern in patterns.split(","):
        negative, bare = pattern.startswith("!"), pattern.lstrip("!")
        if "/" in bare:
            try:
                matches = ipaddress.ip_address(source_ip) in ipaddress.ip_network(bare, strict=False)
            except ValueError:
                matches = False
        else:
            matches = fnmatch.fnmatchcase(source_ip, bare)
        if matches and negative:
            return False
        hit = hit or matches
    return hit


def read_entry(line: str) -> Entry | None:
    """Read one line as OpenSSH's sshd does; `None` for a comment, an empty line, or one that admits nobody."""
    text = line.lstrip(" \t").rstrip("\n")
    if not text.strip("\r") or text.startswith("#"):
        return None
    key = _read_key(text)
    if key is not None:
        return Entry(key)
    head, rest = _split_options(text)
    options, key = _options(head), _read_key(rest)
    return Entry(key, options) if options is not None and key is not None else None


def public_key(line: str) -> PublicKey | None:
    """Read a public key line (options allowed), or `None` where it is none."""
    entry = read_entry(line)
    return None if entry is None else entry.key


# ------------------------------------------------------------------------------------------------ what a start makes


@dataclass(frozen=True, kw_only=True)
class Sshd:
    """The SSH server of a running app: exactly what its start script configured."""

    user: str
    port: int
    """The port on the host."""
    key_files: tuple[tuple[str, str], ...]
    """The `authorized_keys` files: path in the container, text."""
    password: str | None
    sftp: bool
    tcp_forwarding: bool
    agent_forwarding: bool = False
    remote_forwarding: bool = False
    verbose: bool = False
    hardened: bool = False
    """True where only AES and EtM MACs are offered."""
    one_connection: bool = False
    """True in debug mode: the server ends with its first connection."""

    def entry_for(self, key: PublicKey, source_ip: str, day: str) -> tuple[str, int] | None:
        """Return the file and line number that admit a key, or `None`."""
        for path, text in self.key_files:
            for number, line in enumerate(text.split("\n"), 1):
                entry = read_entry(line)
                if entry is not None and entry.lets_in(key, source_ip, day):
                    return path, number
        return None

    def listed(self) -> tuple[PublicKey, ...]:
        """Every key that some line lists, each once."""
        entries = (read_entry(line) for _, text in self.key_files for line in text.split("\n"))
        return tuple(dict.fromkeys(e.key for e in entries if e is not None and "cert-authority" not in e.options))


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What a start came to: its log, the key file it leaves in `/data`, and its SSH server, unless it failed."""

    log: tuple[str, ...]
    kept_keys: str | None
    sshd: Sshd | None = None
    failed: bool = False
    host_keys: bool = False
    """True when it came as far as making the host keys, where there were none."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a start script meets beside its options: the host's port for SSH, old files, the internet, ports in use."""

    port: int | None
    kept_keys: str | None
    online: bool = True
    taken: frozenset[int] = frozenset()


def _entries(options: Any) -> list[str]:
    return [str(each) for each in options] if isinstance(options, list) else []


def _file_of(keys: list[str]) -> str:
    """The `authorized_keys` file that a start script writes: line by line, the blanks at both ends dropped."""
    return "".join(f"{line.strip(' ')}\n" for entry in keys for line in entry.split("\n"))


def start_terminal(options: Mapping[str, Any], around: Surroundings) -> Boot:
    """Start the official app: keys win over a password, an empty list leaves the old file, a port needs a login."""
    keys, password = _entries(options.get("authorized_keys")), str(options.get("password") or "")
    forwarding = bool((options.get("server") or {}).get("tcp_forwarding"))
    kept = around.kept_keys

    def ends(*log: str, sshd: Sshd | None = None, failed: bool = False) -> Boot:
        return Boot(log=log, kept_keys=kept, sshd=sshd, failed=failed, host_keys=True)

    if options.get("apks") and not around.online:
        return ends("FATAL: Failed updating Alpine packages indexes", failed=True)
    if keys:
        kept = _file_of(keys)
    elif not password and around.port is not None:
        return ends("FATAL: You need to setup a login!", failed=True)
    if around.port is None:
        return ends("WARNING: SSH port is disabled. Prevent start of SSH server.")
    sshd = Sshd(
        user="root",
        port=around.port,
        key_files=(("/root/.ssh/authorized_keys", kept or ""),),
        password=None if keys else password,
        sftp=True,
        tcp_forwarding=forwarding,
        remote_forwarding=forwarding,
        agent_forwarding=True,
    )
    listening = ("Server listening on 0.0.0.0 port 22.", "Server listening on :: port 22.")
    return ends("INFO: Starting the SSH daemon...", *listening, sshd=sshd)


def start_advanced(options: Mapping[str, Any], around: Surroundings) -> Boot:
    """Start the community app: keys and password side by side, SFTP for root only, and it binds its port itself."""
    ssh = options.get("ssh") or {}
    user, password = str(ssh.get("username") or "").lower(), str(ssh.get("password") or "")
    keys = _entries(ssh.get("authorized_keys"))
    problem = () if around.port is None else _login_problem(ssh, user, password, keys)

    def ends(*log: str, sshd: Sshd | None = None, failed: bool = False) -> Boot:
        made = around.port is not None and not problem
        return Boot(log=log, kept_keys=around.kept_keys, sshd=sshd, failed=failed, host_keys=made)

    if options.get("packages") and not around.online:
        return ends("FATAL: Failed updating Alpine packages repository indexes", failed=True)
    for command in _entries(options.get("init_commands")):
        if command.strip() in {"false", "exit 1"}:
            return ends(f"FATAL: Failed executing init command: {command}", failed=True)
    if problem:
        return ends(*problem, failed=True)
    if around.port is None:
        return ends(
            "INFO: No network port is defined in the configuration so access",
            "INFO: will only be available via the web interface.",
        )
    if user != "root" and not _creatable(user):
        return ends("FATAL: Failed creating the user account", failed=True)
    if around.port in around.taken:
        return ends(
            "INFO: Starting the SSH daemon...",
            f"Bind to port {around.port} on 0.0.0.0 failed: Address in use.",
            f"Bind to port {around.port} on :: failed: Address in use.",
            "Cannot bind any address.",
            failed=True,
        )
    files = [("/etc/ssh/authorized_keys", _file_of(keys))]
    if user == "root" and around.kept_keys is not None:
        files.append(("/root/.ssh/authorized_keys", around.kept_keys))
    sshd = Sshd(
        user=user,
        port=around.port,
        key_files=tuple(files),
        password=password or None,
        sftp=bool(ssh.get("sftp")),
        tcp_forwarding=bool(ssh.get("allow_tcp_forwarding")),
        remote_forwarding=bool(ssh.get("allow_remote_port_forwarding")),
        agent_forwarding=bool(ssh.get("allow_agent_forwarding")),
        verbose=True,
        hardened=not ssh.get("compatibility_mode"),
        one_connection=options.get("log_level") in {"debug", "trace"},
    )
    listening = (f"Server listening on {address} port {around.port}." for address in ("0.0.0.0", "::"))  # noqa: S104 - words of a log
    return ends("INFO: Starting the SSH daemon...", *listening, sshd=sshd)


def _login_problem(ssh: Mapping[str, Any], user: str, password: str, keys: list[str]) -> tuple[str, ...]:
    if not user:
        return ("FATAL: Setting a username is required!",)
    if not password and not keys:
        return (
            "FATAL: Configuration of this app is incomplete.",
            "FATAL: Please be sure to set at least an SSH password",
            "FATAL: or at least one authorized key!",
        )
    if ssh.get("sftp") and ssh.get("username") != "root":
        return (
            'FATAL: You have enabled SFTP using the "ssh.sftp" app',
            'FATAL: option. Unfortunately, this requires "ssh.username"',
            'FATAL: to be "root".',
        )
    return ()


_IMAGE_USERS = frozenset(
    ("adm", "bin", "cron", "daemon", "ftp", "games", "guest", "halt", "lp", "mail", "man", "news", "nobody", "sshd")
)


def _creatable(user: str) -> bool:
    if user in _IMAGE_USERS or not user.isascii():
        return False
    return (user[0].isalpha() or user[0] == "_") and all(char.isalnum() or char in "_-" for char in user)


# ------------------------------------------------------------------------------------------------------- the apps' facts


@dataclass(frozen=True, kw_only=True)
class AppKind:
    """An app of the store: what its configuration declares."""

    slug: str
    name: str
    description: str
    version: str
    repository: str
    url: str
    options: Mapping[str, Any]
    schema: Mapping[str, Any]
    ports: Mapping[str, int | None]
    ports_description: Mapping[str, str] | None = None
    host_network: bool = False
    host_keys: tuple[str, ...] = ()
    """The kinds of host keys that its first start makes."""
    start: Callable[[Mapping[str, Any], Surroundings], Boot] | None = None
    """What its start script does; `None` for an app that has nothing to do with SSH."""
    says_host_keys: bool = False
    """True where the first start prints the fingerprints into the log."""
    programs: tuple[str, ...] = ()
    """What its image has beside a shell and the usual tools."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of its info."""


TERMINAL = AppKind(
    slug="core_ssh",
    name="Terminal & SSH",
    description="Allow logging in remotely to Home Assistant using SSH",
    version="10.4.0",
    repository="core",
    url="https://github.com/home-assistant/addons/tree/master/ssh",
    options={"authorized_keys": [], "password": "", "apks": [], "server": {"tcp_forwarding": False}},
    schema={"authorized_keys": ["str"], "password": "password", "apks": ["str"], "server": {"tcp_forwarding": "bool"}},
    ports={PORT: None},
    host_keys=("rsa", "ecdsa", "ed25519"),
    start=start_terminal,
    more={
        "long_description": "...",
        "rating": 6,
        "changelog": True,
        "ingress_port": 8099,
        "host_dbus": True,
        "uart": True,
        "audio": True,
    },
)

ADVANCED = AppKind(
    slug="a0d7b954_ssh",
    name="Advanced SSH & Web Terminal",
    description="A supercharged SSH & Web Terminal access to your Home Assistant instance",
    version="23.0.14",
    repository="a0d7b954",
    url="https://github.com/hassio-addons/app-ssh",
    options={
        "ssh": {
            "username": "hassio",
            "password": "",
            "authorized_keys": [],
            "sftp": False,
            "compatibility_mode": False,
            "allow_agent_forwarding": False,
            "allow_remote_port_forwarding": False,
            "allow_tcp_forwarding": False,
        },
        "zsh": True,
        "share_sessions": False,
        "packages": [],
        "init_commands": [],
    },
    schema={
        "log_level": "list(trace|debug|info|notice|warning|error|fatal)?",
        "ssh": {
            "username": "str",
            "password": "password",
            "authorized_keys": ["str"],
            "sftp": "bool",
            "compatibility_mode": "bool",
            "allow_agent_forwarding": "bool",
            "allow_remote_port_forwarding": "bool",
            "allow_tcp_forwarding": "bool",
        },
        "zsh": "bool",
        "share_sessions": "bool",
        "packages": ["str"],
        "init_commands": ["str"],
    },
    ports={PORT: 22},
    ports_description={PORT: "SSH server port (make empty to disable)"},
    host_network=True,
    host_keys=("rsa", "ed25519"),
    start=start_advanced,
    says_host_keys=True,
    programs=("rsync", "mosh-server"),
    more={
        "homeassistant": "0.92.0b2",
        "rating": 1,
        "apparmor": "disable",
        "docker_api": True,
        "homeassistant_api": True,
        "privileged": ["NET_ADMIN", "SYS_ADMIN", "SYS_RAWIO", "SYS_TIME", "SYS_NICE"],
        "devices": ["/dev/mem"],
        "services": ["mysql:want", "mqtt:want"],
        "ingress_port": 62123,
        "host_dbus": True,
        "gpio": True,
        "usb": True,
        "uart": True,
        "audio": True,
    },
)

MOSQUITTO = AppKind(
    slug="core_mosquitto",
    name="Mosquitto broker",
    description="An Open Source MQTT broker",
    version="6.5.1",
    repository="core",
    url="https://github.com/home-assistant/addons/tree/master/mosquitto",
    options={"logins": [], "require_certificate": False, "certfile": "fullchain.pem", "keyfile": "privkey.pem"},
    schema={"logins": ["str"], "require_certificate": "bool", "certfile": "str", "keyfile": "str"},
    ports={"1883/tcp": 1883, "8883/tcp": 8883},
    more={"rating": 7, "hassio_role": "default", "auth_api": True, "ingress": False, "startup": "system"},
)

KINDS = (TERMINAL, ADVANCED, MOSQUITTO)
"""The apps that the simulated store offers."""
