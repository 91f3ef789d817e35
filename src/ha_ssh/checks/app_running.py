"""Truth: the app is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps, Failure, failure_of
from ha_ssh.core.house_facts import SupervisorLog
from ha_ssh.core.model import Check, Facts, Fix, NotKnown, Stage, Verdict, Want, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_FAILURES = {"no-login": "no-creds", "sftp-needs-root": "sftp-needs-root", "user-empty": "user-empty"}
"""The known failures by the reason that the app would give for refusing its settings."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the app's state, and read in its log why it is down."""
    app = facts[Apps].chosen(want.app)
    if app.running:
        return ok(f"{app.flavour.name} is running")
    if not app.down:
        return _odd(app)
    says = f"{app.flavour.name} is not running (state `{app.state}`)"
    refusal = app.flavour.refuses(app.settings)
    if refusal is not None:
        return _refused(app, says, refusal)
    if app.state != "error":
        return wrong(says, CHECK.why, f"/addons/{app.slug}/info: state {app.state}", fix=_start(facts, app))
    failure = failure_of(facts, app)
    if failure is not None and not failure.stale:
        reason = failure.reason
        known = "its log gives a reason that is not recognised" if reason.code == "unrecognised" else "its log says why"
        return wrong(f"{says}; {known}: {reason.says}", CHECK.why, f"its log: {reason.line}", fix=_start(facts, app))
    return _silent(facts, app, says, failure)


def _odd(app: App) -> Verdict:
    """Neither up nor down, as far as it is understood: nothing is tried on a guess."""
    fix = tell(
        "see whether it runs",
        f"Settings, Apps, {app.flavour.name}: the page shows whether it runs, and has Start and Restart",
        "the Supervisor's log may say more: Settings, System, Logs, Supervisor",
        "a state that stays so after a restart of the app: please report it",
    )
    says = f"the Supervisor gives {app.flavour.name} the state `{app.state}`, which is not recognised"
    why = "whether the app runs is not known; the Supervisor says `unknown` while it has not looked at the app itself"
    return unknown(says, why, f"/addons/{app.slug}/info: state {app.state}", fix=fix)


def _refused(app: App, says: str, refusal: str) -> Verdict:
    """It would not run with the settings that are saved, whatever the log says of earlier ones."""
    reason = logs.fatal((refusal,))
    failure = _FAILURES.get(reason.code, "") if reason is not None else ""
    evidence = (f"/addons/{app.slug}/info: state {app.state}", f"with these settings it says: {refusal}")
    return wrong(says, "with these settings it refuses to run", *evidence, fix=_complete(app), failure=failure)


def _silent(facts: Facts, app: App, says: str, older: Failure | None) -> Verdict:
    """It ended, and its log does not say why: what else is known of it."""
    log, supervisor = facts.get(AppLog), facts.get(SupervisorLog)
    line = None if isinstance(supervisor, NotKnown) else supervisor.last(f"{app.slug} exited", f"Can't start {app.slug}")
    evidence = [f"the Supervisor's log: {line}"] if line else []
    if isinstance(log, NotKnown):
        return wrong(f"{says}; its log cannot be read: {log.reason}", CHECK.why, *evidence, fix=_start(facts, app))
    why = "it ended before it could say why: too little memory, a damaged image, or the log is of an earlier start"
    if older is None:
        told, evidence = "its log does not say why", [*evidence, "its log has no reason in it"]
    else:
        told = "its log tells of an earlier start only"
        evidence += [f"its log, which the settings contradict by now: {older.reason.line}"]
    return wrong(f"{says}, and {told}", why, *evidence, fix=_start(facts, app), failure="starts-no-log")


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
