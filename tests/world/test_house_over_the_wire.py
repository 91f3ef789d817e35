"""The client against the simulated house: written by others from the same protocol, so a mistake of one side shows."""

import asyncio
import base64
import hmac
import struct
import urllib.parse
import urllib.request
from datetime import datetime

import pytest

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.secret import Secret
from ha_ssh.sim.core import Front
from ha_ssh.sim.house import Fault
from ha_ssh.sim.running import serve
from ha_ssh.world.ha.discovery import discover, identify
from ha_ssh.world.ha.routes import CoreRoute, InsideRoute, SshRoute
from ha_ssh.world.ha.signin import SignedIn, SignIn, make_token
from ha_ssh.world.ssh import open_session
from servers import ADVANCED, new_house, serve_ssh


@pytest.fixture
async def route(running_house):
    route = CoreRoute(running_house.url, running_house.token, poll_every=0.05)
    yield route
    await route.close()


async def test_who_we_are(running_house, route):
    seen = await route.core()
    assert (seen.is_admin, seen.has_supervisor, seen.user) == (True, True, "Owner")
    assert seen.version == (await route.get("/core/info"))["version"]


async def test_an_install_tells_its_progress(running_house, route):
    running_house.house.knobs.install_seconds = 0.3
    told = []
    await route.post("/store/addons/core_ssh/install", on_progress=lambda *said: told.append(said))
    assert running_house.house.app("core_ssh").installed
    fractions = [fraction for fraction, _ in told if fraction is not None]
    assert fractions
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)


async def test_the_app_reports_that_it_started(running_house, key, route):
    serve_ssh(running_house.house, key.line)
    heard = asyncio.Queue()
    await route.on_event(heard.put_nowait)
    await route.post("/addons/core_ssh/restart")
    while True:
        event = await heard.get()
        if event["event"] in {"addon", "app"} and event["data"]["state"] == "started":
            break
    assert "Server listening on" in await route.log("core_ssh")


async def test_refusals_in_the_words_of_the_house(running_house, key, route):
    with pytest.raises(Refused) as caught:
        await route.post("/addons/core_ssh/start")
    assert caught.value.code == "not-installed"
    with pytest.raises(Refused) as caught:
        await route.log("core_ssh")
    assert caught.value.code == "not-installed"
    serve_ssh(running_house.house, key.line)
    with pytest.raises(Refused) as caught:
        await route.post("/store/addons/core_ssh/install")
    assert caught.value.code == "already-installed"
    with pytest.raises(Refused) as caught:
        await route.post("/addons/core_ssh/options", {"options": {"authorized_keys": [key.line]}})
    assert caught.value.code == "invalid-options"
    running_house.house.knobs.port_taken.add(2223)
    await route.post("/addons/core_ssh/options", {"network": {"22/tcp": 2223}})
    with pytest.raises(Refused) as caught:
        await route.post("/addons/core_ssh/restart")
    assert caught.value.code == "port-in-use"


@pytest.mark.parametrize(
    ("knob", "value", "code", "passing"),
    [
        ("supervisor_state", "startup", "not-ready", True),
        ("supervisor_state", "freeze", "not-ready", True),
        ("offline", True, "no-internet", False),
        ("disk_free", 1.2, "no-space", False),
        ("unhealthy", ["docker"], "unhealthy", False),
        ("update_needed", True, "supervisor-outdated", False),
        ("no_supervisor", True, "no-supervisor", False),
    ],
)
async def test_a_house_that_is_not_fit_to_install(running_house, route, knob, value, code, passing):
    setattr(running_house.house.knobs, knob, value)
    with pytest.raises(Refused) as caught:
        await route.post("/store/addons/core_ssh/install")
    assert (caught.value.code, caught.value.passing) == (code, passing)


@pytest.mark.parametrize(("when", "installed"), [("before", False), ("after", True)])
async def test_a_change_that_breaks_off(running_house, route, when, installed):
    running_house.house.knobs.faults.append(Fault("POST /store/addons/core_ssh/install", when=when))
    with pytest.raises(Unreachable) as caught:
        await route.post("/store/addons/core_ssh/install")
    assert caught.value.maybe_done
    assert running_house.house.app("core_ssh").installed is installed


async def test_an_answer_that_is_empty(running_house, route):
    running_house.house.knobs.faults.append(Fault("POST /store/addons/core_ssh/install", when="timeout", seconds=0))
    with pytest.raises(Unreachable) as caught:
        await route.post("/store/addons/core_ssh/install")
    assert (caught.value.code, caught.value.maybe_done) == ("no-answer", True)


async def test_a_look_survives_what_breaks_off(running_house, route):
    running_house.house.knobs.faults.append(Fault("GET /info", when="before"))
    assert (await route.get("/info"))["hostname"]


async def test_a_core_that_is_away(running_house, route):
    running_house.house.knobs.core_down = True
    running_house.catch_up()
    with pytest.raises(Unreachable) as caught:
        await route.core()
    assert caught.value.code in {"connection-refused", "dropped"}


