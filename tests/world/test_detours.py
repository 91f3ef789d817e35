"""Where this computer stands: told by its environment, and by what only an app's container has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ha_ssh.flavours import all_flavours
from ha_ssh.world.clock import SystemClock
from ha_ssh.world.detours import Detours
from ha_ssh.world.houses import locations
from ha_ssh.world.vault import Vault
from servers import ADVANCED, TERMINAL

if TYPE_CHECKING:
    from pathlib import Path

    from ha_ssh.sim.running import Running

LOGIN = {"SSH_CONNECTION": "192.168.1.50 51000 172.30.33.2 22"}


def detours(folder: Path, environment: dict[str, str], *, hostname: str = "laptop", container: bool = False) -> Detours:
    there = locations(str(folder / "profile"))
    options = folder / "options.json"
    if container:
        options.write_text("{}")
    return Detours(
        there.places,
        Vault(there.secrets, keyring=False, warn=str),
        SystemClock(),
        opened=lambda _home: None,
        environment=environment,
        hostname=lambda: hostname,
        app_options=str(options),
    )


@pytest.mark.parametrize(
    ("environment", "hostname", "container", "app"),
    [
        ({}, "laptop", False, None),
        (LOGIN, "laptop", False, None),
        ({}, "core-ssh", True, None),
        (LOGIN, "core-ssh", True, TERMINAL),
        (LOGIN, "homeassistant", True, ADVANCED),
    ],
    ids=["laptop", "any other login", "a web terminal", "the official app", "the community app, with the host's name"],
)
async def test_a_login_into_an_ssh_app_is_noticed_without_its_token(
    tmp_path: Path, environment: dict[str, str], hostname: str, container: bool, app: str | None
) -> None:
    here = detours(tmp_path, environment, hostname=hostname, container=container)
    assert await here.app(all_flavours()) == app
    assert await here.supervisor() is None


@pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])
async def test_an_app_is_told_its_own_name_by_its_token(tmp_path: Path, running_house: Running, slug: str) -> None:
    running_house.house.install_now(slug)
    token = running_house.inside.token_of(slug)
    here = detours(tmp_path, {"SUPERVISOR": running_house.supervisor, "SUPERVISOR_TOKEN": token})
    assert await here.supervisor() == f"http://{running_house.supervisor}"
    assert await here.app(all_flavours()) == slug
