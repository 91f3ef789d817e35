"""The simulated Core over the wire: what was recorded, sign-in, tokens, the WebSocket, and its ways to misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio

from ha_ssh.sim.core import Front
from ha_ssh.sim.house import Fault, House, totp
from ha_ssh.sim.running import Running, serve, serve_in_thread
from servers import TERMINAL, new_house, serve_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RECORDED = Path(__file__).parent.parent / "recorded"
CLIENT = "http://127.0.0.1:9/"


def record(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


@pytest_asyncio.fixture
async def http(running_house: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(running_house.url) as session:
        yield session


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Talk:
    """A WebSocket that has signed in, as a client of its own: written apart from the program's."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.last = 0

    async def send(self, kind: str, **fields: Any) -> int:
        self.last += 1
        await self.socket.send_json({"id": self.last, "type": kind, **fields})
        return self.last

    async def __call__(self, kind: str, **fields: Any) -> dict[str, Any]:
        number = await self.send(kind, **fields)
        while True:
            answer: dict[str, Any] = await self.socket.receive_json()
            if answer["id"] == number:
                return {key: value for key, value in answer.items() if key != "id"}

    async def supervisor(self, endpoint: str, method: str = "get", **fields: Any) -> dict[str, Any]:
        return await self("supervisor/api", endpoint=endpoint, method=method, **fields)


@contextlib.asynccontextmanager
async def talk(http: aiohttp.ClientSession, token: str, path: str = "/api/websocket") -> AsyncIterator[Talk]:
    async with http.ws_connect(path) as socket:
        assert await socket.receive_json() == record("00-handshake")["hello"]
        await socket.send_json({"type": "auth", "access_token": token})
        assert await socket.receive_json() == record("00-handshake")["auth_ok"]
        yield Talk(socket)


# ---------------------------------------------------------------------------------------------------------- as recorded


async def test_plain_http_is_as_recorded(running_house: Running, http: aiohttp.ClientSession) -> None:
    for path, told in record("12-http").items():
        async with http.get(path) as answer:
            assert answer.status == told["without_token"], path
        async with http.get(path, headers=bearer(running_house.token.reveal())) as answer:
            start = told["start"].removesuffix("{...}")
            assert (answer.status, answer.content_type) == (told["status"], told["type"]), path
            assert (await answer.text()).startswith(start), path


async def test_the_websocket_is_as_recorded(running_house: Running, http: aiohttp.ClientSession) -> None:
    async with talk(http, running_house.token.reveal()) as ws:
        for name in (
            "01-current-user",
            "10-logs-over-websocket",
            "04-core_ssh-start-not-installed",
            "05-v2-path",
            "02-jobs-info",
        ):
            told = record(name)
            request = {key: value for key, value in told["request"].items() if key != "type"}
            answer = await ws(told["request"]["type"], **request)
            if name == "01-current-user":
                assert answer["result"].keys() == told["answer"]["result"].keys()
                assert answer["result"]["mfa_modules"] == told["answer"]["result"]["mfa_modules"]
            else:
                assert answer == told["answer"], name
        assert (await ws("auth/long_lived_access_token", client_name="ha-ssh laptop", lifespan=1))["success"]
        told = record("11-token-same-name")
        again = await ws("auth/long_lived_access_token", client_name="ha-ssh laptop", lifespan=1)
        assert again == told["answer"]


async def test_somebody_who_is_no_admin_sees_an_app_without_its_options(
    running_house: Running, http: aiohttp.ClientSession
) -> None:
    async with talk(http, running_house.house.guest_token) as ws:
        info = await ws.supervisor("/addons/core_ssh/info")
        assert info["success"]
        assert "options" not in info["result"]
        assert await ws.supervisor("/store/addons/core_ssh/install", "post") == record("13-not-admin-install")["answer"]
        assert await ws.supervisor("/store/addons/core_ssh") == record("13-not-admin-store")["answer"]
        assert (await ws("supervisor/subscribe"))["error"]["code"] == "unauthorized"
    async with http.get("/api/hassio/addons/core_ssh/logs", headers=bearer(running_house.house.guest_token)) as answer:
        assert answer.status == 401


# -------------------------------------------------------------------------------------------------------- the Supervisor


