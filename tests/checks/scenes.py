"""Scenes in memory: a healthy house, broken in one of the ways that the checks know, judged and put right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ha_ssh import engine
from ha_ssh.checks import all_checks
from ha_ssh.core import planner
from ha_ssh.core.model import Level
from laws.worlds import FLAVOURS, World, in_loop

if TYPE_CHECKING:
    from ha_ssh.core.model import Check, Finding, Flavour

EVERY = planner.in_order(all_checks())
BAD = {Level.WRONG, Level.WARN, Level.UNKNOWN}


@dataclass(frozen=True)
class Scene:
    """One way to break a check: its main one (`failure` empty), or one of its faults."""

    check: Check
    failure: str = ""

    @property
    def name(self) -> str:
        return self.failure or self.check.id

    def befalls(self, flavour: Flavour) -> bool:
        fits = self.check.befalls.get(self.failure)
        return fits is None or fits(flavour)


def scenes_of(*ids: str) -> list[Any]:
    """Every scene of some checks with every app that it can befall."""
    import pytest

    found = []
    for check in EVERY:
        if check.id not in ids:
            continue
        ways = [*([Scene(check)] if check.break_it else []), *(Scene(check, failure) for failure in check.faults)]
        for scene in ways:
            for slug, flavour in sorted(FLAVOURS.items()):
                if scene.befalls(flavour):
                    found.append(pytest.param(scene, slug, id=f"{scene.name}-{flavour.short}"))
    return found


def healthy(slug: str, seed: int = 0) -> World:
    """A house that was set up."""
    world = World(slug=slug, seed=seed)
    done = in_loop(world.setup())
    assert done.error is None, done.error
    assert engine.well(done.findings), [(one.id, one.verdict.says) for one in done.findings if one.level in BAD]
    return world


def break_by(world: World, scene: Scene) -> None:
    """Break a world as a scene does."""
    stage = world.stage()
    how = scene.check.faults[scene.failure] if scene.failure else scene.check.break_it
    assert how is not None
    how(stage)
    world.ssh_host = stage.ssh_host
    world.house.settle()


def diagnose(world: World) -> tuple[Finding, ...]:
    """What the doctor finds, every check judged."""
    return planner.diagnose(world.want, in_loop(world.look()), EVERY)


def repair(world: World, *, take: bool = False) -> engine.Converged:
    """What `doctor --fix` does: every check, the plan agreed to; with `take`, every offer too, its wishes remembered."""
    want = world.want
    if take:
        every = frozenset(check.id for check in EVERY)
        want = planner.wished(replace(want, taken=every), in_loop(world.look()), EVERY)
        world.want = replace(want, taken=frozenset())
    return in_loop(engine.converge(replace(world.run(world.home(), want=want), checks=EVERY)))


def bad(findings: tuple[Finding, ...]) -> list[Finding]:
    """The findings that are not well."""
    return [one for one in findings if one.level in BAD]
