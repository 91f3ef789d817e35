"""The routes against real sockets: what arrives, what breaks off, and what each trouble on the way is called."""

import asyncio
import contextlib
import os
import socket
import ssl

import pytest
from aiohttp import web
from little_core import MANIFEST, TOKEN, Authority, Drop, LittleCore, raw, running, serving

from ha_ssh.core.errors import HaSshError, Refused, Unreachable, UsageError
from ha_ssh.core.model import DoorState, Ran, SshTrouble
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha.routes import CoreRoute, InsideRoute, SshRoute, reach
from ha_ssh.world.ha.web import Tls, Web


@contextlib.asynccontextmanager
async def route_to(url, token=TOKEN, **more):
    route = CoreRoute(url, Secret(token), **more)
    try:
        yield route
    finally:
        await route.close()


async def trouble(url, **more):
    """The error that a first look at this URL ends in."""
    async with route_to(url, **{"limit": 3, **more}) as route:
        with pytest.raises(HaSshError) as caught:
            await route.core()
        return caught.value


# -------------------------------------------------------------------------------------------------------------- looking


async def test_core_tells_who_we_are():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        seen = await route.core()
    assert (seen.version, seen.user, seen.is_admin, seen.has_supervisor, seen.tls) == ("2026.11.0", "Ann", True, True, False)
    assert seen.components == ("auth", "hassio", "http")


async def test_one_socket_carries_many_questions_at_once():
    arrived: list[str] = []
    all_there = asyncio.Event()

    async def answer(_method, endpoint, _data):
        arrived.append(endpoint)
        if len(arrived) == 5:
            all_there.set()
        await all_there.wait()
        return {"endpoint": endpoint}

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        answers = await asyncio.gather(*(route.get(f"/{number}") for number in range(5)))
        assert [answer["endpoint"] for answer in answers] == [f"/{number}" for number in range(5)]
        assert len(core.sockets) == 1
        numbers = [asked["id"] for asked in core.asked]
        assert numbers == sorted(numbers)


async def test_nothing_connects_before_it_is_asked():
    async with running(LittleCore()) as core, route_to(core.url):
        assert core.requests == []


async def test_a_look_has_a_limit_and_a_change_has_none():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        await route.get("/info")
        await route.post("/store/addons/core_ssh/install")
        await route.post("/addons/core_ssh/options/validate", {"a": 1}, limit=60)
    look, install, validate = core.asked
    assert look["timeout"] > 0
    assert install["timeout"] is None
    assert "data" not in install
    assert (validate["timeout"], validate["data"]) == (60, {"a": 1})


async def test_the_log_comes_over_http_without_colours():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        assert await route.log("core_ssh") == "one\ntwo\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((400, "App is not installed"), "not-installed"),
        ((400, '{"result": "error", "message": "Addon nothing does not exist"}'), "no-such-app"),
        ((502, ""), "supervisor-unreachable"),
        ((404, "404: Not Found"), "not-found"),
        ((503, "<html>down</html>"), "core-not-answering"),
    ],
)
async def test_a_log_that_is_refused(answer, code):
    async with running(LittleCore(log=answer)) as core, route_to(core.url) as route:
        with pytest.raises(HaSshError) as caught:
            await route.log("core_ssh")
    assert caught.value.code == code


PAGE = "<!DOCTYPE html><html><head><title>Login - Authelia</title></head></html>"


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (PAGE, "text/html"),
        (PAGE, "text/plain"),
        ('{"detail": "no"}', "application/json"),
        ((200, "<html>" + "z" * 1_000_000), "text/html"),
        ((500, "z" * 1_000_000), "text/plain"),
        ((500, "x"), "text/plain"),
        ((403, PAGE), "text/html"),
        ((404, PAGE), "text/html"),
    ],
)
async def test_what_is_no_log_is_not_taken_for_one(log, kind):
    async with running(LittleCore(log=log, log_type=kind)) as core, route_to(core.url) as route:
        with pytest.raises(HaSshError) as caught:
            await route.log("core_ssh")
    error = caught.value
    assert error.message.startswith("The log cannot be read")
    status = log[0] if isinstance(log, tuple) else 200
    assert any(str(status) in seen for seen in error.evidence), error.evidence
    assert (log if isinstance(log, str) else log[1]) != PAGE or any("Login - Authelia" in seen for seen in error.evidence)
    assert not getattr(error, "passing", False), "so nobody asks for it again and again"


async def test_a_log_that_is_only_for_administrators():
    async with running(LittleCore(is_admin=False)) as core, route_to(core.url) as route:
        with pytest.raises(Refused) as caught:
            await route.log("core_ssh")
    assert caught.value.code == "log-refused"


# ------------------------------------------------------------------------------------------------------------ refusals


async def test_somebody_who_is_no_administrator():
    async with running(LittleCore(is_admin=False)) as core, route_to(core.url) as route:
        assert not (await route.core()).is_admin
        with pytest.raises(Refused) as caught:
            await route.get("/info")
    assert caught.value.code == "not-admin"


