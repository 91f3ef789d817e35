"""From the command line to an exit code; the only place where every error ends."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh.core.errors import BugInRun, Exit, HaSshError, UsageError
from ha_ssh.core.options import Options
from ha_ssh.core.words import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ha_ssh.core.model import Report

    Run = Callable[[str, Options], int]


def main(argv: Sequence[str] | None = None, *, run: Run | None = None) -> int:
    """Run `ha-ssh` with these arguments and return its exit code; `run` does what a command is for."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command, options = _guess(arguments)
    try:
        try:
            parsed = parse(arguments)
            if isinstance(parsed, int):
                return parsed
            command, options = parsed
            return int((run or _compose)(command, options))
        except HaSshError as error:
            return _ended(command, options, error)
        except KeyboardInterrupt:
            return _ended(command, options, None)
        except BrokenPipeError:
            return Exit.OK
        except Exception as error:  # noqa: BLE001 - the one broad except: an unknown error becomes a private report
            from ha_ssh.cli.crash import write_report

            path = write_report(error.__cause__ or error if isinstance(error, BugInRun) else error, command, options)
            where = (f"a private report without your secrets is in `{path}`",) if path else ()
            if isinstance(error, BugInRun):
                return _told(error.report, options, where)
            return _ended(
                command, options, HaSshError("bug", "This is a bug of ha-ssh, not a mistake of yours.", *where, exit=Exit.BUG)
            )
    finally:
        _close()


def parse(arguments: Sequence[str]) -> tuple[str, Options] | int:
    """Return the command with its options, or the exit code where nothing is left to do; raises `UsageError`."""
    import typer

    from ha_ssh.cli.app import app_for

    try:
        result = app_for(arguments)(args=list(arguments), prog_name="ha-ssh", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        raise _usage(error, arguments) from None
    if result == Exit.INTERRUPTED:
        raise KeyboardInterrupt
    return result if isinstance(result, tuple | int) else Exit.OK


def _usage(error: Exception, arguments: Sequence[str]) -> UsageError:
    from ha_ssh.show.words import sentence

    command = _command(arguments)
    hints = [f"`ha-ssh {command} --help` lists its flags" if command else "`ha-ssh --help` lists the commands"]
    early = [word for word in arguments[: arguments.index(command)] if word.startswith("-")] if command else []
    if early:
        hints.insert(0, f"flags come after the command: `ha-ssh {command} {early[0]}`")
    unknown = getattr(error, "option_name", None) if hasattr(error, "possibilities") else None
    if unknown is None:
        return UsageError("usage", sentence(getattr(error, "format_message", error.__str__)()), *hints)
    import difflib

    near = difflib.get_close_matches(unknown, getattr(error, "possibilities", None) or (), n=1)
    hints = [f"did you mean `{near[0]}`?", *hints] if near and not early else hints
    return UsageError(
        "usage",
        f"There is no flag `{unknown}` {'here' if early else f'of `{command}`' if command else ''}".rstrip() + ".",
        *hints,
    )


def _command(arguments: Sequence[str]) -> str:
    commands = {"setup", "doctor", "undo", "login", "logout", "discover", "houses", "demo", "help"}
    return next((word for word in arguments if word in commands), "")


def _guess(arguments: Sequence[str]) -> tuple[str, Options]:
    """Return what can be told of the command before it is parsed, so that its first error is already said in JSON."""
    given = arguments[: arguments.index("--")] if "--" in arguments else arguments

    def wanted(flag: str, variable: str) -> bool:
        return flag in given or os.environ.get(variable, "").lower() in {"1", "true", "yes", "on", "t", "y"}

    plain = "--no-color" in given or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return _command(arguments) or "ha-ssh", Options(
        json=wanted("--json", "HA_SSH_JSON"), json_lines=wanted("--json-lines", "HA_SSH_JSON_LINES"), color=not plain
    )


def _ended(command: str, options: Options, error: HaSshError | None) -> int:
    """Tell how a command ended that could not tell it itself (`None`: it was interrupted), and return its exit code."""
    from ha_ssh.core.model import Report
    from ha_ssh.show import show_for

    report = Report(command=command, result=Outcome.INTERRUPTED, exit=Exit.INTERRUPTED)
    if error is not None:
        report.end_by(error)
    show_for(options).report(report)
    return report.exit


def _told(report: Report, options: Options, where: tuple[str, ...]) -> int:
    """Tell how a run came out that a bug ended, and return its exit code."""
    from ha_ssh.show import show_for

    if report.error is not None:
        report.error = replace(report.error, hints=(*report.error.hints, *where))
    show_for(options).report(report)
    return report.exit


def _compose(command: str, options: Options) -> int:
    from ha_ssh import compose

    return compose.run(command, options)


def _close() -> None:
    """Flush what was said; where the reader has left, say no more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
