"""OpenSSH's client as the simulated computer has it: what it makes of an alias (`ssh -G`), and what it knows of a host."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ha_ssh.sim.apps import PublicKey


class Complaint(Exception):
    """What `ssh` says before it gives up with exit code 255."""


class Files(Protocol):
    """The files as the client reads them."""

    def text(self, path: str) -> str | None:
        """The text of a file, or `None`."""
        ...

    def mode(self, path: str) -> int:
        """The mode of a file that exists."""
        ...

    def matching(self, pattern: str) -> list[str]:
        """The paths of the files that match a pattern, sorted."""
        ...


_FLAGS = frozenset(
    (
        *("batchmode", "canonicalizefallbacklocal", "checkhostip", "compression", "clearallforwardings", "enablesshkeysign"),
        *(
            "exitonforwardfailure",
            "forwardx11",
            "forwardx11trusted",
            "gatewayports",
            "gssapiauthentication",
            "gssapidelegatecredentials",
        ),
        *(
            "hashknownhosts",
            "hostbasedauthentication",
            "identitiesonly",
            "kbdinteractiveauthentication",
            "passwordauthentication",
        ),
        *("nohostauthenticationforlocalhost", "permitlocalcommand", "proxyusefdpass", "streamlocalbindunlink", "tcpkeepalive"),
        *("stdinnull", "forkafterauthentication", "visualhostkey", "enableescapecommandline"),
    )
)
"""Keywords that are yes or no."""

_WORDS: dict[str, dict[str, str]] = {
    "stricthostkeychecking": {"yes": "true", "true": "true", "no": "false", "false": "false", "off": "false"}
    | {word: word for word in ("ask", "accept-new")},
    "updatehostkeys": {"yes": "true", "true": "true", "no": "false", "false": "false", "ask": "ask"},
    "pubkeyauthentication": {"yes": "true", "true": "true", "no": "false", "false": "false"}
    | {word: word for word in ("unbound", "host-bound")},
    "controlmaster": {"yes": "true", "true": "true", "no": "false", "false": "false"}
    | {word: word for word in ("auto", "ask", "autoask")},
    "requesttty": {"yes": "true", "true": "true", "no": "false", "false": "false"} | {word: word for word in ("force", "auto")},
    "addressfamily": {word: word for word in ("any", "inet", "inet6")},
    "verifyhostkeydns": {"yes": "true", "true": "true", "no": "false", "false": "false", "ask": "ask"},
    "loglevel": {word: word.upper() for word in ("silent", "fatal", "error", "info", "verbose", "debug", "debug2", "debug3")}
    | {"quiet": "SILENT", "debug1": "DEBUG"},
    "sessiontype": {word: word for word in ("none", "subsystem", "default")},
    "canonicalizehostname": {"yes": "true", "true": "true", "no": "false", "false": "false", "always": "always"},
}
"""Keywords with a choice of words, each with what `ssh -G` prints for it."""

_TIMES = frozenset(("connecttimeout", "serveraliveinterval", "forwardx11timeout"))
_NUMBERS = frozenset(
    ("connectionattempts", "numberofpasswordprompts", "serveralivecountmax", "canonicalizemaxdots", "requiredrsasize")
)
_LISTS = frozenset(("identityfile", "certificatefile", "localforward", "remoteforward", "dynamicforward", "sendenv"))
"""Keywords whose values add up."""

_TEXTS = frozenset(
    (
        *(
            "addkeystoagent",
            "bindaddress",
            "bindinterface",
            "canonicaldomains",
            "canonicalizepermittedcnames",
            "casignaturealgorithms",
        ),
        *("channeltimeout", "ciphers", "controlpath", "controlpersist", "escapechar", "fingerprinthash", "forwardagent"),
        *(
            "globalknownhostsfile",
            "hostbasedacceptedalgorithms",
            "hostkeyalgorithms",
            "hostkeyalias",
            "hostname",
            "identityagent",
        ),
        *("ignoreunknown", "ipqos", "kbdinteractivedevices", "kexalgorithms", "knownhostscommand", "localcommand"),
        *(
            "logverbose",
            "macs",
            "obscurekeystroketiming",
            "permitremoteopen",
            "pkcs11provider",
            "port",
            "preferredauthentications",
        ),
        *("proxycommand", "proxyjump", "pubkeyacceptedalgorithms", "rekeylimit", "remotecommand", "revokedhostkeys"),
        *("securitykeyprovider", "setenv", "streamlocalbindmask", "syslogfacility", "tag", "tunnel", "tunneldevice", "user"),
        *("userknownhostsfile", "xauthlocation", "gssapikeyexchange", "gssapirenewalforcesrekey", "gssapitrustdns"),
    )
)
_KNOWN = _FLAGS | _TIMES | _NUMBERS | _LISTS | _TEXTS | frozenset(_WORDS)
_OTHER_NAMES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "hostbasedkeytypes": "hostbasedacceptedalgorithms",
    "keepalive": "tcpkeepalive",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "skeyauthentication": "kbdinteractiveauthentication",
}
_REST_OF_LINE = frozenset(("localcommand", "proxycommand", "remotecommand", "knownhostscommand"))
_SEVERAL_WORDS = frozenset(
    (
        "canonicaldomains",
        "globalknownhostsfile",
        "ipqos",
        "permitremoteopen",
        "rekeylimit",
        "sendenv",
        "setenv",
        "userknownhostsfile",
    )
)

_DEFAULTS: dict[str, tuple[str, ...]] = {
    "addkeystoagent": ("false",),
    "batchmode": ("no",),
    "checkhostip": ("no",),
    "controlmaster": ("false",),
    "controlpersist": ("no",),
    "exitonforwardfailure": ("no",),
    "forwardagent": ("no",),
    "hashknownhosts": ("no",),
    "identitiesonly": ("no",),
    "loglevel": ("INFO",),
    "passwordauthentication": ("yes",),
    "permitlocalcommand": ("no",),
    "port": ("22",),
    "pubkeyauthentication": ("true",),
    "requesttty": ("auto",),
    "serveralivecountmax": ("3",),
    "serveraliveinterval": ("0",),
    "stricthostkeychecking": ("ask",),
    "updatehostkeys": ("true",),
    "identityfile": tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa")),
    "globalknownhostsfile": ("/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",),
}


@dataclass
class _Reading:
    """What has been read so far."""

    alias: str
    files: Files
    home: str
    user: str
    values: dict[str, list[str]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def take(self, keyword: str, values: list[str]) -> None:
        """Note a value, unless an earlier one counts."""
        if keyword in _LISTS:
            known = self.values.setdefault(keyword, [])
            known.extend(value for value in values if value not in known)
        else:
            self.values.setdefault(keyword, values)

    def expanded(self, path: str) -> str:
        """The path without `~`."""
        return self.home + path[1:] if path == "~" or path.startswith("~/") else path


def resolve(
    alias: str, config: str, files: Files, *, home: str, user: str, known_hosts: str | None = None
) -> dict[str, tuple[str, ...]]:
    """Return what `ssh -G ALIAS` prints, a value per line; raises `Complaint` where it would give up.

    `known_hosts` stands for a run with `-F config`, which does not look at the config's mode: the file where none is named.
    """
    reading = _Reading(alias, files, home, user)
    _read(reading, config, depth=0, active=True, checked=known_hosts is None)
    found = {keyword: tuple(values) for keyword, values in reading.values.items() if keyword != "ignoreunknown"}
    host = found.get("hostname", ("%h",))[0].replace("%h", alias).replace("%%", "%")
    defaults = _DEFAULTS | {"userknownhostsfile": (known_hosts or f"{home}/.ssh/known_hosts {home}/.ssh/known_hosts2",)}
    if known_hosts is not None or "userknownhostsfile" in found:
        defaults["updatehostkeys"] = ("false",)
    result = {"host": (alias,), "user": (user,)} | defaults | found | {"hostname": (host,)}
    for keyword in ("proxyjump", "proxycommand", "hostkeyalias", "controlpath", "remotecommand"):
        if result.get(keyword, ("",))[0].lower() == "none":
            del result[keyword]
    return result


def _read(reading: _Reading, path: str, *, depth: int, active: bool, checked: bool) -> None:
    text = reading.files.text(path)
    if text is None:
        return
    if checked and reading.files.mode(path) & 0o022:
        raise Complaint(f"Bad owner or permissions on {path}")
    if depth > 16:
        raise Complaint("Too many recursive configuration includes")
    problems, here = [], active
    for number, line in enumerate(text.split("\n"), 1):
        try:
            here = _read_line(reading, line, here, depth=depth, allowed=active, path=path)
        except _BadOption as bad:
            problems.append(f"{path}: line {number}: Bad configuration option: {bad}")
        except _BadValue as bad:
            problems.append(f"{path} line {number}: {bad}")
    if problems:
        raise Complaint("\n".join((*problems, f"{path}: terminating, {len(problems)} bad configuration options")))


class _BadOption(Exception):
    """A keyword that `ssh` does not know."""


class _BadValue(Exception):
    """A value that `ssh` does not take."""


def _read_line(reading: _Reading, line: str, here: bool, *, depth: int, allowed: bool, path: str) -> bool:
    """Take one line; returns whether the lines after it count."""
    bare = line.strip(" \t\r\n\f")
    if not bare or bare.startswith("#"):
        return here
    found = re.match(r'"?([^\s="]+)"?(?:\s*=\s*|\s+|$)(.*)', bare, re.DOTALL)
    if found is None:
        raise _BadOption(bare)
    keyword, rest = found[1].lower(), found[2]
    keyword = _OTHER_NAMES.get(keyword, keyword)
    words = [rest] if keyword in _REST_OF_LINE else _words(rest)
    if keyword not in _KNOWN and keyword not in {"host", "match", "include"}:
        if any(fnmatch.fnmatchcase(keyword, pattern.lower()) for pattern in reading.ignored):
            return here
        raise _BadOption(keyword)
    if not words or not words[0]:
        raise _BadValue(f'no argument after keyword "{keyword}"')
    if keyword == "host":
        return allowed and _host_matches(words, reading.alias)
    if keyword == "match":
        return allowed and _match(reading, words)
    if keyword == "include":
        for pattern in words:
            place = reading.expanded(pattern)
            place = place if place.startswith("/") else f"{reading.home}/.ssh/{place}"
            for each in reading.files.matching(place):
                _read(reading, each, depth=depth + 1, active=here, checked=True)
        return here
    values = _values(keyword, words, reading)
    if keyword == "ignoreunknown" and here:
        reading.ignored = reading.ignored or values[0].split(",")
    if here:
        reading.take(keyword, values)
    return here


def _words(text: str) -> list[str]:
    """Split as `ssh` does: quotes hold words together, a `#` ends the line."""
    words, word, quote, begun = [], "", "", False
    chars = iter(text)
    for char in chars:
        if char == "\\":
            following = next(chars, "")
            word += following if following in {'"', "'", "\\"} or (following == " " and not quote) else "\\" + following
            begun = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "\"'":
            quote, begun = char, True
        elif char in " \t":
            if begun:
                words.append(word)
            word, begun = "", False
        elif char == "#" and not begun:
            return words
        else:
            word, begun = word + char, True
    if quote:
        raise _BadValue("invalid quotes")
    return [*words, word] if begun else words


def _values(keyword: str, words: list[str], reading: _Reading) -> list[str]:
    one = keyword not in _SEVERAL_WORDS and keyword not in {"localforward", "remoteforward"}
    if one and len(words) > 1:
        raise _BadValue(f"keyword {keyword} extra arguments at end of line")
    word = words[0]
    if keyword in _FLAGS:
        if word.lower() not in {"yes", "true", "no", "false"}:
            raise _BadValue(f'unsupported option "{word}".')
        return ["yes" if word.lower() in {"yes", "true"} else "no"]
    if keyword in _WORDS:
        if word.lower() not in _WORDS[keyword]:
            raise _BadValue(f'unsupported option "{word}".')
        return [_WORDS[keyword][word.lower()]]
    if keyword == "port":
        if not word.isdecimal() or not 1 <= int(word) <= 65535:
            raise _BadValue(f"Bad port '{word}'.")
        return [str(int(word))]
    if keyword in _NUMBERS:
        if re.fullmatch(r"-?\d+", word) is None:
            raise _BadValue("integer value expected.")
        return [str(int(word))]
    if keyword in _TIMES:
        return [_seconds(word)]
    if keyword == "controlpersist":
        return [_seconds(word) if word[:1].isdigit() else ("yes" if word.lower() in {"yes", "true"} else "no")]
    if keyword == "addkeystoagent":
        return [{"yes": "true", "no": "false"}.get(word.lower(), word)]
    if keyword == "forwardagent":
        return [{"true": "yes", "false": "no"}.get(word.lower(), word)]
    if keyword in {"localforward", "remoteforward"}:
        return [_forward(words)]
    if keyword == "userknownhostsfile":
        return [" ".join(reading.expanded(each) for each in words)]
    return list(words) if keyword == "sendenv" else [" ".join(words)]


def _forward(words: list[str]) -> str:
    if len(words) == 1:
        return words[0]
    listen, target = words[0], words[1]
    host, colon, port = target.rpartition(":")
    place = f"[{host.strip('[]')}]:{port}" if colon else target
    bind, colon, bound = listen.rpartition(":")
    return f"[{bind.strip('[]')}]:{bound} {place}" if colon else f"{listen} {place}"


def _seconds(text: str) -> str:
    if text.lower() == "none":
        return "none"
    if re.fullmatch(r"(\d+[smhdwSMHDW]?)+", text) is None:
        raise _BadValue("invalid time value.")
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return str(sum(int(number) * units[unit.lower()] for number, unit in re.findall(r"(\d+)([a-zA-Z]?)", text)))


def _host_matches(patterns: list[str], name: str) -> bool:
    hit = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if _like(pattern[1:], name):
                return False
        elif _like(pattern, name):
            hit = True
    return hit


def _like(pattern: str, name: str) -> bool:
    regex = "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern.lower())
    return re.fullmatch(regex, name.lower()) is not None


def _match(reading: _Reading, words: list[str]) -> bool:
    if words[0].lower() == "all":
        if len(words) > 1:
            raise _BadValue("'all' cannot be combined with other Match attributes")
        return True
    result, rest = True, list(words)
    while rest:
        attribute, equals, value = rest.pop(0).partition("=")
        negative, attribute = attribute.startswith("!"), attribute.lstrip("!").lower()
        if attribute in {"canonical", "final"}:
            result = result and negative
            continue
        if not equals:
            if not rest:
                raise _BadValue(
                    "Unsupported Match attribute" if attribute not in _MATCH_ON else f"missing argument for {attribute}"
                )
            value = rest.pop(0)
        if attribute not in _MATCH_ON:
            raise _BadValue(f"Unsupported Match attribute {attribute}")
        subject = {
            "host": reading.values.get("hostname", [reading.alias])[0].replace("%h", reading.alias),
            "originalhost": reading.alias,
            "user": reading.values.get("user", [reading.user])[0],
            "localuser": reading.user,
        }.get(attribute)
        # `exec` is never run here: the simulated computer has no programs, so such a condition does not hold.
        holds = subject is not None and _host_matches(value.split(","), subject)
        result = result and holds is not negative
    return result


_MATCH_ON = frozenset(("host", "originalhost", "user", "localuser", "exec", "tagged", "localnetwork"))


# ---------------------------------------------------------------------------------------------------------- known hosts


@dataclass(frozen=True)
class KnownLine:
    """A line of a `known_hosts` file that speaks of a host."""

    marker: str
    type: str
    blob: bytes


def known_for(text: str, name: str) -> Iterator[KnownLine]:
    """Yield the lines of a `known_hosts` text that speak of a name (`host` or `[host]:port`)."""
    for line in text.split("\n"):
        bare = line.strip(" \t\r")
        if not bare or bare.startswith("#"):
            continue
        words = bare.split()
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or not _names(words[0], name):
            continue
        try:
            yield KnownLine(marker, words[1], base64.b64decode(words[2], validate=True))
        except (binascii.Error, ValueError):
            continue


def _names(hosts: str, name: str) -> bool:
    if not hosts.startswith("|1|"):
        return _host_matches(hosts.split(","), name)
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hosts[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


_PREFERRED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def host_key_problem(texts: list[str], name: str, served: list[PublicKey], *, strict: str) -> str | None:
    """Say why `ssh` would not go on with a server that has these host keys; `None` where it would.

    It asks for a kind that it knows of the host, if the server has one. `strict` is the printed StrictHostKeyChecking.
    """
    lines = [line for text in texts for line in known_for(text, name)]
    plain = [line for line in lines if not line.marker]
    order = sorted(served, key=lambda key: _PREFERRED.index(key.type) if key.type in _PREFERRED else len(_PREFERRED))
    revoked = {line.blob for line in lines if line.marker == "@revoked"}
    known_kinds = {line.type for line in plain if line.blob not in revoked}
    chosen = next((key for key in order if key.type in known_kinds), order[0])
    if any(line.marker == "@revoked" and line.blob == chosen.blob for line in lines):
        return f"WARNING: REVOKED HOST KEY DETECTED!\nThe {chosen.short} host key for {name} is marked as revoked."
    if any(line.type == chosen.type and line.blob == chosen.blob for line in plain):
        return None
    if plain:
        changed = "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!"
        return f"{changed}\nThe fingerprint is {chosen.fingerprint}.\nHost key verification failed."
    if strict in {"false", "accept-new"}:
        return None
    return (
        f"No {chosen.short} host key is known for {name} and you have requested strict checking.\nHost key verification failed."
    )
