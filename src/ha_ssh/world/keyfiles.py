"""Key pairs on the disk: made private from birth, and read the way OpenSSH would, with a name for every odd file."""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.keys import form_of
from ha_ssh.core.model import KeyKind, KeyState
from ha_ssh.world import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.core.secret import Secret

_PUBLIC_MODE = 0o644
_DSA = "it is a DSA key, which OpenSSH no longer accepts"
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_ARMOUR = re.compile(rb"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----\n(.*?)\n-----END [A-Z0-9 ]*PRIVATE KEY-----", re.DOTALL)
_PUBLIC_LINE = re.compile(rb"(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)\S+ +[A-Za-z0-9+/]+=*", re.MULTILINE)
_KINDS = ("ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-dss")
_PUBLIC_ARMOUR = re.compile(rb"---- BEGIN SSH2 PUBLIC KEY ----|-----BEGIN (RSA )?PUBLIC KEY-----")


# ---------------------------------------------------------------------------------------------------------------- making


def make_key(path: str, kind: KeyKind, passphrase: Secret | None, comment: str) -> str:
    """Make a key pair, never over a file that is there; returns the public key as `type base64`."""
    for there in (path, f"{path}.pub"):
        if files.read(there).exists:
            raise HaSshError("key-exists", f"`{there}` is already there and is not overwritten", "choose another name")
    if kind is KeyKind.ED25519_SK:
        return _make_on_security_key(path, passphrase, comment)
    private, public = _generate(kind, passphrase)
    files.create(path, private)
    try:
        files.create(f"{path}.pub", f"{public} {comment}".rstrip() + "\n", _PUBLIC_MODE)
    except BaseException:
        files.delete(path)
        raise
    return public


def _generate(kind: KeyKind, passphrase: Secret | None) -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    makers: dict[KeyKind, Callable[[], ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]] = {
        KeyKind.ED25519: ed25519.Ed25519PrivateKey.generate,
        KeyKind.RSA_4096: lambda: rsa.generate_private_key(65537, 4096),
        KeyKind.ECDSA: lambda: ec.generate_private_key(ec.SECP256R1()),
    }
    key = makers[kind]()
    lock = form.BestAvailableEncryption(passphrase.reveal().encode()) if passphrase else form.NoEncryption()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, lock).decode()
    return private, key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()


def _make_on_security_key(path: str, passphrase: Secret | None, comment: str) -> str:
    """Let OpenSSH make a key that lives on a security key; it asks for a touch, and a PIN only in its own terminal."""
    from ha_ssh.world.openssh import answering, program

    hints = (
        "plug the security key in, then try again, or choose `--new-key ed25519`",
        f"one that wants a PIN: run `ssh-keygen -t ed25519-sk -f {path}` by hand, then use `--key {path}`",
    )
    tool = program("ssh-keygen")
    if tool is None:
        raise HaSshError(
            "no-ssh-keygen", "`ssh-keygen` is not on this computer, and only it can make an `ed25519-sk` key", *hints
        )
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [tool, "-q", "-t", "ed25519-sk", "-f", path, "-C", comment]
    with answering(passphrase) as environment:
        done = subprocess.run(  # noqa: S603 - the user's own ssh-keygen, no shell
            command if passphrase else [*command, "-N", ""],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    state = read_key(path, passphrase)
    if done.returncode or not state.public:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise HaSshError("no-security-key", f"no key was made on a security key: {said}", *hints)
    return state.public


# ---------------------------------------------------------------------------------------------------------------- reading


def read_key(path: str, passphrase: Secret | None) -> KeyState:
    """Return the state of a private key file; whatever is odd about it is named in `problem` and `detail`."""
    there = files.read(path)
    if not there.exists:
        return KeyState(path=path, beside=_beside(path), problem="missing", detail="there is no such file")
    state = KeyState(path=path, exists=True, unlocked=False, mode=there.mode, mine=there.mine, beside=_beside(path))
    if there.text is None:
        words = {"folder": "it is a folder", "other": "it is no plain file"}.get(there.kind)
        return replace(state, problem="unreadable", detail=there.problem or words or "it cannot be read")
    raw = there.text.encode("utf-8", "surrogateescape")
    refused, before = form_of(there.text)
    state = replace(state, crlf=refused, before=before)
    public, comment = _public_beside(path)
    return _judge(replace(state, public=public, comment=comment), raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), passphrase)


