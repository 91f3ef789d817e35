"""SSH by asyncssh: one connection that yields banner, host key, ways in, login and all host keys; its errors become ours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Any, cast

from ha_ssh.core.model import DoorState, Ran, SshTrouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import asyncssh

    from ha_ssh.core.secret import Secret

CONNECT_LIMIT = 5.0
"""Seconds until a server must have taken the connection and said its first word."""
LOGIN_LIMIT = 12.0
"""Seconds from there to the end of the login; small computers take their time over the mathematics."""
_KEYS_LIMIT = 4.0
_HEARD = 255
"""How much of a server's first words is kept; a banner is no longer (RFC 4253, 4.2)."""
_WAYS_IN = ("publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "gssapi-keyex")
"""The order in which ways to log in are considered: ours first, so that the server's list is seen before any is dropped."""
_TURNED_AWAY = ("Exceeded MaxStartups", "Not allowed at this time")
"""What sshd says in place of a banner to an address that it does not want to hear now."""


def warm_up() -> None:
    """Load asyncssh on a thread of its own while something else is waited for; an import is never cut off at the exit."""
    threading.Thread(target=_load, name="warm-up").start()


def _load() -> None:
    """Import asyncssh without its asking the C compiler for two optional libraries: `ldconfig` knows them, 0.1 s sooner."""
    import ctypes.util as finder

    askers = [name for name in ("_findLib_gcc", "_findLib_ld") if hasattr(finder, name)]
    usual = {name: getattr(finder, name) for name in askers}
    for name in askers:
        setattr(finder, name, lambda _library: None)
    try:
        importlib.import_module("asyncssh")
    finally:
        for name, asker in usual.items():
            setattr(finder, name, asker)


@contextlib.asynccontextmanager
async def open_session(
    host: str,
    port: int,
    user: str,
    identity_path: str,
    passphrase: Secret | None,
    *,
    connect_limit: float = CONNECT_LIMIT,
    login_limit: float = LOGIN_LIMIT,
) -> AsyncIterator[SshSession]:
    """Log in with exactly this key, once, asking no agent and reading none of the user's files; raises `SshTrouble`."""
    key = await asyncio.to_thread(_load_key, identity_path, passphrase)
    guest = _Guest(key)
    wire = _Wire(connect_limit)
    try:
        async with asyncio.timeout(connect_limit + login_limit):
            connection = await _connect(host, port, user, guest, wire)
    except Exception as error:
        met = TimeoutError() if wire.silent else error
        raise _trouble(met, f"{host}:{port}", wire.first_line(), guest) from error
    try:
        await guest.all_host_keys(connection)
        yield SshSession(connection, wire.first_line(), guest)
    finally:
        connection.close()
        with contextlib.suppress(TimeoutError):  # a server that will not part is left alone
            async with asyncio.timeout(1):
                await connection.wait_closed()


async def knock(host: str, port: int, *, limit: float = CONNECT_LIMIT) -> str:
    """Read the banner of an SSH server, once, without logging in; raises `SshTrouble`."""
    heard = b""
    try:
        async with asyncio.timeout(limit):
            await _known_name(host)
            reader, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=0.25)
            try:
                writer.write(b"SSH-2.0-ha-ssh\r\n")  # makes a web server speak up at once
                while b"\n" not in heard and len(heard) < _HEARD and (more := await reader.read(_HEARD)):
                    heard += more
            finally:
                writer.close()
    except Exception as error:
        raise _trouble(error, f"{host}:{port}", _first_line(heard), None) from error
    banner = _first_line(heard)
    if not banner.startswith("SSH-"):
        raise _trouble(ConnectionResetError(), f"{host}:{port}", banner, None)
    return banner


async def _known_name(host: str) -> None:
    """Wait until the name is known, so that one that is not holds up neither us nor the exit; raises `OSError`."""
    from ha_ssh.world.ha.web import addresses_of

    await addresses_of(host)


