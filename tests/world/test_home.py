"""The real home waits in the right places, and stands on real files, keys and logins."""

import asyncio
from dataclasses import dataclass, field

import pytest
from real_sshd import ME, sshd

from ha_ssh.core.errors import HaSshError, Refused, Unreachable
from ha_ssh.core.model import CoreState, KeyKind, SshTrouble
from ha_ssh.core.secret import Secret
from ha_ssh.world.clock import SystemClock
from ha_ssh.world.home import RealHome
from ha_ssh.world.houses import included_file, locations
from ha_ssh.world.vault import Vault


@dataclass
class SwiftClock:
    """A clock on which waiting takes no time; it notes every pause."""

    time: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def date(self) -> str:
        return "2026-11-23T00:00:00Z"

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class StoppedClock(SwiftClock):
    """A clock on which no pause ever ends by itself."""

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.Event().wait()


class Passage:
    """A route that answers what it is told to."""

    url = "https://house.example"
    channel = "https"

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.listeners: list[object] = []

    async def core(self) -> CoreState:
        return CoreState(url=self.url, version="1", is_admin=True)

    async def get(self, endpoint):
        return {"from": endpoint}

    async def post(self, endpoint, data=None, *, limit=None, on_progress=None):
        self.asked.append(endpoint)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def log(self, slug):
        return f"log of {slug}"

    async def on_event(self, callback):
        self.listeners.append(callback)
        return lambda: None

    async def close(self):
        self.asked.append("close")


def home(tmp_path, route=None, clock=None) -> RealHome:
    there = locations(str(tmp_path / "profile"))
    return RealHome(route, there.places, Vault(there.secrets, keyring=False, warn=str), clock or SystemClock())


BUSY = Refused("busy", "another job is running", passing=True)


@pytest.mark.parametrize("said", [None, [], "text", 3])
async def test_an_answer_that_is_no_object_is_named(tmp_path, said):
    route = Passage()

    async def get(_endpoint):
        return said

    route.get = get
    with pytest.raises(HaSshError) as caught:
        await home(tmp_path, route).supervisor("/info")
    assert caught.value.code == "not-understood"
    assert "/info" in caught.value.message


async def test_a_refusal_that_passes_is_waited_out_and_told(tmp_path):
    told = []
    clock = SwiftClock()
    route = Passage(BUSY, BUSY, {"done": True})
    at = home(tmp_path, route, clock)
    assert await at.call("/x", on_progress=lambda *what: told.append(what)) == {"done": True}
    assert route.asked == ["/x"] * 3
    assert told == [(None, "waiting: another job is running")] * 2
    assert clock.pauses == sorted(clock.pauses)


async def test_a_refusal_that_does_not_pass_in_a_minute_is_raised(tmp_path):
    clock = SwiftClock()
    with pytest.raises(Refused) as caught:
        await home(tmp_path, Passage(*[BUSY] * 100), clock).call("/x")
    assert caught.value is BUSY
    assert clock.time == pytest.approx(60)
    assert max(clock.pauses) == 2.0


async def test_a_refusal_for_good_is_raised_at_once(tmp_path):
    no = Refused("no", "no")
    route = Passage(no)
    with pytest.raises(Refused) as caught:
        await home(tmp_path, route, StoppedClock()).call("/x")
    assert caught.value is no
    assert route.asked == ["/x"]


async def test_until_looks_with_growing_pauses_and_gives_up(tmp_path):
    clock, looks = SwiftClock(), []

    async def look():
        looks.append(clock.now())

    assert await home(tmp_path, Passage(), clock).until("nothing", look, limit=10) is None
    assert looks[0] == 0.0
    assert looks[-1] == pytest.approx(10)
    assert clock.pauses[:-1] == sorted(clock.pauses[:-1])
    assert clock.pauses[0] == 0.05
    assert max(clock.pauses) == 2.0


async def test_until_waits_for_a_house_that_is_away_and_not_for_what_will_not_pass(tmp_path):
    for passing, looked in ((True, 5), (False, 1)):
        looks = []

        async def look(passing=passing, looks=looks):
            looks.append(None)
            if len(looks) < 5:
                raise Unreachable("somehow", "no", passing=passing)
            return True

        at = home(tmp_path, Passage(), SwiftClock())
        if passing:
            assert await at.until("the log", look, limit=30)
        else:
            with pytest.raises(Unreachable):
                await at.until("the log", look, limit=30)
        assert len(looks) == looked


