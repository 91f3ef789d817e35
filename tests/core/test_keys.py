"""Public keys: strict reading, repairs where only one is possible, and never a private key."""

from __future__ import annotations

import base64

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ha_ssh.core.keys import (
    BadEntry,
    Entry,
    Problem,
    admits,
    fingerprint,
    is_private,
    kind_word,
    option_names,
    parse_entry,
    printable,
    public_parts,
    read_line,
    rsa_bits,
    same_key,
    served,
    weakness,
)

ED_BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIG8DOGCKJt1NFSusbmi1V9pDaG1G/iOgtKQdz46Jh2cY"
ED = f"ssh-ed25519 {ED_BLOB} d@x"
EC_BLOB = (
    "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBOkhuGiriRPI1jx/9K4x6Gd7+yGwCCe4STvqZwDurut1ImYYOlW0K0CyOLs3eLs7fPJ+"
    "JUEuWMYXEBKPilBM+Wg2ktlyiubS+DC/H81Yjcccxw3vnL9E79zrSGsA5hJgng=="
)
EC = f"ecdsa-sha2-nistp384 {EC_BLOB} e@x"
RSA_BLOB = (
    "AAAAB3NzaC1yc2EAAAADAQABAAABAQDHKCAxUoj75D409AjjAyDV3m7STKorurxdRckoAIeJ4YpcUFgvkFHXIvDCYzAmr3ylwo9xNl2MlxeLxUhkkcu5HYIm1oYt"
    "AM1dmZuzZlkV841/DsoQ9uDdvRnzRFanWP+9zbgeURkCQwU18Zspa9C//VjMTxtTeQTSNp5uN6tWMtsmah5CVWeCNH04Oulf08iRBK1Hgl83knWOp8ZPbVyS5r20"
    "aM6nEMmDq2dvB0x4npO78p5QT+TY4ywbo2n7PGVEUCJYxdzaAmWwkfBJHYU/ZgGtdvJA/goiirmPEmZXjOw4dVR76z3o3yBAsSIdZMoLvg7R7RhN9rQz2V+B9nWZ"
)
RSA = f"ssh-rsa {RSA_BLOB} r@x"
EC_4716 = (
    '---- BEGIN SSH2 PUBLIC KEY ----\nComment: "384-bit ECDSA, converted by me\\\n from OpenSSH"\nx-private: none\n'
    + "\n".join(EC_BLOB[i : i + 70] for i in range(0, len(EC_BLOB), 70))
    + "\n---- END SSH2 PUBLIC KEY ----\n"
)
EC_PEM = """-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE6SG4aKuJE8jWPH/0rjHoZ3v7IbAIJ7hJ
O+pnAO6u63UiZhg6VbQrQLI4uzd4uzt88n4lQS5YxhcQEo+KUEz5aDaS2XKK5tL4
ML8fzViNxxzHDe+cv0Tv3OtIawDmEmCe
-----END PUBLIC KEY-----
"""
FIRST = Entry("", "ssh-ed25519", ED_BLOB, "d@x")


def blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


SK = f"sk-ssh-ed25519@openssh.com {blob(b'sk-ssh-ed25519@openssh.com', bytes(32), b'ssh:')} token"
NEW = f"ssh-mldsa44-ed25519 {blob(b'ssh-mldsa44-ed25519', bytes(64))} future"
DSA = f"ssh-dss {blob(b'ssh-dss', *[bytes([1] * 20)] * 4)}"
SHORT_RSA = f"ssh-rsa {blob(b'ssh-rsa', bytes([1, 0, 1]), bytes([0]) + bytes([255] * 128))}"


# -------------------------------------------------------------------------------------------------------- what sshd takes


@pytest.mark.parametrize(
    "line",
    [ED, f"  {ED}", ED.replace(" ", "  "), ED.replace(" ", "\t"), f"{ED}\r", f"{ED}\n", f"{ED}\r\n", f" {ED} \t"],
)
def test_one_line_is_read_whatever_its_blanks(line):
    entry = parse_entry(line)
    assert isinstance(entry, Entry)
    assert entry.line == ED


