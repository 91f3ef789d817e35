"""Signing in over real sockets: by password and code, in a browser that comes back over loopback, with a token."""

import asyncio
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from little_core import LittleCore, running, serving

from ha_ssh.core.errors import HaSshError, MissingAnswer, Refused
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha.routes import CoreRoute
from ha_ssh.world.ha.signin import SignedIn, SignIn, Tokens, browser_here, make_token, returned_code


class Hands:
    """Somebody's clock: it stands where they set it."""

    time = 1_000_000.0

    def __call__(self):
        return self.time


@pytest.fixture
async def core():
    async with running(LittleCore()) as core:
        yield core


@pytest.fixture
def now():
    return Hands()


@pytest.fixture
async def sign_in(core, now):
    sign_in = SignIn(core.url, now=now)
    yield sign_in
    await sign_in.close()


PASSWORD = Secret("pass word")


# -------------------------------------------------------------------------------------------------------------- password


async def test_name_and_password(core, sign_in, now):
    tokens = await sign_in.with_password("ann", PASSWORD)
    assert core.sessions[tokens.refresh.reveal()] == tokens.client_id
    assert tokens.access.reveal() in core.tokens
    assert tokens.expires_at == now.time + 1800
    assert "access" not in repr(tokens.access) + repr(tokens.refresh)


async def test_a_wrong_password_is_tried_once(core, sign_in):
    with pytest.raises(Refused) as caught:
        await sign_in.with_password("ann", Secret("wrong"))
    assert caught.value.code == "wrong-password"
    assert len(core.asked) == 1
    assert "wrong" not in caught.value.message


async def test_a_second_factor(core, sign_in):
    core.second_factor = ("totp",)
    problems = []

    async def ask(problem):
        problems.append(problem)
        return Secret("123 456" if problem else "000000")

    assert (await sign_in.with_password("ann", PASSWORD, ask_code=ask)).access
    assert problems == ["", "That code was not accepted."]


async def test_several_second_factors_prefer_the_app(core, sign_in):
    core.second_factor = ("notify", "totp")

    async def ask(_problem):
        return Secret("123456")

    assert (await sign_in.with_password("ann", PASSWORD, ask_code=ask)).access
    assert core.asked[1]["multi_factor_auth_module"] == "totp"


async def test_codes_that_are_never_right_end(core, sign_in):
    core.second_factor = ("totp",)
    asked = []

    async def ask(problem):
        asked.append(problem)
        return Secret("000000")

    with pytest.raises(Refused) as caught:
        await sign_in.with_password("ann", PASSWORD, ask_code=ask)
    assert caught.value.code == "sign-in-refused"
    assert len(asked) == 3


async def test_a_second_factor_and_nobody_to_ask(core, sign_in):
    core.second_factor = ("totp",)
    with pytest.raises(MissingAnswer) as caught:
        await sign_in.with_password("ann", PASSWORD)
    assert caught.value.code == "code-needed"


