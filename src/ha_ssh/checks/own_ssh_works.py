"""Truth: the user's own OpenSSH logs in by the alias; what only our client accepts is not enough."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ha_ssh.core import sshconfig
from ha_ssh.core.facts import Alias, Apps, Door, Doors, MyKey, OwnFiles, SshConfig
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    Later,
    NotKnown,
    OwnLogin,
    SetAside,
    Stage,
    Verdict,
    Want,
    known,
    note,
    offer,
    ok,
    tell,
    unknown,
    warn,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ha_ssh.core.model import Breakable, FileState


@dataclass(frozen=True)
class _Setting:
    """A setting that holds for the alias too: when it is to blame, which known failure that is, and what is said."""

    keyword: str
    hinders: Callable[[str, Facts], bool]
    failure: str
    says: str
    pattern: str = ""
    """The words of `ssh` that fit it."""
    back: str = ""
    """What takes it back, where the alias says it first."""
    more: str = ""


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


_NO_ANSWER = r"resolve hostname|Address family|unreachable|No route|timed out|refused"
_NOT_KNOWN = r"host key is known|Host key verification failed|KnownHostsCommand"
_NO_WAY = (
    rf"{_NO_ANSWER}|kex_exchange_identification|UNKNOWN port|banner|Connection (?:closed|reset)|Broken pipe|jumphost|"
    "HOST IDENTIFICATION|host key is known"
)
_DENIED = r"Permission denied|No (?:supported|more) authentication"

_SETTINGS = (
    _Setting("proxyjump", _is_set, "cfg-detour", "takes a detour that does not lead there", _NO_WAY, "ProxyJump none"),
    _Setting("proxycommand", _is_set, "cfg-detour", "takes a detour that does not lead there", _NO_WAY, "ProxyCommand none"),
    _Setting(
        "preferredauthentications",
        _bars_keys,
        "pubkey-off",
        "offers no key, since your configuration forbids it",
        _DENIED,
        "PreferredAuthentications publickey",
    ),
    _Setting(
        "pubkeyauthentication",
        lambda value, _facts: value in {"false", "no"},
        "pubkey-off",
        "offers no key, since your configuration forbids it",
        _DENIED,
        "PubkeyAuthentication yes",
    ),
    _Setting(
        "pubkeyacceptedalgorithms",
        _bars_our_kind,
        "pubkey-off",
        "does not offer your key, since your configuration leaves no signature of its kind",
        rf"{_DENIED}|no mutual signature",
    ),
    _Setting(
        "requiredrsasize",
        lambda value, _facts: value.isdecimal(),
        "pubkey-off",
        "takes no RSA key, or host key, that is shorter than your configuration demands",
        r"Invalid key length",
        "RequiredRSASize 1024",
    ),
    _Setting(
        "bindaddress", _is_set, "cfg-bind", "sets out from an address that does not lead there", rf"bind|assign|{_NO_ANSWER}"
    ),
    _Setting(
        "bindinterface",
        _is_set,
        "cfg-bind",
        "sets out from a network that does not lead there",
        rf"bind|getifaddrs|no suitable addresses|{_NO_ANSWER}",
    ),
    _Setting(
        "addressfamily",
        lambda value, _facts: value in {"inet", "inet6"},
        "cfg-family",
        "may use one kind of address only, and that leads to no answer",
        _NO_ANSWER,
        "AddressFamily any",
        "`inet` is IPv4, `inet6` is IPv6, `any` is both",
    ),
    _Setting(
        "revokedhostkeys",
        _is_set,
        "cfg-revoked-keys",
        "refuses every server, since it cannot read the file of revoked keys that your configuration names",
        r"in revoked keys file",
        "RevokedHostKeys none",
    ),
    _Setting(
        "knownhostscommand",
        _is_set,
        "cfg-known-hosts",
        "asks a program for host keys, which does not name the server's",
        _NOT_KNOWN,
        "KnownHostsCommand none",
    ),
    _Setting(
        "userknownhostsfile",
        _leads_elsewhere,
        "cfg-known-hosts",
        "looks for host keys in another file than the one in which they are pinned",
        rf"{_NOT_KNOWN}|HOST IDENTIFICATION HAS CHANGED",
        "UserKnownHostsFile {known_hosts}",
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
        back="RemoteCommand none",
    ),
    _Setting(
        "sessiontype",
        lambda value, _facts: value not in {"", "default"},
        "cfg-session-type",
        "opens no shell and runs no command, since your configuration forbids it",
        back="SessionType default",
    ),
    _Setting(
        "forkafterauthentication",
        lambda value, _facts: value in {"yes", "true"},
        "cfg-fork",
        "goes into the background, and so opens no shell",
        back="ForkAfterAuthentication no",
    ),
)
"""What a look by `ssh` has to set aside, though the user's own `ssh` stumbles over it."""

