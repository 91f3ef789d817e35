"""The way in, from every starting point: which house, whether a secret may go there, which sign-in, and where SSH is."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ha_ssh.ask.askers import NoTerminal, Scripted
from ha_ssh.core.errors import HaSshError, MissingAnswer, UnknownCertificate, UsageError
from ha_ssh.core.model import Risk
from ha_ssh.core.options import Options, Trust
from ha_ssh.core.secret import Secret
from ha_ssh.flavours import all_flavours
from ha_ssh.flows.enter import come_in, enter, lan_address, meet
from ha_ssh.flows.tools import Tools
from ha_ssh.sim.house import House
from ha_ssh.sim.keys import MadeUpKeys
from ha_ssh.sim.memory import MemoryHome
from ha_ssh.world.ha.discovery import Found
from ha_ssh.world.ha.ways import Ways
from ha_ssh.world.memory import Memory
from ha_ssh.world.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

HOME = "http://192.168.1.20:8123"
CLOUD = "https://abcdef.ui.nabu.casa"


class Elsewhere(Ways):
    """The real ways, on a network of the test's own: no name of it can be looked up here."""

    def __init__(self, vault: Vault, network: dict[str, Found | HaSshError], public: set[str]) -> None:
        super().__init__(vault)
        self.network = network
        self.public = public

    async def look_around(self) -> tuple[Found, ...]:
        return tuple(found for found in self.network.values() if isinstance(found, Found) and found.how == "announced")

    async def identify(self, address: str, trust: Trust) -> Found:
        found = self.network.get(address, Found(name="x", url=address, how="given"))
        if isinstance(found, HaSshError) and not (isinstance(found, UnknownCertificate) and trust.fingerprint):
            raise found
        return Found(name="x", url=address, how="given") if isinstance(found, HaSshError) else found

    async def is_public(self, url: str) -> bool:
        return url in self.public


class Outside:
    """A computer that is inside no house."""

    async def supervisor(self) -> str | None:
        return None


@dataclass
class Heard:
    """A show that keeps what it was told."""

    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, what: str, fraction: float | None, detail: str = "") -> None:
        self.said.append(what)

    def __getattr__(self, _name: str) -> Any:
        raise AssertionError("the way in shows no plans and no steps")


class Nowhere(MemoryHome):
    """A house whose network has no interface."""

    async def supervisor(self, endpoint: str) -> Any:
        return {"interfaces": []} if endpoint == "/network/info" else await super().supervisor(endpoint)


@dataclass
class Desk:
    """A computer with its files in a folder, and a house in memory that answers at every address."""

    folder: Path
    house: House = field(default_factory=lambda: House(keys=MadeUpKeys()))
    network: dict[str, Found | HaSshError] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    show: Heard = field(default_factory=Heard)
    home: type[MemoryHome] = MemoryHome
    connected: list[tuple[str, str]] = field(default_factory=list)
    """Every address that credentials went to, with their origin."""

    def __post_init__(self) -> None:
        self.vault = Vault(str(self.folder / "secrets.json"), keyring=False, warn=self.show.say)
        self.memory = Memory(str(self.folder / "houses.yaml"), self.vault)
        self.ways = Elsewhere(self.vault, self.network, self.public)

    def tools(self, asker: Any = None, **options: Any) -> Tools:
        def connect(url: str, credentials: Any, _trust: Trust) -> MemoryHome:
            self.connected.append((url, credentials.origin))
            return self.home(self.house)

        def nothing(*_: Any) -> Any:
            raise AssertionError("the way in needs no such tool")

        made = Options(no_input=asker is None, **options)
        known = dict.fromkeys(Tools.__dataclass_fields__, nothing) | {"detours": Outside()}
        known |= {"options": made, "show": self.show, "asker": asker or NoTerminal(), "memory": self.memory, "ways": self.ways}
        return Tools(**known | {"connect": connect, "flavours": all_flavours(), "lock": contextlib.nullcontext})

    def kept(self) -> list[str]:
        path = self.folder / "secrets.json"
        return list(json.loads(path.read_text())["secrets"]) if path.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def announced(url: str, name: str = "Home") -> Found:
    return Found(name=name, url=url, version="2026.11.0", how="announced")


