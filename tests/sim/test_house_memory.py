"""The world in memory: reading, writing, every way in which a write can go wrong, and the journal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.model import DoorState, Home, IfFailed, Journal, JournalEntry, KeyKind, SshTrouble
from ha_ssh.core.secret import Secret
from ha_ssh.sim.house import Fault, House
from ha_ssh.sim.keys import MadeUpKeys
from ha_ssh.sim.memory import Computer, How, Injury, Killed, MemoryHome, private_text

OFFICIAL, COMMUNITY = "core_ssh", "a0d7b954_ssh"
KEY = "/home/me/.ssh/ha"
ADDRESS = "192.168.1.20"


def a_key() -> str:
    return MadeUpKeys().make("ed25519").public


def healthy(slug: str = OFFICIAL, *, user: str = "root", port: int = 2222) -> MemoryHome:
    """A house that runs the app, and a computer with its key and an alias."""
    house = House(keys=MadeUpKeys())
    house.install_now(slug)
    app, public = house.app(slug), a_key()
    options = app.options if slug == OFFICIAL else app.options["ssh"]
    options |= {"authorized_keys": [f"{public} me"]} | ({"username": user} if slug == COMMUNITY else {})
    app.network = {"22/tcp": port}
    house.start_now(slug)
    computer = Computer()
    computer.put(KEY, private_text(public))
    computer.put(f"{KEY}.pub", f"{public} me@laptop\n", 0o644)
    name = ADDRESS if port == 22 else f"[{ADDRESS}]:{port}"
    computer.put("/home/me/.ssh/known_hosts", "".join(f"{name} {key.public}\n" for key in app.host_keys))
    block = f"Host ha\n  HostName {ADDRESS}\n  Port {port}\n  User {user}\n  IdentityFile {KEY}\n  IdentitiesOnly yes\n"
    computer.put("/home/me/.ssh/ha-ssh/home.conf", block)
    computer.put("/home/me/.ssh/config", "Include ha-ssh/*.conf\n")
    return MemoryHome(house, computer)


async def door(home: MemoryHome, *, host: str = ADDRESS, port: int = 2222, user: str = "root") -> SshTrouble | None:
    try:
        async with home.session(host, port, user, KEY, None):
            return None
    except SshTrouble as trouble:
        return trouble


# ----------------------------------------------------------------------------------------------------------- protocol


def test_it_is_a_home_and_a_journal() -> None:
    def takes(home: Home, journal: Journal) -> None:
        del home, journal

    home = healthy()
    takes(home, home.journal)


async def test_core_and_who_we_are() -> None:
    home = healthy()
    core = await home.core()
    assert (core.is_admin, core.has_supervisor, core.tls, home.channel) == (True, True, False, "http")
    guest = MemoryHome(home.house, home.computer, token=home.house.guest_token)
    assert not (await guest.core()).is_admin
    assert "options" not in await guest.supervisor(f"/addons/{OFFICIAL}/info")
    for call in (guest.supervisor("/info"), guest.call(f"/addons/{OFFICIAL}/restart"), guest.log(OFFICIAL)):
        with pytest.raises(Refused) as refused:
            await call
        assert refused.value.code == "not-admin"


async def test_a_revoked_token_a_core_that_is_down_and_no_supervisor() -> None:
    home = healthy()
    home.house.knobs.core_down = True
    with pytest.raises(Unreachable):
        await home.core()
    home.house.knobs.core_down = False
    home.house.knobs.no_supervisor = True
    assert not (await home.core()).has_supervisor
    with pytest.raises(Refused) as refused:
        await home.supervisor("/info")
    assert refused.value.code == "no-supervisor"
    home.house.revoke(home.token)
    with pytest.raises(HaSshError) as error:
        await home.core()
    assert error.value.code == "token-refused"


@pytest.mark.parametrize(
    ("endpoint", "data", "code"),
    [
        (f"/store/addons/{OFFICIAL}/install", None, "already-installed"),
        (f"/addons/{COMMUNITY}/start", None, "not-installed"),
        ("/addons/no_such/start", None, "no-such-app"),
        ("/store/addons/no_such/install", None, "not-in-store"),
        (f"/addons/{OFFICIAL}/options", {"options": {"password": "hunter2"}}, "invalid-options"),
        (f"/addons/{OFFICIAL}/options", {"network": {"22/tcp": 99999}}, "invalid-port"),
    ],
)
async def test_refusals_have_codes_and_quote_no_secret(endpoint: str, data: Any, code: str) -> None:
    home = healthy()
    with pytest.raises(Refused) as refused:
        await home.call(endpoint, data)
    assert refused.value.code == code
    assert "hunter2" not in str(refused.value)


async def test_a_refusal_that_passes_is_waited_out() -> None:
    home = healthy()
    home.house.knobs.supervisor_state = "setup"
    home.house.later(20, lambda: setattr(home.house.knobs, "supervisor_state", "running"))
    await home.call(f"/addons/{OFFICIAL}/restart")
    home.house.knobs.supervisor_state = "setup"
    with pytest.raises(Refused) as refused:
        await home.call(f"/addons/{OFFICIAL}/restart")
    assert (refused.value.code, refused.value.passing) == ("not-ready", True)


async def test_progress_is_passed_on() -> None:
    home = healthy()
    seen: list[float | None] = []
    await home.call(f"/store/addons/{COMMUNITY}/install", on_progress=lambda part, _stage: seen.append(part))
    assert seen[-1] == 1.0
    assert seen == sorted(seen, key=lambda part: part or 0)


@pytest.mark.parametrize(("when", "maybe"), [("unreachable", False), ("before", True), ("after", True), ("later", True)])
async def test_what_may_have_happened(when: str, maybe: bool) -> None:
    home = healthy()
    home.house.knobs.faults = [Fault(r"POST .*/options", when=when)]
    with pytest.raises(Unreachable) as lost:
        await home.call(f"/addons/{OFFICIAL}/options", {"watchdog": True})
    assert lost.value.maybe_done is maybe


async def test_an_empty_answer_means_that_nobody_knows() -> None:
    home = healthy()
    home.house.knobs.faults = [Fault(r"POST .*/options", when="timeout"), Fault(r"GET .*/info", when="refuse", message="")]
    for call, maybe in ((home.call(f"/addons/{OFFICIAL}/options", {"watchdog": True}), True), (home.supervisor("/info"), False)):
        with pytest.raises(Unreachable) as lost:
            await call
        assert lost.value.maybe_done is maybe


async def test_until_waits_by_the_virtual_clock() -> None:
    home = healthy()
    home.house.later(30, lambda: home.house.stop_now(OFFICIAL))

    async def stopped() -> str | None:
        state = (await home.supervisor(f"/addons/{OFFICIAL}/info"))["state"]
        return state if state == "stopped" else None

    assert await home.until("it to stop", stopped, limit=10) is None
    assert await home.until("it to stop", stopped, limit=40) == "stopped"


# ---------------------------------------------------------------------------------------------------------------- ssh


async def test_a_session_and_what_it_tells() -> None:
    home = healthy()
    async with home.session(ADDRESS, 2222, "root", KEY, None) as session:
        assert session.methods == ("publickey",)
        assert session.host_key in session.host_keys
        assert len(session.host_keys) == 3
        [line] = [line for line in (await home.log(OFFICIAL)).splitlines() if line.startswith("Accepted publickey")]
        assert f" port {session.source_port} " in line
        ran = await session.run("cat /data/options.json")
        assert json.loads(ran.out) == home.house.app(OFFICIAL).options
        assert json.loads((await session.run("ha info --raw-json")).out)["result"] == "ok"
        assert (await session.run("true")).code == 0
        assert (await session.run("no-such-program")).code == 127
        home.house.restart_now(OFFICIAL)
        with pytest.raises(SshTrouble) as lost:
            await session.run("true")
        assert lost.value.state is DoorState.LOST
    assert home.house.app(OFFICIAL).sessions == []


async def test_options_in_a_session_are_the_running_ones() -> None:
    home = healthy()
    home.house.app(OFFICIAL).options["apks"] = ["rsync"]
    async with home.session(ADDRESS, 2222, "root", KEY, None) as session:
        assert json.loads((await session.run("cat /data/options.json")).out)["apks"] == []


async def test_another_user_than_root_needs_sudo_and_a_login_shell() -> None:
    home = healthy(COMMUNITY, user="anna")
    async with home.session(ADDRESS, 2222, "anna", KEY, None) as session:
        assert (await session.run("cat /data/options.json")).code == 1
        assert (await session.run("sudo -n cat /data/options.json")).code == 0
        assert "401" in (await session.run("ha info --raw-json")).out
        assert (await session.run("bash -lc 'ha info --raw-json'")).code == 0
    home.house.knobs.ha_fails = True
    async with home.session(ADDRESS, 2222, "anna", KEY, None) as session:
        assert (await session.run("bash -lc 'ha info --raw-json'")).code == 1


async def test_an_address_translation_hides_the_port() -> None:
    home = healthy()
    home.house.knobs.nat = True
    async with home.session(ADDRESS, 2222, "root", KEY, None) as session:
        assert f" port {session.source_port} " not in await home.log(OFFICIAL)


async def test_doors_that_do_not_open() -> None:
    home = healthy()
    assert await door(home) is None
    for trouble, state in (
        (await door(home, user="pi"), DoorState.DENIED),
        (await door(home, port=2223), DoorState.REFUSED),
        (await door(home, port=8123), DoorState.NOT_SSH),
        (await door(home, host="elsewhere.local"), DoorState.UNRESOLVED),
    ):
        assert trouble is not None
        assert trouble.state is state
    home.computer.put(KEY, "not a key")
    trouble = await door(home)
    assert trouble is not None
    assert trouble.state is DoorState.BROKEN_KEY


async def test_a_denied_login_still_tells_who_answered() -> None:
    home = healthy()
    home.computer.put(KEY, private_text(a_key()))
    trouble = await door(home)
    assert trouble is not None
    assert (trouble.state, trouble.methods) == (DoorState.DENIED, ("publickey",))
    assert trouble.banner.startswith("SSH-2.0-OpenSSH")
    assert trouble.host_key in {key.public for key in home.house.host_keys(OFFICIAL)}


async def test_probing_is_punished() -> None:
    home = healthy()
    for _ in range(3):
        await door(home, user="pi")
    trouble = await door(home)
    assert trouble is not None
    assert trouble.state is DoorState.RESET
    await home.clock.sleep(20)
    assert await door(home) is None
    assert await home.knock(ADDRESS, 2222) == "SSH-2.0-OpenSSH_10.0"


async def test_an_impostor_shows_other_keys_and_leaves_no_line() -> None:
    home = healthy()
    home.house.knobs.door = "impostor"
    before = await home.log(OFFICIAL)
    async with home.session(ADDRESS, 2222, "root", KEY, None) as session:
        assert session.host_key not in {key.public for key in home.house.app(OFFICIAL).host_keys}
    assert await home.log(OFFICIAL) == before
    assert (await home.own_login("ha", None)).code == 255


# ---------------------------------------------------------------------------------------------------------- own login


async def test_the_users_own_ssh_logs_in() -> None:
    home = healthy()
    assert (await home.resolve_alias("ha"))["port"] == ("2222",)
    assert (await home.own_login("ha", None)).code == 0
    assert "Accepted publickey for root" in await home.log(OFFICIAL)


@pytest.mark.parametrize(
    ("path", "text", "mode", "said"),
    [
        (KEY, None, 0o644, "are too open"),
        (KEY, "crlf", 0o600, "error in libcrypto"),
        (KEY, "", 0o600, "error in libcrypto"),
        (KEY, "other", 0o600, "Permission denied (publickey)"),
        ("/home/me/.ssh/known_hosts", "", 0o600, "No ED25519 host key is known"),
        ("/home/me/.ssh/known_hosts", f"[{ADDRESS}]:2222 {a_key()}\n", 0o600, "HOST IDENTIFICATION HAS CHANGED"),
        ("/home/me/.ssh/config", "Foo bar\n", 0o600, "Bad configuration option: foo"),
        ("/home/me/.ssh/config", None, 0o666, "Bad owner or permissions"),
        ("/home/me/.ssh/ha-ssh/home.conf", None, 0o660, "Bad owner or permissions"),
        ("/home/me/.ssh/config", "", 0o600, "the name ha is not known"),
    ],
)
async def test_what_only_the_users_own_ssh_refuses(path: str, text: str | None, mode: int, said: str) -> None:
    home = healthy()
    before = home.computer.text(path) or ""
    changed = {None: before, "crlf": before.replace("\n", "\r\n"), "other": private_text(a_key())}.get(text, text)
    home.computer.put(path, changed, mode)
    login = await home.own_login("ha", None)
    assert login.code == 255
    assert said in login.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PubkeyAuthentication no", "Permission denied (publickey)"),
        ("PreferredAuthentications password", "Permission denied (publickey)"),
        ("ProxyJump elsewhere", "Connection closed"),
        ("Ciphers chacha20-poly1305@openssh.com", "no matching cipher found"),
        ("MACs hmac-sha1", "no matching MAC found"),
        ("User pi", "Permission denied (publickey)"),
        ("UserKnownHostsFile none", "No ED25519 host key is known"),
    ],
)
async def test_what_the_users_configuration_can_spoil(line: str, said: str) -> None:
    home = healthy(COMMUNITY)
    config = "/home/me/.ssh/config"
    home.computer.put(config, f"{line}\n{home.computer.text(config)}")
    login = await home.own_login("ha", None)
    assert login.code == 255
    assert said in login.err


async def test_too_many_keys_in_the_agent() -> None:
    home = healthy()
    home.computer.agent = [a_key() for _ in range(6)]
    assert (await home.own_login("ha", None)).code == 0
    path = "/home/me/.ssh/ha-ssh/home.conf"
    home.computer.put(path, (home.computer.text(path) or "").replace("IdentitiesOnly yes", ""))
    assert "Too many authentication failures" in (await home.own_login("ha", None)).err


async def test_no_client_and_a_broken_configuration() -> None:
    home = healthy()
    home.computer.put("/home/me/.ssh/config", "Port none\n")
    with pytest.raises(HaSshError) as error:
        await home.resolve_alias("ha")
    assert error.value.code == "ssh-config-broken"
    home.computer.ssh_version = None
    with pytest.raises(HaSshError):
        await home.own_login("ha", None)


# -------------------------------------------------------------------------------------------------------------- files


async def test_files_links_and_folders() -> None:
    home = healthy()
    home.computer.put("/dotfiles/config", "Host x\n", 0o640)
    home.computer.put_link("/home/me/.ssh/config", "../../../dotfiles/config")
    await home.write("~/.ssh/config", "Host y\n", mode=0o600)
    assert home.computer.text("/dotfiles/config") == "Host y\n"
    state = await home.file("/home/me/.ssh/config")
    assert (state.kind, state.real_path, state.mode, state.text) == ("link", "/dotfiles/config", 0o640, "Host y\n")
    assert (await home.file("/home/me/.ssh")).kind == "folder"
    assert not (await home.file("/home/me/nothing")).exists
    assert await home.folder("/home/me/.ssh/ha-ssh") == ("home.conf",)
    assert await home.folder("/home/me/none") == ()
    await home.write("/home/me/new", "x", mode=0o644)
    await home.set_mode("/home/me/new", 0o600)
    assert (await home.file("/home/me/new")).mode == 0o600
    await home.delete("/home/me/new")
    await home.delete("/home/me/new")
    assert not (await home.file("/home/me/new")).exists


@pytest.mark.parametrize(("knob", "code"), [("read_only", "read-only"), ("disk_full_on", "no-room")])
async def test_files_that_cannot_be_written(knob: str, code: str) -> None:
    home = healthy()
    getattr(home.computer, knob).add("/home/me/.ssh/*")
    before = home.computer.snapshot()
    with pytest.raises(HaSshError) as error:
        await home.write("/home/me/.ssh/config", "x")
    assert error.value.code == code
    assert home.computer.snapshot() == before


async def test_keys() -> None:
    home = healthy()
    ref = await home.keep("passphrase", Secret("open"))
    public = await home.make_key("/home/me/.ssh/new", KeyKind.ED25519, ref, "me@laptop")
    locked = await home.key("/home/me/.ssh/new", None)
    assert (locked.problem, locked.public, locked.encrypted, locked.mode) == ("locked", public, True, 0o600)
    assert (await home.key("/home/me/.ssh/new", ref)).problem is None
    assert (await home.key("/home/me/.ssh/new", ref)).comment == "me@laptop"
    wrong = await home.keep("wrong", Secret("shut"))
    assert (await home.key("/home/me/.ssh/new", wrong)).problem == "wrong-passphrase"
    with pytest.raises(HaSshError) as error:
        await home.make_key("/home/me/.ssh/new", KeyKind.ED25519, None, "")
    assert error.value.code == "key-exists"
    for text, problem in ((f"{public} me\n", "public"), ("PuTTY-User-Key-File-3: x\n", "putty"), ("x", "broken")):
        home.computer.put("/home/me/odd", text)
        assert (await home.key("/home/me/odd", None)).problem == problem
    assert (await home.key("/home/me/none", None)).problem == "missing"
    crlf = (home.computer.text(KEY) or "").replace("\n", "\r\n")
    home.computer.put(KEY, crlf)
    state = await home.key(KEY, None)
    assert (state.crlf, state.problem) == (True, None)


async def test_a_secret_that_is_gone() -> None:
    home = healthy()
    ref = await home.keep("x", Secret("y"))
    assert (await home.recall(ref)).reveal() == "y"
    home.computer.vault.clear()
    with pytest.raises(HaSshError) as error:
        await home.recall(ref)
    assert error.value.code == "secret-gone"


# ----------------------------------------------------------------------------------------------------------- injuries


async def change(home: MemoryHome) -> None:
    await home.write("/home/me/a", "a")
    await home.call(f"/addons/{OFFICIAL}/options", {"watchdog": True})
    await home.call(f"/addons/{OFFICIAL}/stop")


def state(home: MemoryHome) -> tuple[bool, bool, str]:
    app = home.house.app(OFFICIAL)
    return home.computer.text("/home/me/a") is not None, app.watchdog, app.state


async def test_writes_are_counted_in_order() -> None:
    home = healthy()
    await change(home)
    assert [(write.number, write.what, write.where) for write in home.writes] == [
        (1, "write", "/home/me/a"),
        (2, "call", f"/addons/{OFFICIAL}/options"),
        (3, "call", f"/addons/{OFFICIAL}/stop"),
    ]


@pytest.mark.parametrize(
    ("how", "at", "error", "now", "settled"),
    [
        (How.FAIL_BEFORE, 1, HaSshError, (False, False, "started"), (False, False, "started")),
        (How.FAIL_AFTER, 1, HaSshError, (True, False, "started"), (True, False, "started")),
        (How.FAIL_LATER, 1, HaSshError, (True, False, "started"), (True, False, "started")),
        (How.KILL_BEFORE, 1, Killed, (False, False, "started"), (False, False, "started")),
        (How.KILL_AFTER, 1, Killed, (True, False, "started"), (True, False, "started")),
        (How.FAIL_BEFORE, 2, Unreachable, (True, False, "started"), (True, False, "started")),
        (How.FAIL_AFTER, 2, Unreachable, (True, True, "started"), (True, True, "started")),
        (How.FAIL_LATER, 2, Unreachable, (True, False, "started"), (True, True, "started")),
        (How.FAIL_LATER, 3, Unreachable, (True, True, "started"), (True, True, "stopped")),
        (How.KILL_AFTER, 3, Killed, (True, True, "stopped"), (True, True, "stopped")),
        (How.OUTAGE, 2, Unreachable, (True, False, "started"), (True, False, "started")),
    ],
)
async def test_a_write_that_goes_wrong(
    how: How, at: int, error: type[BaseException], now: tuple[bool, bool, str], settled: tuple[bool, bool, str]
) -> None:
    home = healthy()
    home.injury = Injury(at, how)
    with pytest.raises(error) as raised:
        await change(home)
    if isinstance(raised.value, Unreachable):
        assert raised.value.maybe_done
    assert len(home.writes) == at
    assert state(home) == now
    home.house.settle()
    assert state(home) == settled


async def test_an_outage_ends() -> None:
    home = healthy()
    home.injury = Injury(1, How.OUTAGE, seconds=30)
    with pytest.raises(Unreachable):
        await home.call(f"/addons/{OFFICIAL}/stop")
    with pytest.raises(Unreachable):
        await home.core()
    await home.clock.sleep(30)
    assert (await home.core()).is_admin
    await home.call(f"/addons/{OFFICIAL}/stop")


async def test_a_killed_process_does_nothing_more_and_a_fresh_one_does() -> None:
    home = healthy()
    home.injury = Injury(1, How.KILL_BEFORE)
    journal = home.journal
    run = journal.begin("setup", "home", {})
    with pytest.raises(Killed):
        await change(home)
    for call in (
        home.core(),
        home.file("/x"),
        home.call("/x"),
        home.write("/x", ""),
        home.log(OFFICIAL),
        home.resolve_alias("ha"),
    ):
        with pytest.raises(Killed):
            await call
    for act in (lambda: journal.close(run, "closed"), lambda: home.journal.begin("x", "y", {})):
        with pytest.raises(Killed):
            act()
    again = home.fresh()
    assert [each.state for each in again.journal.runs()] == ["open"]
    await change(again)
    assert state(again) == (True, True, "stopped")


async def test_looking_writes_nothing() -> None:
    home = healthy()
    before = (home.house.snapshot(), home.computer.snapshot())
    with home.only_looking():
        await home.core()
        await home.supervisor(f"/addons/{OFFICIAL}/info")
        await home.own_login("ha", None)
        assert await door(home) is None
        await home.key(KEY, None)
        for write in (home.write("/x", ""), home.call("/store/reload"), home.keep("x", Secret("y")), home.delete("/x")):
            with pytest.raises(AssertionError):
                await write
    assert (home.house.snapshot(), home.computer.snapshot()) == before
    await home.write("/x", "")


# ------------------------------------------------------------------------------------------------------------ journal


def test_the_journal_keeps_plain_json() -> None:
    home = healthy()
    journal = home.journal
    run = journal.begin("setup", "home", {"url": "http://x"})
    entry = JournalEntry(
        step="make-key", version=1, fields={"path": "/x"}, title="Make", if_failed=IfFailed.KEEP, saved={"existed": False}
    )
    index = journal.entry(run, entry)
    assert journal.runs()[0].entries == (entry,)
    journal.mark(run, index, "done")
    journal.close(run, "closed")
    [kept] = home.fresh().journal.runs()
    assert (kept.id, kept.state, kept.command, kept.target) == (run, "closed", "setup", {"url": "http://x"})
    assert kept.entries == (replace(entry, state="done"),)
    with pytest.raises(TypeError):
        journal.entry(run, replace(entry, saved={"password": Secret("x")}))
    assert journal.begin("setup", "home", {}) != run
