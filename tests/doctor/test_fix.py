"""`doctor --fix` ends by looking again, also where it failed or was refused, and tells what it found each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ha_ssh.sim.house import Fault
from pty_screen import PtyScreen

if TYPE_CHECKING:
    from pathlib import Path

    from computer import Computer, Ended

    from ha_ssh.sim.house import House

TERMINAL = "core_ssh"
FIX = ("doctor", "--fix", "--yes", "--no-input")


def roots(done: Ended, *verdicts: str) -> dict[str, dict[str, Any]]:
    """The findings that hang on no other."""
    found = done.report["findings"]
    return {one["id"]: one for one in found if one["because"] is None and one["verdict"] in (verdicts or ("wrong", "unknown"))}


def new_host_keys(house: House) -> None:
    house.new_host_keys(TERMINAL)
    house.restart_now(TERMINAL)


def at_terminal(computer: Computer, *arguments: str) -> PtyScreen:
    return PtyScreen("-m", "ha_ssh", *arguments, env=computer.environment() | {"NO_COLOR": "1"}, rows=90)


# --------------------------------------------------------------------------------------------------- failed, or refused


def test_a_repair_that_fails_is_put_back_and_what_is_wrong_is_told(healthy: Computer, tmp_path: Path) -> None:
    healthy.turn(lambda house: house.stop_now(TERMINAL))
    fault = Fault(match="POST /addons/core_ssh/start", when="refuse", message="no")
    healthy.turn(lambda house: house.knobs.faults.append(fault))
    page = tmp_path / "report.md"
    done = healthy.ha_ssh(*FIX, "--json", "--report", str(page))
    assert (done.code, done.result) == (1, "put_back"), done
    assert done.error["message"]
    assert set(roots(done)) == {"app-running"}, done
    assert "What is wrong" in page.read_text("utf-8")
    healthy.turn(lambda house: setattr(fault, "seen", 0))
    shown = healthy.ha_ssh(*FIX)
    assert "[app-running]" in shown.out
    assert "error: " in shown.err


@pytest.mark.parametrize("flags", [("--fix", "--no-input"), ("--fix", "--dry-run", "--no-input")], ids=" ".join)
def test_a_plan_that_nobody_agreed_to_comes_with_its_reasons(healthy: Computer, tmp_path: Path, flags: tuple[str, ...]) -> None:
    healthy.turn(lambda house: house.stop_now(TERMINAL))
    page = tmp_path / "report.html"
    done = healthy.ha_ssh("doctor", *flags, "--json", "--report", str(page))
    assert (done.code, done.result) == (0 if "--dry-run" in flags else 3, "planned"), done
    assert set(roots(done)) == {"app-running"}, done
    assert [step["state"] for step in done.report["steps"]] == ["planned"]
    assert "What is wrong" in page.read_text("utf-8")


def test_another_machine_is_told_with_all_that_was_seen(healthy: Computer, tmp_path: Path) -> None:
    healthy.turn(lambda house: setattr(house, "machine_id", "another machine"))
    page = tmp_path / "report.md"
    done = healthy.ha_ssh(*FIX, "--json", "--report", str(page))
    assert (done.code, done.error["code"], done.report["changed"]) == (4, "another-house", False), done
    assert "same-house" in roots(done)
    assert page.exists()


# ------------------------------------------------------------------------------------------------------------------ risks


def test_what_needs_a_risk_is_left_and_named_and_keeps_nothing_else_from_being_done(healthy: Computer) -> None:
    healthy.turn(new_host_keys)
    (healthy.ssh / "id_ha_ssh_home").chmod(0o644)
    done = healthy.ha_ssh(*FIX, "--json")
    assert (done.code, done.report["changed"], done.report["error"]) == (1, True, None), done
    assert [step["id"] for step in done.report["steps"]] == ["close-key-file"]
    left = roots(done)
    assert {name: one["fix"]["risk"] for name, one in left.items()} == {"host-key-pinned": "host-key"}
    shown = healthy.ha_ssh(*FIX)
    assert (shown.code, "`--accept-risk host-key`" in shown.out) == (1, True), shown
    taken = healthy.ha_ssh(*FIX, "--accept-risk", "host-key", "--json")
    assert (taken.code, roots(taken)) == (0, {}), taken


def test_setup_still_stops_before_its_first_change(healthy: Computer) -> None:
    healthy.turn(new_host_keys)
    before = healthy.everything()
    done = healthy.setup()
    assert (done.code, done.error["code"]) == (3, "risk-not-accepted"), done
    assert healthy.snapshot() == before[0]


def test_a_risk_is_asked_about_only_after_what_it_is_about_was_shown(healthy: Computer) -> None:
    healthy.turn(new_host_keys)
    with at_terminal(healthy, "doctor", "--fix") as screen:
        screen.until("Have `rsync` too?")
        screen.type("n\r")
        screen.until("accept the risk `host-key`")
        assert "[host-key-pinned]" in screen.text
        assert "SHA256:" in screen.text
        screen.type("n\r")
        assert screen.end() == 1
    assert screen.text.count("why: ") == screen.text[: screen.text.index("accept the risk")].count("why: "), "told once"


# ------------------------------------------------------------------------------------------------------ a run cut off


def leave_run_open(computer: Computer) -> None:
    from ha_ssh.world.clock import SystemClock
    from ha_ssh.world.journal import FileJournal

    journal = FileJournal(str(computer.profile / "state" / "journal"), SystemClock())
    journal.begin("setup", "home", {"url": computer.running.url})


def test_a_run_that_was_cut_off_is_finished_where_that_is_chosen(healthy: Computer) -> None:
    leave_run_open(healthy)
    with at_terminal(healthy, "doctor", "--fix") as screen:
        screen.until("What should become of the run that was cut off?")
        assert "[unfinished-run]" in screen.text
        screen.type("\r")
        screen.until("have `rsync` too")
        screen.type("n\r")
        assert screen.end() == 0
    assert [run.state for run in healthy.journal()] == ["closed", "closed"]
    again = healthy.ha_ssh("doctor", "--json")
    assert (again.code, roots(again)) == (0, {}), again


def test_a_script_finishes_it_too_and_has_to_do_nothing_for_it(healthy: Computer) -> None:
    leave_run_open(healthy)
    done = healthy.ha_ssh(*FIX, "--json")
    assert (done.code, done.report["changed"], roots(done)) == (0, False, {}), done
    assert [run.state for run in healthy.journal()] == ["closed", "closed"]


def test_it_stays_open_while_nobody_can_say_whether_it_is_finished(healthy: Computer) -> None:
    leave_run_open(healthy)
    only = healthy.ha_ssh(*FIX, "--only", "unfinished-run", "--json")
    assert "unfinished-run" in roots(only)
    healthy.turn(lambda house: setattr(house.knobs, "core_down", True))
    healthy.turn(lambda house: house.stop_now(TERMINAL))
    done = healthy.ha_ssh(*FIX, "--json")
    assert "unfinished-run" in roots(done)
    assert [run.state for run in healthy.journal()] == ["closed", "open"]


def test_setup_closes_it_as_well(healthy: Computer) -> None:
    leave_run_open(healthy)
    assert healthy.setup().code == 0
    assert [run.state for run in healthy.journal()] == ["closed", "closed"]


def test_after_a_run_was_put_back_the_plan_is_made_anew(computer: Computer) -> None:
    started = computer.start(*computer.flags())
    started.wait_for(lambda event: event.get("id") == "apply-settings" and event.get("state") == "done")
    started.process.kill()
    started.process.communicate()
    assert computer.journal()[-1].state == "open"
    with at_terminal(computer, "doctor", "--fix", "--url", computer.running.url) as screen:
        screen.until("What should become of the run that was cut off?")
        screen.type("2\r")
        screen.until("go ahead")
        screen.type("n\r")
        screen.end()
    assert computer.journal()[-1].state == "undone"
    assert computer.snapshot()["apps"][TERMINAL]["options"]["authorized_keys"] == []


# ------------------------------------------------------------------------------------------------------ a key that is gone


def lose_the_key(computer: Computer) -> None:
    for name in ("id_ha_ssh_home", "id_ha_ssh_home.pub"):
        (computer.ssh / name).unlink()


def test_a_key_that_is_gone_is_made_anew_where_that_is_wanted(healthy: Computer) -> None:
    lose_the_key(healthy)
    left = healthy.ha_ssh(*FIX, "--json")
    assert (left.code, left.report["changed"]) == (1, False), left
    [offer] = roots(left).values()
    assert (offer["id"], offer["fix"]["offered"]) == ("key-file", True)
    assert "`ha-ssh doctor --fix --also key-file`" in offer["fix"]["instructions"][0]
    taken = healthy.ha_ssh(*FIX, "--also", "key-file", "--json")
    assert (taken.code, roots(taken)) == (0, {}), taken
    assert "no passphrase" in taken.err
    assert healthy.ha_ssh("doctor", "--json").code == 0


def test_a_person_is_asked_for_the_passphrase_of_a_key_that_is_made_anew(healthy: Computer) -> None:
    lose_the_key(healthy)
    with at_terminal(healthy, "doctor", "--fix") as screen:
        screen.until("Make a new key there?")
        screen.type("y\r")
        screen.until("A passphrase for the new key")
        screen.type("three word phrase\r")
        screen.until("Once more")
        screen.type("three word phrase\r")
        screen.until("go ahead?")
        assert "(with a passphrase" in screen.text
        screen.type("y\r")
        assert screen.end() == 0
    locked = healthy.ha_ssh("doctor", "--json")
    assert [one["failure"] for one in roots(locked).values()] == ["key-passphrase"]


def test_ctrl_c_after_a_drawn_prompt_puts_the_house_back(healthy: Computer) -> None:
    healthy.turn(lambda house: setattr(house.knobs, "restart_seconds", 2.0))
    before = healthy.snapshot()["apps"][TERMINAL]["options"]
    with PtyScreen("-m", "ha_ssh", "doctor", "--fix", env=healthy.environment(), rows=90) as screen:
        screen.until("ave `rsync` too")
        screen.type("y")
        screen.until("go ahead?")
        assert "Change an answer" not in screen.text, "a repair has no answers"
        screen.type("\r")
        screen.until("Terminal & SSH to restart")
        screen.type("\x03")
        assert screen.end() == 130, screen.text
    assert healthy.snapshot()["apps"][TERMINAL]["options"] == before
    assert healthy.journal()[-1].state == "undone"


# ------------------------------------------------------------------------------------------------------ what comes first


def test_what_others_hang_on_comes_before_a_lesser_fault(healthy: Computer) -> None:
    def break_both(house: House) -> None:
        house.app(TERMINAL).boot = "manual"
        house.app(TERMINAL).options["authorized_keys"] = []
        house.restart_now(TERMINAL)

    healthy.turn(break_both)
    shown = healthy.ha_ssh("doctor").out
    assert 0 < shown.index("[key-authorised]") < shown.index("[boots-with-house]"), shown
