"""Every known failure as it is lived through in a simulated house: what the doctor says of it, and what it would do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "laws"))

from worlds import BREAKABLE, FLAVOURS, World

from ha_ssh.checks import all_checks
from ha_ssh.core import planner
from ha_ssh.core.model import Consent

if TYPE_CHECKING:
    from worlds import Broken

    from ha_ssh.core.model import Fix, Verdict

_CONSENTS = {Consent.AUTO: "does it", Consent.ASK: "asks", Consent.TELL: "tells"}


def lived() -> dict[str, Verdict]:
    """Return the verdict on each scene by its name, in a house with an app that it can befall."""
    return {broken.id: asyncio.run(_verdict(broken)) for broken in BREAKABLE}


async def _verdict(broken: Broken) -> Verdict:
    slug = next(slug for slug in sorted(FLAVOURS, reverse=True) if broken.befalls(slug))
    world = World(slug=slug)
    await world.setup()
    stage = world.stage()
    broken.break_it(stage)
    world.house.settle()
    world.ssh_host = stage.ssh_host
    facts = await world.look()
    return next(one.verdict for one in planner.diagnose(world.want, facts, all_checks()) if one.id == broken.check.id)


def consent(fix: Fix | None) -> str:
    """Return what is done about a finding, and whether anybody is asked."""
    if fix is None:
        return "nothing: it is only said"
    risk = f", by `--accept-risk {fix.risk}`" if fix.risk else ""
    return f"{_CONSENTS[fix.consent]}{risk}: {fix.does}"
