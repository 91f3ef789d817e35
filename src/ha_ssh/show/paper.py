"""A stream for people: clean of control characters, in an encoding it has, and no matter if the reader has left."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ha_ssh.show.words import ASCII, clean

if TYPE_CHECKING:
    from typing import TextIO

_STYLES = (
    (r"`[^`]*`", "cyan"),
    (r"^(✓|\+) ", "green"),
    (r"^ {5}\+ ", "green"),
    (r"^(✗|x)( \w+:)?", "red"),
    (r"^ {5}- ", "red"),
    (r"^ *! \w+:", "yellow"),
    (r"^ *\? could not look:", "magenta"),
    (r"^(hint|error):", "bold"),
    (r"^ *(why|seen|because):", "dim"),
    (r"^[A-Z][^`]*:$", "bold"),
)
"""What is coloured where colour is wanted; every meaning is in the words already."""


class Paper:
    """Where lines are written."""

    def __init__(self, stream: TextIO, *, color: bool = False) -> None:
        self.stream = stream
        self.color = color and stream.isatty()
        self._gone = False
        self._console: Any = None

    @property
    def console(self) -> Any:
        """The Rich console on this stream, made when it is first needed."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self.stream, highlight=False, soft_wrap=True, emoji=False, markup=False)
        return self._console

    def write(self, line: str = "") -> None:
        """Write a line; a reader who has left is no reason to stop a run."""
        if self._gone:
            return
        text = self.fitting(clean(line))
        try:
            if self.color:
                self.console.print(_styled(text))
            else:
                self.stream.write(text + "\n")
                self.stream.flush()
        except BrokenPipeError:
            self._gone = True

    def fitting(self, text: str) -> str:
        """Return text in characters that the stream can show."""
        encoding = self.stream.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(ASCII).encode(encoding, "replace").decode(encoding)
        return text


def _styled(text: str) -> Any:
    from rich.text import Text

    styled = Text(text)
    for pattern, style in _STYLES:
        for found in re.finditer(pattern, text):
            styled.stylize(style, *found.span())
    return styled
