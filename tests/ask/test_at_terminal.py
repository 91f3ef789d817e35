"""The interview as a person lives it, at a real pseudo-terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from pty_screen import PtyScreen

INTERVIEW = str(Path(__file__).with_name("interview_at_terminal.py"))
ENV = {"HOME": "/home/me"}

NICE = """\

  A key of its own can be withdrawn later without touching your other logins.
? Which key should open the door? ~/.ssh/id_ed25519 (Ed25519)

  Then `ssh ha` is all you type; `none` leaves your SSH configuration alone.
? A short name for `ssh`?  [ha] my house
  `my house` cannot be a short name: letters, digits, `.`, `_` and `-` only, a
  letter or digit first. Perhaps `my-house`?
? A short name for `ssh`?  [ha] my-house
  Nothing has been changed yet. It takes the risk `password-off`.
? 3 changes: go ahead? Yes, do it
key=/home/me/.ssh/id_ed25519 alias=my-house passphrase of None agreed=yes
"""

PLAIN = """\

  A key of its own can be withdrawn later without touching your other logins.
? Which key should open the door?
  1. Make a new Ed25519 key, ~/.ssh/id_ha_ssh_home
  2. ~/.ssh/id_ed25519 (Ed25519)
  3. Another file
  Number [1]: 7
  Answer with a number from 1 to 3.
? Which key should open the door?
  1. Make a new Ed25519 key, ~/.ssh/id_ha_ssh_home
  2. ~/.ssh/id_ed25519 (Ed25519)
  3. Another file
  Number [1]:

  It protects the key file if this computer is lost; leave it empty for none.
? A passphrase for the new key? (not shown)
? Once more, to be sure: (not shown)
  The two were not the same.
? A passphrase for the new key? (not shown)
? Once more, to be sure: (not shown)

  Then `ssh ha` is all you type; `none` leaves your SSH configuration alone.
? A short name for `ssh`? [ha]
  Nothing has been changed yet. It takes the risk `password-off`.
? 3 changes: go ahead?
  1. Yes, do it
  2. Change an answer
  3. No, leave everything as it is
  Number [1]: change
key=new alias=ha passphrase of 4 agreed=change
"""


def test_arrow_keys_and_typing():
    with PtyScreen(INTERVIEW, env=ENV) as person:
        person.until("3) Another file")
        person.type("\x1b[B\r")
        person.until("short name")
        person.type("my house\r")
        person.until("[ha]", times=2)
        person.type("my-house\r")
        person.until("3) No")
        person.type("1\r")
        assert person.end() == 0
        assert person.text == NICE


def test_plain_lines_for_a_screen_reader():
    with PtyScreen(INTERVIEW, "--plain", env=ENV) as person:
        person.until("Number [1]:")
        person.type("7\n")
        person.until("from 1 to 3")
        person.type("\n")
        person.until("new key? (not shown)")
        person.type("hush\n")
        person.until("Once more")
        person.type("hash\n")
        person.until("not the same")
        person.type("hush\nhush\n")
        person.until("short name")
        person.type("\n")
        person.until("go ahead?")
        person.type("change\n")
        assert person.end() == 0
        assert person.text == PLAIN
        assert b"hush" not in person.raw
        assert b"\x1b[" not in person.raw


def test_a_dumb_terminal_gets_plain_lines():
    with PtyScreen(INTERVIEW, env={**ENV, "TERM": "dumb"}) as person:
        person.until("Number [1]:")
        assert b"\x1b[" not in person.raw


@pytest.mark.parametrize("arguments", [(), ("--plain",)])
def test_ctrl_c_interrupts_at_once(arguments):
    with PtyScreen(INTERVIEW, *arguments, env=ENV) as person:
        person.until("3. Another file" if arguments else "3) Another file")
        person.type("\x03")
        assert person.end() == 130
        assert "interrupted" in person.text


def test_the_end_of_input_is_a_missing_answer_with_its_flag_and_variable():
    with PtyScreen(INTERVIEW, "--plain", env=ENV) as person:
        person.until("Number [1]:")
        person.type("\x04")
        assert person.end() == 3
        assert "give `--key FILE`, or set `HA_SSH_KEY`" in person.text.replace("\n", "")


def test_a_passphrase_is_never_on_the_screen():
    with PtyScreen(INTERVIEW, env=ENV) as person:
        person.until("3) Another file")
        person.type("\r")
        person.until("new key?")
        person.type("hush\r")
        person.until("Once more")
        person.type("hush\r")
        person.until("short name")
        person.type("\r")
        person.until("3) No")
        person.type("\r")
        assert person.end() == 0
        assert "passphrase of 4" in person.text
        assert b"hush" not in person.raw
