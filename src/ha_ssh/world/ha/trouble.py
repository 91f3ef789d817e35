"""What can be wrong on the way to Home Assistant: from exceptions and answers to errors with a name. Pure."""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.core.errors import HaSshError, Refused, Unreachable, UsageError
from ha_ssh.world.ha.address import host_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_THE_HOUSE_ITSELF = "Or use the address of the house itself, such as `--url http://homeassistant.local:8123`."
_OWN_CA = "If the house has an authority of its own, name its certificate with `--ca-file FILE`."
_OWN_NAME = "Use the name that the certificate is made for."
_CERTIFICATE: dict[int, tuple[str, str, str]] = {
    9: ("tls-not-yet-valid", "is not valid yet", "Check the clocks of this computer and of the house."),
    10: ("tls-expired", "has expired", "Renew it in the house, and check the clock of this computer."),
    18: ("tls-self-signed", "is signed by itself, so nobody vouches for it", _OWN_CA),
    19: ("tls-unknown-issuer", "comes from an authority that this computer does not know", _OWN_CA),
    20: ("tls-unknown-issuer", "comes from an authority that this computer does not know", _OWN_CA),
    21: ("tls-unknown-issuer", "comes from an authority that this computer does not know", _OWN_CA),
    62: ("tls-name-mismatch", "is made for another name", _OWN_NAME),
    64: ("tls-name-mismatch", "is made for another address", _OWN_NAME),
}
"""What OpenSSL's verify codes (X509_V_ERR_...) mean for people."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a web server answered."""

    status: int
    url: str
    """The address that answered in the end."""
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON, or `None` where it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


def is_manifest(answer: Answer) -> bool:
    """Whether this is Home Assistant's answer to GET `/manifest.json`."""
    manifest = answer.json() if answer.status == 200 else None
    return isinstance(manifest, dict) and "Home Assistant" in (manifest.get("name"), manifest.get("short_name"))


def of_answers(manifest: Answer, api: Answer, url: str, *, socket_status: int | None = None) -> HaSshError:
    """Why a server that answers HTTP is no usable Home Assistant, by what it answers to GET `/manifest.json` and `/api/`."""
    if 403 in (socket_status, manifest.status) and api.status == 403:
        return Refused(
            "ip-banned",
            f"Home Assistant at {url} has banned the address of this computer, after too many failed logins.",
            "Delete the address from `ip_bans.yaml` in the configuration folder and restart Home Assistant.",
            "Or use another computer.",
        )
    if manifest.status == 400 and "HTTPS port" in manifest.text:
        return Unreachable("needs-https", f"{url} wants TLS.", f"Use `--url {url.replace('http:', 'https:', 1)}`.")
    if manifest.status == api.status == 400:
        return Refused(
            "untrusted-proxy",
            f"Home Assistant refuses everything that comes through the proxy at {url} (400: Bad Request).",
            "In `configuration.yaml`, under `http:`, set `use_x_forwarded_for: true` and list the proxy in `trusted_proxies:`.",
            _THE_HOUSE_ITSELF,
        )
    if is_manifest(manifest) and socket_status is not None:
        return Unreachable(
            "no-websocket",
            f"{url} shows Home Assistant, but does not let its WebSocket through (answer {socket_status}).",
            "A proxy in front of it has to pass on WebSockets (the `Upgrade` header).",
            _THE_HOUSE_ITSELF,
        )
    return of_answer(manifest, url)


def of_answer(answer: Answer, url: str) -> HaSshError:
    """The error for an answer that is not what Home Assistant would say."""
    if answer.status in {502, 503, 504}:
        return Unreachable(
            "core-not-answering",
            f"{url} answers, but Home Assistant behind it does not ({answer.status}): it is starting, or stopped.",
            "Wait a minute and try again; if it stays so, restart Home Assistant.",
        )
    if answer.status >= 500:
        return Unreachable(
            "server-error",
            f"Home Assistant at {url} met an error of its own ({answer.status}).",
            "Settings -> System -> Logs says more.",
        )
    if re.search(r"Preparing Home Assistant|landing.?page", answer.text, re.IGNORECASE):
        return Unreachable(
            "core-starting",
            "Home Assistant is still being installed on this machine.",
            "That takes up to 20 minutes; try again then.",
        )
    return _no_home_assistant(url)


