"""A doctor's report to show to others: one page of HTML or Markdown, whole in itself, with nothing private in it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ha_ssh.core.model import Consent, Level, StepState
from ha_ssh.core.words import REPORT_MARK
from ha_ssh.show.words import LEVELS, STATES, cause, clean, ending, folded, listing, remedy, sentence, summary, ways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ha_ssh.core.model import Finding, Fix, Report

_HIDDEN = (
    "Addresses, names, keys and the home folder are hidden: what has the same stand-in, such as `<host-1>`, is the same thing. "
    "Read it once before you show it to others."
)

_WELL = "What is well"
_FAILING, _UNSEEN = "only because of it", "not to be seen"


@dataclass(frozen=True)
class Item:
    """One finding as the page shows it."""

    sign: str
    word: str
    says: str
    id: str
    why: str = ""
    seen: tuple[str, ...] = ()
    because: str = ""
    """The root cause, where it is not on the page."""
    remedy: tuple[str, str] = ("", "")
    """What kind of remedy there is, and what it does."""
    instructions: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    """What is not so either, because of it."""
    unseen: tuple[str, ...] = ()
    """The ids of what could not be looked at, because of it."""


@dataclass(frozen=True)
class Part:
    """A heading with what stands below it: sentences, findings, or rows of a table."""

    heading: str
    items: tuple[Item, ...] = ()
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Page:
    """Everything that is on the page, as text."""

    title: str
    lead: tuple[str, ...]
    parts: tuple[Part, ...]


def page_of(report: Report, versions: Mapping[str, str], date: str) -> Page:
    """Return what a report says, the root causes first."""
    trees = folded(report.findings)
    parts = [
        Part("What is wrong", items=tuple(_items(trees, Level.WRONG))),
        Part("What could not be looked at", items=tuple(_items(trees, Level.UNKNOWN)), lines=_left_out(report)),
        Part("What to mind", items=tuple(_items(trees, Level.WARN, Level.NOTE))),
        Part("What was done", lines=tuple(_steps(report))),
        Part(_WELL, items=tuple(_items(trees, Level.OK))),
        Part("Versions", rows=tuple((name, value) for name, value in versions.items() if value)),
    ]
    said = [sentence(summary(report.findings)) if report.findings else "", _outcome(report)]
    if report.error is not None:
        said += [sentence(report.error.message), *map(sentence, report.error.hints)]
    made = f"Made by `ha-ssh doctor` on {date}. {_HIDDEN}"
    kept = tuple(part for part in parts if part.items or part.lines or part.rows)
    return Page("SSH access to Home Assistant: a report", (*(text for text in said if text), made), kept)


def _outcome(report: Report) -> str:
    """Say in a sentence how it stands; the root cause comes first below."""
    return ending(report).replace("above", "below")


def _items(trees: Sequence[tuple[Finding, Sequence[Finding]]], *levels: Level) -> Iterator[Item]:
    for level in levels:
        for finding, followers in trees:
            if finding.level is level:
                yield _item(finding, followers)


def _item(finding: Finding, followers: Sequence[Finding]) -> Item:
    sign, word = LEVELS[finding.level]
    verdict = finding.verdict
    if finding.level is Level.OK:
        return Item(sign, word, verdict.says, finding.id, seen=verdict.evidence)
    fix = remedy(finding)
    how, instructions = _remedy(fix, ways(finding)) if fix else (("", ""), ())
    return Item(
        sign,
        word,
        verdict.says,
        verdict.failure if verdict.failure in {"", finding.id} else f"{finding.id}: {verdict.failure}",
        why=verdict.why,
        seen=verdict.evidence,
        because=cause(finding),
        remedy=how,
        instructions=instructions,
        failing=tuple(follower.verdict.says for follower in followers if follower.level is not Level.UNKNOWN),
        unseen=tuple(follower.id for follower in followers if follower.level is Level.UNKNOWN),
    )


def _remedy(fix: Fix, instructions: tuple[str, ...]) -> tuple[tuple[str, str], tuple[str, ...]]:
    if fix.consent is Consent.TELL or fix.offered:
        return ("for you to decide" if fix.offered else "for you to do", fix.does), instructions
    risk = f", with `--accept-risk {fix.risk}`" if fix.risk else ""
    return ("remedy", f"{fix.does}: `ha-ssh doctor --fix` does it{risk}"), ()


def _left_out(report: Report) -> tuple[str, ...]:
    names = report.extra.get("not_looked_at") or ()
    return (f"Left out on purpose: {listing([f'`{name}`' for name in names])}.",) if names else ()


def _steps(report: Report) -> Iterator[str]:
    for step in report.steps:
        sign, word = STATES[step.state]
        planned = "would be done: " if step.state is StepState.PLANNED else word
        yield f"{sign} {planned}{step.title}"
    for kept in report.kept:
        yield f"kept, since it does no harm: {kept}"


def hidden(page: Page, hide: Callable[[Sequence[str]], Sequence[str]]) -> Page:
    """Return the page with all its text gone through `hide`, at once, so that stand-ins mean the same thing everywhere."""
    texts: list[str] = []

    def collect(text: str) -> str:
        texts.append(clean(text))
        return text

    _each_text(page, collect)
    shown = iter(hide(texts))
    through: Page = _each_text(page, lambda _: next(shown))
    return through


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_each_text(one, change) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(_each_text(getattr(value, one.name), change) for one in fields(value)))
    return value


def written(page: Page, path: str) -> str:
    """Return the page in the language that the file's name asks for."""
    return markdown(page) if path.lower().endswith(".md") else as_html(page)


