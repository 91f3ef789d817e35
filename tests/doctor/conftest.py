"""A computer from which a house was set up, one for all tests of a file that change nothing, and one of its own for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from computer import Computer

from ha_ssh.sim.running import serve_in_thread
from servers import new_house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    """A computer on which nothing is set up, and a house in which nothing is."""
    with serve_in_thread(new_house) as running:
        yield Computer(running, tmp_path)


@pytest.fixture
def healthy(computer: Computer) -> Computer:
    """A computer from which the house was set up."""
    done = computer.setup()
    assert done.code == 0, done
    return computer
