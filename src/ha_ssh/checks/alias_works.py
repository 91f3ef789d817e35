"""Truth: the alias leads the user's own OpenSSH to the app, with the right name, port and key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import sshconfig
from ha_ssh.core.facts import (
    ALIAS_KEYS,
    OF_THE_HOUSE,
    Alias,
    App,
    Apps,
    Computer,
    Doors,
    MyKey,
    OwnFiles,
    SshConfig,
    block_path,
    way_to_write,
    why_not_written,
    written,
)
from ha_ssh.core.inside import Inside, stand_in
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    Home,
    IfFailed,
    Later,
    NotKnown,
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ha_ssh.core.model import Breakable, Target

TUNNELS = (8123,)
"""The ports that an alias with tunnels forwards to the house: its web page."""


@dataclass(frozen=True, kw_only=True)
class WriteAlias:
    """Write the house's own file, and the one `Include` line at the top of the user's configuration that names it."""

    config: str
    pattern: str
    block_path: str
    text: str
    resolves_to: dict[str, str]

    id: ClassVar[str] = "write-alias"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.PUT_BACK
    keeps: ClassVar[frozenset[type[Any]]] = OF_THE_HOUSE

    @property
    def title(self) -> str:
        """What it does."""
        return "Write the SSH alias"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """Both files, with every line that is written."""
        text = facts[OwnFiles].config.text or ""
        has_it = sshconfig.at_top(text, self.pattern) == text
        include = () if has_it else (f"+ {self.config}: Include {self.pattern} (first line)",)
        late = (f"- {self.config}: {line.raw.strip()} (line {line.number})" for line in sshconfig.too_late(text, self.pattern))
        return (*include, *late, f"+ {self.block_path}:", *(f"    {line}" for line in self.text.splitlines() if line.strip()))

    def after(self, facts: Facts) -> Facts:
        """Both files are written, and `ssh -G` says so."""
        files = facts[OwnFiles]
        config = written(files.config, sshconfig.at_top(files.config.text or "", self.pattern))
        block = written(files.block, self.text)
        resolved = {key: self.resolves_to.get(key, Later(f"the alias's {key}")) for key in ALIAS_KEYS}
        alias = Alias(name=facts.target.alias or "", resolved=resolved, login=Later("the login by the alias"))
        facts = facts.with_(replace(files, config=config, block=block), alias)
        ssh = facts.get(SshConfig)
        if isinstance(ssh, NotKnown | Later) or isinstance(ssh.said, Later):
            return facts
        ours = {key: (value, *(old for old in ssh.said.get(key, ()) if old != value)) for key, value in self.resolves_to.items()}
        return facts.with_(replace(ssh, said={**ssh.said, **ours}))

    async def save(self, home: Home) -> dict[str, Any]:
        """What was in both places."""
        config, block = await home.file(self.config), await home.file(self.block_path)
        text = config.text or ""
        moved = text if sshconfig.too_late(text, self.pattern) else None
        had_it = sshconfig.with_include(text, self.pattern) == text
        return {"config_existed": config.exists, "had_include": had_it, "moved": moved, "block": block.text}

    async def do(self, home: Home, _show: Show) -> None:
        """Our file first, so that the `Include` never points at nothing."""
        await home.write(self.block_path, self.text, mode=0o600)
        config = (await home.file(self.config)).text or ""
        wanted = sshconfig.at_top(config, self.pattern)
        if wanted != config:
            await home.write(self.config, wanted, mode=0o600)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Take back what is still ours; the `Include` stays while another house needs it."""
        block = await home.file(self.block_path)
        if block.exists and block.text == self.text:
            if saved["block"] is None:
                await home.delete(self.block_path)
            else:
                await home.write(self.block_path, saved["block"])
        if saved.get("moved") is not None:
            await self._move_back(home, saved["moved"])
            return None
        folder = self.block_path.rsplit("/", 1)[0]
        if not saved["had_include"] and not await home.folder(folder):
            await self._take_include_out(home, existed=saved["config_existed"])
        return None

    async def _move_back(self, home: Home, former: str) -> None:
        """Put our line back to where it was; where the file has been edited since, it stays at the top."""
        if (await home.file(self.config)).text == sshconfig.at_top(former, self.pattern):
            await home.write(self.config, former)

    async def _take_include_out(self, home: Home, *, existed: bool) -> None:
        config = await home.file(self.config)
        if config.text is None:
            return
        text = sshconfig.without_include(config.text, self.pattern)
        if not text and not existed:
            await home.delete(self.config)
        elif text != config.text:
            await home.write(self.config, text)


