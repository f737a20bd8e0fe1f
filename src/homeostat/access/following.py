"""An operation that is run once for each row that another one returned: N+1, seen where it is run.

A call that returns `LEADER_ROWS_MIN` rows or more leads. The calls of another operation that the
same caller makes in the same context (a thread or a task; a task that was started by it counts
too) follow it. They are a run, which is counted when it has ended: when something leads anew there,
or nothing of that context is left. Those that were half as many as the rows that led, or more, and
not more than them, are told. Who goes on without end is never told, and who runs the same operation
over and over for another reason meets neither number but by chance, so whoever reads the counts
asks for several runs, and for the share of all calls that they are.

Nothing here waits or reads a clock; `Statistics` changes it under its lock.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass, field

from homeostat.access.caller import Caller
from homeostat.access.protocol import RepeatReport

LEADER_ROWS_MIN = 10  # as tune.calls_per_transaction: fewer calls are nothing to spare
FOLLOWERS_MAX = 32  # operations that are counted after one that leads
PAIRS_MAX = 64  # of an operation and what leads it, in one report
ENDED_MAX = 4096  # runs that have ended and are not added up yet


@dataclass(slots=True, eq=False)
class Following:
    """A call that leads. One is made for every list, so what few need is made when it is needed.

    Attributes:
        book: whose it is: an application may use several databases.
        leader: the operation that led.
        caller: on whose behalf.
        rows: that it returned.
        led: the run that it belongs to itself, if something else led before it.
        followers: what ran since it led; None: nothing yet.
    """

    book: Repeats
    leader: str
    caller: Caller
    rows: int
    led: Led | None = None
    followers: Followers | None = None


@dataclass(slots=True, eq=False)
class Led:
    """Calls of one operation in a row that lead themselves, after another one that led.

    It is told when nothing holds it any more, as Followers are.
    """

    book: Repeats
    operation: str
    leader: str
    rows: int
    times: int = 1

    def __del__(self) -> None:
        """Tell it. It may run anywhere, at any moment: it takes no lock."""
        if are_of_each_row(self.times, self.rows):
            self.book.ended.append((self.operation, self.leader, self.times))


@dataclass(slots=True, eq=False)
class Followers:
    """Calls by operation since one led."""

    book: Repeats
    leader: str
    rows: int
    counts: dict[str, int] = field(default_factory=dict)

    def __del__(self) -> None:
        """Tell which of them were made for each row. It may run anywhere: it takes no lock."""
        for operation, times in self.counts.items():
            if are_of_each_row(times, self.rows):
                self.book.ended.append((operation, self.leader, times))


current: ContextVar[Following | None] = ContextVar("homeostat_following", default=None)


@dataclass(slots=True)
class Repeats:
    """What ended since the last report: runs and calls by operation and what leads it.

    Attributes:
        pairs: the runs that are added up, and their calls.
        ended: runs that are not: operation, what led it, calls.
    """

    pairs: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    ended: deque[tuple[str, str, int]] = field(default_factory=lambda: deque(maxlen=ENDED_MAX))

    def see(self, operation: str, rows: int, caller: Caller) -> None:
        """Note a call that returned so many rows: one that leads, or one that may follow."""
        found = current.get()
        if found is not None and not self._is_of(found, caller):
            found = None
        if rows >= LEADER_ROWS_MIN:
            self._lead(found, operation, rows, caller)
        elif found is not None:
            followers = found.followers
            if followers is None:
                followers = found.followers = Followers(self, found.leader, found.rows)
            counts = followers.counts
            if operation in counts or len(counts) < FOLLOWERS_MAX:
                counts[operation] = counts.get(operation, 0) + 1

    def _lead(self, found: Following | None, operation: str, rows: int, caller: Caller) -> None:
        """Begin a run. Tasks that were started during the one before go on to follow that one."""
        one = Following(self, operation, caller, rows)
        if found is not None:
            if found.leader != operation:
                one.led = Led(self, operation, found.leader, found.rows)
            elif found.led is not None:
                one.led, found.led = found.led, None
                one.led.times += 1
        current.set(one)
        if self.ended:
            self._add_up()

    def take(self) -> list[RepeatReport]:
        """Return what has ended since the last time, and begin anew."""
        self._add_up()
        pairs, self.pairs = self.pairs, {}
        return [RepeatReport(*names, runs, calls) for names, (runs, calls) in pairs.items()]

    def _is_of(self, found: Following, caller: Caller) -> bool:
        return found.book is self and (found.caller is caller or found.caller == caller)

    def _add_up(self) -> None:
        """Add up the runs that have ended."""
        while self.ended:
            operation, leader, calls = self.ended.popleft()
            pair = self.pairs.get((operation, leader))
            if pair is None:
                if len(self.pairs) >= PAIRS_MAX:
                    continue
                pair = self.pairs[operation, leader] = [0, 0]
            pair[0] += 1
            pair[1] += calls


def are_of_each_row(calls: int, rows: int) -> bool:
    """Return whether so many calls after so many rows are taken to be made for each of them."""
    return max(LEADER_ROWS_MIN, (rows + 1) // 2) <= calls <= rows
