"""Who puts the questions: a terminal with arrow keys or plain lines, nobody, or a test."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ha_ssh.ask.questions import Agreement, Choice, Kind, NotThis, Question, missing, show_answer
from ha_ssh.core.errors import MissingAnswer
from ha_ssh.core.options import Source
from ha_ssh.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ha_ssh.core.model import Risk

_AGREE = "agreement"


def no_agreement() -> MissingAnswer:
    """Return the error for a plan that nobody is there to agree to."""
    return MissingAnswer(
        _AGREE,
        "Nothing was changed: the plan waits for your agreement.",
        "agree with `--yes`, or set `HA_SSH_YES=1`",
    )


class NoTerminal:
    """Nobody is there: every default is taken, what has none is refused by the name of its flag and variable."""

    source = Source.DEFAULT

    def __init__(self, *, yes: bool = False) -> None:
        self._yes = yes

    async def ask(self, question: Question) -> Any:
        """Return the default; raises `MissingAnswer` where there is none."""
        if question.default is None:
            raise missing(question)
        return question.default

    async def secret(self, question: Question) -> Secret:
        """Return the default; raises `MissingAnswer` where there is none."""
        answer: Secret = await self.ask(question)
        return answer

    async def agree(self, summary: str, risks: Sequence[Risk], *, changeable: bool = False) -> Agreement:
        """Agree when `--yes` was given; raises `MissingAnswer` otherwise."""
        if not self._yes:
            raise no_agreement()
        return Agreement.YES

    def complain(self, says: str) -> None:
        """Nobody is there to hear it."""


class Scripted:
    """A test that answers, each question once, by its id; what was typed goes through the question's own validation."""

    source = Source.ASKED

    def __init__(self, answers: Mapping[str, Any] | None = None, *, agree: Sequence[Agreement] = (Agreement.YES,)) -> None:
        self._answers = {id: list(told) if isinstance(told, list) else [told] for id, told in (answers or {}).items()}  # noqa: A001 - the word that is used everywhere
        self._agree = list(agree)
        self.asked: list[str] = []
        """The questions that were put, in order."""
        self.complaints: list[str] = []
        """What was said about answers that could not be."""

    async def ask(self, question: Question) -> Any:
        """Return the next answer for this question; a string is typed, anything else is taken as it is."""
        self.asked.append(question.id)
        while True:
            if not self._answers.get(question.id):
                raise AssertionError(f"no answer for the question {question.id!r}: {question.text}")
            told = self._answers[question.id].pop(0)
            try:
                return question.pick(told) if isinstance(told, str) else told
            except NotThis as no:
                self.complain(no.says)

    async def secret(self, question: Question) -> Secret:
        """Return the next secret."""
        answer: Secret = await self.ask(question)
        return answer

    async def agree(self, summary: str, risks: Sequence[Risk], *, changeable: bool = False) -> Agreement:
        """Return the next agreement."""
        self.asked.append("agree")
        if not self._agree:
            raise AssertionError("asked for agreement once too often")
        return self._agree.pop(0)

    def complain(self, says: str) -> None:
        """Keep the complaint."""
        self.complaints.append(says)

    def finish(self) -> None:
        """Fail when an answer was prepared that nobody asked for."""
        left = [id for id, told in self._answers.items() if told]  # noqa: A001 - the question's id
        if left:
            raise AssertionError(f"never asked: {', '.join(left)}")


