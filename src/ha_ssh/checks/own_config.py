"""Truth: the user's own OpenSSH can read its configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import sshconfig
from ha_ssh.core.facts import OF_THE_HOUSE, Alias, Computer, OwnFiles, SshConfig
from ha_ssh.core.keys import printable
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    Home,
    IfFailed,
    Later,
    NotKnown,
    OwnLogin,
    Show,
    Stage,
    Verdict,
    Want,
    known,
    note,
    ok,
    tell,
    unknown,
    wrong,
)
from ha_ssh.core.open_file import OpenFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ha_ssh.core.model import Breakable, FileState

_OTHERS_WRITE = 0o022
_OWNER = re.compile(r"Bad owner or permissions on (?P<path>\S.*)")
_OPTION = re.compile(r"(?m)^(?P<path>.+?): line (?P<line>\d+): Bad configuration option: (?P<what>\S+)")
_VALUE = re.compile(r"(?m)^(?:.*?: )?(?P<path>\S.*?):? line (?P<line>\d+): (?P<what>.+)")
_NO_END = "was ended after"
_ASKS = re.compile(r"Executing command: '(?P<what>.*)'")
_NOT_OPENED = re.compile(r"Can't open user config file (?P<path>.+): Permission denied")
_NO_VALUE = re.compile(r"env var (?P<what>\$\{[^}]+\}) has no value")
_NO_SIGN = re.compile(r"unknown key (?P<what>%\S?)")
_CIRCLE = "Too many recursive configuration includes"
_FIRST_LINE = re.compile(r"(?P<path>\S.*?):? line 1: (?:.*?(?P<mark>\\357\\273\\277|\\37[67]\\37[67]))?")
_SHOWN_MARKS = {r"\357\273\277": "byte order mark", r"\377\376": "UTF-16", r"\376\377": "UTF-16"}
"""How OpenSSH shows the first bytes of such a file."""
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
        return _with_file(facts, self.path, lambda state: replace(state, mode=(state.mode or 0) & ~_OTHERS_WRITE))

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


@dataclass(frozen=True, kw_only=True)
class MendConfig:
    """Take out of a file what keeps OpenSSH's client from reading it; everything else stays byte for byte."""

    path: str
    title: str
    text: str
    """The whole file, mended."""

    id: ClassVar[str] = "mend-config"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = OF_THE_HOUSE

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """Every line that changes; an invisible mark is named."""
        before = sshconfig.lines(_file(facts[OwnFiles], self.path).text or "")
        after = [line.raw for line in sshconfig.lines(self.text)]
        shown = (f"- {self.path}: line {line.number}: {_visible(line.raw)}" for line in before if line.raw not in after)
        return tuple(shown)

    def after(self, facts: Facts) -> Facts:
        """The file is mended; what `ssh` then makes of its configuration is for the next look."""
        return _with_file(facts, self.path, lambda state: replace(state, text=self.text))

    async def save(self, home: Home) -> dict[str, Any]:
        """What was there."""
        return {"text": (await home.file(self.path)).text}

    async def do(self, home: Home, _show: Show) -> None:
        """Write the file in one piece."""
        await home.write(self.path, self.text)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Put the former text back, if nobody has edited it since."""
        state = await home.file(self.path)
        if saved["text"] is not None and state.text == self.text:
            await home.write(self.path, saved["text"])
        return None


def _visible(line: str) -> str:
    mark = "an invisible byte order mark" if line.startswith("\ufeff") else printable(line.strip())
    return mark or "blank"


def _with_file(facts: Facts, path: str, changed: Callable[[FileState], FileState]) -> Facts:
    """Return the facts with a changed file; what `ssh` then makes of its configuration is for the next look."""
    files = facts[OwnFiles]
    new = {name: changed(state) for name in ("config", "block") if (state := getattr(files, name)).path == path}
    later = Later("what `ssh` makes of its configuration")
    facts = facts.with_(replace(files, **new), SshConfig(complaint=later))
    return facts.without(Alias, Later("where the alias then leads")) if facts.target.alias else facts


def _file(files: OwnFiles, path: str) -> FileState:
    return next(one for one in (files.config, files.block) if one.path == path)


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge what `ssh -G` complains about; one bad line makes every `ssh` fail."""
    if isinstance(computer := facts.get(Computer), Computer) and computer.ssh is None and not computer.trouble:
        return note("there is no OpenSSH client, so nothing reads its configuration")
    if facts[SshConfig].untold:
        return _untold(facts)
    if facts[OwnFiles].config.closed:
        return _passed_over(facts[OwnFiles].config)
    complaint = str(known(facts[SshConfig].complaint, "read what `ssh` makes of its configuration") or "")
    if not complaint:
        return ok("`ssh` can read its configuration")
    if _NO_END in complaint:
        return _no_end(facts, complaint)
    if (found := _NOT_OPENED.search(complaint)) is not None:
        return _not_opened(facts, found["path"], complaint)
    if (found := _NO_VALUE.search(complaint) or _NO_SIGN.search(complaint)) is not None:
        return _not_expanded(facts, found[0], found["what"], complaint)
    if (found := _OWNER.search(complaint)) is not None:
        return _not_its_own(facts, found["path"].strip().rstrip("."), complaint)
    if _CIRCLE in complaint:
        return _in_circles(facts, complaint)
    special = _our_own_file(facts, complaint) or _not_plain_text(facts, complaint)
    if special is not None:
        return special
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
    fix = tell("read what it says", "`ssh -vG somewhere` shows the same complaint, and before it the files that `ssh` reads")
    says = "`ssh` cannot read its configuration, for a reason that is not recognised"
    return wrong(says, CHECK.why, *complaint.splitlines(), fix=fix)


