"""The real ways in against the running house, in one process: sessions that renew themselves, end, and stay with their origin."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.options import Trust
from ha_ssh.core.secret import Secret
from ha_ssh.sim.running import RealClock
from ha_ssh.world.ha.routes import CoreRoute
from ha_ssh.world.ha.ways import Ways
from ha_ssh.world.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

    from ha_ssh.flows.tools import Credentials
    from ha_ssh.sim.running import Running

NOBODY = Trust()


def vault(folder: Path) -> Vault:
    return Vault(str(folder / "secrets.json"), keyring=False, warn=lambda _: None)


async def signed_in(ways: Ways, running: Running) -> Credentials:
    owner = running.house.owner
    return await ways.by_password(running.url, NOBODY, owner.username, Secret(owner.password), None)


async def test_an_access_token_is_renewed_when_its_half_hour_is_over(running_house: Running, tmp_path: Path) -> None:
    late = 0.0
    ways = Ways(vault(tmp_path), now=lambda: time.time() + late)
    session = await signed_in(ways, running_house)
    first = await session.access()
    assert await session.access() == first
    route = CoreRoute(running_house.url, session)
    try:
        assert (await route.core()).is_admin
        house = running_house.house
        house.clock, late = RealClock(house.clock.now() + 1900, house.clock.date()), 1900.0
        assert house.token(first.reveal()) is None
        running_house.core._shut()  # the socket breaks off, and the way back needs a token that is valid now
        await running_house.core._open()
        assert (await route.core()).is_admin
        assert await session.access() != first
    finally:
        await route.close()
        await ways.close()


async def test_only_the_means_to_renew_a_session_is_kept(running_house: Running, tmp_path: Path) -> None:
    ways = Ways(vault(tmp_path))
    session = await signed_in(ways, running_house)
    access = await session.access()
    await ways.keep(session)
    await ways.close()
    text = (tmp_path / "secrets.json").read_text()
    assert access.reveal() not in text
    (refresh,) = running_house.house.refresh_tokens
    assert refresh in text

    later = Ways(vault(tmp_path))
    kept = later.kept(running_house.url, NOBODY)
    assert kept is not None
    assert running_house.house.token((await kept.access()).reveal()) is not None
    assert later.kept(running_house.url.replace("http:", "https:"), NOBODY) is None
    assert await later.revoke(kept)
    with pytest.raises(HaSshError) as ended:
        await kept.access()
    assert ended.value.code == "signed-out"
    later.forget(running_house.url)
    assert later.kept(running_house.url, NOBODY) is None
    await later.close()


async def test_a_session_that_nobody_kept_is_ended_with_the_run(running_house: Running, tmp_path: Path) -> None:
    ways = Ways(vault(tmp_path))
    await signed_in(ways, running_house)
    assert len(running_house.house.refresh_tokens) == 1
    await ways.close()
    assert running_house.house.refresh_tokens == {}
    assert not (tmp_path / "secrets.json").exists()


async def test_the_house_may_be_gone_when_the_run_ends(running_house: Running, tmp_path: Path) -> None:
    ways = Ways(vault(tmp_path))
    await signed_in(ways, running_house)
    running_house.house.knobs.core_down = True
    running_house.core.catch_up()
    await ways.close()
    running_house.house.knobs.core_down = False
    assert len(running_house.house.refresh_tokens) == 1


async def test_a_kept_sign_in_that_somebody_damaged_is_none(running_house: Running, tmp_path: Path) -> None:
    store = vault(tmp_path)
    for text in ("", "{}", "[]", '{"refresh": "x"}', "no json"):
        store.keep(f"sign-in {running_house.url}", Secret(text))
        assert Ways(store).kept(running_house.url, NOBODY) is None


async def test_a_session_that_was_ended_meanwhile_is_named_for_that(running_house: Running, tmp_path: Path) -> None:
    ways = Ways(vault(tmp_path))
    session = await signed_in(ways, running_house)
    running_house.house.revoke(next(iter(running_house.house.refresh_tokens)))
    route = CoreRoute(running_house.url, session)
    with pytest.raises(HaSshError) as ended:
        await route.core()
    assert ended.value.code == "signed-out"
    await route.close()
    await ways.close()