_ASIDE = {
    "controlpath": _Setting(
        "controlpath",
        _is_set,
        "cfg-control-path",
        "cannot share its connection as your configuration says",
        back="ControlPath none",
    ),
    "localforward": _Setting(
        "localforward",
        _is_set,
        "cfg-forward",
        "gives up, since something cannot be forwarded and your configuration wants all or nothing (`ExitOnForwardFailure`)",
        back="ExitOnForwardFailure no",
    ),
}
_ASIDE |= {word: replace(_ASIDE["localforward"], keyword=word) for word in ("dynamicforward", "remoteforward")}
"""Likewise, where only a look of its own tells whether it stumbles."""


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
        r"error in libcrypto|invalid format|unknown or unsupported key type|Load key .*: (?!Permission|No such)",
        "key-crlf",
        "it cannot read the key file: it is damaged, or written in another form than OpenSSH's",
        (
            "`head -1 KEY` must be `-----BEGIN … PRIVATE KEY-----` alone; a key of PuTTY begins with `PuTTY-User-Key-File`",
            "`file KEY` names `CRLF` where the line ends are those of Windows, and `BOM` where an invisible mark stands first",
        ),
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
        r"Could not resolve hostname",
        "name-unknown",
        "it finds no address for the name that it looks for",
        ("`ssh -G {alias}` shows `hostname`, and `proxyjump` where there is one",),
    ),
    _Words(
        r"Connection timed out|Operation timed out",
        "timeout",
        "it gets no answer, although we did",
        (
            "a firewall of this computer may bar `ssh` alone",
            "`ssh -4 {alias}` and `ssh -6 {alias}` tell an address apart that is dead",
        ),
    ),
)
"""What `ssh` says when it does not log in; the first that fits counts."""

_OF_THE_KEY = (
    r"PRIVATE KEY|bad permissions|passphrase|libcrypto|invalid format|key type|Load key|load pubkey|"
    r"Permission denied|Too many|signature|No (?:supported|more) auth"
)
_OF_THE_HOST_KEY = r"REVOKED|IDENTIFICATION HAS CHANGED|host key is known|Host key verification failed"
"""The words that a fault of the key file, or of the pinned host keys, brings about; others speak of another fault."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the login that `ssh ALIAS` made."""
    alias = want.alias or facts.target.alias or facts.target.ssh_url
    if not alias:
        return note("no alias is wanted, so `ssh` was not tried")
    login = known(facts[Alias].login, f"see that `ssh {alias}` logs in")
    if login is None:
        if _silent_door(facts) is not None:
            return unknown(f"`ssh {alias}` was not tried: no command comes to its end there", CHECK.why, because="ha-works")
        return unknown(f"`ssh {alias}` was not tried: the alias does not lead here", CHECK.why)
    if login.code == 0:
        return _beside(want, facts, alias) or ok(f"`ssh {alias}` logs in")
    if _is_locked(facts) and not login.hung:
        return unknown(f"`ssh {alias}` would ask for the passphrase of your key, which was not given", CHECK.why)
    lines = tuple(line for line in login.err.splitlines() if line.strip(" @"))[-6:]
    verdict = (
        _by_variable(facts, alias, lines)
        or (_by_hanging(facts, alias, login, lines) if login.hung else None)
        or _by_config(facts, alias, lines)
        or (_by_algorithms(want, facts, alias, lines) if _NEGOTIATES.search(login.err) else None)
        or _by_words(facts, alias, login, lines)
    )
    return replace(verdict, apart_from=verdict.apart_from | _apart(login.err))


def _apart(words: str) -> frozenset[str]:
    """Return the truths whose failing would have other words."""
    rest = {"key-file": _OF_THE_KEY, "host-key-pinned": _OF_THE_HOST_KEY}
    return frozenset(check for check, pattern in rest.items() if not re.search(pattern, words))


