"""Real servers for the tests of this room: OpenSSH's sshd on a free port of loopback, with files of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
ME = pwd.getpwuid(os.getuid()).pw_name


@dataclass
class Sshd:
    """A running sshd: where it listens, the files it was given, and what it logged."""

    port: int
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def host_keys(self) -> set[str]:
        return {" ".join(path.read_text().split()[:2]) for path in self.folder.glob("host_*.pub")}

    def authorise(self, *public: str) -> None:
        (self.folder / "authorized_keys").write_text("".join(f"{line}\n" for line in public))

    def known_hosts(self, path: Path, name: str = "127.0.0.1") -> None:
        path.write_text("".join(f"[{name}]:{self.port} {key}\n" for key in sorted(self.host_keys())))


def keygen(path: Path, *arguments: str, kind: str = "ed25519", passphrase: str = "", comment: str = "test") -> str:
    """Make a key pair with the real ssh-keygen; returns its public line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", path, *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _folders(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd shuts itself in there before a login


@contextlib.asynccontextmanager
async def sshd(folder: Path, *settings: str) -> AsyncIterator[Sshd]:
    """Run an sshd until the end of the block; it listens when the block begins."""
    _folders(folder)
    for kind in ("ed25519", "rsa", "ecdsa"):
        keygen(folder / f"host_{kind}", kind=kind)
    server = Sshd(free_port(), folder)
    server.authorise()
    (folder / "config").write_text(
        "\n".join(
            (
                *settings,
                f"Port {server.port}",
                "ListenAddress 127.0.0.1",
                *(f"HostKey {folder}/host_{kind}" for kind in ("ed25519", "rsa", "ecdsa")),
                f"AuthorizedKeysFile {folder}/authorized_keys",
                "StrictModes no",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "PermitRootLogin prohibit-password",
                "UsePAM no",
                "PidFile none",
                "LogLevel VERBOSE",
                "Subsystem sftp internal-sftp",
                "",
            )
        )
    )
    with (folder / "log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            SSHD, "-D", "-e", "-f", str(folder / "config"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert child.stderr is not None

        async def copy() -> None:
            assert child.stderr is not None
            while line := await child.stderr.readline():
                log.write(line)
                log.flush()

        try:
            while line := await child.stderr.readline():
                log.write(line)
                log.flush()
                if b"Server listening on" in line:
                    break
            copying = asyncio.ensure_future(copy())
            yield server
        finally:
            child.terminate()
            await child.wait()
            await copying
