"""The commands, as Typer knows them: each turns its flags into `Options` and leaves the doing to others."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ha_ssh.cli.flags import VERSION, answering, common, flag, looking, read_secret, said_where
from ha_ssh.cli.topics import TOPICS, topic
from ha_ssh.core.errors import UsageError
from ha_ssh.core.options import Options  # noqa: TC001 - Typer reads the annotations when it runs

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="ha-ssh",
    help='From "I run Home Assistant" to a proven SSH login, and it stays that way.',
    epilog="Start with `ha-ssh setup`; try it first with `ha-ssh setup --demo`.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line as far as these arguments need it: Typer looks at every flag of every command that it knows."""
    needed = [one for one in app.registered_commands if one.callback is not None and [one.callback.__name__] == [*arguments[:1]]]
    if not needed:
        return app
    narrow = copy.copy(app)
    narrow.registered_commands, narrow.registered_groups = needed, []
    return narrow


@app.callback()
def _start(
    context: typer.Context,
    *,
    version: Annotated[bool, VERSION] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


@app.command()
@common
@answering
def setup(
    *,
    options: Options,
    from_file: Annotated[str | None, flag("--from", metavar="FILE", help="Take answers from this YAML file.")] = None,
    save_answers: Annotated[
        str | None, flag("--save-answers", metavar="FILE", help="Keep the answers as YAML, without secrets.")
    ] = None,
    secret_out: Annotated[
        str | None, flag("--secret-out", metavar="FILE", help="Write a generated password here (0600).")
    ] = None,
) -> Options:
    """Set up SSH access, from nothing to a proven login.

    Looks, asks at most a few questions, shows the whole plan, and acts after one yes. Run it again to repair: it changes
    only what is not as it should be. Every flag is also a variable: --port is HA_SSH_PORT.
    """
    return replace(options, save_answers=save_answers, secret_out=secret_out)


@app.command()
@common
def doctor(
    *,
    context: typer.Context,
    options: Options,
    fix: Annotated[bool, typer.Option("--fix", help="Put right what can be put right, after one yes.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the checks and leave.")] = False,
    only: Annotated[list[str] | None, flag("--only", metavar="ID", help="Judge only this check (repeatable).")] = None,
    skip: Annotated[list[str] | None, flag("--skip", metavar="ID", help="Leave this check out (repeatable).")] = None,
    also: Annotated[
        list[str] | None, flag("--also", metavar="ID", help="With --fix: take this check's offer too (repeatable).")
    ] = None,
    strict: Annotated[bool, flag("--strict", help="Exit 1 for whatever is wrong or warned of, access or not.")] = False,
    offline: Annotated[bool, flag("--offline", help="Look at this computer's own files only.")] = False,
    report: Annotated[
        str | None, flag("--report", metavar="FILE", help="Write what to show to others: FILE.html or FILE.md.")
    ] = None,
    host: Annotated[str | None, flag("--host", metavar="HOST", help="Look at SSH there; alone, without --url.")] = None,
    port: Annotated[str | None, flag("--port", metavar="N", help="Its port, where the house cannot be asked.")] = None,
    user: Annotated[str | None, flag("--user", metavar="NAME", help="The login name, likewise.")] = None,
    key: Annotated[str | None, flag("--key", metavar="FILE", help="Log in with this private key.")] = None,
    passphrase_file: Annotated[
        str | None, flag("--passphrase-file", metavar="FILE", help="The key's passphrase is in this file (- is stdin).")
    ] = None,
) -> Options:
    """Say what is wrong with SSH access, the root cause first.

    Looks at everything from this computer's files to the shell. Changes nothing, unless --fix is given. Exit code 0:
    access works; 1: it does not, or could not be looked at.
    """
    options = looking(context, options, report=report, host=host, port=port, key=key, passphrase_file=passphrase_file)
    options = replace(options, fix=fix, list_only=list_only, strict=strict)
    options = replace(options, only=tuple(only or ()), skip=tuple(skip or ()), also=tuple(also or ()))
    return replace(options, offline=offline, ssh_user=user)


@app.command()
@common
def undo(
    *,
    options: Options,
    list_only: Annotated[bool, typer.Option("--list", help="List the runs that can be undone, and leave.")] = False,
    run_id: Annotated[str | None, typer.Option("--run", metavar="ID", help="Undo this run instead of the last one.")] = None,
) -> Options:
    """Put back what a run changed, also one that crashed.

    What others changed since then stays as they left it.
    """
    return replace(options, list_only=list_only, run_id=run_id)


@app.command()
@common
def login(
    *,
    context: typer.Context,
    options: Options,
    browser: Annotated[
        bool | None, flag("--browser/--no-browser", help="Sign in on Home Assistant's own page; do not open it here.")
    ] = None,
    username: Annotated[
        str | None,
        typer.Option(
            "--username", metavar="NAME", envvar="HA_SSH_LOGIN_USERNAME", show_envvar=False, help="Sign in by name and password."
        ),
    ] = None,
    password_file: Annotated[
        str | None, flag("--password-file", metavar="FILE", help="The password is in this file (- is stdin).")
    ] = None,
    make_token: Annotated[
        str | None, flag("--make-token", metavar="NAME", help="Make a long-lived token of this name, for scripts.")
    ] = None,
    days: Annotated[int | None, flag("--days", metavar="N", help="How long that token lasts: 365 if not said.")] = None,
    secret_out: Annotated[
        str | None, flag("--secret-out", metavar="FILE", help="Write that token to this new file (0600).")
    ] = None,
) -> Options:
    """Sign in to Home Assistant, for all later runs.

    In the browser, with name and password, or with a token. What is kept lies in the system's keyring, else in a private
    file, and goes to this house only. `ha-ssh logout` ends it.
    """
    password = None if password_file is None else read_secret(password_file, said_where(context, "--password-file"))
    if username is not None and browser is not None:
        raise UsageError("bad-sign-in", "--username and --browser are two ways to sign in.", "leave one out")
    for name, said in (("--days", days), ("--secret-out", secret_out)):
        # a variable may be there for other commands
        if said is not None and make_token is None and said_where(context, name) == name:
            raise UsageError("no-token-named", f"{name} is about a token, and none is to be made.", "add `--make-token NAME`")
    return replace(
        options,
        browser=browser,
        username=username,
        password=password,
        make_token=make_token,
        days=options.days if days is None else days,
        secret_out=secret_out,
    )


@app.command()
@common
def logout(*, options: Options) -> Options:
    """End the session in Home Assistant, and forget it on this computer."""
    return options


@app.command()
@common
def discover(*, options: Options) -> Options:
    """Find Home Assistant on this network.

    Listens to what announces itself and tries the usual names. Nothing secret is sent.
    """
    return options


houses = typer.Typer(
    help="The houses that are remembered.",
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings=app.info.context_settings,
)
app.add_typer(houses, name="houses")


@houses.callback()
def _houses(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


_NAME = typer.Argument(metavar="NAME", help="A house that is remembered.", show_default=False)


@houses.command("list")
@common
def list_houses(*, options: Options) -> Options:
    """List the houses that are remembered."""
    return options


@houses.command()
@common
def use(*, options: Options, name: Annotated[str, _NAME]) -> Options:
    """Make a house the one that is meant where none is named."""
    return replace(options, names=(name,))


@houses.command()
@common
def rename(
    *,
    options: Options,
    name: Annotated[str, _NAME],
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="Its new name.", show_default=False)],
) -> Options:
    """Give a house another name.

    Only the name changes: the alias, the included SSH file, the key and the tags in known_hosts stay as they are.
    """
    return replace(options, names=(name, new_name))


