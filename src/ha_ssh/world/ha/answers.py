"""What a web server answered, and what that means where it is not what Home Assistant would say. Pure.

Core is an aiohttp server: what it refuses by itself it says in plain text, such as `403: Forbidden`, and it names no server of
its own. Pages in HTML and other server names are of whatever stands in front of it: a proxy, a firewall, a sign-in.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.redact import redact
from ha_ssh.world.ha.address import host_of, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

THE_HOUSE_ITSELF = "Or use the address of the house itself, such as `--url http://homeassistant.local:8123`."
_THE_RIGHT_ADDRESS = (
    "Give the address that opens Home Assistant in your browser. Its port is 8123, or 80 on an installation made since 2026.11."
)
_LIFT_THE_BAN = "Delete the address from `ip_bans.yaml` in the configuration folder and restart Home Assistant."
_TRUST_THE_PROXY = (
    "In `configuration.yaml`, under `http:`, set `use_x_forwarded_for: true` and list the proxy in `trusted_proxies:`."
)
_ANOTHER_COMPUTER = "Tell them apart: does the address open on another computer, or by mobile data?"

_LONGEST_TITLE = 80
_FIRST = 8192
"""How much of a page is looked at for what it is, in characters."""
_CLOUDFLARE = {
    520: "the house answers in a way that it does not understand",
    521: "the house refuses the connection",
    522: "the house did not take the connection in time",
    523: "there is no way to the house",
    524: "the house took the connection and did not answer in time",
    525: "the TLS handshake with the house failed",
    526: "the certificate of the house is not valid",
    527: "the connection to the house broke off",
    530: "the tunnel, or the name of the house, leads nowhere",
}
"""What Cloudflare, in front of a house, says by status codes of its own (developers.cloudflare.com, 5xx errors)."""
_WANTS_TLS = re.compile(r"(?:to|an?) (?:an )?(?:HTTPS|SSL-enabled server) (?:port|server)", re.IGNORECASE)
"""How nginx, Apache and Go's servers (Caddy, Traefik) answer plain HTTP on a port for TLS."""
_WANTS_CERTIFICATE = re.compile(r"no required SSL certificate was sent|SSL certificate error", re.IGNORECASE)
"""How nginx answers a client without the certificate that it demands."""
_SINGLE_SIGN_ON = re.compile(
    r"authelia|authentik|keycloak|oauth2?.proxy|cloudflare ?access|pomerium|tinyauth|vouch|single sign|\bsso\b", re.IGNORECASE
)
_SIGN_IN_WORDS = re.compile(r"log.?in|sign.?in|anmeld|connexion|inloggen|authenticat", re.IGNORECASE)
_PASSWORD_FIELD = re.compile(r"<input[^>]{1,300}?type=[\"']?password", re.IGNORECASE)
_SIGN_IN_PLACE = re.compile(
    r"(?:^|[/.?&-])(?:auth|login|signin|sign-in|sso|oauth2?|authorize|cdn-cgi/access)(?:$|[/.?&=-])|access\.com"
)


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

    @property
    def kind(self) -> str:
        """The content type alone, in lower case; empty where none is named."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people (HTML)."""
        return self.kind in {"text/html", "application/xhtml+xml"} or bool(
            re.match(r"\s*<(?:!doctype|html|head|body|h1|\?xml)\b", self.text, re.IGNORECASE)
        )

    @property
    def is_text(self) -> bool:
        """Whether it is plain text, as a log is: no page, no data."""
        return not self.is_page and (self.kind in {"", "application/octet-stream"} or self.kind.startswith("text/"))

    @property
    def title(self) -> str:
        """The title of the page, fit to be shown."""
        found = re.search(r"<title[^>]*>(.*?)</title>", self.text[:_FIRST], re.IGNORECASE | re.DOTALL)
        return _shown(html.unescape(found[1])) if found else ""

    @property
    def server(self) -> str:
        """Who says that it answered, where it is not Core, which names nobody, or only what it is built with (aiohttp)."""
        named = _shown(self.headers.get("Server", ""))
        if "CF-RAY" in self.headers and "cloudflare" not in named:
            named = f"{named}, by way of Cloudflare".removeprefix(", ")
        return "" if "aiohttp" in named.lower() else named

    @property
    def is_cores(self) -> bool:
        """Whether Core itself can have said it: a refusal in the plain words of aiohttp."""
        said = self.text.strip()
        if said == f"{self.status}: {_phrase(self.status)}":
            return True
        return not self.is_page and not self.server and "aiohttp" in self.headers.get("Server", "").lower()

    @property
    def is_anothers(self) -> bool:
        """Whether somebody else than Core said it: a page, or a server with another name."""
        return not self.is_cores and (self.is_page or bool(self.server))

    @property
    def sign_in(self) -> str:
        """The kind of sign-in that it asks for (`WWW-Authenticate`), such as `Basic`."""
        return _shown(self.headers.get("WWW-Authenticate", ""))

    def seen(self, path: str = "") -> str:
        """It as evidence: status, who answered, what kind of thing, and how that begins."""
        asked = f"GET {path or urlsplit(self.url).path or '/'}"
        if path and not self.url.endswith(path):
            asked += f", which leads to {self.url.partition('?')[0]}"
        parts = [f"{self.status} {_phrase(self.status)}".strip()]
        if self.server:
            parts.append(f"server: {self.server}")
        if location := self.headers.get("Location"):
            parts.append(f"Location: {_shown(location.partition('?')[0])}")
        if self.sign_in:
            parts.append(f"WWW-Authenticate: {self.sign_in}")
        if self.title:
            parts.append(f'page: "{self.title}"')
        elif self.is_page and self.text:
            parts.append("a page (HTML) without a title")
        elif is_manifest(self):
            parts.append("Home Assistant's manifest")
        elif said := in_short(self.text):
            parts.append(f'says: "{said}"')
        elif self.kind:
            parts.append(self.kind)
        return f"{asked}: {'; '.join(parts)}"

    @property
    def named(self) -> str:
        """The page, else the server, in brackets behind a sentence's subject; empty where neither has a name."""
        words = ", ".join(word for word in (self.server, f'"{self.title}"' if self.title else "") if word)
        return f" ({words})" if words else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _shown(text: str) -> str:
    """A stranger's words, fit to be shown on one line."""
    clean = "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
    return clean if len(clean) <= _LONGEST_TITLE else f"{clean[:_LONGEST_TITLE]}..."


