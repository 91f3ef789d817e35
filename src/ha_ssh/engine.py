"""Look, diagnose, apply, put back, converge: the five verbs that every command is made of."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ha_ssh import checks as truths
from ha_ssh.core import planner
from ha_ssh.core.apply_settings import ApplySettings
from ha_ssh.core.errors import SIGN_IN_ENDED, Exit, HaSshError, MissingAnswer, Unreachable
from ha_ssh.core.facts import ACCESS_FACTS, Core, Unfinished
from ha_ssh.core.model import (
    HOUSE_SLOW,
    CannotLook,
    Check,
    Edit,
    EditOp,
    F,
    Facts,
    Finding,
    Flavour,
    Home,
    IfFailed,
    Journal,
    JournalEntry,
    JournalRun,
    Level,
    NotKnown,
    Plan,
    PublicKeyOf,
    Reader,
    Scope,
    SecretRef,
    Show,
    Step,
    StepReport,
    StepState,
    Target,
    Want,
)
from ha_ssh.core.rehearsal import Rehearsal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

_RECONNECT_SECONDS = 60.0
_LATE_SECONDS = 10.0
"""How long after a lost answer an effect may still come."""
_MOST_ROUNDS = 4
_SLOW = 1.0
"""Seconds from which an answer of the house is a slow one."""
_PATIENCE = 10.0
"""Seconds that a look may take by itself; a fact that needs more says so as its `patience`."""


# ----------------------------------------------------------------------------------------------------------------- look


class _Round:
    """One round of looking: every fact is looked at once, and those that do not wait for each other side by side."""

    def __init__(self, reader: Reader, target: Target, journal: Journal) -> None:
        self.reader = reader
        self.target = target
        self.journal = journal
        self._looks: dict[type[Any], asyncio.Future[Any]] = {}

    async def state(self, kind: type[Any]) -> Any:
        """Return the fact, or why it is not known."""
        if kind not in self._looks:
            self._looks[kind] = asyncio.ensure_future(self._look(kind))
        return await self._looks[kind]

    def take_over(self, known: Mapping[type[Any], Any]) -> None:
        """Take facts as they were seen before, instead of looking."""
        for kind, value in known.items():
            seen = asyncio.get_running_loop().create_future()
            seen.set_result(value)
            self._looks[kind] = seen

    async def _look(self, kind: type[Any]) -> Any:
        limit = getattr(kind, "patience", _PATIENCE)
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(limit) as timer:
                at = _Standpoint(self, timer)
                try:
                    return await kind.look(at)
                finally:
                    at.over = True
        except CannotLook as cannot:
            return NotKnown(cannot.reason, cannot.code, cannot.because, hints=cannot.hints, evidence=cannot.evidence)
        except HaSshError as error:
            return NotKnown(error.message, error.code, hints=error.hints, evidence=error.evidence)
        except TimeoutError:
            if not timer.expired():
                raise
            return _too_late(limit, self.reader.answered(began))


def _too_late(limit: float, answered: Sequence[float]) -> NotKnown:
    """Return why a look ran out of time: the house is slow where it answered meanwhile, and took long over it."""
    if max(answered, default=0.0) < _SLOW:
        return NotKnown(f"looking took longer than {limit:g} s", "took-too-long")
    count = f"{len(answered)} {'answer' if len(answered) == 1 else 'answers'}"
    says = f"Home Assistant answers slowly: {count} came within {limit:g} s, the slowest after {max(answered):.1f} s"
    seconds = ", ".join(f"{one:.1f}" for one in answered[:10])
    return NotKnown(f"{says}, and not all that was asked for", HOUSE_SLOW, evidence=(f"{count}, in seconds: {seconds}",))


class _Standpoint:
    """Where one look stands (`At`): its time runs only while it waits for no other look."""

    def __init__(self, round_: _Round, timer: asyncio.Timeout) -> None:
        self.target = round_.target
        self.reader = round_.reader
        self.journal = round_.journal
        self._round = round_
        self._timer = timer
        self._waits = 0
        self._left = 0.0
        self.over = False
        """True once the look has ended; what it left behind may still wait for another one."""

    async def __call__(self, kind: type[F]) -> F:
        with self._stopped():
            value = await self._round.state(kind)
        if isinstance(value, NotKnown):
            raise CannotLook.at(kind, value)
        return cast("F", value)

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        """Stop the time of this look; several waits at once count as one."""
        loop, end = asyncio.get_running_loop(), self._timer.when()
        if self._waits == 0 and end is not None and not self._timer.expired():
            self._left = end - loop.time()
            self._timer.reschedule(None)
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            if self._waits == 0 and not self.over and not self._timer.expired():
                self._timer.reschedule(loop.time() + self._left)


async def look(
    reader: Reader,
    target: Target,
    journal: Journal,
    checks: Iterable[Check] = (),
    *,
    fresh: frozenset[str] = frozenset(),
    known: Facts | None = None,
    keep: Iterable[type[Any]] = (),
    always: Iterable[type[Any]] = ACCESS_FACTS,
) -> Facts:
    """Read the facts that are always looked at and those that the checks need, each once; changes nothing.

    Facts in `keep` are taken from `known`.
    """
    kinds = dict.fromkeys((*always, *(kind for check in checks for kind in check.needs)))
    at = _Round(reader, target, journal)
    if known is not None:
        at.take_over({kind: value for kind, value in known.items() if kind in set(keep) and not isinstance(value, NotKnown)})
    values = await asyncio.gather(*(at.state(kind) for kind in kinds))
    return Facts(target, _as_it_ended(dict(zip(kinds, values, strict=True))), fresh=fresh)


def _as_it_ended(seen: dict[type[Any], Any]) -> dict[type[Any], Any]:
    """Return what was seen; a sign-in that was taken at first, and refused before the look was over, is a refused one."""
    refused = next((fact for fact in seen.values() if isinstance(fact, NotKnown) and fact.code in SIGN_IN_ENDED), None)
    return seen if refused is None or Core not in seen else seen | {Core: replace(refused, because=None)}


# ------------------------------------------------------------------------------------------------------------- diagnose


def access(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks that setup converges."""
    return tuple(check for check in checks if check.scope is Scope.ACCESS)


