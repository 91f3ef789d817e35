"""What is remembered between runs: the houses and their sign-ins, behind the names that the flows use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.core.errors import HaSshError, UsageError
from ha_ssh.core.model import SecretRef
from ha_ssh.world.houses import House, Houses, load

if TYPE_CHECKING:
    from ha_ssh.core.secret import Secret
    from ha_ssh.world.vault import Vault


class Memory:
    """The remembered houses in `houses.yaml`, their secrets in the vault; read when first asked for."""

    def __init__(self, path: str, vault: Vault) -> None:
        self._path = path
        self._vault = vault
        self._loaded: Houses | None = None

    @property
    def houses(self) -> Houses:
        """The content of `houses.yaml`."""
        if self._loaded is None:
            self._loaded = load(self._path)
        return self._loaded

    def find(self, name: str | None, url: str | None) -> House | None:
        """Return a house by name, else by address, else the current one; raises `UsageError` for a name that nobody knows."""
        if name is not None:
            found = self.houses.get(name)
            if found is None and url is None:
                there = ", ".join(f"`{known}`" for known in self.houses.by_name) or "none yet"
                raise UsageError("no-such-house", f"--house: no house `{name}` is remembered", f"remembered houses: {there}")
            return found
        if url is not None:
            return next((house for house in self.houses.by_name.values() if _same_place(house.url, url)), None)
        return self.houses.get()

    def name_for(self, url: str) -> str:
        """Return the name of the house at an address, or a free one for a new house."""
        known = self.find(None, url)
        if known is not None:
            return known.name
        taken = set(self.houses.by_name)
        host = re.sub(r"[^a-z0-9-]+", "-", (urlsplit(url).hostname or "house").lower()).strip("-")
        names = ("home", host, *(f"home-{number}" for number in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)

    def remember(self, **house: Any) -> None:
        """Write down what is known of a house."""
        self.houses.remember(House(**house))
        self.houses.save()

    def token(self, url: str) -> Secret | None:
        """Return the sign-in that is kept for an address, if there is one."""
        try:
            return self._vault.recall(SecretRef(_token_name(url)))
        except HaSshError as gone:
            if gone.code != "secret-gone":
                raise
            return None

    def keep_token(self, url: str, token: Secret) -> None:
        """Keep the sign-in for an address."""
        self._vault.keep(_token_name(url), token)

    def keep(self, name: str, secret: Secret) -> SecretRef:
        """Hold a secret for this run alone."""
        return self._vault.hold(name, secret)


def _token_name(url: str) -> str:
    parts = urlsplit(url)
    return f"token {parts.scheme}://{parts.netloc}".lower()


def _same_place(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()