def _judge(state: KeyState, raw: bytes, passphrase: Secret | None) -> KeyState:
    if raw.startswith(b"PuTTY-User-Key-File"):
        return replace(
            state, problem="putty", detail="it is a key of PuTTY; `puttygen FILE -O private-openssh -o NEW` converts it"
        )
    armour = _ARMOUR.search(raw)
    if armour is None:
        return replace(state, **_no_private_key(raw))
    label, body = armour[1].strip().decode(), armour[2]
    if label == "DSA":
        return replace(state, problem="unsupported", detail=_DSA)
    if label == "OPENSSH":
        try:
            cipher, blob = _openssh_header(body)
            kind = _strings(blob)[0].decode("ascii")
        except ValueError:
            return replace(state, problem="broken", detail="it begins like a key of OpenSSH, but its content is damaged")
        state = _of(state, f"{kind} {base64.b64encode(blob).decode()}")
        state = replace(state, encrypted=cipher != b"none")
        if (meant := _meant(kind)) is not None:
            detail = f"a byte of it is wrong: it calls itself `{kind}`, where `{meant}` must have stood"
            return replace(state, problem="broken", detail=detail)
        if kind == "ssh-dss":
            return replace(state, problem="unsupported", detail=_DSA)
    else:
        state = replace(state, encrypted=label == "ENCRYPTED" or b"Proc-Type: 4,ENCRYPTED" in body)
    if state.encrypted and not passphrase:
        return replace(state, problem="locked", detail="it has a passphrase, and none was given")
    return _open(state, raw[armour.start() : armour.end()] + b"\n", label, passphrase if state.encrypted else None)


def _open(state: KeyState, text: bytes, label: str, passphrase: Secret | None) -> KeyState:
    """Open the key in earnest, which alone proves a passphrase and the soundness of the file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    secret = passphrase.reveal().encode() if passphrase else None
    try:
        if label == "OPENSSH":
            form.load_ssh_private_key(text, secret)
        else:
            key = form.load_pem_private_key(text, secret)
            if not isinstance(key, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
                return replace(state, problem="unsupported", detail="OpenSSH does not accept keys of its kind, such as DSA")
            state = _of(state, key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode())
    except UnsupportedAlgorithm as error:
        if not (state.public or "").startswith("sk-"):  # a security key's file holds no private key to open
            return replace(state, problem="unsupported", detail=f"its kind is not supported: {error}")
    except (ValueError, TypeError, NotImplementedError) as error:  # the last for a form of point that nobody writes
        if state.encrypted:
            return replace(state, problem="wrong-passphrase", detail="the passphrase does not open it")
        return replace(state, problem="broken", detail=f"it cannot be opened: {error}")
    return replace(state, unlocked=True)


def _of(state: KeyState, public: str) -> KeyState:
    """Note the public key that the private file itself holds; a `.pub` file of another key has no say."""
    return state if state.public == public else replace(state, public=public, comment="")


def _no_private_key(raw: bytes) -> dict[str, Any]:
    """Say what a file is that holds no private key."""
    if _PUBLIC_ARMOUR.search(raw) or _PUBLIC_LINE.search(raw):
        return {"problem": "public", "detail": "it holds a public key; the private one has the same name without `.pub`"}
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return {"problem": "broken", "detail": "it was saved as UTF-16 text; save it as plain text (UTF-8 without a mark)"}
    if not raw.strip():
        return {"problem": "broken", "detail": "it is empty"}
    if b"PRIVATE KEY" in raw:
        return {"problem": "broken", "detail": "its begin or end line is damaged, or a part is missing"}
    return {"problem": "broken", "detail": "it is no private key"}


def _openssh_header(body: bytes) -> tuple[bytes, bytes]:
    """Return the cipher and the public key of an OpenSSH private key; both are readable without the passphrase (PROTOCOL.key)."""
    data = base64.b64decode(body.replace(b"\n", b""), validate=True)
    if not data.startswith(_OPENSSH_MAGIC):
        raise ValueError("no magic")
    rest = data[len(_OPENSSH_MAGIC) :]
    cipher, _kdf, _options = _strings(rest, 3)
    blob = _strings(rest[4 * 3 + len(cipher) + len(_kdf) + len(_options) + 4 :], 1)[0]
    return cipher, blob


def _meant(kind: str) -> str | None:
    """Return the kind of key from which a word differs in one or two letters; `None` for a kind that there is, or may be."""
    if kind in _KINDS:
        return None
    near = (known for known in _KINDS if len(known) == len(kind) and sum(map(str.__ne__, known, kind)) <= 2)
    return next(near, None)


def _strings(data: bytes, count: int = 1) -> list[bytes]:
    """Return the first strings of SSH's wire format: each four bytes of length, then its bytes."""
    found = []
    for _ in range(count):
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size or len(data) < 4:
            raise ValueError("cut short")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def _beside(path: str) -> str | None:
    return (_public_beside(path)[0] or "") if files.read(f"{path}.pub").exists else None


def _public_beside(path: str) -> tuple[str | None, str]:
    """Return key and comment of the `.pub` file beside a private one, as far as there is one."""
    parts = (files.read(f"{path}.pub").text or "").split(None, 2)
    if len(parts) < 2:
        return None, ""
    try:
        blob = base64.b64decode(parts[1], validate=True)
        if _strings(blob)[0].decode() != parts[0]:
            return None, ""
    except (binascii.Error, ValueError):
        return None, ""
    return f"{parts[0]} {parts[1]}", parts[2].strip() if len(parts) > 2 else ""
