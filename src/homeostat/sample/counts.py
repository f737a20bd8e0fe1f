"""What became of the requests: counts and latencies, by operation, taken second by second.

Latency runs from the moment that a request was to arrive, not from when it was sent: a stall is
seen by every request that it held up (no coordinated omission; Tene, "How NOT to Measure Latency").
It is kept in histograms that are merged over seconds and processes by adding; no percentile is ever
averaged. A quantile read from one is at most 6.25 % too high.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from homeostat.access.protocol import HistogramWire, pack, unpack
from homeostat.measure import Histogram, Unknown, merged


class Second(msgspec.Struct, frozen=True):
    """What happened since the last one was taken; times in milliseconds, null if nothing ended.

    `waiting` counts requests in the queue or under way at the moment; `slow` those of the slow
    partner that ended, which are in the other counts, but not in the latencies. `latency` holds the
    histogram of each operation, in microseconds; `merged_latency` adds them up.
    """

    seconds: float
    offered: int
    completed: int
    dropped: int
    failed: int
    slow: int
    waiting: int
    p50_ms: float | None
    p99_ms: float | None
    failures: dict[str, int]
    latency: dict[str, HistogramWire] = {}


def merged_latency(seconds: Iterable[Second]) -> dict[str, Histogram]:
    """Return one histogram for each operation over all seconds, in microseconds."""
    found: dict[str, Histogram] = {}
    for second in seconds:
        for name, packed in second.latency.items():
            found.setdefault(name, Histogram()).merge(unpack(packed))
    return found


@dataclass(slots=True)
class _Window:
    since: float
    offered: int = 0
    completed: int = 0
    dropped: int = 0
    failed: int = 0
    slow: int = 0
    latency: dict[str, Histogram] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)


class Counts:
    """Counts since the last second was taken; safe to use from any thread."""

    def __init__(self, now: float) -> None:
        """Begin at a monotonic time."""
        self._lock = threading.Lock()
        self._window = _Window(now)
        self._waiting = 0

    def offer(self, *, room: int) -> bool:
        """Count a request that arrives; return whether there is room for it among those waiting."""
        with self._lock:
            self._window.offered += 1
            if self._waiting >= room:
                self._window.dropped += 1
                return False
            self._waiting += 1
            return True

    def end(self, name: str, seconds: float, *, failure: str = "", slow: bool = False) -> None:
        """Count a request that has ended.

        Args:
            name: its operation.
            seconds: since it was to arrive.
            failure: the error's name; empty: it succeeded.
            slow: it met the slow partner.
        """
        with self._lock:
            window = self._window
            self._waiting -= 1
            if failure:
                window.failed += 1
                window.failures[failure] = window.failures.get(failure, 0) + 1
            else:
                window.completed += 1
            if slow:
                window.slow += 1
                return
            latency = window.latency.get(name)
            if latency is None:
                latency = window.latency[name] = Histogram()
            latency.record(seconds * 1e6)

    def take(self, now: float) -> Second:
        """Return what happened since the last time, and begin anew."""
        with self._lock:
            window, self._window = self._window, _Window(now)
            waiting = self._waiting
        latency = merged(window.latency.values())
        return Second(
            seconds=now - window.since,
            offered=window.offered,
            completed=window.completed,
            dropped=window.dropped,
            failed=window.failed,
            slow=window.slow,
            waiting=waiting,
            p50_ms=_milliseconds(latency, 0.5),
            p99_ms=_milliseconds(latency, 0.99),
            failures=window.failures,
            latency={name: pack(one) for name, one in window.latency.items()},
        )


def _milliseconds(latency: Histogram, q: float) -> float | None:
    value = latency.quantile(q)
    return None if isinstance(value, Unknown) else value / 1000
