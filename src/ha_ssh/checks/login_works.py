"""Truth: a login with exactly our key succeeds."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core import keys, logs
from ha_ssh.core.facts import App, Apps, Door, Doors, MyKey, Restarts, app_and_door, holds_key
from ha_ssh.core.model import Check, DoorState, Edit, EditOp, Facts, NotKnown, Stage, Verdict, Want, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_HOST_PORT = 22222
"""Where Home Assistant OS has an SSH server of its own."""
_OTHER_SYSTEMS = ("debian", "ubuntu", "raspbian", "freebsd", "windows")
"""Words in a banner that no app has: their image is Alpine's."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the one login, and who it was that refused it."""
    app, door = app_and_door(want, facts)
    if door.admitted and isinstance(door.methods, tuple) and door.methods == ("none",):  # in a plan, they come later
        return _anybody(app, door)
    if door.admitted:
        return ok(f"`{app.serving.user}` logs in with your key")
    if door.state is DoorState.CUT:
        return _cut_off(app, door)
    if door.admitted is None:
        return unknown(_not_tried(facts, door), CHECK.why)
    if not _is_the_app(door) and (other := _another_server(app, door)) is not None:
        return other
    if door.state is DoorState.SECOND_FACTOR:
        return _more_besides(app, door)
    if door.state is DoorState.TOO_MANY:
        return _ended_before(app, door)
    if door.methods is not None and "publickey" not in door.methods:
        return _no_keys(app, door)
    return _refused(facts, app, door)


def _is_the_app(door: Door) -> bool:
    """Return whether the app's log shows the attempt, or the server owns the host key that was pinned."""
    return door.app_saw is True or door.known_host is True


def _not_tried(facts: Facts, door: Door) -> str:
    key = facts.get(MyKey)
    if isinstance(key, MyKey) and key.usable and door.state is not DoorState.OPEN:
        return f"no login was tried: the connection did not come so far ({door.state.replace('-', ' ')})"
    return "no login was tried: there is no key that could be used"


def _anybody(app: App, door: Door) -> Verdict:
    fix = tell(
        "find out who answers there",
        "the apps of Home Assistant let nobody in without a key or a password, so it is another server, or a changed one",
        "send nothing private there",
    )
    says = f"the server on {door.host} port {door.port} lets anybody in, without asking for a key"
    return wrong(says, _OTHER, *_evidence(app, door), fix=fix, failure="no-questions")


def _cut_off(app: App, door: Door) -> Verdict:
    fix = tell(
        "find out who ends it",
        "the server may be restarting, or its settings may allow this user no session; the way to it may break (a VPN, Wi-Fi)",
        "look again: `ha-ssh doctor`; if it stays so, its log tells why: Settings, Apps, the app, Log",
    )
    says = f"`{app.serving.user}` is let in with your key, and then the connection ends"
    return wrong(says, "a login that ends at once is of no use", *_evidence(app, door), fix=fix, failure="cut-off")


def _more_besides(app: App, door: Door) -> Verdict:
    fix = tell(
        "give it what it wants, or take that away",
        "the apps of Home Assistant want a key alone: is it another server that answers there?",
        "if it is yours: `AuthenticationMethods` in its `sshd_config` asks for more than one thing",
    )
    says = f"the server takes your key for `{app.serving.user}`, and wants a second factor"
    return wrong(says, "scripts cannot give a second factor", *_evidence(app, door), fix=fix, failure="second-factor")


def _ended_before(app: App, door: Door) -> Verdict:
    fix = tell("wait", "too many failed logins came from this computer: wait ten minutes, then try again")
    says = "the server ended the login before your key was judged"
    return wrong(says, CHECK.why, *_evidence(app, door), fix=fix, failure="too-many")


def _no_keys(app: App, door: Door) -> Verdict:
    fix = tell(
        "find out who answers there",
        "the apps of Home Assistant always take keys, so this is another server, or a changed one",
        "if it is yours: `PubkeyAuthentication yes` in its `sshd_config`",
    )
    says = f"the server on {door.host} port {door.port} takes no keys at all, from nobody"
    return wrong(says, CHECK.why, *_evidence(app, door), fix=fix, failure="keys-off")


