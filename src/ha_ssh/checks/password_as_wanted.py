"""Truth: there is a password in the app's settings only if one is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import settings
from ha_ssh.core.facts import App, Apps, Doors
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    NotKnown,
    PasswordWish,
    SecretRef,
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
    from ha_ssh.core.model import Breakable, Flavour


def judge(want: Want, facts: Facts) -> Verdict:
    """Clear the password once a login by key is proven, where that is wanted."""
    app = facts[Apps].chosen(want.app)
    if want.new_password is not None:
        return _replaced(want.new_password, app, facts)
    if not app.serving.password_set:
        return ok("no password is set")
    if want.password is not PasswordWish.OFF:
        return ok("a password is set, and lets people in") if app.serving.password_login else _ignored()
    doors = facts.get(Doors)
    door = None if isinstance(doors, NotKnown) else doors.by_slug.get(app.slug)
    proof = known(door.proof, "clear the password, once the login by key is proven") if door else None
    if not proof:
        fix = tell("prove a login by key first", "put right what keeps the key out, then `ha-ssh setup` clears the password")
        return wrong("a password is still set, and no login by key is proven yet", CHECK.why, fix=fix)
    fix = Fix(does="clear the password", slug=app.slug, edits=(app.flavour.set_password(None),))
    if app.serving.password_login:
        return wrong("a password is still set", CHECK.why, "settings: a password", fix=fix)
    evidence = "settings: a key and a password, of which this app takes only the key"
    return wrong("a password is still set", CHECK.why, evidence, fix=fix, failure="pw-ignored")


def _replaced(wanted: SecretRef, app: App, facts: Facts) -> Verdict:
    """Set a new password once a login by key is proven, so that whoever is locked out by it still has that."""
    now = settings.at_path(app.settings, app.flavour.secret_paths()[0])
    if now == wanted or (isinstance(now, str) and SecretRef.of_password(now) == wanted):
        return ok("the new password is set")
    then = "set the new password, once the login by key is proven"
    if not known(facts[Doors].of(app).proof, then):
        return wrong("the new password is not set, and no login by key is proven yet", CHECK.why)
    fix = Fix(does="set the new password", slug=app.slug, edits=(app.flavour.set_password(wanted),))
    return wrong("the new password is not set yet", CHECK.why, fix=fix)


def _ignored() -> Verdict:
    says = "a password is set, but the app ignores it beside a key"
    why = "in this app the first key ends password login, whatever its documentation says: log in with a key"
    return note(says, why, "settings: both a key and a password", failure="pw-ignored")


def break_it(scene: Breakable) -> None:
    """Set a password."""
    scene.set_password()
    scene.restart()


def _ends_password(flavour: Flavour) -> bool:
    return flavour.key_ends_password


CHECK = Check(
    id="password-as-wanted",
    stage=Stage.SESSION,
    title="The password is as wanted",
    why="a password can be guessed, a key cannot",
    needs=(Apps, Doors),
    rests_on=("app-installed", "key-authorised", "password-not-leaked", "right-server"),
    judge=judge,
    break_it=break_it,
    faults={"pw-ignored": break_it},
    befalls={"pw-ignored": _ends_password},
)
