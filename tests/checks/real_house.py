"""A simulated house whose SSH server is OpenSSH's own, and a computer with real files and the real `ssh` in front of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checks.scenes import EVERY
from ha_ssh import engine
from ha_ssh.core import planner
from ha_ssh.core.model import KeyKind, PasswordWish, Risk, Target, Want
from ha_ssh.sim.running import serve
from ha_ssh.world.clock import SystemClock
from ha_ssh.world.ha.routes import CoreRoute
from ha_ssh.world.home import RealHome
from ha_ssh.world.houses import locations
from ha_ssh.world.journal import FileJournal
from ha_ssh.world.vault import Vault
from laws.worlds import FLAVOURS, Quiet, yes
from openssh_server import openssh
from servers import TERMINAL, new_house

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ha_ssh.core.model import Finding, Home
    from ha_ssh.sim.house import House
    from ha_ssh.sim.running import Running
    from ha_ssh.sim.sshd import MakeAnswer

PORT = 2222


@dataclass
class RealHouse:
    """The house as it runs, and everything on the person's side of it."""

    running: Running
    folder: Path
    slug: str = TERMINAL
    homes: list[RealHome] = field(default_factory=list)

    @property
    def house(self) -> House:
        return self.running.house

    @property
    def app(self) -> Any:
        return self.house.app(self.slug)

    @property
    def key(self) -> Path:
        return Path(self.where.places.ssh_dir) / "id_ha_ssh_home"

    @property
    def config(self) -> Path:
        return Path(self.where.places.config)

    @property
    def known_hosts(self) -> Path:
        return Path(self.where.places.known_hosts)

    def __post_init__(self) -> None:
        self.where = locations(str(self.folder))
        self.journal = FileJournal(self.where.journal, SystemClock())
        self.want = Want(
            app=self.slug,
            identity=str(self.key),
            make_key=KeyKind.ED25519,
            port=PORT,
            username=None if self.slug == TERMINAL else "root",
            password=PasswordWish.OFF,
            alias="ha",
            accepted=frozenset(Risk),
        )

    @property
    def target(self) -> Target:
        return Target(
            url=self.running.url,
            ssh_host=self.running.host,
            apps=tuple(sorted(FLAVOURS.values(), key=lambda flavour: flavour.slug != self.slug)),
            places=self.where.places,
            identity=str(self.key),
            alias="ha",
        )

    def home(self) -> Home:
        vault = Vault(self.where.secrets, keyring=False, warn=lambda _said: None)
        home = RealHome(CoreRoute(self.running.url, self.running.token), self.where.places, vault, SystemClock())
        self.homes.append(home)
        return home

    async def run(self, checks: tuple[Any, ...] = EVERY) -> engine.Converged:
        """What `doctor --fix` does (and `setup`, with its own checks)."""
        home = self.home()
        run = engine.Run(
            command="setup",
            target=self.target,
            want=self.want,
            home=home,
            journal=self.journal,
            show=Quiet(),
            agree=yes,
            checks=checks,
        )
        return await engine.converge(run)

    async def findings(self) -> dict[str, Finding]:
        """What the doctor finds; `ok` and notes too."""
        self.running.catch_up()
        facts = await engine.look(self.home(), self.target, self.journal, EVERY)
        return {one.id: one for one in planner.diagnose(self.want, facts, EVERY)}

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Every file of the person's, with its mode."""
        ssh = Path(self.where.places.ssh_dir)
        paths = (path for path in sorted(ssh.rglob("*")) if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mode) for path in paths}


@contextlib.asynccontextmanager
async def real_house(folder: Path, *, slug: str = TERMINAL, make_sshd: MakeAnswer = openssh) -> AsyncIterator[RealHouse]:
    """A house that was set up through the real client; its parts close at the end."""
    async with serve(new_house(), make_sshd=make_sshd) as running:
        real = RealHouse(running, folder / "profile", slug)
        try:
            done = await real.run(engine.access(EVERY))
            assert done.error is None, done.error
            yield real
        finally:
            for home in real.homes:
                await home.close()
