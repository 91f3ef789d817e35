"""The three routes by real processes: Core, from inside the house, through the SSH login; and the branch that nobody saws off."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from servers import ADVANCED, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acceptance.computer import Computer, Ended

WORDS = {TERMINAL: "terminal", ADVANCED: "advanced"}
BOTH = pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])


def inside(computer: Computer, slug: str = "core_mosquitto") -> dict[str, str]:
    """The environment of a process in an app's container."""
    token = computer.turn(lambda _house: computer.running.inside.token_of(slug))
    return {"SUPERVISOR": computer.running.supervisor, "SUPERVISOR_TOKEN": token, "HA_SSH_TOKEN": ""}


def by_id(ended: Ended) -> dict[str, dict[str, Any]]:
    return {finding["id"]: finding for finding in ended.report["findings"]}


def what_counts(computer: Computer) -> tuple[Any, Any]:
    """The house and the user's files; the diary of runs grows by itself."""
    return computer.snapshot(), computer.files(but=("state/",))


def core_goes_down(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house.knobs, "core_down", True))


# ---------------------------------------------------------------------------------------------------- from inside the house


@BOTH
def test_inside_the_house_nobody_signs_in(computer: Computer, slug: str) -> None:
    env = inside(computer)
    where = ("--ssh-host", computer.running.host)
    house = computer.snapshot()
    done = computer.ha_ssh("setup", "--app", WORDS[slug], "--yes", "--no-passphrase", *where, "--json", env=env)
    assert (done.code, done.result) == (0, "ok"), done
    assert done.report["ssh"]["proof"]["channel"] == "inside"
    assert by_id(done)["right-server"]["verdict"] == "ok"
    assert env["SUPERVISOR_TOKEN"] not in done.out + done.err
    again = computer.ha_ssh("setup", "--json", env=env)
    assert (again.code, again.report["changed"]) == (0, False), again
    doctor = computer.ha_ssh("doctor", "--json", env=env)
    assert (doctor.code, doctor.result) == (0, "ok"), doctor
    assert "inside" in by_id(doctor)["house-answers"]["says"]
    undone = computer.ha_ssh("undo", "--yes", "--json", env=env)
    assert undone.code == 0, undone
    assert computer.snapshot() == house


def test_a_token_without_its_house_means_nothing(computer: Computer) -> None:
    nowhere = {"SUPERVISOR": "127.0.0.1:9", "SUPERVISOR_TOKEN": "x"}
    lost = computer.ha_ssh("setup", "--yes", "--no-passphrase", "--json", env=nowhere)
    assert (lost.code, lost.error["code"]) == (3, "missing-url"), lost


def test_a_token_that_is_refused_inside_is_named(computer: Computer) -> None:
    wrong = {**inside(computer), "SUPERVISOR_TOKEN": "wrong"}
    refused = computer.ha_ssh("setup", "--yes", "--no-passphrase", "--json", env=wrong)
    assert refused.code == 4, refused
    assert refused.report["changed"] is False


# ------------------------------------------------------------------------------------------------------- through the SSH login


@BOTH
@pytest.mark.parametrize("name", ["root", "sam"])
def test_where_core_is_down_the_doctor_goes_through_ssh(computer: Computer, slug: str, name: str) -> None:
    if slug == TERMINAL and name == "sam":
        pytest.skip("this app knows only `root`")
    flags = ("--username", name) if slug == ADVANCED else ()
    assert computer.setup("--app", WORDS[slug], *flags).code == 0
    core_goes_down(computer)
    before = what_counts(computer)
    doctor = computer.ha_ssh("doctor", "--json")
    found = by_id(doctor)
    assert (doctor.code, doctor.result) == (0, "ok"), doctor
    assert found["house-answers"]["verdict"] == "warn"
    assert found["app-installed"]["verdict"] == "ok"
    assert found["right-server"]["verdict"] == "ok"
    assert "log" not in found["right-server"]["says"].split("(")[0], "what it reads through the server proves nothing about it"
    assert doctor.report["ssh"]["proof"]["method"] == "known-host"
    assert what_counts(computer) == before


@BOTH
def test_what_needs_a_restart_of_the_app_that_carries_us_needs_the_named_risk(computer: Computer, slug: str) -> None:
    assert computer.setup("--app", WORDS[slug], "--port", "2222").code == 0
    core_goes_down(computer)
    before = what_counts(computer)
    refused = computer.setup("--app", WORDS[slug], "--port", "2222", "--tunnels")
    assert (refused.code, refused.error["code"]) == (3, "risk-not-accepted"), refused
    assert "cut-branch" in refused.said
    assert what_counts(computer) == before
    done = computer.setup("--app", WORDS[slug], "--port", "2222", "--tunnels", "--accept-risk", "cut-branch")
    assert (done.code, done.result) == (0, "ok"), done
    assert done.report["changed"] is True
    assert done.report["ssh"]["proof"]["channel"] == "ssh"
    again = computer.setup("--app", WORDS[slug], "--port", "2222", "--tunnels")
    assert (again.code, again.report["changed"]) == (0, False), again


