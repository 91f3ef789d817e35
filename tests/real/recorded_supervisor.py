"""A Supervisor that only replays what a real one once answered: enough for Core to start and to pass a call on."""

from __future__ import annotations

import json
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# What Core itself asks for when it starts, and no laptop ever does.
CORE_ASKS = {
    "/supervisor/ping": {},
    "/homeassistant/options": {},
    "/supervisor/options": {},
    "/store": {"addons": [], "repositories": []},
    "/ingress/panels": {"panels": {}},
    "/discovery": {"discovery": [], "services": {}},
}
LOG = "[12:00:00] INFO: a line of the app's log\n"


@dataclass(kw_only=True)
class RecordedSupervisor:
    """Where it listens, the token that it accepts, and every call that came in."""

    answers: dict[str, Any]
    address: str = ""
    token: str = field(default_factory=secrets.token_hex)
    calls: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a call by its path alone."""
        self.calls.append((request.method, request.path))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if request.path.endswith("/logs"):
            return web.Response(text=LOG)
        if request.path in self.answers:
            return web.json_response({"result": "ok", "data": self.answers[request.path]})
        return web.json_response({"result": "error", "message": f"nothing was recorded for {request.path}"}, status=400)


def recorded_answers(folder: Path) -> dict[str, Any]:
    """Return what was answered, by path, to the calls about the machine and its parts."""
    recorded = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("02-*.json"))]
    return {each["request"]["endpoint"]: each["answer"]["result"] for each in recorded}


@asynccontextmanager
async def recorded_supervisor(folder: Path, *, host: str = "127.0.0.1") -> AsyncIterator[RecordedSupervisor]:
    """Serve the recorded answers on a port of loopback."""
    supervisor = RecordedSupervisor(answers=CORE_ASKS | recorded_answers(folder))
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", supervisor.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        supervisor.address = f"{host}:{runner.addresses[0][1]}"
        yield supervisor
    finally:
        await runner.cleanup()
