"""Truth: the app is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps
from ha_ssh.core.model import Check, Facts, Fix, NotKnown, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the app's state, and read in its log why it is down."""
    app = facts[Apps].chosen(want.app)
    if app.running:
        return ok(f"{app.flavour.name} is running")
    says = f"{app.flavour.name} is not running (state `{app.state}`)"
    reason = _reason(facts, app)
    refusal = app.flavour.refuses(app.settings)
    if refusal is not None:
        fix = tell("complete its settings", "`ha-ssh setup` writes a key into them and starts the app")
        return wrong(says, "with these settings it refuses to run", f"it would say: {refusal}", fix=fix)
    if app.slug in facts.fresh:
        fix = tell("read its log", f"Settings, Apps, {app.flavour.name}, Log")
        return wrong(f"{says}, although it was started a moment ago", CHECK.why, *reason, fix=fix)
    return wrong(says, CHECK.why, *reason, fix=Fix(does=f"start {app.flavour.name}", slug=app.slug, restart=True))


def _reason(facts: Facts, app: App) -> tuple[str, ...]:
    """Return what its log says of the last start, if it says anything that is understood."""
    log = facts.get(AppLog)
    if isinstance(log, NotKnown) or app.state == "stopped":
        return ()
    fatal = logs.fatal(log.lines.get(app.slug, ()))
    return (f"its log: {fatal.line}",) if fatal else ()


def break_it(scene: Breakable) -> None:
    """Stop it."""
    scene.stop()


CHECK = Check(
    id="app-running",
    stage=Stage.SETTINGS,
    title="The app is running",
    why="its SSH server runs only while the app does",
    needs=(Apps, AppLog),
    rests_on=("app-installed", "key-authorised", "port-published", "login-name"),
    judge=judge,
    break_it=break_it,
)
