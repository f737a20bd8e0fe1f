"""Which thing has which number in samples.db, and its newest readings in memory.

Every series keeps the readings that are not in a chunk yet, and a short tail of those that are.
Bounded: so many series, so many with histograms, so many readings in a tail.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

SERIES_MAX = 10_000
OPEN_MAX = 4_320  # readings in memory while the file cannot be written: 12 hours of 10 s
TAIL_MAX = 512  # readings kept in memory for `recent`


@dataclass(slots=True, eq=False)
class Series:
    """One measured thing.

    Attributes:
        number: its number in the file.
        database, metric, subject: what it is; the subject as `Subject.label`.
        histogram: whether its readings are histograms; None until the first known one.
        times: of the readings in memory, ms, ascending from index `closed` on.
        values: plain readings, by index as in `times`.
        packed: histograms (histograms.pack), by index as in `times`.
        closed: so many of them, from the first, are in chunks.
        first_at, last_at: of known readings ever, ms.
        reason, reason_at: why the newest unknown reading was unknown, and when (ms).
        primed: whether the tail was filled from chunks.
    """

    number: int
    database: str
    metric: str
    subject: str
    histogram: bool | None = None
    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    packed: list[bytes] = field(default_factory=list)
    closed: int = 0
    first_at: int | None = None
    last_at: int | None = None
    reason: str | None = None
    reason_at: int | None = None
    primed: bool = False

    def add(self, at: int, reading: float | bytes) -> None:
        """Keep a reading; one that comes late is put in order among those not in a chunk yet."""
        readings: array[float] | list[bytes] = self.packed if self.histogram else self.values
        times = self.times
        if self.last_at is None or at >= self.last_at:
            times.append(at)
            readings.append(reading)  # type: ignore[arg-type]  # of the kind `histogram` says
            self.last_at = at
            if self.first_at is None:
                self.first_at = at
            return
        position = bisect_right(times, at, lo=self.closed)
        times.insert(position, at)
        readings.insert(position, reading)  # type: ignore[arg-type]
        if self.first_at is None or at < self.first_at:
            self.first_at = at

    @property
    def is_open(self) -> bool:
        """Return whether there are readings that are not in a chunk."""
        return self.closed < len(self.times)

    def open_before(self, boundary: int) -> int:
        """Return the index up to which readings are before a time, at least `closed`."""
        return bisect_left(self.times, boundary, lo=self.closed)

    def close(self, until: int) -> None:
        """Mark readings up to an index as stored in chunks; keep a tail of the plain ones."""
        self.closed = until
        surplus = until if self.histogram else until - TAIL_MAX
        if surplus > 0:
            del self.times[:surplus]
            del self.values[: 0 if self.histogram else surplus]
            del self.packed[: surplus if self.histogram else 0]
            self.closed -= surplus

    def bound(self) -> None:
        """Give up the oldest readings when too many wait for a chunk."""
        surplus = len(self.times) - self.closed - OPEN_MAX
        if surplus > 0:
            del self.times[: self.closed + surplus]
            del self.values[: 0 if self.histogram else self.closed + surplus]
            del self.packed[: self.closed + surplus if self.histogram else 0]
            self.closed = 0

    def prime(self, times: array[int], values: array[float]) -> None:
        """Put stored readings before those in memory, up to the tail's length."""
        first = self.times[0] if self.times else None
        keep = len(times) if first is None else bisect_left(times, first)
        room = max(0, TAIL_MAX - self.closed)
        a = max(0, keep - room)
        self.times = times[a:keep] + self.times
        self.values = values[a:keep] + self.values
        self.closed += keep - a
        self.primed = True
