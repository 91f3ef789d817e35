"""The way to the Supervisor through an SSH login of our own: made when first asked, anew when it broke off, to a known host."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from ha_ssh.core.errors import HaSshError, Unreachable
from ha_ssh.core.model import DoorState, SshTrouble
from ha_ssh.world.ha.routes import Rest, SshRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from ha_ssh.core.model import Session

_CODES = {
    DoorState.REFUSED: "connection-refused",
    DoorState.TIMEOUT: "timed-out",
    DoorState.UNREACHABLE: "no-route",
    DoorState.UNRESOLVED: "not-resolvable",
    DoorState.RESET: "dropped",
    DoorState.LOST: "dropped",
}
"""What a connection that comes to nothing is called everywhere; all else does not pass by itself."""


class RidingRoute(Rest):
    """Through a login to the server that owns one of the `pinned` host keys; nothing is sent to any other."""

    channel = "ssh"

    def __init__(
        self,
        open_session: Callable[[], AbstractAsyncContextManager[Session]],
        pinned: frozenset[str],
        *,
        url: str = "http://supervisor",
        poll_every: float = 2.0,
    ) -> None:
        super().__init__(url, poll_every)
        self._open = open_session
        self._pinned = pinned
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._way: SshRoute | None = None

    async def close(self) -> None:
        """Log out."""
        self._way = None
        await self._stack.aclose()

    async def ask(self, method: str, endpoint: str, data: Mapping[str, Any] | None, limit: float) -> tuple[int, str]:
        """The status and the body of an answer; a GET whose login has broken off is asked once more by a new one."""
        while True:
            async with self._opening:
                fresh = self._way is None
                way = self._way = self._way or await self._logged_in()
            try:
                return await way.ask(method, endpoint, data, limit)
            except Unreachable as lost:
                if lost.code != "dropped":
                    raise
                async with self._opening:
                    if self._way is way:
                        await self.close()
                if fresh or method != "GET":
                    raise

    async def _logged_in(self) -> SshRoute:
        """Log in; raises `HaSshError` where that fails, or where another server answers than the one that was pinned."""
        try:
            session = await self._stack.enter_async_context(self._open())
        except SshTrouble as trouble:
            code = _CODES.get(trouble.state)
            if code is None:
                raise HaSshError("no-ssh-login", f"SSH does not let us in: {trouble.message}") from trouble
            raise Unreachable(code, f"SSH does not answer: {trouble.message}") from trouble
        if session.host_key not in self._pinned:
            await self._stack.aclose()
            raise HaSshError("unknown-server", "the SSH server is not the one whose host keys this computer knows")
        return SshRoute(session, url=self.url)
