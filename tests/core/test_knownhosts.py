"""Known hosts: what is known for a name, lines of ours, and nothing of others lost."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha_ssh.core.knownhosts import (
    conflicts,
    keys_for,
    lines,
    lookup_name,
    places,
    tagged,
    with_keys,
    with_lines_back,
    without,
    without_tag,
)

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG8DOGCKJt1NFSusbmi1V9pDaG1G/iOgtKQdz46Jh2cY"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1Eh6qbm30psl7AJOTwF/MbbRP/JKsWdj8GNQ41hbhZ"
NEW_KIND = "ssh-mldsa44-ed25519 AAAAE3NzaC1tbGRzYTQ0LWVkMjU1MTkAAAABAA=="
TAG = "ha-ssh:home"
NAMES = ("ha-ssh-home", "[192.168.1.20]:2222")


def hashed(name: str) -> str:
    salt = b"12345678901234567890"
    digest = hmac.digest(salt, name.encode(), hashlib.sha1)
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


ODD = {
    "empty": "",
    "no final line end": f"github.com {ED}",
    "carriage returns": f"# mine\r\ngithub.com {ED} c o m\r\n",
    "hashed": f"{hashed('[192.168.1.20]:2222')} {OTHER}\n",
    "markers": f"@cert-authority *.lan {ED}\n@revoked * {OTHER}\n",
    "a new kind": f"192.168.1.20 {NEW_KIND}\n",
    "nonsense": "what is this\n\n   \n!!! ???\nx y z\n",
    "tabs": f"a,b\t{ED.replace(' ', chr(9))}\tme\n",
    "byte order mark": f"\ufeffa {ED}\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_our_lines_come_and_go_and_every_byte_stays(text):
    assert "".join(line.raw for line in lines(text)) == text
    new = with_keys(text, NAMES, (ED, NEW_KIND), TAG)
    assert new.endswith(text)
    assert with_keys(new, NAMES, (ED, NEW_KIND), TAG) == new
    assert without_tag(new, TAG) == text
    for name in NAMES:
        assert {ED, NEW_KIND} <= {line.public for line in keys_for(new, name)}
    assert len(tagged(new, TAG)) == 2


def test_our_lines_end_as_the_others_do():
    assert with_keys("a b\r\n", ("x",), (ED,), TAG) == f"x {ED} {TAG}\r\na b\r\n"
    assert with_keys("", NAMES, (f"{ED} comment",), TAG) == f"ha-ssh-home,[192.168.1.20]:2222 {ED} {TAG}\n"


def test_what_is_known_already_is_not_written_again():
    text = f"{','.join(NAMES)} {ED}\n"
    assert with_keys(text, NAMES, (ED,), TAG) == text
    assert with_keys(f"{NAMES[0]} {ED}\n", NAMES, (ED,), TAG) != f"{NAMES[0]} {ED}\n"


def test_other_houses_and_a_user_of_the_same_name_keep_their_lines():
    text = with_keys(with_keys(f"ha-ssh:home {ED}\n", ("a",), (ED,), "ha-ssh:cabin"), NAMES, (OTHER,), TAG)
    left = without_tag(text, TAG)
    assert "ha-ssh:cabin" in left
    assert f"ha-ssh:home {ED}" in left
    assert OTHER not in left


@pytest.mark.parametrize(
    ("hosts", "name", "known"),
    [
        ("a.example,10.0.0.1", "10.0.0.1", True),
        ("a.example", "A.EXAMPLE", True),
        ("A.example", "a.example", True),
        ("*.example", "a.example", True),
        ("*.example,!a.example", "a.example", False),
        ("?.example", "ab.example", False),
        ("[10.0.0.1]:2222", "10.0.0.1", False),
        ("[10.0.0.1]:2222", "[10.0.0.1]:2222", True),
        ("[10.0.0.*]:2222", "[10.0.0.1]:2222", True),
        (hashed("10.0.0.1"), "10.0.0.1", True),
        (hashed("10.0.0.1"), "10.0.0.2", False),
        ("|1|broken", "10.0.0.1", False),
        ("|1|!!!|???", "10.0.0.1", False),
    ],
)
def test_names_are_matched_as_openssh_does(hosts, name, known):
    assert bool(keys_for(f"{hosts} {ED}\n", name)) is known


def test_markers_are_no_keys_of_a_host():
    text = f"@cert-authority * {ED}\n@revoked * {OTHER}\n"
    assert keys_for(text, "x") == ()
    assert [line.marker for line in lines(text)] == ["@cert-authority", "@revoked"]


def test_conflicts_are_other_keys_of_the_same_kind_and_revoked_ones():
    text = f"x {OTHER} old\nx {NEW_KIND}\n{hashed('x')} {OTHER} hashed\ny {OTHER}\n@revoked x {ED}\nx {ED}\n"
    assert [line.comment or line.marker for line in conflicts(text, "x", (ED,))] == ["old", "hashed", "@revoked"]
    assert conflicts(f"x {NEW_KIND}\n", "x", (ED,)) == ()
    assert without(text, lambda line: line in conflicts(text, "x", (ED,))) == f"x {NEW_KIND}\ny {OTHER}\nx {ED}\n"


def test_the_name_to_look_up():
    assert lookup_name("192.168.1.20", 22) == "192.168.1.20"
    assert lookup_name("HomeAssistant.local", 2222) == "[homeassistant.local]:2222"
    assert lookup_name("[fe80::1]", 2222) == "[fe80::1]:2222"


@given(st.text(), st.lists(st.sampled_from([ED, OTHER, NEW_KIND]), max_size=3))
def test_no_text_loses_a_byte(text, keys):
    new = with_keys(text, NAMES, keys, TAG)
    assert without_tag(new, TAG) == without_tag(text, TAG)
    assert new.endswith(text)
    assert with_keys(new, NAMES, keys, TAG) == new


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", "", "# e"]), max_size=8),
    st.sets(st.sampled_from("abcd")),
    st.sampled_from(["", "\n"]),
)
def test_lines_that_went_come_back_to_where_they_were(rows: list[str], gone: set[str], end: str) -> None:
    text = "\n".join(rows) + end
    kept = without(text, lambda line: line.raw.rstrip("\n") in gone)
    assert with_lines_back(kept, places(text, gone)) == text


def test_lines_come_back_behind_the_line_that_stood_before_them_whatever_came_since() -> None:
    text = "one\ntwo\nthree\nfour\n"
    assert with_lines_back("new\none\nfour", places(text, ["two", "three"])) == "new\none\ntwo\nthree\nfour"
    assert with_lines_back("new\none", places(text, ["two"])) == "new\none\ntwo\n"
    assert with_lines_back("four\n", places(text, ["three"])) == "four\nthree\n"
