"""Bad input gets a clear error that names the flag, the cause and the way out; and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519

from servers import TERMINAL, serve_ssh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from computer import Computer, Ended

    from ha_ssh.sim.house import House

PASSPHRASE = "open, says-me"
THEIRS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPL09MkyCqmdq4iMgxQAfaoGVdn6eeywwcSZKcQ1WaIm sam@laptop"


@contextlib.contextmanager
def nothing_changes(computer: Computer) -> Iterator[None]:
    before = computer.everything()
    yield
    assert computer.everything() == before
    assert not list((computer.folder / "home").iterdir())
    assert not list((computer.folder / "tmp").iterdir())


def refused(ended: Ended, code: int, *words: str) -> None:
    """Assert how it ended, and that the error says all that it should."""
    assert ended.code == code, ended
    assert ended.result == "error"
    assert ended.report["changed"] is False
    assert ended.error["hints"], "no way out is named"
    for word in words:
        assert word in ended.said, ended.said


def private_key(passphrase: str | None = None) -> bytes:
    lock = form.BestAvailableEncryption(passphrase.encode()) if passphrase else form.NoEncryption()
    return ed25519.Ed25519PrivateKey.generate().private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, lock)


# ---------------------------------------------------------------------------------------------------------------- addresses


@contextlib.contextmanager
def some_web_page(host: str) -> Iterator[str]:
    """A web server that is no Home Assistant, and keeps what it was sent."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(str(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>the router</h1>")

        def log_message(self, *_: object) -> None:
            pass

    seen: list[str] = []
    with HTTPServer((host, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}"
        server.shutdown()
    assert not any("Bearer" in headers for headers in seen)


def test_an_address_that_is_no_home_assistant(computer: Computer) -> None:
    with some_web_page(computer.running.host) as url, nothing_changes(computer):
        stopped = computer.ha_ssh("setup", "--url", url, "--yes", "--json")
        refused(stopped, 4, url, "not Home Assistant", "8123")
        assert stopped.error["code"] == "not-home-assistant"


def test_an_address_where_nothing_listens(computer: Computer) -> None:
    with nothing_changes(computer):
        stopped = computer.ha_ssh("setup", "--url", f"http://{computer.running.host}:9", "--yes", "--json")
        refused(stopped, 4, computer.running.host, "port 9", "8123")


def test_an_address_that_does_not_answer(computer: Computer) -> None:
    with socket.create_server((computer.running.host, 0)) as silent, nothing_changes(computer):
        url = f"http://{computer.running.host}:{silent.getsockname()[1]}"
        stopped = computer.ha_ssh("setup", "--url", url, "--yes", "--json")
        refused(stopped, 4, url, "in time")


def test_a_name_that_nobody_knows(computer: Computer) -> None:
    with nothing_changes(computer):
        stopped = computer.ha_ssh("setup", "--url", "http://no-such-house.invalid:8123", "--yes", "--json")
        refused(stopped, 4, "no-such-house.invalid", "IP address")


@pytest.mark.parametrize("url", ["ftp://house", "house:notaport", "http://me:secret@house:8123", "http://house:99999"])
def test_an_address_that_is_none(computer: Computer, url: str) -> None:
    with nothing_changes(computer):
        stopped = computer.ha_ssh("setup", "--url", url, "--yes", "--json")
        assert stopped.code == 2, stopped
        assert "--url" in stopped.said
        assert "secret" not in stopped.out + stopped.err
        by_variable = computer.ha_ssh("setup", "--yes", "--json", env={"HA_SSH_URL": url})
        assert by_variable.code == 2
        assert "HA_SSH_URL" in by_variable.said


# ------------------------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("command", ["setup", "doctor"])
@pytest.mark.parametrize("kind", ["wrong", "expired"])
def test_a_token_that_is_refused_is_tried_once_only(computer: Computer, kind: str, command: str) -> None:
    if kind == "wrong":
        computer.token = "not.the.token"
    else:
        computer.token = computer.turn(lambda house: house.add_token(house.owner, name="old", lifetime=0.0).text)
    with nothing_changes(computer):
        stopped = computer.ha_ssh(command, "--url", computer.running.url, *(["--yes"] if command == "setup" else []), "--json")
        if command == "setup":
            refused(stopped, 4, computer.running.url, "token")
            assert stopped.error["code"] == "token-refused"
        else:
            assert stopped.code == 1, stopped
    assert sum(computer.house.failed_sign_ins.values()) == 1


def test_a_token_of_somebody_who_is_no_administrator(computer: Computer) -> None:
    computer.token = computer.house.guest_token
    with nothing_changes(computer):
        refused(computer.setup(), 4, "administrator")


def test_a_house_without_a_supervisor(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house.knobs, "no_supervisor", True))
    with nothing_changes(computer):
        refused(computer.setup(), 4, "Supervisor")


