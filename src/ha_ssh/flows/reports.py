"""What a converging command has to say at its end: its result, its exit code, the house and the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ha_ssh import engine
from ha_ssh.checks import all_checks
from ha_ssh.core.discreet import secrets_in
from ha_ssh.core.errors import BugInRun, Exit, HaSshError
from ha_ssh.core.facts import Alias, Apps, Computer, Core, Doors, Proof, Supervisor
from ha_ssh.core.model import ErrorReport, Facts, NotKnown, Outcome, Plan, Report, StepReport, StepState, Want
from ha_ssh.core.planner import diagnose
from ha_ssh.core.redact import Private, redact
from ha_ssh.flows.enter import host_of

if TYPE_CHECKING:
    from ha_ssh.flows.enter import Met, Reached
    from ha_ssh.flows.tools import Tools

_ANYBODYS = frozenset({"ha", "hass", "home", "house", "homeassistant", "elsewhere", "assistant", "admin", "owner", "user", "the"})
"""Names of houses, aliases and people that tell nothing of anybody."""
_SHORT = 2
"""The letters of a part of a name that is none by itself."""


def report_on(command: str, entered: Met, done: engine.Converged, tools: Tools, want: Want) -> Report:
    """Return the report of a run; raises `BugInRun` for one that failed by a fault of our own (exit 70)."""
    report = Report(
        command=command,
        changed=done.changed,
        house=house_of(entered, done.facts),
        ssh=ssh_of(done.facts, want, tools),
        steps=list(done.steps),
        kept=list(done.kept),
        findings=done.findings,
    )
    if done.error is not None:
        _failed(report, done)
    elif tools.options.dry_run:
        report.result, report.changed = Outcome.PLANNED, bool(done.first)
        _add_plan(report, done.first)
    elif done.first and done.first.steps and done.run is None:
        report.result, report.exit = Outcome.PLANNED, Exit.UNANSWERED
        _add_plan(report, done.first)
    elif not engine.well(done.findings, strict=tools.options.strict):
        report.result, report.exit = Outcome.WRONG, Exit.WRONG
    if command == "setup" and report.error is None and report.result is not Outcome.INTERRUPTED:
        _add_version(report, done.facts, want, tools)
    if report.exit == Exit.OK and report.result is Outcome.OK and report.ssh:
        # The files of a demo are gone when it ends, so it shows what a real run would.
        report.next_line = f"ssh {want.alias}" if tools.options.demo and want.alias else report.ssh.get("command")
    return report


def _add_version(report: Report, facts: Facts, want: Want, tools: Tools) -> None:
    """Name an app that is not up to date, and what updates it: a setup changes the access only."""
    for finding in diagnose(want, facts, [check for check in all_checks() if check.id == "app-version"]):
        fix = finding.verdict.fix
        if fix is not None and fix.steps:
            report.findings += (finding,)
            way = "--also" if fix.offered else "--only"
            tools.show.say(f"{finding.verdict.says}; `ha-ssh doctor --fix {way} {finding.id}` updates it")


def _add_plan(report: Report, plan: Plan | None) -> None:
    if plan is None:
        return
    report.waiting = plan.waiting
    report.steps = [
        StepReport(id=one.step.id, title=one.step.title, state=StepState.PLANNED, preview=one.preview) for one in plan.steps
    ]


def _failed(report: Report, done: engine.Converged) -> None:
    """Say how a run failed: what it was, whether all was put back, and what stayed."""
    error = done.error
    if isinstance(error, Exception) and not isinstance(error, HaSshError):
        report.error = _bug(report, done)
        report.result, report.exit = Outcome.ERROR, Exit.BUG
        raise BugInRun(report) from error
    if isinstance(error, HaSshError):
        report.error = ErrorReport(code=error.code, message=redact(error.message, secrets_in(done.facts)), hints=error.hints)
        report.result, report.exit = Outcome.PUT_BACK, Exit.WRONG
    else:
        report.result, report.exit = Outcome.INTERRUPTED, Exit.INTERRUPTED
    if done.stuck:
        report.result, report.exit = Outcome.STUCK, Exit.STUCK
        hints = ("`ha-ssh undo` tries again, once the house answers",)
        said = report.error.message.rstrip(".") if report.error else "interrupted"
        report.error = ErrorReport(code="stuck", message=f"{said}; could not be put back: {'; '.join(done.stuck)}", hints=hints)


def _bug(report: Report, done: engine.Converged) -> ErrorReport:
    """Say of a bug what became of the changes before it."""
    hints: tuple[str, ...] = ()
    became = "Everything that the run had changed was put back."
    if done.stuck:
        became, hints = f"Could not be put back: {'; '.join(done.stuck)}.", ("`ha-ssh undo` tries again",)
    elif report.changed:
        became, hints = "What had to be put back was put back.", ("`ha-ssh undo` puts back the rest",)
    return ErrorReport(code="bug", message=f"This is a bug of ha-ssh, not a mistake of yours. {became}", hints=hints)


def versions(facts: Facts) -> dict[str, str]:
    """What is installed where, as far as it was seen."""
    found = {"OpenSSH here": "", "Home Assistant": "", "Supervisor": ""}
    computer, core, supervisor, apps = (facts.get(kind) for kind in (Computer, Core, Supervisor, Apps))
    if isinstance(computer, Computer):
        found["OpenSSH here"] = computer.ssh or "none"
    if isinstance(core, Core):
        found["Home Assistant"] = core.state.version
    if isinstance(supervisor, Supervisor):
        found["Supervisor"] = supervisor.version
    if isinstance(apps, Apps):
        found |= {app.flavour.name: f"{app.version}, {app.state}" for app in apps.by_slug.values() if app.installed}
    doors = facts.get(Doors)
    if isinstance(doors, Doors):
        found |= {f"SSH server on port {door.port}": str(door.banner) for door in doors.by_slug.values() if door.banner}
    return found


def private(reached: Reached, facts: Facts) -> Private:
    """What in a report tells whose house it is."""
    target, core, supervisor = facts.target, facts.get(Core), facts.get(Supervisor)
    hosts = {host_of(target.url), target.ssh_host} if target.url else {target.ssh_host}
    users = _parts(core.state.user) if isinstance(core, Core) else set()
    commands: set[str] = set()
    if isinstance(supervisor, Supervisor) and supervisor.hostname:
        hosts.add(supervisor.hostname)
    apps = facts.get(Apps)
    if isinstance(apps, Apps):
        users |= {app.serving.user for app in apps.by_slug.values()}
        commands = {command for app in apps.by_slug.values() for command in app.serving.commands}
    users |= {target.ssh_user or ""}
    names = {name for name in (reached.name, target.house_id, target.alias) if name and name not in _ANYBODYS}
    return Private(
        hosts=frozenset(hosts - {""}),
        users=frozenset(users - {"", "root"}),
        names=frozenset(names),
        secrets=secrets_in(facts),
        commands=frozenset(commands),
    )


def _parts(name: str) -> set[str]:
    """Return a person's name with its parts, by which others may call them."""
    return {name, *(part for part in name.split() if len(part) > _SHORT and part.lower() not in _ANYBODYS)}


