"""The log of what runs do to the world: a private file under the state folder, without secrets, for the day somebody asks."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ha_ssh.core.redact import redact
from ha_ssh.world import files

if TYPE_CHECKING:
    from collections.abc import Iterator

DIARY = logging.getLogger("ha_ssh.diary")
"""Where `world` says what it does; heard only while a diary is kept."""
_MOST_BYTES = 1_000_000


class _Private(logging.Handler):
    """Appends to a file that only its owner can read; one that cannot be written stops no run."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # first: `logging` keeps whoever was begun
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, without secrets."""
        with suppress(OSError):
            os.write(self._file, f"{redact(self.format(record))}\n".encode())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
        super().close()


@contextmanager
def kept(path: str) -> Iterator[None]:
    """Keep the diary in this file; one that grew long is set aside as `.1`, and a folder that cannot be written means none."""
    place = Path(path)
    try:
        files.make_folder(place.parent)
        if place.exists() and place.stat().st_size > _MOST_BYTES:
            place.replace(place.with_name(f"{place.name}.1"))
        handler = _Private(place)
    except OSError:
        yield
        return
    DIARY.addHandler(handler)
    DIARY.setLevel(logging.INFO)
    DIARY.propagate = False
    try:
        yield
    finally:
        DIARY.removeHandler(handler)
        handler.close()
