"""Sees to it that the programs exist that the tests and the demo call (standard library only).

    python3 tools/system.py demo | test | real

What is missing is installed when that needs nobody's leave (root, or Homebrew); else one message names the command to run.
A missing program is a failure, never a test skipped in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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
        make_room_for_sshd(purpose)
        return 0
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
    make_room_for_sshd(purpose)
    if still := lacking(purpose):
        print(f"{manager} ran, but {', '.join(still)} is still missing; its own words are above.", file=sys.stderr)
        return 1
    return 0


def lacking(purpose: str) -> list[str]:
    """Return the programs that a purpose needs and this computer does not have."""
    path = f"{os.environ.get('PATH', os.defpath)}:{ELSEWHERE}"
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


def make_room_for_sshd(purpose: str) -> None:
    """Make the folder that Debian's `sshd` insists on when root runs it, which only its service would make."""
    if "sshd" in NEEDED[purpose] and sys.platform == "linux" and os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
