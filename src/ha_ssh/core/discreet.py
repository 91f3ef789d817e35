"""What the doctor says, without the secrets of the settings that it has read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ha_ssh.core.facts import Apps, Doors
from ha_ssh.core.model import NotYet
from ha_ssh.core.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ha_ssh.core.model import Facts, Verdict

_LEAST = 4
"""The letters that a secret must have to be looked for: shorter ones are found in every other word."""


def secrets_in(facts: Facts) -> frozenset[str]:
    """Return the secrets of the apps' settings, saved and running; a reference to `secrets.yaml` is none."""
    found: set[str] = set()
    apps, doors = _seen(facts, Apps), _seen(facts, Doors)
    if not isinstance(apps, Apps):
        return frozenset()
    for app in apps.by_slug.values():
        door = doors.by_slug.get(app.slug) if isinstance(doors, Doors) else None
        running = {"options": door.running} if door is not None else {}
        values = (_at(settings, path) for path in app.flavour.secret_paths() for settings in (app.settings, running))
        found.update(value for value in values if isinstance(value, str) and not value.startswith("!secret "))
    return frozenset(value for value in found if len(value) >= _LEAST)


def _seen(facts: Facts, kind: type[Any]) -> Any:
    """Return a fact, or why it is not known, or `None` where it is still to come."""
    try:
        return facts.get(kind)
    except NotYet:
        return None


def _at(settings: Any, path: Iterable[str]) -> Any:
    for name in path:
        settings = settings.get(name) if isinstance(settings, Mapping) else None
    return settings


def hushed(verdict: Verdict, secrets: frozenset[str]) -> Verdict:
    """Return the verdict without secrets in its words; what its fix does is as it was."""

    fix = verdict.fix
    every = [verdict.says, *verdict.evidence, *((fix.does, *fix.instructions) if fix is not None else ())]
    if (text := "\n".join(every)) == redact(text, secrets):
        return verdict

    def each(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(redact(text, secrets) for text in texts)

    if fix is not None:
        fix = replace(fix, does=redact(fix.does, secrets), instructions=each(fix.instructions))
    return replace(verdict, says=redact(verdict.says, secrets), evidence=each(verdict.evidence), fix=fix)
