"""OpenSSH itself as the judge: what we read and write is what it reads."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from test_keys import DSA, EC, ED, ED_BLOB, RSA, RSA_BLOB, SK
from test_knownhosts import NAMES, OTHER, TAG, hashed
from test_sshconfig import ODD

from ha_ssh.core.keys import fingerprint, served
from ha_ssh.core.knownhosts import keys_for, lookup_name, with_keys
from ha_ssh.core.sshconfig import host_block, parse_resolved, split_args, with_include

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None or shutil.which("ssh") is None, reason="needs OpenSSH")

SHAPES = (
    *(ED, EC, RSA, SK, DSA),
    *(f"  {ED}", f"\t{ED}", ED.replace(" ", "\t"), ED.replace(" ", "  "), f"{ED}\r", f"ssh-ed25519 {ED_BLOB}"),
    *(f'from="10.0.0.1" {ED}', f'command="a \\"b\\" c",no-pty {ED}', f"{ED}, {RSA}", f"rsa-sha2-512 {RSA_BLOB}"),
    *(f'"{ED}"', f"“{ED}”", f"[{ED}", f"\ufeff{ED}", ED.replace(" ", "\u00a0"), f"{ED[:40]} {ED[40:]}", ED_BLOB),
    *(f"ssh-rsa {ED_BLOB}", f"SSH-ED25519 {ED_BLOB}", ED[:50], f"{ED[:30]}\u2028{ED[30:]}", "# " + ED, "", "garbage"),
    *(f"ssh-ed25519 {ED_BLOB}=", f"ssh-ed25519 {ED_BLOB}AAAA", f"ssh-ed25519\x0b{ED_BLOB}", f"ssh-ed25519 {ED_BLOB[:-1]}"),
)


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
def test_a_line_holds_a_key_for_us_as_for_openssh(shape, tmp_path):
    file = tmp_path / "authorized_keys"
    file.write_text(f"{shape}\n", encoding="utf-8", newline="")
    seen = [line.split()[1] for line in ran("ssh-keygen", "-l", "-f", str(file)).stdout.split("\n") if line]
    assert [entry.fingerprint for entry in served(shape)] == seen


@pytest.mark.parametrize(
    ("key", "form"), [(key, form) for key in (ED, EC, RSA) for form in ("RFC4716", "PKCS8") if (key, form) != (ED, "PKCS8")]
)
def test_other_formats_are_converted_to_the_same_key(key, form, tmp_path):
    from ha_ssh.core.keys import BadEntry, parse_entry

    file = tmp_path / "key.pub"
    file.write_text(f"{key}\n")
    other = ran("ssh-keygen", "-e", "-m", form, "-f", str(file)).stdout
    found = parse_entry(other)
    assert isinstance(found, BadEntry)
    assert found.repaired is not None
    assert fingerprint(found.repaired) == fingerprint(key)


@pytest.mark.parametrize("odd", [name for name in ODD if name not in ("strange", "byte order mark", "open quote", "only blanks")])
@pytest.mark.parametrize("folder", ["plain", "with blank"])
def test_our_alias_wins_whatever_the_users_file_says(odd, folder, tmp_path):
    home = tmp_path / folder
    home.mkdir()
    config, ours = home / "config", home / "home.conf"
    ours.write_text(
        host_block(
            alias="ha",
            house="home",
            host="fe80::1%eth0",
            port=2222,
            user="root",
            identity=str(home / "100% o'key"),
            host_key_alias="ha-ssh-home",
            known_hosts=str(home / "known_hosts"),
            multiplex=True,
            tunnels=(8123,),
        )
    )
    config.write_text(with_include(ODD[odd], str(home / "*.conf")), encoding="utf-8", newline="")
    done = ran("ssh", "-F", str(config), "-G", "ha")
    resolved = parse_resolved(done.stdout)
    assert done.returncode == 0, done.stderr
    assert {key: resolved[key][0] for key in ("hostname", "port", "user", "hostkeyalias", "controlmaster", "localforward")} == {
        "hostname": "fe80::1%eth0",
        "port": "2222",
        "user": "root",
        "hostkeyalias": "ha-ssh-home",
        "controlmaster": "auto",
        "localforward": "8123 [localhost]:8123",
    }
    assert resolved["identityfile"][0].replace("%%", "%") == str(home / "100% o'key")
    assert split_args(resolved["userknownhostsfile"][0]) in (
        (str(home / "known_hosts"),),
        tuple(str(home / "known_hosts").split()),
    )


@pytest.mark.parametrize("name", [*NAMES, "a.example", "b.example", "x", lookup_name("10.0.0.7", 22)])
def test_known_hosts_are_matched_as_openssh_matches_them(name, tmp_path):
    text = with_keys(
        f"*.example,!b.example {OTHER}\n{hashed('10.0.0.7')} {OTHER}\n@revoked x {OTHER}\n# c\n\nA.EXAMPLE {ED}\n",
        NAMES,
        (ED,),
        TAG,
    )
    file = tmp_path / "known_hosts"
    file.write_text(text)
    seen = [
        line for line in ran("ssh-keygen", "-F", name, "-f", str(file)).stdout.splitlines() if not line.startswith(("#", "@"))
    ]
    assert [line.public for line in keys_for(text, name)] == [" ".join(line.split()[1:3]) for line in seen]
