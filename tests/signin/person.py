"""What a person does about signing in: looks for secrets that leaked, plays the browser, sits at the terminal."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pty_screen import PtyScreen

if TYPE_CHECKING:
    from acceptance.computer import Computer, Ended
    from ha_ssh.sim.house import User

AUTHORIZE = re.compile(r"https?://\S+/auth/authorize\?\S+")


def secrets_of(computer: Computer) -> list[str]:
    """Every secret that the house knows: passwords and tokens of all kinds."""
    house = computer.house
    return [*(user.password for user in house.users), *house.tokens, *house.refresh_tokens]


def assert_nothing_leaked(computer: Computer, *ended: Ended | str, but: tuple[str, ...] = ()) -> None:
    """No output, and no file beside those named and the file of secrets, holds a secret of the house."""
    secrets = secrets_of(computer)
    for one in ended:
        text = one if isinstance(one, str) else one.out + one.err
        assert [secret for secret in secrets if secret in text] == []
    for name, (_mode, content) in computer.files(but=("config/secrets.json", *but)).items():
        assert [secret for secret in secrets if secret.encode() in content] == [], name


class Stay(HTTPRedirectHandler):
    """A browser that tells where it is sent instead of going there, as one does that cannot go there."""

    def redirect_request(self, *_: object) -> None:
        return None


def play_the_browser(address: str, user: User, *, go_back: bool = True) -> str:
    """Sign in on the page at an address; returns the page that the browser comes back to, or (without going) its address."""
    form = urlencode({"username": user.username, "password": user.password}).encode()
    if go_back:
        with build_opener().open(Request(address, data=form), timeout=20) as page:
            return str(page.read().decode())
    from urllib.error import HTTPError

    try:
        build_opener(Stay).open(Request(address, data=form), timeout=20)
    except HTTPError as answer:
        with answer:
            return str(answer.headers["Location"])
    raise AssertionError("it was sent nowhere")


def at_the_terminal(computer: Computer, *arguments: str, **more: str) -> PtyScreen:
    """`ha-ssh` at a real terminal of that computer, with plain lines."""
    environment = computer.environment(more)
    return PtyScreen("-m", "ha_ssh", *arguments, "--no-color", env=environment, rows=60)


def plain(screen: PtyScreen) -> str:
    """Everything that came, without the line breaks of the terminal."""
    return screen.raw.decode(errors="replace").replace("\r", "")


def without_display() -> dict[str, str]:
    """Variables that hide every browser of the machine that runs the tests."""
    return dict.fromkeys(("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"), "") if os.name != "nt" else {}
