"""Truth: an SSH server answers on the app's port."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps, Core, Door, Doors, app_and_door
from ha_ssh.core.model import Check, DoorState, Facts, Fix, Level, NotKnown, Stage, Verdict, Want, offer, ok, tell, unknown, wrong
from ha_ssh.core.versions import lies_within

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_READ_LOG = "read the app's log: Settings, Apps, the app, Log"
_LONGEST_PENALTY = 600
_SILENT: dict[DoorState, tuple[str, ...]] = {
    DoorState.UNRESOLVED: ("not-resolvable",),
    DoorState.REFUSED: ("connection-refused",),
    DoorState.TIMEOUT: ("timed-out", "took-too-long", "no-route"),
    DoorState.SILENT: ("timed-out", "took-too-long"),
    DoorState.UNREACHABLE: ("no-route", "timed-out"),
}
"""What Home Assistant's own address meets where the whole host is out of reach."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge what the one connection met, by what the app's log and Home Assistant's own address say beside it."""
    app, door = app_and_door(want, facts)
    explain = _MET.get(door.state)
    if explain is None:
        return ok(f"an SSH server answers on {door.host} port {door.port}")
    if _nobody_is_there(facts, door):
        says = f"{door.host} does not answer at all, neither Home Assistant nor SSH"
        return unknown(says, CHECK.why, str(door.message), because="house-answers")
    return explain(facts, app, door)


def _nobody_is_there(facts: Facts, door: Door) -> bool:
    """Return whether the way to the host itself is missing, so that nothing can be said about its SSH server."""
    core = facts.get(Core)
    return _same_host(facts, door) and isinstance(core, NotKnown) and core.code in _SILENT.get(door.state, ())


def _same_host(facts: Facts, door: Door) -> bool:
    return (urlsplit(facts.target.url).hostname or "") == door.host


def _beside(facts: Facts, door: Door) -> tuple[str, ...]:
    """Return what Home Assistant's own address tells about the way to the host."""
    if isinstance(facts.get(Core), NotKnown):
        return ()
    same = _same_host(facts, door)
    return (f"Home Assistant itself answers at {facts.target.url}, {'the same' if same else 'another'} host",)


def _unresolved(facts: Facts, _app: App, door: Door) -> Verdict:
    fix = tell("use an address instead of the name", "`ha-ssh setup --ssh-host 192.168.…`")
    says = f"the name {door.host} cannot be resolved"
    return wrong(says, CHECK.why, str(door.message), *_beside(facts, door), fix=fix, failure="name-unknown")


def _refused(facts: Facts, app: App, door: Door) -> Verdict:
    evidence = (str(door.message), *_beside(facts, door), *_listens(facts, app))
    fix = tell(
        "find out who refuses",
        f"is {door.host} the machine that runs Home Assistant? Its own page names its address: Settings, System, Network",
        f"a firewall may refuse too: try `nc -vz {door.host} {door.port}` from another computer of the same network",
        _READ_LOG,
    )
    return wrong(f"nothing listens on {door.host} port {door.port}", CHECK.why, *evidence, fix=fix, failure="refused")


def _timeout(facts: Facts, _app: App, door: Door) -> Verdict:
    evidence = (str(door.message), *_beside(facts, door))
    filtered = bool(_beside(facts, door)) and _same_host(facts, door)
    if filtered:
        fix = tell(
            "open the way to the port",
            f"something drops what goes to port {door.port}: a firewall on this computer, a guest network, another VLAN, "
            "a VPN, or a tunnel for web pages only",
            f"tell them apart: `nc -vz {door.host} {door.port}` from a computer in the same network as the house",
        )
        says = f"{door.host} answers, but what goes to port {door.port} is dropped on the way"
        return wrong(says, CHECK.why, *evidence, fix=fix, failure="timeout")
    fix = tell(
        "find where the way ends",
        f"a firewall drops what goes to port {door.port}, or the address is another's (or nobody's), or no way leads there",
        f"tell them apart: does `http://{_in_url(door.host)}:8123` open in a browser on this computer? Then it is the port",
        "another address: `ha-ssh setup --ssh-host ADDRESS`",
    )
    return wrong(f"{door.host} port {door.port} does not answer", CHECK.why, *evidence, fix=fix, failure="timeout")