# ------------------------------------------------------------------------------------------------------------- Markdown


def markdown(page: Page) -> str:
    """Return the page as Markdown, as forums read it."""
    lines = [f"# {_plain(page.title)}", ""]
    for text in page.lead:
        lines += [_plain(text), ""]
    for part in page.parts:
        lines += [f"## {_plain(part.heading)}", ""]
        lines += [f"- {_plain(line)}" for line in part.lines]
        lines += [""] if part.lines else []
        for item in part.items:
            lines += _markdown_item(item)
        lines += ["", *_table(part.rows), ""] if part.rows else [""] if part.items else []
    return "\n".join(lines).rstrip() + f"\n\n<!-- {REPORT_MARK} -->\n"


def _markdown_item(item: Item) -> list[str]:
    name = f" ({_code(item.id)})" if item.id else ""
    lines = [f"- {item.sign} **{item.word}**: {_plain(item.says)}{name}"]
    lines += [f"  - why: {_plain(item.why)}"] if item.why else []
    lines += [f"  - seen: {_code(seen)}" for seen in item.seen]
    lines += [f"  - because: {_plain(item.because)}"] if item.because else []
    lines += [f"  - {item.remedy[0]}: {_plain(item.remedy[1])}"] if item.remedy[0] else []
    lines += [f"    - {_plain(instruction)}" for instruction in item.instructions]
    lines += [f"  - {_FAILING}: {_plain(says)}" for says in item.failing]
    lines += [f"  - {_UNSEEN}: {', '.join(map(_code, item.unseen))}"] if item.unseen else []
    return lines


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    cells = [f"| {_plain(name)} | {_plain(value)} |".replace("\n", " ") for name, value in rows]
    return ["| | |", "|---|---|", *cells]


def _plain(text: str) -> str:
    """Return text that Markdown shows as it stands; what is in backticks stays code."""
    parts = re.split(r"(`[^`\n]+`)", text.replace("\n", " "))
    return "".join(part if part.startswith("`") and len(part) > 1 else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~@])", r"\\\1", text).replace("\\@", "&#64;")


