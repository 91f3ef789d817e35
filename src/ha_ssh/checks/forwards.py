"""Truth: what the user's own configuration wants to forward, the app lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ha_ssh.core.facts import App, Apps, Doors, OwnFiles, SshConfig, app_and_door, block_path
from ha_ssh.core.inside import Inside
from ha_ssh.core.model import Check, Facts, Fix, NotKnown, Scope, Stage, Verdict, Want, known, offer, ok, rather, tell, warn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the forwards of the alias (`ssh -G`) with the app's settings, and try one where the app allows it."""
    app, door = app_and_door(want, facts)
    config = facts.get(SshConfig)
    alias = facts.target.alias if not isinstance(config, NotKnown) else None
    said = known(config.said, "see what your configuration forwards") if isinstance(config, SshConfig) and alias else {}
    if not app.serving.forwarding and (wish := _wish(said, "localforward", "dynamicforward")):
        return _off(app, wish, unwanted=want.tunnels is False)
    if not app.serving.remote_forwarding and (wish := _wish(said, "remoteforward")):
        return _remote_off(app, wish)
    if not app.serving.agent_forwarding and _wish(said, "forwardagent") == "forwardagent yes":
        return _agent_off(app)
    shown = door.inside if isinstance(door.inside, Inside) else None
    if app.serving.forwarding and shown is not None and shown.forwarding:
        fix = tell("look at the app", f"update {app.flavour.name}, and restart it", "an `init_commands` entry may forbid it")
        says = "the app's settings allow forwarding, yet its server forbids it"
        return warn(says, CHECK.why, f"a connection through it: {shown.forwarding}", fix=fix, failure="tcpfwd-dead")
    if not app.serving.forwarding:
        return ok("nothing is to be forwarded, and the app forwards nothing (VS Code would need it: `ha-ssh setup --tunnels`)")
    return ok("the app forwards connections")


def _wish(said: Mapping[str, Any], *keywords: str) -> str:
    """Return the first setting of these that wants something forwarded, as it stands in the configuration."""
    return next((f"{word} {said[word][0]}" for word in keywords if said.get(word) and said[word][0] not in {"", "no"}), "")


def _off(app: App, wish: str, *, unwanted: bool) -> Verdict:
    further = "whoever logs in then reaches further into your network"
    without = f"or take `{wish.split()[0]}` out of your configuration"
    if unwanted:
        fix = rather("let the app forward connections, which was not wanted until now", further, without, tunnels=True)
    else:
        fix = offer("let the app forward connections", app.flavour.set_forwarding(on=True), app.slug, further, without)
    return warn(
        f"your configuration forwards connections through {app.flavour.name}, which forbids it",
        "each use ends in `administratively prohibited`; VS Code hangs at `Opening Remote…` for the same reason",
        f"ssh -G: {wish}",
        "the app's settings: forwarding is off",
        fix=fix,
        failure="tcpfwd-off",
    )


def _remote_off(app: App, wish: str) -> Verdict:
    fix = _offered(app, "remote-forwarding", "let the app listen for you", "take `RemoteForward` out of your configuration")
    return warn(
        f"your configuration lets {app.flavour.name} listen for you (`RemoteForward`), which it forbids",
        "each login then warns: `remote port forwarding failed`",
        f"ssh -G: {wish}",
        "the app's settings: remote forwarding is off",
        fix=fix,
        failure="rfwd-off",
    )


def _agent_off(app: App) -> Verdict:
    without = "take `ForwardAgent` out of your configuration: with it, whoever is root in the app can use your keys"
    fix = _offered(app, "agent-forwarding", "let the app take your agent", without)
    return warn(
        f"your configuration lends your agent to {app.flavour.name} (`ForwardAgent`), which does not take it",
        "inside there is no agent then, and no error says so",
        "ssh -G: forwardagent yes",
        fix=fix,
        failure="agent-fwd",
    )


def _offered(app: App, what: str, does: str, without: str) -> Fix:
    """Offer the app's switch, where it has one, beside the way without it."""
    switch = app.flavour.allow(what)
    if switch is None:
        return tell("leave it out", without)
    name = ".".join(switch.path[1:])
    return offer(does, switch, app.slug, without, f"`{name}` in the app's configuration is the switch")


def _add(scene: Breakable, line: str) -> None:
    path = block_path(scene.target)
    scene.put_file(path, f"{scene.file(path) or ''}    {line}\n")


def break_it(scene: Breakable) -> None:
    """Let the alias forward a port that the app does not."""
    _add(scene, "LocalForward 18123 localhost:8123")


CHECK = Check(
    id="forwards",
    stage=Stage.ALIAS,
    scope=Scope.HYGIENE,
    title="What is to be forwarded goes through",
    why="tunnels and VS Code need the app to forward connections, and it does not by default",
    needs=(Apps, Doors, OwnFiles, SshConfig),
    rests_on=("own-config", "settings-live", "tunnels", "right-server", "alias-works"),
    judge=judge,
    break_it=break_it,
    faults={
        "rfwd-off": lambda scene: _add(scene, "RemoteForward 18124 localhost:22"),
        "agent-fwd": lambda scene: _add(scene, "ForwardAgent yes"),
    },
    befalls={"agent-fwd": lambda flavour: flavour.allow("agent-forwarding") is not None},
)
