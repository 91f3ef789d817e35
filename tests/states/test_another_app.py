"""From one SSH app to the other and back: another app is another server, and no changed one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from servers import ADVANCED, TERMINAL

if TYPE_CHECKING:
    from acceptance.computer import Computer

WORDS = {TERMINAL: "terminal", ADVANCED: "advanced"}
WAYS = pytest.mark.parametrize(("former", "other"), [(TERMINAL, ADVANCED), (ADVANCED, TERMINAL)])


def where_ssh_leads(computer: Computer) -> str:
    """The app whose machine `ssh ha` lands in, by OpenSSH itself, which asks nobody."""
    command = ["ssh", "-F", str(computer.ssh / "config"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "ha"]
    ran = subprocess.run(
        [*command, "hostname"], capture_output=True, text=True, env=computer.environment(), timeout=20, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@WAYS
def test_the_other_app_works_in_one_run_and_an_undo_leads_back(computer: Computer, former: str, other: str) -> None:
    assert computer.setup("--app", WORDS[former]).code == 0
    first, files, house = where_ssh_leads(computer), computer.files(but=("state/", "config/")), computer.snapshot()
    done = computer.setup("--app", WORDS[other])
    assert (done.code, done.result) == (0, "ok"), done
    assert "stays as it is: running, on port" in " ".join(done.err.split())
    assert where_ssh_leads(computer) != first
    again = computer.ha_ssh("setup", "--json")
    assert (again.code, again.report["changed"], again.report["ssh"]["port"]) == (0, False, done.report["ssh"]["port"]), again
    assert computer.ha_ssh("doctor", "--json").code == 0
    undone = computer.undo()
    assert undone.code == 0, undone
    assert (where_ssh_leads(computer), computer.snapshot()) == (first, house)
    assert computer.files(but=("state/", "config/")) == files
    assert computer.ha_ssh("doctor", "--json").code == 0


def test_there_and_back_again(computer: Computer) -> None:
    assert computer.setup("--app", "terminal").code == 0
    first, pins = where_ssh_leads(computer), (computer.ssh / "known_hosts").read_text().splitlines()
    for word in ("advanced", "terminal", "advanced", "terminal"):
        done = computer.setup("--app", word)
        assert (done.code, done.result) == (0, "ok"), done
    assert where_ssh_leads(computer) == first
    assert set(pins) < set((computer.ssh / "known_hosts").read_text().splitlines())


def test_an_app_that_does_not_start_leaves_the_former_one_in_its_place(computer: Computer) -> None:
    assert computer.setup("--app", "terminal").code == 0
    first, files = where_ssh_leads(computer), computer.files(but=("state/",))
    computer.turn(lambda house: house.knobs.dies_silently.add(ADVANCED))
    failed = computer.setup("--app", "advanced")
    assert (failed.code, failed.result) == (1, "put_back"), failed
    assert (where_ssh_leads(computer), computer.files(but=("state/",))) == (first, files)


def test_the_other_app_may_take_the_port_of_the_former_one(computer: Computer) -> None:
    assert computer.setup("--app", "terminal", "--port", "2222").code == 0
    computer.turn(lambda house: house.stop_now(TERMINAL))
    computer.turn(lambda house: house.app(TERMINAL).network.update({"22/tcp": None}))
    pins = (computer.ssh / "known_hosts").read_text()
    done = computer.setup("--app", "advanced", "--port", "2222")
    assert (done.code, done.result) == (0, "ok"), done
    where_ssh_leads(computer)
    assert computer.undo().code == 0
    assert sorted((computer.ssh / "known_hosts").read_text().splitlines()) == sorted(pins.splitlines())


def test_new_host_keys_of_the_same_app_are_still_a_risk(computer: Computer) -> None:
    assert computer.setup("--app", "terminal").code == 0
    assert computer.setup("--app", "advanced").code == 0
    computer.turn(lambda house: house.new_host_keys(ADVANCED))
    computer.turn(lambda house: house.restart_now(ADVANCED))
    refused = computer.setup()
    assert (refused.code, refused.error["code"]) == (3, "risk-not-accepted"), refused
    assert "host-key" in refused.said