TOKEN = Secret("a.b.c")

# ----------------------------------------------------------------------------------------------------------- which house


async def test_a_script_has_to_name_a_house(desk: Desk) -> None:
    with pytest.raises(MissingAnswer) as missing:
        await enter(desk.tools(token=TOKEN))
    assert missing.value.code == "missing-url"
    assert "`ha-ssh discover`" in " ".join(missing.value.hints)


async def test_the_address_given_then_the_house_named_then_the_current_one(desk: Desk) -> None:
    desk.memory.remember(name="home", url=HOME)
    desk.memory.remember(name="lake", url="http://lake:8123")
    assert (await enter(desk.tools(token=TOKEN))).name == "home"
    assert (await enter(desk.tools(token=TOKEN, house="lake"))).url == "http://lake:8123"
    given = await enter(desk.tools(token=TOKEN, url="http://lake:8123/lovelace"))
    assert (given.name, given.known.url if given.known else None) == ("lake", "http://lake:8123")
    new = await enter(desk.tools(token=TOKEN, url="http://sea:8123"))
    assert (new.known, new.name, new.id) == (None, "sea", "sea")
    moved = await enter(desk.tools(token=TOKEN, url="http://moved:8123", house="lake"))
    assert (moved.name, moved.url) == ("lake", "http://moved:8123")
    with pytest.raises(UsageError, match="no house `hill`"):
        await enter(desk.tools(token=TOKEN, house="hill"))


async def test_a_person_is_offered_what_was_found_and_chooses(desk: Desk) -> None:
    desk.network |= {HOME: announced(HOME), "http://lake:8123": announced("http://lake:8123", "Lake")}
    person = Scripted({"url": "2"})
    entered = await enter(desk.tools(person, token=TOKEN))
    assert entered.url == "http://lake:8123"
    assert desk.connected == [("http://lake:8123", "http://lake:8123")]
    other = Scripted({"url": ["3", "sea.local"]})
    assert (await enter(desk.tools(other, token=TOKEN))).url == "sea.local"
    assert other.asked == ["url", "url"]


async def test_nothing_found_is_said_and_the_address_asked_for(desk: Desk) -> None:
    person = Scripted({"url": "http://sea:8123"})
    assert (await enter(desk.tools(person, token=TOKEN))).url == "http://sea:8123"
    assert "no Home Assistant shows itself on this network" in desk.show.said


async def test_a_redirect_is_followed_and_said(desk: Desk) -> None:
    desk.network["http://sea:8123"] = Found(name="x", url="http://sea", how="given")
    entered = await enter(desk.tools(url="http://sea:8123", token=TOKEN))
    assert entered.url == "http://sea"
    assert desk.connected == [("http://sea", "http://sea")]
    assert "Home Assistant answers at http://sea" in desk.show.said


async def test_an_address_without_a_house_ends_it_before_any_sign_in(desk: Desk) -> None:
    desk.network["http://sea:8123"] = HaSshError("not-home-assistant", "it is a printer")
    with pytest.raises(HaSshError, match="printer"):
        await enter(desk.tools(Scripted(), url="http://sea:8123"))
    with pytest.raises(HaSshError, match="printer"):  # nobody is asked to sign in to a printer, not even by who only looks
        await enter(desk.tools(Scripted(), url="http://sea:8123"), only_looks=True)
    assert desk.connected == []
    looked = await enter(desk.tools(url="http://sea:8123", token=TOKEN), only_looks=True)
    assert looked.trouble is not None  # with a sign-in at hand, it is for the checks to tell


# ------------------------------------------------------------------------------------------------ may a secret go there?


