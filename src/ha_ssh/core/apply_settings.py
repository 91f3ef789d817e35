"""The one step into which all edits of a round melt: read, merge, save, (re)start, and wait until the app has settled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ha_ssh.core import logs, settings
from ha_ssh.core.errors import Exit, HaSshError, Refused, Unreachable
from ha_ssh.core.facts import ALWAYS_SO, Apps, after_start, settings_of
from ha_ssh.core.model import Edit, Facts, Home, IfFailed, PublicKeyOf, SecretRef, Show
from ha_ssh.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.facts import App

_SETTLE_SECONDS = 40.0
_SAVES = 3
"""How often settings are saved that somebody else overwrites at the same moment."""
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
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The options that the app requires: what is saved is complete, also where an older version left them incomplete."""

    id: ClassVar[str] = "apply-settings"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.PUT_BACK
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @classmethod
    def of(cls, app: App, *edits: Edit) -> ApplySettings:
        """The step for an app."""
        flavour = app.flavour
        return cls(
            slug=flavour.slug,
            name=flavour.name,
            edits=edits,
            secret_paths=flavour.secret_paths(),
            forget_keys=flavour.forget_keys(),
            defaults=app.defaults,
        )

    @property
    def title(self) -> str:
        """What it does to the app."""
        return f"Save the settings of {self.name} and (re)start it" if self.edits else f"(Re)start {self.name}"

    def edited(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with the edits made (pure); a key that is yet to be made stands as its `PublicKeyOf`."""
        return self._completed(before, settings.apply_edits(before, self.edits))

    def _completed(self, before: Mapping[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        """Complete the options that are to be saved; those that stay as they are stay as they are."""
        return settings.completed(after, self.defaults) if "options" in settings.only_changed(before, after) else after

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
        info = await self._saved(home)
        log = await home.log(self.slug)
        running = info.get("state") in {"started", "startup"}
        waiting = f"waiting for {self.name} to {'re' if running else ''}start"
        show.progress(waiting, None)
        try:
            await home.call(
                f"/addons/{self.slug}/{'restart' if running else 'start'}",
                on_progress=lambda _fraction, detail: show.progress(waiting, None, detail),
            )
        except Unreachable as lost:
            if not lost.maybe_done or not await self._begins(home, log):
                raise
        except Refused as refused:
            raise _with_another_port(refused) from refused
        await self._settle(home, log)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Take back, on the settings of now, what is still as this step left it; then the former run state."""
        info = await home.supervisor(f"/addons/{self.slug}/info")
        if info.get("version") is None:
            return None
        changes = [await _without_refs(home, change) for change in settings.from_json(saved["changes"])]
        now = settings_of(info)
        reversed_ = settings.reverse(changes, now)
        before = self._completed(now, reversed_)
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
        return self._still_needed(reversed_, before)

    def _still_needed(self, reversed_: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
        """Name what stays although this step added it: the Supervisor saves no settings that lack a required option."""
        added = [".".join(change.path) for change in settings.diff(reversed_, before, self.secret_paths)]
        return f"{', '.join(added)} of {self.name}, at the default: the Supervisor saves nothing without it" if added else None

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
        return self._completed(before, settings.apply_edits(before, tuple(edits)))

    async def _saved(self, home: Home) -> Mapping[str, Any]:
        """Save what differs until nothing does, and return the app's info.

        Somebody else may save at the same moment, an answer can get lost, and the Supervisor drops what it does not know without
        a word: only what is read back counts.
        """

        async def differs() -> tuple[Any, dict[str, Any], dict[str, Any]]:
            info = await home.supervisor(f"/addons/{self.slug}/info")
            before = settings_of(info)
            return info, before, settings.only_changed(before, await self._resolved(home, before))

        async def kept() -> bool | None:
            return None if (await differs())[2] else True

        info, before, body = await differs()
        for _ in range(_SAVES):
            if not body:
                return cast("Mapping[str, Any]", info)
            try:
                await home.call(f"/addons/{self.slug}/options", body)
            except Unreachable as lost:
                if not lost.maybe_done or not await home.until("the settings to be saved", kept, limit=_LOST_SECONDS):
                    raise
            info, before, body = await differs()
        if not body:
            return cast("Mapping[str, Any]", info)
        changes = settings.diff(before, {**before, **body}, self.secret_paths)
        raise HaSshError(
            "settings-dropped",
            f"the Supervisor did not keep {', '.join('.'.join(change.path) for change in changes)} as it was saved",
            "this version of the app may not know the setting: update the app and run the command again",
            exit=Exit.WRONG,
        )

    async def _begins(self, home: Home, log_before: str) -> bool:
        """Return whether the app starts although the answer to the call got lost: its log then has new lines."""
        idle_since = home.clock.now()

        async def new_lines() -> bool | None:
            nonlocal idle_since
            try:
                if logs.new_since(log_before, await home.log(self.slug)):
                    return True
                busy = await busy_with(home, self.slug)
            except Unreachable:
                busy = True
            if busy:
                idle_since = home.clock.now()
            return False if home.clock.now() - idle_since > _LOST_SECONDS else None

        return bool(await home.until("the app to start", new_lines, limit=_SETTLE_SECONDS))

    async def _settle(self, home: Home, log_before: str) -> None:
        """Wait until sshd listens, or the app has failed late (a start that answers success says nothing of sshd)."""

        async def settled() -> HaSshError | bool | None:
            try:
                state = (await home.supervisor(f"/addons/{self.slug}/info")).get("state")
                new = logs.new_since(log_before, await home.log(self.slug))
            except Unreachable:
                return None  # the way to the house may lead through the very app that starts
            if state not in {"started", "startup"}:
                return _failed(logs.fatal(new), str(state))
            return True if logs.listening(new) or logs.port_disabled(new) else None

        outcome = await home.until("the app to start", settled, limit=_SETTLE_SECONDS)
        if isinstance(outcome, HaSshError):
            raise outcome


async def busy_with(home: Home, slug: str) -> bool:
    """Return whether the Supervisor has a job for this app."""
    jobs = (await home.supervisor("/jobs/info")).get("jobs") or ()
    return any(job.get("reference") == slug and not job.get("done") for job in jobs)


def _failed(reason: logs.Reason | None, state: str) -> HaSshError:
    """Return the error for an app that did not stay up."""
    says = reason.says if reason else f"the app is in state `{state}` and its log does not say why"
    code = {"port-busy": "port-in-use"}.get(reason.code, "app-failed") if reason else "app-failed"
    return _with_another_port(HaSshError(code, f"the app did not start: {says}", exit=Exit.WRONG))


def _with_another_port(error: HaSshError) -> HaSshError:
    """Return the error; a port that is taken is people's to choose anew."""
    if error.code != "port-in-use":
        return error
    return HaSshError(error.code, error.message, "choose another port: `--port N`", exit=Exit.WRONG)


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
