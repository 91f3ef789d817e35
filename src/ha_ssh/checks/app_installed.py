"""Truth: the SSH app is installed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.apply_settings import busy_with
from ha_ssh.core.errors import HaSshError, Unreachable
from ha_ssh.core.facts import ALWAYS_SO, Apps, Supervisor, settings_of
from ha_ssh.core.house_facts import PortHolders, Resolution, free_port
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
    rather,
    tell,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ha_ssh.core.facts import App
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
        made = apps.but(self.slug, installed=True, version=app.version_latest, state="stopped", settings=settings)
        return facts.with_(made)

    async def save(self, home: Home) -> dict[str, Any]:
        """Whether it was there before."""
        return {"installed": await _installed(home, self.slug)}

    async def do(self, home: Home, show: Show) -> None:
        """Install it, showing the Supervisor's own progress; an answer that got lost is looked up."""

        def progress(fraction: float | None, detail: str) -> None:
            show.progress(f"installing {self.name}", fraction, detail)

        try:
            await self._install(home, progress)
        except Unreachable as lost:
            if not lost.maybe_done or not await self._arrives(home):
                raise
        except HaSshError as refused:
            if refused.code != "already-installed":
                raise
            if not await self._arrives(home):  # somebody else is installing it at this moment
                raise

    async def _install(self, home: Home, progress: Callable[[float | None, str], None]) -> None:
        """Install it; a store that does not know it is loaded anew first, once."""
        try:
            await home.call(f"/store/addons/{self.slug}/install", on_progress=progress)
        except HaSshError as refused:
            if refused.code != "not-in-store":
                raise
            await home.call("/store/reload")
            await home.call(f"/store/addons/{self.slug}/install", on_progress=progress)

    async def _arrives(self, home: Home) -> bool:
        """Wait until an installation that is under way has ended; one that nobody works on for a while never began."""
        seen = home.clock.now()

        async def look() -> bool | None:
            nonlocal seen
            if await _installed(home, self.slug):
                return True
            if await busy_with(home, self.slug):
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


@dataclass(frozen=True, kw_only=True)
class FollowSuggestion:
    """Let the Supervisor do what it suggests for a repository of its store that is damaged."""

    uuid: str
    kind: str
    about: str

    id: ClassVar[str] = "follow-suggestion"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return f"Let the Supervisor fetch the repository `{self.about}` of its store anew"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The Supervisor's own word for it."""
        return (f"the Supervisor's suggestion `{self.kind}` for the store's repository `{self.about}`; apps and settings stay",)

    def after(self, facts: Facts) -> Facts:
        """The suggestion is gone, and the issue that it is for."""
        resolution = facts.get(Resolution)
        if isinstance(resolution, NotKnown):
            return facts
        issues = tuple(one for one in resolution.issues if not (one.type == _CORRUPT and one.reference == self.about))
        left = tuple(one for one in resolution.suggestions if one.uuid != self.uuid)
        return facts.with_(replace(resolution, issues=issues, suggestions=left))

    async def save(self, home: Home) -> dict[str, Any]:
        """Nothing: a store that is whole again is not damaged anew."""
        return {}

    async def do(self, home: Home, show: Show) -> None:
        """Tell it to."""
        show.progress(f"fetching the repository `{self.about}` of the store anew", None)
        await home.call(f"/resolution/suggestion/{self.uuid}")

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """It stays whole."""
        return None


async def _installed(home: Home, slug: str) -> bool:
    try:
        info = await home.supervisor(f"/addons/{slug}/info")
    except HaSshError as error:
        if error.code in {"not-installed", "no-such-app"}:
            return False
        raise
    return info.get("installed", True) is not False and info.get("version") is not None


def _in_use(options: Any) -> bool:
    """Return whether keys or a password are in the options, at whatever depth; a comment among the keys lets in nobody."""
    if not isinstance(options, dict):
        return False
    entries = options.get("authorized_keys") or ()
    listed = [entry for entry in (entries if isinstance(entries, list | tuple) else [entries]) if not str(entry).startswith("#")]
    return bool(listed or options.get("password")) or any(_in_use(value) for value in options.values())