def test_an_undo_goes_through_ssh_where_core_is_down_and_asks_before_it_cuts_the_branch(computer: Computer) -> None:
    assert computer.setup().code == 0
    assert computer.setup("--tunnels").code == 0
    core_goes_down(computer)
    before = what_counts(computer)
    refused = computer.undo()
    assert (refused.code, refused.error["code"], refused.report["changed"]) == (3, "risk-not-accepted", False), refused
    assert "cut-branch" in refused.said
    assert what_counts(computer) == before
    undone = computer.ha_ssh("undo", "--yes", "--accept-risk", "cut-branch", "--json")
    assert (undone.code, undone.result) == (0, "ok"), undone


def test_an_undo_leaves_everything_where_the_house_is_wholly_away(computer: Computer) -> None:
    assert computer.setup().code == 0
    core_goes_down(computer)
    computer.turn(lambda house: house.stop_now(TERMINAL))
    before = what_counts(computer)
    refused = computer.undo()
    assert (refused.code, refused.error["code"], refused.report["changed"]) == (4, "connection-refused", False), refused
    assert what_counts(computer) == before
    assert [run.state for run in computer.journal()] == ["closed"]


def test_another_server_in_its_place_is_told_nothing(computer: Computer) -> None:
    assert computer.setup().code == 0
    core_goes_down(computer)
    computer.turn(lambda house: house.new_host_keys(TERMINAL))
    computer.turn(lambda house: house.restart_now(TERMINAL))
    before = computer.snapshot()
    refused = computer.setup("--tunnels", "--accept-risk", "cut-branch")
    assert (refused.code, refused.report["changed"]) == (4, False), refused
    assert "host keys" in refused.err
    assert computer.snapshot() == before


def test_a_house_that_is_wholly_away_is_named_once(computer: Computer) -> None:
    assert computer.setup().code == 0
    core_goes_down(computer)
    computer.turn(lambda house: house.stop_now(TERMINAL))
    refused = computer.setup("--tunnels")
    assert (refused.code, refused.report["changed"]) == (4, False), refused
    assert refused.error["code"] == "connection-refused"


# ------------------------------------------------------------------------------------------------- inside the very SSH app


@BOTH
def test_inside_the_very_ssh_app_a_restart_needs_the_named_risk(computer: Computer, slug: str) -> None:
    assert computer.setup("--app", WORDS[slug], "--port", "2222").code == 0
    before = what_counts(computer)
    env = {**inside(computer, slug), "HA_SSH_TOKEN": computer.token or ""}
    refused = computer.setup("--app", WORDS[slug], "--port", "2223", env=env)
    assert (refused.code, refused.error["code"]) == (3, "risk-not-accepted"), refused
    assert "cut-branch" in refused.said
    assert what_counts(computer) == before
    undone = computer.ha_ssh("undo", "--yes", "--json", env=env)
    assert (undone.code, undone.error["code"]) == (3, "risk-not-accepted"), undone
    assert what_counts(computer) == before
    other = computer.setup(
        "--app", WORDS[slug], "--port", "2223", env=inside(computer, "core_mosquitto") | {"HA_SSH_TOKEN": computer.token or ""}
    )
    assert (other.code, other.report["ssh"]["port"]) == (0, 2223), other


# ------------------------------------------------------------------------------------- an address that the app itself forwards


@contextmanager
def forwarded(computer: Computer, user: str) -> Iterator[str]:
    """The house's address through `ssh -L`, by the alias that setup has written."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    house = computer.running
    command = ["ssh", "-F", str(computer.ssh / "config"), "-N", "-o", "ExitOnForwardFailure=yes"]
    command += ["-o", "ClearAllForwardings=no", "-L", f"127.0.0.1:{port}:{house.host}:{computer.house.core_port}", "ha"]
    process = subprocess.Popen(command, env=computer.environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        ends = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < ends:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
        assert process.poll() is None, process.communicate()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


@BOTH
def test_an_address_that_the_app_forwards_is_noticed_before_a_restart(computer: Computer, slug: str) -> None:
    first = computer.setup("--app", WORDS[slug], "--port", "2222", "--tunnels", "--username", "root")
    assert first.code == 0, first
    with forwarded(computer, "root") as url:
        before = what_counts(computer)
        own = (
            "setup",
            "--house",
            "home",
            "--url",
            url,
            "--ssh-host",
            computer.running.host,
            "--app",
            WORDS[slug],
            "--yes",
            "--json",
        )
        same = computer.ha_ssh(*own, "--port", "2222")
        assert (same.code, same.report["changed"]) == (0, False), same
        refused = computer.ha_ssh(*own, "--port", "2223")
        assert (refused.code, refused.error["code"]) == (3, "risk-not-accepted"), refused
        assert "cut-branch" in refused.said
        assert computer.snapshot() == before[0]
