"""The user's own OpenSSH: asked what it makes of an alias, and to log in, in ways that change none of the user's files."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import OwnLogin, Places, Said
from ha_ssh.core.sshconfig import parse_resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ha_ssh.core.secret import Secret

CONNECT_LIMIT = 8
"""Seconds that `ssh` may take to connect."""
LOGIN_LIMIT = 20.0
"""Seconds after which a whole login is given up."""
_ASK_LIMIT = 5.0
_READS, _EXECUTES = "Reading configuration data ", "Executing command: "
"""How `ssh -v` names a file that it reads, and a program of the user's that it asks."""
_AGENT = "SSH_AUTH_SOCK"
_AGENT_LIMIT = 2.0
_LAST_WORDS = 1.0
"""Seconds for which the words of a program that has ended are waited for."""
_PASSPHRASE = "HA_SSH_ASKPASS_ANSWER"  # noqa: S105 - the name of a variable

_HANDS_OFF = {
    "StrictHostKeyChecking": "yes",
    "CheckHostIP": "no",  # older clients add a line for the address otherwise
    "ControlMaster": "no",
    "ControlPath": "none",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "ConnectTimeout": str(CONNECT_LIMIT),
    "LogLevel": "DEBUG",  # how far it came, where it comes to no end; and a user's QUIET would hide what went wrong
}
"""What keeps a look by `ssh` from changing the user's files, agent or running connections."""
_NEWER = {
    "updatehostkeys": {"UpdateHostKeys": "no", "RemoteCommand": "none"},  # a user's own command would forbid ours
    "addkeystoagent": {"AddKeysToAgent": "no"},
    "sessiontype": {"SessionType": "default"},
    "forkafterauthentication": {"ForkAfterAuthentication": "no"},
}
"""More of it, for clients that print the keyword: older ones do not know these, and refuse what they do not know."""
_CHATTER = re.compile(
    r"debug\d: |OpenSSH_\S+, |Authenticated to |Transferred: |Bytes per second: |Pseudo-terminal will not be allocated"
)
"""How the lines begin that `ssh` says of its steps, and that are no complaint."""
_NO_G = re.compile(r"(?i)(?:unknown|illegal|invalid|unrecognized) option.*G|usage:|unknown argument")
_FORKS = "Cannot fork into background without a command"


def program(name: str) -> str | None:
    """Return the path of one of OpenSSH's programs, `None` where it is not installed."""
    return shutil.which(name)