@pytest.mark.parametrize("line", [ED, EC, RSA, SK, NEW, f"ssh-ed25519 {ED_BLOB}", ED + ' with "quotes", and commas'])
def test_every_kind_is_kept_as_it_is(line):
    entry = parse_entry(line)
    assert isinstance(entry, Entry)
    assert entry.line == line
    assert served(line) == (entry,)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ('from="10.0.0.0/8,!10.0.0.5"', ("from",)),
        ("no-pty,No-Agent-Forwarding", ("no-pty", "no-agent-forwarding")),
        (r'command="echo \"a b\", c",restrict', ("command", "restrict")),
        ('environment="A=b c",permitopen="[::1]:22"', ("environment", "permitopen")),
        ("cert-authority", ("cert-authority",)),
    ],
)
def test_options_in_front_are_understood(options, names):
    entry = parse_entry(f"{options} {ED}")
    assert isinstance(entry, Entry)
    assert entry.options == options
    assert option_names(options) == names
    assert entry.public == f"ssh-ed25519 {ED_BLOB}"


@pytest.mark.parametrize("options", ["nonsense", "no-pty,", ",no-pty", "from=10.0.0.1", "no-pty=yes", 'from="x"y', "-", "["])
def test_options_that_sshd_does_not_know_spoil_the_line(options):
    assert read_line(f"{options} {ED}") is None
    assert isinstance(parse_entry(f"{options} {ED}"), BadEntry)


# --------------------------------------------------------------------------------------------------------------- repairs


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'"{ED}"', Problem.QUOTES),
        (f"'{ED}'", Problem.QUOTES),
        (f"“{ED}”", Problem.QUOTES),
        (f"„{ED}“", Problem.QUOTES),
        (f"«{ED}»", Problem.QUOTES),
        (f'"{ED}', Problem.QUOTES),
        (f"- {ED}", Problem.DASH),
        (f"– {ED}", Problem.DASH),
        (f"-{ED}", Problem.DASH),
        (f"authorized_keys: {ED}", Problem.DASH),
        (f"[{ED}]", Problem.BRACKET),
        (f"[{ED}", Problem.BRACKET),
        (f"<{ED}>", Problem.BRACKET),
        (f"\ufeff{ED}", Problem.BOM),
        (ED.replace(" ", "\u00a0"), Problem.HARD_BLANK),
        (ED.replace(" ", "\u202f", 1), Problem.HARD_BLANK),
        (f"\u200b{ED}", Problem.HARD_BLANK),
        (f",{ED}", Problem.COMMA),
        (f"{ED[:40]}\n{ED[40:]}", Problem.WRAPPED),
        (f"{ED[:40]}\r\n  {ED[40:]}", Problem.WRAPPED),
        (f"{ED[:40]} {ED[40:]}", Problem.WRAPPED),
        (f"{ED[:30]} {ED[30:50]} {ED[50:]}", Problem.WRAPPED),
        (f"ssh-ed25519\n{ED_BLOB} d@x", Problem.WRAPPED),
        (f"ssh-ed25519\n{ED_BLOB}\nd@x", Problem.WRAPPED),
        (f"{ED_BLOB} d@x", Problem.NO_KIND),
        (f"ssh-rsa {ED_BLOB} d@x", Problem.WRONG_KIND),
        (f"SSH-ED25519 {ED_BLOB} d@x", Problem.WRONG_KIND),
        (f'- "{ED}",', Problem.DASH),
        (f"['{ED}']", Problem.BRACKET),
    ],
)
def test_a_bad_shape_is_named_and_repaired(text, problem):
    found = parse_entry(text)
    assert isinstance(found, BadEntry)
    assert found.problem is problem
    assert found.repaired == ED
    assert found.repairs == (ED,)
    assert found.served == ()
    assert found.says
    assert not found.harmless


