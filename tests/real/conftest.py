"""What the tests against the real Home Assistant share: one running Core with its owner signed in, and a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from real.browser import Page, chromium
from real.core import RealCore, SignedIn, real_core
from real.recorded_supervisor import RecordedSupervisor, recorded_supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
RECORDED = HERE.parent / "recorded"
PASSWORD = "a password of the tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and run them all in the loop that the running Core belongs to."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def supervisor() -> AsyncIterator[RecordedSupervisor]:
    """A Supervisor that answers as a real one was once recorded."""
    async with recorded_supervisor(RECORDED) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def core(supervisor: RecordedSupervisor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealCore]:
    """The real Core in front of it."""
    folder = tmp_path_factory.mktemp("core") / "config"
    async with real_core(folder, supervisor=supervisor.address, token=supervisor.token) as running:
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
