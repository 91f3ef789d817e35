"""Several houses, found and kept apart: `discover`, `houses`, redirects, certificates, and a machine that is another one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from person import assert_nothing_leaked, at_the_terminal, plain

from acceptance.computer import Computer
from ha_ssh.sim.core import Front
from ha_ssh.sim.running import serve_in_thread
from servers import new_house
from world.little_core import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from ha_ssh.sim.running import Running

SETUP = ("setup", "--yes", "--no-passphrase", "--json")


@contextlib.contextmanager
def served(front: Front, folder: Path, host: str | None = None) -> Iterator[Computer]:
    with serve_in_thread(new_house, front=front, host=host) as running:
        yield Computer(running, folder)


# ------------------------------------------------------------------------------------------------------------- finding


@contextlib.contextmanager
def announced(running: Running) -> Iterator[None]:
    """A house that announces itself on loopback, by a zeroconf responder in a thread of its own."""
    from zeroconf import ServiceInfo
    from zeroconf.asyncio import AsyncZeroconf

    service = "_home-assistant._tcp.local."
    info = ServiceInfo(
        service,
        f"{running.house.uuid}.{service}",
        addresses=[socket.inet_aton(running.host)],
        port=running.house.core_port,
        properties={
            "location_name": "By the sea",
            "uuid": running.house.uuid,
            "version": "2026.11.0",
            "internal_url": running.url,
        },
        server="sea.local.",
    )
    up, down = threading.Event(), threading.Event()

    async def answer() -> None:
        zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
        try:
            await (await zeroconf.async_register_service(info, cooperating_responders=True))
            up.set()
            await asyncio.get_running_loop().run_in_executor(None, down.wait)
        finally:
            await zeroconf.async_close()

    thread = threading.Thread(target=asyncio.run, args=(answer(),))
    thread.start()
    try:
        assert up.wait(10)
        yield
    finally:
        down.set()
        thread.join()


def test_a_house_that_announces_itself_is_found_and_nothing_is_sent(computer: Computer) -> None:
    with announced(computer.running):
        found = computer.ha_ssh("discover", "--json")
    assert found.code == 0, found
    assert [
        {key: house[key] for key in ("name", "url", "version", "how", "trouble")} for house in found.report["houses_found"]
    ] == [{"name": "By the sea", "url": computer.running.url, "version": "2026.11.0", "how": "announced", "trouble": None}]
    assert sum(computer.house.failed_sign_ins.values()) == 0


def test_a_house_that_announces_itself_is_offered_and_chosen(computer: Computer) -> None:
    with announced(computer.running), at_the_terminal(computer, "login", "--username", "owner") as person:
        person.until("By the sea 2026.11.0")
        assert "Another address" in person.text
        person.type("\n")
        person.until("Your password?")
        person.type(computer.house.owner.password + "\n")
        person.until("stays signed in")
        assert person.end() == 0
        assert_nothing_leaked(computer, plain(person))


def test_nobody_there_is_told_as_such(computer: Computer) -> None:
    found = computer.ha_ssh("discover")
    assert (found.code, "No houses found." in found.out) == (0, True), found
    refused = computer.ha_ssh("login", "--json")
    assert (refused.code, refused.error["code"]) == (3, "missing-url")


def test_the_demo_never_looks_at_the_real_network(computer: Computer) -> None:
    with announced(computer.running):
        (house,) = computer.ha_ssh("discover", "--demo", "--json").report["houses_found"]
    assert house["name"] != "By the sea"


# ---------------------------------------------------------------------------------------------------- the way to the house


def test_a_redirect_on_the_same_host_is_followed_before_anything_secret_goes_out(tmp_path: Path) -> None:
    front = Front(port=0)
    with served(front, tmp_path) as first:
        old = _free_port(first.running.host)
    with served(Front(port=0, redirect_from=old), tmp_path, host=first.running.host) as computer:
        done = computer.ha_ssh(*SETUP, "--url", f"http://{computer.running.host}:{old}")
        assert done.code == 0, done
        assert done.report["house"]["url"] == computer.running.url
        assert f"url: {computer.running.url}\n" in (computer.profile / "config" / "houses.yaml").read_text()
        again = computer.ha_ssh(*SETUP, "--url", f"http://{computer.running.host}:{old}/lovelace/0")
        assert (again.code, again.report["changed"]) == (0, False), again


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def test_the_path_of_a_proxy_belongs_to_the_address(tmp_path: Path) -> None:
    with served(Front(prefix="/ha"), tmp_path) as computer:
        assert computer.ha_ssh(*SETUP, "--url", computer.running.url).code == 0
        assert computer.ha_ssh("doctor", "--json").code == 0


@pytest.mark.parametrize(
    ("front", "code", "says"),
    [(Front(websocket=False), "no-websocket", "`Upgrade` header")],
)
def test_a_proxy_that_is_in_the_way_is_named(tmp_path: Path, front: Front, code: str, says: str) -> None:
    with served(front, tmp_path) as computer:
        refused = computer.ha_ssh(*SETUP, "--url", computer.running.url)
        assert (refused.code, refused.error["code"], refused.report["changed"]) == (4, code, False), refused
        assert says in refused.said
        assert computer.files(but=("state/ha-ssh.log",)) == {}


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://127.0.0.1:1", "connection-refused"),
        ("http://no-such-house.invalid", "not-resolvable"),
        ("https://{host}:{port}", "tls-failed"),
        ("http://{host}:{supervisor}", "not-home-assistant"),
    ],
)
def test_an_address_without_a_house_is_named_before_anybody_signs_in(computer: Computer, address: str, code: str) -> None:
    ports = {"port": computer.house.core_port, "supervisor": computer.running.supervisor.partition(":")[2]}
    for token in ("", computer.running.token.reveal()):
        computer.token = token
        refused = computer.ha_ssh(*SETUP, "--url", address.format(host=computer.running.host, **ports))
        assert (refused.code, refused.error["code"], refused.report["changed"]) == (4, code, False), refused
        assert refused.error["hints"]
    assert sum(computer.house.failed_sign_ins.values()) == 0


# -------------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "ca").mkdir()
    return Authority(tmp_path / "ca")


@contextlib.contextmanager
def behind_tls(context: ssl.SSLContext, folder: Path) -> Iterator[Computer]:
    with served(Front(tls=context), folder, host="127.0.0.1") as computer:
        yield computer


def shown(fingerprint: str) -> str:
    """A fingerprint as people compare it."""
    return bytes.fromhex(fingerprint).hex(":").upper()


def test_a_private_authority_is_named_once_and_remembered(tmp_path: Path, authority: Authority) -> None:
    context, _ = authority.context("127.0.0.1")
    with behind_tls(context, tmp_path) as computer:
        refused = computer.ha_ssh(*SETUP, "--url", computer.running.url)
        assert (refused.code, refused.error["code"]) == (4, "tls-unknown-issuer"), refused
        assert "`--ca-file FILE`" in refused.said
        done = computer.ha_ssh(*SETUP, "--url", computer.running.url, "--ca-file", str(authority.file))
        assert done.code == 0, done
        assert done.report["ssh"]["proof"]["channel"] == "https"
        later = computer.ha_ssh("doctor", "--json")
        assert later.code == 0, later
        assert f"ca_file: {authority.file}" in (computer.profile / "config" / "houses.yaml").read_text()


def test_a_certificate_is_pinned_and_another_one_is_noticed(tmp_path: Path, authority: Authority) -> None:
    context, fingerprint = authority.context("127.0.0.1")
    with behind_tls(context, tmp_path) as computer:
        refused = computer.ha_ssh(*SETUP, "--url", computer.running.url)
        assert f"`--tls-fingerprint {shown(fingerprint)}`" in refused.said, refused
        done = computer.ha_ssh(*SETUP, "--url", computer.running.url, "--tls-fingerprint", fingerprint)
        assert done.code == 0, done
        assert f"--url {computer.running.url} --tls-fingerprint {shown(fingerprint)}" in done.report["same_run"]
        assert computer.ha_ssh("doctor", "--json").code == 0
        wrong = ":".join(["AB"] * 32)
        mismatch = computer.ha_ssh(*SETUP, "--tls-fingerprint", wrong)
        assert (mismatch.code, mismatch.error["code"]) == (4, "tls-fingerprint"), mismatch


def test_a_person_may_pin_what_the_house_shows(tmp_path: Path, authority: Authority) -> None:
    context, fingerprint = authority.context("127.0.0.1")
    with behind_tls(context, tmp_path) as computer:
        computer.token = ""
        with at_the_terminal(computer, "login", "--url", computer.running.url, "--username", "owner") as person:
            person.until("to be trusted from now on?")
            assert shown(fingerprint) in plain(person).replace("\n", "").replace(" ", "")
            person.type("y\n")
            person.until("Your password?")
            person.type(computer.house.owner.password + "\n")
            person.until("stays signed in")
            assert person.end() == 0
        assert computer.ha_ssh("doctor", "--only", "signed-in-admin", "--json").code == 0
        with at_the_terminal(computer, "login", "--url", computer.running.url, "--ca-file", str(authority.file)) as person:
            person.until("Sign in anew?")
            person.type("y\n")
            person.until("How do you want to sign in?")
            person.type("\x03")
            assert person.end() == 130
        trusting = ("login", "--ca-file", str(authority.file), "--json")
        assert [computer.ha_ssh(*trusting).report["changed"] for _ in range(2)] == [True, False]


def test_a_certificate_that_is_not_trusted_ends_it(tmp_path: Path, authority: Authority) -> None:
    context, _ = authority.context("127.0.0.1")
    with behind_tls(context, tmp_path) as computer, at_the_terminal(computer, "setup", "--url", computer.running.url) as person:
        person.until("to be trusted from now on?")
        person.type("n\n")
        assert person.end() == 4


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--ca-file", "/nowhere"), "unreadable-file"),
        (("--ca-file", __file__), "bad-ca-file"),
        (("--tls-fingerprint", "ab"), "bad-tls-fingerprint"),
        (("--tls-fingerprint", "ab" * 32, "--ca-file", __file__), "bad-tls"),
    ],
)
def test_trust_that_cannot_be_is_refused(computer: Computer, flags: tuple[str, ...], code: str) -> None:
    refused = computer.ha_ssh(*SETUP, "--url", "https://house", *flags)
    assert (refused.code, refused.error["code"]) == (2, code)


# ---------------------------------------------------------------------------------------------------------- several houses

BY_HAND = """\
# my houses
houses:
  lake:
    url: http://lake.local:8123  # the old one
    note: ring before you come
  sea:
    # by the sea
    url: http://sea.local:8123
    alias: sea
    identity: /keys/sea
