"""What a session shows of the container that it leads into: one command that asks for all of it, and what the answer means."""

from __future__ import annotations

import re
from dataclasses import dataclass

PROGRAMS = ("bash", "rsync", "mosh-server")
"""The programs that are looked for."""
TERMINALS = ("xterm-256color", "xterm", "vt100")
"""Terminals that stand in for one that the container does not know, the best first."""

_FOLDERS = ("/homeassistant", "/config")
_TERMINFO = ("/etc/terminfo", "/usr/share/terminfo", "/lib/terminfo")
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The container as a login finds it; what got no answer is `None`."""

    uid: int | None = None
    system: str = ""
    """The `ID` of `/etc/os-release`, such as `alpine`."""
    programs: frozenset[str] = frozenset()
    """Those of `PROGRAMS` that are there."""
    folders: frozenset[str] = frozenset()
    terminals: frozenset[str] | None = None
    """The terminals that it knows, of `TERMINALS` and the one that was asked about."""
    sftp: str | None = None
    """Why SFTP does not open, empty where it does; `None` where it was not tried."""
    forwarding: str | None = None
    """Why no connection is forwarded, empty where one is; `None` where it was not tried."""


def command(term: str | None) -> str:
    """Return the command that asks for everything, in words that any shell understands."""
    names = (*TERMINALS, *((term,) if term and _TERM.fullmatch(term) else ()))
    terminals = " ".join(f"{folder}/{name[0]}/{name}" for name in names for folder in _TERMINFO)
    return "; ".join(
        (
            "echo '#uid'; id -u",
            "echo '#system'; cat /etc/os-release 2>/dev/null",
            "echo '#programs'",
            *(f"command -v {name}" for name in PROGRAMS),
            f"echo '#folders'; ls -d {' '.join(_FOLDERS)} 2>/dev/null",
            f"echo '#terminals'; ls -d {terminals} 2>/dev/null",
            "echo '#end'",
        )
    )


def read(out: str) -> Inside | None:
    """Return what the command's output says; `None` for what is not its answer."""
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in out.splitlines():
        if re.fullmatch(r"#[a-z]+", line):
            lines = parts.setdefault(line[1:], [])
        else:
            lines.append(line.strip())
    if "end" not in parts or "uid" not in parts:
        return None
    uid = next((int(line) for line in parts["uid"] if line.isdecimal()), None)
    system = next((line[3:].strip("\"'") for line in parts.get("system", ()) if line.startswith("ID=")), "")
    return Inside(
        uid=uid,
        system=system.lower(),
        programs=frozenset(_last_names(parts.get("programs", []))).intersection(PROGRAMS),
        folders=frozenset(parts.get("folders", ())).intersection(_FOLDERS),
        terminals=frozenset(_last_names(parts.get("terminals", []))) or None,
    )


def stand_in(inside: Inside, term: str | None) -> str | None:
    """Return the terminal to pass for ours, where the container is known not to know it; `None` where that is not needed."""
    known = inside.terminals
    if not term or not _TERM.fullmatch(term) or known is None or term in known:
        return None
    return next((name for name in TERMINALS if name in known), None)


def _last_names(paths: list[str]) -> list[str]:
    return [path.rsplit("/", 1)[-1] for path in paths]
