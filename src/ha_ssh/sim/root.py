"""The file system that a login into the simulated house sees: a tree in memory, never the computer's own."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = ("homeassistant", "share", "ssl", "backup", "addons", "addon_configs", "media")
"""The folders that every app of the house sees; all others are the container's own."""

_LINKS_AT_MOST = 16


@dataclass(kw_only=True)
class Node:
    """One entry of the tree: a folder, a link (with its `target`) or a file (with its `data`)."""

    kind: str
    data: bytearray = field(default_factory=bytearray)
    target: str = ""
    mode: int = 0o644
    owner: str = "root"
    mtime: int = 1_790_000_000


class Root:
    """The tree of one app's container; the `SHARED` folders are those of the house."""

    def __init__(self, shared: dict[str, Node] | None = None) -> None:
        self._shared = {} if shared is None else shared
        self._own: dict[str, Node] = {"/": Node(kind="folder", mode=0o755)}

    def _nodes(self, path: str) -> dict[str, Node]:
        return self._shared if path.split("/", 2)[1] in SHARED else self._own

    def real(self, path: str, *, last: bool = True) -> str:
        """Return the absolute path without links, dots and double slashes; `last` says whether to follow the last link."""
        done = "/"
        rest = [part for part in path.split("/") if part and part != "."]
        for _ in range(_LINKS_AT_MOST * 64):
            if not rest:
                return done
            part = rest.pop(0)
            if part == "..":
                done = posixpath.dirname(done)
                continue
            here = posixpath.join(done, part)
            node = self._nodes(here).get(here)
            if node is not None and node.kind == "link" and (rest or last):
                done = "/" if node.target.startswith("/") else done
                rest = [step for step in node.target.split("/") if step and step != "."] + rest
            else:
                done = here
        raise OSError(40, "Symbolic link loop", path)

    def node(self, path: str, *, last: bool = True) -> Node:
        """Return the entry; raises `FileNotFoundError`."""
        real = self.real(path, last=last)
        try:
            return self._nodes(real)[real]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    def has(self, path: str) -> bool:
        """Say whether there is something at the path."""
        real = self.real(path)
        return real in self._nodes(real)

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        node = self.node(path)
        if node.kind == "folder":
            raise IsADirectoryError(21, "Is a directory", path)
        return bytes(node.data)

    def write(self, path: str, data: bytes | str, *, mode: int | None = None) -> Node:
        """Write a file, making its folder where it is missing."""
        real = self.real(path)
        nodes = self._nodes(real)
        node = nodes.get(real)
        if node is None:
            self.make_folder(posixpath.dirname(real))
            node = nodes[real] = Node(kind="file", mode=mode or 0o644)
        elif node.kind == "folder":
            raise IsADirectoryError(21, "Is a directory", path)
        node.data = bytearray(data.encode() if isinstance(data, str) else data)
        if mode is not None:
            node.mode = mode
        return node

    def make_folder(self, path: str, *, mode: int = 0o755) -> None:
        """Make a folder with those above it; an existing one is fine."""
        real = self.real(path)
        nodes = self._nodes(real) if real != "/" else self._own
        node = nodes.get(real)
        if node is None:
            self.make_folder(posixpath.dirname(real))
            nodes[real] = Node(kind="folder", mode=mode)
        elif node.kind != "folder":
            raise NotADirectoryError(20, "Not a directory", path)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        real = self.real(path, last=False)
        self.make_folder(posixpath.dirname(real))
        self._nodes(real)[real] = Node(kind="link", target=target, mode=0o777)

    def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder with all that is in it."""
        real = self.real(path, last=False)
        self.node(real, last=False)
        for inside in [*self.walk(real), real]:
            self._nodes(inside).pop(inside, None)

    def move(self, old: str, new: str) -> None:
        """Give an entry, with all that is in it, another path."""
        source, goal = self.real(old, last=False), self.real(new, last=False)
        self.node(source, last=False)
        for path in [source, *self.walk(source)]:
            there = goal + path.removeprefix(source)
            self._nodes(there)[there] = self._nodes(path).pop(path)

    def names(self, path: str) -> list[str]:
        """Return what a folder holds, sorted."""
        node = self.node(path)
        if node.kind != "folder":
            raise NotADirectoryError(20, "Not a directory", path)
        real = self.real(path)
        return sorted(
            {posixpath.basename(one) for one in (*self._own, *self._shared) if one != "/" and posixpath.dirname(one) == real}
        )

    def walk(self, path: str) -> Iterator[str]:
        """Yield the paths below a folder, parents before children, links not followed."""
        above = self.real(path, last=False).rstrip("/") + "/"
        yield from sorted(one for one in {*self._own, *self._shared} if one.startswith(above) and one != "/")


_OS_RELEASE = """\
NAME="Alpine Linux"
ID=alpine
VERSION_ID=3.22.1
PRETTY_NAME="Alpine Linux v3.22"
HOME_URL="https://alpinelinux.org/"
"""

_CONFIGURATION = """\
# Loads default set of integrations. Do not remove.
default_config:

frontend:
  themes: !include_dir_merge_named themes

automation: !include automations.yaml
script: !include scripts.yaml
scene: !include scenes.yaml
"""


def seed_house() -> dict[str, Node]:
    """Return the shared folders of a house as they are after onboarding."""
    root = Root()
    for folder in SHARED:
        root.make_folder(f"/{folder}")
    root.write("/homeassistant/configuration.yaml", _CONFIGURATION)
    root.write("/homeassistant/automations.yaml", "[]\n")
    root.write("/homeassistant/scripts.yaml", "")
    root.write("/homeassistant/scenes.yaml", "")
    root.write("/homeassistant/secrets.yaml", "some_password: welcome\n", mode=0o600)
    root.write(
        "/homeassistant/.storage/core.config",
        '{"version": 1, "key": "core.config", "data": {"location_name": "Home"}}\n',
        mode=0o600,
    )
    root.write("/homeassistant/.HA_VERSION", "2026.11.0")
    return root._shared  # noqa: SLF001 - the same module


def seed_container(shared: dict[str, Node]) -> Root:
    """Return the tree of an app's container in front of the house's shared folders."""
    root = Root(shared)
    for folder in ("/data", "/etc/ssh", "/root", "/tmp", "/usr/bin", "/usr/lib", "/var/log", "/dev", "/home"):  # noqa: S108 - of the simulated house
        root.make_folder(folder)
    root.node("/data").mode = 0o700
    root.write("/etc/os-release", _OS_RELEASE)
    root.write("/etc/alpine-release", "3.22.1\n")
    root.write("/etc/hostname", "core-ssh\n")
    root.write("/dev/null", "", mode=0o666)
    for folder in SHARED:
        root.link(f"/root/{folder}", f"/{folder}")
    root.link("/config", "/homeassistant")
    root.link("/root/config", "/homeassistant")
    return root
