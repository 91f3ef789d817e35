"""An app's settings as plain JSON: edits applied, differences told, and taken back on the state of now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ha_ssh.core import keys
from ha_ssh.core.model import Edit, EditOp, PublicKeyOf, SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Path = tuple[str, ...]


class _Absent(Enum):
    """The value of a key that is not there."""

    ABSENT = "absent"


_ABSENT = _Absent.ABSENT
_REF = "$secret"


@dataclass(frozen=True)
class Change:
    """One difference between two settings: the key at `path` added, removed, or set from one value (or list) to another."""

    path: Path
    op: EditOp
    before: Any = None
    after: Any = None
    secret: bool = False
    """True where the values are secrets: never shown, and kept only as a `SecretRef`."""


# ----------------------------------------------------------------------------------------------------------------- edits


def apply_edits(settings: Mapping[str, Any], edits: Iterable[Edit]) -> dict[str, Any]:
    """Return the settings with the edits made, whatever their order: set, then remove, then add, so that an add always holds."""
    edits = tuple(edits)
    added = {(edit.path, _form(edit.value)) for edit in edits if edit.op is EditOp.ADD}
    new: Any = dict(settings)
    for op in (EditOp.SET, EditOp.REMOVE, EditOp.ADD):
        for edit in edits:
            if edit.op is op and not (op is EditOp.REMOVE and (edit.path, _form(edit.value)) in added):
                new = _changed(new, edit.path, _EDITS[op](edit.value))
    return dict(new)


def at_path(settings: Mapping[str, Any], path: Path) -> Any:
    """Return the value at a path; `None` where there is none."""
    value = _look(settings, path)
    return None if value is _ABSENT else value


def resolved(value: Any, secrets: Mapping[SecretRef, Any]) -> Any:
    """Return the value with every reference in it replaced by the secret's text; raises `KeyError` for one that is missing."""
    if isinstance(value, SecretRef):
        return secrets[value]
    if isinstance(value, Mapping):
        return {key: resolved(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(item, secrets) for item in value]
    return value


def section(settings: Any, name: str) -> Mapping[str, Any]:
    """Return a part of the settings that has parts of its own; empty where it is missing or something else."""
    part = settings.get(name) if isinstance(settings, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def entries(value: Any) -> tuple[Any, ...]:
    """Return the entries of a list of texts (of a plan, also keys that are yet to be made); a lone text is its only entry."""
    return tuple(item for item in _as_list(value) if isinstance(item, str | PublicKeyOf))


def listed(value: Any) -> bool:
    """Return whether a value is a list, or nothing that would have to be one."""
    return isinstance(value, list | tuple) or value is None or value == ""


def port_of(settings: Mapping[str, Any], name: str) -> int | None:
    """Return the port of the host that stands for a port of the app."""
    port = section(settings, "network").get(name)
    return port if isinstance(port, int) and not isinstance(port, bool) else None


def completed(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with every option that the app requires: what is there stays, a lone value becomes a list of itself.

    The Supervisor refuses options that an older version of an app has left incomplete, whatever was changed in them.
    """
    options = settings.get("options")
    return {**settings, "options": _filled(options, defaults)} if isinstance(options, Mapping) else dict(settings)


def _filled(value: Any, default: Any) -> Any:
    if isinstance(default, Mapping):
        there = value if isinstance(value, Mapping) else {}
        return {**there, **{key: _filled(there.get(key), each) for key, each in default.items()}}
    if isinstance(default, list | tuple):
        return _as_list(value)
    return default if value is None else value


_NEUTRAL: Mapping[str, Any] = {"string": "", "boolean": False}
"""What stands for a required option whose default nobody knows, by its type in the form."""


def required(form: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that an app requires, by the form that the Supervisor makes of its schema, with their defaults.

    `own` are the defaults that are known; without a form, they are all that is known.
    """
    if not isinstance(form, list | tuple):
        return dict(own)
    found: dict[str, Any] = {}
    for field in form:
        name = field.get("name") if isinstance(field, Mapping) else None
        if not isinstance(name, str):
            continue
        known = own.get(name)
        if field.get("type") == "schema" and not field.get("multiple"):
            section = required(field.get("schema"), known if isinstance(known, Mapping) else {})
            found.update({name: section} if section else {})
        elif field.get("required") and known is not None:
            found[name] = known
        elif field.get("required") and (field.get("multiple") or field.get("type") in _NEUTRAL):
            found[name] = [] if field.get("multiple") else _NEUTRAL[field["type"]]
    return found


def _set_to(value: Any) -> Callable[[Any], Any]:
    return lambda _old: value


def _with_item(item: Any) -> Callable[[Any], Any]:
    def add(old: Any) -> Any:
        there = _as_list(old)
        return there if any(_stands_for(other, item) for other in there) else [*there, item]

    return add


def _without_item(item: Any) -> Callable[[Any], Any]:
    form = _form(item)

    def remove(old: Any) -> Any:
        return [other for other in old if _form(other) != form] if isinstance(old, list | tuple) else old

    return remove


_EDITS = {EditOp.SET: _set_to, EditOp.REMOVE: _without_item, EditOp.ADD: _with_item}


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is _ABSENT or value is None or value == "" else [value]


def _changed(node: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """Return the tree with the value at a path changed; what is `_ABSENT` before and after leaves no trace."""
    if not path:
        return change(node)
    mapping = node if isinstance(node, Mapping) else {}
    old = mapping.get(path[0], _ABSENT)
    new = _changed(old, path[1:], change)
    if new is _ABSENT:
        return node if old is _ABSENT else {key: value for key, value in mapping.items() if key != path[0]}
    return {**mapping, path[0]: new}


def _look(node: Any, path: Path) -> Any:
    for key in path:
        if not isinstance(node, Mapping) or key not in node:
            return _ABSENT
        node = node[key]
    return node


def _form(value: Any) -> str:
    """Return a text that is equal exactly for equal JSON (Python takes `True` for 1)."""
    return json.dumps(value, sort_keys=True, default=repr)


def _same(one: Any, other: Any) -> bool:
    """Return whether two list items mean the same: the same key whatever its comment, else the same value."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other or (keys.first_key(one) is not None and keys.same_key(one, other))
    return _form(one) == _form(other)


def _stands_for(there: Any, item: Any) -> bool:
    """Return whether an item that is there makes adding another one needless."""
    return _same(there, item) or (isinstance(there, str) and isinstance(item, str) and keys.admits(there, item))


# ----------------------------------------------------------------------------------------------------------- differences


def diff(before: Mapping[str, Any], after: Mapping[str, Any], secret_paths: Sequence[Path] = ()) -> tuple[Change, ...]:
    """Return what turns one into the other, in an order in which it can be done, and undone backwards."""
    return tuple(_diff((), before, after, secret_paths))


def _diff(path: Path, before: Any, after: Any, secret_paths: Sequence[Path]) -> Iterable[Change]:
    if _form(before) == _form(after) and before is not _ABSENT:
        return
    secret = any(path[: len(secret_path)] == secret_path for secret_path in secret_paths)
    old = before if isinstance(before, Mapping) else {}
    new = after if isinstance(after, Mapping) else {}
    yield from (
        change
        for key in [*old, *(key for key in new if key not in old)]
        if key not in new
        for change in _diff((*path, key), old[key], _ABSENT, secret_paths)
    )
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        bare = {} if isinstance(before, Mapping) else before
        full = {} if isinstance(after, Mapping) else after
        if before is _ABSENT:
            yield Change(path, EditOp.ADD, None, full, secret)
        elif after is _ABSENT:
            yield Change(path, EditOp.REMOVE, bare, None, secret)
        elif _form(bare) != _form(full):
            yield Change(path, EditOp.SET, bare, full, secret)
    for key in new:
        yield from _diff((*path, key), old.get(key, _ABSENT), new[key], secret_paths)


def reverse(changes: Iterable[Change], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of now with the changes taken back: only what is still as they left it, all else as it is."""
    new: Any = dict(now)
    for change in reversed(tuple(changes)):
        if not isinstance(_look(new, change.path[:-1]), Mapping):
            continue
        new = _changed(new, change.path, _undo(change))
    return dict(new)


def _undo(change: Change) -> Callable[[Any], Any]:
    left: Any = _ABSENT if change.op is EditOp.REMOVE else change.after
    back: Any = _ABSENT if change.op is EditOp.ADD else change.before

    def undone(value: Any) -> Any:
        if _equal(value, left):
            return back
        if all(isinstance(x, list | tuple) for x in (value, left, back)) and not _equal(value, back):
            return _undone_items(back, left, value)
        return value

    return undone


def _undone_items(before: Sequence[Any], after: Sequence[Any], now: Sequence[Any]) -> list[Any]:
    """Return the list of now without what came between before and after, and with what went, where nothing stands for it."""
    came = _minus(after, before)
    went = _minus(before, after)
    items = list(now)
    for i in reversed(came):
        # A key of ours that got another comment since is still ours.
        places = [k for k in _minus(items, before) if _same(items[k], after[i])]
        exact = [k for k in places if _equal(items[k], after[i])]
        if places:
            del items[(exact or places)[-1]]
    there = [before[i] for i in range(len(before)) if i not in went]
    for i in went:
        if not any(_same(items[k], before[i]) for k in _minus(items, there)):
            items.insert(i, before[i])
            there.append(before[i])
    return items


def _minus(items: Sequence[Any], others: Iterable[Any]) -> list[int]:
    """Return the places of the items that have no equal among the others, each of which counts once."""
    left = [_form(other) for other in others]
    places = []
    for i, item in enumerate(items):
        if (form := _form(item)) in left:
            left.remove(form)
        else:
            places.append(i)
    return places


def _equal(one: Any, other: Any) -> bool:
    return (one is _ABSENT) == (other is _ABSENT) and (one is other or _form(one) == _form(other))


def only_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the Supervisor's options call: `options` and `network` whole where anything in them changed."""
    return {key: value for key, value in after.items() if not _equal(before.get(key, _ABSENT), value)}


# ------------------------------------------------------------------------------------------------------- for people, JSON


def render_diff(changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the changes, a line for each value or list item: secrets masked, keys as kind, fingerprint and comment."""
    changes = tuple(changes)
    inner = {change.path[:i] for change in changes for i in range(len(change.path))}
    return tuple(
        line
        for change in changes
        if not (change.path in inner and {} in (change.before, change.after))
        for line in _rendered(change)
    )


def _rendered(change: Change) -> Iterable[str]:
    name = keys.printable(".".join(change.path))
    old, new = change.before, change.after
    if isinstance(old, list | tuple) and isinstance(new, list | tuple) and (_minus(old, new) or _minus(new, old)):
        yield from (f"- {name}: {_shown(old[i], secret=change.secret)}" for i in _minus(old, new))
        yield from (f"+ {name}: {_shown(new[i], secret=change.secret)}" for i in _minus(new, old))
    elif change.op is EditOp.ADD:
        yield f"+ {name}: {_shown(new, secret=change.secret)}"
    elif change.op is EditOp.REMOVE:
        yield f"- {name}: {_shown(old, secret=change.secret)}"
    else:
        yield f"~ {name}: {_shown(old, secret=change.secret)} -> {_shown(new, secret=change.secret)}"


def _shown(value: Any, *, secret: bool = False) -> str:
    match value:
        case None:
            return "none"
        case "":
            return '""'
        case SecretRef():
            return "***"
        case _ if secret:
            return "***"
        case PublicKeyOf():
            return " ".join(part for part in ("the new key", keys.printable(value.comment)) if part)
        case str() if keys.is_private(value):
            return "*** (a private key)"
        case str():
            entry = keys.parse_entry(value)
            return entry.short if isinstance(entry, keys.Entry) else keys.printable(value)
        case list() | tuple():
            return "[" + ", ".join(_shown(item) for item in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False, default=lambda item: _shown(item))


def to_json(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Return the changes as plain JSON; raises `ValueError` where a secret stands in them instead of its reference."""
    return [
        {
            "path": list(change.path),
            "op": change.op.value,
            "before": _sealed(change.before, secret=change.secret),
            "after": _sealed(change.after, secret=change.secret),
            "secret": change.secret,
        }
        for change in changes
    ]


def from_json(stored: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return the changes that `to_json` stored."""
    return tuple(
        Change(tuple(item["path"]), EditOp(item["op"]), _opened(item["before"]), _opened(item["after"]), bool(item["secret"]))
        for item in stored
    )


def _sealed(value: Any, *, secret: bool) -> Any:
    if isinstance(value, SecretRef):
        return {_REF: value.name}
    if secret and value not in (None, "", [], {}):
        raise ValueError("a secret must be kept in the vault before its change is written down")
    return value


def _opened(value: Any) -> Any:
    return SecretRef(str(value[_REF])) if isinstance(value, dict) and value.keys() == {_REF} else value
