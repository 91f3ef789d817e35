"""Truth: the app lets the wanted user name log in."""

from __future__ import annotations

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Facts, Fix, Stage, Verdict, Want, ok, tell, wrong


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the app's user name with the wanted one."""
    app = facts[Apps].chosen(want.app)
    user = app.serving.user
    if want.username is None or want.username.lower() == user:
        return ok(f"the login name is `{user}`") if user else _nameless(want)
    edit = app.flavour.set_username(want.username)
    if edit is None:
        fix = tell("use that name", f"leave `--username` out, or give `--username {user}`")
        return wrong(f"{app.flavour.name} knows only the login name `{user}`", CHECK.why, fix=fix)
    return wrong(
        f"the login name is `{user}`, not `{want.username}`", CHECK.why, fix=Fix(does=edit.title, slug=app.slug, edits=(edit,))
    )


def _nameless(_want: Want) -> Verdict:
    fix = tell("choose a name", "`ha-ssh setup --username NAME`")
    return wrong("the app has no login name, so it does not start", CHECK.why, fix=fix)


CHECK = Check(
    id="login-name",
    stage=Stage.SETTINGS,
    title="The login name is the wanted one",
    why="the app admits exactly one user name",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
)
