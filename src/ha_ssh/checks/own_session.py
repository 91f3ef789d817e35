"""Truth: each login has a session of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Facts, Scope, Stage, Verdict, Want, note, offer, ok

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Read whether the app shares one terminal session among all logins."""
    app = facts[Apps].chosen(want.app)
    edit = app.flavour.allow("own-session")
    if edit is None or not app.serving.one_session:
        return ok("each login has its own session")
    fix = offer(
        "give each login a session of its own",
        edit,
        app.slug,
        "`share_sessions` in the app's configuration is the switch",
        "programs: run commands plainly (`ssh HOST command`), or as `TMUX=1 bash -lc '…'`",
    )
    return note(
        "all logins share one terminal session (tmux)",
        "login shells without a terminal fail there with `open terminal failed: not a terminal`, as `scp` and VS Code may",
        "settings: `share_sessions` is on",
        fix=fix,
        failure="tmux-exec",
    )


def _share(scene: Breakable) -> None:
    scene.app.options["share_sessions"] = True
    scene.restart()


CHECK = Check(
    id="own-session",
    stage=Stage.SESSION,
    scope=Scope.HYGIENE,
    title="Each login has its own session",
    why="a shared session is handy for people and a trap for programs",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    faults={"tmux-exec": _share},
    befalls={"tmux-exec": lambda flavour: flavour.allow("own-session") is not None},
)
