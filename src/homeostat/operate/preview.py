"""Rehearse what nobody has allowed yet, so that people decide by numbers and not by promises.

A remedy that is only observed, or that waits for a person, is rehearsed as it would be before it is
applied, if that touches nothing: a copy within `operate.preview_bytes_max` for which no writer
waits. One at a time for each database, in a thread of its own. What was shown is kept as a run
with one step; before a change is made it is rehearsed again, since the database has moved on.
Nothing is tried while applying is paused, by an operator that stands by, or beside a remedy under
way, whose measurements a copy would disturb.

Invariant: a record is changed only while it waits for a person, and leaves that state only when
the rehearsal spoke against it. What could not be tried says why, and is tried again ever more
rarely for as long as its finding is open.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec

from homeostat.config import OperateConfig
from homeostat.engine.engine import Unsupported
from homeostat.engine.pace import Bounds
from homeostat.errors import DatabaseError, HomeostatError, LogbookError
from homeostat.logbook.rows import RemedyRecord, Run, Step
from homeostat.operate.choose import FOR_A_PERSON, UNDER_WAY, retry_seconds
from homeostat.operate.records import Records
from homeostat.operate.remedy import Hands, Rehearsed, Remedy
from homeostat.operate.run import Footing, observed

log = logging.getLogger(__name__)

KIND = "preview"
VERSION = 1
STEP = "rehearse"
FELT_SECONDS_MAX = 10.0  # what goes slower for the application's sake holds its locks for longer
SIZE_UNKNOWN = "the size of the database is not known yet, so it is not copied"


@dataclass(slots=True)
class Previews:
    """The rehearsals of one database's remedies that may not act; safe to use from any thread.

    `lock` is held by whoever changes a record; `remedy_of` finds a remedy by its key.
    """

    records: Records
    footing: Footing
    config: OperateConfig
    lock: threading.RLock
    remedy_of: Callable[[str], Remedy | None]
    _due: dict[int, float] = field(default_factory=dict)  # remedy -> when it is tried
    _tries: dict[int, int] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _stopped: str = ""

    def add(self, record: RemedyRecord) -> None:
        """Rehearse a remedy as soon as its turn comes."""
        self._due.setdefault(record.id, self.footing.clock.now())

    def go_on(self) -> None:
        """Take up what an earlier operator left, and what could not be tried so far."""
        for record in self.records.of(FOR_A_PERSON):
            if self._is_open(record) and not self._was_shown(record):
                self._due.setdefault(record.id, self._left_due(record))

    def consider(self) -> None:
        """Begin the next rehearsal that is due; returns at once."""
        if self._stopped or (self._thread is not None and self._thread.is_alive()):
            return
        now = self.footing.clock.now()
        number = next((number for number, due in self._due.items() if due <= now), None)
        if number is None or self._held_back():
            return
        self._thread = threading.Thread(
            target=self._carry, args=(number,), name=f"preview-{number}", daemon=True
        )
        self._thread.start()

    def stop(self, why: str) -> None:
        """Begin no more rehearsals, and have the one under way end; `join` waits for it."""
        self._stopped = why

    def join(self, seconds: float) -> None:
        """Wait for the rehearsal under way, at most so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    # -- one rehearsal

    def _carry(self, number: int) -> None:
        try:
            shown = self._try(number)
        except LogbookError as error:
            if self._stopped:  # what could not be kept any more is tried by the next operator
                log.info("the preview of remedy %d was left: %s", number, self._stopped)
                return
            log.warning("the preview of remedy %d waits for the logbook: %s", number, error)
            shown = Rehearsed(ok=False, reason=str(error), later=True)
        if shown is None or shown.ok or _is_against(shown):
            self._due.pop(number, None)
            self._tries.pop(number, None)
            return
        tries = self._tries[number] = self._tries.get(number, 0) + 1
        self._due[number] = self.footing.clock.now() + self._retry_seconds(tries)

    def _retry_seconds(self, tries: int) -> float:
        """Return how long to wait; a copy is felt, so in the end it is made once a day."""
        return retry_seconds(tries, self.config, seconds_max=self.config.distrust_seconds)

    def _left_due(self, record: RemedyRecord) -> float:
        """Return when what an earlier operator could not try is tried again."""
        run = self._run_of(record)
        if run is None or run.ended is None:
            return self.footing.clock.now()
        self._tries.setdefault(record.id, run.attempt)
        return run.ended + self._retry_seconds(run.attempt)

    def _try(self, number: int) -> Rehearsed | None:
        """Rehearse a remedy; None: there is nothing to decide about it any more."""
        record = self.footing.logbook.remedy(number)
        remedy = self.remedy_of(record.key)
        if remedy is None or record.state not in FOR_A_PERSON or not self._is_open(record):
            return None
        if self._shares(number):
            return None
        why = self._why_not(remedy)
        if why and self._said(record) == why:
            return Rehearsed(ok=False, reason=why, later=True)
        begun = self._begin(number, remedy)
        if begun is None:
            return None
        run, step = begun
        hands = self.footing.hands.for_run(run.id, bounds=self._bounds())
        if why:
            shown = Rehearsed(ok=False, reason=why, later=True)
        else:
            shown = _rehearse(remedy, record, hands)
        self._end(number, run, step, shown)
        return shown

    def _why_not(self, remedy: Remedy) -> str:
        """Return why it is not tried before it is allowed; empty: it is."""
        if remedy.rehearsal != "clone":
            return "" if remedy.rehearsal == "dry run" else remedy.rehearsal_reason
        most = self.config.preview_bytes_max
        if not most:
            return "copies are made only for what is allowed (operate.preview_bytes_max is 0)"
        clone = self.footing.hands.engine.clone
        if isinstance(clone, Unsupported):
            return f"{clone.reason} {clone.mend}"
        view = self.footing.hands.view()
        sample = view.recent.last("database.size_bytes", view.subject())
        size = sample.value if sample is not None else None
        if isinstance(size, float) and size > most:
            return (
                f"the database has {size / 1e6:,.0f} MB, and it is copied up to {most / 1e6:,.0f} "
                "MB before anything is allowed (operate.preview_bytes_max)"
            )
        try:
            return clone.holds_up() or ("" if isinstance(size, float) else SIZE_UNKNOWN)
        except DatabaseError as error:
            return str(error)

    def _held_back(self) -> str:
        """Return why nothing is tried at this moment; empty: nothing speaks against it."""
        if self._stopped:
            return self._stopped
        footing = self.footing
        if footing.is_paused():
            return "applying is paused"
        if not footing.has_lock():
            return "this operator does not hold the database's own lock"
        busy = self.records.of(UNDER_WAY)
        return (
            f"remedy {busy[0].id} is {busy[0].state}, and a copy would disturb it" if busy else ""
        )

    def _bounds(self) -> Bounds:
        """Return when a copy ends that nobody has allowed."""

        def halted() -> str:
            try:
                return self._held_back()
            except HomeostatError as error:
                return str(error)

        return Bounds(
            bytes_max=self.config.preview_bytes_max,
            seconds_max=self.config.preview_seconds_max,
            felt_seconds_max=FELT_SECONDS_MAX,
            halted=halted,
        )

    def _shares(self, number: int) -> bool:
        """Give a remedy that waits what another showed on like evidence; return whether it did."""
        with self.lock:
            record = self.footing.logbook.remedy(number)
            alike = self._alike(record) if record.state in FOR_A_PERSON else None
            if alike is None:
                return False
            with self.footing.logbook.write(self.footing.ownership.tenure) as tx:
                tx.save_remedy(msgspec.structs.replace(record, run=alike.run))
        return True

    def _begin(self, number: int, remedy: Remedy) -> tuple[Run, Step] | None:
        """Commit that a rehearsal begins; None: it was decided meanwhile, and its run is its own.

        A decision is taken under the same lock, so the record is read under it.
        """
        now, tenure = self.footing.clock.now(), self.footing.ownership.tenure
        with self.lock:
            record = self.footing.logbook.remedy(number)
            if record.state not in FOR_A_PERSON:
                return None
            run = self._run_of(record)
            if run is None:
                run = Run(
                    kind=KIND,
                    version=VERSION,
                    database=record.database,
                    remedy=number,
                    epoch=tenure.epoch,
                    started=now,
                    attempt=0,
                )
            run = msgspec.structs.replace(
                run, state="running", epoch=tenure.epoch, attempt=run.attempt + 1, ended=None
            )
            with self.footing.logbook.write(tenure) as tx:
                run = tx.save_run(run)
                step = tx.save_step(
                    Step(
                        run=run.id,
                        number=1,
                        name=STEP,
                        epoch=tenure.epoch,
                        intent={"tried": remedy.rehearsal, "applied": False},
                        intended=now,
                    )
                )
                tx.save_remedy(msgspec.structs.replace(record, run=run.id))
        return run, step

    def _end(self, number: int, run: Run, step: Step, shown: Rehearsed) -> None:
        """Keep what was shown; a remedy that was decided meanwhile keeps its own run."""
        now = self.footing.clock.now()
        against = _is_against(shown)
        observation = observed(shown)
        step = msgspec.structs.replace(step, state="done", observation=observation, observed=now)
        run = msgspec.structs.replace(run, state="done", progress=1.0, ended=now)
        with self.lock:
            record = self.footing.logbook.remedy(number)
            ours = record.state in FOR_A_PERSON and record.run == run.id
            if against:
                record = msgspec.structs.replace(
                    record,
                    state="refused",
                    verdict=shown.reason,
                    result={"disproved": True},
                    ended=now,
                )
            with self.footing.logbook.write(self.footing.ownership.tenure) as tx:
                tx.save_step(step)
                tx.save_run(run)
                if ours:
                    tx.save_remedy(record)
                if ours and (shown.ok or against):
                    tx.audit(
                        actor="homeostat",
                        action="preview: refused" if against else "preview",
                        database=record.database,
                        subject=f"remedy {number}",
                        detail={"title": record.title, "reason": shown.reason},
                    )

    # -- what is known of earlier ones

    def _is_open(self, record: RemedyRecord) -> bool:
        return record.finding is not None and self.footing.still_open(record.finding)

    def _run_of(self, record: RemedyRecord) -> Run | None:
        """Return the preview of a record, done or not; None: it has none of its own."""
        if record.run is None:
            return None
        run = self.footing.logbook.run(record.run)
        return run if run.kind == KIND and run.remedy == record.id else None

    def _said(self, record: RemedyRecord) -> str:
        steps = [] if record.run is None else self.footing.logbook.steps(record.run)
        return str(steps[0].observation.get("reason", "")) if steps else ""

    def _was_shown(self, record: RemedyRecord) -> bool:
        steps = [] if record.run is None else self.footing.logbook.steps(record.run)
        return any(step.name == STEP and step.observation.get("ok") for step in steps)

    def _alike(self, record: RemedyRecord) -> RemedyRecord | None:
        """Return another remedy that was shown to be worth it on like evidence lately."""
        since = self.footing.clock.now() - self.config.distrust_seconds
        for other in self.records.of(FOR_A_PERSON):
            alike = (other.key, other.likeness) == (record.key, record.likeness)
            if alike and other.id != record.id and other.proposed > since:
                run = self._run_of(other)
                if run is not None and self._was_shown(other):
                    return other
        return None


def _rehearse(remedy: Remedy, record: RemedyRecord, hands: Hands) -> Rehearsed:
    """Return what a rehearsal shows; whatever ends it is a reason, not a failure."""
    try:
        shown = remedy.rehearse(record.parameters, hands)
    except LogbookError:
        raise
    except HomeostatError as error:
        return Rehearsed(ok=False, reason=str(error), later=True)
    except Exception as error:
        log.exception("the preview of remedy %d broke off", record.id)
        return Rehearsed(ok=False, reason=f"it broke off: {error}", later=True)
    # a copy that shows no numbers was none; a dry run that says no has answered
    untried = remedy.rehearsal == "clone" and not shown.ok and not shown.evidence
    return replace(shown, later=True) if untried else shown


def _is_against(shown: Rehearsed) -> bool:
    return not shown.ok and not shown.later
