"""The story of `setup`: enter the house, look, ask, and converge until the login is proven."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from ha_ssh import engine
from ha_ssh.ask import answers_file
from ha_ssh.ask.questions import (
    Agreement,
    NotThis,
    SeenApp,
    SeenHouse,
    SeenKey,
    change,
    interview,
    last_of,
    missing,
    same_run,
    secret_out_question,
    want_of,
)
from ha_ssh.checks import all_checks
from ha_ssh.core import sshconfig
from ha_ssh.core.errors import Exit, HaSshError, MissingAnswer
from ha_ssh.core.facts import ACCESS_FACTS, ALWAYS_SO, App, Apps, OwnFiles, Supervisor
from ha_ssh.core.house_facts import PortHolders
from ha_ssh.core.keys import printable
from ha_ssh.core.model import (
    ErrorReport,
    Facts,
    KeyState,
    Level,
    NotKnown,
    Outcome,
    PasswordWish,
    Plan,
    Report,
    SecretRef,
    Want,
)
from ha_ssh.core.options import Source
from ha_ssh.core.planner import plan as plan_for
from ha_ssh.core.secret import Secret
from ha_ssh.flows.beforehand import awake, carried, mind_the_file, mind_unhealthy, refuse_what_cannot_be, taken_ports
from ha_ssh.flows.enter import Entered, enter
from ha_ssh.flows.remember import not_written_down, remember
from ha_ssh.flows.reports import report_on
from ha_ssh.flows.risks import accept_risks
from ha_ssh.flows.unfinished import meet_unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from ha_ssh.core.model import Target
    from ha_ssh.core.options import Answers
    from ha_ssh.flows.tools import KnownHouse, Tools


_FIRST = (*ACCESS_FACTS, PortHolders)
"""What is looked at before anything is asked."""


class _AskAgain(Exception):
    """Somebody wants to change an answer."""


async def setup(tools: Tools) -> Report:
    """From whatever is there to a proven login; running it again is the repair."""
    mind_the_file(tools, "--save-answers", tools.options.save_answers)
    with tools.lock():
        entered = await enter(tools)
        resume = await meet_unfinished(tools, entered)
        target = entered.target(tools)
        facts = await engine.look(entered.home, target, tools.journal, always=_FIRST)
        if await awake(entered.home, tools.show, facts):
            facts = await engine.look(entered.home, target, tools.journal, always=_FIRST)
        refuse_what_cannot_be(facts)
        facts = await carried(tools, entered.home, facts)
        target = facts.target
        answers, seen = tools.options.answers, await _seen(tools, entered, facts)
        while True:
            answers, seen, passphrase = await _interview(tools, entered, answers, seen)
            want = _want(tools, answers, seen, passphrase)
            aimed = _aim(target, want, entered.known)
            facts = await _look_again(tools, entered, facts, aimed)
            try:
                return await _converge(tools, entered, aimed, want, facts, answers, resume)
            except _AskAgain:
                answers = await change(tools.asker, answers, seen)


# ---------------------------------------------------------------------------------------------------- before the answers


async def _seen(tools: Tools, entered: Entered, facts: Facts) -> SeenHouse:
    """What the questions need of the facts, and of the ports that could be chosen."""
    files, known = facts[OwnFiles], entered.known
    named = {name for name, _line in sshconfig.hosts_named(files.config.text or "")}
    return SeenHouse(
        apps=tuple(_seen_app(app) for app in facts[Apps].by_slug.values()),
        new_key=f"{tools.places.ssh_dir}/id_ha_ssh_{entered.id}",
        keys=tools.keys(),
        taken_ports={
            **await taken_ports(entered.home, facts, [port] if (port := tools.options.answers.get("port")) else ()),
            **_held_by_others(facts),
        },
        taken_aliases=frozenset(named),
        last=_last(known.want, facts) if known and known.want else {},
    )


def _held_by_others(facts: Facts) -> dict[int, str]:
    """The ports of the house's other apps, as the Supervisor knows them; not every one of them answers to a knock."""
    holders = facts.get(PortHolders)
    others = () if isinstance(holders, NotKnown) else holders.holders
    ours = facts[Apps].by_slug
    return {port: one.text for one in others if one.running and one.slug not in ours for port in one.ports}


def _last(want: Want, facts: Facts) -> dict[str, object]:
    """What was chosen last time; a port or a login name that was changed in the house since is the house's to say."""
    app = facts[Apps].chosen(want.app)
    now = {"port": app.serving.port, "username": app.serving.user} if app.installed and app.slug == want.app else {}
    chosen = last_of(want)
    return {question: now.get(question) or value for question, value in chosen.items()}


def _seen_app(app: App) -> SeenApp:
    flavour, serving = app.flavour, app.serving
    return SeenApp(
        slug=flavour.slug,
        name=flavour.name,
        short=flavour.short,
        default_port=flavour.default_port,
        installed=app.installed,
        available=app.available,
        running=app.running,
        port=serving.port,
        username=serving.user or "root",
        username_fixed=flavour.set_username("x") is None,
        password_set=serving.password_set,
        key_ends_password=flavour.key_ends_password,
    )


