"""Where things lie on this computer, and the remembered houses in `houses.yaml`: made to be edited by hand."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import types
import typing
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ha_ssh.core.errors import UsageError
from ha_ssh.core.model import WANT_SCHEMA, KeyKind, PasswordWish, Places, SecretRef, Want
from ha_ssh.core.options import Trust
from ha_ssh.world import files

if TYPE_CHECKING:
    from collections.abc import Mapping

PROFILE = "HA_SSH_PROFILE"
"""The environment variable that names a folder for everything: SSH files, houses, journal, secrets."""
SCHEMA = 1
_LAST_PORT = 65535
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TWICE = re.compile(r'found duplicate key "([^"]*)"')
_NEWER = "was written by a newer version of ha-ssh"
_UPDATE = "update ha-ssh: the file is as it should be"

# ---------------------------------------------------------------------------------------------------------------- places


@dataclass(frozen=True, kw_only=True)
class Locations:
    """The folders of a person, or of a profile; `portable` means a profile, which leaves everything of the person alone."""

    places: Places
    config_dir: str
    state_dir: str
    portable: bool

    @property
    def houses(self) -> str:
        """The file of the remembered houses."""
        return str(Path(self.config_dir) / "houses.yaml")

    @property
    def journal(self) -> str:
        """The folder of the undo journal."""
        return str(Path(self.state_dir) / "journal")

    @property
    def secrets(self) -> str:
        """The private file for secrets where no keyring serves."""
        return str(Path(self.config_dir) / "secrets.json")

    @property
    def diary(self) -> str:
        """The log of what runs did."""
        return str(Path(self.state_dir) / "ha-ssh.log")

    @property
    def lock(self) -> str:
        """The file that keeps two runs apart."""
        return str(Path(self.state_dir) / "lock")


def locations(profile: str | None) -> Locations:
    """Return where everything lies: in the folder `profile` (from `HA_SSH_PROFILE`), or in the person's own folders."""
    if profile:
        root = Path(profile).expanduser().absolute()
        places = _places(root / "ssh", portable=True)
        return Locations(places=places, config_dir=str(root / "config"), state_dir=str(root / "state"), portable=True)
    import platformdirs

    home = Path.home()
    return Locations(
        places=_places(home / ".ssh", portable=not _is_where_openssh_looks(home)),
        config_dir=platformdirs.user_config_dir("ha-ssh", appauthor=False),
        state_dir=platformdirs.user_state_dir("ha-ssh", appauthor=False),
        portable=False,
    )


def included_file(places: Places, house: str) -> str:
    """Return the path of the file with the SSH settings of one house."""
    return str(Path(places.include_dir) / f"{house}.conf")


def _places(ssh_dir: Path, *, portable: bool) -> Places:
    return Places(
        ssh_dir=str(ssh_dir),
        config=str(ssh_dir / "config"),
        known_hosts=str(ssh_dir / "known_hosts"),
        include_dir=str(ssh_dir / "ha-ssh.d"),
        portable=portable,
    )


def _is_where_openssh_looks(home: Path) -> bool:
    """Say whether `$HOME` is the home folder of the password database, which alone counts for OpenSSH."""
    if sys.platform == "win32":
        return True
    import pwd

    try:
        return home.resolve() == Path(pwd.getpwuid(os.getuid()).pw_dir).resolve()
    except KeyError:
        return False


# ---------------------------------------------------------------------------------------------------------------- houses


@dataclass(frozen=True, kw_only=True)
class House:
    """A remembered house; what is `None` or empty was never learnt."""

    name: str
    url: str
    id: str | None = None
    """The word that names its files (the included file, the key, the tag in `known_hosts`), where that is not its name."""
    trust: Trust = field(default_factory=Trust)
    ssh_host: str | None = None
    ssh_port: int | None = None
    user: str | None = None
    known_as: str | None = None
    """What tells the app's host keys in `known_hosts` from those of the app that was set up first."""
    app: str | None = None
    identity: str | None = None
    alias: str | None = None
    machine_id: str | None = None
    host_keys: tuple[str, ...] = ()
    """Every host key that was seen and proven, as `type base64`."""
    version: str | None = None
    """The version of the app with which all was last well."""
    want: Want | None = None