class Terminal:
    """A person at a terminal: arrow keys and typing by questionary, plain lines where nothing may redraw."""

    source = Source.ASKED

    def __init__(
        self,
        *,
        yes: bool = False,
        plain: bool = False,
        before: Callable[[], None] = lambda: None,
        input: Any = None,  # noqa: A002 - prompt_toolkit's word
        output: Any = None,
    ) -> None:
        self._yes = yes
        self._plain = plain or os.environ.get("TERM") == "dumb"
        self._before = before
        self._input = input
        self._output = output
        self._lines = _Lines()

    async def ask(self, question: Question) -> Any:
        """Put a question until its answer is valid; Ctrl-C raises `KeyboardInterrupt`, the end of input `MissingAnswer`."""
        self._before()
        if question.why:
            gap = "" if question.id == _AGREE else "\n"  # a plan ends with an empty line
            self._write(gap + _indented(question.why))
        while True:
            try:
                if question.kind is Kind.SECRET:
                    return await self._secret(question)
                return await (self._ask_nicely(question) if self._redraws() else self._ask_plainly(question))
            except NotThis as no:
                self.complain(no.says if no.instead is None else f"{no.says} Perhaps `{no.instead}`?")

    async def secret(self, question: Question) -> Secret:
        """Ask for a secret without showing it; a new one is typed twice."""
        answer: Secret = await self.ask(question)
        return answer

    async def agree(self, summary: str, risks: Sequence[Risk], *, changeable: bool = False) -> Agreement:
        """Ask for the one yes; with `--yes` it is given already."""
        if self._yes:
            return Agreement.YES
        return Agreement(await self.ask(_agreement(summary, risks, changeable=changeable)))

    def complain(self, says: str) -> None:
        """Say what is the matter, on a line of its own."""
        self._write(_indented(says))

    def _redraws(self) -> bool:
        """True where prompts may redraw: a console is there, and nobody asked for plain lines."""
        if self._plain:
            return False
        self._output = self._output or _console()
        self._plain = self._output is None
        return not self._plain

    # ------------------------------------------------------------------------------------------------- with questionary

    async def _ask_nicely(self, question: Question) -> Any:
        import questionary

        if question.kind is Kind.CONFIRM:
            return await self._run(
                lambda ends: questionary.confirm(question.text, default=bool(question.default), style=_style(), **ends), question
            )
        if question.kind is Kind.CHOICE:
            choices = [questionary.Choice(choice.label, choice.value) for choice in question.choices]
            default = next((choice for choice in choices if choice.value == question.default), None)
            return await self._run(
                lambda ends: questionary.select(
                    question.text,
                    choices,
                    default=default,
                    instruction="(arrow keys or a number, then Enter)",
                    use_shortcuts=len(choices) <= 30,
                    use_jk_keys=False,
                    qmark="?",
                    style=_style(),
                    **ends,
                ),
                question,
            )
        present = "" if question.default is None else show_answer(question, question.default)
        typed = await self._run(
            lambda ends: questionary.text(
                question.text,
                instruction=f"[{present}]" if present else None,
                style=_style(),
                **ends,
            ),
            question,
        )
        return question.pick(typed) if typed.strip() or question.default is None else question.default

    async def _secret(self, question: Question) -> Secret:
        first = await self._hidden(question, question.text)
        if not first and question.default is not None:
            return Secret("")
        if question.twice and await self._hidden(question, "Once more, to be sure:") != first:
            raise NotThis("The two were not the same.")
        answer = question.validate(first)
        return answer if isinstance(answer, Secret) else Secret(first)

    async def _hidden(self, question: Question, text: str) -> str:
        if self._redraws():
            return await self._hidden_nicely(question, text)
        return await self._line(f"? {text} (not shown) ", question, echo=False)

    async def _hidden_nicely(self, question: Question, text: str) -> str:
        import questionary

        answer: str = await self._run(lambda ends: questionary.password(text, style=_style(), **ends), question)
        return answer

    async def _run(self, build: Callable[[dict[str, Any]], Any], question: Question) -> Any:
        ends = {"output": self._output}
        if self._input is not None:
            ends["input"] = self._input
        try:
            # Ctrl-C is a key here. Where the application took the signal too, it would leave the loop without our handler.
            return await build(ends).application.run_async(handle_sigint=False)
        except EOFError:
            raise missing(question) from None

    # ---------------------------------------------------------------------------------------------------- in plain lines

    async def _ask_plainly(self, question: Question) -> Any:
        present = "" if question.default is None else show_answer(question, question.default)
        if question.kind is Kind.CHOICE:
            self._write(f"? {question.text}\n")
            for place, choice in enumerate(question.choices, 1):
                self._write(f"  {place}. {choice.label}\n")
            number = next((n for n, choice in enumerate(question.choices, 1) if choice.value == question.default), None)
            typed = await self._line(f"  Number{f' [{number}]' if number else ''}: ", question)
        elif question.kind is Kind.CONFIRM:
            typed = await self._line(f"? {question.text} [{'Y/n' if question.default else 'y/N'}] ", question)
        else:
            typed = await self._line(f"? {question.text}{f' [{present}]' if present else ''} ", question)
        if not typed.strip() and question.default is not None:
            return question.default
        return question.pick(typed)

    async def _line(self, prompt: str, question: Question, *, echo: bool = True) -> str:
        with _echo_off() if not echo else _as_it_is():  # before the prompt: some type as soon as they see it
            self._write(prompt)
            line = await self._lines.read()
        if not echo:
            self._write("\n")
        if line is None:
            self._write("\n")
            raise missing(question)
        return line

    def _write(self, text: str) -> None:
        if self._output is not None:
            self._output.write(text.replace("\n", "\r\n"))
            self._output.flush()
        else:
            sys.stderr.write(text)
            sys.stderr.flush()


