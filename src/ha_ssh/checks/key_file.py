"""Truth: the private key is there, in a form that OpenSSH takes, and only its owner can read it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.errors import Exit, HaSshError
from ha_ssh.core.facts import ALWAYS_SO, OF_THE_HOUSE, Alias, Apps, Doors, MyKey, holds_key, with_key, with_new_login
from ha_ssh.core.keys import fingerprint, mended_form
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    Home,
    IfFailed,
    KeyKind,
    KeyState,
    Later,
    NotKnown,
    OwnLogin,
    SecretRef,
    Show,
    Stage,
    Verdict,
    Want,
    note,
    ok,
    rather,
    tell,
    unknown,
    wrong,
)
from ha_ssh.core.open_file import OpenFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable

_OTHERS, _OWN_READ = 0o077, 0o400

_WITHOUT_MODES = re.compile(r"/mnt/[a-z]/")
"""Where Windows' disks are seen from its Linux subsystem: there every file looks open to all, and `chmod` does nothing."""

_PROBLEMS = {
    "public": ("key-public", "is a public key, not a private one", "give the private key: usually the same path without `.pub`"),
    "putty": ("ppk", "is a PuTTY key", "turn it into an OpenSSH key: `puttygen {path} -O private-openssh -o {path}.openssh`"),
    "wrong-passphrase": (
        "key-passphrase",
        "does not open with that passphrase",
        "give the right one with `--passphrase-file FILE`",
    ),
    "broken": (
        "key-broken",
        "is no private key that can be read",
        "choose another key with `--key`, or make a new one with `--new-key ed25519`",
    ),
    "unsupported": (
        "key-unsupported",
        "is of a kind that SSH servers no longer take",
        "make a new key: `--new-key ed25519`",
    ),
    "unreadable": ("key-unreadable", "cannot be read", "let your user read it, or choose another key with `--key`"),
    "locked": (
        "key-passphrase",
        "is protected by a passphrase that was not given",
        "give it with `--passphrase-file FILE`, or run in a terminal to be asked; for scripts, make a key of their own",
    ),
}
"""What can be wrong with a key: which known failure it is, what is said, and the way out."""


