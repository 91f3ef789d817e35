"""The ten laws of the design, on random houses; a fixed selection here, thousands by `make laws`."""

from __future__ import annotations

import contextlib
import copy
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import ACCESS, BREAKABLE, FLAVOURS, Broken, Quiet, World, in_loop

from ha_ssh import engine
from ha_ssh.core import keys, planner
from ha_ssh.core.apply_settings import ApplySettings
from ha_ssh.core.errors import HaSshError
from ha_ssh.core.facts import AppLog, Unfinished, matches
from ha_ssh.core.infer import infer
from ha_ssh.core.model import Check, Level
from ha_ssh.core.settings import at_path
from ha_ssh.sim.memory import How, Injury, Killed

slugs = st.sampled_from(sorted(FLAVOURS))
seeds = st.integers(0, 2**16)


@st.composite
def neighbours(draw: st.DrawFn) -> dict[str, Any]:
    """What other people have put into the house and the computer before."""
    return {
        "installed": draw(st.booleans()),
        "running": draw(st.booleans()),
        "keys": draw(st.integers(0, 2)),
        "password": draw(st.booleans()),
        "secret": draw(st.booleans()),
        "older": draw(st.booleans()),
        "both": draw(st.booleans()),
        "config": draw(
            st.sampled_from([None, "", "Host nas\r\n  User admin\r\n", "Host *\n    ForwardAgent no", "# mine\n\nHost x\n"])
        ),
        "known_hosts": draw(st.sampled_from([None, "nas ssh-ed25519 AAAA\n", "# a comment", "|1|abc|def ssh-rsa AAAA\r\n"])),
    }


def furnish(world: World, with_: dict[str, Any]) -> None:
    """Put the neighbours' things in place."""
    places, flavour = world.computer.places, FLAVOURS[world.slug]
    for path, text in ((places.config, with_["config"]), (places.known_hosts, with_["known_hosts"])):
        if text is not None:
            world.computer.put(path, text)
    if not with_["installed"]:
        return
    world.house.install_now(world.slug)
    stage = world.stage()
    for number in range(with_["keys"]):
        edit = flavour.add_key(f"{world.house.keys.make('ed25519').public} neighbour-{number}")
        options = ApplySettings(slug=world.slug, edits=(edit,)).edited({"options": world.house.app(world.slug).options})
        world.house.app(world.slug).options = options["options"]
    if with_["password"]:
        stage.set_password()
    if with_["secret"]:
        add_a_secret(world)
    if with_["older"]:
        leave_incomplete(world)
    if with_["both"]:
        add_the_other_app(world)
    if with_["running"]:
        world.house.app(world.slug).network = {"22/tcp": 2022}
        world.house.start_now(world.slug)
        world.house.settle()


def add_a_secret(world: World) -> None:
    """Let one of the keys be named in `secrets.yaml`."""
    world.house.secrets["neighbour"] = f"{world.house.keys.make('ed25519').public} neighbour"
    edit = FLAVOURS[world.slug].add_key("!secret neighbour")
    app = world.house.app(world.slug)
    app.options = ApplySettings(slug=world.slug, edits=(edit,)).edited({"options": app.options})["options"]


def leave_incomplete(world: World) -> None:
    """Leave out what an older version of the app did not have."""
    options = world.house.app(world.slug).options
    if world.slug == "core_ssh":
        del options["server"]
    else:
        del options["ssh"]["allow_remote_port_forwarding"]


