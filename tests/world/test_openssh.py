"""The user's own `ssh` is asked the way a careful guest asks: it logs in for real, and changes nothing."""

import asyncio
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from real_sshd import ME, keygen, sshd

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import Places
from ha_ssh.core.secret import Secret
from ha_ssh.world.houses import locations
from ha_ssh.world.openssh import OwnSsh, answering

NEVER = """
Host *
  ControlMaster auto
  ControlPath {folder}/control-%C
  UpdateHostKeys yes
  AddKeysToAgent yes
  PermitLocalCommand yes
  LocalCommand touch {folder}/local-command
  RemoteCommand touch {folder}/remote-command
  LocalForward {folder}/forward 127.0.0.1:1
  ExitOnForwardFailure yes
  LogLevel QUIET
"""
"""Settings of a user that would leave traces, or keep us out."""


@pytest.fixture(params=["plain", "with space and 100%"])
def places(tmp_path, request) -> Places:
    there = locations(str(tmp_path / request.param)).places
    Path(there.ssh_dir).mkdir(parents=True, mode=0o700)
    return there


def settle(places: Places, server, identity: Path, more: str = "") -> None:
    put(
        places.config,
        f'Host ha\n  HostName 127.0.0.1\n  Port {server.port}\n  User {ME}\n  IdentityFile "{str(identity).replace("%", "%%")}"\n'
        "  IdentitiesOnly yes\n" + more,
    )
    server.known_hosts(Path(places.known_hosts))


def put(path: str, text: str | None) -> None:
    Path(path).unlink(missing_ok=True) if text is None else Path(path).write_text(text)


def text_of(path: str) -> str | None:
    return Path(path).read_text() if Path(path).exists() else None