def _untold(facts: Facts) -> Verdict:
    """An `ssh` that cannot be asked reads its configuration where it logs in by the alias."""
    alias = facts.get(Alias)
    login = None if isinstance(alias, NotKnown | Later) else alias.login
    if isinstance(login, OwnLogin) and login.code == 0:
        return ok("`ssh` logs in by the alias, so it reads its configuration")
    return unknown("this `ssh` cannot say what it makes of its configuration", CHECK.why, because="ssh-client")


def _no_end(facts: Facts, complaint: str) -> Verdict:
    """Name the program that a `Match exec` waits for, or the file that is no file; what is left is not recognised."""
    lines = complaint.splitlines()
    program = next((found for line in lines if (found := _ASKS.match(line))), None)
    if program is not None:
        command = program["what"]
        files = (facts[OwnFiles].config, *facts[SshConfig].files)
        named = [
            (file.path, line)
            for file in files
            for line in sshconfig.lines(file.text or "")
            if line.keyword == "match" and command in line.args
        ]
        where = f"line {named[0][1].number} of `{named[0][0]}`" if named else f"a `Match exec` line of `{lines[1]}`"
        fix = tell("correct the condition", f"it is {where}: the program must end by itself, and soon")
        says = f"`ssh` waits for a program that a condition of your configuration asks: `{command}`"
        return wrong(says, CHECK.why, *lines, fix=fix, failure="cfg-exec-hangs")
    own = facts[OwnFiles]
    odd = [file for file in (own.config, own.block, *facts[SshConfig].files) if file.is_pipe]
    if odd:
        fix = tell("put a plain file there", *(f"`ls -l {file.path}` shows what it is; move it away" for file in odd))
        says = f"`ssh` waits for what never comes out of `{odd[0].path}`, which is no plain file"
        return wrong(says, CHECK.why, *lines, fix=fix, failure="cfg-no-file")
    fix = tell("see where it stops", "`ssh -vG somewhere` shows every step: the last one is what it waits for")
    says = "`ssh` does not come to the end of its configuration, for a reason that is not recognised"
    return wrong(says, CHECK.why, *lines, fix=fix)


def _passed_over(config: FileState) -> Verdict:
    """OpenSSH says nothing of a configuration of the user's that it may not read."""
    says = f"`ssh` passes `{config.path}` over, since you may not read it"
    why = "without a word it then does as if nothing were in it"
    return wrong(says, why, f"mode {config.mode or 0:03o}", fix=_opened(config), failure="cfg-unreadable")


