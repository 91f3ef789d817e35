"""Files that the user may not read, folders that are none, links that lead nowhere: named, and opened where that is safe."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checks.real_house import real_house
from checks.scenes import EVERY, bad, diagnose, healthy
from checks.test_real_openssh import roots
from ha_ssh import engine
from ha_ssh.core import planner
from ha_ssh.core.facts import OwnFiles
from ha_ssh.core.model import Consent, FileState
from laws.worlds import ACCESS, in_loop
from openssh_server import USABLE

if TYPE_CHECKING:
    from pathlib import Path

needs_sshd = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")


@needs_sshd
async def test_a_file_in_the_place_of_the_folder_is_the_one_cause(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        folder = real.config.parent
        folder.rename(tmp_path / "aside")
        folder.write_text("oops\n")
        found = await real.findings()
        assert roots(found) == [("ssh-folder", "ssh-folder")]
        assert str(folder) in found["ssh-folder"].verdict.says


def test_a_folder_that_is_closed_is_opened_where_it_is_ones_own() -> None:
    world = healthy("core_ssh")
    facts = in_loop(world.look())
    closed = FileState(path="/home/me/.ssh", kind="folder", mode=0, problem="cannot be looked into by you")
    for mine, consent in ((True, Consent.AUTO), (False, Consent.TELL)):
        shut = facts.with_(replace(facts[OwnFiles], folder=replace(closed, mine=mine)))
        found = planner.diagnose(world.want, shut, EVERY)
        fix = next(one for one in found if one.id == "ssh-folder").verdict.fix
        assert fix is not None
        assert fix.consent is consent
    plan = planner.plan(world.want, facts.with_(replace(facts[OwnFiles], folder=closed)), ACCESS)
    assert [line for step in plan.steps for line in step.preview] == ["~ /home/me/.ssh: mode 000 -> 700"]


@needs_sshd
async def test_a_folder_in_the_place_of_our_own_file_is_told_and_not_promised(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        block = next(real.config.parent.glob("*/home.conf"))
        block.unlink()
        block.mkdir()
        found = await real.findings()
        verdict = found["alias-works"].verdict
        assert verdict.failure == "cfg-read-only", verdict
        assert verdict.evidence == (f"`{block}` is a folder, not a file",)
        assert verdict.fix is not None
        assert verdict.fix.consent is Consent.TELL


@needs_sshd
@pytest.mark.parametrize("loop", [True, False])
async def test_a_link_that_leads_nowhere_is_told_with_what_helps(tmp_path: Path, loop: bool) -> None:
    async with real_house(tmp_path) as real:
        real.known_hosts.unlink()
        real.known_hosts.symlink_to(real.known_hosts if loop else tmp_path / "nowhere" / "deep")
        verdict = (await real.findings())["host-key-pinned"].verdict
        assert verdict.fix is not None
        assert "delete the link" in verdict.fix.instructions[0], verdict


@needs_sshd
async def test_our_file_of_another_user_is_not_called_open_to_others(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        block = next(real.config.parent.glob("*/home.conf"))
        os.chown(block, 65534, -1)
        found = await real.findings()
        assert roots(found) == [("own-config", "cfg-mode")]
        assert "belongs to another user" in found["own-config"].verdict.says
        assert "chown" in str(found["own-config"].verdict.fix)


@needs_sshd
async def test_a_jump_over_itself_leaves_nothing_behind(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.config.write_text(f"{real.config.read_text()}Host *\n    ProxyJump ha\n")
        assert roots(await real.findings()) == [("own-ssh-works", "cfg-detour")]


def test_a_run_in_two_rounds_is_not_cut_off_by_itself() -> None:
    world = healthy("core_ssh")
    home = world.home()
    run = home.journal.begin("doctor --fix", "home", {})
    found = planner.diagnose(world.want, in_loop(world.look(home)), EVERY)
    assert not bad(found)
    assert [one.id for one in bad(diagnose(world))] == ["unfinished-run"], "another process sees it"
    home.journal.close(run, "closed")
    assert engine.well(diagnose(world))


def test_what_a_closed_key_opens_waits_for_the_next_look() -> None:
    world = healthy("a0d7b954_ssh")
    stage = world.stage()
    by_id = {one.id: one for one in EVERY}
    by_id["key-file"].faults["key-unreadable"](stage)
    by_id["port-published"].break_it(stage)  # type: ignore[misc] # it has one
    world.house.settle()
    done = in_loop(world.setup())
    assert done.error is None, done.error
    assert engine.well(done.findings), [(one.id, one.verdict.says) for one in bad(done.findings)]
