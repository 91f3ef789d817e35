"""Truth: the app is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps
from ha_ssh.core.house_facts import SupervisorLog
from ha_ssh.core.model import Check, Facts, Fix, NotKnown, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_FAILURES = {
    "no-login": "no-creds",
    "port-busy": "port-busy",
    "port-disabled": "port-null",
    "user-empty": "user-empty",
    "user-taken": "user-taken",
}
"""The known failures by the reason that the app's log gives, where no other truth has found them in the settings."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the app's state, and read in its log why it is down."""
    app = facts[Apps].chosen(want.app)
    if app.running:
        return ok(f"{app.flavour.name} is running")
    says = f"{app.flavour.name} is not running (state `{app.state}`)"
    reason = _reason(facts, app)
    if reason is not None and reason.code in _FAILURES:
        evidence, failure = (f"/addons/{app.slug}/info: state {app.state}", f"its log: {reason.line}"), _FAILURES[reason.code]
        return wrong(f"{says}: {reason.says}", CHECK.why, *evidence, fix=_complete(app), failure=failure)
    refusal = app.flavour.refuses(app.settings)
    if refusal is not None:
        return wrong(says, "with these settings it refuses to run", f"it would say: {refusal}", fix=_complete(app))
    if app.state != "error":
        return wrong(says, CHECK.why, f"/addons/{app.slug}/info: state {app.state}", fix=_start(facts, app))
    if reason is not None:
        known = "its log gives a reason that is not recognised" if reason.code == "unrecognised" else "its log says why"
        return wrong(f"{says}; {known}: {reason.says}", CHECK.why, f"its log: {reason.line}", fix=_start(facts, app))
    return _silent(facts, app, says)


def _reason(facts: Facts, app: App) -> logs.Reason | None:
    """Return why its latest start failed, as its log says; one that somebody stopped has no reason."""
    log = facts.get(AppLog)
    if isinstance(log, NotKnown) or app.state != "error":
        return None
    return logs.fatal(log.lines.get(app.slug, ()))


def _silent(facts: Facts, app: App, says: str) -> Verdict:
    """It ended, and its log does not say why: what else is known of it."""
    log, supervisor = facts.get(AppLog), facts.get(SupervisorLog)
    line = None if isinstance(supervisor, NotKnown) else supervisor.last(f"{app.slug} exited", f"Can't start {app.slug}")
    evidence = [f"the Supervisor's log: {line}"] if line else []
    if isinstance(log, NotKnown):
        return wrong(f"{says}; its log cannot be read: {log.reason}", CHECK.why, *evidence, fix=_start(facts, app))
    why = "it ended before it could say why: too little memory, a damaged image, or the log is of an earlier start"
    evidence += ["its log has no reason in it"]
    return wrong(f"{says}, and its log does not say why", why, *evidence, fix=_start(facts, app), failure="starts-no-log")


def _start(facts: Facts, app: App) -> Fix:
    """Start it once; where this run has just done so, a person has to look."""
    if app.slug not in facts.fresh:
        return Fix(does=f"start {app.flavour.name}", slug=app.slug, restart=True)
    return tell(
        "find out why it ends",
        f"read its log: Settings, Apps, {app.flavour.name}, Log",
        "and the Supervisor's: Settings, System, Logs, Supervisor",
        "if neither says why: reinstall the app, and run `ha-ssh setup` again",
    )


def _complete(app: App) -> Fix:
    return tell(
        "complete its settings",
        "`ha-ssh setup` asks what is open, writes a key into them and starts the app",
        f"or by hand: Settings, Apps, {app.flavour.name}, Configuration",
    )


def break_it(scene: Breakable) -> None:
    """Stop it."""
    scene.stop()


def _silenced(scene: Breakable) -> None:
    """Let it end before it says anything."""
    scene.house.knobs.dies_silently.add(scene.slug)
    scene.restart()


CHECK = Check(
    id="app-running",
    stage=Stage.SETTINGS,
    title="The app is running",
    why="its SSH server runs only while the app does",
    needs=(Apps, AppLog, SupervisorLog),
    rests_on=(
        "app-installed",
        "supervisor-idle",
        "app-image",
        "app-starts",
        "key-authorised",
        "port-published",
        "port-free",
        "login-name",
    ),
    judge=judge,
    break_it=break_it,
    faults={"starts-no-log": _silenced},
)
