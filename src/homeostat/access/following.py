"""An operation that is run once for each row that another one returned: N+1, seen where it is run.

A call that returns `LEADER_ROWS_MIN` rows or more leads. The calls of another operation that the
same caller makes in the same context (a thread or a task; a task that was started by it counts
too) follow it. Those that are half as many as the rows that led, or more, and not more than them,
are counted: who runs the same operation over and over for another reason meets neither number but
by chance, so whoever reads the counts asks for the share of all calls that they are.

Nothing here waits or reads a clock; `Statistics` changes it under its lock.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from homeostat.access.caller import Caller
from homeostat.access.protocol import RepeatReport

LEADER_ROWS_MIN = 10  # as tune.calls_per_transaction: fewer calls are nothing to spare
FOLLOWERS_MAX = 32  # operations that are counted after one that leads
PAIRS_MAX = 64  # of an operation and what leads it, in one report


@dataclass(slots=True)
class Following:
    """A call that leads, and what follows it.

    Attributes:
        book: whose it is: an application may use several databases.
        leader: the operation that led.
        caller: on whose behalf.
        rows: that it returned.
        least: calls of another operation from which they are counted.
        above: what led before it, and its rows; it may itself be run for each of those.
        times: how often it has led in a row.
        counts: calls by operation since it led.
    """

    book: Repeats
    leader: str
    caller: Caller
    rows: int
    least: int
    above: tuple[str, int] | None = None
    times: int = 1
    counts: dict[str, int] = field(default_factory=dict)


current: ContextVar[Following | None] = ContextVar("homeostat_following", default=None)


@dataclass(slots=True)
class Repeats:
    """What was counted since the last report: runs and calls by operation and what leads it."""

    pairs: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def see(self, operation: str, rows: int, caller: Caller) -> None:
        """Note a call that returned so many rows: one that leads, or one that may follow."""
        found = current.get()
        if found is not None and not self._is_of(found, caller):
            found = None
        if rows >= LEADER_ROWS_MIN:
            self._lead(found, operation, rows, caller)
        elif found is not None:
            self._follow(found, operation)

    def _lead(self, found: Following | None, operation: str, rows: int, caller: Caller) -> None:
        if found is not None and found.leader == operation:
            found.rows, found.least = rows, least(rows)
            found.counts.clear()
            found.times += 1
            if found.above is not None:
                self._count(operation, found.above[0], found.times, found.above[1])
            return
        above = None if found is None else (found.leader, found.rows)
        current.set(Following(self, operation, caller, rows, least(rows), above))

    def _follow(self, found: Following, operation: str) -> None:
        counts = found.counts
        number = counts.get(operation, 0) + 1
        if number == 1 and len(counts) >= FOLLOWERS_MAX:
            return
        counts[operation] = number
        if number >= found.least:
            self._count(operation, found.leader, number, found.rows)

    def take(self) -> list[RepeatReport]:
        """Return what was counted since the last time, and begin anew."""
        pairs, self.pairs = self.pairs, {}
        return [RepeatReport(*names, runs, calls) for names, (runs, calls) in pairs.items()]

    def _is_of(self, found: Following, caller: Caller) -> bool:
        return found.book is self and (found.caller is caller or found.caller == caller)

    def _count(self, operation: str, leader: str, number: int, rows: int) -> None:
        """Count the n-th call after one that led; take all of them back when they are too many."""
        first = least(rows)
        if number < first or number > rows + 1:
            return
        pair = self.pairs.get((operation, leader))
        if pair is None:
            if len(self.pairs) >= PAIRS_MAX:
                return
            pair = self.pairs[operation, leader] = [0, 0]
        if number > rows:
            pair[0] -= 1
            pair[1] -= rows
        elif number == first:
            pair[0] += 1
            pair[1] += first
        else:
            pair[1] += 1


def least(rows: int) -> int:
    """Return how many calls after so many rows are taken to be made for each of them."""
    return max(LEADER_ROWS_MIN, (rows + 1) // 2)
