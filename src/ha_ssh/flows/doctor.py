"""Look, explain, exit; with `--fix`, the same converge as setup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh import engine
from ha_ssh.ask.questions import Agreement
from ha_ssh.checks import all_checks
from ha_ssh.core.errors import Exit, UsageError
from ha_ssh.core.infer import infer
from ha_ssh.core.model import Check, Facts, Plan, Report, Want
from ha_ssh.core.planner import diagnose, in_order
from ha_ssh.core.planner import plan as plan_for
from ha_ssh.flows.enter import Entered, enter
from ha_ssh.flows.reports import report_on
from ha_ssh.flows.risks import accept_risks
from ha_ssh.flows.unfinished import meet_unfinished

if TYPE_CHECKING:
    from ha_ssh.core.model import Target
    from ha_ssh.flows.tools import Tools


async def doctor(tools: Tools) -> Report:
    """Judge every truth on fresh facts; change nothing unless `--fix` was given and the plan was agreed to."""
    checks = _chosen(tools)
    if tools.options.list_only:
        return _list(tools, checks)
    if tools.options.fix:
        with tools.lock():
            return await _fix(tools, checks)
    entered, _target, facts, want = await _look(tools, checks)
    done = engine.Converged(facts, findings=diagnose(want, facts, checks))
    tools.show.findings(done.findings)
    return report_on("doctor", entered, done, tools, want)


async def _look(tools: Tools, checks: tuple[Check, ...]) -> tuple[Entered, Target, Facts, Want]:
    entered = await enter(tools, only_looks=not tools.options.fix)
    target = entered.target(tools)
    facts = await engine.look(entered.home, target, tools.journal, checks)
    remembered = entered.known.want if entered.known else None
    want = remembered or infer(facts)
    return entered, target, facts, replace(want, accepted=tools.options.accepted)


async def _fix(tools: Tools, checks: tuple[Check, ...]) -> Report:
    """Put right what can be put right, then look again."""
    entered, target, facts, want = await _look(tools, checks)
    resume = await meet_unfinished(tools, entered)

    async def agree(plan: Plan) -> bool:
        tools.show.plan(plan)
        return await tools.asker.agree(f"{len(plan.steps)} repairs", plan.risks) is Agreement.YES

    if tools.options.dry_run:
        plan = plan_for(want, facts, checks)
        tools.show.plan(plan)
        return report_on("doctor", entered, engine.Converged(facts, first=plan), tools, want)
    want = await accept_risks(tools, want, facts, checks)
    run = engine.Run(
        command="doctor --fix",
        target=target,
        want=want,
        home=entered.home,
        journal=tools.journal,
        show=tools.show,
        agree=agree,
        checks=checks,
        resume=resume,
    )
    done = await engine.converge(run, facts)
    tools.show.findings(done.findings)
    return report_on("doctor", entered, done, tools, want)


def _chosen(tools: Tools) -> tuple[Check, ...]:
    """Return the checks that `--only` and `--skip` leave; raises `UsageError` for an id that is none."""
    every = in_order(all_checks())
    ids = {check.id for check in every}
    for flag, names in (("--only", tools.options.only), ("--skip", tools.options.skip)):
        for name in names:
            if name not in ids:
                raise UsageError("no-such-check", f"{flag}: there is no check `{name}`", "`ha-ssh doctor --list` names them all")
    only, skip = set(tools.options.only), set(tools.options.skip)
    return tuple(check for check in every if (not only or check.id in only) and check.id not in skip)


def _list(tools: Tools, checks: tuple[Check, ...]) -> Report:
    """Name every check with what it is about."""
    for check in checks:
        tools.show.say(f"{check.id:<20} {check.scope:<9} {check.title}")
    rows = [
        {"id": check.id, "stage": check.stage, "scope": check.scope, "title": check.title, "why": check.why} for check in checks
    ]
    return Report(command="doctor", exit=Exit.OK, extra={"checks": rows})
