"""The flags: those that every command understands, written once, and one for each question of `setup`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import ipaddress
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Context, Exit, Option, echo

from ha_ssh import __version__
from ha_ssh.ask.questions import SETUP, Clause, Kind, NotThis, parse_url, reconciled, variable
from ha_ssh.core.errors import UsageError
from ha_ssh.core.options import Answers, Given, Options, Source, Trust
from ha_ssh.core.secret import Secret
from ha_ssh.core.words import Risk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


REPORTS = (".html", ".htm", ".md")
"""How the name of a report's file may end."""


def flag(*names: str, help: str, **more: Any) -> Any:  # noqa: A002 - Typer's word
    """Return an option whose environment variable follows from its first name."""
    return Option(*names, help=help, envvar=variable(names[0].partition("/")[0]), show_envvar=False, show_default=False, **more)


def _say_version(*, wanted: bool) -> None:
    if wanted:
        echo(f"ha-ssh {__version__}")
        raise Exit


VERSION = Option("--version", help="Say the version and leave.", is_eager=True, callback=_say_version)


def _every_command(
    *,
    url: Annotated[str | None, flag("--url", metavar="URL", help="The address of Home Assistant.")] = None,
    house: Annotated[str | None, flag("--house", metavar="NAME", help="A house that is remembered.")] = None,
    ssh_host: Annotated[str | None, flag("--ssh-host", metavar="HOST", help="Where SSH is, if not at the URL's host.")] = None,
    ca_file: Annotated[
        str | None, flag("--ca-file", metavar="FILE", help="Trust the certificates that this authority has signed.")
    ] = None,
    tls_fingerprint: Annotated[
        str | None, flag("--tls-fingerprint", metavar="HEX", help="Trust the one certificate with this SHA-256.")
    ] = None,
    once: Annotated[bool, flag("--once", help="Sign in for this run only: nothing is kept.")] = False,
    token_file: Annotated[
        str | None, flag("--token-file", metavar="FILE", help="Sign in with the token in this file (- is stdin).")
    ] = None,
    yes: Annotated[bool, flag("--yes", "-y", help="Agree to the plan.")] = False,
    accept_risk: Annotated[
        list[str] | None, flag("--accept-risk", metavar="NAME", help="Accept a named risk: see `ha-ssh help risks`.")
    ] = None,
    dry_run: Annotated[bool, flag("--dry-run", help="Show the plan and change nothing.")] = False,
    no_input: Annotated[bool, flag("--no-input", help="Never ask.")] = False,
    json: Annotated[bool, flag("--json", help="One JSON object on stdout, at the end.")] = False,
    json_lines: Annotated[bool, flag("--json-lines", help="JSON events as they happen, the object last.")] = False,
    demo: Annotated[bool, flag("--demo", help="Use a simulated house and a throwaway profile.")] = False,
    scene: Annotated[str | None, flag("--scene", metavar="NAME", help="Which simulated house: see `ha-ssh demo --list`.")] = None,
    verbose: Annotated[bool, flag("--verbose", "-v", help="Say more.")] = False,
    no_color: Annotated[bool, flag("--no-color", help="No colour, and nothing that redraws.")] = False,
    version: Annotated[bool, VERSION] = False,
) -> None:
    """The flags that every command understands."""


@functools.cache
def _shared_parameters() -> Mapping[str, inspect.Parameter]:
    return inspect.signature(_every_command, eval_str=True).parameters


_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=Context)


