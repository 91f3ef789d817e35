"""The log of an SSH app: what its start scripts and its `sshd` say, and which of it no stranger can have put there.

A client chooses the user name and the farewell that `sshd` logs, line feeds included (seen with OpenSSH 9.2 and `-e`), and so can
write whole lines of its own before it has logged in. One message is one write, so every forged line stands close to a line that
holds a client's words.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING

from ha_ssh.core.keys import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S* (?:\S+ )?(?:addon|app)_\S+?(?:\[\d+\])?: ")
"""What the Supervisor puts before each line when it is asked for a verbose log."""

_BASHIO = re.compile(r"\[[^\]\s]{5,12}\] (TRACE|DEBUG|INFO|NOTICE|WARNING|ERROR|FATAL): ?(.*)", re.DOTALL)
_BARE_LEVEL = re.compile(r"(INFO|NOTICE|WARNING|ERROR|FATAL): ?(.*)", re.DOTALL)
_SSHD = re.compile(r"sshd(?:-session|-auth)?(?:\[\d+\])?: ")
_FROM = r"from (?P<address>\S+) port (?P<port>\d+)"
_ACCEPTED = re.compile(
    rf"Accepted (?P<method>[a-z0-9-]+(?:/[a-z0-9-]+)?) for (?P<user>\S+) {_FROM} ssh2"
    r"(?:: (?P<kind>[A-Z0-9-]+) (?P<fingerprint>SHA256:[A-Za-z0-9+/]{43})(?: ID .*)?)?"
)
_LONGEST_MESSAGE = 4096
"""More bytes than one message of sshd can have; OpenSSH cuts it at 1024."""

GAP = "(lines are missing here)"
"""Stands where the log may have had lines that were not read."""

_OWN_USER = r"[a-z_][a-z0-9_.-]*\$?"
_OWN_WORDS = re.compile(
    "|".join(
        (
            rf"Accepted \S+ for {_OWN_USER} from \S+ port \d+ ssh2(?:: [A-Z0-9-]+ SHA256:\S+)?",
            r"Accepted key [A-Z0-9-]+ SHA256:\S+ found at \S+:\d+",
            rf"Failed publickey for {_OWN_USER} from \S+ port \d+ ssh2: [A-Z0-9-]+ SHA256:\S+",
            rf"Postponed publickey for {_OWN_USER} from \S+ port \d+ ssh2(?: \[preauth\])?",
            r'Connection from \S+ port \d+ on \S+ port \d+(?: rdomain "[^"]*")?',
            rf"Connection (?:closed|reset) by (?:authenticating user {_OWN_USER} )?\S+ port \d+(?: \[preauth\])?",
            rf"Disconnected from (?:authenticating )?user {_OWN_USER} \S+ port \d+(?: \[preauth\])?",
            rf"Starting session: (?:command|shell on \S+|subsystem 'sftp') for {_OWN_USER} from \S+ port \d+ id \d+",
            rf"Close session: user {_OWN_USER} from \S+ port \d+ id \d+",
            r"User child is on pid \d+",
            r"Transferred: sent \d+, received \d+ bytes",
            r"Closing connection to \S+ port \d+",
            r"Server listening on \S+ port \d+\.?",
            r"Received signal \d+; terminating\.",
            r"srclimit_\w+: .*",
            r"s6-rc: .*",
            r"\[\d\d:\d\d:\d\d\] [A-Z]+: .*",
        )
    )
)
"""The lines that hold no words of a client, whole: none of them can be the first or the last of a forged message."""

_LISTENING = re.compile(r"Server listening on (?P<address>\S+) port (?P<port>\d+)\.?")
_START = re.compile(r"s6-rc: info: service s6rc-oneshot-runner: starting|\[s6-init\] making user provided files available")
_SSHD_START = re.compile(r"Starting the SSH daemon\.\.\.")
_SHUT_OUT = re.compile(
    r"srclimit_penalise: (?:ipv[46]: new (?P<new>\S+)/\d+ active|(?P<known>\S+)/\d+: activating ipv[46]) penalty"
    r" of (?P<seconds>\d{1,6}(?:\.\d{1,6})?) seconds for .*"
)
"""An address is turned away from now on. A penalty that is `deferred` is none yet: it only counts (seen with OpenSSH 10.0)."""
_NEW_HOST_KEYS = re.compile(r"Generating host keys\.\.\.|\S+ host key missing, generating one")
_PORT_DISABLED = re.compile(r"SSH port is disabled\.|No network port is defined in the configuration")


@dataclass(frozen=True)
class Accepted:
    """A login that sshd let in; `kind` and `fingerprint` are empty for a password."""

    user: str
    address: str
    port: int
    method: str
    kind: str
    fingerprint: str
    line: str


@dataclass(frozen=True)
class Listening:
    """An address and port on which sshd waits; in the official app the port is the container's, always 22."""

    address: str
    port: int


