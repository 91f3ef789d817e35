"""`setup` killed between any two writes, or interrupted: a fresh process puts everything back, or finishes the job."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from servers import serve_ssh

if TYPE_CHECKING:
    from computer import Computer, Ended

    from ha_ssh.sim.house import House

KILL_AT = str(Path(__file__).with_name("kill_at.py"))
WRITES = 25
"""How many writes a setup from nothing makes."""


def killed(computer: Computer, moment: str) -> Ended:
    return computer.ha_ssh(*computer.flags("--json"), run=(KILL_AT, moment))


def put_back_but_for_what_is_named(computer: Computer, house: object, undone: Ended) -> None:
    """Assert that nothing is left of a setup but our key, which is never deleted and therefore named."""
    assert undone.code == 0, undone
    assert computer.snapshot() == house
    left = set(computer.files(but=("state/", "config/")))
    assert left <= {"ssh/id_ha_ssh_home", "ssh/id_ha_ssh_home.pub"}
    for name in left:
        assert any(name.removesuffix(".pub") in line for line in undone.report["kept"]), undone


def all_is_well(computer: Computer, done: Ended) -> None:
    """Assert that a setup came to its end, and did nothing twice."""
    assert (done.code, done.result) == (0, "ok"), done
    assert len(computer.admitted()) == 1
    assert len(computer.snapshot()["apps"]["core_ssh"]["options"]["authorized_keys"]) == 1
    assert (computer.ssh / "config").read_text().count("Include") == 1
    assert len((computer.ssh / "known_hosts").read_text().splitlines()) == len(computer.house.host_keys("core_ssh"))
    assert not [name for name in computer.files() if name.endswith("~")]


def test_how_many_writes_there_are(computer: Computer) -> None:
    done = killed(computer, "0")
    assert done.code == 0
    assert done.err.splitlines()[-1] == str(WRITES)


# Every other moment: law 8 takes each, in memory.
@pytest.mark.parametrize("moment", [*(str(n) for n in range(1, WRITES + 1, 2)), "torn:1", "torn:4", "torn:9"])
def test_killed_before_any_write(computer: Computer, moment: str) -> None:
    house = computer.snapshot()
    assert killed(computer, moment).code == -signal.SIGKILL
    bring_back = computer.keep()

    put_back_but_for_what_is_named(computer, house, computer.undo())
    assert {run.state for run in computer.journal()} <= {"undone"}

    bring_back()
    all_is_well(computer, computer.setup())


# --------------------------------------------------------------------------------------------------------- while it waits


def installing(event: dict[str, object]) -> bool:
    return event["event"] == "progress" and "installing" in str(event["what"])


def restarting(event: dict[str, object]) -> bool:
    return event["event"] == "progress" and "start" in str(event["what"])


@pytest.mark.parametrize("then", ["setup", "undo"])
def test_killed_while_the_house_installs(computer: Computer, then: str) -> None:
    house = computer.snapshot()
    computer.turn(lambda house: setattr(house.knobs, "install_seconds", 2.0))
    running = computer.start(*computer.flags())
    running.wait_for(installing)
    running.send(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    if then == "setup":  # at once: the Supervisor is still busy with the first one's call
        all_is_well(computer, computer.setup())
        return
    computer.let_the_house_end_its_work()
    assert computer.snapshot()["apps"]["core_ssh"]["installed"]
    put_back_but_for_what_is_named(computer, house, computer.undo())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_the_house_installs(computer: Computer, number: signal.Signals) -> None:
    """The Supervisor installs on: the app stays, stopped, and is named; nothing else has begun."""
    computer.turn(lambda house: setattr(house.knobs, "install_seconds", 2.0))
    running = computer.start(*computer.flags())
    running.wait_for(installing)
    running.send(number)
    ended = running.end()
    assert (ended.code, ended.result) == (130, "interrupted"), ended
    computer.let_the_house_end_its_work()
    app = computer.snapshot()["apps"]["core_ssh"]
    assert (app["installed"], app["state"], app["options"]["authorized_keys"]) == (True, "stopped", [])
    assert any("Install" in line for line in ended.report["kept"]), ended
    assert set(computer.files(but=("state/", "config/"))) <= {"ssh/id_ha_ssh_home", "ssh/id_ha_ssh_home.pub"}
    computer.turn(lambda house: setattr(house.knobs, "install_seconds", 0.0))
    all_is_well(computer, computer.setup())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_the_app_restarts(computer: Computer, number: signal.Signals) -> None:
    """Settings and run state are as before: the app that others log in to goes on with theirs."""
    theirs = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPL09MkyCqmdq4iMgxQAfaoGVdn6eeywwcSZKcQ1WaIm sam@laptop"

    def in_use(house: House) -> None:
        serve_ssh(house, theirs, port=2222)
        house.knobs.restart_seconds = 1.0

    computer.turn(in_use)
    house, before = computer.snapshot(), computer.admitted()
    running = computer.start(*computer.flags())
    running.wait_for(restarting)
    running.send(number)
    ended = running.end()
    assert (ended.code, ended.result) == (130, "interrupted"), ended
    computer.let_the_house_end_its_work()
    assert computer.snapshot() == house
    assert computer.admitted() == before
    computer.turn(lambda house: setattr(house.knobs, "restart_seconds", 0.0))
    assert computer.setup().code == 0
    assert len(computer.admitted()) == 2