def test_a_token_file_that_is_not_there(computer: Computer) -> None:
    with nothing_changes(computer):
        stopped = computer.setup("--token-file", "no-such-file")
        assert stopped.code == 2
        assert "--token-file" in stopped.said
        assert "no-such-file" in stopped.said


# -------------------------------------------------------------------------------------------------------------------- ports


@pytest.mark.parametrize("port", ["0", "-1", "65536", "ssh", "22222", "8123"])
def test_a_port_that_cannot_be(computer: Computer, port: str) -> None:
    with nothing_changes(computer):
        refused(computer.setup(f"--port={port}"), 2, "--port", "2222")
        refused(computer.setup(env={"HA_SSH_PORT": port}), 2, "HA_SSH_PORT")


def test_a_port_that_another_app_holds(computer: Computer) -> None:
    """The broker's port: refused before anything is changed, or put back; with the way out in either case."""
    before = computer.snapshot()["apps"]["core_mosquitto"]
    stopped = computer.setup("--port", "1883")
    assert stopped.code in {1, 2, 4}, stopped
    assert "1883" in stopped.said
    assert "--port" in stopped.said
    apps = computer.snapshot()["apps"]
    assert apps["core_mosquitto"] == before
    assert (apps[TERMINAL]["running"], apps[TERMINAL]["network"].get("22/tcp")) == (None, None)


# --------------------------------------------------------------------------------------------------------------------- keys


def test_a_key_file_that_is_not_there(computer: Computer) -> None:
    with nothing_changes(computer):
        refused(computer.setup("--key", "no-such-key"), 2, "--key", "no-such-key")


def test_a_key_whose_path_no_alias_can_name(computer: Computer) -> None:
    path = computer.put('ssh/my"key', private_key())
    with nothing_changes(computer):
        refused(computer.setup("--key", str(path)), 2, "--key", "OpenSSH", "--no-alias")
    without = computer.setup("--key", str(path), "--no-alias")
    assert (without.code, without.result) == (0, "ok"), without


@pytest.mark.parametrize("name", ["id_test.pub", "id_test"])
def test_a_public_key_in_place_of_the_private_one(computer: Computer, name: str) -> None:
    path = computer.put(name, THEIRS + "\n")
    with nothing_changes(computer):
        stopped = computer.setup("--key", str(path))
        assert stopped.code == 2, stopped
        assert "--key" in stopped.said
        assert "public" in stopped.said


def test_a_key_with_a_passphrase_that_nobody_gave(computer: Computer) -> None:
    path = computer.put("id_test", private_key(PASSPHRASE))
    with nothing_changes(computer):
        stopped = computer.ha_ssh("setup", "--url", computer.running.url, "--key", str(path), "--yes", "--json")
        refused(stopped, 3, "--passphrase-file", "HA_SSH_PASSPHRASE")


