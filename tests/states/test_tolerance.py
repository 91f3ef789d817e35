"""Answers of other releases: fields that are missing, new, or of another kind never crash a look, nor turn unknown into well."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ha_ssh import engine
from ha_ssh.checks import all_checks
from ha_ssh.core import planner
from ha_ssh.core.model import NotKnown
from ha_ssh.sim.memory import MemoryHome
from laws.worlds import World, in_loop
from servers import ADVANCED, TERMINAL

RECORDED = {path.stem: json.loads(path.read_text("utf-8")) for path in (Path(__file__).parent.parent / "recorded").glob("*.json")}
ANSWERS = {
    f"{told['request']['endpoint']}": told["answer"]["result"]
    for told in RECORDED.values()
    if isinstance(told.get("request"), dict)
    and told["request"].get("method") == "get"
    and told.get("answer", {}).get("success")
    and isinstance(told["answer"].get("result"), dict)
}
"""What was recorded for each GET; of several, the last."""

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 70000),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(0, 9), st.text(max_size=4), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=4), st.one_of(st.integers(0, 9), st.none(), st.text(max_size=4)), max_size=3),
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in an answer."""
    found = [at] if at else []
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += paths(each, (*at, key))
    return found


def spoilt(data: st.DataObject, answer: Any) -> Any:
    """Return an answer with some places missing, of another kind, or beside something new."""
    answer = copy.deepcopy(answer)
    for _ in range(data.draw(st.integers(1, 4))):
        places = paths(answer)
        if not places:
            break
        *way, last = data.draw(st.sampled_from(places))
        node = answer
        for key in way:
            node = node[key]
        match data.draw(st.sampled_from(["missing", "odd", "new"])):
            case "missing":
                del node[last]
            case "odd":
                node[last] = data.draw(odd)
            case _ if isinstance(node, dict):
                node["new"] = data.draw(odd)
    return answer


class Other(MemoryHome):
    """A home whose Supervisor answers some requests in its own way."""

    answers: dict[str, Any]

    async def supervisor(self, endpoint: str) -> Any:
        if endpoint in self.answers:
            return copy.deepcopy(self.answers[endpoint])
        return await super().supervisor(endpoint)


def looked(world: World, answers: dict[str, Any]) -> Any:
    home = Other(world.house, world.computer)
    home.answers = answers

    async def look() -> Any:
        return await engine.look(home, world.target, home.journal, all_checks())

    return in_loop(look())


@pytest.fixture(scope="module", params=[TERMINAL, ADVANCED])
def world(request: pytest.FixtureRequest) -> World:
    """A house that was set up."""
    made = World(slug=request.param)
    assert in_loop(made.setup()).error is None
    return made


@given(data=st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_answers_of_any_release_never_crash_a_look_or_a_judgement(world: World, data: st.DataObject) -> None:
    home = world.home()
    own = f"/addons/{world.slug}/info"
    endpoint = data.draw(st.one_of(st.just(own), st.sampled_from(sorted({*ANSWERS, own}))))
    try:
        answer = in_loop(home.supervisor(endpoint))
    except Exception:  # noqa: BLE001 - not for this house: take what was recorded
        answer = ANSWERS[endpoint]
    facts = looked(world, {endpoint: spoilt(data, answer)})
    checks = all_checks()
    for kind, fact in facts.items():
        assert isinstance(fact, NotKnown | kind)
    planner.diagnose(world.want, facts, checks)
    planner.plan(world.want, facts, engine.access(checks))


@pytest.mark.parametrize("state", ["startup", "unknown", "error", "paused", "", None, 7])
def test_a_state_that_nobody_knows_is_no_crash_and_no_truth(state: Any) -> None:
    made = World(slug=TERMINAL)
    assert in_loop(made.setup()).error is None
    info = in_loop(made.home().supervisor(f"/addons/{TERMINAL}/info"))
    facts = looked(made, {f"/addons/{TERMINAL}/info": {**info, "state": state}})
    findings = {finding.id: finding for finding in planner.diagnose(made.want, facts, all_checks())}
    well = state == "startup"
    assert (findings["app-running"].level == "ok") is well
