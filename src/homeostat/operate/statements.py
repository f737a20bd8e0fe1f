"""The statement book: what each statement of a database cost lately, and who ran it.

Two sources. Agents report time, rows and calls by operation, and samples that tell which statement
an operation is; the server's own statistics (pg_stat_statements) are running totals, from which the
increase is taken. Where both speak, agents are believed: they see the time of each
call, from which its wait for a connection is taken off.
Statements are known by a key of their normalised text, so both sources meet in one entry.

Bounded: so many statements, so many ticks each. It holds parameters of the newest samples in
memory; what is shown is redacted by whoever shows it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from homeostat.access.protocol import (
    CallSample,
    CostReport,
    OperationReport,
    RepeatReport,
    Report,
    unpack,
)
from homeostat.driver.redact import redact
from homeostat.engine.engine import Activity
from homeostat.engine.facets import Plan, Statement
from homeostat.engine.normalise import statement_key
from homeostat.logbook.rows import Json
from homeostat.measure import Unknown

STATEMENTS_MAX = 500
TICKS_MAX = 1024  # of a statement; agents report every 2 s, so at least half an hour
SAMPLES_MAX = 8  # of a statement, the newest
PLANS_MAX = 8  # changes of a statement's plan that are remembered
FOLLOWED_SECONDS = 600.0  # a statement that was slow is read at every tick for so long
AGENTS, SERVER = "agents", "server"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a statement cost in a stretch of time.

    `late`: calls that took longer than the promise. What is None, nobody told.
    """

    at: float
    calls: float
    total_ms: float
    rows: float
    late: float = 0.0
    blocks_hit: float | None = None
    blocks_read: float | None = None
    received_bytes: float | None = None
    sent_bytes: float | None = None
    waits: float | None = None
    waited_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """A statement that is run once for each row that another one returned, outside a transaction.

    Attributes:
        after: the operation that returned the rows.
        times: calls of the statement each time, in the mean.
        share: the part of all its calls that are such.
        runs: how many times that was, to the end.
    """

    after: str
    times: float
    share: float
    runs: float


@dataclass(frozen=True, slots=True)
class PlanSeen:
    """A plan, and when a statement was first seen to have it."""

    at: float
    plan: Plan


@dataclass(frozen=True, slots=True)
class StatementView:
    """One statement over a stretch of time.

    Attributes:
        key: of the normalised text.
        text: redacted.
        sql: as the application gave it (with `:name` parameters), or the server's text.
        write: whether it changes data; None: not known.
        operations: names under which agents run it.
        applications: who runs it.
        seconds: the length of the stretch.
        spent: summed over the stretch.
        source: `agents` or `server`.
        per_transaction: transaction's name -> calls of this statement in each.
        repeated: what it is run again and again after, the most calls first.
        measured: what calls of it cost beside time, summed up (SQLite); None: nobody told.
        waited_share: of the moments it was seen running, how many it waited for a lock; None:
            it was not seen.
        samples: the newest calls that were seen whole, the newest first.
        plans: the plans it had, each when it was first seen, the oldest first.
        facts: what was found out about it; JSON.
        first_seen: when it was first heard of, seconds since 1970 UTC.
        looks: how many times it was looked into since it is slow.
    """

    key: str
    text: str
    sql: str
    write: bool | None
    operations: tuple[str, ...]
    applications: tuple[str, ...]
    seconds: float
    spent: Spent
    source: str
    per_transaction: dict[str, float]
    waited_share: float | None
    samples: tuple[CallSample, ...]
    plans: tuple[PlanSeen, ...]
    facts: Json
    first_seen: float
    repeated: tuple[Repeated, ...] = ()
    measured: CostReport | None = None
    looks: int = 0

    @property
    def mean_ms(self) -> float:
        """Return the mean time of a call."""
        return self.spent.total_ms / self.spent.calls if self.spent.calls else 0.0

    @property
    def cost(self) -> float:
        """Return milliseconds spent in it per second of wall time."""
        return self.spent.total_ms / self.seconds

    @property
    def late_share(self) -> float:
        """Return the part of the calls that missed the promise."""
        return self.spent.late / self.spent.calls if self.spent.calls else 0.0

    @property
    def name(self) -> str:
        """Return what people call it: its operation, else the beginning of its text."""
        return self.operations[0] if self.operations else self.text


