"""The undo journal: one file of JSON lines per run, each line on the disk before the change that it speaks of."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import IfFailed, JournalEntry, JournalRun
from ha_ssh.world import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ha_ssh.core.model import Clock

SCHEMA = 1
_KEPT = 50
"""How many runs that are over are remembered."""

_ENTRY: dict[str, Any] = {
    "step": "",
    "version": 1,
    "fields": {},
    "title": "",
    "if_failed": "put_back",
    "saved": {},
    "state": "begun",
}


class FileJournal:
    """A `Journal` in a private folder. A line that was cut short speaks of something that never began, and is passed over."""

    def __init__(self, folder: str, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._ours: set[str] = set()

    @property
    def ours(self) -> frozenset[str]:
        """The runs that this very process has written into."""
        return frozenset(self._ours)

    def begin(self, command: str, house: str, target: dict[str, Any]) -> str:
        """Open a run; returns its number."""
        self._prune()
        number = max((int(name) for name in self._names()), default=0)
        head = {"schema": SCHEMA, "command": command, "house": house, "started": self._clock.date(), "target": target}
        while True:
            number += 1
            run = f"{number:04d}"
            try:
                files.create(self._path(run), _line(head))
            except HaSshError as error:
                if error.code != "file-exists":
                    raise
            else:
                self._ours.add(run)
                return run

    def entry(self, run: str, entry: JournalEntry) -> int:
        """Write a change down before it is made; returns its index."""
        index = len(self._read(run).entries)
        self._add(run, {"entry": index, **asdict(entry)})
        return index

    def mark(self, run: str, index: int, state: str) -> None:
        """Say how far an entry came."""
        self._add(run, {"mark": index, "state": state})

    def remembered(self, run: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        """Write down what a run has changed in what is remembered of its house."""
        self._add(run, {"remembered": {"before": before, "after": after}})

    def close(self, run: str, state: str) -> None:
        """Close a run as `closed` (it stands) or `undone`."""
        self._add(run, {"close": state})

    def runs(self) -> tuple[JournalRun, ...]:
        """Return all runs, oldest first; raises `HaSshError` where one is open that a newer version wrote."""
        found = []
        for name in self._names():
            with contextlib.suppress(_NeverBegan):
                found.append(self._read(name))
        return tuple(found)

    # ------------------------------------------------------------------------------------------------------------ inside

    def _path(self, run: str) -> str:
        return str(Path(self._folder) / f"{run}.jsonl")

    def _names(self) -> list[str]:
        names = (Path(name) for name in files.folder(self._folder))
        return sorted((name.stem for name in names if name.suffix == ".jsonl" and name.stem.isdecimal()), key=int)

    def _add(self, run: str, what: dict[str, Any]) -> None:
        self._ours.add(run)
        cut_short = not self._text(run).endswith("\n")
        files.append(self._path(run), "\n" * cut_short + _line(what))

    def _text(self, run: str) -> str:
        state = files.read(self._path(run))
        if state.text is None:
            raise HaSshError("journal-unreadable", f"the journal `{state.path}` {state.problem or 'is gone'}")
        return state.text

    def _read(self, run: str) -> JournalRun:
        lines = list(_objects(self._text(run)))
        if not lines or "command" not in lines[0]:
            raise _NeverBegan
        head, entries, state = lines[0], {}, "open"
        remembered: dict[str, Any] = {}
        for line in lines[1:]:
            if "entry" in line:
                known = _ENTRY | {name: value for name, value in line.items() if name in _ENTRY}
                entries[line["entry"]] = JournalEntry(**known | {"if_failed": IfFailed(known["if_failed"])})
            elif line.get("mark") in entries:
                entries[line["mark"]] = replace(entries[line["mark"]], state=line["state"])
            elif "remembered" in line:
                remembered = line["remembered"]
            elif "close" in line:
                state = line["close"]
        if state == "open" and head.get("schema", 0) > SCHEMA:
            raise HaSshError(
                "journal-newer",
                f"run {run} of `ha-ssh {head['command']}` was not finished, and a newer version of ha-ssh made it",
                "put it back with that version: `ha-ssh undo`",
            )
        return JournalRun(
            id=run,
            command=str(head["command"]),
            house=str(head.get("house", "")),
            started=str(head.get("started", "")),
            state=state,
            entries=tuple(entries[index] for index in sorted(entries)),
            target=head.get("target") or {},
            remembered=remembered,
        )

    def _prune(self) -> None:
        over = []
        for name in self._names():
            try:
                is_over = self._read(name).state != "open"
            except _NeverBegan:
                is_over = True
            if is_over:
                over.append(name)
        for name in over[: -_KEPT or None]:
            files.delete(self._path(name))


class _NeverBegan(Exception):
    """A run whose first line did not reach the disk: nothing was done in it."""


def _line(what: dict[str, Any]) -> str:
    return json.dumps(what, ensure_ascii=False, separators=(",", ":")) + "\n"


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of the lines that are whole."""
    for line in text.split("\n"):
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value
