"""Running totals of counters and histograms since the operator started.

A sample of a counter or histogram holds what happened since the tick before, so that a lost tick is
seen as one. Collectors that come by at their own pace want totals that only grow; these are kept
here, one a series, within the limits of the registry. A total starts over with the operator.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from homeostat.measure import Histogram, Sample, Subject, Unknown

_Key = tuple[str, Subject]


class Totals:
    """Totals by metric and subject; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[_Key, float] = {}
        self._histograms: dict[_Key, Histogram] = {}

    def add(self, samples: Iterable[Sample]) -> None:
        """Add increments; an unknown one adds nothing."""
        with self._lock:
            for sample in samples:
                key = sample.metric, sample.subject
                if isinstance(sample.value, Histogram):
                    self._histograms.setdefault(key, Histogram()).merge(sample.value)
                elif not isinstance(sample.value, Unknown):
                    self._sums[key] = self._sums.get(key, 0.0) + sample.value

    def sum(self, metric: str, subject: Subject) -> float:
        """Return the total of a counter; 0 when nothing was added."""
        with self._lock:
            return self._sums.get((metric, subject), 0.0)

    def histogram(self, metric: str, subject: Subject) -> Histogram:
        """Return a copy of the total of a histogram."""
        with self._lock:
            return self._histograms.get((metric, subject), Histogram()).copy()

    def forget(self, instance: str) -> None:
        """Drop the totals of an instance that went away."""
        with self._lock:
            for kept in (self._sums, self._histograms):
                for key in [key for key in kept if key[1].instance == instance]:
                    del kept[key]
