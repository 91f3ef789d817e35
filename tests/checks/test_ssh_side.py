"""The computer's and the SSH server's side of the doctor: every scene is told for what it is, and put right or told."""

from __future__ import annotations

import pytest

from checks.scenes import Scene, bad, break_by, diagnose, healthy, repair, scenes_of
from ha_ssh.core.model import Consent, Level

OURS = (
    "alias-works", "clients-admitted", "config-there", "copies-files", "forwards", "ha-works", "host-key-pinned", "key-file",
    "lands-as-root", "login-works", "name-resolves", "own-config", "own-session", "own-ssh-works", "password-refused",
    "port-answers", "right-server", "shell-whole",
)  # fmt: skip


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
    assert first.verdict.failure, "it is a known failure"
    assert first.level is Level.NOTE or first.verdict.evidence or first.verdict.why


@pytest.mark.parametrize(("scene", "slug"), scenes_of(*OURS))
def test_a_scene_is_put_right_or_told_how_and_stays_so(scene: Scene, slug: str) -> None:
    world = healthy(slug)
    break_by(world, scene)
    before = next(one for one in diagnose(world) if one.id == scene.check.id).verdict
    done = repair(world)
    assert done.error is None, done.error
    after = next(one for one in done.findings if one.id == scene.check.id).verdict
    if before.fix is not None and before.fix.consent is not Consent.TELL:
        assert not bad(done.findings), [(one.id, one.verdict.says) for one in bad(done.findings)]
    elif before.level is not Level.NOTE:
        assert before.fix is not None, "what cannot be put right comes with instructions"
        assert before.fix.instructions
        assert (after.failure, after.says) == (before.failure, before.says)
    again = repair(world)
    assert not again.steps
    assert [(one.id, one.level) for one in again.findings] == [(one.id, one.level) for one in done.findings]
