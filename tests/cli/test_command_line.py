"""The contract of the command line: flags in, options and exit codes out."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from ha_ssh import __version__
from ha_ssh.ask.questions import SETUP, variable
from ha_ssh.cli.crash import crash_text, write_report
from ha_ssh.cli.main import main, parse
from ha_ssh.core.errors import Exit, HaSshError, UsageError
from ha_ssh.core.model import KeyKind, PasswordWish, Risk
from ha_ssh.core.options import Answers, Given, Options, Source
from ha_ssh.core.secret import Secret
from pty_screen import PtyScreen

FINGERPRINT = "it has 64 hexadecimal digits, with or without colons; without this flag, the error names the one that is seen"
STAND_IN = str(Path(__file__).with_name("stand_in.py"))
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema.json").read_text("utf-8"))
COMMANDS = ("setup", "doctor", "undo", "login", "logout", "discover", "demo")
SHARED = {
    "--url": "http://house",
    "--house": "home",
    "--ssh-host": "192.168.1.20",
    "--tls-fingerprint": ":".join(["AB"] * 32),
    "--once": None,
    "--accept-risk": "lock-out",
    "--scene": "fresh",
    **dict.fromkeys(("--yes", "--dry-run", "--no-input", "--json", "--json-lines", "--demo", "--verbose", "--no-color")),
}
ENV = {key: value for key, value in os.environ.items() if not key.startswith("HA_SSH_") and key not in {"NO_COLOR", "TERM"}}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HA_SSH_") or name == "NO_COLOR":
            monkeypatch.delenv(name)


def options(*arguments: str) -> Options:
    parsed = parse(arguments)
    assert isinstance(parsed, tuple)
    assert parsed[0] == arguments[0]
    return parsed[1]


def ha_ssh(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, STAND_IN, *arguments], input=stdin, capture_output=True, text=True, env=ENV | env, check=False
    )


# ----------------------------------------------------------------------------------------------------------- the options


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", SHARED)
def test_every_command_understands_every_shared_flag_by_flag_and_by_variable(command, flag, monkeypatch):
    value = SHARED[flag]
    by_flag = options(command, flag, *([value] if value else []))
    assert by_flag != options(command) or flag == "--no-input"  # a test has no terminal, so input is off anyway
    monkeypatch.setenv(variable(flag), value or "1")
    assert options(command) == by_flag


@pytest.mark.parametrize("command", COMMANDS)
def test_flags_are_understood_in_any_position(command):
    assert options(command, "--demo", "--url", "http://house", "-y") == options(command, "-y", "--url", "http://house", "--demo")


def test_nothing_given_is_nothing_said():
    assert options("setup") == Options(no_input=True, color=os.environ.get("TERM") != "dumb")


def test_json_implies_no_input():
    assert options("setup", "--json").no_input
    assert options("setup", "--json-lines").machine


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("HA_SSH_NO_COLOR", "1")])
def test_no_colour_is_heard_in_every_form(name, value, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert options("doctor").color
    monkeypatch.setenv(name, value)
    assert not options("doctor").color


def test_risks_have_names():
    assert options("setup", "--accept-risk", "lock-out,password-off", "--accept-risk", "host-key").accepted == {
        Risk.LOCK_OUT,
        Risk.PASSWORD_OFF,
        Risk.HOST_KEY,
    }
    with pytest.raises(UsageError, match="`everything` is no risk"):
        options("setup", "--accept-risk", "everything")


def test_a_token_comes_from_the_environment_or_a_file_and_never_from_an_argument(tmp_path, monkeypatch):
    monkeypatch.setenv("HA_SSH_TOKEN", "from-env\n")
    assert options("doctor").token == Secret("from-env")
    (tmp_path / "token").write_text("from-file\r\n")
    assert options("doctor", "--token-file", str(tmp_path / "token")).token == Secret("from-file")
    monkeypatch.setattr(sys, "stdin", io.StringIO("from-stdin\n"))
    assert options("doctor", "--token-file", "-").token == Secret("from-stdin")
    for command in COMMANDS:
        with pytest.raises(UsageError, match="There is no flag `--token`"):
            options(command, "--token", "x")
    assert "from-env" not in repr(options("doctor"))


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read: No such file"), (b"", "holds no secret"), (b"\xff\xfe", "no UTF-8 text")]
)
def test_a_token_file_that_cannot_be_is_named(content, says, tmp_path):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as wrong:
        options("doctor", "--token-file", str(path))
    assert wrong.value.message.startswith("--token-file: `")


# ----------------------------------------------------------------------------------------------------------- the answers

SAID = {
    "app": ("terminal", "terminal"),
    "key": ("/my/key", "/my/key"),
    "new-key": ("ecdsa", KeyKind.ECDSA),
    "port": ("2223", 2223),
    "username": ("me", "me"),
    "password": ("keep", PasswordWish.KEEP),
    "boot": (None, True),
    "watchdog": (None, True),
    "alias": ("haus", "haus"),
    "tunnels": (None, True),
    "multiplex": (None, True),
}


def test_every_question_is_covered_here():
    assert {*SAID, "passphrase"} == {clause.id for clause in SETUP}


@pytest.mark.parametrize("clause", [clause for clause in SETUP if clause.id in SAID], ids=lambda clause: clause.id)
def test_every_question_is_answered_by_flag_and_by_variable(clause, monkeypatch):
    typed, value = SAID[clause.id]
    by_flag = options("setup", clause.flag, *([typed] if typed else [])).answers
    assert by_flag.given(clause.id) == Given(value, Source.FLAG, clause.flag)
    monkeypatch.setenv(clause.env, typed or "1")
    by_variable = options("setup").answers
    assert by_variable.given(clause.id) == Given(value, Source.ENVIRONMENT, clause.env)
    assert by_flag.source(clause.id) == options("setup", clause.flag, *([typed] if typed else [])).answers.source(clause.id)


@pytest.mark.parametrize("clause", [clause for clause in SETUP if clause.off], ids=lambda clause: clause.id)
def test_no_is_said_by_flag(clause):
    answers = options("setup", clause.off).answers
    assert not answers[clause.id]
    assert answers.source(clause.id) is Source.FLAG


def test_no_is_said_by_variable(monkeypatch):
    monkeypatch.setenv("HA_SSH_NO_ALIAS", "1")
    monkeypatch.setenv("HA_SSH_NO_PASSPHRASE", "1")
    monkeypatch.setenv("HA_SSH_BOOT", "0")
    answers = options("setup").answers
    assert (answers["alias"], answers["passphrase"], answers["boot"]) == ("", Secret(""), False)
    assert answers.given("alias").where == "HA_SSH_NO_ALIAS"


def test_a_flag_beats_a_variable_of_the_other_meaning(monkeypatch):
    monkeypatch.setenv("HA_SSH_ALIAS", "haus")
    assert options("setup", "--no-alias").answers["alias"] == ""
    monkeypatch.setenv("HA_SSH_NO_ALIAS", "1")
    assert options("setup", "--alias", "x").answers["alias"] == "x"
    with pytest.raises(UsageError, match="HA_SSH_ALIAS and HA_SSH_NO_ALIAS exclude each other"):
        options("setup")
    with pytest.raises(UsageError, match="--alias and --no-alias exclude each other"):
        options("setup", "--alias", "x", "--no-alias")


def test_a_passphrase_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "p").write_text("hush hush\n")
    got = options("setup", "--passphrase-file", str(tmp_path / "p"))
    assert (got.answers["passphrase"], got.passphrase_file) == (Secret("hush hush"), str(tmp_path / "p"))
    monkeypatch.setenv("HA_SSH_PASSPHRASE", "other")
    assert options("setup").answers.given("passphrase") == Given(Secret("other"), Source.ENVIRONMENT, "HA_SSH_PASSPHRASE")
    assert "hush" not in repr(got)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--port", "99999"), "--port: `99999` is no port", "`--port 2222` would do"),
        (("--port", "22222"), "--port: Port 22222 belongs to the host", "`--port 2222` would do"),
        (("--alias", "my house"), "--alias: `my house`", "`--alias my-house` would do"),
        (("--username", "My self"), "--username: `My self`", "`--username my-self` would do"),
        (("--key", "id.pub"), "--key: `id.pub` is the public half", "`--key id` would do"),
        (("--new-key", "dsa"), "--new-key: `dsa` is none of", "`--new-key ed25519` would do"),
        (("--password", "x"), "--password: `x` is none of", "`--password off` would do"),
        (("--url", "ftp://house"), "--url: `ftp` is not spoken here", "`--url http://house` would do"),
        (("--tls-fingerprint", "ab:cd"), "--tls-fingerprint: `ab:cd` is no SHA-256 fingerprint", FINGERPRINT),
        (("--new-key", "ecdsa", "--key", "/k"), "--new-key and --key exclude each other", "leave one out"),
        (("--prot", "1"), "There is no flag `--prot` of `setup`.", "did you mean `--port`?"),
        (("--port",), "Option '--port' requires an argument", "`ha-ssh setup --help` lists its flags"),
        (("extra",), "Got unexpected extra argument", "`ha-ssh setup --help` lists its flags"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_flag_and_what_would_do(arguments, message, hint):
    with pytest.raises(UsageError) as wrong:
        options("setup", *arguments)
    assert wrong.value.message.startswith(message)
    assert hint in wrong.value.hints
    assert wrong.value.exit is Exit.USAGE


def test_a_bad_variable_is_named_as_the_variable(monkeypatch):
    monkeypatch.setenv("HA_SSH_PORT", "x")
    with pytest.raises(UsageError, match=r"^HA_SSH_PORT: `x` is no port"):
        options("setup")
    monkeypatch.setenv("HA_SSH_URL", "x y")
    with pytest.raises(UsageError, match=r"^HA_SSH_URL: `x y` is no address"):
        options("doctor")


def test_an_answers_file_is_weaker_than_flag_and_variable(tmp_path, monkeypatch):
    file = tmp_path / "home.yaml"
    file.write_text("port: 2001\nalias: one\nboot: false\nnew-key: ecdsa\nurl: http://house\n")
    monkeypatch.setenv("HA_SSH_ALIAS", "two")
    got = options("setup", "--from", str(file), "--port", "2003", "--key", "/k")
    assert (got.answers["port"], got.answers["alias"], got.answers["boot"], got.answers["key"]) == (2003, "two", False, "/k")
    assert got.answers.given("boot") == Given(False, Source.FILE, f"{file} line 3")
    assert got.url == "http://house"
    assert options("setup", "--from", str(file), "--url", "http://other").url == "http://other"


def test_an_answers_file_names_a_passphrase_file(tmp_path):
    (tmp_path / "p").write_text("hush\n")
    file = tmp_path / "home.yaml"
    file.write_text(f"passphrase-file: {tmp_path / 'p'}\n")
    got = options("setup", "--from", str(file))
    assert (got.answers["passphrase"], got.passphrase_file) == (Secret("hush"), str(tmp_path / "p"))
    assert "passphrase-file" not in got.answers
    file.write_text("passphrase-file: /nowhere\n")
    with pytest.raises(UsageError, match=r"home.yaml line 1: `/nowhere` cannot be read"):
        options("setup", "--from", str(file))


def test_a_missing_or_broken_answers_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--from: `/nowhere\.yaml` cannot be read: No such file"):
        options("setup", "--from", "/nowhere.yaml")
    file = tmp_path / "home.yaml"
    file.write_text("app: terminal\nprot: 1\n")
    with pytest.raises(UsageError, match=r"home.yaml line 2: .*did you mean `port`"):
        options("setup", "--from", str(file))


def test_the_flags_of_one_command():
    got = options("doctor", "--fix", "--list", "--only", "a", "--only", "b", "--skip", "c", "--strict")
    assert (got.fix, got.list_only, got.only, got.skip, got.strict) == (True, True, ("a", "b"), ("c",), True)
    assert options("undo", "--run", "17", "--list").run_id == "17"
    assert options("demo", "--list").list_only
    got = options("setup", "--save-answers", "a.yaml", "--secret-out", "s")
    assert (got.save_answers, got.secret_out) == ("a.yaml", "s")


# --------------------------------------------------------------------------------------------------- help, version, topics


def test_help_without_arguments_and_with(capsys):
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        assert main(arguments) == 0
        assert "Commands:\n  setup" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: ha-ssh {command}")
    assert main(["help", command]) == 0
    assert capsys.readouterr().out == text
    assert [line for line in text.splitlines() if len(line) > 80] == []
    for flag in (*SHARED, "--token-file", "--version", "--help"):
        assert flag in text
    undescribed = [line for line in text.splitlines() if re.fullmatch(r" +(-\w, )?--[\w-]+( [A-Z]+)?", line)]
    assert undescribed == []


def test_every_flag_of_every_question_is_in_the_help(capsys):
    main(["setup", "--help"])
    text = capsys.readouterr().out
    for clause in SETUP:
        assert f"  {clause.flag}" in text
        assert clause.off is None or clause.off in text


@pytest.mark.parametrize("flag", ["--host", "--ssh-host"])
@pytest.mark.parametrize(
    ("host", "way"),
    [
        ("http://house:8123", "--url"),
        ("house/x", "--url"),
        ("house:2222", "alone"),
        ("two words", "homeassistant.local"),
        ("", "homeassistant.local"),
        ("-oProxyCommand=x", "homeassistant.local"),
        ("fe80::1%x/y", "--url"),
    ],
)
def test_a_host_is_the_name_of_a_machine(flag: str, host: str, way: str) -> None:
    with pytest.raises(UsageError) as refused:
        options("doctor", f"{flag}={host}")
    assert refused.value.message.startswith(f"{flag}: ")
    assert way in " ".join(refused.value.hints) or (flag, way) == ("--host", "alone")


@pytest.mark.parametrize(
    "host", ["homeassistant.local", "ha", "192.168.1.20", "2001:db8::5", "fe80::1%eth0", "küche.lan", "a_b.lan."]
)
def test_names_and_addresses_of_machines_are_taken(host: str) -> None:
    assert options("doctor", "--host", host).host == host
    assert options("setup", "--ssh-host", host).ssh_host == host
    assert options("doctor", "--host", "[2001:db8::5]").host == "2001:db8::5"


@pytest.mark.parametrize("arguments", [["--version"], ["setup", "--version"], ["doctor", "--json", "--version"]])
def test_version(arguments, capsys):
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"ha-ssh {__version__}\n"


def test_the_quick_way_to_the_version_says_the_same():
    ran = subprocess.run([sys.executable, "-m", "ha_ssh", "--version"], capture_output=True, text=True, env=ENV, check=True)
    assert ran.stdout == f"ha-ssh {__version__}\n"


def test_topics(capsys):
    assert main(["help", "risks"]) == 0
    text = capsys.readouterr().out
    assert [risk for risk in Risk if f"  {risk} " not in text] == []
    assert main(["help", "exit-codes"]) == 0
    text = capsys.readouterr().out
    assert [code for code in Exit if f"  {int(code)} " not in text] == []
    assert main(["help", "environment"]) == 0
    assert "HA_SSH_TOKEN" in capsys.readouterr().out
    assert main(["help", "cooking"]) == Exit.USAGE
    assert "There is no topic `cooking`" in capsys.readouterr().err


def test_shell_completion_knows_commands_and_flags():
    for words, found in (("ha-ssh ", "doctor"), ("ha-ssh setup --wat", "--watchdog")):
        ran = ha_ssh(_HA_SSH_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=words)
        assert found in ran.stdout
        assert ran.returncode == 0


# -------------------------------------------------------------------------------------------------------- how it all ends


def end(run, *arguments: str) -> int:
    return main(arguments, run=run)


def fail(error: BaseException):
    def run(command: str, options: Options) -> int:
        raise error

    return run


def test_a_command_gets_its_options_and_its_code_is_passed_on():
    got = []
    assert end(lambda command, options: got.append((command, options)) or 4, "undo", "--yes") == 4
    assert (got[0][0], got[0][1].yes) == ("undo", True)


@pytest.mark.parametrize(
    ("error", "code", "result"),
    [
        (HaSshError("gone", "the house is gone", "look at the plug"), 4, "error"),
        (HaSshError("failed", "it failed", exit=Exit.WRONG), 1, "put_back"),
        (HaSshError("stuck", "not put back", exit=Exit.STUCK), 5, "stuck"),
        (HaSshError("agreement", "waits", exit=Exit.UNANSWERED), 3, "planned"),
        (HaSshError("missing-url", "no url", exit=Exit.UNANSWERED), 3, "error"),
        (UsageError("bad", "bad"), 2, "error"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_error_ends_in_its_code_and_its_object(error, code, result, capsys):
    assert end(fail(error), "setup", "--json") == code
    told = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    assert (told["command"], told["result"], told["exit"], told["changed"]) == ("setup", result, code, False)
    if isinstance(error, HaSshError):
        assert told["error"] == {"code": error.code, "message": error.message, "hints": list(error.hints)}


def test_an_error_for_people_is_a_message_a_blank_line_and_hints(capsys):
    assert end(fail(HaSshError("gone", "the house is gone", "look at the plug", "wait")), "setup") == 4
    told = capsys.readouterr()
    assert told.err == "error: the house is gone\n\nhint: look at the plug\nhint: wait\n"
    assert told.out == ""


@pytest.mark.parametrize("arguments", [("setup", "--json", "--prot"), ("--json",), ("dotcor", "--json"), ("--json", "setup")])
def test_an_error_before_a_command_ran_speaks_json_too(arguments, capsys):
    assert main(arguments) == 2
    told = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    assert told["error"]["code"] == "usage"


def test_json_by_variable_is_heard_before_the_flags_are_understood(monkeypatch, capsys):
    monkeypatch.setenv("HA_SSH_JSON_LINES", "1")
    assert main(["setup", "--prot"]) == 2
    assert json.loads(capsys.readouterr().out)["exit"] == 2


def test_a_flag_before_the_command_is_told_its_place(capsys):
    assert main(["--demo", "setup"]) == 2
    assert "hint: flags come after the command: `ha-ssh setup --demo`" in capsys.readouterr().err


def test_a_bug_of_ours_writes_a_private_report_without_secrets(tmp_path):
    env = {"STAND_IN": "bug", "HA_SSH_PROFILE": str(tmp_path), "HA_SSH_TOKEN": "hunter2hunter2"}
    ran = ha_ssh("doctor", "--json", "--url", "http://myhouse.example:8123", **env)
    assert ran.returncode == 70
    told = json.loads(ran.stdout)
    assert (told["error"]["code"], told["exit"]) == ("bug", 70)
    [report] = (tmp_path / "state" / "crashes").iterdir()
    assert str(report) in told["error"]["hints"][0]
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert "ValueError: no idea about http://<host-1>:8123 with ***" in text
    assert f"ha-ssh {__version__}" in text
    assert "hunter2" not in text + ran.stdout + ran.stderr
    assert "myhouse" not in text


def test_a_report_names_answers_but_not_their_values():
    answers = Answers({"passphrase": Given(Secret("hush-hush"), Source.FLAG), "alias": Given("secret-alias", Source.ASKED)})
    text = crash_text(RuntimeError("it was hush-hush on nas"), "setup", Options(answers=answers, ssh_host="nas"))
    assert "answers given: alias (asked), passphrase (flag)" in text
    assert "hush-hush" not in text
    assert "secret-alias" not in text
    assert "it was *** on <host-1>" in text


def test_a_report_that_cannot_be_written_is_said_instead(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert write_report(ValueError("x"), "setup", Options(), tmp_path / "file") is None
    assert "ValueError: x" in capsys.readouterr().err


def test_a_reader_who_leaves_is_no_error():
    piped = subprocess.Popen(
        [sys.executable, STAND_IN, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV | {"STAND_IN": "chatty"}
    )
    assert piped.stdout is not None
    assert piped.stderr is not None
    assert piped.stdout.readline() == b"line 0\n"
    piped.stdout.close()
    assert piped.wait(20) == 0
    assert piped.stderr.read() == b""
    piped.stderr.close()


@pytest.mark.parametrize(("stand_in", "code"), [("stuck", 5), ("interrupted", 130)])
def test_exit_codes_reach_the_shell(stand_in, code):
    assert ha_ssh("setup", STAND_IN=stand_in).returncode == code


def test_input_is_off_without_a_terminal_and_on_with_one():
    assert "no_input=True" in ha_ssh("setup").stdout
    with PtyScreen(STAND_IN, "setup") as person:
        assert person.end() == 0
        assert "no_input=False" in person.text.replace("\n", "")
    with PtyScreen(STAND_IN, "setup", "--no-input") as person:
        assert person.end() == 0
        assert "no_input=True" in person.text.replace("\n", "")


def test_nothing_secret_is_in_what_options_show(tmp_path):
    (tmp_path / "p").write_text("hush-hush\n")
    ran = ha_ssh("setup", "--passphrase-file", str(tmp_path / "p"), HA_SSH_TOKEN="hunter2hunter2")
    assert ran.returncode == 0
    assert "***" in ran.stdout
    assert "hush-hush" not in ran.stdout
    assert "hunter2" not in ran.stdout


def test_a_command_starts_without_what_it_may_never_need():
    code = (
        "import sys; sys.argv = ['ha-ssh', 'setup', '--yes', '--url', 'http://house', '--port', '2222', '--alias', 'ha'];"
        "from ha_ssh.cli.main import main; code = main(run=lambda command, options: 0);"
        "sys.stdout.write(' '.join(sys.modules)); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENV, check=True)
    costly = {
        "asyncio",
        "asyncssh",
        "aiohttp",
        "cryptography",
        "questionary",
        "zeroconf",
        "keyring",
        "rich",
        "pydantic",
        "ruamel",
    }
    assert sorted(costly & {name.partition(".")[0] for name in ran.stdout.split()}) == []
