"""The newest samples of every series, in memory, for rules to judge.

Bounded: so many ticks a series, so many series a metric. What falls off is still in samples.db.
Histograms are kept packed, a tenth of their size: with 300 series they would be most of the
operator's memory. Every read makes new ones, so nobody changes what others read.
"""

from __future__ import annotations

import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from homeostat.logbook import histograms
from homeostat.measure import Histogram, Reading, Sample, Subject, Unknown

TICKS_MAX = 512

_Kept = tuple[float, float | Unknown | bytes, Mapping[str, str] | None]  # at, value, texts


class Recent:
    """Rings of samples by (metric, subject); safe to use from any thread."""

    def __init__(self, *, ticks_max: int = TICKS_MAX) -> None:
        self._lock = threading.Lock()
        self._rings: dict[str, dict[Subject, deque[_Kept]]] = defaultdict(dict)
        self._ticks_max = ticks_max
        self._longer: dict[str, int] = {}

    def keep(self, metric: str, *, ticks: int) -> None:
        """Keep at least so many ticks of a metric from now on; say it before its first sample."""
        with self._lock:
            self._longer[metric] = max(ticks, self._ticks_max, self._longer.get(metric, 0))

    def add(self, samples: Iterable[Sample]) -> None:
        """Add samples; each series must come in order of time."""
        with self._lock:
            for sample in samples:
                rings = self._rings[sample.metric]
                ring = rings.get(sample.subject)
                if ring is None:
                    ticks = self._longer.get(sample.metric, self._ticks_max)
                    ring = rings[sample.subject] = deque(maxlen=ticks)
                value = sample.value
                kept = histograms.pack(value) if isinstance(value, Histogram) else value
                ring.append((sample.at, kept, sample.texts or None))

    def subjects(self, metric: str, *, since: float = 0.0) -> list[Subject]:
        """Return the subjects with a sample of the metric at or after a time."""
        with self._lock:
            rings = self._rings.get(metric, {})
            return [subject for subject, ring in rings.items() if ring[-1][0] >= since]

    def metrics(self) -> list[str]:
        """Return the metrics seen."""
        with self._lock:
            return list(self._rings)

    def last(self, metric: str, subject: Subject) -> Sample | None:
        """Return the newest sample of a series, or None."""
        with self._lock:
            ring = self._rings.get(metric, {}).get(subject)
            return _sample(subject, metric, ring[-1]) if ring else None

    def window(self, metric: str, subject: Subject, *, ticks: int) -> list[Sample]:
        """Return the newest so many samples of a series, the oldest first, unknown ones too."""
        return [_sample(subject, metric, one) for one in self._newest(metric, subject, ticks)]

    def values(self, metric: str, subject: Subject, *, ticks: int) -> list[float]:
        """Return the known plain values among the newest so many samples."""
        kept = self._newest(metric, subject, ticks)
        return [value for _, value, _ in kept if isinstance(value, float)]

    def between(self, metric: str, subject: Subject, *, start: float, end: float) -> list[Reading]:
        """Return the readings with start < time <= end, the oldest first."""
        kept = self._newest(metric, subject, sys.maxsize)
        return [_reading(value) for at, value, _ in kept if start < at <= end]

    def _newest(self, metric: str, subject: Subject, ticks: int) -> list[_Kept]:
        with self._lock:
            ring = self._rings.get(metric, {}).get(subject)
            return list(ring)[-ticks:] if ring else []

    def forget(self, instance: str) -> None:
        """Drop every series of an instance, e.g. of an agent that went away."""
        with self._lock:
            for rings in self._rings.values():
                for subject in [s for s in rings if s.instance == instance]:
                    del rings[subject]


def _reading(kept: float | Unknown | bytes) -> Reading:
    return histograms.unpack(kept) if isinstance(kept, bytes) else kept


def _sample(subject: Subject, metric: str, kept: _Kept) -> Sample:
    at, value, texts = kept
    return Sample(subject, metric, at, _reading(value), texts or {})
