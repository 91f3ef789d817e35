"""Truth: no private key lies in the app's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ha_ssh.core import keys
from ha_ssh.core.facts import Apps
from ha_ssh.core.model import Check, Edit, EditOp, Facts, Scope, Stage, Verdict, Want, ok, tell, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ha_ssh.core.model import Breakable


def judge(want: Want, facts: Facts) -> Verdict:
    """Look into every text of the settings; what is found is told, never shown and never repaired in silence."""
    app = facts[Apps].chosen(want.app)
    places = [place for place, text in _texts("", app.settings.get("options") or {}) if keys.is_private(text)]
    if not places:
        return ok("no private key lies in the app's settings")
    fix = tell(
        "give that key up",
        "make a new one: `ha-ssh setup --new-key ed25519`",
        f"remove the entry: Settings, Apps, {app.flavour.name}, Configuration",
        "remove the public half of the old key from everything that it opens, and delete backups that hold the settings",
    )
    why = "it is compromised: it lies in the settings and in every backup, and it lets nobody in"
    return wrong(
        "a private key lies in the app's settings",
        why,
        *(f"settings: {place}" for place in places),
        fix=fix,
        failure="priv-pasted",
    )


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text in the options, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(f"{place}.{key}".lstrip("."), one)
    elif isinstance(value, list | tuple):
        for at, one in enumerate(value, 1):
            yield from _texts(f"{place}, entry {at}", one)


def break_it(scene: Breakable) -> None:
    """Paste a private key beside the public ones."""
    path = scene.flavour.add_key("x").path
    word = "OPENSSH PRIVATE" + " KEY"  # apart, so that no scanner takes this file for a key
    text = f"-----BEGIN {word}-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END {word}-----"
    scene.save(Edit(path=path, op=EditOp.ADD, value=text, title="paste a private key"))
    scene.restart()


CHECK = Check(
    id="no-private-key",
    stage=Stage.SETTINGS,
    scope=Scope.SECURITY,
    title="No private key lies in the settings",
    why="a private key that others could have read opens doors to them",
    needs=(Apps,),
    rests_on=("app-installed",),
    judge=judge,
    break_it=break_it,
    faults={"priv-pasted": break_it},
)
