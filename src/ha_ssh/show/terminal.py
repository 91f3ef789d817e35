"""For people: calm text of 80 columns that needs no colour and redraws only where a terminal allows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ha_ssh.core.model import Consent, Level, Scope, StepState
from ha_ssh.core.risks import RISKS
from ha_ssh.show.paper import Paper
from ha_ssh.show.words import (
    LEVELS,
    STATES,
    WIDTH,
    cause,
    count,
    duration,
    ending,
    folded,
    introduced,
    listing,
    remedy,
    sentence,
    summary,
    ways,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from ha_ssh.core.model import ErrorReport, Finding, Fix, Plan, Report, Risk, StepReport

_PROBLEMS = (Level.WRONG, Level.UNKNOWN, Level.WARN, Level.NOTE)
_TROUBLES = (Level.WRONG, Level.UNKNOWN, Level.WARN)
_FEW = 3
"""How many of the same kind are named rather than counted."""
_PLAIN_EVERY = 15.0
"""Seconds between two lines about the same wait where nothing may redraw."""


@dataclass
class _Wait:
    """What is being waited for, since when, and what was last said of it."""

    title: str
    since: float
    what: str = ""
    fraction: float | None = None
    detail: str = ""
    said_at: float = 0.0
    said: tuple[str, int] | None = None


class TerminalShow:
    """Talks to people: what is going on to `err`, what they asked for to `out`."""

    def __init__(
        self,
        *,
        out: TextIO,
        err: TextIO,
        color: bool = True,
        redraws: bool = False,
        verbose: bool = False,
        dry_run: bool = False,
        width: int = WIDTH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = Paper(out, color=color)
        self._err = Paper(err, color=color)
        self._plans = self._out if dry_run else self._err
        """A dry run is asked for its plan, so that is a result."""
        self._redraws = redraws
        self._verbose = verbose
        self._width = width
        self._clock = clock
        self._wait: _Wait | None = None
        self._live: Any = None
        self._introduced = False

    # ------------------------------------------------------------------------------------------------ the protocol Show

    def say(self, text: str) -> None:
        """A sentence for people; an indented line is there to be copied, and stays whole."""
        self._write(self._err, [text] if text.startswith("  ") else wrap(text, self._width))

    def step(self, report: StepReport) -> None:
        """A step started or ended."""
        if report.state is StepState.PLANNED:
            self._wait = _Wait(report.title, self._clock())
            self._draw()
            return
        self.rest()
        sign, word = STATES[report.state]
        took = f" ({duration(report.seconds)})" if report.seconds >= 0.05 else ""
        self._write(self._err, wrap(f"{word}{report.title}{took}", self._width, first=f"{sign} "))

    def progress(self, what: str, fraction: float | None, detail: str = "") -> None:
        """A long wait: one line that redraws, or a line now and then."""
        if self._wait is None:
            self._wait = _Wait("", self._clock())
        wait = self._wait
        wait.what, wait.fraction, wait.detail = what, fraction, detail
        if self._redraws:
            self._draw()
            return
        now = (what, -1 if fraction is None else int(fraction * 4))
        if now != wait.said or self._clock() - wait.said_at >= _PLAIN_EVERY:
            wait.said, wait.said_at = now, self._clock()
            self._write(self._err, wrap(self._waiting(wait), self._width, first="… "))

    def plan(self, plan: Plan) -> None:
        """The plan, before it is agreed to."""
        self._write(self._plans, plan_lines(plan, self._width))

    def steps(self, steps: Sequence[StepReport]) -> None:
        """What would be put back, before it is agreed to."""
        self._write(self._plans, step_lines(steps, self._width))

    def findings(self, findings: Sequence[Finding]) -> None:
        """What the doctor found: a result, so it goes to stdout."""
        self._write(self._out, finding_lines(findings, self._width, verbose=self._verbose))

    # ------------------------------------------------------------------------------------------------------- the ending

    def report(self, report: Report) -> None:
        """The end of a command: what it lists, what it kept, how it ended, what to type next."""
        if any(step.state is not StepState.PLANNED for step in report.steps):
            self._write(self._err, [""])
        self._write(self._out, report_lines(report, self._width))
        if report.error is not None:
            self.error(report.error)

    def error(self, error: ErrorReport) -> None:
        """What went wrong, and the ways out."""
        self._write(self._err, error_lines(error, self._width))

    def rest(self) -> None:
        """Take the redrawn line away, before anything else is written or asked."""
        self._wait = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    # ------------------------------------------------------------------------------------------------------------- inside

    def _write(self, paper: Paper, lines: Sequence[str]) -> None:
        wait = self._wait
        self.rest()
        for line in lines:
            told = None if self._introduced else introduced(line)
            fits = told is not None and len(told) <= self._width
            self._introduced = self._introduced or fits or "add-on" in line
            paper.write(told if told is not None and fits else line)
        self._wait = wait
        self._draw()

    def _draw(self) -> None:
        if not self._redraws or self._wait is None:
            return
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._line,
                console=self._err.console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _line(self) -> Any:
        from rich.text import Text

        wait = self._wait
        text = f"… {self._waiting(wait)}" if wait else ""
        return Text(self._err.fitting(text), no_wrap=True, overflow="ellipsis")

    def _waiting(self, wait: _Wait) -> str:
        parts = [
            wait.what or wait.title,
            "" if wait.fraction is None else f"{wait.fraction:.0%}",
            wait.detail,
            duration(self._clock() - wait.since) if self._clock() - wait.since >= 1 else "",
        ]
        return " · ".join(part for part in parts if part)


# ----------------------------------------------------------------------------------------------------- text, never printed


def plan_lines(plan: Plan, width: int = WIDTH) -> list[str]:
    """Return the plan as text: numbered steps with what they touch, what waits for proof, what is left to people."""
    lines: list[str] = []
    if plan.steps:
        lines += ["", f"The plan, {count(len(plan.steps), 'step')}:", ""]
        for number, planned in enumerate(plan.steps, 1):
            lines += _step(number, planned.step.title, planned.preview, width)
            for risk in planned.risks:
                lines += wrap(sentence(_risk(risk)), width, first=" " * len(f"  {number}. "))
    if plan.waiting:
        lines += ["", "Then, once the login is proven:"]
        lines += _each((f"{sentence(waiting.what)}" for waiting in plan.waiting), width)
    if plan.told:
        lines += ["", "Only you can do this:"]
        for finding in plan.told:
            lines += _instructions(finding, width)
    if plan.unaccepted:
        lines += ["", *wrap("Left out, because the risk was not accepted:", width)]
        for finding in plan.unaccepted:
            fix = finding.verdict.fix
            if fix is not None and fix.risk is not None:
                lines += wrap(f"{sentence(fix.does)} {sentence(_risk(fix.risk))}", width, first="  - ")
                lines += wrap(f"Accept it with `--accept-risk {fix.risk}`.", width, first="    ")
    return [*lines, ""] if lines else []


def step_lines(steps: Sequence[StepReport], width: int = WIDTH) -> list[str]:
    """Return steps that are to come as text: numbered, with what they touch."""
    lines = [line for number, step in enumerate(steps, 1) for line in _step(number, step.title, step.preview, width)]
    return ["", *lines, ""] if lines else []


def _step(number: int, title: str, preview: Sequence[str], width: int) -> list[str]:
    first = f"  {number}. "
    lines = wrap(title, width, first=first)
    inner = " " * len(first)
    for line in preview:
        marked = line[:2] in {"+ ", "- ", "~ "}
        lines += wrap(line, width, first=inner, rest=inner + ("  " if marked else ""))
    return lines


def _risk(risk: Risk) -> str:
    return f"risk `{risk}`: it {RISKS[risk]}"


def _each(texts: Any, width: int) -> list[str]:
    return [line for text in texts for line in wrap(text, width, first="  - ")]


def _instructions(finding: Finding, width: int) -> list[str]:
    lines = wrap(sentence(finding.verdict.says), width, first="  - ")
    for way in ways(finding):
        lines += wrap(way, width, first="    ")
    return lines


def finding_lines(findings: Sequence[Finding], width: int = WIDTH, *, verbose: bool = False) -> list[str]:
    """Return the findings as text: root causes first, the worst on top, what follows from each folded under it.

    What is well is counted where something is not, and named where all is.
    """
    trees = folded(findings)
    lines: list[str] = []
    for level in _PROBLEMS:
        for finding, followers in trees:
            if finding.level is level:
                told = _finding(finding, followers, width, verbose=verbose)
                brief = len(told) == 1 and level is Level.NOTE
                lines += told if brief else [*told, ""]
    if lines and lines[-1]:
        lines.append("")
    well = [finding for finding, _ in trees if finding.level is Level.OK]
    troubled = any(finding.level in _TROUBLES for finding, _ in trees)
    if troubled and not verbose and len(well) > _FEW:
        lines += wrap(f"{count(len(well), 'check')} (`--verbose` names them)", width, first="✓ ok: ", rest="  ")
    else:
        for finding in well:
            lines += wrap(_headline(finding, verbose=verbose), width, first="✓ ok: ", rest="  ")
            lines += _evidence(finding, width) if verbose else []
    if lines and lines[-1]:
        lines.append("")
    return [*lines, *wrap(sentence(summary(findings)), width)] if findings else []


def _headline(finding: Finding, *, verbose: bool) -> str:
    named = verbose or finding.level is not Level.OK
    return finding.verdict.says + (f" [{finding.id}]" if named else "")


def _evidence(finding: Finding, width: int) -> list[str]:
    return [line for seen in finding.verdict.evidence for line in wrap(seen, width, first="    seen: ", rest="      ")]


def _finding(finding: Finding, followers: Sequence[Finding], width: int, *, verbose: bool) -> list[str]:
    sign, word = LEVELS[finding.level]
    lines = wrap(_headline(finding, verbose=verbose), width, first=f"{sign} {word}: ", rest="  ")
    if finding.verdict.why:
        lines += wrap(finding.verdict.why, width, first="    why: ", rest="      ")
    lines += _evidence(finding, width)
    if finding.left_out is not None:
        lines += wrap(cause(finding), width, first="    because: ", rest="      ")
    if (fix := remedy(finding)) is not None:
        lines += _fix(fix, ways(finding), width)
    return lines + _following(followers, width, verbose=verbose)


def _following(followers: Sequence[Finding], width: int, *, verbose: bool) -> list[str]:
    """Name what is wrong only because of a root, and count what could not be looked at because of it."""
    lines: list[str] = []
    unseen = [finding for finding in followers if finding.level is Level.UNKNOWN]
    for words, found in (
        ("only because of it", [finding for finding in followers if finding not in unseen]),
        ("not to be seen because of it", unseen),
    ):
        if len(found) > _FEW and not verbose:
            lines += wrap(f"{len(found)} more checks (`--verbose` names them)", width, first=f"    {words}: ", rest="      ")
        elif found:
            lines += wrap(f"{words}:", width, first="    ")
            for finding in found:
                told = finding.check.title if finding in unseen else finding.verdict.says
                lines += wrap(f"{told} [{finding.id}]", width, first="      - ")
                if verbose:
                    lines += [line for seen in finding.verdict.evidence for line in wrap(seen, width, first="          seen: ")]
    return lines


def _fix(fix: Fix, instructions: Sequence[str], width: int) -> list[str]:
    if fix.consent is Consent.TELL or fix.offered:
        first = "    for you to decide: " if fix.offered else "    for you to do: "
        lines = wrap(fix.does, width, first=first, rest="      ")
        for instruction in instructions:
            lines += wrap(instruction, width, first="      - ")
        return lines
    lines = wrap(f"{fix.does}: `ha-ssh doctor --fix` does it", width, first="    fix: ", rest="      ")
    if fix.risk is not None:
        lines += wrap(f"it needs `--accept-risk {fix.risk}`, because it {RISKS[fix.risk]}", width, first="      ")
    return lines


def report_lines(report: Report, width: int = WIDTH) -> list[str]:
    """Return the end of a command as text, errors aside."""
    lines: list[str] = []
    for name, rows in report.extra.items():
        if isinstance(rows, list | tuple) and all(isinstance(row, dict) for row in rows):
            lines += table_lines(rows, width) if rows else [f"No {name.replace('_', ' ')}."]
    left_out = report.extra.get("not_looked_at")
    if left_out:
        lines += ["", *wrap(f"{listing(left_out)}.", width, first="Not looked at, because of `--offline`: ", rest="  "), ""]
    if report.kept:
        lines += ["Kept, since it does no harm:", *_each(report.kept, width), ""]
    said = ending(report)
    if said:
        lines += wrap(said, width)
    if report.next_line:
        lines += ["", "Next:", "", f"    {report.next_line}"]
    if report.same_run:
        lines += ["", "The same run as one command:", "", f"    {report.same_run}"]
    return lines


def table_lines(rows: Sequence[Mapping[str, Any]], width: int = WIDTH) -> list[str]:
    """Return rows as text: the first member in a column, beside it the title, or whatever else there is."""
    names = [str(next(iter(row.values()), "")) for row in rows]
    column = min(max((len(name) for name in names), default=0) + 4, 30, width // 2)
    lines: list[str] = []
    for name, row in zip(names, rows, strict=True):
        first = f"  {name}".ljust(column)
        lines += wrap(_beside(row) or "-", width, first=first if len(first) == column else first + "  ", rest=" " * column)
    return lines


def _beside(row: Mapping[str, Any]) -> str:
    if "title" in row:
        scope = row.get("scope", Scope.ACCESS)
        return str(row["title"]) + (f" ({scope})" if scope != Scope.ACCESS else "")
    values = (", ".join(map(str, value)) if isinstance(value, list | tuple) else value for value in list(row.values())[1:])
    return " · ".join(str(value) for value in values if value not in {None, ""})


def error_lines(error: ErrorReport, width: int = WIDTH) -> list[str]:
    """Return an error as text: the message, a blank line, the ways out."""
    lines = wrap(error.message, width, first="error: ", rest="  ")
    if error.hints:
        lines.append("")
        for hint in error.hints:
            lines += wrap(hint, width, first="hint: ", rest="  ")
    return lines
