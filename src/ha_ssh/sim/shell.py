"""The shell of the simulated house, over a tree in memory; it runs nothing on the real computer and reads nothing of it."""

from __future__ import annotations

import fnmatch
import posixpath
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ha_ssh.sim.words import Simple, Syntax, Word, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ha_ssh.sim.root import Root
    from ha_ssh.sim.words import Piece

    Supervisor = Callable[[str, str, Any], Awaitable[tuple[int, str]]]
    """A call of the Supervisor's REST: method, path, JSON body; answers the HTTP status and the text."""
    Command = Callable[["Call"], Awaitable[int]]
    """A command: takes the call, answers the exit code."""

WELCOME = """\

 _   _                         _            _     _              _
| | | | ___  _ __ ___   ___   / \\   ___ ___(_)___| |_ __ _ _ __ | |_
| |_| |/ _ \\| '_ ` _ \\ / _ \\ / _ \\ / __/ __| / __| __/ _` | '_ \\| __|
|  _  | (_) | | | | | |  __// ___ \\\\__ \\__ \\ \\__ \\ || (_| | | | | |_
|_| |_|\\___/|_| |_| |_|\\___/_/   \\_\\___/___/_|___/\\__\\__,_|_| |_|\\__|

This house is simulated: nothing here touches your computer.
Try `ha info`, `ls /config`, `exit`.

"""
"""What a person sees who logs in with a terminal."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command's end: exit code and output."""

    code: int
    out: bytes = b""
    err: bytes = b""


class Exit(Exception):
    """Raised by `exit`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


async def nothing() -> bytes:
    """An empty standard input."""
    return b""


@dataclass(kw_only=True)
class Call:
    """One command as it runs: its arguments, where it stands, and what it has written so far."""

    shell: Shell
    name: str
    args: list[str]
    stdin: Callable[[], Awaitable[bytes]] = nothing
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)

    def say(self, text: str) -> None:
        """Write a line."""
        self.out += text.encode() + b"\n"

    def fail(self, text: str, code: int = 1) -> int:
        """Write a line of complaint after the command's name, and return the code."""
        self.err += f"{self.name}: {text}\n".encode()
        return code

    def flags(self) -> tuple[set[str], list[str]]:
        """Return the single-letter and long options, and the rest."""
        options: set[str] = set()
        rest: list[str] = []
        ended = False
        for arg in self.args:
            if ended or not arg.startswith("-") or arg == "-":
                rest.append(arg)
            elif arg == "--":
                ended = True
            elif arg.startswith("--"):
                options.add(arg)
            else:
                options.update(arg[1:])
        return options, rest


