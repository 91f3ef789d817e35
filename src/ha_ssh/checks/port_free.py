"""Truth: nobody else has the app's port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps, log_of
from ha_ssh.core.house_facts import PortHolders, Resolution
from ha_ssh.core.model import Check, Consent, Facts, Fix, NotKnown, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_NEVER = {8123, 22222}
"""Home Assistant's own port, and that of the host's SSH server."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge an app that is down by what says that its port was taken."""
    app = facts[Apps].chosen(want.app)
    port = app.serving.port
    holder = _holder(facts, port)
    evidence = None if app.running or port is None else _evidence(facts, app, port, holder)
    if evidence is None or port is None:
        return ok("nothing says that the app's port is taken")
    by = holder or "something else on this machine (its own SSH server, perhaps, or another app)"
    says = f"{app.flavour.name} cannot have port {port}: {by} has it"
    return wrong(
        says,
        "two programs cannot listen on one port, so the app does not start",
        *evidence,
        fix=_fix(want, facts, app, port),
        failure="port-busy",
    )


def _holder(facts: Facts, port: int | None) -> str | None:
    holders = facts.get(PortHolders)
    return None if port is None or isinstance(holders, NotKnown) else holders.names.get(port)


def _evidence(facts: Facts, app: App, port: int, holder: str | None) -> tuple[str, ...] | None:
    """Return what shows that the port is taken: who has it; after a start that failed, the Supervisor's or the app's words."""
    found = [f"/addons: {holder} has port {port}"] if holder else []
    resolution = facts.get(Resolution)
    if app.state == "error" and not isinstance(resolution, NotKnown):
        issue = resolution.of("port_conflict", reference=app.slug)
        if issue is not None and issue.extra.get("port") in {None, port}:
            found.append(f"{issue.text}, port {port}")
    if app.state == "error":
        reason = logs.fatal(log_of(facts, app))
        if reason is not None and reason.code == "port-busy" and (f" {port} " in reason.line or "port" not in reason.line):
            found.append(f"its log: {reason.line}")
    return tuple(found) or None


def _fix(want: Want, facts: Facts, app: App, port: int) -> Fix:
    """Move to a free port, unless this very one is wanted."""
    holders = facts.get(PortHolders)
    taken = {port, *_NEVER, *(() if isinstance(holders, NotKnown) else holders.names)}
    taken |= {other.serving.port for other in facts[Apps].by_slug.values() if other.installed and other.serving.port}
    free = next(one for one in (want.port, 2222, 22022, *range(2223, 2400)) if one is not None and one not in taken)
    if want.port == port:
        return tell(
            "choose another port, or stop whoever has this one",
            f"`ha-ssh setup --port {free}`",
            f"or free port {port}, and start the app: Settings, Apps, {app.flavour.name}, Start",
        )
    return Fix(
        does=f"move SSH from port {port} to {free}", consent=Consent.ASK, slug=app.slug, edits=(app.flavour.set_port(free),)
    )


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
    judge=judge,
    faults={"port-busy": _take},
)
