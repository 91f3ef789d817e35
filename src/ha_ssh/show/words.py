"""The vocabulary: severities, plurals, durations, and the sentence in which a run ends."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from ha_ssh.core.errors import Exit
from ha_ssh.core.model import Level, Outcome, Scope, StepState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ha_ssh.core.model import Finding, Fix, Report

LEVELS: dict[Level, tuple[str, str]] = {
    Level.OK: ("✓", "ok"),
    Level.NOTE: ("·", "note"),
    Level.WARN: ("!", "warn"),
    Level.WRONG: ("✗", "wrong"),
    Level.UNKNOWN: ("?", "could not look"),
}
"""Each severity as a sign and a word, so that neither colour nor the sign is needed."""

STATES: dict[StepState, tuple[str, str]] = {
    StepState.PLANNED: ("…", ""),
    StepState.DONE: ("✓", ""),
    StepState.SKIPPED: ("·", "skipped: "),
    StepState.FAILED: ("✗", "failed: "),
    StepState.UNDONE: ("↺", "put back: "),
}
"""Each state of a step as a sign and the words before its title."""

ASCII = str.maketrans(
    {"✓": "+", "·": "-", "✗": "x", "…": "...", "↺": "<", "→": "->", "“": '"', "”": '"', "’": "'", "–": "-", "—": "-", "\xa0": " "}
)
"""What stands for the signs where the terminal's encoding lacks them."""

WIDTH = 80
"""The columns of lines where nobody knows how wide the screen is."""
NARROWEST, WIDEST = 40, 100
"""The columns within which lines are fitted to a terminal."""

_CONTROL = re.compile(
    r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def clean(text: str) -> str:
    """Return text without anything that could move the cursor, colour or reorder the screen."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 change`, `3 changes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a time in the words of people: `0.4 s`, `41 s`, `2 min 5 s`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")


def listing(words: Sequence[str]) -> str:
    """Return words as people list them: `a, b and c`."""
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


def sentence(text: str) -> str:
    """Return a fragment as a sentence: a capital first (unless it starts with a command), a full stop last."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?:…" else ".")


