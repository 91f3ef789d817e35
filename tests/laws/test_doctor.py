"""What the doctor owes to people, on random houses with several faults at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from worlds import BREAKABLE, FLAVOURS, Broken, World, in_loop

from ha_ssh.checks import all_checks
from ha_ssh.core import planner
from ha_ssh.core.model import Level

EVERY = planner.in_order(all_checks())
BAD = {Level.WRONG, Level.WARN, Level.UNKNOWN}


@st.composite
def faults(draw: st.DrawFn) -> tuple[str, list[Broken]]:
    """An app, and three faults of three truths that can befall it, in any order."""
    slug = draw(st.sampled_from(sorted(FLAVOURS)))
    befall = [broken for broken in BREAKABLE if broken.befalls(slug)]
    return slug, draw(st.lists(st.sampled_from(befall), min_size=3, max_size=3, unique_by=lambda broken: broken.check.id))


@given(faults())
def test_of_three_faults_no_other_is_blamed_and_a_look_writes_nothing(case: tuple[str, list[Broken]]) -> None:
    slug, three = case
    world = World(slug=slug)
    assert in_loop(world.setup()).error is None
    for broken in three:
        stage = world.stage()
        broken.break_it(stage)
        world.ssh_host = stage.ssh_host
        world.house.settle()
    before, home = world.snapshot(), world.home()
    with home.only_looking():
        findings = planner.diagnose(world.want, in_loop(world.look(home)), EVERY)
    assert world.snapshot() == before
    roots = [finding for finding in findings if finding.level in BAD and finding.because is None]
    named = {broken.check.id for broken in three} | {broken.failure for broken in three}
    # An entry that was meant to be our key is an odd entry where our key cannot be read: another truth, the same failure.
    assert all(root.id in named or root.verdict.failure in named for root in roots), [(r.id, r.verdict.says) for r in roots]
    assert roots or all(finding.level in {Level.OK, Level.NOTE} for finding in findings)
