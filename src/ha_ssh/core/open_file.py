"""The step that lets the user read and write what is his own and was closed to himself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.facts import ALWAYS_SO, Alias, Doors, MyKey, OwnFiles, SshConfig
from ha_ssh.core.model import Facts, Home, IfFailed, Later, Show

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE, _FOLDER = 0o600, 0o700


@dataclass(frozen=True, kw_only=True)
class OpenFile:
    """Let the user read and write one of his own files, or look into a folder of his."""

    path: str
    mode: int
    """As it is."""
    folder: bool = False

    id: ClassVar[str] = "open-file"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return f"Let you {'look into' if self.folder else 'read'} `{self.path}`"

    @property
    def opened(self) -> int:
        """The mode afterwards."""
        return self.mode | (_FOLDER if self.folder else _FILE)

    def preview(self, _facts: Facts) -> tuple[str, ...]:
        """The mode before and after."""
        return (f"~ {self.path}: mode {self.mode:03o} -> {self.opened:03o}",)

    def after(self, facts: Facts) -> Facts:
        """What the file holds, and what follows from it, is for the next look."""
        later = Later(f"what `{self.path}` holds")
        is_key = self.path == facts.target.identity
        for kind in (*((MyKey, Doors) if is_key or self.folder else ()), *(() if is_key else (OwnFiles, SshConfig))):
            facts = facts.without(kind, later)
        return facts.without(Alias, later) if facts.target.alias else facts

    async def save(self, _home: Home) -> dict[str, Any]:
        """Nothing that the step does not say."""
        return {}

    async def do(self, home: Home, _show: Show) -> None:
        """Give the owner's leave back."""
        await home.set_mode(self.path, self.opened)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Give the mode back, if it is still ours."""
        del saved
        if (await home.file(self.path)).mode == self.opened:
            await home.set_mode(self.path, self.mode)
        return None