def test_a_wrong_passphrase(computer: Computer) -> None:
    path = computer.put("id_test", private_key(PASSPHRASE))
    wrong = computer.folder / "passphrase"
    wrong.write_text("not this one\n")
    flags = ("setup", "--url", computer.running.url, "--key", str(path), "--yes", "--json")
    with nothing_changes(computer):
        by_file = computer.ha_ssh(*flags, "--passphrase-file", str(wrong))
        assert by_file.code == 2, by_file
        assert "--passphrase-file" in by_file.said
        by_variable = computer.ha_ssh(*flags, env={"HA_SSH_PASSPHRASE": "nor this"})
        assert by_variable.code == 2
        assert "HA_SSH_PASSPHRASE" in by_variable.said
        for ended in (by_file, by_variable):
            assert "not this one" not in ended.out + ended.err
            assert "nor this" not in ended.out + ended.err
    right = computer.ha_ssh(*flags, env={"HA_SSH_PASSPHRASE": PASSPHRASE})
    assert (right.code, right.result) == (0, "ok"), right


def test_a_key_that_others_can_read_is_closed_and_named_in_the_plan(computer: Computer) -> None:
    path = computer.put("id_test", private_key(), mode=0o644)
    with nothing_changes(computer):
        planned = computer.ha_ssh(*computer.flags("--key", str(path), "--dry-run", "--json"))
        assert any("644 -> 600" in line for step in planned.report["steps"] for line in step["preview"]), planned
    assert computer.setup("--key", str(path)).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_kind_of_key_that_ssh_no_longer_takes(computer: Computer) -> None:
    key = dsa.generate_private_key(1024)
    path = computer.put(
        "id_dsa", key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
    )
    with nothing_changes(computer):
        stopped = computer.setup("--key", str(path))
        assert stopped.code == 2, stopped
        assert "--key" in stopped.said
        assert "DSA" in stopped.said


@pytest.mark.parametrize("name", ["id_test.ppk", "id_test"])
def test_a_key_of_putty(computer: Computer, name: str) -> None:
    path = computer.put(name, "PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\n")
    with nothing_changes(computer):
        stopped = computer.setup("--key", str(path))
        assert stopped.code == 2, stopped
        assert "--key" in stopped.said
        assert "puttygen" in stopped.said


def test_a_key_file_that_is_damaged(computer: Computer) -> None:
    path = computer.put("id_test", private_key()[:150])
    with nothing_changes(computer):
        stopped = computer.setup("--key", str(path))
        assert stopped.code == 2, stopped
        assert "--key" in stopped.said


# --------------------------------------------------------------------------------------------------------------- ssh config


@pytest.mark.parametrize(
    "config",
    [
        b"# mine\r\nHost nas\r\n    User sam\r\n",
        b"Host nas\n    User sam",
        b"Include ~/.ssh/other\n\nHost *\n    ServerAliveInterval 9\n    User nobody\n    Port 2200\n",
        b"# caf\xe9\nHost nas\n  HostName 10.0.0.1\n",
        b"",
    ],
    ids=["CR LF", "no final newline", "Include and Host *", "no UTF-8", "empty"],
)
def test_an_odd_ssh_config_keeps_every_byte(computer: Computer, config: bytes) -> None:
    path = computer.put("config", config)
    before = computer.files()
    done = computer.setup()
    assert (done.code, done.result, done.report["ssh"]["alias"]) == (0, "ok", "ha"), done
    assert path.read_bytes().endswith(config)
    assert path.read_bytes().count(b"ha-ssh.d") == 1
    assert computer.undo().code == 0
    assert computer.files(but=("state/", "config/", "ssh/id_ha_ssh_home")) == before


def test_an_include_that_is_there_already(computer: Computer) -> None:
    assert computer.setup().code == 0
    config = (computer.ssh / "config").read_bytes()
    (computer.ssh / "ha-ssh.d" / "home.conf").unlink()
    again = computer.setup()
    assert (again.code, again.report["changed"]) == (0, True), again
    assert (computer.ssh / "config").read_bytes() == config


def test_a_host_of_the_users_own_with_the_usual_alias(computer: Computer) -> None:
    config = "Host ha\n    HostName 10.0.0.7\n"
    computer.put("config", config)
    with nothing_changes(computer):
        stopped = computer.setup("--alias", "ha")
        assert stopped.code == 2, stopped
        assert "--alias" in stopped.said
        assert "`ha`" in stopped.said
    other = computer.setup()
    assert other.code == 0
    assert other.report["ssh"]["alias"] not in {"ha", None}
    assert (computer.ssh / "config").read_text().endswith(config)


