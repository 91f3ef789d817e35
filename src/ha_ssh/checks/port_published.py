"""Truth: the app has an SSH port, and it is the one that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, Apps
from ha_ssh.core.model import Check, Facts, Fix, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

HOST_PORT = 22222
"""The HAOS host's own SSH server lives there; an app on it would hide it."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the published port with the wanted one; no opinion is content with any."""
    app = facts[Apps].chosen(want.app)
    port = app.serving.port
    wanted = want.port or port or app.flavour.default_port
    rival = _rival(facts, app, wanted)
    if rival is not None:
        fix = tell("choose another port", f"`ha-ssh setup --port N`, with a free port N such as {free_port(facts, app)}")
        return wrong(f"{rival.flavour.name} has port {wanted} too; only one app can have it", CHECK.why, fix=fix)
    if port is None:
        fix = Fix(does=f"publish SSH on port {wanted}", slug=app.slug, edits=(app.flavour.set_port(wanted),))
        return wrong("the app has no SSH port", "without a port it starts no SSH server", "network: 22/tcp is empty", fix=fix)
    if port == HOST_PORT and want.port is None:
        fix = tell("choose another port", "`ha-ssh setup --port 2222`")
        return wrong(f"the app is on port {port}, which belongs to the host's own SSH server", CHECK.why, fix=fix)
    if port != wanted:
        fix = Fix(does=f"move SSH from port {port} to {wanted}", slug=app.slug, edits=(app.flavour.set_port(wanted),))
        return wrong(f"SSH is on port {port}, not on {wanted}", CHECK.why, f"network: 22/tcp is {port}", fix=fix)
    return ok(f"SSH is published on port {port}")


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
    scene.app.network = {"22/tcp": None}
    scene.restart()


CHECK = Check(
    id="port-published",
    stage=Stage.SETTINGS,
    title="The app has an SSH port",
    why="a port that is empty or taken is the commonest reason why SSH is refused",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    break_it=break_it,
)