@dataclass(slots=True)
class _Entry:
    key: str
    sql: str
    first_seen: float
    seen: float
    write: bool | None = None
    operations: dict[str, None] = field(default_factory=dict)
    applications: dict[str, None] = field(default_factory=dict)
    spent: dict[str, deque[Spent]] = field(default_factory=dict)
    totals: Statement | None = None
    within: deque[tuple[float, str, float]] = field(default_factory=lambda: deque(maxlen=TICKS_MAX))
    moments: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=TICKS_MAX))
    samples: deque[CallSample] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))
    costs: deque[tuple[float, CostReport]] = field(default_factory=lambda: deque(maxlen=TICKS_MAX))
    plans: deque[PlanSeen] = field(default_factory=lambda: deque(maxlen=PLANS_MAX))
    facts: Json = field(default_factory=dict)
    looks: int = 0

    def add(self, source: str, spent: Spent) -> None:
        self.spent.setdefault(source, deque(maxlen=TICKS_MAX)).append(spent)

    def during(self, source: str, start: float, end: float) -> list[Spent]:
        return [one for one in self.spent.get(source, ()) if start < one.at <= end]


class StatementBook:
    """The statements of one database; safe to use from any thread.

    Attributes:
        known_since: since when somebody tells of them, seconds since 1970 UTC; None: nobody has.
    """

    def __init__(self, *, promise_ms: float = 50.0) -> None:
        """Start empty; calls past `promise_ms` count as late."""
        self._promise_us = promise_ms * 1000
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._by_operation: dict[str, str] = {}
        self._transactions: dict[str, deque[tuple[float, float]]] = {}
        self._repeats: dict[str, deque[tuple[float, RepeatReport]]] = {}  # by operation
        self._follow_until: dict[str, float] = {}  # by statement
        self.known_since: float | None = None

    # -- what comes in

    def take_report(self, report: Report, at: float) -> None:
        """Take an agent's samples and what its operations cost."""
        with self._lock:
            self._know_since(at - report.seconds)
            for sample in report.samples:
                self._take_sample(sample, report.application, at)
            wait_us = _mean_wait_us(report)
            for operation in report.operations:
                self._take_operation(operation, at, wait_us)
            for repeat in report.repeats:
                if repeat.operation in self._transactions:  # what is counted, and so bounded
                    known = self._repeats.setdefault(repeat.operation, deque(maxlen=TICKS_MAX))
                    known.append((at, repeat))

    def take_server(self, statements: Sequence[Statement], at: float) -> None:
        """Take the server's running totals; the increase since the last time counts."""
        with self._lock:
            self._know_since(at)
            for statement in statements:
                entry = self._entry(statement.text, at)
                before, entry.totals = entry.totals, statement
                if before is None or statement.calls < before.calls:
                    continue  # the first reading, or the statistics were reset
                if statement.calls > before.calls:
                    entry.seen = at
                    entry.add(SERVER, _increase(before, statement, at))

    def note_activity(self, activity: Activity, at: float) -> None:
        """Note which statements run at this moment, and whether they wait for a lock."""
        with self._lock:
            for session in activity.sessions:
                entry = self._entries.get(statement_key(session.query))
                if entry is not None and session.state == "active":
                    entry.moments.append((at, session.wait.startswith("Lock")))

    def note_plan(self, key: str, plan: Plan, at: float) -> None:
        """Note the plan that a statement has now; the same shape again changes nothing."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and (not entry.plans or entry.plans[-1].plan.shape != plan.shape):
                entry.plans.append(PlanSeen(at, plan))

    def note_facts(self, key: str, facts: Json) -> None:
        """Replace what was found out about a statement."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.facts = facts

    def note_looks(self, keys: Iterable[str]) -> None:
        """Note that these statements, which are all that are slow now, were looked into."""
        slow = frozenset(keys)
        with self._lock:
            for entry in self._entries.values():
                entry.looks = entry.looks + 1 if entry.key in slow else 0

    def follow(self, keys: Iterable[str], at: float) -> None:
        """Ask for readings at every tick for a while: these are slow, or were just mended."""
        with self._lock:
            kept = {key: until for key, until in self._follow_until.items() if at < until}
            self._follow_until = {**kept, **dict.fromkeys(keys, at + FOLLOWED_SECONDS)}

    def followed(self, at: float) -> frozenset[str]:
        """Return the statements for which readings are wanted at every tick."""
        with self._lock:
            return frozenset(key for key, until in self._follow_until.items() if at < until)

    # -- what is asked

    def views(self, *, start: float, end: float) -> list[StatementView]:
        """Return the statements that ran with start < time <= end, the costliest first."""
        with self._lock:
            found = [self._view(entry, start, end) for entry in self._entries.values()]
        ran = [view for view in found if view.spent.calls > 0]
        return sorted(ran, key=lambda view: -view.spent.total_ms)

    def view(self, key: str, *, start: float, end: float) -> StatementView | None:
        """Return one statement, or None when it was never heard of."""
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None else self._view(entry, start, end)

    def key_of(self, operation: str) -> str | None:
        """Return the statement that an operation is, or was last, or None."""
        with self._lock:
            key = self._by_operation.get(operation)
            if key is not None:
                return key
            named = [one for one in self._entries.values() if operation in one.operations]
            return max(named, key=lambda one: one.seen).key if named else None

    # -- how it is kept

    def _know_since(self, at: float) -> None:
        self.known_since = at if self.known_since is None else min(at, self.known_since)

    def _take_sample(self, sample: CallSample, application: str, at: float) -> None:
        entry = self._entry(sample.sql, at)
        entry.sql, entry.write, entry.seen = sample.sql, sample.write, at
        entry.operations[sample.operation] = None
        entry.applications[application] = None
        entry.samples.appendleft(sample)
        if sample.cost is not None:
            entry.costs.append((at, sample.cost))
        if sample.transaction:  # its report counts the transaction, so samples stand for the calls
            entry.within.append((at, sample.transaction, sample.weight))
            total_ms = sample.weight * sample.latency_us / 1000
            late = sample.weight if sample.latency_us > self._promise_us else 0.0
            spent = Spent(at, sample.weight, total_ms, sample.weight * sample.rows, late)
            entry.add(AGENTS, spent)
        else:
            self._by_operation[sample.operation] = entry.key

    def _take_operation(self, operation: OperationReport, at: float, wait_us: float) -> None:
        """Take what an operation cost; waiting for a connection is the pool's, not its own.

        `wait_us`: the mean of all calls, for agents that do not tell each operation's own.
        """
        latency = unpack(operation.latency)
        calls = self._transactions.setdefault(operation.operation, deque(maxlen=TICKS_MAX))
        calls.append((at, float(latency.count)))
        entry = self._entries.get(self._by_operation.get(operation.operation, ""))
        if entry is not None and latency.count:
            entry.seen = at
            waited_ms = None
            if operation.waited_seconds is not None:
                waited_ms = operation.waited_seconds * 1000
                wait_us = waited_ms * 1000 / latency.count
            late = float(latency.above(self._promise_us + wait_us))
            total_ms = max(0.0, latency.total - latency.count * wait_us) / 1000
            spent = Spent(
                at,
                latency.count,
                total_ms,
                operation.rows,
                late,
                received_bytes=operation.received_bytes,
                sent_bytes=operation.sent_bytes,
                waits=operation.waits,
                waited_ms=waited_ms,
            )
            entry.add(AGENTS, spent)

    def _entry(self, sql: str, at: float) -> _Entry:
        key = statement_key(sql)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= STATEMENTS_MAX:
                oldest = min(self._entries.values(), key=lambda one: one.seen)
                self._forget(oldest)
            entry = self._entries[key] = _Entry(key, sql, at, at)
        return entry

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.key]
        for operation in entry.operations:
            if self._by_operation.get(operation) == entry.key:
                del self._by_operation[operation]
                self._transactions.pop(operation, None)
                self._repeats.pop(operation, None)

    def _view(self, entry: _Entry, start: float, end: float) -> StatementView:
        source = AGENTS if entry.during(AGENTS, start, end) else SERVER
        spent = _sum(entry.during(source, start, end), end)
        if source == AGENTS:  # who runs it does not see blocks; the server does
            server = _sum(entry.during(SERVER, start, end), end)
            spent = replace(spent, blocks_hit=server.blocks_hit, blocks_read=server.blocks_read)
        moments = [waited for at, waited in entry.moments if start < at <= end]
        return StatementView(
            key=entry.key,
            text=redact(entry.sql),
            sql=entry.sql,
            write=entry.write,
            operations=tuple(entry.operations),
            applications=tuple(entry.applications),
            seconds=end - start,
            spent=spent,
            source=source,
            per_transaction=self._per_transaction(entry, start, end),
            waited_share=sum(moments) / len(moments) if moments else None,
            samples=tuple(entry.samples),
            plans=tuple(entry.plans),
            facts=entry.facts,
            first_seen=entry.first_seen,
            repeated=self._repeated(entry, start, end),
            measured=_cost([cost for at, cost in entry.costs if start < at <= end]),
            looks=entry.looks,
        )

    def _per_transaction(self, entry: _Entry, start: float, end: float) -> dict[str, float]:
        weights: dict[str, float] = {}
        for at, name, weight in entry.within:
            if start < at <= end:
                weights[name] = weights.get(name, 0.0) + weight
        calls = {
            name: sum(count for at, count in self._transactions.get(name, ()) if start < at <= end)
            for name in weights
        }
        return {name: weights[name] / calls[name] for name in weights if calls[name]}

    def _repeated(self, entry: _Entry, start: float, end: float) -> tuple[Repeated, ...]:
        """Return what its operations, or the transactions it is in, are run again and again after.

        `_transactions` holds the calls of every operation.
        """
        runs: dict[str, float] = {}
        calls: dict[str, float] = {}
        whole = 0.0
        for name in {*entry.operations, *(one for _, one, _ in entry.within)}:
            counted = self._transactions.get(name, ())
            whole += sum(count for at, count in counted if start < at <= end)
            for at, one in self._repeats.get(name, ()):
                if start < at <= end:
                    runs[one.after] = runs.get(one.after, 0) + one.runs
                    calls[one.after] = calls.get(one.after, 0) + one.calls
        repeated = [
            Repeated(after, calls[after] / runs[after], min(1.0, calls[after] / whole), runs[after])
            for after in runs
            if runs[after] > 0 and calls[after] > 0 and whole
        ]
        return tuple(sorted(repeated, key=lambda one: -one.share))


