"""The least that sets up SSH access: the Supervisor calls, a key, one login. No questions, no checks, no undo, no proof.

    python benchmarks/bare_setup.py URL TOKEN_FILE FOLDER PORT

It is what `ha-ssh setup` is measured against, and no example to follow: it trusts whatever answers.
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

SLUG, OTHER = "core_ssh", "a0d7b954_ssh"


def main(url: str, token_file: str, folder: str, port: str) -> None:
    key, host = Path(folder, "key"), urlsplit(url).hostname or ""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    token, line = (path.read_text(encoding="utf-8").strip() for path in (Path(token_file), key.with_suffix(".pub")))
    asyncio.run(let_in(url, token, port, line))
    asyncio.run(listening(host, port))
    ssh = ["ssh", "-F", "none", "-i", str(key), "-p", port, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    trusting = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known_hosts", f"root@{host}", "true"]
    subprocess.run([*ssh, *trusting], check=True, stdin=subprocess.DEVNULL)


async def let_in(url: str, token: str, port: str, line: str) -> None:
    """Install the app, authorise the key, publish the port, start."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/api/websocket") as ws:
        await ws.receive_json()
        await ws.send_json({"type": "auth", "access_token": token})
        await ws.receive_json()
        count = 0

        async def call(endpoint: str, method: str = "get", data: dict[str, Any] | None = None) -> Any:
            nonlocal count
            count += 1
            command = {"id": count, "type": "supervisor/api", "endpoint": endpoint, "method": method, "timeout": None}
            await ws.send_json(command | ({"data": data} if data else {}))
            while (answer := await ws.receive_json())["id"] != count:
                pass
            if not answer["success"]:
                raise SystemExit(f"{endpoint}: {answer['error']['message']}")
            return answer["result"]

        for looked_at in ("/info", "/supervisor/info", f"/addons/{SLUG}/info", f"/addons/{OTHER}/info"):
            await call(looked_at)
        await call(f"/store/addons/{SLUG}/install", "post")
        options = (await call(f"/addons/{SLUG}/info"))["options"]
        options["authorized_keys"] = [*options["authorized_keys"], line]
        await call(
            f"/addons/{SLUG}/options",
            "post",
            {"options": options, "network": {"22/tcp": int(port)}, "boot": "auto", "watchdog": True},
        )
        await call(f"/addons/{SLUG}/start", "post")
        await call(f"/addons/{SLUG}/info")


async def listening(host: str, port: str) -> None:
    """Wait until something listens: the app's start is answered before its sshd is up."""
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
