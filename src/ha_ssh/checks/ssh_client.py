"""Truth: this computer has an OpenSSH client that can be used, so that `ssh` and the alias can be used at all."""

from __future__ import annotations

from ha_ssh.core.facts import Alias, Computer, SshConfig
from ha_ssh.core.model import Check, Facts, Later, NotKnown, Scope, Stage, Verdict, Want, ok, tell, warn, wrong

_NONE = "without it there is no `ssh ha`; ha-ssh itself brings its own client"
_INSTALL = (
    "Debian, Ubuntu: `sudo apt install openssh-client`",
    "Windows: Settings, Optional features, OpenSSH Client",
)
_OTHERS = "`type -a ssh` names every `ssh` that your shell finds, the one that it takes first"


def judge(_want: Want, facts: Facts) -> Verdict:
    """Ask `ssh` for its version, and see that it can say what it makes of its configuration."""
    computer = facts[Computer]
    if computer.trouble:
        fix = tell("repair it, or put another first", _OTHERS, *_INSTALL)
        return wrong(computer.trouble, _NONE, fix=fix, failure="ssh-mute")
    if not computer.ssh:
        return warn("there is no OpenSSH client on this computer", _NONE, fix=tell("install OpenSSH", *_INSTALL))
    config = facts.get(SshConfig)
    if isinstance(config, SshConfig) and config.untold:
        return _untold(facts, computer.ssh, config.untold)
    return ok(f"this computer has {computer.ssh.split(',')[0]}")


def _untold(facts: Facts, version: str, words: str) -> Verdict:
    """An `ssh` of before 2014 knows no `-G`, nor does Dropbear's; whether it logs in was tried all the same."""
    name = version.splitlines()[0].split(",")[0]
    what = "is too old" if name.startswith("OpenSSH") else "is no OpenSSH"
    says = f"this computer's `ssh` ({name}) {what}: it cannot say what it makes of its configuration"
    fix = tell("install a newer OpenSSH", *_INSTALL, _OTHERS)
    alias = facts.get(Alias)
    login = None if isinstance(alias, NotKnown | Later) else alias.login
    if login is not None and login.code == 0:
        return warn(says, "it logs in; where its configuration leads elsewhere one day, nobody can see why", words, fix=fix)
    why = "`ssh -G` came with OpenSSH 6.8; without it nobody can see where the alias leads"
    return wrong(says, why, words, fix=fix, failure="ssh-too-old")


CHECK = Check(
    id="ssh-client",
    stage=Stage.COMPUTER,
    scope=Scope.HYGIENE,
    title="This computer has an OpenSSH client",
    why="`ssh ha` is the point of it all",
    needs=(Alias, Computer, SshConfig),
    judge=judge,
)
