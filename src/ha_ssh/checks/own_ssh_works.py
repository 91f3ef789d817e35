"""Truth: the user's own OpenSSH logs in by the alias; what only our client accepts is not enough."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ha_ssh.core import sshconfig
from ha_ssh.core.facts import Alias, MyKey, OwnFiles, SshConfig
from ha_ssh.core.model import Check, Facts, Fix, Later, NotKnown, Stage, Verdict, Want, known, note, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable


@dataclass(frozen=True)
class _Words:
    """Words of OpenSSH's client, the known failure that they tell of, and what to do; `{alias}` stands for the alias."""

    pattern: str
    failure: str
    says: str
    ways: tuple[str, ...]


_SAID = (
    _Words(
        r"UNPROTECTED PRIVATE KEY FILE|bad permissions",
        "key-mode",
        "it passes a key over that others can read",
        ("`chmod 600` the key file that it names",),
    ),
    _Words(
        r"incorrect passphrase|passphrase",
        "key-passphrase",
        "it cannot open the key without its passphrase",
        ("add the key to your agent: `ssh-add KEY`", "for scripts, make a key of their own without a passphrase"),
    ),
    _Words(
        r"error in libcrypto|invalid format",
        "key-crlf",
        "it cannot read the key file: line ends of Windows, a missing end of line, or a key of PuTTY",
        ("tell them apart: `head -1 KEY` of PuTTY begins with `PuTTY-User-Key-File`; `file KEY` names `CRLF`",),
    ),
    _Words(
        r"Too many authentication failures",
        "too-many",
        "it offers other keys until the server ends the connection",
        ("`ssh-add -l` shows the keys of your agent; `IdentitiesOnly yes` in the alias makes it offer but one",),
    ),
    _Words(
        r"REVOKED HOST KEY",
        "hostkey-revoked",
        "it takes the server's host key for revoked",
        ("`RevokedHostKeys` or a line `@revoked` in a file of known hosts names the key: find out why",),
    ),
    _Words(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "hostkey-changed",
        "it knows the server by another host key than it has now",
        ("the line `Offending … key in FILE:LINE` names the place; `ssh -G {alias}` shows `userknownhostsfile`",),
    ),
    _Words(
        r"host key is known for|Host key verification failed",
        "hostkey-unknown",
        "it does not know the server's host key, or looks for it in another file or under another name",
        ("`ssh -G {alias}` shows `userknownhostsfile` and `hostkeyalias`: an own setting may lead elsewhere",),
    ),
    _Words(
        r"Corrupted MAC|message authentication code incorrect",
        "win-mac",
        "its checksums are not what the server computes, a known fault of OpenSSH for Windows",
        ("`ha-ssh setup` on Windows writes `MACs` into the alias that both compute rightly", "or update OpenSSH"),
    ),
    _Words(
        r"Unable to negotiate|no matching|Bad (?:SSH2|configuration option)",
        "cfg-algorithms",
        "its configuration leaves no way of encryption that the server takes too",
        ("`Ciphers`, `MACs`, `KexAlgorithms` or `HostKeyAlgorithms` of your own may be too narrow: see `ssh -G {alias}`",),
    ),
    _Words(
        r"Could not resolve hostname",
        "name-unknown",
        "it finds no address for the name that it looks for",
        ("`ssh -G {alias}` shows `hostname`, and `proxyjump` where there is one",),
    ),
    _Words(
        r"Connection timed out|Operation timed out|was ended after",
        "timeout",
        "it gets no answer, although we did",
        (
            "a firewall of this computer may bar `ssh` alone",
            "`ssh -4 {alias}` and `ssh -6 {alias}` tell an address apart that is dead",
        ),
    ),
)
"""What `ssh` says when it does not log in; the first that fits counts."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the login that `ssh ALIAS` made."""
    alias = want.alias or facts.target.alias or facts.target.ssh_url
    if not alias:
        return note("no alias is wanted, so `ssh` was not tried")
    login = known(facts[Alias].login, f"see that `ssh {alias}` logs in")
    if login is None:
        return unknown(f"`ssh {alias}` was not tried: the alias does not lead here", CHECK.why)
    if login.code == 0:
        return ok(f"`ssh {alias}` logs in")
    if _is_locked(facts):
        return unknown(f"`ssh {alias}` would ask for the passphrase of your key, which was not given", CHECK.why)
    lines = tuple(line for line in login.err.splitlines() if line.strip(" @"))[-6:]
    by_config = _by_config(facts, alias, lines)
    if by_config is not None:
        return by_config
    found = next((row for row in _SAID if re.search(row.pattern, login.err)), None)
    if found is not None:
        fix = tell("follow what it says", *(way.format(alias=alias) for way in found.ways))
        return wrong(f"`ssh {alias}` does not log in: {found.says}", CHECK.why, *lines, fix=fix, failure=found.failure)
    fix = tell("read what it says", f"`ssh -v {alias}` shows every step; `ssh -G {alias}` shows what it reads of your files")
    says = f"`ssh {alias}` does not log in, although the key does; why is not recognised"
    return wrong(says, CHECK.why, *lines, fix=fix, failure="asyncssh-false-ok")


