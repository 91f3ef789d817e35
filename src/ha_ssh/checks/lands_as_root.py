"""Truth: whoever logs in may read and write the files of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps, Doors, app_and_door, block_path
from ha_ssh.core.inside import Inside
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, known, note, ok, rather, tell, unknown

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the user number that a plain command has; a terminal becomes root by itself, a command does not."""
    app, door = app_and_door(want, facts)
    shown = known(door.inside, "see as whom commands run")
    if not isinstance(shown, Inside) or shown.uid is None:
        return unknown("as whom commands run was not seen", CHECK.why)
    if shown.uid == 0:
        return ok("commands run as root: all files of the house are within reach")
    without = 'or put `sudo` before commands (it asks for no password here), and copy with `rsync --rsync-path="sudo rsync"`'
    if not app.seen:
        fix = tell("ask for more where it is needed", "`sudo` may do it, if that user may use it")
    elif app.flavour.set_username("root") is None:
        fix = tell("ask for more where it is needed", without.removeprefix("or "))
    else:
        others = f"whoever logs in as `{app.serving.user}` now has to say `root` then; SFTP can be switched on then"
        fix = rather("log in as `root`", others, without, username="root")
    says = f"commands run as `{app.serving.user}`, not as root, so some files of the house are out of reach"
    why = "`scp` and `rsync` say `Permission denied` there, while a terminal (which becomes root) does not"
    return note(says, why, f"id -u: {shown.uid}", fix=fix, failure="scp-perm")


def _be_nobody_special(scene: Breakable) -> None:
    """Log in as another than root, and say so in the alias."""
    edit = scene.flavour.set_username("hassio")
    if edit is None:
        return
    scene.save(edit)
    scene.restart()
    path = block_path(scene.target)
    scene.put_file(path, (scene.file(path) or "").replace("User root", "User hassio"))


CHECK = Check(
    id="lands-as-root",
    stage=Stage.SESSION,
    scope=Scope.HYGIENE,
    title="Commands may reach all files",
    why="what a login may touch depends on the user it runs as",
    needs=(Apps, Doors),
    rests_on=("right-server",),
    judge=judge,
    faults={"scp-perm": _be_nobody_special},
    befalls={"scp-perm": lambda flavour: flavour.set_username("hassio") is not None},
)