def _not_opened(facts: Facts, path: str, complaint: str) -> Verdict:
    """A file that OpenSSH was told to read, and may not."""
    files = facts[OwnFiles]
    ours = next((one for one in (files.config, files.block) if path in {one.path, one.real_path}), None)
    says = f"`ssh` cannot read `{path}`"
    fix = _opened(ours) if ours is not None else tell("let your user read it", f"`ls -l {path}` shows whose it is")
    return wrong(says, CHECK.why, *complaint.splitlines(), fix=fix, failure="cfg-unreadable")


def _not_expanded(facts: Facts, words: str, what: str, complaint: str) -> Verdict:
    """A variable that is not set, or a sign after `%` that the setting does not know."""
    files = (facts[OwnFiles].config, facts[OwnFiles].block, *facts[SshConfig].files)
    named = [
        (file.path, line) for file in files for line in sshconfig.lines(file.text or "") if line.keyword and what in line.raw
    ]
    where = f"line {named[0][1].number} of `{named[0][0]}`" if named else "in a file that your configuration includes"
    variable = what.startswith("$")
    way = "set the variable, or write the value itself" if variable else f"`{what.replace('%', '%%')}` writes a plain `%`"
    why = "which has no value" if variable else "which this setting does not know"
    says = f"`ssh` gives up, since your configuration names `{what}`, {why}"
    failure = "cfg-variable" if variable else "cfg-value"
    fix = tell("correct your configuration", f"it is {where}: {way}")
    return wrong(says, CHECK.why, *complaint.splitlines(), fix=fix, failure=failure)


def _our_own_file(facts: Facts, complaint: str) -> Verdict | None:
    """Our own file is ours to mend, whoever has written into it; what then is missing, the alias is written anew for."""
    block = facts[OwnFiles].block
    places = {block.path, block.real_path}
    found = [one for pattern in (_OPTION, _VALUE) for one in pattern.finditer(complaint) if one["path"] in places]
    if not found or block.text is None:
        return None
    mended = sshconfig.mended_block(block.text, [int(one["line"]) for one in found])
    step = MendConfig(path=block.path, title=f"Take out of `{block.path}` what `ssh` refuses", text=mended)
    says = f"`{block.path}`, a file of ours, has a line that `ssh` does not take: line {found[0]['line']}"
    fix = Fix(does=f"take it out of `{block.path}`", steps=(step,))
    return wrong(says, CHECK.why, *complaint.splitlines(), fix=fix, failure="cfg-own-file")


def _not_plain_text(facts: Facts, complaint: str) -> Verdict | None:
    """A file that was saved in another encoding is refused from its first line on."""
    config = facts[OwnFiles].config
    first = next((one for one in map(_FIRST_LINE.match, complaint.splitlines()) if one is not None), None)
    if first is None:
        return None
    path = first["path"]
    ours = path in {config.path, config.real_path} and config.text is not None
    kind = sshconfig.encoding(config.text or "") if ours else _SHOWN_MARKS.get(first["mark"] or "", "")
    if kind == "byte order mark":
        says = (
            f"`{path}` begins with an invisible mark (a byte order mark of UTF-8), which `ssh` takes for a part of its first word"
        )
        step = MendConfig(path=config.path, title=f"Take the byte order mark out of `{path}`", text=(config.text or "")[1:])
        fix = tell("save it without the mark", f"save `{path}` as UTF-8 without a byte order mark (`UTF-8` alone in an editor)")
        fix = Fix(does=f"take the byte order mark out of `{path}`", steps=(step,)) if ours else fix
        return wrong(says, CHECK.why, *complaint.splitlines(), fix=fix, failure="cfg-encoding")
    if kind:
        again = f"iconv -f UTF-16 -t UTF-8 {path} > {path}.new && mv {path}.new {path}"
        fix = tell("save it as UTF-8", f"`{again}`", "or in an editor: save it as UTF-8 without a byte order mark")
        says = f"`{path}` was saved as UTF-16, which `ssh` cannot read"
        return wrong(says, CHECK.why, *complaint.splitlines(), fix=fix, failure="cfg-encoding")
    return None


