"""The one step into which all edits of a round melt: read, merge, save, (re)start, and wait until the app has settled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core import logs, settings
from ha_ssh.core.errors import Exit, HaSshError, Unreachable
from ha_ssh.core.facts import ALWAYS_SO, Apps, after_start, settings_of
from ha_ssh.core.model import Edit, Facts, Home, IfFailed, PublicKeyOf, SecretRef, Show
from ha_ssh.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Flavour

_SETTLE_SECONDS = 40.0
_LOST_SECONDS = 10.0
"""How long an effect is waited for whose answer got lost."""


@dataclass(frozen=True, kw_only=True)
class ApplySettings:
    """Save the merged edits of an app and (re)start it; its undo is the reverse edits and the former run state, as one unit."""

    slug: str
    name: str = "the app"
    edits: tuple[Edit, ...] = ()
    secret_paths: tuple[tuple[str, ...], ...] = ()
    forget_keys: Edit | None = None
    """What makes the app forget our key where emptying the list does not."""

    id: ClassVar[str] = "apply-settings"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.PUT_BACK
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @classmethod
    def of(cls, flavour: Flavour, *edits: Edit) -> ApplySettings:
        """The step for an app of this flavour."""
        return cls(
            slug=flavour.slug,
            name=flavour.name,
            edits=edits,
            secret_paths=flavour.secret_paths(),
            forget_keys=flavour.forget_keys(),
        )

    @property
    def title(self) -> str:
        """What it does to the app."""
        return f"Save the settings of {self.name} and (re)start it" if self.edits else f"(Re)start {self.name}"

    def edited(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with the edits made (pure); a key that is yet to be made stands as its `PublicKeyOf`."""
        return settings.apply_edits(before, self.edits)

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The settings as a diff, and what the (re)start means for people who are logged in."""
        app = facts[Apps].by_slug[self.slug]
        changes = settings.diff(app.settings, self.edited(app.settings), self.secret_paths)
        end = f"restarts {app.flavour.name}: closes open SSH sessions" if app.running else f"starts {app.flavour.name}"
        return (*settings.render_diff(changes), end)

    def after(self, facts: Facts) -> Facts:
        """The app runs with the edited settings."""
        return after_start(facts, self.slug, self.edited(facts[Apps].by_slug[self.slug].settings))

    async def save(self, home: Home) -> dict[str, Any]:
        """The changes that will be made, secrets as references into the vault, and whether the app was running."""
        info = await home.supervisor(f"/addons/{self.slug}/info")
        before = settings_of(info)
        changes = settings.diff(before, await self._resolved(home, before), self.secret_paths)
        kept = [await _with_refs(home, change) if change.secret else change for change in changes]
        return {"changes": settings.to_json(kept), "was_running": info.get("state") in {"started", "startup"}}

    async def do(self, home: Home, show: Show) -> None:
        """Save what differs, read it back, (re)start the app and wait until it has settled."""
        info = await home.supervisor(f"/addons/{self.slug}/info")
        before = settings_of(info)
        after = await self._resolved(home, before)
        body = settings.only_changed(before, after)
        if body:
            await self._save_settings(home, body, after)
        log = await home.log(self.slug)
        running = info.get("state") in {"started", "startup"}
        show.progress(f"waiting for {self.name} to {'re' if running else ''}start", None)
        try:
            await home.call(f"/addons/{self.slug}/{'restart' if running else 'start'}")
        except Unreachable as lost:
            if not lost.maybe_done or not await self._begins(home, log):
                raise
        await self._settle(home, log)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Take back, on the settings of now, what is still as this step left it; then the former run state."""
        info = await home.supervisor(f"/addons/{self.slug}/info")
        if info.get("version") is None:
            return None
        changes = [await _without_refs(home, change) for change in settings.from_json(saved["changes"])]
        now = settings_of(info)
        before = settings.reverse(changes, now)
        running = info.get("state") in {"started", "startup"}
        if running:
            await self._forget_our_key(home, now, before)
        body = settings.only_changed(now, before)
        if body:
            await home.call(f"/addons/{self.slug}/options", body)
        if saved["was_running"] and (body or not running):
            await home.call(f"/addons/{self.slug}/{'restart' if running else 'start'}")
        elif running and not saved["was_running"]:
            await home.call(f"/addons/{self.slug}/stop")
        return None

    async def _forget_our_key(self, home: Home, now: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """Let the app start once without our key, where an empty list would leave it in the app's own file."""
        forget = self.forget_keys
        if forget is None or settings.at_path(before, forget.path) or not settings.at_path(now, forget.path):
            return
        body = settings.only_changed(now, settings.apply_edits(now, (forget,)))
        await home.call(f"/addons/{self.slug}/options", body)
        await home.call(f"/addons/{self.slug}/restart")

    async def _resolved(self, home: Home, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return the edited settings with real keys and real secrets in them."""
        edits = [replace(edit, value=await _value(home, edit.value)) for edit in self.edits]
        return settings.apply_edits(before, tuple(edits))

    async def _save_settings(self, home: Home, body: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Save, and read back: the Supervisor drops what it does not know without a word, and an answer can get lost."""

        async def not_kept() -> tuple[str, ...]:
            now = settings_of(await home.supervisor(f"/addons/{self.slug}/info"))
            paths = dict.fromkeys(edit.path for edit in self.edits)
            return tuple(".".join(path) for path in paths if settings.at_path(now, path) != settings.at_path(wanted, path))

        async def kept() -> bool | None:
            return None if await not_kept() else True

        try:
            await home.call(f"/addons/{self.slug}/options", body)
        except Unreachable as lost:
            if not lost.maybe_done or not await home.until("the settings to be saved", kept, limit=_LOST_SECONDS):
                raise
        dropped = await not_kept()
        if dropped:
            raise HaSshError(
                "settings-dropped",
                f"the Supervisor did not keep {', '.join(dropped)} as it was saved",
                "this version of the app may not know the setting: update the app and run the command again",
                exit=Exit.WRONG,
            )

    async def _begins(self, home: Home, log_before: str) -> bool:
        """Return whether the app starts although the answer to the call got lost: its log then has new lines."""

        async def new_lines() -> bool | None:
            return bool(logs.new_since(log_before, await home.log(self.slug))) or None

        return bool(await home.until("the app to start", new_lines, limit=_LOST_SECONDS))

    async def _settle(self, home: Home, log_before: str) -> None:
        """Wait until sshd listens, or the app has failed late (a start that answers success says nothing of sshd)."""

        async def settled() -> str | None:
            state = (await home.supervisor(f"/addons/{self.slug}/info")).get("state")
            new = logs.new_since(log_before, await home.log(self.slug))
            if state not in {"started", "startup"}:
                fatal = logs.fatal(new)
                return fatal.says if fatal else f"the app is in state `{state}` and its log does not say why"
            return "" if logs.listening(new) or logs.port_disabled(new) else None

        failure = await home.until("the app to start", settled, limit=_SETTLE_SECONDS)
        if failure:
            raise HaSshError("app-failed", f"the app did not start: {failure}", exit=Exit.WRONG)


async def _value(home: Home, value: Any) -> Any:
    """Return the real value of an edit: the made key's line, the secret itself, or what it is."""
    if isinstance(value, PublicKeyOf):
        key = await home.key(value.identity, None)
        if key.public is None:
            raise HaSshError("no-public-key", f"`{value.identity}` has no public key to authorise", exit=Exit.WRONG)
        return f"{key.public} {value.comment or key.comment}".strip()
    if isinstance(value, SecretRef):
        return (await home.recall(value)).reveal()
    return value


async def _with_refs(home: Home, change: settings.Change) -> settings.Change:
    """Return a change of a secret with references in place of both values."""

    async def ref(side: str, value: Any) -> Any:
        name = f"{'.'.join(change.path)}-{side}-{home.clock.date()}"
        return await home.keep(name, Secret(value)) if isinstance(value, str) and value else value

    return replace(change, before=await ref("before", change.before), after=await ref("after", change.after))


async def _without_refs(home: Home, change: settings.Change) -> settings.Change:
    """Return a change with the secrets themselves in place of their references."""
    return replace(change, before=await _value(home, change.before), after=await _value(home, change.after))
