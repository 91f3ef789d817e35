"""OpenSSH's client configuration as text: our one `Include` line in the user's file, and the file of ours that it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ha_ssh.core.keys import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_KEYWORD = re.compile(r'\s*"?([A-Za-z][A-Za-z0-9]*)"?(?:[ \t]*=[ \t]*|[ \t]+|$)')
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_BLOCKS = ("host", "match")
_OWN_KEYWORDS = frozenset(
    (
        *("", "host", "hostname", "port", "user", "identityfile", "identitiesonly", "hostkeyalias", "serveraliveinterval"),
        *("userknownhostsfile", "controlmaster", "controlpath", "controlpersist", "localforward", "macs", "setenv"),
    )
)
"""What our own file holds; a line without a keyword is blank or a comment."""
_UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")
"""How such a file begins, read as here: bytes that are no UTF-8 as surrogates."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")


@dataclass(frozen=True)
class Line:
    """One line of a configuration: its number from 1, keyword in lower case (or empty), arguments, and the text itself."""

    number: int
    keyword: str
    args: tuple[str, ...]
    raw: str
    problem: str | None = None
    """Why OpenSSH would refuse it, where that is plain to see."""


def lines(text: str) -> tuple[Line, ...]:
    """Return the lines of a configuration, whose raw texts joined are the text again."""
    return tuple(_read(number, match[0]) for number, match in enumerate(_LINE.finditer(text), 1))


def with_include(text: str, pattern: str, *, home: str | None = None) -> str:
    """Return the text with our `Include` at its very top, unless one that covers it stands before anything that could win."""
    if any(_covers(arg, pattern, home) for line in _head(text) if line.keyword == "include" for arg in line.args):
        return text
    return _include(pattern) + _end_of_line(text) + text


def at_top(text: str, pattern: str) -> str:
    """Return the text with our `Include` where it wins; one of ours that comes too late for that goes."""
    if with_include(text, pattern) == text:
        return text
    return with_include("".join(line.raw for line in lines(text) if not _is_ours(line, pattern)), pattern)


def too_late(text: str, pattern: str) -> tuple[Line, ...]:
    """Return our own `Include` lines that `at_top` takes out."""
    return () if at_top(text, pattern) == text else tuple(line for line in lines(text) if _is_ours(line, pattern))


def _is_ours(line: Line, pattern: str) -> bool:
    return line.raw.strip() == _include(pattern)


def without_include(text: str, pattern: str) -> str:
    """Return the text without the `Include` that `with_include` put there; everything else stays byte for byte."""
    ours = next((line for line in _head(text) if line.raw.rstrip("\r\n") == _include(pattern)), None)
    return text if ours is None else "".join(line.raw for line in lines(text) if line.number != ours.number)


def included(text: str, ssh_dir: str) -> tuple[str, ...]:
    """Return the paths that `Include` lines name without a pattern; what is relative is relative to `~/.ssh`."""
    named = [arg for line in lines(text) if line.keyword == "include" for arg in line.args if not set(arg) & set("*?[")]
    return tuple(path if path.startswith(("/", "~")) else f"{ssh_dir}/{path}" for path in named)


def hosts_named(text: str) -> tuple[tuple[str, int], ...]:
    """Return the names that `Host` lines give literally, each with the number of its line."""
    return tuple(
        (name, line.number)
        for line in lines(text)
        if line.keyword == "host"
        for name in line.args
        if not name.startswith("!") and not set(name) & set("*?")
    )


@dataclass(frozen=True)
class Block:
    """What the lines after a `Host` or `Match` line hold for; `line` is `None` for those before the first one."""

    line: Line | None = None

    def holds(self, alias: str) -> bool | None:
        """Return whether they hold for an alias; `None` for a condition that only OpenSSH can judge."""
        if self.line is None:
            return True
        if self.line.keyword == "match":
            return True if [arg.lower() for arg in self.line.args] == ["all"] else None
        return _matches_host(self.line.args, alias)


def blocks(text: str) -> tuple[tuple[Block, Line], ...]:
    """Return every line with the block that it stands in; a line that begins one stands in it."""
    here, found = Block(), []
    for line in lines(text):
        here = Block(line) if line.keyword in _BLOCKS else here
        found.append((here, line))
    return tuple(found)


def swallowed(text: str, pattern: str, alias: str) -> Line | None:
    """Return the line of the block that our own `Include` line has come to belong to, where that does not hold for the alias."""
    standing = [block for block, line in blocks(text) if _is_ours(line, pattern)]
    if not standing or any(block.holds(alias) for block in standing):
        return None
    return standing[0].line


