"""How results are shown: to people (Rich) and to machines (JSON)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ha_ssh.core.options import Options
    from ha_ssh.show.machine import MachineShow
    from ha_ssh.show.terminal import TerminalShow


def show_for(options: Options) -> TerminalShow | MachineShow:
    """Return the show that fits the options and the streams of this process."""
    from ha_ssh.show.terminal import TerminalShow

    if options.machine:
        from ha_ssh.show.machine import MachineShow

        talk = TerminalShow(out=sys.stderr, err=sys.stderr, color=False, verbose=options.verbose)
        return MachineShow(sys.stdout, lines=options.json_lines, talk=talk)
    redraws = options.color and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return TerminalShow(
        out=sys.stdout,
        err=sys.stderr,
        color=options.color,
        redraws=redraws,
        verbose=options.verbose,
        dry_run=options.dry_run,
    )
