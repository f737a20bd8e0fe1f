"""What operations cost, by operation and segment: mergeable histograms and counts.

Recording takes one short lock and no clock. Memory is bounded: past SERIES_MAX, further segments
of an operation are counted together, and past that further operations.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from homeostat.access.protocol import OperationReport, pack
from homeostat.measure import Histogram

SERIES_MAX = 256
OTHERS = "(others)"


@dataclass(slots=True)
class Series:
    """What happened to one operation for one segment since the last report."""

    latency: Histogram = field(default_factory=Histogram)
    errors: int = 0
    rows: int = 0
    late: int = 0

    def merge(self, other: Series) -> None:
        """Add another's counts."""
        self.latency.merge(other.latency)
        self.errors += other.errors
        self.rows += other.rows
        self.late += other.late


Key = tuple[str, str]


class Statistics:
    """Counts of every call; safe to use from any thread."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Start empty; what the parent counted, the parent reports."""
        self._lock = threading.Lock()
        self._series: dict[Key, Series] = {}

    def record(
        self,
        operation: str,
        segment: str,
        latency_us: float,
        rows: int,
        *,
        failed: bool = False,
        late: bool = False,
    ) -> None:
        """Count one call of (operation, segment); a failed one has its latency counted too."""
        key = (operation, segment)
        with self._lock:
            series = self._series.get(key)
            if series is None:
                series = self._add(key)
            series.latency.record(latency_us)
            if rows:
                series.rows += rows
            if failed:
                series.errors += 1
            if late:
                series.late += 1

    def _add(self, key: Key) -> Series:
        if len(self._series) >= SERIES_MAX:
            key = (key[0], OTHERS)
        if len(self._series) >= 2 * SERIES_MAX:
            key = (OTHERS, OTHERS)
        return self._series.setdefault(key, Series())

    def take(self) -> dict[Key, Series]:
        """Return everything counted since the last time, and begin anew."""
        with self._lock:
            series, self._series = self._series, {}
        return series


def reports(series: dict[Key, Series]) -> list[OperationReport]:
    """Return the counts as they go over the wire."""
    return [
        OperationReport(operation, segment, pack(one.latency), one.errors, one.rows, one.late)
        for (operation, segment), one in series.items()
    ]


def folded(series: dict[Key, Series]) -> dict[Key, Series]:
    """Return the counts by operation, over all segments."""
    whole: dict[Key, Series] = {}
    for (operation, _segment), one in series.items():
        whole.setdefault((operation, OTHERS), Series()).merge(one)
    return whole
