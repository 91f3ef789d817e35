"""Text made fit for strangers: without secrets, keys, tokens, addresses, host names and the home folder."""

from __future__ import annotations

import os.path
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_RULES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), "<private key>"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"), "<token>"),
    (re.compile(r"(?i)(bearer\s+|(?:access_|refresh_)?token[\"']?\s*[:=]\s*[\"']?)[\w.~+/-]{8,}=*"), r"\1<token>"),
    (re.compile(r"(?i)((?:password|passphrase)[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,}]+)"), r"\1<secret>"),
    (re.compile(r"\bAAAA[0-9A-Za-z+/]{20,}={0,3}"), "<key>"),
    (re.compile(r"\bSHA256:[0-9A-Za-z+/]{20,}=?"), "<fingerprint>"),
    (re.compile(r"\b(https?|wss?)://[^\s/\"'<>]+"), r"\1://<house>"),
    (re.compile(r"\b(?:[\w-]+\.)+(?:local|lan|home|internal|fritz\.box|duckdns\.org|ui\.nabu\.casa)\b", re.IGNORECASE), "<host>"),
    (re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"), "<address>"),
    (
        re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){3,7}:?[0-9a-fA-F]{0,4}(?:%\w+)?(?![\w:])|\bfe80::[0-9a-fA-F:]+(?:%\w+)?"),
        "<address>",
    ),
)


def redacted(text: str, *, secrets: Iterable[str] = (), names: Iterable[str] = ()) -> str:
    """Return text without what would give its owner away; `secrets` and `names` are known ones, taken out wherever they stand."""
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        text = text.replace(secret, "<secret>")
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    for name in sorted((name for name in names if len(name) > 2), key=len, reverse=True):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "<host>", text)
    home = os.path.expanduser("~")  # noqa: PTH111 - text in, text out
    text = re.sub(rf"{re.escape(home)}(?=[/\\\s\"':,)]|$)", "~", text) if len(home) > 1 else text
    return re.sub(r"([/\\](?:home|Users)[/\\])[^/\\\s\"']+", r"\1<user>", text)
