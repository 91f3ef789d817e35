"""The ways to a house that do not lead through Core: from inside the house itself, and through an SSH login."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from ha_ssh.core import knownhosts
from ha_ssh.core.errors import HaSshError
from ha_ssh.core.secret import Secret
from ha_ssh.world import files, ssh
from ha_ssh.world.ha.routes import InsideRoute
from ha_ssh.world.home import RealHome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ha_ssh.core.model import Clock, Flavour, Home, Places, SecretRef
    from ha_ssh.world.vault import Vault

_PING_SECONDS = 2.0
_APP_OPTIONS = "/data/options.json"
"""Every app's container has it, readable or not."""


class Detours:
    """Where this computer stands, by its environment, and the homes that can be reached from there."""

    def __init__(
        self,
        places: Places,
        vault: Vault,
        clock: Clock,
        *,
        opened: Callable[[RealHome], object],
        environment: Mapping[str, str] = os.environ,
        hostname: Callable[[], str] = socket.gethostname,
        app_options: str = _APP_OPTIONS,
    ) -> None:
        self._places = places
        self._vault = vault
        self._clock = clock
        self._opened = opened
        self._environment = environment
        self._hostname = hostname
        self._app_options = app_options
        self._answers: bool | None = None

    async def supervisor(self) -> str | None:
        """The Supervisor's address, where this computer is inside the house: it has a token, and the Supervisor answers."""
        if "SUPERVISOR_TOKEN" not in self._environment:
            return None
        if self._answers is None:
            self._answers = await self._pinged()
        return self._address if self._answers else None

    async def _pinged(self) -> bool:
        route = self._route()
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await route.get("/supervisor/ping")
        except (HaSshError, TimeoutError):
            return False
        finally:
            await route.close()
        return True

    async def app(self, flavours: tuple[Flavour, ...]) -> str | None:
        """The slug of the app in whose container this very process runs, as far as can be seen."""
        if await self.supervisor():
            route = self._route()
            try:
                slug = (await route.get("/addons/self/info") or {}).get("slug")
            except HaSshError:
                slug = None
            finally:
                await route.close()
            if slug:
                return str(slug)
        if "SSH_CONNECTION" not in self._environment or not files.read(self._app_options).exists:
            return None
        # A container of its own is named after its app; the other SSH app shares the host's network, and so its name.
        named = next((flavour.slug for flavour in flavours if flavour.slug.replace("_", "-") == self._hostname()), None)
        return named or flavours[-1].slug

    def inside(self) -> Home:
        """The house that this computer is inside of."""
        return self._home(RealHome(self._route(), self._places, self._vault, self._clock))

    def through_ssh(
        self, host: str, port: int, user: str, identity: str, passphrase: SecretRef | None, host_key_alias: str
    ) -> Home:
        """The house through an SSH login, which is made when first asked; only to a server whose host keys are known here."""
        from ha_ssh.world.ha.riding import RidingRoute

        text = files.read(self._places.known_hosts).text or ""
        names = (host_key_alias, knownhosts.lookup_name(host, port))
        pinned = frozenset(line.public for name in names for line in knownhosts.keys_for(text, name))
        secret = self._vault.recall(passphrase) if passphrase else None
        path = str(Path(identity).expanduser())
        route = RidingRoute(lambda: ssh.open_session(host, port, user, path, secret), pinned)
        return self._home(RealHome(route, self._places, self._vault, self._clock))

    @property
    def _address(self) -> str:
        """Where the Supervisor is: at its own name, or where `SUPERVISOR` says, as Core itself reads it."""
        return f"http://{self._environment.get('SUPERVISOR') or 'supervisor'}"

    def _route(self) -> InsideRoute:
        return InsideRoute(Secret(self._environment["SUPERVISOR_TOKEN"]), url=self._address)

    def _home(self, home: RealHome) -> Home:
        self._opened(home)
        return home
