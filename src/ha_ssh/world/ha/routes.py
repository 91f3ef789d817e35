"""The routes to the Supervisor, behind one small protocol: Core's WebSocket, from inside the house, through an SSH login."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.facts import texts
from ha_ssh.core.logs import strip_colours
from ha_ssh.core.model import CoreState, SshTrouble
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha.address import base_of, origin_of
from ha_ssh.world.ha.answers import NO_LOG, Answer, not_understood, of_log, redirected
from ha_ssh.world.ha.progress import Progress, followed
from ha_ssh.world.ha.refusals import TELLING, translate, unanswered
from ha_ssh.world.ha.signin import LongLivedToken
from ha_ssh.world.ha.web import FEW_SECONDS, STOPPING, Shown, Tls, Web, broken_off, heard, messages

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
_LOG = 6.0
"""Seconds for which a log may be silent; what goes on coming may take a little longer."""
_STEADY_TIMES = 3
"""How many times its limit an answer may take where others keep coming."""
_SLACK = 5.0
"""Seconds that we wait longer than we let Core wait, so that Core is the first to say so."""
_AN_HOUR = 3600.0
_TIMEOUT = "timeout"
"""The code that we give an answer which did not come."""
_LOG_LINES = 500
_PASSING = frozenset(
    {
        "connection-refused",
        "core-not-answering",
        "core-starting",
        "dropped",
        "front-error",
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
    answers: list[tuple[float, float]]
    """When each answer came, and how long it took: seconds in the time of the event loop."""

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


async def timed(asked: Coroutine[Any, Any, T], answers: list[tuple[float, float]]) -> T:
    """Wait for an answer, and note when it came and how long it took; where none comes, nothing is noted."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await asked
    answers.append((loop.time(), loop.time() - began))
    return answer


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
        shown: Shown | None = None,
    ) -> None:
        self.url = base_of(url)
        self._credentials: Credentials = LongLivedToken(self.url, token) if isinstance(token, Secret) else token
        if self._credentials.origin != origin_of(self.url):
            raise Refused(
                "token-of-another-house",
                f"The token is for {self._credentials.origin}, so it is not sent to {self.url}.",
                "Sign in at this address: `ha-ssh login`.",
            )
        self.answers: list[tuple[float, float]] = []
        self._web = Web(self.url, tls, limit=limit, shown=shown)
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
        user, config = await asyncio.gather(self._described("auth/current_user"), self._described("get_config"))
        components = tuple(sorted(texts(config.get("components"))))
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
            mode=next((mode for mode in ("recovery", "safe") if config.get(f"{mode}_mode") is True), ""),
        )

    async def _described(self, kind: str) -> dict[str, Any]:
        """The object that a command of Core's is answered with; raises `HaSshError` for anything else."""
        said = await self.command(kind)
        if not isinstance(said, dict):
            raise not_understood(self.url, kind, said)
        return said

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
        asked = self._web.get(
            f"/api/hassio{path}",
            token=await self._credentials.access(),
            headers={"Accept": "text/plain", "Range": f"entries=:-{_LOG_LINES - 1}:{_LOG_LINES}"},
            limit=_LOG,
        )
        try:
            answer = await timed(asked, self.answers)
        except HaSshError as error:
            raise error.after(NO_LOG, f"GET {path}: {error.code}") from error
        if answer.status in {200, 206} and answer.is_text:
            return strip_colours(answer.text)
        if 300 <= answer.status < 400:
            raise redirected(answer.url, answer.headers.get("Location", ""), status=answer.status)
        if answer.status == 401 and not (answer.is_anothers or answer.sign_in):
            raise Refused(
                "log-refused",
                "Home Assistant does not show this log to this sign-in (401): it has ended meanwhile, or is no administrator's.",
                "Sign in anew, as an administrator: `ha-ssh login`.",
                evidence=(f"GET {path}: 401",),
            )
        raise of_log(answer, self.url, _refusal)

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
        steady, limit = limit is None, self._limit if limit is None else limit
        while True:
            line = await self._connected()
            began = time.monotonic()
            try:
                answer = await timed(line.ask(kind, fields, limit=limit, steady=steady), self.answers)
            except _Lost as lost:
                if lost.fault is not None and not changing:
                    raise lost.fault from None
                if tried or (changing and lost.sent):
                    raise Unreachable(
                        "dropped",
                        f"The connection to {self.url} broke off.",
                        *STOPPING,
                        maybe_done=changing and lost.sent,
                        evidence=(f"it ended while `{_named(kind, fields)}` waited for its answer",),
                    ) from None
                tried = True
                continue
            except TimeoutError:
                answer = {"error": {"code": _TIMEOUT}}
            if answer.get("success") is True:
                return answer.get("result")
            error = answer.get("error")
            if not isinstance(error, dict):
                raise not_understood(self.url, kind, answer, changing=changing)
            code, message = str(error.get("code") or ""), str(error.get("message") or "")
            if not changing and (code == _TIMEOUT or (not message.strip() and code not in TELLING)):
                raise unanswered(_named(kind, fields), time.monotonic() - began, _patience(fields, limit))
            raise translate(code, message, changing=changing)

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
            if refused.code == "no-supervisor" and _is_starting(await self._described("get_config")):
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
        socket = await timed(self._web.socket("/api/websocket"), self.answers)
        try:
            version = await self._sign_in(socket, token)
        except BaseException:
            await socket.close()
            raise
        self._line = line = _Line(socket, self.url, version, self._tell)
        if self._listeners:
            await self._subscribed(line)
        return line

    async def _sign_in(self, socket: aiohttp.ClientWebSocketResponse, token: Secret) -> str:
        """Say who we are; returns Core's version."""
        hello = await timed(heard(socket, self.url, "auth_required", limit=self._limit), self.answers)
        await socket.send_json({"type": "auth", "access_token": token.reveal()})
        said = await timed(heard(socket, self.url, "auth_ok", "auth_invalid", limit=self._limit), self.answers)
        if said["type"] == "auth_invalid":
            raise self._credentials.refuse()
        return str(said.get("ha_version") or hello.get("ha_version") or "")

    async def _subscribed(self, line: _Line) -> None:
        """Ask for the Supervisor's events, once per line; a Core that has none is looked at by polling anyway."""
        if not line.subscribed:
            line.subscribed = True
            try:
                await line.ask("supervisor/subscribe", {}, limit=self._limit)
            except (_Lost, TimeoutError):
                line.subscribed = False

    def _tell(self, event: Mapping[str, Any]) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().call_soon(listener, event)


