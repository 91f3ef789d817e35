"""The routes to the Supervisor, behind one small protocol: Core's WebSocket, from inside the house, through an SSH login."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.logs import strip_colours
from ha_ssh.core.model import CoreState, SshTrouble
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha.address import base_of, origin_of
from ha_ssh.world.ha.progress import Progress, followed
from ha_ssh.world.ha.refusals import translate
from ha_ssh.world.ha.signin import LongLivedToken
from ha_ssh.world.ha.trouble import of_answer, redirected
from ha_ssh.world.ha.web import FEW_SECONDS, Tls, Web

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    import aiohttp

    from ha_ssh.core.model import Clock, Ran, Session
    from ha_ssh.world.ha.progress import OnProgress
    from ha_ssh.world.ha.signin import Credentials

    OnEvent = Callable[[Mapping[str, Any]], None]

T = TypeVar("T")

_LOOK = 20.0
"""Seconds that the Supervisor gets for a GET."""
_SLACK = 5.0
"""Seconds that we wait longer than we let Core wait, so that Core is the first to say so."""
_AN_HOUR = 3600.0
_LOG_LINES = 500
_PASSING = frozenset(
    {
        "connection-refused",
        "core-not-answering",
        "core-starting",
        "dropped",
        "no-route",
        "not-ready",
        "not-resolvable",
        "server-error",
        "supervisor-unreachable",
        "timed-out",
    }
)
"""The errors of a house that is on its way back."""


class Route(Protocol):
    """A way to the Supervisor; every method raises `HaSshError` with a stable code."""

    url: str

    @property
    def channel(self) -> str:
        """What carries it: `https`, `http`, `inside` or `ssh`."""
        ...

    async def core(self) -> CoreState:
        """Core's version, and who we are there."""
        ...

    async def get(self, endpoint: str) -> Any:
        """The Supervisor's answer to a GET, such as `/addons/core_ssh/info`."""
        ...

    async def post(
        self,
        endpoint: str,
        data: Mapping[str, Any] | None = None,
        *,
        limit: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """POST and wait for the end, however long it takes unless `limit` (seconds) is given."""
        ...

    async def log(self, slug: str) -> str:
        """The log of an app (or of the `supervisor`) as plain text, newest line last, without colour codes."""
        ...

    async def on_event(self, callback: OnEvent) -> Callable[[], None]:
        """Call back for each event of the Supervisor, where this route has any; returns what ends that."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


async def by_any_name(endpoint: str, ask: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """Ask for an app by its path of today, and where nobody knows that one, by the path of the coming API."""
    try:
        return await ask(endpoint)
    except Refused as refused:
        coming = re.sub(r"^/(store/)?addons\b", r"/\1apps", endpoint)
        if refused.code != "not-found" or coming == endpoint:
            raise
        try:
            return await ask(coming)
        except Refused as again:
            raise (refused if again.code == "not-found" else again) from None


async def reach(route: Route, clock: Clock, *, limit: float = 60.0) -> CoreState:
    """Wait with growing pauses until a house that went away is back; raises the last error after `limit` seconds."""
    end, pause = clock.now() + limit, 0.5
    while True:
        try:
            return await route.core()
        except HaSshError as error:
            if error.code not in _PASSING or clock.now() + pause > end:
                raise
        await clock.sleep(pause)
        pause = min(pause * 2, 8.0)


# ------------------------------------------------------------------------------------------------------ Core's WebSocket


class CoreRoute:
    """Through Core's WebSocket (and HTTP for logs), as an administrator, from anywhere; connects when first asked."""

    def __init__(
        self,
        url: str,
        token: Secret | Credentials,
        *,
        tls: Tls | None = None,
        limit: float = FEW_SECONDS,
        poll_every: float = 2.0,
    ) -> None:
        self.url = base_of(url)
        self._credentials: Credentials = LongLivedToken(self.url, token) if isinstance(token, Secret) else token
        if self._credentials.origin != origin_of(self.url):
            raise Refused(
                "token-of-another-house",
                f"The token is for {self._credentials.origin}, so it is not sent to {self.url}.",
                "Sign in at this address: `ha-ssh login`.",
            )
        self._web = Web(self.url, tls, limit=limit)
        self._limit = limit
        self._poll_every = poll_every
        self._line: _Line | None = None
        self._attempt: asyncio.Task[_Line] | None = None
        self._listeners: list[OnEvent] = []

    @property
    def channel(self) -> str:
        """With TLS or without."""
        return self.url.partition(":")[0]

    async def core(self) -> CoreState:
        """Core's version, who we are, and whether there is a Supervisor."""
        user, config = await asyncio.gather(self.command("auth/current_user"), self.command("get_config"))
        components = tuple(sorted(str(name) for name in config.get("components") or ()))
        if "hassio" not in components and _is_starting(config):
            raise _core_starting()
        return CoreState(
            url=self.url,
            version=str(config.get("version") or (self._line and self._line.version) or ""),
            is_admin=bool(user.get("is_admin")),
            user=str(user.get("name") or ""),
            components=components,
            has_supervisor="hassio" in components,
            tls=self.url.startswith("https:"),
        )

    async def get(self, endpoint: str) -> Any:
        """The Supervisor's answer to a GET; a connection that breaks off is made once more."""
        return await by_any_name(endpoint, lambda path: self._supervisor(path, "get", None, _LOOK, changing=False))

    async def post(
        self,
        endpoint: str,
        data: Mapping[str, Any] | None = None,
        *,
        limit: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """POST to the Supervisor, never twice: what breaks off raises `Unreachable` with `maybe_done`."""
        call = by_any_name(endpoint, lambda path: self._supervisor(path, "post", data, limit, changing=True))
        if on_progress is None:
            return await call
        progress = Progress(endpoint, on_progress)
        stop = await self.on_event(progress.hear)
        try:
            return await followed(call, progress, self.get, every=self._poll_every)
        finally:
            stop()

    async def log(self, slug: str) -> str:
        """The app's log, by HTTP: the WebSocket carries JSON only."""
        await self._connected()  # a token is tried there, once, before HTTP sees it
        return await by_any_name(_log_of(slug), self._log)

    async def _log(self, path: str) -> str:
        answer = await self._web.get(
            f"/api/hassio{path}",
            token=await self._credentials.access(),
            headers={"Accept": "text/plain", "Range": f"entries=:-{_LOG_LINES - 1}:{_LOG_LINES}"},
            limit=_LOOK,
        )
        if answer.status in {200, 206}:
            return strip_colours(answer.text)
        if 300 <= answer.status < 400:
            raise redirected(self.url, answer.headers.get("Location", ""))
        if answer.status == 401:
            raise translate("unauthorized", "401")
        if answer.text.lstrip().startswith("<"):
            raise of_answer(answer, self.url)
        raise _refusal(answer.status, answer.text, changing=False)

    async def on_event(self, callback: OnEvent) -> Callable[[], None]:
        """Call back for each event of the Supervisor: `{"event": "job" | "addon" | ..., "data": {...}}`."""
        self._listeners.append(callback)
        await self._subscribed(await self._connected())

        def stop() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return stop

    async def command(self, kind: str, *, changing: bool = False, limit: float | None = None, **fields: Any) -> Any:
        """Any command of Core's WebSocket, such as `auth/current_user`; `limit` in seconds, 0 for none."""
        tried = False
        while True:
            line = await self._connected()
            try:
                answer = await line.ask(kind, fields, limit=self._limit if limit is None else limit)
            except _Lost as lost:
                if tried or (changing and lost.sent):
                    raise Unreachable(
                        "dropped", f"The connection to {self.url} broke off.", maybe_done=changing and lost.sent
                    ) from None
                tried = True
                continue
            if answer.get("success") is True:
                return answer.get("result")
            error = answer.get("error") or {}
            raise translate(str(error.get("code") or ""), str(error.get("message") or ""), changing=changing)

    async def close(self) -> None:
        """Close the socket and the session."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait({self._attempt})
        try:
            if self._line is not None:
                await self._line.close()
        finally:
            await self._web.close()

    async def _supervisor(
        self, endpoint: str, method: str, data: Mapping[str, Any] | None, limit: float | None, *, changing: bool
    ) -> Any:
        fields: dict[str, Any] = {"endpoint": endpoint, "method": method, "timeout": limit}
        if data is not None:
            fields["data"] = dict(data)
        try:
            return await self.command("supervisor/api", changing=changing, limit=0 if limit is None else limit + _SLACK, **fields)
        except Refused as refused:
            if refused.code == "no-supervisor" and _is_starting(await self.command("get_config")):
                raise _core_starting() from refused
            raise

    async def _connected(self) -> _Line:
        """The open line; whoever asks while it is being opened gets the outcome of that one attempt."""
        if self._line is None or self._line.lost:
            if self._attempt is None or self._attempt.done():
                self._attempt = asyncio.create_task(self._connect(), name="connect to Core")
                self._attempt.add_done_callback(_seen)  # also where nobody waits for it any more
            return await asyncio.shield(self._attempt)
        return self._line

    async def _connect(self) -> _Line:
        token = await self._credentials.access()
        socket = await self._web.socket("/api/websocket")
        try:
            version = await self._sign_in(socket, token)
        except BaseException:
            await socket.close()
            raise
        self._line = line = _Line(socket, version, self._tell)
        if self._listeners:
            await self._subscribed(line)
        return line

    async def _sign_in(self, socket: aiohttp.ClientWebSocketResponse, token: Secret) -> str:
        """Say who we are; returns Core's version."""
        hello = await self._hear(socket)
        if hello.get("type") != "auth_required":
            raise Unreachable("not-home-assistant", f"A WebSocket answers at {self.url}, but it is not Home Assistant's.")
        await socket.send_json({"type": "auth", "access_token": token.reveal()})
        said = await self._hear(socket)
        if said.get("type") == "auth_invalid":
            raise self._credentials.refuse()
        if said.get("type") != "auth_ok":
            raise Unreachable("not-home-assistant", f"Home Assistant at {self.url} answers the sign-in with something else.")
        return str(said.get("ha_version") or hello.get("ha_version") or "")

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._limit):
                message = await socket.receive()
        except TimeoutError:
            raise Unreachable("timed-out", f"Home Assistant at {self.url} does not answer the sign-in in time.") from None
        if not isinstance(message.data, str):
            raise Unreachable("dropped", f"Home Assistant at {self.url} closed the connection during the sign-in.")
        return next(iter(_messages(message.data)), {})

    async def _subscribed(self, line: _Line) -> None:
        """Ask for the Supervisor's events, once per line; a Core that has none is looked at by polling anyway."""
        if not line.subscribed:
            line.subscribed = True
            try:
                await line.ask("supervisor/subscribe", {}, limit=self._limit)
            except (_Lost, Unreachable):
                line.subscribed = False

    def _tell(self, event: Mapping[str, Any]) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().call_soon(listener, event)


def _seen(attempt: asyncio.Task[Any]) -> None:
    if not attempt.cancelled():
        attempt.exception()


class _Lost(Exception):
    """The socket closed under a question; `sent` says whether the question may have arrived."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__()
        self.sent = sent


class _Line:
    """A WebSocket after the sign-in: many questions at once, each answer found by its number."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, version: str, tell: OnEvent) -> None:
        self.version = version
        self.lost = False
        self.subscribed = False
        self._socket = socket
        self._tell = tell
        self._number = 0
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sending = asyncio.Lock()
        self._listening = asyncio.create_task(self._listen(), name="Core's WebSocket")

    async def ask(self, kind: str, fields: Mapping[str, Any], *, limit: float) -> dict[str, Any]:
        """Send a command and wait for its result message, `limit` seconds at most (0: as long as it takes)."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        async with self._sending:  # Core wants the numbers in rising order
            if self.lost:
                raise _Lost(sent=False)
            self._number += 1
            number = self._number
            self._asked[number] = answer
            try:
                await self._socket.send_json({"id": number, "type": kind, **fields})
            except ConnectionError:
                del self._asked[number]
                raise _Lost(sent=False) from None
        try:
            async with asyncio.timeout(limit or None):
                return await answer
        except TimeoutError:
            return {"error": {"code": "timeout"}}
        finally:
            self._asked.pop(number, None)

    async def close(self) -> None:
        """Say goodbye and wait until the listening has ended."""
        await self._socket.close()
        await asyncio.wait({self._listening})

    async def _listen(self) -> None:
        try:
            async for message in self._socket:
                if isinstance(message.data, str):
                    for said in _messages(message.data):
                        self._take(said)
        finally:
            self.lost = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(_Lost(sent=True))

    def _take(self, said: Mapping[str, Any]) -> None:
        number = said.get("id")
        answer = self._asked.get(number) if isinstance(number, int) else None
        if said.get("type") == "result" and answer is not None and not answer.done():
            answer.set_result(dict(said))
        elif said.get("type") == "event" and isinstance(event := said.get("event"), dict):
            self._tell(event)


def _messages(text: str) -> list[dict[str, Any]]:
    """The messages in a frame: one, or a list of them; anything else is none."""
    try:
        said = json.loads(text)
    except ValueError:
        return []
    return [message for message in (said if isinstance(said, list) else [said]) if isinstance(message, dict)]


def _log_of(slug: str) -> str:
    """The endpoint of an app's log; `supervisor` has one too."""
    return "/supervisor/logs" if slug == "supervisor" else f"/addons/{slug}/logs"


def _is_starting(config: Mapping[str, Any]) -> bool:
    return str(config.get("state") or "RUNNING").upper() in {"NOT_RUNNING", "STARTING"}


def _core_starting() -> HaSshError:
    return Refused(
        "core-starting",
        "Home Assistant is still starting.",
        "Wait until its web page says so no more, then run the same command again.",
        passing=True,
    )


# ------------------------------------------------------------------------------------------------- the Supervisor's REST


class Rest:
    """What the routes to the REST API have in common."""

    channel = "inside"

    def __init__(self, url: str, poll_every: float) -> None:
        self.url = base_of(url)
        self._poll_every = poll_every

    async def core(self) -> CoreState:
        """Core's version; who asks the Supervisor as an app may do what the app may."""
        info = await self.get("/core/info") or {}
        version = str(info.get("version") or "")
        return CoreState(url=self.url, version=version, is_admin=True, components=("hassio",), detour=self.channel)

    async def get(self, endpoint: str) -> Any:
        """The Supervisor's answer to a GET."""
        return await by_any_name(endpoint, self._get)

    async def _get(self, endpoint: str) -> Any:
        return _result(*await self.ask("GET", endpoint, None, _LOOK), changing=False)

    async def post(
        self,
        endpoint: str,
        data: Mapping[str, Any] | None = None,
        *,
        limit: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """POST to the Supervisor; how far it is comes from its list of jobs."""
        call = by_any_name(endpoint, lambda path: self._post(path, data or {}, limit or _AN_HOUR))
        if on_progress is None:
            return await call
        return await followed(call, Progress(endpoint, on_progress), self.get, every=self._poll_every)

    async def log(self, slug: str) -> str:
        """The app's log."""
        return await by_any_name(_log_of(slug), self._log)

    async def _log(self, path: str) -> str:
        status, text = await self.ask("GET", path, None, _LOOK)
        if status == 200:
            return strip_colours(text)
        raise _refusal(status, text, changing=False)

    async def on_event(self, callback: OnEvent) -> Callable[[], None]:
        """The REST API has no events: nothing ever calls back."""
        return lambda: None

    async def _post(self, endpoint: str, data: Mapping[str, Any], limit: float) -> Any:
        return _result(*await self.ask("POST", endpoint, data, limit), changing=True)

    async def ask(self, method: str, endpoint: str, data: Mapping[str, Any] | None, limit: float) -> tuple[int, str]:
        """The status and the body of an answer."""
        raise NotImplementedError


class InsideRoute(Rest):
    """Straight to the Supervisor, from inside the house: an app's container, with its `SUPERVISOR_TOKEN`."""

    def __init__(self, token: Secret, *, url: str = "http://supervisor", poll_every: float = 2.0) -> None:
        super().__init__(url, poll_every)
        self._token = token
        self._web = Web(self.url)

    async def close(self) -> None:
        """Close the session."""
        await self._web.close()

    async def ask(self, method: str, endpoint: str, data: Mapping[str, Any] | None, limit: float) -> tuple[int, str]:
        """The status and the body of an answer."""
        if method == "GET":
            answer = await self._web.get(endpoint, token=self._token, headers={"Accept": "text/plain, */*"}, limit=limit)
            return answer.status, answer.text
        try:
            answer = await self._web.post(endpoint, body=dict(data or {}), token=self._token, limit=limit)
        except Unreachable as error:
            error.maybe_done = error.code in {"timed-out", "dropped"}
            raise
        return answer.status, answer.text


class SshRoute(Rest):
    """To the Supervisor through an SSH login: the app's container asks it with its own `curl` and its own token.

    The token never leaves the container, and no secret is on a command line of this computer.
    """

    channel = "ssh"

    def __init__(self, session: Session, *, url: str = "http://supervisor", poll_every: float = 2.0) -> None:
        super().__init__(url, poll_every)
        self._session = session
        self._by_profile = False

    async def close(self) -> None:
        """The session belongs to whoever opened it."""

    async def _run(self, script: str, limit: float) -> Ran:
        command = f"bash -lc {shlex.quote(script)}" if self._by_profile else script
        return await self._session.run(command, limit=limit + _SLACK)

    async def ask(self, method: str, endpoint: str, data: Mapping[str, Any] | None, limit: float) -> tuple[int, str]:
        """The status and the body of an answer."""
        changing = method == "POST"
        script = _curl_script(method, self.url + endpoint, data, limit)
        try:
            ran = await self._run(script, limit)
            if ran.code == _NO_TOKEN and not self._by_profile:  # only root's plain commands have the token
                self._by_profile = True
                ran = await self._run(script, limit)
        except (SshTrouble, TimeoutError) as error:
            raise Unreachable("dropped", f"The SSH connection broke off ({error}).", maybe_done=changing) from error
        if ran.code == _NO_TOKEN:
            raise Unreachable(
                "no-supervisor-token",
                "This SSH login cannot ask the Supervisor: it has no token.",
                "Log in as `root`, or give the address of Home Assistant with `--url`.",
            )
        body, _, status = ran.out.rstrip().rpartition("\n")
        if ran.code != 0 or not status.isdigit():
            raise Unreachable(
                "supervisor-unreachable",
                f"The Supervisor cannot be reached through SSH ({ran.err.strip() or f'curl ended with {ran.code}'}).",
                maybe_done=changing and ran.code in _CURL_TOO_LATE,
            )
        return int(status), body


_NO_TOKEN = 41
_CURL_TOO_LATE = frozenset({28, 52, 56})
"""Exit codes of curl after the question went out: timed out, nothing came back, broke off."""


def _curl_script(method: str, url: str, data: Mapping[str, Any] | None, limit: float) -> str:
    """A POSIX shell script that asks by `curl`, with the body on its standard input."""
    curl = (
        f'curl -sS -X {method} -m {limit:g} -H "Authorization: Bearer $SUPERVISOR_TOKEN" '
        f"-H 'Content-Type: application/json' -w '\\n%{{http_code}}'"
    )
    if data is not None:
        body = base64.b64encode(json.dumps(data).encode()).decode()
        curl = f"printf %s {body} | base64 -d | {curl} --data-binary @-"
    return f'[ -n "$SUPERVISOR_TOKEN" ] || exit {_NO_TOKEN}; {curl} {shlex.quote(url)}'


def _result(status: int, text: str, *, changing: bool) -> Any:
    """The data of a REST answer, or the refusal in it."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("result") == "ok":
        return body.get("data")
    raise _refusal(status, text, changing=changing)


def _refusal(status: int, text: str, *, changing: bool) -> HaSshError:
    """The error for a REST answer that says no: its message, else its status."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    message = body.get("message") if isinstance(body, dict) else text
    return translate("rest", str(message or "").strip() or str(status), changing=changing)
