"""Truth: the folder of the user's OpenSSH files is a folder that the user can look into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import OwnFiles
from ha_ssh.core.model import Check, Facts, Fix, Stage, Verdict, Want, ok, tell, wrong
from ha_ssh.core.open_file import OpenFile

if TYPE_CHECKING:
    from ha_ssh.core.model import FileState


def judge(_want: Want, facts: Facts) -> Verdict:
    """Look at the folder itself: what lies in it cannot be seen through a closed door."""
    folder = facts[OwnFiles].folder
    if folder.kind == "missing":
        return ok(f"`{folder.path}` is not there yet, and is made with what comes into it")
    if not folder.is_folder:
        fix = tell("move it away", f"`mv {folder.path} {folder.path}.old`: the folder is then made anew")
        says = f"`{folder.path}` {folder.problem or 'is a file'}, where the folder of your SSH files belongs"
        return wrong(says, CHECK.why, fix=fix, failure="ssh-folder")
    if folder.problem is None:
        return ok(f"`{folder.path}` is a folder that you can look into")
    return _closed(folder)


def _closed(folder: FileState) -> Verdict:
    says = f"`{folder.path}` {folder.problem}, so `ssh` finds nothing of yours"
    if folder.mine and folder.mode is not None:
        step = OpenFile(path=folder.path, mode=folder.mode, folder=True)
        fix = Fix(does=step.title[0].lower() + step.title[1:], steps=(step,))
    else:
        fix = tell("make the folder yours", f"`sudo chown $USER {folder.path}`")
    return wrong(says, CHECK.why, f"mode {folder.mode or 0:03o}", fix=fix, failure="ssh-folder")


CHECK = Check(
    id="ssh-folder",
    stage=Stage.COMPUTER,
    title="The folder of your SSH files can be looked into",
    why="the key, the configuration and the known hosts lie there",
    needs=(OwnFiles,),
    judge=judge,
)
