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
    if not app.serving.keys_listed:
        return ok("the authorised keys are no list: that is `key-authorised`'s to put right")
    bad = [(at, text, read) for at, text, read in _bad(app) if not _is_ours_alone(text, public)]
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
    if (old := _no_longer_taken(app)) is not None:
        return old
    return ok(
        f"each of the {len(app.serving.keys)} authorised entries is one key line" if app.serving.keys else "no key is authorised"
    )


def _is_ours_alone(text: str, public: str | None) -> bool:
    """Return whether an entry was meant to be our key, and the server does not find it: another truth tells that."""
    return public is not None and keys.means(text, public) and not keys.admits(text, public)


def _no_longer_taken(app: App) -> Verdict | None:
    """Find keys of a kind that no server of today takes."""
    texts: tuple[Any, ...] = app.serving.keys
    entries = ((at, keys.first_key(text)) for at, text in enumerate(texts, 1) if isinstance(text, str))
    old = [(at, entry) for at, entry in entries if entry is not None and entry.kind == "ssh-dss"]
    if not old:
        return None
    fix = tell(
        "give its owner a key of another kind",
        "make one on their computer: `ssh-keygen -t ed25519`",
        "and put the line of its `.pub` file into the settings, in the place of this one",
    )
    says = "an authorised key is of a kind that the server no longer takes"
    evidence = (f"authorised keys, entry {at}: {entry.short}" for at, entry in old)
    return warn(says, keys.weakness(old[0][1].line) or CHECK.why, *evidence, fix=fix)


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
