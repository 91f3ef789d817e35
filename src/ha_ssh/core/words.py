"""The words that travel: into JSON, into files, over the command line. Light, so that `--help` stays instant."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where in the way from this computer to a shell a truth belongs (for display only)."""

    COMPUTER = "computer"
    HOUSE = "house"
    SIGN_IN = "sign-in"
    SUPERVISOR = "supervisor"
    APP = "app"
    SETTINGS = "settings"
    PORT = "port"
    LOGIN = "login"
    IDENTITY = "identity"
    SESSION = "session"
    ALIAS = "alias"


class Scope(StrEnum):
    """What a truth is about; `setup` converges `access` only."""

    ACCESS = "access"
    HYGIENE = "hygiene"
    SECURITY = "security"


class Level(StrEnum):
    """How a judgement came out; `unknown` (could not look) is never taken for `ok`."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Consent(StrEnum):
    """What a fix needs before it is done: nothing beyond the plan's yes, a named risk, or hands that are not ours."""

    AUTO = "auto"
    ASK = "ask"
    TELL = "tell"


class Risk(StrEnum):
    """The named risks of the contract; there is no general force."""

    LOCK_OUT = "lock-out"
    PASSWORD_OFF = "password-off"  # noqa: S105 - the name of a risk
    HOST_KEY = "host-key"
    PLAIN_HTTP = "plain-http"
    CUT_BRANCH = "cut-branch"
    EXPOSE_PORT = "expose-port"
    LOCAL_SHELL = "local-shell"


class IfFailed(StrEnum):
    """What becomes of a step when a later one fails: harmless progress is kept, everything else is put back."""

    KEEP = "keep"
    PUT_BACK = "put_back"


class StepState(StrEnum):
    """How far a step of a plan came."""

    PLANNED = "planned"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNDONE = "undone"


class Outcome(StrEnum):
    """The `result` word of a run."""

    OK = "ok"
    PLANNED = "planned"
    WRONG = "wrong"
    PUT_BACK = "put_back"
    STUCK = "stuck"
    INTERRUPTED = "interrupted"
    ERROR = "error"


class PasswordWish(StrEnum):
    """What should become of password login: off, as it is, or a new random password."""

    OFF = "off"
    KEEP = "keep"
    GENERATE = "generate"


class KeyKind(StrEnum):
    """The kinds of key that can be made."""

    ED25519 = "ed25519"
    RSA_4096 = "rsa-4096"
    ECDSA = "ecdsa"
    ED25519_SK = "ed25519-sk"


REPORT_MARK = "a report of ha-ssh doctor"
"""What stands, unseen, in a report to show to others, so that it is known again: one of ours may be overwritten."""
