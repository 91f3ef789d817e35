"""A terminal session run for real and kept as a picture: a pseudo-terminal, the screen it leaves, an SVG of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from itertools import groupby
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import pyte

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS, ROWS = 80, 120
CELL, LINE, EDGE, BAR = 8.4, 18, 14, 30
"""Sizes in SVG units: a character's width, a line's height, the margin, the window's title bar."""

FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
PAPER, INK = "#16181d", "#d7dae0"
COLOURS = {
    "black": "#5c6370",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#ffffff",
    "brightblack": "#7f848e",
}

PASSING = (
    (re.compile(r"SHA256:[\w+/]{43}"), "SHA256:" + "AbC4" * 10 + "dEf"),
    (re.compile(r" \(\d+(?:\.\d+)? s\)"), ""),
)
"""What differs from run to run, and what a picture shows instead."""


class Screen(pyte.Screen):
    """A screen that answers when it is asked where the cursor is, as terminals do."""

    def __init__(self, keyboard: int) -> None:
        super().__init__(COLUMNS, ROWS)
        self._keyboard = keyboard

    def write_process_input(self, data: str) -> None:
        """Send an answer the way that keys go."""
        os.write(self._keyboard, data.encode())


def film(
    command: Sequence[str], *, environment: Mapping[str, str], answers: Sequence[tuple[str, str]] = (), limit: float = 120.0
) -> pyte.Screen:
    """Run a command in a terminal of its own and return the screen as it ends; raises `RuntimeError` with it when that fails.

    `answers` are pairs, in order: what has to be on the screen, and the keys that are pressed then.
    """
    ours, its = pty.openpty()
    screen, waiting = Screen(ours), list(answers)
    stream = pyte.ByteStream(screen)
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, env=dict(environment), start_new_session=True, close_fds=True
    )
    os.close(its)
    end = time.monotonic() + limit
    try:
        while select.select([ours], [], [], max(0.0, end - time.monotonic()))[0]:
            try:
                words = os.read(ours, 65536)
            except OSError:  # Linux says so when the last writer has gone
                break
            if not words:
                break
            stream.feed(words)
            while waiting and waiting[0][0] in "\n".join(screen.display):
                os.write(ours, waiting.pop(0)[1].encode())
        else:
            raise RuntimeError(f"{' '.join(command)} did not end within {limit:.0f} s\n" + "\n".join(screen.display).rstrip())
    finally:
        os.close(ours)
        if time.monotonic() >= end:
            process.kill()
        code = process.wait()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}\n" + "\n".join(screen.display).rstrip())
    return screen


def svg(screen: pyte.Screen, title: str) -> str:
    """Draw the lines of a screen that hold anything, as a window with a title."""
    rows = [line_of(screen, row) for row in range(screen.lines)]
    while rows and not rows[-1]:
        rows.pop()
    width, height = COLUMNS * CELL + 2 * EDGE, BAR + len(rows) * LINE + 2 * EDGE
    lines = "\n".join(
        f'<text x="{EDGE}" y="{BAR + EDGE + (row + 0.75) * LINE:.1f}">{content}</text>'
        for row, content in enumerate(rows)
        if content
    )
    dots = "".join(
        f'<circle cx="{16 + 18 * i}" cy="15" r="5.5" fill="{c}"/>' for i, c in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    frame = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" aria-label="{escape(title)}"'
    face = f'font-family="{FONT}" font-size="14" fill="{INK}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} {face}>\n'
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>\n{dots}\n'
        f'<text x="{width / 2:.0f}" y="20" text-anchor="middle" fill="#7f848e">{escape(title)}</text>\n{lines}\n</svg>\n'
    )


def line_of(screen: pyte.Screen, row: int) -> str:
    """Return a line as SVG spans, one for each run of characters of one look, each as wide as its cells."""
    cells = settle([screen.buffer[row][column] for column in range(screen.columns)])
    while cells and cells[-1].data == " " and not cells[-1].reverse:
        cells.pop()
    spans, column = [], 0
    for look, run in groupby(cells, key=look_of):
        text = "".join(cell.data for cell in run)
        # Several spaces would be drawn as one: what lies between them is placed by itself.
        for words in re.finditer(r"\S+(?: \S+)*", text):
            x, width = EDGE + (column + words.start()) * CELL, len(words[0]) * CELL
            spans.append(f'<tspan x="{x:.1f}" textLength="{width:.1f}"{look}>{escape(words[0])}</tspan>')
        column += len(text)
    return "".join(spans)


def settle(cells: list[Any]) -> list[Any]:
    """Return a line of cells with what differs from run to run in its settled form; the looks stay with what they were on."""
    for pattern, settled in PASSING:
        text = "".join(cell.data or " " for cell in cells)
        for match in reversed(list(pattern.finditer(text))):
            look = cells[match.start()]
            cells = [*cells[: match.start()], *(look._replace(data=sign) for sign in settled), *cells[match.end() :]]
    return cells


def look_of(cell: Any) -> str:
    """Return the SVG attributes of a cell's look."""
    colour = COLOURS.get(cell.fg, INK if cell.fg == "default" else f"#{cell.fg}" if re.fullmatch("[0-9a-f]{6}", cell.fg) else INK)
    look = "" if colour == INK else f' fill="{colour}"'
    return look + (' font-weight="bold"' if cell.bold else "") + (' font-style="italic"' if cell.italics else "")
