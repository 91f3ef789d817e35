"""Truth: this computer knows the server's host keys, all of them, and only a proven server's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import keys, knownhosts, logs
from ha_ssh.core.facts import (
    OF_THE_HOUSE,
    App,
    AppLog,
    Apps,
    Doors,
    OwnFiles,
    SshConfig,
    app_and_door,
    way_to_write,
    why_not_written,
    with_new_login,
    written,
)
from ha_ssh.core.model import (
    Check,
    Consent,
    Facts,
    Fix,
    Home,
    IfFailed,
    NotKnown,
    Risk,
    Show,
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
from ha_ssh.core.open_file import OpenFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ha_ssh.core.model import Breakable, FileState, Target


@dataclass(frozen=True, kw_only=True)
class PinHostKeys:
    """Write a house's host keys into `known_hosts`, under the names that are looked up; only lines of ours are replaced."""

    path: str
    names: tuple[str, ...]
    host_keys: tuple[str, ...]
    tag: str
    drop: tuple[str, ...] = ()
    """Lines with the former keys of these names, which go."""

    id: ClassVar[str] = "pin-host-keys"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.PUT_BACK
    keeps: ClassVar[frozenset[type[Any]]] = OF_THE_HOUSE

    @property
    def title(self) -> str:
        """What it does."""
        return "Pin the server's host keys"

    def edited(self, text: str) -> str:
        """Return `known_hosts` with our lines as they should be (pure)."""
        kept = knownhosts.without(text, lambda line: line.raw.rstrip("\r\n") in self.drop)
        return knownhosts.with_keys(knownhosts.without_tag(kept, self.tag), self.names, self.host_keys, self.tag)

    def preview(self, _facts: Facts) -> tuple[str, ...]:
        """A line for each key that comes, and for each line that goes."""
        gone = tuple(f"- {self.path}: {_shown(line)}" for line in self.drop)
        return (*gone, *(f"+ {self.path}: {_shown(f'- {key}')}" for key in self.host_keys))

    def after(self, facts: Facts) -> Facts:
        """The lines are there."""
        files = facts[OwnFiles]
        text = self.edited(files.known_hosts.text or "")
        return with_new_login(facts.with_(replace(files, known_hosts=written(files.known_hosts, text))))

    async def save(self, home: Home) -> dict[str, Any]:
        """The lines that come and those that go."""
        state = await home.file(self.path)
        text = state.text or ""
        before, after = text.splitlines(), self.edited(text).splitlines()
        removed = [line for line in before if line not in after]
        return {
            "existed": state.exists,
            "added": [line for line in after if line not in before],
            "removed": removed,
            "places": [list(place) for place in knownhosts.places(text, removed)],
        }

    async def do(self, home: Home, _show: Show) -> None:
        """Write the file."""
        text = (await home.file(self.path)).text or ""
        if self.edited(text) != text:
            await home.write(self.path, self.edited(text), mode=0o600)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Take our lines out and put the former ones back, whatever else has come since."""
        state = await home.file(self.path)
        text = state.text or ""
        kept = knownhosts.without(text, lambda line: line.raw.rstrip("\r\n") in saved["added"])
        former = saved.get("places", [(0, "", f"{line}\n") for line in reversed(saved["removed"])])
        new = knownhosts.with_lines_back(kept, former)
        if not new and not saved["existed"]:
            await home.delete(self.path)
        elif new != text:
            await home.write(self.path, new)
        return None


def names_of(target: Target, port: int) -> tuple[str, ...]:
    """Return the names under which OpenSSH looks the server up: the alias's own, and the address with its port."""
    address = knownhosts.lookup_name(target.ssh_host, port)
    return (target.host_key_alias, address) if target.url else (address,)


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare `known_hosts` with the host keys of the proven server."""
    app, door = app_and_door(want, facts)
    file = facts[OwnFiles].known_hosts
    then = f"pin the server's host keys in `{file.path}`"
    proof, offered = known(door.proof, then), known(door.host_keys, then)
    names = names_of(facts.target, door.port)
    if file.closed:
        return _closed(file)
    text = file.text or ""
    if proof is None:
        return _unproven(text, names, offered)
    against = [line for name in names for line in knownhosts.conflicts(text, name, offered)]
    revoked = {line.public: line for line in against if line.marker == "@revoked"}
    taken = _taken(facts, text, names[0], offered, revoked)
    if taken in revoked:
        return _revoked(file.path, text, tuple(revoked.values()))
    read = (text, *_elsewhere(facts))
    pinned = [{line.public for each in read for line in knownhosts.keys_for(each, name)} for name in names]
    if revoked and taken in pinned[0]:
        return _partly_revoked(file.path, text, next(iter(revoked.values())), taken)
    if all(set(offered) <= known_keys for known_keys in pinned):
        return ok(f"all {len(offered)} host keys of the server are pinned")
    if set(offered) & pinned[0] - set(revoked):
        step = PinHostKeys(path=file.path, names=names, host_keys=tuple(offered), tag=facts.target.host_key_tag)
        return _partly_pinned(file, names, pinned, offered, Fix(does=then, steps=(step,)))
    if hindrance := why_not_written(file):
        fix = tell("make it a file that can be written", way_to_write(file))
        seen = f"`{file.path}` {hindrance}"
        return wrong("the server's host keys cannot be pinned", CHECK.why, seen, fix=fix, failure="known-hosts-read-only")
    step = PinHostKeys(path=file.path, names=names, host_keys=tuple(offered), tag=facts.target.host_key_tag)
    there = [line for name in names for line in knownhosts.keys_for(text, name)]
    siblings = [line for line in there if _is_of_another_app(facts.target, line)]
    former = [line for line in there if line not in siblings]
    if former and not set(offered) & {line.public for line in former}:
        return _changed(facts, app, proof.channel, offered, former, step)
    step = replace(step, drop=tuple(dict.fromkeys(line.raw.rstrip("\r\n") for line in siblings)))
    return wrong(
        "the server's host keys are not pinned yet",
        CHECK.why,
        f"`{file.path}` has none of the {len(offered)} keys of the server for {names[0]}",
        fix=Fix(does=then, steps=(step,)),
        failure="hostkey-unknown",
    )


_LIKED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512")
"""The order in which OpenSSH likes host keys, where `ssh -G` does not say it."""


def _taken(facts: Facts, text: str, name: str, offered: Sequence[str], revoked: Iterable[str]) -> str | None:
    """Return the key that `ssh` will ask for: of a kind that it knows of this name and may trust, else the one it likes best."""
    config = facts.get(SshConfig)
    said: Any = {} if isinstance(config, NotKnown) else config.said
    order = said.get("hostkeyalgorithms", (",".join(_LIKED),))[0].split(",") if isinstance(said, Mapping) else list(_LIKED)
    kinds = [re.sub(r"^rsa-sha2-\d+$", "ssh-rsa", kind) for kind in order]
    known_kinds = {line.kind for line in knownhosts.keys_for(text, name) if line.public not in revoked}
    there = {key.split()[0]: " ".join(key.split()[:2]) for key in offered}
    liked = [kind for kind in kinds if kind in there]
    best = next((kind for kind in liked if kind in known_kinds), next(iter(liked), None))
    return None if best is None else there[best]


def _elsewhere(facts: Facts) -> tuple[str, ...]:
    """Return what the other files say that `ssh` reads host keys from."""
    config = facts.get(SshConfig)
    return () if isinstance(config, NotKnown) else tuple(file.text or "" for file in config.trusted)


def _closed(file: FileState) -> Verdict:
    """What the user may not read, `ssh` may not either."""
    says = f"`{file.path}` cannot be read by you, so `ssh` knows no server"
    if file.mine:
        step = OpenFile(path=file.path, mode=file.mode or 0)
        fix = Fix(does=step.title[0].lower() + step.title[1:], steps=(step,))
    else:
        fix = tell("let your user read it", f"`sudo chown $USER {file.path}`")
    return wrong(says, CHECK.why, f"mode {file.mode or 0:03o}", fix=fix, failure="known-hosts-unreadable")


def _partly_pinned(
    file: FileState, names: Sequence[str], pinned: Sequence[set[str]], offered: Sequence[str], fix: Fix
) -> Verdict:
    """`ssh` asks for a key that it knows; the others are pinned before the server changes its mind."""
    lacking = [
        f"of {len(offered)} keys, {len(set(offered) & keys_there)} are known for {name}"
        for name, keys_there in zip(names, pinned, strict=True)
    ]
    why = "`ssh` asks the server for a key that it knows; a client that likes another kind better would ask you"
    return note("not all host keys of the server are pinned", why, *lacking, fix=None if why_not_written(file) else fix)


def _partly_revoked(path: str, text: str, line: knownhosts.Line, taken: str | None) -> Verdict:
    """A key that is revoked and not taken shuts nobody out; another client may take it."""
    number = [one.raw for one in knownhosts.lines(text)].index(line.raw) + 1
    fix = tell(
        "find out why it was revoked",
        f"line {number} of `{path}` says that this key must not be trusted: somebody may have stolen it",
        "if that is over, delete the line; else give the app new host keys, by reinstalling it",
    )
    says = f"one of the server's host keys is marked as revoked ({keys.kind_word(line.kind)}); `ssh` takes another one"
    why = "a client that asks for that one is turned away; and whoever has stolen one key may have the others too"
    seen = (f"{path} line {number}", *((f"`ssh` takes {keys.fingerprint(taken)}",) if taken else ()))
    return warn(says, why, *seen, fix=fix, failure="hostkey-revoked-one")


def _is_of_another_app(target: Target, line: knownhosts.Line) -> bool:
    """Return whether a line of ours is of another app of this house, from whose port the app listens by now."""
    ours = line.comment == f"ha-ssh:{target.house_id}" or line.comment.startswith(f"ha-ssh:{target.house_id}+")
    return ours and line.comment != target.host_key_tag


def _unproven(text: str, names: Sequence[str], offered: Sequence[str]) -> Verdict:
    """Without a proof nothing is pinned; but that a known server shows another key is seen all the same."""
    former = {line.public for name in names for line in knownhosts.keys_for(text, name)}
    if not former or not offered or former & set(offered):
        return unknown("the server is not proven, so its host keys are not trusted", CHECK.why)
    fix = tell(
        "find out whether the app was reinstalled",
        "send nothing there until that is known; `ssh` refuses to connect, and rightly so",
        "`ha-ssh doctor` tells, by the app's own log, once Home Assistant can be asked",
    )
    evidence = (*(f"known: {keys.fingerprint(key)}" for key in former), *(f"now: {keys.fingerprint(key)}" for key in offered))
    why = "either the app has made new keys, as after a reinstallation, or somebody else answers in its place"
    return wrong("the server shows another host key than this computer knows", why, *evidence, fix=fix, failure="hostkey-changed")


def _revoked(path: str, text: str, lines: Sequence[knownhosts.Line]) -> Verdict:
    """Somebody wrote down that these keys must not be trusted: that is never taken back for him."""
    raws = {line.raw for line in lines}
    numbers = [number for number, one in enumerate(knownhosts.lines(text), 1) if one.raw in raws]
    fix = tell(
        "find out why it was revoked",
        f"line {numbers[0]} of `{path}` says that this key must not be trusted: somebody may have stolen it",
        "if that is over, delete the line; else give the app new host keys, by reinstalling it",
    )
    says = "a host key of the server is marked as revoked"
    seen = (f"{path} line {number}" for number in numbers)
    return wrong(says, "`ssh` refuses a server with a revoked key", *seen, fix=fix, failure="hostkey-revoked")


def _changed(
    facts: Facts, app: App, channel: str, offered: Sequence[str], former: Sequence[knownhosts.Line], step: PinHostKeys
) -> Verdict:
    """A changed key is pinned anew on a proof over TLS; over plain http only by the named risk."""
    log = facts.get(AppLog)
    made = None if isinstance(log, NotKnown) else logs.made_host_keys(log.lines.get(app.slug, ()))
    kinds = {key.split()[0] for key in offered}
    lacking = not kinds & {line.kind for line in former}
    says = "the server has other host keys than those that were pinned"
    if lacking:
        says = f"the only keys that were pinned are of a kind that this server does not have ({former[0].kind})"
        why = "this app has no key of that kind, as after a change from one SSH app to the other; its log shows your login"
    elif made is not None:
        why = "the app has made new host keys, as after a reinstallation: its log says so, and shows your login"
    else:
        why = (
            "the app was reinstalled some time ago, the house restored, or another app has the port: the app's log does not tell "
            "which, but it shows your login, so it is the app"
        )
    fix = Fix(does="pin the new host keys in place of the old ones", steps=(replace(step, drop=_only_of(step.names, former)),))
    if channel == "http":
        fix = replace(fix, consent=Consent.ASK, risk=Risk.HOST_KEY)
        why += " (as far as plain http can tell)"
    evidence = (
        *(f"pinned: {keys.fingerprint(line.public)}" for line in dict.fromkeys(former)),
        *(f"now: {keys.fingerprint(key)}" for key in offered),
        *((f"the app's log: {made}",) if made else ()),
    )
    return wrong(says, why, *evidence, fix=fix, failure="ecdsa-pin" if lacking else "hostkey-changed")


def _only_of(names: Sequence[str], former: Sequence[knownhosts.Line]) -> tuple[str, ...]:
    """Return the lines that speak of these names and nothing else; a line for others too is left to its owner."""
    wanted = set(names)
    alone = (line for line in former if line.hosts[0].startswith("|1|") or wanted.issuperset(line.hosts))
    return tuple(dict.fromkeys(line.raw.rstrip("\r\n") for line in alone))


def _shown(line: str) -> str:
    """Return a line of `known_hosts` as its kind and fingerprint."""
    found = next(iter(knownhosts.lines(line)))
    return f"{keys.kind_word(found.kind)} {keys.fingerprint(found.public)}"


def break_it(scene: Breakable) -> None:
    """Forget the host keys."""
    scene.put_file(scene.target.places.known_hosts, "")


def _make_anew(scene: Breakable) -> None:
    """Let the app make new host keys, as a reinstallation does."""
    scene.house.new_host_keys(scene.slug)
    scene.restart()
    scene.app.log.append("[12:00:00] INFO: Generating host keys...")


def _revoke(scene: Breakable) -> None:
    """Write down that the server's keys must not be trusted."""
    path = scene.target.places.known_hosts
    revoked = "".join(f"@revoked * {' '.join(key.public.split()[:2])}\n" for key in scene.house.host_keys(scene.slug))
    scene.put_file(path, revoked + (scene.file(path) or ""))


