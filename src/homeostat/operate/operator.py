"""The operator: attaches databases, owns them by lease, runs their routines, answers agents.

Without a durable logbook nothing is applied. Losing ownership stops it: another operator took
over, and this one changes nothing more.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from homeostat.clock import Clock
from homeostat.config import Config, DatabaseConfig
from homeostat.engine import Engine, Unsupported, open_engine
from homeostat.engine.engine import Identity, PoolerTarget, Target
from homeostat.errors import (
    ConfigError,
    HomeostatError,
    LogbookError,
    NotFoundError,
    OwnedElsewhereError,
    OwnershipLostError,
)
from homeostat.logbook import Logbook, SampleStore
from homeostat.logbook.captures import CaptureStore
from homeostat.operate import agents
from homeostat.operate.attached import PAUSE_ALL, Attached, Surroundings, assemble
from homeostat.operate.ownership import Ownership, Succession, this_process
from homeostat.operate.registry import Registry
from homeostat.operate.room import Room
from homeostat.operate.schedule import Routine, Scheduler, Task, thread_executor
from homeostat.operate.views import Pending

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 2.0
COMPACT_SECONDS = 600.0
COLLECT_SECONDS = 300.0
UPKEEP = "upkeep"
CLONES = "clones"  # below the data directory


class Operator:
    """All databases of one data directory."""

    def __init__(self, data: Path, *, rooms: Sequence[Room], config: Config, clock: Clock) -> None:
        """Open the logbook and the samples below the data directory.

        Raises:
            ConfigError: the configuration names a remedy that there is not.
            LogbookError: the logbook cannot be used; nothing was touched.
        """
        known_remedies(rooms, config.operate.remedies)
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
        self.captures = CaptureStore.open(data, clock=clock, config=config.captures)
        self.attached: dict[str, Attached] = {}
        self.pending: dict[str, Pending] = {}
        self.owner = this_process(label=str(data))
        self._change = threading.Condition()
        self._ticks = 0
        self._executor = thread_executor()
        self._scheduler = Scheduler(
            clock,
            on_error=self._about_task,
            on_success=lambda routine, task: self._about_task(routine, task, None),
            executor=self._executor,
        )
        self._threads: list[threading.Thread] = []
        self._around = Surroundings(
            config,
            clock,
            rooms,
            self.logbook,
            self.samples,
            self.captures,
            self.registry,
            self.started,
            is_paused=self.is_paused,
            on_tick=self._ticked,
            on_logbook=self._logbook_failed,
        )
        self._unsubscribe = self.logbook.subscribe(lambda *_: self._changed())

    # -- life

    def start(self) -> None:
        """Start the routines and the heartbeat."""
        self._scheduler.add(Routine(UPKEEP, [Task("compact", COMPACT_SECONDS, self._compact)]))
        for target, name in ((self._scheduler.run, "schedule"), (self._heartbeat, "heartbeat")):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop everything; runs under way are left for the next start."""
        self.stop_event.set()
        self._scheduler.stop()
        for thread in self._threads:
            thread.join(STOP_SECONDS_MAX)
        self._executor.shutdown(wait=False, cancel_futures=True)
        for one in self.attached.values():
            one.leave("the operator was stopped")
        for one in self.attached.values():
            one.desk.join(STOP_SECONDS_MAX)
        self._scheduler.join(STOP_SECONDS_MAX)  # what was read is still to be stored
        for one in self.attached.values():
            one.let_go()
        self.attached.clear()
        self._unsubscribe()
        self.captures.close()
        self.samples.close()
        self.logbook.close()

    # -- databases

    def attach(
        self, url: str, *, settings: DatabaseConfig | None = None, name: str = ""
    ) -> Identity:
        """Attach a database: own it, observe it, and go on with what an earlier operator left.

        Raises:
            OwnedElsewhereError: another operator has it.
            DatabaseError: it cannot be opened; the message says what to do.
        """
        probe_ms = int(1000 * min(self.config.monitor.performance_seconds, 5.0) * 0.8)
        settings = settings or DatabaseConfig(url=url)
        clone = self.config.clone
        if not clone.directory:
            clone = msgspec.structs.replace(clone, directory=str(self.data / CLONES))
        target = Target(
            url,
            application_name=self._application_name(self.owner.pid),
            statement_timeout_ms=probe_ms,
            options={
                name: reference
                for name, reference in (("password", settings.password), ("key", settings.key))
                if reference
            },
            clone=clone,
            clock=self.clock,
            pooler=PoolerTarget(
                settings.pooler,
                settings.pooler_password,
                settings.pooler_ini,
                settings.pooler_database,
            ),
        )
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
            one = assemble(
                self._around,
                settings,
                name=name,
                engine=engine,
                ownership=ownership,
                stack=stack,
            )
            self.attached = {**self.attached, identity.key: one}  # others iterate over the old
            self._succeed(one, succession)
        except BaseException:
            self._forget(engine)
            with contextlib.suppress(HomeostatError):
                stack.close()
            raise
        self._scheduler.add(self._routine(one))
        return identity

    def _routine(self, one: Attached) -> Routine:
        """Return the probes' routine with the look after the database's lock.

        That waits for the database as the probes do, so it may not share the lease's thread.
        """

        def keep_lock() -> None:
            try:
                one.keep_lock()
            except LogbookError as error:
                self._logbook_failed(one.row.key, error)

        watching = one.watch.routine()
        lock = Task("lock", self.config.operate.lease_seconds / 3, keep_lock)
        clones = Task("clones", COLLECT_SECONDS, lambda: _collect(one.engine))
        return Routine(watching.name, [*watching.tasks, lock, clones])

    def repeat(self, routine: Routine) -> None:
        """Run a routine's tasks now and then at their intervals, until the operator stops."""
        self._scheduler.add(routine)

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
        self._forget(one.engine)
        one.leave("the database was detached")
        one.desk.join(STOP_SECONDS_MAX)
        one.let_go()

    def _forget(self, engine: Engine) -> None:
        self.attached = {key: it for key, it in self.attached.items() if it.engine is not engine}

    def find(self, name: str) -> Attached:
        """Return an attached database by its key, name or label.

        Raises:
            NotFoundError: none is called so.
        """
        for one in self.attached.values():
            if name and name in {one.row.key, one.name, one.row.label}:  # many have no name
                return one
        raise NotFoundError(
            "No attached database has this name. `homeostat status` lists them.", where=name
        )

    def _succeed(self, one: Attached, succession: Succession) -> None:
        """End the database work of the operator before, then take the database's own lock."""
        control = one.engine.control
        previous = succession.previous
        if previous is not None and not isinstance(control, Unsupported):
            ended = control.end_work(self._application_name(previous.owner.pid))
            log.info("succeeded epoch %d: %d sessions ended", previous.epoch, ended)
        one.keep_lock()
        if not one.lock.held and previous is None and not isinstance(control, Unsupported):
            message = (
                "An operator with another data directory has this database. Use that one, or stop "
                "it first."
            )
            raise OwnedElsewhereError(message, where=one.row.label, detail=one.lock.reason)

    def _application_name(self, pid: int) -> str:
        """Return the name that all sessions of an operator of this data directory begin with."""
        return f"homeostat {hashlib.sha256(str(self.data).encode()).hexdigest()[:8]} {pid}."

    # -- pausing

    def is_paused(self, key: str) -> bool:
        """Return whether nothing may be applied to a database."""
        one = self.attached.get(key)
        return self.logbook_error is not None or one is None or one.row.paused

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

    def _logbook_failed(self, key: str, error: LogbookError) -> None:
        if key not in self.attached:  # it was detached while something of it was under way
            return
        log.error("%s", error)
        if isinstance(error, OwnershipLostError):
            self.lost = error
            self.stop_event.set()
        else:
            self.logbook_error = error

    def _heartbeat(self) -> None:
        while not self.clock.wait(self.stop_event, self.config.operate.lease_seconds / 3):
            try:
                self.beat()
            except Exception:  # without this thread every lease would end
                log.exception("a heartbeat failed")

    def beat(self) -> None:
        """Renew every lease; that it could be written proves that the logbook works."""
        for one in list(self.attached.values()):
            try:
                one.ownership.renew()
            except LogbookError as error:
                self._logbook_failed(one.row.key, error)
            else:
                self.logbook_error = None

    def _about_task(self, routine: str, task: str, error: Exception | None) -> None:
        for one in list(self.attached.values()):
            if routine in {UPKEEP, one.watch.routine().name}:
                one.own.task(task, error)


def _collect(engine: Engine) -> None:
    """Remove expired clones of a database, and what killed copies left."""
    clone = engine.clone
    if not isinstance(clone, Unsupported):
        clone.collect()


def known_remedies(rooms: Sequence[Room], keys: Iterable[str]) -> None:
    """Refuse keys that no remedy has: what was meant to be held back would act.

    Raises:
        ConfigError: names the key, and those that there are.
    """
    known = {remedy.key for room in rooms for remedy in room.remedies}
    for key in keys:
        if key not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"No remedy has this key. There are: {names}.", where=key)
