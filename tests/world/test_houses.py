"""Houses are remembered in a file that people edit: nothing of theirs is lost, and every mistake is named with its line."""

import os
import stat
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ha_ssh.core.errors import Exit, HaSshError, UsageError
from ha_ssh.core.model import WANT_SCHEMA, KeyKind, PasswordWish, Risk, SecretRef, Want
from ha_ssh.core.options import Trust
from ha_ssh.world.houses import House, Houses, included_file, load, locations

HOME = House(
    name="home",
    url="https://house.example:8123",
    id="flat",
    trust=Trust(ca_file="/home/me/ca.pem", fingerprint="AB:CD"),
    ssh_host="192.168.1.20",
    ssh_port=2222,
    user="root",
    app="core_ssh",
    identity="/home/me/.ssh/ha",
    alias="ha",
    machine_id="0a1b2c",
    host_keys=("ssh-ed25519 AAAA", "ssh-rsa BBBB"),
    version="10.1.0",
    want=Want(
        app="core_ssh",
        identity="/home/me/.ssh/ha",
        make_key=KeyKind.RSA_4096,
        passphrase=SecretRef("home/passphrase"),
        new_password=SecretRef("home/new-password"),
        comment="me",
        port=2222,
        username="root",
        password=PasswordWish.OFF,
        boot=True,
        watchdog=False,
        alias="ha",
        tunnels=True,
        multiplex=False,
        accepted=frozenset({Risk.LOCK_OUT}),
        taken=frozenset({"app-version"}),
        remembered=frozenset({"watchdog-of-before"}),
    ),
)


def at(tmp_path: Path) -> str:
    return str(tmp_path / "config" / "houses.yaml")


def saved(tmp_path: Path, *houses: House) -> Houses:
    kept = load(at(tmp_path))
    for house in houses:
        kept.remember(house)
    kept.save()
    return load(at(tmp_path))


def write(tmp_path: Path, text: str) -> str:
    path = Path(at(tmp_path))
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_no_house_yet(tmp_path):
    kept = load(at(tmp_path))
    assert (kept.by_name, kept.current, kept.get(), kept.get("home")) == ({}, None, None, None)
    assert not Path(at(tmp_path)).exists()


def test_everything_of_a_house_is_remembered_but_what_was_agreed_to_once(tmp_path):
    kept = saved(tmp_path, HOME)
    assert HOME.want is not None
    assert kept.by_name == {
        "home": replace(HOME, want=replace(HOME.want, accepted=frozenset(), taken=frozenset(), remembered=frozenset()))
    }
    assert kept.get() == kept.get("home") == kept.by_name["home"]
    text = Path(at(tmp_path)).read_text()
    assert "lock-out" not in text
    assert "app-version" not in text
    assert "watchdog-of-before" not in text
    assert stat.S_IMODE(Path(at(tmp_path)).stat().st_mode) == 0o600
    for line in ("make_key: rsa-4096", "passphrase: home/passphrase", "watchdog: false", f"schema: {WANT_SCHEMA}"):
        assert line in text


def test_every_field_of_a_want_is_in_this_test():
    """A new field of `Want` has to be remembered too: this file shows how."""
    assert HOME.want is not None
    assert [one.name for one in fields(Want) if getattr(HOME.want, one.name) in (None, frozenset())] == []


def test_no_opinion_stays_no_opinion(tmp_path):
    bare = House(name="bare", url="http://x", want=Want())
    assert saved(tmp_path, bare, House(name="none", url="http://y")).by_name == {
        "bare": bare,
        "none": House(name="none", url="http://y"),
    }


BY_HAND = """\
# my houses
schema: 1
current: cabin   # the one by the lake

houses:
  # mother's
  mother:
    url: "http://mother.example"
    note: ring before changing anything
  cabin:
    want:
      port: 22222a   # a joke
      wish: later
    url: http://cabin.example   # behind the VPN
    ssh: {host: 10.0.0.2, port: 22, proxy: x}
    host_keys:
      - ssh-ed25519 CCCC   # the good one
extra:
  - kept
"""


def test_what_people_write_is_kept_byte_for_byte(tmp_path):
    text = BY_HAND.replace("22222a", "2222")
    path = write(tmp_path, text)
    kept = load(path)
    assert kept.get() == kept.by_name["cabin"]
    assert kept.by_name["cabin"].ssh_host == "10.0.0.2"
    assert list(kept.by_name) == ["mother", "cabin"]
    kept.save()
    assert Path(path).read_text() == text.replace("      wish: later\n", f"      wish: later\n      schema: {WANT_SCHEMA}\n")


