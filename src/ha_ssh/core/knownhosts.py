"""OpenSSH's `known_hosts` as text: which keys it knows for a name, and lines of ours beside everybody else's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_BLANKS = " \t"


@dataclass(frozen=True)
class Line:
    """One line, kept as it is in `raw`; `hosts` is empty for a comment or what is no key line."""

    raw: str
    marker: str = ""
    """`@cert-authority` or `@revoked`, or empty."""
    hosts: tuple[str, ...] = ()
    kind: str = ""
    blob_base64: str = ""
    comment: str = ""

    @property
    def public(self) -> str:
        """The key as `type base64`."""
        return f"{self.kind} {self.blob_base64}"

    def names(self, name: str) -> bool:
        """Return whether the line speaks of this name, as OpenSSH matches it."""
        name = name.lower()
        if any(host.startswith("!") and _matches(host[1:], name) for host in self.hosts):
            return False
        return any(_matches(host, name) for host in self.hosts)


def lines(text: str) -> tuple[Line, ...]:
    """Return the lines of the file, whose raw texts joined are the text again."""
    return tuple(_read(match[0]) for match in _LINE.finditer(text))


def lookup_name(host: str, port: int) -> str:
    """Return the name under which OpenSSH looks a server up."""
    bare = host.strip("[]").lower()
    return bare if port == 22 else f"[{bare}]:{port}"


def keys_for(text: str, name: str) -> tuple[Line, ...]:
    """Return the lines that give a key for a name; without those that revoke one or trust an authority."""
    return tuple(line for line in lines(text) if not line.marker and line.names(name))


def conflicts(text: str, name: str, keys: Iterable[str]) -> tuple[Line, ...]:
    """Return the lines that make OpenSSH refuse a server of this name with these keys: other keys of a kind, or revoked ones."""
    offered = {_public(key) for key in keys}
    kinds = {key.split()[0] for key in offered}
    return tuple(
        line
        for line in lines(text)
        if line.names(name)
        and (
            (line.marker == "@revoked" and line.public in offered)
            or (not line.marker and line.kind in kinds and line.public not in offered)
        )
    )


def with_keys(text: str, names: Iterable[str], keys: Iterable[str], tag: str) -> str:
    """Return the text with a line of ours for each key that is not yet known under all these names.

    Ours come first, so that a file without a final line end gets every byte back when they go.
    """
    names = tuple(dict.fromkeys(names))
    end = "\r\n" if (first := _LINE.match(text)) is not None and first[0].endswith("\r\n") else "\n"
    known = [{line.public for line in keys_for(text, name)} for name in names]
    new = [key for key in dict.fromkeys(map(_public, keys)) if not all(key in there for there in known)]
    return "".join(f"{','.join(names)} {key} {tag}{end}" for key in new) + text


def without(text: str, drop: Callable[[Line], bool]) -> str:
    """Return the text without the lines that `drop` names."""
    return "".join(line.raw for line in lines(text) if not drop(line))


def places(text: str, gone: Iterable[str]) -> list[tuple[int, str, str]]:
    """Return the lines that go: the number of each, the line before it (empty for the first one), and the line itself."""
    going, all_lines = set(gone), [line.raw for line in lines(text)]
    before = ["", *all_lines]
    return [(n, before[n], raw) for n, raw in enumerate(all_lines) if raw.rstrip("\r\n") in going]


def with_lines_back(text: str, gone: Iterable[tuple[int, str, str]]) -> str:
    """Return the text with lines where `places` saw them, as far as what stood before them is still there."""
    now = [line.raw for line in lines(text)]
    there_already = set(map(_bare, now))
    for number, before, raw in gone:
        if _bare(raw) in there_already:
            continue
        after = [at for at, there in enumerate(now, 1) if before and _bare(there) == _bare(before)]
        now.insert(min(after, key=lambda at: abs(at - number), default=min(number, len(now))), raw)
    return "".join(f"{raw}\n" if not raw.endswith("\n") and at < len(now) else raw for at, raw in enumerate(now, 1))


def _bare(raw: str) -> str:
    return raw.rstrip("\r\n")


def without_tag(text: str, tag: str) -> str:
    """Return the text without the lines of ours that carry this tag."""
    return without(text, lambda line: bool(line.hosts) and line.comment == tag)


def tagged(text: str, tag: str) -> tuple[Line, ...]:
    """Return the lines of ours that carry this tag."""
    return tuple(line for line in lines(text) if line.hosts and line.comment == tag)


def _public(key: str) -> str:
    kind, blob = key.split()[:2]
    return f"{kind} {blob}"


def _read(raw: str) -> Line:
    text = raw.strip(_BLANKS + "\r\n")
    if not text or text.startswith("#"):
        return Line(raw)
    words = re.split(r"[ \t]+", text)
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or not _is_base64(words[2]):
        return Line(raw)
    return Line(raw, marker, tuple(words[0].split(",")), words[1], words[2], " ".join(words[3:]))


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _is_hash_of(pattern, name)
    wild = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern.lower())
    return re.fullmatch(wild, name) is not None


def _is_hash_of(pattern: str, name: str) -> bool:
    """Return whether `|1|salt|hash` stands for the name: HMAC-SHA1 of it under the salt."""
    _, _, salt, digest = (*pattern.split("|"), "", "", "")[:4]
    try:
        made = hmac.digest(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1)
        return hmac.compare_digest(made, base64.b64decode(digest, validate=True))
    except (binascii.Error, ValueError):
        return False
