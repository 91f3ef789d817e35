"""The house's side of the doctor: every fault is named with its evidence, nothing else is blamed, and its cure cures."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from checks.scenes import BAD, EVERY, Scene, bad, break_by, diagnose, healthy, repair, scenes_of
from ha_ssh import engine
from ha_ssh.checks.app_installed import InstallApp
from ha_ssh.core import planner
from ha_ssh.core.errors import HaSshError
from ha_ssh.core.facts import AppLog, Core, Doors, Supervisor
from ha_ssh.core.house_facts import Disk, Jobs
from ha_ssh.core.left_out import LEFT_OUT
from ha_ssh.core.model import HOUSE_SLOW, Consent, Edit, EditOp, Level, NotKnown
from laws.worlds import FLAVOURS, World, in_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ha_ssh.core.model import Finding, Verdict

OURS = (
    "app-attached", "app-image", "app-installed", "app-running", "app-starts", "app-version", "boots-with-house", "debug-off",
    "disk-sound", "house-answers", "house-online", "key-authorised", "key-entries", "leaks-consulted", "login-name",
    "no-private-key", "own-address", "password-as-wanted", "password-not-leaked", "port-free", "port-published",
    "protection-fits", "room-on-disk", "settings-live", "signed-in-admin", "supervisor-current", "supervisor-healthy",
    "supervisor-idle", "supervisor-ready",
)  # fmt: skip
"""The checks that judge by the API, by what it says of the app, and by the app's log."""

TERMINAL, ADVANCED = "core_ssh", "a0d7b954_ssh"
UNHEALED = {"img-pull": "registry-limit", "starts-no-log": "app-failed"}
"""What is tried to be mended and stays, with the error that then says so."""
ALL_GONE = {"house-answers", "signed-in-admin", "supervisor-ready"}
"""The checks without which nothing of the app can be seen."""


def roots(findings: Sequence[Finding]) -> list[str]:
    return [finding.id for finding in bad(tuple(findings)) if finding.because is None]


def said(world: World, check: str) -> Verdict:
    return next(finding.verdict for finding in diagnose(world) if finding.id == check)


def scene(failure: str) -> Scene:
    return next(Scene(check, failure) for check in EVERY if failure in check.faults)


def broken(slug: str, *failures: str) -> World:
    """A healthy house after these faults."""
    world = healthy(slug)
    for failure in failures:
        break_by(world, scene(failure))
    return world


FAULTS = [case for case in scenes_of(*OURS) if case.values[0].failure]


# ------------------------------------------------------------------------------------------------------- one at a time


@pytest.mark.parametrize(("one", "slug"), FAULTS)
def test_a_fault_is_named_with_its_evidence_and_nothing_else_is_blamed(one: Scene, slug: str) -> None:
    world = healthy(slug)
    break_by(world, one)
    findings = diagnose(world)
    verdict = next(finding.verdict for finding in findings if finding.id == one.check.id)
    assert verdict.failure == one.failure
    assert verdict.why
    assert any(verdict.evidence)
    assert roots(findings) == ([one.check.id] if verdict.level in BAD else [])


@pytest.mark.parametrize(("one", "slug"), FAULTS)
def test_a_fault_is_cured_or_explained_and_stays_so(one: Scene, slug: str) -> None:
    world = healthy(slug)
    break_by(world, one)
    verdict, before = said(world, one.check.id), world.snapshot()
    done = repair(world)
    if one.failure in UNHEALED:
        assert isinstance(done.error, HaSshError)
        assert done.error.code == UNHEALED[one.failure]
        return
    assert done.error is None
    if verdict.fix is None or verdict.fix.consent is Consent.TELL:
        assert verdict.level is Level.NOTE or (verdict.fix and verdict.fix.instructions)
        assert not done.steps
        assert world.snapshot() == before
        assert said(world, one.check.id) == verdict
    elif verdict.fix.offered:
        assert not done.steps, "an offer is made by nobody's leave but a person's"
        taken = repair(world, take=True)
        assert taken.changed
        assert not roots(taken.findings), [(f.id, f.verdict.says) for f in bad(taken.findings)]
        done = repair(world)
        assert said(world, one.check.id) != verdict
    else:
        assert not roots(done.findings), [(f.id, f.verdict.says) for f in bad(done.findings)]
    again = repair(world)
    assert not again.steps
    assert [(f.id, f.level, f.verdict.failure) for f in again.findings] == [
        (f.id, f.level, f.verdict.failure) for f in done.findings
    ]


