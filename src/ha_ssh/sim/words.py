"""The grammar of the simulated house's shell: words, quotes, operators and redirections, as far as simple lines need them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Piece:
    """A part of a word: whether it was quoted, and whether `$NAME` in it is replaced."""

    text: str
    quoted: bool = False
    expand: bool = True


Word = tuple[Piece, ...]


class Operator(str):
    """A token of the grammar, such as `&&`, that no quoting made an ordinary word."""

    __slots__ = ()


class Syntax(ValueError):
    """A line that the shell does not understand."""


_OPERATORS = ("2>&1", "2>>", "1>>", "&>", "2>", "1>", "&&", "||", ">>", ";;", ";", "\n", "|", ">", "<", "&", "(", ")")
_REDIRECTS = frozenset({"2>", "1>", ">", ">>", "2>>", "1>>", "<", "&>"})
_UNSUPPORTED = frozenset({"&", "(", ")", ";;"})


def tokens(line: str) -> list[Word | Operator]:
    """Split a line into words and operators; raises `Syntax` on what is not understood."""
    found: list[Word | Operator] = []
    word: list[Piece] = []

    def end_word() -> None:
        if word:
            found.append(tuple(word))
            word.clear()

    at = 0
    while at < len(line):
        sign = line[at]
        if sign in " \t":
            end_word()
        elif sign == "#" and not word:
            at = (line.find("\n", at) if "\n" in line[at:] else len(line)) - 1
        elif sign in "'\"":
            text, at = _quoted(line, at, sign)
            word.append(Piece(text, quoted=True, expand=sign == '"'))
        elif sign == "\\" and at + 1 < len(line):
            at += 1
            if line[at] != "\n":
                word.append(Piece(line[at], quoted=True, expand=False))
        elif sign == "`" or line.startswith("$(", at):
            raise Syntax("command substitution is not part of this shell")
        elif (operator := _operator(line, at, bool(word))) is not None:
            end_word()
            found.append(Operator(operator))
            at += len(operator) - 1
        elif word and not word[-1].quoted:
            word[-1] = Piece(word[-1].text + sign)
        else:
            word.append(Piece(sign))
        at += 1
    end_word()
    return found


def _quoted(line: str, start: int, quote: str) -> tuple[str, int]:
    text, at = "", start + 1
    while at < len(line):
        if line[at] == quote:
            return text, at
        if quote == '"' and line[at] == "\\" and line[at + 1 : at + 2] in tuple('"\\$`'):
            at += 1
        text += line[at]
        at += 1
    raise Syntax("unterminated quoted string")


def _operator(line: str, at: int, in_word: bool) -> str | None:
    for operator in _OPERATORS:
        if line.startswith(operator, at) and not (operator[0].isdigit() and in_word):
            return operator
    return None


@dataclass(kw_only=True)
class Simple:
    """A command with its words and redirections, as written."""

    words: list[Word] = field(default_factory=list)
    redirects: list[tuple[str, Word | None]] = field(default_factory=list)


def parse(line: str) -> list[tuple[str, list[Simple]]]:
    """Return the pipelines of a line, each with the operator before it (`;`, `&&` or `||`)."""
    pipelines: list[tuple[str, list[Simple]]] = []
    before, pipeline, simple = ";", list[Simple](), Simple()
    wants: str | None = None
    for token in [*tokens(line), Operator(";")]:
        if not isinstance(token, Operator):
            if wants is None:
                simple.words.append(token)
            else:
                simple.redirects.append((wants, token))
                wants = None
            continue
        sign = str(token)
        if wants is not None or sign in _UNSUPPORTED:
            raise Syntax(f'syntax error: unexpected "{sign.strip() or "newline"}"')
        if sign == "2>&1":
            simple.redirects.append((sign, None))
        elif sign in _REDIRECTS:
            wants = sign
        else:
            if simple.words or simple.redirects:
                pipeline.append(simple)
            elif sign in ("|", "&&", "||"):
                raise Syntax(f'syntax error: unexpected "{sign}"')
            simple = Simple()
            if sign != "|":
                if pipeline:
                    pipelines.append((before, pipeline))
                pipeline, before = [], ";" if sign == "\n" else sign
    return pipelines