def test_options_survive_a_repair():
    found = parse_entry(f'"from="10.0.0.1",no-pty {ED}"')
    assert isinstance(found, BadEntry)
    assert found.repaired == f'from="10.0.0.1",no-pty {ED}'
    found = parse_entry(f'from="10.0.0.1" {ED[:40]} {ED[40:]}')
    assert isinstance(found, BadEntry)
    assert (found.problem, found.repaired) == (Problem.WRAPPED, f'from="10.0.0.1" {ED}')


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"{ED}, {RSA}", 1),
        (f"{ED},{RSA}", 1),
        (f"{ED} {RSA}", 1),
        (f'{ED}", "{RSA}', 1),
        (f"{ED}\n{RSA}", 2),
        (f"{ED}\r\n\r\n{RSA}\r\n", 2),
        (f"# two\n{ED}\n{RSA}", 2),
        (f"{ED}{RSA}", 1),
    ],
)
def test_several_keys_in_one_entry_become_a_line_each(text, count):
    found = parse_entry(text)
    assert isinstance(found, BadEntry)
    assert found.problem is Problem.SEVERAL
    assert [line.rstrip('"') for line in found.repairs] == [ED, RSA]
    assert len(found.served) == count
    assert found.served[0].public == FIRST.public


def test_two_keys_without_anything_between_them_become_a_line_each():
    bare = f"ssh-ed25519 {ED_BLOB}"
    for text in (f"{bare}{ED}", f"{bare},{ED}"):
        found = parse_entry(text)
        assert isinstance(found, BadEntry)
        assert (found.problem, found.repairs, found.served) == (Problem.SEVERAL, (bare, ED), ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{head}\n{tail} me@laptop (ha-ssh)", Problem.WRAPPED),
        ("{head} {tail} me@laptop (ha-ssh)", Problem.WRAPPED),
        ("[{head}{tail} me@laptop (ha-ssh)]", Problem.BRACKET),
    ],
)
def test_a_bracket_of_the_comment_is_the_comments_own(text, problem):
    bare = f"ssh-ed25519 {ED_BLOB}"
    found = parse_entry(text.format(head=bare[:40], tail=bare[40:]))
    assert isinstance(found, BadEntry)
    assert (found.problem, found.repaired) == (problem, f"{bare} me@laptop (ha-ssh)")


def test_a_comma_without_another_key_is_a_comment():
    assert isinstance(parse_entry(f"{ED}, my laptop"), Entry)


def test_a_good_line_below_a_bad_one_is_served_all_the_same():
    found = parse_entry(f"garbage\n{ED}")
    assert isinstance(found, BadEntry)
    assert found.served == (FIRST,)


def test_a_comment_line_above_a_key_is_one_key():
    found = parse_entry(f"# laptop\n{ED}")
    assert isinstance(found, BadEntry)
    assert (found.problem, found.repaired, found.served) == (Problem.LINES, ED, (FIRST,))


def test_puttys_format_is_converted():
    found = parse_entry(EC_4716)
    assert isinstance(found, BadEntry)
    assert (found.problem, found.repaired) == (
        Problem.RFC4716,
        f"ecdsa-sha2-nistp384 {EC_BLOB} 384-bit ECDSA, converted by me from OpenSSH",
    )
    folded = parse_entry(EC_4716.replace("\\\n", "").replace("x-private: none\n", "").replace("\n", " "))
    assert isinstance(folded, BadEntry)
    assert folded.repaired is not None
    assert folded.repaired.startswith(f"ecdsa-sha2-nistp384 {EC_BLOB}")
    cut = parse_entry(EC_4716[:200])
    assert isinstance(cut, BadEntry)
    assert (cut.problem, cut.repaired) == (Problem.RFC4716, None)


