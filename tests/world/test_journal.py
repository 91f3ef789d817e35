"""The journal is on the disk before the change, survives being cut off at any byte, and forgets only what is over."""

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from ha_ssh.core.errors import HaSshError
from ha_ssh.core.model import IfFailed, JournalEntry
from ha_ssh.world.clock import SystemClock
from ha_ssh.world.journal import FileJournal


def journal(tmp_path) -> FileJournal:
    return FileJournal(str(tmp_path / "state" / "journal"), SystemClock())


def entry(step: str, **saved: object) -> JournalEntry:
    return JournalEntry(
        step=step, version=2, fields={"slug": "core_ssh"}, title=f"Do {step} ✓", if_failed=IfFailed.KEEP, saved=dict(saved)
    )


def test_what_is_written_is_read_again(tmp_path):
    ours = journal(tmp_path)
    run = ours.begin("setup", "home", {"url": "http://house", "alias": None})
    assert ours.entry(run, entry("install")) == 0
    assert ours.entry(run, entry("settings", before=[1, {"x": None}])) == 1
    ours.mark(run, 0, "done")
    (seen,) = journal(tmp_path).runs()
    assert (seen.id, seen.command, seen.house, seen.state) == (run, "setup", "home", "open")
    assert seen.target == {"url": "http://house", "alias": None}
    assert [one.state for one in seen.entries] == ["done", "begun"]
    assert seen.entries[1] == entry("settings", before=[1, {"x": None}])
    assert seen.started.endswith("Z")
    ours.mark(run, 1, "failed-undo")
    ours.close(run, "undone")
    (seen,) = journal(tmp_path).runs()
    assert (seen.state, seen.entries[1].state) == ("undone", "failed-undo")


def test_runs_come_oldest_first(tmp_path):
    ours = journal(tmp_path)
    ids = [ours.begin("setup", str(number), {}) for number in range(12)]
    assert [run.id for run in ours.runs()] == ids
    assert len(set(ids)) == 12


def test_no_journal_yet(tmp_path):
    assert journal(tmp_path).runs() == ()


def test_it_is_private(tmp_path):
    before = os.umask(0)
    run = journal(tmp_path).begin("setup", "home", {})
    os.umask(before)
    path = tmp_path / "state" / "journal" / f"{run}.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_cut_off_at_any_byte_is_read_and_written_on(tmp_path):
    whole = journal(tmp_path / "whole")
    run = whole.begin("setup", "home", {"url": "http://häuschen"})
    whole.entry(run, entry("one"))
    whole.mark(run, 0, "done")
    whole.entry(run, entry("two"))
    content = (tmp_path / "whole" / "state" / "journal" / f"{run}.jsonl").read_bytes()
    ends = [number for number, byte in enumerate(content) if byte == ord("\n")]
    path = tmp_path / "cut" / "state" / "journal" / f"{run}.jsonl"
    path.parent.mkdir(parents=True)
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        cut = journal(tmp_path / "cut")
        lines = sum(size >= end for end in ends)
        runs = cut.runs()
        assert len(runs) == (1 if lines else 0), size
        if not runs:
            continue
        states = [one.state for one in runs[0].entries]
        assert states == [[], ["begun"], ["done"], ["done", "begun"]][lines - 1]
        assert cut.entry(run, entry("three")) == len(states)
        cut.mark(run, len(states), "done")
        cut.close(run, "undone")
        assert [one.state for one in cut.runs()[0].entries] == [*states, "done"]
        assert cut.runs()[0].state == "undone"


WRITER = """
import sys
from ha_ssh.core.model import IfFailed, JournalEntry
from ha_ssh.world.clock import SystemClock
from ha_ssh.world.journal import FileJournal
journal = FileJournal(sys.argv[1], SystemClock())
run = journal.begin("setup", "home", {})
for number in range(3):
    entry = JournalEntry(step=f"s{number}", version=1, fields={}, title="", if_failed=IfFailed.KEEP, saved={})
    index = journal.entry(run, entry)
    print("entry", flush=True)
    sys.stdin.readline()
    journal.mark(run, index, "done")
    print("done", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("steps", range(1, 7))
def test_what_was_promised_is_there_after_a_kill(tmp_path, steps):
    folder = str(tmp_path / "journal")
    command = [sys.executable, "-c", WRITER, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for number in range(steps):
            if number:
                writer.stdin.write("\n")
                writer.stdin.flush()
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    (run,) = FileJournal(folder, SystemClock()).runs()
    assert run.state == "open"
    assert [one.state for one in run.entries] == (["done"] * (steps // 2) + ["begun"] * (steps % 2))


def test_old_runs_that_are_over_are_forgotten_open_ones_never(tmp_path):
    ours = journal(tmp_path)
    pending = ours.begin("setup", "pending", {})
    for number in range(60):
        ours.close(ours.begin("setup", str(number), {}), "closed" if number % 2 else "undone")
    houses = [run.house for run in ours.runs()]
    assert houses[0] == "pending"
    assert houses[1:] == [str(number) for number in range(9, 60)]
    assert ours.runs()[0].id == pending


def test_a_run_left_by_a_newer_version_is_named_and_not_misread(tmp_path):
    path = tmp_path / "state" / "journal" / "0007.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"schema": 99, "command": "setup", "house": "home", "started": "x", "target": {}, "new": 1}) + "\n"
    )
    with pytest.raises(HaSshError) as caught:
        journal(tmp_path).runs()
    assert caught.value.code == "journal-newer"
    with path.open("a") as file:
        file.write('{"close":"closed"}\n')
    assert [run.state for run in journal(tmp_path).runs()] == ["closed"]
    assert journal(tmp_path).begin("setup", "home", {}) == "0008"


def test_fields_of_a_newer_version_and_other_files_do_not_matter(tmp_path):
    ours = journal(tmp_path)
    run = ours.begin("setup", "home", {})
    folder = tmp_path / "state" / "journal"
    with (folder / f"{run}.jsonl").open("a") as file:
        file.write('{"entry": 0, "step": "x", "surprise": true}\n[1]\n{"surprise": 1}\n{"mark": 17, "state": "done"}\n')
    (folder / "notes.txt").write_text("hello")
    (folder / "x.jsonl").write_text("hello")
    (seen,) = ours.runs()
    assert [one.step for one in seen.entries] == ["x"]


def test_a_journal_that_cannot_be_written_says_so_before_the_change(tmp_path):
    (tmp_path / "state").write_text("a file, not a folder")
    with pytest.raises(HaSshError) as caught:
        journal(tmp_path).begin("setup", "home", {})
    assert caught.value.code == "not-a-file"


def test_a_journal_that_cannot_be_read_is_no_empty_one(tmp_path):
    ours = journal(tmp_path)
    run = ours.begin("setup", "home", {})
    path = tmp_path / "state" / "journal" / f"{run}.jsonl"
    path.unlink()
    with pytest.raises(HaSshError):
        ours.mark(run, 0, "done")
