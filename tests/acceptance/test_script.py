"""`setup` as a script: flags, variables, an answers file, both forms of JSON, exit codes; and that looking changes nothing."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from servers import ADVANCED, TERMINAL

if TYPE_CHECKING:
    from computer import Computer, Ended

RUN_BUG = """
import sys
from ha_ssh import engine
from ha_ssh.cli.main import main
def bug(*_, **__): raise ValueError("a bug of ours")
engine.planner.plan = bug
sys.exit(main())
"""


def verdicts(ended: Ended) -> dict[str, str]:
    return {finding["id"]: finding["verdict"] for finding in ended.report["findings"]}


# ------------------------------------------------------------------------------------------------------------- the way through


def test_from_nothing_to_a_proven_login_and_then_nothing_is_left_to_do(computer: Computer) -> None:
    first = computer.setup()
    assert (first.code, first.result, first.report["changed"]) == (0, "ok", True), first
    ssh = first.report["ssh"]
    assert (ssh["host"], ssh["port"], ssh["user"], ssh["alias"]) == (computer.running.host, 2222, "root", "ha")
    assert (ssh["proof"]["channel"], ssh["proof"]["method"]) == ("http", "log")
    assert set(verdicts(first).values()) <= {"ok", "note"}
    assert [step["state"] for step in first.report["steps"]] == ["done"] * len(first.report["steps"])
    assert len(computer.admitted()) == 1
    done = computer.everything()

    again = computer.setup()
    assert (again.code, again.result, again.report["changed"], again.report["steps"]) == (0, "ok", False, [])
    assert computer.everything() == done
    remembered = computer.ha_ssh("setup", "--json")  # neither address nor agreement: nothing is left to agree to
    assert (remembered.code, remembered.report["changed"]) == (0, False), remembered
    assert computer.everything() == done


def test_people_get_the_plan_the_steps_and_the_line_to_type_next(computer: Computer) -> None:
    done = computer.ha_ssh(*computer.flags())
    assert done.code == 0
    assert f"ssh -F {computer.ssh}/config ha" in done.out
    assert re.search(r"ha-ssh setup --url \S+ --no-passphrase --yes", done.out.replace("\n", " ").replace("  ", " ")), done.out
    assert "options.authorized_keys" in done.err
    again = computer.ha_ssh(*computer.flags())
    assert again.code == 0
    assert "othing" in again.out + again.err


def test_what_was_done_can_be_undone_and_undone_only_once(computer: Computer) -> None:
    house = computer.snapshot()
    assert computer.setup().code == 0
    undone = computer.undo()
    assert (undone.code, undone.report["changed"]) == (0, True), undone
    assert computer.snapshot() == house
    kept = list(computer.files(but=("state/", "config/")))
    assert kept == ["ssh/id_ha_ssh_home", "ssh/id_ha_ssh_home.pub"]
    assert any("id_ha_ssh_home" in line for line in undone.report["kept"])
    after = computer.everything()
    again = computer.undo()
    assert (again.code, again.report["changed"]) == (0, False)
    assert computer.everything() == after
    assert computer.setup().code == 0


@pytest.mark.parametrize("flags", [("--json",), ()], ids=["json", "people"])
def test_a_dry_run_plans_everything_and_touches_nothing(computer: Computer, flags: tuple[str, ...]) -> None:
    before = computer.everything()
    planned = computer.ha_ssh("setup", "--url", computer.running.url, "--no-passphrase", "--dry-run", *flags)
    assert planned.code == 0, planned
    assert computer.everything() == before
    assert not computer.profile.exists()
    assert not list((computer.folder / "home").iterdir())
    if flags:
        assert (planned.result, planned.report["changed"]) == ("planned", True)
        steps = planned.report["steps"]
        assert {step["state"] for step in steps} == {"planned"}
        assert any("network.22/tcp: none -> 2222" in line for step in steps for line in step["preview"])
        assert {waiting["id"] for waiting in planned.report["waiting"]} >= {"right-server", "host-key-pinned", "alias-works"}
    else:
        assert "2222" in planned.out + planned.err


def test_a_dry_run_on_a_house_that_is_set_up_has_nothing_to_plan(computer: Computer) -> None:
    assert computer.setup().code == 0
    before = computer.everything()
    planned = computer.setup("--dry-run")
    assert (planned.code, planned.result, planned.report["changed"]) == (0, "planned", False)
    assert computer.everything() == before


def test_without_agreement_it_stops_at_the_plan_and_names_yes(computer: Computer) -> None:
    before = computer.everything()
    planned = computer.ha_ssh("setup", "--url", computer.running.url, "--no-passphrase", "--json")
    assert (planned.code, planned.result, planned.report["changed"]) == (3, "planned", False)
    assert "--yes" in planned.said
    assert computer.everything() == before
    people = computer.ha_ssh("setup", "--url", computer.running.url, "--no-passphrase")
    assert people.code == 3
    assert "--yes" in people.err
    assert computer.everything() == before


# ----------------------------------------------------------------------------------------------------------------- answers


def test_every_answer_by_flag(computer: Computer) -> None:
    port = 2244
    flags = (
        *("--app", "advanced", "--new-key", "ecdsa", "--port", str(port), "--username", "sam", "--password", "keep"),
        *("--no-boot", "--no-watchdog", "--alias", "casa", "--tunnels", "--multiplex"),
    )
    long = computer.ha_ssh(*computer.flags(*flags), "--json", env={"HA_SSH_PROFILE": str(computer.folder / ("deep" * 20))})
    assert (long.code, long.error["code"]) == (2, "socket-path-too-long"), long
    assert not computer.turn(lambda house: house.app(ADVANCED).installed)
    with tempfile.TemporaryDirectory(prefix="c-") as short:  # of a socket's path the system takes some hundred bytes
        every_answer_by_flag(replace(computer, folder=Path(short)), flags, port)


def every_answer_by_flag(computer: Computer, flags: tuple[str, ...], port: int) -> None:
    done = computer.setup(*flags)
    assert done.code == 0, done
    ssh = done.report["ssh"]
    assert (ssh["port"], ssh["user"], ssh["alias"]) == (port, "sam", "casa")
    app = computer.snapshot()["apps"][ADVANCED]
    assert (app["boot"], app["watchdog"], app["network"]["22/tcp"]) == ("manual", False, port)
    assert app["options"]["ssh"]["username"] == "sam"
    assert app["options"]["ssh"]["allow_tcp_forwarding"] is True
    assert (computer.ssh / "id_ha_ssh_home.pub").read_text().startswith("ecdsa-sha2-nistp256 ")
    block = (computer.ssh / "ha-ssh.d" / "home.conf").read_text()
    assert re.search(r"^Host casa$", block, re.MULTILINE)
    assert "ControlMaster auto" in block
    assert computer.setup().report["changed"] is False


def test_every_answer_by_variable_and_a_flag_is_stronger(computer: Computer) -> None:
    variables = {
        "HA_SSH_URL": computer.running.url,
        "HA_SSH_YES": "1",
        "HA_SSH_NO_PASSPHRASE": "1",
        "HA_SSH_PORT": "2022",
        "HA_SSH_ALIAS": "attic",
        "HA_SSH_WATCHDOG": "0",
        "HA_SSH_JSON": "1",
    }
    done = computer.ha_ssh("setup", "--port", "2233", env=variables)
    assert done.code == 0, done
    assert (done.report["ssh"]["port"], done.report["ssh"]["alias"]) == (2233, "attic")
    assert computer.snapshot()["apps"][TERMINAL]["watchdog"] is False


def test_answers_from_a_file_are_kept_with_its_comments(computer: Computer) -> None:
    answers = computer.folder / "answers.yaml"
    answers.write_text(
        f"# our house\nurl: {computer.running.url}\nport: 2200  # 22 is the router's\nno-passphrase: true\nalias: attic\n"
    )
    done = computer.ha_ssh("setup", "--from", str(answers), "--port", "2233", "--save-answers", str(answers), "--yes", "--json")
    assert done.code == 0, done
    assert (done.report["ssh"]["port"], done.report["ssh"]["alias"]) == (2233, "attic")
    saved = answers.read_text()
    assert saved.startswith("# our house\n")
    assert "port: 2233  # 22 is the router's\n" in saved
    assert re.search(r"^watchdog: true$", saved, re.MULTILINE)
    other = computer.folder / "other.yaml"
    again = computer.ha_ssh("setup", "--from", str(answers), "--save-answers", str(other), "--json")
    assert (again.code, again.report["changed"]) == (0, False), again
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert "port: 2233" in other.read_text()


def test_the_token_comes_from_a_file_or_from_stdin(computer: Computer) -> None:
    token, computer.token = computer.token, None
    assert token
    computer.folder.joinpath("token").write_text(token + "\n")
    by_file = computer.setup("--token-file", str(computer.folder / "token"), "--dry-run")
    assert by_file.code == 0, by_file
    by_stdin = computer.ha_ssh(*computer.flags("--token-file", "-", "--dry-run", "--json"), stdin=token + "\n")
    assert by_stdin.code == 0, by_stdin


@pytest.mark.parametrize(
    ("flags", "env", "flag", "variable"),
    [
        (("--url", "{url}"), {"HA_SSH_TOKEN": ""}, "--token-file", "HA_SSH_TOKEN"),
        ((), {}, "--url", "HA_SSH_URL"),
    ],
    ids=["token", "url"],
)
def test_a_missing_answer_is_named_with_its_flag_and_variable(
    computer: Computer, flags: tuple[str, ...], env: dict[str, str], flag: str, variable: str
) -> None:
    before = computer.everything()
    given = [one.format(url=computer.running.url) for one in flags]
    stopped = computer.ha_ssh("setup", *given, "--json", env=env)
    assert stopped.code == 3, stopped
    assert flag in stopped.said
    assert variable in stopped.said
    assert computer.everything() == before


def test_json_lines_tell_what_happens_and_end_with_the_object(computer: Computer) -> None:
    done = computer.ha_ssh(*computer.flags("--json-lines"))
    assert done.code == 0
    *events, last = done.events
    kinds = [event["event"] for event in events]
    assert {"plan", "step", "progress"} <= set(kinds)
    assert kinds.index("plan") < kinds.index("step")
    assert (last["schema"], last["result"], last["exit"]) == ("ha-ssh/1", "ok", 0)
    finished = [event["id"] for event in events if event["event"] == "step" and event["state"] == "done"]
    assert finished == [step["id"] for step in last["steps"]]


# -------------------------------------------------------------------------------------------------------------- exit codes


def test_exit_0_doctor_on_a_house_that_is_well(computer: Computer) -> None:
    assert computer.setup().code == 0
    before = computer.everything()
    well = computer.ha_ssh("doctor", "--json")
    assert (well.code, well.result, well.report["changed"]) == (0, "ok", False), well
    assert computer.everything() == before


def test_exit_1_what_is_wrong_and_doctor_fix_puts_it_right(computer: Computer) -> None:
    assert computer.setup().code == 0
    computer.turn(lambda house: house.stop_now(TERMINAL))
    before = computer.everything()
    wrong = computer.ha_ssh("doctor", "--json")
    assert (wrong.code, wrong.result) == (1, "wrong")
    root = next(one for one in wrong.report["findings"] if one["verdict"] == "wrong" and one["because"] is None)
    assert root["id"] == "app-running"
    assert computer.everything() == before
    unagreed = computer.ha_ssh("doctor", "--fix", "--json")
    assert (unagreed.code, unagreed.result) == (3, "planned")
    assert "--yes" in unagreed.said
    assert computer.everything() == before
    assert computer.ha_ssh("doctor", "--fix", "--yes", "--json").code == 0
    assert computer.ha_ssh("doctor", "--json").code == 0


def test_exit_2_a_flag_that_is_none(computer: Computer) -> None:
    wrong = computer.setup("--prot", "2222")
    assert (wrong.code, wrong.result) == (2, "error")
    assert "--port" in wrong.said


def test_exit_4_a_house_that_is_not_there(computer: Computer) -> None:
    gone = computer.ha_ssh("setup", "--url", f"http://{computer.running.host}:9", "--yes", "--json")
    assert (gone.code, gone.result) == (4, "error")


def test_exit_70_a_bug_of_ours_and_its_private_report(computer: Computer) -> None:
    token = computer.token or ""
    bug = computer.ha_ssh(*computer.flags("--json"), run=("-c", RUN_BUG))
    assert (bug.code, bug.result) == (70, "error")
    found = re.search(r"`(/[^`]+crash[^`]+)`", bug.said)
    assert found, bug.said
    path = Path(found[1])
    assert path.is_relative_to(computer.profile)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "ValueError" in path.read_text()
    for text in (path.read_text(), bug.out, bug.err):
        assert token not in text
        assert computer.running.host not in text


def test_no_terminal_means_no_questions(computer: Computer) -> None:
    """Without `--no-input` and without JSON: stdin is no terminal, so nothing is asked and nothing hangs."""
    stopped = computer.ha_ssh("setup", "--url", computer.running.url, env={"HA_SSH_TOKEN": ""})
    assert stopped.code == 3
    assert "HA_SSH_TOKEN" in stopped.err


# -------------------------------------------------------------------------------------------------------------------- demo


def test_the_demo_is_a_house_for_another_terminal(tmp_path: Path) -> None:
    import signal
    import subprocess

    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "ha_ssh", "demo", "--json-lines"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    with demo:
        assert demo.stdout is not None
        where = json.loads(demo.stdout.readline())["demo"]
        assert stat.S_IMODE(Path(where["token_file"]).stat().st_mode) == 0o600
        env["HA_SSH_PROFILE"] = where["profile"]
        flags = ["--url", where["url"], "--token-file", where["token_file"], "--no-passphrase", "--yes", "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "ha_ssh", "setup", *flags], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done
        demo.send_signal(signal.SIGINT)
        assert demo.wait(20) == 0
    assert not Path(where["profile"]).exists()
    assert not list(tmp_path.iterdir())
