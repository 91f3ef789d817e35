"""An OpenSSH server of today (9.8 or newer), which shuts out an address after failed logins: what the doctor makes of that, that
its own looks never earn it, and that the server's words are understood.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

import asyncssh
import pytest

from checks.real_house import real_house
from checks.scenes import EVERY, bad
from ha_ssh import engine
from ha_ssh.core import logs
from ha_ssh.core.model import SshTrouble
from ha_ssh.sim.running import serve
from ha_ssh.world import ssh
from openssh_server import USABLE, listening
from servers import ADVANCED, TERMINAL, Key, Profile, new_house, serve_ssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence
    from pathlib import Path

    from checks.real_house import RealHouse
    from ha_ssh.core.model import Finding
    from ha_ssh.sim.running import Running
    from openssh_server import Listening

pytestmark = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")

FAILED, NOT_TRIED, ALLOWED = 5, 1, 15
"""Seconds that a failed login costs, and a connection without one; from more than `ALLOWED` on the address is shut out."""


def roots(found: dict[str, Finding]) -> list[tuple[str, str]]:
    """What is named as a cause, each with the known failure that it is."""
    return [(one.id, one.verdict.failure) for one in bad(tuple(found.values())) if one.because is None]


async def fail_until_shut_out(real: RealHouse, here: Listening) -> None:
    """Try wrong keys, as somebody else on this computer, until the server hears none any more."""
    options = asyncssh.SSHClientConnectionOptions(username="root", known_hosts=None, config=[], agent_path=None)
    shut_out = False
    while not shut_out:
        keys = [asyncssh.generate_private_key("ssh-ed25519")]
        with pytest.raises((asyncssh.Error, OSError)) as refused:
            await asyncssh.connect(real.running.host, 2222, options=options, client_keys=keys)
        shut_out = not refused.errisinstance(asyncssh.PermissionDenied)
    await here.until(dropped)


async def knock_until_shut_out(real: RealHouse, here: Listening) -> None:
    """Connect and never log in, until the server hears it no more."""
    with pytest.raises(SshTrouble, match="Not allowed at this time"):
        while True:
            await ssh.knock(real.running.host, 2222)
    await here.until(dropped)


def dropped(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith("drop connection ")]


@contextlib.asynccontextmanager
async def crowd(running: Running) -> AsyncIterator[None]:
    """Hold connections that say nothing, so many that the server takes no more."""
    async with contextlib.AsyncExitStack() as stack:
        first = b"SSH-"
        while first.startswith(b"SSH-"):
            reader, writer = await asyncio.open_connection(running.host, 2222)
            stack.callback(writer.close)
            first = await reader.readline()
        yield


async def penalties(here: Listening) -> int:
    """Return what the connections have cost by sshd_config(5), once each of them has ended; nothing that it forgets in time."""

    def ended(lines: Sequence[str]) -> bool:
        begun = {match[1] for line in lines if (match := re.match(r"Connection from \S+ port (\d+) ", line))}
        over = {
            match[1] for line in lines if (match := re.match(r"(?:Connection closed by|Disconnected from) .* port (\d+)", line))
        }
        return begun <= over

    await here.until(ended)
    begun = sum(line.startswith("Connection from ") for line in here.lines)
    accepted = sum(line.startswith("Accepted publickey ") for line in here.lines)
    failed = sum(" authenticating user " in line for line in here.lines)
    return FAILED * failed + NOT_TRIED * (begun - accepted - failed)


def tells_of_penalties(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith("srclimit_")] + dropped(lines)


@pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])
async def test_failed_logins_of_somebody_else_on_this_computer_are_told_as_the_one_cause(tmp_path: Path, slug: str) -> None:
    async with real_house(tmp_path, slug=slug) as real, listening(real.running, slug) as here:
        await fail_until_shut_out(real, here)
        before = len(here.lines)
        found = await real.findings()
        assert roots(found) == [("port-answers", "penalties")]
        verdict = found["port-answers"].verdict
        (new,) = dropped(here.lines[before:])  # one connection, and none to see whether it is still so
        assert f"the app's log: {new}" in verdict.evidence
        assert "penalty: failed authentication" in new
        assert any("Not allowed at this time" in line for line in verdict.evidence), "what the server says to us"
        told = logs.penalty_seconds(here.lines, "127.0.0.1")
        wait = str(verdict.fix)
        assert "10 minutes at most" in wait
        # For how long, OpenSSH 10.0 tells at the level VERBOSE alone, which is that of the community's app; later ones always do.
        assert told is not None or slug == TERMINAL
        assert told is None or (ALLOWED < told <= ALLOWED + FAILED and f"about {told} seconds" in wait)


async def test_what_connects_without_a_login_is_told_from_failed_logins(tmp_path: Path) -> None:
    costly = "PerSourcePenalties noauth:8"  # or it would take sixteen of them
    async with real_house(tmp_path) as real, listening(real.running, TERMINAL, costly) as here:
        await knock_until_shut_out(real, here)
        found = await real.findings()
        assert roots(found) == [("port-answers", "penalties")]
        assert "after connections without a login" in found["port-answers"].verdict.says
        assert "penalty: connections without attempting authentication" in str(found["port-answers"].verdict.evidence)


async def test_a_crowd_is_told_from_a_penalty_and_from_a_server_that_died(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real, listening(real.running, TERMINAL, "MaxStartups 2") as here:
        real.app.log.clear()  # as where strangers have filled it: no word is left of the server's start
        async with crowd(real.running):
            found = await real.findings()
            assert roots(found) == [("port-answers", "kex-closed")]
            assert "too many others wait" in found["port-answers"].verdict.says
            assert set(found["port-answers"].verdict.evidence) & set(dropped(here.lines))


async def test_looking_earns_no_penalty_and_failing_not_too_much_of_it(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real, listening(real.running, TERMINAL, "LogLevel VERBOSE") as here:
        files = real.files()
        for _ in range(6):
            assert roots(await real.findings()) == []
        assert await penalties(here) == 0
        assert tells_of_penalties(here.lines) == []
        assert (await real.run(engine.access(EVERY))).error is None
        assert real.files() == files
        assert await penalties(here) == 0
        keys = here.admit_nobody()
        for number in (1, 2):
            assert (await real.findings())["login-works"].verdict.failure
            assert await penalties(here) == number * FAILED < ALLOWED
        await here.until(tells_of_penalties)
        assert len(tells_of_penalties(here.lines)) == 1, "the first is put on record, and none shuts anybody out"
        here.admit(keys)
        assert roots(await real.findings()) == [], "who has put it right gets in at once"
        assert await penalties(here) == 2 * FAILED


# ---------------------------------------------------------------------------------------------------------------- its words


async def call(running: Running, says: bytes) -> None:
    """Say something else than SSH, or nothing, and hang up."""
    reader, writer = await asyncio.open_connection(running.host, 2222)
    assert (await reader.readline()).startswith(b"SSH-")
    if says:
        writer.write(says)
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()


async def test_the_words_of_a_server_of_today_are_understood(tmp_path: Path) -> None:
    ours, other, third = (Key.make(tmp_path / name) for name in ("ours", "other", "third"))
    house = new_house()
    serve_ssh(house, ours.line)
    settings = ("PerSourcePenalties no", "LogLevel VERBOSE", "MaxAuthTries 2")
    async with serve(house) as running, listening(running, TERMINAL, *settings) as here:

        async def told(deed: Awaitable[object], end: str) -> list[str]:
            before = len(here.lines)
            await deed
            await here.until(lambda lines: any(re.match(end, line) for line in lines[before:]))
            return [one.code for one in logs.refusals(here.lines[before:])]

        def login(key: Key, *options: str, user: str = "root") -> Awaitable[object]:
            return Profile(tmp_path).ssh(running, key, *options, "true", user=user)

        assert await told(login(ours), "Disconnected from user root") == []
        (seen,) = logs.accepted(here.lines[: next(i for i, line in enumerate(here.lines) if "Starting session" in line)])
        assert (seen.user, seen.kind, seen.fingerprint) == ("root", "ED25519", ours.fingerprint)
        assert seen.address == "127.0.0.1"
        assert [one.port for one in logs.listening(here.lines)] == [2222]
        left = "Connection closed by (authenticating|invalid) user"
        assert await told(login(other), left) == ["key-refused", "gave-up"]
        assert await told(login(ours, user="nobody-here"), left) == ["wrong-user", "gave-up"]
        assert await told(login(ours, user="nobody"), left) == ["wrong-user", "gave-up"]
        assert await told(login(other, "-i", str(third.path)), "Disconnecting") == ["key-refused"] * 2 + ["too-many"] * 2
        assert await told(login(ours, "-oKexAlgorithms=diffie-hellman-group14-sha1"), "Unable") == ["no-common-algorithm"]
        assert await told(call(running, b""), "Connection closed") == ["not-ssh"]
        assert await told(call(running, b"GET / HTTP/1.1\r\n\r\n"), "banner exchange") == ["not-ssh", "not-ssh"]
