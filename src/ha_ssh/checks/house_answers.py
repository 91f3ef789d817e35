"""Truth: Home Assistant answers at its address and takes our credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.errors import CORE_IS_DOWN
from ha_ssh.core.facts import Core
from ha_ssh.core.model import HOUSE_SLOW, Check, Facts, Fix, NotKnown, Stage, Verdict, Want, note, ok, tell, unknown, warn, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_FAILURES = {
    "front-sign-in": "revproxy",
    "ip-banned": "ip-banned",
    "no-websocket": "revproxy",
    "not-resolvable": "mdns",
    "session-expired": "auth-invalid",
    "signed-out": "auth-invalid",
    "timed-out": "house-silent",
    "token-refused": "auth-invalid",
    "took-too-long": "house-silent",
    "tls-expired": "tls-verify",
    "tls-fingerprint": "tls-verify",
    "tls-name-mismatch": "tls-verify",
    "tls-not-yet-valid": "tls-verify",
    "tls-self-signed": "tls-verify",
    "tls-unknown-issuer": "tls-verify",
    "tls-untrusted": "tls-verify",
    "untrusted-proxy": "revproxy",
}
"""The known failures by the code of the error; a certificate that is not trusted has many codes."""

_WAYS: dict[str, tuple[str, ...]] = {
    "auth-invalid": (
        "sign in again",
        "make a long-lived token in your Home Assistant profile, Security, at the bottom",
        "each token is tried once only: Home Assistant counts refused ones, and may ban this address",
    ),
    "ip-banned": (
        "lift the ban",
        "delete the address of this computer from `ip_bans.yaml` in the configuration folder, and restart Home Assistant",
        "or use another computer: every try with a refused token counts towards the next ban",
    ),
    "mdns": (
        "use the IP address",
        "names in `.local` need mDNS, which some networks, VPNs and systems lack: `--url http://192.168.…:8123`",
    ),
    "revproxy": (
        "go around the proxy, or let it pass on what Home Assistant needs",
        "give the address of the house itself, such as `--url http://homeassistant.local:8123`",
        "or, in the proxy, pass WebSockets on (the `Upgrade` header)",
        "and in `configuration.yaml`, under `http:`, set `use_x_forwarded_for: true` and list the proxy in `trusted_proxies:`",
    ),
    "house-silent": (
        "find out where the way ends",
        "open the address in a browser on this computer",
        "if it does not open there either: the address, the network (guest Wi-Fi, VPN) or a firewall is in the way",
        "give the right one with `--url`",
    ),
    "tls-verify": (
        "use a certificate that can be trusted",
        "use the name that the certificate is made for, or the address of the house itself",
        "or trust this very certificate, once its fingerprint has been compared in the house",
    ),
}
_NOT_ASKED = frozenset({"no-address", "no-api", "no-house", "no-sign-in"})
"""The codes of a house that nobody signed in to: nothing is known against it."""

_GIVE_IT_TIME = tell(
    "give it time, or find out what makes it slow",
    "a small machine that has just started, an update or a backup: run the command again in some minutes",
    "a slow way (VPN, mobile data, a proxy): try the address of the house itself, from its own network",
)
_LOOK_AT_CORE = tell(
    "see why Home Assistant does not answer",
    "by SSH: `ha core info` tells whether it runs; if it does, what stands between (proxy, tunnel) is at fault",
    "if not: `ha core logs` tells what it met, `ha core check` whether its configuration is sound; then `ha core restart`",
)
_DOES = {
    "captive-portal": "sign in to the network first",
    "client-certificate": "go around what demands the certificate",
    "core-not-answering": "find out whether the house runs",
    "front-error": "find out what is the matter with what stands in front",
    "front-refuses": "go around what refuses, or let it pass this computer",
    "front-sign-in": "go around the sign-in in front, or let this computer pass",
    "no-answer": "find out why it has become silent",
    "refused-by-either": "find out who refuses",
    "server-error": "find out what it met",
    "tls-failed": "find out whether TLS is spoken there",
    "tls-refused": "find out why it refuses",
    "tls-too-old": "make its TLS one of today",
    "too-many-requests": "wait",
}
"""What the ways out of an error come to, where the code says more than the failure."""
_MODES = {
    "recovery": "see why its configuration could not be loaded",
    "safe": "restart it without safe mode when you are done with it",
}
_ANY_WAY = ("make it reachable", "open the address in a browser on this computer", "give the right one with `--url`")


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge the one connection to Core's API."""
    core = facts.get(Core)
    if isinstance(core, NotKnown) and core.code in _NOT_ASKED:
        return unknown(core.reason, CHECK.why, fix=tell("let it be asked", *core.hints) if core.hints else None)
    if (slow := _slow(facts)) is not None:
        says = f"not all could be looked at, since Home Assistant at {facts.target.url} is too slow: {slow.reason}"
        return unknown(says, CHECK.why, *slow.evidence, fix=_GIVE_IT_TIME)
    if isinstance(core, NotKnown):
        failure = _failure(core.code, facts.target.url)
        evidence = core.evidence or (f"{core.code}: {core.reason}",)
        says = f"no way into Home Assistant at {facts.target.url}: {core.reason}"
        return wrong(says, CHECK.why, *evidence, fix=_way(core, failure), failure=failure)
    if core.state.detour == "ssh":
        return _by_ssh(facts.target.url, core.state.past)
    if core.state.detour:
        return ok(f"the Supervisor answers, asked from inside the house (Home Assistant {core.state.version})")
    says = f"Home Assistant {core.state.version} answers at {facts.target.url}"
    if core.state.mode:
        return _in_a_mode(core.state.mode, says)
    return ok(says)