# ------------------------------------------------------------------------------------------------------------ in pairs


def pairs() -> list[Any]:
    """Each fault with three others, by fixed strides, where an app can have both."""
    found = []
    for slug, flavour in sorted(FLAVOURS.items()):
        mine = [case.values[0] for case in FAULTS if case.values[1] == slug and case.values[0].check.id not in ALL_GONE]
        for at, first in enumerate(mine):
            for stride in (1, 7, 17):
                second = mine[(at + stride) % len(mine)]
                if first.check.id != second.check.id and at + stride < len(mine):
                    found.append(pytest.param(slug, first, second, id=f"{first.name}+{second.name}-{flavour.short}"))
    return found


SEEN_AT_THE_START = {"init-cmd", "pkg-fail", "port-busy", "restored", "sftp-needs-root", "starts-no-log", "user-taken"}
"""What only a start that comes so far can show: the first of two that meets the app ends it."""


def cannot_be_seen(world: World, one: Scene, findings: Sequence[Finding]) -> bool:
    """Whether the other fault has taken away what this one shows itself by: the app, its start, or the session."""
    app = world.house.app(world.slug)
    if one.failure == "not-restarted":
        return next(finding for finding in findings if finding.id == "login-works").level is not Level.OK
    return not app.installed or (one.failure in SEEN_AT_THE_START and (app.state == "error" or app.port is None))


@pytest.mark.parametrize(("slug", "first", "second"), pairs())
def test_of_two_faults_neither_is_hidden_and_nothing_else_is_blamed(slug: str, first: Scene, second: Scene) -> None:
    world = healthy(slug)
    for one in sorted((first, second), key=lambda one: one.failure == "not-restarted"):
        break_by(world, one)
    findings = diagnose(world)
    both = {first.check.id, second.check.id}
    assert set(roots(findings)) <= both, [(f.id, f.verdict.says) for f in bad(findings) if f.because is None]
    for one in (first, second):
        found = next(finding for finding in findings if finding.id == one.check.id)
        assert found.verdict.failure == one.failure or found.because in both or cannot_be_seen(world, one, findings), found


# ------------------------------------------------------------------------------------------------- the way to the house


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        *((code, "tls-verify") for code in ("tls-self-signed", "tls-unknown-issuer", "tls-name-mismatch", "tls-expired")),
        *(("untrusted-proxy", "revproxy"), ("no-websocket", "revproxy"), ("ip-banned", "ip-banned")),
        *(("token-refused", "auth-invalid"), ("signed-out", "auth-invalid"), ("timed-out", "house-silent")),
        *(("not-resolvable", ""), ("not-home-assistant", ""), ("connection-refused", "")),
    ],
)
def test_each_reason_why_the_house_does_not_let_us_in_is_told_apart(code: str, failure: str) -> None:
    world = healthy(TERMINAL)
    facts = in_loop(world.look()).without(Core, NotKnown("its words", code, hints=("its way out",)))
    verdict = planner.judge(next(check for check in EVERY if check.id == "house-answers"), world.want, facts)
    assert (verdict.level, verdict.failure) == (Level.WRONG, failure)
    assert code in " ".join(verdict.evidence)
    assert verdict.fix is not None
    assert verdict.fix.instructions == ("its way out",)


@pytest.mark.parametrize(
    "code",
    ["tls-failed", "tls-too-old", "tls-refused", "client-certificate", "captive-portal", "front-error", "refused-by-either"],
)
def test_nobody_is_sent_after_a_certificate_that_was_never_seen(code: str) -> None:
    verdict = house_answers(NotKnown("its words", code, hints=("its way out",), evidence=("what was seen",)))
    assert verdict.failure == ""
    assert verdict.evidence == ("what was seen",)
    assert verdict.fix is not None
    assert "certificate that can be trusted" not in verdict.fix.does
    assert verdict.fix.does != "make it reachable"


