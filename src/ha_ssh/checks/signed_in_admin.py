"""Truth: we are signed in as an administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Core
from ha_ssh.core.model import Check, Facts, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(_want: Want, facts: Facts) -> Verdict:
    """Ask who we are."""
    state = facts[Core].state
    if state.is_admin:
        return ok(f"signed in as the administrator {state.user}".rstrip())
    return wrong(
        f"`{state.user}` is not an administrator of this Home Assistant",
        CHECK.why,
        "auth/current_user: is_admin is false",
        fix=tell("sign in as an administrator", "make the token while you are signed in as an administrator"),
        failure="not-admin",
    )


def break_it(scene: Breakable) -> None:
    """Take the administrator's rights away."""
    scene.demote()


CHECK = Check(
    id="signed-in-admin",
    stage=Stage.SIGN_IN,
    title="We are signed in as an administrator",
    why="only administrators may see and change an app's settings",
    needs=(Core,),
    rests_on=("house-answers",),
    judge=judge,
    break_it=break_it,
    faults={"not-admin": break_it},
)
