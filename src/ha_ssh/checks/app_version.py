"""Truth: nothing is known against the app's version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import logs
from ha_ssh.core.facts import ALWAYS_SO, App, AppLog, Apps, after_start, log_of
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
    tell,
    warn,
)
from ha_ssh.core.versions import lies_within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable

_MANAGERS = {"manager", "admin"}
"""The roles with which an app may ask the Supervisor for everything that `ha` shows."""


@dataclass(frozen=True, kw_only=True)
class UpdateApp:
    """Update an app; one that runs is restarted."""

    slug: str
    name: str
    to: str

    id: ClassVar[str] = "update-app"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return f"Update {self.name} to {self.to}"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The versions, and what the restart means."""
        app = facts[Apps].by_slug[self.slug]
        change = f"~ app (add-on) {self.name}: {app.version} -> {self.to}"
        return (change, f"restarts {self.name}: closes open SSH sessions") if app.running else (change,)

    def after(self, facts: Facts) -> Facts:
        """It has the new version, and runs if it ran."""
        app = facts[Apps].by_slug[self.slug]
        facts = facts.with_(facts[Apps].but(self.slug, version=self.to))
        return after_start(facts, self.slug, app.settings) if app.running else facts

    async def save(self, home: Home) -> dict[str, Any]:
        """The version that it had."""
        return {"version": (await home.supervisor(f"/addons/{self.slug}/info")).get("version")}

    async def do(self, home: Home, show: Show) -> None:
        """Update it, showing the Supervisor's own progress."""

        def progress(fraction: float | None, detail: str) -> None:
            show.progress(f"updating {self.name}", fraction, detail)

        await home.call(f"/store/addons/{self.slug}/update", on_progress=progress)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """It stays updated: the Supervisor knows no way back but a backup."""
        now = (await home.supervisor(f"/addons/{self.slug}/info")).get("version")
        return None if now == saved["version"] else f"{self.name} stays at {now}: the former version comes from a backup only"


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the version with those that are known to fail in some way."""
    app = facts[Apps].chosen(want.app)
    if not app.installed:
        return ok("no app is installed yet")
    newer = app.version_latest if app.version_latest != app.version else None
    flaw = app.flaw()
    if flaw is not None:
        says = f"{app.flavour.name} {app.version} {flaw.says}"
        evidence = f"/addons/{app.slug}/info: version {app.version}"
        fix = _update(app, newer, flaw.mended)
        return Verdict(
            level=flaw.level,
            says=says,
            why=f"version {flaw.mended} mended it",
            evidence=(evidence,),
            fix=fix,
            failure=flaw.failure,
        )
    odd = _role(app, newer) or _modes(facts, app, newer)
    if odd is not None:
        return odd
    if newer is not None:
        says = f"{app.flavour.name} is {app.version}, and {newer} is out"
        fix = replace(_update(app, newer), offered=True, instructions=(_elsewhere(app),))
        return note(says, CHECK.why, f"/addons/{app.slug}/info: update_available true", fix=fix, failure="app-outdated")
    if app.version_latest is None:
        says = (
            f"nothing is known against {app.flavour.name} {app.version}; whether a newer one is out, the Supervisor does not say"
        )
        return note(says, "", f"/addons/{app.slug}/info: no version_latest")
    return ok(f"{app.flavour.name} {app.version} is up to date, and nothing is known against it")


def _role(app: App, newer: str | None) -> Verdict | None:
    """Judge what the app may ask the Supervisor; in which version it got its role is not known, so none is blamed."""
    if app.role is None or app.role in _MANAGERS:
        return None
    says = f"{app.flavour.name} may ask the Supervisor too little (its role is `{app.role}`), so `ha` is refused there"
    why = "`ha` in a session says `403: forbidden`; very old versions and some forks lack the role of a manager"
    evidence = f"/addons/{app.slug}/info: hassio_role {app.role}, version {app.version}"
    return warn(says, why, evidence, fix=_update(app, newer), failure="stale-cli")


def _modes(facts: Facts, app: App, newer: str | None) -> Verdict | None:
    """Judge the server's own words on its key file, in a version of which nothing of the kind is known."""
    lines = logs.since_start(log_of(facts, app))
    line = next((refusal.line for refusal in logs.refusals(lines) if refusal.code == "modes"), None)
    if line is None:
        return None
    says = f"{app.flavour.name} refuses keys, since others could write to its own key file"
    why = "nothing of the kind is known of this version; what has changed the rights of the file is not recognised"
    candidates = (
        "a restart makes the file anew: if that helps, something changed its rights while the app ran (a command of yours?)",
        "if not: its data was restored with rights that do not fit; uninstall it, install it again, then `ha-ssh setup`",
    )
    evidence = (f"its log: {line}", f"/addons/{app.slug}/info: version {app.version}")
    if newer is None:
        return warn(says, why, *evidence, fix=tell("find out which it is", *candidates))
    return warn(says, why, *evidence, fix=replace(_update(app, newer), offered=True, instructions=candidates))


def _update(app: App, newer: str | None, mended: str = "") -> Fix:
    """Update it, where a version is to be had that is known, or may be hoped, to be better."""
    if newer is None or (mended and lies_within(newer, "0", mended)):
        return tell("reinstall it", f"Settings, Apps, {app.flavour.name}: uninstall it, install it again, then `ha-ssh setup`")
    step = UpdateApp(slug=app.slug, name=app.flavour.name, to=newer)
    return Fix(does=f"update {app.flavour.name} to {newer}", consent=Consent.AUTO if mended else Consent.ASK, steps=(step,))


def _elsewhere(app: App) -> str:
    return f"or in Home Assistant, when it suits you: Settings, Apps, {app.flavour.name}, Update; it closes open SSH sessions"


def _has(failure: str) -> Any:
    return lambda flavour: any(flaw.failure == failure for flaw in flavour.flaws)


def _of_version(failure: str) -> Any:
    def break_it(scene: Breakable) -> None:
        """Put a version with this flaw in place."""
        flaw = next(flaw for flaw in scene.flavour.flaws if flaw.failure == failure)
        scene.app.version = "1.0.0" if flaw.since == "0" else flaw.since

    return break_it


def _outdated(scene: Breakable) -> None:
    """Let a new version come out."""
    scene.app.version_latest = "99.0.0"


def _lesser_role(scene: Breakable) -> None:
    """Give it the role of an app from before `ha`."""
    scene.app.role = "default"


_BY_VERSION = ("agent-sshd-modes", "noreply-pw", "shell-sh", "update-broke")

CHECK = Check(
    id="app-version",
    stage=Stage.APP,
    scope=Scope.HYGIENE,
    title="Nothing is known against the app's version",
    why="some versions lock out whole kinds of clients, and newer ones close holes",
    needs=(Apps, AppLog),
    rests_on=("app-installed",),
    judge=judge,
    faults={failure: _of_version(failure) for failure in _BY_VERSION} | {"app-outdated": _outdated, "stale-cli": _lesser_role},
    befalls={failure: _has(failure) for failure in _BY_VERSION},
)
STEPS = (UpdateApp,)
