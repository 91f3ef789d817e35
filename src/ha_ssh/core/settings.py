"""An app's settings as plain JSON: edits applied, differences told, and taken back on the state of now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
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
    """One difference between two settings: a value set, a key or a list item added or removed."""

    path: Path
    op: EditOp
    before: Any = None
    after: Any = None
    secret: bool = False
    """True where the values are secrets: never shown, and kept only as a `SecretRef`."""
    index: int | None = None
    """The place of a list item, in the list where it stands; `None` for a key of a mapping."""
    beside: int = 0
    """How many items that are the same stand in the list while this one is out of it, and that are none of our doing."""


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
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from _diff_lists(path, before, after, secret=secret)
        return
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


def _diff_lists(path: Path, before: Sequence[Any], after: Sequence[Any], *, secret: bool) -> Iterable[Change]:
    """Return the items that went, the last first, then those that came, the first first."""
    blocks = SequenceMatcher(None, [_form(x) for x in before], [_form(x) for x in after], autojunk=False).get_matching_blocks()
    stay = {block.a + i for block in blocks for i in range(block.size)}
    new = set(range(len(after))) - {block.b + i for block in blocks for i in range(block.size)}
    kept = [before[i] for i in sorted(stay)]
    gone = sorted(set(range(len(before))) - stay)
    for i in reversed(gone):
        # Put back first come, first served: the earlier ones stand there again when this one returns.
        beside = _count(kept, before[i]) + _count((before[j] for j in gone if j < i), before[i])
        yield Change(path, EditOp.REMOVE, before[i], None, secret, i, beside)
    for i in sorted(new):
        yield Change(path, EditOp.ADD, None, after[i], secret, i, _count(kept, after[i]))


def _count(items: Iterable[Any], item: Any) -> int:
    return sum(_same(other, item) for other in items)


def reverse(changes: Iterable[Change], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of now with the changes taken back: only what is still as they left it, all else as it is."""
    new: Any = dict(now)
    for change in reversed(tuple(changes)):
        if not isinstance(_look(new, change.path[:-1]), Mapping):
            continue
        new = _changed(new, change.path, _undo(change))
    return dict(new)


def _undo(change: Change) -> Callable[[Any], Any]:
    if change.index is not None:
        return _undo_item(change, change.index)
    left = _ABSENT if change.op is EditOp.REMOVE else change.after
    back = _ABSENT if change.op is EditOp.ADD else change.before
    return lambda value: back if _equal(value, left) else value


def _undo_item(change: Change, index: int) -> Callable[[Any], Any]:
    def take_out(value: Any) -> Any:
        if not isinstance(value, list | tuple) or _count(value, change.after) <= change.beside:
            return value
        places = [i for i, item in enumerate(value) if _same(item, change.after)]
        exact = [i for i in places if _equal(value[i], change.after)]
        place = index if index in exact else (exact or places)[-1]
        return [item for i, item in enumerate(value) if i != place]

    def put_back(value: Any) -> Any:
        if not isinstance(value, list | tuple) or _count(value, change.before) > change.beside:
            return value
        return [*value[:index], change.before, *value[index:]]

    return take_out if change.op is EditOp.ADD else put_back


def _equal(one: Any, other: Any) -> bool:
    return (one is _ABSENT) == (other is _ABSENT) and (one is other or _form(one) == _form(other))


def only_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the Supervisor's options call: `options` and `network` whole where anything in them changed."""
    return {key: value for key, value in after.items() if not _equal(before.get(key, _ABSENT), value)}


# ------------------------------------------------------------------------------------------------------- for people, JSON


def render_diff(changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the changes, a line each: secrets masked, keys as kind, fingerprint and comment."""
    changes = tuple(changes)
    inner = {change.path[:i] for change in changes for i in range(len(change.path))}
    return tuple(_render(change) for change in changes if not (change.path in inner and {} in (change.before, change.after)))


def _render(change: Change) -> str:
    name = keys.printable(".".join(change.path))
    old, new = (_shown(value, secret=change.secret) for value in (change.before, change.after))
    match change.op:
        case EditOp.ADD:
            return f"+ {name}: {new}"
        case EditOp.REMOVE:
            return f"- {name}: {old}"
        case _:
            return f"~ {name}: {old} -> {new}"


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
            "index": change.index,
            "beside": change.beside,
        }
        for change in changes
    ]


def from_json(stored: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return the changes that `to_json` stored."""
    return tuple(
        Change(
            tuple(item["path"]),
            EditOp(item["op"]),
            _opened(item["before"]),
            _opened(item["after"]),
            bool(item["secret"]),
            item["index"],
            int(item["beside"]),
        )
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
