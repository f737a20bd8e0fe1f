"""Replays captured calls on a clone, before and after a change, and compares time and results.

Every call runs in a transaction that is rolled back, so the clone stays as it is and the order does
not matter. A call is timed several times and the least counts; on SQLite it is CPU time of this
thread, which neighbours do not change; on PostgreSQL it is the time to the answer. The accounting
is honest: what could not be replayed is counted, with the reason, and results are compared as the
statement demands: in order where it says ORDER BY, as a multiset where it does not, by their number
where LIMIT lets the database choose.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter, thread_time

from homeostat.access.protocol import CallSample
from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Params, Rows, Wire
from homeostat.engine.texts import inserted_values, order_of, tables_of
from homeostat.errors import (
    ConstraintError,
    DatabaseError,
    StatementCancelledError,
    StatementError,
)
from homeostat.tune.values import parameters_of, used_by

REPEATS = 3
DIGITS = 9  # of a float that are compared: sums may be added up in another order


@dataclass(frozen=True, slots=True)
class Call:
    """One captured call that can be replayed."""

    key: str
    operation: str
    sql: str
    params: Params
    write: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which captured calls are replayed.

    Attributes:
        calls: in the order of capture.
        captured: how many calls were asked for, those that cannot be replayed included.
        private: how many hold a parameter that the application keeps private.
    """

    calls: tuple[Call, ...]
    captured: int
    private: int


@dataclass(frozen=True, slots=True)
class Ran:
    """One call on one side: its least time, and what its result was."""

    ms: float
    result: str


@dataclass(slots=True)
class Side:
    """What one replay of the calls showed; a call that is not in `ran` was not replayed."""

    ran: dict[int, Ran] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Compared:
    """One statement before and after, over the calls that ran on both sides."""

    key: str
    operation: str
    write: bool
    calls: int
    before_ms: float  # mean of the calls
    after_ms: float
    equal: bool

    @property
    def change(self) -> float:
        """Return the relative change of its time: -0.9 is ten times as fast."""
        return (self.after_ms - self.before_ms) / self.before_ms if self.before_ms else 0.0


def choose(
    captured: Sequence[tuple[str, CallSample]], *, table: str, dialect: str, calls_max: int
) -> Chosen:
    """Return the newest different calls of each statement that names a table."""
    taken: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    touching: dict[str, bool] = {}
    chosen: list[Call] = []
    captured_calls = private = 0
    for key, sample in reversed(captured):
        if key not in touching:
            touching[key] = table.lower() in tables_of(sample.sql, dialect)
        identity = (key, repr(sorted(sample.parameters.items())))
        if not touching[key] or identity in seen or taken[key] >= calls_max:
            continue
        seen.add(identity)
        taken[key] += 1
        captured_calls += 1
        params = parameters_of(sample)
        if params is None:
            private += 1
            continue
        chosen.append(Call(key, sample.operation, sample.sql, params, sample.write))
    return Chosen(tuple(reversed(chosen)), captured_calls, private)


def replay(
    wire: Wire, calls: Sequence[Call], *, seconds: float, only: frozenset[str] | None = None
) -> Side:
    """Run the calls, first once to warm up, then `REPEATS` times; return what was seen.

    Args:
        wire: leads to a clone.
        calls: what to run.
        seconds: stop beginning further rounds after so long; a call past it counts as not replayed.
        only: the statements to run; None: all.

    Raises:
        StatementCancelledError: somebody ended it.
    """
    side = Side()
    deadline = perf_counter() + seconds
    clock: Callable[[], float] = thread_time if wire.dialect == "sqlite" else perf_counter
    for repeat in range(1 + REPEATS):
        for number, call in enumerate(calls):
            left_ms = 1000 * (deadline - perf_counter())
            if only is not None and call.key not in only:
                continue
            if left_ms <= 0 or (repeat and number not in side.ran):
                continue
            try:
                ms, rows = _run(wire, call, clock, left_ms)
            except StatementCancelledError:  # the copy is not wanted any more
                raise
            except DatabaseError as error:
                side.ran.pop(number, None)
                side.failed[type(error).__name__] += 1
                continue
            if repeat == 0:
                side.ran[number] = Ran(ms, _digest(call, rows, wire.dialect))
            elif repeat == 1 or ms < side.ran[number].ms:  # the first round only warms up
                side.ran[number] = Ran(ms, side.ran[number].result)
    return side


