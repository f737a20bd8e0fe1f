"""What operations cost, by operation and segment: mergeable histograms and counts.

Recording takes one short lock and no clock. Memory is bounded: past SERIES_MAX, further segments
of an operation are counted together, and past that further operations. Which calls are kept whole
for the operator is decided here too, by the operation's tally (see sampling.py).

Bytes are counted of some calls, one in 16 by chance, and scaled up: those received by the rows of
all calls, those sent by their number. Counting every call's would take longer than all the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import random

from homeostat.access.caller import Caller
from homeostat.access.following import LEADER_ROWS_MIN, Repeats, current
from homeostat.access.protocol import OperationReport, RepeatReport, pack
from homeostat.access.sampling import Call, Sampler, Tally
from homeostat.access.volume import Moved, bytes_of, bytes_of_rows
from homeostat.driver.wire import Params
from homeostat.measure import Histogram, Unknown, bucket

SERIES_MAX = 256
OTHERS = "(others)"
SIZED_EVERY = 16  # so many calls there are, in the mean, for one whose bytes are counted
INDEXED = 4096  # microseconds whose buckets are looked up and not computed
INDEXES = tuple(bucket(value) for value in range(INDEXED))


@dataclass(slots=True)
class Series:
    """What happened to one operation for one segment since the last report.

    Attributes:
        waits: calls, and tries of calls, that waited for a connection.
        waited_seconds: how long, those that got none included.
        sized: calls whose bytes were counted.
        sized_rows: rows of these.
        sized_received: bytes of their rows.
        sized_sent: bytes of their parameters.
        size_at: the call, counted by `latency`, whose bytes are counted next.
    """

    tally: Tally
    latency: Histogram = field(default_factory=Histogram)
    errors: int = 0
    rows: int = 0
    late: int = 0
    waits: int = 0
    waited_seconds: float = 0.0
    sized: int = 0
    sized_rows: int = 0
    sized_received: float = 0.0
    sized_sent: int = 0
    size_at: int = 1

    @property
    def received_bytes(self) -> int:
        """Return about how many bytes all rows were."""
        return round(self.sized_received / self.sized_rows * self.rows) if self.sized_rows else 0

    @property
    def sent_bytes(self) -> int:
        """Return about how many bytes the parameters of all calls were."""
        return round(self.sized_sent / self.sized * self.latency.count) if self.sized else 0

    def size(self, rows: int, received: float, sent: int) -> None:
        """Add the bytes of a call, which are those of its rows and of its parameters."""
        self.sized += 1
        self.sized_rows += rows
        self.sized_received += received
        self.sized_sent += sent
        skip = int((2 * SIZED_EVERY - 1) * random())  # noqa: S311  no secret
        self.size_at = self.latency.count + 1 + skip

    def merge(self, other: Series) -> None:
        """Add another's counts."""
        self.latency.merge(other.latency)
        self.errors += other.errors
        self.rows += other.rows
        self.late += other.late
        self.waits += other.waits
        self.waited_seconds += other.waited_seconds
        self.sized += other.sized
        self.sized_rows += other.sized_rows
        self.sized_received += other.sized_received
        self.sized_sent += other.sized_sent


Key = tuple[str, str]


