"""Signing in to Home Assistant: by name and password, in the browser, with a token; every token stays with its origin."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import os
import secrets
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from ha_ssh.core.errors import HaSshError, MissingAnswer, Refused, UsageError
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha.address import origin_of
from ha_ssh.world.ha.answers import not_understood, of_answer
from ha_ssh.world.ha.web import Tls, Web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ha_ssh.world.ha.answers import Answer
    from ha_ssh.world.ha.routes import CoreRoute

_NO_BROWSER_CLIENT = "http://127.0.0.1/"
"""The client id of a sign-in in the terminal: IndieAuth wants the URL of a page, and loopback needs none to exist."""
_EARLY = 60.0
"""Seconds before its end from which an access token counts as ended."""
_CODE_TRIES = 3


class Credentials(Protocol):
    """What gives access tokens for one origin."""

    origin: str
    """Scheme, host and port that the tokens are for; nobody else gets them."""
    is_session: bool
    """Whether it is a session, which can be ended from here."""

    async def access(self) -> Secret:
        """An access token that is valid now; raises `token-refused` once one was refused."""
        ...

    def refuse(self) -> HaSshError:
        """Remember that Home Assistant refused the token: it counts bad ones, so it is never sent again; returns the error."""
        ...


def token_refused(url: str) -> HaSshError:
    """The error for a token that Home Assistant does not accept."""
    return Refused(
        "token-refused",
        f"Home Assistant at {url} does not accept the token: it is mistyped, expired or withdrawn, or from another house.",
        "Sign in again: `ha-ssh login`; or make a new one on your profile page: Security -> Long-lived access tokens.",
        "It was tried once only, because Home Assistant bans computers that keep trying.",
    )


class LongLivedToken:
    """A token that somebody made in Home Assistant, bound to one origin."""

    is_session = False

    def __init__(self, origin: str, token: Secret) -> None:
        self.origin = origin_of(origin)
        self._token = Secret("".join(token.reveal().split()).removeprefix("Bearer").strip("\"'"))
        self._refused = False
        if not self._token:
            raise UsageError("token-empty", "The token is empty.", "Set `HA_SSH_TOKEN`, or name a file with `--token-file FILE`.")

    async def access(self) -> Secret:
        """The token, until it was refused once."""
        if self._refused:
            raise token_refused(self.origin)
        return self._token

    def refuse(self) -> HaSshError:
        """Never give the token out again."""
        self._refused = True
        return token_refused(self.origin)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a sign-in yields; the session lives as long as its refresh token."""

    access: Secret
    refresh: Secret
    client_id: str
    """The client that the session belongs to; a refresh has to name the same one."""
    expires_at: float = 0.0
    """When the access token ends, in seconds since the epoch by our own clock; 0 where there is none yet."""


class SignedIn:
    """The credentials of a session: an access token that renews itself."""

    is_session = True

    def __init__(self, sign_in: SignIn, tokens: Tokens, *, keep: Callable[[Tokens], None] | None = None) -> None:
        self.origin = sign_in.origin
        self.tokens = tokens
        self._sign_in = sign_in
        self._keep = keep
        self._refused = False
        self._renewing = asyncio.Lock()

    async def access(self) -> Secret:
        """An access token; a new one is fetched shortly before the old one ends."""
        if self._refused:
            raise signed_out(self.origin)
        async with self._renewing:
            if not self._sign_in.is_fresh(self.tokens):
                try:
                    self.tokens = await self._sign_in.refresh(self.tokens)
                except Refused:
                    self._refused = True
                    raise
                if self._keep is not None:
                    self._keep(self.tokens)
            return self.tokens.access

    def refuse(self) -> HaSshError:
        """Never give a token of this session out again."""
        self._refused = True
        return signed_out(self.origin)

    async def revoke(self) -> None:
        """End the session in Home Assistant."""
        self._refused = True
        await self._sign_in.revoke(self.tokens)


def signed_out(url: str) -> HaSshError:
    """The error for a session that Home Assistant has ended."""
    return Refused("signed-out", f"The session with Home Assistant at {url} has ended.", "Sign in again: `ha-ssh login`.")


