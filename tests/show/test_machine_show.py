"""What machines read: one object, or events and the object last, valid by the published schema and free of secrets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from samples import FINDINGS, PLAN

from ha_ssh.core.model import (
    Consent,
    ErrorReport,
    Level,
    Outcome,
    Report,
    Risk,
    Scope,
    SecretRef,
    Stage,
    StepReport,
    StepState,
)
from ha_ssh.core.secret import Secret
from ha_ssh.show.machine import MachineShow, to_json
from ha_ssh.show.terminal import TerminalShow

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CONTRACT = ["schema", "command", "result", "changed", "house", "ssh", "steps", "kept", "findings", "error"]

FULL = Report(
    command="setup",
    changed=True,
    house={"name": "home", "url": "http://homeassistant.local", "core": "2026.11.0", "supervisor": "2026.11.0"},
    ssh={
        "host": "192.168.1.20",
        "port": 2222,
        "user": "root",
        "alias": "ha",
        "identity_file": "/home/me/.ssh/id_ha_ssh_home",
        "command": "ssh ha",
        "proof": {"channel": "http", "method": "log", "at": "2026-11-23T10:00:00Z"},
    },
    steps=[StepReport(id="install-app", title="Install Terminal & SSH", state=StepState.DONE, seconds=41.23456)],
    waiting=PLAN.waiting,
    kept=["the app is installed"],
    findings=FINDINGS,
    error=ErrorReport(code="gone", message="the house is gone", hints=("try again",)),
    extra={"scenes": [{"name": "fresh", "title": "Nothing is set up", "finding": None}]},
    next_line="ssh ha",
    same_run="ha-ssh setup --yes",
)


def test_the_object_is_the_one_of_the_contract():
    told = to_json(FULL)
    VALIDATOR.validate(told)
    assert list(told)[: len(CONTRACT)] == CONTRACT
    assert told["steps"] == [
        {"id": "install-app", "title": "Install Terminal & SSH", "state": "done", "seconds": 41.235, "preview": []}
    ]
    assert told["error"] == {"code": "gone", "message": "the house is gone", "hints": ["try again"]}
    assert told["findings"][6] == {
        "id": "password-as-wanted",
        "stage": "app",
        "scope": "access",
        "verdict": "wrong",
        "says": "people can log in with a password",
        "why": "a password can be guessed",
        "because": None,
        "left_out": None,
        "fix": {"consent": "ask", "does": "clear the password", "risk": "password-off", "offered": False, "instructions": []},
        "title": "Password login is as wanted",
        "evidence": [],
        "failure": None,
    }
    assert told["findings"][4]["because"] == "settings-live"
    assert told["waiting"][0] == {"id": "host-key-pinned", "what": "pin the host keys of the server that proved itself"}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_empty_run_has_every_member(outcome):
    told = to_json(Report(command="doctor", result=outcome))
    VALIDATOR.validate(told)
    assert (told["house"], told["ssh"], told["error"], told["steps"], told["findings"]) == (None, None, None, [], [])


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (Outcome, ("run", "properties", "result", "enum")),
        (StepState, ("step", "properties", "state", "enum")),
        (Level, ("finding", "properties", "verdict", "enum")),
        (Stage, ("finding", "properties", "stage", "enum")),
        (Scope, ("finding", "properties", "scope", "enum")),
        (Risk, ("risk", "enum")),
        (Consent, ("finding", "properties", "fix", "oneOf", 1, "properties", "consent", "enum")),
    ],
)
def test_the_schema_knows_every_word(words, place):
    found: Any = SCHEMA["$defs"]
    for step in place:
        found = found[step]
    assert sorted(found) == sorted(words)


def test_a_schema_that_lacks_a_member_or_has_a_wrong_word_fails():
    for spoilt in ({"error": {"code": "x"}}, {"result": "fine"}, {"steps": [{"id": "X"}]}, {"exit": 7}):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(to_json(FULL) | spoilt)


def test_a_further_member_never_takes_the_place_of_one_of_the_contract():
    told = to_json(Report(command="doctor", extra={"result": "mine", "runs": [{"id": "1"}]}))
    assert told["result"] == "ok"
    assert told["runs"] == [{"id": "1"}]


def test_json_is_one_object_on_stdout_and_people_are_talked_to_elsewhere():
    out, err = io.StringIO(), io.StringIO()
    show = MachineShow(out, talk=TerminalShow(out=err, err=err))
    show.say("hello")
    show.plan(PLAN)
    show.step(FULL.steps[0])
    show.progress("installing", 0.5)
    show.findings(FINDINGS)
    show.rest()
    show.report(FULL)
    VALIDATOR.validate(json.loads(out.getvalue()))
    assert err.getvalue().startswith("hello\n")
    assert "error: the house is gone" in err.getvalue()
    assert "3. Save the app's settings" in err.getvalue()


def test_json_lines_are_events_and_the_object_last():
    out = io.StringIO()
    show = MachineShow(out, lines=True)
    show.plan(PLAN)
    show.step(FULL.steps[0])
    show.progress("installing", 0.5, "pulling")
    show.progress("waiting", None)
    show.findings(FINDINGS)
    show.report(FULL)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    assert [line.get("event", "object") for line in lines] == ["plan", "step", "progress", "progress"] + ["finding"] * 10 + [
        "object"
    ]
    assert lines[2] == {"event": "progress", "what": "installing", "fraction": 0.5, "detail": "pulling"}
    assert lines[-1] == to_json(FULL)


def test_a_secret_is_never_in_it():
    report = Report(
        command="setup",
        extra={
            "by_accident": {
                "token": Secret("hush"),
                "ref": SecretRef("token"),
                "risks": frozenset({Risk.LOCK_OUT}),
                "path": Path("x"),
            }
        },
    )
    out = io.StringIO()
    MachineShow(out).report(report)
    assert "hush" not in out.getvalue()
    assert json.loads(out.getvalue())["by_accident"] == {
        "token": "***",
        "ref": {"secret": "token"},
        "risks": ["lock-out"],
        "path": "x",
    }


class Left(io.StringIO):
    """A reader who has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_who_left_stops_nothing():
    show = MachineShow(Left(), lines=True)
    show.step(FULL.steps[0])
    show.report(FULL)
