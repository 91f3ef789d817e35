"""A house that misbehaves over the wire: the result is told as it is, nothing is left behind, and the next setup succeeds."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import pytest
from computer import Computer

from ha_ssh import compose
from ha_ssh.core.model import Report
from ha_ssh.core.options import Options, Trust
from ha_ssh.sim.house import Fault, Knobs
from ha_ssh.sim.running import serve_in_thread
from ha_ssh.world.houses import locations
from servers import new_house, serve_ssh

if TYPE_CHECKING:
    from pathlib import Path

    from computer import Ended

    from ha_ssh.core.secret import Secret
    from ha_ssh.flows.tools import Tools
    from ha_ssh.sim.house import House

INSTALL = "POST /store/addons/core_ssh/install"
SAVE = "POST /addons/core_ssh/options"
START = "POST /addons/core_ssh/start"
RESTART = "POST /addons/core_ssh/restart"
THEIRS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPL09MkyCqmdq4iMgxQAfaoGVdn6eeywwcSZKcQ1WaIm sam@laptop"


def in_use(house: House) -> None:
    """Let somebody else log in to the app already."""
    serve_ssh(house, THEIRS, port=2222)


def went_wrong(computer: Computer, ended: Ended, before: object) -> None:
    """Assert that a run failed, was put back, and says so: only a stopped app and a key may stay, and they are named."""
    assert (ended.code, ended.result) == (1, "put_back"), ended
    apps = computer.snapshot()["apps"]
    if apps["core_ssh"]["installed"] and not before["apps"]["core_ssh"]["installed"]:  # type: ignore[index] # a snapshot
        assert any("Install" in line for line in ended.report["kept"]), ended
        assert apps["core_ssh"]["running"] is None
        assert apps["core_ssh"]["options"]["authorized_keys"] == []
        assert apps["core_ssh"]["network"]["22/tcp"] is None
    else:
        assert computer.snapshot() == before
    left = set(computer.files(but=("state/", "config/")))
    assert left <= {"ssh/id_ha_ssh_home", "ssh/id_ha_ssh_home.pub"}
    assert not left or any("key" in line for line in ended.report["kept"]), ended


def the_next_setup_succeeds(computer: Computer) -> None:
    again = computer.setup()
    assert (again.code, again.result) == (0, "ok"), again


# ---------------------------------------------------------------------------------------------------- answers that get lost


@pytest.mark.timeout(120)
@pytest.mark.parametrize("when", ["before", "after", "later", "timeout"])
def test_an_answer_that_gets_lost(tmp_path: Path, when: str) -> None:
    """For each changing call: the effect never comes, is there, or comes two seconds later. The waits go side by side."""
    with ExitStack() as stack:
        computers = {}
        for call in (INSTALL, SAVE, START, RESTART):
            running = stack.enter_context(serve_in_thread(new_house))
            computers[call] = Computer(running, tmp_path / call.rpartition("/")[2])
            if call == RESTART:
                computers[call].turn(in_use)
        before = {call: computer.snapshot() for call, computer in computers.items()}
        for call, computer in computers.items():
            fault = Fault(match=f"^{call}$", when=when, seconds=2.0)
            computer.turn(lambda house, fault=fault: house.knobs.faults.append(fault))
        with ThreadPoolExecutor(len(computers)) as side_by_side:
            ended = dict(zip(computers, side_by_side.map(Computer.setup, computers.values()), strict=True))
        for call, computer in computers.items():
            assert computer.house.knobs.faults[0].seen
            computer.let_the_house_end_its_work()
            if when == "before":
                went_wrong(computer, ended[call], before[call])
                assert ended[call].error["code"] == "dropped"
                computer.turn(lambda house: house.knobs.faults.clear())
                the_next_setup_succeeds(computer)
            assert when == "before" or (ended[call].code, ended[call].result) == (0, "ok"), ended[call]
            assert len(computer.admitted()) == (2 if call == RESTART else 1)


def test_core_restarts_in_between(computer: Computer) -> None:
    """Core goes away while the app is being installed, as it does after an update, and comes back a second later."""

    def away(house: House) -> None:
        house.knobs.core_down = True
        house.later(1.0, lambda: setattr(house.knobs, "core_down", False))

    computer.turn(lambda house: setattr(house.knobs, "install_seconds", 1.5))
    running = computer.start(*computer.flags())
    running.wait_for(lambda event: event["event"] == "progress" and "installing" in event["what"])
    computer.turn(away)
    ended = running.end()
    assert (ended.code, ended.result) == (0, "ok"), ended


def test_another_job_is_waited_for(computer: Computer) -> None:
    busy = "Another job is running for job group app_core_ssh"
    computer.turn(lambda house: house.knobs.faults.append(Fault(match=START, when="refuse", message=busy)))
    ended = computer.setup()
    assert (ended.code, ended.result) == (0, "ok"), ended


# ----------------------------------------------------------------------------------------------------------------- refusals


def test_a_port_that_is_taken(computer: Computer) -> None:
    """Who asks for that very port gets a no with the way out; who asks for none gets a free one."""
    before = computer.snapshot()
    computer.turn(lambda house: house.knobs.port_taken.add(2222))
    stopped = computer.setup("--port", "2222")
    assert stopped.code in {1, 2}, stopped
    assert "2222" in stopped.said
    assert "--port" in stopped.said
    if stopped.code == 1:
        went_wrong(computer, stopped, {**before, "issues": computer.snapshot()["issues"]})
    other = computer.setup()
    assert (other.code, other.result) == (0, "ok"), other
    assert other.report["ssh"]["port"] != 2222


def test_settings_that_are_refused(computer: Computer) -> None:
    before = computer.snapshot()
    computer.turn(lambda house: setattr(house.knobs, "options_refused", "value is not allowed"))
    ended = computer.setup()
    went_wrong(computer, ended, before)
    assert "value is not allowed" in ended.said
    computer.turn(lambda house: setattr(house.knobs, "options_refused", None))
    the_next_setup_succeeds(computer)


@pytest.mark.parametrize(
    ("knob", "value", "says"),
    [
        ("disk_free", 0.5, "full"),
        ("offline", True, "internet"),
        ("update_needed", True, "update"),
        ("store_empty", True, "store"),
    ],
)
def test_an_installation_that_is_refused(computer: Computer, knob: str, value: object, says: str) -> None:
    before = computer.snapshot()
    computer.turn(lambda house: setattr(house.knobs, knob, value))
    ended = computer.setup()
    assert ended.code in {1, 4}, ended
    told = str(ended.report["findings"]) if ended.report["error"] is None else ended.said
    assert says in told.lower()
    assert computer.snapshot() == before
    computer.turn(lambda house: setattr(house.knobs, knob, getattr(Knobs(), knob)))
    the_next_setup_succeeds(computer)


def test_somebody_else_behind_the_port_is_never_trusted(computer: Computer) -> None:
    """Every login there succeeds, but the app's log shows none: nothing is pinned, no alias leads there."""
    before = computer.snapshot()
    computer.turn(lambda house: setattr(house.knobs, "door", "impostor"))
    ended = computer.setup()
    assert (ended.code, ended.result) == (1, "wrong"), ended
    wrong = next(one for one in ended.report["findings"] if one["verdict"] in {"wrong", "unknown"} and one["because"] is None)
    assert wrong["id"] == "right-server"
    assert not (computer.ssh / "known_hosts").exists()
    assert not (computer.ssh / "config").exists()
    assert computer.undo().code == 0
    assert computer.snapshot() == before


