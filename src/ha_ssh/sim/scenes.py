"""Named houses: fresh, healthy, and every way in which a check can break a healthy one."""

from __future__ import annotations

import contextlib
import copy
import secrets
from typing import TYPE_CHECKING

from ha_ssh.core.settings import apply_edits
from ha_ssh.sim.house import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.core.model import Edit, Flavour, Journal, Target
    from ha_ssh.sim.house import App, House

FRESH = "fresh"
HEALTHY = "healthy"


class Stage:
    """A healthy house with its owner's files, for a check's `break_it` (the protocol `Breakable`)."""

    def __init__(
        self,
        house: House,
        target: Target,
        slug: str,
        *,
        token: str,
        journal: Journal,
        read: Callable[[str], str | None],
        put: Callable[[str, str | None, int], None],
    ) -> None:
        self.house = house
        self.target = target
        self.slug = slug
        self.ssh_host = target.ssh_host
        """Where SSH is looked for from now on."""
        self.flavour: Flavour = next(flavour for flavour in target.apps if flavour.slug == slug)
        self._token = token
        self._journal = journal
        self._read = read
        self._put = put

    @property
    def app(self) -> App:
        """The preferred app's state in the house."""
        return self.house.app(self.slug)

    def save(self, *edits: Edit) -> None:
        """Change the app's saved settings; what runs stays as it is."""
        if self.app.installed:  # nobody can change the settings of an app that is not there
            names = ("options", "network", "boot", "watchdog", "auto_update")
            for name, value in apply_edits({name: getattr(self.app, name) for name in names}, edits).items():
                setattr(self.app, name, value)

    def restart(self) -> None:
        """Make the app take up what is saved; what comes of it, its state and its log tell."""
        if self.app.installed:
            with contextlib.suppress(Refusal):
                self.house.restart_now(self.slug)

    def stop(self) -> None:
        """Stop the app."""
        self.house.stop_now(self.slug)

    def uninstall(self) -> None:
        """Uninstall the app."""
        self.house.uninstall_now(self.slug)

    def set_password(self) -> None:
        """Save a random password in the app's settings."""
        path = self.flavour.secret_paths()[0]
        self._option(path)[path[-1]] = secrets.token_urlsafe(12)

    def forget_our_key(self) -> None:
        """Put somebody else's key in the place of ours, and let the app run with it."""
        path = self.flavour.add_key("x").path
        self._option(path)[path[-1]] = [f"{self.house.keys.make('ed25519').public} neighbour"]
        self.restart()

    def touch_options(self) -> None:
        """Save a changed option without a restart."""
        edit = self.flavour.set_forwarding(on=not self.flavour.read({"options": self.app.options}).forwarding)
        self._option(edit.path)[edit.path[-1]] = edit.value

    def _option(self, path: tuple[str, ...]) -> dict[str, object]:
        """Return the mapping of saved options that holds the last name of a path; the running ones stay as they are."""
        if not self.app.installed:
            return {}  # nobody can change the settings of an app that is not there
        self.app.options = copy.deepcopy(self.app.options)
        node: dict[str, object] = self.app.options
        for name in path[1:-1]:
            node = node[name]  # type: ignore[assignment] # options are nested mappings down to the last name
        return node

    def revoke_token(self) -> None:
        """Make the house refuse our token."""
        self.house.revoke(self._token)

    def demote(self) -> None:
        """Make our user one that is no administrator."""
        token = self.house.token(self._token)
        if token is not None:
            token.user.is_admin = False

    def leave_run_open(self) -> None:
        """Put a run that was cut off into the journal."""
        self._journal.begin("setup", self.target.house_id, {"url": self.target.url})

    def file(self, path: str) -> str | None:
        """Return the text of one of the user's files."""
        return self._read(path)

    def put_file(self, path: str, text: str | None, mode: int = 0o600) -> None:
        """Write (or, with `None`, delete) one of the user's files."""
        self._put(path, text, mode)
