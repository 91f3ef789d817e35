"""Truth: a login with exactly our key succeeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core import keys, logs
from ha_ssh.core.facts import App, Apps, Door, Doors, MyKey, app_and_door
from ha_ssh.core.model import Check, DoorState, Edit, EditOp, Facts, NotKnown, Stage, Verdict, Want, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_OTHER_SYSTEMS = ("debian", "ubuntu", "raspbian", "freebsd", "windows")
"""Words in a banner that no app has: their image is Alpine's."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the one login, and who it was that refused it."""
    app, door = app_and_door(want, facts)
    if door.admitted:
        return ok(f"`{app.serving.user}` logs in with your key")
    if door.admitted is None:
        return unknown("no login was tried: there is no key that could be used", CHECK.why)
    if "dropbear" in str(door.banner).lower():
        return _the_host(app, door)
    system = next((word for word in _OTHER_SYSTEMS if word in str(door.banner).lower()), None)
    if system is not None:
        return _another_system(app, door, system)
    if door.state is DoorState.TOO_MANY:
        fix = tell("wait", "too many failed logins came from this computer: wait ten minutes, then try again")
        return wrong(
            "the server ended the login before your key was judged", CHECK.why, *_evidence(app, door), fix=fix, failure="too-many"
        )
    if door.app_saw is False:
        return _somebody_else(app, door)
    return _the_app_refuses(facts, app, door)


def _the_host(app: App, door: Door) -> Verdict:
    fix = tell(
        "use the app's own port",
        f"the host's own SSH server (Dropbear, else on port 22222) has port {door.port}; its keys are its own",
        "`ha-ssh setup --port 2222` moves the app to a port of its own",
    )
    says = f"it is not the app that answers on port {door.port}, but the SSH server of the host itself"
    return wrong(says, _OTHER, *_evidence(app, door), fix=fix, failure="host-22222")


def _another_system(app: App, door: Door, system: str) -> Verdict:
    fix = tell(
        "use the app's own port",
        f"the greeting names {system.capitalize()}, which the app is not: another system has the port",
        "`ha-ssh setup --port N` moves the app to a port of its own; `--ssh-host ADDRESS` looks elsewhere",
    )
    says = f"it is not the app that answers on {door.host} port {door.port}, but the SSH server of another system"
    return wrong(says, _OTHER, *_evidence(app, door), fix=fix, failure="wrong-server")


def _somebody_else(app: App, door: Door) -> Verdict:
    fix = tell(
        "find out who answers there",
        "another SSH server has the address or the port: another machine, another house, or something in the middle",
        f"tell them apart: does {door.host} belong to Home Assistant (Settings, System, Network)?",
        "send no password there",
    )
    says = f"an SSH server refuses your key on {door.host} port {door.port}, and it is not the app"
    return wrong(says, _OTHER, *_evidence(app, door), fix=fix, failure="look-alike")


def _the_app_refuses(facts: Facts, app: App, door: Door) -> Verdict:
    """The app itself (or, without its log, whoever answers) refuses the key that is in its settings."""
    key = facts.get(MyKey)
    public = "" if isinstance(key, NotKnown) else str(key.public)
    bounds = [bound for entry in app.serving.keys if (bound := keys.only_from(str(entry), public)) is not None]
    told = {one.code: one.line for one in logs.refusals(door.logged)}
    says = f"the server refuses your key for `{app.serving.user}`"
    if "not-from-here" in told or bounds:
        fix = tell(
            "widen the restriction",
            f'the entry of your key has `from="{bounds[0] if bounds else "…"}"`: it opens only from there',
            "correct that entry in the app's configuration, or log in from such an address",
        )
        return wrong(f"{says} from this address", CHECK.why, *_evidence(app, door), fix=fix, failure="key-from")
    if "modes" in told:
        fix = tell("update the app", "the server distrusts its own key file; newer versions set its modes right")
        return wrong(says, CHECK.why, *_evidence(app, door), fix=fix, failure="agent-sshd-modes")
    if "wrong-user" in told:
        fix = tell("use the app's login name", "`ha-ssh setup` writes it into the alias")
        return wrong(
            f"the server does not know `{app.serving.user}`", CHECK.why, *_evidence(app, door), fix=fix, failure="user-wrong"
        )
    restarted = app.slug in facts.fresh
    fix = tell(
        "compare what the app has",
        f"the key is in the settings{', the app was restarted' if restarted else ''}, and still it is refused: not understood",
        f"restart the app{' once more' if restarted else ''}, then compare: `ssh-keygen -lf YOUR-KEY.pub`, and in a session "
        "`ssh-keygen -lf ~/.ssh/authorized_keys` (web terminal)",
        "another server may have the port after all: compare the address with Home Assistant's",
    )
    because = None if restarted else "settings-live"
    return replace(wrong(says, CHECK.why, *_evidence(app, door), fix=fix, failure="key-refused-right"), because=because)


_OTHER = "another server than the app knows nothing of your key, and should be sent no password"


def _evidence(app: App, door: Door) -> tuple[str, ...]:
    seen = {
        None: "",
        True: "the app's log shows the attempt",
        False: "the app's log shows no such attempt: somebody else answers on this port",
    }
    return tuple(
        text
        for text in (
            str(door.message),
            f"greeting: {door.banner}" if door.banner else "",
            f"it offers: {', '.join(door.methods)}" if door.methods else "",
            f"login name {app.serving.user}, port {door.port}",
            seen[door.app_saw],
            *(f"the app's log: {one.line}" for one in logs.refusals(door.logged)[-2:]),
        )
        if text
    )


def break_it(scene: Breakable) -> None:
    """Let another SSH server answer that knows nobody."""
    scene.house.knobs.door = "stranger"


def _bind(scene: Breakable) -> None:
    """Let every key open from one other address alone."""
    path = scene.flavour.add_key("").path
    entries = [f'from="10.9.8.7" {entry}' for entry in scene.flavour.read({"options": scene.app.options}).keys]
    scene.save(Edit(path=path, op=EditOp.SET, value=entries, title="restrict the keys"))
    scene.restart()


def _host(scene: Breakable) -> None:
    """Let the host's own server answer."""
    scene.house.knobs.door = "stranger"
    scene.house.knobs.banner = "SSH-2.0-dropbear_2025.88"


def _debian(scene: Breakable) -> None:
    """Let the server of the system under Home Assistant answer."""
    scene.house.knobs.door = "stranger"
    scene.house.knobs.banner = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"


CHECK = Check(
    id="login-works",
    stage=Stage.LOGIN,
    title="A login with your key succeeds",
    why="nothing else proves that the door opens",
    needs=(Apps, Doors, MyKey),
    rests_on=("port-answers", "key-file", "key-authorised"),
    judge=judge,
    break_it=break_it,
    faults={"key-from": _bind, "host-22222": _host, "wrong-server": _debian},
)
