"""One attached database: its probes tick, its rules judge, its desk decides.

A tick reads, stores and judges; nothing in it waits for a remedy. A database that does not answer
stays attached: its probes fail one by one, a finding says so, and they go on.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import msgspec

from homeostat.access.protocol import PROTOCOL_VERSION, CallSample, Reply, Report, Settings
from homeostat.clock import Clock
from homeostat.config import Config
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Engine, Identity, Unsupported
from homeostat.engine.facets import CloneInfo
from homeostat.engine.normalise import statement_key
from homeostat.engine.pace import UNBOUNDED, Bounds
from homeostat.engine.wanted import while_wanted
from homeostat.errors import CloneRefusedError, DatabaseError, LogbookError
from homeostat.logbook import SampleStore
from homeostat.logbook.captures import Capture, CaptureStore
from homeostat.logbook.statement_texts import StatementText
from homeostat.measure import Sample
from homeostat.operate.agents import AgentBook
from homeostat.operate.desired import DesiredSettings
from homeostat.operate.findings import FindingBook
from homeostat.operate.ownership import Ownership
from homeostat.operate.probe import Holdings, Probe, Watched
from homeostat.operate.recent import Recent
from homeostat.operate.registry import Registry
from homeostat.operate.remedy import owner_of
from homeostat.operate.room import Room
from homeostat.operate.rule import View
from homeostat.operate.schedule import Routine, Task
from homeostat.operate.statements import StatementBook
from homeostat.operate.strain import strain_of
from homeostat.operate.totals import Totals

log = logging.getLogger(__name__)

WORK_SHARE_OF_LEASE = 0.6  # the lease is renewed every third of it
AGENT_PROBE = "performance"  # the tick that drains the agents' reports
CAPTURED_MAX = 2_000  # calls that wait for the next tick to be stored


@dataclass(slots=True)
class Watch:
    """One attached database; safe to use from any thread.

    `consider` is called after every judged tick with the view; `on_tick` after a performance tick;
    `on_logbook` with a logbook's failure.
    """

    engine: Engine
    identity: Identity
    rooms: Sequence[Room]
    config: Config
    clock: Clock
    samples: SampleStore
    registry: Registry
    findings: FindingBook
    desired: DesiredSettings
    epoch: Callable[[], int]
    consider: Callable[[View], None]
    on_tick: Callable[[], None]
    on_logbook: Callable[[LogbookError], None]
    captures: CaptureStore | None = None
    recent: Recent = field(default_factory=Recent)
    totals: Totals = field(default_factory=Totals)
    statements: StatementBook = field(init=False)
    error: str = ""
    _since: float = field(init=False)
    _watched: dict[str, Watched] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _captured: list[CallSample] = field(default_factory=list)
    agents: AgentBook = field(init=False)

    def __post_init__(self) -> None:
        """Prepare to hear of agents."""
        self._since = self.clock.now()
        self.statements = StatementBook(promise_ms=self.config.monitor.promise_ms)
        self.agents = AgentBook(self.identity.key, self.config, on_report=self._reported)
        interval = self.config.monitor.performance_seconds
        for room in self.rooms:
            for metric, seconds in room.look_back.items():
                self.recent.keep(metric, ticks=math.ceil(seconds / interval))

    def routine(self) -> Routine:
        """Return the periodic work: one task a probe."""
        tasks = [
            Task(probe.name, probe.interval_seconds, lambda probe=probe: self.tick(probe))  # type: ignore[misc]
            for room in self.rooms
            for probe in room.probes
        ]
        return Routine(f"watch {self.identity.key}", tasks)

    def tick(self, probe: Probe) -> None:
        """Read, store, judge and decide once."""
        at = self.clock.now()
        samples: list[Sample] = []
        try:
            for sample in self._read(probe, at):
                samples.append(sample)  # noqa: PERF402  # what came before an error counts
            self.error = ""
        except DatabaseError as error:
            self.error = str(error)
        self._note_activity(probe.name, at)
        if probe.name == AGENT_PROBE:
            self._store_captured()
            samples += self.agents.drain(at)
            for instance in self.agents.gone():  # each start of an application is a new one
                self.recent.forget(instance)
                self.totals.forget(instance)
                self.registry.forget(instance)
        samples = self.registry.admit(samples)
        self.recent.add(samples)
        self.totals.add(one for one in samples if self.registry.is_increment(one.metric))
        self._store(samples)
        if probe.name == AGENT_PROBE:
            self.on_tick()
        self._judge(probe, at)

    def view(self) -> View:
        """Return all that is known now."""
        at = self.clock.now()
        with self._lock:
            activities = [w.activity for w in self._watched.values() if w.activity is not None]
        return View(
            at=at,
            identity=self.identity,
            config=self.config,
            recent=self.recent,
            activity=activities[0] if activities else None,
            agents=self.agents.views(at),
            findings=self.findings.open(),
            error=self.error,
            since=self._since,
            statements=self.statements,
        )

    def seen_at(self) -> float | None:
        """Return when the activity was read that the view shows; None: it was not."""
        with self._lock:
            return max(
                (w.at for w in self._watched.values() if w.activity is not None), default=None
            )

    def holdings(self) -> Holdings | None:
        """Return the tables and indexes as last seen; None: they were not read yet."""
        with self._lock:
            found = [w.holdings for w in self._watched.values() if w.holdings is not None]
        return found[0] if found else None

    def report(self, report: Report) -> Reply:
        """Take an agent's report and answer with the settings it is to have."""
        error = self.agents.take(report, self.clock.now())
        return self.reply(self.desired.of(report.application), error)

    def reply(self, settings: Settings, error: str = "") -> Reply:
        """Return an answer to an agent."""
        return Reply(
            v=PROTOCOL_VERSION,
            epoch=self.epoch(),
            next_seconds=self.config.agent.report_seconds,
            settings=settings,
            error=error,
        )

    def _read(self, probe: Probe, at: float) -> Iterable[Sample]:
        with self._lock:
            watched = self._watched.get(probe.name)
            if watched is None:
                watched = Watched(self.engine, self.identity, at, statements=self.statements)
                self._watched[probe.name] = watched
        watched.at = at
        return probe.read(watched)

    def _note_activity(self, probe: str, at: float) -> None:
        watched = self._watched.get(probe)
        if watched is not None and watched.activity is not None:
            self.statements.note_activity(watched.activity, at)

    def _reported(self, report: Report, at: float) -> None:
        """Take what an agent's report says of statements; it comes once."""
        self.statements.take_report(report, at)
        with self._lock:
            room = CAPTURED_MAX - len(self._captured)
            self._captured += report.samples[: max(0, room)]

    def _store_captured(self) -> None:
        """Keep the calls that agents saw whole; without them rehearsals have less to go by."""
        with self._lock:
            captured, self._captured = self._captured, []
        if self.captures is None or not captured:
            return
        try:
            self.captures.add(
                self.identity.key,
                [
                    Capture(statement_key(one.sql), one.at, msgspec.msgpack.encode(one))
                    for one in captured
                ],
            )
        except DatabaseError as error:
            log.warning("captured calls could not be stored: %s", error)

    def captured(self) -> list[tuple[str, CallSample]]:
        """Return the captured calls with their statements' keys, the oldest first.

        Raises:
            DatabaseError: they cannot be read.
        """
        self._store_captured()
        found = [] if self.captures is None else self.captures.of(self.identity.key)
        decode = msgspec.msgpack.Decoder(CallSample).decode
        return [(one.statement, decode(one.body)) for one in found]

    def _store(self, samples: Sequence[Sample]) -> None:
        texts = [
            StatementText(one.subject.name, one.texts["name"], one.texts["text"])
            for one in samples
            if "text" in one.texts and one.subject.kind == "statement"
        ]
        try:
            self.samples.append(samples)
            self.samples.statement_texts.note(self.identity.key, texts)
        except LogbookError as error:  # samples are disposable: decisions go on without them
            log.warning("samples could not be stored: %s", error)

    def _judge(self, probe: Probe, at: float) -> None:
        view = self.view()
        try:
            for room in self.rooms:
                for rule in room.rules:
                    if rule.after == probe.name:
                        self.findings.judge(rule, rule.judge(view), at=at)
            if probe.name == AGENT_PROBE:
                self.consider(self.view())
        except LogbookError as error:
            self.on_logbook(error)


