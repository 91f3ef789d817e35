"""Makes the pages of `docs/` that say what the program itself knows, and the picture of it.

    python tools/docs.py [--check]

`--check` changes nothing and fails when a page is not what the program would write now.
"""

from __future__ import annotations

import os
import sys
import tempfile
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ha_ssh.checks import all_checks
from ha_ssh.core.errors import Exit
from ha_ssh.core.model import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Made by `make docs` from the program itself: edit the program, not this page. -->"

MEANINGS = {
    Exit.OK: ("well; also: nothing to do, or a dry run", "`ok` `planned`"),
    Exit.WRONG: ("something is wrong or could not be looked at; or a change failed and was put back", "`wrong` `put_back`"),
    Exit.USAGE: ("the command line cannot be understood, or a value is out of range", "`error`"),
    Exit.UNANSWERED: ("an answer, or the agreement to the plan, is missing", "`planned` `error`"),
    Exit.UNREACHABLE: ("the house could not be reached, did not allow it, or cannot do it", "`error`"),
    Exit.STUCK: ("failed, and not everything could be put back: `ha-ssh undo` knows the rest", "`stuck`"),
    Exit.BUG: ("a fault of ha-ssh itself; a private report was written", "`error`"),
    Exit.INTERRUPTED: ("interrupted; what had to be put back was", "`interrupted`"),
}


def exit_codes() -> str:
    """The page of exit codes; raises `KeyError` for a code that nobody has explained."""
    rows = [f"| {code.value} | {MEANINGS[code][0]} | {MEANINGS[code][1]} |" for code in Exit]
    return "\n".join([MADE, "", "# Exit codes", "", "| code | meaning | `result` |", "|---|---|---|", *rows, ""])


def checks() -> str:
    """The page of checks: everything that the doctor looks at, in the order of the way to a shell."""
    every = all_checks()
    lines = [
        MADE,
        "",
        "# What the doctor looks at",
        "",
        f"{len(every)} truths about SSH access, in the order of the way to a shell.",
        "",
    ]
    for stage in Stage:
        here = [check for check in every if check.stage is stage]
        if here:
            lines += [f"## {stage.value.capitalize().replace('-', ' ')}", ""]
        for check in here:
            lines += [f"### {check.title}", "", f"`{check.id}` · {check.scope.value}", "", f"{sentence(check.why)}", ""]
            does = (check.judge.__doc__ or "").strip().splitlines()
            lines += [*does[:1], ""] if does else []
            if check.rests_on:
                lines += [f"Rests on {', '.join(f'`{other}`' for other in check.rests_on)}.", ""]
            if check.break_it:
                lines += [f"See it: `ha-ssh doctor --demo --scene {check.id}`", ""]
    return "\n".join(lines)


def commands() -> str:
    """The page of commands: every command with every flag, as `--help` tells them."""
    import typer

    from ha_ssh.cli.app import app

    lines = [MADE, "", "# Commands", ""]
    for name, command in every_command("ha-ssh", typer.main.get_command(app)):
        flags = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
        arguments = "".join(
            f" {flag.make_metavar(command.context_class(command))}" for flag in flags if flag.param_type_name == "argument"
        )
        lines += [f"## `{name}{arguments}`", "", (command.help or "").strip(), ""]
        rows = [row(flag) for flag in flags if flag.param_type_name == "option"]
        if rows:
            lines += ["| flag | variable | what it does |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def every_command(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield a command and those below it, by their full names."""
    yield name, command
    for word, below in sorted(getattr(command, "commands", {}).items()):
        if not below.hidden:
            yield from every_command(f"{name} {word}", below)


def row(flag: Any) -> str:
    """Return the row of a flag."""
    names = " ".join(f"`{name}`" for name in (*flag.opts, *flag.secondary_opts))
    variables = [flag.envvar] if isinstance(flag.envvar, str) else list(flag.envvar or ())
    does = (flag.help or "").replace("|", "\\|")
    return f"| {names} | {' '.join(f'`{name}`' for name in variables)} | {does} |"


def picture() -> str:
    """The picture of a setup: run for real, in a terminal, against a simulated house."""
    from picture import film, svg

    with tempfile.TemporaryDirectory() as folder:
        surroundings = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": folder,
            "HA_SSH_PROFILE": folder,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        command = ["ha-ssh", "setup", "--demo", "--yes", "--no-input"]
        return svg(film(command, environment=surroundings), " ".join(command))


PAGES = {"exit-codes.md": exit_codes, "checks.md": checks, "commands.md": commands, "setup.svg": picture}


def main(*flags: str) -> int:
    """Write every page, or with `--check` compare them; returns an exit code."""
    stale = []
    for name, make in PAGES.items():
        page, wanted = DOCS / name, make()
        there = page.read_text(encoding="utf-8") if page.is_file() else ""
        if there == wanted:
            continue
        if "--check" in flags:
            stale.append(name)
            print(
                "\n".join(
                    [*unified_diff(there.splitlines(), wanted.splitlines(), f"docs/{name}", "as it is now", n=1, lineterm="")][
                        :20
                    ]
                )
            )
        else:
            page.write_text(wanted, encoding="utf-8")
            print(f"wrote docs/{name}")
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


def sentence(text: str) -> str:
    """Return a text as a sentence."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