def _another_server(app: App, door: Door) -> Verdict | None:
    """Return who answers where something shows that it is not the app."""
    banner = str(door.banner).lower()
    if "dropbear" in banner:
        return _dropbear(app, door)
    system = next((word for word in _OTHER_SYSTEMS if word in banner), None)
    if system is not None:
        return _another_system(app, door, system)
    if door.app_saw is False or door.known_host is False:
        return _somebody_else(app, door)
    return None


def _dropbear(app: App, door: Door) -> Verdict:
    """Home Assistant OS has such a server for developers, on a port of its own; so have routers and storage boxes."""
    its_port = door.port == _HOST_PORT
    whose = (
        f"port {_HOST_PORT} is that of the host's own SSH server, for developers; its keys are its own"
        if its_port
        else "it is that of Home Assistant OS itself (else on port 22222), or of a router or storage box"
    )
    apart = f"tell them apart: `ssh-keyscan -p {_HOST_PORT} {door.host}` shows the keys of the host's own server"
    fix = tell(
        "use the app's own port",
        whose,
        *(() if its_port else (apart,)),
        "`--ssh-host ADDRESS` looks elsewhere; `ha-ssh setup --port N` moves the app to a port of its own",
    )
    says = f"it is not the app that answers on port {door.port}, but a Dropbear server"
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
    """Not the app, where its log shows no attempt; where only the host key is another one, perhaps the app made anew."""
    does = "takes your key and wants more besides" if door.state is DoorState.SECOND_FACTOR else "refuses your key"
    if door.app_saw is None:
        fix = tell(
            "find out who answers there",
            "either the app was installed anew (new host keys, empty settings), or another server has the address or the port",
            "tell them apart: once Home Assistant can be asked, the app's settings and its own log do",
            "send no password there before",
        )
        says = f"an SSH server with another host key than this computer knows {does} on {door.host} port {door.port}"
        return wrong(says, _OTHER, *_evidence(app, door), fix=fix, failure="look-alike")
    fix = tell(
        "find out who answers there",
        "another SSH server has the address or the port: another machine, another house, or something in the middle",
        f"tell them apart: does {door.host} belong to Home Assistant (Settings, System, Network)?",
        "send no password there",
    )
    says = f"an SSH server {does} on {door.host} port {door.port}, and it is not the app"
    return wrong(says, _OTHER, *_evidence(app, door), fix=fix, failure="look-alike")


def _refused(facts: Facts, app: App, door: Door) -> Verdict:
    """The app itself (or, without its log, whoever answers) refuses the key."""
    told = {one.code: one.line for one in logs.refusals(door.logged)}
    says = f"the server refuses your key for `{app.serving.user}`"
    key = facts.get(MyKey)
    public = "" if isinstance(key, NotKnown) else str(key.public)
    tied = _tied(app, public, door.at, by_address="not-from-here" in told)
    if tied is not None:
        failure, what, way = tied
        fix = tell("change the restriction", way, "correct that entry in the app's configuration, or use another key")
        return wrong(f"{says}{what}", CHECK.why, *_evidence(app, door), fix=fix, failure=failure)
    if "modes" in told:
        mended = app.flaw("agent-sshd-modes") is not None
        way = (
            "update the app: newer versions set its modes right"
            if mended
            else "restart the app: it writes that file at each start"
        )
        fix = tell("let it trust its own key file", way)
        return wrong(says, CHECK.why, *_evidence(app, door), fix=fix, failure="agent-sshd-modes")
    if "wrong-user" in told:
        fix = tell("use the app's login name", "`ha-ssh setup` writes it into the alias")
        return wrong(
            f"the server does not know `{app.serving.user}`", CHECK.why, *_evidence(app, door), fix=fix, failure="user-wrong"
        )
    if not (app.seen and holds_key(app.serving.keys, public, facts.target.identity)):
        return _unseen(app, door, says)
    return _in_vain(facts, app, door, says)