current: sea
"""


@pytest.fixture
def at_home(computer: Computer) -> Computer:
    """A computer with two remembered houses, written by hand."""
    file = computer.profile / "config" / "houses.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(BY_HAND)
    return computer


def yaml(computer: Computer) -> str:
    return (computer.profile / "config" / "houses.yaml").read_text()


def test_houses_are_listed_with_the_current_one(at_home: Computer) -> None:
    listed = at_home.ha_ssh("houses", "list", "--json")
    assert [(house["name"], house["current"], house["signed_in"]) for house in listed.report["houses_remembered"]] == [
        ("lake", False, False),
        ("sea", True, False),
    ]
    people = at_home.ha_ssh("houses", "list")
    assert "sea   http://sea.local:8123, the current one, not signed in, `ssh sea`" in people.out
    assert yaml(at_home) == BY_HAND


def test_another_house_becomes_the_current_one(at_home: Computer) -> None:
    assert at_home.ha_ssh("houses", "use", "lake", "--dry-run", "--json").report["changed"] is True
    assert yaml(at_home) == BY_HAND
    done = at_home.ha_ssh("houses", "use", "lake", "--json")
    assert (done.code, done.report["changed"], done.report["house"]["name"]) == (0, True, "lake")
    assert yaml(at_home) == BY_HAND.replace("current: sea", "current: lake") + "schema: 1\n"
    assert at_home.ha_ssh("houses", "use", "lake", "--json").report["changed"] is False


def test_a_house_gets_another_name_and_its_files_keep_theirs(at_home: Computer) -> None:
    done = at_home.ha_ssh("houses", "rename", "sea", "shore", "--json")
    assert (done.code, done.report["house"]["name"]) == (0, "shore"), done
    for word in ("`ssh sea`", "sea.conf", "ha-ssh-sea", "/keys/sea"):
        assert word in done.err
    text = yaml(at_home)
    assert text.startswith(BY_HAND.split("  sea:")[0])
    assert "  shore:\n    # by the sea\n" in text
    assert "    id: sea\n" in text
    assert "current: shore" in text
    assert at_home.ha_ssh("houses", "rename", "shore", "sea", "--json").code == 0
    assert "id:" not in yaml(at_home)


def test_a_house_is_forgotten_and_its_files_stay(at_home: Computer) -> None:
    asked = at_home.ha_ssh("houses", "forget", "sea", "--json")
    assert (asked.code, asked.result, asked.error["code"]) == (3, "planned", "agreement"), asked
    assert yaml(at_home) == BY_HAND
    done = at_home.ha_ssh("houses", "forget", "sea", "--yes", "--json")
    assert (done.code, done.report["changed"]) == (0, True), done
    assert "stays: the key `/keys/sea`" in done.err
    assert "sea" not in yaml(at_home)
    assert "url: http://lake.local:8123  # the old one\n    note: ring before you come\n" in yaml(at_home)
    assert "current: lake" in yaml(at_home)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("use", "hill"), "no-such-house"),
        (("forget", "hill"), "no-such-house"),
        (("rename", "hill", "x"), "no-such-house"),
        (("rename", "sea", "lake"), "house-exists"),
        (("rename", "sea", "by the sea"), "bad-house-name"),
        (("use",), "usage"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(at_home: Computer, words: tuple[str, ...], code: str) -> None:
    refused = at_home.ha_ssh("houses", *words, "--json")
    assert (refused.code, refused.error["code"]) == (2, code), refused
    assert yaml(at_home) == BY_HAND


def test_a_renamed_house_goes_on_working_with_its_old_files(computer: Computer) -> None:
    computer.token = computer.running.token.reveal()
    assert computer.setup().code == 0
    before = computer.files(but=("config/", "state/"))
    assert computer.ha_ssh("houses", "rename", "home", "flat").code == 0
    again = computer.ha_ssh(*SETUP)
    assert (again.code, again.report["changed"], again.report["house"]["name"]) == (0, False, "flat"), again
    assert computer.files(but=("config/", "state/")) == before
    undone = computer.ha_ssh("undo", "--yes", "--json", "--house", "flat")
    assert (undone.code, undone.report["changed"]) == (0, True), undone


def test_a_second_house_never_takes_the_files_of_one_that_was_renamed(computer: Computer, tmp_path: Path) -> None:
    computer.token = computer.running.token.reveal()
    assert computer.setup().code == 0
    assert computer.ha_ssh("houses", "rename", "home", "flat").code == 0
    with serve_in_thread(new_house) as other:
        second = computer.ha_ssh(
            *(*SETUP, "--house", "home", "--url", other.url, "--alias", "second", "--new-key", "ed25519"),
            env={"HA_SSH_TOKEN": other.token.reveal()},
        )
        assert second.code == 0, second
        assert second.report["ssh"]["identity_file"].endswith("id_ha_ssh_home-2")
        assert sorted(path.name for path in (computer.ssh / "ha-ssh.d").iterdir()) == ["home-2.conf", "home.conf"]
        for name in ("flat", "home"):
            token = other.token if name == "home" else computer.running.token
            doctor = computer.ha_ssh("doctor", "--house", name, "--json", env={"HA_SSH_TOKEN": token.reveal()})
            assert doctor.code == 0, doctor


# ------------------------------------------------------------------------------------------------------ another machine


def exchange(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house, "machine_id", "another machine"))


@pytest.mark.parametrize(
    "command",
    [
        SETUP,
        ("setup", "--dry-run", "--json"),
        ("doctor", "--fix", "--yes", "--json"),
        ("undo", "--yes", "--json"),
        ("login", "--token-file", "-", "--json"),
    ],
    ids=" ".join,
)
def test_another_machine_at_the_same_address_is_met_before_any_write(computer: Computer, command: tuple[str, ...]) -> None:
    computer.token = computer.running.token.reveal()
    assert computer.setup().code == 0
    exchange(computer)
    before = computer.snapshot(), computer.files(but=("state/ha-ssh.log",))
    refused = computer.ha_ssh(*command, stdin=computer.running.token.reveal())
    assert (refused.code, refused.error["code"], refused.report["changed"]) == (4, "another-house", False), refused
    assert "`ha-ssh houses forget home`" in refused.said
    assert (computer.snapshot(), computer.files(but=("state/ha-ssh.log",))) == before


def test_the_doctor_tells_another_machine_and_forgetting_is_the_way_out(computer: Computer) -> None:
    computer.token = computer.running.token.reveal()
    assert computer.setup().code == 0
    exchange(computer)
    doctor = computer.ha_ssh("doctor", "--json")
    (finding,) = [one for one in doctor.report["findings"] if one["id"] == "same-house"]
    assert (doctor.code, finding["verdict"], finding["because"]) == (1, "wrong", None), finding
    assert computer.ha_ssh("houses", "forget", "home", "--yes").code == 0
    done = computer.ha_ssh(*SETUP, "--house", "home", "--url", computer.running.url)
    assert done.code == 0, done
    assert computer.ha_ssh("doctor", "--json").code == 0