def _cost(found: Sequence[CostReport]) -> CostReport | None:
    """Return the sums of what was measured, or None where nothing was."""
    if not found:
        return None
    return CostReport(
        calls=sum(one.calls for one in found),
        seconds=sum(one.seconds for one in found),
        cpu_seconds=sum(one.cpu_seconds for one in found),
        queued_seconds=sum(one.queued_seconds for one in found),
        lock_seconds=sum(one.lock_seconds for one in found),
        disk_bytes=sum(one.disk_bytes for one in found),
        sleeps=sum(one.sleeps for one in found),
        others_cpu_seconds=sum(one.others_cpu_seconds for one in found),
    )


def _mean_wait_us(report: Report) -> float:
    """Return the mean wait for a connection in a report: callers wait in turn, so all alike."""
    waits = [unpack(pool.wait) for pool in report.pools]
    count = sum(wait.count for wait in waits)
    return sum(wait.total for wait in waits) / count if count else 0.0


def _increase(before: Statement, after: Statement, at: float) -> Spent:
    def blocks(old: float | Unknown, new: float | Unknown) -> float | None:
        return None if isinstance(old, Unknown) or isinstance(new, Unknown) else new - old

    return Spent(
        at,
        after.calls - before.calls,
        max(0.0, after.total_ms - before.total_ms),
        after.rows - before.rows,
        0.0,
        blocks(before.blocks_hit, after.blocks_hit),
        blocks(before.blocks_read, after.blocks_read),
    )


def _sum(parts: Iterable[Spent], at: float) -> Spent:
    parts = list(parts)

    def known(values: Iterable[float | None]) -> float | None:
        found = [value for value in values if value is not None]
        return sum(found) if found else None

    return Spent(
        at,
        sum(one.calls for one in parts),
        sum(one.total_ms for one in parts),
        sum(one.rows for one in parts),
        sum(one.late for one in parts),
        known(one.blocks_hit for one in parts),
        known(one.blocks_read for one in parts),
        known(one.received_bytes for one in parts),
        known(one.sent_bytes for one in parts),
        known(one.waits for one in parts),
        known(one.waited_ms for one in parts),
    )
