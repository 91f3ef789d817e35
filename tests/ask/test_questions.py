"""Every question and every validator, as pure functions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ha_ssh.ask.askers import NoTerminal, Scripted
from ha_ssh.ask.questions import (
    NEW,
    OTHER,
    SETUP,
    Choice,
    Clause,
    Kind,
    NotThis,
    Question,
    SeenApp,
    SeenHouse,
    SeenKey,
    change,
    describe_key,
    interview,
    last_of,
    menu,
    missing,
    next_question,
    parse_alias,
    parse_app,
    parse_bool,
    parse_key,
    parse_port,
    parse_url,
    parse_username,
    question_about,
    reconciled,
    risk_question,
    same_run,
    settled,
    tilde,
    token_question,
    url_question,
    variable,
    want_of,
)
from ha_ssh.core.errors import Exit, MissingAnswer, UsageError
from ha_ssh.core.model import KeyKind, PasswordWish, Risk
from ha_ssh.core.options import Answers, Given, Source
from ha_ssh.core.secret import Secret

TERMINAL = SeenApp(slug="core_ssh", name="Terminal & SSH", short="terminal", default_port=2222, key_ends_password=True)
ADVANCED = SeenApp(
    slug="a0d7b954_ssh",
    name="Advanced SSH & Web Terminal",
    short="advanced",
    default_port=22,
    username="hassio",
    username_fixed=False,
)
HOME = str(Path.home())
NEW_KEY = f"{HOME}/.ssh/id_ha_ssh_home"
FRESH = SeenHouse(apps=(TERMINAL, ADVANCED), new_key=NEW_KEY)
OLD_KEY = SeenKey(path=f"{HOME}/.ssh/id_ed25519", kind="ssh-ed25519")
LOCKED_KEY = SeenKey(path=f"{HOME}/.ssh/id_rsa", kind="ssh-rsa", encrypted=True)


def seen(**more) -> SeenHouse:
    return SeenHouse(**({"apps": (TERMINAL, ADVANCED), "new_key": NEW_KEY} | more))


def app(base: SeenApp, **more) -> SeenApp:
    return SeenApp(**({field: getattr(base, field) for field in base.__dataclass_fields__} | more))


def given(**answers) -> Answers:
    return Answers({name.replace("_", "-"): Given(value, Source.FLAG, f"--{name}") for name, value in answers.items()})


def asked(answers: Answers, house: SeenHouse) -> list[str]:
    ids = []
    while question := next_question(answers, house):
        ids.append(question.id)
        assert question.default is not None, f"{question.id} has no default to go on with"
        answers = answers.with_(question.id, question.default, Source.ASKED)
    return ids


# ----------------------------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("clause", SETUP, ids=lambda clause: clause.id)
def test_every_question_has_a_flag_a_variable_and_a_default_or_a_refusal(clause: Clause):
    assert re.fullmatch(r"--[a-z][a-z-]*", clause.flag)
    assert clause.env == "HA_SSH_" + clause.flag[2:].replace("-", "_").upper()
    assert clause.help.endswith(".")
    house = seen(
        apps=(app(TERMINAL, installed=True, password_set=True), app(ADVANCED, installed=True)), keys=(OLD_KEY, LOCKED_KEY)
    )
    for answers in (Answers(), given(app="advanced"), given(app="terminal"), given(key=LOCKED_KEY.path), given(key=OTHER)):
        question = clause.question(answers, house)
        if question is None:
            continue
        assert question.text.endswith("?")
        assert (question.flag, question.env) == (clause.flag, clause.env)
        if question.default is None:
            error = missing(question)
            assert error.exit is Exit.UNANSWERED
            assert clause.flag in str(error.hints)
            assert clause.env in str(error.hints)
        elif question.kind is Kind.CHOICE:
            assert question.default in {choice.value for choice in question.choices}


def test_flags_and_variables_are_each_used_once():
    flags = [flag for clause in SETUP for flag in (clause.flag, clause.off) if flag]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("question", [url_question(), token_question("http://h"), risk_question(Risk.LOCK_OUT, "Withdraw it")])
def test_the_other_questions_too_have_a_flag_and_a_variable(question: Question):
    assert question.flag.startswith("--")
    assert question.env.startswith("HA_SSH_")
    assert question.default is False or question.env in str(missing(question).hints)


# ---------------------------------------------------------------------------------------------------- what is asked when


def test_a_fresh_house_asks_three_questions():
    assert asked(Answers(), FRESH) == ["key", "passphrase", "alias"]


def test_an_existing_key_without_passphrase_asks_two():
    assert asked(given(key=OLD_KEY.path), seen(keys=(OLD_KEY,))) == ["alias"]


def test_an_encrypted_key_asks_for_its_passphrase_and_has_no_default():
    question = next_question(given(key=LOCKED_KEY.path, alias="ha"), seen(keys=(LOCKED_KEY,)))
    assert question is not None
    assert (question.id, question.default, question.twice) == ("passphrase", None, False)
    with pytest.raises(UsageError, match="is encrypted"):
        next_question(given(key=LOCKED_KEY.path, alias="ha", passphrase=Secret("")), seen(keys=(LOCKED_KEY,)))


def test_a_key_of_an_earlier_run_is_the_default():
    ours = SeenKey(path=NEW_KEY, kind="ssh-ed25519", ours=True)
    question = next_question(Answers(), seen(keys=(OLD_KEY, ours)))
    assert question is not None
    assert question.default == NEW_KEY


def test_another_file_is_typed_next():
    question = next_question(given(key=OTHER), FRESH)
    assert question is not None
    assert (question.id, question.kind) == ("key", Kind.TEXT)
    assert question.pick("/keys/mine") == "/keys/mine"


def test_both_apps_installed_has_no_default():
    both = seen(apps=(app(TERMINAL, installed=True), app(ADVANCED, installed=True)))
    question = next_question(Answers(), both)
    assert question is not None
    assert (question.id, question.default) == ("app", None)
    assert [choice.label for choice in question.choices] == [
        "Terminal & SSH (installed)",
        "Advanced SSH & Web Terminal (installed)",
    ]


def test_the_installed_app_is_the_default():
    assert settled(Answers(), seen(apps=(TERMINAL, app(ADVANCED, installed=True))))["app"] == "a0d7b954_ssh"


@pytest.mark.parametrize(
    ("wanted", "house", "says"),
    [
        ("nonsense", FRESH, "no SSH app that is known"),
        ("advanced", seen(apps=(TERMINAL, app(ADVANCED, available=False))), "not available"),
    ],
)
def test_an_app_that_cannot_be_is_refused(wanted, house, says):
    with pytest.raises(UsageError, match=says) as refused:
        next_question(given(app=wanted), house)
    assert refused.value.code == "bad-app"
    assert refused.value.hints == ("`--app terminal` would do",)


def test_a_password_that_is_set_must_be_spoken_about():
    house = seen(apps=(app(TERMINAL, installed=True, password_set=True),))
    question = next_question(given(key=NEW, passphrase=Secret(""), alias="ha"), house)
    assert question is not None
    assert (question.id, question.default) == ("password", None)
    assert "first key ends password login" in question.why
    with pytest.raises(MissingAnswer, match="A password is set"):
        NoTerminal().ask(question).send(None)


def test_without_a_password_nothing_is_said_about_it():
    assert settled(Answers(), FRESH)["password"] is PasswordWish.OFF


def test_the_port_is_the_present_one_else_the_suggested_one_else_a_free_one():
    assert settled(Answers(), FRESH)["port"] == 2222
    assert settled(Answers(), seen(apps=(app(TERMINAL, installed=True, port=2233),)))["port"] == 2233
    assert settled(Answers(), seen(taken_ports={2222: "the other app", 2223: "another"}))["port"] == 2224
    sibling = seen(apps=(TERMINAL, app(ADVANCED, installed=True, port=2222)))
    assert settled(given(app="terminal"), sibling)["port"] == 2223
    running = seen(apps=(app(TERMINAL, installed=True, running=True, port=2222), app(ADVANCED, installed=True, port=2222)))
    assert settled(given(app="terminal"), running)["port"] == 2222


def test_a_taken_port_is_refused_with_a_free_one():
    with pytest.raises(UsageError) as refused:
        next_question(given(port=2222), seen(taken_ports={2222: "Mosquitto"}))
    assert refused.value.message == "--port: Port 2222 is taken by Mosquitto."
    assert refused.value.hints == ("`--port 2223` would do",)


def test_a_fixed_login_name_is_not_asked_for_and_another_is_refused():
    assert "username" not in settled(Answers(), FRESH)
    assert settled(given(app="advanced"), FRESH)["username"] == "hassio"
    assert next_question(given(username="root", key=OLD_KEY.path, alias="ha"), FRESH) is None
    with pytest.raises(UsageError, match="always logs in as `root`, not as `me`"):
        next_question(given(username="me"), FRESH)


def test_a_taken_alias_is_refused_and_another_suggested():
    house = seen(taken_aliases=frozenset({"ha"}))
    question = next_question(given(key=NEW, passphrase=Secret("")), house)
    assert question is not None
    assert question.default == "ha-home"
    with pytest.raises(UsageError) as refused:
        next_question(given(key=NEW, passphrase=Secret(""), alias="ha"), house)
    assert refused.value.hints == ("`--alias ha-home` would do",)


def test_last_time_is_taken_unasked_and_named_as_the_source():
    house = seen(keys=(OLD_KEY,), last={"app": "core_ssh", "key": OLD_KEY.path, "alias": "zuhause", "port": 2200})
    assert asked(Answers(), house) == []
    full = settled(Answers(), house)
    assert (full["alias"], full.source("alias")) == ("zuhause", Source.LAST)
    assert (full["boot"], full.source("boot")) == (True, Source.DEFAULT)


def test_what_was_chosen_last_time_gives_way_where_it_cannot_be_any_more():
    house = seen(last={"port": 2200}, taken_ports={2200: "Mosquitto"})
    assert settled(Answers(), house)["port"] == 2222


def test_answers_given_are_never_asked():
    answers = given(app="terminal", key=NEW, new_key=KeyKind.ED25519, passphrase=Secret("x"), port=2222, alias="")
    assert next_question(answers, FRESH) is None


# -------------------------------------------------------------------------------------------------------------- the want


def test_a_want_holds_opinions_only():
    want = want_of(settled(Answers(), FRESH), FRESH)
    assert (want.app, want.identity, want.make_key, want.port, want.alias) == ("core_ssh", NEW_KEY, KeyKind.ED25519, 2222, "ha")
    assert (want.boot, want.watchdog, want.password) == (True, True, PasswordWish.OFF)
    assert (want.tunnels, want.multiplex, want.username) == (None, None, None)


def test_a_said_no_is_an_opinion():
    want = want_of(settled(given(tunnels=False, key=OLD_KEY.path, alias=""), FRESH), FRESH)
    assert (want.tunnels, want.alias, want.identity, want.make_key) == (False, None, OLD_KEY.path, None)


def test_a_remembered_want_becomes_the_answers_of_last_time():
    want = want_of(settled(given(key=OLD_KEY.path), FRESH), FRESH)
    assert last_of(want) == {
        "app": "core_ssh",
        "key": OLD_KEY.path,
        "port": 2222,
        "password": "off",
        "boot": True,
        "watchdog": True,
        "alias": "ha",
    }


# ------------------------------------------------------------------------------------------------------------ interviews


async def test_an_interview_asks_and_settles():
    asker = Scripted({"key": "1", "passphrase": Secret("hush"), "alias": "zuhause"})
    answers, _ = await interview(asker, Answers(), FRESH)
    asker.finish()
    assert asker.asked == ["key", "passphrase", "alias"]
    assert (answers["key"], answers["alias"], answers.source("alias")) == (NEW, "zuhause", Source.ASKED)
    assert answers.source("port") is Source.DEFAULT


async def test_an_answer_that_cannot_be_is_complained_about_and_asked_again():
    asker = Scripted({"key": "1", "passphrase": Secret(""), "alias": ["my house", "house"]})
    answers, _ = await interview(asker, Answers(), FRESH)
    assert answers["alias"] == "house"
    assert asker.complaints[0].startswith("`my house` cannot be a short name")


async def test_nobody_at_the_terminal_takes_the_defaults():
    answers, _ = await interview(NoTerminal(), Answers(), FRESH)
    assert {answers.source(name) for name in answers} == {Source.DEFAULT}
    assert answers["passphrase"] == Secret("")


async def test_nobody_at_the_terminal_refuses_and_names_flag_and_variable():
    both = seen(apps=(app(TERMINAL, installed=True), app(ADVANCED, installed=True)))
    with pytest.raises(MissingAnswer) as refused:
        await interview(NoTerminal(), Answers(), both)
    assert refused.value.code == "missing-app"
    assert refused.value.hints[0] == "give `--app NAME`, or set `HA_SSH_APP`"


async def test_a_passphrase_that_is_tried_and_wrong_is_asked_again():
    asker = Scripted({"key": "2", "passphrase": [Secret("bad"), Secret("good")], "alias": "ha"})

    async def learn(answers: Answers, house: SeenHouse) -> SeenHouse:
        if answers.get("passphrase") == Secret("bad"):
            raise NotThis("That passphrase does not open it.", about="passphrase")
        return house

    answers, _ = await interview(asker, Answers(), seen(keys=(LOCKED_KEY,)), learn)
    assert answers["passphrase"] == Secret("good")
    assert asker.complaints == ["That passphrase does not open it."]


@pytest.mark.parametrize("about", ["passphrase", None])
async def test_a_passphrase_from_a_flag_that_is_wrong_is_refused(about):
    async def learn(answers: Answers, house: SeenHouse) -> SeenHouse:
        raise NotThis("That passphrase does not open it.", about=about)

    with pytest.raises(UsageError, match="does not open it"):
        await interview(Scripted(), given(key=LOCKED_KEY.path, passphrase=Secret("bad")), seen(keys=(LOCKED_KEY,)), learn)


async def test_changing_the_app_asks_anew_what_hangs_on_it():
    answers, house = await interview(NoTerminal(), Answers(), FRESH)
    asker = Scripted({"change": "app", "app": "2"})
    changed, _ = await interview(asker, await change(asker, answers, house), house)
    asker.finish()
    assert (changed["app"], changed["port"], changed["username"]) == ("a0d7b954_ssh", 22, "hassio")


async def test_changing_the_key_to_an_existing_one_drops_the_new_one():
    house = seen(keys=(OLD_KEY,))
    answers, _ = await interview(NoTerminal(), Answers(), house)
    asker = Scripted({"change": "key", "key": "2"})
    changed, _ = await interview(asker, await change(asker, answers, house), house)
    assert changed["key"] == OLD_KEY.path
    assert "new-key" not in changed
    assert "passphrase" not in changed


def test_the_menu_shows_every_answer_and_no_secret():
    labels = [choice.label for choice in menu(given(key=NEW, passphrase=Secret("hush")), FRESH).choices]
    assert "A passphrase for the new key? set" in labels
    assert "On which port should SSH listen? 2222" in labels
    assert "A short name for `ssh`? ha" in labels
    assert "hush" not in str(labels)


def test_a_question_about_an_answer_has_it_as_its_default():
    question = question_about("key", given(key="/elsewhere/key"), FRESH)
    assert question is not None
    assert question.default == "/elsewhere/key"
    assert question.choices[0] == Choice("/elsewhere/key", "/elsewhere/key")


# ---------------------------------------------------------------------------------------------------------- the same run


def test_the_same_run_as_one_command():
    answers = settled(
        Answers()
        .with_("key", NEW, Source.ASKED)
        .with_("passphrase", Secret("hush"), Source.ASKED)
        .with_("alias", "ha", Source.ASKED)
        .with_("tunnels", True, Source.FLAG),
        FRESH,
    )
    line = same_run(answers, url="http://house:8123", accepted=(Risk.PASSWORD_OFF,))
    assert line == (
        "ha-ssh setup --url http://house:8123 --passphrase-file FILE --alias ha --tunnels "
        "--new-key ed25519 --accept-risk password-off --yes"
    )
    assert "hush" not in line


def test_the_same_run_quotes_and_says_no():
    answers = settled(given(key="/my keys/id", alias="", boot=False), FRESH)
    assert shlex.split(same_run(answers, url=None)) == [
        *("ha-ssh", "setup", "--key", "/my keys/id", "--no-boot", "--no-alias", "--yes"),
    ]


# ------------------------------------------------------------------------------------------------------------ validators


@pytest.mark.parametrize(("typed", "port"), [("1", 1), (" 2222 ", 2222), ("65535", 65535)])
def test_a_port(typed, port):
    assert parse_port(typed) == port


@pytest.mark.parametrize("typed", ["0", "65536", "-1", "x", "", "2222.0", "١٢", "99999999999999", "22222", "8123"])
def test_no_port(typed):
    with pytest.raises(NotThis) as no:
        parse_port(typed)
    assert no.value.instead == 2222


def test_the_host_s_own_port_is_called_that():
    with pytest.raises(NotThis, match="host's own SSH server"):
        parse_port("22222")


@pytest.mark.parametrize(("typed", "alias"), [("ha", "ha"), (" Ha-1.b_c ", "Ha-1.b_c"), ("none", ""), ("-", ""), ("", "")])
def test_an_alias(typed, alias):
    assert parse_alias(typed) == alias


@pytest.mark.parametrize(
    ("typed", "better"),
    [("my house", "my-house"), ("-ha", "ha"), ("*", "ha"), ("a" * 64, "a" * 63), ("ha!", "ha"), ("ha\nHost *", "ha-Host")],
)
def test_no_alias_and_a_better_one(typed, better):
    with pytest.raises(NotThis) as no:
        parse_alias(typed)
    assert no.value.instead == better
    assert parse_alias(better) == better


@pytest.mark.parametrize("typed", ["root", "_me", "a-b_9", "Root", "HASSIO "])
def test_a_login_name(typed):
    assert parse_username(typed) == typed.strip().lower()


@pytest.mark.parametrize(("typed", "better"), [("My name", "my-name"), ("9lives", "lives"), ("", "root")])
def test_no_login_name_and_a_better_one(typed, better):
    with pytest.raises(NotThis) as no:
        parse_username(typed)
    assert no.value.instead == better
    assert parse_username(better) == better


def test_a_key_path():
    assert parse_key("~/.ssh/id_ed25519") == f"{HOME}/.ssh/id_ed25519"
    assert parse_key('"/my keys/id"') == "/my keys/id"
    assert parse_key("id") == str(Path.cwd() / "id")
    assert parse_key("new") == NEW


@pytest.mark.parametrize(("typed", "instead"), [("k.pub", "k"), ("k.ppk", None), ("", None), ('""', None)])
def test_no_key_path(typed, instead):
    with pytest.raises(NotThis) as no:
        parse_key(typed)
    assert no.value.instead == instead


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("http://homeassistant.local:8123", "http://homeassistant.local:8123"),
        (" HTTPS://house.example/ ", "https://house.example"),
        ("http://[fe80::1%eth0]:8123", "http://[fe80::1%eth0]:8123"),
        ("https://house/ha/", "https://house/ha"),
        ("homeassistant.local", "homeassistant.local"),
        ("homeassistant.local:8123/", "homeassistant.local:8123"),
        ("192.168.1.20", "192.168.1.20"),
        ("[fd00::5]:8123", "[fd00::5]:8123"),
        ("fd00::5", "fd00::5"),
    ],
)
def test_a_url(typed, url):
    assert parse_url(typed) == url


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("ssh://house", "http://house"),
        ("http://me:pw@house", "http://house"),
        ("http://", None),
        ("me:pw@house", "house"),
        ("http://house:99999", None),
        ("two words", None),
        ("", None),
    ],
)
def test_no_url(typed, instead):
    with pytest.raises(NotThis) as no:
        parse_url(typed)
    assert no.value.instead == instead
    assert "pw" not in no.value.says


@pytest.mark.parametrize(("typed", "yes"), [("y", True), ("ON", True), ("1", True), ("n", False), ("off", False)])
def test_yes_or_no(typed, yes):
    assert parse_bool(typed) is yes


def test_neither_yes_nor_no():
    with pytest.raises(NotThis):
        parse_bool("perhaps")


def test_an_app_word():
    assert parse_app(" Terminal ") == "terminal"
    with pytest.raises(NotThis):
        parse_app("../x")


def test_a_choice_is_picked_by_number_value_or_the_start_of_its_label():
    question = next_question(Answers(), seen(keys=(OLD_KEY,)))
    assert question is not None
    assert question.pick("2") == OLD_KEY.path
    assert question.pick("new") == NEW
    assert question.pick("another") == OTHER
    with pytest.raises(NotThis, match="from 1 to 3"):
        question.pick("9")


def test_a_token_is_taken_without_the_line_breaks_of_a_paste():
    assert token_question("http://h").pick(" eyJ\nabc \n") == Secret("eyJabc")
    with pytest.raises(NotThis):
        token_question("http://h").pick(" ")


# ------------------------------------------------------------------------------------------------------------- the rest


def test_a_kind_of_new_key_means_a_new_key():
    assert reconciled(given(new_key=KeyKind.ECDSA))["key"] == NEW
    with pytest.raises(UsageError, match="exclude each other"):
        reconciled(given(new_key=KeyKind.ECDSA, key="/k"))
    file = Answers({"key": Given("/k", Source.FILE, "a.yaml line 1")})
    assert reconciled(given(new_key=KeyKind.ECDSA).or_(file))["key"] == NEW
    weaker = Answers({"new-key": Given(KeyKind.ECDSA, Source.FILE, "a.yaml line 1")})
    assert "new-key" not in reconciled(given(key="/k").or_(weaker))


def test_a_key_in_words():
    assert describe_key(LOCKED_KEY) == "RSA, encrypted"
    assert describe_key(SeenKey(path="x", kind="ecdsa-sha2-nistp256", ours=True)) == "ECDSA, made by ha-ssh"
    assert describe_key(SeenKey(path="x")) == "unknown kind"


def test_the_home_folder_is_a_tilde():
    assert tilde(f"{HOME}/x") == "~/x"
    assert tilde(f"{HOME}x") == f"{HOME}x"


def test_a_variable():
    assert variable("--no-alias") == "HA_SSH_NO_ALIAS"


def test_a_script_fails_for_answers_that_nobody_asked_for():
    asker = Scripted({"port": "1"})
    with pytest.raises(AssertionError, match="never asked: port"):
        asker.finish()


async def test_a_script_fails_for_a_question_without_an_answer():
    with pytest.raises(AssertionError, match="no answer for the question 'url'"):
        await Scripted().ask(url_question())


async def test_nobody_agrees_without_yes():
    assert await NoTerminal(yes=True).agree("3 changes", ()) == "yes"
    with pytest.raises(MissingAnswer) as refused:
        await NoTerminal().agree("3 changes", ())
    assert "`--yes`" in refused.value.hints[0]
    assert refused.value.exit is Exit.UNANSWERED