@dataclass(frozen=True, kw_only=True)
class MakeKey:
    """Make a key pair, private from birth; never over a file that is there."""

    path: str
    kind: str
    passphrase: SecretRef | None = None
    comment: str = ""

    id: ClassVar[str] = "make-key"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return f"Make a new {self.kind} key"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The two files, and what becomes of a public half that was left behind."""
        guarded = "with a passphrase" if self.passphrase else "without a passphrase"
        key = facts.get(MyKey)
        left = isinstance(key, MyKey) and key.state.beside is not None
        aside = (f"~ {self.path}.pub -> {self.path}.pub.old (its private key is gone)",) if left else ()
        return (*aside, f"+ {self.path} ({guarded}, only you can read it)", f"+ {self.path}.pub")

    def after(self, facts: Facts) -> Facts:
        """The key is there; what it is, only its making tells."""
        later = Later("the new key")
        state = KeyState(
            path=self.path,
            exists=True,
            public=later,  # type: ignore[arg-type] # a plan may hold values that are still to be made
            comment=later,  # type: ignore[arg-type] # as above
            encrypted=self.passphrase is not None,
            mode=later,  # type: ignore[arg-type] # as above
            beside=later,  # type: ignore[arg-type] # as above
        )
        return with_key(facts, MyKey(state=state, public=later))

    async def save(self, home: Home) -> dict[str, Any]:
        """Whether there was a file before, and a public half without it."""
        return {"existed": (await home.file(self.path)).exists, "left": (await home.file(f"{self.path}.pub")).text}

    async def do(self, home: Home, _show: Show) -> None:
        """Make the pair, unless a run that was cut off has made it already."""
        if not (await home.file(self.path)).exists:
            await self._set_aside(home)
            await home.make_key(self.path, KeyKind(self.kind), self.passphrase, self.comment)

    async def _set_aside(self, home: Home) -> None:
        """Keep a public half that was left behind under another name, never over a file that is there."""
        left = await home.file(f"{self.path}.pub")
        if left.text is None:
            return
        aside = await self._aside(home, left.text)
        await home.write(aside, left.text, mode=0o644)
        await home.delete(left.path)

    async def _take_back(self, home: Home, left: str | None) -> None:
        """Give the public half that was left behind its name again."""
        if left is not None and not (await home.file(f"{self.path}.pub")).exists:
            await home.write(f"{self.path}.pub", left, mode=0o644)
            await home.delete(await self._aside(home, left))

    async def _aside(self, home: Home, text: str) -> str:
        """Return the first name that is free, or that holds this text already."""
        name, number = f"{self.path}.pub.old", 1
        while (there := await home.file(name)).exists and there.text != text:
            number += 1
            name = f"{self.path}.pub.old{number}"
        return name

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """A key is never deleted: it may be in use elsewhere by now."""
        if not (await home.file(self.path)).exists:
            await self._take_back(home, saved.get("left"))
            return None
        if saved["existed"]:
            return None
        return f"the key `{self.path}` stays; it opens nothing here any more, so you may delete it"


@dataclass(frozen=True, kw_only=True)
class CloseKeyFile:
    """Let only the owner read the private key file."""

    path: str

    id: ClassVar[str] = "close-key-file"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = OF_THE_HOUSE

    @property
    def title(self) -> str:
        """What it does."""
        return "Let only you read the private key"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The mode before and after."""
        mode = facts[MyKey].state.mode
        return (f"~ {self.path}: mode {oct(mode or 0)[2:]} -> 600",)

    def after(self, facts: Facts) -> Facts:
        """Mode 600."""
        key = facts[MyKey]
        return with_new_login(facts.with_(replace(key, state=replace(key.state, mode=0o600))))

    async def save(self, home: Home) -> dict[str, Any]:
        """The mode of now."""
        return {"mode": (await home.file(self.path)).mode}

    async def do(self, home: Home, _show: Show) -> None:
        """Set the mode, and see that the disk keeps it."""
        await home.set_mode(self.path, 0o600)
        if ((await home.file(self.path)).mode or 0) & _OTHERS:
            raise HaSshError(
                "no-modes", f"the disk on which `{self.path}` lies keeps no file modes", *_move(self.path), exit=Exit.WRONG
            )

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Give the mode back, if it is still ours."""
        state = await home.file(self.path)
        if state.exists and state.mode == 0o600 and saved["mode"] is not None:
            await home.set_mode(self.path, saved["mode"])
        return None


@dataclass(frozen=True, kw_only=True)
class MendKeyFile:
    """Rewrite a private key file in the form that OpenSSH takes."""

    path: str

    id: ClassVar[str] = "mend-key-file"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = ALWAYS_SO

    @property
    def title(self) -> str:
        """What it does."""
        return "Give the private key the form that OpenSSH takes"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The file, and what changes of it."""
        before = facts[MyKey].state.before
        gone = {"mark": "without its byte order mark", "blank": "without the blank lines before the key"}.get(before, "")
        return (f"~ {self.path}: {gone or 'line ends CR LF -> LF, one at the end'}",)

    def after(self, facts: Facts) -> Facts:
        """The same key, readable for OpenSSH; a mark keeps our own client from it, too."""
        key = facts[MyKey]
        mended = replace(key, state=replace(key.state, crlf=False, before=""))
        return with_key(facts, mended) if key.state.before else with_new_login(facts.with_(mended))

    async def save(self, _home: Home) -> dict[str, Any]:
        """Nothing: what a private key holds is written nowhere else."""
        return {}

    async def do(self, home: Home, _show: Show) -> None:
        """Rewrite the file in one piece."""
        text = (await home.file(self.path)).text or ""
        await home.write(self.path, mended_form(text))

    async def undo(self, _home: Home, _saved: Mapping[str, Any]) -> str | None:
        """The mended file says the same, so it stays."""
        return f"`{self.path}` keeps its mended form"


