"""The SSH side of the house: who is let in, what the log tells, and how sshd defends itself."""

from __future__ import annotations

import pytest

from ha_ssh.core.model import DoorState
from ha_ssh.sim.apps import public_key, read_entry
from ha_ssh.sim.house import House
from ha_ssh.sim.keys import MadeUpKeys

OFFICIAL, COMMUNITY = "core_ssh", "a0d7b954_ssh"
ME = "192.168.1.50"


def a_key(kind: str = "ed25519") -> str:
    return MadeUpKeys().make(kind).public


def running(slug: str, *keys: str, password: str = "", user: str = "root", port: int = 2222) -> House:
    house = House(keys=MadeUpKeys())
    house.install_now(slug)
    app = house.app(slug)
    options = app.options if slug == OFFICIAL else app.options["ssh"]
    options |= {"authorized_keys": list(keys), "password": password} | ({"username": user} if slug == COMMUNITY else {})
    app.network = {"22/tcp": port}
    house.start_now(slug)
    return house


# ------------------------------------------------------------------------------------------------------------ entries

KEY = a_key()
OTHER = a_key()
TYPE, DATA = KEY.split()

ACCEPTED = {
    "normal": f"{KEY} me@laptop",
    "no comment": KEY,
    "double space": f"{TYPE}  {DATA} me",
    "leading spaces": f"   {KEY}",
    "leading tab": f"\t{KEY}",
    "trailing CR": f"{KEY} me\r",
    "CR right after": f"{KEY}\r",
    "two with a comma": f"{KEY} c, {OTHER}",
    "garbage first": f"garbage\n{KEY}",
    "options": f'no-pty,command="echo \\"a b\\"",from="192.168.1.*" {KEY} me',
    "restrict": f"restrict {KEY}",
    "option in capitals": f"NO-PTY {KEY}",
    "not yet expired": f'expiry-time="20300101" {KEY}',
    "from a network": f'from="10.0.0.0/8,192.168.0.0/16" {KEY}',
}

