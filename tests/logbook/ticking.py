"""Ticks for the tests of samples."""

from __future__ import annotations

import random
from collections.abc import Sequence

from homeostat.clock import ManualClock
from homeostat.config import SamplesConfig
from homeostat.logbook import SampleStore
from homeostat.measure import Histogram, Reading, Sample, Subject

CONFIG = SamplesConfig()
DB = "sqlite-1-1"
MAIN = Subject(DB)
HOUR, DAY = 3600.0, 86_400.0


def tick(store: SampleStore, at: float, value: Reading, metric: str = "load") -> None:
    store.append([Sample(MAIN, metric, at, value)])


def live(
    store: SampleStore,
    clock: ManualClock,
    seconds: float,
    *,
    every: float = 10.0,
    values: Sequence[float] = (1.0, 2.0, 6.0),
) -> list[tuple[float, float]]:
    """Append a tick at each interval and compact now and then; return what was appended."""
    made: list[tuple[float, float]] = []
    until = clock.now() + seconds
    while clock.now() < until:
        made.append((clock.now(), values[len(made) % len(values)]))
        tick(store, *made[-1])
        clock.advance(every)
        if len(made) % 30 == 0:
            store.compact()
    return made


def settle(store: SampleStore, clock: ManualClock) -> None:
    """Let everything that is due be done."""
    clock.advance(60)
    while store.compact():
        pass


def means(points: list[tuple[float, float, float, float]]) -> list[tuple[float, float]]:
    return [(at, mean) for at, mean, _, _ in points]


def record(rng: random.Random, count: int) -> Histogram:
    histogram = Histogram()
    for _ in range(count):
        histogram.record(rng.lognormvariate(9, 0.5))
    return histogram
