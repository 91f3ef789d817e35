"""Secrets go to the keyring if there is a sound one, else to a private file, with one warning, and never anywhere else."""

import json
import os
import stat
import sys
import threading
from pathlib import Path
from types import ModuleType

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import SecretRef
from ha_ssh.core.secret import Secret
from ha_ssh.world.vault import Vault

SECRET = Secret("correct horse")


class Memory(KeyringBackend):
    """A back end of the real `keyring` package, that keeps what it is given."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


class Forgetful(Memory):
    """Takes everything, keeps nothing."""

    def set_password(self, service, username, password):
        pass


class Hanging(Memory):
    """Waits for somebody to unlock it, who never comes."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.asked = 0

    def get_password(self, *_asked):
        self.asked += 1
        self.released.wait()

    set_password = get_password


@pytest.fixture
def use():
    """Make one back end the system's keyring."""
    before = keyring.get_keyring()
    yield lambda backend: keyring.set_keyring(backend) or backend
    keyring.set_keyring(before)


@pytest.fixture
def warnings():
    return []


def vault(tmp_path, warnings, **how) -> Vault:
    return Vault(str(tmp_path / "state" / "secrets.json"), **{"keyring": True, "warn": warnings.append, **how})


def test_a_keyring_keeps_it_and_no_file_is_made(tmp_path, use, warnings):
    backend = use(Memory())
    ours = vault(tmp_path, warnings)
    assert ours.keep("home/token", SECRET) == SecretRef("home/token")
    assert vault(tmp_path, warnings).recall(SecretRef("home/token")) == SECRET
    assert backend.kept == {("ha-ssh", "home/token"): "correct horse"}
    ours.forget("home/token")
    ours.forget("home/token")
    assert backend.kept == {}
    assert warnings == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", [NoKeyring, Forgetful])
def test_without_a_sound_keyring_a_private_file_does_with_one_warning(tmp_path, use, warnings, backend):
    use(backend())
    before = os.umask(0)
    ours = vault(tmp_path, warnings)
    ours.keep("a", SECRET)
    ours.keep("b", Secret("battery staple"))
    os.umask(before)
    path = tmp_path / "state" / "secrets.json"
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = vault(tmp_path, warnings)
    assert again.recall(SecretRef("a")) == SECRET
    again.forget("a")
    with pytest.raises(HaSshError) as caught:
        again.recall(SecretRef("a"))
    assert caught.value.code == "secret-gone"
    assert again.recall(SecretRef("b")) == Secret("battery staple")
    assert len(warnings) == 1


def test_a_keyring_that_hangs_is_given_up_once(tmp_path, use, warnings):
    backend = use(Hanging())
    ours = vault(tmp_path, warnings, patience=0.05)
    ours.keep("a", SECRET)
    assert ours.recall(SecretRef("a")) == SECRET
    with pytest.raises(HaSshError):
        ours.recall(SecretRef("other"))
    ours.forget("a")
    assert backend.asked == 1
    assert len(warnings) == 1
    backend.released.set()


def test_a_secret_moves_into_the_keyring_when_there_is_one(tmp_path, use, warnings):
    use(NoKeyring())
    vault(tmp_path, warnings).keep("a", Secret("old"))
    use(Memory())
    assert vault(tmp_path, warnings).recall(SecretRef("a")) == Secret("old")
    vault(tmp_path, warnings).keep("a", SECRET)
    assert vault(tmp_path, warnings).recall(SecretRef("a")) == SECRET
    assert "old" not in (tmp_path / "state" / "secrets.json").read_text()


def test_a_profile_never_asks_the_keyring(tmp_path, use, warnings):
    backend = use(Hanging())
    ours = vault(tmp_path, warnings, keyring=False)
    ours.keep("a", SECRET)
    assert ours.recall(SecretRef("a")) == SECRET
    ours.forget("a")
    assert backend.asked == 0


def test_a_keyring_package_that_does_not_even_load(tmp_path, warnings, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", ModuleType("keyring"))
    vault(tmp_path, warnings).keep("a", SECRET)
    assert len(warnings) == 1


@pytest.mark.parametrize("content", ["", "rubbish", "[]", '{"secrets": 1}', '{"schema": 1}'])
def test_a_broken_file_is_named_and_never_overwritten(tmp_path, warnings, content):
    path = tmp_path / "state" / "secrets.json"
    path.parent.mkdir()
    path.write_text(content)
    ours = vault(tmp_path, warnings, keyring=False)
    for ask in (lambda: ours.keep("a", SECRET), lambda: ours.recall(SecretRef("a")), lambda: ours.forget("a")):
        with pytest.raises(HaSshError) as caught:
            ask()
        assert caught.value.code == "vault-broken"
        assert str(path) in caught.value.message
    assert path.read_text() == content


def test_a_file_that_others_may_read_becomes_private_again(tmp_path, warnings):
    path = tmp_path / "state" / "secrets.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": 1, "secrets": {"b": "x"}}))
    path.chmod(0o644)
    vault(tmp_path, warnings, keyring=False).keep("a", SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["secrets"] == {"b": "x", "a": "correct horse"}


def test_a_file_that_others_may_read_is_said_once(tmp_path, warnings):
    path = tmp_path / "state" / "secrets.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": 1, "secrets": {"b": "x"}}))
    path.chmod(0o644)
    ours = vault(tmp_path, warnings, keyring=False)
    assert [ours.recall(SecretRef("b")).reveal() for _ in range(2)] == ["x", "x"]
    assert len(warnings) == 1
    assert f"chmod 600 {path}" in warnings[0]


def test_a_file_that_may_not_be_read_is_not_called_broken(tmp_path, warnings, monkeypatch):
    path = tmp_path / "state" / "secrets.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": 1, "secrets": {"b": "x"}}))

    def refuse(_self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(HaSshError) as caught:
        vault(tmp_path, warnings, keyring=False).recall(SecretRef("b"))
    assert caught.value.code == "vault-unreadable"
    assert "move it away" not in str(caught.value.hints)
    assert f"chmod u+rw {path}" in str(caught.value.hints)
