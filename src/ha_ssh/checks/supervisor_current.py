"""Truth: the Supervisor is up to date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.errors import HaSshError, Unreachable
from ha_ssh.core.facts import Apps, Supervisor
from ha_ssh.core.house_facts import still_to_install
from ha_ssh.core.model import (
    Check,
    Consent,
    Facts,
    Fix,
    Home,
    IfFailed,
    Scope,
    Show,
    Stage,
    Verdict,
    Want,
    note,
    ok,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable

_UPDATE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class UpdateSupervisor:
    """Update the Supervisor, which restarts itself; Home Assistant and the apps go on meanwhile."""

    to: str

    id: ClassVar[str] = "update-supervisor"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = frozenset()

    @property
    def title(self) -> str:
        """What it does."""
        return f"Update the Supervisor to {self.to}"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The versions."""
        return (f"~ Supervisor: {facts[Supervisor].version} -> {self.to}",)

    def after(self, facts: Facts) -> Facts:
        """It is up to date."""
        return facts.with_(replace(facts[Supervisor], version=self.to, latest=None))

    async def save(self, home: Home) -> dict[str, Any]:
        """Nothing: an update is not taken back."""
        return {}

    async def do(self, home: Home, show: Show) -> None:
        """Update it, and wait until it is up again with the new version."""
        show.progress("updating the Supervisor", None)
        try:
            await home.call("/supervisor/update")
        except Unreachable as lost:
            if not lost.maybe_done:
                raise
        if not await home.until("the Supervisor to come back", lambda: self._is_up(home), limit=_UPDATE_SECONDS):
            raise HaSshError("supervisor-not-updated", "the Supervisor did not come back with its new version in time")

    async def _is_up(self, home: Home) -> bool | None:
        try:
            updated = not (await home.supervisor("/supervisor/info")).get("update_available")
            return (updated and (await home.supervisor("/info")).get("state") == "running") or None
        except HaSshError:
            return None  # it is away while it restarts

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """It stays updated."""
        return None


def judge(want: Want, facts: Facts) -> Verdict:
    """Judge its version; an old one matters where an app is to be installed."""
    supervisor = facts[Supervisor]
    if supervisor.latest is None and not supervisor.tells_updates:
        says = f"the Supervisor {supervisor.version} does not say whether it is up to date"
        return note(says, "", "/supervisor/info: no update_available")
    if supervisor.latest is None:
        return ok(f"the Supervisor {supervisor.version} is up to date")
    evidence = "/supervisor/info: update_available true"
    says = f"the Supervisor is {supervisor.version}, and {supervisor.latest} is out"
    step = UpdateSupervisor(to=supervisor.latest)
    update = Fix(does=f"update the Supervisor to {supervisor.latest}", consent=Consent.ASK, steps=(step,))
    if still_to_install(want, facts):
        return wrong(says, "it installs no apps until it is up to date", evidence, fix=update, failure="sup-outdated")
    fix = replace(update, offered=True, instructions=("or in Home Assistant: Settings, System, Updates",))
    return note(says, "it installs and updates no apps until it is up to date", evidence, fix=fix, failure="sup-outdated")


def break_it(scene: Breakable) -> None:
    """Let a new version come out."""
    scene.house.knobs.update_needed = True


CHECK = Check(
    id="supervisor-current",
    stage=Stage.SUPERVISOR,
    scope=Scope.HYGIENE,
    title="The Supervisor is up to date",
    why="an outdated Supervisor refuses to install and update apps",
    needs=(Supervisor, Apps),
    rests_on=("supervisor-ready",),
    judge=judge,
    break_it=None,
    faults={"sup-outdated": break_it},
)
STEPS = (UpdateSupervisor,)