async def test_the_ways_to_sign_in(sign_in):
    assert await sign_in.providers() == ("homeassistant",)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda: web.Response(status=404, text="Invalid handler specified"), "no-password-login"),
        (lambda: web.Response(status=403, text="403: Forbidden"), "ip-banned"),
        (lambda: web.Response(status=502), "core-not-answering"),
        (lambda: web.Response(text="<html>a router</html>"), "not-home-assistant"),
        (lambda: web.json_response({"message": "Invalid client id"}, status=400), "sign-in-refused"),
        (lambda: web.json_response({"type": "abort", "reason": "login_expired"}), "sign-in-refused"),
    ],
)
async def test_trouble_with_the_sign_in(answer, code):
    async def say(_request):
        return answer()

    app = web.Application()
    app.router.add_post("/auth/login_flow", say)
    async with serving(app) as url:
        sign_in = SignIn(url)
        with pytest.raises(HaSshError) as caught:
            await sign_in.with_password("ann", PASSWORD)
        await sign_in.close()
    assert caught.value.code == code


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "{}", '{"access_token": 3}', '{"refresh_token": "a-secret"}'])
async def test_tokens_of_another_shape_are_named_and_not_shown(body):
    async def say(_request):
        return web.Response(text=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/auth/token", say)
    async with serving(app) as url:
        sign_in = SignIn(url)
        with pytest.raises(HaSshError) as caught:
            await sign_in.refresh(Tokens(access=Secret(""), refresh=Secret("r"), client_id="c"))
        await sign_in.close()
    assert caught.value.code in {"not-understood", "not-home-assistant"}
    assert "a-secret" not in f"{caught.value.message} {caught.value.evidence}"


# --------------------------------------------------------------------------------------------------------------- browser


def fetch(address):
    """Be a browser: follow where the page sends us, and read what it shows in the end."""
    with urllib.request.urlopen(address) as page:
        return page.read().decode()


@pytest.mark.parametrize("pkce", [True, False])
async def test_a_browser_that_comes_back(core, sign_in, pkce):
    core.pkce = pkce
    shown, pages = [], []
    tokens = await sign_in.in_browser(shown.append, open_browser=lambda address: pages.append(fetch(address)))
    assert core.sessions[tokens.refresh.reveal()] == tokens.client_id
    query = parse_qs(urlsplit(shown[0]).query)
    assert ("code_challenge" in query) == pkce
    assert query["redirect_uri"][0].startswith(tokens.client_id)
    assert urlsplit(tokens.client_id).hostname == "127.0.0.1"


async def test_the_page_at_the_end_is_friendly(sign_in):
    loop = asyncio.get_running_loop()
    page = loop.create_future()

    def browse(address):
        text = fetch(address)
        loop.call_soon_threadsafe(page.set_result, text)

    await sign_in.in_browser(lambda _: None, open_browser=browse)
    assert "You can close this tab" in await page


async def test_an_address_pasted_by_hand(core, sign_in):
    loop = asyncio.get_running_loop()
    shown = loop.create_future()
    pasted = iter(["", "http://127.0.0.1:1/callback?code=x&state=foreign"])

    async def paste(_problem):
        if (nonsense := next(pasted, None)) is not None:
            return nonsense
        query = parse_qs(urlsplit(await shown).query)
        client, back = query["client_id"][0], query["redirect_uri"][0]
        return f" {back}?code={core.grant(client)}&state={query['state'][0]}\n"

    tokens = await sign_in.in_browser(shown.set_result, paste=paste)
    assert tokens.refresh.reveal() in core.sessions


async def test_a_paste_that_is_not_needed_any_more_is_cancelled(sign_in):
    cancelled = asyncio.Event()

    async def paste(_problem):
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    await sign_in.in_browser(lambda _: None, open_browser=fetch, paste=paste)
    assert cancelled.is_set()


async def test_a_stranger_at_the_callback_changes_nothing(sign_in):
    refused = []

    def browse(address):
        back = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        for query in ("", "?code=evil", "?code=evil&state=guess", "?state=guess&error=x"):
            try:
                fetch(back + query)
            except urllib.error.HTTPError as error:
                refused.append(error.code)
                error.close()
        fetch(address)

    assert (await sign_in.in_browser(lambda _: None, open_browser=browse)).access
    assert refused == [400] * 4


async def test_a_sign_in_that_is_denied(sign_in):
    def browse(address):
        query = parse_qs(urlsplit(address).query)
        try:
            fetch(f"{query['redirect_uri'][0]}?error=%3Cb%3Edenied&state={query['state'][0]}")
        except urllib.error.HTTPError as error:
            assert b"<b>" not in error.read()
            error.close()

    with pytest.raises(Refused) as caught:
        await sign_in.in_browser(lambda _: None, open_browser=browse)
    assert caught.value.code == "sign-in-denied"


async def test_a_sign_in_that_nobody_finishes(sign_in):
    with pytest.raises(MissingAnswer) as caught:
        await sign_in.in_browser(lambda _: None, limit=0.05)
    assert caught.value.code == "sign-in-not-finished"


async def test_a_code_that_core_does_not_know(sign_in):
    shown = asyncio.get_running_loop().create_future()

    async def paste(_problem):
        query = parse_qs(urlsplit(await shown).query)
        return f"{query['redirect_uri'][0]}?code=made-up&state={query['state'][0]}"

    with pytest.raises(Refused) as caught:
        await sign_in.in_browser(shown.set_result, paste=paste)
    assert caught.value.code == "sign-in-refused"
    assert "made-up" not in caught.value.message


def test_the_code_in_an_address():
    assert returned_code("http://127.0.0.1:9/callback?code=abc&state=s", "s").reveal() == "abc"
    for address in ("", "abc", "http://127.0.0.1:9/callback?code=abc", "http://127.0.0.1:9/?state=s"):
        with pytest.raises(Refused):
            returned_code(address, "s")


@pytest.mark.parametrize(
    ("environ", "platform", "here"),
    [
        ({}, "darwin", True),
        ({}, "win32", True),
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, "linux", False),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
    ],
)
def test_where_a_browser_would_show_up(environ, platform, here):
    assert browser_here(environ, platform) is here


