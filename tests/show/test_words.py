"""The vocabulary."""

from __future__ import annotations

from dataclasses import replace

import pytest
from samples import FINDINGS, finding

from ha_ssh.core.model import Level, Outcome, Report, Scope, ok, unknown, warn, wrong
from ha_ssh.show.words import clean, count, duration, ending, folded, introduced, listing, sentence, summary, wrap


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (125, "2 min 5 s"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_plurals_and_lists():
    assert (count(1, "change"), count(0, "change"), count(2, "house", "houses")) == ("1 change", "0 changes", "2 houses")
    assert (listing([]), listing(["a"]), listing(["a", "b", "c"])) == ("", "a", "a, b and c")


def test_sentences():
    assert sentence("the port is taken") == "The port is taken."
    assert sentence("is it?") == "Is it?"
    assert sentence(" ") == ""
    assert sentence("`ssh ha` works") == "`ssh ha` works."


def test_a_command_and_a_path_are_never_broken():
    lines = wrap("type `ha-ssh setup --port 2223 --alias house` and look into /very/long/path/that-is-not-broken", 40, first="- ")
    assert lines == [
        "- type",
        "  `ha-ssh setup --port 2223 --alias house`",
        "  and look into",
        "  /very/long/path/that-is-not-broken",
    ]
    assert wrap("a\n\nb", 10, first="> ", rest="  ") == ["> a", "", "  b"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("the app runs", "the app (add-on) runs"),
        ("Apps are listed", "Apps (add-ons) are listed"),
        ("the app's log of the app", "the app's log of the app (add-on)"),
        ("type `app` for the app", "type `app` for the app (add-on)"),
        ("the app (add-on) runs", None),
        ("an application in /app/x", None),
    ],
)
def test_app_is_introduced(text, told):
    assert introduced(text) == told


def test_control_characters_go():
    assert clean("a\x1b[1mb\x1b]8;;http://x\x1b\\c\r\nd\x07\te") == "abc\nd\te"


def test_a_summary():
    assert summary(FINDINGS) == "3 wrong, 2 more follow from these, 1 could not look, 1 warn, 1 note, 2 ok"
    assert summary(FINDINGS[3:6]) == "1 wrong, 2 more follow from it"
    assert summary(()) == ""


@pytest.mark.parametrize(
    ("changed", "levels", "words"),
    [
        (False, {Level.OK, Level.NOTE}, "What was looked at is well: 4 of 52 checks."),
        (False, {Level.WARN}, "Nothing is wrong in what was looked at (4 of 52 checks); mind what comes first above."),
        (True, {Level.OK}, "Repaired: nothing is wrong any more in what was looked at (4 of 52 checks)."),
    ],
)
def test_a_part_is_not_called_all(changed, levels, words):
    findings = tuple(one for one in FINDINGS if one.level in levels)
    assert findings
    report = Report(command="doctor", changed=changed, findings=findings, extra={"judged": {"checks": 4, "of": 52}})
    assert ending(report) == words
    report.extra["judged"]["checks"] = 52
    assert "looked at" not in ending(report)


def beside(name, verdict):
    """A finding about something else than the access."""
    found = finding(name, name, verdict)
    return replace(found, check=replace(found.check, scope=Scope.HYGIENE))


LOGIN = finding("login-works", "A login succeeds", ok("it logs in"))
LEFT = beside("unfinished-run", wrong("a run was cut off", "it may be half done"))
OPEN = beside("no-private-key", wrong("a private key is in the settings", "others have it"))
UNSEEN = finding("ha-works", "`ha` works", unknown("no login"))
REFUSED = finding("key-authorised", "The key is authorised", wrong("it is not", "x"))


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(
    ("result", "findings", "words"),
    [
        (Outcome.OK, (LEFT, LOGIN), "SSH access works; 1 thing is wrong beside it: mind what comes first above."),
        (Outcome.OK, (LEFT, OPEN, LOGIN), "SSH access works; 2 things are wrong beside it: mind what comes first above."),
        (Outcome.WRONG, (LEFT, LOGIN), "SSH access works; 1 thing is wrong beside it: mind what comes first above."),
        (Outcome.WRONG, (LEFT, REFUSED), "SSH access is not as it should be; what comes first above is the root of it."),
        (Outcome.WRONG, (LEFT, UNSEEN), "1 thing is wrong, and not all could be looked at; what comes first above says why."),
        (Outcome.WRONG, (beside("x", warn("old", "x")), LOGIN), "It works, with warnings."),
    ],
)
def test_nothing_is_called_well_beside_what_is_wrong(changed, result, findings, words):
    assert ending(Report(command="doctor", changed=changed, result=result, findings=findings)) == words


def test_of_a_part_no_more_is_said_than_was_looked_at():
    report = Report(command="doctor", findings=(OPEN,), extra={"judged": {"checks": 1, "of": 52}})
    assert ending(report) == "1 thing is wrong in what was looked at (1 of 52 checks): mind what comes first above."


def test_the_root_of_a_broken_access_comes_before_what_is_wrong_beside_it():
    assert [root.id for root, _ in folded((LEFT, LOGIN, REFUSED))] == ["login-works", "key-authorised", "unfinished-run"]
