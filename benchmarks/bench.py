"""The figures that the program is held to, each a ratio of two sides measured in turns in one run.

    python benchmarks/bench.py [--write FILE] [--only WORD]

Prints the table, writes the page where asked, and ends with 1 when a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from environment import ENVIRONMENTS
from measure import Figure, Ran, Side, interleave, ratio, run, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
HA_SSH = Path(sys.executable).with_name("ha-ssh")
HASS_CLI = ENVIRONMENTS["hass-cli"].python.with_name("hass-cli")
PORT = "2222"
HEAVY = ("asyncssh", "aiohttp", "httpx", "websockets", "cryptography", "questionary", "zeroconf", "keyring")
"""Imports that must not happen before they are needed."""


@dataclass(frozen=True, kw_only=True)
class House:
    """A simulated house of its own process, and an empty folder for whoever sets it up."""

    url: str
    host: str
    token_file: Path
    folder: Path


@contextmanager
def house(install: float, restart: float) -> Iterator[House]:
    """Run a fresh house with these delays (seconds)."""
    with tempfile.TemporaryDirectory(prefix="ha-ssh-bench-") as name:
        folder = Path(name)
        token_file = folder / "token"
        command = [sys.executable, str(HERE / "a_house.py"), str(token_file), str(install), str(restart)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            where = json.loads(process.stdout.readline())
            (folder / "profile").mkdir()
            yield House(url=where["url"], host=where["host"], token_file=token_file, folder=folder / "profile")
        finally:
            process.stdin.close()
            process.wait()


def setup(install: float, restart: float) -> Callable[[], Ran]:
    """Return how to set up a fresh house with `ha-ssh`, once."""

    def once() -> Ran:
        with house(install, restart) as fresh:
            flags = [
                "--url",
                fresh.url,
                "--token-file",
                str(fresh.token_file),
                "--port",
                PORT,
                "--no-passphrase",
                "--yes",
                "--no-input",
            ]
            return run([HA_SSH, "setup", *flags], env={"HA_SSH_PROFILE": str(fresh.folder), "HA_SSH_NO_KEYRING": "1"})

    return once


def bare_setup(install: float, restart: float) -> Callable[[], Ran]:
    """Return how to do the same with a bare script, once."""

    def once() -> Ran:
        with house(install, restart) as fresh:
            script = HERE / "bare_setup.py"
            return run([sys.executable, str(script), fresh.url, str(fresh.token_file), str(fresh.folder), PORT])

    return once


def start_up() -> list[Figure]:
    """`--version` and `--help` against the `--help` of another command line for Home Assistant, both compiled to bytecode."""
    version = Side(label="--version", run=lambda: run([HA_SSH, "--version"]))
    help_ = Side(label="--help", run=lambda: run([HA_SSH, "--help"]))
    theirs = Side(label="hass-cli --help", run=lambda: run([HASS_CLI, "--help"]))
    interleave(9, version, help_, theirs)
    return [
        ratio("`ha-ssh --version`", version, theirs, bound=0.35),
        ratio("`ha-ssh --help`", help_, theirs, bound=0.35),
        *(heavy_imports(flag) for flag in ("--version", "--help")),
    ]


def heavy_imports(flag: str) -> Figure:
    """Count the costly libraries that a flag imports."""
    ran = subprocess.run([sys.executable, "-X", "importtime", HA_SSH, flag], capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    met = sorted(modules & set(HEAVY))
    what = f"costly libraries imported by `{flag}`"
    return Figure(what=what, ours=", ".join(met) or "none", theirs=f"{len(HEAVY)} looked for", value=len(met), bound=0, digits=0)


def quick_house() -> list[Figure]:
    """A house without delays: what the checks, the proof and the journal cost; and what memory it takes."""
    ours, theirs = Side(label="ha-ssh setup", run=setup(0, 0)), Side(label="bare script", run=bare_setup(0, 0))
    interleave(9, ours, theirs)
    memory = Figure(
        what="peak memory of `ha-ssh setup`",
        ours=f"{ours.peak_mb:.0f} MB",
        theirs=f"bare script: {theirs.peak_mb:.0f} MB",
        value=ours.peak_mb,
        bound=120,
        unit=" MB",
        digits=0,
    )
    return [ratio("`ha-ssh setup`, a house without delays", ours, theirs, bound=2.0), memory]


def slow_house() -> list[Figure]:
    """A house as people have it: what is left of that when the waiting is long."""
    ours, theirs = Side(label="ha-ssh setup", run=setup(20, 3)), Side(label="bare script", run=bare_setup(20, 3))
    interleave(2, ours, theirs)
    return [ratio("`ha-ssh setup`, 20 s to install and 3 s to restart", ours, theirs, bound=1.05)]


def healthy_house() -> list[Figure]:
    """A house that is well: the whole doctor, against one question to Home Assistant and one login that others make.

    The question is `config full`: what `info` asks for, no Core of the last years has (it answers 404).
    """
    with house(0, 0) as well:
        own = {"HA_SSH_PROFILE": str(well.folder), "HA_SSH_NO_KEYRING": "1", "HA_SSH_TOKEN": well.token_file.read_text("utf-8")}
        run([HA_SSH, "setup", "--url", well.url, "--port", PORT, "--no-passphrase", "--yes", "--no-input"], env=own)

        def theirs() -> Ran:
            asked = run([HASS_CLI, "config", "full"], env={"HASS_SERVER": well.url, "HASS_TOKEN": own["HA_SSH_TOKEN"]})
            logged_in = run(["ssh", "-F", str(well.folder / "ssh" / "config"), "-o", "BatchMode=yes", "ha", "true"])
            return Ran(seconds=asked.seconds + logged_in.seconds, peak_mb=max(asked.peak_mb, logged_in.peak_mb))

        doctor = Side(label="ha-ssh doctor", run=lambda: run([HA_SSH, "doctor", "--no-input"], env=own))
        other = Side(label="`hass-cli config full`, then `ssh ha true`", run=theirs)
        interleave(9, doctor, other)
    return [ratio("`ha-ssh doctor`, a healthy house", doctor, other, bound=1.5)]


PARTS = {"start-up": start_up, "quick": quick_house, "doctor": healthy_house, "slow": slow_house}

PAGE = """\
<!-- Made by `make bench`. -->

