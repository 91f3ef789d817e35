"""The houses on the network, and those that are remembered: found, listed, chosen, renamed, forgotten."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ha_ssh.ask.questions import Agreement
from ha_ssh.core.errors import Exit, UsageError
from ha_ssh.core.model import Outcome, Report
from ha_ssh.flows.enter import described, look_around

if TYPE_CHECKING:
    from ha_ssh.flows.tools import Found, KnownHouse, Tools


async def discover(tools: Tools) -> Report:
    """Find every Home Assistant on the network; nothing secret goes out."""
    found = await look_around(tools)
    if not found:
        tools.show.say("some networks keep such announcements back (guest Wi-Fi, VPN): give its address with `--url`")
    return Report(command="discover", extra={"houses_found": [_found(house) for house in found]})


def _found(house: Found) -> dict[str, Any]:
    title = described(house).removesuffix(house.url).rstrip(", ") if not house.trouble else described(house)
    return {
        "url": house.url,
        "title": title,
        "name": house.name,
        "version": house.version or None,
        "how": house.how,
        "trouble": house.trouble or None,
        "addresses": list(house.addresses),
    }


async def list_houses(tools: Tools) -> Report:
    """List the remembered houses."""
    every = tools.memory.every()
    if not every:
        tools.show.say("`ha-ssh setup` and `ha-ssh login` remember the house that they are used with")
    return Report(command="houses list", extra={"houses_remembered": [_remembered(tools, house) for house in every]})


def _remembered(tools: Tools, house: KnownHouse) -> dict[str, Any]:
    current = house.name == tools.memory.current
    signed_in = tools.ways.kept(house.url, house.trust) is not None
    words = [
        house.url,
        *(("the current one",) if current else ()),
        "signed in" if signed_in else "not signed in",
        *((f"`ssh {house.alias}`",) if house.alias else ()),
    ]
    return {
        "name": house.name,
        "title": ", ".join(words),
        "url": house.url,
        "current": current,
        "signed_in": signed_in,
        "alias": house.alias,
        "app": house.app,
        "ssh_host": house.ssh_host,
        "identity_file": house.identity,
        "machine_id": house.machine_id,
    }


async def use(tools: Tools) -> Report:
    """Make a house the one that is meant where none is named."""
    house = _named(tools, tools.options.names[0])
    with tools.lock():
        report = _report(tools, "houses use", house, changed=tools.memory.current != house.name)
        if report.result is Outcome.OK:
            tools.memory.use(house.name)
            tools.show.say(f"`{house.name}` ({house.url}) is the current house now")
        return report


async def rename(tools: Tools) -> Report:
    """Give a house another name; nothing else moves, and it is said what keeps its name."""
    house, new = _named(tools, tools.options.names[0]), tools.options.names[1]
    with tools.lock():
        report = _report(tools, "houses rename", house, changed=house.name != new)
        if report.result is Outcome.OK and report.changed:
            tools.memory.rename(house.name, new)
            tools.show.say(f"`{house.name}` is called `{new}` now: `--house {new}`")
            for line in _kept(tools, house):
                tools.show.say(f"unchanged: {line}")
            report.house = (report.house or {}) | {"name": new}
        return report


async def forget(tools: Tools) -> Report:
    """Drop a house and its sign-in from memory; the files and the house itself stay as they are, and that is said."""
    house = _named(tools, tools.options.names[0])
    with tools.lock():
        report = _report(tools, "houses forget", house, changed=True)
        signed_in = tools.ways.kept(house.url, house.trust) is not None
        tools.show.say(f"forgetting `{house.name}` ({house.url}) drops what is remembered of it{', and its sign-in' * signed_in}")
        if signed_in:
            tools.show.say("its session in Home Assistant goes on; `ha-ssh logout` beforehand would end it, too")
        for line in _kept(tools, house):
            tools.show.say(f"stays: {line}")
        if report.result is not Outcome.OK:
            return report
        if await tools.asker.agree(f"Forget `{house.name}`", ()) is not Agreement.YES:
            report.result, report.exit, report.changed = Outcome.PLANNED, Exit.UNANSWERED, False
            return report
        tools.memory.forget(house.name)
        tools.ways.forget(house.url)
        tools.show.say(f"`{house.name}` is forgotten")
        return report


def _kept(tools: Tools, house: KnownHouse) -> list[str]:
    """What a house has in the user's files, a line each; the flows that made them know how to take them out."""
    word = house.id or house.name
    lines = []
    if house.alias:
        lines.append(f"the alias `ssh {house.alias}`, in `{PurePath(tools.places.include_dir) / f'{word}.conf'}`")
        lines.append(f"its host keys, tagged `ha-ssh-{word}`, in `{tools.places.known_hosts}`")
    if house.identity:
        lines.append(f"the key `{house.identity}`")
    return lines


def _named(tools: Tools, name: str) -> KnownHouse:
    house = next((house for house in tools.memory.every() if house.name == name), None)
    if house is None:
        raise UsageError("no-such-house", f"no house `{name}` is remembered", "`ha-ssh houses list` names them")
    return house


def _report(tools: Tools, command: str, house: KnownHouse, *, changed: bool) -> Report:
    about = {"name": house.name, "url": house.url, "core": None, "supervisor": None}
    result = Outcome.PLANNED if tools.options.dry_run else Outcome.OK
    if tools.options.dry_run:
        tools.show.say(f"would be done: `{command}` with `{house.name}`")
    return Report(command=command, result=result, changed=changed, house=about)
