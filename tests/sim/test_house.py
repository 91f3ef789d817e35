"""The house: saved and running settings, the apps' ways of starting and failing, jobs, faults, people, time."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from typing import Any

import pytest

from ha_ssh.core.model import DoorState
from ha_ssh.sim.house import Dropped, Fault, House, Knobs, Refusal, VirtualClock, WallClock, totp
from ha_ssh.sim.keys import KeyPool, MadeUpKeys, RealKeys

OFFICIAL, COMMUNITY = "core_ssh", "a0d7b954_ssh"


@pytest.fixture
def house() -> House:
    house = House(keys=MadeUpKeys())
    house.install_now(OFFICIAL)
    house.install_now(COMMUNITY)
    return house


def a_key() -> str:
    return MadeUpKeys().make("ed25519").public


def set_up(house: House, slug: str, *keys: str, port: int | None = 2222, password: str = "", user: str = "root") -> None:
    app = house.app(slug)
    options = app.options if slug == OFFICIAL else app.options["ssh"]
    options["authorized_keys"] = list(keys)
    options["password"] = password
    if slug == COMMUNITY:
        options["username"] = user
    app.network = {"22/tcp": port}


def fatal(house: House, slug: str) -> str:
    return "\n".join(line for line in house.app(slug).log if "FATAL" in line)


# ------------------------------------------------------------------------------------------------- saved and running


@pytest.mark.parametrize("slug", [OFFICIAL, COMMUNITY])
async def test_saved_settings_take_effect_at_the_next_start(house: House, slug: str) -> None:
    key = a_key()
    set_up(house, slug, key)
    house.start_now(slug)
    assert house.admits(slug, "root", key_line=key)
    other = a_key()
    set_up(house, slug, other, port=2223)
    assert (house.serving(slug), house.admits(slug, "root", key_line=other)) == (2222, False)
    await house.request("POST", f"/addons/{slug}/restart")
    assert (house.serving(slug), house.admits(slug, "root", key_line=other)) == (2223, True)
    assert not house.admits(slug, "root", key_line=key)


async def test_starting_what_runs_is_success_and_takes_nothing_up(house: House) -> None:
    set_up(house, OFFICIAL, a_key())
    house.start_now(OFFICIAL)
    set_up(house, OFFICIAL, a_key(), port=3333)
    assert await house.request("POST", f"/addons/{OFFICIAL}/start") == {}
    assert house.serving(OFFICIAL) == 2222


async def test_stopping_ends_sessions_and_closes_the_door(house: House) -> None:
    key = a_key()
    set_up(house, OFFICIAL, key)
    house.start_now(OFFICIAL)
    house.login(OFFICIAL, "root", key_line=key)
    await house.request("POST", f"/addons/{OFFICIAL}/stop")
    assert (house.app(OFFICIAL).state, house.app(OFFICIAL).sessions, house.door(OFFICIAL)) == ("stopped", [], DoorState.REFUSED)


def test_uninstalling_takes_everything_along(house: House) -> None:
    set_up(house, OFFICIAL, a_key())
    house.start_now(OFFICIAL)
    before = house.app(OFFICIAL).host_keys
    house.uninstall_now(OFFICIAL)
    app = house.app(OFFICIAL)
    assert (app.installed, app.options, app.kept_keys, app.host_keys, app.log) == (False, {}, None, (), [])
    house.install_now(OFFICIAL)
    house.start_now(OFFICIAL)
    assert house.app(OFFICIAL).host_keys != before


# ----------------------------------------------------------------------------------------------------- how apps start


def test_official_without_port_keeps_running_without_sshd(house: House) -> None:
    house.start_now(OFFICIAL)
    house.settle()
    assert (house.app(OFFICIAL).state, house.serving(OFFICIAL)) == ("started", None)
    assert "SSH port is disabled. Prevent start of SSH server." in house.log_text(OFFICIAL)


@pytest.mark.parametrize(
    ("slug", "said"), [(OFFICIAL, "You need to setup a login!"), (COMMUNITY, "Configuration of this app is incomplete.")]
)
async def test_without_a_login_the_start_succeeds_and_the_app_dies_a_second_later(house: House, slug: str, said: str) -> None:
    set_up(house, slug)
    assert await house.request("POST", f"/addons/{slug}/start") == {}
    assert (house.app(slug).state, house.serving(slug)) == ("started", None)
    house.settle()
    assert house.app(slug).state == "error"
    assert said in fatal(house, slug)


def test_a_restart_within_the_second_is_not_killed_by_the_start_before(house: House) -> None:
    set_up(house, OFFICIAL)
    house.start_now(OFFICIAL)
    set_up(house, OFFICIAL, a_key())
    house.restart_now(OFFICIAL)
    house.settle()
    assert house.app(OFFICIAL).state == "started"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"username": ""}, "Setting a username is required!"),
        ({"username": "pi", "sftp": True}, "You have enabled SFTP"),
        ({"username": "ROOT", "sftp": True}, "You have enabled SFTP"),
        ({"username": "9lives"}, "Failed creating the user account"),
        ({"username": "nobody"}, "Failed creating the user account"),
    ],
)
def test_community_refuses_what_it_cannot_serve(house: House, change: dict[str, Any], said: str) -> None:
    set_up(house, COMMUNITY, a_key())
    house.app(COMMUNITY).options["ssh"].update(change)
    house.start_now(COMMUNITY)
    house.settle()
    assert house.app(COMMUNITY).state == "error"
    assert said in fatal(house, COMMUNITY)


def test_the_community_user_name_is_lower_cased(house: House) -> None:
    key = a_key()
    set_up(house, COMMUNITY, key, user="Anna")
    house.start_now(COMMUNITY)
    assert house.admits(COMMUNITY, "anna", key_line=key)
    assert not house.admits(COMMUNITY, "Anna", key_line=key)
    assert not house.admits(COMMUNITY, "root", key_line=key)


@pytest.mark.parametrize("slug", [OFFICIAL, COMMUNITY])
def test_packages_need_the_internet(house: House, slug: str) -> None:
    set_up(house, slug, a_key())
    house.app(slug).options["apks" if slug == OFFICIAL else "packages"] = ["rsync"]
    house.knobs.offline = True
    house.start_now(slug)
    house.settle()
    assert house.app(slug).state == "error"
    assert "Failed updating Alpine packages" in fatal(house, slug)


async def test_a_taken_port_refuses_the_official_app_at_the_call(house: House) -> None:
    set_up(house, OFFICIAL, a_key(), port=2200)
    house.knobs.port_taken.add(2200)
    with pytest.raises(Refusal, match="Cannot start app core_ssh because port 2200 is already in use"):
        await house.request("POST", f"/addons/{OFFICIAL}/start")
    assert house.app(OFFICIAL).state == "error"
    [issue] = (await house.request("GET", "/resolution/info"))["issues"]
    assert (issue["type"], issue["reference"], issue["reference_extra"]) == ("app_port_conflict", OFFICIAL, {"port": 2200})
    house.knobs.port_taken.clear()
    await house.request("POST", f"/addons/{OFFICIAL}/start")
    assert (await house.request("GET", "/resolution/info"))["issues"] == []


async def test_a_taken_port_kills_the_community_app_late(house: House) -> None:
    set_up(house, OFFICIAL, a_key(), port=2200)
    house.start_now(OFFICIAL)
    set_up(house, COMMUNITY, a_key(), port=2200)
    assert await house.request("POST", f"/addons/{COMMUNITY}/start") == {}
    house.settle()
    assert house.app(COMMUNITY).state == "error"
    assert "Bind to port 2200 on 0.0.0.0 failed" in house.log_text(COMMUNITY)
    assert house.slug_at(2200) == OFFICIAL


def test_cores_own_port_is_taken(house: House) -> None:
    set_up(house, OFFICIAL, a_key(), port=house.core_port)
    with pytest.raises(Refusal):
        house.start_now(OFFICIAL)


# ------------------------------------------------------------------------------------------------------------- jobs


async def test_installing_takes_its_time_and_tells_its_progress() -> None:
    house = House(keys=MadeUpKeys(), knobs=Knobs(install_seconds=20))
    heard: list[dict[str, Any]] = []
    end = house.subscribe(heard.append)
    began = house.clock.now()
    await house.request("POST", f"/store/addons/{OFFICIAL}/install")
    end()
    assert house.clock.now() - began == 20
    jobs = [event["data"] for event in heard if event["event"] == "job"]
    assert [job["progress"] for job in jobs] == [0, 25, 50, 75, 100]
    assert [job["done"] for job in jobs] == [False] * 4 + [True]
    assert {"slug": OFFICIAL, "state": "stopped"} in [event["data"] for event in heard]
    await house.request("POST", f"/addons/{OFFICIAL}/start")
    assert len([event for event in heard if event["event"] == "job"]) == len(jobs)


async def test_while_a_job_runs_it_is_listed_and_others_are_refused(house: House) -> None:
    house.knobs.start_seconds = 8
    set_up(house, OFFICIAL, a_key())
    start = asyncio.ensure_future(house.request("POST", f"/addons/{OFFICIAL}/start"))
    await asyncio.sleep(0)
    [job] = (await house.request("GET", "/jobs/info"))["jobs"]
    assert (job["reference"], job["done"]) == (OFFICIAL, False)
    with pytest.raises(Refusal, match="Another job is running for job group app_core_ssh"):
        await house.request("POST", f"/addons/{OFFICIAL}/restart")
    assert await start == {}
    assert (await house.request("GET", "/jobs/info"))["jobs"] == []


async def test_the_second_of_two_installs_waits_and_finds_it_done() -> None:
    house = House(keys=MadeUpKeys(), knobs=Knobs(install_seconds=2))
    first, second = await asyncio.gather(
        *(house.request("POST", f"/store/addons/{OFFICIAL}/install") for _ in range(2)), return_exceptions=True
    )
    assert first == {}
    assert isinstance(second, Refusal)
    assert second.message == "App Terminal & SSH is already installed"


async def test_a_caller_that_goes_away_does_not_stop_the_job() -> None:
    house = House(keys=MadeUpKeys(), knobs=Knobs(install_seconds=20))
    install = asyncio.ensure_future(house.request("POST", f"/store/addons/{OFFICIAL}/install"))
    await asyncio.sleep(0)
    install.cancel()
    with pytest.raises(asyncio.CancelledError):
        await install
    assert not house.app(OFFICIAL).installed
    house.settle()
    assert house.app(OFFICIAL).installed
    assert house.jobs == []


# ------------------------------------------------------------------------------------------------------------- knobs


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (Knobs(supervisor_state="setup"), "System is not ready with state: setup"),
        (Knobs(supervisor_state="freeze"), "'AppManager.install' blocked from execution, system is not running - freeze"),
        (Knobs(unhealthy=["docker"]), "'AppManager.install' blocked from execution, system is not healthy - docker"),
        (Knobs(disk_free=0.5), "'AppManager.install' blocked from execution, not enough free space (0.5GB) left on the device"),
        (Knobs(offline=True), "'AppManager.install' blocked from execution, no host internet connection"),
        (Knobs(update_needed=True), "'AppManager.install' blocked from execution, supervisor needs to be updated first"),
        (Knobs(store_empty=True), "App core_ssh does not exist in the store"),
        (Knobs(refuse=[(r"POST .*/install", "too many requests to Docker Hub")]), "too many requests to Docker Hub"),
    ],
)
async def test_what_refuses_an_installation(knobs: Knobs, said: str) -> None:
    house = House(keys=MadeUpKeys())
    house.knobs = knobs
    before = house.snapshot()
    with pytest.raises(Refusal) as refusal:
        await house.request("POST", f"/store/addons/{OFFICIAL}/install")
    assert refusal.value.message == said
    knobs.supervisor_state = "running"
    assert house.snapshot() == before


async def test_an_app_that_the_machine_cannot_run(house: House) -> None:
    house.uninstall_now(COMMUNITY)
    house.app(COMMUNITY).available = False
    with pytest.raises(Refusal, match="not supported on this platform"):
        await house.request("POST", f"/store/addons/{COMMUNITY}/install")
    assert (await house.request("GET", f"/store/addons/{COMMUNITY}"))["available"] is False


async def test_an_update_restarts_what_ran(house: House) -> None:
    key = a_key()
    set_up(house, OFFICIAL, key)
    house.start_now(OFFICIAL)
    house.app(OFFICIAL).version = "9.5.0"
    updates = (await house.request("GET", "/available_updates"))["available_updates"]
    assert [update["name"] for update in updates] == ["Terminal & SSH"]
    await house.request("POST", f"/store/addons/{OFFICIAL}/update")
    assert house.app(OFFICIAL).version == house.app(OFFICIAL).version_latest
    assert house.admits(OFFICIAL, "root", key_line=key)


@pytest.mark.parametrize("when", ["unreachable", "before"])
async def test_a_fault_before(house: House, when: str) -> None:
    house.knobs.faults = [Fault(r"POST .*/options", when=when)]
    before = house.snapshot()
    with pytest.raises(Dropped) as dropped:
        await house.request("POST", f"/addons/{OFFICIAL}/options", {"watchdog": True})
    assert dropped.value.sent is (when == "before")
    house.settle()
    assert house.snapshot() == before
    await house.request("POST", f"/addons/{OFFICIAL}/options", {"watchdog": True})
    assert house.app(OFFICIAL).watchdog


async def test_a_fault_after(house: House) -> None:
    house.knobs.faults = [Fault(r"POST .*/options", when="after")]
    with pytest.raises(Dropped):
        await house.request("POST", f"/addons/{OFFICIAL}/options", {"watchdog": True})
    assert house.app(OFFICIAL).watchdog


@pytest.mark.parametrize("when", ["later", "timeout"])
async def test_a_fault_with_an_effect_that_comes_later(house: House, when: str) -> None:
    house.knobs.faults = [Fault(r"POST .*/options", when=when, seconds=7)]
    with pytest.raises(Dropped if when == "later" else Refusal) as error:
        await house.request("POST", f"/addons/{OFFICIAL}/options", {"watchdog": True})
    assert when == "later" or error.value.message == ""
    await house.clock.sleep(6.5)
    assert not house.app(OFFICIAL).watchdog
    await house.clock.sleep(0.5)
    assert house.app(OFFICIAL).watchdog


async def test_a_fault_hits_the_nth_call_only(house: House) -> None:
    house.knobs.faults = [Fault(r"POST .*/options", nth=2, when="refuse", message="no")]
    await house.request("POST", f"/addons/{OFFICIAL}/options", {"watchdog": True})
    with pytest.raises(Refusal, match="no"):
        await house.request("POST", f"/addons/{OFFICIAL}/options", {"watchdog": False})
    await house.request("POST", f"/addons/{OFFICIAL}/options", {"boot": "manual"})
    assert (house.app(OFFICIAL).watchdog, house.app(OFFICIAL).boot) == (True, "manual")


async def test_secrets_in_options_are_looked_up_when_the_app_starts(house: House) -> None:
    key = a_key()
    house.secrets["ssh_key"] = key
    options = {**house.app(OFFICIAL).options, "authorized_keys": ["!secret ssh_key"]}
    await house.request("POST", f"/addons/{OFFICIAL}/options", {"options": options, "network": {"22/tcp": 2222}})
    assert (await house.request("GET", f"/addons/{OFFICIAL}/info"))["options"]["authorized_keys"] == ["!secret ssh_key"]
    house.start_now(OFFICIAL)
    assert house.admits(OFFICIAL, "root", key_line=key)
    running = house.app(OFFICIAL).running
    assert running is not None
    assert running.options["authorized_keys"] == [key]


async def test_an_answer_is_a_copy(house: House) -> None:
    info = await house.request("GET", f"/addons/{OFFICIAL}/info")
    info["options"]["password"] = "x"
    info["network"]["22/tcp"] = 1
    assert (house.app(OFFICIAL).options["password"], house.app(OFFICIAL).port) == ("", None)


async def test_what_was_sent_is_not_kept_by_reference(house: House) -> None:
    options = copy.deepcopy(house.app(OFFICIAL).options)
    await house.request("POST", f"/addons/{OFFICIAL}/options", {"options": options})
    options["authorized_keys"].append("x")
    assert house.app(OFFICIAL).options["authorized_keys"] == []


# -------------------------------------------------------------------------------------------------------------- time


async def test_effects_come_in_their_order_also_when_time_jumps() -> None:
    house = House(keys=MadeUpKeys())
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        house.later(1, lambda: seen.append("first's child"))

    house.later(5, lambda: seen.append("third"))
    house.later(2, first)
    await house.clock.sleep(60)
    assert seen == ["first", "first's child", "third"]


def test_the_virtual_clock_tells_the_date() -> None:
    clock = VirtualClock("2026-11-23T12:00:00+00:00")
    clock.advance(90)
    assert clock.date() == "2026-11-23T12:01:30+00:00"


async def test_keeping_time_on_a_real_clock() -> None:
    house = House(keys=MadeUpKeys(), clock=WallClock())
    happened = asyncio.Event()
    keeper = asyncio.ensure_future(house.keep_time())
    await asyncio.sleep(0)
    house.later(0.01, happened.set)
    await asyncio.wait_for(happened.wait(), 5)
    keeper.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeper
    with pytest.raises(TypeError):
        house.settle()


# ------------------------------------------------------------------------------------------------------------ people


def test_passwords_codes_and_bans() -> None:
    house = House(keys=MadeUpKeys())
    owner = house.owner
    assert house.user_named("owner", owner.password) is owner
    assert house.user_named("owner", "wrong") is None
    assert house.code_is_right(owner, "")
    owner.totp_secret = "JBSWY3DPEHPK3PXP"
    clock = house.clock
    assert isinstance(clock, VirtualClock)
    now = 1795435200.0  # 2026-11-23T12:00:00Z
    assert house.code_is_right(owner, totp(owner.totp_secret, now))
    assert not house.code_is_right(owner, totp(owner.totp_secret, now + 3000))
    house.ban_after = 2
    for _ in range(2):
        assert not house.banned("10.0.0.1")
        house.failed_sign_in("10.0.0.1")
    assert house.banned("10.0.0.1")
    assert not house.banned("10.0.0.2")


def test_the_published_codes_of_rfc_6238() -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert [totp(secret, at) for at in (59, 1111111109, 20000000000)] == ["287082", "081804", "353130"]


async def test_sessions_run_out_are_refreshed_and_revoked() -> None:
    house = House(keys=MadeUpKeys())
    session = house.add_session(house.owner, "http://127.0.0.1:1/")
    assert house.token(session.text) is session
    await house.clock.sleep(1801)
    assert house.token(session.text) is None
    assert session.refresh is not None
    again = house.refresh(session.refresh, "http://127.0.0.1:1/")
    assert house.token(again.text) is again
    with pytest.raises(Refusal):
        house.refresh(session.refresh, "http://elsewhere/")
    house.revoke(session.refresh)
    assert house.token(again.text) is None
    with pytest.raises(Refusal):
        house.refresh(session.refresh, "http://127.0.0.1:1/")


def test_a_long_lived_token_has_a_name_of_its_own() -> None:
    house = House(keys=MadeUpKeys())
    house.add_token(house.owner, name="laptop")
    with pytest.raises(Refusal, match="Unknown error"):
        house.add_token(house.owner, name="laptop")
    house.add_token(house.guest, name="laptop")
    house.revoke(house.admin_token)
    assert house.token(house.admin_token) is None


def test_no_two_houses_share_a_secret() -> None:
    one, two = House(keys=MadeUpKeys()), House(keys=MadeUpKeys())
    assert one.admin_token != two.admin_token
    assert one.owner.password != two.owner.password
    for secret in (one.admin_token, one.owner.password):
        assert secret not in repr(one.owner)
        assert secret not in repr(list(one.tokens.values()))


# -------------------------------------------------------------------------------------------------------------- keys


def test_real_host_keys_can_be_pooled_and_are_of_the_apps_kinds() -> None:
    pool = KeyPool(RealKeys(), size=1)
    for _ in range(2):
        house = House(keys=pool)
        for slug in (OFFICIAL, COMMUNITY):
            house.install_now(slug)
            set_up(house, slug, a_key(), port=2222 if slug == OFFICIAL else 22)
            house.start_now(slug)
    assert [key.kind for key in house.app(OFFICIAL).host_keys] == ["rsa", "ecdsa", "ed25519"]
    assert [key.kind for key in house.app(COMMUNITY).host_keys] == ["rsa", "ed25519"]
    assert all(key.private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----") for key in house.app(OFFICIAL).host_keys)
    assert "PRIVATE" not in repr(house.app(OFFICIAL).host_keys)


def test_the_community_log_tells_the_fingerprints_of_its_first_start(house: House) -> None:
    set_up(house, COMMUNITY, a_key())
    house.start_now(COMMUNITY)
    assert house.log_text(COMMUNITY).count("SHA256:") == 2
    kept = house.app(COMMUNITY).host_keys
    house.restart_now(COMMUNITY)
    assert house.log_text(COMMUNITY).count("SHA256:") == 2
    assert house.app(COMMUNITY).host_keys == kept
