"""SSH by asyncssh: one connection that yields banner, host key, ways in, login and all host keys; its errors become ours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import os
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
QUIET_LIMIT = 6.0
"""Seconds after which a server that says nothing more in the middle of a login is given up."""
_MOST_SAID = 1 << 20
"""Bytes that are read of what a command prints: a login shell may never come to an end."""
_KEYS_LIMIT = 4.0
_HEARD = 255
"""How much of a server's first words is kept; a banner is no longer (RFC 4253, 4.2)."""
_WAYS_IN = ("publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "gssapi-keyex")
"""The order in which ways to log in are considered: ours first, so that the server's list is seen before any is dropped."""
_HOST_KEY_ALGS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
)
"""The order that OpenSSH prefers; no certificates, which prove a host only to who knows its authority."""
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
    quiet_limit: float = QUIET_LIMIT,
) -> AsyncIterator[SshSession]:
    """Log in with exactly this key, once, asking no agent and reading none of the user's files; raises `SshTrouble`."""
    import asyncssh

    key = await asyncio.to_thread(_load_key, identity_path, passphrase)
    guest = _Guest(key)
    wire = _Wire(connect_limit, quiet_limit)
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(connect_limit + login_limit):
            connection = await _connect(host, port, user, guest, wire)
    except (asyncssh.Error, OSError, UnicodeError) as error:
        raise _trouble(TimeoutError() if wire.given_up else error, where, wire, guest) from error
    finally:
        wire.watches = False
    try:
        await guest.all_host_keys(connection)
        if guest.ended is not None:
            raise _trouble(guest.ended, where, wire, guest)
        yield SshSession(connection, wire, guest)
    finally:
        connection.close()
        with contextlib.suppress(TimeoutError):  # a server that will not part is left alone
            async with asyncio.timeout(1):
                await connection.wait_closed()


async def knock(host: str, port: int, *, limit: float = CONNECT_LIMIT) -> str:
    """Read the banner of an SSH server, once, without logging in; raises `SshTrouble`."""
    heard = _Heard()
    try:
        async with asyncio.timeout(limit):
            await _known_name(host)
            reader, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=0.25)
            heard.source_port = int(writer.get_extra_info("sockname")[1])
            try:
                writer.write(b"SSH-2.0-ha-ssh\r\n")  # makes a web server speak up at once
                while not heard.banner and heard.has_room and (more := await reader.read(_HEARD)):
                    heard.add(more)
            finally:
                writer.close()
    except (OSError, UnicodeError) as error:
        raise _trouble(error, f"{host}:{port}", heard, None) from error
    if not heard.banner:
        raise _trouble(ConnectionResetError(), f"{host}:{port}", heard, None)
    return heard.banner


async def _known_name(host: str) -> None:
    """Wait until the name is known, so that one that is not holds up neither us nor the exit; raises `OSError`."""
    from ha_ssh.world.ha.web import addresses_of

    await addresses_of(host)


class SshSession:
    """A login that is held open (`Session` of the model)."""

    def __init__(self, connection: asyncssh.SSHClientConnection, heard: _Heard, guest: _Guest) -> None:
        self._connection = connection
        self._guest = guest
        self.banner = heard.banner
        self.host_key = guest.host_key
        self.host_keys = tuple(dict.fromkeys((guest.host_key, *guest.announced)))
        self.methods = guest.methods or ("none",)
        self.source_port = heard.source_port

    @property
    def ended(self) -> str:
        """Why the server has ended the connection; empty while it is open."""
        return "" if self._guest.ended is None else _why_ended(self._guest.ended)

    async def run(self, command: str, *, limit: float = 15.0) -> Ran:
        """Run a command without a terminal; raises `SshTrouble` when there is no end to it within `limit` seconds."""
        import asyncssh

        try:
            async with asyncio.timeout(limit):
                process = await self._connection.create_process(command, stdin=asyncssh.DEVNULL, encoding=None)
                try:
                    out, err = await asyncio.gather(*(_all_of(each, process.close) for each in (process.stdout, process.stderr)))
                    await process.wait_closed()
                finally:
                    process.close()
        except TimeoutError:
            raise self._no_end(DoorState.TIMEOUT, f"the command did not end within {limit:g} s") from None
        except (asyncssh.Error, OSError) as error:
            raise self._no_end(DoorState.LOST, f"the command could not be run: {error}") from error
        code = 255 if process.exit_status is None else process.exit_status
        return Ran(code=code, out=out.decode("utf-8", "replace"), err=err.decode("utf-8", "replace"))

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


