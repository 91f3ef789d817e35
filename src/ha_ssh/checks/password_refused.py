"""Truth: the server offers no login by password, unless one is wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps, Doors
from ha_ssh.core.model import Check, Facts, PasswordWish, Stage, Verdict, Want, known, note, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_BY_PASSWORD = {"password", "keyboard-interactive"}


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the ways to log in that the server offered in our one connection."""
    app = facts[Apps].chosen(want.app)
    door = facts[Doors].of(app)
    methods = known(door.methods, "see that the server offers no login by password")
    if methods is None:
        return unknown("the server's ways to log in were not seen", CHECK.why)
    if door.proof is None:
        return unknown("the ways to log in that were seen may be another server's", CHECK.why)
    offered = _BY_PASSWORD.intersection(methods)
    if not offered:
        return ok("the server refuses passwords")
    if want.password is not PasswordWish.OFF:
        return note("the server admits a password beside your key", CHECK.why, f"offered: {', '.join(methods)}")
    if app.serving.password_set:
        return unknown("a password is still set", CHECK.why)
    says, why = "the server still asks for passwords, although none is set", "no password that is typed there can be right"
    evidence = (f"offered: {', '.join(methods)}", f"version {app.version}")
    flaw = app.flaw("noreply-pw")
    if flaw is not None:
        fix = tell("update the app", f"version {flaw.mended} of {app.flavour.name} mended it")
        return replace(wrong(says, why, *evidence, fix=fix, failure=flaw.failure), because="app-version")
    fix = tell(
        "find out what asks for it",
        "in a session: `grep -ri -e password -e kbdinteractive /etc/ssh/sshd_config*` shows whether the app's own settings do",
        "if they say `yes`: a command or package of yours, or a version that is not known here; restart the app, and look again",
        "if they say `no`: something between this computer and the app asks (another server, a proxy)",
    )
    why = f"{why}; what makes it ask is not recognised: nothing of the kind is known of this version"
    return wrong(says, why, *evidence, fix=fix)


def break_it(scene: Breakable) -> None:
    """Ask for passwords that open nothing."""
    scene.house.knobs.vain_password = True


CHECK = Check(
    id="password-refused",
    stage=Stage.SESSION,
    title="Login by password is refused",
    why="passwords can be guessed from outside; keys cannot",
    needs=(Apps, Doors),
    rests_on=("right-server", "password-as-wanted", "app-version"),
    judge=judge,
    break_it=break_it,
)
