"""Worlds for the laws: a house and a computer in memory, healthy or random, and runs over them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from ha_ssh import engine
from ha_ssh.checks import all_checks
from ha_ssh.core import planner
from ha_ssh.core.model import KeyKind, PasswordWish, Plan, Risk, Target, Want
from ha_ssh.flavours import all_flavours
from ha_ssh.sim.house import House
from ha_ssh.sim.keys import MadeUpKeys
from ha_ssh.sim.memory import Computer, Injury, MemoryHome
from ha_ssh.sim.scenes import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.core.model import Check, Facts

EVERY_RISK = frozenset(Risk)
FLAVOURS = {flavour.slug: flavour for flavour in all_flavours()}
ACCESS = engine.access(all_checks())


@dataclass(frozen=True)
class Broken:
    """One way to break a healthy house: a check's main scene, or one of its faults."""

    id: str
    check: Check
    break_it: Callable[[Any], None]

    @property
    def failure(self) -> str | None:
        """The known failure that the verdict has to name; `None` for a main scene."""
        return self.id if self.id in self.check.faults else None

    def befalls(self, slug: str) -> bool:
        """Whether it can befall an app."""
        return self.id not in self.check.befalls or self.check.befalls[self.id](FLAVOURS[slug])


def _ways(check: Check) -> dict[str, Callable[[Any], None]]:
    return ({check.id: check.break_it} if check.break_it else {}) | dict(check.faults)


BREAKABLE = tuple(
    Broken(name, check, break_it) for check in planner.in_order(all_checks()) for name, break_it in _ways(check).items()
)


class Quiet:
    """A show that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, report: Any) -> None:
        self.said.append(report.title)

    def progress(self, what: str, fraction: float | None, detail: str = "") -> None:
        self.said.append(f"{what} {detail}")

    def plan(self, plan: Plan) -> None:
        for step in plan.steps:
            self.said.extend(step.preview)

    def steps(self, steps: Any) -> None:
        for step in steps:
            self.said.extend(step.preview)

    def findings(self, findings: Any) -> None:
        self.said.extend(finding.verdict.says for finding in findings)


async def yes(_plan: Plan) -> bool:
    return True


@dataclass
class World:
    """One house, one computer, one wish."""

    slug: str
    seed: int = 0
    tls: bool = False
    house: House = field(init=False)
    machine_id: str = field(init=False)
    """The machine that is remembered."""
    ssh_host: str = field(init=False)
    """Where SSH is looked for."""
    computer: Computer = field(default_factory=Computer)
    want: Want = field(init=False)

    def __post_init__(self) -> None:
        self.house = House(keys=MadeUpKeys(Random(self.seed)))
        self.machine_id = self.house.machine_id
        self.ssh_host = self.house.address
        self.want = Want(
            app=self.slug,
            identity=f"{self.computer.home}/.ssh/id_ha_ssh_home",
            make_key=KeyKind.ED25519,
            comment="me@laptop (ha-ssh)",
            port=2222,
            password=PasswordWish.OFF,
            boot=True,
            watchdog=True,
            alias="ha",
            accepted=EVERY_RISK,
        )

    @property
    def target(self) -> Target:
        apps = tuple(sorted(FLAVOURS.values(), key=lambda flavour: flavour.slug != self.slug))
        return Target(
            url=f"http://{self.house.address}:8123",
            ssh_host=self.ssh_host,
            apps=apps,
            places=self.computer.places,
            identity=self.want.identity,
            alias=self.want.alias,
            machine_id=self.machine_id,
        )

    def home(self, injury: Injury | None = None) -> MemoryHome:
        """A new process on this computer."""
        return MemoryHome(self.house, self.computer, injury=injury, tls=self.tls)

    def run(self, home: MemoryHome, *, want: Want | None = None, resume: str | None = None) -> engine.Run:
        return engine.Run(
            command="setup",
            target=self.target,
            want=want or self.want,
            home=home,
            journal=home.journal,
            show=Quiet(),
            agree=yes,
            checks=ACCESS,
            resume=resume,
        )

    def stage(self) -> Stage:
        """This world as a check's `break_it` sees it."""
        return Stage(
            self.house,
            self.target,
            self.slug,
            token=self.house.admin_token,
            journal=self.home().journal,
            read=self.computer.text,
            put=self.computer.put,
        )

    def snapshot(self) -> tuple[Any, Any]:
        """Everything that a run could change."""
        return self.house.snapshot(), self.computer.snapshot()

    async def setup(self, home: MemoryHome | None = None) -> engine.Converged:
        return await engine.converge(self.run(home or self.home()))

    async def look(self, home: MemoryHome | None = None, **more: Any) -> Facts:
        home = home or self.home()
        return await engine.look(home, self.target, home.journal, all_checks(), **more)


def in_loop(coroutine: Any) -> Any:
    """Run one case to its end, in a loop of its own."""
    return asyncio.run(coroutine)
