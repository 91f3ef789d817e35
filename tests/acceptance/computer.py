"""A computer in front of a simulated house: a profile of its own, and `ha-ssh` on it as real processes."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from ha_ssh.world.clock import SystemClock
from ha_ssh.world.journal import FileJournal

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

    from ha_ssh.core.model import JournalRun
    from ha_ssh.sim.house import App, House
    from ha_ssh.sim.running import Running

SCHEMA = jsonschema.Draft202012Validator(json.loads((Path(__file__).parents[2] / "docs" / "schema.json").read_text("utf-8")))
PRODUCT = ("-m", "ha_ssh")
OUR_STATE = {"state/lock", "state/ha-ssh.log"}
"""What a run may leave that says nothing of the house."""
PATIENCE = 50
"""Seconds after which a process that does not end is a failure."""


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @cached_property
    def report(self) -> dict[str, Any]:
        """The one object of `--json`, held against the schema; its exit code is the process's."""
        report: dict[str, Any] = json.loads(self.out)
        SCHEMA.validate(report)
        assert report["exit"] == self.code
        return report

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The lines of `--json-lines`, each held against the schema."""
        events = [json.loads(line) for line in self.out.splitlines()]
        for event in events:
            SCHEMA.validate(event)
        return events

    @property
    def error(self) -> dict[str, Any]:
        """The error of the report."""
        error: dict[str, Any] = self.report["error"]
        assert error is not None, self.out
        return error

    @property
    def said(self) -> str:
        """The error's message and hints, as one text."""
        return "\n".join([self.error["message"], *self.error["hints"]])

    @property
    def result(self) -> str:
        """The result of the report."""
        return str(self.report["result"])

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


@dataclass
class Started:
    """A process that runs, read line by line."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def wait_for(self, what: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Read events of `--json-lines` until one is what is waited for."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            event: dict[str, Any] = json.loads(line)
            if what(event):
                return event
        raise AssertionError(f"it never came; until then:\n{''.join(self.lines)}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for the end; `out` holds the last line alone, the object of the contract."""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.lines += out.splitlines(keepends=True)
        return Ended(self.process.returncode, self.lines[-1] if self.lines else "", err)


@dataclass
class Computer:
    """A profile, and the house that is worked on from it."""

    running: Running = field(repr=False)
    folder: Path
    token: str | None = field(default=None, repr=False)
    """The house owner's, unless another one is set here."""

    def __post_init__(self) -> None:
        self.token = self.running.token.reveal() if self.token is None else self.token
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def profile(self) -> Path:
        """The folder of `HA_SSH_PROFILE`."""
        return self.folder / "profile"

    @property
    def ssh(self) -> Path:
        """What stands for `~/.ssh`."""
        return self.profile / "ssh"

    @property
    def house(self) -> House:
        """The house; change it in `turn` only, since it lives in another thread."""
        return self.running.house

    # ------------------------------------------------------------------------------------------------------ processes

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process of this computer knows: nothing of the person who runs the tests."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH") if name in os.environ}
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), "HA_SSH_PROFILE": str(self.profile)}
        token = {"HA_SSH_TOKEN": self.token} if self.token else {}
        return kept | own | token | dict(more or {})

    def ha_ssh(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, run: tuple[str, ...] = PRODUCT
    ) -> Ended:
        """Run `ha-ssh` to its end."""
        done = subprocess.run(
            [sys.executable, *run, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(env),
            cwd=self.folder,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, run: tuple[str, ...] = PRODUCT) -> Started:
        """Start `ha-ssh` with `--json-lines`, to be watched."""
        process = subprocess.Popen(
            [sys.executable, *run, *arguments, "--json-lines"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.folder,
        )
        return Started(process)

    def flags(self, *more: str) -> tuple[str, ...]:
        """The command line of a whole setup that nobody has to be asked for, and more."""
        return ("setup", "--url", self.running.url, "--yes", "--no-passphrase", *more)

    def setup(self, *more: str, env: Mapping[str, str] | None = None) -> Ended:
        """Set the house up, with a key without a passphrase."""
        return self.ha_ssh(*self.flags(*more), "--json", env=env)

    def undo(self) -> Ended:
        """Put the last run back."""
        return self.ha_ssh("undo", "--yes", "--json")

    # ------------------------------------------------------------------------------------------------ what there is

    def turn(self, change: Callable[[House], Any]) -> Any:
        """Change the house by hand, or read it."""
        return self.running.call(lambda: change(self.house))

    def let_the_house_end_its_work(self) -> None:
        """Wait until the house does nothing any more that it was asked for."""
        house = self.house

        async def idle() -> None:
            told = asyncio.Event()
            stop = house.subscribe(lambda _event: told.set())
            while house.jobs:
                told.clear()
                await told.wait()
            stop()
            await house.settled()

        asyncio.run_coroutine_threadsafe(idle(), self.running.loop).result(PATIENCE)

    def snapshot(self) -> dict[str, Any]:
        """Everything in the house that a run could change."""
        found: dict[str, Any] = self.turn(lambda house: house.snapshot())
        return found

    def files(self, *, but: tuple[str, ...] = ()) -> dict[str, tuple[int, bytes]]:
        """Every file of the profile, with its mode."""
        found = {}
        for path in sorted(self.profile.rglob("*")):
            name = str(path.relative_to(self.profile))
            if path.is_file() and name not in OUR_STATE and not name.startswith(but or ("\0",)):
                found[name] = (stat.S_IMODE(path.lstat().st_mode), path.read_bytes())
        return found

    def everything(self) -> tuple[Any, Any]:
        """House and files as they are now."""
        return self.snapshot(), self.files()

    def journal(self) -> tuple[JournalRun, ...]:
        """Every run that the journal knows of."""
        return FileJournal(str(self.profile / "state" / "journal"), SystemClock()).runs()

    def put(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        """Put a file into what stands for `~/.ssh`."""
        path = self.ssh / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def keep(self) -> Callable[[], None]:
        """Keep house and profile as they are now; returns what brings them back."""
        apps = self.turn(lambda house: _copied(house.apps))
        kept = self.folder / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        if self.profile.exists():
            shutil.copytree(self.profile, kept, symlinks=True)

        def bring_back() -> None:
            self.turn(lambda house: setattr(house, "apps", _copied(apps)))
            shutil.rmtree(self.profile, ignore_errors=True)
            if kept.exists():
                shutil.copytree(kept, self.profile, symlinks=True)

        return bring_back

    def admitted(self, slug: str = "core_ssh") -> frozenset[str]:
        """Every credential that the running app admits."""
        found: frozenset[str] = self.turn(lambda house: house.admitted(slug))
        return found


def _copied(apps: Mapping[str, App]) -> dict[str, App]:
    return {
        slug: replace(app, options=copy.deepcopy(app.options), network=dict(app.network), log=list(app.log), sessions=[])
        for slug, app in apps.items()
    }