def compare_sides(calls: Sequence[Call], before: Side, after: Side) -> list[Compared]:
    """Return each statement before and after, the one that gained most first."""
    numbers: dict[str, list[int]] = {}
    for number, call in enumerate(calls):
        if number in before.ran and number in after.ran:
            numbers.setdefault(call.key, []).append(number)
    found = []
    for key, ran in numbers.items():
        old, new = [before.ran[n] for n in ran], [after.ran[n] for n in ran]
        found.append(
            Compared(
                key,
                calls[ran[0]].operation,
                calls[ran[0]].write,
                len(ran),
                sum(one.ms for one in old) / len(ran),
                sum(one.ms for one in new) / len(ran),
                all(a.result == b.result for a, b in zip(old, new, strict=True)),
            )
        )
    return sorted(found, key=lambda one: one.after_ms - one.before_ms)


def best_of(first: Side, again: Side) -> Side:
    """Return the lesser time of each call of two replays of the same calls."""
    whole = Side(dict(first.ran), first.failed)
    for number, ran in again.ran.items():
        old = whole.ran.get(number)
        if old is None or ran.ms < old.ms:
            whole.ran[number] = ran
    return whole


def _run(
    wire: Wire, call: Call, clock: Callable[[], float], deadline_ms: float
) -> tuple[float, Rows]:
    try:
        return _timed(wire, call, clock, deadline_ms, make_room=False)
    except ConstraintError:  # an insert whose row has come into the clone since it was captured
        return _timed(wire, call, clock, deadline_ms, make_room=True)


def _timed(
    wire: Wire, call: Call, clock: Callable[[], float], deadline_ms: float, *, make_room: bool
) -> tuple[float, Rows]:
    wire.begin(write=call.write)
    try:
        if make_room:
            _make_room(wire, call)
        started = clock()
        rows = wire.execute(call.sql, call.params, deadline_ms=deadline_ms)
        return 1000 * (clock() - started), rows
    finally:
        if not wire.broken:
            wire.rollback()


def _make_room(wire: Wire, call: Call) -> None:
    """Delete the row that stands where a captured insert put it; the rollback brings it back.

    Raises:
        StatementError: which row that is cannot be told from the statement.
    """
    table, values = inserted_values(call.sql, wire.dialect)
    key = _primary_key(wire, table) if table else []
    if not key or not set(key) <= set(values):
        raise StatementError("Which row is in the way cannot be told. The call is left out.")
    where = " AND ".join(f"{quoted(name)} = {values[name]}" for name in key)
    sql = f"DELETE FROM {quoted(table)} WHERE {where}"
    wire.execute(sql, used_by(sql, call.params))


_KEYS = {
    "sqlite": "SELECT name FROM pragma_table_info(:name) WHERE pk > 0 ORDER BY pk",
    "postgresql": (
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
        "AND a.attnum = ANY (i.indkey) WHERE i.indisprimary AND i.indrelid = to_regclass(:name)"
    ),
}


def _primary_key(wire: Wire, table: str) -> list[str]:
    name = table if wire.dialect == "sqlite" else quoted(table)
    return [str(row[0]) for row in wire.execute(_KEYS[wire.dialect], {"name": name}).rows]


def _digest(call: Call, rows: Rows, dialect: str) -> str:
    """Return what must be equal on both sides."""
    if not rows.columns:
        return f"changed {rows.changed}"
    order, limited = order_of(call.sql, dialect)
    kept: Iterable[str]
    if limited and not order:
        return f"{len(rows.rows)} rows"
    places = [rows.columns.index(name) for name in order if name in rows.columns]
    if order and len(places) == len(order):
        in_order = "\n".join(_text([row[place] for place in places]) for row in rows.rows)
        kept = [] if limited else sorted(_text(row) for row in rows.rows)
        return hashlib.sha256("\n".join([in_order, *kept]).encode()).hexdigest()
    if limited:
        return f"{len(rows.rows)} rows"
    kept = sorted(_text(row) for row in rows.rows)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def _text(row: Iterable[object]) -> str:
    return repr([f"{v:.{DIGITS}g}" if isinstance(v, float) else v for v in row])