async def test_until_is_cut_short_by_an_event(tmp_path):
    route, state = Passage(), {"ready": False}
    at = home(tmp_path, route, StoppedClock())

    async def look():
        if state["ready"]:
            return "ready"
        state["ready"] = True
        route.listeners[0]({"event": "addon"})
        return None

    assert await at.until("it", look, limit=10) == "ready"
    assert await at.until("it", look, limit=10) == "ready"
    assert len(route.listeners) == 1


async def test_a_house_that_gives_no_events_is_looked_at_all_the_same(tmp_path):
    class Deaf(Passage):
        async def on_event(self, callback):
            raise HaSshError("dropped", "broke off")

    async def look():
        return "seen"

    assert await home(tmp_path, Deaf(), SwiftClock()).until("it", look, limit=1) == "seen"


async def test_without_a_route_only_the_api_is_missing(tmp_path):
    at = home(tmp_path)
    for ask in (at.core, lambda: at.supervisor("/info"), lambda: at.log("x"), lambda: at.call("/x")):
        with pytest.raises(HaSshError) as caught:
            await ask()
        assert caught.value.code == "no-api"
    with pytest.raises(HaSshError):
        at.channel  # noqa: B018 - a property that raises
    assert (await at.file(str(tmp_path / "no"))).exists is False
    await at.close()


async def test_the_route_answers_for_the_house(tmp_path):
    route = Passage()
    at = home(tmp_path, route)
    assert (await at.core()).version == "1"
    assert await at.supervisor("/info") == {"from": "/info"}
    assert await at.log("core_ssh") == "log of core_ssh"
    assert at.channel == "https"
    await at.close()
    assert route.asked == ["close"]


async def test_files_of_the_user(tmp_path):
    at = home(tmp_path)
    places = locations(str(tmp_path / "profile")).places
    path = included_file(places, "home")
    await at.write(path, "Host ha\n")
    assert (await at.file(path)).text == "Host ha\n"
    assert await at.folder(places.include_dir) == ("home.conf",)
    await at.set_mode(path, 0o644)
    assert (await at.file(path)).mode == 0o644
    await at.delete(path)
    await at.delete(path)
    assert not (await at.file(places.include_dir)).exists
    assert (await at.file(places.ssh_dir)).kind == "folder"


async def test_a_key_of_ours_opens_a_real_door_by_both_clients(tmp_path):
    at = home(tmp_path)
    places = locations(str(tmp_path / "profile")).places
    ref = await at.keep("home/passphrase", Secret("correct horse"))
    assert await at.recall(ref) == Secret("correct horse")
    identity = f"{places.ssh_dir}/ha"
    made = await at.make_key(identity, KeyKind.ED25519, ref, "me@here")
    assert (await at.key(identity, None)).problem == "locked"
    assert (await at.key(identity, ref)).public == made
    assert (await at.ssh_version() or "").startswith("OpenSSH")
    async with sshd(tmp_path / "sshd") as server:
        server.authorise(made)
        assert (await at.knock("127.0.0.1", server.port)).startswith("SSH-2.0-")
        async with at.session("127.0.0.1", server.port, ME, identity, ref) as session:
            assert (await session.run("true")).code == 0
            await at.write(places.known_hosts, "".join(f"house {key}\n" for key in session.host_keys))
        block = f"Host ha\n HostName 127.0.0.1\n Port {server.port}\n User {ME}\n IdentityFile {identity}\n HostKeyAlias house\n"
        await at.write(places.config, block)
        assert (await at.resolve_alias("ha"))["port"] == (str(server.port),)
        login = await at.own_login("ha", ref)
        assert (login.code, login.err) == (0, "")
        with pytest.raises(SshTrouble):
            async with at.session("127.0.0.1", server.port, "nobody", identity, ref):
                pytest.fail("got in")


async def test_a_key_is_made_to_its_end_before_an_interruption_counts(tmp_path):
    path = tmp_path / "id_new"
    making = asyncio.ensure_future(home(tmp_path).make_key(str(path), KeyKind.RSA_4096, None, "me"))
    for _ in range(3):
        await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert path.exists()
