"""Finding Home Assistant on the network, by what it announces and by its usual names; no secret ever goes out here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.core.errors import HaSshError, UsageError
from ha_ssh.world.ha.address import CORE_PORT, base_of, candidates, host_of, normalise_url
from ha_ssh.world.ha.answers import is_manifest
from ha_ssh.world.ha.web import FEW_SECONDS, Shown, Tls, Web, addresses_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SERVICE = "_home-assistant._tcp.local."
USUAL = tuple(
    f"{scheme}://{host}{port}"
    for host in ("homeassistant.local", "homeassistant")
    for scheme, port in (("http", f":{CORE_PORT}"), ("http", ""), ("https", ""))
)
"""Where Home Assistant is if nobody renamed it."""
_MANIFEST = "/manifest.json"
"""Needs no token, and names Home Assistant."""
_MOMENT = 0.5
"""Seconds that a likelier address gets once another one answered."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A Home Assistant that was found; an empty `version` or `uuid` is not known."""

    name: str
    url: str
    version: str = ""
    uuid: str = ""
    how: str = ""
    """`announced` by itself over zeroconf, `named` by a usual name, or `given` by the person."""
    trouble: str = ""
    """The code of the error where it announces itself but does not answer as it should, such as `tls-self-signed`."""
    addresses: tuple[str, ...] = ()


async def discover(
    *,
    limit: float = 3.0,
    usual: Sequence[str] = USUAL,
    interfaces: Sequence[str] | None = None,
    tls: Tls | None = None,
) -> tuple[Found, ...]:
    """All Home Assistants that announce themselves or go by a usual name, in `limit` seconds or little more."""
    announced, named = await asyncio.gather(
        _announced(limit=limit, interfaces=interfaces, tls=tls),
        asyncio.gather(*(_try(url, "named", tls=tls, limit=limit) for url in usual)),
    )
    known = {(address, _port(found.url)) for found in announced for address in found.addresses}
    others = [
        found for found in named if found and not known.intersection((address, _port(found.url)) for address in found.addresses)
    ]
    return tuple(_once([*announced, *others]))


async def identify(text: str, *, tls: Tls | None = None, limit: float = FEW_SECONDS, shown: Shown | None = None) -> Found:
    """The Home Assistant at the address that somebody typed, after safe redirects; else raises what is the matter there.

    What an address shows instead is kept in `shown`, so that nobody has to look again.
    """
    tries = [_identify(url, "given", tls=tls, limit=limit, shown=shown) for url in candidates(text)]
    return await _first([asyncio.ensure_future(one) for one in tries])


async def _first(tries: Sequence[asyncio.Task[Found]]) -> Found:
    """The first in order that was found, where a later one waits for earlier ones only a moment; else the most telling error."""
    try:
        waiting = set(tries)
        while waiting and not any(_found(attempt) for attempt in tries):
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if waiting:
            await asyncio.wait(waiting, timeout=_MOMENT)
        for attempt in tries:
            if found := _found(attempt):
                return found
        return min(tries, key=_dullness).result()
    finally:
        for attempt in tries:
            attempt.cancel()
        await asyncio.wait(tries)


def _found(attempt: asyncio.Task[Found]) -> Found | None:
    return attempt.result() if attempt.done() and not attempt.exception() else None


def _dullness(attempt: asyncio.Task[Found]) -> bool:
    """Whether an error says little: that of a port where nothing is, beside that of a server which is there."""
    error = attempt.exception()
    return isinstance(error, HaSshError) and error.code in {
        "connection-refused",
        "timed-out",
        "tls-failed",
        "no-route",
        "dropped",
    }


async def _identify(url: str, how: str, *, tls: Tls | None, limit: float, shown: Shown | None = None) -> Found:
    web = Web(url, tls, limit=limit, shown=shown)
    try:
        answer = await web.get(_MANIFEST, follow=True)
        if not is_manifest(answer) or not answer.url.endswith(_MANIFEST):
            raise await web.explain(manifest=answer)
    finally:
        await web.close()
    there = base_of(answer.url.removesuffix(_MANIFEST))
    try:
        addresses = await addresses_of(host_of(there))
    except OSError:  # it answered, so they are only good to know
        addresses = ()
    return Found(name=host_of(there), url=there, how=how, addresses=addresses)


async def _try(url: str, how: str, *, tls: Tls | None, limit: float) -> Found | None:
    """The Home Assistant at a URL, or `None` where there is none."""
    try:
        return await _identify(url, how, tls=tls, limit=limit)
    except HaSshError:  # a guess that is wrong is no trouble
        return None


async def _announced(*, limit: float, interfaces: Sequence[str] | None, tls: Tls | None) -> list[Found]:
    """What announces itself as Home Assistant within `limit` seconds."""
    from zeroconf import InterfaceChoice, ServiceStateChange
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

    try:
        zeroconf = AsyncZeroconf(interfaces=list(interfaces) if interfaces else InterfaceChoice.All)
    except OSError:  # no network, or one without multicast: then nothing announces itself
        return []
    asked: dict[str, asyncio.Task[Found | None]] = {}

    async def ask(name: str) -> Found | None:
        info = AsyncServiceInfo(SERVICE, name)
        if not await info.async_request(zeroconf.zeroconf, limit * 1000):
            return None
        text = {key: _clean(value or "") for key, value in info.decoded_properties.items()}
        return await _announcer(text, info.parsed_scoped_addresses(), info.port or CORE_PORT, tls=tls, limit=limit)

    def heard(*, name: str, state_change: ServiceStateChange, **_: Any) -> None:
        if state_change is not ServiceStateChange.Removed and name not in asked:
            asked[name] = asyncio.create_task(ask(name))

    browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[heard])
    try:
        await asyncio.sleep(limit)
        if asked:
            await asyncio.wait(asked.values(), timeout=limit / 2)
        answers = [task.result() for task in asked.values() if task.done()]
    finally:
        for task in asked.values():
            task.cancel()
        await browser.async_cancel()
        await zeroconf.async_close()
    return [found for found in answers if found]


async def _announcer(text: dict[str, str], addresses: Sequence[str], port: int, *, tls: Tls | None, limit: float) -> Found:
    """The house that announced itself: at the URL that it names, else at its address."""
    urls = []
    for said in (text.get("internal_url"), text.get("base_url"), *(f"{_bracketed(address)}:{port}" for address in addresses)):
        try:
            urls.append(normalise_url(said or ""))
        except UsageError:  # it announces nonsense, or nothing
            continue
    found = Found(
        name=text.get("location_name") or "Home Assistant",
        url=urls[0] if urls else "",
        version=text.get("version", ""),
        uuid=text.get("uuid", ""),
        how="announced",
        addresses=tuple(addresses),
    )
    tries = [asyncio.ensure_future(_identify(url, "announced", tls=tls, limit=limit)) for url in dict.fromkeys(urls)]
    if not tries:
        return replace(found, trouble="not-reachable")
    try:
        there = await _first(tries)
    except HaSshError as error:
        return replace(found, trouble=error.code)
    return replace(found, url=there.url, addresses=tuple(dict.fromkeys((*found.addresses, *there.addresses))))


def _once(all_found: Iterable[Found]) -> list[Found]:
    """Each house once: the same instance may announce itself on several interfaces."""
    seen: dict[str, Found] = {}
    for found in all_found:
        seen.setdefault(found.uuid or found.url, found)
    return list(seen.values())


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _clean(text: str) -> str:
    """What the network says about itself, fit to be shown."""
    return "".join(sign for sign in text if sign.isprintable())[:200]
