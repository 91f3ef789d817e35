"""The simulated Supervisor's own REST, as Core and the containers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio

from ha_ssh.sim.house import Fault
from servers import TERMINAL, serve_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ha_ssh.sim.running import Running


@pytest_asyncio.fixture
async def http(running_house: Running) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {running_house.supervisor_token.reveal()}"}
    async with aiohttp.ClientSession(f"http://{running_house.supervisor}", headers=headers) as session:
        yield session


async def test_answers_come_in_an_envelope(http: aiohttp.ClientSession) -> None:
    async with http.get("/info") as answer:
        body = await answer.json()
        assert (answer.status, body["result"]) == (200, "ok")
        assert body["data"]["state"] == "running"
    async with http.post("/addons/core_ssh/start") as answer:
        assert (answer.status, await answer.json()) == (400, {"result": "error", "message": "App is not installed"})
    async with http.get("/no/such/thing") as answer:
        assert answer.status == 404


async def test_only_its_token_opens_it(running_house: Running) -> None:
    base = f"http://{running_house.supervisor}"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {running_house.token.reveal()}"}) as http:
        async with http.get(base + "/info") as answer:
            assert answer.status == 401
        async with http.get(base + "/supervisor/ping") as answer:
            assert answer.status == 200


async def test_settings_are_saved_and_the_log_is_text(running_house: Running, http: aiohttp.ClientSession) -> None:
    async with http.post("/store/addons/core_ssh/install") as answer:
        assert (await answer.json())["result"] == "ok"
    async with http.post("/addons/core_ssh/options", json={"network": {"22/tcp": 2222}, "watchdog": True}) as answer:
        assert answer.status == 200
    app = running_house.house.app(TERMINAL)
    assert (app.port, app.watchdog) == (2222, True)
    serve_ssh(running_house.house, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1Eh6qbm30psl7AJOTwF/MbbRP/JKsWdj8GNQ41hbhZ laptop")
    async with http.get("/addons/core_ssh/logs") as answer:
        assert answer.content_type == "text/plain"
        assert "Server listening on" in await answer.text()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/supervisor/ping"),
        ("POST", "/homeassistant/options"),
        ("POST", "/supervisor/options"),
        ("GET", "/homeassistant/info"),
        ("GET", "/core/info"),
        ("GET", "/store"),
        ("GET", "/ingress/panels"),
        ("POST", "/ingress/session"),
        ("GET", "/discovery"),
        ("GET", "/core/stats"),
        ("GET", "/supervisor/stats"),
        ("GET", "/mounts"),
        ("GET", "/backups"),
        ("POST", "/refresh_updates"),
    ],
)
async def test_what_core_asks_for_itself_is_answered(http: aiohttp.ClientSession, method: str, path: str) -> None:
    async with http.request(method, path, json={} if method == "POST" else None) as answer:
        body: dict[str, Any] = await answer.json()
        assert (answer.status, body["result"]) == (200, "ok")


async def test_a_connection_can_be_lost(running_house: Running, http: aiohttp.ClientSession) -> None:
    running_house.house.knobs.faults.append(Fault("POST /store/reload"))
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.post("/store/reload")
    async with http.post("/store/reload") as answer:
        assert answer.status == 200