# ------------------------------------------------------------------------------------------------------------- answers


async def _interview(
    tools: Tools, entered: Entered, answers: Answers, seen: SeenHouse
) -> tuple[Answers, SeenHouse, SecretRef | None]:
    """Ask what is open; a key file and its passphrase are tried before the first change."""

    async def learn(now: Answers, then: SeenHouse) -> SeenHouse:
        said = now.get("key")
        path = said if said is not None else then.last.get("key")
        if path in {None, "new", "other"}:
            return then
        secret = now.get("passphrase")
        ref = tools.memory.keep("passphrase", secret) if isinstance(secret, Secret) and secret else None
        state = await entered.home.key(str(path), ref)
        if said is None and state.problem not in {None, "locked"}:
            return then  # a key of last time that is of no use any more is nobody's answer
        return _learnt(state, then)

    answers, seen = await interview(tools.asker, answers, seen, learn)
    secret = answers.get("passphrase")
    ref = tools.memory.keep("passphrase", secret) if isinstance(secret, Secret) and secret else None
    return answers, seen, ref


def _learnt(state: KeyState, seen: SeenHouse) -> SeenHouse:
    """Take a key file into what was seen; raises `NotThis` for one that cannot be used."""
    if not state.exists:
        raise NotThis(f"There is no file `{state.path}`.", about="key")
    if state.problem == "wrong-passphrase":
        raise NotThis(f"That passphrase does not open `{state.path}`.", about="passphrase")
    if state.problem not in {None, "locked"}:
        raise NotThis(f"`{state.path}` cannot be used: {state.detail or state.problem}.", about="key")
    kind = (state.public or "").split(" ")[0]
    key = SeenKey(
        path=state.path, kind=kind, encrypted=state.encrypted, ours=bool((found := seen.key(state.path)) and found.ours)
    )
    return replace(seen, keys=(*(other for other in seen.keys if other.path != state.path), key))


_WISHES = {"key": "identity"}
"""The field of a `Want` by the question about it, where it has another name."""


def _want(tools: Tools, answers: Answers, seen: SeenHouse, passphrase: SecretRef | None) -> Want:
    """What is wanted, from settled answers."""
    want = want_of(answers, seen, passphrase=passphrase, comment=tools.comment, accepted=tools.options.accepted)
    app, last = seen.app(want.app), [one for one in answers if answers.source(one) is Source.LAST]
    want = replace(want, remembered=frozenset(_WISHES.get(one, one) for one in last))
    if want.password is PasswordWish.GENERATE and (app is None or app.key_ends_password):
        raise HaSshError(
            "password-is-ignored",
            "--password generate: this app ignores a password as soon as a key is authorised",
            "use `--password off`, or the community app: `--app advanced`",
            exit=Exit.USAGE,
        )
    return want


def _aim(target: Target, want: Want, known: KnownHouse | None) -> Target:
    """Look at exactly what is wanted: the app first, the key, the alias, the app's own name in `known_hosts`."""
    apps = tuple(sorted(target.apps, key=lambda flavour: flavour.slug != want.app))
    known_as = target.known_as
    if _switches(known, want):
        # Another app is another server, with keys of its own: under one name they would pass for changed ones.
        known_as = apps[0].short if known_as is None else None
    return replace(target, apps=apps, identity=want.identity, passphrase=want.passphrase, alias=want.alias, known_as=known_as)


def _switches(known: KnownHouse | None, want: Want) -> bool:
    """Return whether the alias is to lead to another app than until now."""
    return known is not None and known.app not in {None, want.app}


async def _look_again(tools: Tools, entered: Entered, facts: Facts, aimed: Target) -> Facts:
    """Look once more where the answers have changed what is to be looked at, and at what only the checks need."""
    checks = engine.access(all_checks())
    keep = {kind for kind, _fact in facts.items()} if facts.target == aimed else ALWAYS_SO | {Supervisor}
    return await engine.look(entered.home, aimed, tools.journal, checks, known=facts, keep=keep)


# ------------------------------------------------------------------------------------------------------------ converge


