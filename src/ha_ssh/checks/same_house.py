"""Truth: the machine that answers is the one that was remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Supervisor
from ha_ssh.core.model import Check, Facts, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

ANOTHER = "another-house"


def judge(_want: Want, facts: Facts) -> Verdict:
    """Compare the machine with the one that was there when the house was remembered."""
    name, remembered, there = facts.target.house_id, facts.target.machine_id, facts[Supervisor].machine_id
    if remembered is None or there is None:
        return ok("nothing speaks against this being the right house")
    if remembered == there:
        return ok("the machine that answers is the one that was remembered")
    fix = tell(
        "say which house it is",
        f"if this machine has taken the place of the old one: `ha-ssh houses forget {name}`, then `ha-ssh setup`",
        "if it is another house: give the address of the right one with `--url`",
    )
    return wrong(
        "another machine answers than the one that was remembered: a clone, a restored backup, or an exchanged one",
        CHECK.why,
        f"remembered {remembered}",
        f"answers {there}",
        fix=fix,
        failure=ANOTHER,
    )


def break_it(scene: Breakable) -> None:
    """Put another machine in its place."""
    scene.house.machine_id = "00000000-0000-4000-8000-000000000000"


CHECK = Check(
    id="same-house",
    stage=Stage.SUPERVISOR,
    title="The machine is the one that was remembered",
    why="nothing is changed on a machine that only has the address of the right one",
    needs=(Supervisor,),
    rests_on=("supervisor-ready",),
    judge=judge,
    break_it=break_it,
)
