"""What all tests share: a house that runs on loopback, keys, and a profile for the real `ssh`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from servers import Key, Profile, new_house

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ha_ssh.sim.running import Running

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts its background jobs deaf to Ctrl-C, and every program that the tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest_asyncio.fixture
async def running_house() -> AsyncIterator[Running]:
    """A house in which nothing is set up, behind real servers in the loop of the test."""
    from ha_ssh.sim.running import serve

    async with serve(new_house()) as running:
        yield running


@pytest.fixture
def key(tmp_path: Path) -> Key:
    """A key pair."""
    return Key.make(tmp_path / "id_test")


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """Files for the real `ssh`."""
    return Profile(tmp_path)