class SignIn:
    """The ways to sign in to one house."""

    def __init__(self, url: str, *, tls: Tls | None = None, now: Callable[[], float] = time.time) -> None:
        self.origin = origin_of(url)
        self._web = Web(url, tls)
        self._now = now

    async def close(self) -> None:
        """Close the connections."""
        await self._web.close()

    async def providers(self) -> tuple[str, ...]:
        """The kinds of sign-in that this Core offers, such as `homeassistant` (name and password)."""
        said = _read(await self._web.get("/auth/providers"), self.origin)
        listed = said.get("providers") if isinstance(said, dict) else said
        return tuple(str(provider.get("type")) for provider in listed or () if isinstance(provider, dict))

    async def with_password(
        self, name: str, password: Secret, *, ask_code: Callable[[str], Awaitable[Secret]] | None = None
    ) -> Tokens:
        """Sign in by name and password; `ask_code(problem)` is asked for the second factor, with what was wrong before."""
        client = {"client_id": _NO_BROWSER_CLIENT}
        start = {**client, "handler": ["homeassistant", None], "redirect_uri": _NO_BROWSER_CLIENT}
        answer = await self._web.post("/auth/login_flow", body=start)
        if answer.status == 404:
            raise Refused(
                "no-password-login",
                "This Home Assistant has no sign-in by name and password.",
                "Sign in with the browser (`ha-ssh login`), or with a token.",
            )
        step = _read(answer, self.origin)
        flow = f"/auth/login_flow/{quote(str(step.get('flow_id')), safe='')}"
        step = await self._step(flow, {**client, "username": name, "password": password.reveal()})
        if (step.get("errors") or {}).get("base") == "invalid_auth":
            raise Refused(
                "wrong-password",
                "Home Assistant does not know this name with this password.",
                "The name is the one you sign in with, in lower case; Home Assistant bans computers that keep trying.",
            )
        if step.get("step_id") == "select_mfa_module":
            step = await self._step(flow, {**client, "multi_factor_auth_module": _second_factor(step)})
        problem = ""
        for _ in range(_CODE_TRIES):
            if step.get("type") != "form" or step.get("step_id") != "mfa":
                break
            if ask_code is None:
                raise MissingAnswer(
                    "code-needed",
                    "This user signs in with a second factor, and nobody is there to give its code.",
                    "Use a token in scripts: `HA_SSH_TOKEN`, or `--token-file FILE`.",
                )
            code = await ask_code(problem)
            step = await self._step(flow, {**client, "code": code.reveal().replace(" ", "")})
            problem = "That code was not accepted." if step.get("errors") else ""
        if step.get("type") != "create_entry":
            raise Refused(
                "sign-in-refused", f"Home Assistant ended the sign-in ({step.get('reason') or problem or 'no reason given'})."
            )
        return await self._exchange(str(step.get("result")), _NO_BROWSER_CLIENT)

    async def in_browser(
        self,
        show: Callable[[str], None],
        *,
        open_browser: Callable[[str], object] | None = None,
        paste: Callable[[str], Awaitable[str]] | None = None,
        limit: float = 300.0,
    ) -> Tokens:
        """Sign in on Home Assistant's own page.

        `show` gets the address in any case. `open_browser` opens it, if given. The browser comes back to a server on
        loopback; where it runs on another machine it cannot, and `paste(problem)` yields the address that it ended up at, with
        what was wrong with the one before.
        """
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        pkce = await self._takes_pkce()
        async with _Callback(state) as callback:
            query = {"response_type": "code", "client_id": callback.client_id, "redirect_uri": callback.url, "state": state}
            if pkce:
                query |= {"code_challenge": _challenge(verifier), "code_challenge_method": "S256"}
            address = f"{self._web.url}/auth/authorize?{urlencode(query)}"
            show(address)
            if open_browser is not None:
                # a browser that hangs while it starts must not hold up the sign-in or the exit
                threading.Thread(target=open_browser, args=(address,), daemon=True, name="open the browser").start()
            try:
                async with asyncio.timeout(limit):
                    code = await _first(callback.code, _pasted(paste, state) if paste else None)
            except TimeoutError:
                raise MissingAnswer(
                    "sign-in-not-finished", "The sign-in in the browser was not finished in time.", "Run the same command again."
                ) from None
            return await self._exchange(code.reveal(), callback.client_id, verifier=verifier if pkce else None)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """A new access token for the same session; raises `signed-out` where that has ended."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh.reveal(), "client_id": tokens.client_id}
        answer = await self._web.post("/auth/token", form=form)
        if answer.status in {400, 401, 403} and answer.json() is not None:
            raise signed_out(self._web.url)
        said = _granted(answer, self.origin)
        return replace(tokens, access=Secret(str(said["access_token"])), expires_at=self._ends(said))

    async def revoke(self, tokens: Tokens) -> None:
        """End the session in Home Assistant."""
        token = {"token": tokens.refresh.reveal()}
        answer = await self._web.post("/auth/revoke", form=token)
        if answer.status in {404, 405}:  # Core before 2022.9
            answer = await self._web.post("/auth/token", form={**token, "action": "revoke"})
        if answer.status != 200:
            raise of_answer(answer, self.origin)

    def is_fresh(self, tokens: Tokens) -> bool:
        """Whether the access token can still be used."""
        return bool(tokens.access) and self._now() < tokens.expires_at - _EARLY

    async def _step(self, flow: str, fields: Mapping[str, str]) -> dict[str, Any]:
        said = _read(await self._web.post(flow, body=fields), self.origin)
        return said if isinstance(said, dict) else {}

    async def _takes_pkce(self) -> bool:
        """Whether Core knows PKCE: one that does not announce it would refuse the verifier, or ignore it."""
        said = (await self._web.get("/.well-known/oauth-authorization-server")).json()
        return isinstance(said, dict) and "S256" in (said.get("code_challenge_methods_supported") or ())

    async def _exchange(self, code: str, client_id: str, *, verifier: str | None = None) -> Tokens:
        form = {"grant_type": "authorization_code", "code": code, "client_id": client_id}
        if verifier is not None:
            form["code_verifier"] = verifier
        answer = await self._web.post("/auth/token", form=form)
        said = answer.json()
        if answer.status in {400, 403} and isinstance(said, dict):
            why = str(said.get("error_description") or said.get("error") or answer.status)
            raise Refused("sign-in-refused", f"Home Assistant ended the sign-in ({why}).", "Run the same command again.")
        said = _granted(answer, self.origin)
        return Tokens(
            access=Secret(str(said["access_token"])),
            refresh=Secret(str(said.get("refresh_token") or "")),
            client_id=client_id,
            expires_at=self._ends(said),
        )

    def _ends(self, said: Mapping[str, Any]) -> float:
        seconds = said.get("expires_in")
        return self._now() + (seconds if isinstance(seconds, int | float) else 0)


async def make_token(route: CoreRoute, name: str, days: int) -> Secret:
    """Make a long-lived token for the signed-in user; its name has to be new."""
    try:
        made = await route.command("auth/long_lived_access_token", changing=True, client_name=name, lifespan=days)
    except Refused as refused:
        listed = await route.command("auth/refresh_tokens")
        if any(isinstance(token, dict) and token.get("client_name") == name for token in listed or ()):
            raise Refused(
                "token-name-taken",
                f"This user already has a token named `{name}`.",
                "Choose another name, or delete the old one on your profile page: Security -> Long-lived access tokens.",
            ) from refused
        raise
    return Secret(str(made))


def browser_here(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a browser that is opened would show up in front of the person: not over SSH, not without a screen."""
    if "SSH_CONNECTION" in environ or "SSH_TTY" in environ:
        return False
    if platform in {"darwin", "win32"} or "BROWSER" in environ:
        return True
    return "DISPLAY" in environ or "WAYLAND_DISPLAY" in environ


