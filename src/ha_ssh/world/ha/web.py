"""One HTTP client for one house: one proof of TLS, no secret to anywhere else, every trouble named for what it is."""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.core.errors import HaSshError, UnknownCertificate, Unreachable, UsageError
from ha_ssh.world.ha.address import base_of, host_of, origin_of, safe_redirect
from ha_ssh.world.ha.answers import THE_HOUSE_ITSELF, Answer, circle, in_short, not_home_assistant, of_answers, redirected
from ha_ssh.world.ha.trouble import of_connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from aiohttp.abc import ResolveResult

    from ha_ssh.core.secret import Secret

FEW_SECONDS = 5.0
"""How long a connection and a quick answer may take, and how long an answer may pause once it has begun."""
STEADY_SECONDS = 8.0
"""How long an answer may take in all that goes on coming."""

_LARGEST = 16 * 1024 * 1024
"""How much of an answer is read, in bytes: a camera behind a wrong port never ends."""
_REDIRECTS = 5
STOPPING = (
    "A Home Assistant that is just stopping does that, or a proxy that lets WebSockets through only for a moment.",
    "Try again in a minute.",
    THE_HOUSE_ITSELF,
)
"""What is to be done where a connection ends too early."""
_TOO_BIG = 1009
"""The close code of a WebSocket for a message that is too large (RFC 6455, 7.4.1)."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What vouches for a TLS server, where the common authorities do not: a private CA's file, or its SHA-256 fingerprint."""

    ca_file: str | None = None
    fingerprint: str | None = None

    def setting(self) -> Any:
        """The same as aiohttp wants it; raises `UsageError`."""
        import aiohttp

        if self.fingerprint is not None:
            digits = self.fingerprint.strip().lower().removeprefix("sha256:").replace(":", "").replace(" ", "")
            try:
                return aiohttp.Fingerprint(bytes.fromhex(digits))
            except ValueError as error:
                raise UsageError(
                    "bad-fingerprint",
                    f"`--tls-fingerprint {self.fingerprint}` is no SHA-256 fingerprint.",
                    "It is 64 hexadecimal digits, with or without colons.",
                ) from error
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one, too
            raise UsageError(
                "bad-ca-file", f"`--ca-file {self.ca_file}` cannot be used: {error}.", "It is a file of PEM certificates."
            ) from error


def load() -> None:
    """Import aiohttp without the system's certificates, which it would read twice for contexts that are never used here.

    Who speaks TLS gets a context of its own; whoever made one just now, in another thread, would trust nobody.
    """
    if "aiohttp" in sys.modules:
        return
    reads_them = "set_default_verify_paths"
    setattr(ssl.SSLContext, reads_them, lambda _context: None)
    try:
        importlib.import_module("aiohttp")
    finally:
        delattr(ssl.SSLContext, reads_them)


class Shown:
    """What addresses have just shown to everybody, for the next of the same run who would ask: each is handed over once."""

    def __init__(self) -> None:
        self._by_url: dict[str, tuple[Answer, Answer]] = {}

    def keep(self, url: str, manifest: Answer, api: Answer) -> None:
        """Keep the answers to GET `/manifest.json` and `/api/`."""
        self._by_url[url] = (manifest, api)

    def take(self, url: str) -> tuple[Answer, Answer] | None:
        """Hand them over."""
        return self._by_url.pop(url, None)