async def test_an_address_that_got_banned(running_house):
    running_house.house.ban_after = 1
    for code in ("token-refused", "ip-banned"):
        route = CoreRoute(running_house.url, Secret("wrong"))
        with pytest.raises(HaSshError) as caught:
            await route.core()
        await route.close()
        assert caught.value.code == code
    with pytest.raises(HaSshError) as caught:
        await identify(running_house.url)
    assert caught.value.code == "ip-banned"


# ------------------------------------------------------------------------------------------------- the other two routes


async def test_from_inside(running_house, key):
    serve_ssh(running_house.house, key.line)
    route = InsideRoute(running_house.supervisor_token, url=f"http://{running_house.supervisor}")
    assert (await route.core()).version
    assert (await route.get("/addons/core_ssh/info"))["state"] == "started"
    await route.post("/addons/core_ssh/options", {"boot": "manual"})
    assert (await route.get("/addons/core_ssh/info"))["boot"] == "manual"
    assert "Server listening on" in await route.log("core_ssh")
    await route.close()


@pytest.mark.parametrize("user", ["root", "ann"])
async def test_through_an_ssh_login(running_house, key, user):
    serve_ssh(running_house.house, key.line, slug=ADVANCED, username=user)
    async with open_session(running_house.host, 2222, user, str(key.path), None) as session:
        route = SshRoute(session)
        assert (await route.core()).version
        assert (await route.get(f"/addons/{ADVANCED}/info"))["state"] == "started"
        await route.post(f"/addons/{ADVANCED}/options", {"boot": "manual"})
        assert (await route.get(f"/addons/{ADVANCED}/info"))["boot"] == "manual"
        with pytest.raises(Refused) as caught:
            await route.post(f"/addons/{ADVANCED}/options", {"options": {"ssh": {"password": "hunter2"}}})
        assert caught.value.code == "invalid-options"
        assert "Accepted publickey" in await route.log(ADVANCED)


# --------------------------------------------------------------------------------------------------------------- sign-in


def totp(secret, when):
    """The code of an authenticator app (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(when // 30)), "sha1")
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


async def test_password_code_refresh_token_revoke(running_house):
    house = running_house.house
    house.owner.totp_secret = "JBSWY3DPEHPK3PXP"

    async def ask(_problem):
        return Secret(totp(house.owner.totp_secret, datetime.fromisoformat(house.clock.date()).timestamp()))

    sign_in = SignIn(running_house.url)
    assert "homeassistant" in await sign_in.providers()
    tokens = await sign_in.with_password("owner", Secret(house.owner.password), ask_code=ask)
    tokens = await sign_in.refresh(tokens)
    route = CoreRoute(running_house.url, SignedIn(sign_in, tokens))
    assert (await route.core()).user == "Owner"
    made = await make_token(route, "ha-ssh ci", 30)
    with pytest.raises(Refused) as caught:
        await make_token(route, "ha-ssh ci", 30)
    assert caught.value.code == "token-name-taken"
    await route.close()
    await sign_in.revoke(tokens)
    with pytest.raises(Refused) as caught:
        await sign_in.refresh(tokens)
    assert caught.value.code == "signed-out"
    with pytest.raises(Refused) as caught:
        await sign_in.with_password("owner", Secret("wrong"), ask_code=ask)
    assert caught.value.code == "wrong-password"
    await sign_in.close()
    route = CoreRoute(running_house.url, made)
    assert (await route.core()).is_admin
    await route.close()


async def test_a_browser(running_house):
    form = urllib.parse.urlencode({"username": "owner", "password": running_house.house.owner.password}).encode()

    def browse(address):
        with urllib.request.urlopen(address, form) as page:
            page.read()

    shown = []
    sign_in = SignIn(running_house.url)
    tokens = await sign_in.in_browser(shown.append, open_browser=browse)
    assert shown[0].startswith(f"{running_house.url}/auth/authorize?")
    assert (await sign_in.refresh(tokens)).access
    await sign_in.close()


# ------------------------------------------------------------------------------------------------------------- discovery


async def test_the_house_of_today_is_found_by_the_port_of_yesterday():
    async with serve(new_house(), front=Front(port=80, redirect_from=8123)) as running:
        found = await identify(running.host)
        assert found.url == running.url
        (around,) = await discover(
            limit=0.3, usual=(f"http://{running.host}:8123", f"http://{running.host}"), interfaces=("127.0.0.1",)
        )
        assert around.url == running.url


async def test_the_house_behind_a_proxy():
    async with serve(new_house(), front=Front(prefix="/ha")) as running:
        assert (await identify(running.url)).url == running.url
        route = CoreRoute(running.url, running.token)
        assert (await route.core()).user == "Owner"
        await route.close()
    async with serve(new_house(), front=Front(websocket=False)) as running:
        route = CoreRoute(running.url, running.token)
        with pytest.raises(HaSshError) as caught:
            await route.core()
        await route.close()
        assert caught.value.code == "no-websocket"
