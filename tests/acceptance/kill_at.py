"""`ha-ssh` that is killed (SIGKILL) right before its n-th write; or, with `torn`, in the middle of it.

    kill_at.py N before|torn|count ARGUMENTS...

Writes are what reaches the house, and what reaches the disk. `count` kills nothing and says on the last line of stderr how many
there were.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from ha_ssh.world import files
from ha_ssh.world.home import RealHome

if TYPE_CHECKING:
    from collections.abc import Callable

ON_DISK = ("write", "create", "append", "delete", "set_mode", "drop_empty_folder")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    at, how, arguments = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    numbers = itertools.count(1)
    seen = [0]

    def due() -> bool:
        seen[0] = next(numbers)
        return how != "count" and seen[0] == at

    def on_disk(write: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(write)
        def counted(path: str, *rest: Any) -> Any:
            if due():
                if how == "torn" and write.__name__ == "append":
                    write(path, rest[0][: len(rest[0]) // 2])
                die()
            return write(path, *rest)

        return counted

    class Counting(RealHome):
        async def call(self, *what: Any, **more: Any) -> Any:
            if due():
                die()
            return await super().call(*what, **more)

    for name in ON_DISK:
        setattr(files, name, on_disk(getattr(files, name)))
    from ha_ssh.world import home

    home.RealHome = Counting  # type: ignore[misc] # this is what the runner is for
    from ha_ssh.cli.main import main as run

    code = run(arguments)
    if how == "count":
        sys.stderr.write(f"\n{seen[0]}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
