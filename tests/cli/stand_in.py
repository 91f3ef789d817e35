"""`ha-ssh` with a stand-in for what a command does: it tells its options, or fails as its first argument says."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ha_ssh.cli.main import main
from ha_ssh.core.errors import Exit, HaSshError

if TYPE_CHECKING:
    from ha_ssh.core.options import Options


def run(command: str, options: Options) -> int:
    match os.environ.get("STAND_IN"):
        case "bug":
            secret = options.token.reveal() if options.token else ""
            raise ValueError(f"no idea about {options.url} with {secret}")
        case "stuck":
            raise HaSshError("stuck", "the house is gone", "`ha-ssh undo` does the rest", exit=Exit.STUCK)
        case "interrupted":
            raise KeyboardInterrupt
        case "chatty":
            for line in range(100_000):
                sys.stdout.write(f"line {line}\n")
            return 0
    sys.stdout.write(f"{command} {options!r}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(run=run))
