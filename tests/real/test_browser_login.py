"""`ha-ssh login` with a real browser: Core's own page, a person's name and password, and back on the loopback address."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING

from real.conftest import PASSWORD
from real.test_signin_real import Somebody

if TYPE_CHECKING:
    from pathlib import Path

    from real.browser import Page
    from real.core import RealCore, SignedIn


async def test_login_ends_signed_in_when_the_browser_has_come_back(
    core: RealCore, owner: SignedIn, page: Page, tmp_path: Path
) -> None:
    somebody = Somebody(tmp_path / "computer", core.url)
    pipe = asyncio.subprocess.PIPE
    login = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ha_ssh", "login", "--url", core.url, "--no-browser", "--json"),
        env=somebody.environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
    )
    assert login.stderr is not None
    shown = None
    async with asyncio.timeout(30):
        while shown is None:
            line = (await login.stderr.readline()).decode()
            assert line, "it ended without an address"
            shown = re.search(r"http\S+/auth/authorize\?\S+", line)
    await page.goto(shown[0])
    await page.type("input[name=username]", "ann")
    await page.type("input[name=password]", PASSWORD)
    await page.press_enter()
    await page.until("document.body && document.body.innerText.includes('You can close this tab')")
    assert (await page.address()).startswith("http://127.0.0.1:")
    out, err = await login.communicate()
    assert login.returncode == 0, err.decode()
    assert json.loads(out)["login"] == {"user": "Ann", "admin": True}
    assert PASSWORD not in (out + err).decode()

    looked = await somebody.ha_ssh("doctor", "--only", "signed-in-admin")
    assert looked.code == 0, looked
    gone = await somebody.ha_ssh("logout")
    assert (gone.code, gone.report["changed"]) == (0, True), gone