def house_answers(core: Any) -> Verdict:
    """The verdict on the way to the house, with Core seen like this."""
    world = healthy(TERMINAL)
    facts = in_loop(world.look())
    facts = facts.without(Core, core) if isinstance(core, NotKnown) else facts.with_(core)
    return planner.judge(next(check for check in EVERY if check.id == "house-answers"), world.want, facts)


def with_core(code: str) -> tuple[Finding, ...]:
    """All findings where Core cannot be looked at."""
    world = healthy(TERMINAL)
    world.house.knobs.front = code
    return diagnose(world)


@pytest.mark.parametrize("code", ["no-answer", "took-too-long", "not-ready", "no-reason", "house-slow", "not-understood"])
def test_a_core_that_cannot_be_asked_is_one_root(code: str) -> None:
    assert roots(with_core(code)) == ["house-answers"]


@pytest.mark.parametrize(("mode", "level"), [("recovery", Level.WARN), ("safe", Level.NOTE)])
def test_a_core_in_a_mode_of_its_own_is_named(mode: str, level: Level) -> None:
    world = healthy(TERMINAL)
    core = in_loop(world.look())[Core]
    verdict = house_answers(replace(core, state=replace(core.state, mode=mode)))
    assert verdict.level is level
    assert f"{mode} mode" in verdict.says
    assert verdict.evidence == (f"get_config: {mode}_mode is true",)


def test_a_house_that_is_too_slow_for_some_looks_is_one_root() -> None:
    world = healthy(TERMINAL)
    slow = NotKnown("Home Assistant answers slowly: 3 answers came", HOUSE_SLOW, evidence=("3 answers",))
    facts = in_loop(world.look())
    for kind in (Disk, Jobs, AppLog):
        facts = facts.without(kind, slow)
    findings = planner.diagnose(world.want, facts, EVERY)
    assert roots(findings) == ["house-answers"]
    verdict = next(one.verdict for one in findings if one.id == "house-answers")
    assert verdict.level is Level.UNKNOWN
    assert "too slow" in verdict.says
    assert verdict.evidence == ("3 answers",)


def test_a_supervisor_that_could_not_be_asked_is_not_called_slow() -> None:
    world = healthy(TERMINAL)
    facts = in_loop(world.look()).without(Supervisor, NotKnown("no reason", "no-reason", evidence=("after 0.0 s",)))
    verdict = planner.judge(next(check for check in EVERY if check.id == "supervisor-ready"), world.want, facts)
    assert (verdict.level, verdict.failure) == (Level.WRONG, "")
    assert "in time" not in verdict.says
    assert verdict.evidence == ("after 0.0 s",)


def test_a_supervisor_that_falls_silent_is_one_root() -> None:
    world = healthy(TERMINAL)
    facts = in_loop(world.look())
    for kind in (Disk, Jobs):
        facts = facts.without(kind, NotKnown("looking took longer than 10 s", "took-too-long"))
    findings = planner.diagnose(world.want, facts, EVERY)
    assert roots(findings) == ["supervisor-ready"]
    verdict = next(one.verdict for one in findings if one.id == "supervisor-ready")
    assert verdict.failure == "ws-timeout"
    assert any("`/host/info`, `/jobs/info`" in seen for seen in verdict.evidence)


def test_an_empty_log_of_an_app_that_runs_is_not_known() -> None:
    world = healthy(TERMINAL)
    world.computer.put(world.computer.places.known_hosts, "")

    async def nothing(_slug: str) -> str:
        return "\n"

    home = world.home()
    home.log = nothing  # type: ignore[method-assign] # a log that says nothing
    facts = in_loop(engine.look(home, world.target, home.journal, EVERY))
    log = facts.get(AppLog)
    assert isinstance(log, NotKnown)
    assert log.code == "log-empty"
    assert log.evidence
    [door] = facts[Doors].by_slug.values()
    assert door.proof is None
    assert "says nothing at all" in door.unproven


