"""What people see: whole screens at width 80, with and without colour and redrawing."""

from __future__ import annotations

import io
import os
import pty
from pathlib import Path

import pytest
from samples import FINDINGS, PASSWORD, PLAN, finding

from ha_ssh.core.model import ErrorReport, Outcome, Plan, Report, StepReport, StepState, ok, unknown, wrong
from ha_ssh.show.terminal import TerminalShow, finding_lines, plan_lines, report_lines, table_lines

SCREENS = Path(__file__).with_name("screens")
RUN = "ha-ssh setup --url http://192.168.1.20:8123 --new-key ed25519 --no-passphrase --alias ha --yes"


class Ticking:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def screen(name: str, text: str) -> None:
    """Compare with the screen as it was approved; `UPDATE_SCREENS=1` approves."""
    path = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        SCREENS.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")
    allowed = ("    ha-ssh ", "     + /")
    assert [line for line in text.splitlines() if len(line) > 80 and not line.startswith(allowed)] == []


def show(**more) -> tuple[TerminalShow, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return TerminalShow(out=out, err=err, **({"clock": Ticking()} | more)), out, err


def test_a_plan():
    shown, out, err = show()
    shown.plan(PLAN)
    screen("plan", err.getvalue())
    assert out.getvalue() == ""


def test_the_plan_of_a_dry_run_is_a_result():
    shown, out, err = show(dry_run=True)
    shown.plan(PLAN)
    screen("plan", out.getvalue())
    assert err.getvalue() == ""


def test_a_plan_of_nothing_is_no_text():
    assert plan_lines(Plan()) == []


def test_findings_are_a_result():
    shown, out, err = show()
    shown.findings(FINDINGS)
    screen("findings", out.getvalue())
    assert err.getvalue() == ""


def test_findings_with_all_the_evidence():
    screen("findings-verbose", "\n".join(finding_lines(FINDINGS, verbose=True)) + "\n")


def test_the_worst_root_comes_first_and_what_hangs_on_it_is_folded_away():
    lines = finding_lines(FINDINGS)
    assert lines[0].startswith("✗ wrong: the settings were saved")
    there = lines.index("    only because of it:")
    assert lines[there + 1 : there + 4] == [
        "      - the key was refused [login-works]",
        "    not to be seen because of it:",
        "      - `ha` answers [ha-works]",
    ]


def test_many_that_could_not_be_looked_at_are_counted_and_named_on_request():
    root = finding("house-answers", "Home Assistant answers", wrong("no way in", "it is needed"))
    behind = [finding(f"check-{number}", f"Truth {number}", unknown("no way in"), because="house-answers") for number in range(9)]
    assert "    not to be seen because of it: 9 more checks (`--verbose` names them)" in finding_lines([root, *behind])
    assert "      - Truth 8 [check-8]" in finding_lines([root, *behind], verbose=True)


def test_what_is_well_is_counted_where_something_is_not():
    root = finding("house-answers", "Home Assistant answers", wrong("no way in", "it is needed"))
    well = [finding(f"check-{number}", f"Truth {number}", ok(f"{number} is fine")) for number in range(9)]
    assert "✓ ok: 9 checks (`--verbose` names them)" in finding_lines([root, *well])
    assert "✓ ok: 8 is fine" in finding_lines(well)
    assert "✓ ok: 8 is fine [check-8]" in finding_lines([root, *well], verbose=True)


def test_a_cause_that_was_left_out_leaves_its_consequence_on_its_own():
    alone = finding("login-works", "A login succeeds", PASSWORD.verdict, because="not-looked-at")
    assert finding_lines([alone])[0].startswith("✗ wrong: people can log in")


def test_no_findings_no_text():
    assert finding_lines(()) == []


def test_a_run_at_a_screen_reader():
    clock = Ticking()
    shown, out, err = show(clock=clock)
    shown.say("Looking at http://192.168.1.20:8123 ...")
    install = StepReport(id="install-app", title="Install Terminal & SSH", state=StepState.PLANNED)
    shown.step(install)
    for second, fraction in enumerate((None, None, 0.1, 0.3, 0.31, 0.6, 0.99)):
        clock.now = 100.0 + second
        shown.progress("installing Terminal & SSH", fraction, "pulling the image")
    clock.now += 20
    shown.progress("installing Terminal & SSH", 0.99, "pulling the image")
    shown.step(StepReport(id="install-app", title="Install Terminal & SSH", state=StepState.DONE, seconds=26.4))
    shown.step(StepReport(id="make-key", title="Make a new ed25519 key", state=StepState.PLANNED))
    shown.step(StepReport(id="make-key", title="Make a new ed25519 key", state=StepState.DONE, seconds=0.01))
    shown.step(StepReport(id="apply-settings", title="Save the app's settings and start it", state=StepState.FAILED, seconds=125))
    shown.step(StepReport(id="apply-settings", title="Save the app's settings and start it", state=StepState.UNDONE, seconds=3))
    shown.step(StepReport(id="x", title="Not needed", state=StepState.SKIPPED))
    screen("run-plain", err.getvalue())
    assert "\x1b" not in err.getvalue()
    assert out.getvalue() == ""


def ends() -> dict[str, Report]:
    return {
        "setup-done": Report(
            command="setup",
            changed=True,
            ssh={"host": "192.168.1.20", "port": 2222, "user": "root"},
            next_line="ssh ha",
            same_run=RUN,
        ),
        "setup-nothing": Report(command="setup", next_line="ssh ha"),
        "setup-dry": Report(
            command="setup",
            result=Outcome.PLANNED,
            steps=[StepReport(id="a", title="A", state=StepState.PLANNED)],
            next_line="ha-ssh setup",
        ),
        "setup-dry-nothing": Report(command="setup", result=Outcome.PLANNED),
        "setup-put-back": Report(
            command="setup",
            result=Outcome.PUT_BACK,
            kept=["the app Terminal & SSH is installed (stopped)", "the key `/home/me/.ssh/id_ha_ssh_home` is there"],
            error=ErrorReport(
                code="app-failed",
                message="Terminal & SSH started and stopped again: Bind to port 2222 failed, since the port is already in use",
                hints=("choose another port: `ha-ssh setup --port 2223`", "read the app's log: Settings, Apps, the app, Log"),
            ),
        ),
        "setup-stuck": Report(command="setup", result=Outcome.STUCK, error=ErrorReport(code="x", message="the house is gone")),
        "setup-interrupted": Report(
            command="setup", result=Outcome.INTERRUPTED, steps=[StepReport(id="a", title="A", state=StepState.UNDONE)]
        ),
        "setup-left": Report(command="setup", result=Outcome.INTERRUPTED),
        "setup-error": Report(
            command="setup", result=Outcome.ERROR, error=ErrorReport(code="x", message="the token was refused")
        ),
        "doctor-well": Report(command="doctor", findings=FINDINGS[:2]),
        "doctor-repaired": Report(command="doctor", changed=True),
        "doctor-wrong": Report(command="doctor", result=Outcome.WRONG, next_line="ha-ssh doctor --fix"),
        "doctor-list": Report(
            command="doctor",
            extra={"checks": [{"id": "app-installed", "title": "The app is installed"}, {"id": "ha", "title": "`ha` " * 30}]},
        ),
        "undo-done": Report(command="undo", changed=True),
        "undo-nothing": Report(command="undo"),
        "demo-list": Report(
            command="demo",
            extra={
                "scenes": [
                    {"name": "fresh", "title": "Nothing is set up", "finding": None},
                    {"name": "port-answers", "title": "Broken: The port speaks SSH", "finding": "port-answers"},
                ]
            },
        ),
    }


@pytest.mark.parametrize("name", ends())
def test_the_end_of_a_run(name):
    shown, out, err = show()
    shown.report(ends()[name])
    screen(f"end-{name}", out.getvalue() + ("" if not err.getvalue() else "--- stderr\n" + err.getvalue()))


def test_the_line_to_type_next_is_alone_on_its_line():
    assert "    ssh ha" in report_lines(ends()["setup-done"])
    assert f"    {RUN}" in report_lines(ends()["setup-done"])


def test_a_table_with_a_long_name():
    assert table_lines([{"a": "x" * 40, "b": "why"}]) == [f"  {'x' * 40}  why"]
    assert table_lines([{"a": "only"}]) == ["  only  -"]
    assert report_lines(Report(command="undo", extra={"runs": []})) == ["No runs."]


def test_app_is_introduced_once():
    shown, _, err = show()
    shown.say("Start the app.")
    shown.say("The app runs.")
    assert err.getvalue() == "Start the app (add-on).\nThe app runs.\n"


def test_the_terminal_is_never_steered_by_what_a_house_says():
    shown, _, err = show()
    shown.say("the log says \x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m \x9b31m \u202eevil\r\x08")
    assert err.getvalue() == "the log says red 31m evil\n"


def test_signs_have_words_where_the_encoding_lacks_them():
    raw = io.BytesIO()
    shown = TerminalShow(out=io.TextIOWrapper(raw, encoding="ascii"), err=io.StringIO())
    shown.findings(FINDINGS)
    text = raw.getvalue().decode("ascii")
    assert text.startswith("x wrong: ")
    assert "+ ok: Terminal & SSH" in text


class Left(io.StringIO):
    """A reader who has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_reader_who_left_stops_nothing():
    shown = TerminalShow(out=Left(), err=Left())
    shown.findings(FINDINGS)
    shown.say("still here")
    shown.report(ends()["setup-done"])


def at_a_terminal(steps, *, color: bool, redraws: bool) -> str:
    """What reaches a real pseudo-terminal."""
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 - an open descriptor
        steps(TerminalShow(out=stream, err=stream, color=color, redraws=redraws))
    got = b""
    try:
        while more := os.read(ours, 65536):
            got += more
    except OSError:
        pass
    finally:
        os.close(ours)
    return got.decode()


def test_colour_says_nothing_that_the_words_do_not(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = at_a_terminal(lambda shown: shown.findings(FINDINGS), color=True, redraws=False)
    plain = at_a_terminal(lambda shown: shown.findings(FINDINGS), color=False, redraws=False)
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert "".join(__import__("re").split(r"\x1b\[[0-9;]*m", coloured)) == plain


def test_a_wait_redraws_at_a_terminal_and_leaves_no_trace(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    import pyte

    def steps(shown: TerminalShow) -> None:
        shown.step(StepReport(id="a", title="Install Terminal & SSH", state=StepState.PLANNED))
        shown.progress("installing Terminal & SSH", 0.45, "pulling")
        shown.say("a word in between")
        shown.progress("installing Terminal & SSH", 0.9, "pulling")
        shown.step(StepReport(id="a", title="Install Terminal & SSH", state=StepState.DONE, seconds=41.2))
        shown.rest()

    raw = at_a_terminal(steps, color=False, redraws=True)
    terminal = pyte.Screen(80, 10)
    pyte.Stream(terminal).feed(raw)
    assert "Install Terminal & SSH" in raw
    assert [line.rstrip() for line in terminal.display if line.strip()] == [
        "a word in between",
        "✓ Install Terminal & SSH (41 s)",
    ]
    assert not terminal.cursor.hidden


@pytest.mark.parametrize(("columns", "widest"), [(20, 40), (40, 40), (66, 66), (100, 100), (300, 100)])
def test_lines_fit_the_terminal(monkeypatch, columns, widest):
    import fcntl
    import struct
    import termios

    from ha_ssh.core.options import Options
    from ha_ssh.show import show_for

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 - an open descriptor
        monkeypatch.setattr("sys.stdout", stream)
        shown = show_for(Options(color=False))
        assert shown._width == widest
        monkeypatch.setattr("sys.stdout", io.StringIO())
        assert show_for(Options(color=False))._width == 80
    os.close(ours)


@pytest.mark.parametrize("width", [40, 60])
def test_nothing_but_what_is_to_be_copied_is_wider(width):
    shown = [finding_lines(FINDINGS, width, verbose=True), plan_lines(PLAN, width)]
    for line in (line for lines in (*shown, *(report_lines(end, width) for end in ends().values())) for line in lines):
        assert len(line) <= width or "`" in line or "/" in line or line.startswith("    ha-ssh"), line