def in_short(text: str) -> str:
    """What came, as evidence: one line, without secrets."""
    return _shown(redact(text[:2000]))


def is_manifest(answer: Answer) -> bool:
    """Whether this is Home Assistant's answer to GET `/manifest.json`."""
    manifest = answer.json() if answer.status == 200 else None
    return isinstance(manifest, dict) and "Home Assistant" in (manifest.get("name"), manifest.get("short_name"))


def of_answers(manifest: Answer, api: Answer, url: str, *, socket: Answer | None = None) -> HaSshError:
    """Why a server that answers HTTP is no usable Home Assistant.

    Judged by what it answers to GET `/manifest.json` and `/api/`, and to the handshake of a WebSocket where one was tried.
    """
    seen = (manifest.seen("/manifest.json"), api.seen("/api/"), *((socket.seen("/api/websocket"),) if socket else ()))
    statuses = {manifest.status, *((socket.status,) if socket else ())}
    if 403 in statuses and api.status == 403 and api.is_cores:
        return _banned(url, seen)
    if manifest.status == 403 and api.status != 403:
        says = f"What stands in front of {url}{manifest.named} refuses a page that Home Assistant shows to everybody (403)."
        return Refused("front-refuses", says, "Its own log and rules say why.", THE_HOUSE_ITSELF, evidence=seen)
    if manifest.status in {400, 403} and manifest.status == api.status:
        return of_answer(api if api.is_anothers else manifest, url, evidence=seen)
    if is_manifest(manifest) and socket is not None:
        return _no_websocket(socket, url, seen)
    return of_answer(manifest, url, evidence=seen)


