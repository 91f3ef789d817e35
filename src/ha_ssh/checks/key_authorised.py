"""Truth: our public key is in the app's settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core import keys
from ha_ssh.core.facts import App, Apps, Doors, MyKey, holds_key
from ha_ssh.core.model import (
    Check,
    Consent,
    Edit,
    EditOp,
    Facts,
    Fix,
    NotKnown,
    PublicKeyOf,
    Risk,
    Stage,
    Verdict,
    Want,
    note,
    ok,
    wrong,
)

if TYPE_CHECKING:
    from ha_ssh.core.model import Breakable, Flavour


def judge(want: Want, facts: Facts) -> Verdict:
    """Compare the entries with our key, by the key itself and never by its comment."""
    app = facts[Apps].chosen(want.app)
    key = facts.get(MyKey)
    if not app.serving.keys_listed:
        return _no_list(want, facts, app)
    if isinstance(key, NotKnown) or facts.target.identity is None:
        return note(f"{len(app.serving.keys)} keys are authorised; which of them is yours is not known here")
    if holds_key(app.serving.keys, key.public, facts.target.identity):
        return ok("your key is authorised in the app's settings")
    meant = [entry for entry in app.serving.keys if isinstance(key.public, str) and keys.means(entry, key.public)]
    if meant:
        return _misshapen(app, meant)
    secrets = _secrets(app) if isinstance(key.public, str) else ()
    if secrets and (shown := _is_among_secrets(facts, app, key.public)) is not None:
        return _secret_opens(secrets, shown=shown)
    evidence = (f"{len(app.serving.keys)} entries, none of them your key", *_doubts(app))
    fix = _fix(want, facts, app)
    if secrets and not _opens(facts, app):
        return _perhaps_secret(want, evidence, fix)
    if _opens(facts, app):
        says = "your key opens the door, but it is not in the app's settings"
        why = "the app still has it in its own file from before, and forgets it as soon as another key is set"
        return wrong(says, why, *evidence, fix=fix, failure="keys-left")
    if not app.serving.keys and not app.serving.password_set and app.serving.port is not None:
        says = "neither a key nor a password is set in the app's settings"
        why = "with a port and no login the app refuses to run, and its web terminal shows `502: Bad Gateway`"
        return wrong(says, why, "settings: no authorised key, no password", fix=fix, failure="no-creds")
    return wrong("your key is not authorised in the app's settings", CHECK.why, *evidence, fix=fix)


def _no_list(want: Want, facts: Facts, app: App) -> Verdict:
    """The keys stand in one text instead of a list: write each that is in it as an entry of its own, and ours where it lacks."""
    found = [line for text in app.serving.keys for line in _lines_of(text)]
    key, edits = facts.get(MyKey), [app.flavour.list_keys(found)]
    ours = None if isinstance(key, NotKnown) else key.public
    own = _fix(want, facts, app)
    if facts.target.identity is not None and not holds_key(found, ours, facts.target.identity):
        edits += own.edits
    return wrong(
        "the authorised keys in the app's settings are no list",
        "the app takes a list with one key per entry, and reads anything else as no key, or not at all",
        f"settings: `authorized_keys` is {'one text' if app.serving.keys else 'neither a list nor a text'}",
        *(f"in it: {entry.short}" for text in app.serving.keys for entry in keys.served(text)),
        fix=replace(own, does="write the authorised keys as a list, one key per entry", edits=tuple(edits)),
        failure="key-shape",
    )


def _lines_of(text: str) -> tuple[str, ...]:
    """Return the keys in a text, a line each; what is not understood stays as it is."""
    read = keys.parse_entry(text)
    return (read.repairs or (text,)) if isinstance(read, keys.BadEntry) else (read.line,)


def _secrets(app: App) -> tuple[str, ...]:
    """Return the entries that are references to secrets, which only the app itself can read."""
    bad = ((text, keys.parse_entry(text)) for text in app.serving.keys)
    return tuple(text for text, one in bad if isinstance(one, keys.BadEntry) and one.problem is keys.Problem.SECRET_REFERENCE)


def _is_among_secrets(facts: Facts, app: App, public: str) -> bool | None:
    """Return whether our key was let in by a secret: `True` where the session shows it, `False` where it is all but certain."""
    doors = facts.get(Doors)
    door = None if isinstance(doors, NotKnown) else doors.by_slug.get(app.slug)
    if door is None or not _opens(facts, app):
        return None
    if not isinstance(door.running, dict):
        return False
    return holds_key(app.flavour.read({"options": door.running}).keys, public, None) or None


def _secret_opens(secrets: tuple[str, ...], *, shown: bool) -> Verdict:
    """It is there under another name, and nothing has to be written."""
    says = "your key opens the door: it is one of the secrets that the app's settings name"
    why = "what a secret stands for is in `secrets.yaml`: whoever changes it there withdraws your key at the app's next start"
    how = (
        "the options that the app runs with hold your key" if shown else "the login with your key works, and no other entry is it"
    )
    return note(says, why, *(f"authorised keys: {text}" for text in secrets), how, failure="secret-ref")


def _perhaps_secret(want: Want, evidence: tuple[str, ...], fix: Fix) -> Verdict:
    """It may be there under another name; to add it once more is for a person to decide, unless this run was told to use it."""
    ask = replace(
        fix,
        consent=Consent.ASK,
        offered="identity" in want.remembered,
        instructions=(
            "or look whether it is there: `secrets.yaml` in the configuration folder (the File editor app shows it)",
            "if your key is in it: restart the app, which takes secrets up only when it starts",
        ),
    )
    says = "your key is not seen in the app's settings, of which some are references to secrets"
    return wrong(
        says,
        "the app admits only the keys that are in its settings, and what a secret stands for it alone knows",
        *evidence,
        fix=ask,
        failure="secret-ref",
    )


def _misshapen(app: App, meant: list[str]) -> Verdict:
    """Your key is there in a shape that the server does not read: write it as the one line that was meant."""
    bad = [(text, entry) for text in meant if isinstance(entry := keys.parse_entry(text), keys.BadEntry)]
    edits = [app.flavour.drop_key(text) for text, _ in bad]
    edits += [app.flavour.add_key(line) for _, entry in bad for line in entry.repairs]
    evidence = [f"authorised keys, entry {app.serving.keys.index(text) + 1}: {entry.says}" for text, entry in bad]
    putty = all(entry.problem is keys.Problem.RFC4716 for _, entry in bad)
    return wrong(
        "your key is in the app's settings, but not as one key line",
        "the server passes over such an entry without a word",
        *evidence,
        fix=Fix(does="write your key as one line", slug=app.slug, edits=tuple(edits)),
        failure="pubkey-putty" if putty else "key-shape",
    )


def _doubts(app: App) -> list[str]:
    """Return what keeps it open whether some entry is our key all the same."""
    found = [entry.problem for text in app.serving.keys if isinstance(entry := keys.parse_entry(text), keys.BadEntry)]
    doubts = {
        keys.Problem.SECRET_REFERENCE: "one is a reference to a secret, which only the app can read",
        keys.Problem.PRIVATE_KEY: "one is a private key: if it is yours, make a new one (`ha-ssh setup --new-key ed25519`)",
    }
    return [says for problem, says in doubts.items() if problem in found]


def _opens(facts: Facts, app: App) -> bool:
    """Return whether our key was let in all the same."""
    doors = facts.get(Doors)
    door = None if isinstance(doors, NotKnown) else doors.by_slug.get(app.slug)
    return door is not None and door.admitted is True and door.proof is not None


def _fix(want: Want, facts: Facts, app: App) -> Fix:
    """Add the key; where that ends a password login that people may use, before ours is proven, only by the named risk."""
    identity = want.identity or facts.target.identity or ""
    edit = app.flavour.add_key(PublicKeyOf(identity, want.comment or ""))
    ends = app.flavour.key_ends_password and app.serving.password_login
    if not ends:
        return Fix(does="add your key to the authorised keys", slug=app.slug, edits=(edit,))
    return Fix(
        does="add your key, which ends password login in this app at once",
        consent=Consent.ASK,
        risk=Risk.PASSWORD_OFF,
        slug=app.slug,
        edits=(edit,),
    )


def break_it(scene: Breakable) -> None:
    """Replace every key by somebody else's."""
    scene.forget_our_key()


