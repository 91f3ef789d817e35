"""Houses are found by what they announce and by their usual names, and told apart from what only looks like one."""

import asyncio
import socket

import pytest
from aiohttp import web
from little_core import TOKEN, Authority, LittleCore, running, serving
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from ha_ssh.core.errors import HaSshError, UsageError
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha.discovery import SERVICE, discover, identify
from ha_ssh.world.ha.routes import CoreRoute
from ha_ssh.world.ha.signin import SignedIn, SignIn
from ha_ssh.world.ha.web import Tls

LOOPBACK = ("127.0.0.1",)


class Announced:
    """Services announced on loopback for the time of a test."""

    async def __aenter__(self):
        self.zeroconf = AsyncZeroconf(interfaces=list(LOOPBACK))
        self.repeating = []
        return self

    async def __aexit__(self, *_):
        for task in self.repeating:
            task.cancel()
        await asyncio.wait(self.repeating)
        await self.zeroconf.async_close()

    async def announce(self, name, port, **text):
        info = ServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            addresses=[socket.inet_aton("127.0.0.1")],
            port=port,
            properties=text,
            server=f"{name}.local.",
        )
        self.repeating.append(await self.zeroconf.async_register_service(info, cooperating_responders=True, strict=False))


def port_of(url):
    return int(url.rpartition(":")[2])


async def test_a_house_that_announces_itself():
    async with running(LittleCore()) as core, Announced() as network:
        text = {"location_name": "Ho\x1b[31mme", "uuid": "abc", "version": "2026.11.0", "internal_url": core.url, "base_url": ""}
        await network.announce("house", port_of(core.url), **text)
        found = await discover(limit=1, usual=(core.url,), interfaces=LOOPBACK)
    assert [(house.url, house.uuid, house.version, house.how, house.trouble) for house in found] == [
        (core.url, "abc", "2026.11.0", "announced", "")
    ]
    assert found[0].name == "Ho[31mme"
    assert not any("Authorization" in request.headers for request in core.requests)


async def test_two_houses_and_one_that_is_not_where_it_says():
    async with running(LittleCore()) as one, running(LittleCore()) as two, Announced() as network:
        await network.announce("one", port_of(one.url), location_name="One", uuid="1", internal_url="http://no-such.invalid:8123")
        await network.announce("two", port_of(two.url), location_name="Two", uuid="2", internal_url="nonsense at all")
        await network.announce("gone", 1, location_name="Gone", uuid="3", internal_url="http://127.0.0.1:1")
        found = {house.name: house for house in await discover(limit=1.5, usual=(), interfaces=LOOPBACK)}
    assert found["One"].url == one.url
    assert found["Two"].url == two.url
    assert found["Gone"].trouble == "connection-refused"


async def test_an_announced_house_with_a_certificate_of_its_own(tmp_path):
    context, _ = Authority(tmp_path).context("house.local")
    async with running(LittleCore(), context=context) as core, Announced() as network:
        await network.announce("house", port_of(core.url), uuid="1", internal_url=core.url)
        (found,) = await discover(limit=1, usual=(), interfaces=LOOPBACK)
    assert (found.url, found.trouble) == (core.url, "tls-unknown-issuer")


async def test_a_house_under_a_usual_name():
    async with running(LittleCore()) as core:
        (found,) = await discover(
            limit=0.3, usual=(core.url, "http://no-such.invalid:8123", "http://127.0.0.1:1"), interfaces=LOOPBACK
        )
    assert (found.url, found.how, found.name) == (core.url, "named", "127.0.0.1")


async def test_nothing_to_find():
    assert await discover(limit=0.2, usual=("http://127.0.0.1:1",), interfaces=LOOPBACK) == ()


async def test_an_address_that_was_given():
    async with running(LittleCore()) as core:
        found = await identify(f"{core.url}/lovelace/0")
        assert (found.url, found.how) == (core.url, "given")
        assert found.addresses == ("127.0.0.1",)
        assert {request.path for request in core.requests} <= {
            "/manifest.json",
            "/lovelace/0/manifest.json",
            "/api/",
            "/lovelace/0/api/",
        }


async def test_a_house_under_the_path_of_a_proxy():
    app = web.Application()
    core = LittleCore()
    app.add_subapp("/ha/", core.app())
    async with serving(app) as url:
        found = await identify(f"{url}/ha/")
        assert found.url == f"{url}/ha"
        route = CoreRoute(found.url, Secret(TOKEN))
        assert (await route.core()).user == "Ann"
        assert await route.log("core_ssh")
        await route.close()
        sign_in = SignIn(found.url)
        session = SignedIn(sign_in, await sign_in.with_password("ann", Secret("pass word")))
        route = CoreRoute(found.url, session)
        assert await route.get("/info") == {}
        await route.close()
        await sign_in.close()


async def test_a_redirect_to_the_port_of_today():
    async with running(LittleCore()) as new, running(LittleCore()) as old:
        old.redirects["/manifest.json"] = f"{new.url}/manifest.json"
        assert (await identify(old.url)).url == new.url


async def test_a_redirect_to_another_host():
    async with running(LittleCore()) as other:
        there = other.url.replace("127.0.0.1", "localhost") + "/manifest.json"
        async with running(LittleCore(redirects={"/manifest.json": there})) as core:
            with pytest.raises(HaSshError) as caught:
                await identify(core.url)
        assert caught.value.code == "redirected"
        assert other.requests == []


async def test_a_redirect_out_of_tls(tmp_path):
    authority = Authority(tmp_path)
    context, _ = authority.context("127.0.0.1")
    async with running(LittleCore()) as plain:
        async with running(LittleCore(redirects={"/manifest.json": f"{plain.url}/manifest.json"}), context=context) as core:
            with pytest.raises(HaSshError) as caught:
                await identify(core.url, tls=Tls(ca_file=str(authority.file)))
        assert caught.value.code == "redirected"
        assert plain.requests == []


@pytest.mark.parametrize(
    ("oddity", "code"),
    [
        ({"everything": 403}, "ip-banned"),
        ({"everything": 400}, "untrusted-proxy"),
        ({"everything": 502}, "core-not-answering"),
        ({"everything": 401}, "not-home-assistant"),
        ({"manifest": {"name": "Another app"}}, "not-home-assistant"),
        ({"manifest": "<html>"}, "not-home-assistant"),
        ({"manifest": "[]"}, "not-home-assistant"),
    ],
)
async def test_what_only_looks_like_one(oddity, code):
    async with running(LittleCore(**oddity)) as core:
        with pytest.raises(HaSshError) as caught:
            await identify(core.url)
    assert caught.value.code == code


async def test_nonsense_and_nowhere():
    with pytest.raises(UsageError):
        await identify("ftp://ha.local")
    with pytest.raises(HaSshError) as caught:
        await identify("no-such-house.invalid")
    assert caught.value.code == "not-resolvable"


async def test_a_page_of_another_kind_tells_more_than_a_closed_port():
    app = web.Application()
    async with serving(app) as url:
        with pytest.raises(HaSshError) as caught:
            await identify(url)
    assert caught.value.code == "not-home-assistant"