def _is_locked(facts: Facts) -> bool:
    key = facts.get(MyKey)
    return not isinstance(key, NotKnown) and key.state.problem == "locked"


def _by_config(facts: Facts, alias: str, lines: tuple[str, ...]) -> Verdict | None:
    """Return what the user's own settings explain: they hold for the alias too, where it does not say otherwise."""
    config = facts.get(SshConfig)
    said: Mapping[str, tuple[str, ...]] = {} if isinstance(config, NotKnown | Later) else config.said

    def first(keyword: str) -> str:
        return (said.get(keyword) or ("",))[0]

    for keyword in ("proxyjump", "proxycommand"):
        if first(keyword) not in {"", "none"}:
            fix = _correct(facts, keyword, "or let the alias go straight: a `Host` block of your own with `ProxyJump none` first")
            says = f"`ssh {alias}` takes a detour that does not lead there: `{keyword} {first(keyword)}`"
            return wrong(says, "a setting for every host holds for the alias too", *lines, fix=fix, failure="cfg-detour")
    methods = first("preferredauthentications")
    if first("pubkeyauthentication") in {"false", "no"} or (methods and "publickey" not in methods.split(",")):
        keyword = "preferredauthentications" if methods and "publickey" not in methods.split(",") else "pubkeyauthentication"
        says = f"`ssh {alias}` offers no key, since your configuration forbids it (`{keyword}`)"
        return wrong(says, CHECK.why, *lines, fix=_correct(facts, keyword), failure="pubkey-off")
    return None


def _correct(facts: Facts, keyword: str, *more: str) -> Fix:
    """Name the user's own lines that set it."""
    files = facts.get(OwnFiles)
    config = None if isinstance(files, NotKnown) else files.config
    numbers = [line.number for line in sshconfig.lines(config.text or "") if line.keyword == keyword] if config else []
    where = f"line {numbers[0]} of `{config.path}`" if numbers and config else "a file that your configuration includes"
    return tell("correct your configuration", f"it is {where}: let it hold for other hosts only", *more)


def _add(scene: Breakable, line: str) -> None:
    path = scene.target.places.config
    scene.put_file(path, f"{scene.file(path) or ''}\nHost *\n    {line}\n")


def break_it(scene: Breakable) -> None:
    """Forbid keys for every host."""
    _add(scene, "PubkeyAuthentication no")


CHECK = Check(
    id="own-ssh-works",
    stage=Stage.ALIAS,
    title="Your own `ssh` logs in by the alias",
    why="other clients forgive what OpenSSH does not: file modes, line ends, options",
    needs=(Alias, OwnFiles, SshConfig),
    rests_on=("alias-works", "host-key-pinned", "login-works", "right-server", "key-file"),
    judge=judge,
    break_it=break_it,
    faults={
        "cfg-detour": lambda scene: _add(scene, "ProxyJump no-such-house.invalid"),
        "cfg-algorithms": lambda scene: _add(scene, "Ciphers 3des-cbc"),
    },
)