async def test_a_timeout_that_is_too_short_fails_empty_while_the_job_goes_on(
    running_house: Running, http: aiohttp.ClientSession
) -> None:
    house = running_house.house
    house.knobs.install_seconds = 0.4
    async with talk(http, running_house.token.reveal()) as ws:
        answer = await ws.supervisor("/store/addons/core_ssh/install", "post", timeout=0.05)
        assert answer == record("06-install-too-short-timeout")["answer"]
        assert not house.app(TERMINAL).installed
        number = await ws.send("supervisor/subscribe")
        done = False
        while not done:
            message = await ws.socket.receive_json()
            data = message.get("event", {}).get("data", {})
            done = message["id"] == number and data.get("done", False)
        assert house.app(TERMINAL).installed


async def test_a_long_install_tells_its_progress_and_does_not_hold_up_others(
    running_house: Running, http: aiohttp.ClientSession
) -> None:
    running_house.house.knobs.install_seconds = 0.2
    async with talk(http, running_house.token.reveal()) as ws:
        events = await ws.send("supervisor/subscribe")
        install = await ws.send("supervisor/api", endpoint="/store/addons/core_ssh/install", method="post", timeout=None)
        ping = await ws.send("ping")
        seen: list[Any] = []
        while not seen or seen[-1]["id"] != install:
            seen.append(await ws.socket.receive_json())
        order = [message["id"] for message in seen]
        assert order.index(ping) < order.index(install)
        progress = [
            m["event"]["data"]["progress"] for m in seen if m["id"] == events and m.get("event", {}).get("event") == "job"
        ]
        assert progress == sorted(progress)
        assert progress[0] == 0
        assert progress[-1] == 100
        assert seen[-1]["success"]


async def test_without_a_supervisor_the_command_is_not_known(running_house: Running, http: aiohttp.ClientSession) -> None:
    running_house.house.knobs.no_supervisor = True
    async with talk(http, running_house.token.reveal()) as ws:
        assert (await ws.supervisor("/info"))["error"]["code"] == "unknown_command"
        assert "hassio" not in (await ws("get_config"))["result"]["components"]
    async with http.get("/api/hassio/addons/core_ssh/logs", headers=bearer(running_house.token.reveal())) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(("when", "effect"), [("before", False), ("after", True)])
