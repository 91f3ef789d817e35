"""The doctor begins with what there is: nothing, an address, a port, half a house; it asks nobody, and waits for little."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from computer import Computer, Ended

WHOLE = 12.0
"""Seconds within which a house that answers nothing is given up."""


def levels(done: Ended) -> dict[str, str]:
    return {finding["id"]: finding["verdict"] for finding in done.report["findings"]}


def roots(done: Ended, *verdicts: str) -> list[str]:
    return [one["id"] for one in done.report["findings"] if one["because"] is None and one["verdict"] in verdicts]


def found(done: Ended, name: str) -> dict[str, Any]:
    finding: dict[str, Any] = next(one for one in done.report["findings"] if one["id"] == name)
    return finding


@contextlib.contextmanager
def silent(address: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """A port that takes a connection and never says a word."""
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()[:2]


@contextlib.contextmanager
def dropping() -> Iterator[tuple[str, int]]:
    """A port whose packets are dropped: its queue of connections is full, and nobody ever takes one."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(server.getsockname())
        yield server.getsockname()


def moved(computer: Computer, url: str, host: str, port: int) -> None:
    """Let the remembered house lie elsewhere, as after a change of its address."""
    path = computer.profile / "houses.yaml"
    [path] = [path] if path.exists() else list(computer.profile.rglob("houses.yaml"))
    lines = []
    for line in path.read_text("utf-8").splitlines():
        name = line.strip().partition(":")[0]
        indent = line[: len(line) - len(line.lstrip())]
        new = {"url": url, "host": host}.get(name)
        if name == "port" and indent.count(" ") >= 6 and "want" not in "".join(lines[-8:]):
            new = str(port)
        lines.append(f"{indent}{name}: {new}" if new else line)
    path.write_text("\n".join(lines) + "\n", "utf-8")


# ------------------------------------------------------------------------------------------------------------- nothing


def test_with_no_house_only_this_computer_is_judged(computer: Computer) -> None:
    computer.token = ""
    done = computer.ha_ssh("doctor", "--json")
    assert done.code == 1
    assert roots(done, "wrong", "unknown") == ["house-answers"]
    assert found(done, "house-answers")["verdict"] == "unknown"
    assert "no house is named" in found(done, "house-answers")["says"]
    assert levels(done)["ssh-client"] == "ok"
    assert done.report["house"] is None


def test_a_name_that_nobody_knows_is_one_root(computer: Computer) -> None:
    computer.token = ""
    done = computer.ha_ssh("doctor", "--json", "--url", "http://nosuch.invalid:8123")
    assert done.code == 1
    assert roots(done, "wrong", "unknown") == ["house-answers"]


# ---------------------------------------------------------------------------------------------------------- an address


def test_an_address_without_a_sign_in_is_seen_from_outside(healthy: Computer) -> None:
    healthy.token = ""
    (healthy.profile / "elsewhere").mkdir()
    done = healthy.ha_ssh(
        "doctor", "--json", "--url", healthy.running.url, env={"HA_SSH_PROFILE": str(healthy.profile / "elsewhere")}
    )
    assert done.code == 1
    house = found(done, "house-answers")
    assert house["verdict"] == "unknown"
    assert house["says"].startswith("Home Assistant 2026.11.0 answers at")
    assert roots(done, "wrong", "unknown") == ["house-answers"]
    assert levels(done)["port-answers"] == "ok", "the usual ports are tried where none is named"


def test_an_address_that_is_no_home_assistant_is_named_as_such(healthy: Computer) -> None:
    healthy.token = ""
    done = healthy.ha_ssh("doctor", "--json", "--url", f"http://{healthy.running.host}:2222")
    assert done.code == 1
    assert found(done, "house-answers")["verdict"] == "wrong"