def _code(text: str) -> str:
    """Return text as code, whatever backticks are in it."""
    flat = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    return f"{fence} {flat} {fence}" if "`" in flat else f"`{flat}`"


# ----------------------------------------------------------------------------------------------------------------- HTML

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; }
h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid; }
article { margin: 1rem 0; padding: 0 0 0 1rem; border-left: 3px solid; break-inside: avoid; }
.wrong { border-left-width: 6px; }
.note { border-left-style: dotted; }
h3 { font-size: 1rem; margin: 0; }
dl { margin: .25rem 0 0; }
dt { float: left; clear: left; min-width: 8.5rem; font-style: italic; }
dd { margin: 0 0 .25rem 8.5rem; overflow-wrap: anywhere; }
code { font: .9em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.id { font-weight: normal; opacity: .75; white-space: nowrap; }
td, th { text-align: left; padding: .1rem 1.5rem .1rem 0; vertical-align: top; font-weight: normal; }
ul { margin: 0; padding-left: 1.25rem; }
@media (max-width: 32rem) { dt { float: none; } dd { margin-left: 1rem; } }
@media print { :root { color-scheme: light; } body { margin: 0; max-width: none; font-size: 10pt; } h2 { break-after: avoid; } }
"""


def as_html(page: Page) -> str:
    """Return the page as HTML that needs nothing but itself, neither colour nor a network."""
    title = html.escape(page.title)
    body = [f"<h1>{title}</h1>", *(f"<p>{_rich(text)}</p>" for text in page.lead)]
    for part in page.parts:
        body += ["<section>", f"<h2>{_rich(part.heading)}</h2>"]
        if part.lines:
            body += ["<ul>", *(f"<li>{_rich(line)}</li>" for line in part.lines), "</ul>"]
        body += _html_list(part.items) if part.heading == _WELL else [line for item in part.items for line in _html_item(item)]
        if part.rows:
            rows = (f'<tr><th scope="row">{_rich(name)}</th><td>{_rich(value)}</td></tr>' for name, value in part.rows)
            body += ["<table>", *rows, "</table>"]
        body.append("</section>")
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="generator" content="{REPORT_MARK}">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
    ]
    lines = ["<!DOCTYPE html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", "<main>", *body, "</main>", "</body>"]
    return "\n".join([*lines, "</html>"]) + "\n"


def _html_list(items: Sequence[Item]) -> list[str]:
    """Return what is well as a plain list."""
    lines = []
    for item in items:
        seen = "".join(f"<br><code>{html.escape(seen)}</code>" for seen in item.seen)
        lines.append(
            f'<li>{item.sign} {item.word}: {_rich(item.says)} <span class="id">[{html.escape(item.id)}]</span>{seen}</li>'
        )
    return ["<ul>", *lines, "</ul>"]


def _html_item(item: Item) -> list[str]:
    name = f' <span class="id">[{html.escape(item.id)}]</span>' if item.id else ""
    kind = item.word.replace(" ", "-")
    lines = [f'<article class="{kind}">', f"<h3>{item.sign} {item.word}: {_rich(item.says)}{name}</h3>"]
    rows = [("why", _rich(item.why))] if item.why else []
    rows += [("seen", f"<code>{html.escape(seen)}</code>") for seen in item.seen]
    rows += [("because", _rich(item.because))] if item.because else []
    if item.remedy[0]:
        told = "".join(f"<li>{_rich(one)}</li>" for one in item.instructions)
        rows.append((item.remedy[0], _rich(item.remedy[1]) + (f"<ul>{told}</ul>" if told else "")))
    rows += [(_FAILING, _rich(says)) for says in item.failing]
    if item.unseen:
        rows.append((_UNSEEN, ", ".join(f"<code>{html.escape(id)}</code>" for id in item.unseen)))  # noqa: A001 - a check's id
    if rows:
        lines += ["<dl>", *(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows), "</dl>"]
    return [*lines, "</article>"]


def _rich(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
