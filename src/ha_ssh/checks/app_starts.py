"""Truth: nothing keeps the app from starting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, AppLog, Apps, failure_of
from ha_ssh.core.model import Check, Consent, Edit, EditOp, Facts, Fix, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core import logs
    from ha_ssh.core.model import Breakable, Flavour

_FAILURES = {
    "data-folder": ("restored", "its own data is damaged, or was restored with rights that do not fit"),
    "host-keys": ("restored", "its own data is damaged, or was restored with rights that do not fit"),
    "init-command": ("init-cmd", "the app runs these commands at every start, and stops with the first that fails"),
    "packages": ("pkg-fail", "extra packages are fetched at every start, and this app does not run without them"),
    "sftp-needs-root": ("sftp-needs-root", "the app refuses to run with both settings as they are"),
}
"""The known failure and why it matters, by the reason that the app's log gives; other reasons have truths of their own."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Read in the log of an app that failed why it did; judged before any change, since the next start may be ours."""
    app = facts[Apps].chosen(want.app)
    reason = _reason(facts, app)
    if reason is None or reason.code not in _FAILURES:
        return ok(f"nothing is known to keep {app.flavour.name} from starting")
    failure, why = _FAILURES[reason.code]
    evidence = (f"/addons/{app.slug}/info: state {app.state}", f"its log: {reason.line}")
    return wrong(f"{app.flavour.name} does not start: {reason.says}", why, *evidence, fix=_cure(app, reason), failure=failure)


def _reason(facts: Facts, app: App) -> logs.Reason | None:
    """Return why its latest start failed, as its log says; one that runs, or that somebody stopped, has no reason."""
    failure = failure_of(facts, app) if app.state == "error" else None
    return None if failure is None or failure.stale else failure.reason


def _cure(app: App, reason: logs.Reason) -> Fix:
    """Return what puts this very reason right."""
    name, settings = app.flavour.name, f"Settings, Apps, {app.flavour.name}, Configuration"
    match reason.code:
        case "packages":
            edit = app.flavour.drop_packages()
            does = f"{edit.title}, so that it starts (`ha-ssh undo` brings it back, once the packages can be fetched again)"
            return Fix(does=does, consent=Consent.ASK, slug=app.slug, edits=(edit,))
        case "init-command":
            failed = next((one for one in app.serving.commands if one.strip() and one.strip() in reason.line), None)
            found = app.flavour.drop_command(failed) if failed is not None else None
            if found is not None:
                return Fix(does=f"{found.title}: `{failed}`", consent=Consent.ASK, slug=app.slug, edits=(found,))
            return tell("mend the command", f"{settings}: `init_commands`")
        case "sftp-needs-root":
            return tell("choose one of the two", "`ha-ssh setup --username root`", f"or switch `sftp` off: {settings}")
        case _:
            return tell(
                "give it new data",
                f"uninstall {name} and install it again: that makes new data and new host keys",
                "then `ha-ssh setup`, which writes the settings and learns the new host keys",
            )


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
    id="app-starts",
    stage=Stage.APP,
    title="Nothing keeps the app from starting",
    why="an app that fails at its start is down again within seconds",
    needs=(Apps, AppLog),
    rests_on=("app-installed", "app-image"),
    judge=judge,
    faults={"init-cmd": _failing_command, "pkg-fail": _without_packages, "restored": _damaged, "sftp-needs-root": _sftp},
    befalls={"init-cmd": _runs_commands, "sftp-needs-root": _names_users},
)
