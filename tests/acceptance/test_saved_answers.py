"""Answers that are to be saved: what cannot be written is refused before the first change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from computer import Computer


@pytest.mark.parametrize(("where", "why"), [("", "it is a folder"), ("nowhere/answers.yaml", "there is no folder")])
def test_a_file_that_cannot_be_is_refused_before_the_first_change(computer: Computer, where: str, why: str) -> None:
    path = computer.folder / where
    before = computer.snapshot(), computer.files(but=("state/",))
    done = computer.setup("--save-answers", str(path))
    assert (done.code, done.error["code"]) == (2, "unwritable-save-answers"), done
    assert why in done.error["message"]
    assert (computer.snapshot(), computer.files(but=("state/",))) == before
    assert not (computer.folder / "nowhere").exists()
