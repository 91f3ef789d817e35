"""The program itself against the real Core: a simulated house's Supervisor and SSH ports are behind it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from ha_ssh.sim.house import House
from ha_ssh.sim.running import Running, serve
from real.core import RealCore, SignedIn, real_core

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PASSWORD = "a password of the tests"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run of the program: its exit code, its JSON, and everything it wrote."""

    code: int
    json: dict[str, Any]
    words: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody at a computer of their own, with a Core in front of a house where nothing is set up."""

    folder: Path
    house: Running
    core: RealCore
    owner: SignedIn

    async def long_lived_token(self, session: SignedIn) -> str:
        """Make a token for the program, as the profile page does."""
        async with self.core.websocket(session.access_token) as ws:
            answer = await ws("auth/long_lived_access_token", client_name=f"ha-ssh {session.refresh_token[:6]}", lifespan=3)
        return str(answer["result"])

    async def __call__(self, *words: str, token: str | None = None) -> Ended:
        """Run `ha-ssh` with these words in a process of its own."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HA_SSH_", "SSH_"))}
        own |= {"HA_SSH_PROFILE": str(self.folder), "HA_SSH_NO_KEYRING": "1"} | ({"HA_SSH_TOKEN": token} if token else {})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ha_ssh", *words, "--url", self.core.url, "--ssh-host", self.house.host, "--json"),
            env=own,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, told = (stream.decode() for stream in await process.communicate())
        assert process.returncode is not None
        assert token is None or token not in said + told
        return Ended(code=process.returncode, json=json.loads(said), words=said + told)


@pytest_asyncio.fixture(loop_scope="session")
async def person(tmp_path: Path) -> AsyncIterator[Person]:
    """Somebody who has just finished the welcome page."""
    async with serve(House()) as house, real_core(tmp_path / "config", house) as core:
        owner = await core.onboard(name="Ann", username="ann", password=PASSWORD)
        (tmp_path / "profile").mkdir()
        yield Person(folder=tmp_path / "profile", house=house, core=core, owner=owner)


SETUP = ("setup", "--port", "2222", "--no-passphrase", "--yes")


@pytest.mark.parametrize(("slug", "word", "user"), [("core_ssh", "terminal", "root"), ("a0d7b954_ssh", "advanced", "sam")])
async def test_from_nothing_to_a_proven_login_and_back(person: Person, slug: str, word: str, user: str) -> None:
    token = await person.long_lived_token(person.owner)
    chosen = ("--app", word, "--username", user)
    first = await person(*SETUP, *chosen, token=token)
    assert (first.code, first.json["result"], first.json["changed"]) == (0, "ok", True), first.words
    assert first.json["ssh"]["proof"]["method"] == "log"
    assert first.json["house"]["core"] == "2024.3.3"
    assert (first.json["ssh"]["user"], first.json["ssh"]["port"]) == (user, 2222)
    assert person.house.house.app(slug).state == "started"

    doctor = await person("doctor", token=token)
    assert (doctor.code, doctor.json["result"]) == (0, "ok"), doctor.words

    again = await person(*SETUP, *chosen, token=token)
    assert (again.code, again.json["changed"]) == (0, False), again.words

    undone = await person("undo", "--yes", token=token)
    assert undone.code == 0, undone.words
    assert person.house.house.admitted(slug) == frozenset()


async def test_a_dry_run_touches_nothing(person: Person) -> None:
    before = person.house.house.snapshot()
    planned = await person(*SETUP, "--dry-run", token=await person.long_lived_token(person.owner))
    assert (planned.code, planned.json["result"], planned.json["changed"]) == (0, "planned", True), planned.words
    assert person.house.house.snapshot() == before


async def test_somebody_who_is_no_administrator_is_told_so(person: Person) -> None:
    async with person.core.websocket(person.owner.access_token) as ws:
        user = (await ws("config/auth/create", name="Bob", group_ids=["system-users"]))["result"]["user"]
        await ws("config/auth_provider/homeassistant/create", user_id=user["id"], username="bob", password=PASSWORD)
    token = await person.long_lived_token(await person.core.sign_in("bob", PASSWORD))
    refused = await person(*SETUP, token=token)
    assert (refused.code, refused.json["result"], refused.json["changed"]) == (4, "error", False), refused.words
    assert "administrator" in refused.words


async def test_a_wrong_token_is_tried_once(person: Person) -> None:
    refused = await person(*SETUP, token="x" * 180)
    assert (refused.code, refused.json["result"], refused.json["changed"]) == (4, "error", False), refused.words
    log = (person.core.folder / "output").read_text()
    assert log.count("invalid authentication") == 1


async def test_a_revoked_session_is_told_as_such(person: Person) -> None:
    session = await person.core.sign_in("ann", PASSWORD)
    async with person.core.http.post(f"{person.core.url}/auth/revoke", data={"token": session.refresh_token}) as answer:
        assert answer.status == 200
    refused = await person(*SETUP, token=session.access_token)
    assert (refused.code, refused.json["result"]) == (4, "error"), refused.words


async def test_a_banned_address_is_named_for_what_it_is(tmp_path: Path) -> None:
    async with serve(House()) as house, real_core(tmp_path / "config", house, ban_after=1) as core:
        owner = await core.onboard(name="Ann", username="ann", password=PASSWORD)
        with pytest.raises(PermissionError):
            async with core.websocket("not a token"):
                pass
        person = Person(folder=tmp_path / "profile", house=house, core=core, owner=owner)
        person.folder.mkdir()
        refused = await person(*SETUP, token="y" * 180)
        assert refused.code == 4, refused.words
        assert "ban" in refused.words.lower()
