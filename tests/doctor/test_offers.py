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
