"""The whole wizard as a person lives it: `setup --demo` at a real terminal, screen by screen."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pty_screen import PtyScreen

SCREENS = Path(__file__).with_name("screens")
WIZARD = ("-m", "ha_ssh", "setup", "--demo")
VARIES = (
    (r"/tmp/ha-ssh-demo-(?:\n?\w){1,8}", "/tmp/demo"),
    (r"127\.\d+\.\d+\.\d+", "127.0.0.1"),
    (r"the new key \S+@\S+ \(ha-ssh\)", "the new key me@laptop (ha-ssh)"),
    (r" \(\d+(\.\d+)? s\)", ""),
)
"""What differs from run to run."""


def screen(name: str, text: str) -> None:
    """Compare with the screen as it was approved; `UPDATE_SCREENS=1` approves. Where lines break hangs on what varies."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    path = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        path.write_text(text, "utf-8")
    assert "".join(text.split()) == "".join(path.read_text("utf-8").split()), text


QUESTIONS = ("Which key", "passphrase for the new key", "A short name", "3) No")


def walk(person: PtyScreen, last: str) -> None:
    """Take every default up to a question."""
    for question in QUESTIONS:
        person.until(question)
        if question == last:
            return
        person.type("\r")


@pytest.fixture
def wizard(tmp_path):
    with PtyScreen(*WIZARD, env={"HOME": str(tmp_path), "TMPDIR": "/tmp"}, rows=80) as person:
        yield person


def test_the_wizard_from_the_first_question_to_the_proven_login(wizard):
    walk(wizard, "3) No")
    screen("wizard-plan", wizard.text)
    wizard.type("\r")
    assert wizard.end(limit=40) == 0
    screen("wizard-done", wizard.text)


def test_an_answer_is_changed_after_the_plan_was_seen(wizard):
    walk(wizard, "3) No")
    wizard.type("2\r")
    wizard.until("share the first connection? no")
    screen("wizard-change", wizard.text.partition("go ahead?")[2])


@pytest.mark.parametrize("question", QUESTIONS)
def test_ctrl_c_at_any_question_leaves_everything_as_it_was(wizard, question):
    walk(wizard, question)
    wizard.type("\x03")
    assert wizard.end() == 130
    assert wizard.text.splitlines()[-1].endswith("Interrupted: nothing is left half done."), wizard.text


def test_no_at_the_end_leaves_everything_as_it_was(wizard):
    walk(wizard, "3) No")
    wizard.type("3\r")
    assert wizard.end() == 3
    screen("wizard-no", wizard.text.partition("go ahead?")[2])
