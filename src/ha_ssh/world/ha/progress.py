"""How far a long call of the Supervisor is, from the jobs that it tells about."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from ha_ssh.core.house_facts import dicts
from ha_ssh.core.settings import section

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    OnProgress = Callable[[float | None, str], None]
    """Called with the fraction that is done (0 to 1, `None` while unknown) and what is being done."""


class Progress:
    """How far the job behind one call is: what jobs say becomes a fraction that never goes back."""

    def __init__(self, endpoint: str, tell: OnProgress) -> None:
        found = re.search(r"/(?:addons|apps)/([^/]+)", endpoint)
        self._names = {found[1], f"addon_{found[1]}", f"app_{found[1]}"} if found else None
        self._tell = tell
        self._best: float | None = None
        self._told: tuple[float | None, str] | None = None
        self._from_root = False
        self.heard = False
        """True when an event told something since this was last set to false."""

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the Supervisor."""
        if event.get("event") == "job" and isinstance(job := event.get("data"), dict):
            self.heard = self.take(job) or self.heard

    def take(self, job: Mapping[str, Any]) -> bool:
        """Take the state of a job and its child jobs; returns whether it is about our call."""
        if job.get("done") or (self._names is not None and job.get("reference") not in self._names):
            return False
        percent = job.get("progress")
        if isinstance(percent, int | float) and percent > 0 and not (self._from_root and job.get("parent_id")):
            self._from_root = self._from_root or not job.get("parent_id")
            self._best = max(self._best or 0.0, min(percent / 100, 1.0))
        told = (self._best, str(job.get("stage") or "").replace("_", " "))
        if told != self._told:
            self._told = told
            self._tell(*told)
        for child in dicts(job.get("child_jobs")):
            self.take({"parent_id": job.get("uuid") or "?", **child})
        return True


async def followed(
    call: Coroutine[Any, Any, Any], progress: Progress, get: Callable[[str], Awaitable[Any]], *, every: float
) -> Any:
    """The call's result; meanwhile the jobs are asked for whenever no event told anything for `every` seconds."""
    calling = asyncio.ensure_future(call)
    looking: asyncio.Future[Any] | None = None
    try:
        while not (await asyncio.wait({calling}, timeout=every))[0]:
            if progress.heard:
                progress.heard = False
                continue
            looking = asyncio.ensure_future(get("/jobs/info"))
            await asyncio.wait({calling, looking}, return_when=asyncio.FIRST_COMPLETED)
            if looking.done() and not looking.exception():  # progress is a courtesy: trouble is the call's to tell
                for job in dicts(section({"said": looking.result()}, "said").get("jobs")):
                    progress.take(job)
        return await calling
    finally:
        for task in (calling, looking):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
