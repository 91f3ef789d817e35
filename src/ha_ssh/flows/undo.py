"""Put back what a run changed, also one that was killed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh import engine
from ha_ssh.ask.questions import Agreement
from ha_ssh.core.errors import Exit, HaSshError, MissingAnswer, UsageError
from ha_ssh.core.model import ErrorReport, JournalRun, Outcome, Report
from ha_ssh.flows.beforehand import apps_of, mind_the_branch
from ha_ssh.flows.enter import enter, mind_another_machine

if TYPE_CHECKING:
    from ha_ssh.flows.enter import Entered
    from ha_ssh.flows.tools import Tools


async def undo(tools: Tools) -> Report:
    """Reverse the last run (or the one that `--run` names) on the state of now."""
    if tools.options.list_only:
        return _list(tools)
    with tools.lock():
        if not tools.options.dry_run:
            _close_what_did_nothing(tools)
        run = _choose(tools)
        if run is None:
            return Report(command="undo")
        try:
            entered = await _entered(_at_the_house_of(run, tools), run)
            await mind_another_machine(entered, entered.home)
        except HaSshError as error:
            if not tools.options.dry_run:
                raise
            tools.show.say(f"what each change would be cannot be seen: {error.message}")
            report = Report(command="undo", steps=engine.to_put_back(run))
            await _agreed(tools, run, report)
            return report
        report = Report(command="undo", steps=await engine.rehearse(run, entered.home, tools.flavours))
        if not await _agreed(tools, run, report):
            return report
        await mind_the_branch(tools, entered, run)
        back = await engine.put_back(run, entered.home, tools.journal, tools.show, everything=True)
        report.steps, report.kept, report.changed = back.undone, back.kept, bool(back.undone)
        if back.failed:
            report.result, report.exit = Outcome.STUCK, Exit.STUCK
            report.error = ErrorReport(
                code="stuck",
                message=f"could not be put back: {'; '.join(back.failed)}",
                hints=("`ha-ssh undo` tries again, once the house answers",),
            )
            return report
        if run.remembered:
            tools.memory.take_back(run.house, run.remembered["before"], run.remembered["after"])
        tools.journal.close(run.id, "undone")
        return report


def _at_the_house_of(run: JournalRun, tools: Tools) -> Tools:
    """Aim at the house that the run changed: a run that was cut off may be all that is known of it."""
    url, known = tools.options.url or run.target.get("url"), tools.memory.with_files(run.house)
    return replace(tools, options=replace(tools.options, house=known.name if known else run.house, url=url))


async def _entered(tools: Tools, run: JournalRun) -> Entered:
    """Enter the house of a run; it must answer before anything is put back, where any of it is to be put back there."""
    if not apps_of(run):
        return await enter(tools, only_looks=True)
    entered = await enter(tools)
    await entered.home.supervisor("/info")
    return entered


def _close_what_did_nothing(tools: Tools) -> None:
    """Close every run that was cut off before its first change."""
    for run in tools.journal.runs():
        if run.state == "open" and not run.entries:
            tools.journal.close(run.id, "undone")


def _choose(tools: Tools) -> JournalRun | None:
    named = tools.options.house
    house = tools.memory.id_for(named) if named else None
    runs = [run for run in tools.journal.runs() if run.state != "undone" and run.entries and house in {None, run.house}]
    wanted = tools.options.run_id
    if wanted is None:
        return runs[-1] if runs else None
    found = next((run for run in runs if run.id == wanted), None)
    if found is None:
        there = ", ".join(f"`{run.id}`" for run in runs) or "none"
        raise UsageError(
            "no-such-run", f"--run: no run `{wanted}` can be put back", f"those that can: {there}", "`ha-ssh undo --list`"
        )
    return found


async def _agreed(tools: Tools, run: JournalRun, report: Report) -> bool:
    """Show what will be put back and ask once."""
    tools.show.say(f"putting back the run `{run.command}` of {run.started}, newest change first:")
    tools.show.steps(report.steps)
    if tools.options.dry_run:
        report.result, report.changed = Outcome.PLANNED, True
        return False
    report.result, report.exit = Outcome.PLANNED, Exit.UNANSWERED
    try:
        if await tools.asker.agree(f"{len(report.steps)} changes put back", ()) is not Agreement.YES:
            return False
    except MissingAnswer as unagreed:
        report.end_by(unagreed)
        return False
    report.result, report.exit = Outcome.OK, Exit.OK
    return True


def _list(tools: Tools) -> Report:
    """Name every run that the journal knows."""
    runs = tools.journal.runs()
    rows = [
        {"id": run.id, "command": run.command, "house": run.house, "started": run.started, "state": run.state,
         "changes": [entry.title for entry in run.entries]}
        for run in runs
    ]  # fmt: skip
    return Report(command="undo", extra={"runs": rows})
