"""The doctor's forms: what is chosen, how strict it is, what it lists, what machines read, what a person is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ha_ssh.checks import all_checks
from pty_screen import PtyScreen

if TYPE_CHECKING:
    from pathlib import Path

    from computer import Computer

    from ha_ssh.sim.house import House

TERMINAL = "core_ssh"
IDS = {check.id for check in all_checks()}


def test_only_looks_at_nothing_else(healthy: Computer) -> None:
    healthy.turn(lambda house: setattr(house.knobs, "core_down", True))
    done = healthy.ha_ssh("doctor", "--only", "key-file", "--only", "ssh-client", "--json")
    assert done.code == 0, done
    assert [finding["id"] for finding in done.report["findings"]] == ["ssh-client", "key-file"]
    assert done.report["judged"] == {"checks": 2, "of": len(IDS)}


def test_skip_leaves_out(healthy: Computer) -> None:
    (healthy.ssh / "id_ha_ssh_home").chmod(0o644)
    skipped = ("--skip", "key-file", "--skip", "own-ssh-works")
    done = healthy.ha_ssh("doctor", *skipped, "--json")
    assert done.code == 0, done
    assert {finding["id"] for finding in done.report["findings"]} == IDS - {"key-file", "own-ssh-works"}


def test_flags_that_leave_no_check_are_refused(healthy: Computer) -> None:
    both = healthy.ha_ssh("doctor", "--only", "key-file", "--skip", "key-file", "--json")
    assert (both.code, both.error["code"]) == (2, "no-check-left"), both
    assert both.error["message"].startswith("--only and --skip ")
    alone = healthy.ha_ssh("doctor", *(word for name in IDS for word in ("--skip", name)), "--json")
    assert (alone.code, alone.error["code"]) == (2, "no-check-left"), alone


def test_a_check_that_is_none_is_named(computer: Computer) -> None:
    done = computer.ha_ssh("doctor", "--only", "keyfile", "--json")
    assert (done.code, done.error["code"]) == (2, "no-such-check")


def test_strict_counts_warnings(healthy: Computer) -> None:
    healthy.turn(lambda house: house.knobs.unhealthy.append("docker"))
    lax = healthy.ha_ssh("doctor", "--json")
    warned = [finding["id"] for finding in lax.report["findings"] if finding["verdict"] == "warn"]
    assert warned
    assert lax.code == 0, lax
    assert healthy.ha_ssh("doctor", "--strict", "--json").code == 1


@pytest.mark.parametrize("scene", ["no-private-key", "unfinished-run"])
def test_what_is_wrong_beside_the_access_is_said_and_strict_counts_it(computer: Computer, scene: str) -> None:
    lax = computer.ha_ssh("doctor", "--demo", "--scene", scene)
    assert lax.code == 0, lax
    assert "All is well" not in lax.out
    assert "SSH access works; 1 thing is wrong beside it" in lax.out
    assert computer.ha_ssh("doctor", "--demo", "--scene", scene, "--strict", "--json").code == 1


def test_the_list_names_every_check_in_80_columns(computer: Computer) -> None:
    done = computer.ha_ssh("doctor", "--list")
    assert done.code == 0
    assert {line.split()[0] for line in done.out.splitlines() if line.startswith("  ") and line[2] != " "} == IDS
    assert max(map(len, done.out.splitlines())) <= 80
    assert {row["id"] for row in computer.ha_ssh("doctor", "--list", "--json").report["checks"]} == IDS


def test_machines_read_the_evidence_and_the_known_failure(healthy: Computer) -> None:
    (healthy.ssh / "id_ha_ssh_home").chmod(0o644)
    done = healthy.ha_ssh("doctor", "--json-lines")
    [found] = [event for event in done.events if event.get("event") == "finding" and event["id"] == "key-file"]
    assert found["failure"] == "key-mode"
    assert {finding["id"] for finding in done.events[-1]["findings"]} == IDS
    assert all(isinstance(finding["evidence"], list) for finding in done.events[-1]["findings"])


def test_scenes_name_their_finding_and_failure(computer: Computer) -> None:
    scenes = computer.ha_ssh("demo", "--list", "--json").report["scenes"]
    by_name = {scene["name"]: scene for scene in scenes}
    assert len(by_name) == len(scenes)
    assert by_name["key-crlf"]["finding"] == "key-file"
    assert by_name["key-crlf"]["failure"] == "key-crlf"
    assert by_name["healthy"]["finding"] is None


def test_all_evidence_is_there_on_request(healthy: Computer) -> None:
    brief, whole = healthy.ha_ssh("doctor"), healthy.ha_ssh("doctor", "--verbose")
    assert (brief.code, whole.code) == (0, 0)
    assert "[key-file]" not in brief.out
    assert "[key-file]" in whole.out
    assert max(len(line) for line in whole.out.splitlines() if "/" not in line) <= 80


def at_terminal(computer: Computer, *arguments: str) -> PtyScreen:
    return PtyScreen("-m", "ha_ssh", *arguments, env=computer.environment() | {"NO_COLOR": "1"}, rows=60)


def test_the_passphrase_of_the_key_is_asked_for_at_a_terminal(computer: Computer, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("three word phrase\n")
    done = computer.ha_ssh("setup", "--url", computer.running.url, "--yes", "--passphrase-file", str(secret), "--json")
    assert done.code == 0, done
    with at_terminal(computer, "doctor") as screen:
        screen.until("The passphrase of")
        screen.type("wrong\r")
        screen.until("does not open it")
        screen.until("The passphrase of", times=2)
        screen.type("three word phrase\r")
        screen.until("All is well")
        assert screen.end() == 0
        assert b"three word phrase" not in screen.raw
    with at_terminal(computer, "doctor") as screen:
        screen.until("The passphrase of")
        screen.type("\r")
        screen.until("could not look")
        assert screen.end() == 1


def test_at_a_terminal_one_may_stay_outside(healthy: Computer) -> None:
    healthy.token = None
    with at_terminal(healthy, "doctor") as screen:
        screen.until("How do you want to sign in?")
        screen.until("only look from outside")
        screen.type("4\r")
        screen.until("but nobody is signed in there")
        assert screen.end() == 1


# ------------------------------------------------------------------------------------------------ limited, and not misled


def withdraw_our_key(computer: Computer) -> None:
    def withdraw(house: House) -> None:
        house.save(TERMINAL, {"options": house.app(TERMINAL).options | {"authorized_keys": [house.keys.make("ed25519").public]}})
        house.restart_now(TERMINAL)

    computer.turn(withdraw)


@pytest.mark.parametrize("flags", [("--only", "login-works"), ("--skip", "key-authorised")], ids=" ".join)
def test_a_root_that_is_left_out_is_still_the_root(healthy: Computer, flags: tuple[str, ...]) -> None:
    withdraw_our_key(healthy)
    done = healthy.ha_ssh("doctor", *flags, "--json")
    [login] = [one for one in done.report["findings"] if one["id"] == "login-works"]
    assert done.code == 1
    assert (login["because"], login["left_out"]["id"]) == ("key-authorised", "key-authorised")
    assert login["fix"] is None
    assert "key-authorised" not in [one["id"] for one in done.report["findings"]]
    shown = healthy.ha_ssh("doctor", *flags)
    assert "because: your key is not authorised in the app's settings [key-authorised]" in " ".join(shown.out.split())
    assert "which was left out" in " ".join(shown.out.split())
    assert "the key is in the settings" not in shown.out
    assert "1 wrong" in shown.out


def test_what_is_left_out_is_left_as_it_is(healthy: Computer) -> None:
    withdraw_our_key(healthy)
    before = healthy.snapshot()
    done = healthy.ha_ssh("doctor", "--fix", "--only", "login-works", "--yes", "--no-input", "--json")
    assert (done.code, done.report["changed"]) == (1, False), done
    assert healthy.snapshot() == before


def test_a_left_out_root_is_on_the_page(healthy: Computer, tmp_path: Path) -> None:
    withdraw_our_key(healthy)
    for name, mark in (("r.md", "because: your key"), ("r.html", "<dt>because</dt><dd>your key")):
        page = tmp_path / name
        healthy.ha_ssh("doctor", "--only", "login-works", "--report", str(page), "--json")
        assert mark in page.read_text("utf-8")
