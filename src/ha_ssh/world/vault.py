"""Secrets at rest: in the system's keyring, else in a private file, with one warning when it is made."""

from __future__ import annotations

import json
import queue
import threading
from typing import TYPE_CHECKING, TypeVar

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import SecretRef
from ha_ssh.core.secret import Secret
from ha_ssh.world import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.core.model import FileState

T = TypeVar("T")

SERVICE = "ha-ssh"
PATIENCE = 3.0
"""Seconds after which a keyring that does not answer is given up; some wait for a window that nobody sees."""


class Vault:
    """Secrets by name. With `keyring=False` (the wish of the user, a portable profile) only the file is used."""

    def __init__(self, path: str, *, keyring: bool, warn: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._path = path
        self._keyring = keyring
        self._warn = warn
        self._patience = patience
        self._held: dict[str, Secret] = {}
        self._minded = False

    def hold(self, name: str, secret: Secret) -> SecretRef:
        """Hold a secret in memory, for this process alone."""
        self._held[name] = secret
        return SecretRef(name)

    def keep(self, name: str, secret: Secret) -> SecretRef:
        """Put a secret away under a name, over an older one of that name."""
        if self._in_keyring(lambda: _put(name, secret), fallback=False):
            self._put_in_file(name, None)
        else:
            new = not files.read(self._path).exists
            self._put_in_file(name, secret)
            if new:
                self._warn(f"no system keyring is used: secrets are kept in the file `{self._path}`, which only you can read")
        return SecretRef(name)

    def recall(self, ref: SecretRef) -> Secret:
        """Return a secret; raises `HaSshError` (`secret-gone`) where there is none of that name."""
        if ref.name in self._held:
            return self._held[ref.name]
        text = self._file().get(ref.name)
        if text is None:
            text = self._in_keyring(lambda: _get(ref.name), fallback=None)
        if text is None:
            where = "neither in the keyring nor" if self._keyring else "not"
            raise HaSshError("secret-gone", f"the secret `{ref.name}` is {where} in `{self._path}`")
        return Secret(text)

    def forget(self, name: str) -> None:
        """Remove a secret wherever it lies; missing is fine."""
        self._put_in_file(name, None)
        self._in_keyring(lambda: _drop(name), fallback=None)

    # ------------------------------------------------------------------------------------------------------------ inside

    def _in_keyring(self, job: Callable[[], T], *, fallback: T) -> T:
        """Do a job of the keyring on a thread of its own, so that one that hangs, or is not there, costs a moment only."""
        if not self._keyring:
            return fallback
        ended: queue.SimpleQueue[tuple[T, bool]] = queue.SimpleQueue()

        def work() -> None:
            try:
                ended.put((job(), True))
            except Exception:  # noqa: BLE001 - back ends raise whatever their system gives them; each means "no keyring"
                ended.put((fallback, False))

        threading.Thread(target=work, name="keyring", daemon=True).start()
        try:
            value, self._keyring = ended.get(timeout=self._patience)
        except queue.Empty:
            self._keyring = False
            return fallback
        return value

    def _file(self) -> dict[str, str]:
        state = files.read(self._path)
        if not state.exists:
            return {}
        if state.text is None:
            way = f"`chmod u+rw {self._path}`" if state.mine else f"it is another user's: `sudo chown $USER {self._path}`"
            raise HaSshError("vault-unreadable", f"the secrets in `{self._path}` {state.problem or 'cannot be read'}", way)
        self._mind_others(state)
        try:
            kept = json.loads(state.text or "")["secrets"]
            return {str(name): str(text) for name, text in kept.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise HaSshError(
                "vault-broken", f"`{self._path}` is no file of secrets", "move it away; ha-ssh then asks for them again"
            ) from None

    def _mind_others(self, state: FileState) -> None:
        """Say once that others can read the file; the next secret that is put into it closes it."""
        if state.mode is not None and state.mode & 0o077 and not self._minded and not files.WINDOWS:
            self._minded = True
            self._warn(f"others can read the secrets in `{self._path}` (mode {state.mode:03o}): `chmod 600 {self._path}`")

    def _put_in_file(self, name: str, secret: Secret | None) -> None:
        kept = self._file()
        if secret is None and name not in kept:
            return
        kept.pop(name, None)
        if secret is not None:
            kept[name] = secret.reveal()
        files.write(self._path, json.dumps({"schema": 1, "secrets": kept}, indent=1) + "\n")
        files.set_mode(self._path, files.PRIVATE)


def _put(name: str, secret: Secret) -> bool:
    """Write to the keyring and read back, since a back end may take everything and keep nothing."""
    import keyring

    keyring.set_password(SERVICE, name, secret.reveal())
    return keyring.get_password(SERVICE, name) == secret.reveal()


def _get(name: str) -> str | None:
    import keyring

    return keyring.get_password(SERVICE, name)


def _drop(name: str) -> None:
    import keyring

    if keyring.get_password(SERVICE, name) is not None:
        keyring.delete_password(SERVICE, name)
