"""What tests need of running houses: an app set up in a few words, keys, and the real `ssh` with files of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncssh

from ha_ssh.sim.house import House
from ha_ssh.sim.keys import KeyPool, RealKeys

if TYPE_CHECKING:
    from pathlib import Path

    from ha_ssh.sim.running import Running

TERMINAL, ADVANCED = "core_ssh", "a0d7b954_ssh"
HOST_KEYS = KeyPool(RealKeys(), size=3)
"""One stock of host keys for all tests: making RSA keys is slow."""


def new_house() -> House:
    """A house in which nothing is set up."""
    return House(keys=HOST_KEYS)


@dataclass(frozen=True)
class Key:
    """A key pair of a test, with its private half in a file."""

    path: Path
    line: str
    """The public line."""

    @classmethod
    def make(cls, path: Path, kind: str = "ssh-ed25519") -> Key:
        """Make a key pair, private from birth."""
        key = asyncssh.generate_private_key(kind, comment="test")
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())
        return cls(path, key.export_public_key().decode().strip())

    @property
    def fingerprint(self) -> str:
        """Its SHA256 fingerprint."""
        return asyncssh.import_public_key(self.line).get_fingerprint()


def serve_ssh(house: House, *keys: str, slug: str = TERMINAL, port: int | None = 2222, **options: Any) -> None:
    """Install an SSH app, save keys, port and further options (of the app's own shape), and start it."""
    if not house.app(slug).installed:
        house.install_now(slug)
    app = house.app(slug)
    saved = dict(app.options)
    if slug == TERMINAL:
        saved |= {"authorized_keys": list(keys), **options}
    else:
        saved["ssh"] = {**saved["ssh"], "authorized_keys": list(keys), **options}
    house.save(slug, {"options": saved, "network": {"22/tcp": port}})
    house.restart_now(slug)


@dataclass(frozen=True)
class Profile:
    """Files of a test's own for the real `ssh`, which never sees those of the person."""

    folder: Path

    @property
    def known_hosts(self) -> Path:
        """The `known_hosts` file."""
        return self.folder / "known_hosts"

    def command(self, running: Running, key: Key, *more: str, user: str = "root", port: int = 2222) -> list[str]:
        """The command line of a login."""
        ssh = shutil.which("ssh")
        assert ssh is not None
        options = {
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "accept-new",
            "UpdateHostKeys": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": key.path,
            "BatchMode": "yes",
            "IdentityAgent": "none",
        }
        given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return [ssh, "-F", "/dev/null", *given, "-p", str(port), *more[:-1], f"{user}@{running.host}", *more[-1:]]

    async def ssh(
        self, running: Running, key: Key, *more: str, stdin: bytes = b"", **where: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the real `ssh`; the last of `more` is the remote command."""
        command = self.command(running, key, *more, **where)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env={"PATH": os.environ["PATH"]}
        )
        out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return subprocess.CompletedProcess(command, process.returncode, out, err)
