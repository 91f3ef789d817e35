"""A house that others have changed, or that says other things than expected: nothing is guessed, and nothing is taken back."""

from __future__ import annotations

import base64
import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from checks.scenes import EVERY, Scene, bad, break_by, diagnose, healthy, repair
from ha_ssh.core.model import Consent, Edit, EditOp, Level
from ha_ssh.sim.apps import KINDS
from ha_ssh.sim.house import App
from laws.worlds import FLAVOURS, World, in_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ha_ssh.core.model import Finding, Verdict


TERMINAL, ADVANCED = "core_ssh", "a0d7b954_ssh"
BOTH = pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])


def roots(findings: Sequence[Finding]) -> list[str]:
    return [finding.id for finding in bad(tuple(findings)) if finding.because is None]


def said(world: World, check: str) -> Verdict:
    return next(finding.verdict for finding in diagnose(world) if finding.id == check)


def words(verdict: Verdict) -> str:
    """Everything that a verdict says."""
    fix = verdict.fix
    return " ".join([verdict.says, verdict.why, *verdict.evidence, *((fix.does, *fix.instructions) if fix else ())])


def broken(slug: str, *failures: str) -> World:
    world = healthy(slug)
    for failure in failures:
        break_by(world, next(Scene(check, failure) for check in EVERY if failure in check.faults))
    return world


# ----------------------------------------------------------------------------------------------------- what is being done


def back_up(world: World, *, hours: float | None = 0.0, done: bool = False) -> None:
    """Let a backup be under way that has stopped the app."""
    world.house.stop_now(world.slug)
    created = None if hours is None else datetime.fromisoformat(world.house.clock.date()) - timedelta(hours=hours)
    part = {"name": "backup_app_save", "reference": world.slug, "done": done, "child_jobs": []}
    store = {"name": "backup_store_apps", "reference": "b4ckup", "done": False, "child_jobs": [part]}
    whole: dict[str, Any] = {"name": "backup_manager_full_backup", "reference": None, "done": False, "child_jobs": [store]}
    world.house.jobs.append({**whole, "created": created.isoformat() if created else None})


@BOTH
def test_an_app_is_not_started_in_the_middle_of_a_backup_that_has_stopped_it(slug: str) -> None:
    world = healthy(slug)
    back_up(world)
    verdict = said(world, "supervisor-idle")
    assert (verdict.level, verdict.failure) == (Level.WRONG, "job-busy")
    assert verdict.evidence == (f"/jobs/info: backup_app_save, {slug}, a part of backup_store_apps",)
    before = world.snapshot()
    assert not repair(world).steps
    assert world.snapshot() == before


def test_a_part_that_is_over_is_nothing_that_is_being_done() -> None:
    world = healthy(TERMINAL)
    back_up(world, done=True)
    assert said(world, "supervisor-idle").level is Level.OK


@pytest.mark.parametrize("hours", [None, 0.5, 5.0])
def test_a_job_of_some_hours_is_waited_for(hours: float | None) -> None:
    world = healthy(TERMINAL)
    back_up(world, hours=hours)
    assert said(world, "supervisor-idle").failure == "job-busy"


def test_a_job_of_a_day_hangs_and_is_not_waited_for() -> None:
    world = broken(TERMINAL, "job-hangs")
    verdict = said(world, "supervisor-idle")
    assert "30 hours" in verdict.says
    assert "a few minutes" not in words(verdict)
    assert "`ha supervisor restart`" in words(verdict)


def test_a_job_that_hangs_beside_an_app_that_runs_is_a_warning() -> None:
    world = broken(TERMINAL, "job-hangs")
    world.house.start_now(TERMINAL)
    assert said(world, "supervisor-idle").level is Level.WARN


# ------------------------------------------------------------------------------------------------------------- the port


@BOTH
@pytest.mark.parametrize("other", ["key-authorised", "no-creds", "watchdog"])
def test_nothing_that_starts_the_app_is_tried_while_its_port_is_taken(slug: str, other: str) -> None:
    world = broken(slug, "port-busy")
    break_by(world, next(Scene(check, other * (check.id != other)) for check in EVERY if other in {check.id, *check.faults}))
    before = world.snapshot()
    done = repair(world)
    assert (done.error, done.steps) == (None, [])
    assert world.snapshot() == before
    assert {"port-free", other if other != "no-creds" else "key-authorised"} <= {finding.id for finding in bad(done.findings)}
    moved = repair(world, take=True)
    assert moved.error is None
    assert not roots(moved.findings)


# ------------------------------------------------------------------------------------------- what the owner has changed


