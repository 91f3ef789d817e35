"""No secret of a run is in any output, in any file but the key itself and the vault, or on any command line."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization as form

from servers import ADVANCED, TERMINAL, serve_ssh

if TYPE_CHECKING:
    from computer import Computer, Ended

    from ha_ssh.sim.house import House

PASSPHRASE = "correct-horse-battery"
PASSWORD = "the-house-password-7"
VAULT = "config/secrets.json"
SSH = """#!/bin/sh
printf '%s\\n' "$0 $*" >> {log}
exec {ssh} "$@"
"""


def house_with_a_password(house: House) -> None:
    """Let people log in to the community app by a password."""
    serve_ssh(house, slug=ADVANCED, port=2222, username="root", password=PASSWORD)


def secrets_of(computer: Computer) -> dict[str, bytes]:
    """Everything that must not be told, as the bytes to look for."""
    token = (computer.token or "").encode()
    found = {"token": token, "end of the token": token[-30:], "passphrase": PASSPHRASE.encode(), "password": PASSWORD.encode()}
    for name in (PASSPHRASE, PASSWORD):
        found[f"{name} in base64"] = base64.b64encode(name.encode())[:-3]
    key = computer.ssh / "id_ha_ssh_home"
    if key.exists():
        lock = PASSPHRASE.encode() if b"YmNyeXB0" in key.read_bytes() else None  # "bcrypt", the way it is locked
        private = form.load_ssh_private_key(key.read_bytes(), lock)
        raw = private.private_bytes(form.Encoding.Raw, form.PrivateFormat.Raw, form.NoEncryption())  # type: ignore[union-attr]  # the run before has made it
        found |= {"key": raw, "key in hex": raw.hex().encode(), "key file": key.read_bytes().splitlines()[2]}
    return found


def nothing_is_told(computer: Computer, *endings: Ended) -> None:
    """Assert that no secret is in any output, and none in any file but those that are for it."""
    texts = {f"output {number}": f"{ended.out}\n{ended.err}".encode() for number, ended in enumerate(endings)}
    for folder in (computer.profile, computer.folder / "home", computer.folder / "tmp", computer.folder / "seen"):
        texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name, secret in secrets_of(computer).items():
        for where, text in texts.items():
            if where.endswith((VAULT, "id_ha_ssh_home")):
                continue
            assert secret not in text, f"the {name} is in {where}"


def everything_is_private(computer: Computer) -> None:
    """Assert that only the user can read what lies in the profile, but for what is public."""
    for path in [computer.profile, *computer.profile.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.suffix == ".pub":
            assert mode == 0o644
        else:
            assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:o}"


def with_passphrase(computer: Computer, *more: str, ssh: bool = False) -> Ended:
    """Run a setup of the community app that has to do with every secret there is."""
    passphrase = computer.folder / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    passphrase.chmod(0o600)
    flags = ("--app", "advanced", "--username", "root", "--password", "off", "--accept-risk", "password-off", "--yes")
    env = {"PATH": f"{watched(computer)}:{os.environ['PATH']}"} if ssh else None
    given = ("--passphrase-file", str(passphrase), "--new-key", "ed25519")
    return computer.ha_ssh("setup", "--url", computer.running.url, *given, *flags, *more, env=env)


def watched(computer: Computer) -> Path:
    """Put in front of OpenSSH's programs what writes down how they are called."""
    folder = computer.folder / "seen" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ssh", "ssh-keygen"):
        path = folder / name
        path.write_text(SSH.format(log=computer.folder / "seen" / "calls", ssh=shutil.which(name)))
        path.chmod(0o755)
    return folder


@pytest.mark.parametrize("form_of_output", [("--json", "--verbose"), ("--json-lines",)], ids=" ".join)
def test_a_run_with_every_secret_tells_none(computer: Computer, form_of_output: tuple[str, ...]) -> None:
    computer.turn(house_with_a_password)
    done = with_passphrase(computer, *form_of_output, ssh=True)
    assert done.code == 0, done
    calls = (computer.folder / "seen" / "calls").read_text()
    assert "BatchMode" not in calls  # the passphrase is asked for, by askpass
    assert " ha true" in calls
    assert PASSWORD in (computer.profile / VAULT).read_text()  # so that an undo can bring it back
    nothing_is_told(computer, done)
    everything_is_private(computer)
    if "--json" not in form_of_output:
        return
    listed = computer.ha_ssh("undo", "--list")
    doctor = computer.ha_ssh("doctor", "--json", "--verbose", env={"HA_SSH_PASSPHRASE": PASSPHRASE})
    again, undone = with_passphrase(computer, "--verbose"), computer.ha_ssh("undo", "--yes", "--verbose")
    assert (listed.code, again.code, undone.code) == (0, 0, 0), undone
    assert computer.snapshot()["apps"][ADVANCED]["options"]["ssh"]["password"] == PASSWORD
    nothing_is_told(computer, listed, doctor, again, undone)
    everything_is_private(computer)


