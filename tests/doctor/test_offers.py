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
