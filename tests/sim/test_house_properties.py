"""Whatever is asked of the house in whatever order: it answers or refuses, and stays one house."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ha_ssh.sim.house import Dropped, Fault, House, Knobs, Refusal
from ha_ssh.sim.keys import KeyPool, MadeUpKeys

KEYS = KeyPool(MadeUpKeys())
LINES = [MadeUpKeys().make(kind).public for kind in ("ed25519", "ecdsa", "ed25519")]
SLUGS = st.sampled_from(("core_ssh", "a0d7b954_ssh", "no_such"))

VERBS = (
    "info",
    "options",
    "options/validate",
    "start",
    "stop",
    "restart",
    "uninstall",
    "security",
    "update",
    "stats",
    "logs",
    "nonsense",
)
PLAIN = st.sampled_from(
    (
        *(
            "/info",
            "/supervisor/info",
            "/core/info",
            "/os/info",
            "/host/info",
            "/network/info",
            "/addons",
            "/store",
            "/store/reload",
        ),
        *(
            "/store/repositories",
            "/jobs/info",
            "/resolution/info",
            "/security/info",
            "/available_updates",
            "/apps/core_ssh/info",
            "/v2",
            "",
        ),
    )
)
ENDPOINTS = st.one_of(
    PLAIN,
    st.builds("/addons/{}/{}".format, SLUGS, st.sampled_from(VERBS)),
    st.builds("/store/addons/{}/{}".format, SLUGS, st.sampled_from(("install", "update", "nonsense"))),
    st.builds("/store/addons/{}".format, SLUGS),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
LOGIN = st.fixed_dictionaries(
    {"authorized_keys": st.lists(st.sampled_from((*LINES, "garbage")), max_size=3), "password": st.sampled_from(("", "pw"))}
)
OFFICIAL = LOGIN.map(lambda login: {**login, "apks": [], "server": {"tcp_forwarding": False}})
FLAGS = ("sftp", "compatibility_mode", "allow_agent_forwarding", "allow_remote_port_forwarding", "allow_tcp_forwarding")
COMMUNITY = st.builds(
    lambda login, user, sftp: {
        "ssh": {**login, "username": user, **dict.fromkeys(FLAGS, False), "sftp": sftp},
        "zsh": True,
        "share_sessions": False,
        "packages": [],
        "init_commands": [],
    },
    LOGIN,
    st.sampled_from(("root", "hassio", "Anna", "")),
    st.booleans(),
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "options": st.one_of(OFFICIAL, COMMUNITY, JSON),
        "network": st.one_of(
            st.none(), st.builds(lambda port: {"22/tcp": port}, st.sampled_from((None, 22, 2222, 8123, 70000))), JSON
        ),
        "boot": st.sampled_from(("auto", "manual", "x")),
        "watchdog": st.booleans() | st.none(),
    },
)
CALLS = st.lists(
    st.tuples(st.sampled_from(("GET", "POST")), ENDPOINTS, st.one_of(st.none(), SETTINGS, OFFICIAL, JSON), st.booleans()),
    max_size=25,
)
FAULTS = st.lists(
    st.builds(
        Fault,
        st.sampled_from(("POST", "GET", "/options", "/start", "/install")),
        nth=st.integers(1, 4),
        when=st.sampled_from(("unreachable", "before", "after", "later", "timeout", "refuse")),
    ),
    max_size=2,
)
KNOBS = st.builds(
    Knobs,
    install_seconds=st.sampled_from((0.0, 20.0)),
    supervisor_state=st.sampled_from(("running", "running", "running", "freeze", "setup")),
    port_taken=st.sets(st.sampled_from((22, 2222)), max_size=1),
    old_supervisor=st.booleans(),
    offline=st.booleans(),
    faults=FAULTS,
)


def check_sense(house: House) -> None:
    """What holds of every house at every moment."""
    listening = [port for slug in house.apps if (port := house.serving(slug)) is not None]
    assert len(listening) == len(set(listening))
    for slug, app in house.apps.items():
        assert (app.running is not None) == (app.state == "started")
        assert app.installed or (app.state == "unknown" and app.running is None and not app.options)
        if app.sshd is None:
            assert house.admitted(slug) == frozenset()
        for line in LINES:
            admits = house.serving(slug) is not None and app.sshd is not None and house.admits(slug, app.sshd.user, key_line=line)
            assert admits == any(credential.endswith(f" key {line}") for credential in house.admitted(slug))
    assert house.app("core_mosquitto").state == "started"
    json.dumps(house.snapshot())


@settings(max_examples=150, deadline=None)
@given(calls=CALLS, knobs=KNOBS)
def test_any_sequence_of_requests(calls: list[tuple[str, str, Any, bool]], knobs: Knobs) -> None:
    house = House(keys=KEYS, knobs=knobs)
    knobs.supervisor_state, wanted = "running", knobs.supervisor_state
    for slug in ("core_ssh", "a0d7b954_ssh"):
        house.install_now(slug)
    knobs.supervisor_state = wanted

    async def run() -> None:
        for method, endpoint, data, admin in calls:
            before = house.snapshot()
            try:
                json.dumps(await house.request(method, endpoint, data, admin=admin))
            except Refusal as refusal:
                unchanged = not refusal.message or "Cannot start" in refusal.message
                assert unchanged or house.snapshot() == before
            except Dropped:
                pass
            if method == "GET" or not admin:
                assert house.snapshot() == before
            check_sense(house)
        house.settle()
        check_sense(house)

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(calls=CALLS)
def test_requests_at_the_same_time(calls: list[tuple[str, str, Any, bool]]) -> None:
    house = House(keys=KEYS, knobs=Knobs(install_seconds=8, start_seconds=2, restart_seconds=3, stop_seconds=1))

    async def run() -> None:
        ends = await asyncio.gather(*(house.request(m, e, d, admin=a) for m, e, d, a in calls), return_exceptions=True)
        assert all(not isinstance(end, BaseException) or isinstance(end, Refusal) for end in ends), ends
        house.settle()
        assert house.jobs == []
        check_sense(house)

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(options=st.one_of(OFFICIAL, COMMUNITY, JSON), slug=st.sampled_from(("core_ssh", "a0d7b954_ssh")))
def test_what_is_saved_is_what_validates(options: Any, slug: str) -> None:
    house = House(keys=KEYS)
    house.install_now(slug)

    async def run() -> None:
        verdict = await house.request("POST", f"/addons/{slug}/options/validate", options)
        try:
            await house.request("POST", f"/addons/{slug}/options", {"options": options})
            saved = True
        except Refusal as refusal:
            saved = False
            assert verdict["message"] in refusal.message
        # Saving nothing resets; validating nothing is a complaint.
        assert saved == (verdict["valid"] or options is None)

    asyncio.run(run())