def of_answer(answer: Answer, url: str, *, evidence: tuple[str, ...] = ()) -> HaSshError:
    """The error for an answer that is not what Home Assistant would say."""
    seen = evidence or (answer.seen(),)
    who = f"What stands in front of {url}{answer.named}"
    match answer.status:
        case 400:
            return _bad_request(answer, url, seen)
        case 401 if answer.sign_in or answer.is_anothers:
            return _front_sign_in(f"{who} wants a sign-in of its own ({_scheme(answer)}) before it shows Home Assistant.", seen)
        case 403:
            return _forbidden(answer, url, seen)
        case 407:
            return _front_sign_in(f"A proxy on the way to {url}{answer.named} wants a sign-in of its own (407).", seen)
        case 429:
            after = answer.headers.get("Retry-After", "")
            wait = f"Wait {after} s, then try again." if after.isdigit() else "Wait some minutes, then try again."
            text = f"{who} answers no more requests from here for now (429 Too Many Requests)."
            return Refused("too-many-requests", text, wait, THE_HOUSE_ITSELF, evidence=seen)
        case 511:
            return Unreachable(
                "captive-portal",
                f"A sign-in page of the network (a captive portal, as of a guest Wi-Fi) answers in the place of {url} (511).",
                "Open any page in a browser on this computer and sign in to the network, then run the same command again.",
                passing=False,
                evidence=seen,
            )
        case status if status in _CLOUDFLARE:
            return _of_cloudflare(status, url, seen)
        case 502 | 503 | 504:
            return _nothing_behind(answer, url, seen)
        case status if status >= 500:
            return _broken(answer, url, seen)
    if re.search(r"Preparing Home Assistant|landing.?page", answer.text, re.IGNORECASE):
        return Unreachable(
            "core-starting",
            "Home Assistant is still being installed on this machine.",
            "That takes up to 20 minutes; try again then.",
            evidence=seen,
        )
    return _another_page(answer, url, seen)


def _scheme(answer: Answer) -> str:
    return f"401, {answer.sign_in}" if answer.sign_in else "401"


def _banned(url: str, seen: tuple[str, ...]) -> HaSshError:
    return Refused(
        "ip-banned",
        f"Home Assistant at {url} has banned the address of this computer, after too many failed logins.",
        _LIFT_THE_BAN,
        "Or use another computer.",
        evidence=seen,
    )


def _front_sign_in(says: str, seen: tuple[str, ...]) -> HaSshError:
    return Refused(
        "front-sign-in",
        says,
        "ha-ssh can sign in to Home Assistant only: let `/api/` pass without that sign-in.",
        THE_HOUSE_ITSELF,
        evidence=seen,
    )


def _bad_request(answer: Answer, url: str, seen: tuple[str, ...]) -> HaSshError:
    """The error for 400: Core's own means an untrusted proxy; others mean TLS, a certificate, or a proxy's own mind."""
    if _WANTS_TLS.search(answer.text):
        hint = f"Use `--url {url.replace('http:', 'https:', 1)}`."
        return Unreachable("needs-https", f"{url} wants TLS.", hint, passing=False, evidence=seen)
    if _WANTS_CERTIFICATE.search(answer.text):
        return client_certificate(url, f"{url}{answer.named} demands a client certificate, which ha-ssh does not have.", seen)
    if answer.is_cores:
        return Refused(
            "untrusted-proxy",
            f"Home Assistant refuses everything that comes through the proxy at {url} (400: Bad Request).",
            _TRUST_THE_PROXY,
            THE_HOUSE_ITSELF,
            evidence=seen,
        )
    if answer.is_anothers:
        return Refused(
            "front-refuses",
            f"What stands in front of {url}{answer.named} refuses the request as malformed (400); that is not how Home "
            "Assistant says it.",
            "A wrong scheme or host name is the usual reason: give the address as your browser shows it.",
            THE_HOUSE_ITSELF,
            evidence=seen,
        )
    return Refused(
        "refused-by-either",
        f"Everything is refused at {url} (400): either Home Assistant does not trust the proxy in front of it, or that proxy "
        "refuses by itself.",
        "Tell them apart: where Home Assistant refuses, Settings -> System -> Logs names a request from a reverse proxy.",
        _TRUST_THE_PROXY,
        THE_HOUSE_ITSELF,
        evidence=seen,
    )