@pytest.mark.parametrize("accepted", [frozenset(), frozenset({Risk.PLAIN_HTTP})])
async def test_no_sign_in_goes_over_the_internet_in_the_clear_unless_somebody_says_so(
    desk: Desk, accepted: frozenset[Risk]
) -> None:
    desk.public.add("http://house.example")
    with pytest.raises(MissingAnswer) if not accepted else contextlib.nullcontext():
        await enter(desk.tools(url="http://house.example", token=TOKEN, accepted=accepted))
    assert len(desk.connected) == len(accepted)
    with pytest.raises(MissingAnswer, match="without TLS") if not accepted else contextlib.nullcontext():
        await enter(desk.tools(Scripted({"risk-plain-http": "n"}), url="http://house.example", token=TOKEN, accepted=accepted))
    assert (await enter(desk.tools(Scripted({"risk-plain-http": "y"}), url="http://house.example", token=TOKEN))).url


async def test_a_certificate_that_nobody_vouches_for_is_pinned_by_a_person_only(desk: Desk) -> None:
    url = "https://house.lan"
    desk.network[url] = UnknownCertificate("tls-self-signed", "nobody vouches for it", url=url, fingerprint="AB:CD")
    with pytest.raises(UnknownCertificate):
        await enter(desk.tools(url=url, token=TOKEN))
    with pytest.raises(UnknownCertificate):
        await enter(desk.tools(Scripted({"tls-fingerprint": "n"}), url=url, token=TOKEN))
    with pytest.raises(UnknownCertificate):  # another pinned one does not make it a question
        await enter(desk.tools(Scripted(), url=url, token=TOKEN, trust=Trust(ca_file="/ca")))
    assert desk.connected == []
    entered = await enter(desk.tools(Scripted({"tls-fingerprint": "y"}), url=url, token=TOKEN))
    assert entered.trust == Trust(fingerprint="AB:CD")


# -------------------------------------------------------------------------------------------------------- which sign-in


async def test_a_token_that_was_given_is_not_kept_and_one_that_was_typed_is(desk: Desk) -> None:
    await enter(desk.tools(url=HOME, token=TOKEN))
    assert (desk.kept(), desk.memory.every()) == ([], ())
    await enter(desk.tools(Scripted({"sign-in": "token", "token": "typed.by.hand"}), url=HOME, once=True))
    await enter(desk.tools(Scripted({"sign-in": "token", "token": "typed.by.hand"}), url=HOME, dry_run=True))
    assert (desk.kept(), desk.memory.every()) == ([], ())
    await enter(desk.tools(Scripted({"sign-in": "token", "token": "typed.by.hand"}), url=HOME))
    assert desk.kept() == [f"sign-in {HOME}"]
    (known,) = desk.memory.every()
    assert (known.name, known.url) == ("home", HOME)
    later = await enter(desk.tools())
    assert (await later.credentials.access()).reveal() == "typed.by.hand"


async def test_a_former_session_that_cannot_be_ended_is_said_and_the_new_sign_in_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unheard(_former: Any) -> bool:
        raise HaSshError("timed-out", "Nobody answered.")

    monkeypatch.setattr(desk.ways, "revoke", unheard)
    desk.vault.keep(f"sign-in {HOME}", Secret('{"refresh": "old", "client_id": "http://127.0.0.1/"}'))
    tools = desk.tools(Scripted({"sign-in": "token", "token": "typed.by.hand"}), url=HOME)
    await come_in(tools, await meet(tools), anew=True)
    kept = desk.ways.kept(HOME, Trust())
    assert kept is not None
    assert (await kept.access()).reveal() == "typed.by.hand"
    assert f"Nobody answered. Delete it at `{HOME}/profile/security`, under Refresh tokens." in desk.show.said[-1]


async def test_a_sign_in_stays_with_its_origin(desk: Desk) -> None:
    await enter(desk.tools(Scripted({"sign-in": "token", "token": "typed.by.hand"}), url=HOME))
    desk.connected.clear()
    for other in ("http://192.168.1.20", "https://192.168.1.20:8123", "http://192.168.1.21:8123"):
        with pytest.raises(MissingAnswer) as missing:
            await enter(desk.tools(url=other))
        assert missing.value.code == "missing-sign-in"
    assert desk.connected == []


