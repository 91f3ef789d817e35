"""How a run ends that is cut off or fails late: what must be put back is, and what stays is named as it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ha_ssh import engine
from ha_ssh.core.errors import Exit, HaSshError
from ha_ssh.sim.memory import MemoryHome
from laws.worlds import Quiet, World, in_loop
from servers import ADVANCED, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ha_ssh.core.model import Check, Facts, KeyKind, SecretRef, Verdict, Want


class Failing(MemoryHome):
    """A world in which one change fails or is cut off, before or after it took effect."""

    fails: Callable[[str, str], BaseException | None]
    late = False

    async def call(self, endpoint: str, data: Mapping[str, Any] | None = None, **more: Any) -> Any:
        return await self._meddled("call", endpoint, super().call(endpoint, data, **more))

    async def write(self, path: str, text: str, *, mode: int | None = None) -> None:
        await self._meddled("write", path, super().write(path, text, mode=mode))

    async def make_key(self, path: str, kind: KeyKind, passphrase: SecretRef | None, comment: str) -> str:
        return str(await self._meddled("make_key", path, super().make_key(path, kind, passphrase, comment)))

    async def _meddled(self, what: str, where: str, work: Any) -> Any:
        error = self.fails(what, where)
        if error is not None and not self.late:
            work.close()
            raise error
        done = await work
        if error is not None:
            raise error
        return done


def failing(world: World, what: str, where: str, error: BaseException, *, late: bool = False) -> Failing:
    """A home in which the first such change fails."""
    home, errors = Failing(world.house, world.computer), [error]
    home.fails = lambda did, at: errors.pop() if errors and did == what and at.endswith(where) else None
    home.late = late
    return home


def _buggy(check: Check, *, when: Callable[[Facts], bool]) -> Check:
    """A check with a bug that shows in some states."""

    def judge(want: Want, facts: Facts) -> Verdict:
        if when(facts):
            raise ValueError("a bug")
        return check.judge(want, facts)

    return replace(check, judge=judge)


@pytest.mark.parametrize("id", ["alias-works", "app-running", "login-works"])
def test_a_bug_in_the_second_round_puts_back_what_no_login_has_saved(id: str) -> None:  # noqa: A002 - the check's id
    world = World(slug=TERMINAL)
    run = world.run(world.home())

    def later(_facts: Facts) -> bool:
        return bool(run.journal.runs()) and bool(run.journal.runs()[-1].entries)

    checks = [_buggy(check, when=later) if check.id == id else check for check in run.checks]
    done = in_loop(engine.converge(replace(run, checks=checks)))
    assert isinstance(done.error, ValueError)
    assert done.put_back
    assert not done.stuck
    (journal,) = run.journal.runs()
    assert journal.state != "open"
    assert all(entry.state in {"done", "undone"} for entry in journal.entries)
    assert done.changed
    assert any("Save the settings" in line for line in done.kept) is (id != "login-works")


def test_a_failure_after_the_proven_login_names_what_stays() -> None:
    world = World(slug=TERMINAL)
    home = failing(world, "write", "known_hosts", HaSshError("no-room", "the disk is full"))
    done = in_loop(world.setup(home))
    assert done.put_back
    assert done.changed
    assert world.house.app(TERMINAL).running
    said = "\n".join(done.kept)
    for title in ("Install", "Make a new ed25519 key", "Save the settings"):
        assert title in said


def cut_off(world: World, home: MemoryHome) -> engine.Converged:
    async def story() -> engine.Converged:
        return await world.setup(home)

    done = in_loop(story())
    assert isinstance(done.error, asyncio.CancelledError)
    return done


def test_a_key_that_was_not_made_is_not_promised() -> None:
    world = World(slug=TERMINAL)
    done = cut_off(world, failing(world, "make_key", "", asyncio.CancelledError()))
    assert not any("key" in line for line in done.kept)


def test_a_key_that_was_made_all_the_same_is_named() -> None:
    world = World(slug=TERMINAL)
    done = cut_off(world, failing(world, "make_key", "", asyncio.CancelledError(), late=True))
    assert "Make a new ed25519 key" in done.kept
    assert done.changed


@pytest.mark.parametrize("late", [False, True])
def test_an_installation_that_is_cut_off_counts_as_a_change(late: bool) -> None:
    world = World(slug=ADVANCED)
    done = cut_off(world, failing(world, "call", "/install", asyncio.CancelledError(), late=late))
    assert any(line.startswith("Install ") and ("under way" in line) is not late for line in done.kept)
    assert done.changed


def test_a_bug_in_one_undo_does_not_keep_the_next_from_running() -> None:
    world = World(slug=TERMINAL)
    in_loop(world.setup())
    home = failing(world, "call", "/options", ValueError("a bug"))
    (run,) = home.journal.runs()
    back = in_loop(engine.put_back(run, home, home.journal, Quiet(), everything=True))
    assert len(back.failed) == 1
    assert "bug" in back.failed[0]
    assert back.undone[-1].id != "apply-settings"


def test_why_an_undo_failed_is_no_sentence_of_its_own() -> None:
    world = World(slug=TERMINAL)
    in_loop(world.setup())
    home = failing(world, "call", "/options", HaSshError("dropped", "`http://house:8123` broke off.", exit=Exit.WRONG))
    (run,) = home.journal.runs()
    back = in_loop(engine.put_back(run, home, home.journal, Quiet(), everything=True))
    assert [line.endswith("broke off") for line in back.failed] == [True]