def as_remembered(world: World, **more: Any) -> World:
    """The same wishes, of which nobody has named any in this run."""
    world.want = replace(world.want, **more, remembered=frozenset({"app", "identity", "port", "username"}))
    return world


@BOTH
@pytest.mark.parametrize("restarted", [True, False])
def test_a_port_that_was_changed_in_the_house_stays_and_this_computer_follows(slug: str, restarted: bool) -> None:
    world = as_remembered(healthy(slug))
    stage = world.stage()
    stage.save(stage.flavour.set_port(2200))
    if restarted:
        stage.restart()
    verdict = said(world, "port-published")
    assert verdict.level is Level.NOTE
    assert verdict.fix is not None
    assert (verdict.fix.offered, verdict.fix.wants) == (True, {"port": 2200})
    assert "`ha-ssh setup --port 2222`" in words(verdict)
    done = repair(world)
    assert done.error is None
    assert not roots(done.findings)
    assert world.house.app(slug).port == 2200
    assert world.house.serving(slug) == 2200
    assert "Port 2200" in (world.computer.text(f"{world.computer.places.include_dir}/home.conf") or "")
    assert not repair(world).steps
    repair(world, take=True)
    assert world.want.port == 2200
    assert said(world, "port-published").level is Level.OK


@BOTH
def test_a_port_that_is_named_in_this_run_is_set_in_the_house(slug: str) -> None:
    world = healthy(slug)
    stage = world.stage()
    stage.save(stage.flavour.set_port(2200))
    stage.restart()
    assert not roots(repair(world).findings)
    assert world.house.serving(slug) == 2222


def test_a_login_name_that_was_changed_in_the_house_stays_and_this_computer_follows() -> None:
    world = World(slug=ADVANCED)
    world.want = replace(world.want, username="hassio")
    assert in_loop(world.setup()).error is None
    as_remembered(world)
    stage, edit = world.stage(), FLAVOURS[ADVANCED].set_username("root")
    assert edit is not None
    stage.save(edit)
    stage.restart()
    verdict = said(world, "login-name")
    assert (verdict.level, "`ha-ssh setup --username hassio`" in words(verdict)) == (Level.NOTE, True)
    done = repair(world)
    assert not roots(done.findings)
    assert world.house.app(ADVANCED).options["ssh"]["username"] == "root"
    assert "User root" in (world.computer.text(f"{world.computer.places.include_dir}/home.conf") or "")


# ------------------------------------------------------------------------------------------------------ other SSH apps


def test_an_owner_who_has_moved_to_the_other_app_gets_no_second_one() -> None:
    world = as_remembered(healthy(TERMINAL))
    world.house.uninstall_now(TERMINAL)
    world.house.install_now(ADVANCED)
    app = world.house.app(ADVANCED)
    app.network = {"22/tcp": 2222}
    app.options["ssh"]["authorized_keys"] = [f"{world.house.keys.make('ed25519').public} owner"]
    world.house.start_now(ADVANCED)
    verdict, before = said(world, "app-installed"), world.snapshot()
    assert "Advanced SSH & Web Terminal runs, on port 2222" in verdict.says
    assert "`ha-ssh setup --app advanced`" in words(verdict)
    assert "`ha-ssh setup --app terminal`" in words(verdict)
    assert not repair(world, take=True).steps
    assert world.snapshot() == before


def add_a_fork(world: World, *, port: int = 2222) -> None:
    """Let somebody's own SSH app run on a port."""
    kind = replace(KINDS[0], slug="local_ssh", name="My SSH", repository="local", start=None)
    world.house.apps["local_ssh"] = App(kind, version_latest="1.0.0")
    world.house.install_now("local_ssh")
    world.house.app("local_ssh").network = {"22/tcp": port}
    world.house.start_now("local_ssh")


@BOTH
def test_an_app_is_not_installed_where_an_unknown_ssh_app_has_its_port(slug: str) -> None:
    world = as_remembered(healthy(slug))
    world.house.uninstall_now(slug)
    add_a_fork(world)
    verdict, before = said(world, "app-installed"), world.snapshot()
    assert "port 2222, which it would get, is taken by My SSH (`local_ssh`)" in verdict.says
    assert "an SSH app that ha-ssh does not know" in verdict.says
    assert not repair(world).steps
    assert world.snapshot() == before
    done = repair(world, take=True)
    assert not roots(done.findings)
    assert world.house.serving(slug) == 22022