def well(findings: Iterable[Finding], *, strict: bool = False) -> bool:
    """Return whether every access truth was judged and holds (with `strict`: whether every truth does, without a warning)."""
    bad = {Level.WRONG, Level.UNKNOWN} | ({Level.WARN} if strict else set())
    return not any(one.level in bad and (strict or one.check.scope is Scope.ACCESS) for one in findings)


# ---------------------------------------------------------------------------------------------------------------- apply


async def apply(plan: Plan, home: Home, journal: Journal, run: str, show: Show, reports: list[StepReport]) -> None:
    """Do the steps of a plan in order, each written to the journal before it is done, and add a report of each.

    Raises whatever a step raised; the journal and the reports then say how far it came.
    """
    for planned in plan.steps:
        step = planned.step
        report = StepReport(id=step.id, title=step.title, state=StepState.PLANNED, preview=planned.preview)
        show.step(report)
        began = home.clock.now()
        entry = JournalEntry(
            step=step.id,
            version=step.version,
            fields=to_fields(step),
            title=step.title,
            if_failed=step.if_failed,
            saved=await step.save(home),
        )
        index = journal.entry(run, entry)
        try:
            await step.do(home, show)
        except BaseException:
            reports.append(replace(report, state=StepState.FAILED, seconds=home.clock.now() - began))
            show.step(reports[-1])
            raise
        journal.mark(run, index, "done")
        reports.append(replace(report, state=StepState.DONE, seconds=home.clock.now() - began))
        show.step(reports[-1])


def to_fields(value: Any) -> Any:
    """Return a step's fields as plain JSON; references and keys to be made keep their kind."""
    if isinstance(value, SecretRef):
        return {"secret-ref": value.name}
    if isinstance(value, PublicKeyOf):
        return {"public-key-of": value.identity, "comment": value.comment}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_fields(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple | list):
        return [to_fields(item) for item in value]
    if isinstance(value, dict):
        return {key: to_fields(item) for key, item in value.items()}
    return value