def _indented(text: str) -> str:
    """Return text in lines that fit a terminal of 80 columns or less; an address or a fingerprint is never broken."""
    width = min(max(shutil.get_terminal_size((80, 24)).columns, 40), 80) - 2
    wrapped = textwrap.wrap(
        text, width, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return "".join(f"{line}\n" for line in wrapped)


class _Lines:
    """The lines of stdin, read without holding up the event loop, so that connections stay alive while a person thinks."""

    def __init__(self) -> None:
        self._rest = b""

    async def read(self) -> str | None:
        """Return the next line without its end, or `None` at the end of input."""
        descriptor = sys.stdin.fileno()
        while b"\n" not in self._rest:
            await _readable(descriptor)
            more = os.read(descriptor, 4096)
            if not more:
                last, self._rest = self._rest, b""
                return last.decode(errors="replace") if last else None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace").removesuffix("\r")


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def answer() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(descriptor, answer)
    except (NotImplementedError, PermissionError):
        return  # Windows' loop cannot wait for a console, and a regular file is always readable: the read itself waits
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _echo_off() -> Iterator[None]:
    """Keep what is typed off the screen, where stdin is a terminal."""
    try:
        import termios

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, termios.error):
        yield
        return
    hidden = [*before]
    hidden[3] = before[3] & ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _agreement(summary: str, risks: Sequence[Risk], *, changeable: bool) -> Question:
    """The question for the one yes."""
    named = f" It takes the risk {' and '.join(f'`{risk}`' for risk in risks)}." if risks else ""
    return Question(
        id=_AGREE,
        text=f"{summary}: go ahead?",
        why=f"Nothing has been changed yet.{named}",
        kind=Kind.CHOICE,
        flag="--yes",
        env="HA_SSH_YES",
        default=Agreement.YES,
        choices=(
            Choice(Agreement.YES, "Yes, do it"),
            *((Choice(Agreement.CHANGE, "Change an answer"),) if changeable else ()),
            Choice(Agreement.NO, "No, leave everything as it is"),
        ),
        validate=str,
    )


def _console() -> Any:
    """Return the terminal behind stderr, or `None` where prompt_toolkit finds no console."""
    from prompt_toolkit.output import create_output

    if sys.platform == "win32":
        from prompt_toolkit.output.win32 import NoConsoleScreenBufferError

        try:
            return create_output(stdout=sys.stderr)
        except NoConsoleScreenBufferError:
            return None
    return create_output(stdout=sys.stderr)


def _style() -> Any:
    """Underlines and weight only: nothing that needs colour to be understood."""
    from prompt_toolkit.styles import Style

    return Style(
        [("qmark", "bold"), ("question", "bold"), ("answer", ""), ("pointer", "bold"), ("highlighted", "bold"), ("selected", "")]
    )
