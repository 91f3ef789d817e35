"""How results are shown: to people (Rich) and to machines (JSON)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ha_ssh.show.words import NARROWEST, WIDEST, WIDTH

if TYPE_CHECKING:
    from typing import TextIO

    from ha_ssh.core.options import Options
    from ha_ssh.show.machine import MachineShow
    from ha_ssh.show.terminal import TerminalShow


def show_for(options: Options) -> TerminalShow | MachineShow:
    """Return the show that fits the options and the streams of this process."""
    from ha_ssh.show.terminal import TerminalShow

    if options.machine:
        from ha_ssh.show.machine import MachineShow

        talk = TerminalShow(out=sys.stderr, err=sys.stderr, color=False, verbose=options.verbose, width=_width(sys.stderr))
        return MachineShow(sys.stdout, lines=options.json_lines, talk=talk)
    redraws = options.color and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return TerminalShow(
        out=sys.stdout,
        err=sys.stderr,
        color=options.color,
        redraws=redraws,
        verbose=options.verbose,
        dry_run=options.dry_run,
        width=_width(sys.stdout),
    )


def _width(stream: TextIO) -> int:
    """Return how wide lines may be: as the terminal, within what can be read well; 80 columns where there is none."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        columns = 0
    return min(max(columns, NARROWEST), WIDEST) if columns else WIDTH