def wrap(text: str, width: int, *, first: str = "", rest: str | None = None) -> list[str]:
    """Return text in lines of at most `width`; what stands in backticks is never broken, nor is a long path."""
    rest = " " * len(first) if rest is None else rest
    held = re.sub(r"`[^`\n]*`", lambda code: code[0].replace(" ", "\x00"), clean(text))
    lines: list[str] = []
    for paragraph in held.split("\n"):
        wrapped = textwrap.wrap(
            paragraph,
            width,
            initial_indent=first if not lines else rest,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += wrapped or [""]
    return [line.replace("\x00", " ") for line in lines]


def _formerly(word: re.Match[str]) -> str:
    return f"{word[0]} (add-on{'s' if word[0].endswith('s') else ''})"


def introduced(text: str) -> str | None:
    """Return text in which the first `app` also says its former name, or `None` where it speaks of no app."""
    parts = re.split(r"(`[^`]*`)", text)
    for place, part in enumerate(parts):
        if part.startswith("`"):
            continue
        told, found = re.subn(r"(?<![\w/.-])([Aa]pps?)(?![\w/'’-]|\.\w| \(add-on)", _formerly, part, count=1)
        if found:
            return "".join([*parts[:place], told, *parts[place + 1 :]])
    return None


def folded(findings: Sequence[Finding]) -> list[tuple[Finding, list[Finding]]]:
    """Return the findings that hang on no other, each with all that hang on it, in order.

    Those about the access come first, and of these the ones that others hang on.
    """
    by_id = {finding.id: finding for finding in findings}
    trees: dict[str, tuple[Finding, list[Finding]]] = {}
    for finding in findings:
        root = finding
        while root.because in by_id:
            root = by_id[root.because]
        trees.setdefault(root.id, (root, []))[1].extend([finding] if root is not finding else [])
    return sorted(trees.values(), key=lambda tree: (not any(_about_access(one) for one in (tree[0], *tree[1])), not tree[1]))


def _about_access(finding: Finding) -> bool:
    return finding.check.scope is Scope.ACCESS


def remedy(finding: Finding) -> Fix | None:
    """Return what puts a finding right; where its root is left out, its own remedy would be the wrong one."""
    return finding.verdict.fix if finding.left_out is None else None


def cause(finding: Finding) -> str:
    """Say what a finding hangs on that is not shown; empty where that is nothing."""
    root = finding.left_out
    return "" if root is None else f"{root.verdict.says} [{root.id}], which was left out"


def ways(finding: Finding) -> tuple[str, ...]:
    """Return what a person can do about a finding; an offer is taken by its flag."""
    fix = remedy(finding)
    if fix is None:
        return ()
    taken = (f"`ha-ssh doctor --fix --also {finding.id}` does just this",) if fix.offered else ()
    return (*taken, *fix.instructions)


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings of each severity there are, the worst first."""
    order = (Level.WRONG, Level.UNKNOWN, Level.WARN, Level.NOTE, Level.OK)
    trees = folded(findings)
    numbers = {level: sum(finding.level is level for finding, _followers in trees) for level in order}
    hanging = len(findings) - len(trees)
    said = [f"{number} {LEVELS[level][1]}" for level, number in numbers.items() if number]
    if hanging:
        roots = numbers[Level.WRONG] + numbers[Level.UNKNOWN]
        said.insert(1, f"{hanging} more {'follows' if hanging == 1 else 'follow'} from {'it' if roots == 1 else 'these'}")
    return ", ".join(said)


def ending(report: Report) -> str:
    """Return the sentence in which a run ends."""
    match report.result:
        case Outcome.OK:
            return _well(report)
        case Outcome.PLANNED:
            if report.error is not None:
                return ""
            if report.exit == Exit.UNANSWERED:
                return "Nothing was changed."
            return "A dry run: nothing was changed." if report.steps or report.changed else "A dry run: there is nothing to do."
        case Outcome.WRONG:
            return "" if report.error is not None else _not_well(report)
        case Outcome.PUT_BACK:
            return "It failed, and what had to be put back was put back."
        case Outcome.STUCK:
            return "It failed, and not everything could be put back. `ha-ssh undo` does the rest once the house can be reached."
        case Outcome.INTERRUPTED:
            undone = any(step.state is StepState.UNDONE for step in report.steps)
            return "Interrupted: what had to be put back was put back." if undone else "Interrupted: nothing is left half done."
        case Outcome.ERROR:
            return ""


def _not_well(report: Report) -> str:
    access = {finding.level for finding in report.findings if finding.check.scope is Scope.ACCESS}
    if Level.WRONG in access or not report.findings:
        return "SSH access is not as it should be; what comes first above is the root of it."
    levels = {finding.level for finding in report.findings}
    if Level.UNKNOWN in levels:
        wrong = _things_wrong(report)
        so_far = f"{wrong[0].upper()}{wrong[1:]}, and" if wrong else "Nothing is known to be wrong, but"
        return f"{so_far} not all could be looked at; what comes first above says why."
    return _beside_access(report, "") if Level.WRONG in levels else "It works, with warnings."


def _things_wrong(report: Report) -> str:
    """Say how many roots are wrong; empty for none."""
    number = sum(finding.level is Level.WRONG for finding, _followers in folded(report.findings))
    return f"{count(number, 'thing')} {'is' if number == 1 else 'are'} wrong" if number else ""


def _beside_access(report: Report, part: str) -> str:
    """Say what is wrong where the access itself is not; `part` says how much was looked at, where that is not all."""
    wrong = _things_wrong(report) or "something is wrong"
    if part:
        return f"{wrong[0].upper()}{wrong[1:]}{part}: mind what comes first above."
    return f"SSH access works; {wrong} beside it: mind what comes first above."


def _found_well(report: Report) -> str:
    judged = report.extra.get("judged", {})
    part = f"{judged['checks']} of {judged['of']} checks" if judged and judged["checks"] < judged["of"] else ""
    there = f" in what was looked at ({part})" if part else ""
    levels = {finding.level for finding in report.findings}
    if Level.WRONG in levels:
        return _beside_access(report, there)
    if report.changed:
        return f"Repaired: nothing is wrong any more{there}."
    if levels & {Level.WARN, Level.UNKNOWN}:
        return f"Nothing is wrong{there}; mind what comes first above."
    if part:
        return f"What was looked at is well: {part}."
    return "All is well." if report.findings else ""


def _well(report: Report) -> str:
    ssh = report.ssh or {}
    if report.command == "setup":
        if not report.changed:
            return "Nothing to do: SSH access is as it should be."
        where = " ".join(f"{word} {ssh[key]}" for key, word in (("user", "as"), ("host", "on"), ("port", "port")) if ssh.get(key))
        return f"Done: a login {where} was proven." if where else "Done."
    if report.command == "doctor":
        return _found_well(report)
    if report.command == "undo":
        return "Put back." if report.changed else "" if report.extra else "There is nothing to put back."
    return ""