class Statistics:
    """Counts of every call; safe to use from any thread."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        """Begin empty; `sampler` keeps calls whole, None: none are."""
        self.sampler = sampler or Sampler()
        self.after_fork()

    def after_fork(self) -> None:
        """Start empty; what the parent counted, the parent reports."""
        self._lock = threading.Lock()
        self._series: dict[Key, Series] = {}
        self._repeats = Repeats()
        self.sampler.take()

    def record(
        self,
        operation: str,
        caller: Caller,
        latency_us: float,
        rows: int,
        params: Params | None = None,
        found: Sequence[tuple[object, ...]] = (),
        late: int = 0,
        failed: int = 0,
        returned: int = 0,
    ) -> Tally | None:
        """Count one call for a caller, under its segment; a failed one has its latency counted too.

        Nothing is keyword-only: that alone would take a tenth of what it takes.

        Args:
            operation: its name.
            caller: on whose behalf.
            latency_us: from arrival to result.
            rows: returned and changed.
            params: what was sent, for counting its bytes now and then; None: never of this call.
            found: the rows that were received.
            late: 1: it took longer than the operation expects.
            failed: 1: it ended with an error.
            returned: how many they were, where `found` is not given.

        Returns:
            The tally to give to `keep` with the call, if it is chosen.
        """
        key = (operation, caller.segment)
        whole = int(latency_us)
        index = INDEXES[whole] if 0 <= whole < INDEXED else bucket(whole)
        self._lock.acquire()  # `with` takes 0.1 us more
        try:
            series = self._series.get(key)
            if series is None:
                series = self._add(key)
            latency = series.latency
            counts = latency.counts
            counts[index] = counts.get(index, 0) + 1
            latency.count += 1
            latency.total += latency_us
            if latency_us > latency.max:
                latency.max = latency_us
            if rows:
                series.rows += rows
            returned = returned or len(found)
            if returned >= LEADER_ROWS_MIN or current.get() is not None:
                self._repeats.see(operation, returned, caller)
            series.errors += failed
            series.late += late
            tally = series.tally
            tally.seen = seen = tally.seen + 1
            if params is not None and (
                latency.count >= series.size_at or (rows and not series.sized_rows)
            ):
                series.size(rows, bytes_of_rows(found), bytes_of(params.values()))
            if late or seen >= tally.next_at or latency_us > tally.slow_us:
                return tally
        finally:
            self._lock.release()
        return None

    def waited(self, operation: str, segment: str, seconds: float) -> None:
        """Count a wait for a connection; its call is counted when it has ended."""
        key = (operation, segment)
        with self._lock:
            series = self._series.get(key) or self._add(key)
            series.waits += 1
            series.waited_seconds += seconds

    def sizes(self, operation: str, segment: str) -> bool:
        """Return whether to count the bytes of a transaction that begins, for `size`."""
        series = self._series.get((operation, segment))
        if series is None or not series.sized_rows:
            return True
        return series.latency.count + 1 >= series.size_at

    def size(self, operation: str, segment: str, rows: int, moved: Moved) -> None:
        """Add the rows of a transaction, and what was counted of it."""
        key = (operation, segment)
        with self._lock:
            series = self._series.get(key) or self._add(key)
            series.size(rows, moved.received, moved.sent)

    def see(self, name: tuple[str, str], latency_us: float, late: int) -> Tally | None:
        """Count a statement of a transaction for sampling only; takes and returns as `record`.

        `name`: the transaction's and the statement's.
        """
        self._lock.acquire()
        try:
            tally = self.sampler.tally(name)
            tally.seen = seen = tally.seen + 1
            if late or seen >= tally.next_at or latency_us > tally.slow_us:
                return tally
        finally:
            self._lock.release()
        return None

    def keep(self, tally: Tally, call: Call) -> None:
        """Keep a call that was chosen."""
        with self._lock:
            self.sampler.add(tally, call)

    def keep_stopped(self, call: Call) -> None:
        """Keep a call that was stopped because it took too long."""
        call.slow = True
        with self._lock:
            self.sampler.add(self.sampler.tally(call.name), call)

    def _add(self, key: Key) -> Series:
        if len(self._series) >= SERIES_MAX:
            key = (key[0], OTHERS)
        if len(self._series) >= 2 * SERIES_MAX:
            key = (OTHERS, OTHERS)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(self.sampler.tally(key[0]))
        return series

    def take(self) -> dict[Key, Series]:
        """Return everything counted since the last time, and begin anew.

        A wait is kept until its call has ended.
        """
        with self._lock:
            series, self._series = self._series, {}
            for key in [key for key, one in series.items() if not one.latency.count]:
                self._series[key] = series.pop(key)
        return series

    def take_repeats(self) -> list[RepeatReport]:
        """Return which operations ran for each row of another since the last time; begin anew."""
        with self._lock:
            return self._repeats.take()

    def take_calls(self, series: dict[Key, Series]) -> list[Call]:
        """Return the calls that were kept since the last time, and begin anew.

        Args:
            series: what `take` has just returned: each operation's p99 says what is slow next.
        """
        p99: dict[str, tuple[int, float]] = {}
        for (operation, _), one in folded(series).items():
            value = one.latency.quantile(0.99)
            if not isinstance(value, Unknown):
                p99[operation] = (one.latency.count, value)
        with self._lock:
            calls = self.sampler.take()
            for operation, (count, value) in p99.items():
                self.sampler.learn(operation, count=count, p99_us=value)
        return calls


def reports(series: dict[Key, Series]) -> list[OperationReport]:
    """Return the counts as they go over the wire."""
    return [
        OperationReport(
            operation,
            segment,
            pack(one.latency),
            one.errors,
            one.rows,
            one.late,
            received_bytes=one.received_bytes,
            sent_bytes=one.sent_bytes,
            waits=one.waits,
            waited_seconds=one.waited_seconds,
        )
        for (operation, segment), one in series.items()
    ]


def folded(series: dict[Key, Series]) -> dict[Key, Series]:
    """Return the counts by operation, over all segments."""
    whole: dict[Key, Series] = {}
    for (operation, _segment), one in series.items():
        whole.setdefault((operation, OTHERS), Series(one.tally)).merge(one)
    return whole
