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
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ha_ssh.core.errors import Exit, UsageError
from ha_ssh.core.model import Report
from ha_ssh.core.options import Answers, Given, Options, Source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from ha_ssh.core.errors import HaSshError
    from ha_ssh.core.model import Home
    from ha_ssh.core.options import Trust
    from ha_ssh.core.redact import Private
    from ha_ssh.core.secret import Secret
    from ha_ssh.flows.tools import Credentials, Tools
    from ha_ssh.show.machine import MachineShow
    from ha_ssh.show.terminal import TerminalShow
    from ha_ssh.sim.house import House
    from ha_ssh.sim.running import Running
    from ha_ssh.world.houses import Locations

    AnyShow = TerminalShow | MachineShow
    Flow = Callable[[Tools], Awaitable[Report]]

PROFILE = "HA_SSH_PROFILE"
"""The environment variable that names a folder for everything: SSH files, houses, journal, secrets."""
_DEFAULT_SCENE = {"setup": "fresh", "demo": "fresh"}


def run(command: str, options: Options) -> int:
    """Run a command and return its exit code; raises `HaSshError` for what ends it before there is a report."""
    from ha_ssh.show import show_for

    show = show_for(options)
    if command == "demo":
        return _demo(options, show)
    with contextlib.ExitStack() as stack:
        if options.demo:
            options, where = stack.enter_context(_demo_house(command, options, show))
        else:
            from ha_ssh.world.houses import locations

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


async def _run(flow: Flow, options: Options, show: AnyShow, where: Locations) -> Report:
    """Run a flow; a polite request to end (SIGTERM) counts as Ctrl-C, so that what must be put back is.

    A second one ends no more than what the first one left to be waited for.
    """
    task = asyncio.current_task()
    if sys.platform != "win32" and task is not None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
    async with contextlib.AsyncExitStack() as stack:
        try:
            return await flow(_tools(options, show, where, stack))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            show.rest()


# ---------------------------------------------------------------------------------------------------------------- tools


def _tools(options: Options, show: AnyShow, where: Locations, stack: contextlib.AsyncExitStack) -> Tools:
    """Build the tools of one command; what costs is built when it is used."""
    from ha_ssh.flavours import all_flavours
    from ha_ssh.flows.tools import Tools
    from ha_ssh.world import files
    from ha_ssh.world.clock import SystemClock
    from ha_ssh.world.detours import Detours
    from ha_ssh.world.ha.ways import Ways
    from ha_ssh.world.home import RealHome
    from ha_ssh.world.journal import FileJournal
    from ha_ssh.world.memory import Memory
    from ha_ssh.world.vault import Vault

    clock = SystemClock()
    keyring = not where.portable and not os.environ.get("HA_SSH_NO_KEYRING")
    vault = Vault(where.secrets, keyring=keyring, warn=show.say)

    ways = Ways(vault, around=[options.url] if options.demo and options.url else None)
    stack.push_async_callback(ways.close)

    def connect(url: str, credentials: Credentials | None, trust: Trust) -> Home:
        from ha_ssh.world import ssh
        from ha_ssh.world.ha.routes import CoreRoute
        from ha_ssh.world.ha.web import Tls

        ssh.warm_up()
        tls = Tls(ca_file=trust.ca_file, fingerprint=trust.fingerprint)
        route = CoreRoute(url, credentials, tls=tls) if credentials else None
        home = RealHome(route, where.places, vault, clock)
        stack.push_async_callback(home.close)
        return home

    detours = Detours(
        where.places,
        vault,
        clock,
        opened=lambda home: stack.push_async_callback(home.close),
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
        writable=lambda path: files.read(str(Path(path).expanduser())).writable,
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
        secrets=frozenset(secrets - {""}),
    )
    page = report_page.page_of(report, {"ha-ssh": f"{__version__} ({here})", **versions}, date)
    files.write(str(Path(path).expanduser()), report_page.written(report_page.hidden(page, private.hide), path), 0o600)