class Shell:
    """A login's shell: who is in, the tree it sees, and the Supervisor that `ha` asks."""

    def __init__(
        self,
        root: Root,
        user: str,
        supervisor: Supervisor,
        *,
        commands: Mapping[str, Command],
        token: str = "",
        with_token: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.user = user
        self.supervisor = supervisor
        self.commands = commands
        self.token = token
        """The house's `SUPERVISOR_TOKEN`."""
        self.with_token = with_token and bool(token)
        """False where the environment does not carry it, as in a plain command of a user that is not root."""
        home = "/root" if user == "root" else f"/home/{user}"
        self.folder = home if root.has(home) else "/"
        self.last = 0
        self.variables = {"HOME": home, "USER": user, "SHELL": "/bin/bash", "PATH": "/usr/local/bin:/usr/bin:/bin"}
        self.variables |= variables or {}

    def as_user(self, user: str, *, login: bool = False) -> Shell:
        """Return a shell of another user over the same tree; a login shell has the token."""
        return Shell(
            self.root, user, self.supervisor, commands=self.commands, token=self.token, with_token=self.with_token or login
        )

    def child(self, *, login: bool = False) -> Shell:
        """Return a shell started by this one."""
        child = self.as_user(self.user, login=login)
        child.variables |= self.variables
        child.folder = self.folder
        return child

    @property
    def environment(self) -> dict[str, str]:
        """The variables that commands see."""
        return self.variables | ({"SUPERVISOR_TOKEN": self.token} if self.with_token else {})

    @property
    def shown_folder(self) -> str:
        """Where it stands, as a prompt shows it."""
        home = self.variables["HOME"]
        return "~" + self.folder[len(home) :] if (self.folder + "/").startswith(home + "/") else self.folder

    def path(self, text: str) -> str:
        """Return an absolute path."""
        return posixpath.join(self.folder, text)

    def may_read(self, path: str) -> bool:
        """Say whether this user may read an entry and look into every folder above it."""
        if self.user == "root":
            return True
        real = self.root.real(path)
        above = [real[:at] for at in range(1, len(real)) if real[at] == "/"]
        open_above = all(self.root.node(folder).mode & 0o001 or self.root.node(folder).owner == self.user for folder in above)
        node = self.root.node(path) if open_above and self.root.has(path) else None
        return open_above and (node is None or bool(node.mode & 0o004) or node.owner == self.user)

    def read(self, text: str) -> bytes:
        """Return a file's content; raises `OSError` in the words of the system."""
        path = self.path(text)
        if not self.may_read(path):
            raise PermissionError(13, "Permission denied", text)
        return self.root.read(path)

    def write(self, text: str, data: bytes, *, add: bool = False) -> None:
        """Write or lengthen a file; what goes to /dev/null is gone."""
        path = self.path(text)
        if self.root.real(path) != "/dev/null":
            self.root.write(path, self.root.read(path) + data if add and self.root.has(path) else data)

    async def run(self, line: str, stdin: Callable[[], Awaitable[bytes]] = nothing) -> Ended:
        """Run a line to its end; `exit` ends only it."""
        out, err = bytearray(), bytearray()
        try:
            pipelines = parse(line)
        except Syntax as problem:
            return Ended(code=2, err=f"sh: {problem}\n".encode())
        try:
            for before, pipeline in pipelines:
                if (before == "&&" and self.last != 0) or (before == "||" and self.last == 0):
                    continue
                self.last = await self._pipeline(pipeline, stdin, out, err)
        except Exit as end:
            self.last = end.code
        return Ended(code=self.last, out=bytes(out), err=bytes(err))

    async def interactive(self, line: str) -> tuple[Ended, bool]:
        """Run a line typed at the prompt; also says whether it was `exit`."""
        words = line.split()
        ended = await self.run(line)
        return ended, bool(words) and words[0] in ("exit", "logout")

    async def _pipeline(
        self, pipeline: list[Simple], stdin: Callable[[], Awaitable[bytes]], out: bytearray, err: bytearray
    ) -> int:
        code = 0
        for simple in pipeline:
            call = Call(shell=self, name="", args=[], stdin=stdin)
            try:
                code = await self._simple(simple, call)
            finally:
                err += call.err
                if simple is pipeline[-1]:
                    out += call.out
            stdin = given(bytes(call.out))
        return code

    async def _simple(self, simple: Simple, call: Call) -> int:
        words = [text for word in simple.words for text in self._expand(word)]
        while words and (name := words[0].split("=", 1)[0]).isidentifier() and "=" in words[0]:
            self.variables[name] = words.pop(0).split("=", 1)[1]
        call.args = words[1:]
        call.name = words[0] if words else ""
        try:
            for operator, word in simple.redirects:
                if operator == "<" and word is not None:
                    call.stdin = given(self.read(self._one(word)))
            code = await self.command(call) if words else 0
            self._redirect(simple, call)
        except OSError as problem:
            return call.fail(f"{problem.filename}: {problem.strerror}")
        except (ValueError, IndexError):
            return call.fail("bad or missing argument", 2)
        return code

    def _redirect(self, simple: Simple, call: Call) -> None:
        for operator, word in simple.redirects:
            if operator == "2>&1":
                call.out += call.err
                call.err.clear()
            elif word is not None and operator != "<":
                streams = {"2": (call.err,), "&": (call.out, call.err)}.get(operator[0], (call.out,))
                self.write(self._one(word), b"".join(streams), add=operator.endswith(">>"))
                for stream in streams:
                    stream.clear()

    async def command(self, call: Call) -> int:
        """Run one command; 127 where there is none of that name."""
        run = self.commands.get(call.name.removeprefix("/usr/bin/").removeprefix("/bin/"))
        if run is None:
            call.err += f"sh: {call.name}: not found\n".encode()
            return 127
        return await run(call)

    def _one(self, word: Word) -> str:
        return "".join(self._piece(piece) for piece in word)

    def _piece(self, piece: Piece) -> str:
        if not piece.expand or "$" not in piece.text:
            return piece.text
        head, *parts = piece.text.split("$")
        for part in parts:
            if part.startswith("?"):
                head += str(self.last) + part[1:]
            elif part.startswith("{") and "}" in part:
                name, rest = part[1:].split("}", 1)
                head += self.environment.get(name, "") + rest
            else:
                name = "".join(takewhile(_names, part))
                head += (self.environment.get(name, "") if name else "$") + part[len(name) :]
        return head

    def _expand(self, word: Word) -> list[str]:
        text = self._one(word)
        first = word[0]
        if not first.quoted and (text == "~" or text.startswith("~/")):
            text = self.variables["HOME"] + text[1:]
        if not any(sign in piece.text for piece in word if not piece.quoted for sign in "*?["):
            return [] if not text and not any(piece.quoted for piece in word) else [text]
        folder, pattern = posixpath.split(text)
        try:
            names = self.root.names(self.path(folder))
        except OSError:
            return [text]
        return [posixpath.join(folder, name) for name in names if fnmatch.fnmatchcase(name, pattern) and name[0] != "."] or [text]


def _names(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def given(data: bytes) -> Callable[[], Awaitable[bytes]]:
    """A standard input that holds these bytes."""

    async def read() -> bytes:
        return data

    return read