async def _all_of(stream: asyncssh.SSHReader[bytes], stop: Callable[[], None]) -> bytes:
    """Read a stream to its end; one that has none is left when enough was read, and its command is stopped."""
    said = bytearray()
    while more := await stream.read(65536):
        said += more
        if len(said) >= _MOST_SAID:
            stop()
            break
    return bytes(said)


class _Heard:
    """The server's first words, whatever they are."""

    def __init__(self) -> None:
        self._bytes = b""
        self.source_port = 0
        """Our port of the connection; 0 until there is one."""

    def add(self, more: bytes) -> None:
        """Take in what came."""
        if self.has_room:
            self._bytes += more[:_HEARD]

    @property
    def has_room(self) -> bool:
        """True while the banner may still come: it ends, and lines before it do too."""
        return not self.banner and len(self._bytes) < _MOST_SAID

    @property
    def banner(self) -> str:
        """The server's version line, which other lines may precede (RFC 4253, 4.2); empty until it is whole."""
        lines = self._bytes.split(b"\n")[:-1]
        return next((_printable(line) for line in lines if line.startswith(b"SSH-")), "")

    @property
    def first_line(self) -> str:
        """The banner, or the first line of what is none; empty if nothing was heard."""
        lines = self._bytes.splitlines()
        return self.banner or next((said for line in lines if (said := _printable(line))), "")


