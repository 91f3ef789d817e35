"""Keys are made as OpenSSH likes them, and every odd key file is told for what it is, as OpenSSH judges it."""

import base64
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from real_sshd import keygen

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import KeyKind
from ha_ssh.core.secret import Secret
from ha_ssh.world.keyfiles import make_key, read_key

GOOD = Secret("correct horse")


def openssh_says(path: Path, passphrase: str = "") -> str | None:
    """Return the public key that the real ssh-keygen gets out of a private one, `None` where it refuses."""
    done = subprocess.run(["ssh-keygen", "-y", "-P", passphrase, "-f", path], capture_output=True, text=True, check=False)
    return None if done.returncode else " ".join(done.stdout.split()[:2])


@pytest.mark.parametrize("passphrase", [None, GOOD])
@pytest.mark.parametrize(
    ("kind", "first"),
    [(KeyKind.ED25519, "ssh-ed25519"), (KeyKind.RSA_4096, "ssh-rsa"), (KeyKind.ECDSA, "ecdsa-sha2-nistp256")],
)
def test_openssh_reads_what_we_make(tmp_path, kind, first, passphrase):
    path = tmp_path / "home" / ".ssh" / "id"
    before = os.umask(0)
    public = make_key(str(path), kind, passphrase, "me@here (ha-ssh)")
    os.umask(before)
    assert public.split()[0] == first
    assert openssh_says(path, passphrase.reveal() if passphrase else "") == public
    assert openssh_says(path, "something else") == (None if passphrase else public)
    assert Path(f"{path}.pub").read_text() == f"{public} me@here (ha-ssh)\n"
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path, Path(f"{path}.pub"))]
    assert modes == [0o700, 0o600, 0o644]
    text = path.read_bytes()
    assert text.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert text.endswith(b"\n")
    assert b"\r" not in text
    state = read_key(str(path), passphrase)
    assert (state.public, state.comment, state.problem, state.unlocked) == (public, "me@here (ha-ssh)", None, True)
    assert (state.encrypted, state.mode, state.crlf) == (bool(passphrase), 0o600, False)


@pytest.mark.parametrize("there", ["id", "id.pub"])
def test_a_key_is_never_made_over_a_file(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(HaSshError) as caught:
        make_key(str(tmp_path / "id"), KeyKind.ED25519, None, "")
    assert caught.value.code == "key-exists"
    assert [entry.name for entry in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize("passphrase", [None, GOOD])
def test_without_a_security_key_there_is_a_clear_error(tmp_path, passphrase):
    with pytest.raises(HaSshError) as caught:
        make_key(str(tmp_path / "id"), KeyKind.ED25519_SK, passphrase, "me")
    assert caught.value.code == "no-security-key"
    assert "correct horse" not in caught.value.message
    assert not (tmp_path / "id").exists()


def test_without_ssh_keygen_there_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HaSshError) as caught:
        make_key(str(tmp_path / "id"), KeyKind.ED25519_SK, None, "me")
    assert caught.value.code == "no-ssh-keygen"


# --------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("format_", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_every_form_that_openssh_writes(tmp_path, kind, format_, passphrase):
    path = tmp_path / "id"
    public = keygen(path, "-m", format_, "-a", "1", kind=kind, passphrase=passphrase, comment="some words")
    state = read_key(str(path), Secret(passphrase))
    assert (state.public, state.comment, state.problem) == (public, "some words", None)
    assert state.encrypted is bool(passphrase)
    if passphrase:
        locked = read_key(str(path), None)
        assert (locked.problem, locked.unlocked, locked.public) == ("locked", False, public)
        wrong = read_key(str(path), Secret("wrong horse"))
        assert (wrong.problem, wrong.unlocked) == ("wrong-passphrase", False)
        assert "wrong horse" not in wrong.detail
    else:
        assert read_key(str(path), Secret("needless")).problem is None


def test_the_public_key_is_read_from_the_private_file_though_it_is_locked_and_alone(tmp_path):
    path = tmp_path / "id"
    public = keygen(path, passphrase="correct horse")
    Path(f"{path}.pub").unlink()
    assert read_key(str(path), None).public == public


def test_a_pub_file_of_another_key_is_not_believed(tmp_path):
    public = keygen(tmp_path / "id", comment="mine")
    keygen(tmp_path / "other", comment="not mine")
    Path(tmp_path / "other.pub").replace(tmp_path / "id.pub")
    state = read_key(str(tmp_path / "id"), None)
    assert (state.public, state.comment) == (public, "")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.rstrip(b"\n"),
        lambda raw: raw.replace(b"\n", b"\r\n").rstrip(),
    ],
)
def test_line_ends_that_openssh_refuses_are_told_though_the_key_is_good(tmp_path, spoil):
    path = tmp_path / "id"
    public = keygen(path)
    path.write_bytes(spoil(path.read_bytes()))
    state = read_key(str(path), None)
    assert (state.crlf, state.problem, state.public) == (True, None, public)


def test_a_key_that_others_may_read_says_so_by_its_mode(tmp_path):
    keygen(tmp_path / "id")
    (tmp_path / "id").chmod(0o644)
    assert read_key(str(tmp_path / "id"), None).mode == 0o644


def private(text: bytes, label: str = "OPENSSH ") -> bytes:
    return b"-----BEGIN %sPRIVATE KEY-----\n%s\n-----END %sPRIVATE KEY-----\n" % (label.encode(), text, label.encode())