def judge(want: Want, facts: Facts) -> Verdict:
    """Look whether the chosen app is installed, and offer to install it."""
    app = facts[Apps].chosen(want.app)
    name = app.flavour.name
    if app.installed:
        return ok(f"{name} {app.version} is installed")
    others = [other for other in facts[Apps].by_slug.values() if other.installed]
    if others and "app" in want.remembered:
        return _another(app, others[0])
    fix = Fix(does=f"install {name}", steps=(InstallApp(slug=app.slug, name=name),))
    if app.problem_code in {"not-in-store", "no-such-app"}:
        says = f"{name} is not installed, and the store of this house does not know it"
        fix = _store_first(facts, name, fix)
        why = "the store comes with Home Assistant: it was not loaded, since git, DNS or the internet failed"
        return wrong(says, why, str(app.problem), *_repository(facts), fix=fix, failure="store-empty")
    if not app.available:
        return _unavailable(facts, app)
    port = want.port or app.flavour.default_port
    if (holder := _holder(facts, app, port)) is not None:
        return _no_port(want, facts, app, port, holder)
    if (limit := _issue(facts, "ratelimit")) is not None:
        why = "the registry that apps come from has turned this house away for asking too often"
        return wrong(f"{name} is not installed", why, limit, fix=fix, failure="img-pull")
    if app.hidden:
        why = "the store's page shows it only in the Advanced Mode of your profile; the API installs it all the same"
        return wrong(f"{name} is not installed", why, "store: advanced true", fix=fix, failure="hidden-adv")
    return wrong(f"{name} is not installed", CHECK.why, *_strangers(facts), fix=fix)


def _another(app: App, other: App) -> Verdict:
    """It was set up, and is gone; another one is there: whoever changed that may want to go on with the other one."""
    name, port = app.flavour.name, other.serving.port
    state = f"runs, on port {port}" if other.running and port else "runs" if other.running else "is installed"
    fix = tell(
        "say with which of the two to go on",
        f"`ha-ssh setup --app {other.flavour.short}` goes on with {other.flavour.name}, which is there",
        f"`ha-ssh setup --app {app.flavour.short}` installs {name} again, beside it",
    )
    says = f"{name}, which was set up, is not installed any more; {other.flavour.name} {state}"
    why = "the alias leads to the app that was set up, and one SSH app is enough"
    return wrong(says, why, f"/addons/{other.slug}/info: state {other.state}, network 22/tcp {port}", fix=fix)


def _holder(facts: Facts, app: App, port: int) -> str | None:
    """Return who has the port that the app would get, in words."""
    known = facts[Apps].by_slug
    rival = next((one for one in known.values() if one.slug != app.slug and one.running and one.serving.port == port), None)
    if rival is not None:
        return rival.flavour.name
    holders = facts.get(PortHolders)
    holder = None if isinstance(holders, NotKnown) else holders.of(port, but=app.slug)
    strange = holder is not None and holder.ssh and holder.slug not in known
    return f"{holder.text}{_STRANGE if strange else ''}" if holder else None


_STRANGE = ", an SSH app that ha-ssh does not know"


def _no_port(want: Want, facts: Facts, app: App, port: int, holder: str) -> Verdict:
    """It would be installed, and could not start."""
    free = free_port(want, facts, port)
    fix = rather(
        f"install {app.flavour.name} and give it port {free}",
        "or stop whoever has the port, or give that one another port, and run the command again",
        f"another port than {free}: `ha-ssh setup --port N`",
        port=free,
    )
    says = f"{app.flavour.name} is not installed, and port {port}, which it would get, is taken by {holder}"
    why = "two programs cannot listen on one port, so the app would be installed and could not start"
    return wrong(says, why, f"/addons: {holder} has port {port}", fix=fix, failure="port-busy")


def _strangers(facts: Facts) -> tuple[str, ...]:
    """Name the SSH apps that are there, and that nothing here knows how to set up."""
    holders = facts.get(PortHolders)
    found = () if isinstance(holders, NotKnown) else holders.strangers(facts[Apps].by_slug)
    return tuple(f"/addons: {one.text}{_STRANGE}, {'runs' if one.running else 'is installed'}" for one in found)


