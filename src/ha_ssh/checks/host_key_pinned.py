"""Truth: this computer knows the server's host keys, all of them, and only a proven server's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import keys, knownhosts
from ha_ssh.core.facts import OF_THE_HOUSE, Apps, Doors, OwnFiles, app_and_door, with_new_login, written
from ha_ssh.core.model import (
    Check,
    Consent,
    Facts,
    Fix,
    Home,
    IfFailed,
    Risk,
    Show,
    Stage,
    Verdict,
    Want,
    known,
    ok,
    tell,
    unknown,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ha_ssh.core.model import Breakable, Target


@dataclass(frozen=True, kw_only=True)
class PinHostKeys:
    """Write a house's host keys into `known_hosts`, under the names that are looked up; only lines of ours are replaced."""

    path: str
    names: tuple[str, ...]
    host_keys: tuple[str, ...]
    tag: str

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
        return knownhosts.with_keys(knownhosts.without_tag(text, self.tag), self.names, self.host_keys, self.tag)

    def preview(self, _facts: Facts) -> tuple[str, ...]:
        """A line for each key."""
        return tuple(f"+ {self.path}: {keys.kind_word(key.split()[0])} {keys.fingerprint(key)}" for key in self.host_keys)

    def after(self, facts: Facts) -> Facts:
        """The lines are there."""
        files = facts[OwnFiles]
        text = self.edited(files.known_hosts.text or "")
        return with_new_login(facts.with_(replace(files, known_hosts=written(files.known_hosts, text))))

    async def save(self, home: Home) -> dict[str, Any]:
        """The lines that come and those that go."""
        state = await home.file(self.path)
        before, after = (state.text or "").splitlines(), self.edited(state.text or "").splitlines()
        return {
            "existed": state.exists,
            "added": [line for line in after if line not in before],
            "removed": [line for line in before if line not in after],
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
        present = {line.raw.rstrip("\r\n") for line in knownhosts.lines(kept)}
        new = "".join(f"{line}\n" for line in saved["removed"] if line not in present) + kept
        if not new and not saved["existed"]:
            await home.delete(self.path)
        elif new != text:
            await home.write(self.path, new)
        return None


def names_of(target: Target, port: int) -> tuple[str, ...]:
    """Return the names under which OpenSSH looks the server up: the alias's own, and the address with its port."""
    return (target.host_key_alias, knownhosts.lookup_name(target.ssh_host, port))


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare `known_hosts` with the host keys of the proven server."""
    _app, door = app_and_door(want, facts)
    file = facts[OwnFiles].known_hosts
    then = f"pin the server's host keys in `{file.path}`"
    proof, offered = known(door.proof, then), known(door.host_keys, then)
    if proof is None:
        return unknown("the server is not proven, so its host keys are not trusted", CHECK.why)
    names = names_of(facts.target, door.port)
    pinned = [tuple(line.public for line in knownhosts.keys_for(file.text or "", name)) for name in names]
    if all(set(offered) <= set(known_keys) for known_keys in pinned):
        return ok(f"all {len(offered)} host keys of the server are pinned")
    if file.problem or not file.writable:
        fix = tell("make it writable", f"`{file.path}` cannot be written: {file.problem or 'it is read-only'}")
        return wrong("the server's host keys cannot be pinned", CHECK.why, fix=fix)
    step = PinHostKeys(path=file.path, names=names, host_keys=tuple(offered), tag=f"ha-ssh:{facts.target.house_id}")
    if pinned[0] and not set(offered) & set(pinned[0]):
        return _changed(proof.channel, offered, pinned[0], step)
    return wrong("the server's host keys are not pinned yet", CHECK.why, fix=Fix(does=then, steps=(step,)))


def _changed(channel: str, offered: Sequence[str], pinned: Sequence[str], step: PinHostKeys) -> Verdict:
    """A changed key is pinned anew on a proof over TLS; over plain http only by the named risk."""
    says = "the server has other host keys than those that were pinned"
    why = "the app was reinstalled or the house restored, or somebody else answers; its log shows your login, so it is the app"
    evidence = (*(f"pinned: {keys.fingerprint(key)}" for key in pinned), *(f"now: {keys.fingerprint(key)}" for key in offered))
    fix = Fix(does="pin the new host keys in place of the old ones", steps=(step,))
    if channel == "http":
        fix = replace(fix, consent=Consent.ASK, risk=Risk.HOST_KEY)
        why += " (as far as plain http can tell)"
    return wrong(says, why, *evidence, fix=fix)


def break_it(scene: Breakable) -> None:
    """Forget the host keys."""
    scene.put_file(scene.target.places.known_hosts, "")


CHECK = Check(
    id="host-key-pinned",
    stage=Stage.IDENTITY,
    title="The server's host keys are pinned",
    why="without them the next connection is a leap of faith, and scripts stop with a question",
    needs=(Apps, Doors, OwnFiles),
    rests_on=("right-server",),
    judge=judge,
    break_it=break_it,
)
STEPS = (PinHostKeys,)