class SshSession:
    """A login that is held open (`Session` of the model)."""

    def __init__(self, connection: asyncssh.SSHClientConnection, banner: str, guest: _Guest) -> None:
        self._connection = connection
        self.banner = banner
        self.host_key = guest.host_key
        self.host_keys = tuple(dict.fromkeys((guest.host_key, *guest.announced)))
        self.methods = guest.methods or ("none",)
        self.source_port = int(connection.get_extra_info("sockname")[1])

    async def run(self, command: str, *, limit: float = 15.0) -> Ran:
        """Run a command without a terminal; raises `SshTrouble` when there is no end to it within `limit` seconds."""
        import asyncssh

        try:
            async with asyncio.timeout(limit):
                done = await self._connection.run(command, stdin=asyncssh.DEVNULL, errors="replace")
        except TimeoutError:
            raise self._no_end(DoorState.TIMEOUT, f"`{command}` did not end within {limit:g} s") from None
        except (asyncssh.Error, OSError) as error:
            raise self._no_end(DoorState.LOST, f"`{command}` could not be run: {error}") from error
        code = 255 if done.exit_status is None else done.exit_status
        return Ran(code=code, out=cast("str", done.stdout), err=cast("str", done.stderr))

    async def sftp(self, *, limit: float = 8.0) -> str:
        """Open SFTP and close it again; return why it does not open, empty where it does."""
        import asyncssh

        try:
            async with asyncio.timeout(limit):
                client = await self._connection.start_sftp_client()
                client.exit()
                await client.wait_closed()
        except TimeoutError:
            return f"SFTP did not open within {limit:g} s"
        except (asyncssh.Error, OSError) as error:
            return str(error) or "the server refuses the subsystem"
        return ""

    async def forward(self, host: str, port: int, *, limit: float = 8.0) -> str:
        """Open a connection through the server; return why the server forbids it, empty where it does not."""
        import asyncssh

        try:
            async with asyncio.timeout(limit):
                _reader, writer = await self._connection.open_connection(host, port)
                writer.close()
        except TimeoutError:
            return ""  # it was allowed to try, and nobody answered
        except asyncssh.ChannelOpenError as error:
            return error.reason if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED else ""
        except (asyncssh.Error, OSError) as error:
            return str(error) or "the connection was lost"
        return ""

    def _no_end(self, state: DoorState, message: str) -> SshTrouble:
        return SshTrouble(state, message, banner=self.banner, host_key=self.host_key, methods=self.methods)


# ------------------------------------------------------------------------------------------------------------ connecting


