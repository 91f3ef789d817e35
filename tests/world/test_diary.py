"""The log of a run: private, without secrets, never in the way."""

from __future__ import annotations

import logging
import stat
from typing import TYPE_CHECKING

from ha_ssh.world.diary import DIARY, kept

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_private_and_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ha-ssh.log"
    token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhYmNkZWYwMTIzNDU2Nzg5In0.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWc"
    with kept(str(path)):
        DIARY.info("POST %s as %s", "/addons/core_ssh/options", token)
    text = path.read_text()
    assert "POST /addons/core_ssh/options" in text
    assert token not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_is_heard_outside_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "ha-ssh.log"
    with kept(str(path)):
        DIARY.info("inside")
    DIARY.info("outside")
    assert "outside" not in path.read_text()


def test_one_that_grew_long_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "ha-ssh.log"
    path.write_text("x" * 1_000_001)
    with kept(str(path)):
        DIARY.info("new")
    assert path.stat().st_size < 100
    assert (tmp_path / "ha-ssh.log.1").stat().st_size == 1_000_001


def test_a_folder_that_cannot_be_written_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, no folder")
    with kept(str(tmp_path / "state" / "ha-ssh.log")):
        DIARY.info("heard by nobody")
    assert (tmp_path / "state").read_text() == "a file, no folder"


def whom_logging_closes() -> int:
    """How many handlers `logging` flushes and closes at the exit."""
    return len(vars(logging)["_handlerList"])


def test_one_that_could_not_be_begun_leaves_nothing_for_the_end(tmp_path: Path) -> None:
    path = tmp_path / "ha-ssh.log"
    path.mkdir()
    before = whom_logging_closes()
    with kept(str(path)):
        DIARY.info("heard by nobody")
    assert whom_logging_closes() == before
