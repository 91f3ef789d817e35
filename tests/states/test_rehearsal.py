"""What an undo would do is shown by its own steps, in a world in which nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from worlds import FLAVOURS, Quiet, World, in_loop

from ha_ssh import engine
from ha_ssh.core.model import PasswordWish, SecretRef, StepState
from ha_ssh.core.secret import Secret

if TYPE_CHECKING:
    from computer import Computer

TERMINAL, ADVANCED = "core_ssh", "a0d7b954_ssh"


def rehearsed(world: World) -> dict[str, tuple[str, ...]]:
    home = world.home()
    before = world.snapshot()
    with home.only_looking():
        steps = in_loop(engine.rehearse(home.journal.runs()[-1], home, FLAVOURS.values()))
    assert world.snapshot() == before
    assert {step.state for step in steps} == {StepState.PLANNED}
    return {step.id: step.preview for step in steps}


@pytest.mark.parametrize("slug", sorted(FLAVOURS))
def test_a_rehearsal_shows_paths_and_settings_and_changes_nothing(slug: str) -> None:
    world = World(slug=slug)
    in_loop(world.setup())
    world.computer.put(
        f"{world.computer.home}/.ssh/known_hosts", f"{world.computer.text(f'{world.computer.home}/.ssh/known_hosts')}x y z\n"
    )
    shown = rehearsed(world)
    assert any(line.startswith("- ") and "authorized_keys" in line for line in shown["apply-settings"]), shown
    assert any(line.startswith("uninstalls ") for line in shown["install-app"])
    lines = [line for preview in shown.values() for line in preview]
    assert f"~ {world.computer.home}/.ssh/known_hosts" in lines
    assert f"- {world.computer.home}/.ssh/config" in lines
    assert any("stays" in line for line in shown["make-key"])
    home = world.home()
    back = in_loop(engine.put_back(home.journal.runs()[-1], home, home.journal, Quiet(), everything=True))
    assert {step.id for step in back.undone} == set(shown)
    for path in ("config", "known_hosts"):
        gone = f"- {world.computer.home}/.ssh/{path}" in lines
        assert (world.computer.text(f"{world.computer.home}/.ssh/{path}") is None) is gone


def test_no_password_is_in_a_rehearsal() -> None:
    world = World(slug=ADVANCED)
    in_loop(world.setup())
    home = world.home()
    ref = in_loop(home.keep("new", Secret("hunter2 of the house")))
    assert isinstance(ref, SecretRef)
    world.want = replace(world.want, password=PasswordWish.GENERATE, new_password=ref)
    done = in_loop(engine.converge(world.run(world.home())))
    assert done.error is None
    shown = rehearsed(world)
    assert any("password: ***" in line for line in shown["apply-settings"]), shown
    assert not any("hunter2" in line for preview in shown.values() for line in preview)


def test_what_others_have_changed_since_is_no_part_of_it() -> None:
    world = World(slug=TERMINAL)
    in_loop(world.setup())
    theirs = world.house.keys.make("ed25519").public
    app = world.house.app(TERMINAL)
    app.options = {**app.options, "authorized_keys": [*app.options["authorized_keys"], theirs]}
    [*keys] = [line for line in rehearsed(world)["apply-settings"] if "authorized_keys" in line]
    assert len(keys) == 1


# ----------------------------------------------------------------------------------------------------------- by the flag


def test_a_dry_run_shows_the_changes_as_a_result(computer: Computer) -> None:
    assert computer.setup().code == 0
    before = computer.everything()
    done = computer.ha_ssh("undo", "--dry-run")
    assert done.code == 0, done
    assert "- options.authorized_keys: ssh-ed25519 SHA256:" in done.out
    assert "uninstalls Terminal & SSH" in done.out
    told = computer.ha_ssh("undo", "--dry-run", "--json")
    assert (told.code, told.result, told.report["changed"]) == (0, "planned", True), told
    assert all(step["preview"] for step in told.report["steps"])
    assert computer.everything() == before


def test_who_has_to_agree_sees_it_first(computer: Computer) -> None:
    assert computer.setup().code == 0
    unagreed = computer.ha_ssh("undo", "--json")
    assert (unagreed.code, unagreed.result, unagreed.error["code"]) == (3, "planned", "agreement"), unagreed
    assert all(step["preview"] for step in unagreed.report["steps"])


def test_of_a_house_that_is_away_a_dry_run_shows_what_there_is_to_put_back(computer: Computer) -> None:
    assert computer.setup().code == 0
    computer.turn(lambda house: setattr(house.knobs, "core_down", True))
    computer.turn(lambda house: house.stop_now(TERMINAL))
    done = computer.ha_ssh("undo", "--dry-run", "--json")
    assert (done.code, done.result) == (0, "planned"), done
    assert {step["id"] for step in done.report["steps"]} >= {"apply-settings", "make-key"}
    assert "cannot be seen" in done.err
