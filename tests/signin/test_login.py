"""`ha-ssh login` and `logout` as processes against the simulated house: every way in, and nothing secret anywhere else."""

from __future__ import annotations

import json
import re
import stat
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from person import AUTHORIZE, assert_nothing_leaked, at_the_terminal, plain, play_the_browser

from ha_ssh.sim.house import totp

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from acceptance.computer import Computer, Ended
    from ha_ssh.sim.house import User


def password_file(computer: Computer, text: str | None = None) -> str:
    path = computer.folder / "password"
    path.touch(0o600)
    path.write_text((computer.house.owner.password if text is None else text) + "\n")
    return str(path)


def login(computer: Computer, *more: str, user: User | None = None) -> Ended:
    user = computer.house.owner if user is None else user
    file = password_file(computer, user.password)
    return computer.ha_ssh(
        "login", "--url", computer.running.url, "--username", user.username, "--password-file", file, "--json", *more
    )


def kept(computer: Computer) -> dict[str, str]:
    path = computer.profile / "config" / "secrets.json"
    return dict(json.loads(path.read_text())["secrets"]) if path.exists() else {}


def test_a_password_signs_in_for_all_later_runs(computer: Computer) -> None:
    first = login(computer)
    assert (first.code, first.report["changed"]) == (0, True), first
    assert first.report["login"] == {"user": "Owner", "admin": True}
    assert first.report["house"] | {"supervisor": None} == {
        "name": "home",
        "url": computer.running.url,
        "core": "2026.11.0",
        "supervisor": None,
    }
    assert list(kept(computer)) == [f"sign-in {computer.running.url}"]
    assert stat.S_IMODE((computer.profile / "config" / "secrets.json").stat().st_mode) == 0o600
    assert first.err.count("no system keyring is used") == 1
    assert computer.house.owner.password not in str(kept(computer))  # the session is kept, and never the password

    done = computer.ha_ssh("setup", "--yes", "--no-passphrase", "--json")  # neither address nor token
    assert (done.code, done.report["changed"]) == (0, True), done
    doctor = computer.ha_ssh("doctor", "--json")
    assert doctor.code == 0, doctor
    assert_nothing_leaked(computer, first, done, doctor)


def test_the_file_for_secrets_is_told_of_once(computer: Computer) -> None:
    assert [login(computer).err.count("no system keyring is used") for _ in range(2)] == [1, 0]


def test_a_wrong_password_is_tried_once(computer: Computer) -> None:
    file = password_file(computer, "not the password")
    refused = computer.ha_ssh("login", "--url", computer.running.url, "--username", "owner", "--password-file", file, "--json")
    assert (refused.code, refused.error["code"], refused.report["changed"]) == (4, "wrong-password", False), refused
    assert sum(computer.house.failed_sign_ins.values()) == 1
    assert kept(computer) == {}
    assert not (computer.profile / "config" / "houses.yaml").exists()
    assert "not the password" not in refused.out + refused.err


def test_a_password_on_stdin(computer: Computer) -> None:
    done = computer.ha_ssh(
        *("login", "--url", computer.running.url, "--username", "owner", "--password-file", "-", "--json"),
        stdin=computer.house.owner.password,
    )
    assert done.code == 0, done


def test_a_second_factor_needs_a_person(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house.owner, "totp_secret", "JBSWY3DPEHPK3PXP"))
    refused = login(computer)
    assert (refused.code, refused.error["code"]) == (3, "code-needed"), refused


def test_a_person_gives_the_code_when_asked(computer: Computer) -> None:
    secret = "JBSWY3DPEHPK3PXP"
    computer.turn(lambda house: setattr(house.owner, "totp_secret", secret))
    with at_the_terminal(computer, "login", "--url", computer.running.url, "--username", "owner") as person:
        person.until("Your password?")
        person.type("mistyped\n")
        person.until("does not know this name with this password")
        person.until("Your password?", times=2)
        person.type(computer.house.owner.password + "\n")
        person.until("The code from your authenticator app?")
        person.type("000000\n")
        person.until("That code was not accepted")
        person.until("The code from your authenticator app?", times=2)
        now = datetime.fromisoformat(computer.house.clock.date()).timestamp()
        person.type(totp(secret, now) + "\n")
        person.until("signed in to")
        assert person.end() == 0, person.text
        assert_nothing_leaked(computer, plain(person))
        assert "mistyped" not in plain(person)
    assert len(kept(computer)) == 1


