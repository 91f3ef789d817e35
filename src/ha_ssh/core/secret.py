"""A value that must never be seen: it prints as `***` wherever it is shown by accident."""

from __future__ import annotations

from typing import Any, NoReturn


class Secret:
    """A secret text; `reveal()` is the only way to read it, so every reading can be found by that name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled")

    def __getstate__(self) -> Any:
        raise TypeError("a secret is never copied into a file")