def include_pattern(target: Target) -> str:
    """Return what the `Include` line names: every file in the folder of ours."""
    places = target.places
    folder = places.include_dir
    if not places.portable:
        folder = "~/.ssh" + folder.removeprefix(places.ssh_dir)
    return f"{folder}/*.conf"


_FRIENDLY_MACS = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"
"""What both apps offer and every client computes rightly: OpenSSH for Windows fails with the one it likes best."""


def wanted_of(want: Want, facts: Facts, app: App) -> dict[str, str]:
    """Return what `ssh -G ALIAS` should say; what is not wanted is left out."""
    target = facts.target
    wanted = {
        "hostname": target.ssh_host,
        "port": str(app.serving.port),
        "user": app.serving.user,
        "identityfile": want.identity or target.identity or "",
        "identitiesonly": "yes",
        "hostkeyalias": target.host_key_alias,
        "serveraliveinterval": "30",
        "macs": _FRIENDLY_MACS if _is_windows(facts) else "",
        "setenv": f"TERM={terminal}" if (terminal := _stand_in(facts, app)) else "",
    }
    if want.multiplex is not None:
        wanted["controlmaster"] = "auto" if want.multiplex else "false"
    if want.tunnels:
        wanted["localforward"] = f"{TUNNELS[0]} [localhost]:{TUNNELS[0]}"
    return {key: value for key, value in wanted.items() if value}


def _is_windows(facts: Facts) -> bool:
    computer = facts.get(Computer)
    return isinstance(computer, Computer) and "for_Windows" in (computer.ssh or "")


def _stand_in(facts: Facts, app: App) -> str | None:
    """Return the terminal to pass for the user's own, where the app does not know that one."""
    doors, computer = facts.get(Doors), facts.get(Computer)
    shown = None if isinstance(doors, NotKnown) or app.slug not in doors.by_slug else doors.by_slug[app.slug].inside
    if not isinstance(shown, Inside) or isinstance(computer, NotKnown):
        return None
    return stand_in(shown, computer.terminal)


