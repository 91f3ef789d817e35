"""OpenSSH on both sides: what its server logs and its client says is recognised, and looking changes none of the user's files."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import asyncssh
import pytest

from checks.real_house import RealHouse, real_house
from checks.scenes import EVERY, bad
from ha_ssh import engine
from ha_ssh.checks import all_checks
from ha_ssh.core import inside, logs
from ha_ssh.core.facts import Alias, AppLog, SshConfig
from ha_ssh.core.model import Consent, DoorState, Level, OwnLogin
from ha_ssh.core.planner import judge
from ha_ssh.sim.inside import Inside
from ha_ssh.world import ssh
from laws.worlds import Quiet
from openssh_server import USABLE, openssh
from servers import ADVANCED, TERMINAL, new_house, serve_ssh
from world.real_sshd import ME, keygen, sshd

if TYPE_CHECKING:
    from pathlib import Path

    from ha_ssh.core.model import Check, Facts, Finding
    from ha_ssh.sim.house import House
    from ha_ssh.sim.sshd import Answer

pytestmark = pytest.mark.skipif(not USABLE, reason="needs OpenSSH's sshd, and to be root")


def names_in(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}


def roots(found: dict[str, Finding]) -> list[tuple[str, str]]:
    """What is named as a cause, each with the known failure that it is."""
    return [(one.id, one.verdict.failure) for one in bad(tuple(found.values())) if one.because is None]


def check(name: str) -> Check:
    return next(one for one in all_checks() if one.id == name)


async def test_a_healthy_house_is_found_well_and_looked_at_by_one_login_of_each_client(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        before, files = len(real.app.log), real.files()
        found = await real.findings()
        assert roots(found) == []
        new = real.app.log[before:]
        assert sum("Accepted publickey" in line for line in new) == 2, new
        assert real.files() == files


async def ran_well(*command: str, env: dict[str, str] | None = None) -> None:
    """Run a program that has to succeed."""
    ran = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, err = await ran.communicate()
    assert ran.returncode == 0, err


# ---------------------------------------------------------------------------------------------------- this computer's files


async def test_a_key_that_others_can_read_is_seen_though_our_client_takes_it(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.key.chmod(0o644)
        found = await real.findings()
        assert roots(found) == [("key-file", "key-mode")]
        assert found["login-works"].level is Level.OK
        assert found["own-ssh-works"].verdict.failure == "key-mode"
        done = await real.run()
        assert not bad(done.findings)
        assert real.key.stat().st_mode & 0o777 == 0o600


async def test_a_key_with_the_line_ends_of_windows_is_mended(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        text = real.key.read_bytes()
        real.key.write_bytes(text.replace(b"\n", b"\r\n"))
        found = await real.findings()
        assert roots(found) == [("key-file", "key-crlf")]
        assert found["own-ssh-works"].verdict.failure == "key-crlf"
        assert not bad((await real.run()).findings)
        assert real.key.read_bytes() == text


async def test_a_public_half_of_another_key_is_written_anew_and_comes_back(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        beside = real.key.with_suffix(".pub")
        ours = beside.read_text().split()[:2]
        other = keygen(tmp_path / "other")
        beside.write_text(f"{other} another\n")
        found = await real.findings()
        assert roots(found) == [("key-file", "key-pub-other")]
        assert found["own-ssh-works"].because == "key-file", "`ssh` offers the other key"
        assert not bad((await real.run()).findings)
        assert beside.read_text().split()[:2] == ours
        await engine.put_back(real.journal.runs()[-1], real.home(), real.journal, Quiet(), everything=True)
        assert beside.read_text() == f"{other} another\n"


async def test_a_key_is_made_where_only_a_public_half_was_left_behind(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        beside, aside = real.key.with_suffix(".pub"), real.key.with_suffix(".pub.old")
        former = beside.read_text()
        real.key.unlink()
        aside.write_text("somebody's\n")
        done = await real.run()
        assert not bad(done.findings)
        shown = next(step.preview for step in done.steps if step.id == "make-key")
        assert any(f"{beside} -> {aside}" in line for line in shown)
        assert beside.read_text() != former
        assert aside.read_text() == "somebody's\n"
        assert aside.with_name(f"{aside.name}2").read_text() == former


BROKEN = {
    "an unknown option": ("Host *\n  FrobnicateHosts yes\n", "cfg-option"),
    "an option of macOS": ("UseKeychain yes\n", "cfg-option"),
    "no value": ("Host *\n  User\n", "cfg-value"),
    "a wrong word": ("StrictHostKeyChecking perhaps\n", "cfg-value"),
    "a wrong number": ("Port many\n", "cfg-value"),
    "an open quote": ('IdentityFile "~/.ssh/id\n', "cfg-value"),
    "too many words": ("User anna maria\n", "cfg-value"),
    "an unknown condition": ("Match weather sunny\n  User x\n", "cfg-value"),
    "a wrong cipher": ("Ciphers rot13\n", "cfg-value"),
    "a mark at the beginning": ("\ufeffHost x\n  User y\n", "cfg-option"),
    "a wrong forward": ("LocalForward nonsense\n", "cfg-value"),
    "two faults": ("Foo 1\nBar 2\n", "cfg-option"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_configuration_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    text, failure = BROKEN[case]
    async with real_house(tmp_path) as real:
        first = real.config.read_text()
        real.config.write_text(first + text)
        files = real.files()
        found = await real.findings()
        assert real.files() == files
        assert roots(found) == [("own-config", failure)], found["own-config"].verdict
        told = str(found["own-config"].verdict)
        begin = len(first.splitlines()) + 1
        assert any(f"line {number}" in told for number in range(begin, begin + len(text.splitlines()))), told
        real.config.write_text(first + "".join(f"# {line}\n" for line in text.splitlines()))
        assert roots(await real.findings()) == []


async def test_a_configuration_that_includes_itself_is_no_riddle(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.config.write_text(f"{real.config.read_text()}Include {real.config}\n")
        found = await real.findings()
        assert roots(found) == [("own-config", "cfg-circle")]
        assert f"line 2: Include {real.config}" in found["own-config"].verdict.evidence


@pytest.mark.parametrize("line", ["frob yes", "    Port many", '    User "root', "\ufeff# a mark"])
async def test_what_others_wrote_into_our_own_file_is_taken_out_of_it(tmp_path: Path, line: str) -> None:
    async with real_house(tmp_path) as real:
        block = next((real.folder / "ssh").glob("*/home.conf"))
        ours = block.read_text()
        block.write_text(f"{ours}{line}\n")
        assert roots(await real.findings()) == [("own-config", "cfg-own-file")]
        assert not bad((await real.run()).findings)
        assert block.read_text() == ours


async def test_our_own_file_as_rubbish_is_written_anew(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        block = next((real.folder / "ssh").glob("*/home.conf"))
        ours = block.read_text()
        block.write_bytes(ours.encode("utf-16"))
        assert roots(await real.findings()) == [("own-config", "cfg-own-file")]
        assert not bad((await real.run()).findings)
        assert block.read_text() == ours


async def test_a_byte_order_mark_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        first = real.config.read_bytes() + b"# caf\xe9\r\nHost x\n"
        real.config.write_bytes(b"\xef\xbb\xbf" + first)
        assert roots(await real.findings()) == [("own-config", "cfg-encoding")]
        assert not bad((await real.run()).findings)
        assert real.config.read_bytes() == first


async def test_utf_16_is_named_with_the_way_to_save_it_again(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.config.write_bytes(real.config.read_text().encode("utf-16"))
        found = await real.findings()
        assert roots(found) == [("own-config", "cfg-encoding")]
        assert "UTF-16" in found["own-config"].verdict.says
        fix = found["own-config"].verdict.fix
        assert fix is not None
        await ran_well("sh", "-c", fix.instructions[0].strip("`"))
        assert roots(await real.findings()) == []


async def test_a_mark_in_an_included_file_is_named_with_that_file(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        other = real.folder / "ssh" / "other"
        other.write_text("\ufeffHost x\n")
        real.config.write_text(f"{real.config.read_text()}Include {other}\n")
        found = await real.findings()
        assert roots(found) == [("own-config", "cfg-encoding")]
        assert str(other) in found["own-config"].verdict.says


@pytest.mark.parametrize(("file", "finding"), [("config", "alias-works"), ("known_hosts", "host-key-pinned")])
async def test_a_folder_in_the_place_of_a_file_is_called_that(tmp_path: Path, file: str, finding: str) -> None:
    async with real_house(tmp_path) as real:
        path = real.folder / "ssh" / file
        path.unlink()
        path.mkdir()
        found = await real.findings()
        assert [name for name, _ in roots(found)] == [finding]
        assert found[finding].verdict.evidence == (f"`{path}` is a folder, not a file",)


async def test_an_include_that_comes_too_late_moves_and_comes_back(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        ours = real.config.read_text()
        former = f"Host *\n    Port 22\n\n{ours}# the end\n"
        real.config.write_text(former)
        assert roots(await real.findings()) == [("alias-works", "cfg-first-wins")]
        done = await real.run()
        assert not bad(done.findings)
        assert real.config.read_text() == f"{ours}Host *\n    Port 22\n\n# the end\n"
        run = real.journal.runs()[-1]
        await engine.put_back(run, real.home(), real.journal, Quiet())
        assert real.config.read_text() == former


async def test_a_file_that_is_included_before_ours_is_left_to_its_owner(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        other = real.folder / "ssh" / "other"
        other.write_text("Host *\n    Port 22\n")
        real.config.write_text(f"Include {other}\n{real.config.read_text()}")
        found = await real.findings()
        assert [name for name, _ in roots(found)] == ["alias-works"]
        fix = found["alias-works"].verdict.fix
        assert fix is not None
        assert fix.consent is Consent.TELL, "to write the same again would heal nothing"


async def test_an_included_file_that_others_may_write_is_closed(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        block = next((real.folder / "ssh").glob("*/home.conf"))
        block.chmod(0o666)
        assert roots(await real.findings()) == [("own-config", "cfg-mode")]
        assert not bad((await real.run()).findings)
        assert block.stat().st_mode & 0o777 == 0o644


async def test_a_configuration_that_is_a_link_stays_one(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        kept, ours = tmp_path / "dotfiles", real.config.read_text()
        kept.write_text(f"Host *\n    User pi\n{ours}")
        real.config.unlink()
        real.config.symlink_to(kept)
        found = await real.findings()
        assert roots(found) == [("alias-works", "cfg-first-wins")]
        assert "User pi" in str(found["alias-works"].verdict.evidence)
        assert not bad((await real.run()).findings)
        assert real.config.is_symlink()
        assert kept.read_text() == f"{ours}Host *\n    User pi\n", "our line has moved"


async def test_a_detour_and_a_ban_on_keys_are_told_apart(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        first = real.config.read_text()
        for text, failure in (
            ("Host *\n    ProxyJump no-such-house.invalid\n", "cfg-detour"),
            ("Host *\n    PubkeyAuthentication no\n", "pubkey-off"),
            ("Host *\n    PreferredAuthentications password\n", "pubkey-off"),
            ("Host *\n    Ciphers 3des-cbc\n", "cfg-algorithms"),
        ):
            real.config.write_text(first + text)
            assert roots(await real.findings()) == [("own-ssh-works", failure)]


SET_FIRST = {
    "IdentityFile ~/.ssh/id_work": (0, []),
    "IdentityFile none": (0, []),
    "RemoteCommand sleep 30": (255, [("own-ssh-works", "cfg-remote-command")]),
    "ForkAfterAuthentication yes": (0, [("own-ssh-works", "cfg-fork")]),
    "IdentityFile ${NO_SUCH_VARIABLE}/id": (255, [("own-ssh-works", "cfg-variable")]),
    "UserKnownHostsFile /dev/null": (255, [("own-ssh-works", "cfg-known-hosts")]),
    "KnownHostsCommand /bin/false": (255, [("own-ssh-works", "cfg-known-hosts")]),
    "PubkeyAcceptedAlgorithms ssh-rsa": (255, [("own-ssh-works", "pubkey-off")]),
    "BindAddress 203.0.113.9": (255, [("own-ssh-works", "cfg-bind")]),
    "AddressFamily inet6": (255, [("own-ssh-works", "cfg-family")]),
}
"""A line that stands before ours, for every host: how `ssh ha true` ends by itself, and what is found."""


@pytest.mark.parametrize("line", SET_FIRST)
async def test_a_line_before_ours_is_a_fault_only_where_ssh_stumbles_over_it(tmp_path: Path, line: str) -> None:
    ends, expected = SET_FIRST[line]
    async with real_house(tmp_path) as real:
        real.config.write_text(f"Host *\n    {line}\n{real.config.read_text()}")
        command = ("ssh", "-F", str(real.config), "-oBatchMode=yes", "ha", "true")
        ran = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert await ran.wait() == ends
        found = await real.findings()
        assert roots(found) == expected, found["own-ssh-works"].verdict
        if expected:
            fix = found["own-ssh-works"].verdict.fix
            assert fix is not None
            assert f"line 2 of `{real.config}`" in fix.instructions[0]
            files = real.files()
            await real.run()
            assert real.files() == files, "no edit of ours can help"


async def test_a_session_without_a_command_is_named_and_not_waited_for(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.config.write_text(f"Host *\n    SessionType none\n{real.config.read_text()}")
        assert roots(await real.findings()) == [("own-ssh-works", "cfg-session-type")]


async def test_a_look_by_the_users_ssh_changes_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "it ran"
    async with real_house(tmp_path) as real:
        mischief = (
            "Host *",
            "    ControlMaster auto",
            f"    ControlPath {tmp_path}/control-%C",
            "    ControlPersist 60",
            "    UpdateHostKeys yes",
            "    HashKnownHosts yes",
            "    StrictHostKeyChecking accept-new",
            "    AddKeysToAgent yes",
            "    PermitLocalCommand yes",
            f'    LocalCommand touch "{witness}"',
            "    LocalForward 18123 localhost:8123",
            "    RemoteCommand echo mine",
            "    RequestTTY force",
            "",
        )
        real.config.write_text(real.config.read_text() + "\n".join(mischief))
        files = real.files()
        found = await real.findings()
        own = found["own-ssh-works"].verdict
        assert own.level is Level.WARN, "it logs in, but runs the user's command in the place of ours"
        assert real.files() == files
        assert not witness.exists()
        assert names_in(tmp_path) <= {"profile"}, "no control socket"
        assert sorted(roots(found)) == [("forwards", "tcpfwd-off"), ("own-ssh-works", "cfg-remote-command")], own


# -------------------------------------------------------------------------------------------------------- who it is that answers


async def test_a_changed_host_key_is_replaced_with_the_proof_and_a_hashed_one_too(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        await ran_well("ssh-keygen", "-q", "-H", "-f", str(real.known_hosts))
        real.known_hosts.with_suffix(".old").unlink()
        assert roots(await real.findings()) == []
        real.house.new_host_keys(real.slug)
        found = await real.findings()
        assert roots(found) == [("host-key-pinned", "hostkey-changed")]
        assert found["own-ssh-works"].because == "host-key-pinned"
        done = await real.run()
        assert not bad(done.findings)
        assert "|1|" not in real.known_hosts.read_text(), "the old lines have gone"


async def test_a_revoked_key_is_never_trusted_again_by_itself(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        revoked = "".join(f"@revoked * {' '.join(key.public.split()[:2])}\n" for key in real.house.host_keys(real.slug))
        real.known_hosts.write_text(revoked + real.known_hosts.read_text())
        files = real.files()
        found = await real.findings()
        assert roots(found) == [("host-key-pinned", "hostkey-revoked")]
        assert "line 1" in found["host-key-pinned"].verdict.evidence[0]
        assert found["own-ssh-works"].because == "host-key-pinned"
        await real.run()
        assert real.files() == files


def another_house(*keys: str) -> tuple[House, Answer]:
    """Another house of the neighbourhood, whose server answers in the place of ours."""
    house = new_house()
    serve_ssh(house, *keys)
    inside = Inside(house)
    inside.reachable["nowhere", 1] = ("127.0.0.1", 1)
    return house, openssh(house, TERMINAL, inside)


class Switch:
    """Lets another server answer on the port from some moment on."""

    def __init__(self) -> None:
        self.other: Answer | None = None

    def make(self, house: House, slug: str, inside: Inside) -> Answer:
        own = openssh(house, slug, inside)

        async def answer(accepted: object, address: str, port: int) -> None:
            await (self.other or own)(accepted, address, port)  # type: ignore[arg-type] # a socket

        return answer


async def test_another_houses_server_is_never_taken_for_the_app(tmp_path: Path) -> None:
    switch = Switch()
    async with real_house(tmp_path, make_sshd=switch.make) as real:
        public = real.key.with_suffix(".pub").read_text().strip()
        house, switch.other = another_house(keygen(tmp_path / "neighbour"))
        found = await real.findings()
        assert [name for name, _ in roots(found)] == ["login-works"]
        verdict = found["login-works"].verdict
        assert verdict.failure in {"wrong-server", "look-alike"}, verdict
        assert any("greeting: SSH-2.0-OpenSSH" in line for line in verdict.evidence)
        files = real.files()
        await real.run()
        assert real.files() == files, "nothing is pinned, and no key is given up"
        house, switch.other = another_house(public)
        before = len(house.app(TERMINAL).log)
        found = await real.findings()
        assert roots(found) == [("right-server", "impostor")]
        assert not any("command" in line for line in house.app(TERMINAL).log[before:]), "nothing was run there"


async def test_a_web_server_behind_the_port_is_told(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.house.knobs.door = DoorState.NOT_SSH
        found = await real.findings()
        assert roots(found) == [("port-answers", "not-ssh")]
        assert any("HTTP/1.1 400" in line for line in found["port-answers"].verdict.evidence)


async def test_a_penalty_is_told_with_the_time_to_wait(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        real.house.penalise_everybody(300)
        found = await real.findings()
        assert roots(found) == [("port-answers", "penalties")]
        assert "10 minutes" in str(found["port-answers"].verdict.fix)
        assert any("penalty: failed authentication" in line for line in found["port-answers"].verdict.evidence)


# ------------------------------------------------------------------------------------------------------- what others meet there


async def test_a_client_that_signs_with_sha1_is_named_by_the_servers_own_words(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        key = asyncssh.generate_private_key("ssh-rsa")
        with pytest.raises(asyncssh.Error):
            await asyncssh.connect(
                real.running.host,
                2222,
                username="root",
                client_keys=[key],
                known_hosts=None,
                config=None,
                agent_path=None,
                signature_algs=["ssh-rsa"],
            )
        found = await real.findings()
        assert roots(found) == [("clients-admitted", "rsa-sha1")], real.app.log[-12:]
        assert "ssh-rsa" in found["clients-admitted"].verdict.evidence[0]


@pytest.mark.parametrize("slug", [TERMINAL, ADVANCED])
async def test_an_agent_with_many_keys_is_told_by_both_sides(tmp_path: Path, slug: str) -> None:
    async with real_house(tmp_path, slug=slug) as real:
        socket = tmp_path / "agent"
        agent = await asyncio.create_subprocess_exec("ssh-agent", "-D", "-a", str(socket), stdout=subprocess.PIPE)
        assert agent.stdout is not None
        assert b"SSH_AUTH_SOCK" in await agent.stdout.readline(), "it says where it listens once it does"
        environment = {"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": str(socket)}
        try:
            for number in range(7):
                path = tmp_path / f"id_{number}"
                keygen(path)
                await ran_well("ssh-add", "-q", str(path), env=environment)
            command = [
                *("ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-p", "2222"),
                *("-o", "UserKnownHostsFile=/dev/null", "-i", str(real.key), f"root@{real.running.host}", "true"),
            ]
            ran = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
            _, err = await ran.communicate()
        finally:
            agent.terminate()
            await agent.wait()
        assert ran.returncode == 255
        seen = await looked(real)  # its own login comes after the refusal in the log, so that this is there by then
        assert any(one.code == "too-many" for one in logs.refusals(real.app.log)), real.app.log[-12:]
        facts = seen.with_(Alias(name="ha", resolved={}, login=OwnLogin(code=255, err=err.decode())), SshConfig())
        verdict = judge(check("own-ssh-works"), real.want, facts)
        assert verdict.failure == "too-many", verdict
        lone = facts.with_(AppLog(lines={real.slug: tuple(line for line in real.app.log if "Accepted" not in line)}))
        assert judge(check("clients-admitted"), real.want, lone).failure == "too-many"


async def looked(real: RealHouse) -> Facts:
    return await engine.look(real.home(), real.target, real.journal, EVERY)


async def test_a_refused_forward_is_logged_and_a_wish_for_it_is_told(tmp_path: Path) -> None:
    async with real_house(tmp_path) as real:
        command = ["ssh", "-F", str(real.config), "-o", "BatchMode=yes", "-W", "localhost:8123", "ha"]
        ran = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, err = await ran.communicate()
        assert b"administratively prohibited" in err or b"stdio forwarding failed" in err
        assert any(one.code == "forwarding-refused" for one in logs.refusals(real.app.log)), real.app.log[-8:]
        async with ssh.open_session(real.running.host, 2222, "root", str(real.key), None) as session:
            assert await session.forward("localhost", 8123)
            assert await session.sftp() == ""


async def test_sftp_that_is_off_says_so_to_both_clients(tmp_path: Path) -> None:
    async with real_house(tmp_path, slug=ADVANCED) as real:
        async with ssh.open_session(real.running.host, 2222, "root", str(real.key), None) as session:
            assert await session.sftp()
        assert any(one.code == "subsystem-failed" for one in logs.refusals(real.app.log)), real.app.log[-8:]
        found = await real.findings()
        assert found["copies-files"].verdict.failure == "scp-new"
        assert any("subsystem request for sftp" in line for line in found["copies-files"].verdict.evidence)


async def test_a_real_server_answers_what_a_session_asks(tmp_path: Path) -> None:
    key = tmp_path / "id"
    public = keygen(key)
    async with sshd(tmp_path / "sshd", "AllowTcpForwarding yes") as server:
        server.authorise(public)
        async with ssh.open_session("127.0.0.1", server.port, ME, str(key), None) as session:
            assert await session.sftp() == ""
            assert await session.forward("127.0.0.1", server.port) == ""
            assert await session.forward("127.0.0.1", 1) == "", "nobody is there, but it was allowed to try"
            shown = inside.read((await session.run(inside.command("xterm-256color"))).out)
    assert shown is not None
    assert shown.uid == os.getuid()
    assert ("bash" in shown.programs) == (shutil.which("bash") is not None)
    assert shown.system


async def test_a_real_server_that_forbids_forwarding_says_so(tmp_path: Path) -> None:
    key = tmp_path / "id"
    public = keygen(key)
    async with sshd(tmp_path / "sshd", "AllowTcpForwarding no") as server:
        server.authorise(public)
        async with ssh.open_session("127.0.0.1", server.port, ME, str(key), None) as session:
            assert await session.forward("127.0.0.1", 1)
    assert any(one.code == "forwarding-refused" for one in logs.refusals(server.log.splitlines())), server.log