def _by_ssh(url: str, past: NotKnown | None) -> Verdict:
    """Core could not be asked, and the Supervisor was; what Core met tells whether it is down or only out of reach."""
    instead, why = "its Supervisor was asked through the SSH login instead", "SSH works without Home Assistant's own page"
    if past is None or past.code in CORE_IS_DOWN:
        evidence = () if past is None else past.evidence or (f"{past.code}: {past.reason}",)
        return warn(f"Home Assistant does not answer at {url}; {instead}", why, *evidence, fix=_LOOK_AT_CORE)
    failure = _failure(past.code, url)
    evidence = past.evidence or (f"{past.code}: {past.reason}",)
    says = f"no way into Home Assistant at {url}: {past.reason} {instead[0].upper()}{instead[1:]}"
    return warn(says, why, *evidence, fix=_way(past, failure), failure=failure)


def _in_a_mode(mode: str, says: str) -> Verdict:
    """Return the verdict on a Core in recovery mode (its configuration is broken) or in safe mode (as somebody wished)."""
    seen = f"get_config: {mode}_mode is true"
    if mode == "recovery":
        look = ("Settings, System, Logs names what is wrong in it", "by SSH: `ha core check`, then `ha core restart`")
        says = f"{says}, but in recovery mode: its configuration could not be loaded"
        return warn(says, "in recovery mode little of the house works", seen, fix=tell(_MODES[mode], *look))
    restart = tell(_MODES[mode], "Settings, System, the power button: restart Home Assistant")
    return note(f"{says}, in safe mode: without what was installed beside it", "", seen, fix=restart)


def _slow(facts: Facts) -> NotKnown | None:
    """Return a look that ran out of time while the house answered, if there is one."""
    found = (fact for _, fact in facts.items() if isinstance(fact, NotKnown) and fact.code == HOUSE_SLOW)
    return next(iter(sorted(found, key=lambda fact: not fact.evidence)), None)


def _failure(code: str, url: str) -> str:
    failure = _FAILURES.get(code, "")
    return "" if failure == "mdns" and ".local" not in url else failure


def _way(core: NotKnown, failure: str) -> Fix:
    """Return the ways out: those of the error itself, which knows most, else those of the failure."""
    does, *instructions = _WAYS.get(failure, _ANY_WAY)
    return tell(_DOES.get(core.code, does), *(core.hints or instructions))


def break_it(scene: Breakable) -> None:
    """Revoke the token."""
    scene.revoke_token()


def _ban(scene: Breakable) -> None:
    """Ban this computer's address."""
    scene.house.ban_after = 0


def _proxy(scene: Breakable) -> None:
    """Put a proxy in between that passes no WebSockets on."""
    scene.house.knobs.front = "no-websocket"


def _certificate(scene: Breakable) -> None:
    """Let the house show a certificate that it has signed itself."""
    scene.house.knobs.front = "tls-self-signed"


def _silence(scene: Breakable) -> None:
    """Let nobody answer."""
    scene.house.knobs.front = "timed-out"


CHECK = Check(
    id="house-answers",
    stage=Stage.HOUSE,
    title="Home Assistant answers and takes our credentials",
    why="everything about the app goes through Home Assistant's own API",
    needs=(Core,),
    judge=judge,
    break_it=break_it,
    faults={
        "auth-invalid": break_it,
        "ip-banned": _ban,
        "revproxy": _proxy,
        "tls-verify": _certificate,
        "house-silent": _silence,
    },
)
