"""One SSH connection yields everything, and every way to fail has its name: against asyncssh's server and OpenSSH's sshd."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest
from real_sshd import ME, free_port, keygen, sshd

from ha_ssh.core.model import DoorState, KeyKind, SshTrouble
from ha_ssh.core.secret import Secret
from ha_ssh.world import ssh
from ha_ssh.world.keyfiles import make_key

HERE = "127.0.0.1"


@pytest.fixture
def key(tmp_path) -> Path:
    path = tmp_path / "keys" / "id"
    keygen(path)
    return path


def public(path: Path) -> str:
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


SHORT = {"connect_limit": 0.1, "login_limit": 0.2}


async def trouble(
    port: int, key: Path, *, host=HERE, user="root", passphrase: Secret | None = None, **limits: float
) -> SshTrouble:
    with pytest.raises(SshTrouble) as caught:
        async with ssh.open_session(host, port, user, str(key), passphrase, **limits):
            pytest.fail("got in")
    return caught.value


class Door(asyncssh.SSHServer):
    """A server that takes given keys, and passwords if it must."""

    def __init__(self, keys: str, passwords: bool = False, nothing: bool = False) -> None:
        self.keys, self.passwords, self.nothing = keys, passwords, nothing

    def begin_auth(self, username: str) -> bool:
        return not self.nothing

    def public_key_auth_supported(self) -> bool:
        return bool(self.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return " ".join(key.export_public_key().decode().split()[:2]) == self.keys

    def password_auth_supported(self) -> bool:
        return self.passwords

    def validate_password(self, username: str, password: str) -> bool:
        raise AssertionError("a password was tried")


async def shell(process: asyncssh.SSHServerProcess[str]) -> None:
    if process.command == "hang":
        await process.stdin.read()
        await asyncio.Event().wait()
    process.stdout.write(f"did {process.command}\n")
    process.stderr.write("grumble\n")
    process.exit(3)


@contextlib.asynccontextmanager
async def door(folder: Path, **how):
    kinds = ("ssh-ed25519", "ecdsa-sha2-nistp256")
    host_keys = [asyncssh.generate_private_key(kind) for kind in kinds]
    options = {name: how.pop(name) for name in ("kex_algs", "send_server_host_keys") if name in how}
    kind = how.pop("server", Door)
    server = await asyncssh.create_server(
        lambda: kind(**how),
        HERE,
        0,
        server_host_keys=host_keys,
        process_factory=shell,
        **({"send_server_host_keys": True} | options),
    )
    try:
        yield server.get_port(), [" ".join(one.export_public_key().decode().split()[:2]) for one in host_keys]
    finally:
        server.close()
        await server.wait_closed()


# ------------------------------------------------------------------------------------------------------------ getting in


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
async def test_one_login_to_a_real_sshd_yields_everything(tmp_path, kind):
    key = tmp_path / "id"
    keygen(key, kind=kind)
    async with sshd(tmp_path / "sshd", "PasswordAuthentication yes") as server:
        server.authorise(public(key))
        async with ssh.open_session(HERE, server.port, ME, str(key), None) as session:
            assert session.banner.startswith("SSH-2.0-OpenSSH_")
            assert session.host_key in server.host_keys()
            assert set(session.host_keys) == server.host_keys()
            assert session.host_keys[0] == session.host_key
            assert set(session.methods) == {"publickey", "password"}
            ran = await session.run("echo out; echo err >&2; exit 7")
            assert (ran.code, ran.out, ran.err) == (7, "out\n", "err\n")
            assert f"Accepted publickey for {ME} from {HERE} port {session.source_port} ssh2:" in server.log
        assert server.log.count("Connection from") == 1


async def test_the_key_we_make_opens_the_door_with_its_passphrase(tmp_path):
    passphrase = Secret("correct horse")
    made = make_key(str(tmp_path / "id"), KeyKind.ED25519, passphrase, "me")
    async with sshd(tmp_path / "sshd") as server:
        server.authorise(made)
        async with ssh.open_session(HERE, server.port, ME, str(tmp_path / "id"), passphrase) as session:
            assert (await session.run("cat; echo done")).out == "done\n"


async def test_all_announced_keys_come_with_proof(tmp_path, key):
    async with (
        door(tmp_path, keys=public(key)) as (port, keys),
        ssh.open_session(HERE, port, "root", str(key), None) as session,
    ):
        assert set(session.host_keys) == set(keys)
        assert (await session.run("ls")).err == "grumble\n"


async def test_a_server_that_announces_nothing_is_not_waited_for(tmp_path, key):
    async with (
        door(tmp_path, keys=public(key), send_server_host_keys=False) as (port, keys),
        asyncio.timeout(ssh._KEYS_LIMIT / 2),
        ssh.open_session(HERE, port, "root", str(key), None) as session,
    ):
        assert session.host_keys == (session.host_key,)
        assert session.host_key in keys


async def test_a_door_that_asks_for_nothing_says_so(tmp_path, key):
    async with (
        door(tmp_path, keys=public(key), nothing=True) as (port, _),
        ssh.open_session(HERE, port, "root", str(key), None) as session,
    ):
        assert session.methods == ("none",)


async def test_a_command_without_end_is_given_up(tmp_path, key):
    async with (
        door(tmp_path, keys=public(key)) as (port, _),
        ssh.open_session(HERE, port, "root", str(key), None) as session,
    ):
        with pytest.raises(SshTrouble) as caught:
            await session.run("hang", limit=0.05)
        assert caught.value.state is DoorState.TIMEOUT
        assert (await session.run("ls")).code == 3


async def test_a_connection_that_breaks_under_a_command(tmp_path, key):
    async with sshd(tmp_path / "sshd") as server:
        server.authorise(public(key))
        async with ssh.open_session(HERE, server.port, ME, str(key), None) as session:
            with pytest.raises(SshTrouble) as caught:
                ran = await session.run("kill -9 $PPID")
                assert ran.code != 0  # the end of the shell may still arrive
                await session.run("true")
            assert caught.value.state is DoorState.LOST


async def test_nothing_of_the_user_is_read_or_asked(tmp_path, key, monkeypatch):
    """An agent with a good key, a default key and a config with another user do not help."""
    home = tmp_path / "home"
    keygen(home / ".ssh" / "id_ed25519")
    (home / ".ssh" / "config").write_text("Host *\n  User nobody\n  Port 1\n")
    (home / ".ssh" / "known_hosts").write_text("rubbish\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    asked = []
    agent = await asyncio.start_unix_server(lambda *who: asked.append(who), tmp_path / "agent")
    async with agent, sshd(tmp_path / "sshd") as server:
        server.authorise(public(home / ".ssh" / "id_ed25519"))
        assert (await trouble(server.port, key, user=ME)).state is DoorState.DENIED
        assert server.log.count("Failed publickey") == 1
    assert asked == []


# ------------------------------------------------------------------------------------------------------------ turned away


async def test_a_key_that_is_not_taken(tmp_path, key):
    async with sshd(tmp_path / "sshd", "PasswordAuthentication yes") as server:
        met = await trouble(server.port, key, user=ME)
        assert met.state is DoorState.DENIED
        assert met.methods is not None
        assert set(met.methods) == {"publickey", "password"}
        assert met.host_key in server.host_keys()
        assert met.banner.startswith("SSH-2.0-OpenSSH_")


async def test_a_server_that_takes_passwords_only_is_given_none(tmp_path, key):
    async with door(tmp_path, keys="", passwords=True) as (port, _):
        met = await trouble(port, key)
    assert met.state is DoorState.DENIED
    assert met.methods is not None
    assert "publickey" not in met.methods
    assert "password" in met.methods


async def test_too_many_failures_are_told_from_a_refusal(tmp_path, key):
    async with sshd(tmp_path / "sshd", "MaxAuthTries 1") as server:
        met = await trouble(server.port, key, user=ME)
        assert met.state is DoorState.DENIED, "our one key was judged, and was one too many"
        assert "Too many authentication failures" in met.message

    class Impatient(Door):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self.conn = conn

        def begin_auth(self, username: str) -> bool:
            self.conn.disconnect(2, "Too many authentication failures")
            return True

    async with door(tmp_path, keys=public(key), server=Impatient) as (port, _):
        assert (await trouble(port, key)).state is DoorState.TOO_MANY


async def test_a_server_that_wants_a_second_factor_has_taken_the_key(tmp_path, key):
    two = ("AuthenticationMethods publickey,password", "PasswordAuthentication yes")
    async with sshd(tmp_path / "sshd", *two) as server:
        assert (await trouble(server.port, key, user=ME)).state is DoorState.DENIED
        server.authorise(public(key))
        met = await trouble(server.port, key, user=ME)
        assert (met.state, met.methods) == (DoorState.SECOND_FACTOR, ("publickey",))
        assert "password" in met.message
        assert "Partial publickey" in server.log


async def test_a_server_that_lets_in_and_cuts_off_is_named_for_it(tmp_path, key):
    async with sshd(tmp_path / "sshd", "PermitRootLogin forced-commands-only") as server:
        server.authorise(public(key))
        if ME == "root":
            assert (await trouble(server.port, key)).state in {DoorState.CUT, DoorState.DENIED}

    class Closing(Door):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self.conn = conn

        def auth_completed(self) -> None:
            self.conn.disconnect(asyncssh.DISC_PROTOCOL_ERROR, "going down for maintenance")

    async with door(tmp_path, keys=public(key), server=Closing) as (port, _):
        met = await trouble(port, key)
        assert met.state is DoorState.CUT
        assert "going down for maintenance" in met.message


async def test_what_the_server_says_to_whoever_logs_in_is_kept(tmp_path, key):
    (tmp_path / "banner").write_text("Your access is suspended\n")
    async with sshd(tmp_path / "sshd", f"Banner {tmp_path / 'banner'}") as server:
        assert (await trouble(server.port, key, user=ME)).said == "Your access is suspended"


def certify(authority: Path, public_key: Path) -> None:
    command = ["ssh-keygen", "-q", "-h", "-s", authority, "-I", "house", public_key]
    subprocess.run(command, check=True, capture_output=True)


async def test_a_host_certificate_is_no_hindrance(tmp_path, key):
    """Whoever knows its authority is served by it; the key that it is for is what we look at."""
    async with sshd(tmp_path / "sshd") as server:
        keygen(tmp_path / "ca")
        certify(tmp_path / "ca", server.folder / "host_ed25519.pub")
    settings = f"HostCertificate {server.folder}/host_ed25519-cert.pub"
    async with sshd(tmp_path / "other", settings, f"HostKey {server.folder}/host_ed25519") as certified:
        certified.authorise(public(key))
        async with ssh.open_session(HERE, certified.port, ME, str(key), None) as session:
            assert session.host_key in server.host_keys() | certified.host_keys()


async def test_a_command_that_never_stops_talking_is_cut_short(tmp_path, key):
    async with sshd(tmp_path / "sshd") as server:
        server.authorise(public(key))
        async with ssh.open_session(HERE, server.port, ME, str(key), None) as session, asyncio.timeout(20):
            ran = await session.run("yes")
            assert len(ran.out) >= ssh._MOST_SAID
            assert (await session.run("echo still here")).out == "still here\n"


async def test_no_encryption_in_common(tmp_path, key):
    async with door(tmp_path, keys=public(key), kex_algs=["diffie-hellman-group1-sha1"]) as (port, _):
        met = await trouble(port, key)
    assert met.state is DoorState.NO_COMMON
    assert "diffie-hellman-group1-sha1" in met.message


async def test_nothing_listens(key):
    port = free_port()
    assert (await trouble(port, key)).state is DoorState.REFUSED
    assert (await trouble(port, key, host="localhost")).state is DoorState.REFUSED
    with pytest.raises(SshTrouble) as caught:
        await ssh.knock("localhost", port)
    assert caught.value.state is DoorState.REFUSED


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a..b", "x" * 70 + ".example"])
async def test_a_name_nobody_knows(key, name):
    met = await trouble(22, key, host=name)
    assert met.state is DoorState.UNRESOLVED
    assert name in met.message


async def test_no_way_there(key):
    assert (await trouble(22, key, host="255.255.255.255")).state is DoorState.UNREACHABLE


async def test_a_server_that_says_nothing(key):
    with socket.create_server((HERE, 0)) as silent:
        met = await trouble(silent.getsockname()[1], key, **SHORT)
        assert (met.state, met.banner) == (DoorState.SILENT, "")
        with pytest.raises(SshTrouble) as caught:
            await ssh.knock(HERE, silent.getsockname()[1], limit=0.1)
        assert caught.value.state is DoorState.SILENT


async def test_a_server_that_falls_silent_after_its_greeting(key):
    async with greeting(b"SSH-2.0-OpenSSH_10.0\r\n") as port:
        met = await trouble(port, key, **SHORT, quiet_limit=0.1)
        assert (met.state, met.banner) == (DoorState.STALLED, "SSH-2.0-OpenSSH_10.0")


async def test_a_tarpit_is_not_waited_for(key):
    async with greeting(b"a line\r\n") as port:
        met = await trouble(port, key, **SHORT)
        assert met.state is DoorState.NOT_SSH
        assert "a line" in met.message


@contextlib.asynccontextmanager
async def greeting(words: bytes):
    """A server that says something and then nothing more."""
    writers = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(words)

    server = await asyncio.start_server(serve, HERE, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()


@pytest.fixture
def deaf_port():
    """A port whose queue of connections is full: packets to it are dropped."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind((HERE, 0))
        server.listen(0)
        for _ in range(3):
            visitor = stack.enter_context(socket.socket())
            visitor.setblocking(False)
            visitor.connect_ex(server.getsockname())
        yield server.getsockname()[1]


