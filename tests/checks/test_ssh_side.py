"""The computer's and the SSH server's side of the doctor: every scene is told for what it is, and put right or told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks.scenes import EVERY, Scene, bad, break_by, diagnose, healthy, repair, scenes_of
from ha_ssh.core import planner
from ha_ssh.core.facts import Alias, MyKey, SshConfig
from ha_ssh.core.model import Check, Consent, FileState, Level, OwnLogin, Verdict
from laws.worlds import World, in_loop

OURS = (
    "alias-works", "clients-admitted", "config-there", "copies-files", "forwards", "ha-works", "host-key-pinned", "key-file",
    "lands-as-root", "login-works", "name-resolves", "own-config", "own-session", "own-ssh-works", "password-refused",
    "port-answers", "right-server", "shell-whole",
)  # fmt: skip


UNRECOGNISED = {"password-refused", "shell-whole"}
"""The scenes in which a version has a fault that is known of others only, so that no version may be blamed for it."""


@pytest.mark.parametrize(("scene", "slug"), scenes_of(*OURS))
def test_a_scene_is_told_for_what_it_is(scene: Scene, slug: str) -> None:
    world = healthy(slug)
    break_by(world, scene)
    found = diagnose(world)
    first = next(one for one in found if one.id == scene.check.id)
    wrong = bad(found)
    if first.level is Level.NOTE:
        assert not wrong, [(one.id, one.verdict.says) for one in wrong]
    else:
        assert wrong, f"{scene.name} broke nothing that is seen"
        assert wrong[0].id == scene.check.id, [(one.id, one.verdict.says) for one in wrong]
        others = [(one.id, one.because, one.verdict.says) for one in wrong[1:] if one.because != scene.check.id]
        assert not others, "nothing else is claimed as a cause"
    if scene.failure:
        assert first.verdict.failure == scene.failure, first.verdict
    assert bool(first.verdict.failure) is (scene.name not in UNRECOGNISED), "it is a known failure, or called not recognised"
    assert first.level is Level.NOTE or first.verdict.evidence or first.verdict.why


@pytest.mark.parametrize(("scene", "slug"), scenes_of(*OURS))
def test_a_scene_is_put_right_or_told_how_and_stays_so(scene: Scene, slug: str) -> None:
    world = healthy(slug)
    break_by(world, scene)
    before = next(one for one in diagnose(world) if one.id == scene.check.id).verdict
    done = repair(world)
    assert done.error is None, done.error
    after = next(one for one in done.findings if one.id == scene.check.id).verdict
    if before.fix is not None and before.fix.offered:
        assert not done.steps, "an offer is made by nobody's leave but a person's"
        taken = repair(world, take=True)
        assert taken.changed
        assert not bad(taken.findings), [(one.id, one.verdict.says) for one in bad(taken.findings)]
        done = repair(world)
    elif before.fix is not None and before.fix.consent is not Consent.TELL:
        assert not bad(done.findings), [(one.id, one.verdict.says) for one in bad(done.findings)]
    elif before.level is not Level.NOTE:
        assert before.fix is not None, "what cannot be put right comes with instructions"
        assert before.fix.instructions
        assert (after.failure, after.says) == (before.failure, before.says)
    again = repair(world)
    assert not again.steps
    assert [(one.id, one.level) for one in again.findings] == [(one.id, one.level) for one in done.findings]


# ------------------------------------------------------------------------------------------------ what no scene can bring about


def check(name: str) -> Check:
    return next(one for one in EVERY if one.id == name)


def judged(world: World, name: str, *facts: object) -> Verdict:
    """The verdict of one check where some facts are others."""
    return planner.judge(check(name), world.want, in_loop(world.look()).with_(*facts))


def test_a_configuration_that_windows_opens_to_others_is_told_with_its_own_command() -> None:
    world = healthy("core_ssh")
    complaint = "Bad owner or permissions on C:\\Users\\anna/.ssh/config"
    verdict = judged(world, "own-config", SshConfig(complaint=complaint))
    assert (verdict.level, verdict.failure) == (Level.WRONG, "win-acl")
    assert verdict.fix is not None
    assert any("icacls" in way and "anna" in way for way in verdict.fix.instructions)


def test_a_complaint_that_is_not_known_is_shown_and_not_explained() -> None:
    verdict = judged(healthy("core_ssh"), "own-config", SshConfig(complaint="the moon is full"))
    assert verdict.level is Level.WRONG
    assert not verdict.failure
    assert "not recognised" in verdict.says
    assert verdict.evidence == ("the moon is full",)


def test_a_key_on_a_disk_of_windows_has_to_move_since_no_mode_holds_there() -> None:
    world = healthy("core_ssh")
    state = replace(in_loop(world.look())[MyKey].state, path="/mnt/c/Users/anna/id", mode=0o777)
    verdict = judged(world, "key-file", MyKey(state=state, public=state.public))
    assert verdict.failure == "key-mode"
    assert verdict.fix is not None
    assert verdict.fix.consent is Consent.TELL
    assert "install -m 600" in verdict.fix.instructions[0]


@pytest.mark.parametrize("slug", ["a0d7b954_ssh", "core_ssh"])
def test_the_ssh_of_windows_gets_checksums_that_it_computes_rightly(slug: str) -> None:
    world = healthy(slug)
    world.computer.ssh_version = "OpenSSH_for_Windows_9.5p2, LibreSSL 3.8.2"
    found = bad(diagnose(world))
    assert [(one.id, one.verdict.failure) for one in found] == [("alias-works", "win-mac")]
    assert not bad(repair(world).findings)
    block = next(text for path, (text, *_) in world.computer.snapshot().items() if path.endswith("home.conf"))
    assert "MACs hmac-sha2-256-etm@openssh.com" in block


def test_an_agent_with_many_keys_does_no_harm_through_the_alias() -> None:
    world = healthy("core_ssh")
    world.computer.agent = [world.house.keys.make("ed25519").public for _ in range(9)]
    assert not bad(diagnose(world))


def test_without_a_terminal_none_is_missed() -> None:
    world = healthy("core_ssh")
    world.house.knobs.terminals = {"vt100"}
    world.computer.terminal = None
    assert not bad(diagnose(world))
    world.computer.terminal = "xterm-kitty; rm -rf ~"
    assert not bad(diagnose(world))


@pytest.mark.parametrize(
    ("file", "finding", "failure"),
    [("config", "alias-works", "cfg-read-only"), ("known_hosts", "host-key-pinned", "known-hosts-read-only")],
)
def test_a_file_that_cannot_be_written_is_said_and_nothing_is_half_done(file: str, finding: str, failure: str) -> None:
    world = healthy("core_ssh")
    places = world.computer.places
    if file == "config":
        world.computer.put(places.config, "Host nas\n    User admin\n", 0o400)
    else:
        world.computer.put(places.known_hosts, "nas ssh-ed25519 AAAA\n", 0o400)
    before = world.computer.snapshot()
    found = bad(diagnose(world))
    assert (found[0].id, found[0].verdict.failure) == (finding, failure)
    done = repair(world)
    assert done.error is None
    assert world.computer.snapshot() == before
    assert found[0].verdict.fix is not None
    assert found[0].verdict.fix.instructions


def test_a_login_that_no_row_explains_is_called_that() -> None:
    world = healthy("core_ssh")
    facts = in_loop(world.look())
    alias = replace(facts[Alias], login=OwnLogin(code=255, err="ssh: the cat sat on the keyboard"))
    verdict = planner.judge(check("own-ssh-works"), world.want, facts.with_(alias))
    assert "not recognised" in verdict.says
    assert verdict.evidence == ("ssh: the cat sat on the keyboard",)


def test_strangers_from_outside_and_clients_that_came_in_are_no_finding() -> None:
    world = healthy("core_ssh")
    app = world.house.app("core_ssh")
    app.log += ["Invalid user admin from 203.0.113.9 port 4711", "Invalid user pi from 192.168.1.88 port 4712"]
    assert judged(world, "clients-admitted").failure == "user-wrong"
    app.log.append(f"Accepted publickey for root from 192.168.1.88 port 4713 ssh2: ED25519 SHA256:{'a' * 43}")
    assert judged(world, "clients-admitted").level is Level.OK


def test_two_faults_are_two_roots() -> None:
    world = healthy("core_ssh")
    stage = world.stage()
    check("key-file").break_it(stage)  # type: ignore[misc] # it has one
    check("host-key-pinned").faults["hostkey-revoked"](stage)
    roots = [one.id for one in bad(diagnose(world)) if one.because is None]
    assert roots == ["key-file", "host-key-pinned"]


@pytest.mark.parametrize("slug", ["core_ssh", "a0d7b954_ssh"])
def test_a_key_that_is_refused_for_no_reason_is_tried_after_a_restart_and_then_called_not_understood(slug: str) -> None:
    world = healthy(slug)
    world.house.knobs.keys_in_vain = True
    first = [one for one in bad(diagnose(world)) if one.because is None]
    assert [one.id for one in first] == ["settings-live"], "a restart may cure it"
    done = repair(world)
    assert done.error is None, done.error
    roots = [one for one in bad(done.findings) if one.because is None]
    assert [(one.id, one.verdict.failure) for one in roots] == [("login-works", "key-refused-right")]
    assert roots[0].verdict.fix is not None
    assert roots[0].verdict.fix.instructions
    world.house.clock.advance(60)  # or sshd would turn us away for so many failed logins
    again = repair(world)
    assert not again.steps, "a restart has not helped, and is not made again and again"
    assert [(one.id, one.verdict.failure) for one in bad(again.findings) if one.because is None] == [
        ("login-works", "key-refused-right")
    ]
    world.house.clock.advance(2 * 86400)
    world.house.tick()
    assert repair(world).steps, "days later it is worth another try"


@pytest.mark.parametrize("nat", [False, True])
def test_a_log_without_a_word_speaks_neither_for_nor_against_a_server_whose_key_is_pinned(nat: bool) -> None:
    world = healthy("core_ssh")
    world.house.knobs.nat = nat
    world.house.knobs.mute_logs = True
    found = {one.id: one for one in diagnose(world)}
    assert found["right-server"].level is Level.OK, found["right-server"].verdict
    assert "owns a host key that this computer knows" in found["right-server"].verdict.says
    world.computer.put(world.computer.places.known_hosts, "")
    found = {one.id: one for one in diagnose(world)}
    assert found["right-server"].verdict.failure == "unproven", "an empty log alone proves nothing"


def test_other_keys_are_no_fault_until_too_many_keys_stand_before_ours() -> None:
    world = healthy("core_ssh")
    path = world.computer.places.config
    ours = world.computer.text(path) or ""

    def say_first(*lines: str) -> list[tuple[str, str]]:
        world.computer.put(path, "".join((*(f"{line}\n" for line in ("Host *", *lines)), ours)))
        return [(one.id, one.verdict.failure) for one in bad(diagnose(world))]

    assert say_first("IdentityFile ~/.ssh/a", "IdentityFile none") == []
    assert say_first(*(f"IdentityFile ~/.ssh/id_{number}" for number in range(6))) == [("alias-works", "too-many")]
    assert not bad(repair(world).findings)
    assert world.computer.text(path) == ours + "Host *\n" + "".join(f"IdentityFile ~/.ssh/id_{number}\n" for number in range(6))


def test_a_forward_of_ones_own_does_not_hide_ours() -> None:
    world = healthy("core_ssh")
    facts = in_loop(world.look())
    alias, ssh = facts[Alias], facts[SshConfig]
    both = ("9000 [localhost]:9000", "8123 [localhost]:8123")
    resolved = {**alias.resolved, "localforward": both[0]}
    facts = facts.with_(replace(alias, resolved=resolved), replace(ssh, said={**ssh.said, "localforward": both}))
    assert planner.judge(check("alias-works"), replace(world.want, tunnels=True), facts).level is Level.OK


def test_a_file_of_the_system_is_never_given_to_the_user() -> None:
    complaint = "Bad owner or permissions on /etc/ssh/ssh_config.d/work.conf"
    verdict = judged(healthy("core_ssh"), "own-config", SshConfig(complaint=complaint))
    assert verdict.failure == "cfg-mode"
    assert "chown root" in str(verdict.fix)
    assert "$USER" not in str(verdict.fix)


def test_a_setting_of_the_system_is_named_with_its_file_and_line() -> None:
    world = healthy("core_ssh")
    facts = in_loop(world.look())
    path = "/etc/ssh/ssh_config.d/work.conf"
    file = FileState(path=path, kind="file", text="# work\nHost *\n    PubkeyAuthentication no\n")
    config = replace(facts[SshConfig], said={**facts[SshConfig].said, "pubkeyauthentication": ("false",)}, files=(file,))
    alias = replace(facts[Alias], login=OwnLogin(code=255, err="root@house: Permission denied (publickey)."))
    verdict = planner.judge(check("own-ssh-works"), world.want, facts.with_(alias, config))
    assert verdict.failure == "pubkey-off"
    assert verdict.fix is not None
    assert f"line 3 of `{path}`" in verdict.fix.instructions[0]
    assert "PubkeyAuthentication yes" in verdict.fix.instructions[1]


def test_without_a_choice_of_ones_own_it_is_one_of_the_two_that_is_too_old() -> None:
    world = healthy("a0d7b954_ssh")
    facts = in_loop(world.look())
    words = "Unable to negotiate with 192.168.1.20 port 2222: no matching key exchange method found. Their offer: x"
    alias = replace(facts[Alias], login=OwnLogin(code=255, err=words))
    verdict = planner.judge(check("own-ssh-works"), world.want, facts.with_(alias))
    assert verdict.failure == "kex-none"
    assert "no part in it" in verdict.says
    assert verdict.fix is not None
    assert verdict.fix.offered
    path = world.computer.places.config
    world.computer.put(path, f"{world.computer.text(path)}Ciphers aes128-cbc\n")
    other = in_loop(world.look())
    other = other.with_(replace(other[Alias], login=OwnLogin(code=255, err=words)))
    again = planner.judge(check("own-ssh-works"), world.want, other)
    assert again.failure == "kex-none", "the ciphers are not what they cannot agree on"
