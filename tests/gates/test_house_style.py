"""What the house style asks for and no linter knows."""

from __future__ import annotations

import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("src", "tests", "tools", "benchmarks", "examples")


def comments() -> Iterator[tuple[str, str]]:
    """Every comment of the project's Python, with where it stands."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            with path.open("rb") as file:
                for token in tokenize.tokenize(file.readline):
                    if token.type == tokenize.COMMENT:
                        yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string


def test_every_noqa_and_type_ignore_has_its_reason() -> None:
    bare = re.compile(r"#\s*noqa(?!: [A-Z0-9, ]+ - \S)|#\s*type:\s*ignore(?!\[[a-z-, ]+\]\s*# \S)")
    assert "\n".join(f"{where}: {comment}" for where, comment in comments() if bare.search(comment)) == ""


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert "\n".join(f"{where}: {comment}" for where, comment in comments() if later.search(comment)) == ""
