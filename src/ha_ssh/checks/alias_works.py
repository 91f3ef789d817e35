"""Truth: the alias leads the user's own OpenSSH to the app, with the right name, port and key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import sshconfig
from ha_ssh.core.facts import ALIAS_KEYS, OF_THE_HOUSE, Alias, App, Apps, Doors, OwnFiles, block_path, written
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    Home,
    IfFailed,
    Later,
    Show,
    Stage,
    Verdict,
    Want,
    known,
    note,
    ok,
    tell,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        config = facts[OwnFiles].config
        has_it = sshconfig.with_include(config.text or "", self.pattern) == (config.text or "")
        include = () if has_it else (f"+ {self.config}: Include {self.pattern} (first line)",)
        return (*include, f"+ {self.block_path}:", *(f"    {line}" for line in self.text.splitlines() if line.strip()))

    def after(self, facts: Facts) -> Facts:
        """Both files are written, and `ssh -G` says so."""
        files = facts[OwnFiles]
        config = written(files.config, sshconfig.with_include(files.config.text or "", self.pattern))
        block = written(files.block, self.text)
        resolved = {key: self.resolves_to.get(key, Later(f"the alias's {key}")) for key in ALIAS_KEYS}
        alias = Alias(name=facts.target.alias or "", resolved=resolved, login=Later("the login by the alias"))
        return facts.with_(replace(files, config=config, block=block), alias)

    async def save(self, home: Home) -> dict[str, Any]:
        """What was in both places."""
        config, block = await home.file(self.config), await home.file(self.block_path)
        had_it = sshconfig.with_include(config.text or "", self.pattern) == (config.text or "")
        return {"config_existed": config.exists, "had_include": had_it, "block": block.text}

    async def do(self, home: Home, _show: Show) -> None:
        """Our file first, so that the `Include` never points at nothing."""
        await home.write(self.block_path, self.text, mode=0o600)
        config = (await home.file(self.config)).text or ""
        wanted = sshconfig.with_include(config, self.pattern)
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
        folder = self.block_path.rsplit("/", 1)[0]
        if not saved["had_include"] and not await home.folder(folder):
            await self._take_include_out(home, existed=saved["config_existed"])
        return None

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


def wanted_of(want: Want, target: Target, app: App) -> dict[str, str]:
    """Return what `ssh -G ALIAS` should say; what is not wanted is left out."""
    wanted = {
        "hostname": target.ssh_host,
        "port": str(app.serving.port),
        "user": app.serving.user,
        "identityfile": want.identity or target.identity or "",
        "hostkeyalias": target.host_key_alias,
    }
    if want.multiplex is not None:
        wanted["controlmaster"] = "auto" if want.multiplex else "false"
    if want.tunnels:
        wanted["localforward"] = f"{TUNNELS[0]} [localhost]:{TUNNELS[0]}"
    return {key: value for key, value in wanted.items() if value}


def _step(want: Want, target: Target, app: App, alias: str) -> WriteAlias:
    places = target.places
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
    )
    return WriteAlias(
        config=places.config,
        pattern=include_pattern(target),
        block_path=block_path(target),
        text=text,
        resolves_to=wanted_of(want, target, app),
    )


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare what `ssh -G` makes of the alias with the app as it is served."""
    alias, files = want.alias or facts.target.alias, facts[OwnFiles]
    if not alias:
        return note("no alias is wanted")
    app = facts[Apps].chosen(want.app)
    wanted = wanted_of(want, facts.target, app)
    resolved = facts[Alias].resolved
    if files.block.exists and all(known(resolved[key], "check the alias") == value for key, value in wanted.items()):
        return ok(f"`ssh {alias}` leads to {app.serving.user}@{wanted['hostname']} port {wanted['port']}")
    theirs = [line for name, line in sshconfig.hosts_named(files.config.text or "") if name == alias]
    if theirs and not files.block.exists:
        fix = tell("choose another alias", f"`--alias NAME`: `{alias}` is your own, in `{files.config.path}` line {theirs[0]}")
        return wrong(f"the alias `{alias}` is taken by your own `Host {alias}`", CHECK.why, fix=fix)
    if files.config.problem or not files.config.writable:
        fix = tell(
            "make it writable, or go without", f"`{files.config.path}`: {files.config.problem or 'read-only'}; `--no-alias`"
        )
        return wrong("the alias cannot be written", CHECK.why, fix=fix)
    then = f"write the alias `{alias}`: `{block_path(facts.target)}`, and one `Include` line in `{files.config.path}`"
    known(facts[Doors].of(app).proof, then)
    evidence = tuple(
        f"{key}: {resolved[key] or 'none'}, wanted {value}" for key, value in wanted.items() if resolved[key] != value
    )
    fix = Fix(does=f"write the alias `{alias}`", steps=(_step(want, facts.target, app, alias),))
    return wrong(f"`ssh {alias}` does not lead to the app yet", CHECK.why, *evidence, fix=fix)


def break_it(scene: Breakable) -> None:
    """Let the alias point at another port."""
    path = block_path(scene.target)
    scene.put_file(path, (scene.file(path) or "").replace("Port ", "Port 1"))


CHECK = Check(
    id="alias-works",
    stage=Stage.ALIAS,
    title="The alias leads to the app",
    why="`ssh ha` is all that anybody should have to remember",
    needs=(Alias, Apps, Doors, OwnFiles),
    rests_on=("right-server", "login-name", "port-published"),
    judge=judge,
    break_it=break_it,
)
STEPS = (WriteAlias,)
