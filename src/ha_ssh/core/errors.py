"""The errors that people see: a code for scripts, a message, the way out, an exit code."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ha_ssh.core.model import Report


class Exit(IntEnum):
    """The exit codes of the contract (docs/cli.md)."""

    OK = 0
    WRONG = 1
    USAGE = 2
    UNANSWERED = 3
    UNREACHABLE = 4
    STUCK = 5
    BUG = 70
    INTERRUPTED = 130


SIGN_IN_ENDED = frozenset({"ip-banned", "session-expired", "signed-out", "token-refused"})
"""The codes of a sign-in that the house does not take, or takes no more."""
CORE_IS_DOWN = frozenset(
    {"connection-refused", "core-not-answering", "dropped", "front-error", "no-route", "server-error", "timed-out"}
)
"""The codes of a Core that does not answer, though the house may be up."""


class HaSshError(Exception):
    """Something that ends the command, said once: `code` is stable, `hints` are the ways out, `evidence` is what was seen."""

    def __init__(
        self,
        code: str,
        message: str,
        *hints: str,
        exit: Exit = Exit.UNREACHABLE,  # noqa: A002 - the house style names it so
        evidence: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hints = hints
        self.exit = exit
        self.evidence = evidence

    def after(self, words: str, *evidence: str) -> Self:
        """Return itself with words before its message, and with what was seen before."""
        self.message = f"{words} {self.message}"
        self.args = (self.message,)
        self.evidence = (*evidence, *self.evidence)
        return self


class BugInRun(Exception):
    """A bug of ours that ended a run (its cause); `report` says what the run did, and what of it was put back."""

    def __init__(self, report: Report) -> None:
        super().__init__("a bug ended the run")
        self.report = report


class UsageError(HaSshError):
    """A value that cannot be: the message names the flag and the cause (exit 2)."""

    def __init__(self, code: str, message: str, *hints: str) -> None:
        super().__init__(code, message, *hints, exit=Exit.USAGE)


class MissingAnswer(HaSshError):
    """An answer or an agreement that nobody is there to give (exit 3)."""

    def __init__(self, code: str, message: str, *hints: str) -> None:
        super().__init__(code, message, *hints, exit=Exit.UNANSWERED)


class Unreachable(HaSshError):
    """The house, or a part of it, did not answer; `maybe_done` says that a change may have taken effect all the same.

    It is `passing` where the same look may succeed a moment later.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *hints: str,
        maybe_done: bool = False,
        passing: bool = True,
        evidence: tuple[str, ...] = (),
    ) -> None:
        super().__init__(code, message, *hints, exit=Exit.UNREACHABLE, evidence=evidence)
        self.maybe_done = maybe_done
        self.passing = passing


class Refused(HaSshError):
    """The house answered no; nothing was changed by the refused call."""

    def __init__(self, code: str, message: str, *hints: str, passing: bool = False, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, *hints, exit=Exit.UNREACHABLE, evidence=evidence)
        self.passing = passing


class UnknownCertificate(Unreachable):
    """A TLS certificate that nobody vouches for; `fingerprint` (SHA-256) is what could be pinned for `url`."""

    def __init__(self, code: str, message: str, *hints: str, url: str, fingerprint: str) -> None:
        super().__init__(code, message, *hints, passing=False)
        self.url = url
        self.fingerprint = fingerprint