@dataclass(frozen=True, kw_only=True)
class WritePublic:
    """Write the public half of a private key anew, where the file beside it holds another key's."""

    path: str
    public: str

    id: ClassVar[str] = "write-public"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = OF_THE_HOUSE

    @property
    def title(self) -> str:
        """What it does."""
        return f"Write `{self.path}.pub` anew from the private key"

    def preview(self, facts: Facts) -> tuple[str, ...]:
        """The fingerprint before and after."""
        before = fingerprint(facts[MyKey].state.beside or "")
        return (f"~ {self.path}.pub: {before} -> {fingerprint(self.public)}",)

    def after(self, facts: Facts) -> Facts:
        """Both halves are one key's."""
        key = facts[MyKey]
        return with_new_login(facts.with_(replace(key, state=replace(key.state, beside=self.public))))

    async def save(self, home: Home) -> dict[str, Any]:
        """The other key's public half."""
        return {"text": (await home.file(f"{self.path}.pub")).text}

    async def do(self, home: Home, _show: Show) -> None:
        """Write the one line."""
        await home.write(f"{self.path}.pub", f"{self.public}\n", mode=0o644)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Put the other one back, if ours is still there."""
        if saved["text"] is not None and (await home.file(f"{self.path}.pub")).text == f"{self.public}\n":
            await home.write(f"{self.path}.pub", saved["text"])
        return None


def judge(want: Want, facts: Facts) -> Verdict:
    """Look at the key file; make the key where one is wanted and there is none."""
    if want.identity is None and facts.target.identity is None:
        return note("no key is chosen")
    key = facts[MyKey].state
    if not key.exists:
        return _by_agent(facts, key) or _missing(want, key)
    if key.problem == "locked" and not key.crlf:
        return _locked(facts, key)
    if key.problem == "unreadable" and key.mine and isinstance(key.mode, int) and not key.mode & _OWN_READ:
        step = OpenFile(path=key.path, mode=key.mode)
        says = f"`{key.path}` cannot be read by you"
        return wrong(says, CHECK.why, f"mode {key.mode:03o}", fix=_by(step), failure="key-unreadable")
    if key.problem and key.problem != "locked":
        failure, says, way = _PROBLEMS.get(key.problem, _PROBLEMS["broken"])
        fix = tell("choose or repair the key", way.format(path=key.path))
        return wrong(f"`{key.path}` {says}", CHECK.why, key.detail or key.problem, fix=fix, failure=failure)
    if key.crlf:
        return _in_another_form(key)
    if isinstance(key.mode, int) and key.mode & _OTHERS and key.mine:
        return _open_to_others(key, key.mode)
    if isinstance(key.public, str) and isinstance(key.beside, str) and key.beside not in {"", key.public}:
        return _of_two_keys(facts, key, key.public, key.beside)
    return ok(f"the key `{key.path}` is there and yours alone")


_FORMS = {
    "mark": ("begins with an invisible mark (a byte order mark), which OpenSSH refuses", "key-mark"),
    "text": ("has other lines before the key, which OpenSSH refuses", "key-text"),
    "blank": ("has blank lines before the key, which OpenSSH refuses", "key-text"),
    "": ("has line ends that OpenSSH refuses", "key-crlf"),
}
"""What a key file has where OpenSSH wants nothing but the key; and which known failure that is."""


def _in_another_form(key: KeyState) -> Verdict:
    """A key that is whole, in a file that OpenSSH does not read; what somebody wrote into it is his to delete."""
    says, failure = _FORMS[key.before]
    why = "other clients take it; `ssh` says `error in libcrypto`, and then that the login is denied"
    fix = _by(MendKeyFile(path=key.path))
    if key.before == "text":
        way = f"delete what stands before `-----BEGIN OPENSSH PRIVATE KEY-----` in `{key.path}`"
        fix = tell("delete those lines", way, "what stands after the key does no harm")
    return wrong(f"`{key.path}` {says}", why, fix=fix, failure=failure)


def _own_login(facts: Facts) -> OwnLogin | None:
    """Return the login by the user's own `ssh`, where it was tried."""
    alias = facts.get(Alias) if not facts.comes(Alias) else NotKnown("it is still to come")
    login = None if isinstance(alias, NotKnown | Later) else alias.login
    return login if isinstance(login, OwnLogin) else None


def _excuses(facts: Facts) -> bool:
    """Return whether what could not be looked at hangs on nothing but the key."""
    return not facts.comes(Doors) and isinstance(facts.get(Doors), Doors)


