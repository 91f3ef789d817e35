"""OpenSSH's own `sshd` behind the simulated house, and its own client in front."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from ha_ssh.sim.running import Running, serve
from openssh_server import USABLE, openssh
from servers import ADVANCED, TERMINAL, Key, new_house, serve_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from servers import Profile

pytestmark = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")


@pytest_asyncio.fixture
async def real() -> AsyncIterator[Running]:
    async with serve(new_house(), make_sshd=openssh) as running:
        yield running


async def test_a_login_runs_commands_in_the_house_and_is_logged(real: Running, key: Key, profile: Profile) -> None:
    serve_ssh(real.house, key.line)
    for _ in range(2):
        ended = await profile.ssh(real, key, "cat /etc/os-release; exit 9")
        assert ended.returncode == 9, ended.stderr
        assert ended.stdout.startswith(b'NAME="Alpine')
    data = bytes(range(256)) * 300
    assert (await profile.ssh(real, key, "cat > /share/x", stdin=data)).returncode == 0
    assert (await profile.ssh(real, key, "cat /share/x")).stdout == data
    assert f"ssh2: ED25519 {key.fingerprint}" in real.house.log_text(TERMINAL)
    learnt = profile.known_hosts.read_text()
    assert all(host_key.public.split()[1] in learnt for host_key in real.house.host_keys(TERMINAL))


async def test_settings_take_effect_with_a_restart(real: Running, key: Key, profile: Profile, tmp_path: Path) -> None:
    house = real.house
    serve_ssh(house, key.line)
    other = Key.make(tmp_path / "other")
    refused = await profile.ssh(real, other, "true")
    assert (refused.returncode, b"Permission denied (publickey)" in refused.stderr) == (255, True)
    serve_ssh(house, other.line, port=2233)
    assert b"refused" in (await profile.ssh(real, other, "true")).stderr
    assert (await profile.ssh(real, other, "true", port=2233)).returncode == 0


async def test_the_community_app_logs_refused_keys(real: Running, key: Key, profile: Profile, tmp_path: Path) -> None:
    serve_ssh(real.house, key.line, slug=ADVANCED, port=2244, username="root")
    other = Key.make(tmp_path / "other")
    assert (await profile.ssh(real, other, "true", port=2244)).returncode == 255
    assert "Failed publickey for root from 127.0.0.1 port" in real.house.log_text(ADVANCED)
    assert (await profile.ssh(real, key, "ha info --raw-json", port=2244)).returncode == 0
    assert f"Accepted key ED25519 {key.fingerprint} found at" in real.house.log_text(ADVANCED)


async def test_two_sessions_at_once_end_with_a_restart(real: Running, key: Key, profile: Profile) -> None:
    serve_ssh(real.house, key.line)
    sessions = [asyncio.ensure_future(profile.ssh(real, key, "sleep 60")) for _ in range(2)]
    while real.house.log_text(TERMINAL).count("Accepted publickey") < 2:  # noqa: ASYNC110 - another process writes the log
        await asyncio.sleep(0.05)
    real.house.restart_now(TERMINAL)
    assert [(await session).returncode for session in sessions] == [255, 255]
