"""The versions of apps, compared as numbers."""

from __future__ import annotations

import re


def numbers(version: str | None) -> tuple[int, ...] | None:
    """Return a version as numbers; `None` for one that does not begin with any, such as `dev`."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version or "")
    return tuple(map(int, match[1].split("."))) if match else None


def lies_within(version: str | None, since: str, mended: str) -> bool:
    """Return whether a version is one from `since` on, and before `mended`; an unknown one is not."""
    here, first, last = numbers(version), numbers(since), numbers(mended)
    return here is not None and first is not None and last is not None and first <= here < last
