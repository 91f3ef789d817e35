"""`ha-ssh` that kills itself (SIGKILL) right before its n-th write.

    kill_at.py N ARGUMENTS...

Writes are what reaches the house, and what reaches the disk; the last line of stderr counts them. `torn:N` counts the lines of
the journal alone, and kills when half of the n-th one is written.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from ha_ssh.cli.main import main
from ha_ssh.world import files, home

if TYPE_CHECKING:
    from collections.abc import Callable

ON_DISK = ("write", "create", "append", "delete", "set_mode", "drop_empty_folder")


class Counter:
    """Counts writes and ends the process at one of them."""

    def __init__(self, moment: str) -> None:
        self.torn, self.at = moment.startswith("torn:"), int(moment.removeprefix("torn:"))
        self.seen = 0

    def next(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def disk(self, write: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(write)
        def counted(path: str, *rest: Any) -> Any:
            if not self.torn:
                self.next()
            elif write.__name__ == "append":
                if self.seen + 1 == self.at:
                    write(path, rest[0][: len(rest[0]) // 2])
                self.next()
            return write(path, *rest)

        return counted

    def house(self) -> type[home.RealHome]:
        counter = self

        class Counting(home.RealHome):
            async def call(self, *what: Any, **more: Any) -> Any:
                if not counter.torn:
                    counter.next()
                return await super().call(*what, **more)

        return Counting


def run(moment: str, arguments: list[str]) -> int:
    counter = Counter(moment)
    for name in ON_DISK:
        setattr(files, name, counter.disk(getattr(files, name)))
    home.RealHome = counter.house()  # type: ignore[misc] # this is what the runner is for
    code = main(arguments)
    sys.stderr.write(f"\n{counter.seen}\n")
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
