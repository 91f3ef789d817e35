"""Finds an OpenSSH server that punishes failed logins (9.8 or newer), or unpacks one beside the system's (standard library only).

Debian offers one among the backports of an older release. It is fetched with an apt state of this folder's own: neither root nor
any change of the system is needed, and the host is the one that the system's own sources name.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = (9, 8)
FOLDER = Path(__file__).resolve().parent.parent / ".venv-openssh"
SOURCES = Path("/etc/apt")


class CannotHave(Exception):
    """Says in one sentence why no such server can be had here."""


@dataclass(frozen=True)
class Server:
    """An `sshd`, its version, and the settings without which it would call the system's other programs."""

    path: Path
    version: tuple[int, int]
    settings: tuple[str, ...] = ()


def find(folders: str) -> Server | None:
    """Return the first `sshd` of these folders (as in a PATH) that is new enough, else the one that was unpacked here."""
    paths = dict.fromkeys(found for folder in folders.split(":") if (found := shutil.which("sshd", path=folder)))
    for path in map(Path, paths):
        if (version := version_of(path)) >= OLDEST:
            return Server(path, version)
    return unpacked()


def unpacked() -> Server | None:
    """Return the server that was unpacked here, if it is whole and runs."""
    path = FOLDER / "root/usr/sbin/sshd"
    called = {f"Sshd{name.title()}Path": FOLDER / f"root/usr/lib/openssh/sshd-{name}" for name in ("session", "auth")}
    version = version_of(path)
    if version < OLDEST or not all(each.is_file() for each in called.values()):
        return None
    return Server(path, version, tuple(f'{name} "{each}"' for name, each in called.items()))


def version_of(sshd: Path) -> tuple[int, int]:
    """Return the version that an `sshd` calls itself; `(0, 0)` where it does not run."""
    try:
        ran = subprocess.run([sshd, "-V"], capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError:
        return 0, 0
    said = re.search(r"OpenSSH_(\d+)\.(\d+)", ran.stderr + ran.stdout)  # some know no -V, but name themselves all the same
    return (0, 0) if said is None else (int(said[1]), int(said[2]))


def fetch() -> None:
    """Fetch the server of the backports and unpack it in this folder; raises `CannotHave`."""
    if not all(map(shutil.which, ("apt-get", "dpkg"))):
        raise CannotHave("it can be fetched beside the system's own only with apt")
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    files = [*sorted((SOURCES / "sources.list.d").glob("*.sources")), *sorted(SOURCES.rglob("*.list"))]
    found = (backports(path.read_text(encoding="utf-8", errors="replace"), codename) for path in files)
    source = next(filter(None, found), None)
    if source is None:
        raise CannotHave(f"no source in {SOURCES} names the release {codename or 'of this system'}")
    shutil.rmtree(FOLDER, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial"):
        (FOLDER / folder).mkdir(parents=True)
    (FOLDER / "apt.sources").write_text(source, encoding="utf-8")
    (FOLDER / "apt.conf").write_text(APT.format(folder=FOLDER), encoding="utf-8")
    apt = ("apt-get", "-q", "-c", str(FOLDER / "apt.conf"))
    run(*apt, "update")
    run(*apt, "download", f"openssh-server/{codename}-backports")
    run("dpkg", "-x", str(next(FOLDER.glob("*.deb"))), str(FOLDER / "root"))
    if unpacked() is None:
        raise CannotHave(f"the one that was fetched to {FOLDER} does not run here")


APT = """\
#clear APT::Update;
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
Acquire::Retries "3";
Dir::State::Lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Dir::Etc::SourceList "{folder}/apt.sources";
Dir::Etc::SourceParts "/dev/null";
"""
"""What differs from the system's apt: where it keeps its state, one source, none of the hooks that follow an update."""

NO_MORE = {"targets": "Packages", "languages": "none"}
"""Keeps apt from fetching other lists than that of the packages."""


def backports(sources: str, codename: str) -> str | None:
    """Return the source of a release's backports, as the system's own source of that release has it; `None` for none here."""
    for fields in entries(sources):
        if codename in fields["suites"].split() and "deb" in fields["types"].split() and fields.get("enabled") != "no":
            kept = {name: fields[name] for name in ("uris", "signed-by") if name in fields}
            own = {"types": "deb", "suites": f"{codename}-backports", "components": "main"} | NO_MORE
            return "".join(f"{name}: {value}\n" for name, value in (kept | own).items())
    return None


def entries(sources: str) -> Iterator[dict[str, str]]:
    """Read sources of apt, of the format with a field for each line or of the older one with a line for each source."""
    text = re.sub(r"(?m)^[ \t]*#.*\n?", "", sources)
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza)
        yield {"types": "", "suites": ""} | {name.lower(): value.rstrip() for name, value in fields}
    for kind, options, uri, suite in re.findall(r"(?m)^(deb)[ \t]+(?:\[(.*?)\][ \t]+)?(\S+)[ \t]+(\S+)", text):
        signed = re.search(r"signed-by=(\S+)", options)
        yield {"types": kind, "uris": uri, "suites": suite} | ({"signed-by": signed[1]} if signed else {})


def run(*command: str) -> None:
    """Run a program that has to succeed; raises `CannotHave` with its own words."""
    ran = subprocess.run(command, cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or [f"it ended with {ran.returncode}"]
        error = next((line for line in said if line.startswith("E: ")), said[-1])
        raise CannotHave(f"`{' '.join(command)}` failed: {error.rstrip('.')}")
