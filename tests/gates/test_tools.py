"""The tools that make environments, install or fetch programs, and draw: what they decide, without doing it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import environment
import lived
import openssh
import picture
import pytest
import system


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


# -------------------------------------------------------------------------------------------------- an sshd that is new enough


def sshd_of(folder: Path, version: str) -> None:
    """Write a program that calls itself an sshd of a version."""
    folder.mkdir(parents=True)
    (folder / "sshd").write_text(f"#!/bin/sh\necho '{version}, OpenSSL 3.0' >&2\nexit 1\n")
    (folder / "sshd").chmod(0o755)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a server would be unpacked; nothing is there."""
    monkeypatch.setattr(openssh, "FOLDER", tmp_path / "ours")
    return tmp_path / "ours"


def test_the_first_sshd_that_is_new_enough_is_used(ours: Path, tmp_path: Path) -> None:
    sshd_of(tmp_path / "a", "OpenSSH_9.7p1 Debian-1")
    assert openssh.find(f"{tmp_path}:{tmp_path}/a") is None
    sshd_of(tmp_path / "b", "OpenSSH_9.8p1")
    sshd_of(tmp_path / "c", "OpenSSH_10.0p2")
    assert openssh.find(f"{tmp_path}/a:{tmp_path}/b:{tmp_path}/c") == openssh.Server(tmp_path / "b/sshd", (9, 8))
    assert not ours.exists()


def test_an_unpacked_sshd_counts_once_it_is_whole(ours: Path) -> None:
    sshd_of(ours / "root/usr/sbin", "OpenSSH_10.0p2")
    assert openssh.find("") is None
    beside = ours / "root/usr/lib/openssh"
    beside.mkdir(parents=True)
    for name in ("sshd-session", "sshd-auth"):
        (beside / name).touch()
    found = openssh.find("")
    assert found is not None
    assert found.settings == (f'SshdSessionPath "{beside}/sshd-session"', f'SshdAuthPath "{beside}/sshd-auth"')


FIELDS = """\
# made by hand
Types: deb deb-src
URIs: http://mirror.test/debian
# Suites: old
Suites: old old-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://mirror.test/security
Suites: old-security
Components: main
"""
LINES = """\
# deb http://commented.test/debian old main
deb cdrom:[Debian 12 - old]/ old main
deb-src http://mirror.test/debian old main
deb http://mirror.test/security old-security main
deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.test/debian old main contrib
"""


@pytest.mark.parametrize(
    ("sources", "signed_by"),
    [
        (FIELDS, "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc"),
        (LINES, "/keys/a.gpg"),
        ("deb http://mirror.test/debian old main", None),
    ],
)
def test_the_backports_are_fetched_from_where_the_system_gets_its_release(sources: str, signed_by: str | None) -> None:
    found = openssh.backports(sources, "old")
    assert found is not None
    (fields,) = (each for each in openssh.entries(found) if each["suites"])
    assert (fields["types"], fields["uris"], fields["suites"]) == ("deb", "http://mirror.test/debian", "old-backports")
    assert fields.get("signed-by") == signed_by


def test_a_source_that_is_off_or_of_another_release_is_none() -> None:
    assert openssh.backports(FIELDS, "new") is None
    assert openssh.backports(FIELDS, "") is None
    assert openssh.backports(FIELDS.replace("Types: deb deb-src", "Types: deb-src"), "old") is None
    assert openssh.backports(FIELDS.replace("Types: deb deb-src", "Enabled: no\nTypes: deb"), "old") is None


@pytest.mark.usefixtures("ours")
def test_a_system_that_cannot_have_a_new_sshd_is_told_in_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sshd_of(tmp_path / "bin", "OpenSSH_9.2p1")
    for name in (*system.NEEDED["test"], "apt-get", "dpkg"):
        (tmp_path / "bin" / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(system, "ELSEWHERE", str(tmp_path))
    monkeypatch.setattr(openssh, "SOURCES", tmp_path)
    assert system.main("test") == 1
    told = capsys.readouterr().err
    assert told.startswith("Missing: an `sshd` of OpenSSH 9.8 or newer on the PATH; no source in ")
    assert told.count("\n") == 1
    (tmp_path / "bin/apt-get").unlink()
    assert system.main("test") == 1
    assert "only with apt" in capsys.readouterr().err
    assert system.main("demo") == 0


def test_a_program_that_fails_is_told_by_its_own_words(ours: Path) -> None:
    ours.mkdir()
    with pytest.raises(openssh.CannotHave, match=r"failed: E: no such host$"):
        openssh.run("sh", "-c", "echo 'W: hm' >&2; echo 'E: no such host.' >&2; echo 'E: gave up' >&2; exit 100")


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
    assert openssh.find(system.folders()) is not None


@pytest.mark.parametrize("scene", ["key-missing", "host-key-pinned"])
def test_what_the_page_of_checks_says_is_what_the_demo_says(scene: str) -> None:
    broken = next(one for one in lived.BREAKABLE if one.id == scene)
    page, demo = asyncio.run(lived._verdict(broken)), lived.shown(broken)
    assert (page.level, page.failure) == (demo.level, demo.failure)
    assert page.fix is not None
    assert demo.fix is not None
    assert page.fix.consent == demo.fix.consent


def test_what_stands_between_here_and_the_house_is_said_in_the_words_of_the_wire() -> None:
    told = lived.shown(next(one for one in lived.BREAKABLE if one.id == "tls-verify"))
    assert "The TLS certificate at https://192.168.1.20:8123 is signed by itself" in told.says
    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text("utf-8")
    assert told.says in page
    assert "the way to Home Assistant: " not in page