async def test_a_house_without_a_supervisor():
    async with running(LittleCore(components=("http",))) as core, route_to(core.url) as route:
        assert not (await route.core()).has_supervisor
        with pytest.raises(Refused) as caught:
            await route.get("/info")
    assert (caught.value.code, caught.value.passing) == ("no-supervisor", False)


async def test_a_core_that_is_starting_may_have_one_later():
    async with running(LittleCore(components=("http",), state="STARTING")) as core, route_to(core.url) as route:
        for look in (route.core(), route.get("/info")):
            with pytest.raises(Refused) as caught:
                await look
            assert (caught.value.code, caught.value.passing) == ("core-starting", True)


async def test_a_refused_token_is_never_tried_again():
    async with running(LittleCore()) as core, route_to(core.url, "an-old-token") as route:
        for attempt in (route.core(), route.get("/info"), route.post("/x"), route.log("core_ssh"), route.on_event(print)):
            with pytest.raises(Refused) as caught:
                await attempt
            assert caught.value.code == "token-refused"
        assert core.signed_in == ["an-old-token"]
        assert not any("Authorization" in request.headers for request in core.requests)


async def test_parallel_looks_try_a_wrong_token_once():
    async with running(LittleCore()) as core, route_to(core.url, "wrong") as route:
        outcomes = await asyncio.gather(*(route.get("/info") for _ in range(4)), return_exceptions=True)
        assert {outcome.code for outcome in outcomes} == {"token-refused"}
        assert core.signed_in == ["wrong"]


@pytest.mark.parametrize("pasted", [f" {TOKEN}\n", f'"{TOKEN}"', f"Bearer {TOKEN}", f"{TOKEN[:5]}\n{TOKEN[5:]}"])
async def test_a_token_as_people_paste_it(pasted):
    async with running(LittleCore()) as core, route_to(core.url, pasted) as route:
        assert (await route.core()).user == "Ann"


def test_an_empty_token():
    with pytest.raises(UsageError) as caught:
        CoreRoute("http://ha.local", Secret(" \n"))
    assert caught.value.code == "token-empty"


async def test_a_token_goes_only_to_its_origin():
    from ha_ssh.world.ha.signin import LongLivedToken

    with pytest.raises(Refused) as caught:
        CoreRoute("http://other.local:8123", LongLivedToken("http://ha.local:8123", Secret(TOKEN)))
    assert caught.value.code == "token-of-another-house"


# -------------------------------------------------------------------------------------------------- answers of no release


@pytest.mark.parametrize("kind", ["auth/current_user", "get_config"])
@pytest.mark.parametrize(("said", "named"), [(None, "nothing (null)"), ([1], "a list"), ("x", "a text"), (True, "a yes or no")])
async def test_an_answer_of_another_shape_is_named(kind, said, named):
    async with running(LittleCore(results={kind: said})) as core:
        error = await trouble(core.url)
    assert error.code == "not-understood"
    assert f"`{kind}` it says {named}" in error.message
    assert any(kind in seen for seen in error.evidence)


@pytest.mark.parametrize("components", [None, 7, "hassio", {"hassio": 1}, [1, None, "hassio"]])
async def test_components_of_another_shape_are_no_crash(components):
    config = {"version": "2026.11.0", "components": components, "state": "RUNNING"}
    async with running(LittleCore(results={"get_config": config})) as core, route_to(core.url) as route:
        seen = await route.core()
    assert seen.components == (("hassio",) if isinstance(components, list) else ())


@pytest.mark.parametrize("error", [None, [], "no", 3])
async def test_a_refusal_of_another_shape_is_named(error):
    class Odd(LittleCore):
        async def answer(self, ws, asked):
            await ws.send_json({"id": asked["id"], "type": "result", "success": False, "error": error})

    async with running(Odd()) as core:
        assert (await trouble(core.url)).code == "not-understood"


@pytest.mark.parametrize("mode", ["", "recovery", "safe"])
async def test_the_mode_of_core_is_told(mode):
    async with running(LittleCore(mode=mode)) as core, route_to(core.url) as route:
        assert (await route.core()).mode == mode


@pytest.mark.parametrize("jobs", [None, [], "x", {"jobs": "x"}, {"jobs": [1, None]}, {"jobs": [{"child_jobs": [3]}]}])
async def test_jobs_of_another_shape_do_not_disturb_a_change(jobs):
    asked = asyncio.Event()

    async def answer(_method, endpoint, _data):
        if endpoint == "/jobs/info":
            asked.set()
            return jobs
        await asked.wait()
        await asyncio.sleep(0.05)
        return {"ok": True}

    async with running(LittleCore(supervisor=answer, subscribe=False)) as core, route_to(core.url, poll_every=0.01) as route:
        assert await route.post("/addons/core_ssh/start", on_progress=lambda *_: None) == {"ok": True}


async def test_a_message_that_is_too_large_is_asked_for_once():
    async with running(LittleCore(results={"get_config": {"x": "x" * 17_000_000}})) as core:
        error = await trouble(core.url)
        assert len(core.sockets) == 1
    assert error.code == "not-understood"
    assert "more at once" in error.message
    assert error.evidence


# ------------------------------------------------------------------------------------------------------------ slow answers


