"""The first thing that a changing command sees: a run that was cut off; it is finished or put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh import engine
from ha_ssh.ask.questions import Choice, Kind, Question
from ha_ssh.core.errors import Exit, HaSshError

if TYPE_CHECKING:
    from ha_ssh.core.model import JournalRun
    from ha_ssh.flows.enter import Reached
    from ha_ssh.flows.tools import Tools


async def meet_unfinished(tools: Tools, entered: Reached) -> str | None:
    """Return the id of the unfinished run to carry on, or `None`; puts it back first where that is what people want."""
    runs = [run for run in tools.journal.runs() if run.state == "open" and _is_of(run, entered)]
    if not runs:
        return None
    run = runs[-1]
    tools.show.say(f"the run `{run.command}` of {run.started} was cut off after {len(run.entries)} changes")
    if tools.options.no_input or tools.options.yes or tools.options.dry_run:
        tools.show.say("this run finishes it (`ha-ssh undo` would put it back)")
        return run.id
    if await tools.asker.ask(_question(run)) == "finish":
        return run.id
    await _undo(tools, entered, run)
    return None


def _is_of(run: JournalRun, entered: Reached) -> bool:
    """Say whether a run was for this house: a house that is not remembered yet has but the name that any first house gets."""
    return run.house == entered.id and (entered.known is not None or run.target.get("url") == entered.url)


async def _undo(tools: Tools, entered: Reached, run: JournalRun) -> None:
    back = await engine.put_back(run, entered.home, tools.journal, tools.show)
    if back.failed:
        raise HaSshError(
            "stuck", f"could not be put back: {'; '.join(back.failed)}", "`ha-ssh undo` tries again", exit=Exit.STUCK
        )
    tools.journal.close(run.id, "undone")


def _question(run: JournalRun) -> Question:
    return Question(
        id="unfinished",
        text="What should become of the run that was cut off?",
        why=f"It began at {run.started}; what it had changed until then is still there.",
        kind=Kind.CHOICE,
        flag="--yes",
        env="HA_SSH_YES",
        default="finish",
        choices=(Choice("finish", "Finish it"), Choice("undo", "Put it back, then begin anew")),
        validate=str,
    )
