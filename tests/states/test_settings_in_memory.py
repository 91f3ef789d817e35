"""Settings as people really have them: from older versions, with secrets, changed by others at the same moment."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ha_ssh import engine
from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import PasswordWish
from ha_ssh.sim.memory import MemoryHome
from laws.worlds import FLAVOURS, Quiet, World, in_loop
from servers import ADVANCED, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.sim.house import House

BOTH = pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])


def installed(slug: str) -> World:
    """A house whose app is installed and has never run."""
    world = World(slug=slug)
    world.house.install_now(slug)
    return world


def ssh_part(house: House, slug: str) -> dict[str, Any]:
    """The part of the saved options that is about SSH."""
    options = house.app(slug).options
    part: dict[str, Any] = options if slug == TERMINAL else options["ssh"]
    return part


def somebody(world: World) -> str:
    """The key of somebody else."""
    return f"{world.house.keys.make('ed25519').public} somebody"


def undo(world: World) -> engine.PutBack:
    home = world.home()
    return in_loop(engine.put_back(home.journal.runs()[-1], home, home.journal, Quiet(), everything=True))


def holds(world: World) -> None:
    """Set the house up, and find nothing left to do the second time."""
    done = in_loop(world.setup())
    assert done.error is None, done.error
    assert engine.well(done.findings), [(f.id, f.verdict.says) for f in done.findings]
    again = in_loop(world.setup())
    assert not again.changed
    assert engine.well(again.findings)


def test_putting_back_waits_a_minute_in_all_for_a_house_that_is_gone() -> None:
    world = World(slug=TERMINAL)
    in_loop(world.setup())
    home = world.home()
    world.house.knobs.core_down = True
    (run,) = home.journal.runs()
    in_the_house = [entry.title for entry in run.entries if "slug" in entry.fields]
    began = home.clock.now()
    back = in_loop(engine.put_back(run, home, home.journal, Quiet(), everything=True))
    assert len(back.failed) == len(in_the_house) > 1
    assert 50 < home.clock.now() - began <= 60


# ---------------------------------------------------------------------------------------------------------- older versions


@BOTH
def test_options_that_lack_what_a_newer_version_requires_are_saved_complete(slug: str) -> None:
    world = installed(slug)
    whole = copy.deepcopy(world.house.app(slug).options)
    if slug == TERMINAL:
        del world.house.app(slug).options["server"]
        del world.house.app(slug).options["apks"]
    else:
        del ssh_part(world.house, slug)["allow_remote_port_forwarding"]
        del world.house.app(slug).options["init_commands"]
        world.house.app(slug).options["zsh"] = False
        whole["zsh"] = False
    holds(world)
    now = copy.deepcopy(world.house.app(slug).options)
    (now if slug == TERMINAL else now["ssh"])["authorized_keys"] = []
    assert now == whole
    assert not undo(world).failed
    assert world.house.app(slug).options == whole, "complete options can be saved again; incomplete ones could not"


@BOTH
def test_a_lone_key_where_a_list_belongs_becomes_its_first_entry(slug: str) -> None:
    world = installed(slug)
    theirs = somebody(world)
    ssh_part(world.house, slug)["authorized_keys"] = theirs
    holds(world)
    keys = ssh_part(world.house, slug)["authorized_keys"]
    assert keys[0] == theirs
    assert len(keys) == 2
    assert not undo(world).failed
    assert ssh_part(world.house, slug)["authorized_keys"] == [theirs]


@BOTH
def test_options_that_no_version_knows_any_more_are_no_obstacle(slug: str) -> None:
    world = installed(slug)
    world.house.app(slug).options["share_everything"] = True
    ssh_part(world.house, slug)["legacy"] = {"mode": 1}
    holds(world)


@BOTH
def test_settings_in_shapes_that_cannot_be_are_still_looked_at(slug: str) -> None:
    world = installed(slug)
    for odd in ({}, [], None, "text", {"ssh": [], "server": "no", "authorized_keys": {"a": 1}, "password": 3}):
        world.house.app(slug).options = odd  # type: ignore[assignment] # that is the point
        in_loop(world.look())
        assert FLAVOURS[slug].read({"options": odd, "network": odd}).keys == ()


# ----------------------------------------------------------------------------------------------------------------- secrets


@BOTH
def test_what_secrets_stand_for_is_never_read_or_overwritten(slug: str) -> None:
    world = installed(slug)
    world.house.secrets = {"my_key": somebody(world), "my_password": "hushed"}
    ssh_part(world.house, slug).update(authorized_keys=["!secret my_key"], password="!secret my_password")
    world.house.app(slug).network = {"22/tcp": 2222}
    world.house.start_now(slug)
    before = world.house.admitted(slug)
    world.want = replace(world.want, password=PasswordWish.KEEP)
    holds(world)
    assert ssh_part(world.house, slug)["authorized_keys"][0] == "!secret my_key"
    assert ssh_part(world.house, slug)["password"] == "!secret my_password"
    assert before < world.house.admitted(slug)
    assert "hushed" not in str(world.computer.snapshot()) + str(world.computer.journal)


@BOTH
def test_a_secret_that_nobody_knows_is_named_and_nothing_is_changed(slug: str) -> None:
    world = installed(slug)
    ssh_part(world.house, slug)["authorized_keys"] = ["!secret gone"]
    before = world.house.snapshot()
    done = in_loop(world.setup())
    assert isinstance(done.error, HaSshError)
    assert done.error.code == "unknown-secret"
    assert "gone" in done.error.message
    assert world.house.snapshot() == before
    assert not done.stuck


# ------------------------------------------------------------------------------------------------ others at the same moment


class Crowded(MemoryHome):
    """A home whose house somebody else changes just before or just after our own saves."""

    meddle: Callable[[int], None]
    after = False

    async def call(self, endpoint: str, *arguments: Any, **more: Any) -> Any:
        saves = endpoint.endswith("/options")
        number = len([write for write in self.writes if write.where.endswith("/options")]) + 1
        if saves and not self.after:
            self.meddle(number)
        answer = await super().call(endpoint, *arguments, **more)
        if saves and self.after:
            self.meddle(number)
        return answer


def crowded(world: World, meddle: Callable[[int], None], *, after: bool) -> Crowded:
    home = Crowded(world.house, world.computer)
    home.meddle, home.after = meddle, after
    return home


@BOTH
def test_what_others_save_between_the_plan_and_its_doing_stays(slug: str) -> None:
    world = installed(slug)
    theirs = somebody(world)

    async def agree_late(_plan: Any) -> bool:
        ssh_part(world.house, slug)["authorized_keys"].append(theirs)
        world.house.app(slug).auto_update = True
        return True

    done = in_loop(engine.converge(replace(world.run(world.home()), agree=agree_late)))
    assert done.error is None
    assert ssh_part(world.house, slug)["authorized_keys"][0] == theirs
    assert len(ssh_part(world.house, slug)["authorized_keys"]) == 2
    assert world.house.app(slug).auto_update
    assert engine.well(done.findings)
    assert not undo(world).failed
    assert ssh_part(world.house, slug)["authorized_keys"] == [theirs]


@BOTH
def test_a_page_that_saves_over_our_change_is_merged_with_once_more(slug: str) -> None:
    world = installed(slug)
    theirs = somebody(world)

    def their_page_saves(number: int) -> None:
        if number == 1:
            ssh_part(world.house, slug)["authorized_keys"] = [theirs]

    done = in_loop(world.setup(crowded(world, their_page_saves, after=True)))
    assert done.error is None
    keys = ssh_part(world.house, slug)["authorized_keys"]
    assert keys[0] == theirs
    assert len(keys) == 2
    assert engine.well(done.findings)


@BOTH
def test_a_setting_that_is_never_kept_is_named_and_all_is_put_back(slug: str) -> None:
    world = installed(slug)
    before = world.house.snapshot()

    def forget(_number: int) -> None:
        ssh_part(world.house, slug)["authorized_keys"] = []

    done = in_loop(world.setup(crowded(world, forget, after=True)))
    assert isinstance(done.error, HaSshError)
    assert done.error.code == "settings-dropped"
    assert "authorized_keys" in done.error.message
    assert done.put_back
    assert world.house.snapshot() == before


# ------------------------------------------------------------------------------------------------------------ other jobs


@BOTH
def test_another_job_is_waited_for_and_named(slug: str) -> None:
    world = installed(slug)
    world.house._busy[slug] = "somebody's"
    world.house.later(20, lambda: world.house._busy.pop(slug))
    run = world.run(world.home())
    done = in_loop(engine.converge(run))
    assert done.error is None
    assert engine.well(done.findings)
    assert isinstance(run.show, Quiet)
    assert any("nother job" in said for said in run.show.said), run.show.said


@BOTH
def test_a_job_that_never_ends_is_named_and_all_is_put_back(slug: str) -> None:
    world = installed(slug)
    world.house._busy[slug] = "somebody's"
    before = world.house.snapshot()
    done = in_loop(world.setup())
    assert isinstance(done.error, HaSshError)
    assert done.error.code == "busy"
    assert world.house.snapshot() == before


# ----------------------------------------------------------------------------------------------------------------- the rest


@BOTH
@pytest.mark.parametrize("auto_update", [True, False])
def test_updates_by_themselves_stay_as_they_were(slug: str, auto_update: bool) -> None:
    world = installed(slug)
    world.house.app(slug).auto_update = auto_update
    holds(world)
    assert world.house.app(slug).auto_update is auto_update
    assert not undo(world).failed
    assert world.house.app(slug).auto_update is auto_update


@BOTH
def test_keys_in_bad_shape_stay_as_they_are(slug: str) -> None:
    world = installed(slug)
    key = somebody(world)
    bad = [f'"{key}"', f"- {key}", key.replace(" ", "\n", 1), "ssh-ed25519 AAAA...", "# a comment", "​", f"{key}, {key}"]
    ssh_part(world.house, slug)["authorized_keys"] = list(bad)
    holds(world)
    assert ssh_part(world.house, slug)["authorized_keys"][: len(bad)] == bad
    assert not undo(world).failed
    assert ssh_part(world.house, slug)["authorized_keys"] == bad


@BOTH
def test_a_port_that_something_else_holds_is_named_with_the_way_out(slug: str) -> None:
    world = installed(slug)
    world.house.knobs.port_taken.add(2222)
    before = world.house.snapshot()
    done = in_loop(world.setup())
    assert isinstance(done.error, HaSshError)
    assert done.error.code == "port-in-use"
    assert "2222" in done.error.message
    assert any("--port" in hint for hint in done.error.hints)
    after = world.house.snapshot()
    for key in ("options", "network", "boot", "watchdog"):
        assert after["apps"][slug][key] == before["apps"][slug][key]
