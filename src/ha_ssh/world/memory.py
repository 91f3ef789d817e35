"""What is remembered between runs: the houses, behind the names that the flows use, and the secrets of this run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh.core import settings
from ha_ssh.core.errors import UsageError
from ha_ssh.world.ha.address import base_of, candidates
from ha_ssh.world.houses import House, Houses, from_plain, load, to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import SecretRef
    from ha_ssh.core.secret import Secret
    from ha_ssh.world.vault import Vault


class Memory:
    """The remembered houses in `houses.yaml`, read when first asked for."""

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
            return next((house for house in self.houses.by_name.values() if _is_at(house, url)), None)
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

    def id_for(self, name: str) -> str:
        """Return the word that names the files of a house: its name, unless another house has files of that name."""
        known = self.houses.by_name.get(name)
        if known is not None:
            return known.id or known.name
        taken = {house.id or house.name for house in self.houses.by_name.values()}
        return next(word for word in (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))) if word not in taken)

    def with_files(self, word: str) -> House | None:
        """Return the house whose files are named by a word."""
        return next((house for house in self.every() if (house.id or house.name) == word), None)

    def every(self) -> tuple[House, ...]:
        """Return all houses in their order."""
        return tuple(self.houses.by_name.values())

    @property
    def current(self) -> str | None:
        """The name of the house that is meant where none is named."""
        house = self.houses.get()
        return house.name if house else None

    def remember(self, **house: Any) -> None:
        """Write down what is known of a house; what is not named stays as it was."""
        known = self.houses.by_name.get(house["name"])
        if known is None and (word := self.id_for(house["name"])) != house["name"]:
            house["id"] = word
        self.houses.remember(replace(known, **house) if known else House(**house))
        self.houses.save()

    def written(self, name: str) -> dict[str, Any] | None:
        """Return what is written down of a house, as plain JSON; `None` where that is nothing."""
        known = self.houses.by_name.get(name)
        return to_plain(known) if known else None

    def take_back(self, word: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """Take back, in what is written of a house now, what a change from `before` to `after` has left there."""
        known = self.with_files(word)
        if known is None:
            return
        now = to_plain(known)
        if before is not None:
            self.houses.remember(from_plain(known.name, settings.reverse(settings.diff(before, after), now)))
        elif now == after:
            self.houses.forget(known.name)
        self.houses.save()

    def use(self, name: str) -> None:
        """Make a house the current one."""
        self.houses.use(name)
        self.houses.save()

    def rename(self, old: str, new: str) -> None:
        """Give a house another name; its files keep theirs."""
        self.houses.rename(old, new)
        self.houses.save()

    def forget(self, name: str) -> None:
        """Drop a house; its files stay."""
        self.houses.forget(name)
        self.houses.save()

    def keep(self, name: str, secret: Secret) -> SecretRef:
        """Hold a secret for this run alone."""
        return self._vault.hold(name, secret)


def _is_at(house: House, address: str) -> bool:
    try:
        return base_of(house.url) in candidates(address)
    except UsageError:
        return False
