"""What an app's schema makes of options, and of the form that the web page shows; the words are the Supervisor's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Unfit(Exception):
    """Options that do not fit the schema, in the Supervisor's words."""


def fit(schema: Mapping[str, Any], value: Mapping[str, Any], root: str, where: str, known: Mapping[str, str]) -> dict[str, Any]:
    """Return the options as they are saved: what the schema does not know is dropped; raises `Unfit` for what it does not take.

    `root` and `where` are words of the complaint; `known` are the names in `secrets.yaml`.
    """
    kept = {key: _fit_value(schema[key], each, key, where, known) for key, each in value.items() if key in schema}
    for key, kind in sorted(schema.items()):
        bare = kind[0] if isinstance(kind, list) else kind
        if key not in kept and not (isinstance(bare, str) and bare.endswith("?")):
            raise Unfit(f"Missing option '{key}' in {root} in {where}")
    return kept


def _fit_value(kind: Any, value: Any, key: str, where: str, known: Mapping[str, str]) -> Any:
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise Unfit(f"Invalid list for option '{key}' in {where}")
        return [_fit_value(kind[0], each, key, where, known) for each in value]
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            raise Unfit(f"Invalid dict for option '{key}' in {where}")
        return fit(kind, value, key, where, known)
    if value is None:
        raise Unfit(f"Missing required option '{key}' in {where}")
    if str(value).startswith("!secret "):
        name = str(value).partition(" ")[2]
        if name not in known:
            raise Unfit(f"Unknown secret '{name}' in {where}")
        return value
    bare = kind.removesuffix("?")
    if bare == "bool":
        return _boolean(value)
    if bare.startswith("list("):
        choices = bare[5:-1].split("|")
        if str(value) not in choices:
            raise Unfit(f"value must be one of {sorted(choices)}")
        return str(value)
    if isinstance(value, dict | list):
        raise Unfit("not a valid value")
    return str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        word = value.lower()
        if word in {"1", "true", "yes", "on", "enable"}:
            return True
        if word in {"0", "false", "no", "off", "disable"}:
            return False
        raise Unfit("expected boolean")
    if isinstance(value, dict | list):
        raise Unfit("expected boolean")
    return bool(value)


_UI_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "password": {"type": "string", "format": "password"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "port": {"type": "integer"},
}


def ui_schema(schema: Any) -> list[dict[str, Any]]:
    """The form that the Supervisor makes of an app's schema."""
    return [_ui_field(name, kind) for name, kind in schema.items()]


def _ui_field(name: str, kind: Any, *, multiple: bool = False) -> dict[str, Any]:
    if isinstance(kind, list):
        return _ui_field(name, kind[0], multiple=True)
    if isinstance(kind, dict):
        return {"name": name, "type": "schema", "optional": True, "multiple": multiple, "schema": ui_schema(kind)}
    entry: dict[str, Any] = {"name": name}
    if multiple:
        entry["multiple"] = True
    entry["optional" if kind.endswith("?") else "required"] = True
    bare = kind.removesuffix("?")
    if bare.startswith("list("):
        return {**entry, "type": "select", "options": bare[5:-1].split("|")}
    return {**entry, **_UI_TYPES[bare]}