@dataclass(frozen=True)
class Reason:
    """A recognised line: a stable code, what it means as a sentence, and the line itself."""

    code: str
    says: str
    line: str


@dataclass(frozen=True)
class Refusal:
    """A recognised refusal by sshd; `user`, `address` and `port` are set where the line names them."""

    code: str
    says: str
    line: str
    user: str | None = None
    address: str | None = None
    port: int | None = None


# ---------------------------------------------------------------------------------------------------------------- lines


def strip_colours(text: str) -> str:
    """Return the text without terminal escape sequences."""
    return _COLOURS.sub("", text)


def lines_of(text: str) -> tuple[str, ...]:
    """Return the lines of a log; only a line feed ends one, since clients can put every other sign into a name."""
    lines = strip_colours(text).split("\n")
    if lines and not lines[-1].strip("\r"):
        lines.pop()
    return tuple(line.rstrip("\r") for line in lines)


def new_since(before: str, after: str) -> tuple[str, ...]:
    """Return the lines of the later log that are new, by the largest overlap of its beginning with the end of the earlier one.

    Without any overlap, lines may have been lost in between, and `GAP` stands before the rest.
    """
    old, new = lines_of(before), lines_of(after)
    for size in range(min(len(old), len(new)), 0, -1):
        # The earlier log may end in the middle of a line.
        if old[-size:-1] == new[: size - 1] and new[size - 1].startswith(old[-1]):
            return new[size:]
    return (GAP, *new) if new else ()


def starts(lines: Sequence[str]) -> tuple[int, ...]:
    """Return the places where a start of the app begins."""
    plain = [_plain(line)[1] for line in lines]
    found: list[int] = []
    told = False
    for i, text in enumerate(plain):
        if _START.match(text):
            found.append(i)
            told = False
        elif _SSHD_START.match(text):
            # A log that was cut begins without the first lines of its start.
            if told or not found:
                found.append(i)
            told = True
    return tuple(found)