def _tied(app: App, public: str, today: str, *, by_address: bool) -> tuple[str, str, str] | None:
    """Return the failure, its words and the way out where the entry of our key is tied to an address or a time."""
    ties = [
        (keys.option_of(str(entry), public, "expiry-time"), keys.option_of(str(entry), public, "from"))
        for entry in app.serving.keys
    ]
    until = next((until for until, _ in ties if until and until[:8] <= re.sub(r"\D", "", today)[:8]), None)
    if until is not None:
        return (
            "key-expired",
            f": it was valid until {until[:8]}",
            f'the entry of your key has `expiry-time="{until}"`, which is past',
        )
    place = next((place for _, place in ties if place), None)
    if place is None and not by_address:
        return None
    return "key-from", " from this address", f'the entry of your key has `from="{place or "…"}"`: it opens only from there'


def _unseen(app: App, door: Door, says: str) -> Verdict:
    """Nobody looked into the settings, or the key is not in them: it may be any of what sshd refuses in the same words."""
    fix = tell(
        "let the server's own log tell",
        "sshd refuses in the same words: a key that it does not hold, another login name, an account that is locked or barred, "
        "an entry that has expired or is tied to an address, a kind of key it does not take, key files that others may write",
        "tell them apart: the server's log has one line for each attempt (the app: Settings, Apps, the app, Log)",
        "sign in to Home Assistant, and its settings are looked at too: `ha-ssh login`",
    )
    return wrong(says, CHECK.why, *_evidence(app, door), fix=fix, failure="key-refused")


def _in_vain(facts: Facts, app: App, door: Door, says: str) -> Verdict:
    """The key is in the settings and still refused, for no reason that is seen."""
    restarts = facts.get(Restarts)
    restarted = app.slug in facts.fresh or (isinstance(restarts, Restarts) and app.slug in restarts.slugs)
    fix = tell(
        "compare what the app has",
        f"the key is in the settings{', the app was restarted' if restarted else ''}, and still it is refused: not recognised",
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
        False: "the app's log shows no such attempt",
    }
    known_as = {
        None: "",
        True: "it owns the host key that this computer knows",
        False: "its host key is another one than this computer knows",
    }
    return tuple(
        text
        for text in (
            str(door.message),
            f"greeting: {door.banner}" if door.banner else "",
            f"it offers: {', '.join(door.methods)}" if door.methods else "",
            f"login name {app.serving.user}, port {door.port}",
            f"the server says: {door.said}" if door.said else "",
            seen[door.app_saw],
            known_as[door.known_host],
            *(f"the app's log: {one.line}" for one in logs.refusals(door.logged)[-2:]),
        )
        if text
    )


def break_it(scene: Breakable) -> None:
    """Let another SSH server answer that knows nobody."""
    scene.house.knobs.door = "stranger"


def _bind(scene: Breakable) -> None:
    """Let every key open from one other address alone."""
    _tie(scene, 'from="10.9.8.7"')


def _tie(scene: Breakable, option: str) -> None:
    path = scene.flavour.add_key("").path
    entries = [f"{option} {entry}" for entry in scene.flavour.read({"options": scene.app.options}).keys]
    scene.save(Edit(path=path, op=EditOp.SET, value=entries, title="restrict the keys"))
    scene.restart()


def _host(scene: Breakable) -> None:
    """Let the host's own server answer."""
    scene.house.knobs.door = "stranger"
    scene.house.knobs.banner = "SSH-2.0-dropbear_2025.88"


def _expire(scene: Breakable) -> None:
    """Let every key have expired."""
    _tie(scene, 'expiry-time="20200101"')


def _second_factor(scene: Breakable) -> None:
    """Ask for more than the key."""
    scene.house.knobs.door = DoorState.SECOND_FACTOR


def _cut(scene: Breakable) -> None:
    """Let everybody in, and end the connection then."""
    scene.house.knobs.door = DoorState.CUT


def _debian(scene: Breakable) -> None:
    """Let the server of the system under Home Assistant answer."""
    scene.house.knobs.door = "stranger"
    scene.house.knobs.banner = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"


CHECK = Check(
    id="login-works",
    stage=Stage.LOGIN,
    title="A login with your key succeeds",
    why="nothing else proves that the door opens",
    needs=(Apps, Doors, MyKey, Restarts),
    rests_on=("port-answers", "key-file", "key-authorised"),
    judge=judge,
    break_it=break_it,
    faults={
        "key-from": _bind,
        "key-expired": _expire,
        "host-22222": _host,
        "wrong-server": _debian,
        "second-factor": _second_factor,
        "cut-off": _cut,
    },
)
