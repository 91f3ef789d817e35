"""Truth: the Supervisor restarts the app when it crashes, if that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Edit, EditOp, Facts, Fix, Stage, Verdict, Want, ok, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the app's `watchdog` setting with the wish."""
    app = facts[Apps].chosen(want.app)
    now = app.settings.get("watchdog")
    if want.watchdog is None:
        return ok(f"the Supervisor's watchdog is {_word(now)}")
    wanted = want.watchdog
    if now == wanted:
        return ok(f"the Supervisor's watchdog is {_word(now)}, as wanted")
    edit = Edit(path=("watchdog",), op=EditOp.SET, value=wanted, title=f"switch the Supervisor's watchdog {_word(wanted)}")
    return wrong(
        f"the Supervisor's watchdog is {_word(now)}, not {_word(wanted)}",
        CHECK.why,
        fix=Fix(does=edit.title, slug=app.slug, edits=(edit,)),
    )


def _word(value: object) -> str:
    return "on" if value else "off"


def break_it(scene: Breakable) -> None:
    """Switch it off."""
    scene.app.watchdog = False


CHECK = Check(
    id="watchdog",
    stage=Stage.SETTINGS,
    title="The Supervisor watches the app",
    why="an app that has crashed stays down without it",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    break_it=break_it,
)
