"""Truth: there is a password in the app's settings only if one is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps, Doors
from ha_ssh.core.model import Check, Facts, Fix, NotKnown, PasswordWish, Stage, Verdict, Want, known, ok, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Clear the password once a login by key is proven, where that is wanted."""
    app = facts[Apps].chosen(want.app)
    if not app.serving.password_set:
        return ok("no password is set")
    if want.password is not PasswordWish.OFF:
        return ok("a password is set" if app.serving.password_login else "a password is set, but the app ignores it beside a key")
    doors = facts.get(Doors)
    door = None if isinstance(doors, NotKnown) else doors.by_slug.get(app.slug)
    proof = known(door.proof, "clear the password, once the login by key is proven") if door else None
    if not proof:
        return wrong("a password is still set, and no login by key is proven yet", CHECK.why)
    fix = Fix(does="clear the password", slug=app.slug, edits=(app.flavour.set_password(None),))
    return wrong("a password is still set", CHECK.why, fix=fix)


def break_it(scene: Breakable) -> None:
    """Set a password."""
    scene.set_password()
    scene.restart()


CHECK = Check(
    id="password-as-wanted",
    stage=Stage.SESSION,
    title="The password is as wanted",
    why="a password can be guessed, a key cannot",
    needs=(Apps, Doors),
    rests_on=("app-installed", "right-server"),
    judge=judge,
    break_it=break_it,
)