def test_an_unknown_ssh_app_on_another_port_is_named() -> None:
    world = healthy(TERMINAL)
    world.house.uninstall_now(TERMINAL)
    add_a_fork(world, port=2300)
    assert any("My SSH (`local_ssh`)" in line for line in said(world, "app-installed").evidence)
    assert not roots(repair(world).findings)


def test_an_unknown_ssh_app_that_has_the_port_of_an_app_that_is_down_is_named() -> None:
    world = healthy(TERMINAL)
    world.house.stop_now(TERMINAL)
    add_a_fork(world)
    assert "My SSH (`local_ssh`)" in said(world, "port-free").says


# ------------------------------------------------------------------------------------------------------------ the state


@BOTH
@pytest.mark.parametrize("state", ["unknown", "hibernating", ""])
def test_a_state_that_is_not_recognised_is_called_that_and_nothing_is_tried(slug: str, state: str) -> None:
    world = healthy(slug)
    world.house.app(slug).state = state
    findings, before = diagnose(world), world.snapshot()
    assert roots(findings) == ["app-running"]
    verdict = said(world, "app-running")
    assert (verdict.level, verdict.failure) == (Level.UNKNOWN, "")
    assert f"`{state or 'none given'}`, which is not recognised" in verdict.says
    assert verdict.evidence == (f"/addons/{slug}/info: state {state or 'none given'}",)
    assert not repair(world).steps
    assert world.snapshot() == before


# ------------------------------------------------------------------------------------------------------------- the keys


def keys_of(world: World) -> Any:
    path = FLAVOURS[world.slug].add_key("x").path
    node: Any = {"options": world.house.app(world.slug).options}
    for name in path:
        node = node[name]
    return node


def put_keys(world: World, value: Any) -> None:
    """Write this in the place of the keys, as it is, and restart the app."""
    stage = world.stage()
    stage.save(Edit(path=stage.flavour.add_key("x").path, op=EditOp.SET, value=value, title="other keys"))
    stage.restart()
    world.house.settle()


def our_line(world: World) -> str:
    return (world.computer.text(f"{world.want.identity}.pub") or "").strip()


def somebodys(world: World, name: str = "neighbour") -> str:
    return f"{world.house.keys.make('ed25519').public} {name}"


@BOTH
@pytest.mark.parametrize("ours", [True, False])
def test_keys_in_one_text_are_written_as_a_list_and_those_of_others_stay(slug: str, ours: bool) -> None:
    world = healthy(slug)
    theirs, line = [somebodys(world, "one"), somebodys(world, "two")], our_line(world)
    put_keys(world, "\n".join([theirs[0], *([line] if ours else []), theirs[1]]))
    findings, verdict = diagnose(world), said(world, "key-authorised")
    assert roots(findings) == ["key-authorised"]
    assert verdict.failure == "key-shape"
    assert verdict.fix is not None
    assert verdict.fix.consent is Consent.AUTO
    done = repair(world)
    assert done.error is None
    assert not roots(done.findings)
    assert [one.split()[:2] for one in keys_of(world)] == [
        one.split()[:2] for one in ([theirs[0], line, theirs[1]] if ours else [*theirs, line])
    ]
    assert not repair(world).steps


@BOTH
def test_keys_that_are_neither_a_text_nor_a_list_become_a_list_with_ours(slug: str) -> None:
    world = healthy(slug)
    put_keys(world, {"0": "x"})
    assert roots(diagnose(world)) == ["key-authorised"]
    assert not roots(repair(world).findings)
    assert [one.split()[:2] for one in keys_of(world)] == [our_line(world).split()[:2]]


@BOTH
def test_a_secret_that_is_our_key_is_a_note_and_nothing_is_written(slug: str) -> None:
    world = healthy(slug)
    world.house.secrets["ssh_key"] = our_line(world)
    put_keys(world, ["!secret ssh_key"])
    verdict, before = said(world, "key-authorised"), world.snapshot()
    assert (verdict.level, verdict.failure, verdict.fix) == (Level.NOTE, "secret-ref", None)
    assert not roots(diagnose(world))
    assert not repair(world).steps
    assert world.snapshot() == before


@BOTH
def test_beside_a_secret_that_is_not_our_key_ours_is_added_where_somebody_says_so(slug: str) -> None:
    world = as_remembered(healthy(slug))
    world.house.secrets["ssh_key"] = somebodys(world)
    world.house.knobs.penalties = False  # each look tries the key that is not authorised
    put_keys(world, ["!secret ssh_key"])
    verdict, before = said(world, "key-authorised"), world.snapshot()
    assert (verdict.level, verdict.failure) == (Level.WRONG, "secret-ref")
    assert verdict.fix is not None
    assert verdict.fix.offered
    assert not repair(world).steps
    assert world.snapshot() == before
    done = repair(world, take=True)
    assert not roots(done.findings)
    assert keys_of(world)[0] == "!secret ssh_key"
    assert len(keys_of(world)) == 2


