"""Makes the pages of `docs/` that say what the program itself knows, and the picture of it.

    python tools/docs.py [--check]

`--check` changes nothing and fails when a page is not what the program would write now.
"""

from __future__ import annotations

import os
import sys
import tempfile
from difflib import unified_diff
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lived import consent, lived

from ha_ssh.checks import all_checks
from ha_ssh.cli import topics
from ha_ssh.core.left_out import LEFT_OUT
from ha_ssh.core.model import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ha_ssh.core.model import Check, Verdict

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Made by `make docs` from the program itself: edit the program, not this page. -->"

MANY = 10
"""A command with fewer flags than this does not take those that all have in common."""


def explained(name: str) -> str:
    """The page of a topic of `ha-ssh help`."""
    head, rows = topics.explained(name)
    lines = [f"| {', '.join(f'`{part}`' for part in word.split(', '))} | {words} |" for word, words in rows.items()]
    return "\n".join([MADE, "", f"# {name.capitalize().replace('-', ' ')}", "", head, "", "| | |", "|---|---|", *lines, ""])


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
        f"{len({failure for check in every for failure in check.faults})} known failures are recognised by name, each listed",
        "with the truth that it breaks, and with what is said of it in a simulated house. `ha-ssh doctor --demo --scene NAME`",
        "shows any of them. `--fix` *does* what is safe, after one yes, *asks* before what carries a risk, and *tells* the rest.",
        "",
    ]
    verdicts = lived()
    for stage in Stage:
        here = [check for check in every if check.stage is stage]
        if here:
            lines += [f"## {stage.value.capitalize().replace('-', ' ')}", ""]
        for check in here:
            lines += _check(check, verdicts)
    lines += ["## Known failures that are left out", "", "| | |", "|---|---|"]
    lines += [f"| `{failure}` | {sentence(why)} |" for failure, why in sorted(LEFT_OUT.items())]
    return "\n".join([*lines, ""])


def _check(check: Check, verdicts: dict[str, Verdict]) -> list[str]:
    """Return what is said of a check: why it matters, what it looks at, and each way in which it can fail."""
    lines = [f"### {check.title}", "", f"`{check.id}` · {check.scope.value}", "", f"Why: {check.why.rstrip('.')}.", ""]
    does = (check.judge.__doc__ or "").strip().splitlines()
    lines += [*does[:1], ""] if does else []
    if check.rests_on:
        lines += [f"Rests on {', '.join(f'`{other}`' for other in check.rests_on)}.", ""]
    scenes = [*([check.id] if check.break_it else []), *check.faults]
    if not scenes:
        return lines
    lines += ["| scene | what is said | what `--fix` does |", "|---|---|---|"]
    for name in scenes:
        verdict = verdicts[name]
        failure = f" ({verdict.failure})" if verdict.failure not in {"", name} else ""
        said = f"{verdict.level.value}: {verdict.says}"
        lines.append(f"| `{name}`{failure} | {_cell(said)} | {_cell(consent(verdict.fix))} |")
    return [*lines, ""]


def _cell(text: str) -> str:
    """Return text as it may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def commands() -> str:
    """The page of commands: every command with every flag, as `--help` tells them."""
    import typer

    from ha_ssh.cli.app import app

    every = dict(below("ha-ssh", typer.main.get_command(app)))
    flags = {name: [row(flag) for flag in command.params if flag.param_type_name == "option"] for name, command in every.items()}
    shared = set.intersection(*(set(rows) for rows in flags.values() if len(rows) > MANY))
    lines = [MADE, "", "# Commands", ""]
    for name, command in every.items():
        usage = command.get_usage(typer.Context(command, info_name=name)).removeprefix("Usage: ")
        lines += [f"## `{name}`", "", cleandoc(command.help or ""), "", f"`{' '.join(usage.split())}`", ""]
        lines += table([flag for flag in flags[name] if flag not in shared])
    first = next(rows for rows in flags.values() if shared.issubset(rows))
    lines += ["## Flags that every command understands", "", *table([flag for flag in first if flag in shared])]
    return "\n".join(lines)


def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield a command and those below it, by their full names."""
    yield name, command
    for word, other in getattr(command, "commands", {}).items():
        if not other.hidden:
            yield from below(f"{name} {word}", other)


def table(rows: list[str]) -> list[str]:
    """Return the rows of flags under their head; nothing for none."""
    return ["| flag | variable | what it does |", "|---|---|---|", *rows, ""] if rows else []


def row(flag: Any) -> str:
    """Return the row of a flag."""
    value = "" if flag.is_flag or not flag.metavar else f" {flag.metavar}"
    names = " ".join(f"`{name}{value}`" for name in (*flag.opts, *flag.secondary_opts))
    variables = [flag.envvar] if isinstance(flag.envvar, str) else list(flag.envvar or ())
    does = (flag.help or "").replace("|", "\\|")
    return f"| {names} | {' '.join(f'`{name}`' for name in variables)} | {does} |"


def picture() -> str:
    """The picture of a setup: run for real, in a terminal, against a simulated house."""
    from picture import film, svg

    with tempfile.TemporaryDirectory() as folder:
        surroundings = {"HOME": folder, "USER": "ann", "LOGNAME": "ann", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        surroundings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, str(Path(__file__).with_name("filmed.py")), "setup", "--demo"]
        enter = [(question, "\r") for question in ("Which key", "A passphrase", "A short name", "go ahead?")]
        return svg(film(command, environment=surroundings, answers=enter), "ha-ssh setup --demo")


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "checks.md": checks,
    **{f"{name}.md": partial(explained, name) for name in topics.TOPICS},
    "setup.svg": picture,
}


def main(*flags: str) -> int:
    """Write every page, or with `--check` compare them; returns an exit code."""
    stale = []
    for name, make in PAGES.items():
        try:
            page, wanted = DOCS / name, make()
        except RuntimeError as problem:
            print(f"docs/{name} cannot be made: {problem}", file=sys.stderr)
            return 1
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
