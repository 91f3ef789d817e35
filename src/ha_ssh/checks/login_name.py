"""Truth: the app has a login name that can be made, and it is the wanted one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, AppLog, Apps, failure_of
from ha_ssh.core.model import Check, Consent, Facts, Fix, Stage, Verdict, Want, note, ok, rather, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable, Flavour

_CREATABLE = re.compile(r"[a-z_][a-z0-9_-]*")


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the app's user name with the wanted one, and with what the app can create."""
    app = facts[Apps].chosen(want.app)
    user = app.serving.user
    if not user:
        return wrong(
            "the app has no login name, so it does not start",
            CHECK.why,
            "settings: `username` is empty",
            fix=_default(app, want.username),
            failure="user-empty",
        )
    evidence = _refused(facts, app)
    if evidence is not None:
        return wrong(
            f"the app cannot create the user `{user}`, so it does not start",
            "the name is taken by the app's own system, or has signs that are not allowed",
            evidence,
            fix=_default(app, want.username),
            failure="user-taken",
        )
    if want.username is not None and want.username.lower() != user:
        return _another(want, app, want.username)
    return ok(f"the login name is `{user}`")


def _another(want: Want, app: App, name: str) -> Verdict:
    user = app.serving.user
    if "username" in want.remembered:
        back = f"or put `{name}` back: `ha-ssh setup --username {name}`"
        why = "it was changed in the house since; the alias on this computer has to follow"
        fix = rather(f"go on with the login name `{user}`", back, username=user)
        return note(f"the login name is `{user}` now; it was set up as `{name}`", why, f"settings: `{user}`", fix=fix)
    edit = app.flavour.set_username(name)
    if edit is None:
        fix = tell("use that name", f"leave `--username` out, or give `--username {user}`")
        return wrong(f"{app.flavour.name} knows only the login name `{user}`", CHECK.why, fix=fix)
    return wrong(f"the login name is `{user}`, not `{name}`", CHECK.why, fix=Fix(does=edit.title, slug=app.slug, edits=(edit,)))


def _refused(facts: Facts, app: App) -> str | None:
    """Return what shows that the name cannot be created: its signs, or the log of an app that is down."""
    if not _CREATABLE.fullmatch(app.serving.user):
        return f"settings: `username` is `{app.serving.user}`"
    failure = None if app.running else failure_of(facts, app)
    told = failure is not None and not failure.stale and failure.reason.code == "user-taken"
    return f"its log: {failure.reason.line}" if failure is not None and told else None


def _default(app: App, wanted: str | None = None) -> Fix:
    name = wanted or app.flavour.default_username
    edit = app.flavour.set_username(name)
    if edit is None or name == app.serving.user:
        return tell("choose another name", "`ha-ssh setup --username NAME`, with small letters, digits, `-` and `_`")
    does = f"log in as `{name}` (another name: `ha-ssh setup --username NAME`)"
    return Fix(does=does, consent=Consent.ASK, slug=app.slug, edits=(edit,))


def _can_be_chosen(flavour: Flavour) -> bool:
    return flavour.set_username("x") is not None


def _named(scene: Breakable, name: str) -> None:
    edit = scene.flavour.set_username(name)
    if edit is not None:
        scene.save(edit)
        scene.restart()


def _nameless(scene: Breakable) -> None:
    """Empty the name."""
    _named(scene, "")


def _taken(scene: Breakable) -> None:
    """Take the name of one of the app's own users."""
    _named(scene, "sshd")


CHECK = Check(
    id="login-name",
    stage=Stage.APP,
    title="The login name is the wanted one",
    why="the app admits exactly one user name",
    needs=(Apps, AppLog),
    rests_on=("app-installed",),
    judge=judge,
    faults={"user-empty": _nameless, "user-taken": _taken},
    befalls={"user-empty": _can_be_chosen, "user-taken": _can_be_chosen},
)
