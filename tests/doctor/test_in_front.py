"""The doctor in front of what stands before a house: named for what it is, asked once, and waited for only while it speaks."""

from __future__ import annotations

import contextlib
import select
import time
from typing import TYPE_CHECKING, Any

import pytest
from front import answer, in_front_of, silence
from test_cold_start import WHOLE, elsewhere, found, roots

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from computer import Computer, Ended
    from front import Front, Rule

PAGE = "<!DOCTYPE html><html><head><title>{}</title></head></html>"


def examined(computer: Computer, rule: Rule) -> tuple[Ended, Front]:
    """What the doctor says of the house behind a front, as one who knows nothing of it but how to log in."""
    there = computer.folder / "elsewhere" / "ssh"
    env = elsewhere(computer)
    there.mkdir(mode=0o700, exist_ok=True)
    (there / "known_hosts").write_bytes((computer.ssh / "known_hosts").read_bytes())
    key = str(computer.ssh / "id_ha_ssh_home")
    with in_front_of(computer.running.url, rule) as front:
        where = ("--url", front.url, "--ssh-host", computer.running.host, "--port", "2222", "--user", "root", "--key", key)
        return computer.ha_ssh("doctor", "--json", *where, env=env), front


@pytest.mark.parametrize(
    ("said", "words", "evidence"),
    [
        (answer("403 Forbidden", PAGE.format("Attention Required! | Cloudflare"), server="cloudflare"), "cloudflare", "403"),
        (answer("400 Bad Request", PAGE.format("400 Bad Request")), "refuses the request as malformed", "400"),
        (
            answer("401 No", PAGE.format("401"), 'WWW-Authenticate: Basic realm="x"'),
            "sign-in of its own",
            "WWW-Authenticate: Basic",
        ),
        (answer("429 No", PAGE.format("429")), "no more requests", "429"),
        (answer("500 No", PAGE.format("500")), "in front of", "nginx"),
        (answer("520 No", PAGE.format("520"), server="cloudflare"), "which Cloudflare", "520"),
        (answer("200 OK", PAGE.format("Login - Authelia")), "Login - Authelia", 'page: "Login - Authelia"'),
        (answer("200 OK", PAGE.format("FRITZ!Box")), "FRITZ!Box", 'page: "FRITZ!Box"'),
    ],
)
def test_what_answers_in_its_place_is_named_with_evidence_and_asked_once(
    healthy: Computer, said: bytes, words: str, evidence: str
) -> None:
    done, front = examined(healthy, lambda *_: said)
    house = found(done, "house-answers")
    assert house["verdict"] == "wrong", done
    assert words in house["says"]
    assert any(evidence in seen for seen in house["evidence"])
    assert roots(done, "wrong", "unknown") == ["house-answers"]
    assert sorted(front.asked) == ["/api/", "/api/websocket", "/manifest.json"]


def logs(rule: Callable[[socket.socket], bytes]) -> Rule:
    """Answer for the logs alone."""
    return lambda path, _, connection: rule(connection) if path.endswith("/logs") else None


def test_a_page_is_no_log_and_is_not_asked_for_again_and_again(healthy: Computer) -> None:
    done, front = examined(healthy, logs(lambda _: answer("200 OK", PAGE.format("Login - Authelia"))))
    assert front.asked.count("/api/hassio/addons/core_ssh/logs") <= 3, front.asked
    clients = found(done, "clients-admitted")
    assert clients["verdict"] == "unknown"
    assert "Login - Authelia" in clients["says"]
    assert clients["evidence"]
    assert "shows no login" not in str(done.report["findings"])


def trickle(connection: socket.socket) -> bytes:
    """Begin a log that never ends."""
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while not select.select([connection], [], [], 0.5)[0]:  # readable once the client has gone
            connection.sendall(b"a line of the log\n")
    return b""


@pytest.mark.parametrize("kind", [silence, trickle])
def test_a_log_that_does_not_come_to_an_end_is_given_up_in_time(healthy: Computer, kind: Callable[[Any], bytes]) -> None:
    began = time.monotonic()
    done, _ = examined(healthy, logs(kind))
    took = time.monotonic() - began
    assert found(done, "clients-admitted")["verdict"] == "unknown"
    assert took < WHOLE


def test_a_house_that_opens_a_websocket_and_then_says_nothing_is_given_up_in_time(healthy: Computer) -> None:
    def rule(_path: str, is_socket: bool, connection: socket.socket) -> bytes | None:
        return silence(connection) if is_socket else None

    began = time.monotonic()
    done, _ = examined(healthy, rule)
    took = time.monotonic() - began
    assert roots(done, "wrong", "unknown") == ["house-answers"], done
    assert took < WHOLE