async def test_a_core_that_is_silent_after_the_sign_in_is_a_look_without_effects():
    class Silent(LittleCore):
        async def answer(self, ws, asked):
            self.asked.append(asked)

    async with running(Silent()) as core:
        error = await trouble(core.url, limit=0.2)
    assert error.code == "no-answer"
    assert "did not answer `auth/current_user`" in error.message
    assert not error.maybe_done


async def test_a_line_on_which_answers_keep_coming_is_not_given_up():
    class Slow(LittleCore):
        """One that answers one thing after the other, each after most of the time that silence may last."""

        turn = asyncio.Lock()

        async def answer(self, ws, asked):
            async with self.turn:
                await asyncio.sleep(0.3)
                await super().answer(ws, asked)

    async with running(Slow()) as core, route_to(core.url, limit=0.45) as route:
        assert (await route.core()).user == "Ann"
        took = [seconds for _, seconds in route.answers]
    assert len(took) == 5
    assert max(took) > 0.45, "longer than the limit of silence"


async def test_an_answer_that_never_ends_is_given_up(monkeypatch):
    from ha_ssh.world.ha import web as client

    monkeypatch.setattr(client, "STEADY_SECONDS", 0.4)

    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"line\n")
                await asyncio.sleep(0.05)
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", drip)
    async with serving(app) as url:
        house = Web(url, limit=0.2)
        with pytest.raises(Unreachable) as caught:
            await house.get("/manifest.json")
        await house.close()
    assert caught.value.code == "timed-out"
    assert "began to answer" in caught.value.message


async def test_an_answer_that_comes_steadily_may_take_longer():
    async def slow(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5):
            await response.write(b"line\n")
            await asyncio.sleep(0.1)
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", slow)
    async with serving(app) as url:
        house = Web(url, limit=0.3)
        assert (await house.get("/x")).text == "line\n" * 5
        await house.close()


# ----------------------------------------------------------------------------------------------------------- breaking off


async def test_a_look_survives_one_dropped_socket():
    times = iter(range(3))

    def answer(*_):
        if next(times) == 0:
            raise Drop
        return {"ok": True}

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        assert await route.get("/info") == {"ok": True}
        assert len(core.sockets) == 2


async def test_a_look_gives_up_after_the_second_drop():
    def answer(*_):
        raise Drop

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        with pytest.raises(Unreachable) as caught:
            await route.get("/info")
        assert (caught.value.code, caught.value.maybe_done) == ("dropped", False)
        assert len(core.sockets) == 2


async def test_a_change_that_breaks_off_may_be_done_and_is_not_repeated():
    def answer(*_):
        raise Drop

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        with pytest.raises(Unreachable) as caught:
            await route.post("/addons/core_ssh/restart")
        assert (caught.value.code, caught.value.maybe_done) == ("dropped", True)
        assert len([asked for asked in core.asked if asked.get("method") == "post"]) == 1


async def test_a_change_after_a_quiet_drop_connects_again_first():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        await route.get("/info")
        await core.sockets[0].close()
        await asyncio.wait({route._line._listening})
        assert await route.post("/addons/core_ssh/start") == {}
        assert len(core.sockets) == 2


def _empty(*_):
    raise PermissionError("unknown_error", "")


async def test_an_empty_refusal_of_a_change_is_no_answer():
    async with running(LittleCore(supervisor=_empty)) as core, route_to(core.url) as route:
        with pytest.raises(Unreachable) as caught:
            await route.post("/addons/core_ssh/start")
    assert (caught.value.code, caught.value.maybe_done) == ("no-answer", True)


async def test_an_empty_refusal_of_a_look_that_comes_at_once_is_none_of_time():
    async with running(LittleCore(supervisor=_empty)) as core, route_to(core.url) as route:
        with pytest.raises(Unreachable) as caught:
            await route.get("/info")
    error = caught.value
    assert (error.code, error.maybe_done) == ("no-reason", False)
    assert "GET /info" in error.message
    assert "effect" not in error.message
    assert any("after 0.0 s" in seen for seen in error.evidence)


async def test_an_empty_refusal_of_a_look_at_the_end_of_its_time_is_no_answer(monkeypatch):
    from ha_ssh.world.ha import routes

    monkeypatch.setattr(routes, "_LOOK", 0.05)

    async def answer(*_):
        await asyncio.sleep(0.05)
        raise PermissionError("unknown_error", "")

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        with pytest.raises(Unreachable) as caught:
            await route.get("/info")
    assert (caught.value.code, caught.value.maybe_done) == ("no-answer", False)
    assert "GET /info" in caught.value.message
    assert "effect" not in caught.value.message


async def test_core_that_says_nothing_within_our_limit(monkeypatch):
    from ha_ssh.world.ha import routes

    monkeypatch.setattr(routes, "_SLACK", 0.05)
    never = asyncio.Event()

    async def answer(*_):
        await never.wait()

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        with pytest.raises(Unreachable) as caught:
            await route.post("/addons/core_ssh/start", limit=0.05)
        never.set()
    assert (caught.value.code, caught.value.maybe_done) == ("no-answer", True)


