"""An SSH server that nobody vouches for (no API): what can be told from its side alone, by a real sshd in many a mood."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checks.scenes import EVERY, bad
from ha_ssh import engine
from ha_ssh.core import planner
from ha_ssh.core.errors import HaSshError
from ha_ssh.core.infer import infer
from ha_ssh.core.model import Level, Target
from ha_ssh.world import openssh
from ha_ssh.world.clock import SystemClock
from ha_ssh.world.home import RealHome
from ha_ssh.world.houses import locations
from ha_ssh.world.journal import FileJournal
from ha_ssh.world.vault import Vault
from laws.worlds import FLAVOURS
from world.real_sshd import ME, keygen, sshd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ha_ssh.core.model import Finding

    Look = Callable[[], Awaitable[tuple[dict[str, Finding], str]]]
    """What is found, and what the server has logged until then."""

NO_API = HaSshError("no-address", "no address of Home Assistant was given")


@contextlib.asynccontextmanager
async def met(folder: Path, *settings: str, entry: str = "{}", known: bool = True) -> AsyncIterator[Look]:
    """What the doctor finds with `--host` and `--port` alone; `entry` is the line of our key, `known` whether its host is."""
    where = locations(str(folder / "profile"))
    key = Path(where.places.ssh_dir) / "id"
    public = keygen(key)
    async with sshd(folder / "sshd", *settings) as server:
        server.authorise(entry.format(public))
        if known:
            server.known_hosts(Path(where.places.known_hosts))
        home = RealHome(
            None, where.places, Vault(where.secrets, keyring=False, warn=lambda _said: None), SystemClock(), why=NO_API
        )
        target = Target(
            url="",
            ssh_host="127.0.0.1",
            ssh_port=server.port,
            ssh_user=ME,
            apps=tuple(FLAVOURS.values()),
            places=where.places,
            identity=str(key),
        )

        async def look() -> tuple[dict[str, Finding], str]:
            facts = await engine.look(home, target, FileJournal(where.journal, SystemClock()), EVERY)
            return {one.id: one for one in planner.diagnose(infer(facts), facts, EVERY)}, server.log

        yield look
        await home.close()


MOODS = {
    "no keys": (("PubkeyAuthentication no", "PasswordAuthentication yes"), "{}", "login-works", "keys-off", "takes no keys"),
    "another user": (("AllowUsers somebody-else",), "{}", "login-works", "key-refused", "refuses your key"),
    "no entry": ((), "# {}", "login-works", "key-refused", "refuses your key"),
    "expired": ((), 'expiry-time="20200101" {}', "login-works", "key-refused", "refuses your key"),
    "one try": (("MaxAuthTries 1",), "# {}", "login-works", "key-refused", "refuses your key"),
    "two factors": (
        ("AuthenticationMethods publickey,password", "PasswordAuthentication yes"),
        "{}",
        "login-works",
        "second-factor",
        "wants a second factor",
    ),
    "forced": (("ForceCommand /bin/false",), "{}", "ha-works", "no-commands", "no command runs"),
    "sftp alone": (("ForceCommand internal-sftp",), "{}", "ha-works", "no-commands", "no command runs"),
    "no sessions": (("MaxSessions 0",), "{}", "ha-works", "no-commands", "opens no session"),
    "another system": ((), "{}", "ha-works", "wrong-server", "another system"),
}


@pytest.mark.parametrize("mood", MOODS)
async def test_each_mood_of_a_server_has_its_own_finding(tmp_path: Path, mood: str) -> None:
    settings, entry, check, failure, says = MOODS[mood]
    async with met(tmp_path, *settings, "DebianBanner no", entry=entry) as look:
        found, log = await look()
        verdict = found[check].verdict
        assert (verdict.level, verdict.failure) == (Level.WRONG, failure), verdict
        assert says in verdict.says
        assert verdict.fix is not None
        assert verdict.fix.instructions
        about_ssh = [one for one in bad(tuple(found.values())) if one.level is Level.WRONG and one.because is None]
        assert [one.id for one in about_ssh] == [check]
        assert log.count("Connection from") <= 2
        if failure == "key-refused":
            words = " ".join(verdict.fix.instructions)
            assert "the key is in the settings" not in words, "nobody has seen them"
            for candidate in ("another login name", "locked", "expired", "log"):
                assert candidate in words


async def test_a_server_that_names_another_system_and_refuses_is_not_the_app(tmp_path: Path) -> None:
    async with met(tmp_path, entry="# {}", known=False) as look:
        found, _log = await look()
        assert found["login-works"].verdict.failure == "wrong-server"


async def test_a_known_host_key_makes_it_the_server_that_it_was(tmp_path: Path) -> None:
    async with met(tmp_path, "DebianBanner no", entry="# {}") as look:
        found, _log = await look()
        assert "it owns the host key that this computer knows" in found["login-works"].verdict.evidence


async def test_another_host_key_than_the_known_one_is_the_cause_of_a_refusal(tmp_path: Path) -> None:
    async with met(tmp_path, "DebianBanner no", entry="# {}") as look:
        known_hosts = tmp_path / "profile" / "ssh" / "known_hosts"
        other = keygen(tmp_path / "other")
        place = known_hosts.read_text().split(" ", 1)[0]
        known_hosts.write_text(f"{place} {other}\n")
        found, _log = await look()
        assert found["login-works"].verdict.failure == "look-alike"
        assert "its host key is another one than this computer knows" in found["login-works"].verdict.evidence


async def test_a_server_with_another_host_key_that_lets_in_is_not_met_for_the_first_time(tmp_path: Path) -> None:
    async with met(tmp_path, "DebianBanner no") as look:
        known_hosts = tmp_path / "profile" / "ssh" / "known_hosts"
        other = keygen(tmp_path / "other")
        place = known_hosts.read_text().split(" ", 1)[0]
        known_hosts.write_text(f"{place} {other}\n")
        found, log = await look()
        assert found["right-server"].verdict.failure == "hostkey-changed"
        assert "Starting session" not in log, "nothing is sent to it"


def test_ssh_is_told_of_an_ipv6_address_in_a_way_that_it_takes() -> None:
    assert openssh._destination("ha") == ("--", "ha")
    assert openssh._destination("ssh://root@192.168.1.20:22") == ("--", "ssh://root@192.168.1.20:22")
    plain = openssh._destination("ssh://root@[fd77::2]:2222")
    said = subprocess.run(["ssh", "-F", "/dev/null", "-G", *plain], capture_output=True, text=True, check=True).stdout
    assert {"hostname fd77::2", "port 2222", "user root"} <= set(said.splitlines())
