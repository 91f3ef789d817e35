"""The simulated OpenSSH client makes of an alias what the real one makes of it."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ha_ssh.sim import openssh
from ha_ssh.sim.apps import public_key
from ha_ssh.sim.keys import MadeUpKeys

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")

COMPARED = (
    *("host", "user", "hostname", "port", "identityfile", "identitiesonly"),
    *("stricthostkeychecking", "hostkeyalias", "controlmaster", "controlpersist", "serveraliveinterval", "serveralivecountmax"),
    *("localforward", "remoteforward", "dynamicforward", "sendenv", "setenv", "updatehostkeys"),
    *("forwardagent", "addkeystoagent", "requesttty", "connecttimeout", "batchmode", "loglevel"),
    *("preferredauthentications", "checkhostip", "hashknownhosts", "passwordauthentication", "pubkeyauthentication", "proxyjump"),
    *("compression", "userknownhostsfile"),
)


class Disk:
    """The real files, for both clients."""

    def text(self, path: str) -> str | None:
        return Path(path).read_text(encoding="utf-8") if Path(path).exists() else None

    def mode(self, path: str) -> int:
        return Path(path).stat().st_mode & 0o7777

    def matching(self, pattern: str) -> list[str]:
        folder = Path(pattern).parent
        if not folder.is_dir():
            return []
        return sorted(str(path) for path in folder.iterdir() if fnmatch.fnmatchcase(path.name, Path(pattern).name))


def real(config: Path, alias: str) -> dict[str, tuple[str, ...]] | None:
    command = ["ssh", "-F", str(config), "-o", "UserKnownHostsFile=/k", "-G", alias]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: dict[str, tuple[str, ...]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found[keyword] = (*found.get(keyword, ()), value)
    return found


def ours(config: Path, alias: str, user: str) -> dict[str, tuple[str, ...]] | None:
    try:
        return openssh.resolve(alias, str(config), Disk(), home=str(Path.home()), user=user, known_hosts="/k")
    except openssh.Complaint:
        return None


def assert_same(config: Path, *aliases: str) -> None:
    for alias in aliases:
        theirs = real(config, alias)
        mine = ours(config, alias, (theirs or {}).get("user", ("",))[0])
        if theirs is None or mine is None:
            assert (theirs, mine) == (None, None), (config.read_text(), theirs, mine)
            continue
        for keyword in COMPARED:
            if keyword in mine:
                assert mine[keyword] == theirs.get(keyword), (keyword, config.read_text())


CASES = {
    "nothing": "",
    "plain": "Host ha\n  HostName 192.168.1.20\n  Port 2222\n  User root\n  IdentityFile ~/.ssh/ha\n  IdentitiesOnly yes\n",
    "first wins": "Host ha\n Port 1\nHost *\n Port 2\n User you\nHost ha\n User root\n",
    "equals and capitals": "HOST ha\n\tPORT=2222\n  hostname = x.local\n",
    "CR LF": "Host ha\r\n  Port 2222\r\n  User root\r\n",
    "no final newline": "Host ha\n  Port 2222",
    "comments": "# x\nHost ha # y\n  # z\n  Port 2222 # w\n",
    "negated": "Host * !ha\n  Port 3\nHost h?\n  Port 4\n",
    "patterns": "Host ha other *.local\n  Port 5\n",
    "match": "Match host ha\n Port 6\nMatch all\n User z\n",
    "match by name": "Host ha\n HostName box\nMatch host box\n Port 6\nMatch originalhost ha user nobody\n Port 7\n",
    "match negated": "Match !host ha\n Port 6\n",
    "host name with %h": "Host ha\n HostName %h.local\n",
    "forwards": "DynamicForward 1080\nLocalForward 8123 homeassistant:8123\n"
    "LocalForward 127.0.0.1:1883 core:1883\nRemoteForward 9 localhost:9\n",
    "environment": "SendEnv LANG LC_*\nSetEnv A=b\nSendEnv X\n",
    "words": "StrictHostKeyChecking accept-new\nUpdateHostKeys ask\nControlMaster auto\nControlPersist 10m\nRequestTTY force\n",
    "times": "ServerAliveInterval 1m\nConnectTimeout 1m30s\nServerAliveCountMax 5\n",
    "persist": "ControlPersist yes\n",
    "agent": "ForwardAgent yes\nAddKeysToAgent confirm\n",
    "log": "LogLevel quiet\nBatchMode true\nServerAliveInterval 5\nCompression yes\n",
    "keys": "IdentityFile ~/a\nHost ha\n IdentityFile ~/b\n IdentityFile ~/a\n",
    "no keys": "IdentityFile none\n",
    "quotes": 'Host "ha"\n IdentityFile "~/my keys/ha"\n User "root"\n',
    "alias": "Host ha\n HostKeyAlias ha-ssh-home\n ProxyJump none\n",
    "ignored": "IgnoreUnknown UseKeychain,Foo*\nUseKeychain yes\nFooBar 1\n",
    "bad word": "Host ha\n Foo bar\n",
    "bad word elsewhere": "Host other\n Foo bar\n",
    "bad port": "Host other\n Port 99999\n",
    "bad flag": "IdentitiesOnly maybe\n",
    "bad choice": "StrictHostKeyChecking perhaps\n",
    "no value": "User\n",
    "too many": "User a b\n",
    "bad quotes": 'User "a\n',
    "bad time": "ConnectTimeout soon\n",
    "bad match": "Match colour red\n",
}


@needs_ssh
@pytest.mark.parametrize("name", CASES)
def test_the_same_as_the_real_client(tmp_path: Path, name: str) -> None:
    config = tmp_path / "config"
    config.write_bytes(CASES[name].encode())
    assert_same(config, "ha", "other")


@needs_ssh
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
@pytest.mark.parametrize("before", ["", "Host *\n  Port 9\n", "Host ha\n", "Host other\n", "Host ha\n  User first\n"])
def test_included_files(tmp_path: Path, before: str, mode: int) -> None:
    included = tmp_path / "more" / "home.conf"
    included.parent.mkdir()
    included.write_text("User deep\nHost ha\n  Port 2222\n  HostName box\nHost nobody\n  User x\n", encoding="utf-8")
    included.chmod(mode)
    config = tmp_path / "config"
    config.write_text(
        f"{before}Include {tmp_path}/more/*.conf {tmp_path}/none\nUser late\nHost *\n  Compression yes\n", encoding="utf-8"
    )
    assert_same(config, "ha", "other")


LINES = st.sampled_from(
    (
        *("Host ha", "Host *", "Host other", "Host !ha *", "Host h* !hb", "Match host box", "Match all", "Match originalhost ha"),
        *(
            "Port 22",
            "Port 2222",
            "User root",
            "User me # x",
            "HostName box",
            "HostName %h.lan",
            "IdentityFile ~/k",
            "IdentityFile ~/l",
        ),
        *(
            "IdentitiesOnly yes",
            "StrictHostKeyChecking yes",
            "LocalForward 80 a:80",
            "ServerAliveInterval 30",
            "# nothing",
            "",
            "Bad x",
        ),
        *("  Port=7", "\tUser\tx", "ControlPersist 60", "Include INC"),
    )
)


@needs_ssh
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=9), included=st.lists(LINES.filter(lambda line: "INC" not in line), max_size=5))
def test_any_configuration(tmp_path: Path, lines: list[str], included: list[str]) -> None:
    more = tmp_path / "included"
    more.write_text("\n".join(included), encoding="utf-8")
    more.chmod(0o600)
    config = tmp_path / "config"
    config.write_text("\n".join(lines).replace("INC", str(more)), encoding="utf-8")
    assert_same(config, "ha")


# ---------------------------------------------------------------------------------------------------------- known hosts


def problem(text: str, name: str, *served: str, strict: str = "true") -> str | None:
    keys = [key for line in served if (key := public_key(line)) is not None]
    return openssh.host_key_problem([text], name, keys, strict=strict)


ED, RSA, OTHER = (MadeUpKeys().make(kind).public for kind in ("ed25519", "rsa", "ed25519"))


@pytest.mark.parametrize("hosts", ["box", "other,box", "b*", "b?x", "BOX"])
def test_known(hosts: str) -> None:
    assert problem(f"{hosts} {ED} comment\n", "box", ED) is None


@pytest.mark.parametrize("hosts", ["[box]:22", "box.lan", "*,!box", "#box"])
def test_not_known(hosts: str) -> None:
    assert "No ED25519 host key is known for box" in (problem(f"{hosts} {ED}\n", "box", ED) or "")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_hashed_by_the_real_one(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"[box]:2222 {ED}\n", encoding="utf-8")
    subprocess.run(["ssh-keygen", "-H", "-f", str(path)], check=True, capture_output=True)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("|1|")
    assert problem(text, "[box]:2222", ED) is None
    assert problem(text, "box", ED) is not None


def test_a_kind_that_is_known_is_asked_for() -> None:
    assert problem(f"box {RSA}\n", "box", ED, RSA) is None


def test_a_changed_key() -> None:
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in (problem(f"box {OTHER}\n", "box", ED) or "")
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in (problem(f"box {OTHER}\n", "box", ED, strict="accept-new") or "")


def test_a_revoked_key() -> None:
    assert "REVOKED" in (problem(f"@revoked box {ED}\nbox {ED}\n", "box", ED) or "")


def test_the_first_contact_without_strictness() -> None:
    assert problem("", "box", ED, strict="accept-new") is None
