"""The SSH ports of the simulated house, met by asyncssh and by the real `ssh`."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

import aiohttp
import asyncssh
import pytest

from servers import ADVANCED, TERMINAL, Key, serve_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ha_ssh.sim.running import Running
    from servers import Profile

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no OpenSSH client")


@contextlib.asynccontextmanager
async def login(
    running: Running, *keys: Key, user: str = "root", port: int = 2222, **more: object
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    chosen = {"client_keys": [str(key.path) for key in keys]} if keys else {"client_keys": None}
    async with asyncssh.connect(
        running.host,
        port,
        username=user,
        known_hosts=None,
        agent_path=None,
        config=None,
        **chosen,
        **more,  # type: ignore[arg-type]  # the test reaches into what the server keeps loose
    ) as connection:
        yield connection


def log(running: Running, slug: str = TERMINAL) -> str:
    return running.house.log_text(slug)


async def test_an_authorised_key_opens_the_door_and_the_log_tells_it(running_house: Running, key: Key) -> None:
    serve_ssh(running_house.house, key.line)
    async with login(running_house, key) as connection:
        assert (await connection.run("exit 7")).exit_status == 7
        assert (await connection.run("cat /etc/os-release", check=True)).stdout.startswith('NAME="Alpine')
        source = connection.get_extra_info("sockname")
        line = f"Accepted publickey for root from {source[0]} port {source[1]} ssh2: ED25519 {key.fingerprint}"
        assert line in log(running_house).splitlines()


async def test_another_key_another_user_and_a_password_are_refused(running_house: Running, key: Key, tmp_path: Path) -> None:
    running_house.house.knobs.penalties = False
    serve_ssh(running_house.house, key.line)
    for who in (
        {"keys": (Key.make(tmp_path / "other"),)},
        {"keys": (key,), "user": "hassio"},
        {"keys": (), "password": "guess"},
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            async with login(running_house, *who.pop("keys"), **who):  # type: ignore[arg-type, misc]  # the test reaches into what the server keeps loose
                pass
    assert "Accepted" not in log(running_house)


async def test_a_password_opens_the_door_only_where_no_key_is_listed(running_house: Running, key: Key) -> None:
    running_house.house.knobs.penalties = False
    serve_ssh(running_house.house, password="open sesame")
    async with login(running_house, password="open sesame") as connection:
        assert (await connection.run("whoami")).stdout == "root\n"
    assert "Accepted password for root from" in log(running_house)
    serve_ssh(running_house.house, key.line, password="open sesame")
    with pytest.raises(asyncssh.PermissionDenied):
        async with login(running_house, password="open sesame"):
            pass


async def test_every_host_key_is_announced_and_proven(running_house: Running, key: Key) -> None:
    serve_ssh(running_house.house, key.line)
    told: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def announced(added: list[asyncssh.SSHKey], _removed: object, retained: list[asyncssh.SSHKey], _revoked: object) -> None:
        told.set_result([one.export_public_key().decode().strip() for one in (*added, *retained)])

    first = asyncssh.import_public_key(running_house.house.host_keys(TERMINAL)[2].public)
    async with asyncssh.connect(
        running_house.host,
        2222,
        username="root",
        client_keys=[str(key.path)],
        agent_path=None,
        config=None,
        known_hosts=([first], [], []),
        server_host_keys_handler=announced,
    ) as connection:
        assert sorted(await told) == sorted(one.public for one in running_house.house.host_keys(TERMINAL))
        assert connection.get_extra_info("server_version") == "SSH-2.0-OpenSSH_10.0"


async def test_saved_is_not_running_until_a_restart_which_ends_sessions(running_house: Running, key: Key, tmp_path: Path) -> None:
    house = running_house.house
    house.knobs.penalties = False
    serve_ssh(house, key.line)
    other = Key.make(tmp_path / "other")
    async with login(running_house, key) as connection:
        options = {**house.app(TERMINAL).options, "authorized_keys": [other.line]}
        house.save(TERMINAL, {"options": options, "network": {"22/tcp": 2223}})
        assert (await connection.run("true")).exit_status == 0
        house.restart_now(TERMINAL)
        await connection.wait_closed()
    with pytest.raises(OSError, match="Connect call failed"):
        async with login(running_house, key):
            pass
    async with login(running_house, other, port=2223) as connection:
        assert other.line.split()[1] in (await connection.run("cat /data/options.json")).stdout


async def test_a_stopped_app_answers_no_more(running_house: Running, key: Key) -> None:
    serve_ssh(running_house.house, key.line)
    running_house.house.stop_now(TERMINAL)
    with pytest.raises(OSError, match="Connect call failed"):
        async with login(running_house, key):
            pass


async def test_three_wrong_keys_and_the_right_one_is_reset_too(running_house: Running, key: Key, tmp_path: Path) -> None:
    serve_ssh(running_house.house, key.line)
    wrong = Key.make(tmp_path / "wrong")
    for _ in range(4):
        with contextlib.suppress(asyncssh.PermissionDenied, ConnectionError, asyncssh.ConnectionLost):
            async with login(running_house, wrong):
                pass
    with pytest.raises((ConnectionError, asyncssh.ConnectionLost)):
        async with login(running_house, key):
            pass
    assert "penalty: failed authentication" in log(running_house)


async def test_too_many_keys_end_the_connection(running_house: Running, key: Key, tmp_path: Path) -> None:
    serve_ssh(running_house.house, key.line)
    keys = [Key.make(tmp_path / f"wrong{number}") for number in range(6)]
    with pytest.raises(asyncssh.ProtocolError, match="Too many authentication failures"):
        async with login(running_house, *keys, key):
            pass
    assert "maximum authentication attempts exceeded" in log(running_house)


async def test_sftp_is_there_where_the_settings_say_so(running_house: Running, key: Key) -> None:
    house = running_house.house
    serve_ssh(house, key.line)
    async with login(running_house, key) as connection, connection.start_sftp_client() as sftp:
        assert "configuration.yaml" in await sftp.listdir("/homeassistant")
        async with sftp.open("/share/note.txt", "w") as file:
            await file.write("hello")
        await sftp.rename("/share/note.txt", "/share/letter.txt")
        assert await sftp.getsize("/share/letter.txt") == 5
        assert await sftp.realpath("/config/../config/secrets.yaml") == "/homeassistant/secrets.yaml"
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.stat("/share/note.txt")
        assert (await connection.run("cat /share/letter.txt")).stdout == "hello"
    serve_ssh(house, key.line, slug=ADVANCED, port=2244, username="root")
    async with login(running_house, key, port=2244) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.start_sftp_client()


async def test_sftp_never_sees_the_real_disk(running_house: Running, key: Key, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    serve_ssh(running_house.house, key.line)
    async with login(running_house, key) as connection, connection.start_sftp_client() as sftp:
        for path in (secret, f"/../../../..{secret}", f"/config/..{secret}"):
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.stat(str(path))
        await sftp.symlink(str(secret), "/share/link")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.open("/share/link", "r")


async def test_forwarding_obeys_the_settings_and_reaches_only_the_house(running_house: Running, key: Key) -> None:
    house = running_house.house
    serve_ssh(house, key.line)
    async with login(running_house, key) as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="open failed") as refused:
            await connection.open_connection("homeassistant", 8123)
        assert refused.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
    serve_ssh(house, key.line, server={"tcp_forwarding": True})
    async with login(running_house, key) as connection:
        listener = await connection.forward_local_port("127.0.0.1", 0, "homeassistant", 8123)
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{listener.get_port()}/manifest.json") as answer:
            assert (await answer.json(content_type=None))["name"] == "Home Assistant"
        with pytest.raises(asyncssh.ChannelOpenError, match="Connection refused"):
            await connection.open_connection("127.0.0.1", 22)


async def test_the_supervisor_is_reached_through_a_login(running_house: Running, key: Key) -> None:
    serve_ssh(running_house.house, key.line, server={"tcp_forwarding": True})
    async with login(running_house, key) as connection:
        token = str((await connection.run("printenv SUPERVISOR_TOKEN", check=True)).stdout).strip()
        # Each app's container has a token of its own, which is not Core's.
        assert token == running_house.inside.token_of(TERMINAL)
        assert token != running_house.supervisor_token.reveal()
        listener = await connection.forward_local_port("127.0.0.1", 0, "supervisor", 80)
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{listener.get_port()}/addons/core_ssh/info"
        async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
            assert (await answer.json())["data"]["state"] == "started"
        assert '"result": "ok"' in (await connection.run("ha info --raw-json")).stdout


async def test_the_community_app_has_a_user_of_its_own(running_house: Running, key: Key) -> None:
    running_house.house.knobs.penalties = False
    serve_ssh(running_house.house, key.line, slug=ADVANCED, port=2244, username="Anna", password="also")
    for how in ({"keys": (key,)}, {"keys": (), "password": "also"}):
        async with login(running_house, *how.pop("keys"), user="anna", port=2244, **how) as connection:  # type: ignore[arg-type, misc]  # the test reaches into what the server keeps loose
            assert (await connection.run("whoami")).stdout == "anna\n"
            assert (await connection.run("ha info")).exit_status == 1
            assert (await connection.run("bash -lc 'ha info'")).exit_status == 0
            assert connection.get_extra_info("send_cipher").startswith("aes")
    assert f"Accepted key ED25519 {key.fingerprint} found at /etc/ssh/authorized_keys:1" in log(running_house, ADVANCED)


@pytest.mark.parametrize(
    ("door", "met"),
    [
        ("impostor", "in"),
        ("stranger", "PermissionDenied"),
        ("not-ssh", "Connection"),
        ("lost", "Connection"),
        ("reset", "Connection"),
        ("refused", "ConnectionRefusedError"),
        ("no-common-algorithm", "KeyExchangeFailed"),
        ("timeout", "TimeoutError"),
        ("denied", "PermissionDenied"),
        ("too-many", "ProtocolError"),
    ],
)
async def test_somebody_else_at_the_door(running_house: Running, key: Key, door: str, met: str) -> None:
    serve_ssh(running_house.house, key.line)
    running_house.house.knobs.door = door
    running_house.catch_up()
    try:
        async with login(running_house, key, connect_timeout=1) as connection:
            ran = await connection.run("cat /data/options.json")
            # A stranger lets everybody in, and knows nothing of the house.
            seen = "in" if (ran.exit_status, ran.stdout) == (127, "") else f"out: {ran.exit_status} {ran.stdout!r}"
    except (OSError, asyncssh.Error) as problem:
        seen = type(problem).__name__
    assert met in seen
    assert "Accepted" not in log(running_house)


async def test_a_port_of_this_computer_that_is_taken_is_a_conflict_of_the_house(running_house: Running, key: Key) -> None:
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), running_house.host, 2222)
    async with taken:
        house = running_house.house
        house.install_now(TERMINAL)
        options = {**house.app(TERMINAL).options, "authorized_keys": [key.line]}
        house.save(TERMINAL, {"options": options, "network": {"22/tcp": 2222}})
        headers = {"Authorization": f"Bearer {running_house.supervisor_token.reveal()}"}
        url = f"http://{running_house.supervisor}/addons/core_ssh/start"
        async with aiohttp.ClientSession(headers=headers) as http, http.post(url) as answer:
            assert (await answer.json())["message"] == "Cannot start app core_ssh because port 2222 is already in use"
        assert house.app(TERMINAL).state == "error"


async def test_something_that_is_no_ssh_server_holds_a_port(running_house: Running) -> None:
    running_house.house.knobs.port_taken.add(2222)
    running_house.catch_up()
    reader, writer = await asyncio.open_connection(running_house.host, 2222)
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()
    running_house.house.knobs.port_taken.clear()
    running_house.catch_up()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(running_house.host, 2222)


async def test_where_ha_has_no_token_it_says_so(running_house: Running, key: Key) -> None:
    serve_ssh(running_house.house, key.line)
    running_house.house.knobs.ha_fails = True
    async with login(running_house, key) as connection:
        for command in ("ha info --raw-json", "bash -lc 'ha info --raw-json'"):
            ended = await connection.run(command)
            assert (ended.exit_status, ended.stderr) == (1, "Error: Unexpected server response. Status code: 401\n")


async def test_a_terminal_is_welcomed_and_can_type(running_house: Running, key: Key) -> None:
    serve_ssh(running_house.house, key.line)
    async with login(running_house, key) as connection:
        process = await connection.create_process(term_type="xterm", stderr=asyncssh.STDOUT)
        process.stdin.write("ha info\rgiven up\x03")
        out = str(await process.stdout.readuntil("^C"))
        process.stdin.write("nonsense\rexit 3\r")
        out += str(await process.stdout.read())
        await process.wait()
        assert process.exit_status == 3
    assert "This house is simulated" in out
    assert "machine_id:" in out
    assert "nonsense: not found" in out
    assert "\r\n" in out


@needs_ssh
async def test_the_real_ssh_logs_in_learns_the_host_keys_and_carries_bytes(
    running_house: Running, key: Key, profile: Profile
) -> None:
    serve_ssh(running_house.house, key.line)
    first = await profile.ssh(running_house, key, "exit 5")
    assert first.returncode == 5, first.stderr
    # OpenSSH learns the other host keys of a server whose one key it already knew.
    assert (await profile.ssh(running_house, key, "true")).returncode == 0
    learnt = profile.known_hosts.read_text()
    for host_key in running_house.house.host_keys(TERMINAL):
        assert host_key.public.split()[1] in learnt
    data = bytes(range(256)) * 500
    assert (await profile.ssh(running_house, key, "cat > /share/x", stdin=data)).returncode == 0
    assert (await profile.ssh(running_house, key, "cat /share/x")).stdout == data
    again = await profile.ssh(running_house, key, "-tt", "id -u")
    assert (again.returncode, again.stdout.strip()) == (0, b"0")


@needs_ssh
async def test_the_real_ssh_is_refused_with_a_key_that_is_not_listed(
    running_house: Running, key: Key, profile: Profile, tmp_path: Path
) -> None:
    serve_ssh(running_house.house, key.line)
    refused = await profile.ssh(running_house, Key.make(tmp_path / "other"), "true")
    assert refused.returncode == 255
    assert b"Permission denied (publickey)" in refused.stderr
