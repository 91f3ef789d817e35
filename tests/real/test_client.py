"""Our client against the real Core: every way to sign in, the route, its refusals."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import struct
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from ha_ssh.core.errors import HaSshError, Refused
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha.discovery import identify
from ha_ssh.world.ha.routes import CoreRoute
from ha_ssh.world.ha.signin import SignedIn, SignIn, make_token
from real.conftest import PASSWORD
from real.core import real_core

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ha_ssh.sim.running import Running
    from real.browser import Page
    from real.core import RealCore
    from real.core import SignedIn as Session


@pytest_asyncio.fixture(loop_scope="session")
async def sign_in(core: RealCore, owner: Session) -> AsyncIterator[SignIn]:
    """The ways to sign in to the running Core, which has its owner by now."""
    sign_in = SignIn(core.url)
    yield sign_in
    await sign_in.close()


@asynccontextmanager
async def route_to(core: RealCore, credentials: Secret | SignedIn) -> AsyncIterator[CoreRoute]:
    route = CoreRoute(core.url, credentials)
    try:
        yield route
    finally:
        await route.close()


async def add_user(core: RealCore, owner: Session, name: str, group: str) -> None:
    """Add somebody who signs in with the password of the tests."""
    async with core.websocket(owner.access_token) as ws:
        user = (await ws("config/auth/create", name=name, group_ids=[group]))["result"]["user"]
        login = {"user_id": user["id"], "username": name, "password": PASSWORD}
        assert (await ws("config/auth_provider/homeassistant/create", **login))["success"]


async def test_the_house_is_identified(core: RealCore) -> None:
    assert (await identify(core.url)).url == core.url


async def test_a_password_opens_the_route(core: RealCore, sign_in: SignIn) -> None:
    assert "homeassistant" in await sign_in.providers()
    tokens = await sign_in.with_password("ann", Secret(PASSWORD))
    async with route_to(core, SignedIn(sign_in, await sign_in.refresh(tokens))) as route:
        seen = await route.core()
        assert (seen.user, seen.is_admin, seen.has_supervisor) == ("Ann", True, True)
        assert seen.version
        assert "hostname" in await route.get("/info")
        heard: asyncio.Queue = asyncio.Queue()
        (await route.on_event(heard.put_nowait))()
    await sign_in.revoke(tokens)
    with pytest.raises(Refused) as caught:
        await sign_in.refresh(tokens)
    assert caught.value.code == "signed-out"


async def test_an_app_is_installed_and_its_log_is_read(house: Running, core: RealCore, owner: Session) -> None:
    house.house.knobs.install_seconds = 0.5
    async with route_to(core, Secret(owner.access_token)) as route:
        told: list[tuple[float | None, str]] = []
        await route.post("/store/addons/a0d7b954_ssh/install", on_progress=lambda *said: told.append(said))
        assert (await route.get("/addons/a0d7b954_ssh/info"))["state"]
        assert isinstance(await route.log("a0d7b954_ssh"), str)
        with pytest.raises(Refused) as caught:
            await route.post("/store/addons/a0d7b954_ssh/install")
        assert caught.value.code == "already-installed"
        await route.post("/addons/a0d7b954_ssh/uninstall")
        with pytest.raises(Refused) as caught:
            await route.log("a0d7b954_ssh")
        assert caught.value.code == "not-installed"


async def test_a_wrong_password(sign_in: SignIn) -> None:
    with pytest.raises(Refused) as caught:
        await sign_in.with_password("ann", Secret("not the password"))
    assert caught.value.code == "wrong-password"


def totp(secret: str) -> str:
    """The code that an authenticator app shows now (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time() // 30)), "sha1")
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


async def test_a_second_factor(core: RealCore, owner: Session, sign_in: SignIn) -> None:
    await add_user(core, owner, "cleo", "system-admin")
    cleo = await core.sign_in("cleo", PASSWORD)
    async with core.websocket(cleo.access_token) as ws:
        form = (await ws("auth/setup_mfa", mfa_module_id="totp"))["result"]
        secret = form["description_placeholders"]["code"]
        done = await ws("auth/setup_mfa", flow_id=form["flow_id"], user_input={"code": totp(secret)})
        assert done["result"]["type"] == "create_entry"
    problems: list[str] = []

    async def ask(problem: str) -> Secret:
        problems.append(problem)
        return Secret(totp(secret) if problem else "000000")

    tokens = await sign_in.with_password("cleo", Secret(PASSWORD), ask_code=ask)
    assert problems == ["", "That code was not accepted."]
    async with route_to(core, SignedIn(sign_in, tokens)) as route:
        assert (await route.core()).user == "cleo"


async def test_a_token_for_machines(core: RealCore, sign_in: SignIn) -> None:
    name = f"ha-ssh {secrets.token_hex(4)}"
    async with route_to(core, SignedIn(sign_in, await sign_in.with_password("ann", Secret(PASSWORD)))) as route:
        token = await make_token(route, name, 3)
        with pytest.raises(Refused) as caught:
            await make_token(route, name, 3)
        assert caught.value.code == "token-name-taken"
    async with route_to(core, token) as route:
        assert (await route.core()).is_admin


async def test_somebody_who_is_no_administrator(core: RealCore, owner: Session, sign_in: SignIn) -> None:
    await add_user(core, owner, "dan", "system-users")
    async with route_to(core, SignedIn(sign_in, await sign_in.with_password("dan", Secret(PASSWORD)))) as route:
        assert not (await route.core()).is_admin
        for refused, code in ((route.get("/info"), "not-admin"), (route.log("core_ssh"), "log-refused")):
            with pytest.raises(Refused) as caught:
                await refused
            assert caught.value.code == code


async def test_a_real_browser(core: RealCore, sign_in: SignIn, page: Page) -> None:
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def browse() -> None:
        await page.goto(await shown)
        await page.type("input[name=username]", "ann")
        await page.type("input[name=password]", PASSWORD)
        await page.press_enter()
        await page.until("document.body && document.body.innerText.includes('You can close this tab')")

    browsing = asyncio.create_task(browse())
    tokens = await sign_in.in_browser(shown.set_result, limit=40)
    await browsing
    async with route_to(core, SignedIn(sign_in, tokens)) as route:
        assert (await route.core()).user == "Ann"


async def test_a_wrong_token_and_a_ban(house: Running, tmp_path: Path) -> None:
    async with real_core(tmp_path / "config", house, ban_after=2) as core:
        for code in ("token-refused", "token-refused", "ip-banned"):
            async with route_to(core, Secret("not a token")) as route:
                with pytest.raises(HaSshError) as caught:
                    await route.core()
                assert caught.value.code == code
        with pytest.raises(HaSshError) as caught:
            await identify(core.url)
        assert caught.value.code == "ip-banned"
