"""Truth: the `ha` command answers inside a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import App, Apps, Door, Doors, app_and_door
from ha_ssh.core.inside import Inside
from ha_ssh.core.model import Check, Facts, Stage, Verdict, Want, known, ok, tell, unknown, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the answer of `ha info`."""
    app, door = app_and_door(want, facts)
    ha = known(door.ha, "run `ha info` in the session")
    if ha is None:
        return unknown("no command was run", CHECK.why)
    if ha:
        return ok("a command runs, and `ha info` answers")
    shown = door.inside if isinstance(door.inside, Inside) else None
    if door.mute and shown is None:
        return _nothing_runs(door)
    if shown is not None and not shown.folders and shown.system not in {"", "alpine"}:
        return _another_system(door, shown)
    return _explain(app, door, str(door.ha_said))


def _nothing_runs(door: Door) -> Verdict:
    """The login is let in, and no command comes to anything."""
    said = str(door.mute)
    if _NO_END in said:
        says = "you can log in, but no command comes to its end"
        causes = "a login shell or its profile that waits, a machine that is very slow, or a connection that stalls (VPN, MTU)"
    elif _NOT_OPENED in said:
        says = "you can log in, but the server opens no session"
        causes = "a limit of the server (`MaxSessions`), or a server for forwarding alone"
    else:
        says = "you can log in, but no command runs"
        causes = "a forced command (`ForceCommand`, or `command=` in the key's entry), an account without a shell, a full disk"
    fix = tell(
        "see what the login starts",
        causes,
        "log in by hand and wait for the prompt: what comes before it, or instead of it, tells which",
        "restarting the app takes back what was changed inside it",
    )
    return wrong(says, "a login that runs nothing is of no use", f"a command: {said}", fix=fix, failure="no-commands")


def _another_system(door: Door, shown: Inside) -> Verdict:
    """A session that lies elsewhere."""
    fix = tell(
        "use the app's own port",
        f"the session is on {shown.system.capitalize()}; the app's is on Alpine, with Home Assistant's folders in it",
        "`ha-ssh setup --port N` moves the app to a port of its own; `--ssh-host ADDRESS` looks elsewhere",
    )
    says = f"it is not the app that you log in to on {door.host} port {door.port}, but another system"
    evidence = (f"/etc/os-release: {shown.system}", "ls -d /homeassistant /config: neither", f"`ha info`: {door.ha_said}")
    return wrong(says, "there is no `ha` elsewhere", *evidence, fix=fix, failure="wrong-server")


_NO_END, _NOT_OPENED = "did not end within", "could not be run"
"""How a command failed that came to no end, and one that had no session."""


def _explain(app: App, door: Door, said: str) -> Verdict:
    evidence = f"`{app.serving.ha_command.format('info')}`: {said or 'no words, only a failure'}"
    update = (
        f"update {app.flavour.name} (it is version {app.version}): Settings, Apps" if app.version else "is the app up to date?"
    )
    if _NO_END in said:
        fix = tell(
            "see what the Supervisor is busy with",
            "`ha` asks the Supervisor, which is slow, busy or stuck: Settings, System, Logs, Supervisor",
            "look again in a minute: `ha-ssh doctor`; if it stays so, restart the machine that Home Assistant runs on",
        )
        says = "you can log in, but `ha` does not come back"
        return wrong(says, CHECK.why, evidence, fix=fix, failure="ha-hangs")
    if "not ready" in said or "not running" in said:
        fix = tell("wait for it", "it is starting, updating or restoring a backup: run the command again in a few minutes")
        return wrong("the Supervisor is not ready, says `ha`", CHECK.why, evidence, fix=fix, failure="sup-notready")
    if "not a terminal" in said:
        fix = tell(
            "give each login its own session",
            "switch `share_sessions` off in the app's configuration, and restart it",
            "until then: `TMUX=1 bash -lc '…'` for commands",
        )
        says = "a login shell joins a shared terminal session, so commands in it fail"
        return wrong(says, CHECK.why, evidence, fix=fix, failure="tmux-exec")
    if "401" in said and door.ha_by_login:
        fix = tell(
            "use a login shell",
            "write `bash -lc 'ha …'` in scripts",
            f"{update}: from 9.6.2 on, Terminal & SSH gives plain commands the token too",
        )
        says = "`ha` answers in a login shell only, so `ssh HOST ha …` and scripts get `401`"
        return wrong(says, CHECK.why, evidence, "`bash -lc 'ha info'`: answers", fix=fix, failure="nonint-401")
    if "401" in said or "403" in said:
        fix = tell(
            "give the app its token again",
            "restart the app: the Supervisor hands it a new token at each start",
            update,
        )
        says = "you can log in, but the Supervisor refuses what `ha` asks for"
        beside = "in a login shell it is the same" if door.ha_by_login is False else ""
        return wrong(says, CHECK.why, evidence, *filter(None, (beside,)), fix=fix, failure="stale-cli")
    fix = tell("try it by hand", "log in and type `ha info`: what it says there tells more", update)
    return wrong(
        "you can log in, but `ha` does not answer; why is not recognised", CHECK.why, evidence, fix=fix, failure="ha-silent"
    )


def break_it(scene: Breakable) -> None:
    """Take the `ha` command its token."""
    scene.house.knobs.ha_fails = True


def _hang(scene: Breakable) -> None:
    """Let the Supervisor leave `ha` without an answer."""
    scene.house.knobs.ha_hangs = True


def _by_login_only(scene: Breakable) -> None:
    """Give the token to login shells alone, as old versions do."""
    scene.house.knobs.ha_needs_login = True


CHECK = Check(
    id="ha-works",
    stage=Stage.SESSION,
    title="The `ha` command answers",
    why="`ha` is what most people log in for",
    needs=(Apps, Doors),
    rests_on=("right-server", "supervisor-ready"),
    judge=judge,
    break_it=break_it,
    faults={"nonint-401": _by_login_only, "ha-hangs": _hang},
    befalls={"nonint-401": lambda flavour: flavour.set_username("somebody") is None},
)
