"""What stands in front of a house: it answers by itself where it wants to, and passes the rest on."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Rule = Callable[[str, bool, socket.socket], bytes | None]
    """What is answered to a path (True: the handshake of a WebSocket), with the connection; `None` passes it on."""


def answer(status: str, body: str = "", *more: str, kind: str = "text/html", server: str = "nginx") -> bytes:
    """An answer of a web server, after which it hangs up."""
    data = body.encode()
    lines = (f"HTTP/1.1 {status}", f"Server: {server}", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *more)
    return "\r\n".join((*lines, "Connection: close", "", "")).encode() + data


def silence(connection: socket.socket) -> bytes:
    """Say nothing until the other side has had enough."""
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass
    return b""


class Front:
    """A server on loopback; `asked` holds the path of every request, in order."""

    def __init__(self, house: str, rule: Rule) -> None:
        parts = urlsplit(house)
        self._house = (parts.hostname or "", parts.port or 80)
        self._rule = rule
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End every connection."""
        for one in (self._server, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._open.append(connection)
                threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                got = connection.recv(65536)
                if not got:
                    return
                head += got
            path = head.split(b" ", 2)[1].decode()
            self.asked.append(path)
            said = self._rule(path, b"upgrade: websocket" in head.lower(), connection)
            if said is None:
                self._pass_on(connection, head)
            else:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, connection: socket.socket, head: bytes) -> None:
        house = socket.create_connection(self._house)
        self._open.append(house)
        house.sendall(head)
        threading.Thread(target=_pump, args=(connection, house), daemon=True).start()
        _pump(house, connection)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def in_front_of(house: str, rule: Rule) -> Iterator[Front]:
    """Put something in front of a house."""
    front = Front(house, rule)
    try:
        yield front
    finally:
        front.close()