class SwiftClock:
    """A clock on which pauses take no time."""

    def __init__(self, then=lambda: None):
        self.time = 0.0
        self.then = then

    def now(self):
        return self.time

    def date(self):
        return ""

    async def sleep(self, seconds):
        self.time += seconds
        await self.then()


async def test_a_house_that_comes_back_is_waited_for():
    async with contextlib.AsyncExitStack() as stack:
        core = LittleCore(everything=502)
        await stack.enter_async_context(running(core))
        route = await stack.enter_async_context(route_to(core.url))

        async def back_after_a_while():
            if clock.time > 10:
                core.everything = None

        clock = SwiftClock(back_after_a_while)
        assert (await reach(route, clock, limit=60)).user == "Ann"
        assert clock.time > 10


async def test_waiting_ends_and_a_wrong_token_is_not_waited_for():
    async def nothing():
        """The house stays as it is."""

    async with running(LittleCore(everything=502)) as core, route_to(core.url) as route:
        clock = SwiftClock(nothing)
        with pytest.raises(HaSshError) as caught:
            await reach(route, clock, limit=30)
        assert caught.value.code == "core-not-answering"
        assert clock.time <= 30
        core.everything = None
    async with running(LittleCore()) as core, route_to(core.url, "wrong") as route:
        clock = SwiftClock(nothing)
        with pytest.raises(Refused):
            await reach(route, clock)
        assert clock.time == 0


# ------------------------------------------------------------------------------------------------------ events, progress


async def test_events_call_back_until_stopped():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        heard: asyncio.Queue = asyncio.Queue()
        stop = await route.on_event(heard.put_nowait)
        await core.tell({"event": "addon", "data": {"slug": "core_ssh", "state": "started"}})
        assert (await heard.get())["data"]["state"] == "started"
        stop()
        await core.tell({"event": "addon", "data": {}})
        await route.get("/info")
        assert heard.empty()
        assert len([asked for asked in core.asked if asked["type"] == "supervisor/subscribe"]) == 1


async def test_events_go_on_after_a_reconnect():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        heard: asyncio.Queue = asyncio.Queue()
        await route.on_event(heard.put_nowait)
        await core.sockets[0].close()
        await asyncio.wait({route._line._listening})
        core.listeners.clear()
        await route.get("/info")
        await core.tell({"event": "addon", "data": {}})
        assert (await heard.get())["event"] == "addon"


async def test_a_listener_that_fails_harms_nobody():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["exception"]))
        await route.on_event(lambda event: event["nothing"])
        await core.tell({"event": "addon", "data": {}})
        assert await route.get("/info") == {}
        assert [type(complaint) for complaint in complaints] == [KeyError]


def job(progress, *, name="addon_manager_install", reference="core_ssh", done=False, parent=None, **more):
    return {
        "name": name, "reference": reference, "uuid": "1", "progress": progress, "stage": None, "done": done,
        "parent_id": parent, "errors": [], **more,
    }  # fmt: skip


async def test_progress_comes_from_events():
    told: asyncio.Queue = asyncio.Queue()
    seen = []

    async def answer(*_):
        for said in (
            job(0),
            job(90, reference="another_app"),
            job(30, name="docker_interface_install", reference="addon_core_ssh", parent="1"),
            job(25.0, stage="downloading_image"),
            job(80, name="docker_interface_install", parent="1"),
            job(50),
        ):
            await core.tell({"event": "job", "data": said})
        while (seen[-1:] or [None])[0] != (0.5, ""):
            seen.append(await told.get())
        return {}

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        await route.post(
            "/store/addons/core_ssh/install", on_progress=lambda fraction, detail: told.put_nowait((fraction, detail))
        )
    assert seen == [(None, ""), (0.3, ""), (0.3, "downloading image"), (0.3, ""), (0.5, "")]
    assert "/jobs/info" not in [asked.get("endpoint") for asked in core.asked]


async def test_progress_is_asked_for_where_no_events_come():
    told: asyncio.Queue = asyncio.Queue()
    percents = iter([10, 40, 20, 70])

    async def answer(_method, endpoint, _data):
        if endpoint == "/jobs/info":
            nested = job(next(percents, 70), child_jobs=[{"name": "docker_install", "reference": "core_ssh", "progress": 99}])
            return {"jobs": [job(99, reference="else"), job(100, done=True), nested]}
        while (await told.get())[0] != 0.7:
            pass
        return {"installed": True}

    async with running(LittleCore(supervisor=answer, subscribe=False)) as core, route_to(core.url, poll_every=0.01) as route:
        answer = await route.post("/store/addons/core_ssh/install", on_progress=lambda *said: told.put_nowait(said))
    assert answer == {"installed": True}


async def test_trouble_with_progress_is_no_trouble_of_the_call():
    asked = asyncio.Event()

    async def answer(_method, endpoint, _data):
        if endpoint == "/jobs/info":
            asked.set()
            raise PermissionError("unknown_error", "System is not ready with state: setup")
        await asked.wait()
        return {"ok": True}

    async with running(LittleCore(supervisor=answer, subscribe=False)) as core, route_to(core.url, poll_every=0.01) as route:
        assert await route.post("/addons/core_ssh/start", on_progress=lambda *_: None) == {"ok": True}


