"""Truth: the disk of the house is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.house_facts import Disk, Resolution
from ha_ssh.core.model import Check, Facts, NotKnown, Scope, Stage, Verdict, Want, ok, tell, warn

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_WORN = 90.0
"""Percent of its life at which a disk is to be replaced."""


def judge(_want: Want, facts: Facts) -> Verdict:
    """Judge what the Supervisor says of the file system and of the disk's life."""
    worn, resolution = facts[Disk].worn, facts.get(Resolution)
    issue = None if isinstance(resolution, NotKnown) else resolution.of("corrupt_filesystem", "disk_lifetime")
    if issue is None and (worn is None or worn < _WORN):
        return ok("nothing is known against the disk")
    evidence = [issue.text] if issue else []
    evidence += [f"/host/info: disk_life_time {worn:g}"] if worn is not None else []
    fix = tell(
        "replace it",
        "make a backup now and take it to another machine: Settings, System, Backups",
        "then restore it onto a new disk or card; repairs on this one do not last",
    )
    says = "the disk (or card) of the house is failing"
    why = "apps fail to install and to start from a damaged disk, in ways that look like something else"
    return warn(says, why, *evidence, fix=fix, failure="fs-damaged")


def break_it(scene: Breakable) -> None:
    """Wear it out."""
    scene.house.knobs.disk_worn = 97


CHECK = Check(
    id="disk-sound",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="The disk is sound",
    why="a dying card is the reason behind many odd failures",
    needs=(Disk, Resolution),
    rests_on=("supervisor-ready",),
    judge=judge,
    break_it=break_it,
    faults={"fs-damaged": break_it},
)