async def test_a_sign_in_that_the_house_gives_no_rights_is_not_kept(desk: Desk) -> None:
    desk.house.owner.is_admin = False
    await enter(desk.tools(Scripted({"sign-in": "token", "token": "typed.by.hand"}), url=HOME))
    assert desk.kept() == []


# ---------------------------------------------------------------------------------------------------------- where SSH is


async def test_in_the_cloud_ssh_is_looked_for_at_the_houses_own_address(desk: Desk) -> None:
    desk.house.address = "192.168.7.7"
    entered = await enter(desk.tools(url=CLOUD, token=TOKEN))
    assert entered.ssh_host == "192.168.7.7"
    assert any("carries HTTPS only" in said and "192.168.7.7" in said for said in desk.show.said)
    assert (await enter(desk.tools(url=CLOUD, token=TOKEN, ssh_host="10.0.0.1"))).ssh_host == "10.0.0.1"
    desk.memory.remember(name="home", url=CLOUD, ssh_host="10.0.0.2")
    assert (await enter(desk.tools(token=TOKEN))).ssh_host == "10.0.0.2"


@pytest.mark.parametrize(
    ("url", "host"),
    [(HOME, "192.168.1.20"), ("http://[fd00::5]:8123", "fd00::5"), ("http://[fe80::1%25eth0]:8123", "fe80::1%eth0")],
)
async def test_elsewhere_ssh_is_at_the_host_of_the_address(desk: Desk, url: str, host: str) -> None:
    assert (await enter(desk.tools(url=url, token=TOKEN))).ssh_host == host


def interface(*v4: str, v6: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"connected": True, "primary": False, "ipv4": {"address": v4}, "ipv6": {"address": v6}, **more}


@pytest.mark.parametrize(
    ("interfaces", "address"),
    [
        ([interface("10.0.0.5/8"), interface("192.168.1.2/24", primary=True)], "192.168.1.2"),
        ([interface("192.168.1.2/24", primary=True, connected=False), interface("10.0.0.5/8")], "10.0.0.5"),
        ([interface("169.254.3.4/16", v6=("fe80::1/64", "fd00::9/64"), primary=True)], "fd00::9"),
        ([interface(), {"ipv4": None}], None),
        (None, None),
        ("eth0", None),
        ([None, "eth0", {"ipv4": "x", "ipv6": {"address": "fd00::9/64"}}, {"ipv4": {"address": [None, 3]}}], None),
    ],
)
def test_the_houses_own_address_is_the_one_of_its_primary_interface(interfaces: Any, address: str | None) -> None:
    assert lan_address({"interfaces": interfaces}) == address


async def test_a_house_in_the_cloud_that_names_no_address_needs_one_from_the_person(desk: Desk) -> None:
    desk.home = Nowhere
    with pytest.raises(HaSshError) as wrong:
        await enter(desk.tools(url=CLOUD, token=TOKEN))
    assert (wrong.value.code, wrong.value.hints) == ("no-lan-address", ("say where SSH is: `--ssh-host HOST`",))


# ----------------------------------------------------------------------------------------------------- the same machine?


async def test_another_machine_stops_whoever_may_change_something_and_lets_others_look(desk: Desk) -> None:
    desk.memory.remember(name="home", url=HOME, machine_id="before")
    with pytest.raises(HaSshError) as stopped:
        await enter(desk.tools(token=TOKEN))
    assert stopped.value.code == "another-house"
    looked = await enter(desk.tools(token=TOKEN), only_looks=True)
    assert looked.target(desk.tools()).machine_id == "before"
    desk.memory.remember(name="home", url=HOME, machine_id=desk.house.machine_id)
    assert (await enter(desk.tools(token=TOKEN))).name == "home"