@dataclass
class Houses:
    """The content of `houses.yaml`, with its comments, its order, and every field that is not ours."""

    path: str
    current: str | None = None
    by_name: dict[str, House] = field(default_factory=dict)
    _document: Any = None

    def get(self, name: str | None = None) -> House | None:
        """Return a house by name, or the current one, or the only one; `None` if there is none such."""
        if name is not None:
            return self.by_name.get(name)
        if self.current in self.by_name:
            return self.by_name[self.current]
        return next(iter(self.by_name.values())) if len(self.by_name) == 1 else None

    def remember(self, house: House) -> None:
        """Add a house or renew what is known of it; the first one becomes the current one."""
        self.by_name[_good_name(house.name)] = house
        self.current = self.current or house.name

    def use(self, name: str) -> None:
        """Make a house the current one."""
        self._known(name)
        self.current = name

    def rename(self, old: str, new: str) -> None:
        """Give a house another name, in its place; its files keep theirs."""
        house = self._known(old)
        if _good_name(new) in self.by_name:
            raise UsageError("house-exists", f"there is a house named `{new}` already")
        self.by_name = {new if name == old else name: known for name, known in self.by_name.items()}
        self.by_name[new] = replace(house, name=new, id=None if house.id == new else house.id or old)
        places = _mapping(self._document, "houses")
        places.insert(list(places).index(old), new, places.pop(old)) if old in places else None
        if self.current == old:
            self.current = new

    def forget(self, name: str) -> None:
        """Drop a house."""
        self._known(name)
        del self.by_name[name]
        if self.current == name:
            self.current = next(iter(self.by_name), None)

    def save(self) -> None:
        """Write the file, touching nothing in it but what changed."""
        document = self._document
        _set(document, "schema", SCHEMA)
        _set(document, "current", self.current)
        kept = _mapping(document, "houses")
        for name in [name for name in kept if name not in self.by_name]:
            del kept[name]
        for name, house in self.by_name.items():
            _write_house(_mapping(kept, name), house)
        text = io.StringIO()
        _yaml().dump(document, text)
        files.write(self.path, text.getvalue())

    def _known(self, name: str) -> House:
        if name not in self.by_name:
            there = ", ".join(f"`{known}`" for known in self.by_name) or "none yet"
            raise UsageError("no-such-house", f"no house named `{name}` is remembered", f"remembered houses: {there}")
        return self.by_name[name]


def load(path: str) -> Houses:
    """Read `houses.yaml`; a missing file is an empty one. Raises `UsageError` that names the file and the line."""
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    state = files.read(path)
    if state.exists and state.text is None:
        way = f"`chmod u+rw {path}`" if state.mine else f"it is another user's: `sudo chown $USER {path}`"
        raise UsageError("houses-unreadable", f"`{path}` {state.problem or 'is no file'}", *([way] if state.closed else []))
    try:
        document = _yaml().load(state.text or "")
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        what = error.problem if isinstance(error, MarkedYAMLError) else "is no YAML"
        twice = _TWICE.match(what or "")
        said = f"`{twice[1]}` is a duplicate: it stands above already" if twice else what
        raise _bad(path, mark.line if mark else None, said or "is no YAML") from None
    if document is None:
        document = CommentedMap()
    if not isinstance(document, CommentedMap):
        raise _bad(path, 0, "must be a list of `name: value` lines")
    read = _Reading(path)
    if (read.value(document, "schema", int) or SCHEMA) > SCHEMA:
        raise _bad(path, document.lc.data["schema"][0], _NEWER, _UPDATE)
    kept = read.mapping(document, "houses")
    by_name = {str(name): _read_house(read, kept, name) for name in kept}
    return Houses(path=path, current=read.value(document, "current", str), by_name=by_name, _document=document)


# ---------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Reading:
    """Reads values of the file and knows the line to blame."""

    path: str

    def mapping(self, above: Any, name: str) -> Any:
        value = above.get(name)
        if value is None:
            return {}
        if not hasattr(value, "items"):
            raise self.bad(above, name, "must be a group of `name: value` lines")
        return value

    def value(self, above: Any, name: str, kind: type[Any]) -> Any:
        """Return a plain value or `None`; what YAML takes for a number is fine where a word is meant."""
        value = above.get(name)
        if value is None:
            return None
        if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        if kind is int and isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        if kind is bool and isinstance(value, bool):
            return bool(value)
        raise self.bad(above, name, f"must be {_KINDS[kind]}")

    def port(self, above: Any) -> int | None:
        """Return a port that there is."""
        value: int | None = self.value(above, "port", int)
        if value is not None and not 1 <= value <= _LAST_PORT:
            raise self.bad(above, "port", f"must be from 1 to {_LAST_PORT}")
        return value

    def bad(self, above: Any, name: str, what: str, *hints: str) -> UsageError:
        line = above.lc.data[name][0] if name in above.lc.data else None
        return _bad(self.path, line, f"`{name}` {what}", *hints)


_KINDS = {str: "a word", int: "a whole number", bool: "`true` or `false`"}


