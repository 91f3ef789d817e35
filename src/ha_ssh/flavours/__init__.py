"""One file, one SSH app: every module here with a `FLAVOUR` is an app that `ha-ssh` knows."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ha_ssh.core.model import Flavour


def all_flavours() -> tuple[Flavour, ...]:
    """Return every SSH app that is known, the official one first."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return tuple(sorted((module.FLAVOUR for module in modules), key=lambda flavour: flavour.rank))