def _silent(facts: Facts, _app: App, door: Door) -> Verdict:
    """A connection was made, so the way is open: it is whoever took it that says nothing."""
    fix = tell(
        "find out who took the connection",
        "an SSH server that hangs (restart the app), one that waits for a slow name server, or something that is no SSH server",
        f"tell them apart: `nc {door.host} {door.port}` shows what comes, and after how long; `SSH-2.0-…` is an SSH server",
        _READ_LOG,
    )
    says = f"{door.host} port {door.port} takes the connection, and then says nothing"
    return wrong(says, CHECK.why, str(door.message), *_beside(facts, door), fix=fix, failure="silent")


def _stalled(facts: Facts, _app: App, door: Door) -> Verdict:
    """Small packets come through and what follows does not, or the server stopped."""
    fix = tell(
        "find out what stops it",
        "the server hangs (restart the app) or waits for a slow name server, or larger packets are lost on the way (VPN, MTU)",
        f"tell them apart: `ping -M do -s 1400 {door.host}` (on macOS `ping -D -s 1400`) fails where large packets are lost",
        _READ_LOG,
    )
    says = f"an SSH server answers on {door.host} port {door.port}, and says nothing more in the middle of the login"
    words = (f"the server says: {door.said}",) if door.said else ()
    return wrong(says, CHECK.why, str(door.message), *words, *_beside(facts, door), fix=fix, failure="stalled")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _unreachable(facts: Facts, _app: App, door: Door) -> Verdict:
    fix = tell(
        "find the way",
        "check this computer's network and VPN",
        f"or a firewall refuses port {door.port}: tell them apart by `ping {door.host}`, which such a firewall lets through",
        "another address: `ha-ssh setup --ssh-host ADDRESS`",
    )
    if _beside(facts, door) and _same_host(facts, door):
        says = f"{door.host} answers, but a firewall refuses what goes to port {door.port}"
    else:
        says = f"no way leads to {door.host} port {door.port} from here"
    return wrong(says, CHECK.why, str(door.message), *_beside(facts, door), fix=fix, failure="no-way")


def _reset(facts: Facts, app: App, door: Door) -> Verdict:
    """A connection that is closed before a banner: the app's log tells a penalty, a crowd and a dead server apart."""
    told = logs.refusals(door.logged)
    penalty = next((one for one in told if one.code == "penalty"), None)
    where = f"{door.host} port {door.port}"
    if penalty is not None:
        return _punished(facts, app, door, penalty)
    crowd = [one.line for one in told if one.code == "busy"]
    if crowd or _CROWDED in str(door.message):
        fix = tell("try again in a minute", "if the port is open to the internet, close it: strangers keep it busy")
        says = f"{where} closes connections, since too many others wait to log in"
        return wrong(says, CHECK.why, str(door.message), *crowd, fix=fix, failure="kex-closed")
    if _TURNED_AWAY in str(door.message):
        return _for_now(app, door)
    lines = _lines(facts, app)
    if lines and not logs.listening(lines) and app.slug not in facts.fresh:
        return wrong(
            f"{where} takes connections and closes them: the app runs, but its SSH server does not",
            CHECK.why,
            str(door.message),
            "the app's log shows no `Server listening on` since its last start",
            fix=Fix(does=f"restart {app.flavour.name}", slug=app.slug, restart=True),
            failure="sshd-dead-bridge",
        )
    fix = tell(
        "find out who closes it",
        "it may be a firewall (or fail2ban), an SSH server that is too busy or that died, or a server that speaks TLS",
        f"tell them apart: `nc {door.host} {door.port}` from another computer; `SSH-2.0-…` there means a firewall here",
        f"{_READ_LOG}; restarting the app does no harm",
    )
    return wrong(f"{where} closes the connection at once", CHECK.why, str(door.message), fix=fix, failure="kex-closed")