def _seen(attempt: asyncio.Task[Any]) -> None:
    if not attempt.cancelled():
        attempt.exception()


class _Lost(Exception):
    """The socket closed under a question.

    `sent` says whether the question may have arrived, `fault` what ended the socket where that would happen again.
    """

    def __init__(self, *, sent: bool, fault: HaSshError | None = None) -> None:
        super().__init__()
        self.sent = sent
        self.fault = fault


class _Line:
    """A WebSocket after the sign-in: many questions at once, each answer found by its number."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, url: str, version: str, tell: OnEvent) -> None:
        self.version = version
        self.lost = False
        self.subscribed = False
        self._socket = socket
        self._tell = tell
        self._number = 0
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sending = asyncio.Lock()
        self._fault: HaSshError | None = None
        self._heard = 0.0
        """When the last message came, in the time of the event loop."""
        self._listening = asyncio.create_task(self._listen(url), name="Core's WebSocket")

    async def ask(self, kind: str, fields: Mapping[str, Any], *, limit: float, steady: bool = False) -> dict[str, Any]:
        """Send a command and wait for its result message, `limit` seconds at most (0: as long as it takes).

        With `steady`, the limit is one of silence: as long as other messages come, it is waited for a few times as long.
        Raises `TimeoutError` where none comes.
        """
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
            await self._awaited(answer, limit, steady=steady)
            return answer.result()
        finally:
            self._asked.pop(number, None)

    async def _awaited(self, answer: asyncio.Future[dict[str, Any]], limit: float, *, steady: bool) -> None:
        """Wait until the answer is there; raises `TimeoutError`."""
        began = asyncio.get_running_loop().time()
        while not answer.done():
            now = asyncio.get_running_loop().time()
            end = max(began, self._heard) + limit if steady else began + limit
            left = min(end, began + limit * _STEADY_TIMES) - now if limit else None
            if left is not None and left <= 0:
                raise TimeoutError
            await asyncio.wait({answer}, timeout=left)

    async def close(self) -> None:
        """Say goodbye and wait until the listening has ended."""
        await self._socket.close()
        await asyncio.wait({self._listening})

    async def _listen(self, url: str) -> None:
        try:
            async for message in self._socket:
                self._heard = asyncio.get_running_loop().time()
                if isinstance(message.data, str):
                    for said in messages(message.data):
                        self._take(said)
                else:
                    self._fault = broken_off(message.data, url)
        finally:
            self.lost = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(_Lost(sent=True, fault=self._fault))

    def _take(self, said: Mapping[str, Any]) -> None:
        number = said.get("id")
        answer = self._asked.get(number) if isinstance(number, int) else None
        if said.get("type") == "result" and answer is not None and not answer.done():
            answer.set_result(dict(said))
        elif said.get("type") == "event" and isinstance(event := said.get("event"), dict):
            self._tell(event)


def _log_of(slug: str) -> str:
    """The endpoint of an app's log; `supervisor` has one too."""
    return "/supervisor/logs" if slug == "supervisor" else f"/addons/{slug}/logs"


def _named(kind: str, fields: Mapping[str, Any]) -> str:
    """What was asked, as people read it: a request to the Supervisor, else the command of Core's."""
    return f"{str(fields['method']).upper()} {fields['endpoint']}" if "endpoint" in fields else kind


def _patience(fields: Mapping[str, Any], limit: float) -> float:
    """Seconds that an answer had: those that Core was told to give the Supervisor, else our own."""
    told = fields.get("timeout")
    return float(told) if isinstance(told, int | float) else limit


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
        self.answers: list[tuple[float, float]] = []
        self._poll_every = poll_every

    async def core(self) -> CoreState:
        """Core's version; who asks the Supervisor as an app may do what the app may."""
        info = await self.get("/core/info")
        if not isinstance(info, dict):
            raise not_understood(self.url, "/core/info", info)
        version = str(info.get("version") or "")
        return CoreState(url=self.url, version=version, is_admin=True, components=("hassio",), detour=self.channel)

    async def get(self, endpoint: str) -> Any:
        """The Supervisor's answer to a GET."""
        return await by_any_name(endpoint, self._get)

    async def _get(self, endpoint: str) -> Any:
        return _result(*await timed(self.ask("GET", endpoint, None, _LOOK), self.answers), changing=False)

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
        status, text = await timed(self.ask("GET", path, None, _LOG), self.answers)
        answer = Answer(status=status, url=f"{self.url}{path}", text=text)
        if status == 200 and answer.is_text:
            return strip_colours(text)
        raise of_log(answer, self.url, _refusal)

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


def _refusal(status: int, text: str, *, changing: bool = False) -> HaSshError:
    """The error for a REST answer that says no: its message, else its status."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    message = body.get("message") if isinstance(body, dict) else text
    return translate("rest", str(message or "").strip() or str(status), changing=changing)