def _by_agent(facts: Facts, key: KeyState) -> Verdict | None:
    """A key whose private half lies in an agent alone opens the door too."""
    login = _own_login(facts)
    if not key.beside or login is None or login.code:
        return None
    says = f"there is no key file `{key.path}`; `ssh` logs in all the same, so an agent holds the key"
    why = "ha-ssh itself cannot log in with it, so what a session shows was not looked at"
    return replace(note(says, why), excuses=_excuses(facts))


def _locked(facts: Facts, key: KeyState) -> Verdict:
    """A passphrase that nobody gave is no fault; what the user's own `ssh` can do without it is told."""
    login = _own_login(facts)
    seen: tuple[str, ...] = ()
    if login is not None and login.code == 0:
        says = f"`{key.path}` has a passphrase that was not given; `ssh` logs in, since an agent holds the key"
        why = "what a session of ours would show was not looked at: `--passphrase-file FILE` lets it"
        return replace(note(says, why, failure="key-passphrase"), excuses=_excuses(facts))
    if login is not None:
        seen = ("`ssh` does not log in by itself: no agent holds the key",)
    _failure, says, way = _PROBLEMS["locked"]
    fix = tell("give the passphrase", way)
    return unknown(f"`{key.path}` {says}; no login was tried with it", CHECK.why, *seen, fix=fix, failure="key-passphrase")


def _open_to_others(key: KeyState, mode: int) -> Verdict:
    """OpenSSH passes such a key over; where the disk keeps no modes, it has to lie elsewhere."""
    lost = _WITHOUT_MODES.match(key.path) is not None and mode & 0o777 == 0o777
    return wrong(
        f"others can read `{key.path}` (mode {oct(mode)[2:]})",
        "OpenSSH does not take a private key that others can read; other clients do",
        fix=tell("move the key to the Linux side", *_move(key.path)) if lost else _by(CloseKeyFile(path=key.path)),
        failure="key-mode",
    )


def _of_two_keys(facts: Facts, key: KeyState, public: str, beside: str) -> Verdict:
    """OpenSSH offers what the `.pub` file says, and then cannot sign for it; the house knows which of the two was there first."""
    apps = facts.get(Apps)
    entries = [str(entry) for app in (() if isinstance(apps, NotKnown) else apps.by_slug.values()) for entry in app.serving.keys]
    known_one, known_other = holds_key(entries, public, None), holds_key(entries, beside, None)
    if isinstance(apps, NotKnown) or (known_other and not known_one):
        return _exchanged(key, public, beside, known_other)
    return wrong(
        f"`{key.path}.pub` belongs to another key than `{key.path}`",
        "`ssh` offers the key of the `.pub` file, and the server refuses it; other clients look at the private key alone",
        f"{key.path}: {fingerprint(public)}",
        f"{key.path}.pub: {fingerprint(beside)}",
        fix=_by(WritePublic(path=key.path, public=public)),
        failure="key-pub-other",
    )


def _exchanged(key: KeyState, public: str, beside: str, known_other: bool) -> Verdict:
    """A private key that somebody has put in the place of ours is never authorised by itself."""
    seen = (f"{key.path}: {fingerprint(public)}", f"{key.path}.pub: {fingerprint(beside)}")
    if not known_other:
        says = f"`{key.path}.pub` belongs to another key than `{key.path}`"
        why = "one of the two files was exchanged; which one, the app's settings would tell, and they could not be read"
        fix = tell("find out which of the two is yours", f"`ssh-keygen -lf {key.path}` and `ssh-keygen -lf {key.path}.pub`")
        return wrong(says, why, *seen, fix=fix, failure="key-exchanged")
    says = f"`{key.path}` was exchanged for another key: the app knows the one of `{key.path}.pub`"
    why = "a key that the house does not know is not authorised by itself: somebody may have put it there"
    fix = tell(
        "put your own key back",
        f"from a backup, to `{key.path}`; or name the file where it lies now: `--key FILE`",
        f"if the new one is yours too: `ssh-keygen -yf {key.path} > {key.path}.pub`, then `ha-ssh setup`",
    )
    return wrong(says, why, *seen, "the app's settings hold the key of the `.pub` file", fix=fix, failure="key-exchanged")


