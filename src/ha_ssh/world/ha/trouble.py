"""What can be wrong on the way to Home Assistant: from the exceptions of a connection to errors with a name. Pure."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from urllib.parse import urlsplit

from ha_ssh.core.errors import HaSshError, Unreachable, UsageError
from ha_ssh.world.ha.address import host_of
from ha_ssh.world.ha.answers import THE_HOUSE_ITSELF, client_certificate, not_home_assistant

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
_TOO_OLD = re.compile(r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|WRONG_SSL_VERSION|VERSION_TOO_LOW")
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST")
"""What OpenSSL says where plain text comes back instead of TLS."""


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
            passing=False,
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _of_certificate(error.certificate_error, url)
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(cause, ConnectionResetError | BrokenPipeError):
        return _of_handshake("EOF, the connection was reset", url)
    if (reason := _tls_reason(error)) is not None:
        return _of_handshake(reason, url)
    if isinstance(error, TimeoutError):
        return Unreachable(
            "timed-out",
            f"{url} did not answer in time.",
            "A wrong address, another network (guest Wi-Fi, VPN) or a firewall: does it open in the browser of this computer?",
            *(("Or something takes connections there and speaks no TLS.",) if url.startswith("https:") else ()),
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return _of_connecting(cause, url)
    if isinstance(error, aiohttp.ClientResponseError):  # what answers does not speak HTTP
        said = error.message.partition("\n")[0].rstrip(":.")
        seen = f"what came is no HTTP ({said})" if said else "what came is no HTTP"
        return not_home_assistant(f"Something answers at {url}, but it is not Home Assistant: {seen}.", evidence=(seen,))
    hint = f"If this port wants TLS: `--url {url.replace('http:', 'https:', 1)}`."
    cut = isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError) or getattr(error, "errno", 0) == errno.ECONNRESET
    if url.startswith("https:"):
        hint = "A proxy that demands a client certificate ends connections so, too: does the address open in a browser?"
    hints = (hint,) if cut else ()
    return Unreachable("dropped", f"The connection to {url} broke off ({str(error) or type(error).__name__}).", *hints)


def _tls_reason(error: BaseException) -> str | None:
    """What OpenSSL complains of, also where aiohttp has made an error of its own of it; `None` where it does not."""
    for cause in (error, getattr(error, "os_error", None), error.__cause__):
        if isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None):
            return str(cause.reason)
    found = re.search(r"\[SSL(?:: (\w+))?\]", str(error))
    return (found[1] or str(error)) if found else None


def _of_handshake(reason: str, url: str) -> HaSshError:
    """The error for a TLS handshake that failed before any certificate was looked at."""
    seen = (f"OpenSSL: {reason}",)
    parts = urlsplit(url)
    look = f"`openssl s_client -connect {parts.hostname}:{parts.port or 443}`"
    if "CERTIFICATE_REQUIRED" in reason:
        return client_certificate(url, f"{url} demands a client certificate, which ha-ssh does not have.", seen)
    if _TOO_OLD.search(reason):
        return Unreachable(
            "tls-too-old",
            f"{url} offers only TLS that is too old: older than 1.2, which no client of today accepts ({reason}).",
            "Update what speaks TLS there, a proxy as a rule, or let it offer TLS 1.2 and 1.3.",
            THE_HOUSE_ITSELF,
            passing=False,
            evidence=seen,
        )
    if _NO_TLS.search(reason):
        return Unreachable(
            "tls-failed",
            f"What answers at {url} does not speak TLS on this port ({reason}).",
            f"If the house has no TLS there, it is `--url {url.replace('https:', 'http:', 1)}`.",
            passing=False,
            evidence=seen,
        )
    if "HANDSHAKE_FAILURE" in reason or "ALERT_BAD_CERTIFICATE" in reason:
        return Unreachable(
            "tls-refused",
            f"{url} refuses the TLS handshake ({reason}): either it demands a client certificate, which ha-ssh does not have, or "
            "it has no way of encrypting in common with this computer.",
            f"Tell them apart: {look} names `Acceptable client certificate CA names` where a certificate is demanded.",
            THE_HOUSE_ITSELF,
            passing=False,
            evidence=seen,
        )
    if "UNRECOGNIZED_NAME" in reason or "INTERNAL_ERROR" in reason:
        return Unreachable(
            "tls-refused",
            f"{url} refuses the TLS handshake ({reason}): as a rule it has no certificate for the name `{parts.hostname}`.",
            "Use the name that its certificate is made for.",
            THE_HOUSE_ITSELF,
            passing=False,
            evidence=seen,
        )
    if "EOF" in reason:
        return Unreachable(
            "tls-failed",
            f"{url} ends the connection in the middle of the TLS handshake ({reason}): either it demands a client certificate, "
            "which ha-ssh does not have, or it speaks no TLS there, or something on the way cuts it off.",
            f"Tell them apart: {look} says how far it comes.",
            THE_HOUSE_ITSELF,
            evidence=seen,
        )
    return Unreachable(
        "tls-failed",
        f"The TLS handshake with {url} fails for a reason that is not recognised ({reason}).",
        f"Look what it says: {look}.",
        evidence=seen,
    )


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
    seen = (f"OpenSSL: {said}",)
    code, what, hint = _CERTIFICATE.get(getattr(error, "verify_code", 0), ("tls-untrusted", f"is not trusted ({said})", _OWN_CA))
    return Unreachable(code, f"The TLS certificate at {url} {what}.", hint, passing=False, evidence=seen)
