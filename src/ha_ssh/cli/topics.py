"""What `ha-ssh help TOPIC` explains."""

from __future__ import annotations

from ha_ssh.core.errors import Exit
from ha_ssh.core.risks import RISKS

_RISKS = "risks"
_EXIT_CODES = "exit-codes"
_ENVIRONMENT = "environment"
TOPICS = (_RISKS, _EXIT_CODES, _ENVIRONMENT)

_CODES = {
    Exit.OK: "all is well; also: nothing to do, and a dry run",
    Exit.WRONG: "something is wrong, or a change failed and was put back",
    Exit.USAGE: "a flag or a value that cannot be",
    Exit.UNANSWERED: "an answer, or the agreement, is missing",
    Exit.UNREACHABLE: "the house could not be reached, refused, or cannot do it",
    Exit.STUCK: "failed, and not everything could be put back: `ha-ssh undo`",
    Exit.BUG: "a bug of ours; a private report was written",
    Exit.INTERRUPTED: "interrupted; what had to be put back was",
}

_VARIABLES = {
    "HA_SSH_TOKEN": "the long-lived access token to sign in with, instead of a sign-in that is kept",
    "HA_SSH_LOGIN_USERNAME": "the `--username` of `ha-ssh login`: HA_SSH_USERNAME is the login name of SSH",
    "HA_SSH_PASSPHRASE": "the passphrase of the key",
    "HA_SSH_<FLAG>": "any flag that takes a value or says yes or no: HA_SSH_URL, HA_SSH_YES=1",
    "HA_SSH_NO_KEYRING": "keep secrets in a private file, not in the system's keyring",
    "NO_COLOR, TERM=dumb": "no colour, and nothing that redraws",
}


def explained(name: str) -> tuple[str, dict[str, str]]:
    """Return what a topic is about, and its words with what each means."""
    return {
        _RISKS: (
            "Some changes carry a risk that the yes to a plan does not cover. Accept one by its name: `--accept-risk NAME`.",
            {str(risk): words for risk, words in RISKS.items()},
        ),
        _EXIT_CODES: ("How a command ended, as its exit code.", {str(int(code)): words for code, words in _CODES.items()}),
        _ENVIRONMENT: ("Variables that are read. A flag is stronger than its variable.", _VARIABLES),
    }[name]


def topic(name: str) -> str:
    """Return a topic as text."""
    from ha_ssh.show.words import wrap

    head, rows = explained(name)
    column = max(len(word) for word in rows) + 4
    table = [line for word, words in rows.items() for line in wrap(words, 80, first=f"  {word}".ljust(column))]
    return "\n".join([*wrap(head, 80), "", *table])
