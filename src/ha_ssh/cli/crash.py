"""The report about a bug of ours: private, and without anything that belongs to the user."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ha_ssh import __version__
from ha_ssh.core.redact import for_posting
from ha_ssh.core.secret import Secret

if TYPE_CHECKING:
    from ha_ssh.core.options import Options


def crash_text(error: BaseException, command: str, options: Options) -> str:
    """Return the report: versions, the command without its values, and the redacted traceback."""
    given = sorted(f"{id} ({options.answers.source(id)})" for id in options.answers)  # noqa: A001 - the question's id
    head = [
        f"ha-ssh {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        f"command: {command}",
        f"answers given: {', '.join(given) or 'none'}",
        f"demo: {options.demo}, dry run: {options.dry_run}, JSON: {options.machine}",
        "",
    ]
    trace = "".join(traceback.format_exception(error))
    secrets = [value for value in (options.token, *options.answers.values()) if isinstance(value, Secret)]
    hosts = [urlsplit(options.url).hostname if options.url else None, options.ssh_host]
    return "\n".join(head) + for_posting(trace, str(Path.home()), [host for host in hosts if host], secrets=secrets)


def write_report(error: BaseException, command: str, options: Options, folder: Path | None = None) -> Path | None:
    """Write the report where only the user can read it and return its path; `None` where it cannot be written."""
    try:
        folder = folder or _state_folder()
        for above in (*reversed(folder.parents), folder):
            above.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.txt"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - private from birth
            file.write(crash_text(error, command, options))
    except OSError as cannot:
        sys.stderr.write(f"the report could not be written: {cannot.strerror}\n{crash_text(error, command, options)}\n")
        return None
    return path


def _state_folder() -> Path:
    """Return where reports lie; found without the rest of the program, since that may be what is broken."""
    from platformdirs import user_state_path

    profile = os.environ.get("HA_SSH_PROFILE")
    state = Path(profile).expanduser() / "state" if profile else user_state_path("ha-ssh", appauthor=False)
    return state / "crashes"
