"""The real world behind the protocols `Reader` and `Home`: the house by a route, the user's files, SSH, the vault."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.world import files, keyfiles, ssh
from ha_ssh.world.diary import DIARY
from ha_ssh.world.ha.answers import in_short
from ha_ssh.world.openssh import OwnSsh
from ha_ssh.world.set_aside import hindrances

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping

    from ha_ssh.core.model import (
        Clock,
        CoreState,
        FileState,
        KeyKind,
        KeyState,
        OwnLogin,
        Places,
        Said,
        SecretRef,
        Session,
        SetAside,
    )
    from ha_ssh.core.secret import Secret
    from ha_ssh.world.ha.routes import Route
    from ha_ssh.world.vault import Vault

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two looks while something is awaited."""
_NAME_LIMIT = 6.0
"""Seconds after which a name counts as unknown."""
_REFUSED_FOR = 60.0
"""Seconds for which a refusal that passes is waited out."""
_AWAY_FOR = 60.0
"""Seconds for which a house that does not answer is waited for."""


class RealHome:
    """This computer and, by the route, the house; without a route only this computer and SSH can be looked at."""

    def __init__(
        self,
        route: Route | None,
        places: Places,
        vault: Vault,
        clock: Clock,
        *,
        why: HaSshError | None = None,
        network: bool = True,
    ) -> None:
        """Make the world; `why` is raised where there is no route, and without the network also for SSH."""
        self.clock = clock
        self._way = route
        self._why = why
        self._network = network
        self._places = places
        self._vault = vault
        self._own_ssh = OwnSsh(places)
        self._stirred = asyncio.Event()
        self._listening = False

    # ----------------------------------------------------------------------------------------------------------- the house

    @property
    def channel(self) -> str:
        """How the house is reached: `https`, `http`, `inside` or `ssh`."""
        return self._route().channel

    def answered(self, since: float) -> tuple[float, ...]:
        """Return the seconds that each answer of the house took that came since then."""
        return () if self._way is None else tuple(took for at, took in self._way.answers if at >= since)

    async def core(self) -> CoreState:
        """Return Core's version and who we are there."""
        return await self._route().core()

    async def supervisor(self, endpoint: str) -> Any:
        """Return the Supervisor's answer to a GET; raises `HaSshError` for one that is no object, as no release has given yet."""
        said = await self._route().get(endpoint)
        if not isinstance(said, dict):
            raise HaSshError(
                "not-understood",
                f"The Supervisor answers `{endpoint}` in a way that this version of ha-ssh does not understand.",
                "Update ha-ssh; if it is up to date, please report this.",
                evidence=(f"`{endpoint}`: {in_short(repr(said))}",),
            )
        return said

    async def log(self, slug: str) -> str:
        """Return an app's log as plain text."""
        return await self._route().log(slug)

    async def call(
        self,
        endpoint: str,
        data: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[float | None, str], None] | None = None,
    ) -> Any:
        """POST to the Supervisor and wait for the end; a refusal that passes is waited out for a minute."""
        DIARY.info("POST %s", endpoint)
        last = self.clock.now() + _REFUSED_FOR
        pause = _FIRST_PAUSE
        while True:
            self._stirred.clear()
            try:
                return await self._route().post(endpoint, data, limit=None, on_progress=on_progress)
            except Refused as refused:
                left = last - self.clock.now()
                if not refused.passing or left <= 0:
                    raise
                if on_progress:
                    on_progress(None, f"waiting: {refused.message}")
            await self._rest(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def until(self, what: str, look: Callable[[], Awaitable[T | None]], *, limit: float) -> T | None:
        """Look, with growing pauses or when the house reports something; `None` without an answer after `limit` seconds.

        A house that goes away meanwhile, as when Core restarts, is waited for, a minute at the most; what will not pass is not.
        """
        del what  # for those who show it
        last = self.clock.now() + limit
        pause, heard = _FIRST_PAUSE, self.clock.now()
        await self._listen()
        while True:
            self._stirred.clear()
            answer = None
            try:
                answer = await look()
                heard = self.clock.now()
            except Unreachable as gone:
                if not gone.passing or self.clock.now() >= min(last, heard + _AWAY_FOR):
                    raise
            left = last - self.clock.now()
            if answer is not None or left <= 0:
                return answer
            await self._rest(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def close(self) -> None:
        """Part from the house."""
        if self._way is not None:
            await self._way.close()

    def _route(self) -> Route:
        if self._way is None:
            raise self._why or HaSshError(
                "no-api",
                "this needs Home Assistant's API, and no sign-in for it was given",
                "name the house and its token: `--url URL` with `HA_SSH_TOKEN` or `--token-file FILE`",
            )
        return self._way

    def _mind_the_network(self) -> None:
        """Keep off the network where that is wanted."""
        if self._why is not None and not self._network:
            raise self._why

    async def _listen(self) -> None:
        """Have the house report what happens, once; events only shorten pauses, so a house that gives none is fine."""
        if self._way is not None and not self._listening:
            self._listening = True
            with contextlib.suppress(HaSshError):
                await self._way.on_event(lambda _event: self._stirred.set())

    async def _rest(self, seconds: float) -> None:
        """Let time pass, until something is reported at the most."""
        waits = [asyncio.ensure_future(self.clock.sleep(seconds)), asyncio.ensure_future(self._stirred.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # ----------------------------------------------------------------------------------------------------------------- SSH

    @contextlib.asynccontextmanager
    async def session(
        self, host: str, port: int, user: str, identity: str, passphrase: SecretRef | None
    ) -> AsyncIterator[Session]:
        """Log in with exactly this key, once; raises `SshTrouble`."""
        self._mind_the_network()
        DIARY.info("log in as %s at %s port %d with %s", user, host, port, identity)
        async with ssh.open_session(host, port, user, _expanded(identity), await self._secret(passphrase)) as session:
            yield session

    async def knock(self, host: str, port: int) -> str:
        """Read the banner of an SSH server, once, without logging in; raises `SshTrouble`."""
        self._mind_the_network()
        return await ssh.knock(host, port)

    @property
    def terminal(self) -> str | None:
        """The user's `$TERM`."""
        return os.environ.get("TERM") or None

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return the addresses that this computer finds for a name."""
        from ha_ssh.world.ha.web import addresses_of

        self._mind_the_network()
        try:
            async with asyncio.timeout(_NAME_LIMIT):
                return await addresses_of(host)
        except (OSError, TimeoutError):
            return ()

    async def ssh_version(self) -> str | None:
        """Return what `ssh -V` says, or `None` where there is no OpenSSH client."""
        return await self._own_ssh.version()

    async def resolve_alias(self, alias: str) -> Said:
        """Return what the user's OpenSSH makes of an alias."""
        return await self._own_ssh.resolve(alias)

    async def own_login(
        self,
        alias: str,
        passphrase: SecretRef | None,
        *,
        identity: str | None = None,
        said: Mapping[str, tuple[str, ...]] | None = None,
    ) -> OwnLogin:
        """Log in by the user's own OpenSSH and run `true`."""
        self._mind_the_network()
        DIARY.info("ssh %s true", alias)
        key = None if identity is None else _expanded(identity)
        return await self._own_ssh.login(alias, await self._secret(passphrase), identity=key, said=said)

    async def set_aside(self, said: Mapping[str, tuple[str, ...]]) -> tuple[SetAside, ...]:
        """Return what a login by the user's own OpenSSH set aside, and over which `ssh` itself stumbles."""
        return await hindrances(said)

    # --------------------------------------------------------------------------------------------------------------- files

    async def file(self, path: str) -> FileState:
        """Return one of the user's files."""
        return files.read(_expanded(path))

    async def folder(self, path: str) -> tuple[str, ...]:
        """Return the names of the files in a folder, sorted."""
        return files.folder(_expanded(path))

    async def key(self, path: str, passphrase: SecretRef | None) -> KeyState:
        """Return a private key file, opened with the passphrase if one is given."""
        return await asyncio.to_thread(keyfiles.read_key, _expanded(path), await self._secret(passphrase))

    async def write(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Write a file of the user in one piece."""
        DIARY.info("write %s", path)
        files.write(_expanded(path), text, mode)

    async def delete(self, path: str) -> None:
        """Delete a file of the user, and our own folder with the last file in it."""
        DIARY.info("delete %s", path)
        files.delete(_expanded(path))
        if Path(_expanded(path)).parent == Path(self._places.include_dir):
            files.drop_empty_folder(self._places.include_dir)

    async def set_mode(self, path: str, mode: int) -> None:
        """Change who may read a file."""
        DIARY.info("set the mode of %s to %o", path, mode)
        files.set_mode(_expanded(path), mode)

    async def make_key(self, path: str, kind: KeyKind, passphrase: SecretRef | None, comment: str) -> str:
        """Make a key pair, never over an existing file; returns `type base64`."""
        DIARY.info("make a key, %s", path)
        secret = await self._secret(passphrase)
        return await _to_the_end(asyncio.to_thread(keyfiles.make_key, _expanded(path), kind, secret, comment))

    # ------------------------------------------------------------------------------------------------------------- secrets

    async def keep(self, name: str, secret: Secret) -> SecretRef:
        """Put a secret into the vault."""
        return await asyncio.to_thread(self._vault.keep, name, secret)

    async def recall(self, ref: SecretRef) -> Secret:
        """Take a secret out of the vault; raises `HaSshError` where it is gone."""
        return await asyncio.to_thread(self._vault.recall, ref)

    async def _secret(self, ref: SecretRef | None) -> Secret | None:
        return None if ref is None else await self.recall(ref)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do a piece of work on this computer; an interruption counts when it has ended, since a thread cannot be stopped."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())