def _punished(facts: Facts, app: App, door: Door, penalty: logs.Refusal) -> Verdict:
    """Wait; the app's log may say for how long."""
    seconds = logs.penalty_seconds((*_lines(facts, app), *door.logged), penalty.address)
    about = "" if seconds is None else f"about {_minutes(seconds)}, "
    idle = "without attempting authentication" in penalty.line
    fix = tell(
        "wait, without trying",
        f"wait {about}{_minutes(_LONGEST_PENALTY)} at most: each try with a wrong key or password makes it longer",
        *(["find what connects again and again and never logs in: a watch on the port, a scan, a script"] if idle else []),
        "then look again: `ha-ssh doctor`",
    )
    earned = "connections without a login" if idle else "failed logins"
    says = f"the SSH server turns this computer away for a while, after {earned} from its address"
    return wrong(says, _PENALTY, str(door.message), f"the app's log: {penalty.line}", fix=fix, failure="penalties")


def _for_now(app: App, door: Door) -> Verdict:
    """OpenSSH says the same to an address that it punishes and to everybody in a crowd; its log alone tells which."""
    fix = tell(
        "wait, without trying",
        f"after failed logins from here it is over in {_minutes(_LONGEST_PENALTY)} at most; a crowd goes sooner",
        f"tell them apart: the log of {app.flavour.name} says `penalty` or `MaxStartups`",
        "then look again: `ha-ssh doctor`",
    )
    says = (
        "the SSH server turns this computer away for now: after failed logins from its address, or since too many wait to log in"
    )
    return wrong(says, _PENALTY, str(door.message), fix=fix, failure="penalties")


_TURNED_AWAY, _CROWDED = "Not allowed at this time", "Exceeded MaxStartups"
"""What sshd says in place of a banner: of 9.8 and newer to whom it turns away, of older ones while too many wait to log in."""
_PENALTY = "an SSH server makes an address wait that fails to log in, or does not try; waiting is all that helps"


