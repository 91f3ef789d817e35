"""The named risks and the offers of a plan: a person is asked about each; nobody accepts one for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.ask.questions import offer_question, risk_question
from ha_ssh.core.planner import plan as plan_for
from ha_ssh.core.planner import wished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ha_ssh.core.model import Check, Facts, Want
    from ha_ssh.flows.tools import Tools


async def accept_risks(tools: Tools, want: Want, facts: Facts, checks: Sequence[Check]) -> Want:
    """Return the want with the risks that were accepted when asked; one that was not stops the run before its first change."""
    while True:
        open_ones = plan_for(want, facts, checks).unaccepted
        fix = open_ones[0].verdict.fix if open_ones else None
        if fix is None or fix.risk is None:
            return want
        says = f"{open_ones[0].verdict.says}; to go on, this would {fix.does}"
        if not await tools.asker.ask(risk_question(fix.risk, says[0].upper() + says[1:])):
            return want
        want = replace(want, accepted=want.accepted | {fix.risk})


async def take_offers(tools: Tools, want: Want, facts: Facts, checks: Sequence[Check]) -> Want:
    """Return the want with the offers that were taken, by a flag or when asked, each by itself, and with what they wish for."""
    for finding in plan_for(want, facts, checks).offers:
        fix = finding.verdict.fix
        if fix is not None and await tools.asker.ask(offer_question(finding.id, finding.verdict.says, fix.does)):
            want = replace(want, taken=want.taken | {finding.id})
    return wished(want, facts, checks)
