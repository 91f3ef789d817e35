"""Truth: the app is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps
from ha_ssh.core.house_facts import SupervisorLog
from ha_ssh.core.model import Check, Consent, Edit, EditOp, Facts, Fix, NotKnown, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable, Flavour

_FAILURES = {
    "data-folder": "restored",
    "host-keys": "restored",
    "image-broken": "img-broken",
    "init-command": "init-cmd",
    "no-login": "no-creds",
    "packages": "pkg-fail",
    "port-busy": "port-busy",
    "port-disabled": "port-null",
    "sftp-needs-root": "sftp-needs-root",
    "user-empty": "user-empty",
    "user-taken": "user-taken",
}
"""The known failures by the reason that the app's log gives."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the app's state, and read in its log why it is down."""
    app = facts[Apps].chosen(want.app)
    if app.running:
        return ok(f"{app.flavour.name} is running")
    says = f"{app.flavour.name} is not running (state `{app.state}`)"
    reason = _reason(facts, app)
    if reason is not None and reason.code in _FAILURES:
        evidence = (f"state: {app.state}", f"its log: {reason.line}")
        failure = _FAILURES[reason.code]
        return wrong(f"{says}: {reason.says}", _why(failure), *evidence, fix=_cure(app, reason), failure=failure)
    refusal = app.flavour.refuses(app.settings)
    if refusal is not None:
        fix = tell("complete its settings", "`ha-ssh setup` writes a key into them and starts the app")
        return wrong(says, "with these settings it refuses to run", f"it would say: {refusal}", fix=fix)
    if app.state != "error":
        return wrong(says, CHECK.why, f"state: {app.state}", fix=_start(facts, app))
    if reason is not None:
        known = "its log gives a reason" if reason.code != "unrecognised" else "its log gives a reason that is not recognised"
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


def _why(failure: str) -> str:
    return {
        "pkg-fail": "extra packages are fetched at every start, and this app does not run without them",
        "init-cmd": "the app runs these commands at every start, and stops with the first that fails",
        "restored": "its own data is damaged, or was restored with rights that do not fit",
    }.get(failure, CHECK.why)


def _cure(app: App, reason: logs.Reason) -> Fix:
    """Return what puts this very reason right."""
    name, settings = app.flavour.name, f"Settings, Apps, {app.flavour.name}, Configuration"
    match reason.code:
        case "packages" if app.serving.packages:
            edit = app.flavour.drop_packages()
            does = f"{edit.title}, so that it starts (`ha-ssh undo` brings it back, once the packages can be fetched again)"
            return Fix(does=does, consent=Consent.ASK, slug=app.slug, edits=(edit,))
        case "init-command":
            failed = next((one for one in app.serving.commands if one.strip() and one.strip() in reason.line), None)
            found = app.flavour.drop_command(failed) if failed is not None else None
            if found is not None:
                does = f"{found.title}: `{failed}`"
                return Fix(does=does, consent=Consent.ASK, slug=app.slug, edits=(found,))
            return tell("mend the command", f"{settings}: `init_commands`")
        case "sftp-needs-root":
            return tell("choose one of the two", "`ha-ssh setup --username root`", f"or switch `sftp` off: {settings}")
        case "data-folder" | "host-keys":
            return tell(
                "give it new data",
                f"uninstall {name} and install it again: that makes new data and new host keys",
                "then `ha-ssh setup`, which writes the settings and learns the new host keys",
            )
        case _:
            return tell("put its settings right", "`ha-ssh setup` asks what is open, and starts it", f"or by hand: {settings}")


def break_it(scene: Breakable) -> None:
    """Stop it."""
    scene.stop()


def _without_packages(scene: Breakable) -> None:
    """Ask for an extra package that cannot be fetched."""
    path = scene.flavour.drop_packages().path
    scene.save(Edit(path=path, op=EditOp.SET, value=["rsync"], title="ask for a package"))
    scene.house.knobs.mirrors_down = True
    scene.restart()


def _failing_command(scene: Breakable) -> None:
    """Let it run a command that fails."""
    edit = scene.flavour.drop_command("false")
    if edit is not None:
        scene.save(Edit(path=edit.path, op=EditOp.SET, value=["false"], title="a command that fails"))
        scene.restart()


def _damaged(scene: Breakable) -> None:
    """Damage its own data."""
    scene.house.knobs.data_damaged.add(scene.slug)
    scene.restart()


def _silenced(scene: Breakable) -> None:
    """Let it end before it says anything."""
    scene.house.knobs.dies_silently.add(scene.slug)
    scene.restart()


def _sftp(scene: Breakable) -> None:
    """Switch SFTP on for a user that may not have it."""
    name = scene.flavour.set_username("hassio")
    if name is not None:
        scene.save(name, Edit(path=(*name.path[:-1], "sftp"), op=EditOp.SET, value=True, title="switch SFTP on"))
        scene.restart()


def _runs_commands(flavour: Flavour) -> bool:
    return flavour.drop_command("x") is not None


def _names_users(flavour: Flavour) -> bool:
    return flavour.set_username("x") is not None


CHECK = Check(
    id="app-running",
    stage=Stage.SETTINGS,
    title="The app is running",
    why="its SSH server runs only while the app does",
    needs=(Apps, AppLog, SupervisorLog),
    rests_on=("app-installed", "supervisor-idle", "app-image", "key-authorised", "port-published", "port-free", "login-name"),
    judge=judge,
    break_it=break_it,
    faults={
        "init-cmd": _failing_command,
        "pkg-fail": _without_packages,
        "restored": _damaged,
        "sftp-needs-root": _sftp,
        "starts-no-log": _silenced,
    },
    befalls={"init-cmd": _runs_commands, "sftp-needs-root": _names_users},
)