def _minutes(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"


def _not_ssh(facts: Facts, app: App, door: Door) -> Verdict:
    listens = _listens(facts, app)
    elsewhere = (
        "the app's server is up, so the way leads elsewhere: a port forward to another port, or the address of a proxy or NAS",
        "another address: `ha-ssh setup --ssh-host ADDRESS`; a port forward is set in the router, or in the proxy",
    )
    another_port = f"`ha-ssh setup --port N`, with a port that nothing else has (not {door.port})"
    fix = tell("find out who answers there", *(elsewhere if listens else ()), another_port)
    says = f"something else than SSH answers on {door.host} port {door.port}"
    evidence = (str(door.message), *_beside(facts, door), *listens)
    return wrong(says, CHECK.why, *evidence, fix=fix, failure="not-ssh")


def _no_common(_facts: Facts, app: App, door: Door) -> Verdict:
    says = "the SSH server and this client share no way of encryption"
    evidence = (str(door.message), *(one.line for one in logs.refusals(door.logged)))
    known_of = any(lies_within(app.version, flaw.since, flaw.mended) and flaw.level is Level.WRONG for flaw in app.flavour.flaws)
    met = wrong(says, CHECK.why, *evidence, fix=_in_common(app), failure="kex-none")
    return replace(met, because="app-version", fix=None) if known_of else met


def _in_common(app: App) -> Fix:
    """Offer the app's switch for older clients where it is off; a newer client or server is better."""
    server = app.flavour.name if app.seen else "the server"
    newer = f"rather update whichever is older: OpenSSH on this computer, or {server}"
    switch = app.flavour.allow("old-clients") if app.serving.hardened else None
    if switch is None:
        return tell("update whichever is older", f"OpenSSH on this computer, or {server}")
    name = ".".join(switch.path[1:])
    weaker = f"`{name}` in the app's configuration is the switch; it makes the server weaker for everybody"
    return offer("let the app offer older ways too", switch, app.slug, newer, weaker)


def _lost(_facts: Facts, _app: App, door: Door) -> Verdict:
    fix = tell("read what the app says", _READ_LOG, "another look tells whether it was but a moment: `ha-ssh doctor`")
    evidence = (str(door.message), f"greeting: {door.banner}", *(one.line for one in logs.refusals(door.logged)))
    says = f"the SSH server on {door.host} port {door.port} broke the connection off; why is not recognised"
    return wrong(says, CHECK.why, *evidence, fix=fix, failure="lost")


_MET = {
    DoorState.UNRESOLVED: _unresolved,
    DoorState.REFUSED: _refused,
    DoorState.TIMEOUT: _timeout,
    DoorState.SILENT: _silent,
    DoorState.STALLED: _stalled,
    DoorState.UNREACHABLE: _unreachable,
    DoorState.RESET: _reset,
    DoorState.NOT_SSH: _not_ssh,
    DoorState.NO_COMMON: _no_common,
    DoorState.LOST: _lost,
}


def _lines(facts: Facts, app: App) -> tuple[str, ...]:
    log = facts.get(AppLog)
    lines: Any = () if isinstance(log, NotKnown) else log.lines.get(app.slug, ())
    return lines if isinstance(lines, tuple) else ()  # in a plan it may still be to come


def _listens(facts: Facts, app: App) -> tuple[str, ...]:
    """Return the app's own word that its server listens, for which no stranger's line is taken."""
    said = logs.listening(_lines(facts, app))
    return (f"the app's log says that its server listens on {said[0].address} port {said[0].port}",) if said else ()


def break_it(scene: Breakable) -> None:
    """Put a web server behind the port."""
    scene.house.knobs.door = DoorState.NOT_SSH


def _drop_packets(scene: Breakable) -> None:
    """Let what goes to the port be dropped."""
    scene.house.knobs.door = DoorState.TIMEOUT


def _say_nothing(scene: Breakable) -> None:
    """Take every connection, and say nothing."""
    scene.house.knobs.door = DoorState.SILENT


def _stop_short(scene: Breakable) -> None:
    """Greet, and say nothing more."""
    scene.house.knobs.door = DoorState.STALLED


def _hang_up(scene: Breakable) -> None:
    """Close every connection, with a log that is in order."""
    scene.house.knobs.door = DoorState.RESET


def _age(scene: Breakable) -> None:
    """Offer nothing that this client knows; a hardened app may be made to offer more."""
    if scene.flavour.allow("old-clients") is None:
        scene.house.knobs.door = DoorState.NO_COMMON
    else:
        scene.house.knobs.too_new = True


def _break_off(scene: Breakable) -> None:
    """Break every connection off after the greeting."""
    scene.house.knobs.door = DoorState.LOST


def _punish(scene: Breakable) -> None:
    """Let failed logins have shut this computer out."""
    scene.house.penalise_everybody(300.0)


def _kill_server(scene: Breakable) -> None:
    """Let the app run without its SSH server."""
    scene.house.knobs.sshd_gone.add(scene.slug)
    scene.app.log[:] = [line for line in scene.app.log if not re.match("Server listening on", line)]


CHECK = Check(
    id="port-answers",
    stage=Stage.PORT,
    title="The port speaks SSH",
    why="the app may be up and its SSH server still out of reach",
    needs=(Apps, AppLog, Core, Doors),
    rests_on=("settings-live", "name-resolves"),
    judge=judge,
    break_it=break_it,
    faults={
        "timeout": _drop_packets,
        "silent": _say_nothing,
        "stalled": _stop_short,
        "kex-closed": _hang_up,
        "penalties": _punish,
        "sshd-dead-bridge": _kill_server,
        "kex-none": _age,
        "lost": _break_off,
    },
)