class Web:
    """A client for one address; raises `HaSshError` only, with a code that says what is the matter."""

    def __init__(self, url: str, tls: Tls | None = None, *, limit: float = FEW_SECONDS, shown: Shown | None = None) -> None:
        load()
        self.url = base_of(url)
        self._tls = tls or Tls()
        self._limit = limit
        self._shown = shown or Shown()
        self._session: aiohttp.ClientSession | None = None

    async def get(
        self,
        path: str,
        *,
        token: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        follow: bool = False,
        limit: float | None = None,
    ) -> Answer:
        """GET a path; `follow` walks safe redirects, and is refused together with a token."""
        if follow and token is not None:
            raise ValueError("a token never travels along a redirect")
        first = url = self.url + path
        passed = [url]
        while True:
            try:
                answer = await self._ask("GET", url, token=token, headers=headers, limit=limit)
            except HaSshError as error:
                raise (
                    error if url == first else error.after(f"{first} redirects to {url}.", f"GET {path}: Location: {url}")
                ) from error
            if not (follow and 300 <= answer.status < 400 and (location := answer.headers.get("Location"))):
                return answer
            if (there := safe_redirect(url, location)) is None:
                raise redirected(url, location, status=answer.status)
            if there in passed or len(passed) > _REDIRECTS:
                raise circle(first, (f"GET {path}: {' -> '.join([*passed, there])}",))
            url = there
            passed.append(url)

    async def post(
        self,
        path: str,
        *,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        token: Secret | None = None,
        limit: float | None = None,
    ) -> Answer:
        """POST JSON (`body`) or a form; redirects are never followed."""
        return await self._ask("POST", self.url + path, token=token, limit=limit, json=body, data=form)

    async def socket(self, path: str) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket, without following redirects."""
        import aiohttp

        url = self.url + path
        try:
            async with asyncio.timeout(self._limit):
                return await self._open().ws_connect(
                    url, heartbeat=30, max_msg_size=_LARGEST, timeout=aiohttp.ClientWSTimeout(ws_close=2)
                )
        except _Elsewhere as elsewhere:
            raise redirected(url, elsewhere.location) from None
        except aiohttp.WSServerHandshakeError as error:
            raise await self.explain(socket=Answer(status=error.status, url=url, headers=error.headers or {})) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise await self._trouble(error, self.url) from error

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        token: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        limit: float | None = None,
        **rest: Any,
    ) -> Answer:
        import aiohttp

        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token.reveal()}"
        if url.startswith("https:") and not self.url.startswith("https:"):
            rest["ssl"] = self._tls.setting()
        loop = asyncio.get_running_loop()
        silence = limit or self._limit
        end = loop.time() + max(silence, STEADY_SECONDS)
        body: bytearray | None = None
        try:
            async with asyncio.timeout(silence) as timer:
                async with self._open().request(method, url, headers=sent, allow_redirects=False, **rest) as response:
                    body = bytearray()
                    async for chunk in response.content.iter_any():
                        timer.reschedule(min(loop.time() + silence, end))
                        body += chunk
                        if len(body) > _LARGEST:
                            raise not_home_assistant(
                                f"Something answers at {url} without an end, which Home Assistant does not.",
                                evidence=(f"{method} {urlsplit(url).path}: {response.status}, more than {_LARGEST >> 20} MB",),
                            )
                    return Answer(
                        status=response.status,
                        url=url,
                        text=body.decode(errors="replace"),
                        headers=response.headers,
                    )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError) and body is not None:
                says = f"{url.partition('?')[0]} began to answer, and did not come to an end in time."
                raise Unreachable("timed-out", says, evidence=(f"{len(body)} bytes had come",)) from error
            raise await self._trouble(
                error, url.partition("?")[0] if origin_of(url) != origin_of(self.url) else self.url
            ) from error

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:

            async def stop(_session: object, _context: object, params: aiohttp.TraceRequestRedirectParams) -> None:
                params.response.close()
                raise _Elsewhere(params.response.headers.get("Location", ""))

            trace = aiohttp.TraceConfig()
            trace.on_request_redirect.append(stop)
            secure = self._tls.setting() if self.url.startswith("https:") else True
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=secure, resolver=_resolver()),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
            )
        return self._session

    async def _trouble(self, error: BaseException, url: str) -> HaSshError:
        """The error for a connection that failed; one that is about an unknown certificate names its fingerprint."""
        trouble = of_connection(error, url)
        if trouble.code in {"tls-self-signed", "tls-unknown-issuer"} and (seen := await fingerprint_of(url, limit=self._limit)):
            pin = f"Or pin this very certificate, if it is the one of your house: `--tls-fingerprint {seen}`."
            unknown = UnknownCertificate(trouble.code, trouble.message, *trouble.hints, pin, url=url, fingerprint=seen)
            unknown.evidence = trouble.evidence
            return unknown
        return trouble

    async def explain(self, *, manifest: Answer | None = None, socket: Answer | None = None) -> HaSshError:
        """Why this is no usable Home Assistant, found out without any secret.

        `manifest` is what it answered to GET `/manifest.json` where that is known, `socket` what its WebSocket did.
        """
        try:
            first, api = self._shown.take(self.url) or await asyncio.gather(self._manifest(manifest), self.get("/api/"))
        except HaSshError as error:
            return error
        if socket is None:
            self._shown.keep(self.url, first, api)
        return of_answers(first, api, self.url, socket=socket)

    async def _manifest(self, known: Answer | None) -> Answer:
        return known or await self.get("/manifest.json", follow=True)


async def heard(socket: aiohttp.ClientWebSocketResponse, url: str, *kinds: str, limit: float = FEW_SECONDS) -> dict[str, Any]:
    """The next message of a WebSocket during the sign-in, which is one of these kinds; raises `Unreachable`."""
    try:
        async with asyncio.timeout(limit):
            message = await socket.receive()
    except TimeoutError:
        says = f"A WebSocket opens at {url}, and then says nothing: Home Assistant does not answer the sign-in in time."
        look = "Either Home Assistant hangs, or something in front opens WebSockets by itself: does its page load in a browser?"
        raise Unreachable("timed-out", says, look, evidence=(f"no `{kinds[0]}` for {limit:g} s",)) from None
    if not isinstance(message.data, str):
        raise broken_off(message.data, url) or Unreachable(
            "dropped",
            f"Home Assistant at {url} closed the connection during the sign-in.",
            *STOPPING,
            evidence=(f"closed instead of `{kinds[0]}`",),
        )
    said = next(iter(messages(message.data)), {})
    if said.get("type") not in kinds:
        raise not_home_assistant(
            f"A WebSocket answers at {url}, but it is not Home Assistant's.",
            evidence=(f"expected `{kinds[0]}`, and this came: {in_short(message.data)}",),
        )
    return said


def broken_off(data: object, url: str) -> HaSshError | None:
    """The error for a WebSocket that sent what none may send, or too much; `None` where it merely closed. It does not pass."""
    from aiohttp import WebSocketError

    if not isinstance(data, WebSocketError):
        return None
    if data.code == _TOO_BIG:
        says = f"The WebSocket at {url} sends more at once than Home Assistant ever does (over {_LARGEST >> 20} MB)."
    else:
        says = f"The WebSocket at {url} sends what no WebSocket may send; something in between may garble it."
    return Unreachable(
        "not-understood", says, THE_HOUSE_ITSELF, passing=False, evidence=(in_short(" ".join(map(str, data.args))),)
    )


def messages(text: str) -> list[dict[str, Any]]:
    """The messages in a frame: one, or a list of them; anything else is none."""
    try:
        said = json.loads(text)
    except ValueError:
        return []
    return [message for message in (said if isinstance(said, list) else [said]) if isinstance(message, dict)]


async def fingerprint_of(url: str, *, limit: float = FEW_SECONDS) -> str | None:
    """The SHA-256 fingerprint of the certificate that a server shows, trusted or not; nothing is sent to it."""
    from hashlib import sha256

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection(host_of(url), urlsplit(url).port or 443, ssl=context)
    except OSError:  # it was only to make a hint
        return None
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return sha256(certificate).digest().hex(":").upper() if certificate else None


class _Elsewhere(Exception):
    """A redirect that a WebSocket met."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