def test_a_local_name_that_is_not_known_is_a_matter_of_mdns() -> None:
    world = healthy(TERMINAL)
    facts = in_loop(world.look()).without(Core, NotKnown("not known", "not-resolvable"))
    facts.target = replace(facts.target, url="http://homeassistant.local:8123")
    check = next(check for check in EVERY if check.id == "house-answers")
    assert planner.judge(check, world.want, facts).failure == "mdns"


def test_a_supervisor_that_says_less_is_no_fault() -> None:
    world = healthy(ADVANCED)
    for endpoint in ("resolution/info", "host/info", "network/info", "jobs/info"):
        world.house.knobs.refuse.append((f"GET /{endpoint}", "404: Not Found"))
    assert not roots(diagnose(world))


def test_a_look_that_fails_leaves_the_others_alone() -> None:
    world = healthy(ADVANCED)
    world.house.knobs.refuse.append(("GET /(jobs|network)/info", "something went wrong"))
    assert {finding.id: finding.level for finding in bad(diagnose(world))} == {
        "house-online": Level.UNKNOWN,
        "own-address": Level.UNKNOWN,
        "supervisor-idle": Level.UNKNOWN,
    }


# ---------------------------------------------------------------------------------------- what hinders an installation


@pytest.mark.parametrize("failure", ["unhealthy", "no-space", "no-internet"])
def test_what_hinders_an_installation_is_the_root_where_the_app_is_to_be_installed(failure: str) -> None:
    world = broken(TERMINAL, failure)
    world.house.uninstall_now(TERMINAL)
    findings = diagnose(world)
    assert roots(findings) == [scene(failure).check.id]
    assert next(one for one in findings if one.id == "app-installed").because == scene(failure).check.id
    assert not repair(world).steps


def test_an_outdated_supervisor_is_updated_before_the_app_is_installed() -> None:
    world = broken(TERMINAL, "sup-outdated")
    world.house.uninstall_now(TERMINAL)
    assert roots(diagnose(world)) == ["supervisor-current"]
    done = repair(world)
    assert [step.id for step in done.steps[:2]] == ["update-supervisor", "install-app"]
    assert not roots(done.findings)


def test_a_store_that_stays_empty_ends_the_run_and_leaves_nothing() -> None:
    world = healthy(TERMINAL)
    world.house.uninstall_now(TERMINAL)
    world.house.knobs.store_empty = True
    before = world.snapshot()
    assert said(world, "app-installed").failure == "store-empty"
    done = repair(world)
    assert isinstance(done.error, HaSshError)
    assert done.error.code == "not-in-store"
    assert world.snapshot() == before


def test_an_app_that_is_not_available_for_an_unknown_reason_is_not_explained_by_a_guess() -> None:
    world = healthy(TERMINAL)
    world.house.uninstall_now(TERMINAL)
    world.house.app(TERMINAL).available = False
    verdict = said(world, "app-installed")
    assert (verdict.level, verdict.failure) == (Level.WRONG, "")
    assert "does not tell why" in verdict.why


# ----------------------------------------------------------------------------------------------------------- the port


def test_a_taken_port_is_known_by_the_issue_by_the_log_and_by_who_has_it() -> None:
    official, community = broken(TERMINAL, "port-busy"), broken(ADVANCED, "port-busy")
    assert any("app_port_conflict" in line for line in said(official, "port-free").evidence)
    assert any("Bind to port 2222" in line for line in said(community, "port-free").evidence)


def test_another_app_that_has_the_port_is_named() -> None:
    world = healthy(ADVANCED)
    world.house.stop_now(ADVANCED)
    world.house.app("core_mosquitto").network = {"1883/tcp": 2222}
    world.house.restart_now("core_mosquitto")
    world.house.start_now(ADVANCED)
    world.house.settle()
    verdict = said(world, "port-free")
    assert "Mosquitto broker" in verdict.says
    assert len(verdict.evidence) == 2, "who has it, and the app's own words"


@pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])
def test_where_no_port_is_wanted_a_free_one_is_taken(slug: str) -> None:
    world = broken(slug, "port-busy")
    world.want = replace(world.want, port=None)
    done = repair(world)
    assert not roots(done.findings)
    assert world.house.app(slug).port == 22022


def test_a_start_that_failed_on_another_port_says_nothing_of_this_one() -> None:
    world = broken(ADVANCED, "port-busy")
    world.house.app(ADVANCED).network = {"22/tcp": 2300}
    world.want = replace(world.want, port=2300)
    assert said(world, "port-free").level is Level.OK
    assert not roots(repair(world).findings)


# ----------------------------------------------------------------------------------------------------------- the keys


def shapes(key: str) -> dict[str, str]:
    """Our key in every shape that people have put into the settings, and that the server refuses."""
    kind, blob, comment = key.split(" ", 2)
    pem = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + base64.b64decode(blob)[-32:]).decode()
    return {
        "quotes": f'"{key}"',
        "typographic quotes": f"“{key}”",
        "wrapped": f"{kind} {blob[:40]}\n{blob[40:]} {comment}",
        "split by a blank": f"{kind} {blob[:40]} {blob[40:]}",
        "type and key apart": f"{kind}\n{blob} {comment}",
        "no type": f"{blob} {comment}",
        "dash": f"- {key}",
        "bracket": f"[{key}]",
        "byte order mark": f"\ufeff{key}",
        "no-break space": f"{kind}\u00a0{blob} {comment}",
        "PuTTY": f'---- BEGIN SSH2 PUBLIC KEY ----\nComment: "x"\n{blob}\n---- END SSH2 PUBLIC KEY ----',
        "PEM": f"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----",
    }


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJo2lzWTeY4FMnzki8jcUD/1XygggJYb8AXk2CgvPT6j me@laptop"


@pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])
@pytest.mark.parametrize("shape", shapes(KEY))
def test_our_key_in_a_shape_that_the_server_refuses_is_written_as_one_line(shape: str, slug: str) -> None:
    world = healthy(slug)
    stage = world.stage()
    key = (world.computer.text(f"{world.want.identity}.pub") or "").strip()
    path = stage.flavour.add_key("x").path
    stage.save(Edit(path=path, op=EditOp.SET, value=[shapes(key)[shape]], title=shape))
    stage.restart()
    world.house.settle()
    findings = diagnose(world)
    assert roots(findings) == ["key-authorised"]
    verdict = next(finding.verdict for finding in findings if finding.id == "key-authorised")
    assert verdict.failure == ("pubkey-putty" if shape == "PuTTY" else "key-shape")
    done = repair(world)
    assert not roots(done.findings)
    entries = stage.flavour.read({"options": world.house.app(slug).options}).keys
    assert [entry.split()[:2] for entry in entries] == [key.split()[:2]]


@pytest.mark.parametrize("shape", [shape for shape in shapes(KEY) if shape != "PuTTY"])
def test_the_key_of_somebody_else_in_such_a_shape_is_mended_too(shape: str) -> None:
    world = healthy(ADVANCED)
    stage, theirs = world.stage(), f"{world.house.keys.make('ed25519').public} neighbour"
    path = stage.flavour.add_key("x").path
    stage.save(Edit(path=path, op=EditOp.ADD, value=shapes(theirs)[shape], title=shape))
    stage.restart()
    assert roots(diagnose(world)) == ["key-entries"]
    assert not roots(repair(world).findings)
    assert any(theirs.split()[1] in one for one in world.house.admitted(ADVANCED))


@pytest.mark.parametrize("entry", ["{}\r", "  {}", "{}\n", 'from="10.0.0.0/8" {}'])
def test_a_shape_that_the_server_takes_is_no_fault(entry: str) -> None:
    world = healthy(TERMINAL)
    stage = world.stage()
    path = stage.flavour.add_key("x").path
    stage.save(Edit(path=path, op=EditOp.ADD, value=entry.format(f"{world.house.keys.make('ed25519').public} x"), title="x"))
    stage.restart()
    assert said(world, "key-entries").level is Level.OK


