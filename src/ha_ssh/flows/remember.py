"""What is written down of a house once a run has changed it, or has found it as it was wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core.errors import Exit
from ha_ssh.core.facts import Apps, Supervisor
from ha_ssh.core.model import ErrorReport, NotKnown, Outcome, PasswordWish, Want

if TYPE_CHECKING:
    from ha_ssh import engine
    from ha_ssh.core.errors import HaSshError
    from ha_ssh.core.model import Report
    from ha_ssh.flows.enter import Met
    from ha_ssh.flows.tools import Tools


def remember(tools: Tools, met: Met, done: engine.Converged, want: Want) -> None:
    """Write down the house as it is now, and what is wanted of it; the journal keeps what was written there before."""
    apps, house = done.facts[Apps], done.facts.get(Supervisor)
    app = apps.chosen(want.app)
    before = tools.memory.written(met.name)
    tools.memory.remember(
        name=met.name,
        url=met.url,
        trust=met.trust,
        ssh_host=done.facts.target.ssh_host,
        ssh_port=app.serving.port,
        user=app.serving.user,
        known_as=done.facts.target.known_as,
        app=app.slug,
        identity=want.identity,
        alias=want.alias,
        machine_id=None if isinstance(house, NotKnown) else house.machine_id,
        version=app.version,
        want=lasting(want),
    )
    after = tools.memory.written(met.name)
    if done.run is not None and after is not None:
        tools.journal.remembered(done.run, before, after)


def lasting(want: Want) -> Want:
    """Return what of a want holds for the next runs too; a new password is made once, and kept then."""
    password = PasswordWish.KEEP if want.password is PasswordWish.GENERATE else want.password
    want = replace(want, password=password, new_password=None, passphrase=None, make_key=None)
    return replace(want, accepted=frozenset(), taken=frozenset(), remembered=frozenset())


def not_written_down(report: Report, what: str, error: HaSshError) -> None:
    """Say in a report that all went well but for the writing down."""
    report.result, report.exit = Outcome.WRONG, Exit.WRONG
    says = f"{what}, but it could not be written down: {error.message}"
    report.error = ErrorReport(code=error.code, message=says, hints=error.hints)
