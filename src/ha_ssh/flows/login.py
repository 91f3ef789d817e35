"""Sign in once for all later runs, make a token for a script, and sign out again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ha_ssh.ask.questions import anew_question, secret_out_question
from ha_ssh.core.errors import Exit, HaSshError, MissingAnswer, UsageError
from ha_ssh.core.model import Outcome, Report
from ha_ssh.flows.enter import come_in, meet, where_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.core.model import CoreState
    from ha_ssh.core.secret import Secret
    from ha_ssh.flows.enter import Entered, Met
    from ha_ssh.flows.tools import Credentials, Tools

_LONGEST = 3650
"""Days that a token may last: ten years, as on Home Assistant's own page."""
_DEAD = frozenset({"signed-out", "token-refused"})
"""The errors of a sign-in that Home Assistant has ended."""


async def login(tools: Tools) -> Report:
    """Sign in to a house and stay signed in; with `--make-token`, make a long-lived token, too."""
    options = tools.options
    if options.make_token is not None and not 1 <= options.days <= _LONGEST:
        raise UsageError(
            "bad-days", f"--days: {options.days} is no number of days from 1 to {_LONGEST}.", "`--days 365` would do"
        )
    if options.make_token is not None and not options.make_token.strip():
        raise UsageError(
            "bad-token-name", "--make-token: the name is empty.", "name what the token is for: `--make-token backup`"
        )
    if options.dry_run:
        met = await meet(tools)
        return _planned(tools, met, anew=await _wanted_anew(tools, met))
    with tools.lock(), await _room_for_a_token(tools) as write:
        met = await meet(tools)
        anew = await _wanted_anew(tools, met)
        entered = await come_in(tools, met, anew=anew)
        if entered.credentials is None:
            raise HaSshError(
                "nobody-signs-in-here",
                f"Inside the house nobody signs in: its Supervisor at {entered.url} knows this app by its own token.",
                "name the address of Home Assistant: `--url URL`",
                exit=Exit.USAGE,
            )
        who = await _administrator(entered)
        news = await _remember(tools, entered)
        if write is not None:
            name, days = str(options.make_token), options.days
            made = await tools.ways.make_token(entered.url, entered.credentials, entered.trust, name, days)
            write(made)
            tools.show.say(f"the token `{options.make_token}` lasts {options.days} days; it is in `{options.secret_out}`")
    if not options.once:
        tools.show.say(_how_long(entered.credentials))
    report = _report("login", entered, who)
    report.changed = (anew and not options.once) or news or write is not None
    return report


def _planned(tools: Tools, met: Met, *, anew: bool) -> Report:
    options = tools.options
    would = [f"sign in to {met.url}"] if anew else []
    would += [f"make the token `{options.make_token}` for {options.days} days"] if options.make_token else []
    if would:
        tools.show.say(f"would {', and '.join(would)}")
    return Report(command="login", result=Outcome.PLANNED, changed=bool(would), house=_house(met))


async def _wanted_anew(tools: Tools, met: Met) -> bool:
    """Whether to sign in: where a way was named, where nobody is signed in any more, or where a person wants to all the same."""
    options = tools.options
    if options.token is not None or options.username or options.password is not None or options.browser is not None:
        return True
    kept = None if met.inside else tools.ways.kept(met.url, met.trust)
    if kept is None:
        return True
    try:
        who = await tools.connect(met.url, kept, met.trust).core()
    except HaSshError as error:
        if error.code not in _DEAD:
            raise
        tools.show.say(error.message)
        return True
    if options.make_token is not None:
        return False
    if not (options.no_input or options.dry_run):
        return bool(await tools.asker.ask(anew_question(who.user, met.url)))
    tools.show.say(f"`{who.user}` is signed in to {met.url} already")
    return False