def _unavailable(facts: Facts, app: App) -> Verdict:
    """Say why it cannot be installed here: for another processor, or for a reason that the API does not tell."""
    supervisor = facts.get(Supervisor)
    ours = () if isinstance(supervisor, NotKnown) else supervisor.arch
    says = f"{app.flavour.name} cannot be installed on this machine"
    evidence = app.problem or f"/store/addons/{app.slug}: available false"
    if ours and app.arch and not set(ours) & set(app.arch):
        why = f"it is made for {' and '.join(app.arch)}, and this machine is {', '.join(ours)}"
        fix = tell(
            "use other hardware",
            "both SSH apps need a 64-bit system since the end of 2025; one that is installed already goes on running",
        )
        return wrong(says, why, evidence, fix=fix, failure="board-arch")
    fix = tell(
        "see which of the reasons it is",
        f"Settings, Apps, the store, {app.flavour.name}: the page names it",
        "either the app needs a newer Home Assistant (Settings, System, Updates), or it is not made for this machine",
    )
    return wrong(says, "the Supervisor does not tell why", evidence, fix=fix)


def _issue(facts: Facts, kind: str) -> str | None:
    resolution = facts.get(Resolution)
    issue = None if isinstance(resolution, NotKnown) else resolution.of(kind)
    return issue.text if issue else None


_CORRUPT = "corrupt_repository"
_ANEW = frozenset({"execute_reset", "execute_reload"})
"""The Supervisor's suggestions that fetch a repository anew; that to remove it would take its apps from the store."""


def _store_first(facts: Facts, name: str, install: Fix) -> Fix:
    """Make the store whole: by what the Supervisor suggests for a damaged repository, else by loading it anew."""
    resolution = facts.get(Resolution)
    found = () if isinstance(resolution, NotKnown) else resolution.suggestions
    for one in found:
        if one.context == "store" and one.type in _ANEW and one.reference:
            step = FollowSuggestion(uuid=one.uuid, kind=one.type, about=one.reference)
            does = (
                f"let the Supervisor fetch its store's repository `{one.reference}` anew (its own suggestion), and install {name}"
            )
            return Fix(does=does, consent=Consent.ASK, steps=(step, *install.steps))
    return Fix(does=f"load the store anew and install {name}", steps=install.steps)


def _repository(facts: Facts) -> tuple[str, ...]:
    issue = _issue(facts, _CORRUPT)
    return (issue,) if issue else ()


def break_it(scene: Breakable) -> None:
    """Uninstall it."""
    scene.uninstall()


def _wrong_board(scene: Breakable) -> None:
    """Uninstall it, on a machine that it is not made for."""
    scene.uninstall()
    scene.house.knobs.arch = "armv7"
    scene.app.available = False


def _empty_store(scene: Breakable) -> None:
    """Uninstall it, and empty the store."""
    scene.uninstall()
    scene.house.knobs.store_stale = True


def _turned_away(scene: Breakable) -> None:
    """Uninstall it, and let the registry turn the house away."""
    scene.uninstall()
    scene.house.knobs.refuse.append(("POST /store/addons/.*/install", "Container registry rate limit exceeded"))
    scene.house.issues.append({"type": "docker_ratelimit", "context": "system", "reference": None, "reference_extra": None})


def _hidden(scene: Breakable) -> None:
    """Uninstall it, and hide it from the store's page."""
    scene.uninstall()
    scene.app.hidden = True


CHECK = Check(
    id="app-installed",
    stage=Stage.APP,
    title="The SSH app (add-on) is installed",
    why="without it Home Assistant has no SSH server that people may use",
    needs=(Apps, Supervisor, Resolution, PortHolders),
    rests_on=(
        "supervisor-ready",
        "supervisor-healthy",
        "supervisor-current",
        "supervisor-idle",
        "room-on-disk",
        "house-online",
    ),
    judge=judge,
    break_it=break_it,
    faults={"board-arch": _wrong_board, "store-empty": _empty_store, "img-pull": _turned_away, "hidden-adv": _hidden},
)
STEPS = (FollowSuggestion, InstallApp)
