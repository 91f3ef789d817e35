"""The user's files survive whatever happens to a write, and every trouble has its name."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ha_ssh.core.errors import HaSshError
from ha_ssh.world import files


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(path: Path | str, text: str = "x") -> str:
    with pytest.raises(HaSshError) as caught:
        files.write(str(path), text)
    return caught.value.code


@pytest.fixture
def umask_open():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_new_file_and_its_folders_are_private(tmp_path, umask_open):
    path = tmp_path / "home" / ".ssh" / "config"
    files.write(str(path), "Host ha\n")
    assert path.read_text() == "Host ha\n"
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == mode_of(path.parent.parent) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["config"]


def test_a_new_file_can_be_less_private(tmp_path):
    files.write(str(tmp_path / "key.pub"), "k\n", 0o644)
    assert mode_of(tmp_path / "key.pub") == 0o644


@pytest.mark.parametrize("text", ["a\r\nb\r\n", "a\nb", "\ufeffa\n", "", "a\rb\n\n"])
def test_every_byte_is_written_and_read_as_it_is(tmp_path, text):
    path = tmp_path / "f"
    files.write(str(path), text)
    assert path.read_bytes() == text.encode()
    assert files.read(str(path)).text == text


def test_bytes_that_are_no_utf8_survive(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"# caf\xe9\n")
    files.write(str(path), (files.read(str(path)).text or "") + "more\n")
    assert path.read_bytes() == b"# caf\xe9\nmore\n"


def test_an_existing_file_keeps_its_mode_and_owner(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    before = path.stat()
    files.write(str(path), "new", 0o600)
    after = path.stat()
    assert path.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    real = tmp_path / "dotfiles" / "config"
    real.parent.mkdir()
    real.write_text("old")
    link = tmp_path / "config"
    link.symlink_to(real)
    state = files.read(str(link))
    assert (state.kind, state.text, state.real_path) == ("link", "old", str(real))
    files.write(str(link), "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    files.delete(str(link))
    assert link.is_symlink()
    assert not real.exists()
    assert files.read(str(link)).problem == "is a link to nothing"
    files.write(str(link), "again")
    assert real.read_text() == "again"


def test_kinds_of_things(tmp_path):
    assert files.read(str(tmp_path / "no")).kind == "missing"
    assert files.read(str(tmp_path / "no")).writable
    assert files.read(str(tmp_path)).kind == "folder"
    assert files.read(os.devnull).kind == "other"
    (tmp_path / "f").write_text("x")
    assert not files.read(str(tmp_path / "f" / "under")).exists
    assert not files.read(str(tmp_path / "f" / "under")).writable


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "f").write_text("x")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert refused(tmp_path) == "not-a-file"
    assert refused(os.devnull) == "not-a-file"
    assert refused(tmp_path / "f" / "under") == "not-a-file"
    assert refused(tmp_path / "a") == "not-a-file"
    assert "`" in files.read(str(tmp_path / "a")).path or files.read(str(tmp_path / "a")).kind == "link"


def test_a_file_made_read_only_stays_as_it_is_even_for_root(tmp_path):
    path = tmp_path / "config"
    path.write_text("mine")
    path.chmod(0o444)
    assert not files.read(str(path)).writable
    assert refused(path) == "read-only"
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


AS_NOBODY = """
import os, sys
from ha_ssh.core.errors import HaSshError
from ha_ssh.world import files
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(files.read(sys.argv[1]).writable)
try:
    files.write(sys.argv[1], "x")
except HaSshError as error:
    print(error.code)
"""


def test_somebody_elses_folder_is_read_only():
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, "/ha-ssh-test"], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "read-only"], done.stderr


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk with room for next to nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root of a machine of its own may mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_leaves_the_old_file_whole(tiny_disk):
    path = tiny_disk / "known_hosts"
    files.write(str(path), "old\n")
    assert refused(path, "x" * 100_000) == "no-room"
    assert path.read_text() == "old\n"
    assert [entry.name for entry in tiny_disk.iterdir()] == ["known_hosts"]


TOO_BIG = """
import resource, sys
from ha_ssh.world import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
files.write(sys.argv[1], "x" * 100_000)
"""


def test_a_file_too_big_for_the_user_leaves_the_old_file_whole(tmp_path):
    (tmp_path / "f").write_text("old\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            TOO_BIG,
            str(tmp_path / "f"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "file-trouble" in done.stderr or "could not be used" in done.stderr
    assert (tmp_path / "f").read_text() == "old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_what_a_killed_run_left_behind_is_swept_away(tmp_path):
    (tmp_path / ".f.ha-ssh~").write_text("half")
    files.write(str(tmp_path / "f"), "whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_create_never_writes_over_a_file(tmp_path):
    files.create(str(tmp_path / "sub" / "key"), "one")
    assert mode_of(tmp_path / "sub" / "key") == 0o600
    with pytest.raises(HaSshError) as caught:
        files.create(str(tmp_path / "sub" / "key"), "two")
    assert caught.value.code == "file-exists"
    assert (tmp_path / "sub" / "key").read_text() == "one"


def test_append_delete_mode_and_folder(tmp_path):
    path = tmp_path / "f"
    files.create(str(path), "a\n")
    files.append(str(path), "b\n")
    assert path.read_text() == "a\nb\n"
    files.set_mode(str(path), 0o640)
    assert mode_of(path) == 0o640
    (tmp_path / "sub").mkdir()
    (tmp_path / "e").write_text("")
    assert files.folder(str(tmp_path)) == ("e", "f")
    assert files.folder(str(tmp_path / "none")) == ()
    files.delete(str(path))
    files.delete(str(path))
    assert files.folder(str(tmp_path)) == ("e",)
    files.drop_empty_folder(str(tmp_path / "sub"))
    files.drop_empty_folder(str(tmp_path / "sub"))
    files.drop_empty_folder(str(tmp_path))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["e"]


HOLDER = """
import sys
from ha_ssh.world import files
with files.lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_run_at_a_time_and_a_killed_one_lets_go(tmp_path):
    path = str(tmp_path / "state" / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HaSshError) as caught, files.lock(path):
            pass
        assert caught.value.code == "another-run"
        assert str(holder.pid) in caught.value.message
        holder.kill()
    with files.lock(path):
        assert Path(path).read_text() == f"{os.getpid()}\n"
    with files.lock(path):
        pass


def test_what_may_not_be_read_is_not_called_what_may_not_be_changed(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("x")
    path.chmod(0o000)

    def refuse(_self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    state = files.read(str(path))
    assert (state.text, state.problem, state.closed, state.mine) == (None, "cannot be read by you", True, True)


def test_a_pipe_is_looked_at_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    state = files.read(str(tmp_path / "pipe"))
    assert state.is_pipe
    assert not files.read(os.devnull).is_pipe
