"""The way in: `ha-ssh` and `python -m ha_ssh`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from ha_ssh import __version__

        sys.stdout.write(f"ha-ssh {__version__}\n")
        return
    # Loaded modules are no garbage, and looking through them again and again costs a short run a tenth of its time.
    gc.set_threshold(100_000)
    from ha_ssh.cli.main import main as run

    code = run()
    gc.freeze()  # likewise at the end: the interpreter would look through all of it once more before it lets go
    sys.exit(code)


if __name__ == "__main__":
    main()