def from_fields(value: Any) -> Any:
    """Return what `to_fields` wrote; lists come back as tuples."""
    if isinstance(value, dict):
        if value.keys() == {"secret-ref"}:
            return SecretRef(value["secret-ref"])
        if value.keys() == {"public-key-of", "comment"}:
            return PublicKeyOf(value["public-key-of"], value["comment"])
        if value.keys() == {"path", "op", "value", "title"}:
            parts = {key: from_fields(item) for key, item in value.items()}
            return Edit(path=parts["path"], op=EditOp(parts["op"]), value=parts["value"], title=parts["title"])
        return {key: from_fields(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(from_fields(item) for item in value)
    return value


def revive(entry: JournalEntry) -> Step:
    """Return the step of a journal entry; raises `HaSshError` for one that this version does not know."""
    kinds = {ApplySettings.id: ApplySettings} | truths.all_steps()
    kind = kinds.get(entry.step)
    if kind is None or kind.version != entry.version:
        raise HaSshError(
            "unknown-step",
            f"the journal holds the step `{entry.step}` (version {entry.version}), which this version of ha-ssh does not know",
            "undo it with the version that made it",
            exit=Exit.STUCK,
        )
    return cast("Step", kind(**from_fields(entry.fields)))


# ------------------------------------------------------------------------------------------------------------- put back


@dataclass
class PutBack:
    """What putting a run back came to."""

    undone: list[StepReport] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def put_back(
    run: JournalRun,
    home: Home,
    journal: Journal,
    show: Show,
    *,
    everything: bool = False,
    since: int = 0,
    again: bool = False,
) -> PutBack:
    """Reverse a run, newest first; a failing undo is told and the next still runs. An interruption gives up but the one step.

    Without `everything`, harmless progress is kept and named. `since` is the first entry that is not saved by a proven login;
    `again` goes once more over what was undone, for an effect that came late.
    """
    result, patience = PutBack(), _Patience()
    for index in range(len(run.entries) - 1, since - 1, -1):
        entry = run.entries[index]
        if entry.state == "undone" and not again:
            continue
        if entry.if_failed is IfFailed.KEEP and not everything:
            if entry.state == "done":
                result.kept.append(entry.title)
            continue
        try:
            left = await _patiently(revive(entry), entry, home, show, patience)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever one undo meets, the next still runs
            _stay(error)
            journal.mark(run.id, index, "failed-undo")
            result.failed.append(f"{entry.title}: {_why(error)}")
            show.step(StepReport(id=entry.step, title=entry.title, state=StepState.FAILED))
            continue
        journal.mark(run.id, index, "undone")
        if left:
            result.kept.append(left)
        report = StepReport(id=entry.step, title=entry.title, state=StepState.UNDONE)
        result.undone.append(report)
        show.step(report)
    return result


async def rehearse(run: JournalRun, home: Home, flavours: Iterable[Flavour]) -> list[StepReport]:
    """Return what `put_back` would do with everything of a run, newest first, as its own steps do it; changes nothing."""
    stage, reports = Rehearsal(home, flavours), []
    entries = [entry for entry in reversed(run.entries) if entry.state != "undone"]
    for entry, planned in zip(entries, to_put_back(run), strict=True):
        try:
            left = await revive(entry).undo(cast("Home", stage), entry.saved)
        except HaSshError as error:
            left = f"cannot be foreseen: {error.message}"
        reports.append(replace(planned, preview=(*stage.seen(), *((left,) if left else ()))))
    return reports


def to_put_back(run: JournalRun) -> list[StepReport]:
    """Return what there is to put back of a run, newest first."""
    return [
        StepReport(id=entry.step, title=f"Put back: {entry.title}", state=StepState.PLANNED)
        for entry in reversed(run.entries)
        if entry.state != "undone"
    ]


def _why(error: BaseException) -> str:
    """Return why an undo failed, as a part of a sentence."""
    if isinstance(error, HaSshError):
        return error.message.rstrip(".")
    return "interrupted" if isinstance(error, asyncio.CancelledError) else f"a bug of ha-ssh ({type(error).__name__})"


@dataclass
class _Patience:
    """How long a house that does not answer is still waited for, in all steps together."""

    left: float = _RECONNECT_SECONDS


async def _patiently(step: Step, entry: JournalEntry, home: Home, show: Show, patience: _Patience) -> str | None:
    """Undo a step, and wait for a house that does not answer just now, as long as patience lasts."""
    until = home.clock.now() + patience.left
    pause = 0.5
    while True:
        try:
            return await step.undo(home, entry.saved)
        except Unreachable as gone:
            patience.left = max(0.0, until - home.clock.now() - pause)
            if not patience.left:
                raise
            show.progress("waiting for the house, to put things back", None, gone.message)
        await home.clock.sleep(pause)
        pause = min(pause * 2, 10.0)


# ------------------------------------------------------------------------------------------------------------- converge


@dataclass
class Converged:
    """How a run came out: the last look, what was done, and what went wrong."""

    facts: Facts
    findings: tuple[Finding, ...] = ()
    first: Plan | None = None
    steps: list[StepReport] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    error: BaseException | None = None
    run: str | None = None
    changed: bool = False
    put_back: bool = False
    savepoint: int = 0
    """How many entries of the journal are kept by a proven login, whatever fails after it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a converging command works with."""

    command: str
    target: Target
    want: Want
    home: Home
    journal: Journal
    show: Show
    agree: Callable[[Plan], Awaitable[bool]]
    checks: Sequence[Check]
    resume: str | None = None
    """An unfinished run in the journal that this one carries on."""
    leaves_risks: bool = False
    """True where a fix whose risk nobody has accepted is left out; else it stops the run before its first change."""
    hands_off: frozenset[str] = frozenset()
    """The checks that are judged because others rest on them, and left as they are."""


async def converge(run: Run, facts: Facts | None = None) -> Converged:
    """Look, plan, agree, apply, and look again, until nothing is left to do; a failure is put back before this returns.

    Raises `MissingAnswer` where a risk or the agreement is missing before the first change.
    """
    result = Converged(facts or await look(run.home, run.target, run.journal, run.checks))
    try:
        await _rounds(run, result)
    except BaseException as error:
        if result.run is None:
            raise
        result.error = error
        await _recover(run, result)
    if result.run is not None and not result.stuck:
        run.journal.close(result.run, "undone" if result.put_back and not result.savepoint else "closed")
        result.facts = result.facts.with_(await _Round(run.home, run.target, run.journal).state(Unfinished))
    # After a failure nobody has looked again yet.
    result.findings = () if result.error is not None else planner.diagnose(run.want, result.facts, run.checks)
    return result


async def _rounds(run: Run, result: Converged) -> None:
    """Plan, apply and look again until a plan is empty; `result` says at any moment how far it came."""
    for _ in range(_MOST_ROUNDS):
        result.findings = planner.diagnose(run.want, result.facts, run.checks)
        plan = planner.plan(run.want, result.facts, run.checks, hands_off=run.hands_off)
        if result.first is None:
            result.first = plan
            if not run.leaves_risks:
                _refuse_unaccepted(plan)
        if not plan.steps:
            result.run = result.run or (run.resume if _is_finished(run, plan, result.findings) else None)
            return
        if not await _agreed(run, result, plan):
            return
        if result.run is None:
            result.run = run.resume or run.journal.begin(run.command, run.target.house_id, _where(run.target))
        result.changed = True
        await apply(plan, run.home, run.journal, result.run, run.show, result.steps)
        fresh = result.facts.fresh | {p.step.slug for p in plan.steps if isinstance(p.step, ApplySettings)}
        keep = frozenset.intersection(*(planned.step.keeps for planned in plan.steps))
        result.facts = await look(run.home, run.target, run.journal, run.checks, fresh=fresh, known=result.facts, keep=keep)
        if _login_is_proven(run, result.facts):
            result.savepoint = len(_find(run.journal, result.run).entries)
    result.findings = planner.diagnose(run.want, result.facts, run.checks)


def _is_finished(run: Run, plan: Plan, findings: Iterable[Finding]) -> bool:
    """Return whether an unfinished run has nothing left to do: nothing waits for a yes, and all of the access was seen."""
    seen = {one.id for one in findings if one.level is not Level.UNKNOWN} - run.hands_off
    return not (plan.unaccepted or plan.waiting) and all(check.id in seen for check in access(truths.all_checks()))


def _refuse_unaccepted(plan: Plan) -> None:
    """Stop before the first change where a fix needs a risk that nobody has accepted."""
    for finding in plan.unaccepted:
        fix = finding.verdict.fix
        risk = fix.risk if fix else None
        raise MissingAnswer(
            "risk-not-accepted",
            f"{finding.verdict.says}; to go on, ha-ssh would {fix.does if fix else 'change it'}",
            f"add `--accept-risk {risk}` if that is what you want (`ha-ssh help risks` explains it)",
        )


async def _agreed(run: Run, result: Converged, plan: Plan) -> bool:
    """Ask once; a later round that does only what was announced needs no second yes."""
    announced = {one.check.id for one in result.first.waiting} if result.first else set()
    if result.steps and announced.issuperset(cause for planned in plan.steps for cause in planned.because):
        return True
    return await run.agree(plan)


def _stay(error: BaseException | None) -> None:
    """Let the task work on though it was told to end: what must be put back comes first."""
    task = asyncio.current_task()
    if task is not None and isinstance(error, asyncio.CancelledError):
        task.uncancel()


async def _recover(run: Run, result: Converged) -> None:
    """Put back what a failed run must not leave behind, even while it is being interrupted."""
    _stay(result.error)
    run.show.say("putting back what was changed …")
    before, savepoint = _find(run.journal, result.run), result.savepoint
    back = await put_back(before, run.home, run.journal, run.show, since=savepoint)
    if isinstance(result.error, Unreachable) and result.error.maybe_done and back.undone and not back.failed:
        # The call whose answer got lost may take effect only now: look again, and take that back too.
        try:
            await run.home.clock.sleep(_LATE_SECONDS)
        except asyncio.CancelledError as hurried:
            _stay(hurried)
        again = await put_back(_find(run.journal, result.run), run.home, run.journal, run.show, since=savepoint, again=True)
        back.failed += again.failed
    undone = {report.id for report in back.undone}
    result.steps = [_as_undone(one) if one.id in undone else one for one in result.steps]
    result.kept += [*_saved_by_login(before, savepoint), *back.kept, *await _cut_off(run, before, result.error)]
    result.stuck += back.failed
    result.put_back = True
    result.changed = bool(result.kept or back.failed)


def _as_undone(report: StepReport) -> StepReport:
    """Return the report of a step that was put back; one that failed is still the one that failed."""
    return report if report.state is StepState.FAILED else replace(report, state=StepState.UNDONE)


def _saved_by_login(journal: JournalRun, savepoint: int) -> list[str]:
    """Name what stays since the login that it is for was proven before the failure."""
    return [f"{entry.title}: the login works with it" for entry in journal.entries[:savepoint] if entry.state == "done"]


async def _cut_off(run: Run, journal: JournalRun, error: BaseException | None) -> list[str]:
    """Name harmless progress that was cut off with the run: what has come all the same, and what the house may still finish."""
    cut_off = [entry for entry in journal.entries[-1:] if entry.if_failed is IfFailed.KEEP and entry.state == "begun"]
    lost = not isinstance(error, HaSshError) or (isinstance(error, Unreachable) and error.maybe_done)
    named = []
    for entry in cut_off:
        if await _has_come(entry, run.home):
            named.append(entry.title)
        elif lost and "path" not in entry.fields:  # a step on this computer ends with the run, one in the house does not
            named.append(f"{entry.title}: it was under way, and may still come to its end")
    return named


async def _has_come(entry: JournalEntry, home: Home) -> bool:
    """Return whether what a step has to save is no longer as it was before the step; `False` where that cannot be seen."""
    try:
        return bool(await revive(entry).save(home) != entry.saved)
    except (HaSshError, asyncio.CancelledError) as error:
        _stay(error)
        return False


def _login_is_proven(run: Run, facts: Facts) -> bool:
    """Return whether the login that the run is for has been proven, so that it is not taken back by a later failure."""
    findings = planner.diagnose(run.want, facts, [check for check in run.checks if check.id in {"login-works", "right-server"}])
    return bool(findings) and all(one.level in {Level.OK, Level.NOTE} for one in findings)


def _find(journal: Journal, run: str | None) -> JournalRun:
    return next(one for one in journal.runs() if one.id == run)


def _where(target: Target) -> dict[str, Any]:
    """Return what the journal keeps of a target, so that the house is found again."""
    return {"url": target.url, "ssh_host": target.ssh_host, "identity": target.identity, "alias": target.alias}