async def test_a_server_that_takes_no_connection(key, deaf_port):
    met = await trouble(deaf_port, key, **SHORT)
    assert met.state is DoorState.TIMEOUT
    assert "did not answer" in met.message


@contextlib.asynccontextmanager
async def saying(words: bytes, *, reset: bool = False):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if reset:
            linger = b"\x01\0\0\0\0\0\0\0"
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.write(words)
        writer.close()

    server = await asyncio.start_server(serve, HERE, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("words", "reset", "state"),
    [
        (b"", False, DoorState.RESET),
        (b"", True, DoorState.RESET),
        (b"Not allowed at this time\r\n", False, DoorState.RESET),
        (b"Exceeded MaxStartups\r\n", False, DoorState.RESET),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", False, DoorState.NOT_SSH),
        (b"220 ftp ready\r\n", False, DoorState.NOT_SSH),
        (b"\x16\x03\x01\x02", False, DoorState.NOT_SSH),
        (b"SSH-2.0-dropbear_2022.83\r\n", False, DoorState.LOST),
        (b"SSH-1.5-old\r\n", False, DoorState.NO_COMMON),
    ],
)
async def test_other_answers(key, words, reset, state):
    async with saying(words, reset=reset) as port:
        met = await trouble(port, key)
        assert met.state is state, met.message
        if words.startswith(b"SSH-2"):
            assert met.banner == await ssh.knock(HERE, port) == "SSH-2.0-dropbear_2022.83"
        elif not words.startswith(b"SSH-1"):
            with pytest.raises(SshTrouble) as caught:
                await ssh.knock(HERE, port)
            assert caught.value.state is state