def _by_words(facts: Facts, alias: str, login: OwnLogin, lines: Sequence[str]) -> Verdict:
    """Return what the words of `ssh` alone tell."""
    found = None if login.hung else next((row for row in _SAID if re.search(row.pattern, login.err)), None)
    if found is not None and found.failure in {"hostkey-unknown", "hostkey-changed"} and _is_a_stranger(facts):
        says = f"`ssh {alias}` does not log in: {found.says}"
        return unknown(says, CHECK.why, *lines, failure=found.failure, because="right-server")
    if found is not None:
        fix = tell("follow what it says", *(way.format(alias=alias) for way in found.ways))
        return wrong(f"`ssh {alias}` does not log in: {found.says}", CHECK.why, *lines, fix=fix, failure=found.failure)
    door = _silent_door(facts)
    if door is not None:
        says = f"`ssh {alias}` ends with code {login.code}"
        return replace(wrong(says, CHECK.why, *lines, failure="no-commands"), because="ha-works")
    fix = tell("read what it says", f"`ssh -v {alias}` shows every step; `ssh -G {alias}` shows what it reads of your files")
    although = ", although the key does" if _lets_us_in(facts) else ""
    says = f"`ssh {alias}` does not log in{although}; why is not recognised"
    return wrong(says, CHECK.why, *lines, fix=fix, failure="asyncssh-false-ok")


def _is_a_stranger(facts: Facts) -> bool:
    """Return whether the server let us in, and nobody vouches for it: that comes first, and `ssh` is right to stop."""
    return any(door.admitted is True and door.proof is None for door in _doors(facts))


def _lets_us_in(facts: Facts) -> bool:
    return any(door.admitted is True for door in _doors(facts))


def _silent_door(facts: Facts) -> Door | None:
    """Return the door behind which no command runs, where there is one."""
    return next((door for door in _doors(facts) if door.admitted is True and door.mute), None)


def _doors(facts: Facts) -> tuple[Door, ...]:
    doors = facts.get(Doors)
    return () if isinstance(doors, NotKnown) else tuple(doors.by_slug.values())


def _is_locked(facts: Facts) -> bool:
    key = facts.get(MyKey)
    return not isinstance(key, NotKnown) and key.state.problem == "locked" and not key.state.crlf


# ------------------------------------------------------------------------------------------------- a look sets it aside


def _beside(want: Want, facts: Facts, alias: str) -> Verdict | None:
    """Return what hinders the user's own `ssh`, though not ours: his commands (a warning), or every use."""
    said = _said(facts)
    for row in _BESIDE:
        if row.hinders(value := said.get(row.keyword, ("",))[0], facts):
            says, fix = f"`ssh {alias}` {row.says}: `{row.keyword} {value}`", _correct(facts, row, value)
            if row.keyword == "remotecommand":
                why = f"`ssh {alias} COMMAND` and `rsync` then fail: `Cannot execute command-line and remote command`"
                return warn(says, why, fix=fix, failure=row.failure)
            return wrong(says, _NO_SHELL.format(alias=alias), fix=fix, failure=row.failure)
    for one in (*facts[Alias].aside, *_barred_forward(want, facts)):
        row = _ASIDE[one.keyword]
        says = f"`ssh {alias}` {row.says}: `{one.keyword} {one.value}`"
        lets = ("or let the app listen for you: `ha-ssh doctor --fix --also forwards`",) if one.keyword == "remoteforward" else ()
        fix = _correct(facts, row, one.value, *lets)
        return wrong(says, _NO_SHELL.format(alias=alias), one.trouble, fix=fix, failure=row.failure)
    return _local_command(facts, alias)


def _barred_forward(want: Want, facts: Facts) -> tuple[SetAside, ...]:
    """Return a port that the app is to listen on, where it may not, and `ssh` gives up over that."""
    said, apps = _said(facts), facts.get(Apps)
    wishes = said.get("remoteforward", ())
    if not wishes or said.get("exitonforwardfailure", ("no",))[0] != "yes" or isinstance(apps, NotKnown):
        return ()
    app = apps.chosen(want.app)
    if app.serving.remote_forwarding:
        return ()
    trouble = f"the settings of {app.flavour.name}: remote forwarding is off"
    return (SetAside(keyword="remoteforward", value=wishes[0], trouble=trouble),)


