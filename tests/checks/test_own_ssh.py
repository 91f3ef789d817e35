"""The user's own `ssh` hangs and stumbles in more ways than ours: each is told for what it is, by the real one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checks.real_house import RealHouse, real_house
from checks.scenes import EVERY, bad, healthy
from checks.test_real_openssh import names_in, roots
from ha_ssh.core import planner
from ha_ssh.core.facts import Alias, MyKey, SshConfig
from ha_ssh.core.model import Level, OwnLogin
from ha_ssh.world import openssh
from laws.worlds import in_loop
from openssh_server import USABLE
from world.real_sshd import keygen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ha_ssh.core.model import Verdict

needs_sshd = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="o-", dir="/tmp") as folder:
        yield Path(folder)


async def ends(real: RealHouse, *more: str, limit: float = 4.0) -> int | None:
    """How `ssh ha true` ends by itself; `None` where it does not."""
    command = ("ssh", "-F", str(real.config), "-oBatchMode=yes", *more, "ha", "true")
    ran = await asyncio.create_subprocess_exec(*command, stdin=-3, stdout=-3, stderr=-3, start_new_session=True)
    try:
        async with asyncio.timeout(limit):
            return await ran.wait()
    except TimeoutError:
        os.killpg(ran.pid, 9)
        await ran.wait()
        return None


@contextlib.contextmanager
def silent(path: Path) -> Iterator[None]:
    """A socket that takes connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as taking:
        taking.bind(str(path))
        taking.listen(5)
        yield


# ------------------------------------------------------------------------------------------------------ what a look sets aside


STUMBLES = {
    "no folder": ("ControlMaster auto\n    ControlPersist 60\n    ControlPath {folder}/none/%C", "cfg-control-path"),
    "too long": ("ControlPath {folder}/" + "x" * 120, "cfg-control-path"),
    "too long while it is made": ("ControlMaster auto\n    ControlPath /tmp/" + "x" * 86, "cfg-control-path"),
    "a silent master": ("ControlPath {folder}/silent", "cfg-control-path"),
    "a busy port": ("ExitOnForwardFailure yes\n    LocalForward 127.0.0.1:{busy} localhost:1", "cfg-forward"),
    "a socket nowhere": ("ExitOnForwardFailure yes\n    LocalForward {folder}/none/x localhost:1", "cfg-forward"),
    "a socket over a file": ("ExitOnForwardFailure yes\n    DynamicForward {folder}/file", "cfg-forward"),
    "a port of the app": ("ExitOnForwardFailure yes\n    RemoteForward 5555 localhost:1", "cfg-forward"),
}
"""Settings over which `ssh ha` stumbles, though a look that sets them aside does not."""
PASSES = (
    "ControlPath {folder}/none/%C",
    "ControlMaster auto\n    ControlPath /tmp/" + "y" * 85,
    "ControlMaster auto\n    ControlPath {folder}/file",
    "ControlMaster auto\n    ControlPath {folder}/dead",
    "ControlPath {folder}/dead",
    "LocalForward 127.0.0.1:{busy} localhost:1",
    "ExitOnForwardFailure yes\n    LocalForward {busy} localhost:1",
    "PermitLocalCommand no\n    LocalCommand sleep 40",
    "PermitLocalCommand yes",
)


@needs_sshd
@pytest.mark.parametrize("case", [*STUMBLES, *PASSES])
async def test_what_a_look_sets_aside_is_judged_without_running_it(short: Path, tmp_path: Path, case: str) -> None:
    text, failure = STUMBLES.get(case, (case, ""))
    (short / "file").touch()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(short / "dead"))
    async with real_house(tmp_path) as real:
        with silent(short / "silent"), socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            filled = text.format(folder=short, busy=busy.getsockname()[1])
            real.config.write_text(f"{real.config.read_text()}\nHost *\n    {filled}\n")
            files, before = real.files(), names_in(short)
            found = await real.findings()
            assert real.files() == files
            assert names_in(short) == before
            own = found["own-ssh-works"].verdict
            assert (own.failure if own.level is Level.WRONG else "") == failure, own
            if failure:
                keyword = filled.rsplit("\n    ", 1)[-1].split(" ")[0]
                assert keyword.lower() in own.says
                assert own.fix is not None
                assert str(real.config) in own.fix.instructions[0]
            assert (await ends(real) == 0) is (not failure), "as `ssh` itself has it"