def _read_house(read: _Reading, kept: Any, name: Any) -> House:
    entry = read.mapping(kept, name)
    if not _NAME.fullmatch(str(name)):
        raise read.bad(kept, name, "is no good name for a house: use letters, digits, `.`, `-` and `_`")
    url = read.value(entry, "url", str) if entry else None
    if not url:
        raise read.bad(kept, name, "has no `url`")
    ssh, tls = read.mapping(entry, "ssh"), read.mapping(entry, "tls")
    keys = entry.get("host_keys") or []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise read.bad(entry, "host_keys", "must be a list of keys")
    want = read.mapping(entry, "want")
    return House(
        name=str(name),
        url=url,
        id=read.value(entry, "id", str),
        trust=Trust(ca_file=read.value(tls, "ca_file", str), fingerprint=read.value(tls, "fingerprint", str)),
        ssh_host=read.value(ssh, "host", str),
        ssh_port=read.port(ssh),
        user=read.value(ssh, "user", str),
        known_as=read.value(ssh, "known_as", str),
        app=read.value(entry, "app", str),
        identity=read.value(entry, "identity", str),
        alias=read.value(entry, "alias", str),
        machine_id=read.value(entry, "machine_id", str),
        host_keys=tuple(str(key) for key in keys),
        version=read.value(entry, "version", str),
        want=_read_want(read, entry, want) if want else None,
    )


def _read_want(read: _Reading, entry: Any, stored: Any) -> Want:
    schema = read.value(stored, "schema", int) or WANT_SCHEMA
    if schema > WANT_SCHEMA:
        raise read.bad(entry, "want", _NEWER, _UPDATE)
    values: dict[str, Any] = {}
    for name, kind in _want_fields().items():
        if kind is SecretRef:
            word = read.value(stored, name, str)
            values[name] = None if word is None else SecretRef(word)
        elif issubclass(kind, Enum):
            values[name] = _word(read, stored, name, kind)
        else:
            values[name] = read.port(stored) if name == "port" else read.value(stored, name, kind)
    return Want(schema=WANT_SCHEMA, **values)


def _word(read: _Reading, stored: Any, name: str, kind: type[Enum]) -> Any:
    word = stored.get(name)
    if word is False and kind is PasswordWish:  # YAML's `off`
        word = "off"
    words = [str(member.value) for member in kind]
    if word is None:
        return None
    if word not in words:
        raise read.bad(stored, name, f"must be one of {', '.join(words)}")
    return kind(word)


def _want_fields() -> Mapping[str, type[Any]]:
    """Return the fields of a `Want` that are stored, with the one type that each has beside `None`."""
    hints = typing.get_type_hints(Want, localns={"KeyKind": KeyKind, "SecretRef": SecretRef})
    stored = {}
    for one in fields(Want):
        if isinstance(hints[one.name], types.UnionType):
            stored[one.name] = next(kind for kind in typing.get_args(hints[one.name]) if kind is not type(None))
    return stored


def from_plain(name: str, stored: Mapping[str, Any]) -> House:
    """Return the house that `to_plain` has written."""
    return _read_house(_Reading("the journal"), {name: stored}, name)


# ---------------------------------------------------------------------------------------------------------------- writing


def to_plain(house: House) -> dict[str, Any]:
    """Return what the file says of a house, as plain JSON without its name."""
    from ruamel.yaml.comments import CommentedMap

    entry = CommentedMap()
    _write_house(entry, house)
    plain: dict[str, Any] = json.loads(json.dumps(entry))
    return plain


def _write_house(entry: Any, house: House) -> None:
    _set(entry, "url", house.url)
    groups: dict[str, dict[str, Any]] = {
        "tls": {"ca_file": house.trust.ca_file, "fingerprint": house.trust.fingerprint},
        "ssh": {"host": house.ssh_host, "port": house.ssh_port, "user": house.user, "known_as": house.known_as},
    }
    for group, values in groups.items():
        if group in entry or any(value is not None for value in values.values()):
            for name, value in values.items():
                _set(_mapping(entry, group), name, value)
    for name in ("id", "app", "identity", "alias", "machine_id", "version"):
        _set(entry, name, getattr(house, name))
    _set(entry, "host_keys", list(house.host_keys) or None)
    if house.want is None:
        entry.pop("want", None)
        return
    stored = _mapping(entry, "want")
    _set(stored, "schema", WANT_SCHEMA)
    for name in _want_fields():
        value = getattr(house.want, name)
        _set(stored, name, value.name if isinstance(value, SecretRef) else str(value) if isinstance(value, Enum) else value)


def _set(entry: Any, name: str, value: Any) -> None:
    """Set a value, or take it out for `None`; one that is the same already keeps its writing and its comment."""
    if value is None:
        entry.pop(name, None)
    elif name not in entry or entry[name] != value or isinstance(entry[name], bool) is not isinstance(value, bool):
        entry[name] = value


def _mapping(entry: Any, name: str) -> Any:
    """Return a group of the document, made if it is not there."""
    from ruamel.yaml.comments import CommentedMap

    if not isinstance(entry.get(name), CommentedMap):
        entry[name] = CommentedMap()
    return entry[name]


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _good_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError("bad-house-name", f"`{name}` is no good name for a house", "use letters, digits, `.`, `-` and `_`")
    return name


def _bad(path: str, line: int | None, what: str, *hints: str) -> UsageError:
    hints = hints or ("correct the file by hand, or move it away",)
    where = f"`{path}`" if line is None else f"`{path}`, line {line + 1}"
    return UsageError("bad-houses-file", f"{where}: {what}", *hints)
