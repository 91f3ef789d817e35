"""Judging and planning: facts and a want in, findings and a complete plan out (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ha_ssh.core.apply_settings import ApplySettings
from ha_ssh.core.discreet import hushed, secrets_in
from ha_ssh.core.errors import CORE_IS_DOWN, SIGN_IN_ENDED
from ha_ssh.core.facts import Apps, after_start
from ha_ssh.core.model import (
    HOUSE_SLOW,
    CannotLook,
    Check,
    Consent,
    Facts,
    Finding,
    Fix,
    Level,
    NotKnown,
    NotYet,
    Plan,
    PlannedStep,
    Risk,
    Stage,
    Verdict,
    Waiting,
    Want,
    tell,
    unknown,
)
from ha_ssh.core.redact import redact

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from ha_ssh.core.model import Edit, Step

_STAGES = list(Stage)


def in_order(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks so that each comes after those it rests on, by stage and id where that leaves a choice."""
    waiting = sorted(checks, key=lambda check: (_STAGES.index(check.stage), check.id))
    ids = {check.id for check in waiting}
    ordered: list[Check] = []
    placed: set[str] = set()
    while waiting:
        ready = next((check for check in waiting if placed.issuperset(ids.intersection(check.rests_on))), None)
        if ready is None:
            raise ValueError(f"checks rest on each other in a circle: {', '.join(check.id for check in waiting)}")
        waiting.remove(ready)
        ordered.append(ready)
        placed.add(ready.id)
    return tuple(ordered)


def judge(check: Check, want: Want, facts: Facts, secrets: frozenset[str] = frozenset()) -> Verdict:
    """Return the verdict of one check, without secrets; a fact that is not known makes it `unknown`, with the reason."""
    try:
        return hushed(check.judge(want, facts), secrets)
    except CannotLook as cannot:
        slow = "house-answers" if cannot.code == HOUSE_SLOW else None
        fix = tell("see to that first", *cannot.hints) if cannot.hints else None
        return hushed(unknown(cannot.reason, check.why, *cannot.evidence, fix=fix, because=slow), secrets)


