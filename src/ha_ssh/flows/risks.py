"""The named risks and the offers of a plan: a person is asked about each; nobody accepts one for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.ask.questions import offer_question, risk_question
from ha_ssh.core.planner import plan as plan_for
from ha_ssh.core.planner import wished

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from ha_ssh.core.model import Check, Facts, Risk, Want
    from ha_ssh.flows.tools import Tools


async def accept_risks(tools: Tools, want: Want, facts: Facts, checks: Sequence[Check], hands_off: Container[str] = ()) -> Want:
    """Return the want with the risks that were accepted when asked, each once; what comes of the others the run decides."""
    declined: set[Risk] = set()
    while True:
        open_ones = plan_for(want, facts, checks, hands_off=hands_off).unaccepted
        asked = ((one.verdict, one.verdict.fix, one.verdict.fix.risk) for one in open_ones if one.verdict.fix is not None)
        verdict, fix, risk = next((one for one in asked if one[2] not in {None, *declined}), (None, None, None))
        if verdict is None or fix is None or risk is None:
            return want
        says = f"{verdict.says}; to go on, this would {fix.does}"
        if await tools.asker.ask(risk_question(risk, says[0].upper() + says[1:])):
            want = replace(want, accepted=want.accepted | {risk})
        else:
            declined.add(risk)


async def take_offers(tools: Tools, want: Want, facts: Facts, checks: Sequence[Check], hands_off: Container[str] = ()) -> Want:
    """Return the want with the offers that were taken, by a flag or when asked, each by itself, and with what they wish for."""
    for finding in plan_for(want, facts, checks, hands_off=hands_off).offers:
        fix = finding.verdict.fix
        if fix is not None and await tools.asker.ask(offer_question(finding.id, finding.verdict.says, fix.does)):
            want = replace(want, taken=want.taken | {finding.id})
    return wished(want, facts, checks)
