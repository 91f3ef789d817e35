"""Truth: the app lets connections be forwarded through SSH, if that is wanted."""

from __future__ import annotations

from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Facts, Fix, Stage, Verdict, Want, ok, wrong


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the app's forwarding with the wish."""
    app = facts[Apps].chosen(want.app)
    now = "allowed" if app.serving.forwarding else "not allowed"
    if want.tunnels is None or want.tunnels == app.serving.forwarding:
        return ok(f"tunnels through the app are {now}")
    edit = app.flavour.set_forwarding(on=want.tunnels)
    return wrong(
        f"tunnels through the app are {now}, which is not what was wanted",
        CHECK.why,
        fix=Fix(does=edit.title, slug=app.slug, edits=(edit,)),
    )


CHECK = Check(
    id="tunnels",
    stage=Stage.SETTINGS,
    title="Tunnels through the app are as wanted",
    why="without them no port can be forwarded, and VS Code cannot connect; with them, whoever logs in reaches further",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
)
