"""What answers in the place of Home Assistant: told by its own words, its headers and its page, and never for another."""

from __future__ import annotations

import pytest

from ha_ssh.core.errors import HaSshError, Refused
from ha_ssh.world.ha.answers import Answer, of_answers, of_log, redirected

URL = "http://house.example:8123"
CLOUDFLARE = {"Server": "cloudflare", "CF-RAY": "8f1", "Content-Type": "text/html"}
NGINX = {"Server": "nginx", "Content-Type": "text/html"}
CORE = {"Content-Type": "text/plain; charset=utf-8"}
MANIFEST = '{"name": "Home Assistant", "short_name": "Home Assistant"}'


def page(title: str, body: str = "") -> str:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>"


def answer(status: int, text: str = "", headers: dict[str, str] | None = None, path: str = "/manifest.json") -> Answer:
    return Answer(status=status, url=f"{URL}{path}", text=text, headers=headers or {})


def judged(status: int, text: str = "", headers: dict[str, str] | None = None) -> HaSshError:
    """The error for an address that answers everything in the same way."""
    return of_answers(answer(status, text, headers), answer(status, text, headers, "/api/"), URL)


# ------------------------------------------------------------------------------------------------------------ 403 and 400


@pytest.mark.parametrize("headers", [CORE, {**CORE, "Server": ""}, {**CORE, "Server": "Python/3.13 aiohttp/3.12"}])
def test_cores_own_403_everywhere_is_a_ban(headers: dict[str, str]) -> None:
    error = judged(403, "403: Forbidden", headers)
    assert error.code == "ip-banned"
    assert any('says: "403: Forbidden"' in seen for seen in error.evidence)


def test_cores_own_words_are_cores_also_through_a_proxy_that_puts_its_name_on_all() -> None:
    assert judged(403, "403: Forbidden", {**CORE, "Server": "nginx"}).code == "ip-banned"
    assert judged(400, "400: Bad Request", {**CORE, "Server": "nginx"}).code == "untrusted-proxy"


@pytest.mark.parametrize(
    ("text", "headers", "named"),
    [
        (page("Attention Required! | Cloudflare"), CLOUDFLARE, "cloudflare"),
        (page("403 Forbidden"), NGINX, "nginx"),
        (page("Access denied"), {"Content-Type": "text/html"}, "Access denied"),
        ("blocked", {"Server": "AkamaiGHost", "Content-Type": "text/plain"}, "AkamaiGHost"),
    ],
)
def test_a_403_of_somebody_else_is_no_ban(text: str, headers: dict[str, str], named: str) -> None:
    error = judged(403, text, headers)
    assert error.code == "front-refuses"
    assert "banned" not in error.message
    assert named in error.message
    assert any("403" in seen and named in seen for seen in error.evidence)
    assert not any("ip_bans" in hint for hint in error.hints)


def test_a_403_without_a_word_may_be_either_and_is_told_apart_by_a_look() -> None:
    error = judged(403)
    assert error.code == "refused-by-either"
    assert "banned" in error.message
    assert "in front" in error.message
    assert any("Tell them apart" in hint and "ip_bans.yaml" in hint for hint in error.hints)


def test_a_403_of_one_page_alone_is_no_ban() -> None:
    error = of_answers(answer(403, "403: Forbidden", CORE), answer(401, "401: Unauthorized", CORE, "/api/"), URL)
    assert error.code == "front-refuses"


def test_cores_own_400_everywhere_is_an_untrusted_proxy() -> None:
    assert judged(400, "400: Bad Request", CORE).code == "untrusted-proxy"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (page("400 The plain HTTP request was sent to HTTPS port"), "needs-https"),
        ("Client sent an HTTP request to an HTTPS server.\n", "needs-https"),
        ("You're speaking plain HTTP to an SSL-enabled server port.", "needs-https"),
        (page("400 No required SSL certificate was sent"), "client-certificate"),
        (page("400 The SSL certificate error"), "client-certificate"),
        (page("400 Bad Request", "<center>nginx</center>"), "front-refuses"),
    ],
)
def test_a_400_of_somebody_else_is_told_by_its_words(text: str, code: str) -> None:
    error = judged(400, text, NGINX)
    assert error.code == code
    assert "trusted_proxies" not in " ".join(error.hints)
    assert error.evidence


def test_a_400_without_a_word_may_be_either_and_is_told_apart_by_a_look() -> None:
    error = judged(400)
    assert error.code == "refused-by-either"
    assert any("Tell them apart" in hint and "Logs" in hint for hint in error.hints)


# ----------------------------------------------------------------------------------------------------- errors of servers


def test_a_captive_portal_is_none_of_home_assistants_errors() -> None:
    error = judged(511, page("Welcome to our guest Wi-Fi"), {"Content-Type": "text/html"})
    assert error.code == "captive-portal"
    assert any("Welcome to our guest Wi-Fi" in seen for seen in error.evidence)
    assert any("sign in to the network" in hint for hint in error.hints)


