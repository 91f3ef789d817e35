"""The Supervisor's own REST, as containers and Core see it at `http://supervisor`: JSON in an envelope, logs as text."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ha_ssh.sim.house import Dropped, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.sim.house import House

Body = dict[str, Any] | str
"""An envelope, or a text that is none (a log)."""

_LOGS = re.compile(r"(?:/addons)?/(?P<slug>(?<=addons/)[^/]+|supervisor)/logs(?:/.*)?")
_OTHER_LOGS = re.compile(r"/(?:core|homeassistant|host|audio|dns|multicast|observer)/logs(?:/.*)?")
_TEXTS = re.compile(r"/addons/[^/]+/(?:changelog|documentation)")
CORE_RESTART_SECONDS = 2.0
"""How long Core is away when it restarts."""

_STATS = {
    "cpu_percent": 1.2,
    "memory_usage": 268435456,
    "memory_limit": 8253132800,
    "memory_percent": 3.2,
    "network_rx": 1024,
    "network_tx": 1024,
    "blk_read": 0,
    "blk_write": 0,
}

# What Core asks for on its own account when it starts and while it runs; no laptop ever does.
_FOR_CORE: dict[tuple[str, str], Callable[[House], Any]] = {
    ("POST", "/homeassistant/options"): lambda _house: {},
    ("POST", "/core/options"): lambda _house: {},
    ("POST", "/supervisor/options"): lambda _house: {},
    ("POST", "/core/restart"): lambda house: _restart_core(house),
    ("POST", "/homeassistant/restart"): lambda house: _restart_core(house),
    ("POST", "/refresh_updates"): lambda _house: {},
    ("POST", "/ingress/session"): lambda _house: {"session": secrets.token_hex(64)},
    ("POST", "/ingress/validate_session"): lambda _house: {},
    ("GET", "/ingress/panels"): lambda _house: {"panels": {}},
    ("GET", "/discovery"): lambda _house: {"discovery": [], "services": {}},
    ("GET", "/services"): lambda _house: {"services": []},
    ("GET", "/mounts"): lambda _house: {"default_backup_mount": None, "mounts": []},
    ("GET", "/backups"): lambda _house: {"backups": []},
    ("GET", "/backups/info"): lambda _house: {"backups": [], "days_until_stale": 30},
    ("GET", "/core/stats"): lambda _house: _STATS,
    ("GET", "/supervisor/stats"): lambda _house: _STATS,
    ("GET", "/host/services"): lambda _house: {"services": []},
    ("GET", "/hardware/info"): lambda _house: {"devices": [], "drives": []},
    ("GET", "/dns/info"): lambda house: {"version": house.supervisor_version, "host": "172.30.32.3", "servers": [], "locals": []},
    ("GET", "/audio/info"): lambda house: {"version": house.supervisor_version, "host": "172.30.32.4", "audio": {}},
    ("GET", "/multicast/info"): lambda house: {"version": house.supervisor_version},
    ("GET", "/observer/info"): lambda house: {"version": house.supervisor_version, "host": "172.30.32.6"},
    ("GET", "/auth/list"): lambda house: {"users": [{"username": user.username} for user in house.users]},
}


async def request(house: House, method: str, path: str, data: Any = None, *, admin: bool = True) -> Any:
    """Answer one call with its data; raises `Refusal` or `Dropped`."""
    path = as_of_now(house, path.split("?", 1)[0])
    own = _FOR_CORE.get((method, path))
    if own is not None and admin:
        return own(house)
    if path.startswith("/homeassistant/"):
        path = path.replace("/homeassistant/", "/core/", 1)
    return await house.request(method, path, data, admin=admin)


async def answer(house: House, method: str, path: str, data: Any = None) -> tuple[int, Body]:
    """Answer one call: the HTTP status with an envelope or a text; raises `Dropped` where the connection ends without one."""
    try:
        bare = as_of_now(house, path.split("?", 1)[0])
        if method == "GET" and (log := _LOGS.fullmatch(bare)):
            return 200, house.log_text(log["slug"])
        if method == "GET" and _OTHER_LOGS.fullmatch(bare):
            return 200, f"{house.clock.date()} the log of {bare.split('/')[1]} is not simulated\n"
        if method == "GET" and _TEXTS.fullmatch(bare):
            return 200, "Nothing is written about this app in the simulated house.\n"
        return 200, {"result": "ok", "data": await request(house, method, path, data)}
    except Refusal as refusal:
        return refusal.status, {"result": "error", "message": refusal.message}


def as_of_now(house: House, path: str) -> str:
    """Return a path by its present name; raises `Refusal` for one that this release does not have."""
    if not house.knobs.apps_paths:
        return path
    if re.match(r"/(?:store/)?addons\b", path):
        raise Refusal("404: Not Found", 404)
    return re.sub(r"^/(store/)?apps\b", r"/\1addons", path)


def _restart_core(house: House) -> dict[str, Any]:
    """Take Core away for a while."""
    house.knobs.core_down = True
    house.later(CORE_RESTART_SECONDS, lambda: setattr(house.knobs, "core_down", False))
    return {}


class SupervisorServer:
    """A listening Supervisor; Core may be put in front of it."""

    def __init__(self, house: House, bearer: Callable[[str], str | None]) -> None:
        self._house = house
        self._bearer = bearer
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        self.address = ("", 0)
        """Where it listens."""

    async def start(self, host: str, port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.address = self._runner.addresses[0][:2]

    async def close(self) -> None:
        """Stop listening and end every connection."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.headers.get("X-Supervisor-Token", "")
        who = self._bearer(given)
        if request.path != "/supervisor/ping" and who is None:
            return web.Response(status=401, text="401: Unauthorized")
        path = request.path.replace("/addons/self/", f"/addons/{who}/", 1)
        data = None
        if request.can_read_body:
            with contextlib.suppress(json.JSONDecodeError):
                data = await request.json()
        try:
            status, body = await answer(self._house, request.method, path, data)
        except Dropped:
            return drop(request)
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)


def drop(request: web.Request) -> web.StreamResponse:
    """End the connection of a request without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
