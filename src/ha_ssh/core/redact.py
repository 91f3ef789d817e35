"""What must not be seen, taken out of texts: secrets always, and for a report also whatever tells whose house it is."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from ha_ssh.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MASK = "***"
_BETWEEN = "\n\x1e\n"
"""What stands between texts that are hidden together."""
_TELLING = r"(?:[a-z0-9_]*(?:password|passphrase|passwd|token|secret|api_?key|psk)|(?:[a-z0-9_]*_)?pass|[a-z0-9_]+_pwd)"
_VALUE = r"(?!\*\*\*)(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s`|;&]+)"
"""A word of a command line, quoted or not."""
_ARGUMENTS = r"\b([^`|;&\n]*)"
"""The arguments of a command, up to its end."""
_PRIVATE_KEY = f"{MASK} (a private key)"


def _masking(option: str) -> Callable[[re.Match[str]], str]:
    """Return what masks, in the arguments of a command, the value of each of its options that tells a secret."""
    telling = re.compile(rf"(?<!\S)({option})(\s*+){_VALUE}", re.IGNORECASE)

    def mask(command: re.Match[str]) -> str:
        name = command[0][: len(command[0]) - len(command[1])]
        return name + telling.sub(rf"\1\2{MASK}", command[1])

    return mask


_COMMANDS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # echo me:secret | chpasswd
    (
        re.compile(
            r"\b(echo|printf)\b[^|`\n]*(?=\|\s*(?:sudo\s+-\S*S|(?:sudo\s+)?(?:chpasswd|passwd|smbpasswd|cryptsetup)\b|[^|`\n]*stdin))"
        ),
        rf"\1 {MASK} ",
    ),
    (re.compile(rf"\b((?:chp|smbp|p)asswd\b[^`|;&<\n]*<<<\s*){_VALUE}"), rf"\1{MASK}"),
    # --password secret, but none of our own flags, which name files and words
    (
        re.compile(
            rf"""(?ix)(?<![\w-])(--?(?!no-|make-)(?![\w-]*-(?:file|stdin)\b)(?:[a-z0-9]+[-_])*
            (?:password|passwd|passphrase|pass|pwd|psk|token|secret|api-?key|access-?key)(?:[-_][a-z0-9]+)*)(=|\ +)
            (?!(?:off|keep|generate|FILE|NAME)\b|-){_VALUE}"""
        ),
        rf"\1\2{MASK}",
    ),
    # curl -u me:secret, smbclient -U me%secret
    (
        re.compile(r"""(?<!\S)(-[uU]|--(?:proxy-)?user(?:name)?)(\s*=?\s*)(["']?[^\s:%`"']+[:%])(?!\*\*\*)[^\s`"']+"""),
        rf"\1\2\3{MASK}",
    ),
    (
        re.compile(r"""(?i)(["'][\w-]*(?:key|token|auth\w*|cookie|secret|password)[\w-]*:\s*+)(?!\*\*\*)[^"'\n`]+(?=["'])"""),
        rf"\1{MASK}",
    ),
    # mysql -psecret, redis-cli -a secret
    (
        re.compile(
            rf"\b(?:sshpass|mysql\w*|mariadb\w*|7z\w?|unzip|zip|mosquitto_\w+|redis-cli|ldap\w+|mongo\w*|user(?:add|mod)|docker\s+login){_ARGUMENTS}"
        ),
        _masking("-[pPaw]"),
    ),
    (
        re.compile(rf"\b(?:nmcli|iwconfig|wpa_cli|netsh){_ARGUMENTS}"),
        _masking(r"connect\s|e?ssid\s|[\w.-]*password\s|[\w.-]*psk\s|key\s"),
    ),
    (re.compile(r"\b(wpa_passphrase) +(?!\*\*\*)[^`|;&\n]+"), rf"\1 {MASK}"),
)
"""How secrets stand on command lines."""
_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    *_COMMANDS,
    (
        re.compile(r"-{2,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-{2,5} ?END [A-Z0-9 ]*PRIVATE KEY ?-{2,5}|\Z)", re.DOTALL),
        _PRIVATE_KEY,
    ),
    (re.compile(r"PuTTY-User-Key-File-.*?(?:Private-(?:MAC|Hash): *[0-9a-f]+|\Z)", re.DOTALL), _PRIVATE_KEY),
    (re.compile(r"b3BlbnNzaC1rZXktdjEA[A-Za-z0-9+/=\s]*"), _PRIVATE_KEY),
    (re.compile(r"\bGot (?:[{\[].*[}\]]|[{\[].*)", re.DOTALL), f"Got {MASK}"),
    (re.compile(r"(?<=\. )Got (?!\*\*\*)(?:'[^\n]*'|\"[^\n]*\"|\S+)"), f"Got {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2}"), MASK),
    (re.compile(r"(?<![0-9A-Za-z:])[0-9a-f]{40,}(?![0-9A-Za-z])", re.IGNORECASE), MASK),
    (re.compile(r"(?i)\b(bearer|basic) +(?!\*\*\*)[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"(://)[^\s/:@]*:[^\s/@]+@"), rf"\1{MASK}@"),
    (
        re.compile(
            rf"""(?ix)(["']{_TELLING}["']\ *:\ *|\b{_TELLING}\ *=\ *)
            (?!\*\*\*|["']{{2}}|none\b|null\b)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'`}}\])]+)"""
        ),
        rf"\1{MASK}",
    ),
    (
        re.compile(rf"(?im)(\b{_TELLING}: +)(?!\*\*\*|[\"']{{2}}|none\b|null\b)[^\s`]+(?=`? *$)"),
        rf"\1{MASK}",
    ),
    (re.compile(r"([?&](?:code|state|key|sig|auth)[a-z_]*=)(?!\*\*\*)[^\s&#`\"']+", re.IGNORECASE), rf"\1{MASK}"),
)

_KEY = re.compile(r"\bAAAA[A-Za-z0-9+/]{12,}={0,2}")
_FINGERPRINT = re.compile(r"\b(?:SHA256:[A-Za-z0-9+/]{43}|MD5:(?:[0-9a-f]{2}:){15}[0-9a-f]{2})")
_MAC = re.compile(r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])")
_ID = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?(?:%[\w.-]+)?(?![\w:])")
_NAME = re.compile(
    r"(?i)\b(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)+(?:local|lan|home|internal|localdomain|fritz\.box|nabu\.casa|duckdns\.org)\b"
)
_AT_HOST = re.compile(r"(?<![\w.*<>@-])[\w.+-]+@(?!openssh\.com\b|libssh\.org\b)[\w][\w.-]*")
_LOG_USER = re.compile(
    r"((?:Accepted|Failed|Postponed) \S+ for (?:invalid user )?|(?:Invalid|authenticating|invalid|for|from) user |User )"
    r"(?!<user|from\b|root\b|hassio\b)(\S+)(?= (?:from )?[\w<:.\[])"
)
_OWN_COMMAND = re.compile(r"(?i)((?:init[ _]commands?|executing command): +)([^\s`][^`\n]*)")
"""Where an app's log quotes a command of its owner."""
_COMMON_USERS = frozenset({"root", "hassio", "user", "home", "admin", "users", ""})


def redact(text: str, secrets: Iterable[Secret | str] = ()) -> str:
    """Return the text without secrets: those given, and everything that looks like one, also what refusals quote."""
    plain = {secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets}
    forms = {form for secret in plain if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    for pattern, mask in _RULES:
        text = pattern.sub(mask, text)
    return text


def for_posting(
    text: str,
    home: str = "",
    hosts: Iterable[str] = (),
    *,
    users: Iterable[str] = (),
    names: Iterable[str] = (),
    secrets: Iterable[Secret | str] = (),
    commands: Iterable[str] = (),
) -> str:
    """Return the text fit for a forum: no secrets, home folder, names of hosts and users, addresses, keys or ids.

    `names` are what people call things, hidden wherever they stand as a word or as a part of one. What is hidden under the
    same name is the same thing, so that the report can still be understood. Of `commands` that are somebody's own, only the
    first word is shown: nobody can say what else in them is a secret.
    """
    secrets = list(secrets)
    text = redact(text, secrets)
    for command in sorted({redact(command.strip(), secrets) for command in commands}, key=len, reverse=True):
        text = text.replace(command, _first_word(command)) if " " in command else text
    text = _OWN_COMMAND.sub(lambda found: found[1] + _first_word(found[2]), text)
    own = re.split(r"[/\\]", home.rstrip("/\\"))[-1]
    for form in sorted(filter(None, _path_forms(home)), key=len, reverse=True):
        text = re.sub(rf"{re.escape(form)}(?![\w.-])", "~", text)
    for name in sorted({name for name in names if name}, key=len, reverse=True):
        text = _numbered(text, re.compile(rf"(?i)(?<![a-z0-9<]){re.escape(name)}(?![a-z0-9>])"), "name")
    text = _numbered(text, _KEY, "key")
    text = _numbered(text, _FINGERPRINT, "fingerprint")
    text = _numbered(text, _MAC, "mac")
    text = _numbered(text, _ID, "id")
    text = _numbered(text, _AT_HOST, "user@host")
    text = _numbered(text, _LOG_USER, "user", group=2)
    for host in sorted({host for host in hosts if host and not _is_plain(host)}, key=len, reverse=True):
        text = _numbered(text, re.compile(rf"(?i)(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)"), "host")
    text = _numbered(text, _NAME, "host")
    text = _numbered(text, _IPV6, "address", only=_tells)
    text = _numbered(text, _IPV4, "address", only=_tells)
    for user in sorted({own, *users} - _COMMON_USERS, key=len, reverse=True):
        text = _numbered(text, re.compile(rf"(?<![\w<]){re.escape(user)}(?![\w>])"), "user")
    return text


@dataclass(frozen=True, kw_only=True)
class Private:
    """What of a run is nobody else's business, beside what looks private by itself."""

    home: str = ""
    hosts: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    commands: frozenset[str] = field(default=frozenset(), repr=False)
    """What somebody lets run in the house."""

    def hide(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return texts fit for a forum, with the same stand-in for the same thing in all of them."""
        alone = [redact(text, self.secrets) for text in texts]
        shown = self._hidden(_BETWEEN.join(alone)).split(_BETWEEN)
        return tuple(shown) if len(shown) == len(texts) else tuple(map(self._hidden, alone))

    def _hidden(self, text: str) -> str:
        return for_posting(
            text,
            self.home,
            self.hosts,
            users=self.users,
            names=self.names,
            secrets=self.secrets,
            commands=self.commands,
        )


def _first_word(command: str) -> str:
    """Return what can be shown of a command to everybody."""
    word = command.split()[0]
    return command if command == word or command.endswith(" …") else f"{'' if '=' in word else word} …".strip()


def _forms(secret: str) -> set[str]:
    """Return the ways in which a secret is written in JSON, in Python's words and in addresses."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret, safe=""),
    }


def _path_forms(path: str) -> set[str]:
    bare = path.rstrip("/\\")
    return {bare, bare.replace("\\", "/"), bare.replace("\\", "\\\\")} if len(bare) > 1 else set()


def _numbered(text: str, pattern: re.Pattern[str], word: str, *, group: int = 0, only: Callable[[str], bool] = bool) -> str:
    """Return the text with each different match under a number of its own, going on after the numbers that are there."""
    used = max((int(number) for number in re.findall(rf"<{re.escape(word)}-(\d+)>", text)), default=0)
    names: dict[str, str] = {}

    def hide(match: re.Match[str]) -> str:
        found = match[group]
        if not only(found):
            return match[0]
        name = names.setdefault(found.lower(), f"<{word}-{used + len(names) + 1}>")
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:start] + name + match[0][end:]

    return pattern.sub(hide, text)


def _is_plain(host: str) -> bool:
    """Return whether a host's name is an address (hidden as such) or tells nothing."""
    if host in ("localhost", "homeassistant", "homeassistant.local"):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _tells(text: str) -> bool:
    """Return whether an address tells anything of somebody: not the machine itself, nor `any`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
