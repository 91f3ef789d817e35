"""Truth: nothing in the app's settings needs what its protection mode withholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.facts import ALWAYS_SO, Apps
from ha_ssh.core.model import (
    Check,
    Consent,
    Edit,
    EditOp,
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
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable


@dataclass(frozen=True, kw_only=True)
class EndProtection:
    """Switch an app's protection mode off, so that it may use Docker once it has restarted."""

    slug: str
    name: str

    id: ClassVar[str] = "end-protection"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.PUT_BACK
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return f"Switch the protection mode of {self.name} off"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The switch, and what it means."""
        return (f"~ {self.name}, protection mode: on -> off", "whoever logs in then rules the whole machine")

    def after(self, facts: Facts) -> Facts:
        """The mode is off."""
        return facts.with_(facts[Apps].but(self.slug, protected=False))

    async def save(self, home: Home) -> dict[str, Any]:
        """Whether it was on."""
        return {"protected": await self._is_on(home)}

    async def do(self, home: Home, show: Show) -> None:
        """Switch it off."""
        await home.call(f"/addons/{self.slug}/security", {"protected": False})

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Switch it on again, if it was."""
        if saved["protected"] and not await self._is_on(home):
            await home.call(f"/addons/{self.slug}/security", {"protected": True})
        return None

    async def _is_on(self, home: Home) -> bool:
        return (await home.supervisor(f"/addons/{self.slug}/info")).get("protected") is not False


def judge(want: Want, facts: Facts) -> Verdict:
    """Look for Docker among the packages and commands of an app that is protected."""
    app = facts[Apps].chosen(want.app)
    wishes = [one for one in (*app.serving.packages, *app.serving.commands) if "docker" in one.lower()]
    if not (app.installed and app.protected and wishes):
        return ok("nothing in the app's settings needs what its protection mode withholds")
    fix = Fix(
        does="switch the protection mode off, and restart the app",
        consent=Consent.ASK,
        offered=True,
        slug=app.slug,
        restart=True,
        steps=(EndProtection(slug=app.slug, name=app.flavour.name),),
        instructions=(
            "without it, whoever logs in rules the whole machine: leave it on unless you must",
            f"the switch is in Settings, Apps, {app.flavour.name}, Info; it takes a restart",
        ),
    )
    return note(
        f"{app.flavour.name} is in protection mode, and its settings name Docker",
        "`docker` answers `PROTECTION MODE ENABLED` in a session",
        f"/addons/{app.slug}/info: protected true; settings: {wishes[0]}",
        failure="protected",
        fix=fix,
    )


def _docker(scene: Breakable) -> None:
    """Ask for Docker among the extra packages."""
    path = scene.flavour.drop_packages().path
    scene.save(Edit(path=path, op=EditOp.SET, value=["docker-cli"], title="ask for Docker"))
    scene.restart()


CHECK = Check(
    id="protection-fits",
    stage=Stage.APP,
    scope=Scope.HYGIENE,
    title="The protection mode withholds nothing that is wanted",
    why="it keeps Docker from the app, and nothing else",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    faults={"protected": _docker},
)
STEPS = (EndProtection,)