def returned_code(address: str, state: str) -> Secret:
    """The code in the address that the browser came back to; raises where it is denied or not from this sign-in."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(address.strip()).query).items()}
    if not secrets.compare_digest(query.get("state", "").encode(), state.encode()):
        raise Refused(
            "foreign-address", "This address does not belong to this sign-in.", "Copy the whole address of the last page."
        )
    if "error" in query:
        raise Refused("sign-in-denied", f"The sign-in was not granted ({query['error']}).")
    if "code" not in query:
        raise Refused("foreign-address", "There is no code in this address.", "Copy the whole address of the last page.")
    return Secret(query["code"])


async def _pasted(paste: Callable[[str], Awaitable[str]], state: str) -> Secret:
    """The code of the first pasted address that belongs to this sign-in."""
    problem = ""
    while True:
        try:
            return returned_code(await paste(problem), state)
        except Refused as refused:
            if refused.code != "foreign-address":
                raise
            problem = " ".join((refused.message, *refused.hints))


async def _first(callback: asyncio.Future[Secret], pasted: Awaitable[Secret] | None) -> Secret:
    """The code that comes first, over loopback or pasted."""
    if pasted is None:
        return await callback
    pasting = asyncio.ensure_future(pasted)
    try:
        done, _ = await asyncio.wait({callback, pasting}, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        if not pasting.done():
            pasting.cancel()
            await asyncio.wait({pasting})


class _Callback:
    """A server on a random loopback port that the browser comes back to, once."""

    def __init__(self, state: str) -> None:
        self._state = state
        self.client_id = ""
        self.url = ""

    async def __aenter__(self) -> Self:
        from aiohttp import web

        self.code: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()

        async def come_back(request: web.Request) -> web.Response:
            try:
                code = returned_code(str(request.rel_url), self._state)
            except Refused as refused:
                if refused.code != "foreign-address" and not self.code.done():
                    self.code.set_exception(refused)
                return _page("This did not work", refused.message, status=400)
            if not self.code.done():
                self.code.set_result(code)
            return _page("You are signed in", "You can close this tab and go back to the terminal.")

        def _page(title: str, text: str, *, status: int = 200) -> web.Response:
            headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
            return web.Response(
                text=_PAGE.format(title=title, text=html.escape(text)), content_type="text/html", status=status, headers=headers
            )

        app = web.Application()
        app.router.add_get("/callback", come_back)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.client_id = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        self.url = f"{self.client_id}callback"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.code.done() and not self.code.cancelled():
            self.code.exception()  # seen here, in case that a pasted address came first
        await self._runner.cleanup()


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ha-ssh: {title}</title><style>body{{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}}
@media(prefers-color-scheme:dark){{body{{background:#111;color:#eee}}}}</style><h1>{title}</h1><p>{text}</p></html>
"""


