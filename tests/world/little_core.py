"""A little Core of the tests' own: real sockets, real sign-in, and every oddity that a test asks it for."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import ipaddress
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TOKEN = "a-good-token"
MANIFEST = {"name": "Home Assistant", "short_name": "Assistant"}


class Drop(Exception):
    """Raised by an answer: the socket closes instead."""


@dataclass
class LittleCore:
    """What it says, and what it was asked."""

    version: str = "2026.11.0"
    state: str = "RUNNING"
    components: tuple[str, ...] = ("http", "hassio", "auth")
    is_admin: bool = True
    socket: bool = True
    socket_status: int = 404
    everything: int | None = None
    """A status for every request, as of a banned address or an untrusted proxy."""
    manifest: Any = field(default_factory=lambda: dict(MANIFEST))
    redirects: dict[str, str] = field(default_factory=dict)
    log: str | tuple[int, str] = "one\n\x1b[32mtwo\x1b[0m\n"
    log_type: str = "text/plain"
    results: dict[str, Any] = field(default_factory=dict)
    """What a command of the WebSocket is answered with instead, by its type."""
    mode: str = ""
    """`recovery` or `safe`."""
    supervisor: Callable[[str, str, Any], Any] = lambda *_: {}
    subscribe: bool = True
    pkce: bool = False
    second_factor: tuple[str, ...] = ()
    token_names: set[str] = field(default_factory=set)
    lasts: int = 1800
    revoke_path: str = "/auth/revoke"

    url: str = ""
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    sessions: dict[str, str] = field(default_factory=dict)
    """Refresh token to client id."""
    codes: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    listeners: list[tuple[web.WebSocketResponse, int]] = field(default_factory=list)
    _made: int = 0

    def new(self, what: str) -> str:
        self._made += 1
        return f"{what}-{self._made}"

    async def tell(self, event: dict[str, Any]) -> None:
        for socket, number in self.listeners:
            await socket.send_json({"id": number, "type": "event", "event": event})

    @web.middleware
    async def first(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(request)
        if self.everything is not None:
            return web.Response(status=self.everything, text=f"{self.everything}: {HTTPStatus(self.everything).phrase}")
        if request.path in self.redirects:
            return web.Response(status=307, headers={"Location": self.redirects[request.path]})
        return await handler(request)

    async def on_socket(self, request: web.Request) -> web.StreamResponse:
        if not self.socket:
            return web.Response(status=self.socket_status)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets.append(ws)
        await ws.send_json({"type": "auth_required", "ha_version": self.version})
        said = await ws.receive_json()
        self.signed_in.append(said["access_token"])
        if said["access_token"] not in self.tokens:
            await ws.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            await ws.close()
            return ws
        await ws.send_json({"type": "auth_ok", "ha_version": self.version})
        running: set[asyncio.Task[None]] = set()
        async for message in ws:
            task = asyncio.create_task(self.answer(ws, json.loads(message.data)))
            running.add(task)
            task.add_done_callback(running.discard)
        return ws

    async def answer(self, ws: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        self.asked.append(asked)
        try:
            result = self.result(ws, asked)
            if asyncio.iscoroutine(result):
                result = await result
        except Drop:
            await ws.close()
            return
        except PermissionError as refused:
            code, message = refused.args
            said = {"success": False, "error": {"code": code, "message": message}}
        else:
            said = {"success": True, "result": result}
        if not ws.closed:
            await ws.send_json({"id": asked["id"], "type": "result", **said})

    def result(self, ws: web.WebSocketResponse, asked: dict[str, Any]) -> Any:
        match asked["type"]:
            case kind if kind in self.results:
                return self.results[kind]
            case "auth/current_user":
                return {"id": "1", "name": "Ann", "is_admin": self.is_admin, "mfa_modules": []}
            case "get_config":
                mode = {f"{self.mode}_mode": True} if self.mode else {}
                return {"version": self.version, "components": list(self.components), "state": self.state, **mode}
            case "auth/long_lived_access_token":
                if asked["client_name"] in self.token_names:
                    raise PermissionError("unknown_error", "Unknown error")
                self.token_names.add(asked["client_name"])
                return self.new("long-lived")
            case "auth/refresh_tokens":
                return [{"client_name": name} for name in self.token_names]
            case _ if "hassio" not in self.components:
                raise PermissionError("unknown_command", "Unknown command.")
            case _ if not self.is_admin:
                raise PermissionError("unauthorized", "Unauthorized")
            case "supervisor/subscribe" if self.subscribe:
                self.listeners.append((ws, asked["id"]))
                return None
            case "supervisor/api":
                return self.supervisor(asked["method"], asked["endpoint"], asked.get("data"))
        raise PermissionError("unknown_command", "Unknown command.")

    async def on_manifest(self, request: web.Request) -> web.Response:
        return web.Response(text=self.manifest if isinstance(self.manifest, str) else json.dumps(self.manifest))

    async def on_log(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens or not self.is_admin:
            return web.Response(status=401)
        status, text = (200, self.log) if isinstance(self.log, str) else self.log
        return web.Response(status=status, text=text, content_type=self.log_type)

    async def on_metadata(self, request: web.Request) -> web.Response:
        return web.json_response({"code_challenge_methods_supported": ["S256"]} if self.pkce else {})

    def grant(self, client: str, challenge: str | None = None) -> str:
        code = self.new("code")
        self.codes[code] = (client, challenge)
        return code

    async def on_flow(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked["redirect_uri"] == asked["client_id"]
        return web.json_response({"type": "form", "step_id": "init", "flow_id": "f1", "errors": {}})

    async def on_step(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked.append(asked)
        done = {"type": "create_entry", "result": self.grant(asked["client_id"])}
        mfa = {"type": "form", "step_id": "mfa", "errors": {}}
        if "multi_factor_auth_module" in asked:
            return web.json_response(mfa)
        if "code" in asked:
            if asked["code"] == "123456":
                return web.json_response(done)
            return web.json_response({**mfa, "errors": {"base": "invalid_code"}})
        if (asked["username"], asked["password"]) != ("ann", "pass word"):
            return web.json_response({"type": "form", "step_id": "init", "errors": {"base": "invalid_auth"}})
        if len(self.second_factor) > 1:
            options = [[name, name] for name in self.second_factor]
            schema = [{"name": "multi_factor_auth_module", "type": "select", "options": options}]
            return web.json_response({"type": "form", "step_id": "select_mfa_module", "data_schema": schema, "errors": {}})
        return web.json_response(mfa if self.second_factor else done)

    async def on_authorize(self, request: web.Request) -> web.Response:
        """Play the person who signs in on the page: the browser goes straight back."""
        asked = request.query
        code = self.grant(asked["client_id"], asked.get("code_challenge"))
        back = asked["redirect_uri"]
        return web.Response(status=302, headers={"Location": f"{back}?code={code}&state={asked['state']}"})

    async def on_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("action") == "revoke":
            self.sessions.pop(str(form["token"]), None)
            return web.Response()
        client = str(form["client_id"])
        if form["grant_type"] == "authorization_code":
            owner, challenge = self.codes.pop(str(form["code"]), ("", None))
            verifier = form.get("code_verifier")
            made = base64.urlsafe_b64encode(hashlib.sha256(str(verifier).encode()).digest()).rstrip(b"=").decode()
            if owner != client or (challenge is None) != (verifier is None) or (challenge and challenge != made):
                return web.json_response({"error": "invalid_request", "error_description": "Invalid code"}, status=400)
            refresh = self.new("refresh")
            self.sessions[refresh] = client
            return web.json_response({**self.access(), "refresh_token": refresh})
        if self.sessions.get(str(form["refresh_token"])) != client:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(self.access())

    def access(self) -> dict[str, Any]:
        token = self.new("access")
        self.tokens.add(token)
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.lasts}

    async def on_revoke(self, request: web.Request) -> web.Response:
        self.sessions.pop(str((await request.post())["token"]), None)
        return web.Response()

    async def on_providers(self, request: web.Request) -> web.Response:
        return web.json_response({"providers": [{"name": "x", "id": None, "type": "homeassistant"}]})

    async def on_api(self, request: web.Request) -> web.Response:
        return web.Response(status=401, text="401: Unauthorized")

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.first])
        app.router.add_get("/api/websocket", self.on_socket)
        app.router.add_get("/manifest.json", self.on_manifest)
        app.router.add_get("/api/hassio/addons/{slug}/logs", self.on_log)
        app.router.add_get("/api/", self.on_api)
        app.router.add_get("/.well-known/oauth-authorization-server", self.on_metadata)
        app.router.add_post("/auth/login_flow", self.on_flow)
        app.router.add_post("/auth/login_flow/f1", self.on_step)
        app.router.add_get("/auth/authorize", self.on_authorize)
        app.router.add_get("/auth/providers", self.on_providers)
        app.router.add_post("/auth/token", self.on_token)
        app.router.add_post(self.revoke_path, self.on_revoke)
        return app


@asynccontextmanager
async def running(
    core: LittleCore, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[LittleCore]:
    """Serve a little Core on a free port of loopback."""
    async with serving(core.app(), context=context, host=host) as core.url:
        yield core


@asynccontextmanager
async def serving(app: web.Application, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve any application; yields its URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0, ssl_context=context).start()
        port = runner.addresses[0][1]
        yield f"{'https' if context else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[int]:
    """Serve bare TCP; yields the port."""

    async def close_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(close_after, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@dataclass
class Authority:
    """A private CA, made for a test."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our own CA")])
        self.certificate = self._sign(self.name, self.key, ca=True)
        self.file = self.folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool, alt: str = "", days: int = 30
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if alt:
            try:
                names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(alt))]
            except ValueError:
                names = [x509.DNSName(alt)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def context(self, alt: str, *, days: int = 30, own: bool = False) -> tuple[ssl.SSLContext, str]:
        """A server's context with a certificate for `alt`, and its SHA-256; `own` signs it by itself."""
        if own:
            return Authority(_new_folder(self.folder)).own_context(alt)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "house")]), key, ca=False, alt=alt, days=days)
        return self._context(certificate, key)

    def own_context(self, alt: str) -> tuple[ssl.SSLContext, str]:
        return self._context(self._sign(self.name, self.key, ca=False, alt=alt), self.key)

    def _context(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[ssl.SSLContext, str]:
        pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{certificate.serial_number}.pem"
        path.write_bytes(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context, certificate.fingerprint(hashes.SHA256()).hex()


def _new_folder(folder: Path) -> Path:
    new = folder / "another"
    new.mkdir(exist_ok=True)
    return new
