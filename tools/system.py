"""Sees to it that the programs exist that the tests and the demo call (standard library only).

    python3 tools/system.py demo | test | real

What is missing is installed when that needs nobody's leave (root, or Homebrew); else one message names the command to run.
An `sshd` that is too old for some tests gets a newer one beside it, in a folder of this project. A missing program is a failure,
never a test skipped in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import openssh

if TYPE_CHECKING:
    from collections.abc import Iterable

NEEDED = {
    "demo": ("ssh",),
    "test": ("ssh", "ssh-keygen", "sshd", "rsync", "tmux"),
    "real": ("ssh", "ssh-keygen", "sshd", "rsync", "tmux", "chromium"),
}
ALSO_CALLED = {"chromium": ("chromium-browser", "google-chrome", "google-chrome-stable")}
ELSEWHERE = "/usr/sbin:/sbin:/usr/local/sbin:/opt/homebrew/sbin:/opt/homebrew/bin:/usr/local/bin"
"""Folders that a plain user's PATH may lack; `sshd` lies in one of them."""

MANAGERS = {
    "apt-get": (
        ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", "update"),
        ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120", "install", "--no-install-recommends"),
    ),
    "dnf": (("dnf", "-q", "-y", "install"),),
    "apk": (("apk", "add", "--no-cache"),),
    "pacman": (("pacman", "-Sy", "--noconfirm", "--needed"),),
    "brew": (("brew", "install"),),
}
"""By the command that tells a manager is there: what to run, in order, the packages going to the end of the last."""

PACKAGES = {
    "apt-get": {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "sshd": "openssh-server"},
    "dnf": {"ssh": "openssh-clients", "ssh-keygen": "openssh", "sshd": "openssh-server"},
    "apk": {"ssh": "openssh-client-default", "ssh-keygen": "openssh-keygen", "sshd": "openssh-server"},
    "pacman": {"ssh": "openssh", "ssh-keygen": "openssh", "sshd": "openssh"},
    "brew": {"ssh": "openssh", "ssh-keygen": "openssh", "sshd": "openssh"},
}
"""The package of a program, where it has another name."""


def main(purpose: str) -> int:
    """Install what a purpose lacks, or say what to run; returns an exit code."""
    missing = lacking(purpose)
    if not missing:
        return get_sshd_ready(purpose)
    manager = next(filter(shutil.which, MANAGERS), None)
    if manager is None:
        print(f"Missing: {', '.join(missing)}. Install them by the means of your system, then run this again.", file=sys.stderr)
        return 1
    commands = to_run(manager, missing)
    if manager != "brew" and os.geteuid() != 0:
        line = " && ".join(f"sudo {' '.join(command)}" for command in commands)
        print(f"Missing: {', '.join(missing)}. Run this, then start again:\n\n    {line}\n", file=sys.stderr)
        return 1
    print(f"Installing {', '.join(missing)} with {manager} ...", flush=True)
    for command in commands:
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if still := lacking(purpose):
        print(f"{manager} ran, but {', '.join(still)} is still missing; its own words are above.", file=sys.stderr)
        return 1
    return get_sshd_ready(purpose)


def folders() -> str:
    """Return where programs are looked for, as in a PATH."""
    return f"{os.environ.get('PATH', os.defpath)}:{ELSEWHERE}"


def lacking(purpose: str) -> list[str]:
    """Return the programs that a purpose needs and this computer does not have."""
    path = folders()
    return [
        name
        for name in NEEDED[purpose]
        if not any(shutil.which(other, path=path) for other in (name, *ALSO_CALLED.get(name, ())))
    ]


def to_run(manager: str, programs: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the commands that install these programs."""
    packages = dict.fromkeys(PACKAGES[manager].get(program, program) for program in programs)
    *before, last = MANAGERS[manager]
    return [*before, (*last, *packages)]


def get_sshd_ready(purpose: str) -> int:
    """See to an `sshd` that punishes failed logins, and to what it insists on; returns an exit code."""
    if "sshd" not in NEEDED[purpose]:
        return 0
    if sys.platform == "linux" and os.geteuid() == 0:
        # Debian's insists on this folder when root runs it, and only its service would make it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    try:
        if openssh.find(folders()) is None:
            print("Fetching a newer OpenSSH server, for the tests alone (once, a few seconds) ...", flush=True)
            openssh.fetch()
    except openssh.CannotHave as why:
        wanted = f"an `sshd` of OpenSSH {'.'.join(map(str, openssh.OLDEST))} or newer on the PATH"
        print(f"Missing: {wanted}; {why}. Install one, then run this again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