def _entries(scene: Breakable, *entries: str) -> None:
    """Let the app run with these entries and no others."""
    scene.save(Edit(path=scene.flavour.add_key("x").path, op=EditOp.SET, value=list(entries), title="other entries"))
    scene.restart()


def _our_key(scene: Breakable) -> str:
    return (scene.file(f"{scene.target.identity}.pub") or scene.house.keys.make("ed25519").public).strip()


def _quoted(scene: Breakable) -> None:
    """Put the quotes of a text editor around our key."""
    _entries(scene, f"“{_our_key(scene)}”")


def _putty(scene: Breakable) -> None:
    """Save our key as PuTTY does."""
    blob = _our_key(scene).split()[1]
    _entries(scene, f'---- BEGIN SSH2 PUBLIC KEY ----\nComment: "mine"\n{blob}\n---- END SSH2 PUBLIC KEY ----')


def _nobody(scene: Breakable) -> None:
    """Withdraw every key."""
    _entries(scene)


def _left(scene: Breakable) -> None:
    """Withdraw every key, and let people in by password instead."""
    scene.set_password()
    _entries(scene)


def _keeps_keys(flavour: Flavour) -> bool:
    return flavour.forget_keys() is not None


CHECK = Check(
    id="key-authorised",
    stage=Stage.SETTINGS,
    title="Your key is authorised",
    why="the app admits only the keys that are in its settings",
    needs=(Apps, MyKey, Doors),
    rests_on=("app-installed", "key-file"),
    judge=judge,
    break_it=break_it,
    faults={"key-shape": _quoted, "keys-left": _left, "no-creds": _nobody, "pubkey-putty": _putty},
    befalls={"keys-left": _keeps_keys},
)
