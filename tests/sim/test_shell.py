"""The built-in shell: words, operators, exit codes, files, `ha`, archives; all over a tree in memory."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from ha_ssh.sim.root import Root, seed_container, seed_house

if TYPE_CHECKING:
    from pathlib import Path

    from ha_ssh.sim.shell import Ended, Shell
from ha_ssh.sim.commands import COMMANDS, login_shell


async def supervisor(method: str, path: str, data: Any) -> tuple[int, str]:
    if path == "/info":
        return 200, json.dumps({"result": "ok", "data": {"supervisor": "2026.11.0", "features": ["reboot"], "arch": "amd64"}})
    if path == "/core/restart":
        return 200, json.dumps({"result": "ok", "data": {}})
    if path == "/core/logs":
        return 200, "a line of the log\n"
    return 404, json.dumps({"result": "error", "message": f"no {method} {path} {data}"})


@pytest.fixture
def root() -> Root:
    root = seed_container(seed_house())
    root.write("/data/options.json", '{"authorized_keys": []}', mode=0o600)
    return root


@pytest.fixture
def shell(root: Root) -> Shell:
    return login_shell(root, "root", supervisor, token="T")


async def said(shell: Shell, line: str, stdin: bytes = b"") -> Ended:
    async def read() -> bytes:
        return stdin

    return await shell.run(line, read)


@pytest.mark.parametrize(
    ("line", "code", "out"),
    [
        ("true", 0, ""),
        ("false", 1, ""),
        ("exit 7", 7, ""),
        ("exit 7; echo never", 7, ""),
        ("false; echo $?", 0, "1\n"),
        ("echo 'a  b' \"c $USER\" '$USER'", 0, "a  b c root $USER\n"),
        ("echo '&&' \\; \"|\"", 0, "&& ; |\n"),
        ("true && echo yes || echo no", 0, "yes\n"),
        ("false && echo yes || echo no", 0, "no\n"),
        ("sh -c 'exit 3'", 3, ""),
        ("bash -lc 'exit 4' || echo $?", 0, "4\n"),
        ('sh -c "echo one; false; echo two"', 0, "one\ntwo\n"),
        ("sh -c 'exit 5'; echo after", 0, "after\n"),
        ("whoami", 0, "root\n"),
        ("id -u", 0, "0\n"),
        ("command -v ha", 0, "/usr/bin/ha\n"),
        ("command -v rsync", 127, ""),
        ("echo hello | cat | wc -c", 0, "6\n"),
        ("cat nothing 2>/dev/null || echo gone", 0, "gone\n"),
        ("cat nothing 2>&1", 1, "cat: can't open 'nothing': No such file or directory\n"),
        ("test -f /config/configuration.yaml && echo there", 0, "there\n"),
        ("[ -d /homeassistant -a ] ; [ 3 -gt 2 ]", 0, ""),
        ("[ ! -e /nowhere ]", 0, ""),
        (
            "cd /config && pwd && ls",
            0,
            "/config\nautomations.yaml\nconfiguration.yaml\nscenes.yaml\nscripts.yaml\nsecrets.yaml\n",
        ),
        ("X=5; echo ${X}x$X", 0, "5x5\n"),
        (
            "echo /homeassistant/s*.yaml",
            0,
            "/homeassistant/scenes.yaml /homeassistant/scripts.yaml /homeassistant/secrets.yaml\n",
        ),
        ("echo '*'", 0, "*\n"),
        ("# nothing", 0, ""),
        ("", 0, ""),
        ("printf '%s\\n' x", 0, "x\n"),
        ("seq 3", 127, ""),
    ],
)
async def test_a_line_has_the_code_and_the_output_of_a_shell(shell: Shell, line: str, code: int, out: str) -> None:
    ended = await said(shell, line)
    assert (ended.code, ended.out.decode()) == (code, out)


@pytest.mark.parametrize("line", ["echo 'open", "ls )", "| cat", "echo `id`", "echo $(id)", "cat <", "sleep 1 &"])
async def test_what_is_not_understood_is_refused_whole(shell: Shell, line: str) -> None:
    ended = await said(shell, line)
    assert ended.code == 2
    assert ended.out == b""
    assert ended.err.startswith(b"sh: ")


async def test_an_unknown_command_is_not_found(shell: Shell) -> None:
    ended = await said(shell, "rsync --version")
    assert (ended.code, ended.err) == (127, b"sh: rsync: not found\n")


async def test_files_are_written_lengthened_and_read_through_links(shell: Shell, root: Root) -> None:
    await said(shell, "echo one > /config/new.txt; echo two >> /config/new.txt; cat > /share/in < /config/new.txt")
    assert root.read("/homeassistant/new.txt") == b"one\ntwo\n"
    assert root.read("/share/in") == b"one\ntwo\n"
    assert (await said(shell, "cat > /tmp/x; cat /tmp/x", b"\x00\xff")).out == b"\x00\xff"
    await said(shell, "echo lost > /dev/null")
    assert root.read("/dev/null") == b""


async def test_the_real_computer_is_out_of_reach(shell: Shell, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    for line in (f"cat {secret}", f"cat /../../..{secret}", f"cat < {secret}", f"ls {tmp_path}"):
        assert (await said(shell, line)).code != 0
    await said(shell, f"echo yours > {secret}; rm -rf {tmp_path}")
    assert secret.read_text() == "mine"


async def test_two_apps_share_the_configuration_and_nothing_else(root: Root) -> None:
    shared = seed_house()
    one, two = seed_container(shared), seed_container(shared)
    one.write("/homeassistant/x", "1")
    one.write("/data/x", "1")
    assert two.read("/config/x") == b"1"
    assert not two.has("/data/x")


async def test_ha_answers_for_people_and_for_programs(shell: Shell) -> None:
    assert (await said(shell, "ha info")).out == b"arch: amd64\nfeatures:\n- reboot\nsupervisor: 2026.11.0\n"
    assert json.loads((await said(shell, "ha info --raw-json")).out)["data"]["arch"] == "amd64"
    assert (await said(shell, "ha core restart")).out == b"Command completed successfully.\n"
    assert (await said(shell, "ha core logs")).out == b"a line of the log\n"
    refused = await said(shell, "ha backups new --name x")
    assert refused.code == 1
    assert refused.err.startswith(b"Error: no POST /backups/new/full")


async def test_without_a_token_only_a_login_shell_has_ha(root: Root) -> None:
    shell = login_shell(root, "hassio", supervisor, token="T", with_token=False)
    refused = await said(shell, "ha info --raw-json")
    assert (refused.code, refused.err) == (1, b"Error: Unexpected server response. Status code: 401\n")
    assert (await said(shell, "bash -lc 'ha info --raw-json'")).code == 0
    assert (await said(shell, "cat /data/options.json")).code == 1
    assert (await said(shell, "sudo -n cat /data/options.json")).out == b'{"authorized_keys": []}'


async def test_the_supervisor_is_reached_by_curl_and_nothing_else_is(shell: Shell) -> None:
    good = await said(shell, 'curl -sSf -H "Authorization: Bearer $SUPERVISOR_TOKEN" http://supervisor/info')
    assert json.loads(good.out)["result"] == "ok"
    assert (await said(shell, "curl -s http://127.0.0.1:22/")).code == 6
    assert json.loads((await said(shell, "curl -s http://supervisor/info")).out)["result"] == "error"


async def test_an_archive_goes_out_and_comes_back(shell: Shell, root: Root) -> None:
    made = await said(shell, "tar -czf - -C / --exclude secrets.yaml homeassistant ssl")
    assert made.code == 0
    with tarfile.open(fileobj=io.BytesIO(made.out)) as opened:
        names = opened.getnames()
    assert {"homeassistant/configuration.yaml", "ssl"} <= set(names)
    assert "homeassistant/secrets.yaml" not in names
    await said(shell, "rm /config/configuration.yaml")
    before = (await said(shell, "tar tzf -", made.out)).out.decode().split()
    assert before == names
    assert (await said(shell, "tar -xzf - -C /", made.out)).code == 0
    assert b"default_config:" in root.read("/config/configuration.yaml")
    assert (await said(shell, "tar -xf -", b"no archive at all")).code == 1


async def test_every_command_survives_odd_arguments(shell: Shell) -> None:
    for name in COMMANDS:
        if name != "sleep":
            for args in ("", "-x", "'' '' ''", "/nowhere", "-n", "-n x y"):
                ended = await said(shell, f"{name} {args}")
                assert 0 <= ended.code <= 255
