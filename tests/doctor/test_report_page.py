"""The report that can be shown to others: nothing private in it, whole in itself, readable as HTML and as Markdown."""

from __future__ import annotations

import os
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from samples import FINDINGS

from ha_ssh.core.model import Report
from ha_ssh.core.redact import Private
from ha_ssh.show import report_page

if TYPE_CHECKING:
    from computer import Computer

    from ha_ssh.sim.house import House

EMPTY = frozenset({"meta", "br", "hr", "img", "input", "link"})
"""The elements of HTML that have no end tag."""
REACHING = ("src", "href", "action", "data", "srcset", "poster", "background")
"""The attributes that fetch something."""


class Strict(HTMLParser):
    """Reads a page and objects to tags that do not match, and to whatever would leave the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        assert not [name for name, _ in attrs if name in REACHING], attrs
        self.seen.append(tag)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def parsed(text: str) -> Strict:
    page = Strict()
    assert text.startswith("<!DOCTYPE html>")
    page.feed(text)
    page.close()
    assert page.open == []
    return page


@pytest.fixture
def page() -> report_page.Page:
    report = Report(command="doctor", findings=FINDINGS)
    return report_page.page_of(report, {"ha-ssh": "0.1.0", "Home Assistant": "2026.11.0"}, "2026-11-23T12:00:00Z")


def test_the_html_is_whole_in_itself(page: report_page.Page) -> None:
    read = parsed(report_page.as_html(page))
    assert read.seen.count("h1") == 1
    assert "http" not in "".join(read.text).replace("http://192.168.1.20:8123", "")
    assert "@import" not in report_page.as_html(page)
    assert "url(" not in report_page.as_html(page)


def test_the_root_comes_first_and_each_severity_is_a_word(page: report_page.Page) -> None:
    for text in ("".join(parsed(report_page.as_html(page)).text), report_page.markdown(page)):
        places = [text.index(word) for word in ("What is wrong", "What could not be looked at", "What to mind", "What is well")]
        assert places == sorted(places)
        assert text.index("settings were saved after") < text.index("the key was refused")
        assert "wrong" in text
        assert "could not look" in text


def test_what_a_server_said_cannot_become_markup() -> None:
    nasty = "<script>alert(1)</script> [x](http://evil.example) @everyone ``` | **b**"
    report = Report(command="doctor", kept=[nasty, "`code` & <tag>"])
    page = report_page.page_of(report, {nasty: nasty}, "today")
    read = parsed(report_page.as_html(page))
    assert nasty in "".join(read.text)
    text = report_page.markdown(page)
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "\\[x\\](http" in text
    assert "@everyone" not in text
    assert "| **b**" not in text


def test_the_same_thing_has_the_same_stand_in_everywhere(page: report_page.Page) -> None:
    private = Private(home="/home/ann", hosts=frozenset({"granny.example"}), users=frozenset({"ann"}), names=frozenset({"villa"}))
    said = [
        "ann at granny.example",
        "key ~/x of villa: /home/ann/.ssh/id_ha_ssh_villa.pub",
        "granny.example again",
        "192.168.1.20",
    ]
    assert private.hide(said) == (
        "<user-1> at <host-1>",
        "key ~/x of <name-1>: ~/.ssh/id_ha_ssh_<name-1>.pub",
        "<host-1> again",
        "<address-1>",
    )


def test_texts_that_cannot_be_hidden_together_are_hidden_alone() -> None:
    cut = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3Blbn"
    hidden = Private(secrets=frozenset({"s3cret"})).hide([cut, "s3cret here", "192.168.1.20"])
    assert len(hidden) == 3
    assert "b3Blbn" not in hidden[0]
    assert hidden[1:] == ("*** here", "<address-1>")


NOBODY_ELSE = {"house": "villa-meier", "alias": "granny", "hostname": "meiers-attic", "owner": "Annegret"}


@pytest.fixture
def known_by_name(computer: Computer) -> Computer:
    """A computer from which a house was set up that has names which tell something."""

    def name(house: House) -> None:
        house.hostname = NOBODY_ELSE["hostname"]
        house.owner.name = NOBODY_ELSE["owner"]

    computer.turn(name)
    done = computer.setup("--house", NOBODY_ELSE["house"], "--alias", NOBODY_ELSE["alias"])
    assert done.code == 0, done
    return computer


@pytest.mark.parametrize("suffix", ["html", "md"])
@pytest.mark.parametrize("state", ["well", "wrong"])
def test_nothing_private_is_in_the_report_of_a_run(known_by_name: Computer, tmp_path: Path, suffix: str, state: str) -> None:
    computer = known_by_name
    [key] = computer.ssh.glob("id_ha_ssh_*[!b]")
    if state == "wrong":
        key.chmod(0o644)
        computer.turn(lambda house: house.stop_now("core_ssh"))
    path = tmp_path / f"report.{suffix}"
    done = computer.ha_ssh("doctor", "--report", str(path), "--json")
    assert done.code == (0 if state == "well" else 1), done
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(path) in done.err
    public = Path(f"{key}.pub").read_text().split()
    private = NOBODY_ELSE | {
        "token": computer.token,
        "public key": public[1],
        "comment": public[2],
        "home": str(computer.folder / "home"),
        "machine": computer.turn(lambda house: house.machine_id),
        "node": os.uname().nodename,
    }
    prints = {word for finding in done.report["findings"] for seen in finding["evidence"] for word in seen.split()}
    private |= {word: word for word in prints if word.startswith("SHA256:")}
    text = path.read_text("utf-8")
    assert {what: found for what, found in private.items() if found and found in text} == {}
    if suffix == "html":
        parsed(text)
    assert "What is wrong" in text if state == "wrong" else "What is well" in text


OF_THE_SETTINGS = {
    "the password": "hunter2pass",
    "of a command": "b0bpass",
    "a token": "sk-topsecret-abcdef",
    "the network": "Zaphod-WLAN",
    "its key": "mypsk9999",
}
THEIRS = {"a mail address": "beeblebrox@example.org", "the owner": "Zaphod", "a server": "schloss-nas"}
THEIR_COMMAND = (
    "nmcli dev wifi connect Zaphod-WLAN password mypsk9999 && echo 'bob:b0bpass' | chpasswd && "
    "curl 'https://schloss-nas.lan/?token=sk-topsecret-abcdef' && mail beeblebrox@example.org"
)


@pytest.mark.parametrize(
    "line", [f"Failed executing init command: {THEIR_COMMAND}", "no way to schloss-nas.lan for Zaphod: hunter2pass"]
)
def test_no_secret_of_the_settings_is_shown_anywhere(computer: Computer, tmp_path: Path, line: str) -> None:
    assert computer.setup("--app", "advanced").code == 0

    def fail(house: House) -> None:
        app = house.app("a0d7b954_ssh")
        house.owner.name = "Zaphod Beeblebrox"
        house.stop_now(app.slug)
        app.options = {**app.options, "init_commands": [THEIR_COMMAND], "ssh": {**app.options["ssh"], "password": "hunter2pass"}}
        app.state = "error"
        app.log.append(f"[12:00:00] FATAL: {line}")

    computer.turn(fail)
    pages = []
    for suffix in ("html", "md"):
        page = tmp_path / f"report.{suffix}"
        done = computer.ha_ssh("doctor", "--json", "--report", str(page))
        assert done.code == 1, done
        pages.append(page.read_text("utf-8"))
    said = [done.out, done.err]
    for more in (("--verbose",), ("--fix", "--dry-run"), ("--fix", "--yes", "--json-lines")):
        ended = computer.ha_ssh("doctor", *more)
        said += [ended.out, ended.err]
    assert {what for what, secret in OF_THE_SETTINGS.items() for text in (*said, *pages) if secret in text} == set()
    assert {what for what, word in THEIRS.items() for text in pages if word in text} == set()


def test_a_report_needs_a_name_that_says_what_it_is(computer: Computer) -> None:
    refused = computer.ha_ssh("doctor", "--report", "report.txt", "--json")
    assert (refused.code, refused.error["code"]) == (2, "bad-report")


def test_a_report_that_cannot_be_written_is_told_before_anything_is_looked_at(computer: Computer) -> None:
    in_the_way = computer.put("in-the-way", "a file")
    for folder in (in_the_way, computer.folder / "nowhere" / "there"):
        done = computer.ha_ssh("doctor", "--report", str(folder / "r.html"), "--json")
        assert (done.code, done.error["code"]) == (2, "unwritable-report"), done
        assert "--report" in done.said
    assert not (computer.folder / "nowhere").exists()


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_a_report_of_ours_is_written_anew_and_nothing_else_is_written_over(
    computer: Computer, tmp_path: Path, suffix: str
) -> None:
    computer.token = ""
    page = tmp_path / f"r.{suffix}"
    page.touch()
    for _ in range(2):
        assert computer.ha_ssh("doctor", "--offline", "--report", str(page), "--json").report["error"] is None
    theirs, link = tmp_path / f"thesis.{suffix}", tmp_path / f"link.{suffix}"
    theirs.write_bytes(b"years of work \xff")
    link.symlink_to(theirs)
    for path in (theirs, link):
        refused = computer.ha_ssh("doctor", "--offline", "--report", str(path), "--json")
        assert (refused.code, refused.error["code"], refused.report["findings"]) == (2, "file-exists", []), refused
        assert refused.error["message"].startswith("--report: ")
        assert refused.error["hints"]
    assert theirs.read_bytes() == b"years of work \xff"


def test_a_place_where_no_file_can_be_made_is_told_before_anything_is_looked_at(computer: Computer) -> None:
    done = computer.ha_ssh("doctor", "--report", "/proc/report.md", "--json")
    assert (done.code, done.error["code"]) == (2, "unwritable-report"), done
    assert "--report" in done.said
