"""Truth: every authorised entry is exactly one key line, as the server reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ha_ssh.core import keys
from ha_ssh.core.facts import App, Apps, MyKey
from ha_ssh.core.model import (
    Check,
    Consent,
    Edit,
    EditOp,
    Facts,
    Fix,
    NotKnown,
    Scope,
    Stage,
    Verdict,
    Want,
    note,
    ok,
    tell,
    warn,
)

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Read each entry as strictly as the server; an entry that was meant to be our key is left to the truth about our key."""
    app = facts[Apps].chosen(want.app)
    ours = facts.get(MyKey)
    public = None if isinstance(ours, NotKnown) or not isinstance(ours.public, str) else ours.public
    bad = [(at, text, read) for at, text, read in _bad(app) if public is None or not keys.means(text, public)]
    broken = [(at, text, read) for at, text, read in bad if read.problem is not keys.Problem.SECRET_REFERENCE]
    if broken:
        putty = all(read.problem is keys.Problem.RFC4716 for _, _, read in broken)
        says = (
            "an authorised entry is not one key line"
            if len(broken) == 1
            else f"{len(broken)} authorised entries are not one key line"
        )
        evidence = [f"authorised keys, entry {at}: {read.says}" for at, _, read in broken]
        failure = "pubkey-putty" if putty else "key-shape"
        return warn(says, CHECK.why, *evidence, fix=_fix(app, [(text, read) for _, text, read in broken]), failure=failure)
    if bad:
        return note(
            "an authorised entry is a reference to a secret",
            "what it stands for is known to the app alone; a name that `secrets.yaml` lacks keeps the app from starting",
            *(f"authorised keys, entry {at}: {text}" for at, text, _ in bad),
            failure="secret-ref",
        )
    return ok(
        f"each of the {len(app.serving.keys)} authorised entries is one key line" if app.serving.keys else "no key is authorised"
    )


def _bad(app: App) -> list[tuple[int, str, keys.BadEntry]]:
    """Return the entries that are not one key line, each with its place; private keys have a truth of their own."""
    entries: tuple[Any, ...] = app.serving.keys
    texts = ((at, text) for at, text in enumerate(entries, 1) if isinstance(text, str))  # a key still to be made is none
    read = ((at, text, keys.parse_entry(text)) for at, text in texts)
    return [
        (at, text, entry)
        for at, text, entry in read
        if isinstance(entry, keys.BadEntry) and not entry.harmless and entry.problem is not keys.Problem.PRIVATE_KEY
    ]


def _fix(app: App, broken: list[tuple[str, keys.BadEntry]]) -> Fix:
    """Write down what was surely meant, one key per entry; where that is not clear, a person has to look."""
    clear = [(text, read) for text, read in broken if read.repairs]
    if not clear:
        return tell(
            "write it anew",
            "put the whole line of the public key file (`….pub`) into the settings, as one entry",
            "or remove the entry: it opens no door",
        )
    edits = [app.flavour.drop_key(text) for text, _ in clear]
    edits += [app.flavour.add_key(line) for _, read in clear for line in read.repairs]
    return Fix(
        does="write them as one key per entry, which lets in whoever has those keys",
        consent=Consent.ASK,
        slug=app.slug,
        edits=tuple(edits),
    )


def _add(scene: Breakable, entry: str) -> None:
    path = scene.flavour.add_key("x").path
    scene.save(Edit(path=path, op=EditOp.ADD, value=entry, title="add an entry"))
    scene.restart()


def break_it(scene: Breakable) -> None:
    """Add somebody's key with the quotes of a text editor around it."""
    _add(scene, f"“{scene.house.keys.make('ed25519').public} neighbour”")


def _secret(scene: Breakable) -> None:
    """Add a reference to a secret."""
    scene.house.secrets["ssh_key"] = f"{scene.house.keys.make('ed25519').public} neighbour"
    _add(scene, "!secret ssh_key")


CHECK = Check(
    id="key-entries",
    stage=Stage.SETTINGS,
    scope=Scope.HYGIENE,
    title="Every authorised entry is one key line",
    why="the server passes over an entry of any other shape without a word, and its owner is refused",
    needs=(Apps, MyKey),
    rests_on=("app-installed",),
    judge=judge,
    break_it=break_it,
    faults={"secret-ref": _secret},
)
