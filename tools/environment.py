"""Makes a virtual environment of this project, or leaves it alone where it is up to date (standard library only).

    python3 tools/environment.py dev | hass-cli | core

`dev` is the project itself, editable, with everything to work on it; `hass-cli` is what the start-up time is measured
against; `core` is the real Home Assistant Core of `make test-real`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A folder, what goes into it, the files whose change renews it, and the Pythons that can carry it."""

    folder: str
    packages: tuple[str, ...]
    watched: tuple[str, ...] = ()
    newest: tuple[int, int] = (3, 99)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return ROOT / self.folder

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def mark(self) -> Path:
        """The file that says with what it was filled."""
        return self.path / "filled-with"


ENVIRONMENTS = {
    "dev": Environment(folder=".venv", packages=("-e", ".[dev]"), watched=("pyproject.toml",)),
    "hass-cli": Environment(folder=".venv-hass-cli", packages=("homeassistant-cli==0.9.6",)),
    "core": Environment(
        folder=".venv-core", packages=("--no-deps", "-r", "tests/real/core.txt"), watched=("tests/real/core.txt",), newest=(3, 12)
    ),
}


def main(name: str) -> int:
    """Make the named environment, and say so; returns an exit code."""
    wanted = ENVIRONMENTS[name]
    found = find_python(wanted.newest)
    if found is None:
        newest = f" and at most {dotted(wanted.newest)}" if wanted.newest < (3, 99) else ""
        print(f"{wanted.folder} needs Python {dotted(OLDEST)} or newer{newest}; there is none on the PATH.", file=sys.stderr)
        return 1
    interpreter, version = found
    filling = fingerprint(wanted, version)
    if wanted.python.exists() and wanted.mark.is_file() and wanted.mark.read_text(encoding="utf-8") == filling:
        return 0
    began = time.monotonic()
    print(f"Making {wanted.folder} with Python {version.splitlines()[0]} (once, a minute or two) ...", flush=True)
    python = str(wanted.python)
    if not fits(wanted, version):
        shutil.rmtree(wanted.path, ignore_errors=True)
        subprocess.run([interpreter, "-m", "venv", str(wanted.path)], check=True)
    wanted.mark.unlink(missing_ok=True)
    install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", "--no-compile"]
    if subprocess.run([*install, *wanted.packages], cwd=ROOT, check=False).returncode:
        print(f"pip could not fill {wanted.folder}; its own words are above.", file=sys.stderr)
        return 1
    # Bytecode is written here, once and on all cores: where PYTHONDONTWRITEBYTECODE is set nothing else would write it.
    subprocess.run(
        [python, "-m", "compileall", "-q", "-j", "0", str(wanted.path / "lib")], check=False, stderr=subprocess.DEVNULL
    )
    wanted.mark.write_text(filling, encoding="utf-8")
    print(f"Made {wanted.folder} in {time.monotonic() - began:.0f} s.", flush=True)
    return 0


def fingerprint(wanted: Environment, version: str) -> str:
    """Return what tells an up-to-date environment from an old one, or from one that was moved here."""
    watched = [hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in wanted.watched]
    return "\n".join([version, str(wanted.path), *wanted.packages, *watched]) + "\n"


def fits(wanted: Environment, version: str) -> bool:
    """Return whether what is there can be filled further: the same Python, and not a folder that was moved here."""
    if not wanted.python.exists() or ask(str(wanted.python)) != version:
        return False
    return not wanted.mark.is_file() or wanted.mark.read_text(encoding="utf-8").startswith(f"{version}\n{wanted.path}\n")


def find_python(newest: tuple[int, int]) -> tuple[str, str] | None:
    """Return the first Python that is neither too old nor too new, and its version and home, a line each."""
    names = [sys.executable, "python3.11", "python3.12", "python3.13", "python3.14", "python3"]
    for path in dict.fromkeys(filter(None, map(shutil.which, names))):
        version = ask(path)
        if version is not None:
            major, minor = version.split()[0].split(".")
            if OLDEST <= (int(major), int(minor)) <= newest:
                return path, version
    return None


def ask(python: str) -> str | None:
    """Return the version of a Python and where it is installed, a line each; `None` where it does not run.

    A shim of pyenv is there for every version that it knows, and fails for those that are not chosen.
    """
    script = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.base_prefix)"
    ran = subprocess.run([python, "-c", script], capture_output=True, encoding="utf-8", check=False)
    return ran.stdout.strip() if ran.returncode == 0 else None


def dotted(version: tuple[int, int]) -> str:
    """Return `3.11` for `(3, 11)`."""
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