def test_a_config_that_is_read_only(computer: Computer) -> None:
    computer.put("config", "Host nas\n", mode=0o444)
    with nothing_changes(computer):
        refused(computer.setup(), 2, "--no-alias", str(computer.ssh / "config"))
    without = computer.setup("--no-alias")
    assert (without.code, without.report["ssh"]["alias"]) == (0, None), without
    assert (computer.ssh / "config").read_text() == "Host nas\n"


def test_a_config_that_ssh_itself_cannot_read_is_named_and_left_alone(computer: Computer) -> None:
    path = computer.put("config", "Host nas\n    Prot 22\n")
    stopped = computer.setup()
    assert (stopped.code, stopped.result) == (1, "wrong"), stopped
    assert any(str(path) in str(finding["says"]) and "line 2" in finding["says"] for finding in stopped.report["findings"])
    assert path.read_text() == "Host nas\n    Prot 22\n"
    path.write_text("Host nas\n    Port 22\n")
    assert computer.setup().code == 0


def test_a_config_that_is_a_link_stays_one(computer: Computer) -> None:
    dotfiles = computer.folder / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "ssh_config").write_text("Host nas\n")
    computer.ssh.mkdir(parents=True)
    (computer.ssh / "config").symlink_to(dotfiles / "ssh_config")
    assert computer.setup().code == 0
    assert (computer.ssh / "config").is_symlink()
    assert (dotfiles / "ssh_config").read_text().startswith("Include ")
    assert computer.undo().code == 0
    assert (computer.ssh / "config").is_symlink()
    assert (dotfiles / "ssh_config").read_text() == "Host nas\n"


# -------------------------------------------------------------------------------------------------------------- known hosts


@pytest.mark.parametrize("hashed", [False, True])
def test_an_old_key_of_the_same_host_goes_only_by_the_named_risk(computer: Computer, hashed: bool) -> None:
    """Over plain http the app's log alone does not settle who has the new keys; others' lines stay in any case."""
    old = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINIq5qtAyYfJPJ1N1wDZy1LsS0lZzHVzqzJ2v0e1m5bM"
    lines = f"github.com {THEIRS}\n[{computer.running.host}]:2222 {old}\nnas,[{computer.running.host}]:2222 {old}\n"
    path = computer.put("known_hosts", lines)
    if hashed:
        subprocess.run(["ssh-keygen", "-H", "-f", str(path)], check=True, capture_output=True)
        path.with_suffix(".old").unlink()
    lines = path.read_text()
    assert ("|1|" in lines) is hashed
    stopped = computer.ha_ssh(*computer.flags())
    assert stopped.code == 1, stopped
    assert "--accept-risk host-key" in " ".join((stopped.out + stopped.err).split())
    assert path.read_text() == lines
    done = computer.setup("--accept-risk", "host-key")
    assert (done.code, done.report["ssh"]["alias"]) == (0, "ha"), done
    before, after = lines.splitlines(), path.read_text().splitlines()
    assert before[0] in after
    assert before[1] not in after
    assert hashed or before[2] in after
    assert computer.undo().code == 0
    assert path.read_text() == lines


# ------------------------------------------------------------------------------------------------------------ odd settings


def test_keys_in_bad_shape_in_the_settings_stay_as_they_are(computer: Computer) -> None:
    odd = ["ssh-ed25519 AAAAbroken", "", "# a note", "no key at all", f'from="10.0.0.0/8",no-pty {THEIRS}', "  " + THEIRS]

    def there_before(house: House) -> None:
        serve_ssh(house, *odd, port=2222)

    computer.turn(there_before)
    before = computer.snapshot()
    done = computer.setup()
    assert (done.code, done.result) == (0, "ok"), done
    keys = computer.snapshot()["apps"][TERMINAL]["options"]["authorized_keys"]
    assert keys[:-1] == odd
    assert computer.undo().code == 0
    assert computer.snapshot() == before


