"""What a look by the user's `ssh` sets aside (its shared socket, its forwards), looked at without running any of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ha_ssh.core.model import SetAside

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMIT = 2.0
"""Seconds for which the master of a shared connection may keep its greeting back."""
_LONGEST = 103 if sys.platform == "darwin" else 107
"""Bytes that the path of a socket may have (`sun_path` in sys/un.h, without its end)."""
_WHILE_MADE = 17
"""Bytes that `ssh` adds to the name of its socket until it listens (mux.c, muxserver_listen)."""
_OFF = frozenset(("", "no", "false", "none"))


async def hindrances(said: Mapping[str, tuple[str, ...]]) -> tuple[SetAside, ...]:
    """Return the settings, as `ssh -G` prints them, over which `ssh` stumbles where a look by it does not."""
    path, master = said.get("controlpath", ("",))[0], said.get("controlmaster", ("",))[0]
    found: list[SetAside] = []
    shared = False
    if path not in _OFF:
        trouble, shared = await _of_control(path, makes=master not in _OFF)
        if trouble:
            found.append(SetAside(keyword="controlpath", value=path, trouble=trouble))
    if shared or said.get("exitonforwardfailure", ("no",))[0] in _OFF:
        return tuple(found)  # a master keeps the forwards that it has; and without this word `ssh` goes on without them
    everywhere = said.get("gatewayports", ("no",))[0] not in _OFF
    unlinks = said.get("streamlocalbindunlink", ("no",))[0] not in _OFF
    for keyword in ("localforward", "dynamicforward"):
        for value in said.get(keyword, ()):
            place = value.split(" ", 1)[0]
            trouble = _of_socket(place, unlinks=unlinks) if "/" in place else _of_port(place, everywhere=everywhere)
            if trouble:
                found.append(SetAside(keyword=keyword, value=value, trouble=trouble))
    return tuple(found)


async def _of_control(path: str, *, makes: bool) -> tuple[str, bool]:
    """Return what `ssh` meets at the socket of a shared connection, and whether one is shared there."""
    path = _expanded(path)
    size = len(os.fsencode(path))
    if size > _LONGEST:
        return f"the path has {size} bytes, more than the {_LONGEST} that a socket's may have", False
    try:
        mode = _mode(path)
    except FileNotFoundError:
        return _why_not_made(path, size) if makes else "", False
    except OSError as error:
        return f"`{path}` cannot be looked at: {(error.strerror or str(error)).lower()}", False
    return await _of_master(path) if stat.S_ISSOCK(mode) else ("", False)


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())


def _mode(path: str) -> int:
    return Path(path).stat().st_mode


def _why_not_made(path: str, size: int) -> str:
    folder = Path(path).parent
    if "%" in str(folder):
        return ""  # an older client, which does not say what it makes of it
    if not folder.is_dir():
        return f"the folder `{folder}` is not there"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"you may make nothing in the folder `{folder}`"
    if size + _WHILE_MADE > _LONGEST:
        return f"the path has {size} bytes, and `ssh` needs {_WHILE_MADE} of the {_LONGEST} for itself while it makes the socket"
    return ""


async def _of_master(path: str) -> tuple[str, bool]:
    """Wait for the greeting of the master, which comes first; a socket that nobody holds is passed over by `ssh`."""
    try:
        async with asyncio.timeout(_LIMIT):
            answers, asks = await asyncio.open_unix_connection(path)
            try:
                greeted = await answers.read(1)
            finally:
                asks.close()
    except TimeoutError:
        return f"the connection that is shared at `{path}` takes `ssh` in and does not answer", False
    except OSError:
        return "", False
    return "", bool(greeted)


def _of_socket(path: str, *, unlinks: bool) -> str:
    """Return why no socket can be made at a path."""
    place = Path(path)
    if not place.parent.is_dir():
        return f"the folder `{place.parent}` is not there"
    if not os.access(place.parent, os.W_OK | os.X_OK):
        return f"you may make nothing in the folder `{place.parent}`"
    return f"`{path}` is there already" if place.exists() and not unlinks else ""


def _of_port(place: str, *, everywhere: bool) -> str:
    """Return why nothing can listen on a port of this computer; a name counts as long as one of its addresses will do."""
    host, _, port = place.rpartition(":")
    wild = host in {"*", "[]"} or place.startswith(":") or (not host and everywhere)
    bound = None if wild or host in {"", "localhost", "[localhost]"} else host.strip("[]")  # None: each loopback address
    trouble = ""
    try:
        found = socket.getaddrinfo(bound, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE if wild else 0)
    except OSError as error:
        return f"this computer has no address `{host}`: {error.strerror or error}"
    for family, kind, protocol, _, address in found:
        with contextlib.closing(socket.socket(family, kind, protocol)) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                ours.bind(address)
            except OSError as error:
                trouble = trouble or f"port {port} of this computer: {(error.strerror or str(error)).lower()}"
            else:
                return ""
    return trouble
