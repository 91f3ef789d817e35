"""The one place that builds real or demo tools and hands them to a flow."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import platform
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ha_ssh.core.errors import UsageError
from ha_ssh.core.words import REPORT_MARK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from ha_ssh.core.errors import HaSshError
    from ha_ssh.core.model import Home, Report
    from ha_ssh.core.options import Options, Trust
    from ha_ssh.core.redact import Private
    from ha_ssh.core.secret import Secret
    from ha_ssh.flows.tools import Credentials, Tools
    from ha_ssh.show.machine import MachineShow
    from ha_ssh.show.terminal import TerminalShow
    from ha_ssh.world.houses import Locations

    AnyShow = TerminalShow | MachineShow
    Flow = Callable[[Tools], Awaitable[Report]]

_PARTING_SECONDS = 5.0
"""How long a connection may take to be closed."""


def run(command: str, options: Options) -> int:
    """Run a command and return its exit code; raises `HaSshError` for what ends it before there is a report."""
    from ha_ssh.show import show_for

    show = show_for(options)
    if command == "demo":
        from ha_ssh import demo

        return demo.serve(options, show, _set_up)
    if options.scene is not None and not options.demo:
        raise UsageError("scene-without-demo", "--scene: only a simulated house has scenes.", "add `--demo`")
    with contextlib.ExitStack() as stack:
        if options.demo:
            from ha_ssh import demo

            options, where = stack.enter_context(demo.house_beside(command, options, show, _set_up))
        else:
            from ha_ssh.world.houses import PROFILE, locations

            where = locations(os.environ.get(PROFILE))
        from ha_ssh.world.diary import DIARY, kept

        if not options.dry_run:
            stack.enter_context(kept(where.diary))
        DIARY.info("ha-ssh %s", command)
        report = asyncio.run(_run(_flow(command), options, show, where))
        DIARY.info("ended: %s, exit code %d%s", report.result, report.exit, f" ({report.error.code})" if report.error else "")
    show.report(report)
    return report.exit


def _flow(command: str) -> Flow:
    if command == "setup":
        from ha_ssh.flows.setup import setup

        return setup
    if command == "doctor":
        from ha_ssh.flows.doctor import doctor

        return doctor
    if command == "undo":
        from ha_ssh.flows.undo import undo

        return undo
    if command in {"login", "logout"}:
        from ha_ssh.flows import login

        return login.login if command == "login" else login.logout
    if command == "discover" or command.startswith("houses "):
        from ha_ssh.flows import houses

        return {
            "discover": houses.discover,
            "houses list": houses.list_houses,
            "houses use": houses.use,
            "houses rename": houses.rename,
            "houses forget": houses.forget,
        }[command]
    raise UsageError("no-such-command", f"there is no command `{command}`")


def _set_up(options: Options, where: Locations) -> Report:
    """Set up a simulated house without a word, for setting a scene."""
    return asyncio.run(_run(_flow("setup"), options, _Silent(), where))  # type: ignore[arg-type] # it shows nothing


class _Silent:
    """A show that shows nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    step = plan = steps = findings = report = say

    def progress(self, what: str, fraction: float | None, detail: str = "") -> None:
        """Nothing."""

    def rest(self) -> None:
        """Nothing."""


async def _run(flow: Flow, options: Options, show: AnyShow, where: Locations) -> Report:
    """Run a flow; a polite request to end (SIGTERM) counts as Ctrl-C, so that what must be put back is.

    A second one ends no more than what the first one left to be waited for, and never the parting from the house.
    """
    async with contextlib.AsyncExitStack() as stack:
        work = asyncio.create_task(_worked(flow, _tools(options, show, where, stack)))
        if sys.platform != "win32":
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, work.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            show.rest()


async def _worked(flow: Flow, tools: Tools) -> Report:
    """Do the work of a command; Ctrl-C at a question ends it as a signal does."""
    try:
        return await flow(tools)
    except KeyboardInterrupt:
        raise asyncio.CancelledError from None