def _local_command(facts: Facts, alias: str) -> Verdict | None:
    """A command of the user's that `ssh` waits for is never run by a look, so whether it ends is not known."""
    said = _said(facts)
    command = said.get("localcommand", ("",))[0]
    if command in {"", "none"} or said.get("permitlocalcommand", ("no",))[0] not in {"yes", "true"}:
        return None
    row = _Setting("localcommand", _is_set, "cfg-local-command", "", back="PermitLocalCommand no")
    says = f"`ssh {alias}` runs a command of your configuration before it opens a shell, and waits for its end: `{command}`"
    why = f"a command that does not end holds up every `ssh {alias}`; a look does not run it, so whether it ends is not known"
    return warn(says, why, fix=_correct(facts, row, command), failure=row.failure)


# ---------------------------------------------------------------------------------------------------- it comes to no end

_GOT_THROUGH = "Remote protocol version"
_CONNECTS = "Connecting to "
_ASKS_FOR_HOST_KEYS = ("Authenticating to", "using hostkeyalias", "load_hostkeys", "Server host key")
_DETOUR = "Executing proxy command: exec "


def _by_hanging(facts: Facts, alias: str, login: OwnLogin, lines: Sequence[str]) -> Verdict:
    """Return who keeps `ssh` waiting, as its last steps and a look at whom it asks show; else where it stopped."""
    said, last = _said(facts), (login.steps or ("",))[-1]
    seen = (*lines, *((f"its last step: {last}",) if last else ()))
    if login.mute_agent:
        row = _Setting("identityagent", _is_set, "agent-mute", "", back="IdentityAgent none")
        says = f"`ssh {alias}` waits for your agent, which takes its question and does not answer: `{login.mute_agent}`"
        fix = _correct(facts, row, said.get("identityagent", ("",))[0], "end the agent and start it anew; `ssh-add -l` hangs too")
        return _hung(says, *seen, fix=fix, failure=row.failure)
    detour = next((step.removeprefix(_DETOUR) for step in login.steps if step.startswith(_DETOUR)), "")
    if detour and not any(step.startswith(_GOT_THROUGH) for step in login.steps):
        keyword = "proxyjump" if _is_set(said.get("proxyjump", ("",))[0], facts) else "proxycommand"
        row = next(one for one in _SETTINGS if one.keyword == keyword)
        says = f"`ssh {alias}` takes a detour that brings no answer and comes to no end: `{detour}`"
        return _hung(says, *seen, fix=_correct(facts, row, said.get(keyword, ("",))[0]), failure=row.failure)
    waits = [file for file in _trusted(facts) if file.is_pipe]
    command = said.get("knownhostscommand", ("none",))[0]
    if last.startswith(_ASKS_FOR_HOST_KEYS) and (waits or _is_set(command, facts)):
        named = [f"`{file.path}` is no plain file" for file in waits] + ([f"`{command}`"] if command != "none" else [])
        row = next(one for one in _SETTINGS if one.keyword == ("userknownhostsfile" if waits else "knownhostscommand"))
        if len(named) > 1:
            says = f"`ssh {alias}` waits for host keys, from one of those that your configuration names"
        elif waits:
            says = f"`ssh {alias}` waits for what never comes out of a file of host keys: {named[0]}"
        else:
            says = f"`ssh {alias}` waits for the program that it asks for host keys: {named[0]}"
        ways = ["tell them apart: look whether each ends by itself"] if len(named) > 1 else []
        fix = _correct(facts, row, said.get(row.keyword, ("",))[0], *ways)
        return _hung(says, *named, *seen, fix=fix, failure="cfg-known-hosts")
    if last.startswith(_CONNECTS):
        row_of_words = next(one for one in _SAID if one.failure == "timeout")
        fix = tell("find the way", *(way.format(alias=alias) for way in row_of_words.ways))
        return _hung(f"`ssh {alias}` gets no answer, although we did", *seen, fix=fix, failure="timeout")
    fix = tell("see where it stops", f"`ssh -v {alias}` shows every step: the last one is what it waits for")
    says = f"`ssh {alias}` comes to no end, although the key logs in; what it waits for is not recognised"
    return _hung(says, *seen, fix=fix, failure="asyncssh-false-ok")


