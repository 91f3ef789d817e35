"""Runs `ha-ssh` with everything settled that is left to chance, so that its picture is the same every time."""

from __future__ import annotations

import itertools
import platform
import sys
import tempfile

from ha_ssh.__main__ import main
from ha_ssh.sim import running

tempfile._name_sequence = itertools.chain(["house"], map(str, itertools.count()))  # type: ignore[attr-defined]  # noqa: SLF001 - the names of temporary folders are chosen there
platform.node = lambda: "laptop"
running.own_address = lambda: "127.0.0.1"

sys.argv[0] = "ha-ssh"
main()
