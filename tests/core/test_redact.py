"""Redaction: no secret passes, and a report tells nobody's name, address or keys."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha_ssh.core.redact import for_posting, redact
from ha_ssh.core.secret import Secret

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhYmMiLCJpYXQiOjE3MDAwMDAwMDB9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
HEX = "0123456789abcdef" * 4
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG8DOGCKJt1NFSusbmi1V9pDaG1G/iOgtKQdz46Jh2cY me@laptop"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "App core_ssh has invalid options: Missing option 'apks' in root. Got {'password': 'hunter2', 'server': {'x': 1}}",
            "App core_ssh has invalid options: Missing option 'apks' in root. Got ***",
        ),
        ("expected AppBoot @ data['boot']. Got 'hunter2'", "expected AppBoot @ data['boot']. Got ***"),
        ("not a valid value. Got hunter2", "not a valid value. Got ***"),
        ("Got ['hunter2', 'b'] and more", "Got *** and more"),
        ("no end. Got {'a': 'hunter2", "no end. Got ***"),
        ("ssh:\n  password: hunter2\n  sftp: true", "ssh:\n  password: ***\n  sftp: true"),
        (f"token {JWT}.", "token ***."),
        (f"Authorization: Bearer {JWT}", "Authorization: Bearer ***"),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        (f"SUPERVISOR_TOKEN={HEX}", "SUPERVISOR_TOKEN=***"),
        (f"env {HEX} env", "env *** env"),
        ('{"password": "hunter2 \\" hunter2", "port": 22}', '{"password": ***, "port": 22}'),
        ("{'access_token': 'hunter2'}", "{'access_token': ***}"),
        ("password=hunter2&user=me", "password=***&user=me"),
        ("http://me:hunter2@10.0.0.1/x", "http://***@10.0.0.1/x"),
        ("GET /callback?code=hunter2&state=abc HTTP", "GET /callback?code=***&state=*** HTTP"),
        ("a\n-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\nb", "a\n*** (a private key)\nb"),
        ("-----BEGIN RSA PRIVATE KEY----- hunter2", "*** (a private key)"),
        ("PuTTY-User-Key-File-3: x\nhunter2\nPrivate-MAC: 00ff\nb", "*** (a private key)\nb"),
        ("curl -u alex:hunter2 https://x.example/", "curl -u alex:*** https://x.example/"),
        ("curl --user 'alex:hunter2' x", "curl --user 'alex:***' x"),
        ('curl -H "X-Api-Key: hunter2" x', 'curl -H "X-Api-Key: ***" x'),
        ("run `curl https://x/?token=hunter2` first", "run `curl https://x/?token=***` first"),
        ("smbclient -U bob%hunter2 //nas", "smbclient -U bob%*** //nas"),
        ("mysql -phunter2 -h db; ls -p", "mysql -p*** -h db; ls -p"),
        ("mysql --password=hunter2 -h db", "mysql --password=*** -h db"),
        ("sshpass -p hunter2 ssh nas", "sshpass -p *** ssh nas"),
        ("redis-cli -a hunter2 ping", "redis-cli -a *** ping"),
        ("nmcli dev wifi connect Home-WLAN password hunter2", "nmcli dev wifi connect *** password ***"),
        ("nmcli con modify x wifi-sec.psk 'hunter 2'", "nmcli con modify x wifi-sec.psk ***"),
        ("wpa_passphrase Home-WLAN hunter2", "wpa_passphrase ***"),
        ('echo "bob:hunter2" | chpasswd', "echo *** | chpasswd"),
        ("printf hunter2 | sudo -S id", "printf *** | sudo -S id"),
        ("chpasswd <<< bob:hunter2", "chpasswd <<< ***"),
        ("echo hunter2 | docker login --password-stdin", "echo *** | docker login --password-stdin"),
        ("PGPASSWORD=hunter2 psql; MYSQL_PWD=hunter2 mysql", "PGPASSWORD=*** psql; MYSQL_PWD=*** mysql"),
        ("mount -o username=bob,pass=hunter2 //nas", "mount -o username=bob,pass=*** //nas"),
        ("`x --access-token hunter2`", "`x --access-token ***`"),
    ],
)
def test_what_looks_like_a_secret_goes(text, left):
    assert redact(text) == left
    assert redact(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "Failed password for root from 10.0.0.1 port 5 ssh2",
        "the password is wrong: try again",
        "needs a token, give one with `--token-file`",
        KEY,
        "SHA256:H0WzrmpRA5roIxlpZTiNAz6oR/W5+ak04qvNptjRaro",
        "password: none",
        "Core 2026.11.0, Supervisor 2026.11.0, machine 0123456789abcdef0123456789abcdef",
        "We Got here",
        "my password: is wrong",
        "the token: ask for one",
        "password='' token=\"\"",
        "give it with `--passphrase-file FILE`, or `ha-ssh setup --password off`",
        "make one: `ha-ssh login --make-token NAME --secret-out FILE`",
        "ssh -p 2222 -u root@house; PWD=/root; echo done | tee log",
        "`rsync -a -e 'ssh -p 2222' x:y z`, `scp -P 2222 a b`, and `sudo -S`",
    ],
)
def test_plain_words_stay(text):
    assert redact(text) == text


def test_known_secrets_go_in_every_spelling():
    secret = Secret('p"ä\n/ß%')
    text = f"{secret.reveal()} | {json.dumps(secret.reveal())} | {secret.reveal()!r} | p%22%C3%A4%0A%2F%C3%9F%25"
    assert redact(text, [secret]) == "*** | \"***\" | '***' | ***"
    assert redact("abcd abc", ["abc", "abcd", ""]) == "*** ***"


@given(st.text(min_size=4, alphabet=st.characters(codec="utf-8")), st.text(), st.text())
def test_a_known_secret_never_passes(secret, before, after):
    text = redact(before + secret + after, [Secret(secret)])
    assert secret not in text.replace("***", "") or set(secret) <= set("*")


@given(st.text())
def test_redacting_twice_is_once(text):
    assert redact(redact(text)) == redact(text)


REPORT = f"""ssh ha -> root@192.168.1.20 port 2222, key /home/anna/.ssh/id_ha ({KEY})
known: [192.168.1.20]:2222, fe80::1%eth0, 2001:db8::5, 127.0.0.1, ::1, 0.0.0.0
at 10:11:12
Accepted publickey for root from 192.168.1.77 port 51234 ssh2: ED25519 SHA256:H0WzrmpRA5roIxlpZTiNAz6oR/W5+ak04qvNptjRaro
Invalid user anna2 from 203.0.113.9 port 5
Invalid user deploy from 203.0.113.9 port 5
house at https://villa-anna.duckdns.org:8123 and http://nas.local, secretname, mac aa:bb:cc:dd:ee:ff
config C:\\Users\\anna\\.ssh\\config, id 0123456789abcdef0123456789abcdef, mail anna@example.org
Ciphers aes256-gcm@openssh.com, versions 2026.11.0, 10.4.0; homeassistant.local
"""


def test_a_report_tells_nothing_of_its_owner_and_can_still_be_read():
    text = for_posting(REPORT, "/home/anna", ["secretname", "192.168.1.20"])
    for word in (
        "anna",
        "192.168",
        "203.0",
        "2001:db8",
        "fe80",
        "AAAA",
        "H0Wz",
        "duckdns",
        "nas.local",
        "secretname",
        "aa:bb",
        "0123456789",
        "deploy",
    ):
        assert word not in text, word
    for word in (
        "~/.ssh/id_ha",
        "port 2222",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "10:11:12",
        "for root from",
        "aes256-gcm@openssh.com",
        "2026.11.0",
        "10.4.0",
    ):
        assert word in text, word


def test_the_same_thing_has_the_same_number():
    text = for_posting("10.0.0.1 10.0.0.2 10.0.0.1", "")
    assert text == "<address-1> <address-2> <address-1>"
    assert for_posting("a@b a@b c@d", "") == "<user@host-1> <user@host-1> <user@host-2>"


def test_a_home_folder_of_windows_goes_in_each_spelling():
    home = r"C:\Users\Ann O"
    text = for_posting(f"{home}\\.ssh {json.dumps(home)} C:/Users/Ann O/x", home)
    assert text == '~\\.ssh "~" ~/x'


def test_a_report_without_a_home_is_left_as_it_is():
    assert for_posting("/ and /root", "/") == "/ and /root"
    assert for_posting("nothing here", "") == "nothing here"


@given(st.ip_addresses())
def test_no_address_passes(address):
    text = for_posting(f"from {address} port 5, [{address}]:22", "")
    if not (address.is_loopback or address.is_unspecified):
        assert str(address) not in text


@given(st.text())
def test_posting_twice_is_once(text):
    once = for_posting(text, "/home/anna", ["villa"])
    assert for_posting(once, "/home/anna", ["villa"]) == once


@pytest.mark.parametrize(
    "command", ["curl -u alex:hunter2 https://x/", "mail anna@example.org -s Zaphod", "WORD=Zaphod run it", "true"]
)
def test_of_the_commands_of_somebody_no_more_than_the_first_word_is_shown(command):
    first = command.split()[0]
    for text in (f"remove the command: `{command}`", f"FATAL: Failed executing init command: {command}"):
        shown = for_posting(text, commands=[command])
        assert shown == for_posting(shown, commands=[command])
        assert shown.endswith((f"{first} …", f"`{first} …`")) or "=" in first or command == "true", shown
        assert not {"hunter2", "anna", "Zaphod"} & set(re.findall(r"\w+", shown)), shown
    assert "hunter2" not in for_posting("Failed executing init command: x hunter2 y")