def _move(path: str) -> tuple[str, ...]:
    name = path.rsplit("/", 1)[-1]
    return (f"copy it to your Linux home: `install -m 600 {path} ~/.ssh/{name}`", f"then use it: `--key ~/.ssh/{name}`")


def _missing(want: Want, key: KeyState) -> Verdict:
    if want.make_key is None:
        fix = rather("make a new key there", "or choose one that is there: `ha-ssh setup --key FILE`", make_key=KeyKind.ED25519)
        return wrong(f"there is no key `{key.path}`", CHECK.why, fix=fix, failure="key-missing")
    step = MakeKey(path=key.path, kind=want.make_key, passphrase=want.passphrase, comment=want.comment or "")
    fix = Fix(does="make a new key", steps=(step,))
    return wrong(f"there is no key `{key.path}` yet", CHECK.why, fix=fix, failure="key-missing")


def _by(step: CloseKeyFile | MendKeyFile | WritePublic | OpenFile) -> Fix:
    return Fix(does=step.title[0].lower() + step.title[1:], steps=(step,))


def break_it(scene: Breakable) -> None:
    """Let everybody read the key."""
    path = scene.target.identity or ""
    scene.put_file(path, scene.file(path), 0o644)


def _put(scene: Breakable, text: str) -> None:
    scene.put_file(scene.target.identity or "", text)


def _lose(scene: Breakable) -> None:
    """Delete both halves."""
    for path in (scene.target.identity or "", f"{scene.target.identity}.pub"):
        scene.put_file(path, None)


def _to_crlf(scene: Breakable) -> None:
    """Save it as an editor of Windows does."""
    _put(scene, (scene.file(scene.target.identity or "") or "").replace("\n", "\r\n"))


def _cut(scene: Breakable) -> None:
    """Lose its end, as by copying too little."""
    _put(scene, (scene.file(scene.target.identity or "") or "")[:150] + "\n")


def _swap(scene: Breakable) -> None:
    """Put the public half in the place of the private one."""
    _put(scene, scene.file(f"{scene.target.identity}.pub") or "")


def _lock(scene: Breakable) -> None:
    """Put a passphrase on it that nobody was told; the header alone says so."""
    blob = base64.b64decode((scene.file(f"{scene.target.identity}.pub") or scene.house.keys.make("ed25519").public).split()[1])
    parts = (b"aes256-ctr", b"bcrypt", b"\0\0\0\x10" + bytes(16) + b"\0\0\0\x10")
    head = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    body = b"".join(len(part).to_bytes(4, "big") + part for part in (blob, bytes(160)))
    text = base64.b64encode(b"openssh-key-v1\0" + head + b"\0\0\0\1" + body).decode()
    lines = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    word = "OPENSSH PRIVATE" + " KEY"  # apart, so that no scanner takes this file for a key
    _put(scene, f"-----BEGIN {word}-----\n{lines}\n-----END {word}-----\n")


CHECK = Check(
    id="key-file",
    stage=Stage.COMPUTER,
    title="The private key is there and yours alone",
    why="the key is what opens the door; OpenSSH takes it only from a file that nobody else can read",
    needs=(Alias, Apps, Doors, MyKey),
    rests_on=("ssh-folder",),
    judge=judge,
    break_it=break_it,
    faults={
        "key-crlf": _to_crlf,
        "key-mark": lambda scene: _put(scene, f"\ufeff{scene.file(scene.target.identity or '') or ''}"),
        "key-text": lambda scene: _put(scene, f"my key for the house:\n{scene.file(scene.target.identity or '') or ''}"),
        "key-unreadable": lambda scene: scene.put_file(
            scene.target.identity or "", scene.file(scene.target.identity or "") or "", 0o000
        ),
        "ppk": lambda scene: _put(scene, "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: mine\n"),
        "key-passphrase": _lock,
        "key-public": _swap,
        "key-broken": _cut,
        "key-missing": _lose,
        "key-pub-other": lambda scene: scene.put_file(
            f"{scene.target.identity}.pub", f"{scene.house.keys.make('ed25519').public} another\n", 0o644
        ),
    },
)
STEPS = (MakeKey, CloseKeyFile, MendKeyFile, WritePublic)
