"""Truth: the private key is there, in a form that OpenSSH takes, and only its owner can read it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ha_ssh.core.facts import ALWAYS_SO, OF_THE_HOUSE, MyKey, with_key, with_new_login
from ha_ssh.core.model import (
    Check,
    Facts,
    Fix,
    Home,
    IfFailed,
    KeyKind,
    KeyState,
    Later,
    SecretRef,
    Show,
    Stage,
    Verdict,
    Want,
    note,
    ok,
    tell,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ha_ssh.core.model import Breakable

_OTHERS = 0o077

_PROBLEMS = {
    "public": ("is a public key, not a private one", "give the private key: usually the same path without `.pub`"),
    "putty": ("is a PuTTY key", "turn it into an OpenSSH key: `puttygen {path} -O private-openssh -o {path}.openssh`"),
    "wrong-passphrase": ("does not open with that passphrase", "give the right one with `--passphrase-file FILE`"),
    "broken": (
        "is no private key that can be read",
        "choose another key with `--key`, or make a new one with `--new-key ed25519`",
    ),
    "unsupported": ("is of a kind that SSH servers no longer take", "make a new key: `--new-key ed25519`"),
    "unreadable": ("cannot be read", "let your user read it, or choose another key with `--key`"),
    "locked": (
        "is protected by a passphrase that was not given",
        "give it with `--passphrase-file FILE`, or run in a terminal to be asked",
    ),
}


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

    def preview(self, _facts: Facts) -> tuple[str, ...]:
        """The two files."""
        guarded = "with a passphrase" if self.passphrase else "without a passphrase"
        return (f"+ {self.path} ({guarded}, only you can read it)", f"+ {self.path}.pub")

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
        )
        return with_key(facts, MyKey(state=state, public=later))

    async def save(self, home: Home) -> dict[str, Any]:
        """Whether there was a file before."""
        return {"existed": (await home.file(self.path)).exists}

    async def do(self, home: Home, _show: Show) -> None:
        """Make the pair, unless a run that was cut off has made it already."""
        if not (await home.file(self.path)).exists:
            await home.make_key(self.path, KeyKind(self.kind), self.passphrase, self.comment)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """A key is never deleted: it may be in use elsewhere by now."""
        if saved["existed"] or not (await home.file(self.path)).exists:
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
        """Set the mode."""
        await home.set_mode(self.path, 0o600)

    async def undo(self, home: Home, saved: Mapping[str, Any]) -> str | None:
        """Give the mode back, if it is still ours."""
        state = await home.file(self.path)
        if state.exists and state.mode == 0o600 and saved["mode"] is not None:
            await home.set_mode(self.path, saved["mode"])
        return None


@dataclass(frozen=True, kw_only=True)
class MendKeyFile:
    """Rewrite a private key file with the line ends that OpenSSH takes."""

    path: str

    id: ClassVar[str] = "mend-key-file"
    version: ClassVar[int] = 1
    if_failed: ClassVar[IfFailed] = IfFailed.KEEP
    keeps: ClassVar[frozenset[type[Any]]] = OF_THE_HOUSE

    @property
    def title(self) -> str:
        """What it does."""
        return "Give the private key the line ends that OpenSSH takes"

    def preview(self, _facts: Facts) -> tuple[str, ...]:
        """The file."""
        return (f"~ {self.path}: line ends CR LF -> LF, one at the end",)

    def after(self, facts: Facts) -> Facts:
        """The same key, readable for OpenSSH."""
        key = facts[MyKey]
        return with_new_login(facts.with_(replace(key, state=replace(key.state, crlf=False))))

    async def save(self, _home: Home) -> dict[str, Any]:
        """Nothing: what a private key holds is written nowhere else."""
        return {}

    async def do(self, home: Home, _show: Show) -> None:
        """Rewrite the file in one piece."""
        text = (await home.file(self.path)).text or ""
        await home.write(self.path, text.replace("\r\n", "\n").rstrip("\n") + "\n")

    async def undo(self, _home: Home, _saved: Mapping[str, Any]) -> str | None:
        """The mended file says the same, so it stays."""
        return f"`{self.path}` keeps its mended line ends"


def judge(want: Want, facts: Facts) -> Verdict:
    """Look at the key file; make the key where one is wanted and there is none."""
    if want.identity is None and facts.target.identity is None:
        return note("no key is chosen")
    key = facts[MyKey].state
    if not key.exists:
        return _missing(want, key)
    if key.problem:
        says, way = _PROBLEMS.get(key.problem, _PROBLEMS["broken"])
        fix = tell("choose or repair the key", way.format(path=key.path))
        return wrong(f"`{key.path}` {says}", CHECK.why, key.detail or key.problem, fix=fix)
    if key.crlf:
        step = MendKeyFile(path=key.path)
        return wrong(f"`{key.path}` has line ends that OpenSSH refuses", "other clients take it, `ssh` does not", fix=_by(step))
    if isinstance(key.mode, int) and key.mode & _OTHERS:
        says = f"others can read `{key.path}` (mode {oct(key.mode)[2:]})"
        return wrong(says, "OpenSSH refuses a private key that others can read", fix=_by(CloseKeyFile(path=key.path)))
    return ok(f"the key `{key.path}` is there and yours alone")


def _missing(want: Want, key: KeyState) -> Verdict:
    if want.make_key is None:
        fix = tell("choose a key", "name one that is there with `--key FILE`, or make one with `--new-key ed25519`")
        return wrong(f"there is no key `{key.path}`", CHECK.why, fix=fix)
    step = MakeKey(path=key.path, kind=want.make_key, passphrase=want.passphrase, comment=want.comment or "")
    return wrong(f"there is no key `{key.path}` yet", CHECK.why, fix=Fix(does="make a new key", steps=(step,)))


def _by(step: CloseKeyFile | MendKeyFile) -> Fix:
    return Fix(does=step.title[0].lower() + step.title[1:], steps=(step,))


def break_it(scene: Breakable) -> None:
    """Let everybody read the key."""
    path = scene.target.identity or ""
    scene.put_file(path, scene.file(path), 0o644)


CHECK = Check(
    id="key-file",
    stage=Stage.COMPUTER,
    title="The private key is there and yours alone",
    why="the key is what opens the door; OpenSSH takes it only from a file that nobody else can read",
    needs=(MyKey,),
    judge=judge,
    break_it=break_it,
)
STEPS = (MakeKey, CloseKeyFile, MendKeyFile)