def started(computer: Computer, *more: str) -> subprocess.Popen[str]:
    running = computer.start("login", "--url", computer.running.url, "--no-browser", *more)
    return running.process


def address_in(process: subprocess.Popen[str]) -> str:
    """Wait for the address that the person is to open."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := AUTHORIZE.search(line):
            return found[0]
    raise AssertionError("no address was shown")


def sessions(computer: Computer) -> list[str]:
    return computer.turn(lambda house: list(house.refresh_tokens))


def test_a_new_sign_in_ends_the_one_in_whose_place_it_is(computer: Computer) -> None:
    for _ in range(2):
        assert login(computer).code == 0
        (session,) = sessions(computer)
        assert session in str(kept(computer))
    computer.token = computer.running.token.reveal()
    by_token = computer.ha_ssh("login", "--json")
    assert (by_token.code, sessions(computer)) == (0, []), by_token
    computer.token = ""
    assert login(computer, "--once").code == 0
    assert "token" in str(kept(computer))


def test_who_is_signed_in_already_is_told_so(computer: Computer) -> None:
    assert login(computer).code == 0
    before = sessions(computer)
    for more in ((), ("--dry-run",)):
        again = computer.ha_ssh("login", "--json", *more)
        assert (again.code, again.report["changed"]) == (0, False), again
        assert "`Owner` is signed in" in again.err
    assert sessions(computer) == before
    with at_the_terminal(computer, "login") as person:
        person.until("Sign in anew?")
        person.type("\n")
        person.until("stays signed in")
        assert person.end() == 0, person.text
    assert sessions(computer) == before
    with at_the_terminal(computer, "login") as person:
        person.until("Sign in anew?")
        person.type("y\n")
        person.until("How do you want to sign in?")
        person.type("\x03")
        assert person.end() == 130


def test_a_sign_in_that_works_no_longer_counts_for_none(computer: Computer) -> None:
    assert login(computer).code == 0
    computer.turn(lambda house: [house.revoke(session) for session in list(house.refresh_tokens)])
    for what in ("session", "token"):
        refused = computer.ha_ssh("login", "--json")
        assert (refused.code, refused.error["code"]) == (3, "missing-sign-in"), refused
        assert ("has ended" if what == "session" else "does not accept the token") in refused.err
        if what == "session":
            computer.token = computer.running.token.reveal()
            assert computer.ha_ssh("login", "--json").code == 0
            computer.turn(lambda house: house.revoke(computer.token))
            computer.token = ""


def test_a_token_is_said_to_outlive_the_logout(computer: Computer) -> None:
    computer.token = computer.running.token.reveal()
    done = computer.ha_ssh("login", "--url", computer.running.url, "--json")
    assert "which cannot end it" in done.err
    assert "stays signed in" not in done.err
    computer.token = ""
    out = computer.ha_ssh("logout", "--json")
    assert "/profile/security`, under Long-lived access tokens." in " ".join(out.err.split())


@pytest.mark.parametrize("more", [("--days", "3"), ("--secret-out", "new")])
def test_what_belongs_to_a_token_needs_one(computer: Computer, more: tuple[str, ...]) -> None:
    refused = login(computer, *more)
    assert (refused.code, refused.error["code"]) == (2, "no-token-named"), refused
    assert refused.error["message"].startswith(more[0])
    assert "--make-token" in refused.said
    variable = "HA_SSH_" + more[0].removeprefix("--").replace("-", "_").upper()
    assert computer.ha_ssh("login", "--url", computer.running.url, "--dry-run", "--json", env={variable: more[1]}).code == 0


def test_the_browser_signs_in_on_the_houses_own_page_with_pkce(computer: Computer) -> None:
    process = started(computer)
    address = address_in(process)
    assert process.stderr is not None
    assert any("5 minutes at most" in line for line in process.stderr)
    assert "code_challenge_method=S256" in address
    assert re.search(r"redirect_uri=http%3A%2F%2F127\.0\.0\.1%3A\d+%2Fcallback", address)
    page = play_the_browser(address, computer.house.owner)
    assert "You are signed in" in page
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    report = json.loads(out.splitlines()[-1])
    assert report["login"] == {"user": "Owner", "admin": True}
    assert_nothing_leaked(computer, out + err)
    assert computer.ha_ssh("doctor", "--only", "signed-in-admin", "--json").code == 0


def test_a_browser_on_another_machine_and_the_address_pasted_back(computer: Computer) -> None:
    with at_the_terminal(computer, "login", "--url", computer.running.url, "--no-browser") as person:
        person.until("The address?")
        address = AUTHORIZE.search(plain(person).replace("\n\n", " "))
        assert address is not None
        ended_at = play_the_browser(address[0], computer.house.owner, go_back=False)
        person.type("http://127.0.0.1:1/callback?code=x&state=foreign\n")
        person.until("This address does not belong to this sign-in.")
        person.until("The address?", times=2)
        person.type(ended_at + "\n")
        person.until("signed in to")
        assert person.end() == 0, person.text
    assert len(kept(computer)) == 1


def test_the_prompt_gives_way_when_the_browser_comes_back(computer: Computer) -> None:
    with at_the_terminal(computer, "login", "--url", computer.running.url, "--no-browser") as person:
        person.until("The address?")
        address = AUTHORIZE.search(plain(person).replace("\n\n", " "))
        assert address is not None
        play_the_browser(address[0], computer.house.owner)
        person.until("signed in to")
        assert person.end() == 0, person.text


def test_ctrl_c_leaves_the_browser_alone_and_nothing_behind(computer: Computer) -> None:
    with at_the_terminal(computer, "login", "--url", computer.running.url, "--no-browser") as person:
        person.until("The address?")
        person.type("\x03")
        assert person.end() == 130, person.text
    assert kept(computer) == {}


def test_a_person_finds_the_house_and_chooses_the_way(computer: Computer) -> None:
    """All of it at a terminal that redraws: the address as people type it, then name and password by arrow keys."""
    from pty_screen import PtyScreen

    with PtyScreen("-m", "ha_ssh", "login", env=computer.environment()) as person:
        person.until("Where is your Home Assistant?", limit=40)
        person.type(f"{computer.running.host}:{computer.house.core_port}\r")
        person.until("3) With a long-lived access token")
        person.type("\x1b[B\r")
        person.until("Your user name?")
        person.type("owner\r")
        person.until("Your password?")
        person.type(computer.house.owner.password + "\r")
        person.until("stays signed in")
        assert person.end() == 0, person.text
        assert computer.house.owner.password.encode() not in person.raw


def test_somebody_who_is_no_administrator_is_not_kept(computer: Computer) -> None:
    refused = login(computer, user=computer.house.guest)
    assert (refused.code, refused.error["code"], refused.report["changed"]) == (4, "not-admin", False), refused
    assert kept(computer) == {}
    assert computer.turn(lambda house: dict(house.refresh_tokens)) == {}  # the session that was made is ended


def test_a_banned_computer_is_told_so(computer: Computer) -> None:
    computer.turn(lambda house: setattr(house, "ban_after", 1))
    computer.turn(lambda house: house.failed_sign_in("127.0.0.1"))
    for command in (("login", "--username", "owner", "--password-file", password_file(computer)), ("setup", "--yes")):
        refused = computer.ha_ssh(*command, "--url", computer.running.url, "--json")
        assert (refused.code, refused.error["code"]) == (4, "ip-banned"), refused
        assert "ip_bans.yaml" in refused.said


def test_once_keeps_nothing_and_ends_the_session(computer: Computer) -> None:
    done = login(computer, "--once")
    assert (done.code, done.report["changed"]) == (0, False), done
    assert kept(computer) == {}
    assert computer.turn(lambda house: dict(house.refresh_tokens)) == {}
    assert not (computer.profile / "config" / "houses.yaml").exists()


def test_a_dry_run_signs_nobody_in(computer: Computer) -> None:
    done = login(computer, "--dry-run", "--make-token", "ci")
    assert (done.code, done.result, done.report["changed"]) == (0, "planned", True), done
    assert kept(computer) == {}
    assert computer.turn(lambda house: dict(house.refresh_tokens)) == {}


# -------------------------------------------------------------------------------------------------------- a kept sign-in


def test_a_kept_token_goes_to_its_house_only(computer: Computer, tmp_path: Path) -> None:
    from ha_ssh.sim.running import serve_in_thread
    from servers import new_house

    token = computer.running.token.reveal()
    computer.put("../token", token)
    done = computer.ha_ssh("login", "--url", computer.running.url, "--token-file", str(computer.profile / "token"), "--json")
    assert done.code == 0, done
    (computer.profile / "token").unlink()
    assert computer.ha_ssh("setup", "--yes", "--no-passphrase", "--json").code == 0
    with serve_in_thread(new_house) as other:
        refused = computer.ha_ssh("setup", "--url", other.url, "--yes", "--json")
        assert (refused.code, refused.error["code"]) == (3, "missing-sign-in"), refused
        assert sum(other.house.failed_sign_ins.values()) == 0
    assert_nothing_leaked(computer, done, refused)


def test_a_session_that_was_ended_in_the_house_is_named_and_asked_for_again(computer: Computer) -> None:
    assert login(computer).code == 0
    computer.turn(lambda house: [house.revoke(token) for token in list(house.refresh_tokens)])
    refused = computer.ha_ssh("setup", "--yes", "--json")
    assert (refused.code, refused.error["code"], refused.report["changed"]) == (4, "signed-out", False), refused
    assert "`ha-ssh login`" in refused.said
    doctor = computer.ha_ssh("doctor", "--json")
    first = doctor.report["findings"]
    assert doctor.code == 1
    assert next(one for one in first if one["id"] == "house-answers")["verdict"] == "wrong"
    with at_the_terminal(computer, "setup") as person:
        person.until("has ended")
        person.until("How do you want to sign in?")
        person.type("\x03")
        assert person.end() == 130


def test_a_refreshed_session_lives_on_after_half_an_hour(computer: Computer) -> None:
    assert login(computer).code == 0

    def half_an_hour_later(house) -> None:
        for token in house.tokens.values():
            if token.refresh is not None:
                token.expires = house.clock.now()

    computer.turn(half_an_hour_later)
    assert computer.ha_ssh("doctor", "--only", "signed-in-admin", "--json").code == 0


def test_logout_ends_the_session_in_the_house_and_here(computer: Computer) -> None:
    assert login(computer).code == 0
    assert len(computer.turn(lambda house: dict(house.refresh_tokens))) == 1
    planned = computer.ha_ssh("logout", "--dry-run", "--json")
    assert (planned.result, planned.report["changed"]) == ("planned", True)
    done = computer.ha_ssh("logout", "--json")
    assert (done.code, done.report["changed"]) == (0, True), done
    assert computer.turn(lambda house: dict(house.refresh_tokens)) == {}
    assert kept(computer) == {}
    again = computer.ha_ssh("logout", "--json")
    assert (again.code, again.report["changed"]) == (0, False)
    assert computer.ha_ssh("setup", "--yes", "--json").error["code"] == "missing-sign-in"


def test_a_session_that_cannot_be_ended_is_kept(computer: Computer) -> None:
    assert login(computer).code == 0
    computer.turn(lambda house: setattr(house.knobs, "core_down", True))
    refused = computer.ha_ssh("logout", "--json")
    assert (refused.code, refused.report["changed"]) == (4, False), refused
    assert "still kept here" in refused.said
    assert len(kept(computer)) == 1


def test_logging_out_without_a_house_says_what_is_missing(computer: Computer) -> None:
    assert computer.ha_ssh("logout", "--json").error["code"] == "missing-url"


# ----------------------------------------------------------------------------------------------------- tokens for scripts


def test_a_token_for_a_script_is_written_privately_and_works(computer: Computer) -> None:
    assert login(computer).code == 0
    file = computer.folder / "ci.token"
    done = computer.ha_ssh("login", "--make-token", "ci", "--days", "7", "--secret-out", str(file), "--json")
    assert (done.code, done.report["changed"]) == (0, True), done
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = computer.turn(lambda house: house.token(file.read_text().strip()))
    assert (made.name, made.user.username) == ("ci", "owner")
    assert made.expires - computer.house.clock.now() == pytest.approx(7 * 86400, abs=60)
    assert_nothing_leaked(computer, done)
    assert len(computer.turn(lambda house: dict(house.refresh_tokens))) == 1  # by the session that was there
    computer.token = file.read_text().strip()
    assert computer.ha_ssh("doctor", "--only", "signed-in-admin", "--json").code == 0

    again = computer.ha_ssh("login", "--make-token", "ci", "--secret-out", str(computer.folder / "other"), "--json")
    assert (again.code, again.error["code"]) == (4, "token-name-taken"), again
    assert "`ci`" in again.said
    assert not (computer.folder / "other").exists()


def test_a_token_is_made_by_whoever_signs_in_for_it(computer: Computer) -> None:
    done = login(computer, "--once", "--make-token", "once", "--secret-out", str(computer.folder / "t"))
    assert (done.code, done.report["changed"]) == (0, True), done
    assert computer.turn(lambda house: house.token((computer.folder / "t").read_text().strip())) is not None
    assert computer.turn(lambda house: dict(house.refresh_tokens)) == {}


@pytest.mark.parametrize(
    ("more", "code", "error"),
    [
        (("--make-token", "ci"), 3, "missing-secret-out"),
        (("--make-token", "ci", "--days", "0", "--secret-out", "t"), 2, "bad-days"),
        (("--make-token", "ci", "--days", "4000", "--secret-out", "t"), 2, "bad-days"),
        (("--make-token", " ", "--secret-out", "t"), 2, "bad-token-name"),
        (("--make-token", "ci", "--secret-out", "password"), 2, "file-exists"),
        (("--browser",), 2, "bad-sign-in"),
    ],
)
def test_a_token_that_cannot_be_made_is_refused_before_anybody_signs_in(
    computer: Computer, more: tuple[str, ...], code: int, error: str
) -> None:
    refused = login(computer, *more)
    assert (refused.code, refused.error["code"]) == (code, error), refused
    assert computer.turn(lambda house: dict(house.refresh_tokens)) == {}
    assert (computer.folder / "password").read_text().strip() == computer.house.owner.password


@pytest.mark.parametrize(("file", "error"), [("password", "file-exists"), ("new/token", "unwritable-secret-out")])
def test_no_room_for_a_token_names_the_flag_and_the_way_out(computer: Computer, file: str, error: str) -> None:
    refused = login(computer, "--make-token", "ci", "--secret-out", str(computer.folder / file))
    assert (refused.code, refused.error["code"]) == (2, error), refused
    assert refused.error["message"].startswith("--secret-out: ")
    assert refused.error["hints"]
    assert not (computer.folder / "new").exists()


def test_a_script_that_is_not_signed_in_is_told_both_ways(computer: Computer) -> None:
    began = time.monotonic()
    refused = computer.ha_ssh("login", "--url", computer.running.url, "--json")
    assert (refused.code, refused.error["code"]) == (3, "missing-sign-in"), refused
    assert "HA_SSH_TOKEN" in refused.said
    assert time.monotonic() - began < 20
