"""One HTTP client for one house: one proof of TLS, no secret to anywhere else, every trouble named for what it is."""

from __future__ import annotations

import asyncio
import importlib
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.core.errors import HaSshError, UnknownCertificate, Unreachable, UsageError
from ha_ssh.world.ha.address import base_of, host_of, safe_redirect
from ha_ssh.world.ha.trouble import Answer, of_answers, of_connection, redirected

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from aiohttp.abc import ResolveResult

    from ha_ssh.core.secret import Secret

FEW_SECONDS = 5.0
"""How long a connection and a quick answer may take."""

_LARGEST = 16 * 1024 * 1024
"""How much of an answer is read, in bytes: a camera behind a wrong port never ends."""
_REDIRECTS = 5


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


class Web:
    """A client for one address; raises `HaSshError` only, with a code that says what is the matter."""

    def __init__(self, url: str, tls: Tls | None = None, *, limit: float = FEW_SECONDS) -> None:
        load()
        self.url = base_of(url)
        self._tls = tls or Tls()
        self._limit = limit
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
        url = self.url + path
        for _ in range(_REDIRECTS):
            answer = await self._ask("GET", url, token=token, headers=headers, limit=limit)
            if not (follow and 300 <= answer.status < 400 and (location := answer.headers.get("Location"))):
                return answer
            if (there := safe_redirect(url, location)) is None:
                raise redirected(self.url, location)
            url = there
        raise Unreachable("redirected", f"{self.url} sends every request on to somewhere else, in a circle.")

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

        try:
            async with asyncio.timeout(self._limit):
                return await self._open().ws_connect(
                    self.url + path, heartbeat=30, max_msg_size=_LARGEST, timeout=aiohttp.ClientWSTimeout(ws_close=2)
                )
        except _Elsewhere as elsewhere:
            raise redirected(self.url, elsewhere.location) from None
        except aiohttp.WSServerHandshakeError as error:
            raise await self.explain(socket_status=error.status) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise await self._trouble(error) from error

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
        try:
            async with asyncio.timeout(limit or self._limit):
                async with self._open().request(method, url, headers=sent, allow_redirects=False, **rest) as response:
                    body = bytearray()
                    async for chunk in response.content.iter_chunked(65536):
                        body += chunk
                        if len(body) > _LARGEST:
                            break
                    return Answer(
                        status=response.status,
                        url=url,
                        text=body.decode(errors="replace"),
                        headers=response.headers,
                    )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise await self._trouble(error) from error

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

    async def _trouble(self, error: BaseException) -> HaSshError:
        """The error for a connection that failed; one that is about an unknown certificate names its fingerprint."""
        trouble = of_connection(error, self.url)
        if trouble.code in {"tls-self-signed", "tls-unknown-issuer"} and (
            seen := await fingerprint_of(self.url, limit=self._limit)
        ):
            pin = f"Or pin this very certificate, if it is the one of your house: `--tls-fingerprint {seen}`."
            return UnknownCertificate(trouble.code, trouble.message, *trouble.hints, pin, url=self.url, fingerprint=seen)
        return trouble

    async def explain(self, *, socket_status: int | None = None) -> HaSshError:
        """Why this is no usable Home Assistant, found out without any secret; `socket_status` is what its WebSocket answered."""
        try:
            manifest, api = await asyncio.gather(self.get("/manifest.json", follow=True), self.get("/api/"))
        except HaSshError as error:
            return error
        return of_answers(manifest, api, self.url, socket_status=socket_status)


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
