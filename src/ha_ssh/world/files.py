"""The user's files: written in one piece, private from birth; what differs on Windows is here and only here."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import PIPE, FileState

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOWS = sys.platform == "win32"

PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700

_TROUBLE: dict[int, tuple[str, str]] = {
    errno.EACCES: ("read-only", "may not be changed by you"),
    errno.EPERM: ("read-only", "may not be changed by you"),
    errno.EROFS: ("read-only", "lies on a read-only disk"),
    errno.ENOSPC: ("no-room", "does not fit: the disk is full"),
    errno.EDQUOT: ("no-room", "does not fit: your disk quota is used up"),
    errno.EISDIR: ("not-a-file", "is a folder, not a file"),
    errno.ENOTDIR: ("not-a-file", "lies under something that is no folder"),
    errno.ELOOP: ("not-a-file", "is a link that leads back to itself"),
    errno.EEXIST: ("file-exists", "is already there"),
}
"""What an error of the operating system means for a file: our code and our words."""
_WAYS_OUT = {"no-room": ("make room there, then run the command again",)}


def read(path: str) -> FileState:
    """Return what lies at a path; bytes that are no UTF-8 survive a later `write`."""
    try:
        link = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return FileState(path=path, writable=_may_create(path))
    except OSError as error:
        return FileState(path=path, kind="other", writable=False, problem=_words(error, reading=True))
    is_link = stat.S_ISLNK(link.st_mode)
    real = os.path.realpath(path)
    try:
        there = Path(real).stat()
    except FileNotFoundError:
        return FileState(path=path, kind="link", real_path=real, writable=_may_create(real), problem="is a link to nothing")
    except OSError as error:
        return FileState(path=path, kind="link", real_path=real, writable=False, problem=_words(error, reading=True))
    mode = stat.S_IMODE(there.st_mode)
    if stat.S_ISDIR(there.st_mode):
        shut = None if _may(real, os.R_OK | os.X_OK) else "cannot be looked into by you"
        return FileState(path=path, kind="folder", mode=mode, real_path=real, writable=False, problem=shut, mine=_is_mine(there))
    if not stat.S_ISREG(there.st_mode):
        problem = PIPE if stat.S_ISFIFO(there.st_mode) else None
        return FileState(path=path, kind="other", mode=mode, real_path=real, writable=False, problem=problem)
    text, problem = None, None
    try:
        text = Path(real).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        problem = _words(error, reading=True)
    kind = "link" if is_link else "file"
    return FileState(
        path=path,
        kind=kind,
        text=text,
        mode=mode,
        real_path=real,
        writable=_may_replace(real, mode),
        problem=problem,
        mine=_is_mine(there),
    )


def write(path: str, text: str, mode: int | None = None) -> None:
    """Put a text in the place of a file's content, all or nothing: through a link, keeping mode and owner.

    A new file is private, or has `mode`; missing folders are made private. Raises `HaSshError` with the codes of `_TROUBLE`.
    """
    real = os.path.realpath(path)
    with _translated(path):
        make_folder(Path(real).parent)
        there = _stat_of_file(real)
        if there and not _may_replace(real, stat.S_IMODE(there.st_mode)):
            raise PermissionError(errno.EACCES, "read-only", path)
        # One name, so that what a killed run left behind is swept away by the next one. `lock` keeps two runs apart.
        fresh = str(Path(real).with_name(f".{Path(real).name}.ha-ssh~"))
        Path(fresh).unlink(missing_ok=True)
        try:
            _write_new(fresh, text, PRIVATE)
            if there:
                _copy_owner(fresh, there)
            if not WINDOWS:
                Path(fresh).chmod(stat.S_IMODE(there.st_mode) if there else mode or PRIVATE)
            Path(fresh).replace(real)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
        _sync_folder(real)


def create(path: str, text: str, mode: int = PRIVATE) -> None:
    """Write a file that must not exist yet, private from birth; raises `HaSshError` (`file-exists`) otherwise."""
    with _translated(path):
        make_folder(Path(path).parent)
        _write_new(path, text, PRIVATE)
        set_mode(path, mode)
        _sync_folder(path)


def append(path: str, text: str) -> None:
    """Add to the end of an existing file; on return it has reached the disk."""
    with _translated(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        try:
            _write_all(handle, text)
            os.fsync(handle)
        finally:
            os.close(handle)


def delete(path: str) -> None:
    """Delete a file (what a link leads to, since `write` goes there too); missing is fine."""
    with _translated(path):
        Path(os.path.realpath(path)).unlink(missing_ok=True)


def set_mode(path: str, mode: int) -> None:
    """Change who may read a file; on Windows, where modes do not exist, a private one is given to the user alone."""
    with _translated(path):
        if not WINDOWS:
            Path(path).chmod(mode)
        elif not mode & 0o077:  # untested: written from the documentation of icacls
            user = os.environ.get("USERNAME", "")
            command = ["icacls", path, "/inheritance:r", "/grant:r", f"{user}:F", "SYSTEM:F", "Administrators:F"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed program of Windows
            if done.returncode:
                raise PermissionError(errno.EACCES, done.stderr.strip(), path)


def folder(path: str) -> tuple[str, ...]:
    """Return the names of the files in a folder, sorted; none where it does not exist."""
    try:
        with os.scandir(path) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_file()))
    except FileNotFoundError:
        return ()
    except OSError as error:
        if error.errno in _UNREAD:
            raise HaSshError(
                "not-readable", f"the folder `{path}` {_words(error, reading=True)}", f"`chmod u+rwx {path}`"
            ) from error
        raise _trouble(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, each private."""
    if not path.exists():
        make_folder(path.parent)
        path.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)