class _Wire(asyncio.Protocol):
    """Stands between the socket and asyncssh and remembers the server's first words, whatever they are."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._heard = b""
        self._inner: Any = None
        self.silent = False
        """True when the server took the connection and then said nothing."""

    def first_line(self) -> str:
        """Return the banner, or the first line of what is none; empty if nothing was heard."""
        return _first_line(self._heard)

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> tuple[asyncio.BaseTransport, Any]:
        """Connect to whichever address of the host answers first, as asyncssh asks of a tunnel."""
        self._inner = factory()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limit):
            await _known_name(host)
            transport, _ = await loop.create_connection(lambda: self, host, port, happy_eyeballs_delay=0.25)
        loop.call_later(self._limit, self._mind_silence, transport)
        return transport, self._inner

    def _mind_silence(self, transport: asyncio.WriteTransport) -> None:
        if not self._heard and not transport.is_closing():
            self.silent = True
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if len(self._heard) < _HEARD:
            self._heard += data[:_HEARD]
        self._inner.data_received(data)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class _Guest:
    """Our side of a connection: shows one key, and notes what the server shows."""

    def __init__(self, key: asyncssh.SSHKey) -> None:
        self._keys = [key]
        self.connection: asyncssh.SSHClientConnection | None = None
        self.host_key = ""
        self.methods: tuple[str, ...] | None = None
        self.announced: tuple[str, ...] = ()
        self._told = asyncio.Event()

    def next_key(self) -> asyncssh.SSHKey | None:
        """Give the key the first time, nothing afterwards."""
        self.note_methods()
        return self._keys.pop() if self._keys else None

    def note_methods(self) -> None:
        """Note the ways in that the server offered before we tried any."""
        if self.connection is not None and self.methods is None:
            self.methods = tuple(self.connection.get_server_auth_methods())

    def note_announced(self, proven: list[asyncssh.SSHKey], *_others: list[asyncssh.SSHKey]) -> None:
        """Note the host keys that the server announced after the login and proved to own."""
        self.announced = tuple(_public(key) for key in proven)
        self._told.set()

    async def all_host_keys(self, connection: asyncssh.SSHClientConnection) -> None:
        """Wait for the announcement of the host keys, if one comes.

        A server sends it right after the login, and answers requests in order: when two keepalives have been answered, an
        announcement has arrived (the first), and been proven (the second); with none by then, none will come.
        """

        async def two_round_trips() -> None:
            for _ in range(2):
                await connection._make_global_request(b"keepalive@openssh.com")  # noqa: SLF001 - asyncssh offers no public round trip that leaves no trace

        waits = [asyncio.ensure_future(two_round_trips()), asyncio.ensure_future(self._told.wait())]
        try:
            await asyncio.wait(waits, timeout=_KEYS_LIMIT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


async def _connect(host: str, port: int, user: str, guest: _Guest, wire: _Wire) -> asyncssh.SSHClientConnection:
    """Open the connection. Its host key is taken as it comes: whether it is the right one is proven afterwards."""
    import asyncssh

    class Client(asyncssh.SSHClient):
        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            guest.connection = conn

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            del host, addr, port
            guest.host_key = _public(key)
            return True

        def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
            return guest.next_key()

        def password_auth_requested(self) -> None:
            guest.note_methods()

        def kbdint_auth_requested(self) -> None:
            guest.note_methods()

    return await asyncssh.connect(
        host,
        port,
        tunnel=cast(Any, wire),
        client_factory=Client,
        username=user,
        config=None,
        known_hosts=([], [], []),  # empty, not None: only then are announced keys proven
        server_host_keys_handler=guest.note_announced,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
        client_keys=None,  # no default keys, and with them no agent and no PKCS#11
        agent_path=None,
        agent_forwarding=False,
        preferred_auth=_WAYS_IN,
        gss_host=None,
        gss_kex=False,
        gss_auth=False,
        request_pty=False,
        x11_forwarding=False,
        send_env=None,
        login_timeout=0,  # ours covers it
    )


def _load_key(path: str, passphrase: Secret | None) -> asyncssh.SSHKey:
    import asyncssh

    try:
        return asyncssh.read_private_key(path, passphrase.reveal() if passphrase else None)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, OSError, ValueError) as error:
        raise SshTrouble(DoorState.BROKEN_KEY, f"the key `{path}` cannot be used: {error}") from error


def _public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


# -------------------------------------------------------------------------------------------------------------- troubles


def _trouble(error: Exception, where: str, heard: str, guest: _Guest | None) -> SshTrouble:
    """Say what a failed connection met; the first row that fits counts."""
    state, message = _meaning(error, where, heard)
    return SshTrouble(
        state,
        message,
        banner=heard if heard.startswith("SSH-") else "",
        host_key=guest.host_key if guest else "",
        methods=guest.methods if guest else None,
    )


def _meaning(error: Exception, where: str, heard: str) -> tuple[DoorState, str]:
    if isinstance(error, socket.gaierror | UnicodeError):
        return DoorState.UNRESOLVED, f"the name in `{where}` is not known to this computer"
    if heard and not heard.startswith("SSH-"):
        if heard.startswith(_TURNED_AWAY):
            return DoorState.RESET, f"`{where}` turned us away for now: {heard}"
        return DoorState.NOT_SSH, f"what answers at `{where}` is no SSH server; it said: {heard}"
    if isinstance(error, TimeoutError):
        return DoorState.TIMEOUT, _too_slow(where, heard)
    if heard:
        return _meaning_of_asyncssh(error, where)
    if isinstance(error, OSError) and not isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return _meaning_of_errno(error, where)
    return DoorState.RESET, f"`{where}` took the connection and closed it without a word"


def _meaning_of_errno(error: OSError, where: str) -> tuple[DoorState, str]:
    """Read the error numbers out of one error, or of several in one text, one for each address that was tried."""
    numbers = {error.errno} if error.errno else {int(number) for number in re.findall(r"\[(?:Errno|WinError) (\d+)]", str(error))}
    if numbers & {errno.ECONNREFUSED, 1225, 10061}:
        return DoorState.REFUSED, f"nothing listens at `{where}`: connection refused"
    if numbers & {errno.ETIMEDOUT, 10060}:
        return DoorState.TIMEOUT, _too_slow(where, "")
    if numbers & {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, 10054}:
        return DoorState.RESET, f"`{where}` took the connection and closed it without a word"
    return DoorState.UNREACHABLE, f"no way leads to `{where}`: {(error.strerror or str(error)).lower()}"


def _meaning_of_asyncssh(error: Exception, where: str) -> tuple[DoorState, str]:
    """Read an error of the protocol itself."""
    import asyncssh

    if isinstance(error, asyncssh.KeyExchangeFailed):
        return DoorState.NO_COMMON, f"`{where}` and we have no way of encryption in common: {error.reason}"
    if isinstance(error, asyncssh.PermissionDenied):
        return DoorState.DENIED, f"`{where}` did not take this key for this user"
    if isinstance(error, asyncssh.DisconnectError) and "too many authentication failures" in error.reason.lower():
        return DoorState.TOO_MANY, f"`{where}` ended the connection: {error.reason}"
    return DoorState.LOST, f"the connection to `{where}` broke: {error}"


def _too_slow(where: str, heard: str) -> str:
    if heard:
        return f"`{where}` began to speak SSH, but the login took too long"
    return f"`{where}` did not answer in time"


def _first_line(heard: bytes) -> str:
    """Return the banner, which other lines may precede (RFC 4253, 4.2), else the first line that was said; printable."""
    lines = [line.strip() for line in heard.decode("utf-8", "replace").splitlines()]
    banner = next((line for line in lines if line.startswith("SSH-")), None)
    first = banner if banner is not None else next((line for line in lines if line), "")
    return "".join(letter if letter.isprintable() else "?" for letter in first)[:120]
