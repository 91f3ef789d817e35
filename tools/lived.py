"""Every known failure as it is lived through in a simulated house: what the doctor says of it, and what it would do."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "laws"))

from worlds import BREAKABLE, FLAVOURS, World

from ha_ssh.checks import all_checks
from ha_ssh.core import planner
from ha_ssh.core.model import Consent, Fix, Level, Stage, Verdict
from ha_ssh.flows.remember import lasting

if TYPE_CHECKING:
    from worlds import Broken

_CONSENTS = {Consent.AUTO: "does it", Consent.ASK: "asks", Consent.TELL: "tells"}


def lived() -> dict[str, Verdict]:
    """Return the verdict on each scene by its name, in a house with an app that it can befall.

    Most are lived through in memory, which takes no time. What stands between this computer and the house has its words only
    on the wire, so those scenes are the demo's own.
    """
    on_the_wire = [broken for broken in BREAKABLE if broken.check.stage is Stage.HOUSE]
    with ThreadPoolExecutor(max_workers=3) as side_by_side:
        told = side_by_side.map(shown, on_the_wire)
        in_memory = {broken.id: asyncio.run(_verdict(broken)) for broken in BREAKABLE if broken not in on_the_wire}
        by_name = in_memory | dict(zip((broken.id for broken in on_the_wire), told, strict=True))
    return {broken.id: by_name[broken.id] for broken in BREAKABLE}


async def _verdict(broken: Broken) -> Verdict:
    slug = next(slug for slug in sorted(FLAVOURS, reverse=True) if broken.befalls(slug))
    world = World(slug=slug)
    await world.setup()
    stage = world.stage()
    broken.break_it(stage)
    world.house.settle()
    world.ssh_host = stage.ssh_host
    facts = await world.look()
    # What the doctor goes by is what was remembered of the setup, and no risk has been accepted yet.
    want = lasting(world.want)
    return next(one.verdict for one in planner.diagnose(want, facts, all_checks()) if one.id == broken.check.id)


def shown(broken: Broken) -> Verdict:
    """Return what `ha-ssh doctor --demo --scene NAME` says, with the house at its usual address."""
    command = [sys.executable, "-m", "ha_ssh", "doctor", "--demo", "--scene", broken.id, "--json"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("HA_SSH_")}
    done = subprocess.run(command, capture_output=True, text=True, env=own, check=False)
    try:
        report = json.loads(done.stdout)
        finding = next(one for one in report["findings"] if one["id"] == broken.check.id)
    except (ValueError, StopIteration):
        raise RuntimeError(f"the demo of `{broken.id}` tells nothing of it: {done.stderr[-400:]}") from None
    says = re.sub(r"(https?://)127(?:\.\d+){3}", r"\g<1>192.168.1.20", finding["says"])
    fix = finding["fix"] and Fix(does=finding["fix"]["does"], consent=Consent(finding["fix"]["consent"]))
    return Verdict(level=Level(finding["verdict"]), says=says, failure=finding["failure"] or "", fix=fix)


def consent(fix: Fix | None) -> str:
    """Return what is done about a finding, and whether anybody is asked."""
    if fix is None:
        return "nothing: it is only said"
    risk = f", by `--accept-risk {fix.risk}`" if fix.risk else ""
    return f"{_CONSENTS[fix.consent]}{risk}: {fix.does}"