async def test_whoever_stops_waiting_for_the_connection_harms_nobody():
    async with running(LittleCore()) as core, route_to(core.url) as route:
        first = asyncio.create_task(route.get("/info"))
        await asyncio.sleep(0)
        first.cancel()
        assert await route.get("/info") == {}
        assert len(core.sockets) == 1


async def test_a_cancelled_change_leaves_nothing_behind():
    started, never = asyncio.Event(), asyncio.Event()

    async def answer(*_):
        started.set()
        await never.wait()

    async with running(LittleCore(supervisor=answer)) as core, route_to(core.url) as route:
        call = asyncio.create_task(route.post("/store/addons/core_ssh/install", on_progress=lambda *_: None))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        never.set()
        assert await route.command("auth/current_user")


# ------------------------------------------------------------------------------------------------------ trouble on the way


async def test_a_name_that_nobody_knows():
    error = await trouble("http://no-such-house.invalid:8123")
    assert error.code == "not-resolvable"
    assert "no-such-house.invalid" in error.message


async def test_a_port_where_nothing_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await trouble(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert error.code == "connection-refused"


async def test_several_addresses_that_all_refuse():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await trouble(f"http://localhost:{free.getsockname()[1]}")
    assert error.code == "connection-refused"


async def test_a_server_that_never_answers():
    async def silent(reader, _writer):
        await reader.read()

    async with raw(silent) as port:
        error = await trouble(f"http://127.0.0.1:{port}", limit=0.2)
    assert error.code == "timed-out"


async def test_a_sign_in_that_never_goes_on():
    async def silent(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        return ws

    app = web.Application()
    app.router.add_get("/api/websocket", silent)
    async with serving(app) as url:
        assert (await trouble(url, limit=0.2)).code == "timed-out"


async def test_a_server_that_speaks_no_http():
    async def ssh(_reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_10.0\r\n")
        await writer.drain()

    async with raw(ssh) as port:
        assert (await trouble(f"http://127.0.0.1:{port}")).code == "not-home-assistant"


async def test_a_server_that_hangs_up():
    async def rude(reader, _writer):
        await reader.readline()

    async with raw(rude) as port:
        error = await trouble(f"http://127.0.0.1:{port}")
    assert error.code == "dropped"
    assert any("https:" in hint for hint in error.hints)


async def test_something_else_answers():
    app = web.Application()
    app.router.add_get("/{path:.*}", _saying(200, "<html>a router</html>"))
    async with serving(app) as url:
        assert (await trouble(url)).code == "not-home-assistant"


async def test_a_websocket_of_something_else():
    async def chat(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(b"hello".decode())
        await ws.receive()
        return ws

    app = web.Application()
    app.router.add_get("/api/websocket", chat)
    async with serving(app) as url:
        assert (await trouble(url)).code == "not-home-assistant"


async def test_a_camera_that_never_ends():
    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 1_000_000)
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", stream)
    async with serving(app) as url:
        assert (await trouble(url)).code in {"not-home-assistant", "timed-out"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (400, "did not come through whole"),
        (401, "wants a sign-in of its own"),
        (403, "forbids that"),
        (404, "does not know `/api/websocket`"),
        (200, "a page comes in its place"),
        (429, "no more requests"),
        (502, "does not reach Home Assistant"),
        (503, "does not reach Home Assistant"),
    ],
)
async def test_a_proxy_that_lets_no_websocket_through(status, why):
    async with running(LittleCore(socket=False, socket_status=status)) as core:
        error = await trouble(core.url)
    assert error.code == "no-websocket"
    assert why in error.message
    assert any(str(status) in seen and "/api/websocket" in seen for seen in error.evidence)


async def test_a_proxy_that_core_does_not_trust():
    async with running(LittleCore(everything=400)) as core:
        error = await trouble(core.url)
    assert error.code == "untrusted-proxy"
    assert any("trusted_proxies" in hint for hint in error.hints)


async def test_a_banned_address():
    async with running(LittleCore(everything=403)) as core:
        assert (await trouble(core.url)).code == "ip-banned"
        assert core.signed_in == []


@pytest.mark.parametrize(("status", "code"), [(500, "server-error"), (502, "core-not-answering"), (503, "core-not-answering")])
async def test_a_proxy_without_a_core_behind_it(status, code):
    async with running(LittleCore(everything=status)) as core:
        assert (await trouble(core.url)).code == code


async def test_the_page_of_an_installation_under_way():
    app = web.Application()
    app.router.add_get("/{path:.*}", _saying(200, "<h1>Preparing Home Assistant</h1>"))
    async with serving(app) as url:
        assert (await trouble(url)).code == "core-starting"


async def test_plain_http_to_a_tls_port_of_nginx():
    app = web.Application()
    app.router.add_get("/{path:.*}", _saying(400, "The plain HTTP request was sent to HTTPS port"))
    async with serving(app) as url:
        assert (await trouble(url)).code == "needs-https"


@pytest.mark.parametrize("there", ["http://evil.example/api/websocket", "/elsewhere"])
async def test_the_socket_follows_no_redirect(there):
    async with running(LittleCore(redirects={"/api/websocket": there})) as core:
        assert (await trouble(core.url)).code == "redirected"
        assert [request.path for request in core.requests] == ["/api/websocket"]
        assert core.signed_in == []


@pytest.mark.parametrize(
    ("there", "code", "said"),
    [
        ("/login?next=/", "front-sign-in", "a sign-in page of its own, /login"),
        ("https://auth.example.org/?rd=x", "front-sign-in", "https://auth.example.org/"),
        ("/elsewhere", "redirected", "another page of the same address"),
        ("/api/websocket", "redirected", "in a circle"),
        ("http://evil.example/api/websocket", "redirected", "to another host"),
    ],
)
async def test_a_redirect_of_the_socket_is_told_for_what_it_is(there, code, said):
    async with running(LittleCore(redirects={"/api/websocket": there})) as core:
        error = await trouble(core.url)
    assert error.code == code
    assert said in error.message
    assert "out of TLS" not in error.message
    assert error.evidence


async def test_the_log_follows_no_redirect():
    path = "/api/hassio/addons/core_ssh/logs"
    async with running(LittleCore()) as other:
        async with running(LittleCore(redirects={path: other.url + path})) as core, route_to(core.url) as route:
            with pytest.raises(Unreachable) as caught:
                await route.log("core_ssh")
        assert caught.value.code == "redirected"
        assert other.requests == []


async def test_ipv6():
    try:
        async with running(LittleCore(), host="::1") as core, route_to(core.url) as route:
            assert "[::1]" in core.url
            assert (await route.core()).user == "Ann"
    except OSError:
        pytest.skip("this machine has no IPv6")


def _saying(status, text):
    async def answer(_request):
        return web.Response(status=status, text=text, content_type="text/html")

    return answer


# ------------------------------------------------------------------------------------------------------------------- TLS


def shown(fingerprint):
    return ":".join(fingerprint[n : n + 2].upper() for n in range(0, len(fingerprint), 2))


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


async def test_tls_with_a_private_authority(authority):
    context, _ = authority.context("localhost")
    async with running(LittleCore(), context=context) as core:
        url = core.url.replace("127.0.0.1", "localhost")
        async with route_to(url, tls=Tls(ca_file=str(authority.file))) as route:
            assert (await route.core()).tls
            assert await route.log("core_ssh") == "one\ntwo\n"


@pytest.mark.parametrize("write", [lambda digits: digits, lambda digits: f"SHA256:{shown(digits)}"])
async def test_tls_with_a_pinned_certificate(authority, write):
    context, fingerprint = authority.context("another.name", own=True)
    async with (
        running(LittleCore(), context=context) as core,
        route_to(core.url, tls=Tls(fingerprint=write(fingerprint))) as route,
    ):
        assert (await route.core()).user == "Ann"
        assert await route.log("core_ssh") == "one\ntwo\n"


async def test_tls_with_another_certificate_than_the_pinned_one(authority):
    context, fingerprint = authority.context("localhost")
    async with running(LittleCore(), context=context) as core:
        error = await trouble(core.url, tls=Tls(fingerprint="0" * 64))
        assert core.requests == []
    assert error.code == "tls-fingerprint"
    assert shown(fingerprint) in error.message


async def test_tls_of_an_unknown_authority_offers_the_fingerprint(authority):
    context, fingerprint = authority.context("127.0.0.1")
    async with running(LittleCore(), context=context) as core:
        error = await trouble(core.url)
        assert core.requests == []
    assert error.code == "tls-unknown-issuer"
    assert any(shown(fingerprint) in hint for hint in error.hints)


async def test_tls_signed_by_itself(authority):
    context, _ = authority.context("127.0.0.1", own=True)
    async with running(LittleCore(), context=context) as core:
        assert (await trouble(core.url)).code in {"tls-self-signed", "tls-unknown-issuer"}


@pytest.mark.parametrize(("alt", "host"), [("ha.example.com", "localhost"), ("10.1.2.3", "127.0.0.1")])
async def test_tls_for_another_name(authority, alt, host):
    context, _ = authority.context(alt)
    async with running(LittleCore(), context=context) as core:
        error = await trouble(core.url.replace("127.0.0.1", host), tls=Tls(ca_file=str(authority.file)))
    assert error.code == "tls-name-mismatch"


async def test_tls_that_demands_a_certificate_of_the_client(authority):
    context, _ = authority.context("127.0.0.1")
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    async with running(LittleCore(), context=context) as core:
        error = await trouble(core.url, tls=Tls(ca_file=str(authority.file)))
        assert core.requests == []
    assert error.code in {"client-certificate", "dropped"}, "the alert and the end of the connection come at the same time"
    assert not any("`--url http://127" in hint for hint in error.hints)


async def test_tls_1_2_that_demands_a_certificate_of_the_client(authority):
    context, _ = authority.context("127.0.0.1")
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with running(LittleCore(), context=context) as core:
        error = await trouble(core.url, tls=Tls(ca_file=str(authority.file)))
    assert error.code in {"tls-refused", "tls-failed"}, "by the alert, or by the end of the connection where that is all there is"
    assert "client certificate" in error.message
    assert " or it " in error.message, "what else it may be"
    assert not any("`--url http://127" in hint for hint in error.hints)


@pytest.mark.parametrize(
    ("alert", "code", "said"),
    [
        (70, "tls-too-old", "too old"),
        (40, "tls-refused", "client certificate"),
        (112, "tls-refused", "no certificate for the name"),
        (80, "tls-refused", "no certificate for the name"),
        (115, "tls-failed", "not recognised"),
    ],
)
async def test_a_tls_alert_is_told_for_what_it_is(alert, code, said):
    """A fatal alert in answer to the first message (RFC 8446, 6.2); without TLS nobody is told to go."""

    async def refuse(reader, writer):
        await reader.read(1000)
        writer.write(bytes([21, 3, 3, 0, 2, 2, alert]))
        await writer.drain()

    async with raw(refuse) as port:
        error = await trouble(f"https://127.0.0.1:{port}")
    assert error.code == code
    assert said in error.message
    assert error.evidence
    assert not any("`--url http://127" in hint for hint in error.hints)


async def test_tls_that_has_expired(authority):
    context, _ = authority.context("127.0.0.1", days=-1)
    async with running(LittleCore(), context=context) as core:
        assert (await trouble(core.url, tls=Tls(ca_file=str(authority.file)))).code == "tls-expired"


async def test_tls_to_a_plain_port():
    async with running(LittleCore()) as core:
        assert (await trouble(core.url.replace("http:", "https:"))).code == "tls-failed"


async def test_plain_http_to_a_tls_port_of_core(authority):
    context, _ = authority.context("127.0.0.1")
    async with running(LittleCore(), context=context) as core:
        error = await trouble(core.url.replace("https:", "http:"))
    assert error.code == "dropped"
    assert any("https:" in hint for hint in error.hints)


@pytest.mark.parametrize("tls", [Tls(fingerprint="abc"), Tls(fingerprint="00" * 20), Tls(ca_file="/no/such/file")])
async def test_tls_settings_that_cannot_be(tls):
    async with route_to("https://127.0.0.1:1", tls=tls) as route:
        with pytest.raises(UsageError):
            await route.core()


# --------------------------------------------------------------------------------------- the REST API, inside and by SSH


class LittleSupervisor:
    """The Supervisor's REST, as much as a route needs."""

    def __init__(self):
        self.calls = []
        self.jobs = []
        self.release = asyncio.Event()

    def app(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request):
        data = await request.json() if request.can_read_body else None
        self.calls.append((request.method, request.path, data))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"result": "error", "message": "401: Unauthorized"}, status=401)
        match request.path:
            case "/core/info":
                return web.json_response({"result": "ok", "data": {"version": "2026.11.0"}})
            case "/addons/core_ssh/logs":
                return web.Response(text="one\n\x1b[31mtwo\x1b[0m\n")
            case "/addons/nothing/logs":
                return web.Response(status=400, text="App is not installed")
            case "/jobs/info":
                if self.jobs:
                    self.release.set()
                self.jobs.append(1)
                return web.json_response({"result": "ok", "data": {"jobs": [job(60)]}})
            case "/store/addons/core_ssh/install":
                await self.release.wait()
                return web.json_response({"result": "ok", "data": {}})
            case "/drop":
                request.transport.close()
                return web.Response()
        return web.json_response(
            {"result": "error", "message": "App core_ssh has invalid options: Missing option 'a'. Got {'p': 'hunter2'}"},
            status=400,
        )


