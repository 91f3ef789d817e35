"""Truth: no earlier run was cut off half-way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Unfinished
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(_want: Want, facts: Facts) -> Verdict:
    """Look into the journal."""
    runs = facts[Unfinished].runs
    if not runs:
        return ok("no run was left unfinished")
    run = runs[-1]
    return wrong(
        f"the run `{run.command}` of {run.started} was cut off before its end",
        "what it had changed until then is still there",
        f"{len(run.entries)} changes in the journal, run {run.id}",
        fix=tell(
            "finish it or put it back",
            "`ha-ssh doctor --fix` finishes it, and so does the command that was cut off",
            f"`ha-ssh undo --run {run.id}` puts it back",
        ),
    )


def break_it(scene: Breakable) -> None:
    """Leave a run open in the journal."""
    scene.leave_run_open()


CHECK = Check(
    id="unfinished-run",
    stage=Stage.COMPUTER,
    scope=Scope.HYGIENE,
    title="No run was left unfinished",
    why="a run that was cut off may have left the house half-way",
    needs=(Unfinished,),
    judge=judge,
    break_it=break_it,
)
