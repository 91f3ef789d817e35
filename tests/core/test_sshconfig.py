"""The client configuration: our line at the top of whatever is there, and our own file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha_ssh.core.sshconfig import (
    can_hold,
    host_block,
    hosts_named,
    lines,
    parse_resolved,
    problems,
    split_args,
    with_include,
    without_include,
)

PATTERN = "~/.ssh/ha-ssh/*.conf"
OURS = f"Include {PATTERN}"

ODD = {
    "empty": "",
    "only blanks": "\n\n",
    "no final line end": "Host x\n  User y",
    "carriage returns": "Host x\r\n\tUser y\r\n",
    "carriage returns, no end": "Host x\r\n  User y",
    "comments": "# mine\n\n   # more\nHost x\n",
    "a host of all": "Host *\n  User bob\n  IdentityFile ~/.ssh/id_rsa\n",
    "a host named ha": "Host ha\n  HostName 10.0.0.9\n",
    "a setting before": f"User bob\n{OURS}\n",
    "an include of others": "Include ~/.orbstack/ssh/config\nHost x\n",
    "an include too late": f"Host x\n  User y\n{OURS}\n",
    "an include in a match": f"Match all\n{OURS}\n",
    "equals": "Host=ha\nUser=bob\n",
    "tabs": "host\tha\tother\n\tport\t=\t22\n",
    "byte order mark": "\ufeffHost x\n",
    "open quote": 'Host x\nIdentityFile "~/my key\n',
    "strange": "]]][[\n\x00\x01\n",
    "trailing blanks": "Host x   \n\n\n   ",
    "only a comment without end": "# hi",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_our_line_goes_to_the_top_and_every_byte_comes_back(text):
    new = with_include(text, PATTERN)
    end = "\r\n" if text.split("\n", maxsplit=1)[0].endswith("\r") else "\n"
    assert new == f"{OURS}{end}{text}"
    assert with_include(new, PATTERN) == new
    assert without_include(new, PATTERN) == text


@pytest.mark.parametrize(
    "line",
    [
        OURS,
        f'Include "{PATTERN}"',
        f"include={PATTERN}",
        f"INCLUDE\t{PATTERN}   # mine",
        "Include ha-ssh/*.conf",
        "Include ~/.ssh/ha-ssh/*",
        "Include ~/.ssh/./ha-ssh//*.conf",
        "Include ${HOME}/.ssh/ha-ssh/*.conf",
        "Include %d/.ssh/ha-ssh/*.conf",
        "Include /home/me/.ssh/ha-ssh/*.conf",
        f"Include ~/.orbstack/ssh/config {PATTERN}",
        f"# note\n\nInclude other\n  {OURS}",
    ],
)
def test_a_line_that_does_it_already_is_enough(line):
    for text in (line, f"{line}\nHost x\n", f"{line}\r\nHost x\r\n".replace("\r\r", "\r")):
        assert with_include(text, PATTERN, home="/home/me") == text


@pytest.mark.parametrize("line", ["Include ~/.ssh/ha-ssh/a.conf", "Include ~/other/*.conf", f"# {OURS}", f"Include {PATTERN}x"])
def test_a_line_that_does_something_else_is_not(line):
    assert with_include(f"{line}\n", PATTERN, home="/home/me") == f"{OURS}\n{line}\n"


def test_an_absolute_pattern_with_a_blank_is_quoted_and_recognised():
    pattern = "/Users/my name/.ssh/ha-ssh/*.conf"
    new = with_include("Host x\n", pattern)
    assert new == f'Include "{pattern}"\nHost x\n'
    assert with_include(new, pattern) == new
    assert with_include(new, PATTERN, home="/Users/my name") == new
    assert without_include(new, pattern) == "Host x\n"


def test_our_line_is_found_below_what_others_put_on_top_since():
    text = f"Include ~/.colima/ssh_config\n\n{OURS}\nHost x\n"
    assert with_include(text, PATTERN) == text
    assert without_include(text, PATTERN) == "Include ~/.colima/ssh_config\n\nHost x\n"


def test_taking_out_what_is_not_there_changes_nothing():
    text = f"Host x\n{OURS}\n"
    assert without_include(text, PATTERN) == text


def test_hosts_are_named_with_their_lines():
    text = '# x\nHost ha "my host" *.lan !not ?a\nHost=other\n\tHOST third # comment\nMatch host fourth\n  HostName fifth\n'
    assert hosts_named(text) == (("ha", 2), ("my host", 2), ("other", 3), ("third", 4))


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("a b", ("a", "b")),
        ('"a b" c', ("a b", "c")),
        ("'a b'", ("a b",)),
        ("a # comment", ("a",)),
        ("a#b", ("a#b",)),
        (r"a\ b", ("a b",)),
        (r'"C:\Users\x y"', (r"C:\Users\x y",)),
        (r'"a\"b"', ('a"b',)),
        ('""', ("",)),
        ('"open', None),
        ("", ()),
    ],
)
def test_arguments_are_split_as_openssh_does(text, args):
    assert split_args(text) == args


def test_problems_are_named_with_their_lines():
    assert problems("Host x\n  User y\n") == ()
    assert [number for number, _ in problems('\ufeffHost x\n  IdentityFile "a\nUser\n!!\n')] == [1, 2, 3, 4]
    assert problems("H\0o\0s\0t\0")[0][1].startswith("is no plain text")


def test_what_ssh_resolved_is_read():
    resolved = parse_resolved(
        "host ha\r\nuser root\nidentityfile ~/a b\nidentityfile ~/c\nlocalforward 8123 [localhost]:8123\nproxycommand \n"
    )
    assert resolved["user"] == ("root",)
    assert resolved["identityfile"] == ("~/a b", "~/c")
    assert resolved["localforward"] == ("8123 [localhost]:8123",)
    assert resolved["proxycommand"] == ("",)


# ------------------------------------------------------------------------------------------------------------- our file


def block(**changes) -> str:
    values = {
        "alias": "ha",
        "house": "home",
        "host": "192.168.1.20",
        "port": 2222,
        "user": "root",
        "identity": "/home/me/.ssh/id_ha",
        "host_key_alias": "ha-ssh-home",
    }
    return host_block(**{**values, **changes})


def test_our_file_is_plain():
    assert block().splitlines()[2:] == [
        "Host ha",
        "    HostName 192.168.1.20",
        "    Port 2222",
        "    User root",
        "    IdentityFile /home/me/.ssh/id_ha",
        "    IdentitiesOnly yes",
        "    HostKeyAlias ha-ssh-home",
        "    ServerAliveInterval 30",
    ]
    assert block().startswith("# ha-ssh wrote this file")


def test_our_file_with_everything():
    text = block(
        known_hosts="/tmp/a b/known_hosts", multiplex=True, tunnels=(8123, "9000 core-mariadb:3306"), extra=("SetEnv TERM=xterm",)
    )
    for line in (
        'UserKnownHostsFile "/tmp/a b/known_hosts"',
        "ControlMaster auto",
        'ControlPath "/tmp/a b/ha-ssh-%C"',
        "ControlPersist 60",
        "LocalForward 8123 localhost:8123",
        "LocalForward 9000 core-mariadb:3306",
        "SetEnv TERM=xterm",
    ):
        assert f"    {line}\n" in text
    assert text.splitlines()[-1] == "    SetEnv TERM=xterm"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"identity": "/home/my name/key"}, 'IdentityFile "/home/my name/key"'),
        ({"identity": "/home/100%/key"}, "IdentityFile /home/100%%/key"),
        ({"identity": r"C:\Users\me\.ssh\key"}, "IdentityFile C:/Users/me/.ssh/key"),
        ({"identity": "/home/o'brien/key"}, 'IdentityFile "/home/o\'brien/key"'),
        ({"host": "fe80::1%eth0"}, "HostName fe80::1%%eth0"),
    ],
)
def test_values_are_written_so_that_openssh_reads_them_back(changes, line):
    assert f"    {line}\n" in block(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"alias": "a b"},
        {"alias": "*"},
        {"alias": "-oProxyCommand=x"},
        {"user": "root\n    ProxyCommand evil"},
        {"user": ""},
        {"host": "a\r\nProxyCommand evil"},
        {"identity": 'a"b'},
        {"identity": ""},
        {"extra": ("a\nb",)},
        {"tunnels": ("1 a:1\nProxyCommand evil",)},
        {"host_key_alias": "a b"},
    ],
)
def test_values_that_would_break_the_file_are_refused(changes):
    with pytest.raises(ValueError, match=r"cannot|break"):
        block(**changes)


def test_a_house_of_any_name_stays_in_its_comment():
    assert block(house="a\nProxyCommand evil").count("\n") == block().count("\n")


# ----------------------------------------------------------------------------------------------------------------- laws

TEXT = (
    st.lists(
        st.sampled_from(["Host a", "Include x", OURS, "# c", "", "User=b", '"', "\ufeff", "  Port 1", "Match all", "\x0c"]),
        max_size=8,
    )
    .flatmap(lambda rows: st.tuples(st.just(rows), st.sampled_from(["\n", "\r\n"]), st.booleans()))
    .map(lambda x: x[1].join(x[0]) + x[1] * x[2])
)


@given(TEXT)
def test_adding_our_line_loses_nothing(text):
    new = with_include(text, PATTERN)
    assert new.endswith(text)
    assert with_include(new, PATTERN) == new
    if new != text:
        assert without_include(new, PATTERN) == text


@given(st.text())
def test_any_text_is_read_without_loss(text):
    assert "".join(line.raw for line in lines(text)) == text
    new = with_include(text, PATTERN)
    assert new == text or without_include(new, PATTERN) == text
    hosts_named(text)
    problems(text)


@pytest.mark.parametrize(
    ("path", "can"), [("/home/me/my key", True), ('/home/me/q"k', False), ("/home/me/a\nb", False), ("", False)]
)
def test_which_paths_a_configuration_can_hold(path: str, can: bool) -> None:
    assert can_hold(path) is can