def _hung(says: str, *seen: str, fix: Fix, failure: str) -> Verdict:
    verdict = wrong(says, CHECK.why, *seen, fix=fix, failure=failure)
    return replace(verdict, apart_from=frozenset({"key-file", "host-key-pinned"}))


def _trusted(facts: Facts) -> tuple[FileState, ...]:
    """Return the files of host keys that `ssh` reads."""
    config, files = facts.get(SshConfig), facts.get(OwnFiles)
    own = () if isinstance(files, NotKnown) else (files.known_hosts,)
    return (*own, *(() if isinstance(config, NotKnown) else config.trusted))


# ------------------------------------------------------------------------------------------------- what the settings do


def _by_variable(facts: Facts, alias: str, lines: Sequence[str]) -> Verdict | None:
    """Return what OpenSSH says of a variable that is not set."""
    found = re.search(r"env var (\$\{[^}]+\}) has no value", "\n".join(lines))
    if found is None:
        return None
    named = [(file, line) for file in _configs(facts) for line in _lines(file) if found[1] in line.raw and line.keyword]
    fix = tell("correct your configuration", f"{_where(named, alias)}: set the variable, or write the path itself")
    says = f"`ssh {alias}` gives up, since your configuration names the variable `{found[1]}`, which has no value"
    verdict = wrong(says, CHECK.why, *lines, fix=fix, failure="cfg-variable")
    return replace(verdict, apart_from=frozenset({"key-file", "host-key-pinned"}))


def _by_config(facts: Facts, alias: str, lines: Sequence[str]) -> Verdict | None:
    """Return what the user's own settings explain: they hold for the alias too, where it does not say otherwise."""
    said, words = _said(facts), "\n".join(lines)
    for row in _SETTINGS:
        value = said.get(row.keyword, ("",))[0]
        if row.hinders(value, facts) and re.search(row.pattern, words):
            says = f"`ssh {alias}` {row.says}: `{row.keyword} {value}`"
            why = "your own settings hold for the alias too, where it does not say otherwise"
            verdict = wrong(says, why, *lines, fix=_correct(facts, row, value, row.more), failure=row.failure)
            return replace(verdict, apart_from=_RULED_OUT.get(row.failure, frozenset()))
    return None


_RULED_OUT = {
    "pubkey-off": frozenset({"key-file"}),
    "cfg-detour": frozenset({"key-file", "host-key-pinned"}),
    "cfg-revoked-keys": frozenset({"key-file", "host-key-pinned"}),
}
"""What a setting that bars the way by itself has nothing to do with, whatever the words."""

_NEGOTIATES = re.compile(r"Unable to negotiate|no matching|Bad SSH2")
_KINDS = {
    "cipher": ("ciphers",),
    "MAC": ("macs",),
    "key exchange": ("kexalgorithms",),
    "host key": ("hostkeyalgorithms", "casignaturealgorithms"),
}
"""What the client and the server cannot agree on, and the settings about it."""


def _by_algorithms(want: Want, facts: Facts, alias: str, lines: Sequence[str]) -> Verdict:
    """Blame the user's own choice of algorithms only where there is one; else one of the two programs is too old."""
    words = "\n".join(lines)
    kind = next((one for one in _KINDS if f"no matching {one}" in words), None)
    keywords = _KINDS[kind] if kind else tuple(word for some in _KINDS.values() for word in some)
    named = [
        (file, line) for file in _configs(facts) for word in keywords for line in sshconfig.setting(file.text or "", word, alias)
    ]
    if named:
        what = " ".join((named[0][1].keyword, *named[0][1].args))
        says = f"`ssh {alias}` does not log in: no way of encryption is left that the server takes too: `{what}`"
        plus = "a `+` before the value adds it to what `ssh` offers, in the place of offering it alone"
        fix = tell("correct your configuration", f"{_where(named, alias)}: let it hold for other hosts only", plus)
        return wrong(says, CHECK.why, *lines, fix=fix, failure="cfg-algorithms")
    says = (
        f"`ssh {alias}` does not log in: it shares no way of encryption with the server, and your configuration has no part in it"
    )
    return wrong(says, "one of the two is too old for the other", *lines, fix=_in_common(want, facts), failure="kex-none")