@dataclass(slots=True)
class WatchHands:
    """What remedies of one database act with."""

    watch: Watch
    ownership: Ownership
    lease_seconds: float
    run: int = 0
    bounds: Bounds = UNBOUNDED

    @property
    def engine(self) -> Engine:
        """Return the database, for reading and for its clones."""
        return self.watch.engine

    def for_run(self, run: int, *, bounds: Bounds = UNBOUNDED) -> WatchHands:
        """Return hands that work for a run, and copy the database within bounds."""
        return replace(self, run=run, bounds=bounds)

    def make_clone(self) -> CloneInfo:
        """Copy the database for the run, slower while applications feel it."""
        clones = self.engine.clone
        if isinstance(clones, Unsupported):
            raise CloneRefusedError(f"{clones.reason} {clones.mend}")
        config = self.view().config.clone
        return clones.create(
            owner=owner_of(self.run),
            expires_seconds=config.keep_seconds,
            bytes_max=config.bytes_max,
            strain=strain_of(self.view),
            bounds=self.bounds,
        )

    @contextmanager
    def on_clone(self, name: str) -> Iterator[Wire]:
        """Yield a connection to a clone, until the bounds say that it is not wanted any more."""
        clones = self.engine.clone
        if isinstance(clones, Unsupported):
            raise CloneRefusedError(f"{clones.reason} {clones.mend}")
        with clones.connect(name) as wire, while_wanted(wire, self.bounds.halted):
            yield wire

    def view(self) -> View:
        """Return what is known now."""
        return self.watch.view()

    def captured(self) -> Sequence[tuple[str, CallSample]]:
        """Return captured calls of the database with their statements' keys, the oldest first."""
        return self.watch.captured()

    def keep_undo(self, body: bytes) -> None:
        """Keep what the run needs to undo its change, encrypted."""
        if self.watch.captures is None:
            raise LogbookError("Nothing can be kept encrypted here. Give the operator its file.")
        self.watch.captures.keep_undo(self.watch.identity.key, self.run, body)

    def kept_undo(self) -> bytes | None:
        """Return what was kept, or None when it went."""
        captures = self.watch.captures
        return None if captures is None else captures.undo_of(self.watch.identity.key, self.run)

    def settings_of(self, application: str) -> Settings:
        """Return the settings that agents of an application are to have."""
        return self.watch.desired.of(application)

    def set_settings(self, application: str, values: Mapping[str, float | int | str | bool]) -> int:
        """Give agents of an application these values (all of them); return the version."""
        return self.watch.desired.set(application, values)

    @contextmanager
    def work(self, *, run: int, lock: str, seconds: float | None = None) -> Iterator[Wire]:
        """Yield a direct connection to change the database on; nothing on it outlives the lease.

        A statement that is given more `seconds` is ended by whoever takes over, by its session.

        Raises:
            OwnershipLostError: another operator took over.
            DatabaseError: the lock is taken, or no connection could be opened.
        """
        control = self.watch.engine.control
        if isinstance(control, Unsupported):
            raise DatabaseError(f"{control.reason} {control.mend}", where=self.watch.identity.label)
        epoch = self.ownership.tenure.epoch
        limit = self.lease_seconds * WORK_SHARE_OF_LEASE if seconds is None else seconds
        timeout_ms = int(1000 * limit)
        purpose = f"run {run} epoch {epoch}"
        with control.work(purpose=purpose, lock=lock, statement_timeout_ms=timeout_ms) as wire:
            yield wire
