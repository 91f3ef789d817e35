"""The simulated house at a person's hand: its scenes, `ha-ssh demo`, and the house beside a command with `--demo`.

What runs `setup` in it, to bring it into the state of a scene, is handed in by `compose`.
"""

from __future__ import annotations

import contextlib
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
    from collections.abc import Callable, Iterator

    from ha_ssh.core.secret import Secret
    from ha_ssh.show.machine import MachineShow
    from ha_ssh.show.terminal import TerminalShow
    from ha_ssh.sim.running import Running
    from ha_ssh.world.houses import Locations

    AnyShow = TerminalShow | MachineShow
    SetUp = Callable[[Options, Locations], Report]

_DEFAULT_SCENE = {"setup": "fresh", "demo": "fresh"}


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
def house_beside(command: str, options: Options, show: AnyShow, set_up: SetUp) -> Iterator[tuple[Options, Locations]]:
    """Run a simulated house beside this command, in a profile of its own that is gone afterwards."""
    from ha_ssh.world.houses import locations

    for flag, given in (("--url", options.url), ("--ssh-host", options.ssh_host), ("--token-file", options.token_file)):
        if given is not None:
            says = f"{flag}: `--demo` uses a simulated house of its own, and never another."
            raise UsageError("demo-has-its-own-house", says, f"leave out `{flag}`, or `--demo`")
    scene = _scene(command, options)
    with tempfile.TemporaryDirectory(prefix="ha-ssh-demo-") as folder, _served() as running:
        where = locations(folder)
        _stage(scene, running, where, set_up)
        token: Secret | None = running.token
        if command == "login" and not options.no_input:
            token, owner = None, running.house.owner
            show.say(f"in this simulated house, the owner signs in as `{owner.username}` with the password `{owner.password}`")
        yield replace(options, url=running.core.url, token=token), where


def _served() -> contextlib.AbstractContextManager[Running]:
    from ha_ssh.sim.house import House
    from ha_ssh.sim.running import serve_in_thread

    return serve_in_thread(House)


def _stage(scene: _Scene, running: Running, where: Locations, set_up: SetUp) -> None:
    """Bring a house into the state of a scene: set it up by the real setup, then break it."""
    from ha_ssh.sim.scenes import FRESH

    if scene.name == FRESH:
        return
    answers = Answers({"app": Given(scene.app, Source.DEFAULT)} if scene.app else {})
    options = Options(url=running.url, token=running.token, yes=True, no_input=True, answers=answers)
    report = set_up(options, where)
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


def serve(options: Options, show: AnyShow, set_up: SetUp) -> int:
    """Serve a simulated house until Ctrl-C; its token and its owner's files lie in a folder that is gone afterwards."""
    from ha_ssh.world import files
    from ha_ssh.world.houses import PROFILE, locations

    if options.list_only:
        show.report(Report(command="demo", extra={"scenes": [scene.as_json() for scene in scenes()]}))
        return Exit.OK
    scene = _scene("demo", options)
    with tempfile.TemporaryDirectory(prefix="ha-ssh-demo-") as folder, _served() as running:
        where = locations(folder)
        _stage(scene, running, where, set_up)
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