def add_the_other_app(world: World) -> None:
    """Let the other SSH app run beside, on a port of its own and with a key that is not ours."""
    (other,) = FLAVOURS.keys() - {world.slug}
    world.house.install_now(other)
    edit = FLAVOURS[other].add_key(f"{world.house.keys.make('ed25519').public} elsewhere")
    app = world.house.app(other)
    app.options = ApplySettings(slug=other, edits=(edit,)).edited({"options": app.options})["options"]
    app.network = {"22/tcp": 2299}
    world.house.start_now(other)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A house as it might be before the first setup."""
    world = World(slug=draw(slugs), seed=draw(seeds), tls=draw(st.booleans()))
    furnish(world, draw(neighbours()))
    return world


def healthy(slug: str, seed: int = 0) -> World:
    """A house that was set up."""
    world = World(slug=slug, seed=seed)
    done = in_loop(world.setup())
    assert done.error is None, done.error
    assert engine.well(done.findings), [(f.id, f.verdict.says) for f in done.findings if f.level is not Level.OK]
    return world


def break_all(world: World, breaks: list[Broken]) -> None:
    stage = world.stage()
    for broken in breaks:
        if broken.befalls(world.slug):
            broken.break_it(stage)
    world.ssh_host = stage.ssh_host
    world.house.settle()


breaks = st.lists(st.sampled_from(BREAKABLE), max_size=4, unique_by=lambda broken: broken.id)


async def rounds(world: World) -> list[tuple[planner.Plan, Any]]:
    """Do a setup by hand, round by round; returns each plan with the facts after it."""
    home = world.home()
    run = home.journal.begin("setup", "home", {})
    facts = await world.look(home)
    done = []
    for _ in range(4):
        plan = planner.plan(world.want, facts, ACCESS)
        if not plan.steps:
            break
        try:
            await engine.apply(plan, home, home.journal, run, Quiet(), [])
        except HaSshError:
            break  # what becomes of a run that fails, law 3 says
        fresh = facts.fresh | {one.step.slug for one in plan.steps if isinstance(one.step, ApplySettings)}
        facts = await world.look(home, fresh=fresh)
        done.append((plan, facts))
    home.journal.close(run, "closed")
    return done


def differences(plan: planner.Plan, facts: Any) -> list[str]:
    """What came otherwise than expected; logs and the journal are records that every run adds to."""
    assert plan.expected is not None
    wrong = []
    for kind, expected in plan.expected.items():
        actual = facts.get(kind)
        if kind not in {Unfinished, AppLog} and not matches(expected, actual):
            wrong.append(f"{kind.__name__}: expected\n{expected!r}, found\n{actual!r}")
    return wrong


# ------------------------------------------------------------------------------------------------------------- the laws


@given(worlds())
def test_1_the_plan_tells_the_truth(world: World) -> None:
    for plan, facts in in_loop(rounds(world)):
        assert not (found := differences(plan, facts)), "\n".join(found)


STRANGERS = {"right-server", "login-works", "port-answers", "ha-works"}
"""The checks whose scenes put somebody else behind the door."""


@given(slugs, seeds, breaks)
def test_1_the_plan_tells_the_truth_of_a_broken_house(slug: str, seed: int, breaks: list[Broken]) -> None:
    world = healthy(slug, seed)
    # An empty store cannot say with which settings an app will come.
    break_all(world, [broken for broken in breaks if broken.check.id not in STRANGERS and broken.id != "store-empty"])
    for plan, facts in in_loop(rounds(world)):
        assert not (found := differences(plan, facts)), "\n".join(found)


@given(worlds())
def test_2_twice_is_once(world: World) -> None:
    first = in_loop(world.setup())
    assert first.error is None
    before, again = world.snapshot(), in_loop(world.setup())
    assert not again.changed
    assert not again.steps
    assert world.snapshot() == before
    assert [(f.id, f.level) for f in again.findings] == [(f.id, f.level) for f in first.findings]
    assert engine.well(again.findings)


@given(slugs, seeds, breaks)
def test_2_twice_is_once_on_a_broken_house(slug: str, seed: int, breaks: list[Broken]) -> None:
    world = healthy(slug, seed)
    break_all(world, breaks)
    if in_loop(world.setup()).error is not None:
        return  # what becomes of a run that fails, law 3 says; it may have learnt from the failure what to do next time
    before, again = world.snapshot(), in_loop(world.setup())
    assert not again.steps
    assert world.snapshot() == before
    for finding in again.findings:
        assert finding.level in {Level.OK, Level.NOTE} or finding.verdict.fix or finding.because, finding


async def injured(world: World, injury: Injury) -> engine.Converged:
    return await world.setup(world.home(injury))


def count_writes(make: Any) -> int:
    """How many changes a run makes on a world like this."""
    world = make()
    home = world.home()
    in_loop(world.setup(home))
    return len(home.writes)


def is_harmless(world: World, before: tuple[Any, Any], admitted: frozenset[str], done: engine.Converged) -> None:
    """Law 3: as before, but for what is kept and named; nobody new gets in, nobody who had a way in lost it."""
    now = world.house.admitted(world.slug)
    ours = our_credentials(world)
    password = at_path({"options": before[0]["apps"][world.slug]["options"]}, FLAVOURS[world.slug].secret_paths()[0]) or ""
    by_password = hashlib.sha256(str(password).encode()).hexdigest()
    # Starting an app lets in whom its owner had already put into its settings.
    saved = f"{before[0]}{world.house.secrets}{by_password}"
    assert all(one in admitted or one.split()[-1] in saved for one in now - ours), "somebody new may log in"
    proven = engine.well([f for f in done.findings if f.id in {"login-works", "right-server"}]) and done.facts is not None
    if not done.put_back:
        return
    kept = " ".join(done.kept)
    house, files = world.snapshot()
    if now & ours and proven:
        return  # the proven login is a savepoint: what came after it undid only itself
    assert admitted <= now, "a way in was lost"
    if "Install" not in kept:
        assert without_named(house, kept) == before[0], "the house is not as it was"
    for path, state in before[1].items():
        assert files.get(path) == state, f"{path} is not as it was"


def without_named(house: dict[str, Any], kept: str) -> dict[str, Any]:
    """The house without the option that an older version of an app did not have, where the run names it as kept.

    A file of keys with nothing but a comment lets in nobody, like none.
    """
    house = copy.deepcopy(house)
    for app in house["apps"].values():
        if (app.get("kept_keys") or "").strip().startswith("#") and len(app["kept_keys"].split("\n")) <= 2:
            app["kept_keys"] = None
    for path in (("core_ssh", "server"), ("a0d7b954_ssh", "ssh", "allow_remote_port_forwarding")):
        slug, *above, last = path
        app = house["apps"][slug]
        if ".".join(("options", *above, last)) not in kept:
            continue
        for section in (app["options"], (app["running"] or {}).get("options", {})):
            for name in above:
                section = section.get(name, {})
            section.pop(last, None)
    return house


def our_credentials(world: World) -> frozenset[str]:
    """What the house calls the key that our run made."""
    public = world.computer.text(f"{world.want.identity}.pub")
    admitted = world.house.admitted(world.slug)
    if public is None:
        return frozenset()
    ours = keys.fingerprint(public)
    return frozenset(one for one in admitted if ours in one or public.split()[1] in one)


@given(worlds(), st.data())
def test_3_failing_leaves_no_harm(world: World, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, 12))
    how = data.draw(st.sampled_from([How.FAIL_BEFORE, How.FAIL_AFTER, How.FAIL_LATER]))
    before, admitted = world.snapshot(), world.house.admitted(world.slug)
    done = in_loop(injured(world, Injury(at=at, how=how)))
    world.house.settle()
    assert not done.stuck
    is_harmless(world, before, admitted, done)
    assert in_loop(world.setup()).error is None, "and the next run succeeds"


NO_CURE = {"img-pull": "registry-limit", "starts-no-log": "app-failed"}
"""The faults that are tried to be mended and stay, with the error that then says so."""


@pytest.mark.parametrize(
    ("slug", "broken"),
    [
        pytest.param(slug, broken, id=f"{broken.id}-{FLAVOURS[slug].short}")
        for slug in sorted(FLAVOURS)
        for broken in BREAKABLE
        if broken.befalls(slug)
    ],
)
def test_4_each_check_stands_on_its_own(slug: str, broken: Broken) -> None:
    world, check = healthy(slug), broken.check
    break_all(world, [broken])
    findings = planner.diagnose(world.want, in_loop(world.look()), planner.in_order(all_of_them()))
    verdict = next(f for f in findings if f.id == check.id).verdict
    assert broken.failure in {None, verdict.failure}, verdict
    bad = [f for f in findings if f.level in {Level.WRONG, Level.WARN, Level.UNKNOWN}]
    assert bad or verdict.level is Level.NOTE, f"{broken.id} broke nothing that is seen"
    assert not bad or bad[0].id == check.id, [(f.id, f.verdict.says) for f in bad]
    assert all(f.because == check.id for f in bad[1:]), [(f.id, f.because, f.verdict.says) for f in bad]
    done = in_loop(world.setup())
    if broken.id in NO_CURE:
        assert isinstance(done.error, HaSshError)
        assert done.error.code == NO_CURE[broken.id]
    elif check in ACCESS and verdict.fix is not None and verdict.fix.consent != "tell":
        if verdict.fix.offered:
            assert not done.steps, "an offer is made by nobody's leave but a person's"
            taken = replace(world.want, taken=frozenset({check.id}))
            world.want = planner.wished(taken, in_loop(world.look()), planner.in_order(all_of_them()))
            done = in_loop(world.setup())
        assert engine.well(done.findings), [(f.id, f.verdict.says) for f in done.findings if f.level is not Level.OK]


def all_of_them() -> tuple[Check, ...]:
    from ha_ssh.checks import all_checks

    return all_checks()


@given(worlds(), breaks)
def test_5_looking_changes_nothing(world: World, breaks: list[Broken]) -> None:
    in_loop(world.setup())
    break_all(world, breaks)
    before = world.snapshot()
    home = world.home()
    with home.only_looking():
        facts = in_loop(world.look(home))
        planner.diagnose(world.want, facts, all_of_them())
        planner.plan(world.want, facts, ACCESS)
    after = world.snapshot()
    assert after[1] == before[1]
    assert settings_of(after[0]) == settings_of(before[0])


def settings_of(house: Any) -> Any:
    """The part of a house's snapshot that is neither log nor clock."""
    return house