@BOTH
@pytest.mark.parametrize("between", [", ", "", ",", "\n"])
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_two_keys_in_one_entry_become_two(slug: str, between: str, first: str) -> None:
    world = healthy(slug)
    ours, theirs = our_line(world), somebodys(world)
    put_keys(world, [between.join([ours, theirs] if first == "ours" else [theirs, ours])])
    findings = diagnose(world)
    assert roots(findings) == ["key-entries" if first == "ours" or between == "\n" else "key-authorised"]
    done = repair(world)
    assert not roots(done.findings)
    assert sorted(one.split()[1] for one in keys_of(world)) == sorted(one.split()[1] for one in (ours, theirs))
    assert not repair(world).steps


def test_a_key_of_a_kind_that_is_no_longer_taken_is_named() -> None:
    world = healthy(TERMINAL)
    parts = (b"ssh-dss", *(bytes([1] * 20),) * 4)
    blob = base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()
    put_keys(world, [our_line(world), f"ssh-dss {blob} old"])
    verdict = said(world, "key-entries")
    assert (verdict.level, "entry 2" in words(verdict), "DSA" in verdict.why) == (Level.WARN, True, True)
    assert not repair(world).steps


# -------------------------------------------------------------------------------------------------------- a log of before


EARLIER = [
    (slug, Scene(check, failure))
    for failure in ("no-creds", "pkg-fail", "init-cmd", "sftp-needs-root", "user-taken")
    for check in EVERY
    for slug in (TERMINAL, ADVANCED)
    if failure in check.faults and Scene(check, failure).befalls(FLAVOURS[slug])
]


@pytest.mark.parametrize(("slug", "one"), EARLIER, ids=[f"{one.failure}-{slug}" for slug, one in EARLIER])
def test_a_log_that_the_settings_contradict_is_of_an_earlier_start(slug: str, one: Scene) -> None:
    world = healthy(slug)
    good = copy.deepcopy(world.house.app(slug).options)
    break_by(world, one)
    assert world.house.app(slug).state == "error"
    world.house.app(slug).options = good if one.failure != "user-taken" else {**good, "ssh": {**good["ssh"], "username": "root"}}
    world.house.knobs.dies_silently.add(slug)
    world.house.restart_now(slug)
    world.house.settle()
    verdict = said(world, "app-running")
    assert roots(diagnose(world)) == ["app-running"]
    assert verdict.failure == "starts-no-log"
    assert "an earlier start" in verdict.says
    assert any("exited with non-zero exit code 137" in line for line in verdict.evidence)


# ---------------------------------------------------------------------------------------------------- what is not said

SILENT = {
    "house-online": "reaches the internet",
    "room-on-disk": "is free",
    "supervisor-healthy": "healthy and supported",
    "supervisor-idle": "being done",
    "supervisor-current": "up to date",
}


@pytest.mark.parametrize("how", ["404", "null"])
def test_what_an_old_supervisor_does_not_say_is_not_claimed(how: str) -> None:
    world = healthy(ADVANCED)
    asked = ["/network/info", "/host/info", "/resolution/info", "/jobs/info"]
    if how == "404":
        world.house.knobs.refuse += [(f"GET {path}", "404: Not Found") for path in asked]
    world.house.knobs.silent = {"/supervisor/info", *asked}
    findings = diagnose(world)
    assert not roots(findings)
    for check, about in SILENT.items():
        verdict = said(world, check)
        assert (verdict.level, "does not say" in words(verdict)) == (Level.NOTE, True), (check, verdict)
        assert about in verdict.says
        assert verdict.evidence
    assert not repair(world).steps


# ------------------------------------------------------------------------------------------- settings of another kind


@BOTH
def test_an_app_that_cannot_start_with_the_house_is_told_and_the_other_repairs_are_made(slug: str) -> None:
    world = healthy(slug)
    app = world.house.app(slug)
    app.boot, app.boot_config, app.watchdog = "manual", "manual_only", False
    verdict = said(world, "boots-with-house")
    assert (verdict.level, verdict.evidence) == (Level.WARN, (f"/addons/{slug}/info: boot_config manual_only",))
    done = repair(world)
    assert done.error is None
    assert (world.house.app(slug).watchdog, world.house.app(slug).boot) == (True, "manual")
    assert roots(done.findings) == ["boots-with-house"]
    assert not repair(world).steps