# -------------------------------------------------------------------------------------------------------------- a full disk


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    path.mkdir(mode=0o700)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no disk can be made here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make a small disk")
@pytest.mark.parametrize("pages", [0, 1, 5, 8])
def test_no_room_on_the_disk(computer: Computer, pages: int) -> None:
    """With room for that many small files: what did not fit is said, and put back; a login that was proven by then stays."""
    before = computer.snapshot()
    with small_disk(computer.profile, "64k"):
        ballast = computer.profile / "ballast"
        with ballast.open("wb", buffering=0) as full, contextlib.suppress(OSError):
            while True:
                full.write(b"\0" * 4096)
        os.truncate(ballast, ballast.stat().st_size - 4096 * pages)
        stopped = computer.setup()
        assert stopped.code in {1, 4}, stopped
        assert stopped.error["code"] == "no-room"
        assert "disk is full" in stopped.said
        assert stopped.error["hints"], stopped
        assert not stopped.report["changed"] or stopped.report["kept"], stopped
        assert len(computer.admitted()) == bool(stopped.report["changed"] and pages > 3), stopped
        assert not [name for name in computer.files() if name.endswith("~")]
        ballast.unlink()
        undone = computer.undo()
        assert undone.code == 0, undone
        after = computer.snapshot()["apps"][TERMINAL]
        assert after["options"].get("authorized_keys", []) == []
        assert after["running"] is None
        assert computer.setup().code == 0
    assert before["apps"].keys() == computer.snapshot()["apps"].keys()


# ----------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("url: {url}\n\nprot: 2222\n", 3, "`port`"),
        ("url: {url}\nport: often\n", 2, "number"),
        ("url: {url}\nport: 22222\n", 2, "22222"),
        ("url: {url}\nwatchdog: maybe\n", 2, "true or false"),
        ("url: {url}\nalias: [a, b]\n", 2, "list"),
        ("url: 'http://me:pw@house'\n", 1, "password"),
        ("- url\n", 1, "key: value"),
        ("url: {url}\n  port: 3\n", 2, "YAML"),
        ("url: {url}\npassphrase: hush\n", 2, "passphrase-file"),
        ("url: {url}\npassphrase-file: /no/such/file\n", 2, "/no/such/file"),
    ],
)
def test_an_answers_file_that_is_wrong_is_told_by_its_line(computer: Computer, text: str, line: int, says: str) -> None:
    answers = computer.folder / "answers.yaml"
    answers.write_text(text.format(url=computer.running.url))
    with nothing_changes(computer):
        stopped = computer.ha_ssh("setup", "--from", str(answers), "--yes", "--json")
        assert stopped.code == 2, stopped
        assert f"{answers} line {line}" in stopped.said
        assert says in stopped.said
        assert "hush" not in stopped.out + stopped.err


def test_an_answers_file_that_is_not_there(computer: Computer) -> None:
    with nothing_changes(computer):
        stopped = computer.ha_ssh("setup", "--from", "no-such.yaml", "--yes", "--json")
        assert stopped.code == 2
        assert "--from" in stopped.said
        assert "no-such.yaml" in stopped.said


def test_the_passphrase_of_the_key_of_last_time_is_an_answer_that_is_missing(computer: Computer) -> None:
    path, secret = computer.folder / "elsewhere-key", computer.folder / "passphrase"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "hush hush", "-f", str(path)], check=True)
    secret.write_text("hush hush\n")
    flags = ("setup", "--url", computer.running.url, "--yes", "--json")
    first = computer.ha_ssh(*flags, "--key", str(path), "--passphrase-file", str(secret))
    assert first.code == 0, first
    before = computer.snapshot()
    again = computer.ha_ssh(*flags)
    assert (again.code, again.error["code"]) == (3, "missing-passphrase"), again
    assert "HA_SSH_PASSPHRASE_FILE" in " ".join(again.error["hints"])
    assert computer.snapshot() == before
    assert computer.ha_ssh(*flags, "--passphrase-file", str(secret)).report["changed"] is False