def before(text: str, pattern: str, alias: str) -> tuple[Line, ...]:
    """Return the lines that hold for the alias, or that may, and that stand above our `Include` line; all where there is none."""
    found: list[Line] = []
    for block, line in blocks(text):
        if _is_ours(line, pattern):
            break
        if block.holds(alias) is not False:
            found.append(line)
    return tuple(found)


def setting(text: str, keyword: str, alias: str, value: str | None = None) -> tuple[Line, ...]:
    """Return the lines that set something for the alias, or that may do; those with just this value, where there are any."""
    found = [(block.holds(alias), line) for block, line in blocks(text) if line.keyword == keyword]
    holding = [line for holds, line in found if holds is not False]
    exact = [line for line in holding if value is not None and " ".join(line.args).lower() == value.lower()]
    return tuple(exact or holding)


def _matches_host(patterns: Iterable[str], name: str) -> bool:
    hit = False
    for pattern in patterns:
        wild = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern.lstrip("!").lower())
        if re.fullmatch(wild, name.lower()):
            if pattern.startswith("!"):
                return False
            hit = True
    return hit


def problems(text: str) -> tuple[tuple[int, str], ...]:
    """Return what OpenSSH would stumble over, as line numbers and words."""
    if "\0" in text:
        return ((1, "is no plain text (UTF-16 perhaps)"),)
    return tuple((line.number, line.problem) for line in lines(text) if line.problem)


def encoding(text: str) -> str:
    """Return what keeps OpenSSH from reading a file at all: `byte order mark`, `UTF-16`, or nothing."""
    if text.startswith("\ufeff"):
        return "byte order mark"
    return "UTF-16" if text.startswith(_UTF_16) or "\0" in text[:4] else ""


def mended_block(text: str, refused: Iterable[int]) -> str:
    """Return our own file without the lines that OpenSSH refuses, by number, and without any that we never write."""
    gone = set(refused)
    kept = (line for line in lines(text) if line.number not in gone and not line.problem and line.keyword in _OWN_KEYWORDS)
    return "".join(line.raw for line in kept)