def wire(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def openssh_blob(kind: bytes, *, cipher: bytes = b"none") -> bytes:
    """A private key file of a kind that ssh-keygen no longer makes; its secret part is rubbish."""
    public = wire(kind, b"x" * 32)
    blob = b"openssh-key-v1\0" + wire(cipher, b"none", b"") + (1).to_bytes(4, "big") + wire(public, b"y" * 64)
    return private(base64.b64encode(blob))


PPK = b"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: x\r\nPublic-Lines: 2\r\n"


@pytest.mark.parametrize(
    ("content", "problem", "words"),
    [
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKSomething me\n", "public", "without `.pub`"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n", "public", "public"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public", "public"),
        (PPK, "putty", "puttygen"),
        (b"", "broken", "empty"),
        (b"rubbish\n", "broken", "no private key"),
        (b"\x00\x01\xff\xfe", "broken", "no private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n".encode("utf-16"), "broken", "UTF-16"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "broken", "missing"),
        (private(b"AAAA"), "broken", "damaged"),
        (private(b"not base64!"), "broken", "damaged"),
        (private(base64.b64encode(b"openssh-key-v1\0\0\0")), "broken", "damaged"),
        (private(b"AAAA", "DSA "), "unsupported", "DSA"),
        (openssh_blob(b"ssh-dss"), "unsupported", "DSA"),
        (openssh_blob(b"ssh-ed25519"), "broken", "cannot be opened"),
        (openssh_blob(b"ssh-mystery"), "unsupported", "not supported"),
        (private(b"AAAA", ""), "broken", "cannot be opened"),
    ],
)
def test_odd_files(tmp_path, content, problem, words):
    path = tmp_path / "id"
    path.write_bytes(content)
    state = read_key(str(path), None)
    assert (state.exists, state.unlocked, state.problem) == (True, False, problem)
    assert words in state.detail
    assert openssh_says(path) is None


def test_a_dsa_key_in_new_clothes(tmp_path):
    old = dsa.generate_private_key(1024).private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    (tmp_path / "id").write_bytes(old)
    state = read_key(str(tmp_path / "id"), None)
    assert (state.problem, state.unlocked) == ("unsupported", False)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A key in each form, with the public key that belongs to it."""
    folder = tmp_path_factory.mktemp("samples")
    made = {}
    for form_ in ("RFC4716", "PEM", "PKCS8"):
        for passphrase in ("", "correct horse"):
            path = folder / f"{form_}{len(passphrase)}"
            public = keygen(path, "-m", form_, "-a", "1", kind="ecdsa", passphrase=passphrase)
            made[path.read_bytes()] = public
    return folder, made


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_key_is_never_taken_for_another_and_never_upsets(samples, data):
    folder, made = samples
    whole = data.draw(st.sampled_from(list(made)))
    place = data.draw(st.integers(0, len(whole)))
    change = data.draw(st.binary(max_size=4))
    path = folder / "damaged"
    path.write_bytes(whole[:place] + change + whole[place + data.draw(st.integers(0, 40)) :])
    state = read_key(str(path), data.draw(st.sampled_from([None, GOOD, Secret("wrong")])))
    if state.problem is None:
        assert state.public == made[whole]


def test_what_is_not_there_or_no_file(tmp_path):
    assert read_key(str(tmp_path / "id"), None).problem == "missing"
    assert not read_key(str(tmp_path / "id"), None).exists
    state = read_key(str(tmp_path), None)
    assert (state.problem, state.detail) == ("unreadable", "it is a folder")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert read_key(str(tmp_path / "link"), None).problem == "unreadable"


def test_a_linked_key_is_read(tmp_path):
    public = keygen(tmp_path / "real")
    (tmp_path / "id").symlink_to(tmp_path / "real")
    assert read_key(str(tmp_path / "id"), None).public == public


def test_a_broken_key_is_told_from_a_wrong_passphrase_as_far_as_can_be(tmp_path):
    path = tmp_path / "id"
    keygen(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3] + lines[-2:]))
    assert read_key(str(path), None).problem == "broken"


@pytest.mark.parametrize(
    "maker", [lambda: rsa.generate_private_key(65537, 2048), lambda: ec.generate_private_key(ec.SECP384R1())]
)
def test_keys_of_openssl(tmp_path, maker):
    key = maker()
    for lock in (form.NoEncryption(), form.BestAvailableEncryption(GOOD.reveal().encode())):
        path = tmp_path / "id"
        path.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock))
        public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()
        assert read_key(str(path), GOOD).public == public
        assert read_key(str(path), GOOD).problem is None


def test_what_lies_beside_a_key_is_told_apart(tmp_path):
    path, beside = tmp_path / "id", tmp_path / "id.pub"
    public = make_key(str(path), KeyKind.ED25519, None, "me")
    assert read_key(str(path), None).beside == public
    other = make_key(str(tmp_path / "other"), KeyKind.ED25519, None, "me")
    beside.write_text(f"{other} me\n")
    state = read_key(str(path), None)
    assert (state.public, state.beside, state.comment) == (public, other, "")
    beside.write_text("no key\n")
    assert read_key(str(path), None).beside == ""
    path.unlink()
    assert read_key(str(path), None).beside == ""
    beside.unlink()
    assert read_key(str(path), None).beside is None
