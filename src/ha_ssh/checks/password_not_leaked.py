"""Truth: the app's password is not one that is known from leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, Apps, Doors
from ha_ssh.core.house_facts import Resolution
from ha_ssh.core.model import (
    Check,
    Consent,
    Facts,
    Fix,
    NotKnown,
    Risk,
    Scope,
    Stage,
    Verdict,
    Want,
    known,
    ok,
    tell,
    wrong,
)

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge what the Supervisor found when it asked about the password."""
    app = facts[Apps].chosen(want.app)
    issue = facts[Resolution].of("pwned", reference=app.slug)
    if issue is None or not app.serving.password_set:
        return ok("the Supervisor knows of no leaked password in the app's settings")
    says = "the app's password is known from leaks"
    why = "whoever tries the lists of leaked passwords gets in; with forced security on, the app does not even start"
    return wrong(says, why, issue.text, fix=_fix(facts, app), failure="pwned")


def _fix(facts: Facts, app: App) -> Fix:
    """Clear it where a key is proven; where people log in by it, only by the named risk."""
    doors = facts.get(Doors)
    door = None if isinstance(doors, NotKnown) else doors.by_slug.get(app.slug)
    if door is None or not known(door.proof, "clear the leaked password, once the login by key is proven"):
        return tell(
            "choose another password, or a key",
            "`ha-ssh setup` puts a key in its place",
            f"or set another one: Settings, Apps, {app.flavour.name}, Configuration",
        )
    edits = (app.flavour.set_password(None),)
    if not app.serving.password_login:
        return Fix(does="clear the password (nobody logs in by it: the app ignores it beside a key)", slug=app.slug, edits=edits)
    return Fix(
        does="clear the password, which ends password login",
        consent=Consent.ASK,
        risk=Risk.PASSWORD_OFF,
        slug=app.slug,
        edits=edits,
    )


def break_it(scene: Breakable) -> None:
    """Set a password, and let the Supervisor find it among leaked ones."""
    scene.set_password()
    scene.restart()
    scene.house.issues.append({"type": "pwned", "context": "addon", "reference": scene.slug, "reference_extra": None})


CHECK = Check(
    id="password-not-leaked",
    stage=Stage.SETTINGS,
    scope=Scope.SECURITY,
    title="The password is not known from leaks",
    why="leaked passwords are the first that are tried",
    needs=(Apps, Doors, Resolution),
    rests_on=("app-installed",),
    judge=judge,
    break_it=break_it,
    faults={"pwned": break_it},
)