async def _converge(
    tools: Tools, entered: Entered, target: Target, want: Want, facts: Facts, answers: Answers, resume: str | None
) -> Report:
    """Show the plan, ask once, do it, and report on fresh facts."""
    _mind_the_user_files(facts, want, tools.places.ssh_dir)
    await mind_unhealthy(entered.home, facts, want)
    checks = engine.access(all_checks())
    nobody: list[MissingAnswer] = []

    async def agree(plan: Plan) -> bool:
        tools.show.plan(plan)
        try:
            said = await tools.asker.agree(_summary(plan), plan.risks, changeable=True)
        except MissingAnswer as unagreed:
            nobody.append(unagreed)
            return False
        if said is Agreement.CHANGE:
            raise _AskAgain
        return said is Agreement.YES

    _tell_what_stays(tools, entered, facts, want)
    want = await accept_risks(tools, want, facts, checks)
    run = engine.Run(
        command="setup",
        target=target,
        want=want,
        home=entered.home,
        journal=tools.journal,
        show=tools.show,
        agree=agree,
        checks=checks,
        resume=resume,
    )
    if tools.options.dry_run:
        plan = plan_for(want, facts, checks)
        tools.show.plan(plan)
        return report_on("setup", entered, engine.Converged(facts, first=plan), tools, want)
    with await _room_for_a_password(tools, want) as write:
        if write is not None:
            made = Secret(secrets.token_urlsafe(15))
            ref = SecretRef.of_password(made.reveal())
            tools.memory.keep(ref.name, made)
            run = replace(run, want=replace(want, new_password=ref))
        done = await engine.converge(run, facts)
        if isinstance(done.error, _AskAgain):
            raise done.error
        if write is not None and any(one.id == "password-as-wanted" and one.level is Level.OK for one in done.findings):
            write(made)
    report = report_on("setup", entered, done, tools, want)
    if report.result is Outcome.WRONG:
        tools.show.findings(done.findings)
    if nobody:
        report.error = ErrorReport(code=nobody[0].code, message=nobody[0].message, hints=nobody[0].hints)
    where = {
        "--house": tools.options.house,
        "--ssh-host": tools.options.ssh_host,
        "--token-file": tools.options.token_file,
        "--ca-file": entered.trust.ca_file,
        "--tls-fingerprint": entered.trust.fingerprint,
    }
    report.same_run = same_run(answers, url=entered.url, accepted=tuple(sorted(want.accepted)), where=where)
    if tools.options.demo:
        report.same_run = report.same_run.replace(f"--url {entered.url}", "--demo")
    if report.exit == Exit.OK:
        try:
            remember(tools, entered, done, want)
            _save_answers(tools, entered, answers)
        except HaSshError as error:
            not_written_down(report, "all is set up", error)
    return report


async def _room_for_a_password(tools: Tools, want: Want) -> contextlib.AbstractContextManager[Callable[[Secret], None] | None]:
    """The file for a new password, held ready before the first change; none where no new one is wanted."""
    if want.password is not PasswordWish.GENERATE:
        return contextlib.nullcontext()
    question = secret_out_question("ha-ssh", "password")
    if tools.options.secret_out is None and tools.options.no_input:
        raise missing(question)
    return tools.secret_file(tools.options.secret_out or str(await tools.asker.ask(question)))


def _mind_the_user_files(facts: Facts, want: Want, ssh_dir: str) -> None:
    """Stop before the first change where the alias could not be written at the end."""
    config = facts[OwnFiles].config
    if want.alias and (config.problem or not config.writable):
        raise HaSshError(
            "config-not-writable",
            f"--alias: `{config.path}` cannot be written: {config.problem or 'it is read-only'}",
            "make it writable, or go without an alias: `--no-alias`",
            exit=Exit.USAGE,
        )
    if want.alias and want.identity and not sshconfig.can_hold(want.identity):
        raise HaSshError(
            "unwritable-path",
            f"--key: `{printable(want.identity)}` holds a sign that no line of OpenSSH's configuration can hold",
            'use a key whose path has no `"` and no line break in it, or go without an alias: `--no-alias`',
            exit=Exit.USAGE,
        )
    if want.alias and want.multiplex and not sshconfig.socket_fits(ssh_dir):
        raise HaSshError(
            "socket-path-too-long",
            f"--multiplex: `{ssh_dir}` is too long a path for the socket of a shared connection",
            "go without: `--no-multiplex`",
            exit=Exit.USAGE,
        )


def _tell_what_stays(tools: Tools, entered: Entered, facts: Facts, want: Want) -> None:
    """Where another app than before is wanted: say what becomes of that one."""
    known = entered.known
    former = facts[Apps].by_slug.get(known.app or "") if known and _switches(known, want) else None
    if former is None or not former.installed:
        return
    port = f", on port {former.serving.port}" if former.running and former.serving.port else ""
    alias = f"`ssh {want.alias}` leads" if want.alias else "ha-ssh goes"
    tools.show.say(
        f"{former.flavour.name} was set up until now. It stays as it is: {'running' if former.running else 'installed'}{port}, "
        f"with its settings and keys. From now on {alias} to {facts[Apps].chosen(want.app).flavour.name}."
    )


def _summary(plan: Plan) -> str:
    count = len(plan.steps)
    return f"{count} {'change' if count == 1 else 'changes'}"


def _save_answers(tools: Tools, entered: Entered, answers: Answers) -> None:
    """Write the answers to the file that `--save-answers` names."""
    path = tools.options.save_answers
    if path is None:
        return
    text = answers_file.to_yaml(
        answers, url=entered.url, passphrase_file=tools.options.passphrase_file, text=tools.read_text(path)
    )
    tools.write_text(path, text)
