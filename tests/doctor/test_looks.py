"""Looking has limits: one look that hangs never holds the others, and waiting for another look is no looking."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from worlds import World

from ha_ssh import engine
from ha_ssh.checks import all_checks
from ha_ssh.core import planner
from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import HOUSE_SLOW, Check, Level, NotKnown, Stage, ok
from ha_ssh.sim.memory import MemoryHome

if TYPE_CHECKING:
    from ha_ssh.core.model import At


@dataclass(frozen=True)
class Hanging:
    """Never comes to an end."""

    patience: ClassVar[float] = 0.05

    @classmethod
    async def look(cls, at: At) -> Self:
        await asyncio.Event().wait()
        return cls()


@dataclass(frozen=True)
class Slow:
    """Comes to an end after a moment."""

    @classmethod
    async def look(cls, at: At) -> Self:
        await _moment()
        return cls()


async def _moment() -> None:
    """Pass the time of a slow answer."""
    try:
        async with asyncio.timeout(0.15):
            await asyncio.Event().wait()
    except TimeoutError:
        pass


@dataclass(frozen=True)
class Waiting:
    """Has little time of its own, and waits for a slow look, twice at once."""

    patience: ClassVar[float] = 0.1

    @classmethod
    async def look(cls, at: At) -> Self:
        await asyncio.gather(at(Slow), at(Slow))
        return cls()


@dataclass(frozen=True)
class OnTheHanging:
    """Needs what hangs."""

    @classmethod
    async def look(cls, at: At) -> Self:
        await at(Hanging)
        return cls()


@dataclass(frozen=True)
class Failing:
    """Fails with a time limit that is not ours: a fault of the program, not of the house."""

    @classmethod
    async def look(cls, at: At) -> Self:
        raise TimeoutError


def needing(*kinds: type) -> Check:
    return Check(id="any", stage=Stage.HOUSE, title="", why="", needs=kinds, judge=lambda _want, _facts: ok("fine"))


async def look(*kinds: type) -> engine.Facts:
    world = World(slug="core_ssh")
    home = world.home()
    return await engine.look(home, world.target, home.journal, [needing(*kinds)], always=())


async def test_a_look_that_hangs_is_given_up_and_holds_no_other() -> None:
    facts = await look(Hanging, Slow, OnTheHanging)
    hanging = facts.get(Hanging)
    assert isinstance(hanging, NotKnown)
    assert (hanging.code, hanging.reason) == ("took-too-long", "looking took longer than 0.05 s")
    assert isinstance(facts.get(Slow), Slow)
    behind = facts.get(OnTheHanging)
    assert isinstance(behind, NotKnown)
    assert behind.because == "Hanging"


async def test_a_look_that_ran_out_of_time_while_the_house_answered_slowly_says_so() -> None:
    world = World(slug="core_ssh")
    home = world.home()
    home.answered = lambda since: (1.5, 3.0) if since > 0 else ()  # type: ignore[method-assign] # a house that takes its time
    facts = await engine.look(home, world.target, home.journal, [needing(Hanging, Slow)], always=())
    hanging = facts.get(Hanging)
    assert isinstance(hanging, NotKnown)
    assert hanging.code == HOUSE_SLOW
    assert "2 answers came within 0.05 s, the slowest after 3.0 s" in hanging.reason
    assert hanging.evidence == ("2 answers, in seconds: 1.5, 3.0",)
    assert isinstance(facts.get(Slow), Slow)


async def test_a_house_that_answers_at_once_is_not_called_slow_for_a_look_that_hangs() -> None:
    world = World(slug="core_ssh")
    home = world.home()
    home.answered = lambda since: (0.1, 0.2) if since > 0 else ()  # type: ignore[method-assign] # a quick one
    facts = await engine.look(home, world.target, home.journal, [needing(Hanging)], always=())
    hanging = facts.get(Hanging)
    assert isinstance(hanging, NotKnown)
    assert hanging.code == "took-too-long"


async def test_waiting_for_another_look_costs_no_time_of_its_own() -> None:
    facts = await look(Waiting)
    assert isinstance(facts.get(Waiting), Waiting)


async def test_a_time_limit_that_is_not_ours_is_no_answer_of_the_house() -> None:
    try:
        await look(Failing)
    except TimeoutError:
        return
    raise AssertionError("a fault of the program was taken for a fact")


class Withdrawn(MemoryHome):
    """A house whose sign-in is withdrawn in the middle of a look."""

    asked = 0

    async def supervisor(self, endpoint: str) -> Any:
        self.asked += 1
        if self.asked > 4:
            raise HaSshError("token-refused", "the token is refused")
        return await super().supervisor(endpoint)


async def test_a_sign_in_that_is_withdrawn_in_the_middle_of_a_look_is_one_root() -> None:
    world = World(slug="core_ssh")
    assert (await world.setup()).error is None
    facts = await world.look(Withdrawn(world.house, world.computer))
    findings = planner.diagnose(world.want, facts, all_checks())
    roots = [one for one in findings if one.because is None and one.level in {Level.WRONG, Level.UNKNOWN}]
    assert [(one.id, one.verdict.failure) for one in roots] == [("house-answers", "auth-invalid")]
    assert any(one.because == "house-answers" for one in findings)
