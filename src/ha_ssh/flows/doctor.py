"""Look, explain, exit; with `--fix`, the same converge as setup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh import engine
from ha_ssh.ask.questions import Agreement
from ha_ssh.checks import all_checks
from ha_ssh.core.errors import Exit, HaSshError, UsageError
from ha_ssh.core.facts import ACCESS_FACTS
from ha_ssh.core.infer import infer
from ha_ssh.core.model import CannotLook, Check, Facts, Finding, NotKnown, Plan, Report, Want
from ha_ssh.core.planner import diagnose, in_order, wished
from ha_ssh.core.planner import plan as plan_for
from ha_ssh.flows.approach import OFFLINE, Approached, approach, past_core
from ha_ssh.flows.beforehand import awake, carried, mind_the_file
from ha_ssh.flows.enter import mind_another_machine
from ha_ssh.flows.remember import lasting, not_written_down, remember
from ha_ssh.flows.reports import private, report_on, versions
from ha_ssh.flows.risks import accept_risks, take_offers
from ha_ssh.flows.unfinished import meet_unfinished

if TYPE_CHECKING:
    from ha_ssh.flows.tools import Tools


async def doctor(tools: Tools) -> Report:
    """Judge every truth on fresh facts; change nothing unless `--fix` was given and the plan was agreed to."""
    checks = _chosen(tools)
    if tools.options.list_only:
        return _list(checks)
    mind_the_file(tools, "--report", tools.options.report)
    if tools.options.fix:
        with tools.lock():
            return await _fix(tools, checks)
    came, facts, want = await _look(tools, checks)
    return _told(tools, came, want, checks, engine.Converged(facts))


async def _look(tools: Tools, checks: tuple[Check, ...]) -> tuple[Approached, Facts, Want]:
    came = await approach(tools)
    always = () if tools.options.only and not tools.options.fix else ACCESS_FACTS
    facts = await engine.look(came.home, came.target, tools.journal, checks, always=always)
    if tools.options.fix and not tools.options.dry_run and await _was_asleep(tools, came, facts):
        facts = await engine.look(came.home, came.target, tools.journal, checks, always=always)
    riding = await past_core(tools, came, facts)
    if riding is not None:
        seen = [kind for kind, fact in facts.items() if not isinstance(fact, NotKnown)]
        came, target = riding, riding.target
        facts = await engine.look(came.home, target, tools.journal, checks, always=always, known=facts, keep=seen)
    want = (came.known.want if came.known else None) or infer(facts)
    if "key" in tools.options.answers:
        want = replace(want, identity=came.target.identity)
    return came, facts, replace(want, accepted=tools.options.accepted, taken=frozenset(tools.options.also))


async def _was_asleep(tools: Tools, came: Approached, facts: Facts) -> bool:
    """Wait for a house that is starting; return whether there was anything to wait for, also where it goes on for too long."""
    try:
        return await awake(came.home, tools.show, facts)
    except HaSshError as error:
        tools.show.say(error.message)
        return True


def _told(tools: Tools, came: Approached, want: Want, checks: tuple[Check, ...], done: engine.Converged) -> Report:
    """Show what was found, and report on it; what was kept away from on purpose is named, and counts for nothing."""
    if done.error is None:
        every = diagnose(want, done.facts, checks)
        away = {finding.id for finding in every if tools.options.offline and _is_left_out(finding, want, done.facts)}
        left_out = [finding.id for finding in every if finding.id in away or finding.because in away]
        done.findings = tuple(finding for finding in every if finding.id not in left_out)
        tools.show.findings(done.findings)
    report = report_on("doctor", came, done, tools, want)
    if tools.options.offline:
        report.extra["not_looked_at"] = left_out
    if done.error is None:
        report.extra["judged"] = {"checks": len(report.findings), "of": len(all_checks())}
    if tools.options.report:
        tools.publish(tools.options.report, report, versions(done.facts), private(came, done.facts))
        tools.show.say(f"the report is in `{tools.options.report}`; read it once before you show it to others")
    return report


def _is_left_out(finding: Finding, want: Want, facts: Facts) -> bool:
    """Return whether nothing can be said of a check without the network."""
    try:
        finding.check.judge(want, facts)
    except CannotLook as cannot:
        return cannot.code == OFFLINE
    needed = [facts.get(kind) for kind in finding.check.needs]
    return bool(needed) and all(isinstance(fact, NotKnown) and fact.code == OFFLINE for fact in needed)


async def _fix(tools: Tools, checks: tuple[Check, ...]) -> Report:
    """Put right what can be put right, then look again."""
    came, facts, want = await _look(tools, checks)
    await mind_another_machine(came, came.home)
    facts = await carried(tools, came.home, facts)
    resume = await meet_unfinished(tools, came)

    async def agree(plan: Plan) -> bool:
        tools.show.plan(plan)
        count = len(plan.steps)
        return await tools.asker.agree(f"{count} {'repair' if count == 1 else 'repairs'}", plan.risks) is Agreement.YES

    if tools.options.dry_run:
        want = wished(want, facts, checks)
        plan = plan_for(want, facts, checks)
        tools.show.plan(plan)
        return report_on("doctor", came, engine.Converged(facts, first=plan), tools, want)
    before = want
    want = await accept_risks(tools, await take_offers(tools, want, facts, checks), facts, checks)
    run = engine.Run(
        command="doctor --fix",
        target=facts.target,
        want=want,
        home=came.home,
        journal=tools.journal,
        show=tools.show,
        agree=agree,
        checks=checks,
        resume=resume,
    )
    done = await engine.converge(run, facts)
    report = _told(tools, came, want, checks, done)
    if done.run is not None and done.error is None and came.known is not None and lasting(want) != lasting(before):
        try:
            remember(tools, came, done, want)
        except HaSshError as error:
            not_written_down(report, "what could be put right is put right", error)
    return report


def _chosen(tools: Tools) -> tuple[Check, ...]:
    """Return the checks that `--only` and `--skip` leave; raises `UsageError` for an id that is none, and where none is left."""
    every = in_order(all_checks())
    ids = {check.id for check in every}
    for flag, names in (("--only", tools.options.only), ("--skip", tools.options.skip), ("--also", tools.options.also)):
        for name in names:
            if name not in ids:
                raise UsageError("no-such-check", f"{flag}: there is no check `{name}`", "`ha-ssh doctor --list` names them all")
    only, skip = set(tools.options.only), set(tools.options.skip)
    chosen = tuple(check for check in every if (not only or check.id in only) and check.id not in skip)
    if not chosen:
        flags = "--only and --skip leave" if only else "--skip leaves"
        raise UsageError("no-check-left", f"{flags} no check to judge.", "`ha-ssh doctor --list` names them all")
    return chosen


def _list(checks: tuple[Check, ...]) -> Report:
    """Name every check with what it is about."""
    rows = [
        {"id": check.id, "stage": check.stage, "scope": check.scope, "title": check.title, "why": check.why} for check in checks
    ]
    return Report(command="doctor", exit=Exit.OK, extra={"checks": rows})