@contextlib.contextmanager
def _secret_file(path: str) -> Iterator[Callable[[Secret], None]]:
    """Hold a new private file ready for a secret; a block that fails, or has none in the end, leaves none."""
    from ha_ssh.world import files

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


# ----------------------------------------------------------------------------------------------------------------- demo


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """A simulated house by name; `finding` is the first that a doctor makes there, `failure` the known failure that it names."""

    name: str
    title: str
    finding: str | None = None
    failure: str | None = None
    break_it: Callable[[Any], None] | None = None
    app: str | None = None
    """The app that it takes, by its short name; `None` where any does."""

    def as_json(self) -> dict[str, Any]:
        """The scene in `demo --list --json`."""
        return {"name": self.name, "title": self.title, "finding": self.finding, "failure": self.failure}


def scenes() -> tuple[_Scene, ...]:
    """Return every scene: the two that always exist, and one for each way in which a check can be broken."""
    from ha_ssh.checks import all_checks
    from ha_ssh.core.planner import in_order
    from ha_ssh.sim.scenes import FRESH, HEALTHY

    found = [_Scene(name=FRESH, title="Nothing is set up"), _Scene(name=HEALTHY, title="All is set up and works")]
    for check in in_order(all_checks()):
        title = f"Broken: {check.title}"
        if check.break_it:
            found.append(_Scene(name=check.id, title=title, finding=check.id, break_it=check.break_it))
        for failure, break_it in check.faults.items():
            app = _befallen(check.befalls[failure]) if failure in check.befalls else None
            scene = _Scene(
                name=failure, title=f"{title} ({failure})", finding=check.id, failure=failure, break_it=break_it, app=app
            )
            found.append(scene)
    return tuple(found)


def _befallen(befalls: Callable[[Any], bool]) -> str:
    """Return the first app that a fault can befall."""
    from ha_ssh.flavours import all_flavours

    return next(flavour.short for flavour in all_flavours() if befalls(flavour))


def _scene(command: str, options: Options) -> _Scene:
    name = options.scene or _DEFAULT_SCENE.get(command, "healthy")
    found = next((scene for scene in scenes() if scene.name == name), None)
    if found is None:
        raise UsageError("no-such-scene", f"--scene: there is no scene `{name}`", "`ha-ssh demo --list` names them all")
    return found


@contextlib.contextmanager
def _demo_house(command: str, options: Options, show: AnyShow) -> Any:
    """Run a simulated house beside this command, in a profile of its own that is gone afterwards."""
    from ha_ssh.world.houses import locations

    scene = _scene(command, options)
    with tempfile.TemporaryDirectory(prefix="ha-ssh-demo-") as folder, _served() as running:
        where = locations(folder)
        _stage(scene, running, where)
        token = options.token or running.token
        if command == "login" and not options.no_input and options.token is None:
            token, owner = None, running.house.owner
            show.say(f"in this simulated house, the owner signs in as `{owner.username}` with the password `{owner.password}`")
        yield replace(options, url=options.url or running.core.url, token=token), where


def _served(make: Callable[[], House] | None = None) -> Any:
    from ha_ssh.sim.house import House
    from ha_ssh.sim.running import serve_in_thread

    return serve_in_thread(make or House)


def _stage(scene: _Scene, running: Running, where: Locations) -> None:
    """Bring a house into the state of a scene: set it up by the real setup, then break it."""
    from ha_ssh.sim.scenes import FRESH

    if scene.name == FRESH:
        return
    answers = Answers({"app": Given(scene.app, Source.DEFAULT)} if scene.app else {})
    options = Options(url=running.url, token=running.token, yes=True, no_input=True, answers=answers)
    report = asyncio.run(_run(_flow("setup"), options, _Silent(), where))  # type: ignore[arg-type] # it shows nothing
    if report.exit != Exit.OK:
        raise RuntimeError(f"the simulated house could not be set up: {report.error or report.findings}")
    break_it = scene.break_it
    if break_it is not None:
        stage = _breakable(running, where)
        running.call(lambda: break_it(stage))
        if stage.ssh_host != stage.target.ssh_host:
            _look_elsewhere(where, stage.ssh_host)