async def addresses_of(host: str) -> tuple[str, ...]:
    """The IP addresses of a host, by the system's own means; raises `OSError`.

    The look-up runs in a daemon thread: a name server that never answers holds up neither the loop nor the exit.
    """
    return tuple(dict.fromkeys(str(address[4][0]).partition("%")[0] for address in await _look_up(host, 0, socket.AF_UNSPEC)))


async def _look_up(host: str, port: int, family: int) -> list[Any]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Any]] = loop.create_future()

    def tell(result: list[Any] | OSError) -> None:
        if future.done():
            return
        if isinstance(result, OSError):
            future.set_exception(result)
        else:
            future.set_result(result)

    def work() -> None:
        result: list[Any] | OSError
        try:
            result = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except UnicodeError:
            result = socket.gaierror(socket.EAI_NONAME, "no such name")
        except OSError as error:
            result = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=work, daemon=True, name=f"look up {host}").start()
    return await future


def _resolver() -> Any:
    from aiohttp.abc import AbstractResolver

    class Resolver(AbstractResolver):
        """The system's own name look-up, which knows mDNS and the hosts file."""

        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
            found: list[ResolveResult] = []
            for kind, _, protocol, _, address in await _look_up(host, port, family):
                scope = f"%{address[3]}" if kind == socket.AF_INET6 and address[3] and "%" not in address[0] else ""
                found.append(
                    {
                        "hostname": host,
                        "host": f"{address[0]}{scope}",
                        "port": port,
                        "family": kind,
                        "proto": protocol,
                        "flags": socket.AI_NUMERICHOST,
                    }
                )
            return found

        async def close(self) -> None:
            """Nothing is held open."""

    return Resolver()
