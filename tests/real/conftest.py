"""What the tests against the real Home Assistant share: one running Core with its owner signed in, and a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from ha_ssh.sim.house import House
from ha_ssh.sim.running import Running, serve
from real.browser import Page, chromium
from real.core import RealCore, SignedIn, real_core

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
PASSWORD = "a password of the tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and run them all in the loop that the running Core belongs to."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house() -> AsyncIterator[Running]:
    """A simulated house, of which the Supervisor and the SSH ports are used: its own Core stands aside."""
    async with serve(House()) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def core(house: Running, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealCore]:
    """The real Core in front of it."""
    async with real_core(tmp_path_factory.mktemp("core") / "config", house) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def owner(core: RealCore) -> SignedIn:
    """The first user, an administrator."""
    return await core.onboard(name="Ann", username="ann", password=PASSWORD)


@pytest_asyncio.fixture(loop_scope="session")
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A browser of its own."""
    async with chromium(tmp_path / "profile") as running:
        yield running
