"""OpenSSH at both ends: its `sshd` behind the simulated house, its `ssh` in front of what setup has made."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from computer import Computer

from ha_ssh.sim.running import serve_in_thread
from openssh_server import USABLE, openssh
from servers import new_house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    with serve_in_thread(new_house, make_sshd=openssh) as running:
        yield Computer(running, tmp_path)


def ssh(computer: Computer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the user's own `ssh` with nothing but the configuration that setup wrote."""
    command = ["ssh", "-F", str(computer.ssh / "config"), "-o", "BatchMode=yes", *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": str(computer.folder / "home")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=30)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa-4096"])
def test_every_kind_of_key_logs_in(computer: Computer, kind: str) -> None:
    done = computer.setup("--new-key", kind)
    assert (done.code, done.result) == (0, "ok"), done
    assert ssh(computer, "ha", "true").returncode == 0


def test_the_alias_logs_in(computer: Computer) -> None:
    done = computer.setup()
    assert (done.code, done.result) == (0, "ok"), done
    assert ssh(computer, "ha", "true").returncode == 0
    assert ssh(computer, "ha", "exit 7").returncode == 7
    told = ssh(computer, "ha", "cat /etc/os-release")
    assert (told.returncode, told.stdout.startswith('NAME="Alpine')) == (0, True), told
    command = [*done.report["ssh"]["command"].split()[1:], "-o", "BatchMode=yes", "true"]
    assert ssh(computer, *command).returncode == 0
    again = computer.setup()
    assert (again.code, again.report["changed"]) == (0, False), again
    assert computer.undo().code == 0
    assert ssh(computer, "ha", "true").returncode == 255


def test_tunnels_lead_to_the_houses_web_page(computer: Computer) -> None:
    assert computer.setup("--tunnels", "--app", "advanced", "--username", "root", "--no-watchdog").code == 0
    block = (computer.ssh / "ha-ssh.d" / "home.conf").read_text()
    assert "LocalForward 8123" in block
    page = f"[{computer.running.host}]:{computer.house.core_port}"
    config = ("-F", str(computer.ssh / "config"), "-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes")
    tunnel = subprocess.Popen(["ssh", *config, "-W", page, "ha"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with tunnel:
        assert tunnel.stdin is not None
        assert tunnel.stdout is not None
        tunnel.stdin.write(b"GET /manifest.json HTTP/1.0\r\n\r\n")
        tunnel.stdin.flush()
        assert b"Home Assistant" in tunnel.stdout.read()


def test_a_key_whose_path_holds_a_percent_sign_logs_in_and_is_no_fault(computer: Computer) -> None:
    path = computer.folder / "50%d-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    done = computer.ha_ssh("setup", "--url", computer.running.url, "--key", str(path), "--app", "terminal", "--yes", "--json")
    assert (done.code, done.result) == (0, "ok"), done
    assert [step["id"] for step in done.report["steps"]].count("write-alias") == 1
