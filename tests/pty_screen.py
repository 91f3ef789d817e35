"""A process behind a real pseudo-terminal, and what a person would see of it."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from types import TracebackType


class PtyScreen:
    """Runs a Python program at a terminal of 80 columns; wait for text, type, and read the whole screen."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None, rows: int = 40) -> None:
        self.screen = pyte.Screen(80, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._status: int | None = None
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HA_SSH_")}
        environment |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "LINES": str(rows), "COLUMNS": "80"} | (env or {})
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            import fcntl
            import struct
            import termios

            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
            os.execve(sys.executable, [sys.executable, *arguments], environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    @property
    def text(self) -> str:
        """The screen as lines without trailing blanks."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip() + "\n"

    def _read(self, limit: float) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], limit)
        if not ready:
            raise AssertionError(f"nothing more came; the screen is:\n{self.text}")
        try:
            got = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.raw += got
        self._stream.feed(got)
        if b"\x1b[6n" in got:  # where is the cursor? A terminal answers
            os.write(self.descriptor, f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R".encode())
        return bool(got)

    def until(self, text: str, *, times: int = 1, limit: float = 20) -> None:
        """Wait until this stands on the screen."""
        end = time.monotonic() + limit
        while self.text.count(text) < times:
            if not self._read(max(end - time.monotonic(), 0)):
                raise AssertionError(f"it ended without {text!r}; the screen is:\n{self.text}")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.descriptor, keys.encode())

    def end(self, limit: float = 20) -> int:
        """Wait for the end and return the exit code."""
        end = time.monotonic() + limit
        while self._read(max(end - time.monotonic(), 0)):
            pass
        _, status = os.waitpid(self.pid, 0)
        self._status = os.waitstatus_to_exitcode(status)
        return self._status
