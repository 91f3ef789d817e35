"""Fixed things to show: a plan, findings, and the ends of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ha_ssh.core.model import (
    Check,
    Consent,
    Finding,
    Fix,
    IfFailed,
    Plan,
    PlannedStep,
    Risk,
    Scope,
    Stage,
    Verdict,
    Waiting,
    note,
    ok,
    tell,
    unknown,
    warn,
    wrong,
)


@dataclass(frozen=True)
class Sample:
    """A step that is only looked at."""

    id: str
    title: str
    version: int = 1
    if_failed: IfFailed = IfFailed.KEEP

    def preview(self, facts: Any) -> tuple[str, ...]:
        return ()


def check(name: str, title: str, *, stage: Stage = Stage.APP, scope: Scope = Scope.ACCESS) -> Check:
    return Check(id=name, stage=stage, scope=scope, title=title, why="", judge=lambda _want, _facts: ok("fine"))


def finding(name: str, title: str, verdict: Verdict, because: str | None = None) -> Finding:
    return Finding(check=check(name, title), verdict=verdict, because=because)


PASSWORD = finding(
    "password-as-wanted",
    "Password login is as wanted",
    wrong(
        "people can log in with a password",
        "a password can be guessed",
        fix=Fix(does="clear the password", consent=Consent.ASK, risk=Risk.PASSWORD_OFF),
    ),
)
HOUSE = finding(
    "supervisor-ready",
    "The Supervisor is ready",
    warn(
        "the Supervisor is outdated",
        "an outdated Supervisor refuses to install apps",
        fix=tell("update the Supervisor", "Settings, System, Updates"),
    ),
)
PLAN = Plan(
    steps=(
        PlannedStep(
            step=Sample("install-app", "Install Terminal & SSH"),
            because=("app-installed",),
            preview=("+ the app (add-on) `core_ssh` from the official store; it takes some minutes",),
        ),
        PlannedStep(
            step=Sample("make-key", "Make a new ed25519 key"),
            because=("key-file",),
            preview=(
                "+ /home/me/.ssh/id_ha_ssh_home (without a passphrase, only you can read it)",
                "+ /home/me/.ssh/id_ha_ssh_home.pub",
            ),
        ),
        PlannedStep(
            step=Sample("apply-settings", "Save the app's settings and start it"),
            because=("key-authorised", "port-published"),
            risks=(Risk.PASSWORD_OFF,),
            preview=(
                "+ options.authorized_keys: the new key me@laptop (ha-ssh)",
                '~ options.password: *** -> ""',
                "~ network.22/tcp: none -> 2222",
                "restarts Terminal & SSH: closes open SSH sessions",
            ),
        ),
    ),
    waiting=(
        Waiting(
            check=check("host-key-pinned", "The host keys are pinned"), what="pin the host keys of the server that proved itself"
        ),
        Waiting(check=check("alias-works", "`ssh ha` logs in"), what="let `ssh ha` log in with this key"),
    ),
    told=(HOUSE,),
    unaccepted=(PASSWORD,),
)

FINDINGS = (
    finding("house-answers", "Home Assistant answers", ok("Home Assistant 2026.11.0 answers at http://192.168.1.20:8123")),
    finding("app-installed", "The app is installed", ok("Terminal & SSH 9.20.1 is installed", "version: 9.20.1")),
    HOUSE,
    finding(
        "settings-live",
        "The settings are live",
        wrong(
            "the settings were saved after the app was last started, so the app does not know the key that is authorised in them",
            "an app reads its settings only when it starts",
            "started: 2026-11-23T08:00:00Z",
            "saved: 2026-11-23T09:30:00Z",
            fix=Fix(does="restart Terminal & SSH", slug="core_ssh", restart=True),
        ),
    ),
    finding("login-works", "A login with your key succeeds", wrong("the key was refused", "x"), because="settings-live"),
    finding("ha-works", "`ha` answers", unknown("there was no login to try it in"), because="login-works"),
    PASSWORD,
    finding(
        "ssh-client",
        "OpenSSH is installed",
        wrong(
            "there is no `ssh` here",
            "without it no alias can work",
            fix=tell("install OpenSSH", "`sudo apt install openssh-client`"),
        ),
    ),
    finding(
        "right-server", "It is the right server", unknown("the app's log could not be read", "the proof of the server is in it")
    ),
    finding("boots", "The app starts with the house", note("the app is not started with the house")),
)