@pytest.mark.parametrize("status", [520, 521, 522, 523, 524, 525, 526, 527, 530])
def test_the_codes_of_cloudflare_are_its_own(status: int) -> None:
    error = judged(status, page("Web server is down"), CLOUDFLARE)
    assert error.code in {"core-not-answering", "front-error"}
    assert f"answers {status}, which Cloudflare" in error.message
    assert "error of its own" not in error.message


def test_an_error_of_a_proxy_is_the_proxys() -> None:
    error = judged(500, page("500 Internal Server Error"), NGINX)
    assert error.code == "front-error"
    assert "nginx" in error.message
    assert not any("Settings" in hint for hint in error.hints)


@pytest.mark.parametrize("text", ["500: Internal Server Error", "500 Internal Server Error\n\nServer got itself in trouble"])
def test_an_error_of_core_is_cores(text: str) -> None:
    error = judged(500, text, CORE)
    assert error.code == "server-error"
    assert "of its own" in error.message


def test_an_error_without_a_word_may_be_either() -> None:
    error = judged(500)
    assert "either" in error.message
    assert any("Tell them apart" in hint for hint in error.hints)


# ------------------------------------------------------------------------------------------------- a sign-in in front


def test_a_sign_in_of_a_proxy_is_named_with_its_kind() -> None:
    error = judged(401, page("401 Authorization Required"), {**NGINX, "WWW-Authenticate": 'Basic realm="Restricted"'})
    assert error.code == "front-sign-in"
    assert 'Basic realm="Restricted"' in error.message
    assert any("WWW-Authenticate: Basic" in seen for seen in error.evidence)


def test_a_single_sign_on_is_named_by_its_page() -> None:
    error = judged(200, page("Login - Authelia"), NGINX)
    assert error.code == "front-sign-in"
    assert '"Login - Authelia"' in error.message


def test_a_sign_in_page_may_be_in_front_or_of_another_device() -> None:
    error = judged(200, page("FRITZ!Box", '<input name="p" type="password">'))
    assert error.code == "not-home-assistant"
    assert "either" in error.message
    assert "FRITZ!Box" in error.message
    assert any("Tell them apart" in hint for hint in error.hints)


def test_too_many_requests_are_waited_for() -> None:
    error = judged(429, page("429 Too Many Requests"), {**NGINX, "Retry-After": "120"})
    assert isinstance(error, Refused)
    assert error.code == "too-many-requests"
    assert error.hints[0] == "Wait 120 s, then try again."


@pytest.mark.parametrize("status", [200, 404, 405, 418])
def test_what_is_not_recognised_is_shown_as_it_is(status: int) -> None:
    error = judged(status, page("A router"), {"Server": "lighttpd", "Content-Type": "text/html"})
    assert error.code == "not-home-assistant"
    assert "lighttpd" in error.message
    assert error.evidence[0].startswith(f"GET /manifest.json: {status} ")
    assert 'page: "A router"' in error.evidence[0]


def test_a_strangers_words_are_short_printable_and_without_secrets() -> None:
    said = answer(200, f"\x1b[31mtoken=eyJhbGciOiJIUzI1NiJ9.{'e' * 40}.{'f' * 43} {'x' * 500}", CORE).seen()
    assert "\x1b" not in said
    assert "eyJhbGciOiJIUzI1NiJ9" not in said
    assert len(said) < 200


@pytest.mark.parametrize("text", ["<title>" * 100_000, "<input " * 100_000, "z" * 1_000_000, "\n" * 1_000_000])
def test_a_large_page_takes_no_time(text: str) -> None:
    """A page that is made to keep a reader busy would run into the time limit of a test."""
    judged(200, f"<html>{text}", NGINX)
    of_log(answer(500, text, CORE), URL, lambda status, words: HaSshError("refused", f"{status} {words}"))


# ------------------------------------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    ("here", "location", "said"),
    [
        (f"{URL}/api/websocket", f"{URL}/api/websocket", "in a circle"),
        (f"{URL}/api/websocket", "", "in a circle"),
        (f"{URL}/api/websocket", "https://house.example/api/websocket", "on the same host"),
        ("https://house.example/x", "http://house.example/x", "out of TLS"),
        (f"{URL}/x", "https://other.example/x", "to another host"),
        (f"{URL}/x", "http://[", "no address"),
    ],
)
def test_a_redirect_says_where_it_leads(here: str, location: str, said: str) -> None:
    error = redirected(here, location, status=302)
    assert error.code == "redirected"
    assert said in error.message
    assert error.evidence[0].startswith("GET /")


@pytest.mark.parametrize(
    "location", ["/login?rd=1", "https://auth.example.org/?rd=x", "https://x.cloudflareaccess.com/cdn-cgi/access/login/h"]
)
def test_a_redirect_to_a_sign_in_page_is_called_that(location: str) -> None:
    error = redirected(f"{URL}/api/websocket", location, status=302)
    assert error.code == "front-sign-in"
    assert "rd=" not in error.message
