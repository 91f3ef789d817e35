"""The real Home Assistant Core, started in a folder of its own on loopback, in front of the Supervisor of a simulated house."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from environment import ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ha_ssh.sim.running import Running

CLIENT = "http://127.0.0.1:9/"
"""The client that the tests sign in as; nothing listens there."""

CONFIGURATION = """\
http:
  server_host: 127.0.0.1
  server_port: {port}
  ip_ban_enabled: {ban}
  login_attempts_threshold: {attempts}
api:
config:
onboarding:
frontend:
homeassistant:
  auth_providers: [{{type: homeassistant}}]
  auth_mfa_modules: [{{type: totp}}]
"""

# The steps after the first user set up integrations whose requirements would be fetched from the network.
ONBOARDED_BUT_FOR_THE_USER = {
    "version": 4,
    "minor_version": 1,
    "key": "onboarding",
    "data": {"done": ["core_config", "analytics", "integration"]},
}


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A session of a user."""

    access_token: str
    refresh_token: str


@dataclass(frozen=True, kw_only=True)
class RealCore:
    """A running Core; what it says to `supervisor/api` comes from the Supervisor it was started with."""

    url: str
    folder: Path
    http: aiohttp.ClientSession

    async def onboard(self, *, name: str, username: str, password: str) -> SignedIn:
        """Make the first user, the owner, as the welcome page does."""
        body = {"client_id": CLIENT, "name": name, "username": username, "password": password, "language": "en"}
        answer = await self.post("/api/onboarding/users", json=body)
        return await self.redeem(answer["auth_code"])

    async def sign_in(self, username: str, password: str) -> SignedIn:
        """Sign in with name and password."""
        flow = await self.post(
            "/auth/login_flow", json={"client_id": CLIENT, "handler": ["homeassistant", None], "redirect_uri": CLIENT}
        )
        body = {"client_id": CLIENT, "username": username, "password": password}
        answer = await self.post(f"/auth/login_flow/{flow['flow_id']}", json=body)
        if answer["type"] != "create_entry":
            raise PermissionError(answer)
        return await self.redeem(answer["result"])

    async def redeem(self, code: str) -> SignedIn:
        """Turn a code into a session."""
        answer = await self.post("/auth/token", data={"grant_type": "authorization_code", "code": code, "client_id": CLIENT})
        return SignedIn(access_token=answer["access_token"], refresh_token=answer["refresh_token"])

    async def post(self, path: str, **body: Any) -> Any:
        """POST and return the JSON of the answer; raises `aiohttp.ClientResponseError` for a refusal."""
        async with self.http.post(self.url + path, **body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def get(self, path: str, token: str) -> tuple[int, str]:
        """GET as a user; returns the status and the text."""
        async with self.http.get(self.url + path, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, await answer.text()

    @asynccontextmanager
    async def websocket(self, token: str) -> AsyncIterator[Commands]:
        """Open an authenticated WebSocket; raises `PermissionError` when the token is refused."""
        async with self.http.ws_connect(f"{self.url}/api/websocket") as ws:
            assert (await ws.receive_json())["type"] == "auth_required"
            await ws.send_json({"type": "auth", "access_token": token})
            answer = await ws.receive_json()
            if answer["type"] != "auth_ok":
                raise PermissionError(answer["message"])
            yield Commands(ws)


class Commands:
    """An authenticated WebSocket, one command at a time."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._count = 0

    async def __call__(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its whole answer, success or not."""
        self._count += 1
        await self._ws.send_json({"id": self._count, "type": kind, **fields})
        while True:
            answer: dict[str, Any] = await self._ws.receive_json()
            if answer["id"] == self._count and answer["type"] == "result":
                return answer

    async def supervisor(self, endpoint: str, method: str = "get", **fields: Any) -> dict[str, Any]:
        """Send a call through to the Supervisor."""
        return await self("supervisor/api", endpoint=endpoint, method=method, **fields)


@asynccontextmanager
async def real_core(folder: Path, house: Running, *, ban_after: int = -1) -> AsyncIterator[RealCore]:
    """Start Core in `folder` in front of a house's Supervisor, and stop it; after `ban_after` bad sign-ins it bans."""
    port = free_port()
    (folder / ".storage").mkdir(parents=True)
    (folder / ".storage" / "onboarding").write_text(json.dumps(ONBOARDED_BUT_FOR_THE_USER))
    (folder / "configuration.yaml").write_text(
        CONFIGURATION.format(port=port, ban=str(ban_after > 0).lower(), attempts=ban_after)
    )
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith(("HA_SSH_", "PYTEST_"))}
    with (folder / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            # Every requirement is in the environment: without this flag Core would run pip when it starts.
            *(str(ENVIRONMENTS["core"].python), "-m", "homeassistant", "--config", str(folder), "--skip-pip"),
            env=surroundings | {"SUPERVISOR": house.supervisor, "SUPERVISOR_TOKEN": house.supervisor_token.reveal()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        async with aiohttp.ClientSession() as http:
            core = RealCore(url=f"http://127.0.0.1:{port}", folder=folder, http=http)
            await until_it_answers(core, process)
            yield core
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def until_it_answers(core: RealCore, process: asyncio.subprocess.Process) -> None:
    """Wait for the last view that is set up; raises `RuntimeError` with Core's own words when it ends or is in recovery mode."""
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                async with core.http.get(f"{core.url}/api/onboarding") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass  # not listening yet; a foreign program has no event to wait for
            await asyncio.sleep(0.05)
    raise RuntimeError((core.folder / "output").read_text(errors="replace")[-3000:])


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
