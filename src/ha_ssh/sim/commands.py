"""The commands of the simulated house's shell, from `true` to `tar` and `ha`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import fnmatch
import hashlib
import io
import json
import posixpath
import stat
import tarfile
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ha_ssh.sim.shell import Call, Exit, Shell

if TYPE_CHECKING:
    from ha_ssh.sim.root import Root
    from ha_ssh.sim.shell import Command, Supervisor


async def _true(_call: Call) -> int:
    return 0


async def _false(_call: Call) -> int:
    return 1


async def _exit(call: Call) -> int:
    try:
        raise Exit(int(call.args[0]) & 255 if call.args else call.shell.last)
    except ValueError:
        return call.fail(f"Illegal number: {call.args[0]}", 2)


async def _echo(call: Call) -> int:
    args = call.args[1:] if call.args[:1] == ["-n"] else call.args
    call.out += (" ".join(args) + ("" if args is not call.args else "\n")).encode()
    return 0


async def _printf(call: Call) -> int:
    if not call.args:
        return call.fail("missing operand", 2)
    text = call.args[0].replace("\\n", "\n").replace("\\t", "\t")
    for arg in call.args[1:]:
        text = text.replace("%s", arg, 1)
    call.out += text.replace("%s", "").encode()
    return 0


async def _cat(call: Call) -> int:
    code = 0
    for name in call.flags()[1] or ["-"]:
        try:
            call.out += await call.stdin() if name == "-" else call.shell.read(name)
        except OSError as problem:
            code = call.fail(f"can't open '{name}': {problem.strerror}")
    return code


async def _head_or_tail(call: Call) -> int:
    args, count = list(call.args), 10
    if args[:1] == ["-n"] and len(args) > 1:
        count, args = abs(int(args[1])), args[2:]
    elif args and args[0][:1] == "-" and args[0][1:].isdigit():
        count, args = int(args[0][1:]), args[1:]
    data = call.shell.read(args[0]) if args else await call.stdin()
    lines = data.splitlines(keepends=True)
    call.out += b"".join(lines[:count] if call.name == "head" else lines[len(lines) - min(count, len(lines)) :])
    return 0


async def _wc(call: Call) -> int:
    options, names = call.flags()
    data = b"".join([call.shell.read(name) for name in names]) if names else await call.stdin()
    counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    call.say(" ".join(str(count) for letter, count in counts.items() if not options or letter in options))
    return 0


async def _grep(call: Call) -> int:
    options, rest = call.flags()
    if not rest:
        return call.fail("no pattern", 2)
    data = b"".join([call.shell.read(name) for name in rest[1:]]) if rest[1:] else await call.stdin()
    fold = str.lower if "i" in options else str
    lines = [line for line in data.decode(errors="replace").splitlines() if (fold(rest[0]) in fold(line)) != ("v" in options)]
    if "q" not in options:
        call.out += "".join(f"{line}\n" for line in ([str(len(lines))] if "c" in options else lines)).encode()
    return 0 if lines else 1


async def _ls(call: Call) -> int:
    options, names = call.flags()
    code = 0
    for name in names or ["."]:
        path = call.shell.path(name)
        try:
            if not call.shell.may_read(path):
                raise PermissionError(13, "Permission denied", name)
            node = call.shell.root.node(path)
            entries = call.shell.root.names(path) if node.kind == "folder" and "d" not in options else [name]
        except OSError as problem:
            code = call.fail(f"{name}: {problem.strerror}")
            continue
        if entries != [name]:
            hidden = [".", ".."] if "a" in options else []
            entries = hidden + [entry for entry in entries if not entry.startswith(".") or options & {"a", "A"}]
        for entry in entries:
            call.say(
                _long(call.shell, posixpath.join(path, entry) if entry != name else path, entry) if "l" in options else entry
            )
    return code


def _long(shell: Shell, path: str, name: str) -> str:
    node = shell.root.node(path, last=False)
    kind = {"folder": stat.S_IFDIR, "link": stat.S_IFLNK}.get(node.kind, stat.S_IFREG)
    arrow = f" -> {node.target}" if node.kind == "link" else ""
    return f"{stat.filemode(kind | node.mode)}    1 {node.owner:8} {node.owner:8} {len(node.data):9} Sep 21 13:33 {name}{arrow}"


async def _find(call: Call) -> int:
    starts = list(takewhile(lambda arg: not arg.startswith("-"), call.args)) or ["."]
    wanted = call.args[call.args.index("-type") + 1] if "-type" in call.args[:-1] else ""
    pattern = call.args[call.args.index("-name") + 1] if "-name" in call.args[:-1] else "*"
    for start in starts:
        real = call.shell.root.real(call.shell.path(start))
        call.shell.root.node(real)
        for path in [real, *call.shell.root.walk(real)]:
            kind = {"folder": "d", "link": "l"}.get(call.shell.root.node(path, last=False).kind, "f")
            if wanted in ("", kind) and fnmatch.fnmatchcase(posixpath.basename(path), pattern):
                call.say(start.rstrip("/") + path[len(real.rstrip("/")) :] if path != real else start)
    return 0


async def _test(call: Call) -> int:
    args = list(call.args)
    if call.name == "[":
        if args[-1:] != ["]"]:
            return call.fail("missing ]", 2)
        args.pop()
    if args[:1] == ["!"]:
        return 0 if await _test(replace(call, name="test", args=args[1:])) else 1
    return 0 if _holds(call.shell, args) else 1


def _holds(shell: Shell, args: list[str]) -> bool:
    match args:
        case []:
            return False
        case [text]:
            return bool(text)
        case ["-z", text]:
            return not text
        case ["-n", text]:
            return bool(text)
        case [("-e" | "-f" | "-d" | "-s" | "-r" | "-w" | "-x" | "-L" | "-h") as what, name]:
            path = shell.path(name)
            try:
                node = shell.root.node(path, last=what not in ("-L", "-h"))
            except OSError:
                return False
            kinds = {"-f": "file", "-d": "folder", "-L": "link", "-h": "link"}
            return (
                node.kind == kinds.get(what, node.kind)
                and (what != "-s" or bool(node.data))
                and (what != "-r" or shell.may_read(path))
            )
        case [left, ("=" | "=="), right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case [left, ("-eq" | "-ne" | "-lt" | "-gt" | "-le" | "-ge") as what, right] if _number(left) and _number(right):
            one, two = int(left), int(right)
            return {
                "-eq": one == two,
                "-ne": one != two,
                "-lt": one < two,
                "-gt": one > two,
                "-le": one <= two,
                "-ge": one >= two,
            }[what]
        case _:
            return False


def _number(text: str) -> bool:
    return text.lstrip("-").isdigit()


async def _id(call: Call) -> int:
    options, _ = call.flags()
    root = call.shell.user == "root"
    number = 0 if root else 1000
    if "n" in options:
        call.say(call.shell.user)
    elif options & {"u", "g"}:
        call.say(str(number))
    else:
        name = call.shell.user
        call.say(f"uid={number}({name}) gid={number}({name}) groups={number}({name})" + ("" if root else ",10(wheel)"))
    return 0


async def _whoami(call: Call) -> int:
    call.say(call.shell.user)
    return 0


async def _pwd(call: Call) -> int:
    call.say(call.shell.folder)
    return 0


async def _cd(call: Call) -> int:
    goal = call.shell.path(call.args[0] if call.args else call.shell.variables["HOME"])
    if not call.shell.root.has(goal) or call.shell.root.node(goal).kind != "folder":
        return call.fail(f"can't cd to {call.args[0] if call.args else goal}: No such file or directory", 2)
    call.shell.folder = posixpath.normpath(goal)
    return 0


async def _command_or_which(call: Call) -> int:
    if call.name == "command" and call.args[:1] not in (["-v"], ["-V"]):
        call.name, call.args = (call.args or ["true"])[0], call.args[1:]
        return await call.shell.command(call)
    names = [arg for arg in call.args if not arg.startswith("-")]
    known = [name for name in names if (name in COMMANDS and name != "bash") or call.shell.root.has(f"/usr/bin/{name}")]
    for name in known:
        call.say(name if call.name == "command" and name in _BUILT_IN else f"/usr/bin/{name}")
    return 0 if names and known == names else 127 if call.name == "command" else 1


async def _sh(call: Call) -> int:
    args, login, command = list(call.args), False, None
    while args and args[0].startswith("-") and len(args[0]) > 1:
        option = args.pop(0)
        login = login or option == "--login" or (not option.startswith("--") and "l" in option)
        if not option.startswith("--") and "c" in option:
            command = args.pop(0) if args else None
            if command is None:
                return call.fail("-c: option requires an argument", 2)
            break
    child = call.shell.child(login=login)
    if command is None:
        command = (call.shell.read(args[0]) if args else await call.stdin()).decode(errors="replace")
    ended = await child.run(command, call.stdin)
    call.out += ended.out
    call.err += ended.err
    return ended.code


async def _sudo(call: Call) -> int:
    args = _after_flags(call.args)
    if not args:
        return 0
    child = call.shell.as_user("root", login="-i" in call.args[: len(call.args) - len(args)])
    child.folder = call.shell.folder
    inner = Call(shell=child, name=args[0], args=args[1:], stdin=call.stdin, out=call.out, err=call.err)
    return await child.command(inner)


def _after_flags(args: list[str]) -> list[str]:
    rest = list(args)
    while rest and rest[0].startswith("-"):
        takes = rest.pop(0) in ("-u", "-g")
        if takes and rest:
            rest.pop(0)
    return rest


async def _env(call: Call) -> int:
    if call.name == "printenv" and call.args:
        values = [call.shell.environment[name] for name in call.args if name in call.shell.environment]
        call.out += "".join(f"{value}\n" for value in values).encode()
        return 0 if len(values) == len(call.args) else 1
    for name, value in sorted(call.shell.environment.items()):
        call.say(f"{name}={value}")
    return 0


async def _export(call: Call) -> int:
    for arg in call.args:
        name, _, value = arg.partition("=")
        call.shell.variables[name] = value
    return 0


async def _uname(call: Call) -> int:
    call.say(
        "Linux core-ssh 6.12.48-haos #1 SMP x86_64 Linux"
        if "a" in call.flags()[0]
        else "x86_64"
        if "m" in call.flags()[0]
        else "Linux"
    )
    return 0


async def _hostname(call: Call) -> int:
    call.out += call.shell.root.read("/etc/hostname")
    return 0


async def _sleep(call: Call) -> int:
    try:
        await asyncio.sleep(min(float(call.args[0]), 3600))
    except (IndexError, ValueError):
        return call.fail("invalid number")
    return 0


async def _mkdir(call: Call) -> int:
    options, names = call.flags()
    for name in names:
        path = call.shell.path(name)
        if "p" not in options and call.shell.root.has(path):
            return call.fail(f"can't create directory '{name}': File exists")
        if "p" not in options and not call.shell.root.has(posixpath.dirname(path)):
            return call.fail(f"can't create directory '{name}': No such file or directory")
        call.shell.root.make_folder(path)
    return 0


async def _rm(call: Call) -> int:
    options, names = call.flags()
    for name in names:
        path = call.shell.path(name)
        try:
            if call.shell.root.node(path, last=False).kind == "folder" and not options & {"r", "R"}:
                return call.fail(f"'{name}' is a directory")
            call.shell.root.remove(path)
        except FileNotFoundError as problem:
            if "f" not in options:
                return call.fail(f"can't remove '{name}': {problem.strerror}")
    return 0


async def _mv_or_cp(call: Call) -> int:
    options, names = call.flags()
    if len(names) != 2:
        return call.fail("two paths are needed", 2)
    root, goal = call.shell.root, call.shell.path(names[1])
    source = call.shell.path(names[0])
    if root.has(goal) and root.node(goal).kind == "folder":
        goal = posixpath.join(goal, posixpath.basename(source.rstrip("/")))
    node = root.node(source)
    if call.name == "mv":
        root.move(source, goal)
    elif node.kind != "folder":
        root.write(goal, call.shell.read(names[0]), mode=node.mode)
    elif options & {"r", "R", "a"}:
        base = root.real(source)
        root.make_folder(goal)
        for path in list(root.walk(base)):
            inside = root.node(path, last=False)
            there = goal + path.removeprefix(base)
            if inside.kind == "folder":
                root.make_folder(there, mode=inside.mode)
            elif inside.kind == "link":
                root.link(there, inside.target)
            else:
                root.write(there, bytes(inside.data), mode=inside.mode)
    else:
        return call.fail(f"omitting directory '{names[0]}'")
    return 0


async def _touch(call: Call) -> int:
    for name in call.flags()[1]:
        if not call.shell.root.has(call.shell.path(name)):
            call.shell.write(name, b"")
    return 0


async def _chmod(call: Call) -> int:
    if len(call.args) < 2 or not all(sign in "01234567" for sign in call.args[0]):
        return call.fail("an octal mode and a path are needed", 2)
    for name in call.args[1:]:
        call.shell.root.node(call.shell.path(name)).mode = int(call.args[0], 8)
    return 0


async def _sha256sum(call: Call) -> int:
    for name in call.flags()[1] or ["-"]:
        data = await call.stdin() if name == "-" else call.shell.read(name)
        call.say(f"{hashlib.sha256(data).hexdigest()}  {name}")
    return 0


async def _base64(call: Call) -> int:
    options, names = call.flags()
    data = call.shell.read(names[0]) if names else await call.stdin()
    if options & {"d", "--decode"}:
        try:
            call.out += base64.b64decode(data)
        except binascii.Error:
            return call.fail("invalid input")
    else:
        call.out += base64.encodebytes(data)
    return 0


async def _df(call: Call) -> int:
    call.say("Filesystem           1K-blocks      Used Available Use% Mounted on")
    call.say("/dev/sda8             30351208   6402128  22650240  22% /homeassistant")
    return 0


async def _du(call: Call) -> int:
    for name in call.flags()[1] or ["."]:
        real = call.shell.root.real(call.shell.path(name))
        size = sum(len(call.shell.root.node(path, last=False).data) for path in [real, *call.shell.root.walk(real)])
        call.say(f"{(size + 1023) // 1024}\t{name}")
    return 0


async def _tar(call: Call) -> int:
    """Create, list and extract archives of the tree in memory."""
    args = list(call.args)
    if args and not args[0].startswith("-"):
        args[0] = "-" + args[0]
    modes, archive, folder, names, excluded = set[str](), "-", call.shell.folder, list[str](), list[str]()
    while args:
        arg = args.pop(0)
        if arg.startswith("--exclude"):
            excluded.append(arg.partition("=")[2] or args.pop(0))
        elif arg.startswith("--"):
            modes |= {"--create": {"c"}, "--extract": {"x"}, "--list": {"t"}, "--gzip": {"z"}, "--file": {"f"}}.get(
                arg.split("=")[0], set()
            )
        elif arg.startswith("-") and len(arg) > 1:
            modes.update(arg[1:])
            archive = args.pop(0) if arg.endswith("f") and args else archive
            folder = call.shell.path(args.pop(0)) if arg.endswith("C") and args else folder
        else:
            names.append(arg)
    if "c" in modes:
        data = _pack(call, folder, names, excluded, gzip="z" in modes)
        if archive == "-":
            call.out += data
        else:
            call.shell.write(archive, data)
        return 1 if call.err else 0
    data = await call.stdin() if archive == "-" else call.shell.read(archive)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as opened:
            for member in opened:
                if "t" in modes:
                    call.say(member.name)
                elif "x" in modes:
                    _unpack(call.shell.root, opened, member, posixpath.join(folder, member.name.lstrip("/")))
    except tarfile.TarError:
        return call.fail("invalid tar magic")
    return 0


def _pack(call: Call, folder: str, names: list[str], excluded: list[str], *, gzip: bool) -> bytes:
    root, stream = call.shell.root, io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz" if gzip else "w", format=tarfile.PAX_FORMAT) as made:
        for name in names:
            top = posixpath.join(folder, name)
            if not root.has(top):
                call.fail(f"{name}: No such file or directory")
                continue
            real = root.real(top)
            for path in [real, *root.walk(real)]:
                shown = posixpath.normpath(name + "/" + path.removeprefix(real).lstrip("/")).lstrip("/")
                if any(
                    fnmatch.fnmatchcase(shown, pattern) or fnmatch.fnmatchcase(posixpath.basename(shown), pattern)
                    for pattern in excluded
                ):
                    continue
                node = root.node(path, last=False)
                entry = tarfile.TarInfo(shown)
                entry.mode, entry.mtime, entry.uname, entry.gname = node.mode, node.mtime, node.owner, node.owner
                entry.type = {"folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}.get(node.kind, tarfile.REGTYPE)
                entry.linkname = node.target
                entry.size = len(node.data) if node.kind == "file" else 0
                made.addfile(entry, io.BytesIO(node.data) if node.kind == "file" else None)
    return stream.getvalue()


def _unpack(root: Root, opened: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    if member.isdir():
        root.make_folder(path, mode=member.mode)
    elif member.issym():
        root.link(path, member.linkname)
    else:
        content = opened.extractfile(member)
        root.write(path, b"" if content is None else content.read(), mode=member.mode).mtime = int(member.mtime)


# ---------------------------------------------------------------------------------------------------------------- ha, curl

_SECTIONS = {
    "apps": "addons",
    "app": "addons",
    "addon": "addons",
    "core": "core",
    "homeassistant": "core",
    "su": "supervisor",
    "backup": "backups",
}
_GET = frozenset({"info", "stats", "logs", "list"})


async def _ha(call: Call) -> int:
    raw = "--raw-json" in call.args
    words = [arg for arg in call.args if not arg.startswith("-")]
    if not words or words == ["help"]:
        call.say("The Home Assistant command line: try `ha info`, `ha core info`, `ha apps`, `ha supervisor info`.")
        return 0
    if not call.shell.with_token:
        call.err += b"Error: Unexpected server response. Status code: 401\n"
        return 1
    method, path, data = _endpoint(words, call.args)
    status, body = await call.shell.supervisor(method, path, data)
    return _print_answer(call, status, body, raw=raw)


def _endpoint(words: list[str], args: list[str]) -> tuple[str, str, Any]:
    """Return the Supervisor call behind a command of `ha`."""
    section = _SECTIONS.get(words[0], words[0])
    action = words[1] if len(words) > 1 else "info" if section not in ("addons", "backups") else "list"
    named = words[2] if len(words) > 2 else ""
    if section == "info":
        return "GET", "/info", None
    if section == "available-updates":
        return "GET", "/available_updates", None
    if section == "backups" and action == "new":
        name = next((arg.partition("=")[2] for arg in args if arg.startswith("--name=")), named)
        return "POST", "/backups/new/full", {"name": name} if name else {}
    if action == "list":
        return "GET", f"/{section}", None
    if section == "addons" and not named and action not in _GET:
        return "GET", f"/{section}/{action}/info", None
    method = "GET" if action in _GET else "POST"
    if section == "addons" and action in ("install", "update"):
        return method, f"/store/addons/{named}/{action}", {}
    return method, "/" + "/".join(part for part in (section, named, action) if part), None if method == "GET" else {}


def _print_answer(call: Call, status: int, body: str, *, raw: bool) -> int:
    try:
        answer = json.loads(body)
    except ValueError:
        call.out += body.encode()
        return 0 if status < 400 else 1
    good = isinstance(answer, dict) and answer.get("result") == "ok"
    if raw:
        call.say(json.dumps(answer))
    elif not good:
        message = answer.get("message") if isinstance(answer, dict) else None
        call.err += f"Error: {message or f'Unexpected server response. Status code: {status}'}\n".encode()
    elif answer.get("data"):
        call.out += _yaml(answer["data"], "").encode()
    else:
        call.say("Command completed successfully.")
    return 0 if good else 1


def _yaml(value: Any, indent: str) -> str:
    if isinstance(value, dict) and value:
        return "".join(f"{indent}{key}:{_nested(value[key], indent)}" for key in sorted(value))
    if isinstance(value, list) and value:
        return "".join(f"{indent}- {_yaml(item, indent + '  ').lstrip()}" for item in value)
    plain = value if isinstance(value, str) and value and value.isprintable() else json.dumps(value)
    return f"{indent}{plain}\n"


def _nested(value: Any, indent: str) -> str:
    if isinstance(value, (dict, list)) and value:
        return "\n" + _yaml(value, indent + ("  " if isinstance(value, dict) else ""))
    return " " + _yaml(value, "")


async def _curl(call: Call) -> int:
    """Reach the simulated Supervisor, and nothing else."""
    method, data, url, token, show_code, fails = "", None, "", "", False, False
    args = list(call.args)
    while args:
        arg = args.pop(0)
        if arg in ("-X", "--request"):
            method = args.pop(0)
        elif arg in ("-H", "--header"):
            name, _, value = args.pop(0).partition(":")
            token = value.strip().removeprefix("Bearer ") if name.lower() == "authorization" else token
        elif arg in ("-d", "--data", "--data-raw", "--data-binary"):
            given = args.pop(0)
            text = (await call.stdin()).decode() if given == "@-" else given
            data = json.loads(text) if text else {}
        elif arg in ("-m", "--max-time", "--connect-timeout", "-o", "--output"):
            args.pop(0)
        elif arg in ("-w", "--write-out"):
            show_code = "%{http_code}" in args.pop(0)
        elif arg.startswith("-"):
            fails = fails or arg == "--fail" or (not arg.startswith("--") and "f" in arg)
        else:
            url = arg
    host, _, path = url.removeprefix("http://").partition("/")
    if not url.startswith("http://") or host not in ("supervisor", "supervisor:80", "hassio", "172.30.32.2"):
        return call.fail(f"(6) Could not resolve host: {host}", 6)
    if token != call.shell.token:
        status, body = 401, '{"result": "error", "message": "Unauthorized"}'
    else:
        status, body = await call.shell.supervisor(method or ("GET" if data is None else "POST"), f"/{path}", data)
    if fails and status >= 400:
        return call.fail(f"(22) The requested URL returned error: {status}", 22)
    call.out += body.encode()
    if show_code:
        call.say(f"\n{status}")
    return 0


_BUILT_IN = frozenset({"cd", "command", "echo", "exit", "export", "false", "printf", "pwd", "test", "[", "true", ":"})

COMMANDS: dict[str, Command] = {
    ":": _true, "true": _true, "false": _false, "exit": _exit, "logout": _exit, "echo": _echo, "printf": _printf,
    "cat": _cat, "head": _head_or_tail, "tail": _head_or_tail, "wc": _wc, "grep": _grep, "ls": _ls, "find": _find,
    "test": _test, "[": _test, "id": _id, "whoami": _whoami, "pwd": _pwd, "cd": _cd, "command": _command_or_which,
    "which": _command_or_which, "sh": _sh, "bash": _sh, "ash": _sh, "zsh": _sh, "sudo": _sudo, "env": _env, "printenv": _env,
    "export": _export, "uname": _uname, "hostname": _hostname, "sleep": _sleep, "mkdir": _mkdir, "rm": _rm, "mv": _mv_or_cp,
    "cp": _mv_or_cp, "touch": _touch, "chmod": _chmod, "sha256sum": _sha256sum, "base64": _base64, "df": _df, "du": _du,
    "tar": _tar, "ha": _ha, "curl": _curl,
}  # fmt: skip
"""Every command that the simulated house has."""


def login_shell(root: Root, user: str, supervisor: Supervisor, *, token: str, with_token: bool = True) -> Shell:
    """Return the shell that a login into the simulated house gets."""
    return Shell(root, user, supervisor, commands=COMMANDS, token=token, with_token=with_token)
