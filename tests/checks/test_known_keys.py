"""The host keys that the user's own `ssh` knows: as long as it finds the one that it asks for, nothing is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checks.real_house import real_house
from checks.scenes import bad
from checks.test_own_ssh import ends
from checks.test_real_openssh import roots
from ha_ssh.core.model import Level
from openssh_server import USABLE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")


async def test_keys_in_the_files_that_ssh_is_told_of_are_known(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        other = tmp_path / "kh2"
        real.known_hosts.rename(other)
        real.config.write_text(f"UserKnownHostsFile {tmp_path}/none {other}\n{real.config.read_text()}")
        assert await ends(real) == 0
        assert roots(await real.findings()) == []


async def test_some_of_the_keys_will_do_and_the_others_are_pinned_beside(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        every = real.known_hosts.read_text()
        one = next(line for line in every.splitlines() if "ssh-rsa" in line)
        real.known_hosts.write_text(f"{one}\n")
        assert await ends(real) == 0
        found = await real.findings()
        assert roots(found) == []
        told = found["host-key-pinned"].verdict
        assert told.level is Level.NOTE
        assert "1 are known for ha-ssh-home" in told.evidence[0]
        done = await real.run()
        assert not bad(done.findings)
        assert sorted(real.known_hosts.read_text().splitlines()) == sorted(every.splitlines())


@pytest.mark.parametrize("known", ["all", "no other", "one other"])
@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa"])
async def test_a_revoked_key_is_wrong_only_where_ssh_takes_it(tmp_path: Path, kind: str, known: str) -> None:
    async with real_house(tmp_path) as real:
        key = next(key.public for key in real.house.host_keys(real.slug) if key.public.startswith(f"{kind} "))
        lines = real.known_hosts.read_text().splitlines(keepends=True)
        others = [line for line in lines if kind not in line]
        kept = {"all": lines, "no other": [line for line in lines if kind in line], "one other": others[-1:]}[known]
        real.known_hosts.write_text(f"@revoked * {' '.join(key.split()[:2])}\n{''.join(kept)}")
        told = (await real.findings())["host-key-pinned"].verdict
        works = await ends(real) == 0
        assert told.level is (Level.WARN if works else Level.WRONG), told
        if works:
            assert told.failure == "hostkey-revoked-one"
