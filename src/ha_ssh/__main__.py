"""The way in: `ha-ssh` and `python -m ha_ssh`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from ha_ssh import __version__

        sys.stdout.write(f"ha-ssh {__version__}\n")
        return
    from ha_ssh.cli.main import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
