"""Changes that are a matter of taste or trust: offered, asked for one by one, and never made by the plan's one yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from computer import Computer, Ended

    from ha_ssh.sim.house import House

ADVANCED = "a0d7b954_ssh"


def share(house: House) -> None:
    """Let all logins share one session, as somebody may like it."""
    house.app(ADVANCED).options["share_sessions"] = True
    house.restart_now(ADVANCED)


@pytest.fixture
def sharing(computer: Computer) -> Computer:
    done = computer.setup("--app", "advanced")
    assert done.code == 0, done
    computer.turn(share)
    return computer


def own_session(done: Ended) -> dict[str, Any]:
    return next(one for one in done.report["findings"] if one["id"] == "own-session")


def shared(computer: Computer) -> bool:
    return bool(computer.snapshot()["apps"][ADVANCED]["options"]["share_sessions"])


def test_the_one_yes_does_not_cover_an_offer(sharing: Computer) -> None:
    done = sharing.ha_ssh("doctor", "--fix", "--yes", "--no-input", "--json")
    assert (done.code, done.report["changed"]) == (0, False), done
    assert own_session(done)["fix"]["consent"] == "ask"
    assert shared(sharing)


def test_a_script_takes_an_offer_by_its_flag(sharing: Computer) -> None:
    done = sharing.ha_ssh("doctor", "--fix", "--also", "own-session", "--yes", "--no-input", "--json")
    assert (done.code, done.report["changed"]) == (0, True), done
    assert own_session(done)["verdict"] == "ok"
    assert not shared(sharing)


def test_an_offer_of_no_check_is_refused(sharing: Computer) -> None:
    done = sharing.ha_ssh("doctor", "--fix", "--also", "nothing", "--yes", "--json")
    assert done.code == 2
    assert "--also" in done.report["error"]["message"]


def fall_behind(computer: Computer, version: str) -> None:
    computer.turn(lambda house: setattr(house.app(ADVANCED), "version", version))


def about_version(done: Ended) -> dict[str, Any] | None:
    return next((one for one in done.report["findings"] if one["id"] == "app-version"), None)


def test_an_update_is_offered_and_made_where_it_is_wanted(computer: Computer) -> None:
    assert computer.setup("--app", "advanced").code == 0
    fall_behind(computer, "22.0.0")
    done = computer.ha_ssh("doctor", "--fix", "--yes", "--json")
    assert (done.code, done.report["changed"]) == (0, False), done
    finding = about_version(done)
    assert finding is not None
    assert (finding["verdict"], finding["fix"]["consent"]) == ("note", "ask")
    assert "`ha-ssh doctor --fix --also app-version`" in finding["fix"]["instructions"][0]
    taken = computer.ha_ssh("doctor", "--fix", "--also", "app-version", "--yes", "--json")
    assert (taken.code, [step["id"] for step in taken.report["steps"]]) == (0, ["update-app"]), taken


@pytest.mark.parametrize(("version", "way"), [("22.0.0", "--also"), ("17.0.0", "--only")])
def test_setup_names_an_app_that_is_not_up_to_date(computer: Computer, version: str, way: str) -> None:
    assert about_version(computer.setup("--app", "advanced")) is None
    fall_behind(computer, version)
    if way == "--only":  # a role from before the `ha` command: a flaw that is known
        computer.turn(lambda house: setattr(house.app(ADVANCED), "role", "default"))
    again = computer.setup("--app", "advanced")
    assert (again.code, again.report["changed"]) == (0, False), again
    assert about_version(again) is not None
    assert f"`ha-ssh doctor --fix {way} app-version`" in " ".join(again.err.split())


# ------------------------------------------------------------------------------------------------------ another wish

TERMINAL = "core_ssh"


def verdicts(done: Ended) -> dict[str, str]:
    return {one["id"]: one["verdict"] for one in done.report["findings"]}


def fix(computer: Computer, *also: str) -> Ended:
    flags = [part for name in also for part in ("--also", name)]
    return computer.ha_ssh("doctor", "--fix", *flags, "--yes", "--no-input", "--json")


def let_another_have_the_port(computer: Computer) -> None:
    def take(house: House) -> None:
        port = house.app(TERMINAL).port
        assert port is not None
        house.stop_now(TERMINAL)
        house.knobs.port_taken.add(port)

    computer.turn(take)


def test_a_wanted_port_that_another_has_is_left_only_where_somebody_says_so(computer: Computer) -> None:
    assert computer.setup("--port", "2222").code == 0
    let_another_have_the_port(computer)
    left = fix(computer)
    assert (left.code, left.report["changed"]) == (1, False), left
    offer = next(one for one in left.report["findings"] if one["id"] == "port-free")["fix"]
    assert offer["offered"], offer
    assert "`ha-ssh doctor --fix --also port-free`" in offer["instructions"][0]
    moved = fix(computer, "port-free")
    assert (moved.code, moved.report["ssh"]["port"]) == (0, 22022), moved
    assert "Port 22022" in computer.ssh.joinpath("ha-ssh.d", "home.conf").read_text()
    assert fix(computer).report["changed"] is False, "the new port is the wanted one from now on"


def test_an_undo_takes_the_new_wish_back_too(computer: Computer) -> None:
    assert computer.setup("--port", "2222").code == 0
    let_another_have_the_port(computer)
    before = computer.everything()
    assert fix(computer, "port-free").code == 0
    computer.turn(lambda house: house.stop_now(TERMINAL))
    assert computer.undo().code == 0
    kept = ("state/journal",)
    assert computer.snapshot()["apps"][TERMINAL]["network"] == before[0]["apps"][TERMINAL]["network"]
    assert {name: file for name, file in computer.files(but=kept).items() if name in before[1]} == {
        name: file for name, file in before[1].items() if not name.startswith(kept)
    }


def test_whoever_wants_all_files_logs_in_as_root_from_now_on(computer: Computer) -> None:
    assert computer.setup("--app", "advanced", "--username", "hassio").code == 0
    done = fix(computer, "lands-as-root")
    assert (done.code, done.report["ssh"]["user"]) == (0, "root"), done
    assert verdicts(done)["lands-as-root"] == "ok"
    again = computer.ha_ssh("doctor", "--json")
    assert (again.code, verdicts(again)["login-name"], verdicts(again)["alias-works"]) == (0, "ok", "ok"), again


def test_rsync_is_fetched_where_it_is_wanted(computer: Computer) -> None:
    assert computer.setup().code == 0
    done = fix(computer, "copies-files")
    assert (done.code, verdicts(done)["copies-files"]) == (0, "ok"), done
    assert computer.snapshot()["apps"][TERMINAL]["options"]["apks"] == ["rsync"]


def test_a_house_without_internet_fetches_no_rsync_and_keeps_its_login(computer: Computer) -> None:
    assert computer.setup().code == 0
    computer.turn(lambda house: setattr(house.knobs, "mirrors_down", True))
    before = computer.snapshot()
    done = fix(computer, "copies-files")
    assert (done.code, done.result) == (1, "put_back"), done
    assert computer.snapshot() == before
    assert computer.ha_ssh("doctor", "--json").code == 0


def test_the_protection_mode_ends_by_a_yes_to_just_that_and_comes_back(computer: Computer) -> None:
    assert computer.setup().code == 0

    def ask_for_docker(house: House) -> None:
        house.app(TERMINAL).options["apks"] = ["docker-cli"]
        house.restart_now(TERMINAL)

    computer.turn(ask_for_docker)
    assert fix(computer).report["changed"] is False
    done = fix(computer, "protection-fits")
    assert (done.code, verdicts(done)["protection-fits"]) == (0, "ok"), done
    assert computer.snapshot()["apps"][TERMINAL]["protected"] is False
    told = [line for step in computer.ha_ssh("undo", "--dry-run", "--json").report["steps"] for line in step["preview"]]
    assert "~ Terminal & SSH, protection mode: off -> on" in told
    assert not any("security" in line for line in told), told
    assert computer.undo().code == 0
    assert computer.snapshot()["apps"][TERMINAL]["protected"] is True


def test_the_supervisor_is_updated_where_that_is_wanted(computer: Computer) -> None:
    assert computer.setup().code == 0
    computer.turn(lambda house: setattr(house.knobs, "update_needed", True))
    assert fix(computer).report["changed"] is False
    done = fix(computer, "supervisor-current")
    assert (done.code, [step["id"] for step in done.report["steps"]]) == (0, ["update-supervisor"]), done
    assert verdicts(done)["supervisor-current"] == "ok"


def test_a_house_that_wakes_up_is_waited_for(computer: Computer) -> None:
    """It comes back while the repair waits for it, which it tells."""
    assert computer.setup().code == 0
    computer.turn(lambda house: setattr(house.knobs, "supervisor_state", "freeze"))
    started = computer.start("doctor", "--fix", "--yes", "--no-input")
    started.wait_for(lambda event: event["event"] == "progress" and "Supervisor" in event["what"])
    computer.turn(lambda house: setattr(house.knobs, "supervisor_state", "running"))
    done = started.end()
    assert (done.code, verdicts(done)["supervisor-ready"]) == (0, "ok"), done
