"""The key file as OpenSSH reads it: refused where it refuses it, no fault where it takes it."""

from __future__ import annotations

import base64
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checks.real_house import real_house
from checks.scenes import bad, diagnose, healthy, repair
from checks.test_own_ssh import ends
from checks.test_real_openssh import roots
from ha_ssh.core.model import Consent, Level
from openssh_server import USABLE
from world.real_sshd import keygen

if TYPE_CHECKING:
    from pathlib import Path

needs_sshd = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")

FORMS = {
    "a mark": (lambda text: "\ufeff" + text, "key-mark"),
    "text before": (lambda text: "My key:\n" + text, "key-text"),
    "a blank line before": (lambda text: "\n" + text, "key-text"),
    "no end of line": (lambda text: text.rstrip("\n"), "key-crlf"),
    "Windows": (lambda text: text.replace("\n", "\r\n"), "key-crlf"),
    "Windows inside": (lambda text: text.replace("\n", "\r\n", 3).replace("\r\n", "\n", 1), ""),
    "text after": (lambda text: text + "see the wiki\n", ""),
    "text after without an end": (lambda text: text + "see the wiki", ""),
}


@needs_sshd
@pytest.mark.parametrize("case", FORMS)
async def test_a_form_is_a_fault_where_openssh_refuses_it_and_only_there(tmp_path: Path, case: str) -> None:
    spoil, failure = FORMS[case]
    async with real_house(tmp_path) as real:
        text = real.key.read_text()
        real.key.write_text(spoil(text), newline="")
        assert (await ends(real) == 0) is (not failure)
        found = await real.findings()
        assert roots(found) == ([("key-file", failure)] if failure else []), found["key-file"].verdict
        if failure:
            fix = found["key-file"].verdict.fix
            assert fix is not None
            if fix.consent is Consent.TELL:
                assert case == "text before", "what somebody wrote is his to delete"
                return
            assert not bad((await real.run()).findings)
            assert real.key.read_text() == text


@needs_sshd
async def test_a_key_of_another_user_may_have_any_mode(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.key.chmod(0o644)
        os.chown(real.key, 65534, -1)
        assert await ends(real) == 0
        assert roots(await real.findings()) == []


@needs_sshd
async def test_a_wrong_byte_is_damage_and_no_kind_of_key(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        begin, *body, end = real.key.read_text().splitlines()
        data = bytearray(base64.b64decode("".join(body)))
        data[data.index(b"ssh-ed25519") + 8] = ord("0")
        lines = base64.b64encode(bytes(data)).decode()
        wrapped = "\n".join(lines[at : at + 70] for at in range(0, len(lines), 70))
        real.key.write_text(f"{begin}\n{wrapped}\n{end}\n")
        found = await real.findings()
        assert roots(found) == [("key-file", "key-broken")]
        assert "`ssh-ed25019`" in found["key-file"].verdict.evidence[0]


@needs_sshd
async def test_an_exchanged_private_key_is_never_authorised(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        keygen(tmp_path / "other")
        shutil.copy(tmp_path / "other", real.key)
        before = real.house.app(real.slug).options
        files = real.files()
        found = await real.findings()
        assert found["key-file"].verdict.failure == "key-exchanged"
        assert "was exchanged" in found["key-file"].verdict.says
        assert found["key-file"].verdict.fix is not None
        assert found["key-file"].verdict.fix.consent is Consent.TELL
        await real.run()
        assert real.house.app(real.slug).options == before
        assert real.files() == files


@pytest.mark.parametrize("gone", [False, True])
def test_a_key_that_an_agent_holds_is_no_fault(gone: bool) -> None:
    world = healthy("core_ssh")
    stage = world.stage()
    path = world.want.identity or ""
    public = " ".join((world.computer.text(f"{path}.pub") or "").split()[:2])
    if gone:
        world.computer.put(path, None)
    else:
        next(one for one in diagnose(world) if one.id == "key-file").check.faults["key-passphrase"](stage)
    world.computer.agent = [public]
    found = diagnose(world)
    assert not bad(found), [(one.id, one.because, one.verdict.says) for one in bad(found)]
    told = next(one for one in found if one.id == "key-file").verdict
    assert told.level is Level.NOTE
    assert "agent holds the key" in told.says
    assert not repair(world).steps
    world.computer.agent = []
    assert bad(diagnose(world))[0].id == "key-file"


@needs_sshd
async def test_an_alias_with_the_key_that_was_moved_hangs_on_the_key(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        moved, block = tmp_path / "id", next(real.config.parent.glob("*/home.conf"))
        block.write_text(block.read_text().replace(str(real.key), str(moved)))
        real.key.rename(moved)
        real.key.with_suffix(".pub").rename(tmp_path / "id.pub")
        real.want = replace(real.want, make_key=None)
        assert await ends(real) == 0
        found = await real.findings()
        assert roots(found) == [("key-file", "key-missing")]
        assert found["alias-works"].because == "key-file"
        files = real.files()
        await real.run()
        assert real.files() == files