def _in_circles(facts: Facts, complaint: str) -> Verdict:
    """OpenSSH does not say which file includes itself; the user's own may show it."""
    files = facts[OwnFiles]
    own = [line for line in sshconfig.lines(files.config.text or "") if line.keyword == "include"]
    alone = [line for line in own if {files.config.path, files.config.real_path} & set(line.args)]
    seen = tuple(f"line {line.number}: {line.raw.strip()}" for line in alone or own)
    if alone:
        way = f"delete line {alone[0].number} of `{files.config.path}`: it includes its own file"
    else:
        way = "look into each file that an `Include` line names for one that leads back"
    says = "the `Include` lines of your configuration lead in a circle"
    return wrong(says, CHECK.why, complaint, *seen, fix=tell("break the circle", way), failure="cfg-circle")


def _not_its_own(facts: Facts, path: str, complaint: str) -> Verdict:
    """OpenSSH takes no configuration that another user could have written."""
    says = f"`ssh` refuses `{path}`, since others may write it, or own it"
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
        says = f"`ssh` refuses `{path}`, since others may write it"
        evidence = f"mode {oct(ours[0].mode)[2:]}"
        return wrong(says, CHECK.why, complaint, evidence, fix=Fix(does=f"close `{path}`", steps=(step,)), failure="cfg-mode")
    known_file = next((one for one in (*ours, *facts[SshConfig].files) if path in {one.path, one.real_path}), None)
    if path.startswith("/etc/"):
        fix = tell("close it to others", f"`sudo chown root {path}; sudo chmod go-w {path}`: it is the system's, not yours")
    elif known_file is not None and not known_file.mine:
        says = f"`ssh` refuses `{path}`, since it belongs to another user"
        fix = tell("make it yours", f"`sudo chown $USER {path}`")
    else:
        fix = tell(
            "make the file yours alone",
            f"`ls -l {path}` shows whose it is and who may write it",
            f"`chmod go-w {path}`; if it is not yours: `sudo chown $USER {path}`",
        )
    return wrong(says, CHECK.why, complaint, fix=fix, failure="cfg-mode")


def _opened(file: FileState) -> Fix:
    """Let the user read a file of his own; one that is another's is left to a person."""
    if file.mine:
        step = OpenFile(path=file.path, mode=file.mode or 0)
        return Fix(does=step.title[0].lower() + step.title[1:], steps=(step,))
    return tell("let your user read it", f"`ls -l {file.path}` shows whose it is; then `sudo chown $USER {file.path}`")


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


def _add_to_ours(scene: Breakable) -> None:
    """Write something of one's own into our file."""
    path = f"{scene.target.places.include_dir}/{scene.target.house_id}.conf"
    scene.put_file(path, f"{scene.file(path) or ''}\n    FrobnicateHosts yes\n")


CHECK = Check(
    id="own-config",
    stage=Stage.COMPUTER,
    title="`ssh` can read its configuration",
    why="one line that `ssh` does not take, or one file that others may write, makes every `ssh` fail, wherever it goes",
    needs=(Alias, Computer, OwnFiles, SshConfig),
    rests_on=(
        "ssh-folder",
        "ssh-client",
    ),
    judge=judge,
    break_it=break_it,
    faults={
        "cfg-mode": _open_to_others,
        "cfg-unreadable": lambda scene: scene.put_file(
            scene.target.places.config, scene.file(scene.target.places.config) or "", 0o000
        ),
        "cfg-own-file": _add_to_ours,
        "cfg-encoding": lambda scene: scene.put_file(
            scene.target.places.config, f"\ufeff{scene.file(scene.target.places.config) or ''}"
        ),
        "cfg-circle": lambda scene: _add(scene, f"Include {scene.target.places.config}\n"),
        "cfg-value": lambda scene: _add(scene, "\nHost *\n    StrictHostKeyChecking perhaps\n"),
    },
)
STEPS = (CloseConfig, MendConfig, OpenFile)
