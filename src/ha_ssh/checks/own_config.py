"""Truth: the user's own OpenSSH can read its configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.facts import OF_THE_HOUSE, Alias, Computer, OwnFiles, SshConfig
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

    from ha_ssh.core.model import Breakable, FileState

_OTHERS_WRITE = 0o022
_OWNER = re.compile(r"Bad owner or permissions on (?P<path>\S.*)")
_OPTION = re.compile(r"(?m)^(?P<path>.+?): line (?P<line>\d+): Bad configuration option: (?P<what>\S+)")
_VALUE = re.compile(r"(?m)^(?:.*?: )?(?P<path>\S.*?):? line (?P<line>\d+): (?P<what>.+)")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, kw_only=True)
class CloseConfig:
    """Let only the owner write one of the files that OpenSSH's client is configured by."""

    path: str

    id: ClassVar[str] = "close-config"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = OF_THE_HOUSE

    @property
    def title(self) -> str:
        """What it does."""
        return f"Let only you write `{self.path}`"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The mode before and after."""
        mode = _file(facts[OwnFiles], self.path).mode or 0
        return (f"~ {self.path}: mode {oct(mode)[2:]} -> {oct(mode & ~_OTHERS_WRITE)[2:]}",)

    def after(self, facts: Facts) -> Facts:
        """The file is closed; what `ssh` then makes of its configuration is for the next look."""
        files = facts[OwnFiles]
        shut = {
            name: replace(state, mode=(state.mode or 0) & ~_OTHERS_WRITE)
            for name in ("config", "block")
            if (state := getattr(files, name)).path == self.path
        }
        later = Later("what `ssh` makes of its configuration")
        facts = facts.with_(replace(files, **shut), SshConfig(complaint=later))
        return facts.without(Alias, later) if facts.target.alias else facts

    async def save(self, home: Home) -> dict[str, Any]:
        """The mode of now."""
        return {"mode": (await home.file(self.path)).mode}

    async def do(self, home: Home, _show: Show) -> None:
        """Take the others' leave to write away."""
        mode = (await home.file(self.path)).mode
        if mode is not None:
            await home.set_mode(self.path, mode & ~_OTHERS_WRITE)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Give the mode back, if it is still ours."""
        state = await home.file(self.path)
        if saved["mode"] is not None and state.mode == saved["mode"] & ~_OTHERS_WRITE:
            await home.set_mode(self.path, saved["mode"])
        return None


def _file(files: OwnFiles, path: str) -> FileState:
    return next(one for one in (files.config, files.block) if one.path == path)


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge what `ssh -G` complains about; one bad line makes every `ssh` fail."""
    if isinstance(computer := facts.get(Computer), Computer) and computer.ssh is None:
        return note("there is no OpenSSH client, so nothing reads its configuration")
    complaint = str(known(facts[SshConfig].complaint, "read what `ssh` makes of its configuration") or "")
    if not complaint:
        return ok("`ssh` can read its configuration")
    if (found := _OWNER.search(complaint)) is not None:
        return _not_its_own(facts, found["path"].strip().rstrip("."), complaint)
    if (found := _OPTION.search(complaint)) is not None:
        return wrong(
            f"`{found['path']}` line {found['line']}: `ssh` does not know the option `{found['what']}`",
            CHECK.why,
            *complaint.splitlines(),
            fix=tell(
                "correct the line",
                f"correct or delete line {found['line']} of `{found['path']}`",
                f"an option for other programs or versions: put `IgnoreUnknown {found['what']}` before it",
            ),
            failure="cfg-option",
        )
    if (found := _VALUE.search(complaint)) is not None:
        return wrong(
            f"`{found['path']}` line {found['line']}: {found['what'].rstrip('.')}",
            CHECK.why,
            *complaint.splitlines(),
            fix=tell("correct the line", f"correct or delete line {found['line']} of `{found['path']}`"),
            failure="cfg-value",
        )
    fix = tell("read what it says", "`ssh -G somewhere` shows the same complaint; correct the file that it names")
    says = "`ssh` cannot read its configuration, for a reason that is not recognised"
    return wrong(says, CHECK.why, *complaint.splitlines(), fix=fix)


def _not_its_own(facts: Facts, path: str, complaint: str) -> Verdict:
    """OpenSSH takes no configuration that another user could have written."""
    says = f"`ssh` refuses `{path}`, since others may write it"
    if _WINDOWS.match(path):
        user = "%USERNAME%"
        fix = tell(
            "give the file to you alone, in a command prompt",
            f'icacls "{path}" /inheritance:r /grant:r "{user}:F" "SYSTEM:F" "Administrators:F"',
            "see that it worked: `ssh -G somewhere` prints settings",
        )
        return wrong(says, CHECK.why, complaint, fix=fix, failure="win-acl")
    files = facts[OwnFiles]
    ours = [one for one in (files.config, files.block) if path in {one.path, one.real_path}]
    if ours and ours[0].mode is not None and ours[0].mode & _OTHERS_WRITE:
        step = CloseConfig(path=ours[0].path)
        evidence = f"mode {oct(ours[0].mode)[2:]}"
        return wrong(says, CHECK.why, complaint, evidence, fix=Fix(does=f"close `{path}`", steps=(step,)), failure="cfg-mode")
    fix = tell(
        "make the file yours alone",
        f"`ls -l {path}` shows whose it is and who may write it",
        f"`chmod go-w {path}`; if it is not yours: `sudo chown $USER {path}`",
    )
    return wrong(says, CHECK.why, complaint, fix=fix, failure="cfg-mode")


def _add(scene: Breakable, text: str) -> None:
    path = scene.target.places.config
    scene.put_file(path, (scene.file(path) or "") + text)


def break_it(scene: Breakable) -> None:
    """Write an option that OpenSSH does not know."""
    _add(scene, "\nHost *\n    FrobnicateHosts yes\n")


def _open_to_others(scene: Breakable) -> None:
    """Let everybody write the included file."""
    path = f"{scene.target.places.include_dir}/{scene.target.house_id}.conf"
    scene.put_file(path, scene.file(path), 0o666)


CHECK = Check(
    id="own-config",
    stage=Stage.COMPUTER,
    title="`ssh` can read its configuration",
    why="one line that `ssh` does not take, or one file that others may write, makes every `ssh` fail, wherever it goes",
    needs=(Computer, OwnFiles, SshConfig),
    judge=judge,
    break_it=break_it,
    faults={
        "cfg-mode": _open_to_others,
        "cfg-value": lambda scene: _add(scene, "\nHost *\n    StrictHostKeyChecking perhaps\n"),
    },
)
STEPS = (CloseConfig,)
