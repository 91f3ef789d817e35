"""What is settled before anything is asked or changed: the house is awake, lets us in and can do it; which ports are free."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ha_ssh import engine
from ha_ssh.ask.questions import risk_question
from ha_ssh.core.errors import HaSshError, MissingAnswer, UsageError
from ha_ssh.core.facts import Apps, Core, Supervisor, texts
from ha_ssh.core.house_facts import who_answer
from ha_ssh.core.model import Facts, NotKnown, Risk
from ha_ssh.core.settings import section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ha_ssh.core.model import JournalRun, Reader, Show, Want
    from ha_ssh.flows.enter import Entered
    from ha_ssh.flows.tools import Tools

WAKING_SECONDS = 240.0
"""How long a house is waited for that is starting, updating or making a backup."""
_WAKING = frozenset({"not-ready", "core-starting", "supervisor-unreachable"})
"""The errors of a house that wakes up."""


def mind_the_file(tools: Tools, flag: str, path: str | None) -> None:
    """Stop before anything is done where the file that a flag names could not be written at the end."""
    if path is not None and (why := tools.no_room(path)):
        raise UsageError(
            f"unwritable-{flag.removeprefix('--')}", f"{flag}: `{path}`: {why}.", "name another file, or make its folder first"
        )


# ------------------------------------------------------------------------------------------------------------ the house


async def awake(reader: Reader, show: Show, facts: Facts, *, limit: float = WAKING_SECONDS) -> bool:
    """Wait for a house that is starting, saying what for; returns whether there was anything to wait for.

    Raises `HaSshError` (exit 4) when it is not over after `limit` seconds.
    """
    said = asleep(facts)
    if said is None:
        return False
    show.say(f"{said} This waits for it, {limit / 60:g} minutes at the most; nothing is changed until then.")

    async def look() -> bool | None:
        nonlocal said
        try:
            state = str((await reader.supervisor("/info")).get("state") or "running")
        except HaSshError as error:
            if error.code not in _WAKING:
                raise
            said = error.message
        else:
            said = _not_ready(state)
        show.progress("waiting for the Supervisor", None, said or "")
        return True if said is None else None

    if await reader.until("the Supervisor to be ready", look, limit=limit):
        return True
    raise HaSshError("supervisor-not-ready", f"{said} After {limit / 60:g} minutes that is still so.", "try again later")


def asleep(facts: Facts) -> str | None:
    """Return why the house does nothing yet, where that passes by itself."""
    for kind in (Core, Supervisor):
        found: Any = facts.get(kind)
        if isinstance(found, NotKnown) and found.code in _WAKING:
            return found.reason if found.reason.endswith(".") else f"{found.reason}."
    supervisor = facts.get(Supervisor)
    return None if isinstance(supervisor, NotKnown) else _not_ready(supervisor.state)


def _not_ready(state: str) -> str | None:
    return None if state == "running" else f"The Supervisor is not ready: its state is `{state}`."


def refuse_what_cannot_be(facts: Facts) -> None:
    """Stop where the house cannot be reached, does not let us in, or has no apps (exit 4), before anything is asked."""
    for kind in (Core, Supervisor, Apps):
        found: Any = facts.get(kind)
        if isinstance(found, NotKnown):
            where = "" if facts.target.url in found.reason else f"{facts.target.url}: "
            raise HaSshError(found.code, f"{where}{found.reason}", *(found.hints or _hints(found.code)))
    if not facts[Core].state.is_admin:
        raise HaSshError(
            "not-admin",
            f"`{facts[Core].state.user}` is not an administrator of this Home Assistant, so its apps cannot be set up",
            "make the token while you are signed in as an administrator",
        )
    apps = facts[Apps].by_slug.values()
    if not any(app.installed or app.available for app in apps):
        why = dict.fromkeys(app.problem for app in apps if app.problem)
        raise HaSshError(
            "no-ssh-app",
            f"this house offers no SSH app (add-on): {'; '.join(why) or 'its machine is not supported'}",
            "reload the store: Settings, Apps, the store, the menu at the top right; then try again",
        )


def _hints(code: str) -> tuple[str, ...]:
    return {
        "token-refused": ("make a new long-lived token in your Home Assistant profile, Security, at the bottom of the page",),
        "no-supervisor": (
            "apps (add-ons) exist only on Home Assistant OS and Supervised; here, use the machine's own SSH server",
        ),
    }.get(code, ())


async def mind_unhealthy(reader: Reader, facts: Facts, want: Want) -> None:
    """Stop (exit 4) where an app is to be installed that the Supervisor refuses to install, before anything is made for it."""
    if facts[Supervisor].healthy or facts[Apps].chosen(want.app).installed:
        return
    jobs, resolution = await asyncio.gather(_told(reader, "/jobs/info"), _told(reader, "/resolution/info"))
    if "healthy" in (jobs.get("ignore_conditions") or ()):
        return
    reasons = ", ".join(map(str, resolution.get("unhealthy") or ())) or "for a reason that it does not tell"
    raise HaSshError(
        "unhealthy",
        f"the Supervisor calls this system unhealthy ({reasons}) and installs no apps until that is settled",
        "Settings, System, Repairs names the reason and the way out",
    )


async def _told(reader: Reader, endpoint: str) -> dict[str, Any]:
    """Return an answer; empty from a Supervisor that does not know the request."""
    try:
        said = await reader.supervisor(endpoint)
    except HaSshError:
        return {}
    return said if isinstance(said, dict) else {}


# --------------------------------------------------------------------------------------------------- what carries us


async def carried(tools: Tools, reader: Reader, facts: Facts) -> Facts:
    """Return the facts, aimed with the SSH app in mind that carries this run, where one does: a restart would cut it off."""
    app = facts.target.rides_on or await tools.detours.app(tools.flavours) or await _forwarding(reader, facts)
    return facts.aimed_at(replace(facts.target, rides_on=app))


def apps_of(run: JournalRun) -> frozenset[str]:
    """Return the apps of the house that putting a run back would change."""
    return frozenset(str(entry.fields["slug"]) for entry in run.entries if entry.state != "undone" and entry.fields.get("slug"))


async def mind_the_branch(tools: Tools, entered: Entered, run: JournalRun) -> None:
    """Stop before a run is put back where that would restart the very app that carries us, unless the risk is accepted."""
    changed = apps_of(run)
    if not changed or Risk.CUT_BRANCH in tools.options.accepted:
        return
    facts = await engine.look(entered.home, entered.target(tools), tools.journal, always=(Apps,))
    if (await carried(tools, entered.home, facts)).target.rides_on not in changed:
        return
    says = "putting it back restarts the very SSH app that this run reaches the house through"
    if not tools.options.no_input and await tools.asker.ask(risk_question(Risk.CUT_BRANCH, says[0].upper() + says[1:])):
        return
    raise MissingAnswer("risk-not-accepted", says, "add `--accept-risk cut-branch` if that is what you want")


async def _forwarding(reader: Reader, facts: Facts) -> str | None:
    """Return the app that may forward the address of the house: one of this computer's own, and not of the house's."""
    apps = facts.get(Apps)
    host = urlsplit(facts.target.url).hostname or ""
    if isinstance(apps, NotKnown) or not _is_loopback(host):
        return None
    forwarding = [app.slug for app in apps.by_slug.values() if app.running and app.may_be_visited and app.serving.forwarding]
    if not forwarding:
        return None
    network = await _told(reader, "/network/info")
    own = {
        address.partition("/")[0]
        for interface in network.get("interfaces") or ()
        for family in ("ipv4", "ipv6")
        for address in texts(section(interface, family).get("address"))
    }
    return None if host in own else forwarding[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ---------------------------------------------------------------------------------------------------------------- ports


async def taken_ports(reader: Reader, facts: Facts, asked: Iterable[int]) -> dict[int, str]:
    """Return who answers on the ports that an app would get: its own, the suggested one, those that are asked for.

    The ports of the SSH apps that run are theirs, and not among them.
    """
    apps = facts[Apps].by_slug.values()
    up = [app for app in apps if app.installed and not app.down]
    theirs = {app.serving.port for app in up}
    wanted = {app.serving.port or app.flavour.default_port for app in apps if app not in up} | set(asked)
    ports = sorted(port for port in wanted - theirs if port)
    return await who_answer(reader, facts.target.ssh_host, ports)