def _forbidden(answer: Answer, url: str, seen: tuple[str, ...]) -> HaSshError:
    """The error for 403: Core's own means a ban; a page or another server's means that something in front refuses."""
    if answer.is_cores:
        return _banned(url, seen)
    if answer.is_anothers:
        return Refused(
            "front-refuses",
            f"What stands in front of {url}{answer.named} refuses this computer (403); that is not how Home Assistant says it.",
            "Its own log and rules say why: a firewall, a country block, a list of allowed addresses.",
            THE_HOUSE_ITSELF,
            evidence=seen,
        )
    return Refused(
        "refused-by-either",
        f"Everything is forbidden at {url} (403): either Home Assistant has banned the address of this computer, or something "
        "in front of it refuses.",
        "Tell them apart: a ban stands in `ip_bans.yaml` in the configuration folder, and is lifted by deleting it there and "
        "restarting Home Assistant.",
        THE_HOUSE_ITSELF,
        evidence=seen,
    )


def _of_cloudflare(status: int, url: str, seen: tuple[str, ...]) -> HaSshError:
    meaning = _CLOUDFLARE[status]
    return Unreachable(
        "front-error" if status in {525, 526} else "core-not-answering",
        f"{url} answers {status}, which Cloudflare, in front of a house, says where {meaning}.",
        "Is the house switched on, and its tunnel or port forwarding up? Cloudflare's page says more in a browser.",
        THE_HOUSE_ITSELF,
        passing=status not in {525, 526},
        evidence=seen,
    )


def _nothing_behind(answer: Answer, url: str, seen: tuple[str, ...]) -> HaSshError:
    return Unreachable(
        "core-not-answering",
        f"{url} answers{answer.named}, but Home Assistant behind it does not ({answer.status}): it is starting or stopped, "
        "or is looked for in the wrong place.",
        "Wait a minute and try again.",
        "Tell them apart: if the house's own address opens in a browser, the proxy looks in the wrong place; else restart it.",
        evidence=seen,
    )


def _broken(answer: Answer, url: str, seen: tuple[str, ...]) -> HaSshError:
    """The error for a server's own error: Core's, that of something in front, or of either."""
    if answer.is_anothers:
        return Unreachable(
            "front-error",
            f"What stands in front of {url}{answer.named} met an error of its own ({answer.status}).",
            "Its own log says more.",
            THE_HOUSE_ITSELF,
            evidence=seen,
        )
    if answer.is_cores or answer.text.startswith("500 Internal Server Error\n"):
        return Unreachable(
            "server-error",
            f"Home Assistant at {url} met an error of its own ({answer.status}).",
            "Settings -> System -> Logs says more.",
            evidence=seen,
        )
    return Unreachable(
        "server-error",
        f"{url} met an error ({answer.status}): either Home Assistant's own, or that of something in front of it.",
        "Tell them apart: Settings -> System -> Logs shows Home Assistant's own errors; a proxy has a log of its own.",
        evidence=seen,
    )