# Benchmarks

Only ratios are judged: both sides are measured in turns in one run, each on a fresh simulated house, and compared by their
medians. `hass-cli` is PyPI's `homeassistant-cli` {hass_cli} in an environment of its own; the bare script is
`benchmarks/bare_setup.py`: the same Supervisor calls, `ssh-keygen`, and one `ssh` login, with no checks at all.

{table}

Measured {date} with Python {python} on {cores} cores of a {machine} ({system}).
"""


def main() -> int:
    """Measure, print, write; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page here")
    parser.add_argument("--only", choices=PARTS, action="append", metavar="PART", help=f"measure only this: {', '.join(PARTS)}")
    flags = parser.parse_args()
    subprocess.run([sys.executable, "-m", "compileall", "-q", HERE.parent / "src"], check=True)
    figures = [figure for name, part in PARTS.items() if not flags.only or name in flags.only for figure in part()]
    print(table(figures))
    if flags.write:
        page = PAGE.format(
            table=table(figures),
            hass_cli=ENVIRONMENTS["hass-cli"].packages[0].partition("==")[2],
            date=datetime.now(UTC).date().isoformat(),
            python=platform.python_version(),
            cores=os.cpu_count(),
            machine=platform.machine(),
            system=platform.system(),
        )
        flags.write.write_text(page, encoding="utf-8")
    broken = [figure.what for figure in figures if not figure.held]
    if broken:
        print(f"broken: {'; '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
