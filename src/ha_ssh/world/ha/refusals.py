"""What Home Assistant says when it refuses, turned into typed errors: one table.

Every refusal of the Supervisor reaches a laptop as a text (Core drops its error key), and the texts change between
releases: "App" was "Add-on" and "Addon". The table matches loosely; the original stays with the error as a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.redact import redact

_APP = r"(?:app|add-?on|addon)"


@dataclass(frozen=True)
class Row:
    """One refusal: how to recognise it, and what to tell people; `{name}` in the message is a group of the pattern."""

    pattern: str
    code: str
    message: str
    hints: tuple[str, ...] = ()
    passing: bool = False
    """True where the same call may succeed a little later."""


_WAIT = "It passes by itself: wait a minute, then run the same command again."
_SUPERVISOR_LOG = "Settings -> System -> Logs -> Supervisor says more."
_REPAIRS = ("Settings -> System -> Repairs names the reason and the way out.",)
_OTHER_PORT = ("Choose another one: `--port 2222`, `--port 22022`, any but 22222.",)

ROWS: tuple[Row, ...] = (
    Row(r"already installed", "already-installed", "The app is already installed."),
    Row(
        rf"{_APP} (?:.{{1,80}} )?is not installed",
        "not-installed",
        "The app is not installed.",
        ("`ha-ssh setup` installs it.",),
    ),
    Row(
        r"(?P<app>\S+) (?:does not exist in|is not available inside|(?:is )?not (?:found )?in) (?:the )?store",
        "not-in-store",
        "The app store of this house does not have the app `{app}`.",
        ("Reload the store: Settings -> Apps -> App store -> three dots -> Check for updates.",),
    ),
    Row(rf"{_APP} \S+ (?:does not|doesn't) exist", "no-such-app", "Home Assistant does not know the app."),
    Row(
        r"another job is running|job .*already (?:running|in progress)|is already in progress",
        "busy",
        "Home Assistant is busy with another job, and did nothing.",
        (_WAIT,),
        passing=True,
    ),
    Row(
        r"rate limit exceeded, more than",
        "throttled",
        "The Supervisor does this only so often, and did nothing now.",
        (_WAIT,),
        passing=True,
    ),
    Row(
        r"system is not (?:ready|running|frozen)|(?:supervisor|system) is (?:still )?starting|CoreState\.|migration in progress",
        "not-ready",
        "Home Assistant is starting, updating or making a backup, and does nothing else until that is over.",
        (_WAIT,),
        passing=True,
    ),
    Row(
        r"system is not healthy - (?P<reason>[\w, -]+)",
        "unhealthy",
        "The Supervisor calls this system unhealthy ({reason}) and changes nothing until that is put right.",
        _REPAIRS,
    ),
    Row(
        r"not healthy|unhealthy",
        "unhealthy",
        "The Supervisor calls this system unhealthy and changes nothing until that is put right.",
        _REPAIRS,
    ),
    Row(
        r"supervisor (?:needs to|must|has to) be updated|update (?:the )?supervisor|supervisor is (?:out of date|outdated)",
        "supervisor-outdated",
        "The Supervisor wants to be updated first.",
        ("Settings -> System -> Updates: update the Supervisor, then run the same command again.",),
    ),
    Row(
        r"plugin\S* .*update|update plugin",
        "plugins-outdated",
        "The Supervisor wants its plugins to be updated first.",
        (_WAIT, _SUPERVISOR_LOG),
    ),
    Row(
        r"not enough free space|no space left|not enough (?:disk )?space",
        "no-space",
        "The disk of the house is full, or nearly so.",
        ("Delete old backups: Settings -> System -> Backups. Settings -> System -> Storage shows what is left.",),
    ),
    Row(
        r"no (?:\w+ )?internet|no connectivity",
        "no-internet",
        "The house has no internet connection, so it cannot fetch the app.",
        ("Check the network of the house and its name servers: Settings -> System -> Network.",),
    ),
    Row(
        r"port (?P<port>\d+) is already (?:in use|allocated|taken)",
        "port-in-use",
        "The port {port} is already taken in the house.",
        _OTHER_PORT,
    ),
    Row(
        r"address (?:already )?in use|port is already allocated|port .*already (?:in use|taken)",
        "port-in-use",
        "The port is already taken in the house.",
        _OTHER_PORT,
    ),
    Row(
        r"missing option '(?P<option>[^']+)'",
        "invalid-options",
        "The Supervisor refused the settings: the option `{option}` is missing.",
    ),
    Row(
        r"unknown secret '?(?P<option>[^'\s]+)'?",
        "unknown-secret",
        "The settings name the secret `{option}`, which `secrets.yaml` does not have.",
        ("Add it to `secrets.yaml`, or put the value itself into the app's settings.",),
    ),
    Row(
        r"pwned",
        "pwned",
        "The Supervisor refused the settings: a password in them is known from leaks.",
        ("Use a key and no password, or another password.",),
    ),
    Row(
        r"(?:invalid \w+|\w+ error) (?:for|in) (?:option )?'(?P<option>[^']+)'",
        "invalid-options",
        "The Supervisor refused the settings: the value of `{option}` has the wrong form.",
    ),
    Row(r"invalid options: (?P<detail>.+?)\.?(?: Got|$)", "invalid-options", "The Supervisor refused the settings: {detail}."),
    Row(
        r"@ data\['network'\]|invalid port",
        "invalid-port",
        "The Supervisor refused the port.",
        ("A port is a number from 1 to 65535.",),
    ),
    Row(
        r"(?P<detail>\S.*) @ data\['(?P<option>\w+)'\]",
        "invalid-options",
        "The Supervisor refused the request: `{option}`: {detail}.",
    ),
    Row(
        r"not supported on this|unsupported (?:system )?architecture|not available for (?:this )?(?:arch|machine)",
        "not-supported",
        "The app does not run on this machine.",
        ("Both SSH apps need a 64-bit system, aarch64 or amd64, and a recent Home Assistant.",),
    ),
    Row(
        r"docker ?hub|toomanyrequests",
        "registry-limit",
        "Docker Hub answers no more requests from this house for now.",
        ("Try again in some hours, or sign in to Docker Hub: Settings -> Apps -> App store -> three dots -> Registries.",),
    ),
    Row(
        r"too many requests|rate.?limit",
        "registry-limit",
        "The registry that the app comes from answers no more requests from this house for now.",
        ("Try again in some minutes.",),
        passing=True,
    ),
    Row(
        r"can't (?:install|pull|download) \S+/\S+|image .*does not exist|manifest unknown|exec format error",
        "image-failed",
        "The Supervisor could not fetch the app's image.",
        ("Check the internet connection of the house, then try again.", _SUPERVISOR_LOG),
    ),
    Row(rf"{_APP} .*is not running", "app-not-running", "The app is not running."),
    Row(
        r"unknown error|check (?:the )?supervisor logs|internal server error|^500\b",
        "unknown-error",
        "The Supervisor met an error that it does not explain.",
        (_SUPERVISOR_LOG, "When an app was to start, a port that is already taken is the usual reason."),
    ),
    Row(
        r"bad gateway|^50[234]\b|connect.* supervisor|supervisor .*(?:not reachable|unavailable|timeout)",
        "supervisor-unreachable",
        "Core cannot reach its Supervisor.",
        (_WAIT, "If it stays so, restart the machine that Home Assistant runs on."),
        passing=True,
    ),
    Row(r"forbidden|unauthori[sz]ed|^40[13]\b", "forbidden", "The Supervisor does not allow this."),
    Row(
        r"^404\b|not found",
        "not-found",
        "This Home Assistant does not know the request.",
        ("Update Home Assistant; if it is up to date, please report this.",),
    ),
)
"""The first row that matches counts: narrow ones stand before wide ones."""

_CODES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unauthorized": (
        "not-admin",
        "This user is no administrator of Home Assistant, so it may not look at or change apps.",
        ("Sign in as an administrator, or make the token while signed in as one.",),
    ),
    "unknown_command": (
        "no-supervisor",
        "This Home Assistant runs without a Supervisor (Container or Core), so there are no SSH apps.",
        ("Use the SSH server of the machine that it runs on.",),
    ),
}
"""WebSocket error codes that say everything by themselves."""
TELLING = frozenset(_CODES)
"""The same by name: such a refusal needs no message."""
_ABOUT = 0.8
"""The part of a time limit from which an empty refusal is the end of that time."""


def unanswered(asked: str, took: float, limit: float) -> HaSshError:
    """The error for a look that was not answered, or refused with an empty message after `took` seconds of `limit`.

    Core refuses so when the time it was given is over; at once it means that it could not ask, or could not read the answer.
    """
    seen = (f"`{asked}`: no answer after {took:.1f} s",)
    if took >= limit * _ABOUT:
        return Unreachable(
            "no-answer",
            f"Home Assistant did not answer `{asked}` within {took:.0f} s.",
            "A slow or overloaded machine, or a full disk, does that: try again in a minute.",
            "If it stays so, restart the machine that Home Assistant runs on.",
            evidence=seen,
        )
    return Unreachable(
        "no-reason",
        f"Home Assistant could not ask `{asked}` of its Supervisor, and gave no reason.",
        "Either the Supervisor is down, or it answered what Core cannot read.",
        "Tell them apart: Settings -> System -> Logs names the failed call (Home Assistant Core), or what the Supervisor met.",
        evidence=(f"`{asked}`: an error without a message after {took:.1f} s",),
    )


def translate(code: str, message: str, *, changing: bool = True) -> HaSshError:
    """The error for a refusal of the WebSocket (`code`, `message`) or the Supervisor's REST; what was said is its evidence.

    An empty message means that nobody knows: the call may have timed out in Core while the job goes on.
    """
    if code in _CODES:
        ours, text, hints = _CODES[code]
        return _with(Refused(ours, text, *hints), redact(message))
    said = redact(message)  # it repeats submitted settings, passwords included
    if code == "timeout" or not said.strip():
        return _with(
            Unreachable(
                "no-answer",
                "Home Assistant did not say how it ended: it may have taken effect all the same."
                if changing
                else "Home Assistant did not answer.",
                "Run the same command again; it looks at what is there before it acts.",
                maybe_done=changing,
            ),
            said,
        )
    for row in ROWS:
        if found := re.search(row.pattern, said, re.IGNORECASE | re.DOTALL):
            return _with(Refused(row.code, row.message.format(**found.groupdict()), *row.hints, passing=row.passing), said)
    return Refused("refused", f"Home Assistant refused: {said}", _SUPERVISOR_LOG)


def _with(error: HaSshError, said: str) -> HaSshError:
    if said.strip():
        error.evidence = (*error.evidence, f"Home Assistant said: {said}")
    return error
