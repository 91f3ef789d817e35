"""A house that runs beside the processes of the tests, and a computer from which nobody is signed in to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from acceptance.computer import Computer
from ha_ssh.sim.running import serve_in_thread
from servers import new_house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    """A computer that knows no house and no token."""
    with serve_in_thread(new_house) as running:
        yield Computer(running, tmp_path, token="")
