"""Host keys and key pairs of the simulated house: real ones when servers need them, made-up ones for property tests."""

from __future__ import annotations

import base64
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True)
class HostKey:
    """A host key; `private` is its OpenSSH text, or empty where nobody will ever sign with it."""

    kind: str
    public: str
    """`type base64`."""
    private: str = field(default="", repr=False)


class KeyMaker(Protocol):
    """Makes keys by kind: `ed25519`, `rsa` or `ecdsa`."""

    def make(self, kind: str) -> HostKey:
        """A new key."""
        ...


def _wire(*parts: bytes) -> str:
    return base64.b64encode(b"".join(struct.pack(">I", len(part)) + part for part in parts)).decode()


class MadeUpKeys:
    """Well-formed public keys without a private half: no cryptography, thousands a second."""

    def __init__(self, random: Random | None = None) -> None:
        self._bytes = secrets.token_bytes if random is None else random.randbytes

    def make(self, kind: str) -> HostKey:
        """A new public key that nobody can sign with."""
        if kind == "rsa":
            return HostKey(kind, "ssh-rsa " + _wire(b"ssh-rsa", b"\x01\x00\x01", b"\x00\xc1" + self._bytes(255)))
        if kind == "ecdsa":
            return HostKey(kind, "ecdsa-sha2-nistp256 " + _wire(b"ecdsa-sha2-nistp256", b"nistp256", b"\x04" + self._bytes(64)))
        return HostKey(kind, "ssh-ed25519 " + _wire(b"ssh-ed25519", self._bytes(32)))


class RealKeys:
    """Key pairs that servers can sign with."""

    def make(self, kind: str) -> HostKey:
        """A new key pair."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        if kind == "rsa":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif kind == "ecdsa":
            key = ec.generate_private_key(ec.SECP256R1())
        else:
            key = ed25519.Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        return HostKey(kind, public, private)


class KeyPool:
    """Keys out of a stock that is made once and shared by many houses; each house starts at its own place in it."""

    def __init__(self, maker: KeyMaker, size: int = 4) -> None:
        self._maker = maker
        self._size = size
        self._stock: dict[str, list[HostKey]] = {}
        self._next: dict[str, int] = {}

    def make(self, kind: str) -> HostKey:
        """The next key of that kind; the stock repeats after `size`."""
        stock = self._stock.setdefault(kind, [])
        at = self._next.get(kind, 0)
        self._next[kind] = at + 1
        if len(stock) < self._size:
            stock.append(self._maker.make(kind))
            return stock[-1]
        return stock[at % self._size]