def common(command: Callable[..., Options]) -> Callable[..., tuple[str, Options]]:
    """Give a command the flags that all have; it gets them as `options` and returns them with its own added."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = _shared_parameters()

    @functools.wraps(command)
    def with_common(*, context: Context, **given: Any) -> tuple[str, Options]:
        options = _shared(context, {name: given.pop(name) for name in shared})
        asked = {"context": context} if "context" in own else {}
        return context.command_path.partition(" ")[2], command(options=options, **asked, **given)

    kept = [parameter for name, parameter in own.items() if name not in {"options", "context"}]
    return _signed(with_common, [_CONTEXT, *kept, *shared.values()])


def answering(command: Callable[..., Options]) -> Callable[..., Options]:
    """Give a command one flag for each question of `setup`; it gets the answers as `options.answers`."""
    own = inspect.signature(command, eval_str=True).parameters
    questions = [parameter for clause in SETUP for parameter in _parameters(clause)]

    @functools.wraps(command)
    def with_answers(*, context: Context, options: Options, **given: Any) -> Options:
        raw = {parameter.name: given.pop(parameter.name) for parameter in questions}
        return command(options=answered(context, options, raw, given["from_file"]), **given)

    return _signed(with_answers, [_CONTEXT, *questions, *own.values()])


def _signed(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # read by inspect, and so by Typer
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def _parameters(clause: Clause) -> list[inspect.Parameter]:
    """Return the flags of a question: `--port N`, `--boot/--no-boot`, or `--alias NAME` and `--no-alias`."""
    if clause.kind is Kind.CONFIRM:
        return [_parameter(clause.flag, bool | None, flag(f"{clause.flag}/{clause.off}", help=clause.help))]
    flags = [_parameter(clause.flag, str | None, flag(clause.flag, metavar=clause.metavar, help=clause.help))]
    if clause.off:
        flags.append(_parameter(clause.off, bool, flag(clause.off, help=clause.off_help), default=False))
    return flags


def _parameter(name: str, kind: Any, option: Any, *, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(_name(name), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def said_where(context: Context, flag: str) -> str:
    """Return the flag, or the variable that spoke for it."""
    return _source(context, _name(flag), flag).where


def _source(context: Context, name: str, flag: str) -> Given:
    """Return an empty answer that knows whether the flag or its variable gave it."""
    from_environment = getattr(context.get_parameter_source(name), "name", "") == "ENVIRONMENT"
    return Given(None, Source.ENVIRONMENT, variable(flag)) if from_environment else Given(None, Source.FLAG, flag)


def _shared(context: Context, given: dict[str, Any]) -> Options:
    """Return the options that every command has; raises `UsageError` for a value that cannot be."""
    machine = given["json"] or given["json_lines"]
    if given["demo"]:
        _forget_the_own_house(context, given)
    url = given["url"]
    if url is not None:
        try:
            url = parse_url(url)
        except NotThis as no:
            where = _source(context, "url", "--url").where
            raise UsageError(
                "bad-url", f"{where}: {no.says}", *([f"`--url {no.instead}` would do"] if no.instead else [])
            ) from None
    token = "" if given["demo"] else os.environ.get("HA_SSH_TOKEN", "").strip()
    if given["token_file"] is not None:
        token = read_secret(given["token_file"], _source(context, "token_file", "--token-file").where).reveal().strip()
    return Options(
        house=given["house"],
        url=url,
        ssh_host=None if given["ssh_host"] is None else read_host(given["ssh_host"], said_where(context, "--ssh-host")),
        trust=_trust(context, given["ca_file"], given["tls_fingerprint"]),
        once=given["once"],
        json=given["json"],
        json_lines=given["json_lines"],
        yes=given["yes"],
        no_input=given["no_input"] or machine or not (sys.stdin.isatty() and sys.stdout.isatty()),
        dry_run=given["dry_run"],
        demo=given["demo"],
        scene=given["scene"],
        verbose=given["verbose"],
        color=not (given["no_color"] or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"),
        accepted=_risks(given["accept_risk"] or []),
        token=Secret(token) if token else None,
        token_file=given["token_file"],
    )


def _forget_the_own_house(context: Context, given: dict[str, Any]) -> None:
    """Leave out what variables say of a person's own house: a demo never touches it."""
    for name, flag in (("url", "--url"), ("ssh_host", "--ssh-host"), ("house", "--house"), ("token_file", "--token-file")):
        if _source(context, name, flag).source is Source.ENVIRONMENT:
            given[name] = None


def read_host(text: str, where: str) -> str:
    """Return the name or address of a machine; raises `UsageError` for what is none, such as a whole URL."""
    host = text.strip().removeprefix("[").removesuffix("]")
    bare, _, zone = host.partition("%")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(bare)
        if re.fullmatch(r"[\w.-]*", zone):
            return host
    if "://" in text or "/" in text:
        raise UsageError(
            "bad-host", f"{where}: `{text}` is an address of a page, not the name of a machine.", f"say `--url {text}`"
        )
    name, colon, port = text.partition(":")
    if colon and port.isdecimal():
        way = f"say `{where} {name} --port {port}`" if where == "--host" else f"say `{name}` alone: the port is the app's"
        raise UsageError("bad-host", f"{where}: `{text}` has a port in it.", way)
    if not re.fullmatch(r"\w(?:[\w.-]{0,252}\w\.?)?", host):
        raise UsageError("bad-host", f"{where}: `{text}` is no name or address of a machine.", "such as `homeassistant.local`")
    return host


def _trust(context: Context, ca_file: str | None, fingerprint: str | None) -> Trust:
    """Return what vouches for the house's TLS; raises `UsageError` for what could vouch for nothing."""
    if ca_file is not None and fingerprint is not None:
        raise UsageError("bad-tls", "--ca-file and --tls-fingerprint exclude each other.", "leave one out")
    if fingerprint is not None:
        digits = re.sub(r"^sha256:|[:\s]", "", fingerprint.strip(), flags=re.IGNORECASE)
        if not re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
            where = _source(context, "tls_fingerprint", "--tls-fingerprint").where
            raise UsageError(
                "bad-tls-fingerprint",
                f"{where}: `{fingerprint}` is no SHA-256 fingerprint.",
                "it has 64 hexadecimal digits, with or without colons; without this flag, the error names the one that is seen",
            )
        fingerprint = bytes.fromhex(digits).hex(":").upper()
    if ca_file is not None:
        where = _source(context, "ca_file", "--ca-file").where
        if "-----BEGIN CERTIFICATE-----" not in read_text(ca_file, where):
            raise UsageError("bad-ca-file", f"{where}: `{ca_file}` holds no certificate (PEM).")
        ca_file = str(Path(ca_file).expanduser().absolute())
    return Trust(ca_file=ca_file, fingerprint=fingerprint)