@dataclass(frozen=True)
class OwnSsh:
    """The `ssh` of this computer with the files it is to use; those of a profile are always named to it."""

    places: Places

    async def version(self) -> str | None:
        """Return what `ssh -V` says, such as `OpenSSH_9.2p1 Debian-2+deb12u6`; `None` where there is no `ssh`.

        Raises `HaSshError` (`ssh-mute`) where there is one that does not say it.
        """
        ssh = program("ssh")
        if ssh is None:
            return None
        ran = await _run([ssh, "-V"], _ASK_LIMIT, self._environment())
        said = ran.err.strip() or ran.out.strip()
        if ran.code == 0 and said:
            return said
        raise HaSshError("ssh-mute", f"`{ssh}` is there, but `ssh -V` {_how_it_ended(ran)}")

    async def resolve(self, alias: str) -> Said:
        """Return what `ssh -G` says of an alias; raises `HaSshError` with its complaint about the configuration.

        `ssh-too-old` where it knows no `-G`, `ssh-config-broken` for anything else.
        """
        if not self.places.portable:
            return await self._asked(alias)
        said, default = await asyncio.gather(self._asked(alias, *self._files()), self._asked(alias, "-F", os.devnull))
        if said["userknownhostsfile"] == default["userknownhostsfile"]:
            said["userknownhostsfile"] = (self.places.known_hosts,)
        return said

    async def _asked(self, alias: str, *files: str) -> Said:
        command = [_ssh(), *files, "-v", "-G", *_destination(alias)]
        ran = await _run(command, _ASK_LIMIT, self._environment())
        if ran.code and _FORKS in ran.err:
            ran = await _run([*command, "true"], _ASK_LIMIT, self._environment())
        words, steps = _told(ran.err)
        read = [step.removeprefix(_READS) for step in steps if step.startswith(_READS)]
        if ran.code == 0 and not ran.hung:
            return Said(parse_resolved(ran.out), files=tuple(dict.fromkeys(read)))
        if not ran.hung and ran.code > 0 and _NO_G.search(words):
            raise HaSshError("ssh-too-old", f"`{command[0]}` cannot say what it makes of its configuration (`ssh -G`): {words}")
        said = words or f"it {_how_it_ended(ran)}"
        if ran.hung:
            last = [step for step in steps if step.startswith((_READS, _EXECUTES))][-1:]
            said = "\n".join((f"it {_how_it_ended(ran)}", *read[-1:], *last))
        raise HaSshError(
            "ssh-config-broken",
            f"your `ssh` cannot read its configuration: {said}",
            "`ssh -vG NAME` shows it, and before it the files that `ssh` reads",
        )

    async def login(
        self,
        alias: str,
        passphrase: Secret | None,
        *,
        identity: str | None = None,
        said: Mapping[str, tuple[str, ...]] | None = None,
        limit: float | None = None,
    ) -> OwnLogin:
        """Log in by an alias and run `true`; a passphrase is answered, nothing else is ever asked.

        `said` is what `ssh -G` says of the alias, where that was asked already.
        """
        try:
            said = await self.resolve(alias) if said is None else said
        except HaSshError as error:
            if error.code != "ssh-config-broken":
                raise
            return OwnLogin(code=255, err=error.message)
        manners = {
            **_HANDS_OFF,
            **{name: value for keyword, more in _NEWER.items() if keyword in said for name, value in more.items()},
            **({"NumberOfPasswordPrompts": "1", "PreferredAuthentications": "publickey"} if passphrase else {"BatchMode": "yes"}),
        }
        options = [f"-o{name}={value}" for name, value in manners.items()]
        options += ["-oIdentitiesOnly=yes", "-i", identity] if identity else []
        command = [
            _ssh(),
            *self._files(),
            *self._known_hosts(said),
            *options,
            "-T",
            "-a",
            "-x",
            "-n",
            *_destination(alias),
            "true",
        ]
        with answering(passphrase, self._environment()) as environment:
            ran = await _run(command, limit or LOGIN_LIMIT, environment)
            words, steps = _told(ran.err)
            if not ran.hung:
                return OwnLogin(code=ran.code, err=words, steps=steps)
            mute = await _mute_agent(said, environment)
        err = "\n".join(filter(None, (words, f"`ssh` {_how_it_ended(ran)}")))
        return OwnLogin(code=255, err=err, steps=steps, hung=True, mute_agent=mute)

    def _environment(self) -> dict[str, str]:
        """Return the environment in which `ssh` runs: that of a profile knows nothing of the user's agent."""
        mine = dict(os.environ)
        if self.places.portable:
            mine.pop(_AGENT, None)
        return mine

    def _files(self) -> list[str]:
        """Name the profile's files: OpenSSH takes the home folder from the password database and ignores `$HOME`."""
        if not self.places.portable:
            return []
        config = self.places.config if Path(self.places.config).exists() else os.devnull
        return ["-F", config, f"-oGlobalKnownHostsFile={os.devnull}", "-oIdentityAgent=none"]

    def _known_hosts(self, said: Mapping[str, tuple[str, ...]]) -> list[str]:
        """Name the profile's known hosts where the user's configuration names none of its own."""
        if not self.places.portable or said.get("userknownhostsfile") != (self.places.known_hosts,):
            return []
        return [f'-oUserKnownHostsFile="{self.places.known_hosts.replace("%", "%%")}"']