async def test_a_banner_may_come_after_other_lines(key):
    async with saying(b"welcome\r\nSSH-2.0-x\r\n") as port:
        assert await ssh.knock(HERE, port) == "SSH-2.0-x"


async def test_knocking_at_a_real_sshd(tmp_path):
    async with sshd(tmp_path / "sshd") as server:
        assert (await ssh.knock(HERE, server.port)).startswith("SSH-2.0-OpenSSH_")


async def test_a_key_that_cannot_be_used_costs_no_connection(tmp_path):
    locked = tmp_path / "locked"
    keygen(locked, passphrase="correct horse")
    (tmp_path / "rubbish").write_text("rubbish\n")
    for path, passphrase in ((tmp_path / "none", None), (locked, None), (locked, Secret("wrong")), (tmp_path / "rubbish", None)):
        met = await trouble(1, path, passphrase=passphrase)
        assert met.state is DoorState.BROKEN_KEY
        assert "wrong" not in met.message


def test_asyncssh_is_loaded_ahead_only_when_asked():
    script = (
        "import sys, threading\nfrom ha_ssh.world import ssh, home\nassert 'asyncssh' not in sys.modules\nssh.warm_up()\n"
        "[thread.join() for thread in threading.enumerate() if thread.name == 'warm-up']\nassert 'asyncssh' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
