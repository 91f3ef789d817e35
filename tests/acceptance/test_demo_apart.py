"""A demo and a real house are never mixed up, whatever the environment says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from computer import Computer


def test_a_demo_never_touches_the_house_that_the_environment_names(computer: Computer) -> None:
    before = computer.snapshot(), computer.files(but=())
    env = {"HA_SSH_URL": computer.running.url, "HA_SSH_TOKEN": computer.token or "", "HA_SSH_HOUSE": "home"}
    done = computer.ha_ssh("setup", "--demo", "--yes", "--no-passphrase", "--json", env=env)
    assert (done.code, done.report["changed"]) == (0, True), done
    assert done.report["house"]["url"] != computer.running.url
    assert (computer.snapshot(), computer.files(but=())) == before


@pytest.mark.parametrize("flag", ["--url", "--ssh-host", "--token-file"])
def test_a_demo_refuses_flags_of_another_house(computer: Computer, flag: str) -> None:
    token = computer.folder / "a-token"
    token.write_text(f"{computer.token}\n")
    value = {"--url": computer.running.url, "--ssh-host": computer.running.host, "--token-file": str(token)}[flag]
    before = computer.snapshot()
    done = computer.ha_ssh("setup", "--demo", flag, value, "--yes", "--json")
    assert (done.code, done.error["code"]) == (2, "demo-has-its-own-house"), done
    assert flag in done.error["message"]
    assert computer.snapshot() == before


def test_a_scene_without_a_demo_is_refused_before_the_real_house_is_touched(computer: Computer) -> None:
    before = computer.snapshot()
    done = computer.setup("--scene", "healthy")
    assert (done.code, done.error["code"]) == (2, "scene-without-demo"), done
    assert computer.snapshot() == before


def test_the_same_run_names_the_file_of_the_token(computer: Computer) -> None:
    token = computer.folder / "a-token"
    token.write_text(f"{computer.token}\n")
    done = computer.setup("--token-file", str(token), env={"HA_SSH_TOKEN": ""})
    assert done.code == 0, done
    assert f"--token-file {token}" in done.report["same_run"]