def test_renewing_one_house_changes_only_its_lines(tmp_path):
    path = write(tmp_path, BY_HAND.replace("22222a", "2222"))
    kept = load(path)
    cabin = kept.by_name["cabin"]
    kept.remember(
        replace(cabin, ssh_port=2222, host_keys=(*cabin.host_keys, "ssh-rsa DDDD"), want=replace(cabin.want, port=None))
    )
    kept.save()
    text = Path(path).read_text()
    for line in (
        "# my houses",
        "# the one by the lake",
        "  # mother's",
        "note: ring before",
        "wish: later",
        "# behind the VPN",
        "proxy: x",
        "port: 2222",
        "  - kept",
        'url: "http://mother.example"',
        "- ssh-rsa DDDD",
    ):
        assert line in text
    assert load(path).by_name["cabin"].host_keys == ("ssh-ed25519 CCCC", "ssh-rsa DDDD")
    assert load(path).by_name["cabin"].want == Want()


def test_use_rename_and_forget(tmp_path):
    kept = saved(tmp_path, HOME, replace(HOME, name="cabin"), replace(HOME, name="mother"))
    assert kept.current == "home"
    kept.use("cabin")
    kept.rename("cabin", "lake")
    kept.save()
    kept = load(at(tmp_path))
    assert list(kept.by_name) == ["home", "lake", "mother"]
    assert kept.current == "lake"
    assert kept.by_name["lake"].name == "lake"
    kept.forget("lake")
    kept.save()
    kept = load(at(tmp_path))
    assert (list(kept.by_name), kept.current) == (["home", "mother"], "home")


def test_renaming_keeps_place_comments_and_unknown_fields(tmp_path):
    path = write(tmp_path, BY_HAND.replace("22222a", "2222"))
    kept = load(path)
    kept.rename("mother", "mum")
    kept.save()
    text = Path(path).read_text()
    assert text.index("mum:") < text.index("note: ring before") < text.index("cabin:\n")
    assert "mother:" not in text


def test_a_new_house_that_was_renamed_before_it_was_saved(tmp_path):
    kept = load(at(tmp_path))
    kept.remember(HOME)
    kept.rename("home", "lake")
    kept.save()
    assert list(load(at(tmp_path)).by_name) == ["lake"]


def test_several_houses_and_no_current_one_is_no_choice(tmp_path):
    path = write(tmp_path, "houses:\n  a: {url: http://a}\n  b: {url: http://b}\n")
    assert load(path).get() is None
    assert load(write(tmp_path, "houses:\n  a: {url: http://a}\n")).get() == House(name="a", url="http://a")
    assert load(write(tmp_path, "current: gone\nhouses:\n  a: {url: http://a}\n")).get() == House(name="a", url="http://a")


def test_names_that_cannot_be(tmp_path):
    kept = saved(tmp_path, HOME, replace(HOME, name="cabin"))
    for wrong in (
        lambda: kept.use("gone"),
        lambda: kept.forget("gone"),
        lambda: kept.rename("gone", "x"),
        lambda: kept.rename("home", "cabin"),
        lambda: kept.rename("home", "../x"),
        lambda: kept.remember(replace(HOME, name="")),
        lambda: kept.remember(replace(HOME, name="-x")),
        lambda: kept.remember(replace(HOME, name="a b")),
    ):
        with pytest.raises(UsageError) as caught:
            wrong()
        assert caught.value.exit is Exit.USAGE
    assert list(kept.by_name) == ["home", "cabin"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("houses:\n  home:\n    url: [\n", 4, ""),
        ("houses:\n\thome: x\n", 2, ""),
        ("- a\n- b\n", 1, "`name: value`"),
        ("just words\n", 1, "`name: value`"),
        ("houses: [a]\n", 1, "`houses`"),
        ("schema: 99\n", 1, "newer version"),
        ("schema: one\n", 1, "whole number"),
        ("houses:\n  home:\n    ssh:\n      host: x\n", 2, "no `url`"),
        ("houses:\n  home:\n", 2, "no `url`"),
        ("houses:\n  home: here\n", 2, "`home`"),
        ("houses:\n  ../home: {url: x}\n", 2, "good name"),
        ("houses:\n  home:\n    url: http://x\n    url: http://y\n", 4, "duplicate"),
        ("houses:\n  home: {url: http://x}\n  home: {url: http://y}\n", 3, "`home` is a duplicate: it stands above already"),
        ("houses:\n  home:\n    url: http://x\n    ssh:\n      port: 99999\n", 5, "from 1 to 65535"),
        ("houses:\n  home:\n    url: http://x\n    want:\n      port: 0\n", 5, "from 1 to 65535"),
        ("houses:\n  home:\n    url: {a: b}\n", 3, "a word"),
        ("houses:\n  home:\n    url: http://x\n    ssh:\n      port: many\n", 5, "whole number"),
        ("houses:\n  home:\n    url: http://x\n    ssh: 22\n", 4, "`ssh`"),
        ("houses:\n  home:\n    url: http://x\n    host_keys: ssh-rsa\n", 4, "list of keys"),
        ("houses:\n  home:\n    url: http://x\n    host_keys: [1]\n", 4, "list of keys"),
        ("houses:\n  home:\n    url: http://x\n    want:\n      boot: perhaps\n", 5, "`true` or `false`"),
        ("houses:\n  home:\n    url: http://x\n    want:\n      port: 22.5\n", 5, "whole number"),
        ("houses:\n  home:\n    url: http://x\n    want:\n      make_key: dsa\n", 5, "ed25519"),
        ("houses:\n  home:\n    url: http://x\n    want:\n      password: secret\n", 5, "off, keep, generate"),
        ("houses:\n  home:\n    url: http://x\n    want:\n      schema: 99\n", 4, "newer version"),
    ],
)
def test_a_mistake_is_named_with_file_and_line_and_the_file_stays(tmp_path, text, line, words):
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(path)
    assert f"`{path}`, line {line}" in caught.value.message
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert Path(path).read_text() == text