def _another_page(answer: Answer, url: str, seen: tuple[str, ...]) -> HaSshError:
    """The error for something that is not recognised as Home Assistant: it may stand in front of it, or be another device."""
    if _SINGLE_SIGN_ON.search(answer.title) and answer.is_page:
        says = f'What stands in front of {url} shows a sign-in page of its own ("{answer.title}") in the place of Home Assistant.'
        return _front_sign_in(says, seen)
    if answer.is_page and (_PASSWORD_FIELD.search(answer.text[: 8 * _FIRST]) or _SIGN_IN_WORDS.search(answer.title)):
        return not_home_assistant(
            f"Something answers at {url} with a sign-in page{answer.named} that is not Home Assistant's: either it stands in "
            "front of Home Assistant, or it is another device.",
            "Tell them apart: open the address in a browser and sign in there; does Home Assistant appear?",
            THE_HOUSE_ITSELF,
            evidence=seen,
        )
    if answer.status == 401:
        says = f"Something answers at {url} and wants a sign-in before it shows anything (401), which Home Assistant does not."
        return not_home_assistant(says, evidence=seen)
    said = "" if answer.status == 200 else f" with {answer.status}"
    return not_home_assistant(f"Something answers at {url}{answer.named}{said}, but it is not Home Assistant.", evidence=seen)


def not_home_assistant(says: str, *hints: str, evidence: tuple[str, ...] = ()) -> HaSshError:
    """The error for an address where something else answers."""
    return Unreachable("not-home-assistant", says, *(hints or (_THE_RIGHT_ADDRESS,)), passing=False, evidence=evidence)


def client_certificate(url: str, says: str, seen: tuple[str, ...]) -> HaSshError:
    """The error for a server that lets in only who shows a certificate."""
    return Unreachable(
        "client-certificate",
        says,
        f"A proxy in front of Home Assistant does that, never Home Assistant itself: let this computer pass at {host_of(url)}.",
        THE_HOUSE_ITSELF,
        passing=False,
        evidence=seen,
    )


def _no_websocket(socket: Answer, url: str, seen: tuple[str, ...]) -> HaSshError:
    """The error for a house whose page is shown and whose WebSocket is not: by what the handshake was answered."""
    upgrade = "A proxy in front of it has to pass on WebSockets (the `Upgrade` header)."
    by = f", server {socket.server}" if socket.server else ""
    match socket.status:
        case 401:
            why = "something in front of it wants a sign-in of its own for that"
            hint = f"Let `/api/websocket` pass without it{f' ({socket.sign_in})' if socket.sign_in else ''}."
        case 403:
            why = "something in front of it forbids that"
            hint = "The rules of what stands in front (a firewall, an access list) have to allow `/api/websocket`."
        case 404:
            why = "what stands in front of it does not know `/api/websocket`"
            hint = "A proxy has to pass on every path, and WebSockets with it (the `Upgrade` header)."
        case 429:
            why = "something in front of it answers no more requests from here for now"
            hint = "Wait some minutes, then try again."
        case 502 | 503 | 504:
            why = "for that, what stands in front of it does not reach Home Assistant"
            hint = (
                "Either Home Assistant has just stopped (try again in a minute), or the proxy has another target for WebSockets."
            )
        case 200:
            why = "a page comes in its place"
            hint = f"Either something else answers for that path, or the handshake was lost. {upgrade}"
        case _:
            why = "the request for it did not come through whole"
            hint = upgrade
    return Unreachable(
        "no-websocket",
        f"{url} shows Home Assistant, but does not let its WebSocket through (answer {socket.status}{by}): {why}.",
        hint,
        THE_HOUSE_ITSELF,
        passing=socket.status in {502, 503, 504},
        evidence=seen,
    )


# ------------------------------------------------------------------------------------------- in the place of an answer


NO_LOG = "The log cannot be read."
"""What stands before the reason."""


