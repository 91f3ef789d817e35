"""Truth: the app has an SSH port, and it is the one that is wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ha_ssh.core.facts import App, Apps
from ha_ssh.core.model import Check, Consent, Edit, EditOp, Facts, Fix, Stage, Verdict, Want, note, ok, rather, tell, wrong
from ha_ssh.core.settings import section

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

HOST_PORT = 22222
"""The HAOS host's own SSH server lives there; an app on it would hide it."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the published port with the wanted one; no opinion is content with any."""
    app = facts[Apps].chosen(want.app)
    port = app.serving.port
    wanted = want.port or port or app.flavour.default_port
    if port not in {None, HOST_PORT, wanted} and "port" in want.remembered:
        return _moved(app, port, wanted)
    rival = _rival(facts, app, wanted)
    if rival is not None:
        fix = tell("choose another port", f"`ha-ssh setup --port N`, with a free port N such as {free_port(facts, app)}")
        evidence = f"/addons/{rival.slug}/info: network 22/tcp is {wanted}"
        says = f"{rival.flavour.name} has port {wanted} too; only one app can have it"
        return wrong(says, CHECK.why, evidence, fix=fix, failure="port-busy")
    if port is None and (declared := _declared(app)) is not None:
        return _another_port(app, declared)
    if port is None:
        fix = Fix(does=f"publish SSH on port {wanted}", slug=app.slug, edits=(app.flavour.set_port(wanted),))
        return wrong(
            "the app has no SSH port",
            "without a port it starts no SSH server",
            f"network: 22/tcp is {_as_it_is(app)}",
            fix=fix,
            failure="port-null",
        )
    if port == HOST_PORT:
        return _on_the_hosts(app, want.port if want.port not in {None, HOST_PORT} else free_port(facts, app))
    if port != wanted:
        fix = Fix(does=f"move SSH from port {port} to {wanted}", slug=app.slug, edits=(app.flavour.set_port(wanted),))
        return wrong(f"SSH is on port {port}, not on {wanted}", CHECK.why, f"network: 22/tcp is {port}", fix=fix)
    inside = () if port == 22 else ("the app's log may name port 22 all the same: that is the port inside its container",)
    return ok(f"SSH is published on port {port}", *inside)


_SSH_PORT = "22/tcp"


def _as_it_is(app: App) -> str:
    """Return what stands in the place of the port."""
    value = section(app.settings, "network").get(_SSH_PORT)
    return "empty" if value is None else f"{json.dumps(value, default=str)}, which is no number of a port"


def _declared(app: App) -> str | None:
    """Return the ports that the app has in the place of the one that SSH has in every version that is known."""
    network = section(app.settings, "network")
    return ", ".join(f"{name} is {port}" for name, port in network.items()) if network and _SSH_PORT not in network else None


def _another_port(app: App, declared: str) -> Verdict:
    """A version that is not known: a port that it does not declare would be dropped, and those that it does be reset."""
    fix = tell(
        "compare it with the app's page",
        f"Settings, Apps, {app.flavour.name}, Configuration, Network: which of its ports is SSH, and is it set?",
        "please report the version, and what stands there",
    )
    says = f"this version of {app.flavour.name} has other ports than those that are known, and none of them is recognised"
    return wrong(says, CHECK.why, f"network: {declared}; no {_SSH_PORT}", f"version {app.version}", fix=fix)


def _moved(app: App, port: Any, former: int) -> Verdict:
    """Somebody has given it another port since: that is the house's to say, and this computer follows."""
    fix = rather(
        f"go on with port {port}",
        f"or put SSH back on port {former}: `ha-ssh setup --port {former}`",
        port=port,
    )
    says = f"SSH is on port {port} now; it was set up on {former}"
    why = "it was changed in the house since, and works there; the alias on this computer has to follow"
    return note(says, why, f"/addons/{app.slug}/info: network 22/tcp is {port}", fix=fix)


def _on_the_hosts(app: App, wanted: int | None) -> Verdict:
    """The port of Home Assistant OS itself: another server, which an app there hides, or which hides the app."""
    port = wanted or app.flavour.default_port
    edits = (app.flavour.set_port(port),)
    fix = Fix(does=f"move SSH from port {HOST_PORT} to {port}", consent=Consent.ASK, slug=app.slug, edits=edits)
    return wrong(
        f"the app is on port {HOST_PORT}, which belongs to the host's own SSH server (for developers)",
        "the two are different servers with different keys, and only one of them can answer",
        f"network: 22/tcp is {HOST_PORT}",
        fix=fix,
        failure="port-22222",
    )


def _rival(facts: Facts, app: App, port: int) -> App | None:
    """Return another SSH app that is installed, starts, and has the same port."""
    others = (other for other in facts[Apps].by_slug.values() if other.slug != app.slug and other.installed)
    return next((other for other in others if other.serving.port == port and other.running), None)


def free_port(facts: Facts, app: App) -> int:
    """Return a port that no candidate app has."""
    taken = {other.serving.port for other in facts[Apps].by_slug.values() if other.slug != app.slug and other.installed}
    return next(port for port in range(2222, 2300) if port not in taken)


def break_it(scene: Breakable) -> None:
    """Empty the port."""
    path = scene.flavour.set_port(22).path
    scene.save(Edit(path=path, op=EditOp.SET, value=None, title="empty the port"))
    scene.restart()


def _host_port(scene: Breakable) -> None:
    """Move it to the host's own port."""
    scene.save(scene.flavour.set_port(HOST_PORT))
    scene.restart()


CHECK = Check(
    id="port-published",
    stage=Stage.SETTINGS,
    title="The app has an SSH port",
    why="a port that is empty or taken is the commonest reason why SSH is refused",
    needs=(Apps,),
    rests_on=("app-installed", "port-free"),
    judge=judge,
    break_it=break_it,
    faults={"port-null": break_it, "port-22222": _host_port},
)