def test_a_private_key_in_the_settings_is_told_and_never_shown_or_repaired() -> None:
    world = broken(TERMINAL, "priv-pasted")
    verdict = said(world, "no-private-key")
    assert "b3BlbnNzaC1rZXk" not in repr(verdict)
    assert verdict.evidence == ("settings: authorized_keys, entry 2",)
    before = world.snapshot()
    assert not repair(world).steps
    assert world.snapshot() == before


def test_without_a_known_key_the_log_tells_that_no_login_is_set() -> None:
    world = broken(TERMINAL, "no-creds")
    target = replace(world.target, identity=None)
    home = world.home()
    facts = in_loop(_look(home, target))
    findings = planner.diagnose(replace(world.want, identity=None, app=None), facts, EVERY)
    assert roots(findings) == ["app-running"]
    assert next(one for one in findings if one.id == "app-running").verdict.failure == "no-creds"


async def _look(home: Any, target: Any) -> Any:
    from ha_ssh import engine

    return await engine.look(home, target, home.journal, EVERY)


# -------------------------------------------------------------------------------------------------- the log, and saving


def test_a_reason_that_nobody_knows_is_shown_and_called_that() -> None:
    world = healthy(ADVANCED)
    app = world.house.app(ADVANCED)
    world.house.stop_now(ADVANCED)
    app.log += ["s6-rc: info: service s6rc-oneshot-runner: starting", "[12:00:00] FATAL: The moon is in the wrong house"]
    app.state = "error"
    verdict = said(world, "app-running")
    assert (verdict.level, verdict.failure) == (Level.WRONG, "")
    assert "not recognised" in verdict.says
    assert any("The moon is in the wrong house" in line for line in verdict.evidence)


def test_a_harmless_line_of_the_log_is_no_reason() -> None:
    world = healthy(ADVANCED)
    line = "Could not open user 'hassio' authorized keys '/root/.ssh/authorized_keys': Permission denied"
    world.house.app(ADVANCED).log.append(line)
    assert not roots(diagnose(world))


def test_settings_that_are_refused_are_put_back_with_the_reason() -> None:
    world = broken(TERMINAL, "key-shape")
    world.house.knobs.options_refused = "Invalid list for option 'authorized_keys' in Terminal & SSH (core_ssh)"
    before = world.snapshot()
    done = repair(world)
    assert isinstance(done.error, HaSshError)
    assert done.error.code == "invalid-options"
    assert world.snapshot() == before


def test_the_supervisors_log_is_evidence_where_the_app_says_nothing() -> None:
    world = broken(TERMINAL, "starts-no-log")
    assert any("exited with non-zero exit code 137" in line for line in said(world, "app-running").evidence)


# -------------------------------------------------------------------------------------------------------------- the names


def test_every_scene_has_a_name_of_its_own() -> None:
    names = [name for check in EVERY for name in (*([check.id] if check.break_it else []), *check.faults)]
    assert len(names) == len(set(names))
    assert all(name == name.lower() and " " not in name for name in names)


def test_what_is_left_out_is_recognised_nowhere() -> None:
    assert not LEFT_OUT.keys() & {failure for check in EVERY for failure in check.faults}


def test_what_can_befall_some_apps_only_can_befall_one() -> None:
    for check in EVERY:
        assert check.befalls.keys() <= check.faults.keys()
        assert all(any(fits(flavour) for flavour in FLAVOURS.values()) for fits in check.befalls.values())


# ------------------------------------------------------------------------------------------- what keeps an app installed


@pytest.mark.parametrize(
    ("entries", "stays"), [([], False), (["# emptied by ha-ssh"], False), (["ssh-ed25519 AAAA theirs"], True)]
)
def test_an_app_that_a_run_installed_stays_only_for_somebody_else(entries: list[str], stays: bool) -> None:
    world = World(slug=TERMINAL)
    world.house.install_now(TERMINAL)
    world.house.app(TERMINAL).options["authorized_keys"] = entries
    left = in_loop(InstallApp(slug=TERMINAL, name="Terminal & SSH").undo(world.home(), {"installed": False}))
    assert world.house.app(TERMINAL).installed is stays
    assert bool(left) is stays