def _revoke_one(scene: Breakable) -> None:
    """Write down that one of the keys must not be trusted: the one that `ssh` likes least."""
    path = scene.target.places.known_hosts
    rsa = next(key.public for key in scene.house.host_keys(scene.slug) if key.public.startswith("ssh-rsa "))
    scene.put_file(path, f"@revoked * {' '.join(rsa.split()[:2])}\n{scene.file(path) or ''}")


def _remember_ecdsa(scene: Breakable) -> None:
    """Know the house by a kind of key that this app does not have."""
    names = f"{scene.target.host_key_alias},[{scene.target.ssh_host}]:{scene.app.port}"
    scene.put_file(scene.target.places.known_hosts, f"{names} {scene.house.keys.make('ecdsa').public} me@laptop\n")


CHECK = Check(
    id="host-key-pinned",
    stage=Stage.IDENTITY,
    title="The server's host keys are pinned",
    why="without them the next connection is a leap of faith, and scripts stop with a question",
    needs=(Apps, AppLog, Doors, OwnFiles, SshConfig),
    rests_on=("ssh-folder", "login-works", "right-server", "port-published"),
    judge=judge,
    break_it=break_it,
    faults={
        "hostkey-changed": _make_anew,
        "hostkey-revoked": _revoke,
        "hostkey-revoked-one": _revoke_one,
        "ecdsa-pin": _remember_ecdsa,
        "known-hosts-unreadable": lambda scene: scene.put_file(
            scene.target.places.known_hosts, scene.file(scene.target.places.known_hosts) or "", 0o000
        ),
    },
    befalls={"ecdsa-pin": lambda flavour: flavour.allow("sftp") is not None},
)
STEPS = (PinHostKeys,)
