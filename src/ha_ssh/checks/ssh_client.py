"""Truth: this computer has an OpenSSH client, so that `ssh` and the alias can be used at all."""

from __future__ import annotations

from ha_ssh.core.facts import Computer
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, ok, tell, warn


def judge(_want: Want, facts: Facts) -> Verdict:
    """Ask for the version of `ssh`."""
    version = facts[Computer].ssh
    if version:
        return ok(f"this computer has {version.split(',')[0]}")
    return warn(
        "there is no OpenSSH client on this computer",
        "without it there is no `ssh ha`; ha-ssh itself brings its own client",
        fix=tell(
            "install OpenSSH",
            "Debian, Ubuntu: `sudo apt install openssh-client`",
            "Windows: Settings, Optional features, OpenSSH Client",
        ),
    )


CHECK = Check(
    id="ssh-client",
    stage=Stage.COMPUTER,
    scope=Scope.HYGIENE,
    title="This computer has an OpenSSH client",
    why="`ssh ha` is the point of it all",
    needs=(Computer,),
    judge=judge,
)
