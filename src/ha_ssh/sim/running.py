"""A simulated house that runs: Core, Supervisor and SSH on a loopback address of its own, brought up and down as one."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from ha_ssh.core.secret import Secret
from ha_ssh.sim.core import CoreServer, Front
from ha_ssh.sim.inside import Inside
from ha_ssh.sim.sshd import SshPorts, answer_by_asyncssh
from ha_ssh.sim.supervisor import SupervisorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ha_ssh.sim.house import House
    from ha_ssh.sim.sshd import MakeAnswer

T = TypeVar("T")


class RealClock:
    """Real time, going on from where a house's clock stood; usable from any thread, with or without a loop."""

    def __init__(self, now: float, date: str) -> None:
        self._shift = now - time.monotonic()
        self._date = datetime.fromisoformat(date) - timedelta(seconds=now)

    def now(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic() + self._shift

    def date(self) -> str:
        """The wall clock in ISO 8601, UTC."""
        return (self._date + timedelta(seconds=self.now())).astimezone(UTC).isoformat(timespec="seconds")

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def own_address() -> str:
    """Return a loopback address for one house: on Linux a random one, so that houses never meet on a port."""
    if not sys.platform.startswith("linux"):
        return "127.0.0.1"
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


@dataclass(frozen=True)
class Running:
    """A house that runs: where it is, and the token of its owner."""

    house: House
    host: str
    url: str
    """Where Core answers."""
    supervisor: str
    """`host:port` of the Supervisor's own REST, which only containers (and Core) reach in a real house."""
    supervisor_token: Secret
    token: Secret
    """A long-lived token of an administrator."""
    core: CoreServer
    ports: SshPorts
    inside: Inside
    loop: asyncio.AbstractEventLoop

    def catch_up(self) -> None:
        """Take up knobs that were turned by hand; what comes from requests is taken up by itself."""
        self.ports.catch_up()
        self.core.catch_up()

    def call(self, change: Callable[[], T]) -> T:
        """Change the house by hand from another thread, and wait until everything that comes of it has come."""

        async def there() -> T:
            result = change()
            self.catch_up()
            await self.house.settled()
            return result

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result()


@asynccontextmanager
async def serve(
    house: House, *, front: Front | None = None, make_sshd: MakeAnswer = answer_by_asyncssh, host: str | None = None
) -> AsyncIterator[Running]:
    """Run a house in this event loop; from here on its time is real, and its address and Core's port are those of loopback."""
    front = Front() if front is None else front
    host = own_address() if host is None else host
    house.clock = RealClock(house.clock.now(), house.clock.date())
    house.address = host
    inside = Inside(house)
    supervisor = SupervisorServer(house, inside.bearer)
    core = CoreServer(house, front)
    ports = SshPorts(house, host, inside, make_sshd)
    async with contextlib.AsyncExitStack() as stack:
        await supervisor.start(host)
        stack.push_async_callback(supervisor.close)
        stack.push_async_callback(core.close)
        house.core_port = await core.start(host)
        _connect_names(inside, house, host, supervisor.address)
        stack.push_async_callback(ports.close)
        stack.callback(house.subscribe(lambda _event: ports.catch_up()))
        ports.catch_up()
        clock = asyncio.ensure_future(house.keep_time())
        stack.push_async_callback(_end, clock)
        yield Running(
            house=house,
            host=host,
            url=core.url,
            supervisor=f"{supervisor.address[0]}:{supervisor.address[1]}",
            supervisor_token=Secret(inside.token),
            token=Secret(house.admin_token),
            core=core,
            ports=ports,
            inside=inside,
            loop=asyncio.get_running_loop(),
        )


def _connect_names(inside: Inside, house: House, host: str, supervisor: tuple[str, int]) -> None:
    for name in ("supervisor", "hassio", "172.30.32.2"):
        inside.reachable[name, 80] = supervisor
    for name in ("homeassistant", "localhost", "127.0.0.1", "172.30.32.1", host, house.hostname, f"{house.hostname}.local"):
        inside.reachable[name, house.core_port] = (host, house.core_port)
        inside.reachable[name, 8123] = (host, house.core_port)


async def _end(task: asyncio.Task[None]) -> None:
    """End a task; what it died of before is raised here."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextmanager
def serve_in_thread(
    make_house: Callable[[], House],
    *,
    front: Front | None = None,
    make_sshd: MakeAnswer = answer_by_asyncssh,
    host: str | None = None,
) -> Iterator[Running]:
    """Run a house in a thread and loop of its own, beside a program that blocks; the house is made there."""
    ready = threading.Event()
    outcome: list[Running | BaseException] = []
    stop: list[Callable[[], object]] = []

    async def live() -> None:
        down = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with serve(make_house(), front=front, make_sshd=make_sshd, host=host) as running:
            outcome.append(running)
            stop.append(lambda: loop.call_soon_threadsafe(down.set))
            ready.set()
            await down.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as problem:  # noqa: BLE001 - it is raised again in the thread that waits
            outcome.append(problem)
            ready.set()

    thread = threading.Thread(target=run, name="simulated house", daemon=True)
    thread.start()
    ready.wait()
    first = outcome[0]
    if isinstance(first, BaseException):
        raise first
    try:
        yield first
    finally:
        stop[0]()
        thread.join()
        if isinstance(outcome[-1], BaseException):
            raise outcome[-1]