class LocalSession:
    """A login's `run`, on this very machine: the shell and the curl are real."""

    def __init__(self, token=TOKEN):
        self.environment = {"PATH": os.environ["PATH"]} | ({"SUPERVISOR_TOKEN": token} if token else {})
        self.commands = []

    async def run(self, command, *, limit=15.0):
        self.commands.append(command)
        process = await asyncio.create_subprocess_exec("sh", "-c", command, stdout=-1, stderr=-1, env=self.environment)
        try:
            out, err = await asyncio.wait_for(process.communicate(), limit)
        except BaseException:
            process.kill()
            await process.communicate()
            raise
        return Ran(code=process.returncode, out=out.decode(), err=err.decode())


@contextlib.asynccontextmanager
async def inside(kind, token=TOKEN):
    supervisor = LittleSupervisor()
    async with serving(supervisor.app()) as url:
        session = LocalSession(token)
        route = (
            InsideRoute(Secret(token), url=url, poll_every=0.01)
            if kind == "inside"
            else SshRoute(session, url=url, poll_every=0.01)
        )
        supervisor.session = session
        try:
            yield supervisor, route
        finally:
            await route.close()


both = pytest.mark.parametrize("kind", ["inside", "ssh"])


@both
async def test_rest_looks_and_changes(kind):
    async with inside(kind) as (supervisor, route):
        seen = await route.core()
        assert (seen.version, seen.is_admin, seen.has_supervisor) == ("2026.11.0", True, True)
        assert await route.log("core_ssh") == "one\ntwo\n"
        told = []
        body = {"quotes": "\"'\\ $HOME `id` %s \n ü", "list": [1, None]}
        assert await route.post("/store/addons/core_ssh/install", body, on_progress=lambda *said: told.append(said)) == {}
        assert ("POST", "/store/addons/core_ssh/install", body) in supervisor.calls
        assert told[0] == (0.6, "")