def of_log(answer: Answer, url: str, refusal: Callable[[int, str], HaSshError]) -> HaSshError:
    """The error for what is no log; `refusal` tells what a status and words mean in the mouth of the Supervisor."""
    seen = answer.seen()
    about = urlsplit(answer.url).path.rpartition("/hassio")[2]
    if answer.status in {200, 206}:
        what = "a page" if answer.is_page else f"something else ({answer.kind})"
        return HaSshError(
            "no-log",
            f"The log cannot be read: {what}{answer.named} comes in its place.",
            "Something in front of Home Assistant may answer for it, such as a sign-in page: does the log open in the web page?",
            THE_HOUSE_ITSELF,
            evidence=(seen,),
        )
    if answer.is_anothers or answer.sign_in:
        return of_answer(answer, url).after(NO_LOG)
    refused = refusal(answer.status, answer.text[:_FIRST])
    if refused.code in {"refused", "no-answer"}:
        return HaSshError(
            "no-log",
            f"The log cannot be read: `{about}` is answered with {answer.status}, for a reason that is not recognised.",
            "Settings -> System -> Logs -> Supervisor says more.",
            evidence=(seen,),
        )
    refused.evidence = (seen,)
    return refused


def not_understood(url: str, asked: str, said: Any, *, changing: bool = False) -> HaSshError:
    """The error for an answer of a shape that no Home Assistant gives."""
    kinds = {type(None): "nothing (null)", list: "a list", str: "a text", bool: "a yes or no", int: "a number", float: "a number"}
    what = kinds.get(type(said), "an object without what is due")
    return Unreachable(
        "not-understood",
        f"Something answers at {url}, but not as Home Assistant does: to `{asked}` it says {what}.",
        "Something in between, such as a proxy, may have changed the answer: use the address of the house itself.",
        "If that is its address: update ha-ssh; if it is up to date, please report this.",
        maybe_done=changing,
        passing=False,
        evidence=(f"`{asked}`: {in_short(json.dumps(said, default=str))}",),
    )


# ------------------------------------------------------------------------------------------------------------- redirects


def redirected(here: str, location: str, *, status: int = 0) -> HaSshError:
    """The error for a redirect that is not followed: `here` is the whole address that was asked."""
    seen = (
        f"GET {urlsplit(here).path or '/'}: {status or 'a redirect'}; Location: {_shown(location.partition('?')[0]) or 'none'}",
    )
    try:
        there = urljoin(here, location)
        old, new = urlsplit(here), urlsplit(there)
        same_origin = origin_of(here) == origin_of(there)
    except ValueError:
        return _elsewhere(f"{here} redirects to something that is no address.", THE_HOUSE_ITSELF, seen=seen)
    short = there.partition("?")[0]
    if not location or (same_origin and new.path == old.path):
        return circle(here, seen)
    if _SIGN_IN_PLACE.search(f"{new.hostname}{new.path}".lower()):
        where = new.path if same_origin else short
        return _front_sign_in(f"What stands in front of {here} sends this computer to a sign-in page of its own, {where}.", seen)
    if same_origin:
        says = f"{here} redirects to {new.path}, another page of the same address, which is not Home Assistant's own doing."
        return _elsewhere(
            says, "Something in front of it may want a sign-in: what does the browser show?", THE_HOUSE_ITSELF, seen=seen
        )
    if old.hostname == new.hostname and not (old.scheme == "https" and new.scheme != "https"):
        origin = origin_of(there)
        return _elsewhere(f"{here} redirects to {short}, on the same host.", f"Use `--url {origin}`.", seen=seen)
    if old.hostname == new.hostname:
        says = f"{here} redirects to {short}, out of TLS; a sign-in does not follow there."
        return _elsewhere(says, "Let it stay with `https://`, or name the other address yourself with `--url`.", seen=seen)
    says = f"{here} redirects to another host, {short}; a sign-in does not follow there."
    return _elsewhere(says, "If that is your house, name it yourself with `--url`.", seen=seen)


def circle(here: str, seen: tuple[str, ...] = ()) -> HaSshError:
    """The error for a redirect that leads back to where it came from."""
    says = f"{here} redirects in a circle: it leads back to itself."
    return _elsewhere(
        says, "A proxy in front does that, often one that wants TLS and gets none: see its settings.", THE_HOUSE_ITSELF, seen=seen
    )


def _elsewhere(says: str, *hints: str, seen: tuple[str, ...]) -> HaSshError:
    return Unreachable("redirected", says, *hints, passing=False, evidence=seen)