def _in_common(want: Want, facts: Facts) -> Fix:
    """Offer the app's switch for older clients where it is off; a newer client is better."""
    newer = "update whichever is older: OpenSSH on this computer (`ssh -V`), or the SSH app (Settings, Apps)"
    apps = facts.get(Apps)
    app = None if isinstance(apps, NotKnown) else apps.chosen(want.app)
    switch = app.flavour.allow("old-clients") if app is not None and app.serving.hardened else None
    if app is None or switch is None:
        return tell("update whichever is older", newer)
    weaker = f"`{'.'.join(switch.path[1:])}` in the app's configuration is the switch; it makes the server weaker for everybody"
    return offer("let the app offer older ways too", switch, app.slug, f"rather {newer}", weaker)


def _said(facts: Facts) -> Mapping[str, tuple[str, ...]]:
    config = facts.get(SshConfig)
    return {} if isinstance(config, NotKnown | Later) or isinstance(config.said, Later) else config.said


def _configs(facts: Facts) -> tuple[FileState, ...]:
    """Return the files of the configuration that are not ours: the user's own, what it includes, and the system's."""
    files, config = facts.get(OwnFiles), facts.get(SshConfig)
    own = () if isinstance(files, NotKnown) else (files.config,)
    return (*own, *(() if isinstance(config, NotKnown) else config.files))


def _lines(file: FileState) -> tuple[sshconfig.Line, ...]:
    return sshconfig.lines(file.text or "")


def _where(named: Sequence[tuple[FileState, sshconfig.Line]], alias: str) -> str:
    if not named:
        return f"`ssh -vG {alias}` names the files that it reads; it is in one of them"
    file, line = named[0]
    return f"it is line {line.number} of `{file.path}`"


def _correct(facts: Facts, row: _Setting, value: str, *more: str) -> Fix:
    """Name the line that sets it, the one with that value where several do, and what takes it back for the alias alone."""
    alias = facts.target.alias or ""
    found = [
        (file, line, line.number and " ".join(line.args).lower() == value.lower())
        for file in _configs(facts)
        for line in sshconfig.setting(file.text or "", row.keyword, alias, value)
    ]
    named = [(file, line) for file, line, exact in found if exact] or [(file, line) for file, line, _ in found]
    back = row.back.replace("{known_hosts}", facts.target.places.known_hosts)
    back = f"or before that: a `Host {alias}` block of your own with `{back}`" if back and alias else ""
    where = f"{_where(named, alias)}: let it hold for other hosts only"
    return tell("correct your configuration", *filter(None, (where, back, *more)))


def _add(scene: Breakable, line: str) -> None:
    path = scene.target.places.config
    scene.put_file(path, f"{scene.file(path) or ''}\nHost *\n    {line}\n")


def _say_first(scene: Breakable, line: str) -> None:
    path = scene.target.places.config
    scene.put_file(path, f"Host *\n    {line}\n\n{scene.file(path) or ''}")


def _forward_nowhere(scene: Breakable) -> None:
    """Let the alias forward from a socket that cannot be made, in a house that forwards, and give up over that."""
    scene.save(scene.flavour.set_forwarding(on=True))
    scene.restart()
    _add(scene, "ExitOnForwardFailure yes\n    DynamicForward /no/such/folder/socket")


def break_it(scene: Breakable) -> None:
    """Forbid keys for every host."""
    _add(scene, "PubkeyAuthentication no")


CHECK = Check(
    id="own-ssh-works",
    stage=Stage.ALIAS,
    title="Your own `ssh` logs in by the alias",
    why="other clients forgive what OpenSSH does not: file modes, line ends, options",
    needs=(Alias, Apps, Doors, MyKey, OwnFiles, SshConfig),
    rests_on=("ssh-client", "alias-works", "host-key-pinned", "login-works", "right-server", "key-file"),
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
        "cfg-revoked-keys": lambda scene: _add(scene, "RevokedHostKeys /no/such/file"),
        "cfg-control-path": lambda scene: _add(scene, "ControlMaster auto\n    ControlPath /no/such/folder/%C"),
        "cfg-forward": _forward_nowhere,
        "cfg-local-command": lambda scene: _add(scene, "PermitLocalCommand yes\n    LocalCommand sleep 40"),
        "agent-mute": lambda scene: _add(scene, "IdentityAgent /mute/agent"),
    },
)