def drop_empty_folder(path: str) -> None:
    """Remove a folder if nothing is left in it."""
    with _translated(path), contextlib.suppress(FileNotFoundError):
        if not any(Path(path).iterdir()):
            Path(path).rmdir()


@contextlib.contextmanager
def lock(path: str) -> Iterator[None]:
    """Hold the right to change things on this computer; raises `HaSshError` (`another-run`) while another process holds it."""
    with _translated(path):
        make_folder(Path(path).parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        if not _take(handle):
            pid = os.read(handle, 32).decode("ascii", "replace").strip()
            raise HaSshError(
                "another-run",
                f"another `ha-ssh` is at work on this computer (process {pid or 'unknown'})",
                "wait for it to end, or end it, then try again",
            )
        with _translated(path):
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


# ---------------------------------------------------------------------------------------------------------------- inside


def _take(handle: int) -> bool:
    """Lock an open file without waiting; the operating system lets go when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 1 << 20, os.SEEK_SET)  # far behind the text: a locked byte cannot be read by others there
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def _write_new(path: str, text: str, mode: int) -> None:
    """Write a file that is not there yet, and wait for the disk; what could not be finished is taken away again."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        try:
            _write_all(handle, text)
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


def _write_all(handle: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(handle, data) :]


def _stat_of_file(path: str) -> os.stat_result | None:
    """Return the state of an existing plain file, `None` for a missing one; raises `OSError` for anything else."""
    try:
        there = Path(path).stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, "not a file", path)
    return there


def _copy_owner(path: str, there: os.stat_result) -> None:
    if sys.platform != "win32":
        mine = Path(path).stat()
        if (mine.st_uid, mine.st_gid) != (there.st_uid, there.st_gid):
            os.chown(path, there.st_uid, there.st_gid)


def _sync_folder(path: str) -> None:
    """Wait until the name of a new file has reached the disk too."""
    if not WINDOWS:
        handle = os.open(Path(path).parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _may_replace(path: str, mode: int) -> bool:
    """Say whether a file may be changed; a file without any write bit was made so on purpose, for root too."""
    return bool(mode & 0o222) and os.access(path, os.W_OK) and os.access(Path(path).parent, os.W_OK)


def _may_create(path: str) -> bool:
    above = Path(path).parent
    while not above.exists() and above != above.parent:
        above = above.parent
    return above.is_dir() and os.access(above, os.W_OK)


def _may(path: str, what: int) -> bool:
    """Say whether we may do something, as whoever we act for."""
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def _is_mine(there: os.stat_result) -> bool:
    return sys.platform == "win32" or there.st_uid == os.geteuid()


_UNREAD = {
    errno.EACCES: "cannot be read by you",
    errno.EPERM: "cannot be read by you",
}
"""What an error means where a file is only read."""


def _words(error: OSError, *, reading: bool = False) -> str:
    if reading and error.errno in _UNREAD:
        return _UNREAD[error.errno]
    return _TROUBLE.get(error.errno or 0, ("", (error.strerror or str(error)).lower()))[1]


def _trouble(path: str, error: OSError) -> HaSshError:
    code, words = _TROUBLE.get(error.errno or 0, ("file-trouble", f"could not be used: {error.strerror or error}"))
    return HaSshError(code, f"`{path}` {words}", *_WAYS_OUT.get(code, ()))


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _trouble(path, error) from error
