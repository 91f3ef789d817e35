"""What the program takes for granted about Core, asked of the real one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from aiohttp import web

from real.conftest import PASSWORD
from real.core import CLIENT, free_port, real_core

if TYPE_CHECKING:
    from pathlib import Path

    from ha_ssh.sim.running import Running
    from real.browser import Page
    from real.core import RealCore, SignedIn


async def test_the_manifest_names_home_assistant_without_a_token(core: RealCore) -> None:
    async with core.http.get(f"{core.url}/manifest.json") as answer:
        assert (await answer.json(content_type=None))["name"] == "Home Assistant"


async def test_the_owner_reaches_the_supervisor_through_core(house: Running, core: RealCore, owner: SignedIn) -> None:
    async with core.websocket(owner.access_token) as ws:
        user = (await ws("auth/current_user"))["result"]
        assert (user["is_owner"], user["is_admin"]) == (True, True)
        assert [module["id"] for module in user["mfa_modules"]] == ["totp"]
        assert (await ws.supervisor("/info"))["result"]["machine_id"] == house.house.machine_id


async def test_a_refusal_of_the_supervisor_arrives_as_text(core: RealCore, owner: SignedIn) -> None:
    async with core.websocket(owner.access_token) as ws:
        assert (await ws.supervisor("/store/addons/core_ssh/install", "post", timeout=None))["success"]
        again = await ws.supervisor("/store/addons/core_ssh/install", "post", timeout=None)
    assert again["error"]["code"] == "unknown_error"
    assert "already installed" in again["error"]["message"]


async def test_over_http_an_administrator_reads_logs_and_nothing_else(house: Running, core: RealCore, owner: SignedIn) -> None:
    log = house.house.log_text("core_mosquitto")
    assert await core.get("/api/hassio/addons/core_mosquitto/logs", owner.access_token) == (200, log)
    assert (await core.get("/api/hassio/addons/core_mosquitto/info", owner.access_token))[0] == 401


async def test_sign_in_by_password_then_refresh_then_revoke(core: RealCore, owner: SignedIn) -> None:
    session = await core.sign_in("ann", PASSWORD)
    grant = {"grant_type": "refresh_token", "refresh_token": session.refresh_token, "client_id": CLIENT}
    renewed = await core.post("/auth/token", data=grant)
    async with core.websocket(renewed["access_token"]) as ws:
        assert (await ws("auth/current_user"))["success"]
    async with core.http.post(f"{core.url}/auth/revoke", data={"token": session.refresh_token}) as answer:
        assert answer.status == 200
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await core.post("/auth/token", data=grant)
    with pytest.raises(PermissionError):
        async with core.websocket(renewed["access_token"]):
            pass


async def test_a_wrong_password_gives_no_session(core: RealCore, owner: SignedIn) -> None:
    with pytest.raises(PermissionError, match="invalid_auth"):
        await core.sign_in("ann", "not the password")


async def test_a_long_lived_token_has_a_name_of_its_own(core: RealCore, owner: SignedIn) -> None:
    wish = {"client_name": "ha-ssh tests", "lifespan": 3}
    async with core.websocket(owner.access_token) as ws:
        token = (await ws("auth/long_lived_access_token", **wish))["result"]
        again = await ws("auth/long_lived_access_token", **wish)
    assert again["error"] == {"code": "unknown_error", "message": "Unknown error"}
    async with core.websocket(token) as ws:
        assert (await ws("auth/current_user"))["result"]["name"] == "Ann"


async def test_somebody_who_is_no_administrator_is_refused(core: RealCore, owner: SignedIn) -> None:
    async with core.websocket(owner.access_token) as ws:
        user = (await ws("config/auth/create", name="Bob", group_ids=["system-users"]))["result"]["user"]
        login = {"user_id": user["id"], "username": "bob", "password": PASSWORD}
        assert (await ws("config/auth_provider/homeassistant/create", **login))["success"]
    bob = await core.sign_in("bob", PASSWORD)
    async with core.websocket(bob.access_token) as ws:
        answer = await ws.supervisor("/info")
    assert answer["error"] == {"code": "unauthorized", "message": "Unauthorized"}


async def test_the_sign_in_page_brings_a_real_browser_back_to_loopback(core: RealCore, owner: SignedIn, page: Page) -> None:
    port, came_back = free_port(), asyncio.get_running_loop().create_future()

    async def callback(request: web.Request) -> web.Response:
        if not came_back.done():
            came_back.set_result(request.rel_url.query)
        return web.Response(text="signed in")

    application = web.Application()
    application.router.add_get("/callback", callback)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        client = f"http://127.0.0.1:{port}/"
        asks = {"response_type": "code", "client_id": client, "redirect_uri": f"{client}callback", "state": "of this test"}
        await page.goto(f"{core.url}/auth/authorize?{urlencode(asks)}")
        await page.type("input[name=username]", "ann")
        await page.type("input[name=password]", PASSWORD)
        await page.press_enter()
        async with asyncio.timeout(30):
            query = await came_back
        await page.until("document.body && document.body.innerText == 'signed in'")
        assert parse_qs(urlsplit(await page.address()).query)["state"] == ["of this test"]
    finally:
        await runner.cleanup()
    grant = {"grant_type": "authorization_code", "code": query["code"], "client_id": client}
    assert (await core.post("/auth/token", data=grant))["expires_in"] == 1800


async def test_core_bans_an_address_after_too_many_bad_tokens(house: Running, tmp_path: Path) -> None:
    # Core never bans the address of its Supervisor: the house's is another one than ours.
    async with real_core(tmp_path / "config", house, ban_after=2) as core:
        for _ in range(2):
            with pytest.raises(PermissionError):
                async with core.websocket("not a token"):
                    pass
        async with core.http.get(f"{core.url}/manifest.json") as answer:
            assert answer.status == 403