def _no_home_assistant(url: str) -> HaSshError:
    return Unreachable(
        "not-home-assistant",
        f"Something answers at {url}, but it is not Home Assistant.",
        "Give the address that opens Home Assistant in your browser. "
        "Its port is 8123, or 80 on an installation made since 2026.11.",
    )


def redirected(url: str, location: str) -> HaSshError:
    """The error for a redirect that is not followed."""
    return Unreachable(
        "redirected",
        f"{url} sends requests on to {location.partition('?')[0] or 'nowhere'}: to another address, or out of TLS.",
        "If that is your house, name it yourself with `--url`.",
    )


def of_connection(error: BaseException, url: str) -> HaSshError:
    """The error for a connection or request that failed: the libraries' exceptions become ours, once, here."""
    import aiohttp

    host = host_of(url)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.InvalidURL):
        return UsageError("bad-url", f"`{url}` is no address.", "Give the address that opens Home Assistant in your browser.")
    if isinstance(cause, socket.gaierror):
        mdns = "Names in `.local` need mDNS, which some networks and systems lack: use the IP address."
        hint = mdns if host.endswith(".local") else "Check the spelling, or use the IP address."
        return Unreachable("not-resolvable", f"The name `{host}` is not known on this network.", hint)
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return Unreachable(
            "tls-fingerprint",
            f"The certificate at {url} is not the pinned one: its fingerprint is {error.got.hex(':').upper()}.",
            "If it was renewed on purpose, pin the new one with `--tls-fingerprint`.",
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _of_certificate(error.certificate_error, url)
    if isinstance(cause, ssl.SSLError):
        plain = url.replace("https:", "http:", 1)
        return Unreachable(
            "tls-failed",
            f"{url} does not speak TLS as it should ({cause.reason or cause}).",
            f"Without TLS it is `--url {plain}`.",
        )
    if isinstance(error, TimeoutError):
        return Unreachable(
            "timed-out",
            f"{url} did not answer in time.",
            "A wrong address, another network (guest Wi-Fi, VPN) or a firewall: does it open in the browser of this computer?",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return _of_connecting(cause, url)
    if isinstance(error, aiohttp.ClientResponseError):  # what answers does not speak HTTP
        return _no_home_assistant(url)
    hint = f"If this port wants TLS: `--url {url.replace('http:', 'https:', 1)}`."
    hints = (hint,) if isinstance(error, aiohttp.ServerDisconnectedError) and url.startswith("http:") else ()
    return Unreachable("dropped", f"The connection to {url} broke off ({str(error) or type(error).__name__}).", *hints)


def _of_connecting(cause: object, url: str) -> HaSshError:
    """The error for a connection that was never made; with several addresses tried, the error numbers stand in the text only."""
    known = cause.errno if isinstance(cause, OSError) else None
    numbers = {known} if known else {int(number) for number in re.findall(r"Errno (\d+)", str(cause))}
    if errno.ECONNREFUSED in numbers:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return Unreachable(
            "connection-refused",
            f"{parts.hostname} is there, but nothing listens on its port {port}.",
            "Home Assistant may be starting, or listen on another port: 8123, or 80 on an installation made since 2026.11.",
        )
    return Unreachable(
        "no-route",
        f"{host_of(url)} cannot be reached from this network ({cause}).",
        "Check the network, and that the house is switched on.",
    )


def _of_certificate(error: Exception, url: str) -> HaSshError:
    said = getattr(error, "verify_message", "") or str(error)
    code, what, hint = _CERTIFICATE.get(getattr(error, "verify_code", 0), ("tls-untrusted", f"is not trusted ({said})", _OWN_CA))
    return Unreachable(code, f"The TLS certificate at {url} {what}.", hint)
