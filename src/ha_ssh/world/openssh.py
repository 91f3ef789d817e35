"""The user's own OpenSSH: asked what it makes of an alias, and to log in, in ways that change none of the user's files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import OwnLogin, Places
from ha_ssh.core.sshconfig import parse_resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ha_ssh.core.secret import Secret

CONNECT_LIMIT = 8
"""Seconds that `ssh` may take to connect."""
LOGIN_LIMIT = 20.0
"""Seconds after which a whole login is given up."""
_ASK_LIMIT = 5.0
_PASSPHRASE = "HA_SSH_ASKPASS_ANSWER"  # noqa: S105 - the name of a variable

_HANDS_OFF = {
    "UpdateHostKeys": "no",
    "StrictHostKeyChecking": "yes",
    "CheckHostIP": "no",  # older clients add a line for the address otherwise
    "ControlMaster": "no",
    "ControlPath": "none",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",  # a user's own would forbid ours
    "AddKeysToAgent": "no",
    "ConnectTimeout": str(CONNECT_LIMIT),
    "LogLevel": "INFO",  # a user's QUIET would hide what went wrong
}
"""What keeps a look by `ssh` from changing the user's files, agent or running connections."""
_OURS_TO_END = {"SessionType": "default", "ForkAfterAuthentication": "no"}
"""What lets a command run and its end be seen; clients before 8.7 do not know these, and refuse what they do not know."""
_FORKS = "Cannot fork into background without a command"


def program(name: str) -> str | None:
    """Return the path of one of OpenSSH's programs, `None` where it is not installed."""
    return shutil.which(name)


@dataclass(frozen=True)
class OwnSsh:
    """The `ssh` of this computer with the files it is to use; those of a profile are always named to it."""

    places: Places

    async def version(self) -> str | None:
        """Return what `ssh -V` says, such as `OpenSSH_9.2p1 Debian-2+deb12u6`; `None` where there is no `ssh`."""
        ssh = program("ssh")
        if ssh is None:
            return None
        code, out, err = await _run([ssh, "-V"], _ASK_LIMIT, None)
        said = err.strip() or out.strip()
        return said if code == 0 and said else None

    async def resolve(self, alias: str) -> dict[str, tuple[str, ...]]:
        """Return what `ssh -G` says of an alias; raises `HaSshError` with its complaint about the configuration."""
        if not self.places.portable:
            return await self._asked(alias)
        said, default = await asyncio.gather(self._asked(alias, *self._files()), self._asked(alias, "-F", os.devnull))
        if said["userknownhostsfile"] == default["userknownhostsfile"]:
            said["userknownhostsfile"] = (self.places.known_hosts,)
        return said

    async def _asked(self, alias: str, *files: str) -> dict[str, tuple[str, ...]]:
        command = [_ssh(), *files, "-G", "--", alias]
        code, out, err = await _run(command, _ASK_LIMIT, None)
        if code and _FORKS in err:
            code, out, err = await _run([*command, "true"], _ASK_LIMIT, None)
        if code:
            said = err.strip() or f"it ended with code {code}"
            raise HaSshError(
                "ssh-config-broken",
                f"your `ssh` cannot read its configuration: {said}",
                "`ssh -vG NAME` shows it, and before it the files that `ssh` reads",
            )
        return parse_resolved(out)

    async def login(
        self,
        alias: str,
        passphrase: Secret | None,
        *,
        identity: str | None = None,
        said: Mapping[str, tuple[str, ...]] | None = None,
        limit: float = LOGIN_LIMIT,
    ) -> OwnLogin:
        """Log in by an alias and run `true`; a passphrase is answered, nothing else is ever asked.

        `said` is what `ssh -G` says of the alias, where that was asked already.
        """
        try:
            said = said or await self.resolve(alias)
        except HaSshError as error:
            if error.code != "ssh-config-broken":
                raise
            return OwnLogin(code=255, err=error.message)
        manners = {
            **_HANDS_OFF,
            **{name: value for name, value in _OURS_TO_END.items() if name.lower() in said},
            **({"NumberOfPasswordPrompts": "1", "PreferredAuthentications": "publickey"} if passphrase else {"BatchMode": "yes"}),
        }
        options = [f"-o{name}={value}" for name, value in manners.items()]
        options += ["-oIdentitiesOnly=yes", "-i", identity] if identity else []
        command = [_ssh(), *self._files(), *self._known_hosts(said), *options, "-T", "-a", "-x", "-n", "--", alias, "true"]
        with answering(passphrase) as environment:
            code, _, err = await _run(command, limit, environment)
        return OwnLogin(code=code, err=err.strip())

    def _files(self) -> list[str]:
        """Name the profile's files: OpenSSH takes the home folder from the password database and ignores `$HOME`."""
        if not self.places.portable:
            return []
        config = self.places.config if Path(self.places.config).exists() else os.devnull
        return ["-F", config, f"-oGlobalKnownHostsFile={os.devnull}", "-oIdentityAgent=none"]

    def _known_hosts(self, said: Mapping[str, tuple[str, ...]]) -> list[str]:
        """Name the profile's known hosts where the user's configuration names none of its own."""
        if not self.places.portable or said["userknownhostsfile"] != (self.places.known_hosts,):
            return []
        return [f'-oUserKnownHostsFile="{self.places.known_hosts.replace("%", "%%")}"']


@contextlib.contextmanager
def answering(passphrase: Secret | None) -> Iterator[dict[str, str] | None]:
    """Yield an environment in which OpenSSH is told the passphrase, and refused every other answer, by a private script.

    The secret is in the environment of the child only: never in an argument, never in a file.
    """
    if passphrase is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ha-ssh-") as private:
        yield {
            **os.environ,
            _PASSPHRASE: passphrase.reveal(),
            "SSH_ASKPASS": _script(Path(private)),
            "SSH_ASKPASS_REQUIRE": "force",
            "DISPLAY": os.environ.get("DISPLAY") or ":",  # clients before 8.4 look for it, and know no REQUIRE
        }


def _script(folder: Path) -> str:
    if sys.platform == "win32":  # untested
        path, text = folder / "ask.cmd", f'@"{sys.executable}" -c "import os; print(os.environ[\'{_PASSPHRASE}\'])"\r\n'
    else:
        path = folder / "ask"
        text = f'#!/bin/sh\ncase "$1" in *assphrase*) printf \'%s\\n\' "${_PASSPHRASE}";; *) exit 1;; esac\n'
    path.write_text(text, encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def _ssh() -> str:
    ssh = program("ssh")
    if ssh is None:
        raise HaSshError(
            "no-ssh",
            "there is no `ssh` on this computer",
            "install the OpenSSH client (`openssh-client`, or Windows' optional feature)",
        )
    return ssh


def _end(pid: int) -> None:
    """End a program with all that it started, such as the user's `ProxyCommand`."""
    with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
        if sys.platform == "win32":
            os.kill(pid, signal.SIGTERM)
        else:
            os.killpg(pid, signal.SIGKILL)


async def _run(command: list[str], limit: float, environment: dict[str, str] | None) -> tuple[int, str, str]:
    """Run a program without a terminal; one that takes too long, or whose caller goes away, is ended."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # without our terminal it cannot ask there, and Ctrl-C is ours to handle
    )
    try:
        async with asyncio.timeout(limit):
            out, err = await child.communicate()
    except BaseException as error:
        _end(child.pid)
        await child.wait()
        if isinstance(error, TimeoutError):
            return 255, "", f"`{Path(command[0]).name}` was ended after {limit:g} s without an end of its own"
        raise
    return child.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