def _how_long(credentials: Credentials) -> str:
    """Say until when this computer gets in."""
    if credentials.is_session:
        return "this computer stays signed in until `ha-ssh logout`"
    return (
        "the token is kept here until `ha-ssh logout`, which cannot end it: "
        f"it opens the house until it expires or is deleted. {where_to_end(credentials)}"
    )


async def _room_for_a_token(tools: Tools) -> contextlib.AbstractContextManager[Callable[[Secret], None] | None]:
    """The file for the token, held ready before anybody signs in; none where no token is wanted."""
    options = tools.options
    if options.make_token is None:
        return contextlib.nullcontext()
    path = options.secret_out
    if path is None:
        if options.no_input:
            raise MissingAnswer(
                "missing-secret-out",
                "--make-token: nobody said where to write the token, and it is never shown.",
                "give `--secret-out FILE`, or set `HA_SSH_SECRET_OUT`",
            )
        path = str(await tools.asker.ask(secret_out_question(options.make_token)))
    return tools.secret_file(path)


async def _administrator(entered: Entered) -> CoreState:
    who = await entered.home.core()
    if not who.is_admin:
        raise HaSshError(
            "not-admin",
            f"`{who.user}` is not an administrator of this Home Assistant, so nothing can be set up in that name.",
            "sign in as an administrator: Settings -> People says who is one",
        )
    return who


async def _remember(tools: Tools, entered: Entered) -> bool:
    """Write the house down, with the machine that it is, as far as that can be seen; returns whether anything of it is news."""
    known: dict[str, Any] = {"name": entered.name, "url": entered.url, "trust": entered.trust}
    try:
        machine = (await entered.home.supervisor("/info")).get("machine_id")
    except HaSshError:  # one without a Supervisor can be signed in to; `setup` says what it cannot do
        machine = None
    if machine:
        known["machine_id"] = machine
    if tools.options.once:
        return False
    tools.memory.remember(**known)
    return any(getattr(entered.known, name, None) != value for name, value in known.items())


async def logout(tools: Tools) -> Report:
    """End the session in the house, and forget it here."""
    with tools.lock():
        known = tools.memory.find(tools.options.house, tools.options.url)
        url = known.url if known else tools.ways.likeliest(tools.options.url) if tools.options.url else None
        if url is None:
            raise MissingAnswer("missing-url", "No house is named, and none is remembered.", "give `--house NAME` or `--url URL`")
        trust = tools.options.trust or (known.trust if known else tools.options.trust)
        kept = tools.ways.kept(url, trust)
        report = Report(command="logout", house=None if known is None else _house_named(known.name, known.url))
        if kept is None:
            tools.show.say(f"nobody is signed in to {url} from this computer")
            return report
        report.changed = True
        if tools.options.dry_run:
            tools.show.say(f"would sign out of {url}")
            report.result = Outcome.PLANNED
            return report
        if not await _ended(tools, kept, url):
            tools.show.say(f"the long-lived token still opens the house. {where_to_end(kept)}")
        tools.ways.forget(url)
        tools.show.say(f"signed out of {url}")
        return report


async def _ended(tools: Tools, kept: Any, url: str) -> bool:
    try:
        return await tools.ways.revoke(kept)
    except HaSshError as error:
        raise HaSshError(
            error.code,
            f"The session could not be ended, so it is still kept here: {error.message}",
            *error.hints,
            f"Or in Home Assistant: {where_to_end(kept)} Then drop it here with `ha-ssh houses forget NAME`.",
            exit=Exit.UNREACHABLE,
        ) from error


def _report(command: str, entered: Entered, who: CoreState) -> Report:
    house = _house(entered) | {"core": who.version}
    return Report(command=command, house=house, extra={"login": {"user": who.user, "admin": who.is_admin}})


def _house(met: Met) -> dict[str, Any]:
    return _house_named(met.name, met.url)


def _house_named(name: str, url: str) -> dict[str, Any]:
    return {"name": name, "url": url, "core": None, "supervisor": None}