def parse_resolved(text: str) -> dict[str, tuple[str, ...]]:
    """Return what `ssh -G` printed: keyword in lower case to its values, in order."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        keyword, _, value = line.rstrip("\r").strip(" ").partition(" ")
        if keyword:
            found[keyword.lower()] = (*found.get(keyword.lower(), ()), value.strip(" "))
    return found


def can_hold(path: str) -> bool:
    """Return whether a path can stand in a configuration."""
    return bool(path) and '"' not in path and not _CONTROL.search(path)


def host_block(
    *,
    alias: str,
    house: str,
    host: str,
    port: int,
    user: str,
    identity: str,
    host_key_alias: str,
    known_hosts: str | None = None,
    multiplex: bool = False,
    control_path: str | None = None,
    tunnels: Iterable[int | str] = (),
    extra: Sequence[str] = (),
) -> str:
    """Return our own file for a house; raises `ValueError` for values that no line can hold.

    A tunnel is a port of the house, or what follows `LocalForward` as it is. `extra` lines stand last in the block.
    """
    if not _ALIAS.fullmatch(alias):
        raise ValueError(f"`{printable(alias)}` cannot be the name of a host")
    block = [
        ("HostName", _word(host)),
        ("Port", str(int(port))),
        ("User", _plain(user)),
        ("IdentityFile", _word(_slashes(identity))),
        ("IdentitiesOnly", "yes"),
        ("HostKeyAlias", _plain(host_key_alias)),
        ("ServerAliveInterval", "30"),
    ]
    if known_hosts is not None:
        block.append(("UserKnownHostsFile", _word(_slashes(known_hosts))))
    if multiplex:
        folder = "~/.ssh" if known_hosts is None else _slashes(known_hosts).rpartition("/")[0]
        path = f"{_escaped(folder)}/ha-ssh-%C" if control_path is None else control_path
        block += [("ControlMaster", "auto"), ("ControlPath", _quoted(path)), ("ControlPersist", "60")]
    block += [("LocalForward", f"{t} localhost:{t}" if isinstance(t, int) else _checked(t)) for t in tunnels]
    return "".join(
        f"{line}\n"
        for line in (
            f"# ha-ssh wrote this file for the house `{printable(house)}` and will write it anew: put lines of your own into",
            "# your own configuration, after the `Include` line that names this folder.",
            f"Host {alias}",
            *(f"    {keyword} {value}" for keyword, value in block),
            *(f"    {_checked(line)}" for line in extra),
        )
    )


def socket_fits(ssh_dir: str) -> bool:
    """Return whether the socket that shared connections have in this folder can be made.

    Its name ends in 40 digits (`%C`), to which OpenSSH adds 17 signs while it makes it; macOS takes 103 bytes of a path.
    """
    return len(f"{ssh_dir}/ha-ssh-".encode()) + 40 + 17 <= 103


# -------------------------------------------------------------------------------------------------------------- reading


def _read(number: int, raw: str) -> Line:
    text = raw.rstrip(" \t\r\n\f")
    if text.startswith("\ufeff"):
        return Line(number, "", (), raw, "starts with an invisible byte order mark")
    if not text.lstrip(" \t") or text.lstrip(" \t").startswith("#"):
        return Line(number, "", (), raw)
    match = _KEYWORD.match(text)
    if match is None:
        return Line(number, "", (), raw, "does not begin with a keyword")
    args = split_args(text[match.end() :])
    if args is None:
        return Line(number, match[1].lower(), (), raw, "has a quote that is not closed")
    return Line(number, match[1].lower(), args, raw, None if args else "has a keyword without a value")


def split_args(text: str) -> tuple[str, ...] | None:
    """Return the arguments of a line as OpenSSH splits them (quotes, backslashes, a final comment); `None` for an open quote."""
    args: list[str] = []
    word: str | None = None
    quote = ""
    i = 0
    while i < len(text):
        sign, following = text[i], text[i + 1 : i + 2]
        if sign == "\\" and (following in ("'", '"', "\\") or (following == " " and not quote)):
            word = (word or "") + following
            i += 1
        elif quote:
            quote, word = ("", word or "") if sign == quote else (quote, (word or "") + sign)
        elif sign in "'\"":
            quote, word = sign, word or ""
        elif sign in " \t":
            if word is not None:
                args.append(word)
            word = None
        elif sign == "#" and word is None:
            break
        else:
            word = (word or "") + sign
        i += 1
    if quote:
        return None
    return (*args, word) if word is not None else tuple(args)


def _head(text: str) -> tuple[Line, ...]:
    """Return the lines before anything that could win over an `Include`: a block, or any other setting."""
    head: list[Line] = []
    for line in lines(text):
        if line.keyword not in ("", "include"):
            break
        head.append(line)
    return tuple(head)


def _covers(found: str, pattern: str, home: str | None) -> bool:
    """Return whether an included pattern names (at least) the files of ours, however their folder is written."""
    folder, _, name = _normal(found, home).rpartition("/")
    our_folder, _, our_name = _normal(pattern, home).rpartition("/")
    return folder == our_folder and name in ("*", our_name)


def _normal(pattern: str, home: str | None) -> str:
    """Return a pattern with the home folder as `~`; what is relative is relative to `~/.ssh`."""
    path = re.sub(r"/(?:\./)+|//+", "/", pattern.replace("\\", "/"))
    if home is not None and path.startswith(home.replace("\\", "/").rstrip("/") + "/"):
        return "~" + path[len(home.rstrip("/\\")) :]
    path = re.sub(r"^(?:\$\{HOME\}|%d)(?=/)", "~", path)
    return path if re.match(r"[~/]|[A-Za-z]:/", path) else f"~/.ssh/{path}"


def _end_of_line(text: str) -> str:
    """Return how the file's first line ends."""
    first = _LINE.match(text)
    return "\r\n" if first is not None and first[0].endswith("\r\n") else "\n"


# -------------------------------------------------------------------------------------------------------------- writing


def _include(pattern: str) -> str:
    return f"Include {_quoted(pattern)}"


def _word(value: str) -> str:
    """Return a value that OpenSSH would expand, so that it stays as it is."""
    return _quoted(_escaped(value))


def _escaped(value: str) -> str:
    return value.replace("%", "%%")


def _slashes(path: str) -> str:
    """Return a path of Windows with the slashes that need no escaping."""
    return path.replace("\\", "/") if re.match(r"[A-Za-z]:\\|\\\\", path) else path


def _quoted(value: str) -> str:
    if not can_hold(value):
        raise ValueError(f"`{printable(value)}` cannot stand in an OpenSSH configuration")
    value = value.replace("\\", "\\\\")
    return f'"{value}"' if re.search(r"[\s#'=]", value) else value


def _plain(value: str) -> str:
    if not value or re.search(r"[\s\"'#]", _checked(value)):
        raise ValueError(f"`{printable(value)}` cannot stand in an OpenSSH configuration")
    return value


def _checked(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError(f"`{printable(value)}` holds a sign that would break the line")
    return value