def _risks(words: list[str]) -> frozenset[Risk]:
    named = [word for listed in words for word in listed.replace(",", " ").split()]
    for name in named:
        if name not in set(Risk):
            raise UsageError("bad-risk", f"--accept-risk: `{name}` is no risk that has a name.", "`ha-ssh help risks` lists them")
    return frozenset(Risk(name) for name in named)


def answered(context: Context, options: Options, raw: dict[str, Any], from_file: str | None) -> Options:
    """Return the options with every answer given by flag, variable or file, the stronger source first."""
    answers, from_answers_file = Answers(), Answers()
    if from_file is not None:
        from ha_ssh.ask.answers_file import from_yaml

        from_answers_file = from_yaml(read_text(from_file, "--from"), from_file)
    for clause in SETUP:
        given = _answer(context, clause, raw)
        if given is not None:
            answers = answers.with_(clause.id, given.value, given.source, given.where)
    passphrase_file = raw["passphrase_file"]
    told = from_answers_file.given("passphrase-file")
    if told is not None and "passphrase" not in answers:
        passphrase_file = told.value
        answers = answers.with_("passphrase", read_secret(passphrase_file, told.where), told.source, told.where)
    answers = reconciled(answers).or_(from_answers_file.without("url").without("passphrase-file"))
    return replace(
        options,
        answers=reconciled(answers),
        url=options.url or from_answers_file.get("url"),
        passphrase_file=passphrase_file,
    )


def _answer(context: Context, clause: Clause, raw: dict[str, Any]) -> Given | None:
    """Return the answer to one question as its flags or variables give it."""
    value, given = raw[_name(clause.flag)], _source(context, _name(clause.flag), clause.flag)
    if clause.kind is Kind.CONFIRM:
        return None if value is None else replace(given, value=value)
    if clause.off and raw[_name(clause.off)]:
        no = _source(context, _name(clause.off), clause.off)
        if value is not None and given.source is no.source:
            raise UsageError(f"bad-{clause.id}", f"{given.where} and {no.where} exclude each other.", "leave one out")
        if value is None or no.source is Source.FLAG:
            return replace(no, value=Secret("") if clause.kind is Kind.SECRET else "")
    if clause.kind is Kind.SECRET:
        if value is not None:
            return replace(given, value=read_secret(value, given.where))
        known = os.environ.get("HA_SSH_PASSPHRASE")
        return None if known is None else Given(Secret(known), Source.ENVIRONMENT, "HA_SSH_PASSPHRASE")
    return None if value is None else clause.read(value, given)


def looking(
    context: Context,
    options: Options,
    *,
    report: str | None,
    host: str | None,
    port: str | None,
    key: str | None,
    passphrase_file: str | None,
) -> Options:
    """Return the options with what a look at SSH takes; raises `UsageError` for a value that cannot be."""
    answers = options.answers
    if report is not None and not report.lower().endswith(REPORTS):
        raise UsageError("bad-report", f"--report: the name of `{report}` says no format.", "end it in `.html` or `.md`")
    if port is not None and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise UsageError("bad-port", f"--port: `{port}` is no port.", "a port is a number from 1 to 65535")
    if port is not None:
        answers = answers.with_("ssh-port", int(port), _source(context, "port", "--port").source, "--port")
    if host is not None:
        host = read_host(host, said_where(context, "--host"))
    if key is not None:
        answers = answers.with_("key", str(Path(key).expanduser()), Source.FLAG, "--key")
    if passphrase_file is not None:
        answers = answers.with_("passphrase", read_secret(passphrase_file, "--passphrase-file"), Source.FLAG, "--passphrase-file")
    elif os.environ.get("HA_SSH_PASSPHRASE"):
        secret = Secret(os.environ["HA_SSH_PASSPHRASE"])
        answers = answers.with_("passphrase", secret, Source.ENVIRONMENT, "HA_SSH_PASSPHRASE")
    return replace(options, answers=answers, report=report, host=host, ssh_port=None if port is None else int(port))


def read_secret(path: str, where: str) -> Secret:
    """Return the secret in a file (`-` is stdin), without the line end; raises `UsageError` naming who named the file."""
    text = read_text(path, where).removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError("empty-secret", f"{where}: `{path}` holds no secret.")
    return Secret(text)


def read_text(path: str, where: str) -> str:
    """Return the text of a file (`-` is stdin); raises `UsageError` naming who named the file."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError("unreadable-file", f"{where}: `{path}` cannot be read: {reason}.") from None