def test_a_banned_address_is_told_from_one_without_a_sign_in(healthy: Computer) -> None:
    healthy.token = ""
    healthy.turn(lambda house: setattr(house, "ban_after", 0))
    done = healthy.ha_ssh(
        "doctor", "--json", "--url", healthy.running.url, env={"HA_SSH_PROFILE": str(healthy.profile / "elsewhere")}
    )
    assert found(done, "house-answers")["failure"] == "ip-banned", done


# ------------------------------------------------------------------------------------------------------------ SSH alone


def elsewhere(computer: Computer) -> dict[str, str]:
    """The environment of a profile of its own, with nothing in it."""
    folder = computer.folder / "elsewhere"
    folder.mkdir(exist_ok=True)
    return {"HA_SSH_PROFILE": str(folder)}


def test_a_port_alone_is_greeted(healthy: Computer) -> None:
    done = healthy.ha_ssh("doctor", "--json", "--host", healthy.running.host, "--port", "2222", env=elsewhere(healthy))
    assert done.code == 1
    assert levels(done)["port-answers"] == "ok"
    assert levels(done)["login-works"] == "unknown"
    own = found(done, "own-ssh-works")
    assert (own["verdict"], own["failure"]) == ("wrong", "hostkey-unknown"), own


def test_a_port_with_a_key_is_logged_in_to_but_not_trusted(healthy: Computer) -> None:
    key = healthy.ssh / "id_ha_ssh_home"
    where = ("--host", healthy.running.host, "--port", "2222", "--user", "root", "--key", str(key))
    done = healthy.ha_ssh("doctor", "--json", *where, env=elsewhere(healthy))
    assert levels(done)["login-works"] == "ok"
    assert levels(done)["right-server"] == "unknown", "an unknown host key proves nothing"
    assert levels(done)["ha-works"] == "unknown", "and nothing is sent to whoever it is"


def test_a_port_whose_host_key_has_changed_is_told_and_not_looked_into(healthy: Computer) -> None:
    healthy.turn(lambda house: setattr(house.knobs, "core_down", True))
    known = healthy.ssh / "known_hosts"
    other = healthy.turn(lambda house: house.keys.make("ed25519").public)
    lines = [" ".join([line.split()[0], *other.split()[:2]]) for line in known.read_text().splitlines() if line.strip()]
    known.write_text("\n".join(lines) + "\n")
    done = healthy.ha_ssh("doctor", "--json")
    assert found(done, "host-key-pinned")["failure"] == "hostkey-changed"
    assert levels(done)["right-server"] == "unknown"
    assert levels(done)["ha-works"] == "unknown"


def test_a_port_whose_host_key_is_known_is_looked_into(healthy: Computer) -> None:
    env = elsewhere(healthy)
    there = healthy.folder / "elsewhere" / "ssh"
    there.mkdir(mode=0o700)
    (there / "known_hosts").write_bytes((healthy.ssh / "known_hosts").read_bytes())
    key = healthy.ssh / "id_ha_ssh_home"
    done = healthy.ha_ssh("doctor", "--json", "--host", healthy.running.host, "--port", "2222", "--key", str(key), env=env)
    assert {levels(done)[name] for name in ("login-works", "right-server", "host-key-pinned", "ha-works")} == {"ok"}
    assert done.report["house"] is None
    assert roots(done, "wrong", "unknown") == ["house-answers"]


def test_nothing_at_the_port_is_the_finding(computer: Computer) -> None:
    computer.token = ""
    done = computer.ha_ssh("doctor", "--json", "--host", computer.running.host, "--port", "2299")
    assert roots(done, "wrong") == ["port-answers"]


def test_a_port_without_a_machine_is_refused_where_none_is_remembered(computer: Computer) -> None:
    computer.token = ""
    done = computer.ha_ssh("doctor", "--port", "2222", "--json")
    assert (done.code, done.error["code"]) == (2, "no-host"), done
    assert "--host HOST --port 2222" in done.said
    meant_for_setup = computer.ha_ssh("doctor", "--json", env={"HA_SSH_PORT": "2222"})
    assert (meant_for_setup.code, roots(meant_for_setup, "wrong", "unknown")) == (1, ["house-answers"]), meant_for_setup