def _step(want: Want, facts: Facts, app: App, alias: str) -> WriteAlias:
    target, places = facts.target, facts.target.places
    wanted = wanted_of(want, facts, app)
    text = sshconfig.host_block(
        alias=alias,
        house=target.house_id,
        host=target.ssh_host,
        port=int(app.serving.port or 22),
        user=app.serving.user,
        identity=want.identity or target.identity or "",
        host_key_alias=target.host_key_alias,
        known_hosts=places.known_hosts if places.portable else None,
        multiplex=bool(want.multiplex),
        tunnels=TUNNELS if want.tunnels else (),
        extra=tuple(f"{keyword} {wanted[key]}" for key, keyword in (("macs", "MACs"), ("setenv", "SetEnv")) if key in wanted),
    )
    return WriteAlias(
        config=places.config,
        pattern=include_pattern(target),
        block_path=block_path(target),
        text=text,
        resolves_to=wanted,
    )


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare what `ssh -G` makes of the alias with the app as it is served."""
    alias, files = want.alias or facts.target.alias, facts[OwnFiles]
    if not alias:
        return note("no alias is wanted")
    app = facts[Apps].chosen(want.app)
    wanted = wanted_of(want, facts, app)
    resolved = facts[Alias].resolved
    if isinstance(config := facts.get(SshConfig), SshConfig) and config.untold:
        return _untold(facts, alias)
    said = _said(facts)
    differing = [
        key
        for key, value in wanted.items()
        if not _fits(key, (known(resolved[key], "check the alias"), *said.get(key, ())), value)
    ]
    place = _place(said, wanted)
    if files.block.exists and not differing and place < _TRIES:
        return ok(f"`ssh {alias}` leads to {app.serving.user}@{wanted['hostname']} port {wanted['port']}")
    theirs = [line for name, line in sshconfig.hosts_named(files.config.text or "") if name == alias]
    if theirs and not files.block.exists:
        fix = tell("choose another alias", f"`--alias NAME`: `{alias}` is your own, in `{files.config.path}` line {theirs[0]}")
        return wrong(f"the alias `{alias}` is taken by your own `Host {alias}`", CHECK.why, fix=fix, failure="alias-taken")
    odd = next((file for file in (files.config, files.block) if why_not_written(file)), None)
    if odd is not None:
        fix = tell("make it a file that can be written, or go without", way_to_write(odd), "without an alias: `--no-alias`")
        seen = f"`{odd.path}` {why_not_written(odd)}"
        return wrong("the alias cannot be written", CHECK.why, seen, fix=fix, failure="cfg-read-only")
    then = f"write the alias `{alias}`: `{block_path(facts.target)}`, and one `Include` line in `{files.config.path}`"
    known(facts[Doors].of(app).proof, then)
    if not sshconfig.can_hold(wanted.get("identityfile", "")):
        fix = tell(
            "move the key, or go without an alias", 'use a key whose path has no `"` and no line break in it', "`--no-alias`"
        )
        return wrong("no alias can name a key with this path", "OpenSSH's configuration cannot hold such a path", fix=fix)
    step = _step(want, facts, app, alias)
    fix = Fix(does=f"write the alias `{alias}`", steps=(step,))
    evidence = tuple(f"{key}: {resolved[key] or 'none'}, wanted {wanted[key]}" for key in differing)
    if differing == ["identityfile"] and _is_gone(facts):
        says = f"`ssh {alias}` names another key than the one that is looked for, which is not there"
        return replace(wrong(says, CHECK.why, *evidence, failure="alias-elsewhere"), because="key-file")
    if not files.block.exists:
        return wrong(f"there is no alias `{alias}` yet", CHECK.why, *evidence, fix=fix, failure="alias-missing")
    if files.block.text == step.text and sshconfig.at_top(files.config.text or "", step.pattern) == files.config.text:
        fix = tell(
            "correct what stands before the alias",
            f"`ssh -vG {alias}` names the files in the order in which `ssh` reads them",
            f"put `Include {step.pattern}` before the line that includes that file",
        )
    if not differing:
        why = f"where {_TRIES} of them are there, the server ends the connection: `Too many authentication failures`"
        says = f"`ssh {alias}` tries {place} other keys before the right one"
        others = _said_earlier(files.config.text or "", ("identityfile",), alias, step.pattern)
        return warn(says, why, *others, fix=fix, failure="too-many")
    if len(differing) == 1 and differing[0] in _LESSER:
        failure, says, why = _LESSER[differing[0]]
        return warn(says.format(alias=alias), why, *evidence, fix=fix, failure=failure)
    block = sshconfig.swallowed(files.config.text or "", step.pattern, alias)
    if block is not None:
        says = f"the `Include` line that leads to the alias `{alias}` has come to belong to `{block.raw.strip()}`"
        why = "it stands below that line, so it counts for those hosts alone: `ssh` does not read the alias any more"
        seen = f"line {block.number} of `{files.config.path}`: {block.raw.strip()}"
        return wrong(says, why, seen, *evidence, fix=fix, failure="cfg-swallowed")
    earlier = _said_earlier(files.config.text or "", differing, alias, step.pattern) if files.block.text == step.text else ()
    if earlier:
        says = f"an earlier line of `{files.config.path}` wins over the alias `{alias}`"
        why = "of several lines for the same setting, OpenSSH takes the first, and that one leads elsewhere"
        return wrong(says, why, *evidence, *earlier, fix=fix, failure="cfg-first-wins")
    return wrong(f"`ssh {alias}` does not lead to the app", CHECK.why, *evidence, fix=fix, failure="alias-elsewhere")


def _is_gone(facts: Facts) -> bool:
    """Return whether the key that is looked for is not there; which one it shall be comes first."""
    key = facts.get(MyKey) if not facts.comes(MyKey) else NotKnown("it is still to come")
    return isinstance(key, MyKey) and not key.state.exists


def _untold(facts: Facts, alias: str) -> Verdict:
    """Where `ssh` cannot say where an alias leads, only a login by it tells."""
    login = known(facts[Alias].login, "check the alias")
    if login is not None and login.code == 0:
        return ok(f"`ssh {alias}` logs in; where else its configuration may lead, this `ssh` cannot say")
    return unknown(f"this `ssh` cannot say where `{alias}` leads", CHECK.why, because="ssh-client")


_LESSER = {
    "identitiesonly": (
        "too-many",
        "`ssh {alias}` offers every key of your agent before the right one",
        "after six keys that it does not know the server ends the connection: `Too many authentication failures`",
    ),
    "serveraliveinterval": (
        "idle-drop",
        "`ssh {alias}` does not keep a quiet connection alive",
        "routers forget connections in which nothing happens: `Broken pipe` after some minutes",
    ),
    "macs": (
        "win-mac",
        "`ssh {alias}` may agree on a checksum that OpenSSH for Windows gets wrong",
        "it then ends with `Corrupted MAC on input`",
    ),
    "setenv": (
        "term-unknown",
        "the app does not know your terminal",
        "the shell would show garbage, and editors would say `missing or unsuitable terminal`",
    ),
}
"""Settings without which the alias still leads to the app: which known failure it is, what is said, and why it matters."""


_ADD_UP = frozenset(("identityfile", "localforward"))
"""Of these OpenSSH takes every line, where it takes the first one of others."""
_TRIES = 6
"""Keys that a server looks at before it ends the connection (sshd's `MaxAuthTries`)."""


def _fits(key: str, values: Sequence[str], wanted: str) -> bool:
    """Return whether a setting serves: any pause between signs of life does, and any place among values that add up."""
    if key in _ADD_UP:
        return wanted in (value.replace("%%", "%") for value in values)
    first = values[0]
    return first == wanted or (key == "serveraliveinterval" and first.isdecimal() and int(first) > 0)


def _place(said: Mapping[str, tuple[str, ...]], wanted: Mapping[str, str]) -> int:
    """Return how many other keys are tried before ours."""
    tried, ours = [path.replace("%%", "%") for path in said.get("identityfile", ())], wanted.get("identityfile", "")
    return tried.index(ours) if ours in tried else 0


def _said(facts: Facts) -> Mapping[str, tuple[str, ...]]:
    """Return all that `ssh -G` prints."""
    config = facts.get(SshConfig)
    return {} if isinstance(config, NotKnown | Later) or isinstance(config.said, Later) else config.said


def _said_earlier(config: str, differing: Sequence[str], alias: str, pattern: str) -> tuple[str, ...]:
    """Return the user's own lines that may win, with their numbers: those that hold for the alias and stand above ours."""
    own = (line for line in sshconfig.before(config, pattern, alias) if line.keyword in differing)
    return tuple(f"line {line.number}: {line.raw.strip()}" for line in own)


def break_it(scene: Breakable) -> None:
    """Let the alias point at another port."""
    path = block_path(scene.target)
    scene.put_file(path, (scene.file(path) or "").replace("Port ", "Port 1"))


def _without(scene: Breakable, keyword: str) -> None:
    """Take a line out of the alias."""
    path = block_path(scene.target)
    lines = (scene.file(path) or "").splitlines(keepends=True)
    scene.put_file(path, "".join(line for line in lines if keyword not in line))


def _say_first(scene: Breakable) -> None:
    """Set things for every host before the alias does."""
    path = scene.target.places.config
    scene.put_file(path, f"Host *\n    User pi\n    Port 22\n\n{scene.file(path) or ''}")


def _put_above(scene: Breakable) -> None:
    """Write a block for another host above everything else, as people do."""
    path = scene.target.places.config
    scene.put_file(path, f"Host work\n    HostName work.example\n    User me\n{scene.file(path) or ''}")


def _take_name(scene: Breakable) -> None:
    """Use the name for a machine of one's own."""
    scene.put_file(block_path(scene.target), None)
    scene.put_file(scene.target.places.config, f"Host {scene.target.alias}\n    HostName nas.invalid\n")


def _forget_terminals(scene: Breakable) -> None:
    """Let the app know but one old terminal."""
    scene.house.knobs.terminals = {"vt100"}


CHECK = Check(
    id="alias-works",
    stage=Stage.ALIAS,
    title="The alias leads to the app",
    why="`ssh ha` is all that anybody should have to remember",
    needs=(Alias, Apps, Computer, Doors, MyKey, OwnFiles, SshConfig),
    rests_on=("ssh-folder", "right-server", "login-name", "port-published", "own-config", "name-resolves"),
    judge=judge,
    break_it=break_it,
    faults={
        "cfg-first-wins": _say_first,
        "cfg-swallowed": _put_above,
        "alias-missing": lambda scene: scene.put_file(block_path(scene.target), None),
        "alias-taken": _take_name,
        "too-many": lambda scene: _without(scene, "IdentitiesOnly"),
        "idle-drop": lambda scene: _without(scene, "ServerAliveInterval"),
        "term-unknown": _forget_terminals,
    },
)
STEPS = (WriteAlias,)
