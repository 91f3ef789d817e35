"""`--version`, `--help` and their like stay instant: what costs is imported by what needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

COSTLY = ("asyncssh", "aiohttp", "httpx", "websockets", "cryptography", "questionary", "zeroconf", "keyring", "ruamel", "rich")


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["setup", "--help"], ["doctor", "--help"], ["help", "risks"]], ids=" ".join
)
def test_nothing_costly_is_imported(arguments: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ha_ssh", *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "ha_ssh" in imported
    assert sorted(imported.intersection(COSTLY)) == []
