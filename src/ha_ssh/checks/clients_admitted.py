"""Truth: the app's log tells of no client at home that is turned away for something that can be put right."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, known, ok, tell, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ha_ssh.core.model import Breakable

_LOOKED_AT = 400
"""How many of the newest lines count."""
_CLEARED = frozenset({"wrong-user", "too-many"})
"""What is no riddle where logins from the same address succeed."""

_AT_HOME = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128")
_HOME = tuple(map(ipaddress.ip_network, _AT_HOME))

_KNOWN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "rsa-sha1": (
        "rsa-sha1",
        "a client signs with SHA-1, which the server no longer takes; its RSA key itself is fine",
        (
            "update that client (PuTTY from 0.75 on, others from about 2021)",
            "or give it an Ed25519 key beside its RSA key: `ssh-keygen -t ed25519`",
        ),
    ),
    "corrupted": (
        "win-mac",
        "a client computes a checksum wrongly, as OpenSSH for Windows does with the one it likes best",
        (
            "on that computer put `MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com` into the `Host` block",
            "`ha-ssh setup` on Windows does that by itself",
        ),
    ),
    "no-common-algorithm": (
        "kex-none",
        "a client knows none of the ways of encryption that the server offers",
        ("update that client; the line names what it has to offer",),
    ),
    "too-many": (
        "too-many",
        "a client offers so many keys that the server ends the connection before the right one",
        ("on that computer: `IdentitiesOnly yes` and `IdentityFile KEY` in the `Host` block",),
    ),
    "wrong-user": (
        "user-wrong",
        "a client uses a login name that the app does not have",
        ("the login name is `{user}`",),
    ),
    "modes": (
        "agent-sshd-modes",
        "the server distrusts its own key file, since others could write to it",
        ("update the app: newer versions set the modes right",),
    ),
}
"""What a refusal in the log means: the known failure, what is said, and what to do."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Read what sshd refused since the app's start; strangers can write into the log, so it is told and never acted upon."""
    app = facts[Apps].chosen(want.app)
    lines: Any = known(facts[AppLog].lines.get(app.slug, ()), "read the app's log")
    found = _turned_away(lines)
    if not found:
        return ok("the app's log tells of no client at home that was turned away")
    first = found[0]
    failure, says, ways = _KNOWN[first.code]
    more = tuple(dict.fromkeys(f"also: {_KNOWN[one.code][1]}" for one in found if one.code != first.code))
    evidence = (f"the app's log: {first.line}", *more)
    fix = tell(
        "help that client", *_where(first), *(way.format(user=app.serving.user) for way in ways), *_switch(app, first.code)
    )
    return warn(says, CHECK.why, *evidence, fix=fix, failure=failure)


def _turned_away(lines: Sequence[str]) -> list[logs.Refusal]:
    """Return the refusals that count, the newest first."""
    latest = list(logs.since_start(lines))[-_LOOKED_AT:]
    admitted = {login.address for login in logs.logins(latest)}
    return [
        one
        for one in reversed(logs.refusals(latest))
        if one.code in _KNOWN and _is_at_home(one.address) and not (one.code in _CLEARED and one.address in admitted)
    ]


def _is_at_home(address: str | None) -> bool:
    """Return whether an address is of the home network; strangers from outside fail all the time, and should."""
    if address is None:
        return True
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(found in network for network in _HOME)


def _where(refusal: logs.Refusal) -> tuple[str, ...]:
    return (f"it is the computer with the address {refusal.address}",) if refusal.address else ()


def _switch(app: App, code: str) -> tuple[str, ...]:
    switch = app.flavour.allow("old-clients") if code in {"no-common-algorithm", "corrupted"} else None
    if switch is None:
        return ()
    return (f"or switch `{'.'.join(switch.path[1:])}` on in the app's configuration, which makes the server weaker",)


def _log(scene: Breakable, line: str) -> None:
    scene.app.log.append(line)


_FROM = "192.168.1.77 port 50123"


def break_it(scene: Breakable) -> None:
    """Let an old client try an RSA key."""
    _log(scene, "userauth_pubkey: signature algorithm ssh-rsa not in PubkeyAcceptedAlgorithms [preauth]")


CHECK = Check(
    id="clients-admitted",
    stage=Stage.LOGIN,
    scope=Scope.HYGIENE,
    title="No client at home is turned away",
    why="the app's log tells what other clients meet, which nobody sees from this computer",
    needs=(Apps, AppLog),
    rests_on=("app-running", "own-ssh-works", "alias-works", "login-works", "port-answers"),
    judge=judge,
    break_it=break_it,
    faults={
        "win-mac": lambda scene: _log(
            scene, f"ssh_dispatch_run_fatal: Connection from user root {_FROM}: message authentication code incorrect"
        ),
        "user-wrong": lambda scene: _log(scene, f"Invalid user homeassistant from {_FROM}"),
    },
)
