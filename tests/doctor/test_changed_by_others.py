"""A house that its owner has changed since it was set up: the repair asks, or follows, and an explicit wish still counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from computer import Computer, Ended

    from ha_ssh.sim.house import House

TERMINAL, ADVANCED = "core_ssh", "a0d7b954_ssh"
FIX = ("doctor", "--fix", "--yes", "--no-input", "--json")


def move(house: House) -> None:
    """Give SSH another port, by hand."""
    house.app(TERMINAL).network = {"22/tcp": 2200}
    house.restart_now(TERMINAL)


def port(computer: Computer) -> int:
    network = computer.snapshot()["apps"][TERMINAL]["network"]
    return int(network["22/tcp"])


def block(computer: Computer) -> str:
    return computer.ssh.joinpath("ha-ssh.d", "home.conf").read_text()


def verdict(done: Ended, check: str) -> str:
    return str(next(one for one in done.report["findings"] if one["id"] == check)["verdict"])


def test_the_repair_leaves_a_port_that_the_owner_has_changed(healthy: Computer) -> None:
    healthy.turn(move)
    done = healthy.ha_ssh(*FIX)
    assert (done.code, done.report["ssh"]["port"], port(healthy)) == (0, 2200, 2200), done
    assert verdict(done, "port-published") == "note"
    assert "Port 2200" in block(healthy)
    assert healthy.ha_ssh(*FIX).report["changed"] is False
    taken = healthy.ha_ssh(*FIX, "--also", "port-published")
    assert (taken.code, port(healthy)) == (0, 2200), taken


def test_a_setup_that_names_no_port_follows_and_one_that_does_moves_it_back(healthy: Computer) -> None:
    healthy.turn(move)
    followed = healthy.ha_ssh("setup", "--yes", "--json")
    assert (followed.code, followed.report["ssh"]["port"], port(healthy)) == (0, 2200, 2200), followed
    assert verdict(healthy.ha_ssh("doctor", "--json"), "port-published") == "ok"
    back = healthy.ha_ssh("setup", "--port", "2222", "--yes", "--json")
    assert (back.code, back.report["ssh"]["port"], port(healthy)) == (0, 2222, 2222), back


def test_the_repair_installs_no_second_app_and_setup_goes_on_with_either(healthy: Computer) -> None:
    def change_over(house: House) -> None:
        house.uninstall_now(TERMINAL)
        house.install_now(ADVANCED)
        house.app(ADVANCED).network = {"22/tcp": 2222}
        house.app(ADVANCED).options["ssh"]["password"] = "a long one of the owner's"
        house.start_now(ADVANCED)
        house.knobs.penalties = False  # each of these runs tries the key that this app does not have

    healthy.turn(change_over)
    for again in (FIX, ("setup", "--yes", "--json")):
        left = healthy.ha_ssh(*again)
        assert (left.code, left.report["changed"]) == (1, False), left
        assert verdict(left, "app-installed") == "wrong"
    gone_on = healthy.ha_ssh("setup", "--app", "advanced", "--password", "keep", "--yes", "--json")
    assert (gone_on.code, gone_on.report["ssh"]["port"]) == (0, 2222), gone_on
    assert not healthy.snapshot()["apps"][TERMINAL]["installed"]


def test_a_port_that_the_supervisor_knows_another_app_to_have_is_refused_before_anything_is_made(computer: Computer) -> None:
    before = computer.everything()
    refused = computer.setup("--port", "1883")
    assert (refused.code, "Mosquitto broker (`core_mosquitto`)" in refused.said) == (2, True), refused
    assert computer.everything() == before


@pytest.mark.parametrize(
    "words",
    ["404: Not Found", "An unknown error occurred with app core_ssh. Check supervisor logs for details", "Made-up trouble"],
)
def test_the_supervisors_own_words_are_kept_as_evidence(healthy: Computer, words: str) -> None:
    healthy.turn(lambda house: house.knobs.refuse.append((f"GET /addons/{TERMINAL}/info", words)))
    done = healthy.ha_ssh("doctor", "--json")
    found = next(one for one in done.report["findings"] if one["id"] == "app-installed")
    assert found["verdict"] == "unknown"
    assert words in " ".join([found["says"], *found["evidence"]])
    assert f"asked for: GET /addons/{TERMINAL}/info" in found["evidence"]
    assert found["fix"]["instructions"]


# ------------------------------------------------------------------------------------------- a name that leads nowhere


def test_a_name_that_nobody_knows_any_more_gives_way_to_the_address_that_the_house_says_it_has(healthy: Computer) -> None:
    places = {next(healthy.profile.rglob("houses.yaml")): "host: ", healthy.ssh / "ha-ssh.d" / "home.conf": "HostName "}
    for path, word in places.items():
        path.write_text(path.read_text().replace(f"{word}{healthy.running.host}", f"{word}no-such-house.local"))
    lost = healthy.ha_ssh("doctor", "--json")
    assert verdict(lost, "name-resolves") == "wrong"
    assert "`ha-ssh doctor --fix` goes there by itself" in str(lost.report["findings"])
    done = healthy.ha_ssh(*FIX)
    assert (done.code, done.report["ssh"]["host"]) == (0, healthy.running.host), done
    assert f"HostName {healthy.running.host}" in (healthy.ssh / "ha-ssh.d" / "home.conf").read_text()
    assert healthy.ha_ssh("doctor", "--json").code == 0, "it is looked for there from now on"
