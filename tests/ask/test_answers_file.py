"""Answers as YAML: the line of every mistake, comments kept, no secrets."""

from __future__ import annotations

import pytest

from ha_ssh.ask.answers_file import from_yaml, to_yaml
from ha_ssh.ask.questions import NEW
from ha_ssh.core.errors import Exit, UsageError
from ha_ssh.core.model import KeyKind, PasswordWish
from ha_ssh.core.options import Answers, Given, Source
from ha_ssh.core.secret import Secret

FULL = """\
# how the house is set up
app: terminal
new-key: ed25519
no-passphrase: true
port: 2222        # beside the web page
password: off
boot: true
alias: false
url: http://homeassistant.local:8123
"""


def test_answers_carry_the_line_they_come_from():
    answers = from_yaml(FULL, "home.yaml")
    assert dict(answers) == {
        "app": "terminal",
        "new-key": KeyKind.ED25519,
        "key": NEW,
        "passphrase": Secret(""),
        "port": 2222,
        "password": PasswordWish.OFF,
        "boot": True,
        "alias": "",
        "url": "http://homeassistant.local:8123",
    }
    assert answers.given("port") == Given(2222, Source.FILE, "home.yaml line 5")


def test_an_empty_file_and_an_empty_value_answer_nothing():
    assert not from_yaml("", "a")
    assert not from_yaml("# only a comment\n", "a")
    assert not from_yaml("port:\nno-passphrase: false\n", "a")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("app: terminal\nprot: 2222", 2, "`prot` is no answer that is known; did you mean `port`?"),
        ("zzzzzz: 1", 1, "`zzzzzz` is no answer that is known"),
        ("passphrase: hush", 1, "did you mean `passphrase-file`?"),
        ("1: 2", 1, "`1` is no answer"),
        ("\n\nport: many", 3, "`port` has to be a number, not `many`"),
        ("port: true", 1, "`port` has to be a number"),
        ("port: [22]", 1, "not a list"),
        ("app: {a: b}", 1, "not a mapping"),
        ("alias: 5", 1, "`alias` has to be a text"),
        ("boot: sometimes", 1, "`boot` has to be true or false"),
        ("password: maybe", 1, "`maybe` is none of"),
        ("port: 22222", 1, "host's own SSH server"),
        ("key: id.pub", 1, "public half"),
        ("url: ssh://house", 1, "starts with `http://`"),
        ("- a\n- b", 1, "`key: value` lines"),
        ("just words", 1, "`key: value` lines"),
        ("app: a\n  port: 1", 2, "no YAML"),
        ("port: 1\nport: 2", 2, "no YAML"),
        ("a: [", 1, "no YAML"),
        ("port: \x00", 1, "no YAML"),
        ("port: !!python/object:os.system 1", 1, "`port` has to be a number"),
    ],
)
def test_a_mistake_is_named_with_its_line(text, line, says):
    with pytest.raises(UsageError) as wrong:
        from_yaml(text, "home.yaml")
    assert wrong.value.exit is Exit.USAGE
    assert wrong.value.message.startswith(f"home.yaml line {line}: ")
    assert says in wrong.value.message
    assert "hush" not in wrong.value.message


def test_a_key_and_a_kind_of_new_key_exclude_each_other():
    with pytest.raises(UsageError, match="a line 1 and a line 2 exclude each other"):
        from_yaml("new-key: ecdsa\nkey: /k\n", "a")


def test_saved_answers_come_back_and_comments_stay():
    answers = from_yaml(FULL, "home.yaml").without("url")
    assert (
        to_yaml(answers, url="http://homeassistant.local:8123", passphrase_file=None, text=FULL)
        == FULL.replace("no-passphrase: true\n", "no-passphrase: true\n") + "key: new\n"
    )


def test_changed_answers_keep_their_comments():
    answers = from_yaml(FULL, "home.yaml").with_("port", 2223, Source.FLAG)
    text = to_yaml(answers, url="http://other", passphrase_file=None, text=FULL)
    assert "port: 2223        # beside the web page\n" in text
    assert text.startswith("# how the house is set up\napp: terminal\n")
    assert "url: http://other\n" in text


def test_a_new_file_has_no_secret_and_reads_back():
    answers = Answers(
        {
            "app": Given("core_ssh", Source.DEFAULT),
            "key": Given(NEW, Source.ASKED),
            "passphrase": Given(Secret("hush"), Source.ASKED),
            "alias": Given("ha", Source.ASKED),
            "tunnels": Given(False, Source.DEFAULT),
        }
    )
    text = to_yaml(answers, url="http://house", passphrase_file="~/secret", text="")
    assert text == "app: core_ssh\nkey: new\nalias: ha\nurl: http://house\npassphrase-file: ~/secret\n"
    assert from_yaml(text, "a")["passphrase-file"] == "~/secret"


def test_an_answer_that_is_gone_leaves_the_file():
    assert "no-passphrase" not in to_yaml(Answers(), url=None, passphrase_file=None, text="no-passphrase: true\n")
