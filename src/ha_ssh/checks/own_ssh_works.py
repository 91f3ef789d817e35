"""Truth: the user's own OpenSSH logs in by the alias; what only our client accepts is not enough."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ha_ssh.core import sshconfig
from ha_ssh.core.facts import Alias, Door, Doors, MyKey, OwnFiles, SshConfig
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    Later,
    NotKnown,
    Stage,
    Verdict,
    Want,
    known,
    note,
    ok,
    tell,
    unknown,
    warn,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ha_ssh.core.model import Breakable


@dataclass(frozen=True)
class _Setting:
    """A setting that holds for the alias too: when it is to blame, which known failure that is, and what is said."""

    keyword: str
    hinders: Callable[[str, Facts], bool]
    failure: str
    says: str
    pattern: str = ""
    """The words of `ssh` that fit it."""
    way: str = ""


def _is_set(value: str, _facts: Facts) -> bool:
    return value not in {"", "none"}


def _bars_keys(value: str, _facts: Facts) -> bool:
    return bool(value) and "publickey" not in value.split(",")


def _bars_our_kind(value: str, facts: Facts) -> bool:
    """Return whether no signature of our key's kind is left; RSA keys sign in newer ways than their name says."""
    key = facts.get(MyKey)
    kind = str(key.public).split(" ", 1)[0] if isinstance(key, MyKey) and isinstance(key.public, str) else ""
    signs = {"rsa-sha2-256", "rsa-sha2-512"} if kind == "ssh-rsa" else {kind}
    return bool(value and kind) and not signs & set(value.split(","))


def _leads_elsewhere(value: str, facts: Facts) -> bool:
    ours, named = (path.replace("\\", "/").replace("%%", "%") for path in (facts.target.places.known_hosts, value))
    return bool(value) and ours not in named


_NO_ANSWER = r"resolve hostname|Address family|unreachable|No route|timed out|refused|was ended after"
_NOT_KNOWN = r"host key is known|Host key verification failed|KnownHostsCommand"
_STRAIGHT = "or let the alias go straight: a `Host` block of your own with `ProxyJump none` first"

_SETTINGS = (
    _Setting("proxyjump", _is_set, "cfg-detour", "takes a detour that does not lead there", way=_STRAIGHT),
    _Setting("proxycommand", _is_set, "cfg-detour", "takes a detour that does not lead there", way=_STRAIGHT),
    _Setting("preferredauthentications", _bars_keys, "pubkey-off", "offers no key, since your configuration forbids it"),
    _Setting(
        "pubkeyauthentication",
        lambda value, _facts: value in {"false", "no"},
        "pubkey-off",
        "offers no key, since your configuration forbids it",
    ),
    _Setting(
        "pubkeyacceptedalgorithms",
        _bars_our_kind,
        "pubkey-off",
        "does not offer your key, since your configuration leaves no signature of its kind",
        r"Permission denied|no mutual signature",
    ),
    _Setting(
        "bindaddress", _is_set, "cfg-bind", "sets out from an address that does not lead there", rf"bind|assign|{_NO_ANSWER}"
    ),
    _Setting("bindinterface", _is_set, "cfg-bind", "sets out from a network that does not lead there", rf"bind|{_NO_ANSWER}"),
    _Setting(
        "addressfamily",
        lambda value, _facts: value in {"inet", "inet6"},
        "cfg-family",
        "may use one kind of address only, and that leads to no answer",
        _NO_ANSWER,
        "`inet` is IPv4, `inet6` is IPv6, `any` is both",
    ),
    _Setting(
        "knownhostscommand",
        _is_set,
        "cfg-known-hosts",
        "asks a program for host keys, which does not name the server's",
        _NOT_KNOWN,
    ),
    _Setting(
        "userknownhostsfile",
        _leads_elsewhere,
        "cfg-known-hosts",
        "looks for host keys in another file than the one in which they are pinned",
        rf"{_NOT_KNOWN}|HOST IDENTIFICATION HAS CHANGED",
    ),
)
"""What the user's own settings can do to the login; the first that fits counts."""