async def _part(close: Callable[[], Awaitable[None]]) -> None:
    """Part from a house, and do not wait long for one that does not answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PARTING_SECONDS):
            await close()


# ---------------------------------------------------------------------------------------------------------------- tools


def _tools(options: Options, show: AnyShow, where: Locations, stack: contextlib.AsyncExitStack) -> Tools:
    """Build the tools of one command; what costs is built when it is used."""
    from ha_ssh.flavours import all_flavours
    from ha_ssh.flows.tools import Tools
    from ha_ssh.world import files
    from ha_ssh.world.clock import SystemClock
    from ha_ssh.world.detours import Detours
    from ha_ssh.world.ha.ways import Ways
    from ha_ssh.world.ha.web import Shown
    from ha_ssh.world.home import RealHome
    from ha_ssh.world.journal import FileJournal
    from ha_ssh.world.memory import Memory
    from ha_ssh.world.vault import Vault

    clock = SystemClock()
    keyring = not where.portable and not os.environ.get("HA_SSH_NO_KEYRING")
    vault = Vault(where.secrets, keyring=keyring, warn=show.say)

    shown = Shown()
    ways = Ways(vault, around=[options.url] if options.demo and options.url else None, shown=shown)
    stack.push_async_callback(_part, ways.close)

    def connect(url: str, credentials: Credentials | None, trust: Trust) -> Home:
        from ha_ssh.world import ssh
        from ha_ssh.world.ha.routes import CoreRoute
        from ha_ssh.world.ha.web import Tls

        ssh.warm_up()
        tls = Tls(ca_file=trust.ca_file, fingerprint=trust.fingerprint)
        route = CoreRoute(url, credentials, tls=tls, shown=shown) if credentials else None
        home = RealHome(route, where.places, vault, clock)
        stack.push_async_callback(_part, home.close)
        return home

    detours = Detours(
        where.places,
        vault,
        clock,
        opened=lambda home: stack.push_async_callback(_part, home.close),
        environment={} if options.demo else os.environ,
    )

    def outside(why: HaSshError, network: bool) -> Home:
        return RealHome(None, where.places, vault, clock, why=why, network=network)

    return Tools(
        options=options,
        show=show,
        asker=_asker(options, show),
        journal=FileJournal(where.journal, clock),
        memory=Memory(where.houses, vault),
        flavours=all_flavours(),
        places=where.places,
        ways=ways,
        connect=connect,
        detours=detours,
        outside=outside,
        keys=lambda: _keys_in(where.places.ssh_dir),
        comment=f"{_user()}@{platform.node().split('.')[0] or 'computer'} (ha-ssh)",
        lock=lambda: contextlib.nullcontext() if options.dry_run else files.lock(where.lock),
        write_text=lambda path, text: files.write(path, text),
        no_room=_no_room,
        is_anothers=_is_anothers,
        publish=lambda path, report, versions, private: _publish(path, report, versions, private, options, clock.date()),
        read_text=lambda path: files.read(path).text or "",
        secret_file=_secret_file,
    )


def _publish(path: str, report: Report, versions: Mapping[str, str], private: Private, options: Options, date: str) -> None:
    """Write a report to show to others; what runs here is told, whose computer it is is not."""
    from ha_ssh import __version__
    from ha_ssh.core.secret import Secret
    from ha_ssh.show import report_page
    from ha_ssh.world import files

    here = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    secrets = {value.reveal() for value in (options.token, *options.answers.values()) if isinstance(value, Secret)}
    private = replace(
        private,
        home=str(Path.home()),
        users=private.users | {_user()},
        hosts=private.hosts | {platform.node()},
        secrets=private.secrets | (secrets - {""}),
    )
    page = report_page.page_of(report, {"ha-ssh": f"{__version__} ({here})", **versions}, date)
    files.write(str(Path(path).expanduser()), report_page.written(report_page.hidden(page, private.hide), path), 0o600)


def _no_room(path: str) -> str:
    """Say why no file can be written at a path that a flag names, empty where one can; no folder is made for it."""
    from ha_ssh.world import files

    where = Path(path).expanduser()
    if where.is_dir():
        return "it is a folder"
    if not where.parent.is_dir():
        return f"there is no folder `{where.parent}`"
    try:
        with tempfile.TemporaryFile(dir=Path(os.path.realpath(where)).parent):
            return "" if files.read(str(where)).writable else "it cannot be written"
    except OSError as error:
        return f"it cannot be written: {error.strerror}"


def _is_anothers(path: str) -> bool:
    """Return whether something lies at a path, also through a link, that is neither empty nor a report of ours."""
    from ha_ssh.world import files

    there = files.read(str(Path(path).expanduser()))
    return there.exists and there.text != "" and REPORT_MARK not in (there.text or "")


@contextlib.contextmanager
def _secret_file(path: str) -> Iterator[Callable[[Secret], None]]:
    """Hold a new private file ready for a secret; a block that fails, or has none in the end, leaves none."""
    from ha_ssh.world import files

    if files.read(path).exists:
        raise UsageError("file-exists", f"--secret-out: `{path}` is already there.", "name a new file, or move that one away")
    if why := _no_room(path):
        raise UsageError(
            "unwritable-secret-out", f"--secret-out: `{path}`: {why}.", "name another file, or make its folder first"
        )
    files.create(path, "")
    try:
        yield lambda secret: files.write(path, f"{secret.reveal()}\n")
    except BaseException:
        files.delete(path)
        raise
    if not files.read(path).text:
        files.delete(path)


def _asker(options: Options, show: AnyShow) -> Any:
    from ha_ssh.ask.askers import NoTerminal, Terminal

    if options.no_input:
        return NoTerminal(yes=options.yes)
    return Terminal(yes=options.yes, plain=not options.color, before=show.rest)


def _keys_in(folder: str) -> tuple[Any, ...]:
    """Return the private keys in the user's SSH folder, those of ours first."""
    from ha_ssh.ask.questions import SeenKey
    from ha_ssh.world import files, keyfiles

    found = []
    for name in files.folder(folder):
        path = str(Path(folder) / name)
        if name.endswith(".pub") or b"PRIVATE KEY" not in _beginning(path):
            continue
        state = keyfiles.read_key(path, None)
        if state.problem in {None, "locked"}:
            kind = (state.public or "").split(" ")[0]
            ours = name.startswith("id_ha_ssh_")
            found.append(SeenKey(path=path, kind=kind, encrypted=state.encrypted, ours=ours))
    return tuple(sorted(found, key=lambda key: not key.ours))


def _beginning(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(64)
    except OSError:
        return b""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "me"