@given(worlds())
def test_6_what_nobody_asked_for_stays(world: World) -> None:
    entries = FLAVOURS[world.slug].read({"options": world.house.app(world.slug).options}).keys
    config, known = world.computer.text(world.computer.places.config), world.computer.text(world.computer.places.known_hosts)
    in_loop(world.setup())
    now = FLAVOURS[world.slug].read({"options": world.house.app(world.slug).options}).keys
    assert [entry for entry in now if entry in entries] == list(entries)
    assert (world.computer.text(world.computer.places.config) or "").endswith(config or "")
    assert (known or "").rstrip("\r\n") in (world.computer.text(world.computer.places.known_hosts) or "")


@given(worlds())
def test_7_the_first_plan_is_complete(world: World) -> None:
    done = in_loop(rounds(world))
    if not done:
        return
    announced = {one.check.id for one in done[0][0].waiting}
    for plan, _facts in done[1:]:
        assert announced.issuperset(cause for step in plan.steps for cause in step.because)


@given(worlds(), st.integers(1, 12), st.sampled_from([How.KILL_BEFORE, How.KILL_AFTER]))
def test_8_never_locked_out(world: World, at: int, how: How) -> None:
    admitted = world.house.admitted(world.slug)
    home = world.home(Injury(at=at, how=how))
    with contextlib.suppress(Killed):
        in_loop(world.setup(home))
    world.house.settle()
    now = world.house.admitted(world.slug)
    if not (now & admitted or our_credentials(world) or not admitted):
        undo_last(world)
        assert world.house.admitted(world.slug) >= admitted


