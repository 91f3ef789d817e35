"""One file, one truth: every module here with a `CHECK` is in the doctor, in setup and under the laws."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from ha_ssh.core.model import Check


def _modules() -> tuple[ModuleType, ...]:
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


def all_checks() -> tuple[Check, ...]:
    """Return every check there is."""
    return tuple(module.CHECK for module in _modules())


def all_steps() -> dict[str, type[Any]]:
    """Return the kinds of step that the checks' fixes are made of, by id, so that a journal can be read back."""
    return {step.id: step for module in _modules() for step in getattr(module, "STEPS", ())}