class _Wire(_Heard, asyncio.Protocol):
    """Stands between the socket and asyncssh, hears what comes first, and gives a server up that falls silent."""

    def __init__(self, limit: float, quiet: float) -> None:
        super().__init__()
        self._limit = limit
        self._quiet = quiet
        self._last = 0.0
        self._inner: Any = None
        self.watches = True
        """True until the login is over."""
        self.given_up = False
        """True when the server was silent for too long."""

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> tuple[asyncio.BaseTransport, Any]:
        """Connect to whichever address of the host answers first, as asyncssh asks of a tunnel."""
        self._inner = factory()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limit):
            await _known_name(host)
            transport, _ = await loop.create_connection(lambda: self, host, port, happy_eyeballs_delay=0.25)
        self.source_port = int(transport.get_extra_info("sockname")[1])
        loop.call_later(self._limit, self._mind_the_banner, transport)
        return transport, self._inner

    def _mind_the_banner(self, transport: asyncio.WriteTransport) -> None:
        """Give up who has not said by now that he speaks SSH."""
        if not self.banner:
            self._give_up(transport)
        else:
            self._mind_silence(transport)

    def _mind_silence(self, transport: asyncio.WriteTransport) -> None:
        """Give up who has said nothing for too long; look again when that could be."""
        loop = asyncio.get_running_loop()
        left = self._last + self._quiet - loop.time()
        if left <= 0:
            self._give_up(transport)
        elif self.watches:
            loop.call_later(left, self._mind_silence, transport)

    def _give_up(self, transport: asyncio.WriteTransport) -> None:
        if self.watches and not transport.is_closing():
            self.given_up = True
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._last = asyncio.get_running_loop().time()
        self.add(data)
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
        self.said = ""
        """What the server says to whoever logs in."""
        self.in_ = False
        """True once the server has let us in."""
        self.ended: Exception | None = None
        """How the server ended the connection."""
        self.further: tuple[str, ...] = ()
        """What the server asks for once it has taken our key; empty where the key is enough, or was refused."""
        self._refused = False

    @property
    def offered(self) -> bool:
        """True once the server has been shown the key."""
        return not self._keys

    def next_key(self) -> asyncssh.SSHKey | None:
        """Give the key the first time, nothing afterwards: who asks again has refused it."""
        self.note_methods()
        self._refused = self.offered
        return self._keys.pop() if self._keys else None

    def asked_for_more(self) -> None:
        """Note that another way is asked for; right after our key, it is one beside the key (RFC 4252, 5.1)."""
        self.note_methods()
        if self.connection is not None and self.offered and not self._refused:
            self.further = self.further or tuple(self.connection.get_server_auth_methods())

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
            guest.asked_for_more()

        def kbdint_auth_requested(self) -> None:
            guest.asked_for_more()

        def auth_banner_received(self, msg: str, lang: str) -> None:
            del lang
            guest.said = _printable(msg.encode())

        def auth_completed(self) -> None:
            guest.in_ = True

        def connection_lost(self, exc: Exception | None) -> None:
            guest.ended = exc or ConnectionResetError()

    return await asyncssh.connect(
        host,
        port,
        tunnel=cast(Any, wire),
        client_factory=Client,
        username=user,
        config=None,
        known_hosts=([], [], []),  # empty, not None: only then are announced keys proven
        server_host_key_algs=_HOST_KEY_ALGS,
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


def _trouble(error: Exception, where: str, heard: _Heard, guest: _Guest | None) -> SshTrouble:
    """Say what a failed connection met; the first row that fits counts."""
    state, message = _meaning(error, where, heard, guest)
    return SshTrouble(
        state,
        message,
        banner=heard.banner,
        host_key=guest.host_key if guest else "",
        methods=guest.methods if guest else None,
        said=guest.said if guest else "",
        source_port=heard.source_port,
    )


def _meaning(error: Exception, where: str, heard: _Heard, guest: _Guest | None) -> tuple[DoorState, str]:
    if isinstance(error, socket.gaierror | UnicodeError):
        return DoorState.UNRESOLVED, f"the name in `{where}` is not known to this computer"
    if guest is not None and guest.in_:
        return DoorState.CUT, f"`{where}` let us in and then ended the connection: {_why_ended(error)}"
    said = heard.first_line
    if said and not said.startswith("SSH-"):
        if said.startswith(_TURNED_AWAY):
            return DoorState.RESET, f"`{where}` turned us away for now: {said}"
        return DoorState.NOT_SSH, f"what answers at `{where}` is no SSH server; it said: {said}"
    if isinstance(error, TimeoutError):
        return _silence(where, heard)
    if said:
        return _meaning_of_asyncssh(error, where, said, guest)
    if isinstance(error, OSError) and not isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return _meaning_of_errno(error, where)
    return DoorState.RESET, f"`{where}` took the connection and closed it without a word"


def _silence(where: str, heard: _Heard) -> tuple[DoorState, str]:
    """Tell by how far it came which silence it was."""
    if heard.first_line:
        return DoorState.STALLED, f"`{where}` began to speak SSH ({heard.first_line}), and then said nothing more"
    if heard.source_port:
        return DoorState.SILENT, f"`{where}` took the connection, and said nothing"
    return DoorState.TIMEOUT, f"`{where}` did not answer in time"


def _meaning_of_errno(error: OSError, where: str) -> tuple[DoorState, str]:
    """Read the error numbers out of one error, or of several in one text, one for each address that was tried."""
    numbers = {error.errno} if error.errno else {int(number) for number in re.findall(r"\[(?:Errno|WinError) (\d+)]", str(error))}
    if numbers & {errno.ECONNREFUSED, 1225, 10061}:
        return DoorState.REFUSED, f"nothing listens at `{where}`: connection refused"
    if numbers & {errno.ETIMEDOUT, 10060}:
        return DoorState.TIMEOUT, f"`{where}` did not answer in time"
    if numbers & {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, 10054}:
        return DoorState.RESET, f"`{where}` took the connection and closed it without a word"
    why = ", ".join(os.strerror(number) for number in sorted(numbers)) or str(error)
    return DoorState.UNREACHABLE, f"no way leads to `{where}`: {why.lower()}"


def _meaning_of_asyncssh(error: Exception, where: str, banner: str, guest: _Guest | None) -> tuple[DoorState, str]:
    """Read an error of the protocol itself."""
    import asyncssh

    if banner.startswith("SSH-1.") and not banner.startswith("SSH-1.99"):
        return DoorState.NO_COMMON, f"`{where}` speaks SSH 1 only ({banner}), which nobody should speak any more"
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return DoorState.NO_COMMON, f"`{where}` and we have no way of encryption in common: {error.reason}"
    if isinstance(error, asyncssh.PermissionDenied):
        if guest is not None and guest.further:
            return DoorState.SECOND_FACTOR, f"`{where}` took this key, and wants more besides: {', '.join(guest.further)}"
        return DoorState.DENIED, f"`{where}` did not take this key for this user"
    if isinstance(error, asyncssh.DisconnectError) and "too many authentication failures" in error.reason.lower():
        if guest is not None and guest.offered:
            return DoorState.DENIED, f"`{where}` did not take this key for this user, and ended the connection: {error.reason}"
        return DoorState.TOO_MANY, f"`{where}` ended the connection: {error.reason}"
    return DoorState.LOST, f"the connection to `{where}` broke: {error}"


def _why_ended(error: Exception) -> str:
    """Return the server's reason, else what the connection met."""
    reason = str(getattr(error, "reason", "") or error)
    return _printable(reason.encode()) or "without a word"


def _printable(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120]