def everything(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


async def test_a_login_succeeds_and_changes_nothing(tmp_path, places):
    async with sshd(tmp_path / "sshd") as server:
        identity = Path(places.ssh_dir) / "id"
        server.authorise(keygen(identity))
        settle(places, server, identity, NEVER.format(folder=tmp_path))
        # One host key only: with UpdateHostKeys, ssh would learn the other ones and write them.
        first = (text_of(places.known_hosts) or "").splitlines(keepends=True)[0]
        put(places.known_hosts, first)
        before = everything(places.ssh_dir)
        login = await OwnSsh(places).login("ha", None)
        assert (login.code, login.err) == (0, "")
        assert everything(places.ssh_dir) == before
        assert {path.name for path in tmp_path.iterdir()} == {"sshd", Path(places.ssh_dir).parent.name}
        assert server.log.count("Starting session: command for") == 1


async def test_a_key_with_a_passphrase(tmp_path, places):
    async with sshd(tmp_path / "sshd") as server:
        identity = Path(places.ssh_dir) / "id"
        server.authorise(keygen(identity, passphrase='it\'s $HOME `id` \\ "x"'))
        settle(places, server, identity)
        own = OwnSsh(places)
        assert (await own.login("ha", Secret('it\'s $HOME `id` \\ "x"'))).code == 0
        for passphrase in (None, Secret("wrong horse")):
            login = await own.login("ha", passphrase)
            assert login.code == 255
            assert "Permission denied (publickey)" in login.err
            assert "wrong horse" not in login.err


async def test_an_unknown_and_a_changed_host_key_are_refused_and_not_learnt(tmp_path, places):
    async with sshd(tmp_path / "sshd") as server:
        identity = Path(places.ssh_dir) / "id"
        server.authorise(keygen(identity))
        settle(places, server, identity)
        own = OwnSsh(places)
        put(places.known_hosts, None)
        login = await own.login("ha", None)
        assert login.code == 255
        assert "Host key verification failed" in login.err
        assert text_of(places.known_hosts) is None
        other = keygen(tmp_path / "other")
        put(places.known_hosts, f"[127.0.0.1]:{server.port} {other}\n")
        login = await own.login("ha", None)
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in login.err
        assert text_of(places.known_hosts) == f"[127.0.0.1]:{server.port} {other}\n"


async def test_a_password_is_never_offered(tmp_path, places):
    """Even where only a password would do, and a passphrase is at hand that an eager script could hand over."""
    async with sshd(tmp_path / "sshd", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes") as server:
        identity = Path(places.ssh_dir) / "id"
        keygen(identity, passphrase="correct horse")
        settle(places, server, identity)
        assert (await OwnSsh(places).login("ha", Secret("correct horse"))).code == 255
        assert "Failed password" not in server.log
        assert "Failed keyboard-interactive" not in server.log


def test_the_passphrase_is_on_no_command_line_and_in_no_file(tmp_path):
    with answering(Secret("correct horse")) as environment:
        assert environment is not None
        script = Path(environment["SSH_ASKPASS"])
        assert [state.st_mode & 0o777 for state in (script.stat(), script.parent.stat())] == [0o700, 0o700]
        assert "correct horse" not in script.read_text()

        def ask(prompt: str) -> tuple[int, str]:
            done = subprocess.run([script, prompt], env=environment, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout

        assert ask("Enter passphrase for key '/x': ") == (0, "correct horse\n")
        assert ask("root@house's password: ") == (1, "")
        assert ask("Enter PIN for ED25519-SK key: ") == (1, "")
        assert ask("Are you sure you want to continue connecting (yes/no/[fingerprint])?") == (1, "")
    assert not script.parent.exists()


async def test_what_an_alias_means(places):
    put(
        places.config,
        "Host ha\n  HostName 10.0.0.1\n  Port 2222\n  IdentityFile ~/.ssh/a\n  IdentityFile ~/.ssh/b\nHost *\n  User x\n",
    )
    meant = await OwnSsh(places).resolve("ha")
    assert meant["hostname"] == ("10.0.0.1",)
    assert meant["port"] == ("2222",)
    assert meant["user"] == ("x",)
    assert meant["identityfile"] == ("~/.ssh/a", "~/.ssh/b")
    assert (
        meant["userknownhostsfile"] == (places.known_hosts.replace("%", "%%"),)
        or places.known_hosts in meant["userknownhostsfile"]
    )
    assert (await OwnSsh(places).resolve("other"))["hostname"] == ("other",)


async def test_a_profile_without_a_config_does_not_fall_back_to_the_users(places):
    assert (await OwnSsh(places).resolve("ha"))["hostname"] == ("ha",)
    assert (await OwnSsh(places).resolve("ha"))["identityagent"] == ("none",)


async def test_a_broken_config_is_named(places):
    put(places.config, "Host ha\n  Prot 22\n")
    with pytest.raises(HaSshError) as caught:
        await OwnSsh(places).resolve("ha")
    assert caught.value.code == "ssh-config-broken"
    assert "line 2" in caught.value.message
    assert "Prot" in caught.value.message or "prot" in caught.value.message


async def test_an_alias_that_looks_like_an_option_is_none(tmp_path, places):
    login = await OwnSsh(places).login(f"-oProxyCommand=touch {tmp_path}/owned", None)
    assert login.code == 255
    assert not (tmp_path / "owned").exists()


SILENT = """
Host ha
  ProxyCommand sh -c 'echo $$ > "{pid}"; exec sleep 600'
"""


def has_ended(pid: str) -> bool:
    """Say whether a process that was told to end does."""
    try:
        process = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 5)[0])
    finally:
        os.close(process)


async def test_a_login_that_hangs_is_ended(tmp_path, places):
    """A proxy that says nothing and never ends: `ssh` waits in vain, and is ended with it."""
    put(places.config, SILENT.format(pid=tmp_path / "pid"))
    login = await OwnSsh(places).login("ha", None, limit=0.5)
    assert login.code == 255
    assert "0.5 s" in login.err
    assert has_ended((tmp_path / "pid").read_text())


async def test_a_login_whose_caller_goes_away_is_ended(tmp_path, places):
    os.mkfifo(tmp_path / "pid")
    put(places.config, SILENT.format(pid=tmp_path / "pid"))
    login = asyncio.ensure_future(OwnSsh(places).login("ha", None))
    pid = await asyncio.to_thread((tmp_path / "pid").read_text)
    login.cancel()
    with pytest.raises(asyncio.CancelledError):
        await login
    assert has_ended(pid)


async def test_without_ssh(places, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    own = OwnSsh(places)
    assert await own.version() is None
    for ask in (own.resolve("ha"), own.login("ha", None)):
        with pytest.raises(HaSshError) as caught:
            await ask
        assert caught.value.code == "no-ssh"


async def test_the_version(places):
    assert (await OwnSsh(places).version() or "").startswith("OpenSSH_")


def test_nothing_costly_is_loaded():
    script = "import sys\nfrom ha_ssh.world import openssh, files, houses, journal, vault, keyfiles, ssh, clock\n"
    costly = "asyncssh cryptography keyring ruamel aiohttp platformdirs"
    script += f"assert not set('{costly}'.split()) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


async def test_the_files_that_are_read_are_named_in_their_order(tmp_path, places):
    other = tmp_path / "other"
    put(str(other), "Host x\n")
    put(places.config, f"Include {other}\nHost ha\n  Port 99\n")
    said = await OwnSsh(places).resolve("ha")
    assert said.files == (places.config, str(other))
    assert said["port"] == ("99",)
    system = await OwnSsh(replace(places, portable=False)).resolve("ha")
    assert text_of("/etc/ssh/ssh_config") is None or "/etc/ssh/ssh_config" in system.files
