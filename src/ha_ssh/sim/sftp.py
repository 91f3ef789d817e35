"""SFTP over the tree of the simulated house; every operation of the server is overridden, so none reaches the real disk."""

from __future__ import annotations

import errno
import posixpath
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import asyncssh
from asyncssh.constants import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_TRUNC, FXF_WRITE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ha_ssh.sim.root import Node, Root

_KINDS = {"folder": stat.S_IFDIR, "link": stat.S_IFLNK, "file": stat.S_IFREG}


@dataclass
class _Open:
    node: Node
    appends: bool = False


class HouseSftp(asyncssh.SFTPServer):
    """The files of an app's container, as root sees them."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], root: Root, home: str = "/root") -> None:
        super().__init__(chan)
        self._root = root
        self._home = home

    def _path(self, path: bytes) -> str:
        return posixpath.join(self._home, path.decode("utf-8", "surrogateescape"))

    def map_path(self, path: bytes) -> bytes:
        """Return the path in the tree; there is none on the real disk."""
        return self._path(path).encode("utf-8", "surrogateescape")

    def reverse_map_path(self, path: bytes) -> bytes:
        """Return the path as it is."""
        return path

    def _node(self, path: bytes, *, last: bool = True) -> Node:
        return self._root.node(self._path(path), last=last)

    @staticmethod
    def _attributes(node: Node) -> asyncssh.SFTPAttrs:
        size = len(node.data) if node.kind == "file" else len(node.target)
        return asyncssh.SFTPAttrs(
            size=size, uid=0, gid=0, permissions=_KINDS[node.kind] | node.mode, atime=node.mtime, mtime=node.mtime, nlink=1
        )

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open a file of the tree."""
        name = self._path(path)
        there = self._root.has(name)
        if there and pflags & FXF_EXCL:
            raise FileExistsError(errno.EEXIST, "File exists", name)
        if not there and not pflags & FXF_CREAT:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        if not there:
            self._root.node(posixpath.dirname(name))
            self._root.write(name, b"", mode=0o644 if attrs.permissions is None else attrs.permissions & 0o777)
        node = self._root.node(name)
        if node.kind == "folder":
            raise IsADirectoryError(errno.EISDIR, "Is a directory", name)
        if pflags & FXF_TRUNC and pflags & FXF_WRITE:
            node.data.clear()
        return _Open(node, bool(pflags & FXF_APPEND))

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Version 5 of the protocol is not spoken."""
        self._never(path, desired_access, flags, attrs)

    def close(self, file_obj: object) -> None:
        """Close a file; nothing is buffered."""

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Return a part of a file."""
        return bytes(self._opened(file_obj).node.data[offset : offset + size])

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write a part of a file."""
        opened = self._opened(file_obj)
        start = len(opened.node.data) if opened.appends else offset
        if len(opened.node.data) < start:
            opened.node.data.extend(bytes(start - len(opened.node.data)))
        opened.node.data[start : start + len(data)] = data
        return len(data)

    @staticmethod
    def _opened(file_obj: object) -> _Open:
        if not isinstance(file_obj, _Open):
            raise OSError(errno.EBADF, "Bad file descriptor")
        return file_obj

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        """What an entry is, links not followed."""
        return self._attributes(self._node(path, last=False))

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        """What an entry is."""
        return self._attributes(self._node(path))

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        """What an open file is."""
        return self._attributes(self._opened(file_obj).node)

    @staticmethod
    def _set(node: Node, attrs: asyncssh.SFTPAttrs) -> None:
        if attrs.permissions is not None:
            node.mode = attrs.permissions & 0o7777
        if attrs.mtime is not None:
            node.mtime = int(attrs.mtime)
        if attrs.size is not None:
            node.data[:] = node.data[: attrs.size].ljust(attrs.size, b"\0")

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Change mode, time or size of an entry."""
        self._set(self._node(path), attrs)

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Change an entry, links not followed."""
        self._set(self._node(path, last=False), attrs)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        """Change an open file."""
        self._set(self._opened(file_obj).node, attrs)

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """Yield what a folder holds."""
        folder = self._path(path)
        for name in [".", "..", *self._root.names(folder)]:
            node = self._root.node(posixpath.join(folder, name), last=False)
            yield asyncssh.SFTPName(name.encode("utf-8", "surrogateescape"), attrs=self._attributes(node))

    def remove(self, path: bytes) -> None:
        """Remove a file or a link."""
        if self._node(path, last=False).kind == "folder":
            raise IsADirectoryError(errno.EISDIR, "Is a directory", self._path(path))
        self._root.remove(self._path(path))

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Make a folder in an existing one."""
        name = self._path(path)
        if self._root.has(name):
            raise FileExistsError(errno.EEXIST, "File exists", name)
        self._root.node(posixpath.dirname(name.rstrip("/")))
        self._root.make_folder(name, mode=0o755 if attrs.permissions is None else attrs.permissions & 0o777)

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""
        if self._root.names(self._path(path)):
            raise OSError(errno.ENOTEMPTY, "Directory not empty", self._path(path))
        self._root.remove(self._path(path))

    def realpath(self, path: bytes) -> bytes:
        """Return the path without links and dots."""
        return self._root.real(self._path(path)).encode("utf-8", "surrogateescape")

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Move an entry to a path that is free."""
        if self._root.has(self._path(newpath)):
            raise FileExistsError(errno.EEXIST, "File exists", self._path(newpath))
        self._root.move(self._path(oldpath), self._path(newpath))

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Move an entry over another."""
        self._root.move(self._path(oldpath), self._path(newpath))

    def readlink(self, path: bytes) -> bytes:
        """Return where a link points."""
        return self._node(path, last=False).target.encode("utf-8", "surrogateescape")

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Make a link."""
        self._root.link(self._path(newpath), oldpath.decode("utf-8", "surrogateescape"))

    def fsync(self, file_obj: object) -> None:
        """There is no disk to reach."""

    def exit(self) -> None:
        """There is nothing to release."""

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        """The tree has no hard links."""
        self._never(oldpath, newpath)

    def lock(self, file_obj: object, offset: int, length: int, flags: int) -> None:
        """The tree has no locks."""
        self._never(file_obj, offset, length, flags)

    def unlock(self, file_obj: object, offset: int, length: int) -> None:
        """The tree has no locks."""
        self._never(file_obj, offset, length)

    def statvfs(self, path: bytes) -> Any:
        """The tree has no disk to measure."""
        self._never(path)

    def fstatvfs(self, file_obj: object) -> Any:
        """The tree has no disk to measure."""
        self._never(file_obj)

    def _never(self, *_: object) -> NoReturn:
        raise asyncssh.SFTPOpUnsupported("not part of the simulated house")
