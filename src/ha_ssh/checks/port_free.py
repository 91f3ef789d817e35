"""Truth: nobody else has the app's port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, AppLog, Apps, failure_of
from ha_ssh.core.house_facts import PortHolders, Resolution, free_port
from ha_ssh.core.model import Check, Consent, Facts, Fix, NotKnown, Stage, Verdict, Want, ok, rather, tell, warn, wrong
from ha_ssh.core.settings import apply_edits

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge an app that is down by what says that its port was taken; and whether another SSH app wants the same one."""
    app = facts[Apps].chosen(want.app)
    port = app.serving.port
    holder = _holder(facts, app, port)
    evidence = _evidence(facts, app, port, holder) if app.down and port is not None else None
    if evidence is None or port is None:
        rival = _rival(facts, app)
        return _shared(app, rival) if rival else ok("nothing says that the app's port is taken")
    by = holder or _answering(facts, port) or "something else on this machine (its own SSH server, perhaps, or another app)"
    says = f"{app.flavour.name} cannot have port {port}: {by} has it"
    return wrong(
        says,
        "two programs cannot listen on one port, so the app does not start",
        *evidence,
        fix=_fix(want, facts, app, port),
        failure="port-busy",
    )


def _holder(facts: Facts, app: App, port: int | None) -> str | None:
    holders = facts.get(PortHolders)
    holder = None if port is None or isinstance(holders, NotKnown) else holders.of(port, but=app.slug)
    return holder.text if holder else None


def _answering(facts: Facts, port: int) -> str | None:
    holders = facts.get(PortHolders)
    return None if isinstance(holders, NotKnown) else holders.answering.get(port)


def _rival(facts: Facts, app: App) -> App | None:
    """Return another SSH app that is installed, and has the same port in its settings."""
    others = (one for one in facts[Apps].by_slug.values() if one.installed and one.slug != app.slug)
    return next((one for one in others if app.installed and app.serving.port and one.serving.port == app.serving.port), None)


def _shared(app: App, rival: App) -> Verdict:
    """Two apps with one port: what works now ends when the other one is started first."""
    name, other, port = app.flavour.name, rival.flavour.name, app.serving.port
    return warn(
        f"{name} and {other} both want port {port}",
        "only one of them can listen there: whichever starts first has it, and the other one does not start",
        f"settings: {name} port {port} ({_state(app)}), {other} port {port} ({_state(rival)})",
        fix=tell(
            "give one of them another port",
            f"Settings, Apps, {other}, Configuration, Network: another port, or none",
            f"or uninstall {other}, if nobody uses it",
        ),
        failure="port-shared",
    )


def _state(app: App) -> str:
    return "running" if app.running else "not running"


def _evidence(facts: Facts, app: App, port: int, holder: str | None) -> tuple[str, ...] | None:
    """Return what shows that the port is taken: who has it; after a start that failed, the Supervisor's or the app's words."""
    found = [f"/addons: {holder} has port {port}"] if holder else []
    if (who := _answering(facts, port)) is not None:
        found.append(f"a connection to port {port} from here: {who}")
    resolution = facts.get(Resolution)
    if app.state == "error" and not isinstance(resolution, NotKnown):
        issue = resolution.of("port_conflict", reference=app.slug)
        if issue is not None and issue.extra.get("port") in {None, port}:
            found.append(f"{issue.text}, port {port}")
    if app.state == "error":
        failure = failure_of(facts, app)
        if failure is not None and not failure.stale and failure.reason.code == "port-busy":
            found.append(f"its log: {failure.reason.line}")
    return tuple(found) or None


def _fix(want: Want, facts: Facts, app: App, port: int) -> Fix:
    """Move to a free port; where this very one was wanted, that is another wish."""
    free = free_port(want, facts, port)
    does = f"move SSH from port {port} to {free}"
    if want.port == port:
        stay = f"or stop whoever has port {port}, and start the app: Settings, Apps, {app.flavour.name}, Start"
        return rather(does, stay, f"another port than {free}: `ha-ssh setup --port N`", port=free)
    return Fix(does=does, consent=Consent.ASK, slug=app.slug, edits=(app.flavour.set_port(free),))


def _share(scene: Breakable) -> None:
    """Install the other SSH app too, and save the same port for it."""
    other = next(flavour for flavour in scene.target.apps if flavour.slug != scene.slug)
    if not scene.house.app(other.slug).installed:
        scene.house.install_now(other.slug)
    port = apply_edits({"network": scene.house.app(other.slug).network}, (other.set_port(scene.app.port),))
    scene.house.app(other.slug).network = port["network"]


def _take(scene: Breakable) -> None:
    """Let something else on the machine take the port."""
    scene.stop()
    scene.house.knobs.port_taken.add(scene.app.port)
    scene.restart()


CHECK = Check(
    id="port-free",
    stage=Stage.APP,
    title="Nobody else has the app's port",
    why="an app whose port is taken does not start",
    needs=(Apps, AppLog, Resolution, PortHolders),
    rests_on=("app-installed",),
    bars_start=True,
    judge=judge,
    faults={"port-busy": _take, "port-shared": _share},
)
