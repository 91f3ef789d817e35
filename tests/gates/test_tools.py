"""The tools that make environments, install programs, and draw: what they decide, without doing it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import environment
import picture
import pytest
import system

if TYPE_CHECKING:
    from pathlib import Path


def test_every_program_that_is_needed_has_a_package_with_every_manager() -> None:
    programs = {program for needed in system.NEEDED.values() for program in needed}
    for manager in system.MANAGERS:
        assert set(system.PACKAGES[manager]) <= programs
        for program in programs:
            assert system.to_run(manager, [program])[-1][-1]


def test_two_programs_of_one_package_install_it_once() -> None:
    assert system.to_run("apt-get", ["ssh", "ssh-keygen"])[-1][-2:] == ("--no-install-recommends", "openssh-client")


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "ELSEWHERE", str(tmp_path))
    assert system.lacking("test") == list(system.NEEDED["test"])
    for name in ("ssh", "google-chrome"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert system.lacking("demo") == []
    assert "chromium" not in system.lacking("real")


def test_without_a_package_manager_the_message_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "ELSEWHERE", str(tmp_path))
    assert system.main("demo") == 1
    assert capsys.readouterr().err.startswith("Missing: ssh. ")


def test_a_plain_user_is_told_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "ELSEWHERE", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert system.main("demo") == 1
    assert "sudo apt-get" in (told := capsys.readouterr().err)
    assert told.rstrip().endswith("openssh-client")


def test_an_environment_is_made_anew_only_when_what_it_was_made_of_changes() -> None:
    core = environment.ENVIRONMENTS["core"]
    assert environment.fingerprint(core, "3.11") == environment.fingerprint(core, "3.11")
    assert environment.fingerprint(core, "3.11") != environment.fingerprint(core, "3.12")
    assert environment.fingerprint(environment.ENVIRONMENTS["dev"], "3.11") != environment.fingerprint(core, "3.11")


def test_a_python_is_found_that_fits() -> None:
    found = environment.find_python((3, 99))
    assert found is not None
    assert environment.ask(found[0]) == found[1]
    assert environment.find_python((3, 0)) is None


def test_a_terminal_session_becomes_a_picture() -> None:
    script = "print('\\x1b[1mbold\\x1b[0m  \\x1b[32m<green>\\x1b[0m done (12.5 s)'); print(input('name? '))"
    screen = picture.film([sys.executable, "-c", script], environment=os.environ, answers=[("name? ", "Ann\n")])
    drawn = picture.svg(screen, "a title & more")
    assert '<tspan x="14.0" textLength="33.6" font-weight="bold">bold</tspan>' in drawn
    assert f'fill="{picture.COLOURS["green"]}">&lt;green&gt;</tspan>' in drawn
    assert ">done</tspan>" in drawn
    assert ">Ann</tspan>" in drawn
    assert "a title &amp; more" in drawn


def test_a_session_that_fails_is_told_with_its_screen() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3\n.*last words"):
        picture.film([sys.executable, "-c", "print('last words'); raise SystemExit(3)"], environment=os.environ)


def test_what_the_tests_call_is_here_so_that_none_is_skipped_in_silence() -> None:
    assert system.lacking("test") == []
