"""Truth: saving a password does not fail because the service that knows leaked ones cannot be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.house_facts import SupervisorLog
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, note, ok

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_WORDS = "Can't fetch HIBP data"


def judge(_want: Want, facts: Facts) -> Verdict:
    """Look into the Supervisor's own log."""
    line = facts[SupervisorLog].last(_WORDS)
    if line is None:
        return ok("nothing in the Supervisor's log says that passwords cannot be saved")
    return note(
        "the Supervisor cannot ask haveibeenpwned.com about passwords",
        "saving a password in the web page can fail for that, with an empty message; "
        "`ha-ssh` saves without asking, and a key needs no password",
        line,
        failure="hibp-save",
    )


def _filtered(scene: Breakable) -> None:
    """Filter that service."""
    scene.house.supervisor_log.append(f"{scene.house.clock.date()} WARNING (MainThread) [supervisor.security] {_WORDS}: Timeout")


CHECK = Check(
    id="leaks-consulted",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="A password can be saved",
    why="the Supervisor asks the internet about every password that is saved in the web page",
    needs=(SupervisorLog,),
    rests_on=("supervisor-ready",),
    judge=judge,
    faults={"hibp-save": _filtered},
)
