"""Truth: the SSH app is installed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.errors import HaSshError, Unreachable
from ha_ssh.core.facts import ALWAYS_SO, Apps, settings_of
from ha_ssh.core.model import Check, Facts, Fix, Home, IfFailed, Show, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable

_INSTALL_SECONDS = 1800.0
_LOST_SECONDS = 10.0
"""How long after a lost answer the Supervisor may begin."""


@dataclass(frozen=True, kw_only=True)
class InstallApp:
    """Install an app from the store; it stays stopped."""

    slug: str
    name: str

    id: ClassVar[str] = "install-app"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return f"Install {self.name}"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The app and its version."""
        latest = facts[Apps].by_slug[self.slug].version_latest
        return (f"+ app (add-on) {self.name} {latest or ''}".rstrip() + ", from the store",)

    def after(self, facts: Facts) -> Facts:
        """Installed, stopped, with the defaults that the store names."""
        apps = facts[Apps]
        app = apps.by_slug[self.slug]
        settings = {
            "options": app.settings.get("options", {}),
            "network": {"22/tcp": app.flavour.store_port},
            "boot": "auto",
            "watchdog": False,
            "auto_update": False,
        }
        made = replace(app, installed=True, version=app.version_latest, state="stopped", settings=settings)
        return facts.with_(replace(apps, by_slug={**apps.by_slug, self.slug: made}))

    async def save(self, home: Home) -> dict[str, Any]:
        """Whether it was there before."""
        return {"installed": await _installed(home, self.slug)}

    async def do(self, home: Home, show: Show) -> None:
        """Install it, showing the Supervisor's own progress; an answer that got lost is looked up."""

        def progress(fraction: float | None, detail: str) -> None:
            show.progress(f"installing {self.name}", fraction, detail)

        try:
            await home.call(f"/store/addons/{self.slug}/install", on_progress=progress)
        except Unreachable as lost:
            if not lost.maybe_done or not await self._arrives(home):
                raise
        except HaSshError as refused:
            if refused.code != "already-installed":
                raise
            if not await self._arrives(home):  # somebody else is installing it at this moment
                raise

    async def _arrives(self, home: Home) -> bool:
        """Wait until an installation that is under way has ended; one that nobody works on for a while never began."""
        seen = home.clock.now()

        async def look() -> bool | None:
            nonlocal seen
            if await _installed(home, self.slug):
                return True
            if await _worked_on(home, self.slug):
                seen = home.clock.now()
            return False if home.clock.now() - seen > _LOST_SECONDS else None

        return bool(await home.until(f"the installation of {self.name}", look, limit=_INSTALL_SECONDS))

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Uninstall what this run installed, unless somebody has begun to use it."""
        if saved["installed"] or not await _installed(home, self.slug):
            return None
        settings = settings_of(await home.supervisor(f"/addons/{self.slug}/info"))
        if _in_use(settings.get("options")):
            return f"{self.name} stays installed: others have put their own keys or password into its settings"
        await home.call(f"/addons/{self.slug}/uninstall")
        return None


async def _installed(home: Home, slug: str) -> bool:
    try:
        info = await home.supervisor(f"/addons/{slug}/info")
    except HaSshError as error:
        if error.code in {"not-installed", "no-such-app"}:
            return False
        raise
    return info.get("installed", True) is not False and info.get("version") is not None


async def _worked_on(home: Home, slug: str) -> bool:
    """Return whether the Supervisor has a job for this app."""
    jobs = (await home.supervisor("/jobs/info")).get("jobs") or ()
    return any(job.get("reference") == slug and not job.get("done") for job in jobs)


def _in_use(options: Any) -> bool:
    """Return whether keys or a password are in the options, at whatever depth."""
    if not isinstance(options, dict):
        return False
    return any(bool(value) for key, value in options.items() if key in {"authorized_keys", "password"}) or any(
        _in_use(value) for value in options.values()
    )


def judge(want: Want, facts: Facts) -> Verdict:
    """Look whether the chosen app is installed, and offer to install it."""
    app = facts[Apps].chosen(want.app)
    if app.installed:
        return ok(f"{app.flavour.name} {app.version} is installed")
    if not app.available:
        fix = tell("see why", "Settings, Apps, the store; the Supervisor's log names the reason")
        return wrong(
            f"{app.flavour.name} cannot be installed on this machine", CHECK.why, app.problem or "available: false", fix=fix
        )
    step = InstallApp(slug=app.slug, name=app.flavour.name)
    return wrong(f"{app.flavour.name} is not installed", CHECK.why, fix=Fix(does=f"install {app.flavour.name}", steps=(step,)))


def break_it(scene: Breakable) -> None:
    """Uninstall it."""
    scene.uninstall()


CHECK = Check(
    id="app-installed",
    stage=Stage.APP,
    title="The SSH app (add-on) is installed",
    why="without it Home Assistant has no SSH server that people may use",
    needs=(Apps,),
    rests_on=("supervisor-ready",),
    judge=judge,
    break_it=break_it,
)
STEPS = (InstallApp,)
