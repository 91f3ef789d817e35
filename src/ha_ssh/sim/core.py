"""Home Assistant Core as a laptop sees it: sign-in, a little HTTP, and the WebSocket that leads to the Supervisor."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import re
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from aiohttp import WSMsgType, web

from ha_ssh.sim.certificates import signed_by_itself
from ha_ssh.sim.house import Dropped, Refusal, User
from ha_ssh.sim.supervisor import as_of_now, drop, request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from ha_ssh.sim.house import House, Token

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOGS = re.compile(r"(?:addons/([^/]+)|supervisor)/logs(/follow|/latest|/boots/-?\d+)?")
_DEFAULT_TIMEOUT = 10.0
_CODE_LIFETIME = 600.0
_ACCESS_LIFETIME = 1800.0

_MANIFEST = {
    "background_color": "#FFFFFF",
    "description": "Home automation platform that puts local control and privacy first.",
    "dir": "ltr",
    "display": "standalone",
    "icons": [{"src": "/static/icons/favicon-192x192.png", "sizes": "192x192", "type": "image/png"}],
    "lang": "en-US",
    "name": "Home Assistant",
    "short_name": "Home Assistant",
    "start_url": "/?homescreen=1",
    "id": "/?homescreen=1",
    "theme_color": "#03A9F4",
}

_PAGE = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Home Assistant</title></head><body>
<h1>Home Assistant</h1><p>A simulated house. You are about to give <code>{client}</code> access.</p><p role="alert">{problem}</p>
<form method="post"><label>Username <input name="username" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<label>Two-factor code, if it is on <input name="code" inputmode="numeric" autocomplete="one-time-code"></label>
<button>Log in</button></form></body></html>
"""


@dataclass(frozen=True, kw_only=True)
class Front:
    """How Core is reached: the defaults are plain HTTP on port 8123."""

    port: int = 8123
    """Where that one is taken, any free one serves."""
    tls: ssl.SSLContext | None = None
    prefix: str = ""
    """A path that a proxy puts before everything, such as `/ha`."""
    websocket: bool = True
    """False for a proxy that does not pass WebSockets on."""
    redirect_from: int | None = None
    """A further port that answers everything with a redirect (307) to Core."""


@dataclass
class _Code:
    user: User
    client_id: str
    challenge: str | None
    method: str | None
    expires: float


@dataclass
class _Flow:
    client_id: str
    challenge: str | None = None
    method: str | None = None
    user: User | None = None
    tries: int = 0


@dataclass(eq=False)
class _Talk:
    """One WebSocket of somebody who signed in."""

    socket: web.WebSocketResponse
    request: web.Request
    user: User
    token: Token
    subscriptions: dict[int, Callable[[], None]] = field(default_factory=dict)

    async def result(self, number: Any, value: Any) -> None:
        """Answer a message."""
        await self.send({"id": number, "type": "result", "success": True, "result": value})

    async def error(self, number: Any, code: str, message: str) -> None:
        """Refuse a message."""
        await self.send({"id": number, "type": "result", "success": False, "error": {"code": code, "message": message}})

    async def send(self, message: dict[str, Any]) -> None:
        """Send, unless the other side is gone."""
        if not self.socket.closed:
            await self.socket.send_json(message)