def house_of(entered: Met, facts: Facts) -> dict[str, Any] | None:
    """The `house` of the report; `None` where no address is known."""
    if not entered.url:
        return None
    core, supervisor = facts.get(Core), facts.get(Supervisor)
    return {
        "name": entered.name,
        "url": entered.url,
        "core": None if isinstance(core, NotKnown) else core.state.version,
        "supervisor": None if isinstance(supervisor, NotKnown) else supervisor.version,
    }


def ssh_of(facts: Facts, want: Want, tools: Tools) -> dict[str, Any] | None:
    """The `ssh` of the report: where the door is, how to go through it, and what proves it."""
    apps, doors, alias = facts.get(Apps), facts.get(Doors), facts.get(Alias)
    if isinstance(apps, NotKnown) or isinstance(doors, NotKnown):
        return None
    app = apps.chosen(want.app)
    door = doors.by_slug.get(app.slug)
    if door is None:
        return None
    reached = not isinstance(alias, NotKnown) and alias.login is not None and alias.login.code == 0
    name = facts.target.alias if reached else None
    proof = door.proof if isinstance(door.proof, Proof) else None
    return {
        "host": door.host,
        "port": door.port,
        "user": app.serving.user,
        "alias": name,
        "identity_file": facts.target.identity,
        "command": command_line(tools, name, door.host, door.port, app.serving.user, facts.target.identity),
        "proof": proof and {"channel": proof.channel, "method": proof.method, "at": proof.at, "same_machine": proof.same_machine},
    }


def command_line(tools: Tools, alias: str | None, host: str, port: int, user: str, identity: str | None) -> str:
    """Return the line that logs in: by the alias where it works, else in full."""
    config = f" -F {tools.places.config}" if tools.places.portable else ""
    if alias:
        return f"ssh{config} {alias}"
    key = f" -i {identity}" if identity else ""
    return f"ssh{config}{key} -p {port} {user}@{host}"
