"""Truth: the app's image is whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import logs
from ha_ssh.core.facts import ALWAYS_SO, App, AppLog, Apps, log_of
from ha_ssh.core.house_facts import Resolution
from ha_ssh.core.model import (
    Check,
    Consent,
    Facts,
    Fix,
    Home,
    IfFailed,
    NotKnown,
    Show,
    Stage,
    Verdict,
    Want,
    ok,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable


@dataclass(frozen=True, kw_only=True)
class RepairImages:
    """Let the Supervisor fetch every damaged image anew; settings and data of the apps stay."""

    slug: str

    id: ClassVar[str] = "repair-images"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return "Let the Supervisor repair its images"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """What that means."""
        return ("fetches damaged images of apps anew; their settings and data stay",)

    def after(self, facts: Facts) -> Facts:
        """Nothing is known against the image any more."""
        log, resolution = facts.get(AppLog), facts.get(Resolution)
        if isinstance(log, AppLog):
            facts = facts.with_(AppLog(lines={**log.lines, self.slug: ()}))
        if isinstance(resolution, Resolution):
            left = tuple(issue for issue in resolution.issues if issue.reference != self.slug)
            facts = facts.with_(replace(resolution, issues=left))
        return facts

    async def save(self, home: Home) -> dict[str, Any]:
        """Nothing: a repair is not taken back."""
        return {}

    async def do(self, home: Home, show: Show) -> None:
        """Repair."""
        show.progress("letting the Supervisor repair its images", None)
        await home.call("/supervisor/repair")

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """It stays repaired."""
        return None


def judge(want: Want, facts: Facts) -> Verdict:
    """Look for a damaged image among the Supervisor's issues, and in the log of an app that does not run."""
    app = facts[Apps].chosen(want.app)
    evidence = None if app.running or not app.installed else _damage(facts, app)
    if evidence is None:
        return ok(f"nothing is known against the image of {app.flavour.name}")
    return wrong(
        f"the image of {app.flavour.name} is damaged, or made for another processor",
        CHECK.why,
        evidence,
        fix=Fix(
            does="let the Supervisor repair its images, and start the app (if that fails: reinstall it, then `ha-ssh setup`)",
            consent=Consent.ASK,
            steps=(RepairImages(slug=app.slug),),
            slug=app.slug,
            restart=True,
        ),
        failure="img-broken",
    )


def _damage(facts: Facts, app: App) -> str | None:
    resolution = facts.get(Resolution)
    if not isinstance(resolution, NotKnown):
        issue = resolution.of("missing_image", "corrupt_docker", reference=app.slug)
        if issue is not None:
            return issue.text
    reason = logs.fatal(log_of(facts, app))
    return f"its log: {reason.line}" if reason is not None and reason.code == "image-broken" else None


def break_it(scene: Breakable) -> None:
    """Damage it."""
    scene.house.knobs.image_broken.add(scene.slug)
    scene.restart()


CHECK = Check(
    id="app-image",
    stage=Stage.APP,
    title="The app's image is whole",
    why="an app does not start from a damaged image",
    needs=(Apps, AppLog, Resolution),
    rests_on=("app-installed",),
    judge=judge,
    break_it=break_it,
    faults={"img-broken": break_it},
)
STEPS = (RepairImages,)