class CoreServer:
    """A listening Core in front of the simulated Supervisor."""

    def __init__(self, house: House, front: Front) -> None:
        self._house = house
        self._front = front
        self._codes: dict[str, _Code] = {}
        self._flows: dict[str, _Flow] = {}
        self._talks: set[_Talk] = set()
        self._jobs: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._redirecting: web.AppRunner | None = None
        self._where: tuple[str, int] = ("", 0)
        self._tls = front.tls

    # ------------------------------------------------------------------------------------------------ up and down

    @property
    def url(self) -> str:
        """The address that a person would type."""
        host, port = self._where
        scheme, usual = ("https", 443) if self._tls else ("http", 80)
        return f"{scheme}://{host}{'' if port == usual else f':{port}'}{self._front.prefix}"

    async def start(self, host: str) -> int:
        """Listen; returns the port."""
        application = web.Application(middlewares=[self._gate], client_max_size=16 * 1024**2)
        for method, path, handler in self._routes():
            application.router.add_route(method, self._front.prefix + path, handler)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._where = (host, self._front.port)
        await self._open()
        if self._front.redirect_from is not None:
            await self._start_redirecting(host, self._front.redirect_from)
        return self._where[1]

    async def _open(self) -> None:
        host, port = self._where
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError:
            listening.bind((host, 0))
        self._where = (host, listening.getsockname()[1])
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._handled_by, sock=listening, ssl=self._tls)

    def _handled_by(self) -> asyncio.BaseProtocol:
        if self._runner is None or self._runner.server is None:
            raise RuntimeError("Core is not set up")
        return self._runner.server()

    def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None and self._runner.server is not None:
            for connection in self._runner.server.connections:
                connection.force_close()

    def catch_up(self) -> None:
        """Go away where the house says that Core is down, and come back when it no longer does; take up its certificate."""
        if self._house.knobs.front == "tls-self-signed" and self._tls is None and self._server is not None:
            self._tls = signed_by_itself(self._where[0])
            self._shut()
            self._alongside(self._open())
        if self._house.knobs.core_down and self._server is not None:
            self._shut()
            self._alongside(self._come_back())

    async def _come_back(self) -> None:
        while self._house.knobs.core_down:
            await self._house.clock.sleep(0.05)
        await self._open()

    async def _start_redirecting(self, host: str, port: int) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._redirect)
        self._redirecting = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._redirecting.setup()
        await web.TCPSite(self._redirecting, host, port).start()

    async def close(self) -> None:
        """End everything, also the calls that nobody waits for."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        self._shut()
        for runner in (self._runner, self._redirecting):
            if runner is not None:
                await runner.cleanup()

    def _routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/", self._front_page),
            ("GET", "/manifest.json", self._manifest),
            ("GET", "/.well-known/oauth-authorization-server", self._oauth),
            ("GET", "/auth/providers", self._providers),
            ("GET", "/auth/authorize", self._authorize_page),
            ("POST", "/auth/authorize", self._authorize),
            ("POST", "/auth/login_flow", self._login_flow),
            ("POST", "/auth/login_flow/{flow}", self._login_step),
            ("DELETE", "/auth/login_flow/{flow}", self._login_abort),
            ("POST", "/auth/token", self._token),
            ("POST", "/auth/revoke", self._revoke),
            ("GET", "/api/", self._api),
            ("GET", "/api/config", self._config),
            ("GET", "/api/onboarding", self._onboarding),
            ("GET", "/api/websocket", self._websocket),
            ("*", "/api/hassio/{path:.+}", self._hassio),
        ]

    async def _redirect(self, asked: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(self.url + asked.path_qs)

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._house.knobs.core_down:
            self.catch_up()
            return drop(request)
        if self._house.banned(_address(request)):
            raise web.HTTPForbidden
        if (refused := await self._in_the_way(request)) is not None:
            return refused
        try:
            return await handler(request)
        except web.HTTPUnauthorized:
            self._house.failed_sign_in(_address(request))
            raise

    async def _in_the_way(self, request: web.Request) -> web.StreamResponse | None:
        """What stands before Core answers to a request; `None` where it is passed on."""
        match self._house.knobs.front:
            case "untrusted-proxy":
                return web.Response(status=400, text="400: Bad Request")
            case "no-websocket" if request.path.endswith("/api/websocket"):
                return web.Response(status=404, text="404: Not Found")
            case "timed-out":
                await self._house.clock.sleep(3600.0)
        return None

    # ---------------------------------------------------------------------------------------------------- plain HTTP

    def _signed_in(self, request: web.Request) -> Token:
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        token = self._house.token(text) if kind == "Bearer" else None
        if token is None:
            raise web.HTTPUnauthorized
        return token

    async def _front_page(self, _request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Home Assistant</title>", content_type="text/html")

    async def _manifest(self, _request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(_MANIFEST, separators=(",", ":")), content_type="application/manifest+json")

    async def _api(self, request: web.Request) -> web.Response:
        self._signed_in(request)
        return _json({"message": "API running."})

    async def _config(self, request: web.Request) -> web.Response:
        self._signed_in(request)
        return _json(self._configuration())

    async def _onboarding(self, _request: web.Request) -> web.Response:
        done = self._house.onboarded
        return _json([{"step": step, "done": done} for step in ("user", "core_config", "analytics", "integration")])

    def _configuration(self) -> dict[str, Any]:
        house = self._house
        components = [one for one in house.components if one != "hassio" or not house.knobs.no_supervisor]
        return {
            "allowlist_external_dirs": ["/config/www", "/media"],
            "components": components,
            "config_dir": "/config",
            "config_source": "storage",
            "country": "NL",
            "currency": "EUR",
            "elevation": 0,
            "external_url": None,
            "internal_url": None,
            "language": "en",
            "latitude": 52.37,
            "location_name": house.name,
            "longitude": 4.89,
            "radius": 100,
            "recovery_mode": False,
            "safe_mode": False,
            "state": "RUNNING",
            "time_zone": "Etc/UTC",
            "unit_system": {"length": "km", "mass": "g", "temperature": "°C", "volume": "L"},
            "version": house.core_version,
        }

    async def _hassio(self, request: web.Request) -> web.StreamResponse:
        if self._house.knobs.no_supervisor:
            raise web.HTTPNotFound
        try:
            path = as_of_now(self._house, f"/{request.match_info['path']}").removeprefix("/")
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=refusal.message)
        log = _LOGS.fullmatch(path) if request.method == "GET" else None
        if log is None:
            return web.Response(status=401)
        token = self._signed_in(request)
        if not token.user.is_admin:
            return web.Response(status=401)
        slug, kind = log[1] or "supervisor", log[2]
        try:
            text = self._house.log_text(slug)
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=refusal.message)
        if kind == "/follow":
            return await self._follow(request, slug, text)
        return web.Response(text=text)

    async def _follow(self, request: web.Request, slug: str, text: str) -> web.StreamResponse:
        """Send the log and then what is added to it, until either side goes."""
        answer = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await answer.prepare(request)
        sent = ""
        while request.transport is not None and not request.transport.is_closing():
            if text != sent:
                await answer.write(text.removeprefix(sent).encode())
                sent = text
            await self._house.clock.sleep(0.1)
            text = self._house.log_text(slug)
        return answer

    # ------------------------------------------------------------------------------------------------------- sign-in

    async def _oauth(self, _request: web.Request) -> web.Response:
        """What sign-in offers, in the form of RFC 8414."""
        return _json(
            {
                "authorization_endpoint": "/auth/authorize",
                "token_endpoint": "/auth/token",
                "revocation_endpoint": "/auth/revoke",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _providers(self, _request: web.Request) -> web.Response:
        if not self._house.onboarded:
            return _json({"message": "Onboarding not finished", "code": "onboarding_required"}, status=400)
        provider = {"name": "Home Assistant Local", "id": None, "type": "homeassistant"}
        return _json({"providers": [provider], "preselect_remember_me": True})

    async def _login_flow(self, request: web.Request) -> web.Response:
        data = await _body(request)
        client_id, redirect = data.get("client_id"), data.get("redirect_uri")
        if data.get("handler") != ["homeassistant", None]:
            return _json({"message": "Invalid handler specified"}, status=404)
        if not isinstance(client_id, str) or not _belong_together(client_id, redirect):
            return _json({"message": "invalid client id or redirect uri"}, status=400)
        flow = secrets.token_hex(16)
        self._flows[flow] = _Flow(client_id, data.get("code_challenge"), data.get("code_challenge_method"))
        return _json(_form(flow, "init", ("username", "password")))

    async def _login_abort(self, request: web.Request) -> web.Response:
        if self._flows.pop(request.match_info["flow"], None) is None:
            return _json({"message": "Invalid flow specified"}, status=404)
        return _json({"message": "Flow aborted"})

    async def _login_step(self, request: web.Request) -> web.Response:
        number = request.match_info["flow"]
        flow, data = self._flows.get(number), await _body(request)
        if flow is None:
            return _json({"message": "Invalid flow specified"}, status=404)
        if data.get("client_id") != flow.client_id:
            return _json({"message": "Client ID mismatch"}, status=400)
        if flow.user is None:
            user = self._house.user_named(str(data.get("username", "")), str(data.get("password", "")))
            if user is None:
                self._house.failed_sign_in(_address(request))
                return _json(_form(number, "init", ("username", "password"), {"base": "invalid_auth"}))
            flow.user = user
            if user.totp_secret is not None:
                return _json(_form(number, "mfa", ("code",)))
        elif not self._house.code_is_right(flow.user, str(data.get("code", ""))):
            self._house.failed_sign_in(_address(request))
            flow.tries += 1
            if flow.tries >= 3:
                del self._flows[number]
                return _json({"type": "abort", "flow_id": number, "handler": ["homeassistant", None], "reason": "too_many_retry"})
            return _json(_form(number, "mfa", ("code",), {"base": "invalid_code"}))
        del self._flows[number]
        code = self._new_code(flow.user, flow.client_id, flow.challenge, flow.method)
        return _json(
            {
                "version": 1,
                "type": "create_entry",
                "flow_id": number,
                "handler": ["homeassistant", None],
                "description": None,
                "description_placeholders": None,
                "context": {},
                "title": "Home Assistant Local",
                "options": {},
                "minor_version": 1,
                "result": code,
            }
        )

    def _new_code(self, user: User, client_id: str, challenge: str | None, method: str | None) -> str:
        code = secrets.token_hex(16)
        self._codes[code] = _Code(user, client_id, challenge, method, self._house.clock.now() + _CODE_LIFETIME)
        return code

    async def _authorize_page(self, request: web.Request) -> web.Response:
        client, redirect = request.query.get("client_id", ""), request.query.get("redirect_uri", "")
        if not _belong_together(client, redirect):
            return web.Response(status=400, text="Invalid redirect URI")
        return self._page(client)

    def _page(self, client: str, problem: str = "", status: int = 200) -> web.Response:
        text = _PAGE.format(client=html.escape(client), problem=html.escape(problem))
        return web.Response(text=text, status=status, content_type="text/html")

    async def _authorize(self, request: web.Request) -> web.Response:
        query, given = request.query, await request.post()
        client, redirect = query.get("client_id", ""), query.get("redirect_uri", "")
        if not _belong_together(client, redirect):
            return web.Response(status=400, text="Invalid redirect URI")
        user = self._house.user_named(str(given.get("username", "")), str(given.get("password", "")))
        if user is None or not self._house.code_is_right(user, str(given.get("code", ""))):
            self._house.failed_sign_in(_address(request))
            return self._page(client, "Invalid username, password or code")
        code = self._new_code(user, client, query.get("code_challenge"), query.get("code_challenge_method"))
        back = urlencode({"code": code, "state": query.get("state", ""), "storeToken": "true"})
        raise web.HTTPSeeOther(f"{redirect}{'&' if '?' in redirect else '?'}{back}")

    async def _token(self, request: web.Request) -> web.Response:
        given = {key: str(value) for key, value in (await request.post()).items()}
        if given.get("action") == "revoke":
            return self._revoked(given)
        match given.get("grant_type"):
            case "authorization_code":
                return self._by_code(request, given)
            case "refresh_token":
                return self._by_refresh_token(request, given)
        return _json({"error": "unsupported_grant_type"}, status=400)

    def _by_code(self, request: web.Request, given: dict[str, str]) -> web.Response:
        if not given.get("client_id"):
            return _json({"error": "invalid_request", "error_description": "Invalid client id"}, status=400)
        code = self._codes.pop(given.get("code", ""), None)
        if code is None or code.client_id != given["client_id"] or code.expires <= self._house.clock.now():
            self._house.failed_sign_in(_address(request))
            return _json({"error": "invalid_request", "error_description": "Invalid code"}, status=400)
        if code.challenge is not None and _challenge(given.get("code_verifier", ""), code.method) != code.challenge:
            return _json({"error": "invalid_grant", "error_description": "Invalid code verifier"}, status=400)
        session = self._house.add_session(code.user, code.client_id, lifetime=_ACCESS_LIFETIME)
        return _json({**_access(session.text), "refresh_token": session.refresh, "ha_auth_provider": "homeassistant"})

    def _by_refresh_token(self, request: web.Request, given: dict[str, str]) -> web.Response:
        if "refresh_token" not in given:
            return _json({"error": "invalid_request"}, status=400)
        try:
            session = self._house.refresh(given["refresh_token"], given.get("client_id", ""), lifetime=_ACCESS_LIFETIME)
        except Refusal as refusal:
            self._house.failed_sign_in(_address(request))
            return _json({"error": refusal.message}, status=refusal.status)
        return _json(_access(session.text))

    async def _revoke(self, request: web.Request) -> web.Response:
        return self._revoked({key: str(value) for key, value in (await request.post()).items()})

    def _revoked(self, given: dict[str, str]) -> web.Response:
        self._house.revoke(given.get("token", ""))
        for talk in list(self._talks):
            if self._house.token(talk.token.text) is None and talk.request.transport is not None:
                talk.request.transport.abort()
        return web.Response(status=200)

    # ----------------------------------------------------------------------------------------------------- WebSocket

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if not self._front.websocket or request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=400, text="400: Bad Request")
        socket_ = web.WebSocketResponse(max_msg_size=0)
        await socket_.prepare(request)
        await socket_.send_json({"type": "auth_required", "ha_version": self._house.core_version})
        first = await _receive(socket_)
        token = self._house.token(str(first.get("access_token"))) if first and first.get("type") == "auth" else None
        if token is None:
            if first is not None:
                self._house.failed_sign_in(_address(request))
                await socket_.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            await socket_.close()
            return socket_
        await socket_.send_json({"type": "auth_ok", "ha_version": self._house.core_version})
        talk = _Talk(socket_, request, token.user, token)
        self._talks.add(talk)
        try:
            await self._converse(talk)
        finally:
            self._talks.discard(talk)
            for unsubscribe in talk.subscriptions.values():
                unsubscribe()
        return socket_

    async def _converse(self, talk: _Talk) -> None:
        last = 0
        while (message := await _receive(talk.socket)) is not None:
            if self._house.knobs.core_down:
                self.catch_up()
                return
            number, kind = message.get("id"), message.get("type")
            if not isinstance(number, int) or not isinstance(kind, str):
                await talk.error(number, "invalid_format", "Message incorrectly formatted.")
            elif number <= last:
                await talk.error(number, "id_reuse", "Identifier values have to increase.")
            else:
                last = number
                self._alongside(self._answer(talk, number, kind, message))

    def _alongside(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return task

    async def _answer(self, talk: _Talk, number: int, kind: str, message: dict[str, Any]) -> None:
        house = self._house
        try:
            match kind:
                case "ping":
                    await talk.send({"id": number, "type": "pong"})
                case "get_config":
                    await talk.result(number, self._configuration())
                case "auth/current_user":
                    await talk.result(number, _user(talk.user))
                case "auth/long_lived_access_token":
                    await talk.result(number, self._long_lived(talk, message))
                case "auth/refresh_tokens":
                    await talk.result(number, self._refresh_tokens(talk))
                case "auth/delete_refresh_token":
                    await self._delete_token(talk, number, str(message.get("refresh_token_id")))
                case "supervisor/api" if not house.knobs.no_supervisor:
                    await self._supervisor(talk, number, message)
                case "supervisor/subscribe" if not house.knobs.no_supervisor:
                    await self._subscribe(talk, number)
                case "unsubscribe_events" if message.get("subscription") in talk.subscriptions:
                    talk.subscriptions.pop(message["subscription"])()
                    await talk.result(number, None)
                case _:
                    await talk.error(number, "unknown_command", "Unknown command.")
        except Refusal as refusal:
            await talk.error(number, refusal.code, refusal.message)
        except Dropped:
            drop(talk.request)
        except ConnectionError:
            return

    async def _subscribe(self, talk: _Talk, number: int) -> None:
        if not talk.user.is_admin:
            raise Refusal("Unauthorized", 401, code="unauthorized")
        talk.subscriptions[number] = self._house.subscribe(lambda event: self._event(talk, number, event))
        await talk.result(number, None)

    def _event(self, talk: _Talk, number: int, event: dict[str, Any]) -> None:
        self._alongside(self._send_event(talk, number, event))

    async def _send_event(self, talk: _Talk, number: int, event: dict[str, Any]) -> None:
        try:
            await talk.send({"id": number, "type": "event", "event": event})
        except ConnectionError:
            return

    async def _supervisor(self, talk: _Talk, number: int, message: dict[str, Any]) -> None:
        endpoint, method = message.get("endpoint"), message.get("method")
        timeout = message.get("timeout", _DEFAULT_TIMEOUT)
        if not isinstance(endpoint, str) or method not in ("get", "post", "put", "delete"):
            await talk.error(number, "invalid_format", f"not a valid value for dictionary value @ data['method']. Got {method!r}")
            return
        call = self._alongside(request(self._house, method.upper(), endpoint, message.get("data"), admin=talk.user.is_admin))
        done, _ = await asyncio.wait({call}, timeout=timeout)
        if not done:
            # The job goes on; only nobody waits for it any more.
            call.add_done_callback(_forget)
            raise Refusal("")
        await talk.result(number, call.result())

    def _long_lived(self, talk: _Talk, message: dict[str, Any]) -> str:
        name, days = message.get("client_name"), message.get("lifespan")
        if not isinstance(name, str) or not isinstance(days, int):
            raise Refusal("required key not provided @ data['client_name']", code="invalid_format")
        return self._house.add_token(talk.user, name=name, lifetime=days * 86400.0).text

    def _refresh_tokens(self, talk: _Talk) -> list[dict[str, Any]]:
        house = self._house
        long_lived = [token for token in house.tokens.values() if token.user is talk.user and token.name]
        sessions = [token for token in house.refresh_tokens.values() if token.user is talk.user]
        return [
            {
                "id": _token_id(token),
                "client_id": token.client_id or None,
                "client_name": token.name or None,
                "client_icon": None,
                "type": "long_lived_access_token" if token.name else "normal",
                "is_current": token is talk.token or token.text == talk.token.refresh,
                "expire_at": None,
                "auth_provider_type": "homeassistant",
            }
            for token in [*sessions, *long_lived]
        ]

    async def _delete_token(self, talk: _Talk, number: int, wanted: str) -> None:
        house = self._house
        for token in [*house.tokens.values(), *house.refresh_tokens.values()]:
            if token.user is talk.user and _token_id(token) == wanted:
                house.revoke(token.text)
                await talk.result(number, {})
                return
        raise Refusal("Received invalid token", code="invalid_token_id")


def _forget(call: asyncio.Task[Any]) -> None:
    """Take the outcome of a call that nobody waits for."""
    if not call.cancelled():
        call.exception()


def _token_id(token: Token) -> str:
    return hashlib.sha256(token.text.encode()).hexdigest()[:32]


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "is_owner": user.is_owner,
        "is_admin": user.is_admin,
        "credentials": [{"auth_provider_type": "homeassistant", "auth_provider_id": None}],
        "mfa_modules": [{"id": "totp", "name": "Authenticator app", "enabled": user.totp_secret is not None}],
    }


def _access(token: str) -> dict[str, Any]:
    return {"access_token": token, "token_type": "Bearer", "expires_in": int(_ACCESS_LIFETIME)}


def _challenge(verifier: str, method: str | None) -> str:
    """What a PKCE verifier makes (RFC 7636)."""
    if method != "S256":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _belong_together(client_id: Any, redirect: Any) -> bool:
    """Say whether the redirect goes to the client's own origin."""
    one, two = urlsplit(str(client_id)), urlsplit(str(redirect))
    return one.scheme in ("http", "https") and bool(one.netloc) and (one.scheme, one.netloc) == (two.scheme, two.netloc)


def _address(request: web.Request) -> str:
    return request.remote or ""


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(value, separators=(",", ":")), status=status, content_type="application/json")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        data = await request.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise web.HTTPBadRequest(text='{"message":"Invalid JSON specified"}', content_type="application/json")
    return data


async def _receive(socket_: web.WebSocketResponse) -> dict[str, Any] | None:
    """Return the next message, or `None` when the other side is gone or talks nonsense."""
    message = await socket_.receive()
    if message.type != WSMsgType.TEXT:
        return None
    try:
        data = json.loads(message.data)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _form(flow: str, step: str, fields: tuple[str, ...], errors: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "type": "form",
        "flow_id": flow,
        "handler": ["homeassistant", None],
        "data_schema": [{"name": name, "required": True, "type": "string"} for name in fields],
        "errors": errors or {},
        "description_placeholders": {"mfa_module_name": "Authenticator app", "mfa_module_id": "totp"} if step == "mfa" else None,
        "last_step": None,
        "preview": None,
        "step_id": step,
    }