def since_start(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines since the app's latest start, or all where no start is seen."""
    begun = starts(lines)
    return lines[begun[-1] :] if begun else lines


def _unstamped(line: str) -> str:
    """Return the line without what the Supervisor or sshd puts before each of them."""
    text = _STAMP.sub("", line, count=1) if _STAMP.match(line) else line
    return _SSHD.sub("", text, count=1) if _SSHD.match(text) else text


def _plain(line: str) -> tuple[str, str]:
    """Return the level (or empty) and the text of a line without what the app's machinery puts before it."""
    text = _unstamped(line)
    match = _BASHIO.fullmatch(text) or _BARE_LEVEL.fullmatch(text)
    return ("", text) if match is None else (match[1], match[2])


# --------------------------------------------------------------------------------------------------------- what went well


def accepted(lines: Sequence[str]) -> tuple[Accepted, ...]:
    """Return the logins that sshd let in, but for those with a client's words or a gap near them, which may be forged."""
    ends = list(accumulate(len(line.encode("utf-8", "replace")) + 1 for line in lines))
    found = []
    for i, line in enumerate(lines):
        login = _accepted(line)
        if login is None:
            continue
        near = slice(bisect_left(ends, ends[i] - _LONGEST_MESSAGE), bisect_right(ends, ends[i] + _LONGEST_MESSAGE))
        if all(_OWN_WORDS.fullmatch(_unstamped(other)) for other in lines[near]):
            found.append(login)
    return tuple(found)


def logins(lines: Iterable[str]) -> tuple[Accepted, ...]:
    """Return the logins that the log tells of; good to show, but no proof, since a stranger may have forged some."""
    return tuple(login for line in lines if (login := _accepted(line)) is not None)


def _accepted(line: str) -> Accepted | None:
    level, text = _plain(line)
    match = _ACCEPTED.fullmatch(text)
    if match is None or level:
        return None
    kind, fingerprint = match["kind"] or "", match["fingerprint"] or ""
    return Accepted(match["user"], match["address"], int(match["port"]), match["method"], kind, fingerprint, line)


def listening(lines: Sequence[str]) -> tuple[Listening, ...]:
    """Return where sshd listens since the app's latest start; empty where it does not say so."""
    matches = (_LISTENING.fullmatch(_plain(line)[1]) for line in since_start(lines))
    return tuple(Listening(match["address"], int(match["port"])) for match in matches if match is not None)


def port_disabled(lines: Sequence[str]) -> bool:
    """Return whether the app says, since its latest start, that it runs without an SSH server because no port is set."""
    return any(_PORT_DISABLED.match(_plain(line)[1]) for line in since_start(lines))


# --------------------------------------------------------------------------------------------------------- what went wrong

_FATAL: tuple[tuple[str, str, str], ...] = (
    ("no-login", r"You need to setup a login!", "neither a key nor a password is set, so the app refuses to run"),
    (
        "no-login",
        r"Configuration of this (?:app|add-?on) is incomplete|Please be sure to set at least an SSH password",
        "neither a key nor a password is set, so the app refuses to run",
    ),
    ("user-empty", r"Setting a username is required!", "no username is set, and this app needs one"),
    (
        "sftp-needs-root",
        r'You have enabled SFTP using the "ssh\.sftp"',
        "SFTP is on, and this app allows it for the user `root` only",
    ),
    (
        "user-taken",
        r"Failed creating the user account",
        "the username cannot be created: it is taken, or has signs that are not allowed",
    ),
    ("password-refused", r"Failed setting the password", "the password could not be set"),
    (
        "port-busy",
        r"Bind to port (?P<n>\d+) on \S+ failed: Address (?:already )?in use",
        "port {n} is already taken by something else on this host",
    ),
    ("port-busy", r"Cannot bind any address", "the port is already taken by something else on this host"),
    (
        "packages",
        r"Failed (?:updating Alpine packages|installing )",
        "an extra package could not be fetched, and the app does not run without it",
    ),
    (
        "init-command",
        r"Failed (?:executing init command|to get init)",
        "one of the `init_commands` failed, and the app stops there",
    ),
    (
        "host-keys",
        r"Failed to (?:create|generate) .*host keys?|(?:sshd: )?no hostkeys available",
        "the server has no usable host keys",
    ),
    (
        "sshd-config",
        r"\S*sshd_config\S*(?: line \d+)?: (?:Bad configuration option|terminating|.*[Uu]nsupported option)",
        "sshd refuses its own configuration",
    ),
    (
        "image-broken",
        r"(?:exec \S+: |standard_init_linux\S+ exec user process caused: )?[Ee]xec format error",
        "the app's image is damaged or made for another processor",
    ),
    (
        "image-broken",
        r"s6-overlay-suexec: fatal: can only run as pid 1",
        "the app's image cannot run here: its first process is not its own",
    ),
    (
        "data-folder",
        r"Failed (?:to create a persistent|setting permissions on persistent) \.ssh folder",
        "the app cannot write its own data folder",
    ),
)
"""Why an app's start failed: a stable code, the beginning of the line, and what it means."""

_FATAL_LEVEL_ONLY = frozenset({"packages"})
"""What is only a warning in some versions of the apps."""


def fatal(lines: Sequence[str]) -> Reason | None:
    """Return why the app's latest start failed: `unrecognised` where its words are not known, `None` where it does not say."""
    latest = since_start(lines)
    up = bool(listening(latest))
    plain = [(line, *_plain(line)) for line in latest]
    for line, level, text in plain:
        for code, pattern, says in _FATAL:
            match = re.match(pattern, text)
            if match is None or (code in _FATAL_LEVEL_ONLY and level != "FATAL") or (code == "port-busy" and up):
                continue
            return Reason(code, says.format_map(match.groupdict()), line)
    if (last := next((entry for entry in plain if entry[1] == "FATAL" and entry[2].strip()), None)) is not None:
        return Reason("unrecognised", last[2].strip(), last[0])
    off = next((line for line, _, text in plain if _PORT_DISABLED.match(text)), None)
    return None if up or off is None else Reason("port-disabled", "no port is set, so the app runs without an SSH server", off)


_WHO = r"(?P<user>.*)"
_AT = r"(?P<address>\S+) port (?P<port>\d+)"
_END = r"(?: \[preauth\])?"
_REFUSALS: tuple[tuple[str, str, str], ...] = (
    (
        "rsa-sha1",
        r"userauth_pubkey: (?:signature algorithm|key type) ssh-rsa\S* not in Pubkey\w+" + _END,
        "the client signs with RSA and SHA-1, which this server no longer takes; the key itself is fine",
    ),
    (
        "algorithm-refused",
        r"userauth_pubkey: (?:signature algorithm|key type) (?P<kind>\S+) not in Pubkey\w+" + _END,
        "the server does not take keys or signatures of the kind {kind}",
    ),
    (
        "wrong-user",
        r"User (?P<user>\S+) from (?P<address>\S+) not allowed because not listed in AllowUsers",
        "the user {user} may not log in here: the app allows only the one that its settings name",
    ),
    (
        "user-locked",
        r"User (?P<user>\S+) (?:from \S+ )?not allowed because account is locked",
        "the account {user} is locked",
    ),
    ("wrong-user", rf"Invalid user {_WHO} {_FROM}" + _END, "there is no such user here"),
    (
        "key-refused",
        rf"Failed publickey for (?!invalid user ){_WHO} from {_AT} ssh2: .*",
        "a key was offered that is not authorised",
    ),
    ("password-refused", rf"Failed password for (?!invalid user ){_WHO} from {_AT} ssh2", "a wrong password was given"),
    ("wrong-user", rf"Failed \S+ for invalid user {_WHO} from {_AT} ssh2(?:: .*)?", "there is no such user here"),
    (
        "not-from-here",
        r"Authentication tried for (?P<user>\S+) with correct key but not from a permitted host .*",
        "the key is right, but its `from=` option does not allow this address",
    ),
    (
        "too-many",
        rf"(?:error: )?maximum authentication attempts exceeded for (?:invalid user )?{_WHO} from {_AT} ssh2" + _END,
        "the client tried too many keys before the right one",
    ),
    (
        "too-many",
        rf"Disconnecting (?:authenticating|invalid) user {_WHO} {_AT}: Too many authentication failures" + _END,
        "the client tried too many keys before the right one",
    ),
    (
        "gave-up",
        rf"Connection (?:closed|reset) by (?:authenticating|invalid) user {_WHO} {_AT}" + _END,
        "the client offered nothing that lets it in",
    ),
    (
        "no-common-algorithm",
        rf"Unable to negotiate with {_AT}: no matching (?P<what>.+?) found\. Their offer: .*",
        "client and server have no {what} in common",
    ),
    (
        "penalty",
        r"drop connection #\d+ from \[(?P<address>[^\]]*)\]:(?P<port>\d+) on \S+ penalty: .*",
        "sshd turned this address away for a while after failed logins",
    ),
    (
        "penalty",
        _SHUT_OUT.pattern,
        "sshd turns an address away for a while after failed logins",
    ),
    (
        "busy",
        r"drop connection #\d+ from \[(?P<address>[^\]]*)\]:(?P<port>\d+) on \S+ (?:past )?(?:Max|PerSource)\w+.*",
        "too many connections were waiting to log in at once",
    ),
    ("busy", r"(?:error: )?beginning MaxStartups throttling", "too many connections were waiting to log in at once"),
    ("forwarding-refused", r"refused (?:local|remote|streamlocal) port forward: .*", "the app does not allow forwarding"),
    (
        "forwarding-refused",
        r"Received request (?:from \S+ port \d+ )?to (?:connect to|forward|remote forward) .*, but the request was denied\.?",
        "the app does not allow forwarding",
    ),
    (
        "subsystem-failed",
        r"subsystem request for (?P<what>\S+)(?: by user (?P<user>\S+))? failed, subsystem not found",
        "the app has {what} switched off",
    ),
    (
        "modes",
        r"Authentication refused: bad ownership or modes for (?:file|directory) .*",
        "the server distrusts its own key file, since others could write to it",
    ),
    (
        "corrupted",
        r"Corrupted MAC on input\..*|ssh_dispatch_run_fatal: .*: message authentication code incorrect.*",
        "the client miscomputed a checksum, as OpenSSH for Windows does with one of the algorithms",
    ),
    (
        "not-ssh",
        rf"banner exchange: Connection from {_AT}: (?:invalid format|could not read protocol version)",
        "something that is no SSH client connected",
    ),
    (
        "not-ssh",
        r"(?:error: )?(?:kex_exchange_identification: .*|Bad protocol version identification .*)",
        "something that is no SSH client connected",
    ),
)
"""Why sshd let somebody not in: a stable code, the line, and what it means."""


def penalty_seconds(lines: Iterable[str], address: str | None) -> int | None:
    """Return for how long sshd turns this address away, as far as it has said so; logins that ran meanwhile may add to it."""
    said = filter(None, (_SHUT_OUT.fullmatch(_plain(line)[1]) for line in lines))
    return next((ceil(float(one["seconds"])) for one in reversed(list(said)) if (one["new"] or one["known"]) == address), None)


def made_host_keys(lines: Sequence[str]) -> str | None:
    """Return the line that says that the app's latest start made its host keys, as after a reinstallation; `None` for none."""
    return next((line for line in since_start(lines) if _NEW_HOST_KEYS.match(_plain(line)[1])), None)


def refusals(lines: Iterable[str]) -> tuple[Refusal, ...]:
    """Return what sshd refused, in the order of the log."""
    return tuple(found for line in lines if (found := _refusal(line)) is not None)


def about(told: Sequence[Refusal], user: str, port: int) -> tuple[Refusal, ...]:
    """Return the refusals that are about one connection: by its source port, and what names neither a port nor another user.

    Where none names that port, an address translation may stand between: then those of one connection count, if only one
    names that user or nobody.
    """
    nameless = [one for one in told if one.port is None and one.user in {None, user}]
    exact = [one for one in told if port and one.port == port]
    others = [one for one in told if one.port is not None and one.user in {None, user}]
    found = exact or (others if len({one.port for one in others}) == 1 else [])
    return tuple(one for one in told if one in found or one in nameless)


def _refusal(line: str) -> Refusal | None:
    level, text = _plain(line)
    if level:
        return None
    for code, pattern, says in _REFUSALS:
        match = re.fullmatch(pattern, text, re.DOTALL)
        if match is not None:
            named = match.groupdict()
            user, port = named.get("user"), named.get("port")
            named = {name: printable(value or "") for name, value in named.items()}
            return Refusal(
                code,
                says.format_map(named),
                line,
                user=None if user is None else named["user"],
                address=named.get("address"),
                port=None if port is None else int(port),
            )
    return None