async def test_the_socket_drops_before_or_after_the_effect(
    running_house: Running, http: aiohttp.ClientSession, when: str, effect: bool
) -> None:
    running_house.house.knobs.faults.append(Fault("POST /store/addons/core_ssh/install", when=when))
    async with talk(http, running_house.token.reveal()) as ws:
        await ws.send("supervisor/api", endpoint="/store/addons/core_ssh/install", method="post")
        assert (await ws.socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
    assert running_house.house.app(TERMINAL).installed is effect


async def test_nonsense_is_refused_and_the_talk_goes_on(running_house: Running, http: aiohttp.ClientSession) -> None:
    async with talk(http, running_house.token.reveal()) as ws:
        assert (await ws("no/such/thing"))["error"]["code"] == "unknown_command"
        assert (await ws("supervisor/api", endpoint=3, method="get"))["error"]["code"] == "invalid_format"
        await ws.socket.send_json({"id": 1, "type": "ping"})
        assert (await ws.socket.receive_json())["error"]["code"] == "id_reuse"
        assert await ws("ping") == {"type": "pong"}


async def test_the_log_of_an_app_can_be_followed(running_house: Running, http: aiohttp.ClientSession) -> None:
    serve_ssh(running_house.house, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1Eh6qbm30psl7AJOTwF/MbbRP/JKsWdj8GNQ41hbhZ laptop")
    async with http.get("/api/hassio/addons/core_ssh/logs/follow", headers=bearer(running_house.token.reveal())) as answer:
        text = (await answer.content.readany()).decode()
        assert "Server listening on" in text
        running_house.house.app(TERMINAL).log.append("something new")
        assert (await answer.content.readany()).decode() == "something new\n"


# --------------------------------------------------------------------------------------------------------------- sign-in


async def sign_in(http: aiohttp.ClientSession, username: str, password: str) -> dict[str, Any]:
    first = {"client_id": CLIENT, "handler": ["homeassistant", None], "redirect_uri": CLIENT + "callback"}
    async with http.post("/auth/login_flow", json=first) as answer:
        form = await answer.json()
        assert form["step_id"] == "init"
    return await step(http, form, username=username, password=password)


async def step(http: aiohttp.ClientSession, form: dict[str, Any], **fields: str) -> dict[str, Any]:
    async with http.post(f"/auth/login_flow/{form['flow_id']}", json={"client_id": CLIENT, **fields}) as answer:
        result: dict[str, Any] = await answer.json()
        return result


async def token(http: aiohttp.ClientSession, **fields: str) -> tuple[int, dict[str, Any]]:
    async with http.post("/auth/token", data={"client_id": CLIENT, **fields}) as answer:
        return answer.status, await answer.json()


async def test_a_name_and_a_password_end_in_a_session_that_refreshes_and_can_be_revoked(
    running_house: Running, http: aiohttp.ClientSession
) -> None:
    owner = running_house.house.owner
    assert (await sign_in(http, "owner", "wrong"))["errors"] == {"base": "invalid_auth"}
    entry = await sign_in(http, "owner", owner.password)
    assert entry["type"] == "create_entry"
    status, session = await token(http, grant_type="authorization_code", code=entry["result"])
    assert status == 200
    assert (session["token_type"], session["expires_in"]) == ("Bearer", 1800)
    status, again = await token(http, grant_type="authorization_code", code=entry["result"])
    assert (status, again["error"]) == (400, "invalid_request")
    status, fresh = await token(http, grant_type="refresh_token", refresh_token=session["refresh_token"])
    assert status == 200
    async with talk(http, fresh["access_token"]) as ws:
        assert (await ws("auth/current_user"))["result"]["is_owner"]
        async with http.post("/auth/revoke", data={"token": session["refresh_token"]}) as answer:
            assert answer.status == 200
        assert (await ws.socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
    async with http.get("/api/", headers=bearer(fresh["access_token"])) as answer:
        assert answer.status == 401
    status, refused = await token(http, grant_type="refresh_token", refresh_token=session["refresh_token"])
    assert (status, refused["error"]) == (400, "invalid_grant")


async def test_two_factor_sign_in_asks_for_a_code(running_house: Running, http: aiohttp.ClientSession) -> None:
    house = running_house.house
    house.owner.totp_secret = "JBSWY3DPEHPK3PXP"
    form = await sign_in(http, "owner", house.owner.password)
    assert (form["step_id"], [field["name"] for field in form["data_schema"]]) == ("mfa", ["code"])
    assert (await step(http, form, code="000000"))["errors"] in ({"base": "invalid_code"}, {})
    code = totp(house.owner.totp_secret, datetime.fromisoformat(house.clock.date()).timestamp())
    assert (await step(http, form, code=code))["type"] == "create_entry"
    async with talk(http, running_house.token.reveal()) as ws:
        assert (await ws("auth/current_user"))["result"]["mfa_modules"][0]["enabled"]


async def test_a_browser_signs_in_and_comes_back_with_a_code(running_house: Running, http: aiohttp.ClientSession) -> None:
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "client_id": CLIENT,
        "redirect_uri": CLIENT + "back",
        "state": "S",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    async with http.get("/auth/authorize", params=query) as page:
        assert 'name="password"' in await page.text()
    form = {"username": "owner", "password": "wrong"}
    async with http.post("/auth/authorize", params=query, data=form, allow_redirects=False) as answer:
        assert answer.status == 200
    form["password"] = running_house.house.owner.password
    async with http.post("/auth/authorize", params=query, data=form, allow_redirects=False) as answer:
        back = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert back["state"] == ["S"]
    status, refused = await token(http, grant_type="authorization_code", code=back["code"][0], code_verifier="other")
    assert (status, refused["error"]) == (400, "invalid_grant")
    async with http.post("/auth/authorize", params=query, data=form, allow_redirects=False) as answer:
        back = parse_qs(urlsplit(answer.headers["Location"]).query)
    status, _ = await token(http, grant_type="authorization_code", code=back["code"][0], code_verifier=verifier)
    assert status == 200
    async with http.get("/auth/authorize", params={**query, "redirect_uri": "http://evil.example/"}) as page:
        assert page.status == 400


async def test_a_wrong_token_is_told_once_and_counts_towards_a_ban(running_house: Running, http: aiohttp.ClientSession) -> None:
    running_house.house.ban_after = 2
    for _ in range(2):
        async with http.ws_connect("/api/websocket") as socket:
            await socket.receive_json()
            await socket.send_json({"type": "auth", "access_token": "wrong"})
            assert await socket.receive_json() == record("00-handshake")["auth_invalid"]
            assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
    for path in ("/manifest.json", "/api/", "/auth/providers"):
        async with http.get(path, headers=bearer(running_house.token.reveal())) as answer:
            assert answer.status == 403


async def test_tokens_are_listed_and_deleted(running_house: Running, http: aiohttp.ClientSession) -> None:
    async with talk(http, running_house.token.reveal()) as ws:
        made = (await ws("auth/long_lived_access_token", client_name="CI", lifespan=7))["result"]
        (listed,) = [one for one in (await ws("auth/refresh_tokens"))["result"] if one["client_name"] == "CI"]
        assert (await ws("auth/delete_refresh_token", refresh_token_id=listed["id"]))["success"]
    async with http.get("/api/", headers=bearer(made)) as answer:
        assert answer.status == 401


# ------------------------------------------------------------------------------------------------------------- the front


async def test_core_goes_away_and_comes_back(running_house: Running, http: aiohttp.ClientSession) -> None:
    async with talk(http, running_house.token.reveal()) as ws:
        running_house.house.knobs.core_down = True
        running_house.catch_up()
        assert (await ws.socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get("/manifest.json")
    running_house.house.knobs.core_down = False
    await until_it_answers(http)


async def until_it_answers(http: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with http.get("/manifest.json") as answer:
                assert answer.status == 200
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.02)


async def test_core_restarts_at_the_supervisors_word(running_house: Running, http: aiohttp.ClientSession) -> None:
    async with talk(http, running_house.token.reveal()) as ws:
        assert (await ws.supervisor("/core/restart", "post"))["success"]
        await ws.send("ping")
        assert (await ws.socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get("/manifest.json")
    await until_it_answers(http)


async def test_a_proxy_may_put_a_path_before_and_hold_websockets_back() -> None:
    async with serve(new_house(), front=Front(prefix="/ha", websocket=False)) as running:
        assert running.url.endswith("/ha")
        async with aiohttp.ClientSession() as http:
            async with http.get(running.url + "/manifest.json") as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(running.url + "/api/websocket")
            assert refused.value.status == 400


async def test_an_old_port_redirects() -> None:
    async with (
        serve(new_house(), front=Front(port=80, redirect_from=8123)) as running,
        aiohttp.ClientSession() as http,
        http.get(f"http://{running.host}:8123/manifest.json") as answer,
    ):
        assert answer.status == 200
        assert str(answer.url) == f"{running.url}/manifest.json"
        assert answer.history[0].status == 307


async def test_tls_is_served_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    async with serve(new_house(), front=Front(tls=server)) as running:
        assert running.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(certificate))
        trusting.check_hostname = False
        async with aiohttp.ClientSession() as http:
            async with http.get(running.url + "/manifest.json", ssl=trusting) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await http.get(running.url + "/manifest.json")


def self_signed(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "house")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1))  # noqa: DTZ001 - x509 takes naive UTC
        .not_valid_after(datetime(2099, 1, 1))  # noqa: DTZ001 - x509 takes naive UTC
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "house.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def test_a_house_in_a_thread_of_its_own_serves_a_program_that_blocks() -> None:
    import urllib.request

    with serve_in_thread(new_house) as running:
        with urllib.request.urlopen(running.url + "/manifest.json") as answer:
            assert json.load(answer)["name"] == "Home Assistant"
        running.call(lambda: running.house.install_now(TERMINAL))
        assert running.house.app(TERMINAL).installed
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(running.url + "/manifest.json")


def test_a_house_that_cannot_be_made_says_so_in_the_calling_thread() -> None:
    def broken() -> House:
        raise ValueError("no such scene")

    with pytest.raises(ValueError, match="no such scene"), serve_in_thread(broken):
        pass


async def test_a_taken_port_is_not_insisted_on() -> None:
    async with serve(new_house()) as one, serve(new_house(), host=one.host) as two:
        assert one.url != two.url
