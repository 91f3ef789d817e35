"""The way into a house: which one, with which sign-in; asked before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ha_ssh.ask.questions import NotThis, missing, parse_url, token_question, url_question
from ha_ssh.core.errors import MissingAnswer, UsageError
from ha_ssh.core.model import Risk, Target

if TYPE_CHECKING:
    from ha_ssh.core.model import Home
    from ha_ssh.core.secret import Secret
    from ha_ssh.flows.tools import KnownHouse, Tools


@dataclass(frozen=True, kw_only=True)
class Entered:
    """A house whose door is known: the world with it, and what was remembered of it."""

    url: str
    name: str
    home: Home
    known: KnownHouse | None
    token: Secret | None
    asked_for_token: bool = False

    def target(self, tools: Tools) -> Target:
        """What to look at, as far as it was remembered."""
        known, answers = self.known, tools.options.answers
        identity = answers.get("key") if answers.get("key") not in {None, "new", "other"} else known.identity if known else None
        return Target(
            url=self.url,
            ssh_host=tools.options.ssh_host or (known.ssh_host if known else None) or host_of(self.url),
            apps=tools.flavours,
            places=tools.places,
            identity=identity,
            alias=answers.get("alias") or (known.alias if known else None),
            house_id=self.name,
        )


def host_of(url: str) -> str:
    """Return the host of an address; SSH is looked for there."""
    return urlsplit(url).hostname or url


async def enter(tools: Tools) -> Entered:
    """Find out which house is meant and how to sign in there; raises `MissingAnswer` where nobody can say."""
    options, memory = tools.options, tools.memory
    known = memory.find(options.house, options.url)
    url = _checked(options.url) if options.url else known.url if known else None
    if url is None:
        if options.no_input:
            raise missing(url_question())
        url = str(await tools.asker.ask(url_question("http://homeassistant.local:8123")))
        known = memory.find(None, url)
    await _mind_plain_http(tools, url)
    token = options.token or memory.token(url)
    asked = False
    if token is None:
        if options.no_input:
            raise missing(token_question(url))
        token = await tools.asker.secret(token_question(url))
        asked = True
    name = options.house or (known.name if known else memory.name_for(url))
    return Entered(url=url, name=name, home=tools.connect(url, token), known=known, token=token, asked_for_token=asked)


def _checked(url: str) -> str:
    try:
        return parse_url(url)
    except NotThis as no:
        raise UsageError("bad-url", f"--url: {no.says}", *((f"`--url {no.instead}` would do",) if no.instead else ())) from None


async def _mind_plain_http(tools: Tools, url: str) -> None:
    """Refuse to send a sign-in in clear text over the internet, unless that risk was named."""
    if not url.startswith("http://") or Risk.PLAIN_HTTP in tools.options.accepted:
        return
    if await tools.is_public(url):
        raise MissingAnswer(
            "risk-not-accepted",
            f"`{url}` leads over the internet without TLS: everybody on the way could read the sign-in",
            "use an `https://` address",
            "or add `--accept-risk plain-http`",
        )