def test_a_plan_tells_none(computer: Computer) -> None:
    computer.turn(house_with_a_password)
    people, machine = with_passphrase(computer, "--dry-run"), with_passphrase(computer, "--dry-run", "--json")
    assert people.code == machine.code == 0
    assert "password-as-wanted" in {waiting["id"] for waiting in machine.report["waiting"]}
    nothing_is_told(computer, people, machine)


def test_a_run_that_fails_tells_none(computer: Computer) -> None:
    """The Supervisor repeats refused settings in its message, the password included."""

    def refusing(house: House) -> None:
        house_with_a_password(house)
        house.knobs.options_refused = "expected something else"

    computer.turn(refusing)
    failed = with_passphrase(computer, "--json", "--verbose")
    assert failed.code == 1, failed
    told = with_passphrase(computer, "--verbose")
    assert told.code == 1
    nothing_is_told(computer, failed, told)
    everything_is_private(computer)


def test_a_killed_run_tells_none(computer: Computer) -> None:
    computer.turn(house_with_a_password)
    kill_at = str(Path(__file__).with_name("kill_at.py"))
    passphrase = {"HA_SSH_PASSPHRASE": PASSPHRASE}
    flags = ("setup", "--url", computer.running.url, "--app", "advanced", "--new-key", "ed25519", "--yes", "--json")
    risky = ("--accept-risk", "password-off", "--username", "root", "--password", "off")
    killed = computer.ha_ssh(*flags, *risky, env=passphrase, run=(kill_at, "12"))
    assert killed.code == -9, killed
    nothing_is_told(computer, killed)
    everything_is_private(computer)


def test_a_generated_password_goes_to_its_file_only(computer: Computer) -> None:
    computer.turn(house_with_a_password)
    out = computer.folder / "password"
    flags = ("--app", "advanced", "--username", "root", "--password", "generate")
    nowhere = computer.setup(*flags)
    assert nowhere.code == 3, nowhere
    assert "--secret-out" in nowhere.said
    done = computer.setup(*flags, "--secret-out", str(out))
    assert done.code == 0, done
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    made = computer.snapshot()["apps"][ADVANCED]["options"]["ssh"]["password"]
    assert made not in {"", PASSWORD}
    assert f"root password {hashlib.sha256(made.encode()).hexdigest()}" in computer.admitted(ADVANCED)
    assert out.read_text().strip() == made
    assert made not in done.out + done.err
    for path in computer.profile.rglob("*"):
        assert path.is_dir() or str(path).endswith(VAULT) or made.encode() not in path.read_bytes(), path
    again = computer.setup("--app", "advanced")  # it is made once, and kept then
    assert (again.code, again.report["changed"]) == (0, False), again
    assert computer.undo().code == 0
    assert computer.snapshot()["apps"][ADVANCED]["options"]["ssh"]["password"] == PASSWORD


def test_the_official_app_forgets_its_password_and_an_undo_brings_it_back(computer: Computer) -> None:
    computer.turn(lambda house: serve_ssh(house, port=2222, password=PASSWORD))
    house, admitted = computer.snapshot(), computer.admitted()
    assert any("password" in one for one in admitted)
    unsaid = computer.setup()
    assert unsaid.code == 3, unsaid
    assert "--password" in unsaid.said
    unagreed = computer.setup("--password", "keep")  # the first key ends it at once, whatever is wished
    assert unagreed.code == 3, unagreed
    assert "--accept-risk password-off" in unagreed.said
    unproven = computer.setup("--password", "off")  # it would end before the login by key is proven
    assert unproven.code == 3, unproven
    assert "--accept-risk password-off" in unproven.said
    assert computer.snapshot() == house
    done = computer.setup("--password", "off", "--accept-risk", "password-off")
    assert done.code == 0, done
    assert computer.snapshot()["apps"][TERMINAL]["options"]["password"] == ""
    undone = computer.undo()
    assert undone.code == 0
    assert computer.admitted() == admitted
    assert computer.snapshot()["apps"][TERMINAL]["options"] == house["apps"][TERMINAL]["options"]
    nothing_is_told(computer, unsaid, unagreed, unproven, done, undone)
