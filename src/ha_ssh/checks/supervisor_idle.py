"""Truth: nothing else is being done to the app just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.house_facts import Jobs
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, note, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Look for a job about the app among those that the Supervisor is doing."""
    app = facts[Apps].chosen(want.app)
    job = next((name for name, about in facts[Jobs].running if about == app.slug), None)
    if job is None:
        return ok(f"nothing else is being done to {app.flavour.name}")
    says = f"the Supervisor is busy with {app.flavour.name}: `{job}` is not over yet"
    why = "until then it refuses everything else with the app, and what is seen of the app may change by itself"
    evidence = f"/jobs/info: {job}, {app.slug}"
    if app.running:
        return note(says, why, evidence, failure="job-busy")
    return wrong(says, why, evidence, fix=tell("wait for it", "run the command again in a few minutes"), failure="job-busy")


def _busy(scene: Breakable) -> None:
    """Begin an update of the app that does not end."""
    scene.stop()
    scene.house.jobs.append({"name": "app_manager_update", "reference": scene.slug, "progress": 25, "done": False})


CHECK = Check(
    id="supervisor-idle",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="Nothing else is being done to the app",
    why="an app that is being installed, updated or backed up comes and goes",
    needs=(Apps, Jobs),
    rests_on=("supervisor-ready",),
    judge=judge,
    faults={"job-busy": _busy},
)