@pytest.mark.parametrize("text", ["schema: 99\n", "houses:\n  home:\n    url: http://x\n    want:\n      schema: 99\n"])
def test_a_file_of_a_newer_version_is_no_mistake_of_its_owner(tmp_path, text):
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, text))
    (hint,) = caught.value.hints
    assert hint.startswith("update ha-ssh")


def test_yaml_words_that_mean_something_else(tmp_path):
    """`off` is a boolean in YAML 1.1, a machine id may be all digits: both are what they look like."""
    path = write(
        tmp_path, "houses:\n  home:\n    url: http://x\n    machine_id: 12345\n    want: {password: off, alias: 8, boot: yes}\n"
    )
    with pytest.raises(UsageError):
        load(path)
    house = load(write(tmp_path, Path(path).read_text().replace("yes", "true"))).by_name["home"]
    assert house.machine_id == "12345"
    assert house.want == Want(password=PasswordWish.OFF, alias="8", boot=True)


@pytest.mark.parametrize("word", ["off", "no", "on", "null", "1.5", "0x10", "1_000", "yes", "~", "2026-11-23"])
def test_words_that_yaml_could_misread_come_back_as_they_were(tmp_path, word):
    house = House(name="home", url="http://x", alias=word, machine_id=word, want=Want(alias=word, password=PasswordWish.OFF))
    assert saved(tmp_path, house).by_name["home"] == house


def test_a_file_that_cannot_be_read_is_no_empty_one(tmp_path):
    (tmp_path / "config" / "houses.yaml").mkdir(parents=True)
    with pytest.raises(HaSshError) as caught:
        load(at(tmp_path))
    assert caught.value.code == "houses-unreadable"


# ---------------------------------------------------------------------------------------------------------------- places


def test_a_profile_holds_everything(tmp_path):
    there = locations(str(tmp_path))
    assert there.portable
    assert there.places.portable
    every = [
        *vars(there.places).values(),
        there.config_dir,
        there.state_dir,
        there.houses,
        there.journal,
        there.lock,
        there.secrets,
    ]
    assert all(path.startswith(f"{tmp_path}/") for path in every if isinstance(path, str))
    assert there.places.config == f"{tmp_path}/ssh/config"
    assert included_file(there.places, "home") == f"{tmp_path}/ssh/ha-ssh.d/home.conf"
    assert list(tmp_path.iterdir()) == []


def test_a_profile_may_be_given_from_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locations("p").config_dir == f"{tmp_path}/p/config"


WHERE = """
from ha_ssh.world.houses import locations
there = locations(None)
print(there.places.ssh_dir, there.places.portable, there.portable, there.config_dir, there.state_dir, sep="|")
"""


def where(**environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run([sys.executable, "-c", WHERE], env=clean | environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().split("|")


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_the_persons_own_folders(tmp_path):
    import pwd

    mine = pwd.getpwuid(os.getuid()).pw_dir
    assert where(HOME=mine) == [f"{mine}/.ssh", "False", "False", f"{mine}/.config/ha-ssh", f"{mine}/.local/state/ha-ssh"]
    ours = where(HOME=mine, XDG_CONFIG_HOME="/c", XDG_STATE_HOME="/s")
    assert ours[3:] == ["/c/ha-ssh", "/s/ha-ssh"]


def test_another_home_is_one_that_openssh_must_be_told_of(tmp_path):
    """OpenSSH ignores `$HOME`, so files there are used only where `ssh` is told so."""
    assert where(HOME=str(tmp_path))[:3] == [f"{tmp_path}/.ssh", "True", "False"]


def test_one_is_not_true(tmp_path):
    path = write(tmp_path, "houses:\n  a:\n    url: http://a\n    version: 1\n    want: {boot: true}\n")
    kept = load(path)
    kept.remember(replace(kept.by_name["a"], want=Want(boot=True, port=1)))
    kept.save()
    assert load(path).by_name["a"].want == Want(boot=True, port=1)
