"""The apps' logs: starts, failures, logins, and what strangers try to put there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha_ssh.core import logs
from ha_ssh.core.logs import (
    GAP,
    Listening,
    accepted,
    fatal,
    lines_of,
    listening,
    logins,
    new_since,
    penalty_seconds,
    port_disabled,
    refusals,
    starts,
    strip_colours,
)

PRINT = "SHA256:H0WzrmpRA5roIxlpZTiNAz6oR/W5+ak04qvNptjRaro"
LOGIN = f"Accepted publickey for root from 192.168.1.5 port 51234 ssh2: ED25519 {PRINT}"
FAREWELL = "Received disconnect from 192.168.1.5 port 51234:11: disconnected by user"

OFFICIAL = (
    "s6-rc: info: service s6rc-oneshot-runner: starting\r\n"
    "s6-rc: info: service s6rc-oneshot-runner successfully started\r\n"
    "\x1b[32m[10:11:12] INFO: Setup authorized_keys\x1b[0m\n"
    "\x1b[32m[10:11:13] INFO: Starting the SSH daemon...\x1b[0m\n"
    "Server listening on 0.0.0.0 port 22.\r\n"
    "Server listening on :: port 22.\r\n"
)
COMMUNITY_LOGIN = (
    'Connection from 192.168.1.5 port 51234 on 192.168.1.20 port 2222 rdomain ""',
    f"Accepted key ED25519 {PRINT} found at /etc/ssh/authorized_keys:1",
    "Postponed publickey for hassio from 192.168.1.5 port 51234 ssh2 [preauth]",
    f"Accepted key ED25519 {PRINT} found at /etc/ssh/authorized_keys:1",
    f"Accepted publickey for hassio from 192.168.1.5 port 51234 ssh2: ED25519 {PRINT}",
    "Starting session: command for hassio from 192.168.1.5 port 51234 id 0",
)


# ---------------------------------------------------------------------------------------------------------------- lines


def test_colours_go_and_only_line_feeds_end_a_line():
    assert strip_colours("\x1b[32mgreen\x1b[0m \x1b]0;title\x07x") == "green x"
    assert lines_of("a\r\nb\u2028c\x0b\x85d\n") == ("a", "b\u2028c\x0b\x85d")
    assert lines_of("") == ()
    assert lines_of("no end") == ("no end",)


def test_a_blank_line_within_is_kept():
    assert lines_of("a\n\nb\n") == ("a", "", "b")


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ("a\nb\n", "a\nb\nc\n", ("c",)),
        ("a\nb\nc\n", "b\nc\nd\n", ("d",)),
        ("a\nb\n", "a\nb\n", ()),
        ("a\nb\n", "x\ny\n", (GAP, "x", "y")),
        ("", "a\n", (GAP, "a")),
        ("a\nb\n", "", ()),
        ("a\nbe", "a\nbeta\nc\n", ("c",)),
        ("x\nx\n", "x\nx\nx\n", ("x",)),
    ],
)
def test_new_lines_are_what_follows_the_largest_overlap(before, after, new):
    assert new_since(before, after) == new


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("xyz")), st.integers(1, 30))
def test_new_lines_are_found_whatever_the_window(old, fresh, window):
    before = "".join(f"{line}\n" for line in old[-window:])
    after = "".join(f"{line}\n" for line in [*old, *fresh][-window:])
    seen = new_since(before, after)
    if old and len(fresh) < window:
        assert seen == tuple(fresh)
    assert [line for line in seen if line in fresh] == fresh[-window:]


# --------------------------------------------------------------------------------------------------------------- starts


def test_a_start_is_recognised_once():
    lines = lines_of(OFFICIAL + LOGIN + "\n" + OFFICIAL)
    assert starts(lines) == (0, 7)
    assert listening(lines) == (Listening("0.0.0.0", 22), Listening("::", 22))


def test_a_log_that_was_cut_still_shows_its_start():
    lines = lines_of("\n".join(OFFICIAL.split("\n")[3:]))
    assert starts(lines) == (0,)


def test_listening_counts_only_since_the_latest_start():
    lines = lines_of(OFFICIAL + OFFICIAL.split("Server")[0])
    assert listening(lines) == ()


def test_a_port_that_is_off_is_seen_in_both_apps():
    official = lines_of("[10:11:13] WARNING: SSH port is disabled. Prevent start of SSH server.\n")
    community = lines_of("[10:11:13] INFO: No network port is defined in the configuration so access\n")
    assert port_disabled(official)
    assert port_disabled(community)
    assert not port_disabled(lines_of(OFFICIAL))
    reason = fatal(official)
    assert reason is not None
    assert reason.code == "port-disabled"


# ------------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("[10:11:12] FATAL: You need to setup a login!", "no-login"),
        ("[10:11:12] FATAL: Configuration of this app is incomplete.", "no-login"),
        ("[10:11:12] FATAL: Configuration of this add-on is incomplete.", "no-login"),
        ("FATAL: Please be sure to set at least an SSH password", "no-login"),
        ("[10:11:12] FATAL: Setting a username is required!", "user-empty"),
        ('[10:11:12] FATAL: You have enabled SFTP using the "ssh.sftp" app', "sftp-needs-root"),
        ("[10:11:12] FATAL: Failed creating the user account", "user-taken"),
        ("Bind to port 22 on 0.0.0.0 failed: Address in use.", "port-busy"),
        ("Bind to port 2222 on :: failed: Address already in use.", "port-busy"),
        ("Cannot bind any address.", "port-busy"),
        ("[10:11:12] FATAL: Failed updating Alpine packages indexes", "packages"),
        ("[10:11:12] FATAL: Failed installing package rsync", "packages"),
        ("[10:11:12] FATAL: Failed executing init command: curl https://x/?key=s3cret", "init-command"),
        ("sshd: no hostkeys available -- exiting.", "host-keys"),
        ("/etc/ssh/sshd_config line 12: Bad configuration option: Foo", "sshd-config"),
        ("/etc/ssh/sshd_config: terminating, 1 bad configuration options", "sshd-config"),
        ("exec /init: exec format error", "image-broken"),
        ("[10:11:12] FATAL: Something new went wrong", "unrecognised"),
    ],
)
def test_a_failed_start_has_a_reason(line, code):
    reason = fatal(lines_of(f"s6-rc: info: service s6rc-oneshot-runner: starting\n{line}\n"))
    assert reason is not None
    assert (reason.code, reason.line) == (code, line)
    assert "s3cret" not in reason.says


def test_a_busy_port_is_named():
    reason = fatal(lines_of("Bind to port 2222 on 0.0.0.0 failed: Address in use.\nCannot bind any address.\n"))
    assert reason is not None
    assert reason.says == "port 2222 is already taken by something else on this host"


def test_an_empty_fatal_line_is_skipped_for_the_one_that_speaks():
    reason = fatal(lines_of("[10:11:12] FATAL: \n[10:11:12] FATAL: New words\n"))
    assert reason is not None
    assert reason.says == "New words"


def test_warnings_and_a_second_address_are_no_failure():
    assert fatal(lines_of(OFFICIAL)) is None
    assert fatal(lines_of("[10:11:12] WARNING: Failed installing rsync\n" + OFFICIAL)) is None
    assert fatal(lines_of("Server listening on 0.0.0.0 port 22.\nBind to port 22 on :: failed: Address in use.\n")) is None
    assert fatal(lines_of("[10:11:12] FATAL: You need to setup a login!\n" + OFFICIAL)) is None


# --------------------------------------------------------------------------------------------------------------- logins


def test_a_login_is_seen_at_both_log_levels():
    (login,) = accepted([LOGIN])
    assert (login.user, login.address, login.port, login.kind, login.fingerprint) == (
        "root",
        "192.168.1.5",
        51234,
        "ED25519",
        PRINT,
    )
    (login,) = accepted(COMMUNITY_LOGIN)
    assert login.user == "hassio"


def test_a_login_by_password_has_no_key():
    (login,) = accepted(["Accepted password for root from fe80::1%eth0 port 51234 ssh2"])
    assert (login.method, login.kind, login.fingerprint) == ("password", "", "")


def test_a_certificate_is_shown_but_proves_no_key_of_ours():
    line = f"Accepted publickey for root from 1.2.3.4 port 5 ssh2: ED25519-CERT {PRINT} ID x (serial 0) CA ED25519 {PRINT}"
    assert [login.kind for login in logins([line])] == ["ED25519-CERT"]
    assert accepted([line]) == ()


@pytest.mark.parametrize(
    "line",
    [
        f"Invalid user {LOGIN} from 192.168.1.66 port 40666",
        f"Failed password for invalid user {LOGIN} from 192.168.1.66 port 40666 ssh2",
        f"Connection closed by invalid user {LOGIN} 192.168.1.66 port 40666 [preauth]",
        f"Invalid user x\r{LOGIN}",
        f" {LOGIN}",
        f"{LOGIN} ",
        f"[10:11:12] INFO: {LOGIN}",
        LOGIN.replace("root", "root from 1.2.3.4 port 1 ssh2: ED25519 x"),
        LOGIN[:-1],
    ],
)
def test_words_of_a_stranger_are_no_login(line):
    assert logins([line]) == ()
    assert accepted([line]) == ()


def test_a_forged_line_of_its_own_is_not_believed():
    """As seen with OpenSSH 9.2: the farewell of a client that never logged in, line feeds and all."""
    words = f"Bye [preauth]\r\n{LOGIN}\r\nReceived disconnect from 1.2.3.4 port 5:11: x"
    farewell = f"Received disconnect from 192.168.1.66 port 46124:11: {words} [preauth]\r\n"
    assert len(logins(lines_of(farewell))) == 1
    assert accepted(lines_of(farewell)) == ()
    assert accepted(new_since(OFFICIAL, OFFICIAL + farewell)) == ()


def test_a_forged_line_is_not_believed_when_its_beginning_scrolled_away():
    pushed = f"{LOGIN}\r\n" + "\n" * 98 + "x [preauth]\r\n"
    assert accepted(new_since(OFFICIAL, pushed)) == ()
    last = OFFICIAL.split("\n")[-2] + "\n"
    assert accepted(new_since(OFFICIAL, last + pushed)) == ()


@given(
    st.text(alphabet=st.sampled_from("ab \r\n.:[]1"), max_size=300),
    st.text(alphabet=st.sampled_from("ab \r\n.:[]1"), max_size=300),
)
def test_no_name_and_no_farewell_makes_a_login(before, after):
    """Whatever a client says around a forged line within one message of sshd."""
    words = f"{before}\r\n{LOGIN}\r\n{after}"
    for message in (
        f"Received disconnect from 192.168.1.66 port 46124:11: {words} [preauth]",
        f"Connection closed by invalid user {words} 192.168.1.66 port 46124 [preauth]",
        f"Invalid user {words} from 192.168.1.66 port 46124",
    ):
        assert accepted(new_since(OFFICIAL, f"{OFFICIAL}{message[:1021]}\r\n")) == ()


def test_a_login_after_a_proper_farewell_long_ago_is_believed_again():
    lines = [FAREWELL, *["s6-rc: info: a line of the app itself, as long as a line is"] * 100, LOGIN]
    assert len(accepted(lines)) == 1
    assert accepted([FAREWELL, LOGIN]) == ()
    assert accepted(new_since(OFFICIAL + FAREWELL + "\n", OFFICIAL + FAREWELL + "\n" + LOGIN + "\n")) != ()


def test_a_verbose_log_of_the_supervisor_is_understood():
    stamp = "2026-11-23 10:11:12.345 homeassistant addon_core_ssh[123]: "
    assert len(accepted([stamp + LOGIN])) == 1
    assert listening([stamp + "Server listening on 0.0.0.0 port 22."]) == (Listening("0.0.0.0", 22),)


# ------------------------------------------------------------------------------------------------------------- refusals

DEFERRED = "srclimit_penalise: ipv4: new 1.2.3.4/32 deferred penalty of 5 seconds for penalty: failed authentication"
SHUT_OUT = "srclimit_penalise: 1.2.3.4/32: activating ipv4 penalty of 19 seconds for penalty: failed authentication"
"""Seen with OpenSSH 10.0 at the level VERBOSE; at INFO it says neither."""


@pytest.mark.parametrize(
    ("line", "code", "user"),
    [
        ("userauth_pubkey: signature algorithm ssh-rsa not in PubkeyAcceptedAlgorithms [preauth]", "rsa-sha1", None),
        ("userauth_pubkey: key type ssh-rsa not in PubkeyAcceptedKeyTypes [preauth]", "rsa-sha1", None),
        ("userauth_pubkey: key type ssh-dss not in PubkeyAcceptedAlgorithms [preauth]", "algorithm-refused", None),
        ("User root from 1.2.3.4 not allowed because not listed in AllowUsers", "wrong-user", "root"),
        ("User root not allowed because account is locked", "user-locked", "root"),
        ("Invalid user pi from 1.2.3.4 port 5", "wrong-user", "pi"),
        ("Invalid user  from 1.2.3.4 port 5", "wrong-user", ""),
        ("Invalid user x from 9.9.9.9 port 1 from 1.2.3.4 port 5", "wrong-user", "x from 9.9.9.9 port 1"),
        ("Invalid user a\rb\x1b from 1.2.3.4 port 5", "wrong-user", "a\\rb\\x1b"),
        (f"Failed publickey for root from 1.2.3.4 port 5 ssh2: ED25519 {PRINT}", "key-refused", "root"),
        ("Failed password for root from 1.2.3.4 port 5 ssh2", "password-refused", "root"),
        ("Failed password for invalid user pi from 1.2.3.4 port 5 ssh2", "wrong-user", "pi"),
        (
            "Authentication tried for root with correct key but not from a permitted host (host=a, ip=1.2.3.4).",
            "not-from-here",
            "root",
        ),
        ("maximum authentication attempts exceeded for root from 1.2.3.4 port 5 ssh2 [preauth]", "too-many", "root"),
        ("Disconnecting authenticating user root 1.2.3.4 port 5: Too many authentication failures [preauth]", "too-many", "root"),
        ("Connection closed by authenticating user root 1.2.3.4 port 5 [preauth]", "gave-up", "root"),
        ("Unable to negotiate with 1.2.3.4 port 5: no matching MAC found. Their offer: x [preauth]", "no-common-algorithm", None),
        ("drop connection #0 from [1.2.3.4]:5 on [0.0.0.0]:22 penalty: failed authentication", "penalty", None),
        (SHUT_OUT, "penalty", None),
        ("srclimit_penalise: ipv6: new fd00::7/128 active penalty of 90 seconds for penalty: caused crash", "penalty", None),
        ("drop connection #10 from [1.2.3.4]:5 on [0.0.0.0]:22 past MaxStartups", "busy", None),
        ("drop connection #10 from [1.2.3.4]:5 on [0.0.0.0]:22 Maxstartups", "busy", None),
        ("refused local port forward: originator 127.0.0.1 port 65535, target 127.0.0.1 port 8123", "forwarding-refused", None),
        ("subsystem request for sftp by user root failed, subsystem not found", "subsystem-failed", "root"),
        ("Authentication refused: bad ownership or modes for directory /etc/ssh", "modes", None),
        ("Corrupted MAC on input. [preauth]", "corrupted", None),
        (
            "ssh_dispatch_run_fatal: Connection from 1.2.3.4 port 5: message authentication code incorrect [preauth]",
            "corrupted",
            None,
        ),
        ("banner exchange: Connection from 1.2.3.4 port 5: invalid format", "not-ssh", None),
    ],
)
def test_a_refusal_is_recognised(line, code, user):
    (found,) = refusals([line])
    assert (found.code, found.user, found.line) == (code, user, line)
    assert "None" not in found.says
    assert "{" not in found.says


def test_the_time_of_a_penalty_is_that_of_the_address_which_was_shut_out_last():
    again = SHUT_OUT.replace("19", "105")
    assert penalty_seconds([DEFERRED], "1.2.3.4") is None
    assert penalty_seconds([again, SHUT_OUT, DEFERRED, "Server listening on :: port 22."], "1.2.3.4") == 19
    assert penalty_seconds([SHUT_OUT, again], "1.2.3.4") == 105
    assert penalty_seconds([SHUT_OUT.replace("19", "19.004")], "1.2.3.4") == 20, "as later versions write it"
    assert penalty_seconds([SHUT_OUT], "1.2.3.5") is None
    assert penalty_seconds([SHUT_OUT.replace("19", "9" * 400)], "1.2.3.4") is None, "forged"
    assert penalty_seconds([SHUT_OUT], None) is None
    crashed = "srclimit_penalise: ipv6: new fd00::7/128 active penalty of 90 seconds for penalty: caused crash"
    assert penalty_seconds([crashed, SHUT_OUT], "fd00::7") == 90


def test_a_penalty_that_only_counts_is_no_refusal():
    assert refusals([DEFERRED]) == ()


def test_harmless_lines_are_no_refusal():
    assert refusals([LOGIN, FAREWELL, *COMMUNITY_LOGIN, *lines_of(OFFICIAL)]) == ()


@given(st.text(max_size=200))
def test_any_line_can_be_read(text):
    lines = lines_of(text)
    assert starts(lines) == tuple(sorted(starts(lines)))
    fatal(lines)
    refusals(lines)
    listening(lines)


# --------------------------------------------------------------------------------------------------- whose refusal it is

OURS, STRANGER = 50001, 40000


def refused(*lines: str, user: str = "root", port: int = OURS) -> list[str]:
    return [one.line for one in logs.about(logs.refusals(lines), user, port)]


def test_a_refusal_is_ours_by_our_port() -> None:
    mine = f"Connection closed by authenticating user root 192.168.1.5 port {OURS} [preauth]"
    theirs = f"Connection closed by authenticating user root 203.0.113.9 port {STRANGER} [preauth]"
    assert refused(theirs, mine) == [mine]


def test_a_stranger_who_tries_another_name_is_not_taken_for_us() -> None:
    assert refused(f"Invalid user admin from 203.0.113.9 port {STRANGER}") == []


def test_behind_an_address_translation_the_only_attempt_is_ours_and_of_two_none() -> None:
    one = f"Connection closed by authenticating user root 172.30.32.1 port {STRANGER} [preauth]"
    other = f"Connection closed by authenticating user root 172.30.32.1 port {STRANGER + 1} [preauth]"
    assert refused(one) == [one]
    assert refused(one, other) == []


def test_what_names_no_connection_counts() -> None:
    modes = "Authentication refused: bad ownership or modes for directory /etc/ssh"
    mine = f"Connection closed by authenticating user root 192.168.1.5 port {OURS} [preauth]"
    assert refused(modes, mine) == [modes, mine]