@both
async def test_rest_refusals(kind):
    async with inside(kind) as (_, route):
        with pytest.raises(Refused) as caught:
            await route.post("/addons/core_ssh/options", {"options": {"p": "hunter2"}})
        assert caught.value.code == "invalid-options"
        assert "hunter2" not in caught.value.message
        with pytest.raises(Refused) as caught:
            await route.log("nothing")
        assert caught.value.code == "not-installed"


@both
async def test_rest_with_a_wrong_token(kind):
    async with inside(kind, token="wrong") as (_, route):
        with pytest.raises(Refused) as caught:
            await route.get("/info")
    assert caught.value.code == "forbidden"


@both
async def test_rest_that_breaks_off(kind):
    async with inside(kind) as (_, route):
        with pytest.raises(Unreachable) as caught:
            await route.post("/drop")
        assert caught.value.maybe_done
        with pytest.raises(Unreachable) as caught:
            await route.get("/drop")
        assert not caught.value.maybe_done


@both
async def test_rest_has_no_events(kind):
    async with inside(kind) as (_, route):
        stop = await route.on_event(print)
        stop()


async def test_a_supervisor_that_is_not_there():
    for route in (InsideRoute(Secret(TOKEN), url="http://127.0.0.1:1"), SshRoute(LocalSession(), url="http://127.0.0.1:1")):
        with pytest.raises(Unreachable) as caught:
            await route.post("/x")
        assert caught.value.code in {"connection-refused", "supervisor-unreachable"}
        assert not caught.value.maybe_done
        await route.close()