# --------------------------------------------------------------------------------------------------------- half a house


def test_core_is_down_and_ssh_is_up(healthy: Computer) -> None:
    healthy.turn(lambda house: setattr(house.knobs, "core_down", True))
    done = healthy.ha_ssh("doctor", "--json")
    assert roots(done, "wrong", "unknown", "warn") == ["house-answers"], done
    seen = levels(done)
    for name in ("port-answers", "login-works", "right-server", "host-key-pinned", "ha-works", "own-ssh-works"):
        assert seen[name] == "ok", name
    assert "app's log is out of reach" in found(done, "right-server")["says"]


def test_a_refused_token_hides_no_fault_of_ssh(healthy: Computer) -> None:
    healthy.token = "not-a-token"
    (healthy.ssh / "id_ha_ssh_home").chmod(0o644)
    done = healthy.ha_ssh("doctor", "--json")
    assert set(roots(done, "wrong")) == {"key-file", "house-answers"}
    assert levels(done)["login-works"] == "ok"


# ------------------------------------------------------------------------------------------------------- no answer at all


@pytest.mark.parametrize("kind", ["silent", "dropping"])
def test_a_house_that_answers_nothing_is_given_up_in_time(healthy: Computer, kind: str) -> None:
    with silent() if kind == "silent" else dropping() as (host, port):
        moved(healthy, f"http://{host}:{port}", host, port)
        began = time.monotonic()
        done = healthy.ha_ssh("doctor", "--json")
        took = time.monotonic() - began
    assert done.code == 1
    assert roots(done, "wrong", "unknown") == ["house-answers"], done
    assert "in time" in found(done, "house-answers")["says"]
    assert "does not answer at all" in found(done, "port-answers")["says"]
    assert took < WHOLE


# -------------------------------------------------------------------------------------------------------------- offline


def test_offline_opens_no_connection_and_names_what_it_left_out(healthy: Computer) -> None:
    with silent() as (host, _port), socket.create_server((host, 0)) as other:
        other.setblocking(False)
        moved(healthy, f"http://{host}:{other.getsockname()[1]}", host, other.getsockname()[1])
        done = healthy.ha_ssh("doctor", "--offline", "--json")
        with pytest.raises(BlockingIOError):
            other.accept()
    assert done.code == 0, done
    assert {"house-answers", "port-answers", "login-works"} <= set(done.report["not_looked_at"])
    judged = levels(done)
    assert judged["key-file"] == "ok"
    assert "unknown" not in judged.values()
    assert not judged.keys() & set(done.report["not_looked_at"])


def test_offline_still_finds_what_lies_on_this_computer(healthy: Computer) -> None:
    (healthy.ssh / "id_ha_ssh_home").chmod(0o644)
    done = healthy.ha_ssh("doctor", "--offline", "--json")
    assert done.code == 1
    assert roots(done, "wrong", "unknown") == ["key-file"]


# ------------------------------------------------------------------------------------------------------------ passphrase


def with_passphrase(computer: Computer, tmp_path: Path) -> Path:
    """Set up with a new key that has a passphrase."""
    secret = tmp_path / "passphrase"
    secret.write_text("three word phrase\n")
    done = computer.ha_ssh("setup", "--url", computer.running.url, "--yes", "--passphrase-file", str(secret), "--json")
    assert done.code == 0, done
    return secret


def test_a_key_without_its_passphrase_is_not_called_wrong(computer: Computer, tmp_path: Path) -> None:
    secret = with_passphrase(computer, tmp_path)
    without = computer.ha_ssh("doctor", "--json")
    assert without.code == 1
    assert roots(without, "wrong", "unknown") == ["key-file"], without
    assert found(without, "key-file")["verdict"] == "unknown"
    given = computer.ha_ssh("doctor", "--json", "--passphrase-file", str(secret))
    assert given.code == 0, given
    assert levels(given)["own-ssh-works"] == "ok"
