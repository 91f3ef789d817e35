"""A headless Chromium with one page, driven by its own DevTools protocol: enough to sign in on a web page as a person would."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Without the background flags Chromium asks the network for many things of its own, which a closed network refuses.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=800,900",
    "--remote-debugging-port=0",
)

# Home Assistant's page nests its fields in shadow roots, which no selector of a document crosses.
FIND = """
function find(selector, root = document) {
  const here = root.querySelector(selector);
  if (here) return here;
  for (const element of root.querySelectorAll("*")) {
    const inside = element.shadowRoot && find(selector, element.shadowRoot);
    if (inside) return inside;
  }
  return null;
}
"""

READ = """
function all(root) {
  return [...root.childNodes].map((node) => node.nodeType == 3 ? node.data
    : ["STYLE", "SCRIPT"].includes(node.nodeName) ? "" : all(node.shadowRoot || node)).join(" ");
}
"""


class Page:
    """The one page of a browser; selectors reach into shadow roots."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0

    async def listen(self) -> None:
        """Hand each answer to the call that waits for it, until the browser goes."""
        async for message in self._socket:
            answer = json.loads(message.data)
            waiting = self._waiting.pop(answer.get("id"), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call the browser; raises `RuntimeError` with its words when it refuses."""
        self._count += 1
        waiting = self._waiting[self._count] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        answer = await waiting
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def evaluate(self, script: str) -> Any:
        """Run JavaScript in the page and return its value."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", script))
        return answer["result"].get("value")

    async def goto(self, url: str) -> None:
        """Open an address."""
        await self.call("Page.navigate", url=url)

    async def until(self, condition: str, *, limit: float = 20.0) -> Any:
        """Return the value of a JavaScript expression once it is true, also across a change of page."""
        script = f"""{FIND} new Promise((yes) => {{
          const look = () => {{ const seen = ({condition}); if (seen) yes(seen); else setTimeout(look, 50); }}; look(); }})"""
        async with asyncio.timeout(limit):
            while True:
                # A change of page takes the running script with it: "Inspected target navigated or closed" and its like.
                with suppress(RuntimeError):
                    return await self.evaluate(script)

    async def type(self, selector: str, text: str) -> None:
        """Type into a field once it is there."""
        await self.until(f"find({selector!r}) && (find({selector!r}).focus(), true)")
        await self.call("Input.insertText", text=text)

    async def press_enter(self) -> None:
        """Press Enter where the focus is."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    async def address(self) -> str:
        """Where the page is."""
        return str(await self.evaluate("location.href"))

    async def text(self) -> str:
        """What a person reads on it, shadow roots included."""
        return str(await self.evaluate(f"({READ})(document.body).replace(/\\s+/g, ' ')"))

    async def picture(self) -> bytes:
        """What is seen, as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """Start a browser with an empty profile in `folder`, and end it; raises `FileNotFoundError` where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise FileNotFoundError("no Chromium on the PATH: run `python3 tools/system.py real`")
    process = await asyncio.create_subprocess_exec(
        *(program, *FLAGS, f"--user-data-dir={folder}", "about:blank"),
        env=os.environ | {"HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while not (line := (await process.stderr.readline()).decode(errors="replace")).startswith("DevTools listening on "):
                if not line:
                    raise RuntimeError("Chromium ended before it listened")
        drain = asyncio.create_task(process.stderr.read())
        port = line.split("127.0.0.1:")[1].split("/")[0]
        async with aiohttp.ClientSession() as session:
            pages = await (await session.get(f"http://127.0.0.1:{port}/json/list")).json()
            address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    yield page
                finally:
                    listening.cancel()
                    drain.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