# ------------------------------------------------------------------------------------------------ when it cannot be put back


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_house_that_is_gone_when_things_are_to_be_put_back(computer: Computer, number: signal.Signals) -> None:
    """A second Ctrl-C ends the wait for it; the journal then knows, and `undo` does the rest."""
    before = computer.snapshot()
    computer.turn(lambda house: setattr(house.knobs, "start_seconds", 1.0))
    running = computer.start(*computer.flags())
    running.wait_for(lambda event: event["event"] == "progress" and "to start" in event["what"])
    computer.turn(lambda house: setattr(house.knobs, "core_down", True))
    running.send(number)
    running.wait_for(lambda event: event["event"] == "progress" and "to put things back" in event["what"])
    running.send(number)
    ended = running.end()
    assert (ended.code, ended.result) == (5, "stuck"), ended
    assert "ha-ssh undo" in ended.said
    assert computer.snapshot()["apps"]["core_ssh"]["options"]["authorized_keys"]

    computer.turn(lambda house: setattr(house.knobs, "core_down", False))
    assert [run.state for run in computer.journal()] == ["open"]
    undone = computer.undo()
    assert undone.code == 0, undone
    assert computer.snapshot() == before
    assert set(computer.files(but=("state/", "config/"))) <= {"ssh/id_ha_ssh_home", "ssh/id_ha_ssh_home.pub"}
    the_next_setup_succeeds(computer)


def test_a_request_to_end_does_not_cut_the_parting_from_a_house_short(computer: Computer) -> None:
    class Impatient(compose._Silent):
        def rest(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    class Token:
        origin, is_session = computer.running.url, False

        async def access(self) -> Secret:
            return computer.running.token

    async def flow(tools: Tools) -> Report:
        await tools.connect(computer.running.url, cast("Any", Token()), Trust()).core()
        return Report(command="doctor")

    where = locations(str(computer.profile))
    report = asyncio.run(compose._run(flow, Options(), cast("Any", Impatient()), where))
    assert report.exit == 0


# --------------------------------------------------------------------------------------------------------- two at once


def test_two_runs_at_once(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house.knobs, "install_seconds", 3.0))
    running = computer.start(*computer.flags())
    running.wait_for(lambda event: event["event"] == "progress" and "installing" in event["what"])
    before = computer.everything()
    second = computer.setup()
    assert (second.code, second.result) == (4, "error"), second
    assert str(running.process.pid) in second.said
    assert second.report["changed"] is False
    undo = computer.undo()
    assert undo.code == 4
    assert computer.everything() == before
    assert running.end().code == 0
    the_next_setup_succeeds(computer)
