"""Measuring commands side by side: interleaved runs, medians, ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run of a command: wall time, and the most memory that it or a child of it held."""

    seconds: float
    peak_mb: float


@dataclass(kw_only=True)
class Side:
    """One side of a comparison: `run` makes everything anew and runs it once."""

    label: str
    run: Callable[[], Ran]
    runs: list[Ran] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median wall time."""
        return statistics.median(ran.seconds for ran in self.runs)

    @property
    def peak_mb(self) -> float:
        """The median peak memory."""
        return statistics.median(ran.peak_mb for ran in self.runs)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One judged figure; the value and its bound are of one unit."""

    what: str
    ours: str
    theirs: str
    value: float
    bound: float
    unit: str = ""
    digits: int = 2

    @property
    def held(self) -> bool:
        """Whether it is within its bound."""
        return self.value <= self.bound

    @property
    def row(self) -> tuple[str, ...]:
        """Its row of the table."""
        value, bound = (f"{number:.{self.digits}f}{self.unit}" for number in (self.value, self.bound))
        return self.what, self.ours, self.theirs, value, f"at most {bound}", "yes" if self.held else "**no**"


def ratio(what: str, ours: Side, theirs: Side, bound: float) -> Figure:
    """Judge the wall time of one side by that of the other."""
    return Figure(
        what=what,
        ours=f"{ours.seconds:.3f} s",
        theirs=f"{theirs.label}: {theirs.seconds:.3f} s",
        value=ours.seconds / theirs.seconds,
        bound=bound,
    )


def interleave(rounds: int, *sides: Side) -> None:
    """Run all sides in turns, so that what slows the machine for a while slows them all."""
    for _ in range(rounds):
        for side in sides:
            side.runs.append(side.run())


def run(command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None, limit: float = 300.0) -> Ran:
    """Run a command to its end; raises `SystemExit` with its words when it fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=os.environ | (env or {}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    words = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{words.decode(errors='replace')}")
    if seconds > limit:
        raise SystemExit(f"{' '.join(map(str, command))} took {seconds:.0f} s, more than {limit:.0f} s")
    return Ran(seconds=seconds, peak_mb=usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024))


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table, its columns aligned."""
    head = ("what", "ha-ssh", "against", "figure", "bound", "held")
    rows = [head, *(figure.row for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
