"""A world in which nothing is changed and every change is seen: what undoing a run would do, by the very steps that do it."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ha_ssh.core import settings
from ha_ssh.core.facts import settings_of
from ha_ssh.core.model import FileState, SecretRef
from ha_ssh.core.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ha_ssh.core.model import Flavour, Home
    from ha_ssh.core.secret import Secret

_APP = re.compile(r"/addons/([^/]+)/(\w+)")
_LONG = re.compile(r"\b(AAAA[A-Za-z0-9+/]{12})[A-Za-z0-9+/=]+")
_CHANGES = {
    "options": "",
    "security": "",
    "start": "starts",
    "restart": "restarts",
    "stop": "stops",
    "uninstall": "uninstalls",
}
"""What is asked of the Supervisor that changes an app, and its word, where the change itself does not tell it."""
_SETTINGS = frozenset({"options", "network", "boot", "watchdog", "auto_update"})


class Rehearsal:
    """Looks at a home, and keeps every change to itself: later looks see it, the world does not."""

    def __init__(self, home: Home, flavours: Iterable[Flavour]) -> None:
        self._home = home
        self._flavours = {flavour.slug: flavour for flavour in flavours}
        self._files: dict[str, FileState] = {}
        self._apps: dict[str, dict[str, Any]] = {}
        self._was: dict[str, Any] = {}
        """What each file and each app was before the part that is rehearsed now."""
        self._told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        """Every other look is the home's own."""
        return getattr(self._home, name)

    # ------------------------------------------------------------------------------------------------------------ looks

    async def supervisor(self, endpoint: str) -> Any:
        """The Supervisor's answer, with what was changed here."""
        answer = await self._home.supervisor(endpoint)
        found = _APP.fullmatch(endpoint)
        return {**answer, **self._apps.get(found[1], {})} if found and found[2] == "info" else answer

    async def file(self, path: str) -> FileState:
        """A file, as it was left here."""
        return self._files.get(path) or await self._home.file(path)

    async def folder(self, path: str) -> tuple[str, ...]:
        """The names in a folder, as they were left here."""
        names = set(await self._home.folder(path))
        for file in self._files.values():
            folder, _, name = file.path.rpartition("/")
            if folder == path:
                names = names | {name} if file.exists else names - {name}
        return tuple(sorted(names))

    # ---------------------------------------------------------------------------------------------------------- changes

    async def call(
        self,
        endpoint: str,
        data: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[float | None, str], None] | None = None,
    ) -> Any:
        """Note what a call would do."""
        del on_progress
        found = _APP.fullmatch(endpoint)
        if found is None or found[2] not in _CHANGES:
            self._told.append(f"asks the Supervisor for {endpoint}")
            return None
        slug, verb = found[1], found[2]
        now = await self.supervisor(f"/addons/{slug}/info")
        self._was.setdefault(slug, now)
        changed = self._apps.setdefault(slug, {})
        match verb:
            case "options" | "security":
                changed |= dict(data or {})
            case "uninstall":
                changed |= {"version": None, "state": "unknown"}
            case "stop":
                changed |= {"state": "stopped"}
            case _:
                changed |= {"state": "started"}
        line = self._line(slug, verb, running=now.get("state") in {"started", "startup"})
        if line and line not in self._told:
            self._told.append(line)
        return None

    def _line(self, slug: str, verb: str, *, running: bool) -> str:
        word = _CHANGES[verb]
        return f"{word} {self._name(slug)}{': closes open SSH sessions' if running and verb != 'start' else ''}" if word else ""

    def _name(self, slug: str) -> str:
        return self._flavours[slug].name if slug in self._flavours else slug

    async def write(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Keep a file's new text here."""
        was = await self._noted(path)
        self._files[path] = replace(was, kind="file", text=text, mode=was.mode if was.exists else mode)

    async def delete(self, path: str) -> None:
        """Keep here that a file is gone."""
        await self._noted(path)
        self._files[path] = FileState(path=path)

    async def set_mode(self, path: str, mode: int) -> None:
        """Keep a file's new mode here."""
        self._files[path] = replace(await self._noted(path), mode=mode)

    async def keep(self, name: str, secret: Secret) -> SecretRef:
        """Keep nothing."""
        del secret
        return SecretRef(name)

    async def _noted(self, path: str) -> FileState:
        now = await self.file(path)
        self._was.setdefault(path, now)
        return now

    # ------------------------------------------------------------------------------------------------------------- told

    def seen(self) -> tuple[str, ...]:
        """Return what was changed since this was last asked, as a plan shows it: paths and differences, secrets masked."""
        lines: list[str] = []
        for what, was in self._was.items():
            lines += _file_lines(was, self._files[what]) if isinstance(was, FileState) else self._app_lines(what, was)
        told, self._was, self._told = self._told, {}, []
        return (*(redact(line) for line in lines), *told)

    def _app_lines(self, slug: str, was: Mapping[str, Any]) -> Iterable[str]:
        secret_paths = self._flavours[slug].secret_paths() if slug in self._flavours else ()
        changed = self._apps[slug]
        now = {**was, **{name: value for name, value in changed.items() if name in _SETTINGS}}
        lines = settings.render_diff(settings.diff(settings_of(was), settings_of(now), secret_paths))
        if (protected := changed.get("protected", was.get("protected"))) == was.get("protected"):
            return lines
        return (f"~ {self._name(slug)}, protection mode: {'off -> on' if protected else 'on -> off'}", *lines)


def _file_lines(was: FileState, now: FileState) -> Iterable[str]:
    """Return how a file changes: the lines that go and come, its mode, or that it goes or comes as a whole."""
    if was.exists and not now.exists:
        yield f"- {was.path}"
        return
    yield f"{'~' if was.exists else '+'} {now.path}"
    if was.mode != now.mode and was.exists:
        yield f"~ mode {oct(was.mode or 0)[2:]} -> {oct(now.mode or 0)[2:]}"
    before, after = (_LONG.sub(r"\1…", file.text or "").splitlines() for file in (was, now))
    for line in list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]:
        if not line.startswith("@@"):
            yield f"{line[0]} {line[1:]}"
