"""OpenSSH's own `sshd` as an app of the simulated house: its settings in, its log out, and the built-in shell behind it.

It knows real accounts only, so it serves houses whose login name is `root`, for tests that run as root; and it checks no password
of the settings, since those are not the account's.

`openssh` is one process for each connection, which remembers nobody; `listening` is a server of today that punishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openssh import find
from system import folders

from ha_ssh.core.model import DoorState

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from ha_ssh.sim.house import House
    from ha_ssh.sim.inside import Inside
    from ha_ssh.sim.running import Running
    from ha_ssh.sim.sshd import Answer

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/libexec")
USABLE = SSHD is not None and hasattr(os, "geteuid") and os.geteuid() == 0
RELAY = Path(__file__).with_name("openssh_relay.py")


def openssh(house: House, slug: str, inside: Inside) -> Answer:
    """Return a real `sshd` for an app: one process for each connection, as inetd does (a `MakeAnswer`)."""

    async def answer(accepted: socket.socket, _address: str, _port: int) -> None:
        # A short path of its own: a Unix socket's name holds 107 bytes, and connections come side by side.
        with tempfile.TemporaryDirectory(prefix="sshd-") as folder:
            await _serve(accepted, house, slug, inside, Path(folder))

    return answer


async def _serve(accepted: socket.socket, house: House, slug: str, inside: Inside, folder: Path) -> None:
    config = _write_files(folder, house, slug, inside)
    accepted.setblocking(True)
    async with _shell(folder, inside, slug):
        assert SSHD is not None
        process = await asyncio.create_subprocess_exec(
            SSHD, "-i", "-e", "-f", str(config), stdin=accepted, stdout=accepted, stderr=asyncio.subprocess.PIPE
        )
        try:
            assert process.stderr is not None
            async for line in process.stderr:
                house.app(slug).log.append(line.decode().rstrip("\r\n"))
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@dataclass
class Listening:
    """A real `sshd` that listens in the place of an app's, and what it has logged."""

    folder: Path
    lines: list[str] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def admit_nobody(self) -> dict[Path, str]:
        """Take every key out of its files, and return what they held; the app's settings stay as they are."""
        held = {path: path.read_text() for path in self.folder.glob("authorized_keys*")}
        self.admit(dict.fromkeys(held, ""))
        return held

    def admit(self, held: Mapping[Path, str]) -> None:
        """Write keys into its files; it reads them at each login."""
        for path, text in held.items():
            path.write_text(text)

    async def until(self, told: Callable[[Sequence[str]], object]) -> None:
        """Wait until its lines tell something (what is returned for them is true)."""
        while not told(self.lines):
            self._more.clear()
            await self._more.wait()

    def note(self, line: str) -> None:
        """Keep a line that it has written."""
        self.lines.append(line)
        self._more.set()


@contextlib.asynccontextmanager
async def listening(running: Running, slug: str, *settings: str) -> AsyncIterator[Listening]:
    """Let an `sshd` that punishes failed logins listen on the app's port; `settings` go before those of the app."""
    server = find(folders())
    assert server is not None, "run `make test`, or `python3 tools/system.py test`"
    house, app = running.house, running.house.app(slug)
    assert app.sshd is not None
    house.knobs.door = DoorState.REFUSED  # the house itself listens no more
    running.catch_up()
    with tempfile.TemporaryDirectory(prefix="sshd-") as folder:
        config = _write_files(Path(folder), house, slug, running.inside)
        own = (*server.settings, f"ListenAddress {house.address}", f"Port {app.sshd.port}", *settings)
        config.write_text("\n".join((*own, config.read_text())))
        async with _shell(Path(folder), running.inside, slug):
            process = await asyncio.create_subprocess_exec(
                server.path, "-D", "-e", "-f", config, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            here, ended = Listening(Path(folder)), "(it has ended)"

            async def copy() -> None:
                assert process.stderr is not None
                async for line in process.stderr:
                    app.log.append(line.decode().rstrip("\r\n"))
                    here.note(app.log[-1])
                here.note(ended)

            copying = asyncio.ensure_future(copy())
            try:
                await here.until(lambda lines: any("Server listening on" in line or line == ended for line in lines))
                assert ended not in here.lines, here.lines
                yield here
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
                await copying


@contextlib.asynccontextmanager
async def _shell(folder: Path, inside: Inside, slug: str) -> AsyncIterator[None]:
    """Let the relay in that `sshd` runs in the place of a shell."""
    relays: set[asyncio.Task[None]] = set()

    def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.add(asyncio.ensure_future(_relayed(reader, writer, inside, slug)))

    async with await asyncio.start_unix_server(relay, folder / "shell"):
        try:
            yield
        finally:
            for task in relays:
                task.cancel()
            await asyncio.gather(*relays, return_exceptions=True)


def _write_files(folder: Path, house: House, slug: str, inside: Inside) -> Path:
    """Write what the app's start script would have written for this `sshd`."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshd = house.app(slug).sshd
    assert sshd is not None
    keys = [folder / f"authorized_keys{number}" for number in range(len(sshd.key_files))]
    lines = [
        "LogLevel VERBOSE" if sshd.verbose else "LogLevel INFO",
        f"AllowUsers {sshd.user}",
        "PermitRootLogin yes",
        f"PasswordAuthentication {'yes' if sshd.password is not None else 'no'}",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "PidFile none",
        "PrintMotd no",
        "SetEnv SHLVL=2",  # or bash would read ~/.bashrc first, which is the person's, and slow
        f"AllowTcpForwarding {'local' if sshd.tcp_forwarding else 'no'}",
        "PermitOpen " + " ".join(sorted({f"{host}:{port}" for host, port in inside.reachable.values()})),
        f"ForceCommand exec {sys.executable} -I -S {RELAY} {folder / 'shell'}",
        f"AuthorizedKeysFile {' '.join(str(path) for path in keys)}",
    ]
    if sshd.sftp:
        lines.append("Subsystem sftp /usr/lib/openssh/sftp-server")
    if sshd.hardened:
        lines += ["Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com", "MACs hmac-sha2-256-etm@openssh.com"]
    for path, (_, text) in zip(keys, sshd.key_files, strict=True):
        _private(path, text)
    for key in house.host_keys(slug):
        path = folder / f"ssh_host_{key.kind}_key"
        _private(path, key.private)
        lines.append(f"HostKey {path}")
    config = folder / "sshd_config"
    _private(config, "\n".join(lines) + "\n")
    return config


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")


async def _relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inside: Inside, slug: str) -> None:
    """Run what the relay was asked for in the house's own shell: frames of one byte kind and four bytes length go back."""
    try:
        asked = json.loads(await reader.readline())
        sshd = inside.house.app(slug).sshd
        if sshd is None:
            return
        shell = inside.shell(slug, sshd.user, interactive=asked["command"] is None)
        line = asked["command"]
        ended = await shell.run(line if line is not None else (await reader.read()).decode(), reader.read)
        for kind, data in ((b"o", ended.out), (b"e", ended.err), (b"x", bytes([ended.code]))):
            writer.write(kind + len(data).to_bytes(4, "big") + data)
        await writer.drain()
    except (ConnectionError, ValueError):
        return
    finally:
        writer.close()
