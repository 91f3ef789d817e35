"""What people type becomes the address of a house, or a clear error."""

import pytest

from ha_ssh.core.errors import UsageError
from ha_ssh.world.ha.address import base_of, candidates, host_of, is_public, normalise_url, origin_of, safe_redirect


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("homeassistant.local", "http://homeassistant.local:8123"),
        ("  HomeAssistant.local/ ", "http://homeassistant.local:8123"),
        ("ha", "http://ha:8123"),
        ("192.168.1.20", "http://192.168.1.20:8123"),
        ("192.168.1.20:80", "http://192.168.1.20"),
        ("192.168.1.20:443", "https://192.168.1.20"),
        ("fd00::20", "http://[fd00::20]:8123"),
        ("[fd00::20]:80", "http://[fd00::20]"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:8123"),
        ("http://homeassistant.local", "http://homeassistant.local"),
        ("http://homeassistant.local:8123/lovelace/0?edit=1#x", "http://homeassistant.local:8123"),
        ("https://ha.example.com:443/config/dashboard", "https://ha.example.com"),
        ("https://ha.example.com:8123", "https://ha.example.com:8123"),
        ("ha.example.com", "https://ha.example.com"),
        ("ha.example.com:8123", "http://ha.example.com:8123"),
        ("abc.ui.nabu.casa", "https://abc.ui.nabu.casa"),
        ("ws://ha.local:8123/api/websocket", "http://ha.local:8123"),
        ("wss://ha.local/api/websocket", "https://ha.local"),
        ('"http://ha.local:8123"', "http://ha.local:8123"),
        ("<http://ha.local:8123>", "http://ha.local:8123"),
        ("münchen.local", "http://münchen.local:8123"),
    ],
)
def test_an_address_as_people_type_it(typed, url):
    assert normalise_url(typed) == url
    assert normalise_url(url) == url


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "http://",
        "a b",
        "ftp://ha.local",
        "ha:99999",
        "ha:0",
        "ha:http",
        "999.1.1.1",
        "-x",
        "a..b",
        "http://x$y",
        "[::1",
        "file:///etc",
        "\x00",
    ],
)
def test_nonsense_is_refused_and_names_the_flag(typed):
    with pytest.raises(UsageError, match="--url") as refused:
        normalise_url(typed)
    assert refused.value.code == "bad-url"


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(UsageError) as refused:
        normalise_url("http://ann:hunter2@ha.local")
    assert "hunter2" not in str(refused.value)


def test_only_what_was_left_open_is_guessed():
    assert candidates("http://ha.local") == ("http://ha.local",)
    assert candidates("ha.local:8123") == ("http://ha.local:8123",)
    assert candidates("ha.local") == ("http://ha.local:8123", "http://ha.local", "https://ha.local", "https://ha.local:8123")
    assert candidates("abc.ui.nabu.casa") == ("https://abc.ui.nabu.casa",)


def test_a_path_is_a_proxys_or_a_pages():
    assert candidates("https://ha.example.com/ha/") == ("https://ha.example.com/ha", "https://ha.example.com")
    assert candidates("http://h:1/a/b?c=d#e") == ("http://h:1/a/b", "http://h:1")
    assert base_of("https://HA.example.com:443/ha/?x#y") == "https://ha.example.com/ha"


def test_a_name_of_the_internet_is_never_guessed_without_tls():
    assert all(url.startswith("https:") for url in candidates("ha.example.com"))


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/other", "http://ha.local:8123/other"),
        ("http://ha.local/manifest.json", "http://ha.local/manifest.json"),
        ("https://ha.local/manifest.json", "https://ha.local/manifest.json"),
        ("http://evil.example/manifest.json", None),
        ("//evil.example/", None),
        ("http://ann@ha.local/", None),
        ("ftp://ha.local/", None),
        ("http://ha.local:99999/", None),
        ("javascript:alert(1)", None),
    ],
)
def test_redirects_stay_on_the_host(location, there):
    assert safe_redirect("http://ha.local:8123/manifest.json", location) == there


def test_redirects_never_leave_tls():
    assert safe_redirect("https://ha.local/manifest.json", "http://ha.local/manifest.json") is None
    assert safe_redirect("https://ha.local/manifest.json", "https://ha.local:8123/x") == "https://ha.local:8123/x"


def test_public_is_what_the_internet_can_see():
    assert is_public(["192.168.1.2", "8.8.8.8"])
    assert is_public(["2001:4860:4860::8888"])
    assert not is_public(["192.168.1.2", "10.0.0.1", "127.0.0.1", "169.254.3.4", "100.64.1.1", "fd00::1", "fe80::1", "::1"])
    assert not is_public([])


def test_parts_of_an_address():
    assert origin_of("https://HA.local:443/api/?x") == "https://ha.local"
    assert host_of("http://[fd00::1]:8123") == "fd00::1"