@BOTH
@pytest.mark.parametrize(("value", "shown"), [("2222", '"2222"'), (True, "true"), (None, "empty")])
def test_what_stands_in_the_place_of_the_port_is_shown(slug: str, value: Any, shown: str) -> None:
    world = healthy(slug)
    world.house.app(slug).network = {"22/tcp": value}
    verdict = said(world, "port-published")
    assert verdict.failure == "port-null"
    assert shown in words(verdict)


@BOTH
def test_a_port_that_is_not_declared_is_not_written(slug: str) -> None:
    world = healthy(slug)
    world.house.app(slug).network = {"8022/tcp": 2222}
    verdict = said(world, "port-published")
    assert "8022/tcp is 2222" in words(verdict)
    assert not repair(world).steps


# --------------------------------------------------------------------------------------------------------- the version


@pytest.mark.parametrize("check", ["password-refused", "shell-whole"])
@pytest.mark.parametrize(
    ("version", "failures"),
    [("10.4.0", {}), ("9.18.0", {"password-refused": "noreply-pw"}), ("10.0.0", {"shell-whole": "shell-sh"})],
)
def test_a_version_is_blamed_only_where_it_is_one_of_those_that_are_known(
    check: str, version: str, failures: dict[str, str]
) -> None:
    world = healthy(TERMINAL)
    break_by(world, Scene(next(one for one in EVERY if one.id == check)))
    world.house.app(TERMINAL).version = version
    finding = next(one for one in diagnose(world) if one.id == check)
    assert f"version {version}" in finding.verdict.evidence
    assert finding.verdict.failure == failures.get(check, "")
    if check in failures:
        assert finding.verdict.because == "app-version"
    else:
        assert "not recognised" in finding.verdict.why
        assert "update the app" not in words(finding.verdict)
        assert finding.because is None


def test_a_role_that_is_too_small_blames_no_version() -> None:
    world = broken(TERMINAL, "stale-cli")
    verdict = said(world, "app-version")
    assert "10.4.0" not in verdict.says
    assert "too old" not in words(verdict)


@pytest.mark.parametrize(("newest", "offered"), [("10.4.0", False), ("10.5.0", True)])
def test_bad_modes_of_the_key_file_blame_no_version_that_is_not_known_for_them(newest: str, offered: bool) -> None:
    world = healthy(TERMINAL)
    app = world.house.app(TERMINAL)
    app.version_latest = newest
    app.log.append("Authentication refused: bad ownership or modes for directory /etc/ssh")
    verdict = said(world, "app-version")
    assert (verdict.level, verdict.failure) == (Level.WARN, "")
    assert "not recognised" in verdict.why
    assert verdict.fix is not None
    assert verdict.fix.offered is offered
    assert not repair(world).steps


KNOWN_TO_FAIL = [(TERMINAL, "9.18.0"), (TERMINAL, "10.0.0"), (ADVANCED, "2.0.1"), (ADVANCED, "21.0.0")]


@pytest.mark.parametrize(("slug", "version"), KNOWN_TO_FAIL)
def test_a_version_that_is_known_to_fail_is_updated_by_the_one_yes(slug: str, version: str) -> None:
    world = healthy(slug)
    world.house.app(slug).version = version
    fix = said(world, "app-version").fix
    assert fix is not None
    assert fix.consent is Consent.AUTO
    assert [step.id for step in repair(world).steps] == ["update-app"]


# ----------------------------------------------------------------------------------------------------------- the store


@BOTH
def test_a_damaged_store_is_made_whole_by_the_supervisors_own_suggestion(slug: str) -> None:
    world = healthy(slug)
    world.house.uninstall_now(slug)
    world.house.corrupt_store()
    verdict = said(world, "app-installed")
    assert (verdict.failure, verdict.fix and verdict.fix.consent) == ("store-empty", Consent.ASK)
    assert any("corrupt_repository" in line for line in verdict.evidence)
    done = repair(world)
    assert [step.id for step in done.steps[:2]] == ["follow-suggestion", "install-app"]
    assert done.error is None
    assert not roots(done.findings)
    assert not repair(world).steps


def test_a_repository_is_not_removed_because_the_supervisor_suggests_it() -> None:
    world = healthy(TERMINAL)
    world.house.uninstall_now(TERMINAL)
    world.house.corrupt_store()
    world.house.suggestions[0]["type"] = "execute_remove"
    fix = said(world, "app-installed").fix
    assert fix is not None
    assert [step.id for step in fix.steps] == ["install-app"]
