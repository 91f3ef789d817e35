"""Truth: our public key is in the app's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core import keys
from ha_ssh.core.facts import App, Apps, MyKey, holds_key
from ha_ssh.core.model import (
    Check,
    Consent,
    Facts,
    Fix,
    NotKnown,
    PasswordWish,
    PublicKeyOf,
    Risk,
    Stage,
    Verdict,
    Want,
    note,
    ok,
    wrong,
)

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the entries with our key, by the key itself and never by its comment."""
    app = facts[Apps].chosen(want.app)
    key = facts.get(MyKey)
    if isinstance(key, NotKnown) or facts.target.identity is None:
        return note(f"{len(app.serving.keys)} keys are authorised; which of them is yours is not known here")
    if holds_key(app.serving.keys, key.public, facts.target.identity):
        return ok("your key is authorised in the app's settings")
    refused = [entry for entry in app.serving.keys if isinstance(keys.parse_entry(entry), keys.BadEntry)]
    evidence = [f"{len(app.serving.keys)} entries, none of them your key"]
    evidence += [f"{len(refused)} of them are in a shape that sshd refuses"] if refused else []
    return wrong("your key is not authorised in the app's settings", CHECK.why, *evidence, fix=_fix(want, facts, app))


def _fix(want: Want, facts: Facts, app: App) -> Fix:
    """Add the key; where that ends a password login that people may use, only by the named risk (or by `--password off`)."""
    identity = want.identity or facts.target.identity or ""
    edit = app.flavour.add_key(PublicKeyOf(identity, want.comment or ""))
    ends = app.flavour.key_ends_password and app.serving.password_login and want.password is not PasswordWish.OFF
    if not ends:
        return Fix(does="add your key to the authorised keys", slug=app.slug, edits=(edit,))
    return Fix(
        does="add your key, which ends password login in this app at once",
        consent=Consent.ASK,
        risk=Risk.PASSWORD_OFF,
        slug=app.slug,
        edits=(edit,),
    )


def break_it(scene: Breakable) -> None:
    """Replace every key by somebody else's."""
    scene.forget_our_key()


CHECK = Check(
    id="key-authorised",
    stage=Stage.SETTINGS,
    title="Your key is authorised",
    why="the app admits only the keys that are in its settings",
    needs=(Apps, MyKey),
    rests_on=("app-installed", "key-file"),
    judge=judge,
    break_it=break_it,
)