_NO_SHELL = "`ssh {alias}` is how you get a shell; we could look only since we set this aside"
_BESIDE = (
    _Setting(
        "remotecommand",
        _is_set,
        "cfg-remote-command",
        "runs a command of your configuration in the place of a shell",
        way="or take it back for the alias: a `Host` block of your own with `RemoteCommand none` first",
    ),
    _Setting(
        "sessiontype",
        lambda value, _facts: value not in {"", "default"},
        "cfg-session-type",
        "opens no shell and runs no command, since your configuration forbids it",
    ),
    _Setting(
        "forkafterauthentication",
        lambda value, _facts: value in {"yes", "true"},
        "cfg-fork",
        "goes into the background, and so opens no shell",
    ),
)
"""What a look by `ssh` has to set aside, though the user's own `ssh` stumbles over it."""


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
        return _beside(facts, alias) or ok(f"`ssh {alias}` logs in")
    if _is_locked(facts):
        return unknown(f"`ssh {alias}` would ask for the passphrase of your key, which was not given", CHECK.why)
    lines = tuple(line for line in login.err.splitlines() if line.strip(" @"))[-6:]
    by_config = _by_variable(facts, alias, lines) or _by_config(facts, alias, lines)
    if by_config is not None:
        return by_config
    found = next((row for row in _SAID if re.search(row.pattern, login.err)), None)
    if found is not None:
        fix = tell("follow what it says", *(way.format(alias=alias) for way in found.ways))
        return wrong(f"`ssh {alias}` does not log in: {found.says}", CHECK.why, *lines, fix=fix, failure=found.failure)
    door = _silent_door(facts)
    if door is not None:
        says = f"`ssh {alias}` ends with code {login.code}"
        return replace(wrong(says, CHECK.why, *lines, failure="no-commands"), because="ha-works")
    fix = tell("read what it says", f"`ssh -v {alias}` shows every step; `ssh -G {alias}` shows what it reads of your files")
    says = f"`ssh {alias}` does not log in, although the key does; why is not recognised"
    return wrong(says, CHECK.why, *lines, fix=fix, failure="asyncssh-false-ok")


def _silent_door(facts: Facts) -> Door | None:
    """Return the door behind which no command runs, where there is one."""
    doors = facts.get(Doors)
    found = () if isinstance(doors, NotKnown) else doors.by_slug.values()
    return next((door for door in found if door.admitted is True and door.mute), None)


def _is_locked(facts: Facts) -> bool:
    key = facts.get(MyKey)
    return not isinstance(key, NotKnown) and key.state.problem == "locked"


def _beside(facts: Facts, alias: str) -> Verdict | None:
    """Return what hinders the user's own `ssh`, though not ours: his commands (a warning), or every use."""
    said = _said(facts)
    for row in _BESIDE:
        if row.hinders(value := said.get(row.keyword, ("",))[0], facts):
            says, fix = f"`ssh {alias}` {row.says}: `{row.keyword} {value}`", _correct(facts, row.keyword, row.way)
            if row.keyword == "remotecommand":
                why = f"`ssh {alias} COMMAND` and `rsync` then fail: `Cannot execute command-line and remote command`"
                return warn(says, why, fix=fix, failure=row.failure)
            return wrong(says, _NO_SHELL.format(alias=alias), fix=fix, failure=row.failure)
    return None


def _by_variable(facts: Facts, alias: str, lines: tuple[str, ...]) -> Verdict | None:
    """Return what OpenSSH says of a variable that is not set."""
    found = re.search(r"env var (\$\{[^}]+\}) has no value", "\n".join(lines))
    if found is None:
        return None
    own = _own_lines(facts)
    where = _where(facts, [line.number for line in own if found[1] in line.raw and line.keyword])
    fix = tell("correct your configuration", f"it is {where}: set the variable, or write the path itself")
    says = f"`ssh {alias}` gives up, since your configuration names the variable `{found[1]}`, which has no value"
    return wrong(says, CHECK.why, *lines, fix=fix, failure="cfg-variable")


