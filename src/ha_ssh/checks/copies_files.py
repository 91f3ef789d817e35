"""Truth: files can be copied over SSH, by whichever of its ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ha_ssh.core import logs
from ha_ssh.core.facts import App, AppLog, Apps, Doors, app_and_door
from ha_ssh.core.inside import Inside
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    NotKnown,
    Scope,
    Stage,
    Verdict,
    Want,
    known,
    note,
    offer,
    ok,
    tell,
    unknown,
    warn,
)

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge what the session showed: SFTP by opening it where the settings have it on, rsync by the program being there."""
    app, door = app_and_door(want, facts)
    shown = known(door.inside, "see how files can be copied")
    if not isinstance(shown, Inside):
        return unknown("what the app has for copying was not seen", CHECK.why)
    rsync = "rsync" in shown.programs
    if not app.seen:
        return _unseen(shown, rsync=rsync)
    if app.serving.sftp and shown.sftp:
        fix = tell(
            "start the app anew", "restart the app; then try `sftp` once more", "until then: `scp -O`, or `tar` through `ssh`"
        )
        says = "SFTP is on in the app's settings, yet it does not open"
        return warn(says, CHECK.why, f"the server said: {shown.sftp}", fix=fix, failure="sftp-dead")
    if not app.serving.sftp:
        return _no_sftp(facts, app, rsync=rsync)
    if not rsync:
        return note(
            "files can be copied by SFTP and `scp`; the app has no `rsync`",
            "",
            "command -v rsync: nothing",
            failure="rsync-none",
            fix=_fetched(app),
        )
    return ok("files can be copied by SFTP, `scp` and `rsync`")


def _unseen(shown: Inside, *, rsync: bool) -> Verdict:
    """What the session alone tells, where nobody looked into the settings."""
    program = "`rsync` is there" if rsync else "there is no `rsync`"
    if not shown.sftp:
        return ok(f"files can be copied by SFTP and `scp`; {program}")
    says = f"SFTP does not open, so `scp` works only as `scp -O`; {program}"
    return note(says, "since OpenSSH 9, `scp` goes through SFTP", f"the server said: {shown.sftp}", failure="scp-new")


def _fetched(app: App) -> Fix | None:
    """Offer to have `rsync` fetched, where the app can do that."""
    edit = app.flavour.allow("rsync")
    if edit is None:
        return None
    price = "the app then fetches it at each start, and does not start while the house is without internet"
    return offer("have `rsync` too", edit, app.slug, price, "without it: SFTP, `scp`, or `tar` through `ssh`")


def _no_sftp(facts: Facts, app: App, *, rsync: bool) -> Verdict:
    """SFTP is off; `scp` has used it since OpenSSH 9."""
    log = facts.get(AppLog)
    lines: Any = () if isinstance(log, NotKnown) else log.lines.get(app.slug, ())
    tried = [one.line for one in logs.refusals(lines) if one.code == "subsystem-failed"] if isinstance(lines, tuple) else []
    switch = app.flavour.allow("sftp")
    name = ".".join(switch.path[1:]) if switch else "sftp"
    instead = "`scp -O` copies without SFTP" + ("; `rsync` is there" if rsync else "")
    if switch and app.serving.user == "root":
        fix = offer("switch SFTP on", switch, app.slug, instead, f"`{name}` in the app's configuration is the switch")
    else:
        way = f"SFTP: switch `{name}` on in the app's configuration, with `root` as the login name, which it needs; restart it"
        fix = tell("copy in another way, or switch SFTP on", instead, way)
    says = "SFTP is off, so `scp` works only as `scp -O`"
    evidence = (f"settings: `{name}` is off", *(f"the app's log: {line}" for line in tried[-1:]))
    return note(says, "since OpenSSH 9, `scp` goes through SFTP", *evidence, failure="scp-new", fix=fix)


def _kill_sftp(scene: Breakable) -> None:
    scene.house.knobs.sftp_broken = True


def _without_rsync(scene: Breakable) -> None:
    """Have nothing fetched beside what the image has."""
    scene.save(scene.flavour.drop_packages())
    scene.restart()


def _tried_in_vain(scene: Breakable) -> None:
    scene.app.log.append("subsystem request for sftp by user root failed, subsystem not found")


CHECK = Check(
    id="copies-files",
    stage=Stage.SESSION,
    scope=Scope.HYGIENE,
    title="Files can be copied",
    why="`scp`, SFTP and `rsync` each need something of the app",
    needs=(Apps, AppLog, Doors),
    rests_on=("right-server", "settings-live"),
    judge=judge,
    faults={"sftp-dead": _kill_sftp, "rsync-none": _without_rsync, "scp-new": _tried_in_vain},
    befalls={
        "sftp-dead": lambda flavour: flavour.allow("sftp") is None,
        "rsync-none": lambda flavour: flavour.allow("sftp") is None,
        "scp-new": lambda flavour: flavour.allow("sftp") is not None,
    },
)
