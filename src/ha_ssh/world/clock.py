"""The real clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Time as it passes on this computer."""

    def now(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def date(self) -> str:
        """Return the wall clock in ISO 8601, UTC, to the second."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
