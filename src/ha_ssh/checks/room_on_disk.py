"""Truth: there is room on the disk of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.core.facts import Apps
from ha_ssh.core.house_facts import Disk, Resolution, still_to_install
from ha_ssh.core.model import Check, Facts, NotKnown, Scope, Stage, Verdict, Want, note, ok, tell, warn, wrong

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable

_LEAST = 2.0
"""Gigabytes; with less, the Supervisor refuses to install and update."""


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge the free space."""
    free, resolution = facts[Disk].free, facts.get(Resolution)
    issue = None if isinstance(resolution, NotKnown) else resolution.of("free_space")
    if issue is None and (free is None or free >= _LEAST):
        if free is None:
            return note("how much of the disk is free, the Supervisor does not say", "", "/host/info: no disk_free")
        return ok(f"{free:g} GB of the disk are free")
    says = "the disk of the house is nearly full" + ("" if free is None else f": {free:g} GB are free")
    fix = tell(
        "make room",
        "delete old backups: Settings, System, Backups",
        "Settings, System, Storage shows what takes the room",
    )
    evidence = [issue.text] if issue else []
    evidence += [f"/host/info: disk_free {free:g}"] if free is not None else []
    judged = wrong if still_to_install(want, facts) else warn
    why = f"below {_LEAST:g} GB nothing can be installed or updated, and soon nothing can be saved"
    return judged(says, why, *evidence, fix=fix, failure="no-space")


def break_it(scene: Breakable) -> None:
    """Fill it."""
    scene.house.knobs.disk_free = 0.9


CHECK = Check(
    id="room-on-disk",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="There is room on the disk",
    why="a full disk installs nothing, and stops what runs",
    needs=(Disk, Resolution, Apps),
    rests_on=("supervisor-ready",),
    judge=judge,
    break_it=break_it,
    faults={"no-space": break_it},
)
