"""Look, explain, exit; with `--fix`, the same converge as setup."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ha_ssh import engine
from ha_ssh.ask.questions import Agreement, new_passphrase_question
from ha_ssh.checks import all_checks
from ha_ssh.core.errors import Exit, HaSshError, MissingAnswer, UsageError
from ha_ssh.core.facts import ACCESS_FACTS, Apps, Core, Name
from ha_ssh.core.house_facts import Network, who_answer
from ha_ssh.core.infer import infer
from ha_ssh.core.model import CannotLook, Check, Facts, Finding, NotKnown, Plan, Report, Want
from ha_ssh.core.planner import diagnose, in_order, wished, with_roots
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


@dataclass(frozen=True)
class _Chosen:
    """What this doctor is about: the checks that are judged, and of them those that are shown and put right."""

    judged: tuple[Check, ...]
    shown: tuple[Check, ...]

    @property
    def hands_off(self) -> frozenset[str]:
        """What is judged only because something shown rests on it."""
        return frozenset(check.id for check in self.judged) - {check.id for check in self.shown}


async def doctor(tools: Tools) -> Report:
    """Judge every truth on fresh facts; change nothing unless `--fix` was given and the plan was agreed to."""
    chosen = _chosen(tools)
    if tools.options.list_only:
        return _list(chosen.shown)
    _mind_the_report(tools)
    if tools.options.fix:
        with tools.lock():
            return await _fix(tools, chosen)
    came, facts, want = await _look(tools, chosen)
    return _published(tools, came, _told(tools, came, want, chosen, engine.Converged(facts)), facts)


def _mind_the_report(tools: Tools) -> None:
    """Stop before anything is looked at where the report could not be written, or would take the place of something else."""
    path = tools.options.report
    mind_the_file(tools, "--report", path)
    if path is not None and tools.is_anothers(path):
        raise UsageError(
            "file-exists",
            f"--report: `{path}` is already there, and it is no report of ha-ssh.",
            "name a new file, or move that one away",
        )


async def _look(tools: Tools, chosen: _Chosen) -> tuple[Approached, Facts, Want]:
    came, checks = await approach(tools), chosen.judged
    always = _always(tools)
    facts = await engine.look(came.home, came.target, tools.journal, checks, always=always)
    if tools.options.fix and not tools.options.dry_run and await _was_asleep(tools, came, facts):
        facts = await engine.look(came.home, came.target, tools.journal, checks, always=always)
    if tools.options.fix and (there := await _at_its_own_address(tools, came, facts)) is not None:
        came = there
        facts = await engine.look(came.home, came.target, tools.journal, checks, always=always)
    missed, riding = facts.get(Core), await past_core(tools, came, facts)
    if riding is not None:
        seen = [kind for kind, fact in facts.items() if not isinstance(fact, NotKnown)]
        came, target = riding, riding.target
        facts = await engine.look(came.home, target, tools.journal, checks, always=always, known=facts, keep=seen)
        facts = _by_detour(facts, missed)
    want = (came.known.want if came.known else None) or infer(facts)
    remembered = frozenset({"app", "identity", "port", "username"})
    if "key" in tools.options.answers:
        want, remembered = replace(want, identity=came.target.identity), remembered - {"identity"}
    want = replace(want, accepted=tools.options.accepted, taken=frozenset(tools.options.also), remembered=remembered)
    return came, facts, want


def _by_detour(facts: Facts, missed: Core | NotKnown) -> Facts:
    """Return what was seen by a detour, with the reason why Core itself was not asked."""
    core = facts.get(Core)
    if isinstance(core, NotKnown) or not isinstance(missed, NotKnown):
        return facts
    return facts.with_(replace(core, state=replace(core.state, past=missed)))


async def _at_its_own_address(tools: Tools, came: Approached, facts: Facts) -> Approached | None:
    """The house at an address that it says it has, where the name for SSH leads nowhere from here and somebody answers there."""
    name, apps, network = facts.get(Name), facts.get(Apps), facts.get(Network)
    if isinstance(name, NotKnown) or isinstance(apps, NotKnown) or isinstance(network, NotKnown) or name.leads_somewhere:
        return None
    port = apps.chosen(None).serving.port
    for _interface, address in network.addresses:
        if port is not None and port in await who_answer(came.home, address, [port]):
            tools.show.say(f"`{name.host}` leads nowhere from here: SSH is looked for at {address}, as the house says")
            return replace(came, target=replace(came.target, ssh_host=address))
    return None


def _always(tools: Tools) -> tuple[type[Any], ...]:
    """What is looked at whatever is judged: nothing, where only a few checks are to be judged."""
    return () if tools.options.only and not tools.options.fix else ACCESS_FACTS


async def _was_asleep(tools: Tools, came: Approached, facts: Facts) -> bool:
    """Wait for a house that is starting; return whether there was anything to wait for, also where it goes on for too long."""
    try:
        return await awake(came.home, tools.show, facts)
    except HaSshError as error:
        tools.show.say(error.message)
        return True


def _told(
    tools: Tools, came: Approached, want: Want, chosen: _Chosen, done: engine.Converged, before: tuple[Finding, ...] = ()
) -> Report:
    """Show what was found (unless it is what was shown `before`), and report on it.

    What was kept away from on purpose is named, and counts for nothing.
    """
    left_out: list[str] = []
    if done.error is None or isinstance(done.error, HaSshError):
        done.findings, left_out = _found(tools, want, chosen, done.facts)
        if _essence(done.findings) != _essence(before):
            tools.show.findings(done.findings)
    report = report_on("doctor", came, done, tools, want)
    if tools.options.offline:
        report.extra["not_looked_at"] = left_out
    if report.findings:
        report.extra["judged"] = {"checks": len(report.findings), "of": len(all_checks())}
    return report


def _essence(findings: tuple[Finding, ...]) -> list[tuple[str, Any, str]]:
    """What tells findings from others of the same checks."""
    return [(finding.id, finding.level, finding.verdict.says) for finding in findings]


def _found(tools: Tools, want: Want, chosen: _Chosen, facts: Facts) -> tuple[tuple[Finding, ...], list[str]]:
    """Return what is to be shown, and the ids of what was kept away from; a root that is not shown is told where it matters."""
    every = diagnose(want, facts, chosen.judged)
    roots = {finding.id: finding for finding in every}
    away = {finding.id for finding in every if tools.options.offline and _is_left_out(finding, want, facts)}
    left_out = [finding.id for finding in every if finding.id in away or finding.because in away]
    hidden = chosen.hands_off | set(left_out)
    shown = [finding for finding in every if finding.id not in hidden]
    shown = [replace(one, left_out=roots[one.because]) if one.because in chosen.hands_off else one for one in shown]
    if tools.options.fix:
        plan = plan_for(want, facts, chosen.judged, hands_off=chosen.hands_off)
        risky = {finding.id: finding.verdict.fix for finding in plan.unaccepted}
        shown = [
            replace(one, verdict=replace(one.verdict, fix=risky[one.id])) if one.verdict.fix and one.id in risky else one
            for one in shown
        ]
    return tuple(shown), [name for name in left_out if name not in chosen.hands_off]


def _published(tools: Tools, came: Approached, report: Report, facts: Facts) -> Report:
    """Write the report to show to others, where one is wanted, however the run came out."""
    if not tools.options.report:
        return report
    try:
        tools.publish(tools.options.report, report, versions(facts), private(came, facts))
    except HaSshError as error:
        if report.error is None:
            report.end_by(error)
    else:
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


async def _fix(tools: Tools, chosen: _Chosen) -> Report:
    """Put right what can be put right, then look again; what a person is asked about, they have seen before."""
    came, facts, want = await _look(tools, chosen)
    before: tuple[Finding, ...] = ()
    if tools.options.dry_run or not tools.options.no_input:
        before, _ = _found(tools, want, chosen, facts)
        tools.show.findings(before)
    try:
        report, facts = await _repaired(tools, came, facts, want, chosen, before)
    except HaSshError as error:
        if error.exit == Exit.STUCK:
            facts = await engine.look(came.home, facts.target, tools.journal, chosen.judged)
        report = _told(tools, came, want, chosen, engine.Converged(facts), before)
        report.end_by(error)
    return _published(tools, came, report, facts)


async def _repaired(
    tools: Tools, came: Approached, facts: Facts, want: Want, chosen: _Chosen, before: tuple[Finding, ...]
) -> tuple[Report, Facts]:
    """Plan, agree, and do it; returns what came of it, with the last look. Raises `HaSshError` where nothing was tried."""
    await mind_another_machine(came, came.home)
    facts = await carried(tools, came.home, facts)
    checks, hands_off = chosen.judged, chosen.hands_off
    open_ones = sum(run.state == "open" for run in tools.journal.runs())
    resume = await meet_unfinished(tools, came)
    if sum(run.state == "open" for run in tools.journal.runs()) < open_ones:
        facts = await engine.look(came.home, facts.target, tools.journal, checks)  # a run was put back
    nobody: list[MissingAnswer] = []

    async def agree(plan: Plan) -> bool:
        tools.show.plan(plan)
        count = len(plan.steps)
        try:
            said = await tools.asker.agree(f"{count} {'repair' if count == 1 else 'repairs'}", plan.risks)
        except MissingAnswer as unagreed:
            nobody.append(unagreed)
            return False
        return said is Agreement.YES

    if tools.options.dry_run:
        want = wished(want, facts, checks)
        plan = plan_for(want, facts, checks, hands_off=hands_off)
        tools.show.plan(plan)
        return _told(tools, came, want, chosen, engine.Converged(facts, first=plan), before), facts
    wanted = want
    want = await take_offers(tools, want, facts, checks, hands_off)
    want, facts = await _guarded(tools, want, facts)
    want = await accept_risks(tools, want, facts, checks, hands_off)
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
        leaves_risks=True,
        hands_off=hands_off,
    )
    done = await engine.converge(run, facts)
    if isinstance(done.error, HaSshError):
        done.facts = await engine.look(came.home, facts.target, tools.journal, checks)
    report = _told(tools, came, want, chosen, done, before)
    if nobody:
        report.end_by(nobody[0])
    if done.run is not None and done.error is None and _is_news(came, facts, want, wanted):
        try:
            remember(tools, came, done, want)
        except HaSshError as error:
            not_written_down(report, "what could be put right is put right", error)
    return report, done.facts


def _is_news(came: Approached, facts: Facts, want: Want, wanted: Want) -> bool:
    """Return whether what is remembered of the house no longer holds: another wish, another key, another address."""
    known = came.known
    return known is not None and (lasting(want) != lasting(known.want or wanted) or facts.target.ssh_host != known.ssh_host)


async def _guarded(tools: Tools, want: Want, facts: Facts) -> tuple[Want, Facts]:
    """Give a key that is to be made its passphrase, as it was given or as a person types it, and the name of who made it."""
    identity = want.identity
    if want.make_key is None or identity is None:
        return want, facts
    want = replace(want, comment=want.comment or tools.comment)
    secret = tools.options.answers.get("passphrase") or await tools.asker.secret(new_passphrase_question(identity))
    if not secret:
        tools.show.say("the new key will have no passphrase")
        return want, facts
    ref = tools.memory.keep("passphrase", secret)
    return replace(want, passphrase=ref), facts.aimed_at(replace(facts.target, passphrase=ref))


def _chosen(tools: Tools) -> _Chosen:
    """Return the checks that `--only` and `--skip` leave, with all that they rest on.

    Raises `UsageError` for an id that is none, and where none is left.
    """
    every = in_order(all_checks())
    ids = {check.id for check in every}
    for flag, names in (("--only", tools.options.only), ("--skip", tools.options.skip), ("--also", tools.options.also)):
        for name in names:
            if name not in ids:
                raise UsageError("no-such-check", f"{flag}: there is no check `{name}`", "`ha-ssh doctor --list` names them all")
    only, skip = set(tools.options.only), set(tools.options.skip)
    shown = tuple(check for check in every if (not only or check.id in only) and check.id not in skip)
    if not shown:
        flags = "--only and --skip leave" if only else "--skip leaves"
        raise UsageError("no-check-left", f"{flags} no check to judge.", "`ha-ssh doctor --list` names them all")
    return _Chosen(with_roots(shown, every), shown)


def _list(checks: tuple[Check, ...]) -> Report:
    """Name every check with what it is about."""
    rows = [
        {"id": check.id, "stage": check.stage, "scope": check.scope, "title": check.title, "why": check.why} for check in checks
    ]
    return Report(command="doctor", exit=Exit.OK, extra={"checks": rows})