# --------------------------------------------------------------------------------------------------------------- session


async def test_a_session_renews_itself_shortly_before_its_end(core, sign_in, now):
    kept = []
    session = SignedIn(sign_in, await sign_in.with_password("ann", PASSWORD), keep=kept.append)
    first = await session.access()
    now.time += 1700
    assert await session.access() == first
    now.time += 50
    second, again = await asyncio.gather(session.access(), session.access())
    assert second == again
    assert second != first
    assert [tokens.access for tokens in kept] == [second]
    assert second.reveal() in core.tokens


async def test_a_stored_session_carries_the_route(core, sign_in):
    signed_in = await sign_in.with_password("ann", PASSWORD)
    stored = Tokens(access=Secret(""), refresh=signed_in.refresh, client_id=signed_in.client_id)
    route = CoreRoute(core.url, SignedIn(sign_in, stored))
    assert (await route.core()).user == "Ann"
    assert await route.log("core_ssh")
    await route.close()


async def test_a_revoked_session_says_so_and_is_not_tried_again(core, sign_in):
    tokens = await sign_in.with_password("ann", PASSWORD)
    await sign_in.revoke(tokens)
    session = SignedIn(sign_in, Tokens(access=Secret(""), refresh=tokens.refresh, client_id=tokens.client_id))
    before = len(core.requests)
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            await session.access()
        assert caught.value.code == "signed-out"
    assert len(core.requests) == before + 1


async def test_an_old_core_revokes_elsewhere(now):
    async with running(LittleCore(revoke_path="/no/such/path")) as core:
        sign_in = SignIn(core.url, now=now)
        tokens = await sign_in.with_password("ann", PASSWORD)
        await sign_in.revoke(tokens)
        await sign_in.close()
        assert core.sessions == {}


async def test_a_refused_access_token_ends_the_session(core, sign_in):
    tokens = await sign_in.with_password("ann", PASSWORD)
    core.tokens.clear()
    route = CoreRoute(core.url, SignedIn(sign_in, tokens))
    for _ in range(2):
        with pytest.raises(Refused):
            await route.core()
    await route.close()
    assert len(core.signed_in) == 1


async def test_a_session_belongs_to_its_origin(sign_in):
    tokens = Tokens(access=Secret("a"), refresh=Secret("r"), client_id="c")
    with pytest.raises(Refused) as caught:
        CoreRoute("http://other.local:8123", SignedIn(sign_in, tokens))
    assert caught.value.code == "token-of-another-house"


async def test_tokens_never_follow_a_redirect(sign_in, core):
    async with running(LittleCore()) as other:
        core.redirects["/auth/token"] = f"{other.url}/auth/token"
        with pytest.raises(HaSshError):
            await sign_in.refresh(Tokens(access=Secret("a"), refresh=Secret("r"), client_id="c"))
        assert other.requests == []


# ----------------------------------------------------------------------------------------------------- long-lived tokens


async def test_a_token_for_machines(core, sign_in):
    route = CoreRoute(core.url, SignedIn(sign_in, await sign_in.with_password("ann", PASSWORD)))
    token = await make_token(route, "ha-ssh ci", 30)
    assert isinstance(token, Secret)
    assert token.reveal().startswith("long-lived")
    assert core.asked[-1]["lifespan"] == 30
    with pytest.raises(Refused) as caught:
        await make_token(route, "ha-ssh ci", 30)
    assert caught.value.code == "token-name-taken"
    await route.close()