@needs_sshd
async def test_a_command_that_ssh_waits_for_is_named_and_not_run(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        first = real.config.read_text()
        real.config.write_text(f"{first}Host *\n    PermitLocalCommand yes\n    LocalCommand sleep 40\n")
        own = (await real.findings())["own-ssh-works"].verdict
        assert (own.level, own.failure) == (Level.WARN, "cfg-local-command")
        assert "sleep 40" in own.says
        assert await ends(real) is None
        real.config.write_text(f"Host ha\n    PermitLocalCommand no\n{real.config.read_text()}")
        assert await ends(real) == 0, "the advice helps"


# ------------------------------------------------------------------------------------------------------------ the program itself

PROGRAMS = {
    "no interpreter": ("#!/no/such/interpreter\n", "cannot be started: the program that its first line names is not there"),
    "another processor": ("\x7fELF\x02\x01\x01" + "\0" * 60, "cannot be started: it is no program for this computer"),
    "forbidden": ("#!/bin/sh\necho disabled by policy >&2\nexit 1\n", "ended with code 1: disabled by policy"),
    "mute": ("#!/bin/sh\nexit 1\n", "ended with code 1: without a word"),
    "hanging": ("#!/bin/sh\nsleep 60\n", "was ended after"),
    "crashing": ("#!/bin/sh\nkill -SEGV $$\n", "was ended by a signal (SIGSEGV)"),
}


def put_first(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the shell find another `ssh` first."""
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program


@needs_sshd
@pytest.mark.parametrize("case", PROGRAMS)
async def test_an_ssh_that_is_no_use_is_named_and_the_rest_is_judged(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, says = PROGRAMS[case]
    monkeypatch.setattr("ha_ssh.world.openssh._ASK_LIMIT", 0.5)
    async with real_house(tmp_path / "house") as real:
        program = put_first(tmp_path / "bin", text, monkeypatch)
        found = await real.findings()
        assert roots(found) == [("ssh-client", "ssh-mute")]
        assert str(program) in found["ssh-client"].verdict.says
        assert says in found["ssh-client"].verdict.says
        assert found["login-works"].level is Level.OK
        assert found["own-ssh-works"].level is Level.UNKNOWN


OLD = """#!/bin/sh
for word; do case "$word" in
-G) echo "ssh: unknown option -- G" >&2; echo "usage: ssh [-1246AaCfgKkMNnqsTtVvXxYy]" >&2; exit 255;;
-V) echo "{version}" >&2; exit 0;;
-o[URA][ped][dm]*) echo "command-line: line 0: Bad configuration option: $word" >&2; exit 255;;
esac; done
{rest}
"""


@needs_sshd
@pytest.mark.parametrize("works", [True, False])
async def test_an_ssh_without_a_way_to_ask_it_is_tried_all_the_same(
    tmp_path: Path, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with real_house(tmp_path / "house") as real:
        rest = f'exec {shutil.which("ssh")} "$@"' if works else "exit 1"
        version = "OpenSSH_6.0p1 Debian-4" if works else "Dropbear v2022.83"
        put_first(tmp_path / "bin", OLD.format(version=version, rest=rest), monkeypatch)
        real.known_hosts.parent.joinpath("config").touch()
        found = await real.findings()
        client = found["ssh-client"].verdict
        assert ("too old" if works else "is no OpenSSH") in client.says
        assert version in client.says
        if works:
            # A profile's known hosts are named to `ssh` only where `-G` shows that nobody else's are.
            assert client.level in {Level.WARN, Level.WRONG}
        assert [name for name, _ in roots(found)] == ["ssh-client"], found["own-ssh-works"]


# ---------------------------------------------------------------------------------------------------------- it comes to no end


@needs_sshd
async def test_a_detour_that_hangs_is_not_called_a_firewall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ha_ssh.world.openssh.LOGIN_LIMIT", 3.0)
    async with real_house(tmp_path) as real:
        real.config.write_text(f"{real.config.read_text()}Host *\n    ProxyCommand sleep 40\n")
        found = await real.findings()
        assert roots(found) == [("own-ssh-works", "cfg-detour")]
        told = found["own-ssh-works"].verdict
        assert "sleep 40" in told.says
        assert "ProxyCommand none" in str(told.fix)
        assert "firewall" not in str(told)


@needs_sshd
async def test_a_program_for_host_keys_that_hangs_and_a_pipe_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ha_ssh.world.openssh.LOGIN_LIMIT", 2.0)
    os.mkfifo(pipe := tmp_path / "pipe")
    async with real_house(tmp_path) as real:
        first = real.config.read_text()
        for line, named in (("KnownHostsCommand /bin/sleep 40", "/bin/sleep 40"), (f"UserKnownHostsFile {pipe}", str(pipe))):
            real.config.write_text(f"Host *\n    {line}\n{first}")
            found = await real.findings()
            own = found["own-ssh-works"].verdict
            assert own.failure == "cfg-known-hosts", own.evidence
            assert named in own.says
            assert "firewall" not in str(own)
        real.config.write_text(f"{first}Host *\n    CertificateFile {pipe}\n")
        own = (await real.findings())["own-ssh-works"].verdict
        assert "not recognised" in own.says
        assert "ssh -v ha" in str(own.fix)
        assert "firewall" not in str(own)


async def test_an_agent_that_does_not_answer_is_seen(short: Path) -> None:
    mute = openssh._mute_agent
    with silent(short / "agent"):
        assert await mute({}, {"SSH_AUTH_SOCK": str(short / "agent")}) == str(short / "agent")
        assert await mute({"identityagent": (str(short / "agent"),)}, {}) == str(short / "agent")
        assert await mute({"identityagent": ("none",)}, {"SSH_AUTH_SOCK": str(short / "agent")}) == ""
    assert await mute({}, {"SSH_AUTH_SOCK": str(short / "nobody")}) == ""
    assert await mute({}, {}) == ""


def hung(*steps: str, agent: str = "", said: dict[str, tuple[str, ...]] | None = None, locked: bool = False) -> Verdict:
    """The verdict on a login that came to no end."""
    world = healthy("core_ssh")
    facts = in_loop(world.look())
    if locked:
        key = facts[MyKey]
        facts = facts.with_(replace(key, state=replace(key.state, problem="locked")))
    login = OwnLogin(
        code=255, err="`ssh` was ended after 20 s without an end of its own", steps=steps, hung=True, mute_agent=agent
    )
    config = facts[SshConfig]
    facts = facts.with_(replace(facts[Alias], login=login), replace(config, said={**config.said, **(said or {})}))
    return planner.judge(next(one for one in EVERY if one.id == "own-ssh-works"), world.want, facts)


def test_what_ssh_waits_for_is_named_by_its_last_step() -> None:
    assert hung("SSH2_MSG_NEWKEYS received", agent="/run/agent").failure == "agent-mute"
    assert hung("SSH2_MSG_NEWKEYS received", agent="/run/agent", locked=True).failure == "agent-mute"
    assert hung("Connecting to 192.168.1.20 [192.168.1.20] port 2222.").failure == "timeout"
    strange = hung("SSH2_MSG_NEWKEYS received")
    assert "not recognised" in strange.says
    assert "its last step: SSH2_MSG_NEWKEYS received" in strange.evidence
    both = hung("Authenticating to x as 'root'", said={"knownhostscommand": ("/bin/x",)})
    assert "/bin/x" in both.says


# --------------------------------------------------------------------------------------------------------------- two faults


@needs_sshd
@pytest.mark.parametrize("first", ["key-mode", "hostkey-unknown", "key-pub-other"])
@pytest.mark.parametrize(("line", "failure"), [("ProxyCommand false", "cfg-detour"), ("Ciphers aes128-cbc", "cfg-algorithms")])
async def test_a_fault_that_the_words_of_ssh_show_hangs_on_no_other(tmp_path: Path, first: str, line: str, failure: str) -> None:
    async with real_house(tmp_path) as real:
        real.config.write_text(f"{real.config.read_text()}Host *\n    {line}\n")
        if first == "key-mode":
            real.key.chmod(0o644)
        elif first == "hostkey-unknown":
            real.known_hosts.unlink()
        else:
            real.key.with_suffix(".pub").write_text(f"{keygen(tmp_path / 'other')} another\n")
        found = roots(await real.findings())
        assert ("own-ssh-works", failure) in found
        assert [name for name, _ in found if name != "own-ssh-works"] == [
            "host-key-pinned" if first == "hostkey-unknown" else "key-file"
        ]


# ------------------------------------------------------------------------------------------------------- what is to blame

BLAMED = {
    "RevokedHostKeys {folder}/none": ("own-ssh-works", "cfg-revoked-keys", "{folder}/none"),
    "BindInterface nope0": ("own-ssh-works", "cfg-bind", "nope0"),
    "IdentityFile ${{NOPE}}/x": ("own-ssh-works", "cfg-variable", "${{NOPE}}"),
    "ControlPath {folder}/${{NOPE}}": ("own-config", "cfg-variable", "${{NOPE}}"),
    "HostName %q": ("own-config", "cfg-value", "%q"),
    "ProxyJump no-such-house.invalid": ("own-ssh-works", "cfg-detour", "no-such-house"),
    "ProxyCommand false": ("own-ssh-works", "cfg-detour", "false"),
}


@needs_sshd
@pytest.mark.parametrize("line", BLAMED)
@pytest.mark.parametrize("where", ["own", "included"])
async def test_a_setting_is_named_with_its_file_and_line_and_its_advice_helps(tmp_path: Path, line: str, where: str) -> None:
    check, failure, named = (word.format(folder=tmp_path) for word in BLAMED[line])
    async with real_house(tmp_path) as real:
        first, other = real.config.read_text(), tmp_path / "more"
        text = f"Host h*\n    {line.format(folder=tmp_path)}\n"
        other.write_text(text)
        real.config.write_text(f"{text}{first}" if where == "own" else f"Include {other}\n{first}")
        found = await real.findings()
        assert roots(found) == [(check, failure)], found[check].verdict
        verdict = found[check].verdict
        assert named in verdict.says
        assert verdict.fix is not None
        place = real.config if where == "own" else other
        assert f"line 2 of `{place}`" in verdict.fix.instructions[0], verdict.fix
        back = re.search(r"block of your own with `(.+)`", " ".join(verdict.fix.instructions))
        if back is not None:
            real.config.write_text(f"Host ha\n    {back[1]}\n{real.config.read_text()}")
            assert roots(await real.findings()) == []


@needs_sshd
async def test_a_condition_that_hangs_and_a_pipe_in_the_configuration_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ha_ssh.world.openssh._ASK_LIMIT", 1.0)
    os.mkfifo(pipe := tmp_path / "pipe")
    async with real_house(tmp_path) as real:
        first = real.config.read_text()
        real.config.write_text(f'{first}Match exec "sleep 40"\n    User x\n')
        found = await real.findings()
        assert roots(found) == [("own-config", "cfg-exec-hangs")]
        assert f"line 2 of `{real.config}`" in str(found["own-config"].verdict.fix)
        real.config.write_text(f"{first}Include {pipe}\n")
        found = await real.findings()
        assert roots(found) == [("own-config", "cfg-no-file")]
        assert str(pipe) in found["own-config"].verdict.says


@needs_sshd
async def test_an_include_line_that_another_block_swallowed_is_told_and_moved(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        first = real.config.read_text()
        real.config.write_text(f"Host work\n    HostName work.example\n{first}")
        found = await real.findings()
        assert roots(found) == [("alias-works", "cfg-swallowed")]
        told = found["alias-works"].verdict
        assert "Host work" in told.says
        assert "work.example" not in str(told)
        assert not bad((await real.run()).findings)
        assert real.config.read_text() == f"{first}Host work\n    HostName work.example\n"


ADVISED = (
    "KnownHostsCommand /bin/false",
    "UserKnownHostsFile /dev/null",
    "AddressFamily inet6",
    "PreferredAuthentications password",
    "PubkeyAuthentication no",
    "RemoteCommand sleep 30",
    "SessionType none",
    "ForkAfterAuthentication yes",
    "ControlMaster auto\n    ControlPath /no/such/folder/%C",
    "ExitOnForwardFailure yes\n    DynamicForward /no/such/folder/socket",
)


@needs_sshd
@pytest.mark.parametrize("line", ADVISED)
async def test_what_is_advised_helps(tmp_path: Path, line: str) -> None:
    async with real_house(tmp_path) as real:
        real.config.write_text(f"Host *\n    {line}\n{real.config.read_text()}")
        verdict = (await real.findings())["own-ssh-works"].verdict
        assert verdict.fix is not None
        back = re.search(r"block of your own with `(.+)`", verdict.fix.instructions[1])
        assert back is not None, verdict.fix
        real.config.write_text(f"Host ha\n    {back[1]}\n{real.config.read_text()}")
        assert [one for one in roots(await real.findings()) if one[0] != "forwards"] == []
        assert await ends(real) == 0
