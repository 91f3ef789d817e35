"""The SSH ports of the simulated house: each app's server, as its running settings say, or whoever stands in its place."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

import asyncssh

from ha_ssh.core.model import DoorState
from ha_ssh.sim.sftp import HouseSftp
from ha_ssh.sim.shell import WELCOME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ha_ssh.sim.house import App, House, Login
    from ha_ssh.sim.inside import Inside

    Answer = Callable[[socket.socket, str, int], Awaitable[None]]
    """What is done with one accepted connection: its socket, the client's address and port."""
    MakeAnswer = Callable[[House, str, Inside], Answer]
    """Makes the SSH server of an app (by slug) of a house; the asyncssh one is `answer_by_asyncssh`."""

MAX_AUTH_TRIES = 6
"""OpenSSH's default."""

_HARDENED = {
    "encryption_algs": ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr"],
    "mac_algs": ["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com"],
    "kex_algs": ["curve25519-sha256", "curve25519-sha256@libssh.org"],
}
_SIGNATURES = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
]
_ANCIENT = {"kex_algs": ["diffie-hellman-group1-sha1"], "encryption_algs": ["3des-cbc"], "mac_algs": ["hmac-md5"]}


# ------------------------------------------------------------------------------------------------------------ listening


class Listener:
    """A listening port whose every connection is answered in a task of its own."""

    def __init__(self, host: str, port: int, answer: Answer, *, connections: int | None = None) -> None:
        """Bind and listen at once; raises `OSError`. After `connections` of them it listens no more."""
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(64)
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._answer = answer
        self._connections = connections
        self._tasks = {asyncio.ensure_future(self._accept())}

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while self._connections is None or self._connections > 0:
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except OSError:
                return
            accepted.setblocking(False)
            task = asyncio.ensure_future(self._one(accepted, address[0], address[1]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._connections = None if self._connections is None else self._connections - 1
        self._socket.close()

    async def _one(self, accepted: socket.socket, address: str, port: int) -> None:
        try:
            await self._answer(accepted, address, port)
        finally:
            accepted.close()

    def shut(self) -> None:
        """Stop listening and end every connection."""
        for task in self._tasks:
            task.cancel()
        if self._socket.fileno() >= 0:
            # Before another socket gets its number; loops of Windows do not know readers and need no such care.
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def gone(self) -> None:
        """Wait until every connection has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Deaf:
    """A port that never completes a handshake: its queue is full and nobody accepts (Linux drops what comes then)."""

    def __init__(self, host: str, port: int) -> None:
        self._sockets = [socket.socket() for _ in range(3)]
        self._sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sockets[0].bind((host, port))
        self._sockets[0].listen(0)
        for filler in self._sockets[1:]:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((host, port))

    def shut(self) -> None:
        """Free the port."""
        for each in self._sockets:
            each.close()

    async def gone(self) -> None:
        """Nothing runs here."""


def reset(accepted: socket.socket) -> None:
    """Close a connection so that the client sees `Connection reset by peer`."""
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()


class SshPorts:
    """Keeps the SSH ports as the house's state says; `catch_up` is called whenever that may have changed."""

    def __init__(self, house: House, host: str, inside: Inside, make: MakeAnswer) -> None:
        self._house = house
        self._host = host
        self._inside = inside
        self._make = make
        self._open: dict[str, tuple[Any, Listener | Deaf]] = {}
        self._others: dict[int, Listener] = {}
        self._closing: list[Listener | Deaf] = []

    def catch_up(self) -> None:
        """Open and close ports; raises the house's refusal where a port of this computer is taken."""
        for slug, app in self._house.apps.items():
            sshd = app.sshd
            wanted = None if sshd is None else (app.starts, sshd.port, self._listens(sshd.port))
            now, listener = self._open.get(slug, (None, None))
            if now == wanted:
                continue
            if listener is not None:
                del self._open[slug]
                self._retire(listener)
            if wanted is not None and sshd is not None:
                self._start(app, sshd.port, wanted)
        self._let_others_answer()

    def _let_others_answer(self) -> None:
        """Let something that is no SSH server answer on the ports that the house says are taken."""
        taken = self._house.knobs.port_taken
        for port in self._others.keys() - taken:
            self._retire(self._others.pop(port))
        for port in taken - self._others.keys():
            # Where something of this computer holds the port, that one answers.
            with contextlib.suppress(OSError):
                self._others[port] = Listener(self._host, port, _no_ssh)

    def _retire(self, listener: Listener | Deaf) -> None:
        listener.shut()
        self._closing.append(listener)

    def _listens(self, port: int) -> str:
        door = self._house.door_at(port, source_ip="")
        return door if door in (DoorState.REFUSED, DoorState.TIMEOUT, DoorState.UNREACHABLE, DoorState.UNRESOLVED) else "listens"

    def _start(self, app: App, port: int, wanted: tuple[int, int, str]) -> None:
        self._inside.started(app.slug)
        try:
            listener = self._listener(app, port, wanted[2])
        except OSError as problem:
            if problem.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
                raise
            self._house.knobs.port_taken.add(port)
            self._house.stop_now(app.slug)
            self._house.start_now(app.slug)
        else:
            if listener is not None:
                self._open[app.slug] = (wanted, listener)

    def _listener(self, app: App, port: int, how: str) -> Listener | Deaf | None:
        if how == DoorState.TIMEOUT:
            return Deaf(self._host, port)
        if how != "listens":
            return None
        served = self._make(self._house, app.slug, self._inside)

        async def answer(accepted: socket.socket, address: str, client_port: int) -> None:
            door = self._house.door_at(port, source_ip=address)
            match door:
                case DoorState.RESET:
                    if self._house.penalised(address):
                        self._house.turn_away(app.slug, address, client_port)
                    reset(accepted)
                case DoorState.NOT_SSH:
                    await _no_ssh(accepted, address, client_port)
                case DoorState.LOST:
                    await _say(accepted, b"SSH-2.0-OpenSSH_10.0\r\n")
                case DoorState.SILENT:
                    await _fall_silent(accepted, b"")
                case DoorState.STALLED:
                    await _fall_silent(accepted, b"SSH-2.0-OpenSSH_10.0\r\n")
                case DoorState.NO_COMMON | DoorState.DENIED | DoorState.TOO_MANY | DoorState.SECOND_FACTOR | DoorState.CUT:
                    keys = [asyncssh.import_private_key(key.private) for key in self._house.host_keys(app.slug)]
                    login = _OneLogin(self._house, app.slug, self._inside, keys, turns_away=door)
                    await _serve(accepted, login, _ANCIENT if door == DoorState.NO_COMMON else {})
                case _:
                    await served(accepted, address, client_port)

        once = app.sshd is not None and app.sshd.one_connection
        return Listener(self._host, port, answer, connections=1 if once else None)

    async def close(self) -> None:
        """Close every port and wait for the last connection."""
        for listener in [*(listener for _, listener in self._open.values()), *self._others.values()]:
            self._retire(listener)
        self._open.clear()
        self._others.clear()
        for listener in self._closing:
            await listener.gone()
        self._closing.clear()


async def _no_ssh(accepted: socket.socket, _address: str, _port: int) -> None:
    """Answer as a web server does."""
    await _say(accepted, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def _say(accepted: socket.socket, text: bytes) -> None:
    """Say something, hear the client out, and close."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        await loop.sock_sendall(accepted, text)
        await loop.sock_recv(accepted, 4096)


async def _fall_silent(accepted: socket.socket, text: bytes) -> None:
    """Say something and then nothing more, until the client leaves."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        await loop.sock_sendall(accepted, text)
        while await loop.sock_recv(accepted, 4096):
            pass


# ------------------------------------------------------------------------------------------------- asyncssh as the app's


def answer_by_asyncssh(house: House, slug: str, inside: Inside) -> Answer:
    """Return an SSH server for an app that obeys its running settings."""
    load = lru_cache(maxsize=16)(asyncssh.import_private_key)

    async def answer(accepted: socket.socket, address: str, port: int) -> None:
        sshd = house.app(slug).sshd
        keys = [load(key.private) for key in house.host_keys(slug)]
        login = _OneLogin(house, slug, inside, keys, address, port)
        await _serve(accepted, login, _HARDENED if sshd and sshd.hardened else {})

    return answer


async def _serve(accepted: socket.socket, login: _OneLogin, algorithms: dict[str, list[str]]) -> None:
    """Serve one connection to its end."""
    try:
        connection = await asyncssh.run_server(accepted, **login.options(), **algorithms)
    except (OSError, asyncssh.Error):
        return
    try:
        connection.send_server_host_keys()
        await connection.wait_closed()
    finally:
        connection.abort()
        await connection.wait_closed()


def _signing(key: asyncssh.SSHKey) -> asyncssh.SSHKeyPair:
    """Return a host key that proves itself as sshd's does: OpenSSH disregards RSA proofs by SHA-1, asyncssh's default."""
    (pair,) = asyncssh.load_keypairs([key])
    if pair.algorithm == b"ssh-rsa":
        pair.set_sig_algorithm(b"rsa-sha2-512")
    return pair


class _OneLogin(asyncssh.SSHServer):
    """One connection to an app's SSH server: who tries to log in, and what is allowed afterwards."""

    def __init__(
        self,
        house: House,
        slug: str,
        inside: Inside,
        keys: list[asyncssh.SSHKey],
        address: str = "",
        port: int = 0,
        *,
        turns_away: DoorState | None = None,
    ) -> None:
        self._turns_away = turns_away
        self._keys = keys
        self._house = house
        self._slug = slug
        self._inside = inside
        self._address = address
        self._port = port
        self._starts = house.app(slug).starts
        self._user = ""
        self._tried: dict[str, str] | None = None
        self._refused: dict[str, str] | None = None
        self._failures = 0
        self._login: Login | None = None
        self._wants_more = False

    def options(self) -> dict[str, Any]:
        """The options of this connection, from the house as it is now."""
        sshd = self._house.app(self._slug).sshd
        sftp = sshd is not None and sshd.sftp and not self._house.knobs.sftp_broken
        return {
            "server_factory": lambda: self,
            "server_version": self._house.banner.removeprefix("SSH-2.0-"),
            "server_host_keys": [_signing(key) for key in self._keys],
            "send_server_host_keys": True,
            "process_factory": self._process,
            "sftp_factory": (lambda chan: HouseSftp(chan, self._inside.root(self._slug))) if sftp else None,
            "allow_scp": sftp,
            "password_auth": self._turns_away == DoorState.SECOND_FACTOR or "password" in self._house.methods(self._slug),
            "kbdint_auth": "keyboard-interactive" in self._house.methods(self._slug),
            "host_based_auth": False,
            "signature_algs": _SIGNATURES,
            "gss_host": None,
            "agent_forwarding": False,
            "login_timeout": 120,
            "encoding": "utf-8",
            "errors": "surrogateescape",
            "config": None,
        }

    # ------------------------------------------------------------------------------------------------- who comes in

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection, to forward through it."""
        self._connection = conn
        if self._turns_away == DoorState.SECOND_FACTOR:
            # asyncssh's servers know no second factor: what says that one is enough says that it is not.
            conn.send_userauth_success = self._ask_for_more  # type: ignore[assignment,method-assign] # for this connection alone

    def _ask_for_more(self) -> None:
        self._wants_more = True
        self._connection.send_userauth_failure(True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the house how it ended, unless the house ended it."""
        app = self._house.apps[self._slug]
        if self._login is not None:
            self._house.logout(self._login)
        elif app.starts == self._starts and app.running is not None and self._address:
            if self._refused is not None:
                self._house.login(self._slug, self._user, source_ip=self._address, source_port=self._port, **self._refused)
            else:
                self._house.knock(self._slug, source_ip=self._address)

    def begin_auth(self, username: str) -> bool:
        """Everybody has to authenticate."""
        self._user = username
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are welcome, until one was taken that is not enough."""
        return not self._wants_more

    def password_auth_supported(self) -> bool:
        """Passwords only where the running settings have one."""
        return self._wants_more or "password" in self._house.methods(self._slug)

    def kbdint_auth_supported(self) -> bool:
        """Questions only where the house pretends to have some."""
        return "keyboard-interactive" in self._house.methods(self._slug)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
        """Ask for a password that opens nothing."""
        del username, lang, submethods
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        """Take no answer."""
        del username, responses
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Ask the house about a key."""
        return self._ask(username, {"key_line": key.export_public_key().decode().strip()})

    def validate_password(self, username: str, password: str) -> bool:
        """Ask the house about a password."""
        return self._ask(username, {"password": password})

    def _ask(self, username: str, credential: dict[str, str]) -> bool:
        self._user = username
        if self._turns_away == DoorState.TOO_MANY:
            raise asyncssh.ProtocolError("Too many authentication failures")
        takes = self._turns_away in {None, DoorState.SECOND_FACTOR, DoorState.CUT}
        if takes and self._house.admits(self._slug, username, source_ip=self._address, **credential):
            self._tried = credential
            return True
        self._refused = credential
        self._failures += 1
        if self._failures >= MAX_AUTH_TRIES:
            self._too_many()
        return False

    def _too_many(self) -> NoReturn:
        where = f"{self._user} from {self._address} port {self._port} ssh2 [preauth]"
        self._house.app(self._slug).log.append(f"error: maximum authentication attempts exceeded for {where}")
        raise asyncssh.ProtocolError("Too many authentication failures")

    def auth_completed(self) -> None:
        """Write the login into the app's log."""
        if self._tried is not None:
            self._login = self._house.login(
                self._slug,
                self._user,
                source_ip=self._address,
                source_port=self._port,
                **self._tried,
            )
        if self._turns_away == DoorState.CUT:
            self._connection.abort()

    # ------------------------------------------------------------------------------------------------ what they may do

    async def _process(self, process: asyncssh.SSHServerProcess[str]) -> None:
        with contextlib.suppress(asyncssh.ConnectionLost, BrokenPipeError):
            if process.command is not None:
                await self._command(process, process.command)
            elif process.subsystem is not None:
                process.exit(127)
            else:
                await self._interactive(process)

    async def _command(self, process: asyncssh.SSHServerProcess[str], command: str) -> None:
        async def stdin() -> bytes:
            return (await process.stdin.read()).encode("utf-8", "surrogateescape")

        if self._house.foreign:
            process.stderr.write("sh: not found\n")
            process.exit(127)
            return
        ended = await self._inside.shell(self._slug, self._user).run(command, stdin)
        process.stderr.write(ended.err.decode("utf-8", "surrogateescape"))
        process.stdout.write(ended.out.decode("utf-8", "surrogateescape"))
        await process.stdout.drain()
        process.exit(ended.code)

    async def _interactive(self, process: asyncssh.SSHServerProcess[str]) -> None:
        terminal = process.term_type is not None
        shell = self._inside.shell(self._slug, self._user, interactive=True)
        prompt = "➜  {} " if terminal else ""
        process.stdout.write(WELCOME if terminal else "")
        while True:
            process.stdout.write(prompt.format(shell.shown_folder))
            try:
                line = await process.stdin.readline()
            except asyncssh.BreakReceived:
                if terminal:
                    cast("asyncssh.SSHLineEditorChannel", process.channel).clear_input()
                    process.stdout.write("^C\n")
                continue
            except asyncssh.TerminalSizeChanged:
                continue
            except asyncssh.SignalReceived:
                break
            if not line:
                break
            ended, leaves = await shell.interactive(line.rstrip("\r\n"))
            # A terminal has one stream for both.
            (process.stdout if terminal else process.stderr).write(ended.err.decode("utf-8", "replace"))
            process.stdout.write(ended.out.decode("utf-8", "replace"))
            if leaves:
                break
        process.exit(shell.last)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """Forward to the names of the house, and never anywhere else."""
        sshd = self._house.app(self._slug).sshd
        if sshd is None or not sshd.tcp_forwarding:
            if sshd is not None:
                route = f"originator {orig_host} port {orig_port}, target {dest_host} port {dest_port}"
                self._house.app(self._slug).log.append(f"refused local port forward: {route}")
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        goal = self._inside.reachable.get((dest_host.lower(), dest_port))
        if goal is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")
        return self._connection.forward_connection(*goal)
