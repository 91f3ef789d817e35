"""Every refusal that was ever recorded has a code of its own, in the words of several releases; nothing secret gets out."""

import json
from pathlib import Path

import pytest

from ha_ssh.core.errors import Refused, Unreachable
from ha_ssh.world.ha.refusals import ROWS, translate

RECORDED = Path(__file__).parent.parent / "recorded"
CODES = {
    "04-a0d7b954_ssh-start-not-installed": "not-installed",
    "04-core_ssh-start-not-installed": "not-installed",
    "05-info-unknown-slug": "no-such-app",
    "05-install-unknown-slug": "not-in-store",
    "05-v2-path": "not-found",
    "06-install-already-installed": "already-installed",
    "06-install-too-short-timeout": "no-answer",
    "06-install-while-installing": "already-installed",
    "08-boot-bad-value": "invalid-options",
    "08-network-port-out-of-range": "invalid-port",
    "08-options-missing-key": "invalid-options",
    "08-options-secret-unknown": "unknown-secret",
    "08-options-string-for-list": "invalid-options",
    "09-stats": "unknown-error",
    "10-logs-over-websocket": "no-answer",
    "11-token-same-name": "unknown-error",
    "13-not-admin-install": "not-admin",
    "13-not-admin-store": "not-admin",
}


def recorded_failures():
    for path in sorted(RECORDED.glob("*.json")):
        answer = json.loads(path.read_text()).get("answer")
        if isinstance(answer, dict) and answer.get("success") is False:
            yield path.stem, answer["error"]


def test_every_recorded_failure_is_known():
    assert {name: translate(error["code"], error["message"]).code for name, error in recorded_failures()} == CODES


@pytest.mark.parametrize(
    ("said", "code", "passing"),
    [
        ("Add-on core_ssh is already installed", "already-installed", False),
        ("Addon is not installed", "not-installed", False),
        ("App Terminal & SSH is not installed", "not-installed", False),
        ("Addon core_ssh does not exist", "no-such-app", False),
        ("Addon core_ssh does not exist in the store", "not-in-store", False),
        ("App a0d7b954_ssh is not available inside store", "not-in-store", False),
        ("Another job is running for job group container_addon_core_ssh", "busy", True),
        ("Another job is running for job group container_app_core_ssh", "busy", True),
        ("Another job is running", "busy", True),
        ("Rate limit exceeded, more than 10 calls in 0:10:00", "throttled", True),
        ("System is not ready with state: setup", "not-ready", True),
        ("System is not ready with state: startup", "not-ready", True),
        ("'AppManager.install' blocked from execution, system is not running - CoreState.FREEZE", "not-ready", True),
        ("'AddonManager.install' blocked from execution, system is not running - startup", "not-ready", True),
        ("'AddonManager.install' blocked from execution, system is not healthy - docker, privileged", "unhealthy", False),
        ("'AddonManager.install' blocked from execution, system is not healthy", "unhealthy", False),
        ("'AppManager.install' blocked from execution, supervisor needs to be updated first", "supervisor-outdated", False),
        ("'x' blocked from execution, plugin(s) dns are not up to date and auto-update is off", "plugins-outdated", False),
        ("'x' blocked from execution, was unable to update plugin(s) dns", "plugins-outdated", False),
        ("'AddonManager.install' blocked from execution, not enough free space (1.3GB) left on the device", "no-space", False),
        ("No space left on disk", "no-space", False),
        ("'AddonManager.install' blocked from execution, no host internet connection", "no-internet", False),
        ("'AddonManager.install' blocked from execution, no supervisor internet connection", "no-internet", False),
        ("Cannot start app core_ssh because port 22 is already in use", "port-in-use", False),
        ("external connectivity: Bind for 0.0.0.0:22 failed: port is already allocated", "port-in-use", False),
        ("failed to listen: listen tcp4 0.0.0.0:22: bind: address already in use", "port-in-use", False),
        ("Add-on core_ssh has invalid options: Missing option 'password' in root. Got {'a': 1}", "invalid-options", False),
        ("Invalid list for option 'authorized_keys' in Terminal & SSH (core_ssh)", "invalid-options", False),
        ("Type error for option 'tcp_forwarding' in Terminal & SSH (core_ssh)", "invalid-options", False),
        ("App core_ssh has invalid options: something never heard of", "invalid-options", False),
        ("extra keys not allowed @ data['bogus']. Got 1", "invalid-options", False),
        ("Unknown secret 'ssh_key' in Terminal & SSH (core_ssh). Got {}", "unknown-secret", False),
        ("App uses pwned secrets!", "pwned", False),
        ("Add-on core_ssh not supported on this platform, supported architectures: aarch64, amd64", "not-supported", False),
        ("App core_ssh not supported on this machine, supported machine types: green", "not-supported", False),
        ("'x' blocked from execution, unsupported system architecture", "not-supported", False),
        ("Your IP address has made too many requests to Docker Hub which activated a rate limit.", "registry-limit", False),
        ("GitHub Container Registry rate limited", "registry-limit", True),
        ("Container registry rate limit exceeded", "registry-limit", True),
        ("Can't install ghcr.io/home-assistant/amd64-addon-ssh:10.4.0: 500", "image-failed", False),
        ("Add-on core_ssh is not running", "app-not-running", False),
        ("An unknown error occurred with app core_ssh. Check supervisor logs", "unknown-error", False),
        ("Unknown error, see supervisor logs", "unknown-error", False),
        ("502: Bad Gateway", "supervisor-unreachable", True),
        ("401: Unauthorized", "forbidden", False),
        ("403", "forbidden", False),
        ("404: Not Found", "not-found", False),
        ("The moon is in the wrong house", "refused", False),
    ],
)  # fmt: skip
def test_the_words_of_several_releases(said, code, passing):
    error = translate("unknown_error", said)
    assert isinstance(error, Refused)
    assert (error.code, error.passing) == (code, passing)


def test_what_was_said_stays_with_the_error():
    assert "The moon" in translate("unknown_error", "The moon is in the wrong house").message
    assert any("port 22" in seen for seen in translate("unknown_error", "port 22 is already in use").evidence)


@pytest.mark.parametrize("name", ["08-options-missing-key", "08-options-secret-unknown", "08-network-port-out-of-range"])
def test_submitted_values_never_come_back(name):
    said = dict(recorded_failures())[name]["message"]
    error = translate("unknown_error", said)
    for text in (error.message, *error.hints, *error.evidence):
        assert "AAAAC3" not in text
        assert "99999" not in text
        assert "Got ***" in text or "Got" not in text


def test_a_secret_in_an_unknown_refusal_stays_hidden():
    error = translate("unknown_error", "Strange settings. Got {'password': 'hunter2',\n 'x': 'hunter3'}")
    assert "hunter" not in "".join((error.message, *error.hints, *error.evidence))


def test_an_empty_refusal_means_nobody_knows():
    error = translate("unknown_error", "")
    assert isinstance(error, Unreachable)
    assert (error.code, error.maybe_done) == ("no-answer", True)
    looking = translate("unknown_error", "", changing=False)
    assert isinstance(looking, Unreachable)
    assert not looking.maybe_done


def test_websocket_codes_speak_for_themselves():
    assert translate("unknown_command", "Unknown command.").code == "no-supervisor"
    assert translate("unauthorized", "Unauthorized").code == "not-admin"


def test_codes_and_words_are_fit_to_be_shown():
    for row in ROWS:
        assert row.code == row.code.lower()
        assert " " not in row.code
        assert row.message.endswith(".")
        assert all(hint.endswith(".") for hint in row.hints)