def _look_elsewhere(where: Locations, ssh_host: str) -> None:
    """Remember another address for SSH than the one that was set up."""
    from ha_ssh.world.houses import load

    houses = load(where.houses)
    known = houses.get()
    if known is not None:
        houses.remember(replace(known, ssh_host=ssh_host))
        houses.save()


def _breakable(running: Running, where: Locations) -> Any:
    """Return the house that was just set up as a check's `break_it` sees it."""
    from ha_ssh.core.model import Target
    from ha_ssh.flavours import all_flavours
    from ha_ssh.sim.scenes import Stage
    from ha_ssh.world import files
    from ha_ssh.world.clock import SystemClock
    from ha_ssh.world.houses import load
    from ha_ssh.world.journal import FileJournal

    known = load(where.houses).get()
    if known is None:
        raise RuntimeError("the house that was set up is not remembered")
    target = Target(
        url=known.url,
        ssh_host=known.ssh_host or running.host,
        apps=all_flavours(),
        places=where.places,
        identity=known.identity,
        alias=known.alias,
        house_id=known.id or known.name,
        machine_id=known.machine_id,
    )

    def put(path: str, text: str | None, mode: int) -> None:
        if text is None:
            files.delete(path)
        else:
            files.write(path, text, mode)
            files.set_mode(path, mode)

    return Stage(
        running.house,
        target,
        known.app or "core_ssh",
        token=running.token.reveal(),
        journal=FileJournal(where.journal, SystemClock()),
        read=lambda path: files.read(path).text,
        put=put,
    )


class _Silent:
    """A show that shows nothing, for setting a scene."""

    def say(self, text: str) -> None:
        """Nothing."""

    step = plan = findings = report = say

    def progress(self, what: str, fraction: float | None, detail: str = "") -> None:
        """Nothing."""

    def rest(self) -> None:
        """Nothing."""


def _demo(options: Options, show: AnyShow) -> int:
    """Serve a simulated house until Ctrl-C; its token and its owner's files lie in a folder that is gone afterwards."""
    from ha_ssh.world import files
    from ha_ssh.world.houses import locations

    if options.list_only:
        show.report(Report(command="demo", extra={"scenes": [scene.as_json() for scene in scenes()]}))
        return Exit.OK
    scene = _scene("demo", options)
    with tempfile.TemporaryDirectory(prefix="ha-ssh-demo-") as folder, _served() as running:
        where = locations(folder)
        _stage(scene, running, where)
        token_file = str(Path(folder) / "token")
        files.create(token_file, running.token.reveal() + "\n")
        owner, password_file = running.house.owner, str(Path(folder) / "password")
        files.create(password_file, owner.password + "\n")
        extra = {
            "demo": {
                "url": running.url,
                "token_file": token_file,
                "username": owner.username,
                "password_file": password_file,
                "profile": folder,
                "scene": scene.name,
            }
        }
        show.say(f"a simulated Home Assistant ({scene.title.lower()}) answers at {running.url}")
        show.say(f"its token lies in {token_file}; its owner's files lie in {folder}")
        show.say(f"its owner signs in as {owner.username}; the password lies in {password_file}")
        show.say("in another terminal:")
        show.say(f"  export {PROFILE}={folder}")
        show.say(f"  ha-ssh setup --url {running.url} --token-file {token_file}")
        show.say("Ctrl-C ends it")
        show.report(Report(command="demo", extra=extra))
        sys.stdout.flush()
        _wait_for_the_end()
    return Exit.OK


def _wait_for_the_end() -> None:
    """Wait until Ctrl-C or a polite request to end."""
    over = threading.Event()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: over.set())
    with contextlib.suppress(KeyboardInterrupt):
        over.wait()
