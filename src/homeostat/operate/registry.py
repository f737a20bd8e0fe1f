"""The metrics there are, and how many series each may have.

A sample of an unregistered metric is a mistake in a room and raises. A series past its metric's
limit is dropped, counted and told, so that a label gone wild cannot fill the disk.
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
        self._series: dict[str, set[Subject]] = {}
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
                limit = self._specs[sample.metric].max_series
                series = self._series.setdefault(sample.metric, set())
                if sample.subject in series:
                    admitted.append(sample)
                elif len(series) < limit:
                    series.add(sample.subject)
                    admitted.append(sample)
                else:
                    key = sample.subject.database, sample.metric
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
            for series in self._series.values():
                series.difference_update([s for s in series if s.instance == instance])
