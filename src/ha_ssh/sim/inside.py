"""What a login into the simulated house finds: the trees of its apps, their shells, and the few names that can be reached."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any

from ha_ssh.sim.commands import login_shell
from ha_ssh.sim.root import seed_container, seed_house
from ha_ssh.sim.supervisor import answer

if TYPE_CHECKING:
    from ha_ssh.sim.house import House
    from ha_ssh.sim.root import Root
    from ha_ssh.sim.shell import Shell


class Inside:
    """The inner side of a house: containers share its folders and reach its Supervisor."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.token = secrets.token_hex(32)
        """The `SUPERVISOR_TOKEN` of Core's container."""
        self._tokens: dict[str, str] = {}
        self.reachable: dict[tuple[str, int], tuple[str, int]] = {}
        """What a forwarded connection may name, and the loopback address that stands for it; nothing else can be reached."""
        self._shared = seed_house()
        self._roots: dict[str, Root] = {}

    def token_of(self, slug: str) -> str:
        """The `SUPERVISOR_TOKEN` of an app's container."""
        return self._tokens.setdefault(slug, secrets.token_hex(32))

    def bearer(self, token: str) -> str | None:
        """Whose token it is: an app's slug, `core`, or `None`."""
        known = {self.token: "core"} | {its: slug for slug, its in self._tokens.items()}
        return next((who for its, who in known.items() if secrets.compare_digest(its.encode(), token.encode())), None)

    def root(self, slug: str) -> Root:
        """The tree of an app's container."""
        if slug not in self._roots:
            self._roots[slug] = seed_container(self._shared)
        return self._roots[slug]

    def started(self, slug: str) -> None:
        """Write what the start script of an app leaves in its container."""
        app, root = self.house.app(slug), self.root(slug)
        if app.running is None:
            return
        root.write("/etc/hostname", f"{slug.replace('_', '-')}\n")
        root.write("/data/options.json", json.dumps(app.running.options), mode=0o600)
        for key in app.host_keys:
            root.write(f"/etc/ssh/ssh_host_{key.kind}_key.pub", f"{key.public} root@{slug}\n")
        if app.running.sshd is not None:
            for path, text in app.running.sshd.key_files:
                root.write(path, text, mode=0o600)
            if app.running.sshd.user != "root":
                root.make_folder(f"/home/{app.running.sshd.user}")

    def shell(self, slug: str, user: str, *, interactive: bool = False) -> Shell:
        """Return the shell of a login; one with a terminal becomes root by `sudo -i`, a plain command does not."""
        who = "root" if interactive else user
        self._furnish(slug)
        token = "" if self.house.knobs.ha_fails else self.token_of(slug)
        at_once = who == "root" and (interactive or not self.house.knobs.ha_needs_login)
        return login_shell(self.root(slug), who, self.supervisor, token=token, with_token=at_once)

    def _furnish(self, slug: str) -> None:
        """Put the programs and terminals in place that the image has; none of those programs does anything here."""
        root, app = self.root(slug), self.house.app(slug)
        extra = app.running.options.get("apks") or app.running.options.get("packages") or [] if app.running else []
        there = {"bash", *app.kind.programs, *extra} - self.house.knobs.without
        for name in ("bash", "rsync", "mosh-server"):
            path = f"/usr/bin/{name}"
            if name in there:
                root.write(path, "", mode=0o755)
            elif root.has(path):
                root.remove(path)
        if self.house.knobs.old_folders and root.has("/homeassistant"):
            root.remove("/config")
            root.move("/homeassistant", "/config")
        if root.has("/etc/terminfo"):
            root.remove("/etc/terminfo")
        for name in self.house.knobs.terminals:
            root.write(f"/etc/terminfo/{name[0]}/{name}", "")

    async def supervisor(self, method: str, path: str, data: Any) -> tuple[int, str]:
        """Answer a call that comes from inside the house."""
        if self.house.knobs.ha_hangs:
            await asyncio.Event().wait()
        status, body = await answer(self.house, method, path, data)
        return status, body if isinstance(body, str) else json.dumps(body)
