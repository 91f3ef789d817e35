"""For machines: one object of the schema `ha-ssh/1` at the end of a run, or events as they happen and the object last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ha_ssh.core.model import SecretRef
from ha_ssh.core.secret import Secret
from ha_ssh.show.words import remedy, ways

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from ha_ssh.core.model import ErrorReport, Finding, Fix, Plan, Report, StepReport
    from ha_ssh.show.terminal import TerminalShow

SCHEMA = "ha-ssh/1"


class MachineShow:
    """Keeps stdout for machines; people are talked to through `talk`, on stderr."""

    def __init__(self, out: TextIO, *, lines: bool = False, talk: TerminalShow | None = None) -> None:
        self._out = out
        self._lines = lines
        self._talk = talk
        self._gone = False

    def say(self, text: str) -> None:
        """A sentence for people."""
        if self._talk:
            self._talk.say(text)

    def step(self, report: StepReport) -> None:
        """An event for a step that started or ended."""
        self._event("step", _step(report))
        if self._talk:
            self._talk.step(report)

    def progress(self, what: str, fraction: float | None, detail: str = "") -> None:
        """An event for a long wait."""
        self._event("progress", {"what": what, "fraction": fraction, "detail": detail})
        if self._talk:
            self._talk.progress(what, fraction, detail)

    def plan(self, plan: Plan) -> None:
        """An event for the plan."""
        steps = [
            {"id": planned.step.id, "title": planned.step.title, "preview": planned.preview, "risks": planned.risks}
            for planned in plan.steps
        ]
        waiting = [{"id": waiting.check.id, "what": waiting.what} for waiting in plan.waiting]
        told, unaccepted = ([_finding(finding) for finding in group] for group in (plan.told, plan.unaccepted))
        self._event("plan", {"steps": steps, "waiting": waiting, "told": told, "unaccepted": unaccepted})
        if self._talk:
            self._talk.plan(plan)

    def steps(self, steps: Sequence[StepReport]) -> None:
        """An event for each step that is planned."""
        for step in steps:
            self._event("step", _step(step))
        if self._talk:
            self._talk.steps(steps)

    def findings(self, findings: Sequence[Finding]) -> None:
        """An event for each finding."""
        for finding in findings:
            self._event("finding", _finding(finding))

    def report(self, report: Report) -> None:
        """The one object, last; an error is also told to people."""
        self._write(json.dumps(to_json(report), default=_plain, indent=None if self._lines else 2))
        if self._talk and report.error is not None:
            self._talk.error(report.error)

    def rest(self) -> None:
        """Nothing redraws here."""

    def _event(self, kind: str, members: dict[str, Any]) -> None:
        if self._lines:
            self._write(json.dumps({"event": kind, **members}, default=_plain))

    def _write(self, line: str) -> None:
        """Write a line; a reader who has left is no reason to stop a run."""
        if self._gone:
            return
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except BrokenPipeError:
            self._gone = True


def to_json(report: Report) -> dict[str, Any]:
    """Return a run as the object of the contract; further members come after, and never in place of those."""
    contract: dict[str, Any] = {
        "schema": SCHEMA,
        "command": report.command,
        "result": report.result,
        "changed": report.changed,
        "house": report.house,
        "ssh": report.ssh,
        "steps": [_step(step) for step in report.steps],
        "kept": report.kept,
        "findings": [_finding(finding) for finding in report.findings],
        "error": None if report.error is None else _error(report.error),
    }
    added = {
        "waiting": [{"id": waiting.check.id, "what": waiting.what} for waiting in report.waiting],
        "next": report.next_line,
        "same_run": report.same_run,
        "exit": report.exit,
    }
    plain: dict[str, Any] = json.loads(json.dumps(report.extra | contract | added, default=_plain))
    return {key: plain[key] for key in (*contract, *added, *(key for key in plain if key not in contract and key not in added))}


def _step(step: StepReport) -> dict[str, Any]:
    return {
        "id": step.id,
        "title": step.title,
        "state": step.state,
        "seconds": round(step.seconds, 3),
        "preview": list(step.preview),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    check, verdict = finding.check, finding.verdict
    return {
        "id": check.id,
        "stage": check.stage,
        "scope": check.scope,
        "verdict": verdict.level,
        "says": verdict.says,
        "why": verdict.why,
        "because": finding.because,
        "left_out": None if finding.left_out is None else _root(finding.left_out),
        "fix": None if (fix := remedy(finding)) is None else _fix(fix, ways(finding)),
        "title": check.title,
        "evidence": list(verdict.evidence),
        "failure": verdict.failure or None,
    }


def _root(finding: Finding) -> dict[str, Any]:
    """Return what is told of a root cause that is not among the findings."""
    return {"id": finding.id, "verdict": finding.level, "says": finding.verdict.says}


def _fix(fix: Fix, instructions: Sequence[str]) -> dict[str, Any]:
    return {
        "consent": fix.consent,
        "does": fix.does,
        "risk": fix.risk,
        "offered": fix.offered,
        "instructions": list(instructions),
    }


def _error(error: ErrorReport) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "hints": list(error.hints)}


def _plain(value: Any) -> Any:
    """Return what JSON has no form for; a secret stays unseen."""
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, SecretRef):
        return {"secret": value.name}
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