@contextlib.contextmanager
def answering(passphrase: Secret | None, environment: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Yield an environment in which OpenSSH is told the passphrase, and refused every other answer, by a private script.

    The secret is in the environment of the child only: never in an argument, never in a file.
    """
    own = dict(os.environ if environment is None else environment)
    if passphrase is None:
        yield own
        return
    with tempfile.TemporaryDirectory(prefix="ha-ssh-") as private:
        yield {
            **own,
            _PASSPHRASE: passphrase.reveal(),
            "SSH_ASKPASS": _script(Path(private)),
            "SSH_ASKPASS_REQUIRE": "force",
            "DISPLAY": own.get("DISPLAY") or ":",  # clients before 8.4 look for it, and know no REQUIRE
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


def _destination(name: str) -> tuple[str, ...]:
    """Return how `ssh` is told where to go: it takes no IPv6 address in an `ssh://` URL (seen with 9.2)."""
    found = re.fullmatch(r"ssh://([^@]+)@\[([^]]+)]:(\d+)", name)
    return ("--", name) if found is None else ("-l", found[1], "-p", found[3], "--", found[2])


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


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """How a program ended: code (negative for a signal) and output; `hung` where it was ended by us."""

    code: int
    out: str
    err: str
    hung: bool = False
    limit: float = 0.0


def _how_it_ended(ran: _Ran) -> str:
    """Say how a program failed, with its words."""
    if ran.hung:
        return f"was ended after {ran.limit:g} s without an end of its own"
    words = (ran.err.strip() or ran.out.strip() or "without a word").splitlines()[-1]
    if ran.code < 0:
        return f"was ended by a signal ({signal.Signals(-ran.code).name}): {words}"
    return f"ended with code {ran.code}: {words}" if ran.code else "ended without a word"


def _told(err: str) -> tuple[str, tuple[str, ...]]:
    """Part what `ssh` complains about from the steps that it names."""
    lines = [line.rstrip() for line in err.splitlines()]
    steps = tuple(line.partition(": ")[2] for line in lines if line.startswith("debug1: "))
    return "\n".join(line for line in lines if not _CHATTER.match(line)).strip(), steps


async def _mute_agent(said: Mapping[str, tuple[str, ...]], environment: Mapping[str, str]) -> str:
    """Return the socket of the user's agent, where it takes a connection and does not answer; it is asked for its list."""
    named = said.get("identityagent", (_AGENT,))[0]
    path = environment.get(_AGENT if named == _AGENT else named[1:].strip("{}"), "") if named[:1] in {"$", "S"} else named
    if not path or path == "none" or sys.platform == "win32":
        return ""
    try:
        async with asyncio.timeout(_AGENT_LIMIT):
            answers, asks = await asyncio.open_unix_connection(_expanded(path))
            try:
                asks.write(b"\0\0\0\x01\x0b")  # SSH_AGENTC_REQUEST_IDENTITIES
                await answers.read(1)
            finally:
                asks.close()
    except TimeoutError:
        return path
    except OSError:
        return ""
    return ""


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())


async def _run(command: list[str], limit: float, environment: dict[str, str]) -> _Ran:
    """Run a program without a terminal; one that takes too long, or whose caller goes away, is ended.

    Raises `HaSshError` (`ssh-mute`) where it cannot be started.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # without our terminal it cannot ask there, and Ctrl-C is ours to handle
        )
    except OSError as error:
        raise HaSshError("ssh-mute", f"`{command[0]}` cannot be started: {_why_not_started(command[0], error)}") from error
    out, err = bytearray(), bytearray()
    reading = asyncio.gather(_drained(child.stdout, out), _drained(child.stderr, err))
    hung = False
    try:
        async with asyncio.timeout(limit) as timer:
            await child.wait()
        with contextlib.suppress(TimeoutError):  # what it has left running may hold its words open
            async with asyncio.timeout(_LAST_WORDS):
                await asyncio.shield(reading)
    except BaseException as error:
        _end(child.pid)
        await child.wait()
        if not isinstance(error, TimeoutError) or not timer.expired():
            raise
        hung = True
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        child._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - else a pipe that others hold outlives the loop
    texts = (bytes(part).decode("utf-8", "replace") for part in (out, err))
    return _Ran(code=child.returncode or 0, out=next(texts), err=next(texts), hung=hung, limit=limit)


async def _drained(stream: asyncio.StreamReader | None, into: bytearray) -> None:
    """Read all that a program says, as it says it."""
    while stream is not None and (part := await stream.read(1 << 16)):
        into += part


def _why_not_started(path: str, error: OSError) -> str:
    if error.errno == errno.ENOENT and Path(path).exists():
        return "the program that its first line names is not there"
    if error.errno == errno.ENOEXEC:
        return "it is no program for this computer (`Exec format error`)"
    return (error.strerror or str(error)).lower()
