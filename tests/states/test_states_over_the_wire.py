"""Starting states of both apps, by real processes: each is served, or named with the right exit code and nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from servers import ADVANCED, HOST_KEYS, TERMINAL, serve_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from acceptance.computer import Computer, Ended
    from ha_ssh.sim.house import House

WORDS = {TERMINAL: "terminal", ADVANCED: "advanced"}
BOTH = pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])


def verdicts(ended: Ended) -> dict[str, str]:
    return {finding["id"]: finding["verdict"] for finding in ended.report["findings"]}


def assert_well(ended: Ended) -> None:
    assert (ended.code, ended.result) == (0, "ok"), ended
    assert set(verdicts(ended).values()) <= {"ok", "note"}


def assert_refused(computer: Computer, before: Any, ended: Ended, code: int, *words: str) -> None:
    """Held to the contract of bad states: the exit code, the name of what it is, and nothing changed."""
    assert ended.code == code, ended
    for word in words:
        assert word.lower() in ended.said.lower(), ended.said
    assert ended.report["changed"] is False
    assert computer.everything() == before


# --------------------------------------------------------------------------------------------------------- the community app


@pytest.mark.parametrize("name", ["root", "sam"])
def test_the_community_app_from_nothing_to_a_proven_login_and_back(computer: Computer, name: str) -> None:
    house = computer.snapshot()
    first = computer.setup("--app", "advanced", "--username", name)
    assert_well(first)
    assert (first.report["ssh"]["user"], first.report["ssh"]["port"]) == (name, 22)
    assert first.report["ssh"]["proof"]["same_machine"] is True
    again = computer.setup("--app", "advanced", "--username", name)
    assert_well(again)
    assert again.report["changed"] is False
    doctor = computer.ha_ssh("doctor", "--json")
    assert (doctor.code, doctor.result) == (0, "ok"), doctor
    assert verdicts(doctor)["ha-works"] == "ok"
    assert computer.undo().code == 0
    assert computer.snapshot() == house


def test_a_login_name_is_lower_case_as_the_app_has_it(computer: Computer) -> None:
    computer.turn(lambda house: serve_ssh(house, slug=ADVANCED, port=2222, username="Sam", password="hushed"))
    done = computer.setup("--app", "advanced", "--password", "keep")
    assert_well(done)
    assert done.report["ssh"]["user"] == "sam"
    assert computer.snapshot()["apps"][ADVANCED]["options"]["ssh"]["username"] == "Sam"


def test_a_password_beside_keys_stays_where_it_is_to_be_kept(computer: Computer) -> None:
    computer.turn(lambda house: serve_ssh(house, slug=ADVANCED, port=2222, username="root", password="hushed"))
    before = computer.admitted(ADVANCED)
    done = computer.setup("--app", "advanced", "--password", "keep")
    assert_well(done)
    assert before < computer.admitted(ADVANCED)
    assert verdicts(done)["password-refused"] == "note"


def test_a_password_goes_only_after_the_login_by_key_is_proven(computer: Computer) -> None:
    computer.turn(lambda house: serve_ssh(house, slug=ADVANCED, port=2222, username="root", password="hushed"))
    before = computer.everything()
    unsaid = computer.setup("--app", "advanced")
    assert_refused(computer, before, unsaid, 3, "password")
    done = computer.setup("--app", "advanced", "--password", "off")
    assert_well(done)
    assert [step["id"] for step in done.report["steps"]].count("apply-settings") == 2
    assert not any("password" in credential for credential in computer.admitted(ADVANCED))
    assert "hushed" not in done.out + done.err
    assert computer.undo().code == 0
    assert any("password" in credential for credential in computer.admitted(ADVANCED))


# ------------------------------------------------------------------------------------------------------------------ ports


def test_both_apps_with_one_port_are_found_and_explained(computer: Computer) -> None:
    computer.turn(lambda house: serve_ssh(house, slug=TERMINAL, port=22, password="hushed"))
    before = computer.everything()
    wanted = computer.setup("--app", "advanced", "--port", "22")
    assert_refused(computer, before, wanted, 2, "22", "Terminal & SSH", "--port 2222")
    offered = computer.setup("--app", "advanced")
    assert_well(offered)
    assert offered.report["ssh"]["port"] == 2222
    assert computer.snapshot()["apps"][TERMINAL] == before[0]["apps"][TERMINAL]


@BOTH
def test_a_port_of_the_host_itself_is_seen_before_anything_is_changed(computer: Computer, slug: str) -> None:
    computer.turn(lambda house: house.knobs.port_taken.update({22, 2222}))
    before = computer.everything()
    wanted = computer.setup("--app", WORDS[slug], "--port", "2222")
    assert_refused(computer, before, wanted, 2, "2222", "taken", "--port")
    offered = computer.setup("--app", WORDS[slug])
    assert_well(offered)
    assert offered.report["ssh"]["port"] not in {22, 2222}


def test_a_running_app_keeps_its_port_whatever_a_stopped_one_would_like(computer: Computer) -> None:
    computer.turn(lambda house: serve_ssh(house, HOST_KEYS.make("ed25519").public, slug=ADVANCED, port=2222))
    computer.turn(lambda house: house.install_now(TERMINAL))
    computer.turn(lambda house: house.save(TERMINAL, {"network": {"22/tcp": 2222}}))
    done = computer.setup("--app", "advanced")
    assert (done.code, done.report["ssh"]["port"]) == (0, 2222), done
    finding = next(one for one in done.report["findings"] if one["id"] == "port-free")
    assert finding["verdict"] == "warn"
    assert "Terminal & SSH" in finding["says"]
    assert "Advanced SSH & Web Terminal" in finding["says"]
    again = computer.setup("--app", "advanced", "--port", "2222")
    assert (again.code, again.report["changed"]) == (0, False), again


@BOTH
def test_the_doctor_sees_who_has_the_port_of_an_app_that_is_stopped(computer: Computer, slug: str) -> None:
    computer.turn(lambda house: serve_ssh(house, HOST_KEYS.make("ed25519").public, slug=slug, port=2222))
    computer.turn(lambda house: house.stop_now(slug))
    computer.turn(lambda house: house.knobs.port_taken.add(2222))
    doctor = computer.ha_ssh("doctor", "--url", computer.running.url, "--json")
    found = {one["id"]: one for one in doctor.report["findings"]}
    assert found["port-free"]["verdict"] == "wrong", doctor
    assert found["app-running"]["because"] == "port-free"
    fixed = computer.ha_ssh("doctor", "--fix", "--yes", "--url", computer.running.url, "--json")
    assert fixed.report["changed"] is True, fixed
    assert computer.snapshot()["apps"][slug]["state"] == "started"


@BOTH
def test_a_port_that_is_taken_at_the_last_moment_is_named_and_all_is_put_back(computer: Computer, slug: str) -> None:
    computer.turn(lambda house: setattr(house.knobs, "install_seconds", 1.0))
    started = computer.start(*computer.flags("--app", WORDS[slug], "--port", "2222"))
    started.wait_for(lambda event: event.get("id") == "install-app")
    computer.turn(lambda house: house.knobs.port_taken.add(2222))
    failed = started.end()
    assert (failed.code, failed.result) == (1, "put_back"), failed
    assert failed.error["code"] == "port-in-use"
    assert "2222" in failed.said
    assert "--port" in failed.said
    app = computer.snapshot()["apps"][slug]
    kind = computer.house.app(slug).kind
    assert (app["options"], app["network"], app["watchdog"]) == (kind.options, kind.ports, False)
    assert any("Install" in kept for kept in failed.report["kept"])
    assert_well(computer.setup("--app", WORDS[slug], "--port", "2244"))


@pytest.mark.parametrize("said", [(), ("--password", "keep")], ids=["unsaid", "keep"])
def test_people_who_log_in_by_password_are_not_locked_out_unasked(computer: Computer, said: tuple[str, ...]) -> None:
    computer.turn(lambda house: serve_ssh(house, slug=TERMINAL, port=2222, password="hushed"))
    before = computer.everything()
    refused = computer.setup(*said)
    assert_refused(computer, before, refused, 3, "password")
    assert "hushed" not in refused.out + refused.err
    agreed = computer.setup("--password", "keep", "--accept-risk", "password-off")
    assert_well(agreed)
    assert computer.snapshot()["apps"][TERMINAL]["options"]["password"] == "hushed"


# ------------------------------------------------------------------------------------------------------------ run states


def crashed(house: House, slug: str) -> None:
    """Let the app run with settings that it refuses."""
    house.install_now(slug)
    house.save(slug, {"network": {"22/tcp": 2222}})
    house.start_now(slug)
    house._die(slug, house.app(slug).starts)
    assert house.app(slug).state == "error"


def stopped(house: House, slug: str) -> None:
    serve_ssh(house, slug=slug, **({"username": "root"} if slug == ADVANCED else {}))
    house.stop_now(slug)


def without_a_port(house: House, slug: str) -> None:
    serve_ssh(house, house.keys.make("ed25519").public, slug=slug, port=None)


def not_restarted(house: House, slug: str) -> None:
    serve_ssh(house, house.keys.make("ed25519").public, slug=slug, port=2222)
    house.save(slug, {"network": {"22/tcp": 2223}, "boot": "manual"})


def outdated(house: House, slug: str) -> None:
    serve_ssh(house, house.keys.make("ed25519").public, slug=slug, port=2222)
    house.app(slug).version_latest = "99.0.0"


@BOTH
@pytest.mark.parametrize("state", [crashed, stopped, without_a_port, not_restarted, outdated])
def test_every_run_state_leads_to_a_proven_login(computer: Computer, slug: str, state: Callable[[House, str], None]) -> None:
    computer.turn(lambda house: state(house, slug))
    others = computer.admitted(slug)
    version = computer.snapshot()["apps"][slug]["version"]
    done = computer.setup()  # the wizard's choice: the app that is installed
    assert_well(done)
    app = computer.snapshot()["apps"][slug]
    assert (app["state"], app["boot"], app["version"]) == ("started", "auto", version)
    assert others <= computer.admitted(slug)
    again = computer.setup()
    assert (again.code, again.report["changed"]) == (0, False)


# ----------------------------------------------------------------------------------------------------- the house as it is


def test_a_supervisor_that_starts_is_waited_for_and_says_so(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house.knobs, "supervisor_state", "setup"))
    started = computer.start(*computer.flags())
    waiting = started.wait_for(lambda event: event.get("what") == "waiting for the Supervisor")
    assert "starting" in waiting["detail"]
    computer.turn(lambda house: setattr(house.knobs, "supervisor_state", "running"))
    assert_well(started.end())


@BOTH
def test_an_unhealthy_house_is_named_and_nothing_is_made(computer: Computer, slug: str) -> None:
    computer.turn(lambda house: house.knobs.unhealthy.append("docker"))
    before = computer.everything()
    refused = computer.setup("--app", WORDS[slug])
    assert_refused(computer, before, refused, 4, "unhealthy", "docker")


@pytest.mark.parametrize(
    ("knob", "value", "words"),
    [("disk_free", 0.9, ("disk",)), ("offline", True, ("internet",)), ("update_needed", True, ("Supervisor", "updated"))],
)
def test_an_installation_that_is_refused_leaves_nothing(
    computer: Computer, knob: str, value: Any, words: tuple[str, ...]
) -> None:
    computer.turn(lambda house: setattr(house.knobs, knob, value))
    house = computer.snapshot()
    refused = computer.setup()
    assert (refused.code, refused.result, refused.report["changed"]) == (1, "put_back", False), refused
    for word in words:
        assert word.lower() in refused.said.lower()
    assert computer.snapshot() == house
    assert computer.files(but=("state/", "config/")) == {}
    done = computer.turn(lambda house: setattr(house.knobs, knob, {"disk_free": 70.0}.get(knob, False))) or computer.setup()
    assert_well(done)


def test_an_unhealthy_house_with_the_app_installed_is_served(computer: Computer) -> None:
    computer.turn(lambda house: house.install_now(TERMINAL))
    computer.turn(lambda house: house.knobs.unhealthy.append("docker"))
    done = computer.setup()
    assert (done.code, done.result) == (0, "ok"), done
    assert {name for name, verdict in verdicts(done).items() if verdict not in {"ok", "note"}} <= {"supervisor-ready"}


def test_an_old_supervisor_is_served(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house.knobs, "old_supervisor", True))
    house = computer.snapshot()
    assert_well(computer.setup("--app", "advanced"))
    assert computer.undo().code == 0
    assert computer.snapshot() == house
    assert_well(computer.setup("--app", "terminal"))


@BOTH
def test_a_coming_release_that_says_apps_in_its_paths_is_served(computer: Computer, slug: str) -> None:
    computer.turn(lambda house: setattr(house.knobs, "apps_paths", True))
    house = computer.snapshot()
    assert_well(computer.setup("--app", WORDS[slug]))
    doctor = computer.ha_ssh("doctor", "--json")
    assert (doctor.code, doctor.result) == (0, "ok"), doctor
    assert computer.undo().code == 0
    assert computer.snapshot() == house
