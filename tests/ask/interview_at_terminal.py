"""The interview of a fresh house, for a test to sit in front of: prints what was answered."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ha_ssh.ask.askers import Terminal
from ha_ssh.ask.questions import SeenApp, SeenHouse, SeenKey, interview
from ha_ssh.core.errors import MissingAnswer
from ha_ssh.core.model import Risk
from ha_ssh.core.options import Answers
from ha_ssh.core.secret import Secret

HOUSE = SeenHouse(
    apps=(SeenApp(slug="core_ssh", name="Terminal & SSH", short="terminal", default_port=2222),),
    new_key=str(Path("~/.ssh/id_ha_ssh_home").expanduser()),
    keys=(SeenKey(path=str(Path("~/.ssh/id_ed25519").expanduser()), kind="ssh-ed25519"),),
)


async def main(*, plain: bool) -> None:
    asker = Terminal(plain=plain)
    answers, _ = await interview(asker, Answers(), HOUSE)
    agreed = await asker.agree("3 changes", (Risk.PASSWORD_OFF,), changeable=True)
    secret = answers.get("passphrase")
    length = len(secret.reveal()) if isinstance(secret, Secret) else None
    sys.stdout.write(f"key={answers['key']} alias={answers['alias']} passphrase of {length} agreed={agreed}\n")


try:
    asyncio.run(main(plain="--plain" in sys.argv))
except MissingAnswer as missing:
    sys.stdout.write(f"missing: {missing} {missing.hints}\n")
    sys.exit(3)
except KeyboardInterrupt:
    sys.stdout.write("interrupted\n")
    sys.exit(130)