REFUSED = {
    "empty": "",
    "comment": f"# {KEY}",
    "ASCII quotes": f'"{KEY} me"',
    "typographic quotes": f"“{KEY} me”",
    "wrapped": f"{TYPE} {DATA[:30]}\n{DATA[30:]} me",
    "split by a space": f"{TYPE} {DATA[:30]} {DATA[30:]} me",
    "type on a line of its own": f"{TYPE}\n{DATA} me",
    "RFC 4716": f"---- BEGIN SSH2 PUBLIC KEY ----\n{DATA}\n---- END SSH2 PUBLIC KEY ----",
    "no type": f"{DATA} me",
    "dash": f"- {KEY} me",
    "bracket": f"[{KEY}]",
    "byte order mark": f"\ufeff{KEY} me",
    "no-break space": f"{TYPE}\u00a0{DATA} me",
    "private key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----",
    "cut off": f"{TYPE} {DATA[:-8]}",
    "wrong type": f"ssh-rsa {DATA}",
    "DSA": f"ssh-dss {DATA}",
    "unknown option": f"be-nice {KEY}",
    "option without its value": f"command {KEY}",
    "from elsewhere": f'from="10.0.0.*" {KEY}',
    "not from here": f'from="192.168.1.*,!192.168.1.50" {KEY}',
    "expired": f'expiry-time="20200101" {KEY}',
    "authority": f"cert-authority {KEY}",
    "secret": "!secret my_key",
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("slug", [OFFICIAL, COMMUNITY])
def test_entries_that_admit(slug: str, name: str) -> None:
    assert running(slug, ACCEPTED[name]).admits(slug, "root", key_line=KEY)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("slug", [OFFICIAL, COMMUNITY])
def test_entries_that_admit_nobody(slug: str, name: str) -> None:
    house = running(slug, REFUSED[name])
    assert house.serving(slug) == 2222
    assert not house.admits(slug, "root", key_line=KEY)


def test_only_the_first_of_two_keys_in_an_entry_counts() -> None:
    house = running(OFFICIAL, f"{KEY} c, {OTHER}")
    assert not house.admits(OFFICIAL, "root", key_line=OTHER)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_every_kind_of_key(kind: str) -> None:
    key = a_key(kind)
    parsed = public_key(f"{key} me")
    assert parsed is not None
    assert parsed.text == key
    assert parsed.short == kind.upper()
    assert read_entry(f"{key[:-6]}") is None


# ------------------------------------------------------------------------------------------------- keys and passwords


def test_the_first_key_ends_the_password_of_the_official_app() -> None:
    house = running(OFFICIAL, password="pw")
    assert house.admits(OFFICIAL, "root", password="pw")
    assert house.methods(OFFICIAL) == ("publickey", "password")
    house = running(OFFICIAL, KEY, password="pw")
    assert not house.admits(OFFICIAL, "root", password="pw")
    assert house.methods(OFFICIAL) == ("publickey",)


def test_the_community_app_takes_both() -> None:
    house = running(COMMUNITY, KEY, password="pw", user="anna")
    assert house.admits(COMMUNITY, "anna", password="pw")
    assert house.admits(COMMUNITY, "anna", key_line=KEY)
    assert not house.admits(COMMUNITY, "anna", password="")
    assert len(house.admitted(COMMUNITY)) == 2
    assert not any("pw" in each.split() for each in house.admitted(COMMUNITY))


def test_the_official_app_keeps_the_old_file_when_the_list_becomes_empty() -> None:
    house = running(OFFICIAL, KEY)
    app = house.app(OFFICIAL)
    app.options |= {"authorized_keys": [], "password": "pw"}
    house.restart_now(OFFICIAL)
    assert house.admits(OFFICIAL, "root", key_line=KEY)
    assert house.admits(OFFICIAL, "root", password="pw")
    app.options |= {"authorized_keys": [OTHER]}
    house.restart_now(OFFICIAL)
    assert not house.admits(OFFICIAL, "root", key_line=KEY)


def test_the_official_app_overwrites_what_was_added_by_hand() -> None:
    house = running(OFFICIAL, KEY)
    house.app(OFFICIAL).kept_keys = f"{KEY}\n{OTHER}\n"
    house.restart_now(OFFICIAL)
    assert not house.admits(OFFICIAL, "root", key_line=OTHER)


def test_the_community_app_reads_roots_own_file_too_whatever_the_options_say() -> None:
    house = running(COMMUNITY, KEY)
    house.app(COMMUNITY).kept_keys = f"{OTHER}\n"
    house.restart_now(COMMUNITY)
    assert house.admits(COMMUNITY, "root", key_line=KEY)
    assert house.admits(COMMUNITY, "root", key_line=OTHER)
    house.app(COMMUNITY).options["ssh"]["username"] = "anna"
    house.restart_now(COMMUNITY)
    assert not house.admits(COMMUNITY, "anna", key_line=OTHER)


# ---------------------------------------------------------------------------------------------------------------- log


def test_the_official_log() -> None:
    house = running(OFFICIAL, KEY)
    assert "Server listening on 0.0.0.0 port 22.\n" in house.log_text(OFFICIAL)
    login = house.login(OFFICIAL, "root", key_line=KEY, source_ip=ME, source_port=50123)
    key = public_key(KEY)
    assert key is not None
    assert login.accepted
    assert login.line == f"Accepted publickey for root from {ME} port 50123 ssh2: ED25519 {key.fingerprint}"
    assert house.log_text(OFFICIAL).endswith(f"{login.line}\n")
    house.login(OFFICIAL, "root", key_line=OTHER, source_port=50124)
    assert house.app(OFFICIAL).log[-1] == f"Connection closed by authenticating user root {ME} port 50124 [preauth]"
    assert "Failed publickey" not in house.log_text(OFFICIAL)
    house.login(OFFICIAL, "pi", key_line=KEY, source_port=50125)
    assert f"Invalid user pi from {ME} port 50125" in house.log_text(OFFICIAL)


def test_the_community_log_tells_refused_keys_as_well() -> None:
    house = running(COMMUNITY, KEY, user="anna", password="pw", port=2223)
    assert "Server listening on 0.0.0.0 port 2223." in house.log_text(COMMUNITY)
    house.login(COMMUNITY, "anna", key_line=KEY)
    assert "found at /etc/ssh/authorized_keys:1" in house.log_text(COMMUNITY)
    house.login(COMMUNITY, "anna", key_line=OTHER)
    assert "Failed publickey for anna" in house.log_text(COMMUNITY)
    house.login(COMMUNITY, "root", key_line=KEY)
    assert "User root from 192.168.1.50 not allowed because not listed in AllowUsers" in house.log_text(COMMUNITY)
    house.login(COMMUNITY, "anna", password="wrong", source_ip="192.168.1.51")
    assert "Failed password for anna" in house.log_text(COMMUNITY)
    house.login(COMMUNITY, "anna", password="pw", source_ip="192.168.1.51")
    assert "Accepted password for anna" in house.log_text(COMMUNITY)


def test_logs_grow_over_restarts() -> None:
    house = running(OFFICIAL, KEY)
    before = house.log_text(OFFICIAL)
    house.restart_now(OFFICIAL)
    assert house.log_text(OFFICIAL).startswith(before)
    assert house.log_text(OFFICIAL).count("Server listening on 0.0.0.0") == 2


# ---------------------------------------------------------------------------------------------------------- penalties


async def test_three_failures_shut_the_door_for_a_while() -> None:
    house = running(OFFICIAL, KEY)
    for _ in range(3):
        assert house.door(OFFICIAL) is DoorState.OPEN
        house.login(OFFICIAL, "root", key_line=OTHER)
    assert house.door(OFFICIAL) is DoorState.RESET
    assert house.door(OFFICIAL, source_ip="192.168.1.60") is DoorState.OPEN
    await house.clock.sleep(16)
    assert house.door(OFFICIAL) is DoorState.OPEN


def test_knocking_costs_less() -> None:
    house = running(OFFICIAL, KEY)
    for _ in range(10):
        house.knock(OFFICIAL)
    assert house.door(OFFICIAL) is DoorState.OPEN


def test_penalties_can_be_off() -> None:
    house = running(OFFICIAL, KEY)
    house.knobs.penalties = False
    for _ in range(20):
        house.login(OFFICIAL, "root", key_line=OTHER)
    assert house.door(OFFICIAL) is DoorState.OPEN


# --------------------------------------------------------------------------------------------------------- other doors


def test_an_impostor_lets_everybody_in_and_the_log_shows_nothing() -> None:
    house = running(OFFICIAL, KEY)
    house.knobs.door = "impostor"
    before = house.log_text(OFFICIAL)
    assert house.login(OFFICIAL, "anybody", key_line=OTHER).accepted
    assert house.log_text(OFFICIAL) == before
    assert not {key.public for key in house.host_keys(OFFICIAL)} & {key.public for key in house.app(OFFICIAL).host_keys}
    assert house.admitted(OFFICIAL) == {f"root key {KEY}"}


def test_a_forger_gets_a_perfect_line_into_the_log_beside_words_of_its_own() -> None:
    house = running(OFFICIAL, KEY)
    house.knobs.door = "forger"
    house.login(OFFICIAL, "root", key_line=KEY)
    farewell, lie, end = house.app(OFFICIAL).log[-3:]
    assert lie.startswith("Accepted publickey for root")
    assert farewell.startswith("Received disconnect")
    assert end.endswith("[preauth]")


def test_a_stranger_lets_nobody_in() -> None:
    house = running(OFFICIAL, KEY)
    house.knobs.door = "stranger"
    assert house.door(OFFICIAL) is DoorState.OPEN
    assert not house.login(OFFICIAL, "root", key_line=KEY).accepted


@pytest.mark.parametrize("state", ["not-ssh", "timeout", "refused", "reset"])
def test_any_other_door(state: str) -> None:
    house = running(OFFICIAL, KEY)
    house.knobs.door = state
    assert house.door(OFFICIAL) is DoorState(state)


def test_what_else_there_is_on_the_host() -> None:
    house = running(OFFICIAL, KEY)
    assert house.door_at(house.core_port) is DoorState.NOT_SSH
    assert house.door_at(1883) is DoorState.NOT_SSH
    assert house.door_at(4711) is DoorState.REFUSED
    house.knobs.sshd_gone.add(OFFICIAL)
    assert (house.serving(OFFICIAL), house.door(OFFICIAL)) == (None, DoorState.RESET)


def test_other_host_keys() -> None:
    house = running(OFFICIAL, KEY)
    before = house.host_keys(OFFICIAL)
    house.new_host_keys(OFFICIAL)
    assert not set(before) & set(house.host_keys(OFFICIAL))
