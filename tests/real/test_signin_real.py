"""`ha-ssh login` and what follows from it as processes, against the real Core: no token is given, and nobody is asked twice."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pty_screen import PtyScreen
from real.conftest import PASSWORD
from real.core import real_core
from real.test_client import add_user, totp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ha_ssh.sim.running import Running
    from real.core import RealCore, SignedIn


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """Its JSON."""
        report: dict[str, Any] = json.loads(self.out)
        return report

    @property
    def error(self) -> str:
        """The code of its error."""
        return str((self.report["error"] or {}).get("code"))


@dataclass(frozen=True)
class Somebody:
    """A computer with a profile of its own, from which nobody is signed in."""

    folder: Path
    url: str

    def environment(self) -> dict[str, str]:
        """What its processes know: nothing of the person who runs the tests."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HA_SSH_", "SSH_"))}
        return own | {"HA_SSH_PROFILE": str(self.folder), "HA_SSH_NO_KEYRING": "1"}

    async def ha_ssh(self, *words: str, stdin: str = "", **more: str) -> Ended:
        """Run `ha-ssh` to its end, beside the house that lives in this loop."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ha_ssh", *words, "--json"),
            env=self.environment() | more,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        assert PASSWORD not in out.decode() + err.decode()
        return Ended(process.returncode, out.decode(), err.decode())

    async def login(self, name: str, *more: str, password: str = PASSWORD) -> Ended:
        """Sign in by name and password."""
        words = ("login", "--url", self.url, "--username", name, "--password-file", "-", *more)
        return await self.ha_ssh(*words, stdin=password)

    async def at_the_terminal(self, live: Callable[[PtyScreen], int], *words: str) -> int:
        """Sit down at a terminal, in a thread: the house goes on living in this loop."""

        def sit() -> int:
            with PtyScreen("-m", "ha_ssh", *words, "--no-color", env=self.environment()) as screen:
                return live(screen)

        return await asyncio.to_thread(sit)

    def kept(self) -> dict[str, str]:
        """The sign-ins that are kept."""
        path = self.folder / "config" / "secrets.json"
        return dict(json.loads(path.read_text())["secrets"]) if path.exists() else {}


@pytest.fixture
def somebody(core: RealCore, owner: SignedIn, tmp_path: Path) -> Somebody:
    """Somebody at a computer that knows nothing of the running Core, which has its owner by now."""
    return Somebody(tmp_path / "profile", core.url)


async def test_one_sign_in_serves_a_whole_setup_and_ends_with_the_logout(somebody: Somebody, house: Running) -> None:
    done = await somebody.login("ann")
    assert (done.code, done.report["login"]) == (0, {"user": "Ann", "admin": True}), done
    setup = await somebody.ha_ssh("setup", "--ssh-host", house.host, "--yes", "--no-passphrase")
    assert (setup.code, setup.report["result"]) == (0, "ok"), setup
    doctor = await somebody.ha_ssh("doctor")
    assert doctor.code == 0, doctor
    session = json.loads(next(iter(somebody.kept().values())))

    out = await somebody.ha_ssh("logout")
    assert (out.code, out.report["changed"], somebody.kept()) == (0, True, {}), out
    (somebody.folder / "config" / "secrets.json").write_text(
        json.dumps({"schema": 1, "secrets": {f"sign-in {somebody.url}": json.dumps(session)}})
    )
    refused = await somebody.ha_ssh("setup", "--yes")  # the same session again: the house has ended it, too
    assert (refused.code, refused.error) == (4, "signed-out"), refused


async def test_a_wrong_password_is_named(somebody: Somebody) -> None:
    refused = await somebody.login("ann", password="not the password")
    assert (refused.code, refused.error, somebody.kept()) == (4, "wrong-password", {}), refused


async def test_a_second_factor_is_asked_for_at_the_terminal(somebody: Somebody, core: RealCore, owner: SignedIn) -> None:
    await add_user(core, owner, "emil", "system-admin")
    emil = await core.sign_in("emil", PASSWORD)
    async with core.websocket(emil.access_token) as ws:
        form = (await ws("auth/setup_mfa", mfa_module_id="totp"))["result"]
        secret = form["description_placeholders"]["code"]
        assert (await ws("auth/setup_mfa", flow_id=form["flow_id"], user_input={"code": totp(secret)}))["success"]
    refused = await somebody.login("emil")
    assert (refused.code, refused.error) == (3, "code-needed"), refused

    def live(screen: PtyScreen) -> int:
        screen.until("How do you want to sign in?")
        screen.type("2\n")
        screen.until("Your user name?")
        screen.type("emil\n")
        screen.until("Your password?")
        screen.type(PASSWORD + "\n")
        screen.until("The code from your authenticator app?")
        screen.type("000000\n")
        screen.until("That code was not accepted.")
        screen.until("The code from your authenticator app?", times=2)
        screen.type(totp(secret) + "\n")
        screen.until("stays signed in")
        assert PASSWORD.encode() not in screen.raw
        return screen.end()

    assert await somebody.at_the_terminal(live, "login", "--url", somebody.url) == 0
    assert len(somebody.kept()) == 1


async def test_a_token_is_made_for_scripts_and_its_name_is_taken_then(somebody: Somebody, tmp_path: Path) -> None:
    file = tmp_path / "ci.token"
    words = ("--make-token", f"ci of {tmp_path.name}", "--days", "3", "--secret-out")
    done = await somebody.login("ann", *words, str(file))
    assert (done.code, file.stat().st_mode & 0o777) == (0, 0o600), done
    script = Somebody(tmp_path / "script", somebody.url)
    looked = await script.ha_ssh("doctor", "--url", somebody.url, "--only", "signed-in-admin", HA_SSH_TOKEN=file.read_text())
    assert looked.code == 0, looked
    kept = await script.ha_ssh("login", "--url", somebody.url, "--token-file", str(file))
    assert (kept.code, len(script.kept())) == (0, 1), kept
    again = await somebody.ha_ssh("login", *words, str(tmp_path / "other"))
    assert (again.code, again.error, (tmp_path / "other").exists()) == (4, "token-name-taken", False), again


async def test_somebody_who_is_no_administrator_is_not_kept(somebody: Somebody, core: RealCore, owner: SignedIn) -> None:
    await add_user(core, owner, "frida", "system-users")
    refused = await somebody.login("frida")
    assert (refused.code, refused.error, somebody.kept()) == (4, "not-admin", {}), refused


async def test_once_leaves_no_session_in_the_house(somebody: Somebody, core: RealCore, owner: SignedIn) -> None:
    async def sessions() -> int:
        async with core.websocket(owner.access_token) as ws:
            return len((await ws("auth/refresh_tokens"))["result"])

    before = await sessions()
    done = await somebody.login("ann", "--once")
    assert (done.code, somebody.kept()) == (0, {}), done
    assert await sessions() == before


async def test_a_banned_computer_is_told_so(house: Running, tmp_path: Path) -> None:
    async with real_core(tmp_path / "config", house, ban_after=1) as core:
        await core.onboard(name="Ann", username="ann", password=PASSWORD)
        banned = Somebody(tmp_path / "profile", core.url)
        assert (await banned.login("ann", password="not the password")).error == "wrong-password"
        refused = await banned.login("ann")
        assert (refused.code, refused.error) == (4, "ip-banned"), refused
