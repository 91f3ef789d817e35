"""Truth: nothing else is being done to the app just now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, Apps
from ha_ssh.core.house_facts import Job, Jobs
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, note, ok, tell, warn, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


_TOO_LONG = 6.0
"""Hours after which a job is thought to hang; the backup of a large house takes one or two."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Look for a job about the app among those that the Supervisor is doing, and among their parts."""
    app, jobs = facts[Apps].chosen(want.app), facts[Jobs]
    name = app.flavour.name
    job = next((one for one in jobs.running if one.about == app.slug), None)
    if job is None:
        return ok(f"nothing else is being done to {name}") if jobs.said else _not_said(name)
    if job.hours is not None and job.hours >= _TOO_LONG:
        return _hangs(app, job)
    says = f"the Supervisor is busy with {name}: `{job.name}` is not over yet"
    why = "until then it refuses everything else with the app, and what is seen of the app may change by itself"
    if app.running:
        return note(says, why, job.text, failure="job-busy")
    return wrong(says, why, job.text, fix=tell("wait for it", "run the command again in a few minutes"), failure="job-busy")


def _not_said(name: str) -> Verdict:
    return note(f"whether anything is being done to {name}, the Supervisor does not say", "", "/jobs/info: no jobs")


def _hangs(app: App, job: Job) -> Verdict:
    """A job that does not come to its end."""
    name, judged = app.flavour.name, warn if app.running else wrong
    fix = tell(
        "restart the Supervisor, which ends it",
        "where a shell is left: `ha supervisor restart`; Home Assistant and the apps go on meanwhile",
        "else restart the machine: Settings, System, the power button, Advanced options, Reboot system",
        "Settings, System, Logs, Supervisor may say what it hangs on",
    )
    says = f"the Supervisor has been busy with {name} for {job.hours:.0f} hours: `{job.name}` hangs"
    why = "it does nothing else with the app until that job has ended, and a job that old does not end by itself"
    return judged(says, why, job.text, fix=fix, failure="job-hangs")


def _busy(scene: Breakable) -> None:
    """Begin an update of the app that does not end."""
    scene.stop()
    scene.house.jobs.append({"name": "app_manager_update", "reference": scene.slug, "progress": 25, "done": False})


def _hanging(scene: Breakable) -> None:
    """Let a backup, which has stopped the app, hang since the day before yesterday."""
    scene.stop()
    since = (datetime.fromisoformat(scene.house.clock.date()) - timedelta(hours=30)).isoformat()
    part = {"name": "backup_app_save", "reference": scene.slug, "done": False, "child_jobs": []}
    whole = {"name": "backup_manager_full_backup", "reference": None, "done": False, "created": since, "child_jobs": [part]}
    scene.house.jobs.append(whole)


CHECK = Check(
    id="supervisor-idle",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="Nothing else is being done to the app",
    why="an app that is being installed, updated or backed up comes and goes",
    needs=(Apps, Jobs),
    rests_on=("supervisor-ready",),
    judge=judge,
    faults={"job-busy": _busy, "job-hangs": _hanging},
)