@houses.command()
@common
def forget(*, options: Options, name: Annotated[str, _NAME]) -> Options:
    """Drop what is remembered of a house, and its sign-in.

    The house itself, the alias, the key and other files stay as they are.
    """
    return replace(options, names=(name,))


@app.command()
@common
def demo(
    *,
    options: Options,
    list_only: Annotated[bool, typer.Option("--list", help="List the scenes and leave.")] = False,
) -> Options:
    """Run a simulated house on this computer until Ctrl-C.

    Prints its address and where its token lies. Nothing of your own is touched.
    """
    return replace(options, list_only=list_only)


@app.command("help", help=f"Explain a topic: {', '.join(TOPICS)}.")
def help_(
    context: typer.Context,
    about: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="A topic or a command.", show_default=False)] = None,
) -> None:
    """Explain a topic."""
    root = context.find_root()
    if about is None:
        typer.echo(root.get_help())
    elif about in TOPICS:
        typer.echo(topic(about))
    elif isinstance(root.command, typer.core.TyperGroup) and about in root.command.commands:
        command = root.command.commands[about]
        with typer.Context(command, info_name=about, parent=root) as inner:
            typer.echo(command.get_help(inner))
    else:
        raise UsageError("no-such-topic", f"There is no topic `{about}`.", f"topics: {', '.join(TOPICS)}")
    raise typer.Exit
