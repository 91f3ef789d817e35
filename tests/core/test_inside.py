"""What a session shows: one command that any shell understands, and answers that are read with care."""

from __future__ import annotations

import subprocess

import pytest

from ha_ssh.core.inside import Inside, command, read, stand_in

ANSWER = """\
#uid
0
#system
NAME="Alpine Linux"
ID=alpine
#programs
/bin/bash
/usr/bin/rsync
#folders
/homeassistant
/config
#terminals
/etc/terminfo/x/xterm-256color
#end
"""


def test_an_answer_is_read() -> None:
    assert read(ANSWER) == Inside(
        uid=0,
        system="alpine",
        programs=frozenset({"bash", "rsync"}),
        folders=frozenset({"/homeassistant", "/config"}),
        terminals=frozenset({"xterm-256color"}),
    )


@pytest.mark.parametrize("out", ["", "sh: syntax error", ANSWER.replace("#end\n", ""), ANSWER.replace("#uid\n", "")])
def test_what_is_no_answer_or_half_of_one_tells_nothing(out: str) -> None:
    assert read(out) is None


def test_a_greeting_before_the_answer_does_no_harm() -> None:
    assert read(f"Welcome home\n{ANSWER}") == read(ANSWER)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize("term", [None, "xterm-kitty", "x; touch /tmp/never", "$(id)", "-x"])
def test_the_command_runs_in_every_shell_and_takes_no_odd_terminal_along(shell: str, term: str | None) -> None:
    line = command(term)
    assert ("kitty" in line) == (term == "xterm-kitty")
    assert "never" not in line
    assert "$(" not in line
    done = subprocess.run([shell, "-c", line], capture_output=True, text=True, check=False)
    shown = read(done.stdout)
    assert shown is not None
    assert shown.uid is not None


@pytest.mark.parametrize(
    ("term", "known", "instead"),
    [
        (None, {"vt100"}, None),
        ("xterm-kitty", None, None),
        ("xterm-kitty", {"xterm-kitty"}, None),
        ("xterm-kitty", {"xterm", "xterm-256color"}, "xterm-256color"),
        ("xterm-kitty", {"vt100"}, "vt100"),
        ("a b", {"vt100"}, None),
    ],
)
def test_a_terminal_stands_in_only_where_ours_is_known_to_be_missing(term, known, instead) -> None:
    shown = Inside(terminals=None if known is None else frozenset(known))
    assert stand_in(shown, term) == instead
