"""Answers as YAML: read with the line of every mistake, written with the comments of the file kept; never a secret."""

from __future__ import annotations

import difflib
import io
from typing import TYPE_CHECKING, Any

from ha_ssh.ask.questions import SETUP, Clause, Kind, NotThis, parse_url, reconciled
from ha_ssh.core.errors import UsageError
from ha_ssh.core.options import Answers, Given, Source
from ha_ssh.core.secret import Secret

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_FROM_FILE = "passphrase-file"
_NONE = "no-passphrase"
_CLAUSES = {clause.id: clause for clause in SETUP if clause.kind is not Kind.SECRET}
KEYS = (*_CLAUSES, "url", _FROM_FILE, _NONE)
"""The keys that an answers file can have."""


def from_yaml(text: str, name: str) -> Answers:
    """Return the answers of a file; raises `UsageError` naming the file, the line, and the nearest known key.

    Beside the questions there can be `url`, `passphrase-file` and `no-passphrase`.
    """
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data = _yaml().load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _wrong(name, line, f"this is no YAML: {error.problem or error.context}") from None
    except YAMLError as error:
        raise _wrong(name, 1, f"this is no YAML: {str(error).splitlines()[0]}") from None
    if data is None:
        return Answers()
    if not isinstance(data, CommentedMap):
        raise _wrong(name, 1, "an answers file is a list of `key: value` lines")
    answers: dict[str, Given] = {}
    for key, value in data.items():
        line = data.lc.key(key)[0] + 1
        where = Given(None, Source.FILE, f"{name} line {line}")
        try:
            id, answer = _answer(key, value)  # noqa: A001 - the question's id
        except NotThis as no:
            raise _wrong(name, line, no.says, *([] if no.instead is None else [f"`{no.instead}` would do"])) from None
        if answer is not None:
            answers[id] = Given(answer, where.source, where.where)
    return reconciled(Answers(answers))


def to_yaml(answers: Answers, *, url: str | None, passphrase_file: str | None, text: str = "") -> str:
    """Return the answers as the text of a file, with the comments and unknown lines of `text` kept and no secret in it."""
    yaml = _yaml()
    data = yaml.load(text) or yaml.load("{}\n")
    data.fa.set_block_style()
    wanted: dict[str, Any] = {"url": url} if url else {}
    for id, clause in _CLAUSES.items():  # noqa: A001 - the question's id
        if id in answers and (clause.opinion or answers.said(id) is not None):
            wanted[id] = _plain(clause, answers[id])
    if isinstance(answers.get("passphrase"), Secret) and not answers["passphrase"]:
        wanted[_NONE] = True
    elif passphrase_file:
        wanted[_FROM_FILE] = passphrase_file
    for key in KEYS:
        if key in wanted and data.get(key) != wanted[key]:
            data[key] = wanted[key]
        elif key not in wanted:
            data.pop(key, None)
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def _yaml() -> YAML:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _wrong(name: str, line: int, says: str, *hints: str) -> UsageError:
    return UsageError("bad-answers-file", f"{name} line {line}: {says}", *hints)


def _answer(key: Any, value: Any) -> tuple[str, Any]:
    """Return the question and the answer of one line; an empty value is no answer."""
    if key not in KEYS:
        near = [known for known in KEYS if known.startswith(str(key))] or difflib.get_close_matches(str(key), KEYS, cutoff=0.5)
        raise NotThis(f"`{key}` is no answer that is known" + (f"; did you mean `{near[0]}`?" if near else ""))
    if value is None:
        return key, None
    if key == _NONE:
        return "passphrase", Secret("") if _expect(key, value, bool, "true or false") else None
    if key == "url":
        return key, parse_url(_expect(key, value, str, "an address"))
    if key == _FROM_FILE:
        return key, _expect(key, value, str, "the path of a file")
    clause = _CLAUSES[key]
    if clause.kind is Kind.CONFIRM:
        return key, _expect(key, value, bool, "true or false")
    if clause.kind is Kind.NUMBER:
        return key, clause.parse(str(_expect(key, value, int, "a number")))
    if value is False and (clause.off or "off" in clause.words):
        value = "off" if "off" in clause.words else "none"
    return key, clause.parse(_expect(key, value, str, f"one of {', '.join(clause.words)}" if clause.words else "a text"))


def _expect(key: str, value: Any, kind: type, words: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        shown = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else f"`{value}`"
        raise NotThis(f"`{key}` has to be {words}, not {shown}")
    return value


def _plain(clause: Clause, value: Any) -> Any:
    if clause.off and clause.kind is Kind.TEXT and not value:
        return False
    return value if isinstance(value, bool | int) else str(value)
