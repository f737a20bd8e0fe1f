"""The operator: attaches databases, owns them by lease, runs their routines, answers agents.

Without a durable logbook nothing is applied. Losing ownership stops it: another operator took
over, and this one changes nothing more.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from homeostat.clock import Clock
from homeostat.config import Config
from homeostat.engine import Unsupported, open_engine
from homeostat.engine.engine import Engine, Identity, Target
from homeostat.errors import (
    DatabaseError,
    HomeostatError,
    LogbookError,
    NotFoundError,
    OwnedElsewhereError,
    OwnershipLostError,
)
from homeostat.logbook import Logbook, SampleStore
from homeostat.logbook.rows import DatabaseRow, RemedyRecord
from homeostat.measure import Severity, Subject
from homeostat.operate import agents
from homeostat.operate.desired import DesiredSettings
from homeostat.operate.desk import Desk
from homeostat.operate.findings import FindingBook
from homeostat.operate.ownership import Ownership, Succession, this_process
from homeostat.operate.registry import Registry
from homeostat.operate.room import Room
from homeostat.operate.rule import Judgement, View
from homeostat.operate.run import Footing
from homeostat.operate.schedule import Routine, Scheduler, Task, thread_executor
from homeostat.operate.watch import Watch, WatchHands
from homeostat.secret import without_password

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 2.0
COMPACT_SECONDS = 600.0
RULE_TASK = "task-failed"
RULE_REMEDY = "remedy-needs-person"
PAUSE_ALL = "paused"


@dataclass(slots=True)
class Attached:
    """One database with all that belongs to it."""

    row: DatabaseRow
    engine: Engine
    watch: Watch
    desk: Desk
    ownership: Ownership
    findings: FindingBook
    stack: contextlib.ExitStack
    locked: bool = False  # whether the second lock, the database's own, is held


class Operator:
    """All databases of one data directory."""

    def __init__(self, data: Path, *, rooms: Sequence[Room], config: Config, clock: Clock) -> None:
        """Open the logbook and the samples below the data directory.

        Raises:
            LogbookError: the logbook cannot be used; nothing was touched.
        """
        self.data = data
        self.config = config
        self.clock = clock
        self.rooms = rooms
        self.started = clock.now()
        self.stop_event = threading.Event()
        self.lost: OwnershipLostError | None = None
        self.logbook_error: LogbookError | None = None
        self.registry = Registry(
            [*agents.METRICS, *(metric for room in rooms for metric in room.metrics)]
        )
        self.logbook = Logbook.open(data / "logbook.db", clock=clock)
        self.samples = SampleStore.open(data / "samples.db", clock=clock, config=config.samples)
        self.attached: dict[str, Attached] = {}
        self.owner = this_process(label=str(data))
        self._change = threading.Condition()
        self._ticks = 0
        self._executor = thread_executor()
        self._scheduler = Scheduler(
            clock, self._task_failed, self._task_recovered, executor=self._executor
        )
        self._threads: list[threading.Thread] = []
        self._unsubscribe = self.logbook.subscribe(lambda *_: self._changed())

    # -- life

    def start(self) -> None:
        """Start the routines and the heartbeat."""
        compact = Routine("upkeep", [Task("compact", COMPACT_SECONDS, self._compact)])
        self._scheduler.add(compact)
        for target, name in ((self._scheduler.run, "schedule"), (self._heartbeat, "heartbeat")):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop everything; runs under way are left for the next start."""
        self.stop_event.set()
        self._scheduler.stop()
        for one in self.attached.values():
            one.desk.join(STOP_SECONDS_MAX)
        self._executor.shutdown(wait=False, cancel_futures=True)
        for thread in self._threads:
            thread.join(STOP_SECONDS_MAX)
        for one in self.attached.values():
            self._let_go(one)
        self.attached.clear()
        self._unsubscribe()
        self.samples.close()
        self.logbook.close()

    # -- databases

    def attach(self, url: str) -> Identity:
        """Attach a database: own it, observe it, and go on with what an earlier operator left.

        Raises:
            OwnedElsewhereError: another operator has it.
            DatabaseError: it cannot be opened; the message says what to do.
        """
        probe_ms = int(1000 * min(self.config.monitor.performance_seconds, 5.0) * 0.8)
        name = self._application_name(self.owner.pid)
        target = Target(url, application_name=name, statement_timeout_ms=probe_ms)
        engine = open_engine(target)
        stack = contextlib.ExitStack()
        stack.callback(engine.close)
        try:
            identity = engine.identity()
            ownership = Ownership(
                self.logbook,
                scope=identity.key,
                owner=self.owner,
                clock=self.clock,
                lease_seconds=self.config.operate.lease_seconds,
            )
            succession = ownership.take()
            stack.callback(ownership.release)
            one = self._assemble(url, engine, identity, ownership, stack)
            self._succeed(one, succession)
        except BaseException:
            with contextlib.suppress(HomeostatError):
                stack.close()
            raise
        self.attached[identity.key] = one
        if one.locked:
            one.desk.go_on()
        self._scheduler.add(one.watch.routine())
        return identity

    def detach(self, key: str, *, actor: str) -> None:
        """Stop observing a database; its remedies under way are left as they are.

        Raises:
            NotFoundError: it is not attached.
        """
        one = self.find(key)
        row = msgspec.structs.replace(one.row, detached=self.clock.now())
        with self.logbook.write(one.ownership.tenure) as tx:
            tx.save_database(row)
            tx.audit(actor=actor, action="detach", database=row.key, subject="", detail={})
        self._scheduler.remove(one.watch.routine().name)
        del self.attached[one.row.key]
        self._let_go(one)

    def find(self, name: str) -> Attached:
        """Return an attached database by its key or label.

        Raises:
            NotFoundError: none is called so.
        """
        for one in self.attached.values():
            if name in {one.row.key, one.row.label}:
                return one
        raise NotFoundError(
            "No attached database has this name. `homeostat status` lists them.", where=name
        )

    def _assemble(
        self,
        url: str,
        engine: Engine,
        identity: Identity,
        ownership: Ownership,
        stack: contextlib.ExitStack,
    ) -> Attached:
        findings = FindingBook(self.logbook, identity.key, ownership)
        desired = DesiredSettings(
            self.logbook,
            identity.key,
            ownership,
            expires_seconds=self.config.agent.expires_seconds,
        )

        def consider(view: View) -> None:
            if one.locked:
                one.desk.consider(view.findings, view)

        watch = Watch(
            engine,
            identity,
            self.rooms,
            self.config,
            self.clock,
            self.samples,
            self.registry,
            findings,
            desired,
            epoch=lambda: ownership.epoch,
            consider=consider,
            on_tick=self._ticked,
            on_logbook=self._logbook_state,
        )
        footing = Footing(
            self.logbook,
            ownership,
            self.clock,
            self.config.operate,
            WatchHands(watch, ownership, self.config.operate.lease_seconds),
            self.stop_event,
            self.started,
            still_open=lambda number: findings.get(number) is not None,
        )
        row = self._save_database(url, identity, ownership)
        desk = Desk(
            identity.key,
            [remedy for room in self.rooms for remedy in room.remedies],
            footing,
            self.config,
            is_paused=lambda: self.is_paused(identity.key),
            on_failure=lambda record, why: self._remedy_failed(findings, record, why),
        )
        one = Attached(row, engine, watch, desk, ownership, findings, stack)
        return one

    def _save_database(self, url: str, identity: Identity, ownership: Ownership) -> DatabaseRow:
        known = {row.key: row for row in self.logbook.databases()}
        old = known.get(identity.key)
        row = DatabaseRow(
            key=identity.key,
            dialect=identity.dialect,
            label=identity.label,
            url=without_password(url),
            version=identity.version,
            attached=old.attached if old else self.clock.now(),
            paused=old.paused if old else False,
        )
        with self.logbook.write(ownership.tenure) as tx:
            tx.save_database(row)
            tx.audit(
                actor="homeostat",
                action="attach",
                database=row.key,
                subject="",
                detail={"url": row.url, "epoch": ownership.epoch},
            )
        return row

    def _succeed(self, one: Attached, succession: Succession) -> None:
        """End the database work of the operator before, then take the database's own lock."""
        control = one.engine.control
        if isinstance(control, Unsupported):
            log.warning("no second lock: %s", control.reason)
            one.locked = True
            return
        if succession.previous is not None:
            before = self._application_name(succession.previous.owner.pid)
            ended = control.end_work(before)
            log.info("succeeded epoch %d: %d sessions ended", succession.previous.epoch, ended)
        if not self._lock_database(one) and succession.previous is None:
            message = (
                "An operator with another data directory has this database. Use that one, or stop "
                "it first."
            )
            raise OwnedElsewhereError(message, where=one.row.label)

    def _application_name(self, pid: int) -> str:
        """Return the name that all sessions of an operator of this data directory begin with."""
        return f"homeostat {hashlib.sha256(str(self.data).encode()).hexdigest()[:8]} {pid}."

    def _lock_database(self, one: Attached) -> bool:
        """Take the database's own lock if it is free, and tell; without it nothing is applied.

        A stopped operator keeps it, until it is ended or goes on and finds that it lost ownership.
        """
        control = one.engine.control
        if one.locked or isinstance(control, Unsupported):
            return False
        inner = contextlib.ExitStack()
        taken = inner.enter_context(control.lock(f"homeostat:{one.row.key}"))
        if taken:
            one.stack.push(inner.pop_all())
            one.locked = True
        else:
            inner.close()
        return taken

    def _let_go(self, one: Attached) -> None:
        with contextlib.suppress(HomeostatError):
            one.stack.close()

    # -- pausing

    def is_paused(self, key: str) -> bool:
        """Return whether nothing may be applied to a database."""
        if self.logbook_error is not None:
            return True
        one = self.attached.get(key)
        return bool(self.logbook.value(PAUSE_ALL)) or (one is not None and one.row.paused)

    def set_paused(self, paused: bool, *, actor: str, name: str | None = None) -> None:  # noqa: FBT001
        """Pause or resume applying, for one database or all."""
        action = "pause" if paused else "resume"
        targets = [self.find(name)] if name else list(self.attached.values())
        for one in targets:
            row = msgspec.structs.replace(one.row, paused=paused)
            with self.logbook.write(one.ownership.tenure) as tx:
                tx.save_database(row)
                if name is None:
                    tx.set_value(PAUSE_ALL, paused)
                tx.audit(actor=actor, action=action, database=row.key, subject="", detail={})
            one.row = row

    # -- what others hear

    def wait_for_change(self, after: int, ticks: int, seconds: float) -> tuple[int, int]:
        """Wait for a new event or tick; return the newest event sequence and tick counter."""
        with self._change:
            self._change.wait_for(
                lambda: (
                    self.stop_event.is_set()
                    or self._ticks != ticks
                    or self.logbook.last_sequence() != after
                ),
                timeout=seconds,
            )
            return self.logbook.last_sequence(), self._ticks

    def _changed(self) -> None:
        with self._change:
            self._change.notify_all()

    def _compact(self) -> None:
        self.samples.compact()

    def _ticked(self) -> None:
        with self._change:
            self._ticks += 1
            self._change.notify_all()

    def _logbook_state(self, error: LogbookError | None) -> None:
        if isinstance(error, OwnershipLostError):
            self._lose(error)
        elif error is not None or self.logbook_error is not None:
            if error is not None:
                log.error("%s", error)
            self.logbook_error = error

    def _lose(self, error: OwnershipLostError) -> None:
        if self.lost is None:
            log.error("%s", error)
        self.lost = error
        self.stop_event.set()

    def _heartbeat(self) -> None:
        while not self.clock.wait(self.stop_event, self.config.operate.lease_seconds / 3):
            for one in list(self.attached.values()):
                try:
                    one.ownership.renew()
                    if self._lock_database(one):
                        one.desk.go_on()
                except LogbookError as error:
                    self._logbook_state(error)
                except DatabaseError as error:
                    log.warning("the database's lock could not be taken: %s", error)

    def _task_failed(self, routine: str, task: str, error: Exception) -> None:
        self._about_task(routine, task, error)

    def _task_recovered(self, routine: str, task: str) -> None:
        self._about_task(routine, task, None)

    def _about_task(self, routine: str, task: str, error: Exception | None) -> None:
        for one in list(self.attached.values()):
            if routine != one.watch.routine().name:
                continue
            subject = Subject(one.row.key, kind="task", name=task)
            now = self.clock.now()
            with contextlib.suppress(LogbookError):
                if error is None:
                    one.findings.clear_finding(RULE_TASK, subject, at=now)
                    continue
                what = f"the task {task} failed: {error}"
                mend = "The other tasks go on. Look into the log; report it if it comes back."
                judgement = Judgement(subject, Severity.HIGH, what, mend=mend)
                one.findings.raise_finding(RULE_TASK, judgement, at=now)

    def _remedy_failed(self, findings: FindingBook, record: RemedyRecord, why: str) -> None:
        subject = Subject(record.database, kind="remedy", name=str(record.id))
        judgement = Judgement(
            subject,
            Severity.HIGH,
            f"remedy {record.id} ({record.title}) needs a person: {why}",
            cause=why,
            mend=f"Run `homeostat remedy show {record.id}`.",
        )
        with contextlib.suppress(LogbookError):
            findings.raise_finding(RULE_REMEDY, judgement, at=self.clock.now())
