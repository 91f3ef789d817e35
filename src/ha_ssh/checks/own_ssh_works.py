"""Truth: the user's own OpenSSH logs in by the alias; what only our client accepts is not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Alias, OwnFiles
from ha_ssh.core.model import Check, Facts, Stage, Verdict, Want, known, note, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the login that `ssh ALIAS` made."""
    alias = want.alias or facts.target.alias
    if not alias:
        return note("no alias is wanted, so `ssh` was not tried")
    login = known(facts[Alias].login, f"see that `ssh {alias}` logs in")
    if login is None:
        return unknown(f"`ssh {alias}` was not tried: the alias does not lead here", CHECK.why)
    if login.code == 0:
        return ok(f"`ssh {alias}` logs in")
    lines = tuple(line for line in login.err.splitlines() if line.strip())
    fix = tell("read what it says", f"`ssh -v {alias}` shows every step; what it reads of your files: `ssh -G {alias}`")
    return wrong(f"`ssh {alias}` does not log in, although the key does", CHECK.why, *lines[-3:], fix=fix)


def break_it(scene: Breakable) -> None:
    """Break the user's own configuration."""
    path = scene.target.places.config
    scene.put_file(path, (scene.file(path) or "") + "\nHost *\n    PubkeyAuthentication no\n")


CHECK = Check(
    id="own-ssh-works",
    stage=Stage.ALIAS,
    title="Your own `ssh` logs in by the alias",
    why="other clients forgive what OpenSSH does not: file modes, line ends, options",
    needs=(Alias, OwnFiles),
    rests_on=("alias-works", "host-key-pinned", "login-works", "right-server", "key-file"),
    judge=judge,
    break_it=break_it,
)