async def test_no_token_in_the_login():
    async with inside("ssh", token="") as (_, route):
        with pytest.raises(Unreachable) as caught:
            await route.get("/info")
    assert caught.value.code == "no-supervisor-token"


async def test_a_login_that_gets_the_token_by_its_profile():
    class OfNoRoot(LocalSession):
        async def run(self, command, *, limit=15.0):
            profile = command.replace("bash -lc", f"SUPERVISOR_TOKEN={TOKEN} bash -c", 1)
            return await super().run(profile, limit=limit)

    async with inside("ssh", token="") as (supervisor, route):
        route._session = session = OfNoRoot("")
        assert (await route.core()).version == "2026.11.0"
        assert await route.post("/store/addons/core_ssh/install", {"it's": '"$HOME'}, on_progress=lambda *_: None) == {}
        assert {"it's": '"$HOME'} in [call[2] for call in supervisor.calls]
        assert len([command for command in session.commands if "bash -c" not in command]) == 1


async def test_nothing_secret_is_readable_in_the_command():
    async with inside("ssh") as (supervisor, route):
        with pytest.raises(Refused):
            await route.post("/addons/core_ssh/options", {"options": {"password": "hunter2"}})
        assert not any(TOKEN in command or "hunter2" in command for command in supervisor.session.commands)


async def test_an_ssh_connection_that_breaks_off():
    class Gone:
        async def run(self, command, *, limit=15.0):
            raise SshTrouble(DoorState.DROPPED if hasattr(DoorState, "DROPPED") else next(iter(DoorState)), "broke off")

    with pytest.raises(Unreachable) as caught:
        await SshRoute(Gone()).post("/addons/core_ssh/restart")
    assert (caught.value.code, caught.value.maybe_done) == ("dropped", True)


# ------------------------------------------------------------------------------------------------------------------- web


async def test_a_token_never_travels_along_a_redirect():
    web_client = Web("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="token"):
        await web_client.get("/", token=Secret(TOKEN), follow=True)


async def test_a_circle_of_redirects_ends():
    async with running(LittleCore(redirects={"/manifest.json": "/manifest.json"})) as core:
        client = Web(core.url)
        with pytest.raises(Unreachable) as caught:
            await client.get("/manifest.json", follow=True)
        await client.close()
    assert caught.value.code == "redirected"
    assert "in a circle" in caught.value.message
    assert len(core.requests) == 1
    assert MANIFEST


async def test_an_error_behind_a_redirect_names_the_address_that_was_tried():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        there = f"http://127.0.0.1:{free.getsockname()[1]}/manifest.json"
        async with running(LittleCore(redirects={"/manifest.json": there})) as core:
            client = Web(core.url)
            with pytest.raises(Unreachable) as caught:
                await client.get("/manifest.json", follow=True)
            await client.close()
    error = caught.value
    assert error.code == "connection-refused"
    assert f"{core.url}/manifest.json redirects to {there}" in error.message
    assert f"nothing listens on its port {free_port(there)}" in error.message
    assert any(there in seen for seen in error.evidence)


def free_port(url):
    return url.rpartition(":")[2].partition("/")[0]