def test_pem_is_converted():
    ed = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + base64.b64decode(ED_BLOB)[-32:]).decode()
    for pem, public in (
        (EC_PEM, f"ecdsa-sha2-nistp384 {EC_BLOB}"),
        (EC_PEM.replace("\n", " "), f"ecdsa-sha2-nistp384 {EC_BLOB}"),
        (f"-----BEGIN PUBLIC KEY-----\n{ed}\n-----END PUBLIC KEY-----", f"ssh-ed25519 {ED_BLOB}"),
    ):
        found = parse_entry(pem)
        assert isinstance(found, BadEntry)
        assert (found.problem, found.repaired) == (Problem.PKCS8, public)
    for broken in (EC_PEM.replace("MHYw", "MHUw"), EC_PEM.replace("MHYw", "!!!!"), "-----BEGIN PUBLIC KEY-----"):
        found = parse_entry(broken)
        assert isinstance(found, BadEntry)
        assert (found.problem, found.repaired) == (Problem.PKCS8, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", Problem.EMPTY),
        (" \n\t", Problem.EMPTY),
        ("# laptop", Problem.COMMENT),
        ("# a\n\n  # b", Problem.COMMENT),
        ("!secret ssh_key", Problem.SECRET_REFERENCE),
        (ED[:50], Problem.BROKEN),
        (ED.replace("AAAA", "AAAB", 1), Problem.BROKEN),
        (f"ssh-ed25519 {ED_BLOB}AAAA x", Problem.BROKEN),
        ("ssh-ed25519", Problem.BROKEN),
        (f"nonsense {ED}", Problem.OPTIONS),
        ("hello", Problem.NO_KEY),
        ("ssh-copy-id me@host", Problem.NO_KEY),
        ("s", Problem.NO_KEY),
        ('"', Problem.NO_KEY),
        ("[", Problem.NO_KEY),
        ("-", Problem.NO_KEY),
    ],
)
def test_what_cannot_be_repaired_is_left_alone(text, problem):
    found = parse_entry(text)
    assert isinstance(found, BadEntry)
    assert (found.problem, found.repaired, found.repairs, found.served) == (problem, None, (), ())
    assert found.harmless == (problem in (Problem.EMPTY, Problem.COMMENT))


# --------------------------------------------------------------------------------------------------------- private keys


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
        '"-----BEGIN EC\nPRIVATE\nKEY-----"',
        "PuTTY-User-Key-File-3: ssh-ed25519",
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW",
        f"{ED}\n-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_a_private_key_is_never_repaired(text):
    assert is_private(text)
    found = parse_entry(text)
    assert isinstance(found, BadEntry)
    assert (found.problem, found.repaired, found.repairs) == (Problem.PRIVATE_KEY, None, ())
    assert "compromised" in found.says


def test_a_public_key_about_a_private_one_is_public():
    assert not is_private(f"{ED} of my private key")


# ---------------------------------------------------------------------------------------------------- asking about a key


def test_fingerprints_are_those_of_openssh():
    assert fingerprint(ED) == "SHA256:H0WzrmpRA5roIxlpZTiNAz6oR/W5+ak04qvNptjRaro"
    assert fingerprint(EC) == "SHA256:WhdRYHicIHEd5lg847jHT8wSIASVo8NfU0oUlIftjMQ"
    assert fingerprint(RSA) == "SHA256:MjerFwE/3rnyk11cEzKimK1b551f3DIZtFD61qeEJPc"
    assert fingerprint("no key") == ""


def test_the_same_key_is_the_same_whatever_stands_around_it():
    assert same_key(ED, f'from="10.0.0.1" ssh-ed25519 {ED_BLOB} other')
    assert not same_key(ED, RSA)
    assert not same_key(ED, f'"{ED}"')
    assert same_key(f'"{ED}"', f' "{ED}" ')
    assert not same_key(ED, f"cert-authority {ED}")


def test_an_entry_admits_what_it_serves():
    assert admits(f"{RSA}\n{ED}", ED)
    assert admits(f'from="10.0.0.1" {ED}', f"ssh-ed25519 {ED_BLOB}")
    assert not admits(f"{RSA}, {ED}", ED)
    assert not admits(f"cert-authority {ED}", ED)
    assert not admits(f'"{ED}"', ED)
    assert not admits(ED, "no key")


