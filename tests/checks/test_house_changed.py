"""A house that others have changed, or that says other things than expected: nothing is guessed, and nothing is taken back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from checks.scenes import EVERY, Scene, bad, break_by, diagnose, healthy, repair
from ha_ssh.core.model import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ha_ssh.core.model import Finding, Verdict
    from laws.worlds import World

TERMINAL, ADVANCED = "core_ssh", "a0d7b954_ssh"
BOTH = pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])


def roots(findings: Sequence[Finding]) -> list[str]:
    return [finding.id for finding in bad(tuple(findings)) if finding.because is None]


def said(world: World, check: str) -> Verdict:
    return next(finding.verdict for finding in diagnose(world) if finding.id == check)


def words(verdict: Verdict) -> str:
    """Everything that a verdict says."""
    fix = verdict.fix
    return " ".join([verdict.says, verdict.why, *verdict.evidence, *((fix.does, *fix.instructions) if fix else ())])


def broken(slug: str, *failures: str) -> World:
    world = healthy(slug)
    for failure in failures:
        break_by(world, next(Scene(check, failure) for check in EVERY if failure in check.faults))
    return world


# ----------------------------------------------------------------------------------------------------- what is being done


def back_up(world: World, *, hours: float | None = 0.0, done: bool = False) -> None:
    """Let a backup be under way that has stopped the app."""
    world.house.stop_now(world.slug)
    created = None if hours is None else datetime.fromisoformat(world.house.clock.date()) - timedelta(hours=hours)
    part = {"name": "backup_app_save", "reference": world.slug, "done": done, "child_jobs": []}
    store = {"name": "backup_store_apps", "reference": "b4ckup", "done": False, "child_jobs": [part]}
    whole: dict[str, Any] = {"name": "backup_manager_full_backup", "reference": None, "done": False, "child_jobs": [store]}
    world.house.jobs.append({**whole, "created": created.isoformat() if created else None})


@BOTH
def test_an_app_is_not_started_in_the_middle_of_a_backup_that_has_stopped_it(slug: str) -> None:
    world = healthy(slug)
    back_up(world)
    verdict = said(world, "supervisor-idle")
    assert (verdict.level, verdict.failure) == (Level.WRONG, "job-busy")
    assert verdict.evidence == (f"/jobs/info: backup_app_save, {slug}, a part of backup_store_apps",)
    before = world.snapshot()
    assert not repair(world).steps
    assert world.snapshot() == before


def test_a_part_that_is_over_is_nothing_that_is_being_done() -> None:
    world = healthy(TERMINAL)
    back_up(world, done=True)
    assert said(world, "supervisor-idle").level is Level.OK


@pytest.mark.parametrize("hours", [None, 0.5, 5.0])
def test_a_job_of_some_hours_is_waited_for(hours: float | None) -> None:
    world = healthy(TERMINAL)
    back_up(world, hours=hours)
    assert said(world, "supervisor-idle").failure == "job-busy"


def test_a_job_of_a_day_hangs_and_is_not_waited_for() -> None:
    world = broken(TERMINAL, "job-hangs")
    verdict = said(world, "supervisor-idle")
    assert "30 hours" in verdict.says
    assert "a few minutes" not in words(verdict)
    assert "`ha supervisor restart`" in words(verdict)


def test_a_job_that_hangs_beside_an_app_that_runs_is_a_warning() -> None:
    world = broken(TERMINAL, "job-hangs")
    world.house.start_now(TERMINAL)
    assert said(world, "supervisor-idle").level is Level.WARN


# ------------------------------------------------------------------------------------------------------------- the port


@BOTH
@pytest.mark.parametrize("other", ["key-authorised", "no-creds", "watchdog"])
def test_nothing_that_starts_the_app_is_tried_while_its_port_is_taken(slug: str, other: str) -> None:
    world = broken(slug, "port-busy")
    break_by(world, next(Scene(check, other * (check.id != other)) for check in EVERY if other in {check.id, *check.faults}))
    before = world.snapshot()
    done = repair(world)
    assert (done.error, done.steps) == (None, [])
    assert world.snapshot() == before
    assert {"port-free", other if other != "no-creds" else "key-authorised"} <= {finding.id for finding in bad(done.findings)}
    moved = repair(world, take=True)
    assert moved.error is None
    assert not roots(moved.findings)