def diagnose(want: Want, facts: Facts, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """Judge every check and name, for each that fails, the finding that is its root cause.

    What is wrong on evidence of its own hangs on nothing that could not be looked at, and on nothing that the evidence
    rules out: two faults are two roots.
    """
    findings: dict[str, Finding] = {}
    met: dict[str, str] = {}
    """The root of each trouble that was met on the way into the house, by its code: met again, it is the same one."""
    secrets = secrets_in(facts)
    for check in in_order(checks):
        verdict = judge(check, want, facts, secrets)
        because = None
        if verdict.level in {Level.WRONG, Level.UNKNOWN, Level.WARN}:
            causes = {Level.WRONG} if verdict.level is Level.WRONG else {Level.WRONG, Level.UNKNOWN}
            fitting = (other for other in (verdict.because, *check.rests_on) if other not in verdict.apart_from)
            roots = (findings[other] for other in fitting if other in findings)
            because = next((root.because or root.id for root in roots if root.level in causes), None)
            codes = _on_the_way(check, facts)
            if verdict.level is Level.UNKNOWN and because is None:
                because = next((met[code] for code in codes if code in met), None)
            met = dict.fromkeys(codes, because or check.id) | met
        if verdict.level is Level.UNKNOWN and because is None:
            resting = (findings[other] for other in check.rests_on if other in findings)
            excuse = next((root for root in resting if root.verdict.excuses), None)
            if excuse is not None:
                verdict, because = replace(verdict, level=Level.NOTE, excuses=True), excuse.because or excuse.id
        findings[check.id] = Finding(check=check, verdict=verdict, because=because)
    return tuple(findings.values())


def _on_the_way(check: Check, facts: Facts) -> list[str]:
    """Return the codes of what a check needs and could not be read, since the way into the house ended."""
    needed = [facts.get(kind) for kind in check.needs if not facts.comes(kind)]
    return [fact.code for fact in needed if isinstance(fact, NotKnown) and fact.code in SIGN_IN_ENDED | CORE_IS_DOWN]


@dataclass
class _Draft:
    """A plan in the making: steps before the one save, the edits that melt into it, and steps behind it.

    What the house may refuse comes before what is made on this computer, so that a refusal leaves nothing.
    """

    facts: Facts
    secrets: frozenset[str]
    before: list[PlannedStep] = field(default_factory=list)
    here: list[PlannedStep] = field(default_factory=list)
    behind: list[PlannedStep] = field(default_factory=list)
    edits: dict[str, list[Edit]] = field(default_factory=dict)
    causes: dict[str, list[str]] = field(default_factory=dict)
    risks: dict[str, list[Risk]] = field(default_factory=dict)
    origin: Facts | None = None

    def take(self, check: Check, fix: Fix) -> None:
        """Add a fix, and expect what it will make true."""
        risks = tuple(risk for risk in (fix.risk, _cut(fix, self.facts)) if risk)
        for step in fix.steps:
            planned = PlannedStep(step=step, because=(check.id,), risks=risks, preview=self._seen(step, self.facts))
            before = self.here if check.stage is Stage.COMPUTER else self.before
            (self.behind if self.edits else before).append(planned)
            self.facts = step.after(self.facts)
        if fix.slug is not None and _starts_an_app(fix):
            if self.origin is None:
                self.origin = self.facts
            self.edits.setdefault(fix.slug, []).extend(fix.edits)
            self.causes.setdefault(fix.slug, []).append(check.id)
            self.risks.setdefault(fix.slug, []).extend(risks)
            app = self.facts[Apps].by_slug[fix.slug]
            settings = ApplySettings.of(app, *fix.edits).edited(app.settings)
            self.facts = after_start(self.facts, fix.slug, settings)

    def _seen(self, step: Step, facts: Facts) -> tuple[str, ...]:
        """Return what is shown of a step beforehand."""
        return tuple(redact(line, self.secrets) for line in step.preview(facts))

    def steps(self) -> tuple[PlannedStep, ...]:
        """Return the steps in order, with one save and one (re)start per app."""
        saves = []
        for slug, edits in self.edits.items():
            step = ApplySettings.of(self.facts[Apps].by_slug[slug], *edits)
            preview = self._seen(step, self.origin or self.facts)
            because = tuple(dict.fromkeys(self.causes[slug]))
            saves.append(PlannedStep(step=step, because=because, risks=tuple(dict.fromkeys(self.risks[slug])), preview=preview))
        return (*self.before, *self.here, *saves, *self.behind)


def wished(want: Want, facts: Facts, checks: Sequence[Check]) -> Want:
    """Return the want with what is wished for by the offers that were taken, where they still stand."""
    for finding in diagnose(replace(want, taken=frozenset()), facts, checks):
        fix = finding.verdict.fix
        if fix is not None and finding.id in want.taken:
            want = replace(want, **fix.wants, remembered=want.remembered - set(fix.wants))
    return want


def _unaccepted(fix: Fix, want: Want, facts: Facts) -> Risk | None:
    """Return a risk of the fix that nobody has accepted."""
    own = fix.risk if fix.consent is Consent.ASK else None
    return next((risk for risk in (own, _cut(fix, facts)) if risk is not None and risk not in want.accepted), None)


def _starts_an_app(fix: Fix) -> bool:
    return fix.slug is not None and bool(fix.edits or fix.restart)


def _cut(fix: Fix, facts: Facts) -> Risk | None:
    """Return the risk of restarting the very app that carries us."""
    app = facts.target.rides_on
    restarted = {fix.slug} if _starts_an_app(fix) else set()
    restarted |= {getattr(step, "slug", None) for step in fix.steps}
    return Risk.CUT_BRANCH if app is not None and app in restarted else None


def with_roots(chosen: Iterable[Check], every: Iterable[Check]) -> tuple[Check, ...]:
    """Return some of the checks and all that they rest on, directly or not: without those they would be misjudged."""
    by_id = {check.id: check for check in every}
    needed: dict[str, Check] = {}
    waiting = list(chosen)
    while waiting:
        check = waiting.pop()
        if check.id not in needed:
            needed[check.id] = check
            waiting += [by_id[other] for other in check.rests_on if other in by_id]
    return in_order(needed.values())


def plan(want: Want, facts: Facts, checks: Sequence[Check], *, hands_off: Container[str] = ()) -> Plan:
    """Return everything that one round will do, judging each check on the facts as they will be when its turn comes.

    What is in `hands_off` is judged, and left as it is.
    """
    draft = _Draft(facts, secrets_in(facts))
    waiting: list[Waiting] = []
    told: list[Finding] = []
    unaccepted: list[Finding] = []
    stuck: set[str] = set()
    bars = {check.id for check in checks if check.bars_start}
    for check in in_order(checks):
        if stuck.intersection(check.rests_on):
            stuck.add(check.id)
            continue
        held_up = {one.check.id for one in waiting}.intersection(check.rests_on)
        try:
            verdict = hushed(check.judge(want, draft.facts), draft.secrets)
        except NotYet as not_yet:
            waiting.append(Waiting(check=check, what=not_yet.what))
            continue
        except CannotLook:
            stuck.add(check.id)
            continue
        fix = None if check.id in hands_off else verdict.fix
        if fix is None or verdict.level is Level.OK:
            if verdict.level in {Level.WRONG, Level.UNKNOWN}:
                stuck.add(check.id)
            continue
        if held_up:
            waiting.append(Waiting(check=check, what=fix.does))
        elif fix.consent is Consent.TELL or (fix.offered and check.id not in want.taken):
            told.append(Finding(check=check, verdict=verdict))
            stuck.update({check.id} if verdict.level in {Level.WRONG, Level.UNKNOWN} else ())
        elif _starts_an_app(fix) and stuck & bars:
            stuck.add(check.id)
        elif (risk := _unaccepted(fix, want, draft.facts)) is not None:
            unaccepted.append(Finding(check=check, verdict=replace(verdict, fix=replace(fix, consent=Consent.ASK, risk=risk))))
            stuck.add(check.id)
        else:
            draft.take(check, fix)
    return Plan(
        steps=draft.steps(),
        waiting=tuple(waiting),
        told=tuple(told),
        unaccepted=tuple(unaccepted),
        expected=draft.facts,
    )
