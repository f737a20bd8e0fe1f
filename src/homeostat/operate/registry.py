"""The metrics there are, and how many series each may have.

A sample of an unregistered metric is a mistake in a room and raises. A series past its metric's
limit is dropped, counted and told, so that a label gone wild cannot fill the disk. Each database
has that many series, and where the metric says so, one that is no longer seen makes room.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from homeostat.errors import ConfigError
from homeostat.measure import Kind, MetricSpec, Sample, Subject


class Registry:
    """All metrics of an operator; safe to use from any thread."""

    def __init__(self, metrics: Iterable[MetricSpec]) -> None:
        self._specs: dict[str, MetricSpec] = {}
        for spec in metrics:
            if self._specs.setdefault(spec.name, spec) != spec:
                raise ConfigError(f"The metric {spec.name} is registered twice, differently.")
        self._seen: dict[tuple[str, str], dict[Subject, float]] = {}  # by database and metric
        self._lock = threading.Lock()
        self._dropped: dict[tuple[str, str], int] = {}  # by database and metric

    def specs(self) -> list[MetricSpec]:
        """Return all metrics by name."""
        return sorted(self._specs.values(), key=lambda spec: spec.name)

    def spec(self, name: str) -> MetricSpec | None:
        """Return one metric's specification."""
        return self._specs.get(name)

    def is_increment(self, name: str) -> bool:
        """Return whether samples of a metric hold what happened since the tick before."""
        return self._specs[name].kind is not Kind.GAUGE

    def admit(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples whose series are within their metric's limit.

        Raises:
            KeyError: a metric is not registered.
        """
        admitted = []
        with self._lock:
            for sample in samples:
                key = sample.subject.database, sample.metric
                spec, seen = self._specs[sample.metric], self._seen.setdefault(key, {})
                if sample.subject in seen or _has_room(spec, seen, sample.at):
                    seen[sample.subject] = sample.at
                    admitted.append(sample)
                else:
                    self._dropped[key] = self._dropped.get(key, 0) + 1
        return admitted

    def take_dropped(self, database: str) -> dict[str, int]:
        """Return how many readings of each metric were dropped since the last call."""
        with self._lock:
            found = {key: n for key, n in self._dropped.items() if key[0] == database}
            for key in found:
                del self._dropped[key]
        return {metric: count for (_, metric), count in found.items()}

    def forget(self, instance: str) -> None:
        """Give up the series of an instance that went away."""
        with self._lock:
            for seen in self._seen.values():
                for subject in [one for one in seen if one.instance == instance]:
                    del seen[subject]


def _has_room(spec: MetricSpec, seen: dict[Subject, float], at: float) -> bool:
    """Return whether one more series fits, after those unseen for too long gave up their place."""
    if len(seen) < spec.max_series:
        return True
    gone = [subject for subject, last in seen.items() if at - last >= spec.unseen_seconds]
    for subject in gone:
        del seen[subject]
    return bool(gone)
