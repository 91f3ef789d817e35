"""Truth: the app runs with the settings that are saved (it takes them up only when it starts)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ha_ssh.core import keys, logs
from ha_ssh.core.facts import App, AppLog, Apps, Door, Doors, MyKey, Name, Restarts, holds_key, log_of
from ha_ssh.core.house_facts import Network
from ha_ssh.core.model import Check, DoorState, Facts, Fix, Later, NotKnown, Stage, Verdict, Want, ok, wrong
from ha_ssh.core.settings import section

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the options inside the running app with the saved ones; without a session, read it from what the door does."""
    app = facts[Apps].chosen(want.app)
    door = facts[Doors].of(app)
    if door.running is not None and not isinstance(door.running, Later):
        if _alike(door.running, app.settings.get("options")):
            return ok("the app runs with its saved settings")
        return wrong(
            "settings were saved but the app was not restarted since",
            CHECK.why,
            _differing(door, app),
            fix=_restart(app),
            failure="not-restarted",
        )
    if app.slug in facts.fresh:
        return ok("the app was restarted after its settings were saved")
    contradiction = _contradiction(facts, app, door)
    if contradiction is None:
        return ok("nothing suggests that the app runs with other settings than the saved ones")
    return wrong("the app does not seem to run with its saved settings", CHECK.why, contradiction, fix=_restart(app))


def _contradiction(facts: Facts, app: App, door: Door) -> str | None:
    """Return what the door does that it would not do with the saved settings, unless a restart has not helped already."""
    restarts = facts.get(Restarts)
    if isinstance(restarts, Restarts) and app.slug in restarts.slugs:
        return None
    if door.state is DoorState.REFUSED:
        if _listens_there(facts, app, door) or _is_elsewhere(facts):
            return None
        return f"port {door.port} is saved, yet nothing answers there: {door.message}"
    key = facts.get(MyKey)
    if isinstance(key, NotKnown) or door.state is not DoorState.DENIED:
        return None
    ties = ("from", "expiry-time")
    restricted = any(keys.option_of(str(one), str(key.public), tie) for one in app.serving.keys for tie in ties)
    if door.app_saw and not restricted and holds_key(app.serving.keys, key.public, facts.target.identity):
        return "your key is saved, yet the app refuses it (its log shows the attempt)"
    return None


def _listens_there(facts: Facts, app: App, door: Door) -> bool:
    """Return whether the app's own log says that its server has this very port."""
    return any(one.port == door.port for one in logs.listening(log_of(facts, app)))


def _is_elsewhere(facts: Facts) -> bool:
    """Return whether SSH is looked for at none of the addresses that the house says it has: then it is not its settings."""
    name, network = facts.get(Name), facts.get(Network)
    if isinstance(name, NotKnown) or isinstance(network, NotKnown) or not network.addresses:
        return False
    return not {address for _interface, address in network.addresses}.intersection(name.addresses)


def _differing(door: Door, app: App) -> str:
    saved = section(app.settings, "options")
    names = sorted({*saved, *door.running} if isinstance(door.running, dict) else saved)
    running = door.running if isinstance(door.running, dict) else {}
    return "differs: " + ", ".join(name for name in names if not _alike(running.get(name), saved.get(name)))


def _alike(running: Any, saved: Any) -> bool:
    """Return whether a running value is the saved one; what a `!secret` stands for is known to the app alone."""
    if isinstance(saved, str) and saved.startswith("!secret "):
        return True
    if isinstance(saved, dict) and isinstance(running, dict):
        return saved.keys() == running.keys() and all(_alike(running[key], value) for key, value in saved.items())
    if isinstance(saved, list | tuple) and isinstance(running, list | tuple):
        return len(saved) == len(running) and all(map(_alike, running, saved))
    return bool(running == saved)


def _restart(app: App) -> Fix:
    return Fix(does=f"restart {app.flavour.name}", slug=app.slug, restart=True)


def break_it(scene: Breakable) -> None:
    """Change a setting in the web page without a restart."""
    scene.touch_options()


CHECK = Check(
    id="settings-live",
    stage=Stage.PORT,
    title="The saved settings are live",
    why="an app takes its settings up only when it starts",
    needs=(AppLog, Apps, Doors, MyKey, Name, Network, Restarts),
    rests_on=("app-running", "key-authorised", "port-published", "debug-off"),
    judge=judge,
    break_it=break_it,
    faults={"not-restarted": break_it},
)
