"""Addresses of a house: what people type becomes one URL, and what may be followed from there. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from ha_ssh.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

CORE_PORT = 8123
"""The port of Core for ten years; from 2026.11 on a new installation listens on 80."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKET_SCHEMES = {"ws": "http", "wss": "https"}
_CLOUD = ".nabu.casa"
_HOST = re.compile(r"\w([\w.-]*\w)?\.?")
_LOCAL_ENDINGS = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".localhost", ".fritz.box", ".box")


def normalise_url(text: str) -> str:
    """The origin of the house that `text` names, such as `http://homeassistant.local:8123`; raises `UsageError`."""
    parts = _split(text)
    return _origin(parts.scheme or _scheme(parts), _host(parts, text), _port(parts, text), typed=bool(parts.scheme))


def candidates(text: str) -> tuple[str, ...]:
    """The addresses that `text` may mean, the likeliest first: only one where it says all there is to say.

    A path may be the one under which a proxy shows the house, or just the page that was copied from the browser.
    """
    origins = _origins(text)
    path = _split(text).path.rstrip("/")
    return (*(f"{origin}{path}" for origin in origins), *origins) if path else origins


def _origins(text: str) -> tuple[str, ...]:
    first = normalise_url(text)
    parts = _split(text)
    host = _bracketed(_host(parts, text))
    if parts.scheme or parts.port is not None or host.endswith(_CLOUD):
        return (first,)
    if first.startswith("https:"):  # never from TLS to plain HTTP by ourselves
        return (first, f"https://{host}:{CORE_PORT}")
    return (first, f"http://{host}", f"https://{host}", f"https://{host}:{CORE_PORT}")


def base_of(url: str) -> str:
    """A URL without query and final slash, in its shortest form: what all paths of the house are put behind."""
    return origin_of(url) + urlsplit(url).path.rstrip("/")


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL: what a token is bound to."""
    parts = urlsplit(url)
    return _origin(parts.scheme, (parts.hostname or "").lower(), parts.port, typed=True)


def host_of(url: str) -> str:
    """The host name or address in a URL, without brackets."""
    return (urlsplit(url).hostname or "").lower()


def safe_redirect(here: str, location: str) -> str | None:
    """Where a redirect leads if it may be followed: on the same host and never out of TLS; else `None`."""
    try:
        there = urljoin(here, location)
        old, new = urlsplit(here), urlsplit(there)
        new.port  # noqa: B018 - raises where it is no port
    except ValueError:
        return None
    if new.scheme not in _DEFAULT_PORTS or new.username is not None or new.hostname != old.hostname:
        return None
    return None if old.scheme == "https" and new.scheme != "https" else there


def is_public(addresses: Iterable[str]) -> bool:
    """Whether any of a host's addresses lies on the open internet (not home, link-local, loopback, or carrier-grade NAT)."""
    return any(ip_address(address).is_global for address in addresses)


def _split(text: str) -> SplitResult:
    """The parts of what was typed, whether or not it has a scheme; brackets are put around a bare IPv6 address."""
    clean = text.strip().strip("<>\"'").strip()
    if not clean or any(sign.isspace() or not sign.isprintable() for sign in clean):
        raise _nonsense(text, "it is empty or has blanks in it")
    if "://" not in clean:
        address, slash, path = clean.partition("/")
        clean = f"//{_bracketed(address)}{slash}{path}"
    try:
        parts = urlsplit(clean)
        parts.port  # noqa: B018 - raises where it is no port
    except ValueError as error:
        raise _nonsense(text, "the port or the address in it is malformed") from error
    scheme = _SOCKET_SCHEMES.get(parts.scheme, parts.scheme)
    if scheme and scheme not in _DEFAULT_PORTS:
        raise _nonsense(text, f"`{scheme}` is no way to reach Home Assistant")
    if parts.username is not None:
        raise _nonsense("...@" + text.rpartition("@")[2], "a name or password does not belong into the address")
    return parts._replace(scheme=scheme)


def _host(parts: SplitResult, text: str) -> str:
    host = (parts.hostname or "").lower()
    bare = host.partition("%")[0]
    if ":" in bare:
        return host
    if bare and all(sign in "0123456789." for sign in bare):
        try:
            ip_address(bare)
        except ValueError as error:
            raise _nonsense(text, "this is no IP address") from error
    if not _HOST.fullmatch(bare) or ".." in bare:
        raise _nonsense(text, "there is no host in it")
    return host


def _port(parts: SplitResult, text: str) -> int | None:
    if parts.port == 0:
        raise _nonsense(text, "0 is no port")
    return parts.port


def _scheme(parts: SplitResult) -> str:
    """The scheme to assume: TLS for port 443 and for names of the internet, plain HTTP at home."""
    host = (parts.hostname or "").lower()
    if parts.port is not None:
        return "https" if parts.port == _DEFAULT_PORTS["https"] or host.endswith(_CLOUD) else "http"
    at_home = "." not in host or host.replace(".", "").isdigit() or host.endswith(_LOCAL_ENDINGS)
    return "http" if at_home else "https"


def _origin(scheme: str, host: str, port: int | None, *, typed: bool) -> str:
    if port is None and not typed and scheme == "http":
        port = CORE_PORT
    shown = "" if port is None or port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{_bracketed(host)}{shown}"


def _bracketed(host: str) -> str:
    try:
        return f"[{IPv6Address(host)}]"
    except ValueError:
        return host


def _nonsense(text: str, why: str) -> UsageError:
    return UsageError(
        "bad-url",
        f"`--url {text.strip()}` cannot be the address of a house: {why}.",
        "Give the address that opens Home Assistant in your browser, such as `http://homeassistant.local:8123`.",
    )