def test_parts_of_a_line():
    assert public_parts(ED) == ("ssh-ed25519", ED_BLOB, "d@x")
    with pytest.raises(ValueError, match="not a public key"):
        public_parts("hello")


def test_kinds_have_the_words_of_the_log():
    words = {ED: "ED25519", EC: "ECDSA", RSA: "RSA", SK: "ED25519-SK", DSA: "DSA"}
    assert {line: kind_word(line.split()[0]) for line in words} == words
    assert kind_word("ssh-ed25519-cert-v01@openssh.com") == "ED25519-CERT"
    assert kind_word("sk-ssh-ed25519-cert-v01@openssh.com") == "ED25519-SK-CERT"
    assert kind_word("ssh-new") == "ssh-new"


def test_weak_keys_are_named():
    assert (rsa_bits(RSA), rsa_bits(SHORT_RSA), rsa_bits(ED)) == (2048, 1024, None)
    assert [weakness(line) for line in (ED, EC, RSA, SK, "no key")] == [None] * 5
    assert "1024" in (weakness(SHORT_RSA) or "")
    assert "DSA" in (weakness(DSA) or "")


def test_what_a_terminal_could_obey_is_escaped():
    assert printable("a\x1b[31m\r\u202eb ü") == "a\\x1b[31m\\r\\u202eb ü"
    entry = parse_entry(f"ssh-ed25519 {ED_BLOB} \x1b[31mred")
    assert isinstance(entry, Entry)
    assert entry.short == "ssh-ed25519 SHA256:H0WzrmpRA5ro… \\x1b[31mred"


# ----------------------------------------------------------------------------------------------------------------- laws

KEYS = st.sampled_from([ED, EC, RSA, SK, f"ssh-ed25519 {ED_BLOB}"])
NOISE = st.text(alphabet=st.sampled_from("\"'“”-[] \t\n,\ufeff\u00a0\u200b"), max_size=4)


@given(NOISE, KEYS, NOISE)
def test_noise_around_a_key_never_changes_the_key(before, line, after):
    found = parse_entry(before + line + after)
    if isinstance(found, Entry):
        assert found.public == " ".join(line.split()[:2])
    else:
        assert all(repair.split()[:2] == line.split()[:2] for repair in found.repairs)


@given(KEYS, st.data())
def test_a_wrapped_key_is_joined_exactly(line, data):
    kind, key, *rest = line.split()
    cuts = sorted(data.draw(st.lists(st.integers(1, len(key) - 1), max_size=4, unique=True)))
    parts = [key[a:b] for a, b in zip([0, *cuts], [*cuts, len(key)], strict=True)]
    text = data.draw(st.sampled_from(["\n", " ", "\r\n", "\n  "])).join([kind, *parts]) + " " + " ".join(rest)
    found = parse_entry(text)
    assert (found.line if isinstance(found, Entry) else found.repaired) == line


@given(st.text())
def test_any_text_is_judged_and_a_repair_is_good(text):
    found = parse_entry(text)
    if isinstance(found, BadEntry):
        assert all(isinstance(parse_entry(line), Entry) for line in found.repairs)
    else:
        assert served(found.line) == (found,)


@given(KEYS, st.text(alphabet=st.characters(exclude_characters="\n\r"), max_size=20))
def test_reading_a_line_again_gives_the_same(line, comment):
    entry = parse_entry(f"{' '.join(line.split()[:2])} {comment}")
    assume(isinstance(entry, Entry))
    assert isinstance(entry, Entry)
    again = parse_entry(entry.line)
    assert again == entry
    assert fingerprint(entry.line) == fingerprint(line)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data):
    parse_entry(f"ssh-ed25519 {base64.b64encode(data).decode()}")
    parse_entry(f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(data).decode()}\n-----END PUBLIC KEY-----")
