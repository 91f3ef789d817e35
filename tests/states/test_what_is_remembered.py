"""What a run has changed in what is remembered belongs to the run, and goes back with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ha_ssh.world.houses import load

if TYPE_CHECKING:
    from acceptance.computer import Computer
    from ha_ssh.world.houses import House

BOB = ("--app", "advanced", "--username", "root", "--port", "2244")


def remembered(computer: Computer) -> dict[str, House]:
    return load(str(computer.profile / "config" / "houses.yaml")).by_name


def test_an_undo_takes_back_what_its_run_has_changed(computer: Computer) -> None:
    assert computer.setup(*BOB).code == 0
    before = remembered(computer)
    assert computer.ha_ssh("setup", "--yes", "--username", "bob", "--json").code == 0
    assert (remembered(computer)["home"].user, remembered(computer) == before) == ("bob", False)
    assert computer.undo().code == 0
    assert remembered(computer) == before
    assert computer.ha_ssh("doctor", "--json").code == 0
    again = computer.ha_ssh("setup", "--dry-run", "--json")
    assert (again.code, again.report["changed"]) == (0, False), again


def test_a_house_that_a_run_made_known_is_forgotten_with_it(computer: Computer) -> None:
    assert computer.setup().code == 0
    assert set(remembered(computer)) == {"home"}
    assert computer.undo().code == 0
    assert remembered(computer) == {}


def test_what_was_remembered_later_stays(computer: Computer) -> None:
    assert computer.setup(*BOB).code == 0
    assert computer.ha_ssh("setup", "--yes", "--username", "bob", "--json").code == 0
    assert computer.ha_ssh("setup", "--yes", "--alias", "flat", "--json").code == 0
    assert computer.ha_ssh("houses", "rename", "home", "flat").code == 0
    bob = computer.journal()[1].id
    undone = computer.ha_ssh("undo", "--run", bob, "--yes", "--json")
    assert undone.code == 0, undone
    house = remembered(computer)["flat"]
    assert (house.user, house.alias) == ("root", "flat")
    assert house.want is not None
    assert (house.want.username, house.want.alias) == ("root", "flat")
