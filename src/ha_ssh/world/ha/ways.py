"""The ways in: houses are found and signed in to here, and each sign-in is kept with the origin that it belongs to."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import SecretRef
from ha_ssh.core.secret import Secret
from ha_ssh.world.ha import discovery, web
from ha_ssh.world.ha.address import candidates, host_of, is_public, origin_of
from ha_ssh.world.ha.routes import CoreRoute
from ha_ssh.world.ha.signin import LongLivedToken, SignedIn, SignIn, Tokens, browser_here, make_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ha_ssh.core.options import Trust
    from ha_ssh.world.ha.discovery import Found
    from ha_ssh.world.ha.signin import Credentials
    from ha_ssh.world.vault import Vault


class Ways:
    """Finds houses and signs in to them; a session that nobody kept is ended with the run."""

    def __init__(
        self,
        vault: Vault,
        *,
        around: Sequence[str] | None = None,
        now: Callable[[], float] = time.time,
        shown: web.Shown | None = None,
    ) -> None:
        self._vault = vault
        self._shown = shown or web.Shown()
        self._around = around
        """The only addresses to look at, instead of the network."""
        self._now = now
        self._sign_ins: list[SignIn] = []
        self._for_now: list[tuple[SignIn, SignedIn]] = []

    # ----------------------------------------------------------------------------------------------------------- finding

    async def look_around(self) -> tuple[Found, ...]:
        """All houses that announce themselves or go by a usual name; nothing secret goes out."""
        if self._around is None:
            return await discovery.discover()
        return tuple([await discovery.identify(address) for address in self._around])

    async def identify(self, address: str, trust: Trust) -> Found:
        """The house at an address as people type it, after safe redirects; else raises what is the matter there."""
        return await discovery.identify(address, tls=_tls(trust), shown=self._shown)

    async def greeting(self, url: str, trust: Trust) -> str:
        """The version that Home Assistant tells everybody who opens its WebSocket; else raises what is the matter there."""
        house = web.Web(url, _tls(trust), shown=self._shown)
        try:
            socket = await house.socket("/api/websocket")
            hello = await web.heard(socket, url, "auth_required")
            await socket.close()
        finally:
            await house.close()
        return str(hello.get("ha_version") or "")

    def likeliest(self, address: str) -> str:
        """The origin that an address most likely means."""
        return candidates(address)[0]

    async def is_public(self, url: str) -> bool:
        """Whether an address leads out of the home network; one that does not resolve leads nowhere."""
        try:
            return is_public(await web.addresses_of(host_of(url)))
        except OSError:
            return False

    # ------------------------------------------------------------------------------------------------------- signing in

    def browser_here(self) -> bool:
        """Whether a browser that is opened shows up in front of the person."""
        return browser_here()

    def by_token(self, url: str, token: Secret) -> Credentials:
        """The credentials that a long-lived token is."""
        return LongLivedToken(url, token)

    async def by_password(
        self, url: str, trust: Trust, name: str, password: Secret, ask_code: Callable[[str], Awaitable[Secret]] | None
    ) -> Credentials:
        """Sign in by name and password; `ask_code(problem)` is asked for the second factor."""
        sign_in = self._sign_in(url, trust)
        return self._new(sign_in, await sign_in.with_password(name, password, ask_code=ask_code))

    async def by_browser(
        self,
        url: str,
        trust: Trust,
        show: Callable[[str], None],
        *,
        open_it: bool,
        paste: Callable[[str], Awaitable[str]] | None,
        limit: float,
    ) -> Credentials:
        """Sign in on Home Assistant's own page; see `SignIn.in_browser`."""
        import webbrowser

        sign_in = self._sign_in(url, trust)
        opener = webbrowser.open if open_it else None
        return self._new(sign_in, await sign_in.in_browser(show, open_browser=opener, paste=paste, limit=limit))

    async def make_token(self, url: str, credentials: Credentials, trust: Trust, name: str, days: int) -> Secret:
        """Make a long-lived token for whoever is signed in; its name has to be new."""
        route = CoreRoute(url, credentials, tls=_tls(trust))
        try:
            return await make_token(route, name, days)
        finally:
            await route.close()

    # ----------------------------------------------------------------------------------------------------------- keeping

    def kept(self, url: str, trust: Trust) -> Credentials | None:
        """The sign-in that is kept for an address."""
        try:
            kept = json.loads(self._vault.recall(SecretRef(_name(url))).reveal())
            if "token" in kept:
                return LongLivedToken(url, Secret(kept["token"]))
            tokens = Tokens(access=Secret(""), refresh=Secret(kept["refresh"]), client_id=kept["client_id"])
        except HaSshError as gone:
            if gone.code != "secret-gone":
                raise
            return None
        except (ValueError, KeyError, TypeError):  # somebody edited it: it is no sign-in any more
            return None
        return SignedIn(self._sign_in(url, trust), tokens)

    async def keep(self, credentials: Credentials) -> None:
        """Keep a sign-in for later runs: a session by its refresh token alone, since access tokens last half an hour."""
        if isinstance(credentials, SignedIn):
            kept = {"refresh": credentials.tokens.refresh.reveal(), "client_id": credentials.tokens.client_id}
            self._for_now = [(sign_in, session) for sign_in, session in self._for_now if session is not credentials]
        else:
            kept = {"token": (await credentials.access()).reveal()}
        self._vault.keep(_name(credentials.origin), Secret(json.dumps(kept)))

    def forget(self, url: str) -> None:
        """Forget the sign-in that is kept for an address."""
        self._vault.forget(_name(url))

    async def revoke(self, credentials: Credentials) -> bool:
        """End a session in the house; False for a long-lived token, which is its owner's to delete."""
        if not isinstance(credentials, SignedIn):
            return False
        await credentials.revoke()
        return True

    async def close(self) -> None:
        """End the sessions that were for this run only, and close every connection."""
        for sign_in, session in self._for_now:
            with contextlib.suppress(HaSshError):  # it ends by itself where the house is gone: nobody has its secret any more
                await sign_in.revoke(session.tokens)
        for sign_in in self._sign_ins:
            await sign_in.close()

    def _sign_in(self, url: str, trust: Trust) -> SignIn:
        sign_in = SignIn(url, tls=_tls(trust), now=self._now)
        self._sign_ins.append(sign_in)
        return sign_in

    def _new(self, sign_in: SignIn, tokens: Tokens) -> SignedIn:
        session = SignedIn(sign_in, tokens)
        self._for_now.append((sign_in, session))
        return session


def _tls(trust: Trust) -> web.Tls:
    return web.Tls(ca_file=trust.ca_file, fingerprint=trust.fingerprint)


def _name(url: str) -> str:
    return f"sign-in {origin_of(url)}"