def undo_last(world: World) -> engine.PutBack | None:
    home = world.home()
    runs = [run for run in home.journal.runs() if run.state != "undone" and run.entries]
    if not runs:
        return None
    back = in_loop(engine.put_back(runs[-1], home, home.journal, Quiet(), everything=True))
    home.journal.close(runs[-1].id, "undone")
    world.house.settle()
    return back


@given(worlds(), st.integers(1, 12), st.sampled_from([How.KILL_BEFORE, How.KILL_AFTER]))
def test_8_a_killed_run_can_be_undone_and_can_be_finished(world: World, at: int, how: How) -> None:
    before, admitted = world.snapshot(), world.house.admitted(world.slug)
    try:
        in_loop(world.setup(world.home(Injury(at=at, how=how))))
    except Killed:
        world.house.settle()
        back = undo_last(world)
        assert back is None or not back.failed
        assert world.house.admitted(world.slug) == admitted
        after = world.snapshot()
        for path, state in before[1].items():
            assert after[1].get(path) == state
    done = in_loop(world.setup())
    assert done.error is None
    assert engine.well(done.findings)


@given(worlds())
def test_9_undo_keeps_later_edits_by_others(world: World) -> None:
    in_loop(world.setup())
    flavour, app = FLAVOURS[world.slug], world.house.app(world.slug)
    theirs = f"{world.house.keys.make('ed25519').public} later"
    app.options = ApplySettings(slug=world.slug, edits=(flavour.add_key(theirs),)).edited({"options": app.options})["options"]
    app.watchdog = False
    config = world.computer.places.config
    world.computer.put(config, (world.computer.text(config) or "") + "Host later\n    Port 1\n")
    back = undo_last(world)
    assert back is not None
    assert not back.failed
    assert theirs in flavour.read({"options": world.house.app(world.slug).options}).keys
    assert "Host later" in (world.computer.text(config) or "")
    assert not world.house.app(world.slug).watchdog


@given(slugs, seeds)
def test_10_no_opinion_no_fault(slug: str, seed: int) -> None:
    world = healthy(slug, seed)
    facts = in_loop(world.look())
    want = infer(facts)
    plan = planner.plan(want, facts, ACCESS)
    assert not plan.steps
    assert not plan.told
    assert engine.well(planner.diagnose(replace(want, accepted=frozenset()), facts, ACCESS))