def _by_config(facts: Facts, alias: str, lines: tuple[str, ...]) -> Verdict | None:
    """Return what the user's own settings explain: they hold for the alias too, where it does not say otherwise."""
    said, words = _said(facts), "\n".join(lines)
    for row in _SETTINGS:
        value = said.get(row.keyword, ("",))[0]
        if row.hinders(value, facts) and re.search(row.pattern, words):
            says = f"`ssh {alias}` {row.says}: `{row.keyword} {value}`"
            fix = _correct(facts, row.keyword, row.way)
            return wrong(says, "a setting for every host holds for the alias too", *lines, fix=fix, failure=row.failure)
    return None


def _said(facts: Facts) -> Mapping[str, tuple[str, ...]]:
    config = facts.get(SshConfig)
    return {} if isinstance(config, NotKnown | Later) or isinstance(config.said, Later) else config.said


def _own_lines(facts: Facts) -> tuple[sshconfig.Line, ...]:
    files = facts.get(OwnFiles)
    return () if isinstance(files, NotKnown) else sshconfig.lines(files.config.text or "")


def _where(facts: Facts, numbers: Sequence[int]) -> str:
    if not numbers:
        return "in a file that your configuration includes"
    return f"line {numbers[0]} of `{facts[OwnFiles].config.path}`"


def _correct(facts: Facts, keyword: str, *more: str) -> Fix:
    """Name the user's own line that sets it: the one with that value, where several do."""
    value = _said(facts).get(keyword, ("",))[0].lower()
    setting = [line for line in _own_lines(facts) if line.keyword == keyword]
    exact = [line for line in setting if " ".join(line.args).lower() == value]
    where = _where(facts, [line.number for line in exact or setting])
    return tell("correct your configuration", f"it is {where}: let it hold for other hosts only", *filter(None, more))


def _add(scene: Breakable, line: str) -> None:
    path = scene.target.places.config
    scene.put_file(path, f"{scene.file(path) or ''}\nHost *\n    {line}\n")


def _say_first(scene: Breakable, line: str) -> None:
    path = scene.target.places.config
    scene.put_file(path, f"Host *\n    {line}\n\n{scene.file(path) or ''}")


def break_it(scene: Breakable) -> None:
    """Forbid keys for every host."""
    _add(scene, "PubkeyAuthentication no")


CHECK = Check(
    id="own-ssh-works",
    stage=Stage.ALIAS,
    title="Your own `ssh` logs in by the alias",
    why="other clients forgive what OpenSSH does not: file modes, line ends, options",
    needs=(Alias, Doors, MyKey, OwnFiles, SshConfig),
    rests_on=("alias-works", "host-key-pinned", "login-works", "right-server", "key-file"),
    judge=judge,
    break_it=break_it,
    faults={
        "cfg-detour": lambda scene: _add(scene, "ProxyJump no-such-house.invalid"),
        "cfg-algorithms": lambda scene: _add(scene, "Ciphers 3des-cbc"),
        "cfg-remote-command": lambda scene: _add(scene, "RemoteCommand sleep 30"),
        "cfg-session-type": lambda scene: _add(scene, "SessionType none"),
        "cfg-fork": lambda scene: _add(scene, "ForkAfterAuthentication yes"),
        "cfg-variable": lambda scene: _say_first(scene, "IdentityFile ${NO_SUCH_VARIABLE}/id"),
        "cfg-known-hosts": lambda scene: _say_first(scene, "UserKnownHostsFile /dev/null"),
        "cfg-bind": lambda scene: _add(scene, "BindAddress 203.0.113.9"),
        "cfg-family": lambda scene: _add(scene, "AddressFamily inet6"),
    },
)