def _challenge(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _second_factor(step: Mapping[str, Any]) -> str:
    """The second factor to use where the user has several: the authenticator app if there is one, else the first."""
    offered: list[str] = []
    for field in step.get("data_schema") or ():
        options = field.get("options") or () if isinstance(field, dict) else ()
        offered += [str(option[0] if isinstance(option, list) else option) for option in options]
    return "totp" if "totp" in offered or not offered else offered[0]


def _granted(answer: Answer, url: str) -> dict[str, Any]:
    """The tokens in an answer; raises `HaSshError` for an answer without any."""
    said = _read(answer, url)
    if not isinstance(said, dict) or not isinstance(said.get("access_token"), str):
        raise not_understood(url, "/auth/token", dict.fromkeys(said, "...") if isinstance(said, dict) else said)
    return said


def _read(answer: Answer, url: str) -> Any:
    """The JSON of an answer, or the error that it means."""
    if answer.status == 403 and not answer.is_anothers:
        raise Refused(
            "ip-banned",
            f"Home Assistant at {url} has banned the address of this computer, or lets nobody sign in from here.",
            "Delete the address from `ip_bans.yaml` in the configuration folder and restart Home Assistant.",
        )
    said = answer.json()
    if answer.status != 200 or said is None:
        if isinstance(said, dict) and (why := said.get("message")):
            raise Refused("sign-in-refused", f"Home Assistant ended the sign-in ({why}).")
        raise of_answer(answer, url)
    if isinstance(said, dict) and said.get("type") == "abort":
        raise Refused("sign-in-refused", f"Home Assistant ended the sign-in ({said.get('reason')}).")
    return said
