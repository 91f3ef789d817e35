"""What keeps the doctor quick: nothing is loaded, read or asked that it does not need."""

from __future__ import annotations

import subprocess
import sys


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_loading_the_http_client_reads_no_certificates_and_leaves_tls_as_it_was() -> None:
    script = """
import ssl
from ha_ssh.world.ha import web
before = dict(vars(ssl.SSLContext))
web.load()
import aiohttp.connector as connector
assert dict(vars(ssl.SSLContext)) == before
assert connector._SSL_CONTEXT_VERIFIED.verify_mode is ssl.CERT_REQUIRED, "who used it would trust nobody, not everybody"
assert connector._SSL_CONTEXT_VERIFIED.check_hostname
print(len(connector._SSL_CONTEXT_VERIFIED.get_ca_certs()))
"""
    assert run(script) == "0"


def test_offline_loads_no_network_library() -> None:
    script = """
import sys
from ha_ssh.cli.main import main
main(["doctor", "--offline"])
print(sorted({"asyncssh", "aiohttp", "zeroconf", "keyring", "questionary", "rich"} & set(sys.modules)), file=sys.stderr)
sys.stdout = sys.stderr
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"HA_SSH_PROFILE": "/nonexistent", "PATH": "/usr/bin:/bin"},
    )
    assert done.stderr.strip().splitlines()[-1] == "[]", done.stderr
