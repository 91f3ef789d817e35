"""The house answers the recorded requests in the recorded shapes and words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ha_ssh.sim.house import House, Refusal
from ha_ssh.sim.keys import MadeUpKeys

RECORDED = Path(__file__).parent.parent / "recorded"
COMMUNITY, OFFICIAL = "a0d7b954_ssh", "core_ssh"

INSTALLED = ("06-install-already", "07-", "08-", "09-", "10-", "13-not-admin-info")
STARTED = ("09-core_ssh-info-running", "09-start-while-started", "09-restart", "10-stop")
ELSEWHERE = {
    "00-handshake": "Core's WebSocket",
    "01-current-user": "Core's own user",
    "06-install-too-short-timeout": "a time limit is Core's matter",
    "06-install-while-installing": "two calls at once: test_house.py",
    "06-jobs-while-installing": "two calls at once: test_house.py",
    "11-token-same-name": "Core's tokens: test_house.py",
    "12-http": "Core's HTTP",
}


def recordings() -> list[Any]:
    names = sorted(path.stem for path in RECORDED.glob("*.json"))
    return [pytest.param(name, id=name) for name in names if name not in ELSEWHERE]


def record(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


def house_for(name: str) -> House:
    house = House(keys=MadeUpKeys())
    if name.startswith("03-apps-list"):
        house.uninstall_now("core_mosquitto")
    if name.startswith(INSTALLED) or name == "10-uninstall":
        house.install_now(OFFICIAL)
        house.install_now(COMMUNITY)
    if name.startswith(STARTED):
        save = record("09-save")["request"]["data"]
        house.save(OFFICIAL, save)
        house.start_now(OFFICIAL)
    if name in {"09-a0d7b954_ssh-info-failed", "13-not-admin-info"}:
        house.start_now(COMMUNITY)
        house.settle()
    return house


def assert_same_shape(recorded: Any, ours: Any, where: str = "") -> None:
    """The same keys and types all the way down; null stands for any type, since the recording had no real machine behind it."""
    if recorded is None or ours is None:
        return
    assert type(recorded) is type(ours) or {type(recorded), type(ours)} == {int, float}, where
    if isinstance(recorded, dict):
        assert set(recorded) == set(ours), where
        for key in recorded.keys() - {"schema"}:
            assert_same_shape(recorded[key], ours[key], f"{where}.{key}")
    elif isinstance(recorded, list) and recorded and ours:
        for at, each in enumerate(ours):
            assert_same_shape(recorded[0], each, f"{where}[{at}]")


@pytest.mark.parametrize("name", recordings())
async def test_answers_as_recorded(name: str) -> None:
    told = record(name)
    request, answer = told["request"], told["answer"]
    house = house_for(name)
    call = house.request(request["method"], request["endpoint"], request.get("data"), admin=not name.startswith("13-"))
    if not answer["success"]:
        with pytest.raises(Refusal) as refusal:
            await call
        assert refusal.value.message == answer["error"]["message"]
        assert refusal.value.code == answer["error"]["code"]
        return
    ours = await call
    assert_same_shape(answer["result"], ours, name)
    for exact in (
        "options",
        "schema",
        "state",
        "boot",
        "watchdog",
        "network",
        "installed",
        "slug",
        "name",
        "version",
        "message",
        "valid",
    ):
        if isinstance(answer["result"], dict) and re.search(r"04-|07-|09-core|09-a0|08-|13-", name) and exact in answer["result"]:
            assert ours[exact] == answer["result"][exact], exact
    json.dumps(ours)


def test_every_recording_is_used_or_explained() -> None:
    assert len(recordings()) + len(ELSEWHERE) == len(list(RECORDED.glob("*.json")))


async def test_undeclared_port_is_dropped_and_an_unknown_option_too() -> None:
    house = house_for("08-")
    house.apps[OFFICIAL].network = {"22/tcp": 2222}
    await house.request("POST", f"/addons/{OFFICIAL}/options", {"network": {"23/tcp": 2300}})
    assert house.apps[OFFICIAL].port is None
    options = {**house.apps[OFFICIAL].options, "bogus": 1}
    await house.request("POST", f"/addons/{OFFICIAL}/options", {"options": options})
    assert "bogus" not in house.apps[OFFICIAL].options


@pytest.mark.parametrize(("slug", "port"), [(OFFICIAL, None), (COMMUNITY, 22)])
async def test_no_network_resets_to_the_default(slug: str, port: int | None) -> None:
    house = house_for("08-")
    house.apps[slug].network = {"22/tcp": 4444}
    await house.request("POST", f"/addons/{slug}/options", {"network": None})
    assert house.apps[slug].port == port


async def test_a_refused_change_changes_nothing() -> None:
    house = house_for("08-")
    before = house.snapshot()
    with pytest.raises(Refusal):
        await house.request("POST", f"/addons/{OFFICIAL}/options", {"watchdog": True, "options": {"password": "x"}})
    assert house.snapshot() == before


async def test_older_supervisors_say_addon_and_do_not_describe_what_is_not_installed() -> None:
    house = House(keys=MadeUpKeys())
    house.knobs.old_supervisor = True
    for call, said in (
        (house.request("GET", f"/addons/{OFFICIAL}/info"), "Addon is not installed"),
        (house.request("GET", "/addons/no_such/info"), "Addon no_such does not exist"),
        (house.request("POST", f"/addons/{OFFICIAL}/start"), "Addon is not installed"),
    ):
        with pytest.raises(Refusal, match=said):
            await call
