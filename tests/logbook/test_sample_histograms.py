"""Histograms of samples are added over time, never averaged, and bounded in number."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.config import SamplesConfig
from homeostat.logbook import SampleStore
from homeostat.measure import Histogram, Sample, Subject, merged
from tests.logbook.ticking import CONFIG, DB, HOUR, record, tick


def test_histograms_are_added_over_ticks_chunks_and_a_restart(
    samples_path: Path, clock: ManualClock
) -> None:
    rng = random.Random(1)
    start = clock.now()
    made: list[tuple[float, Histogram]] = []
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        while clock.now() < start + 2.5 * HOUR:
            made.append((clock.now(), record(rng, 5)))
            tick(store, *made[-1], "latency_us")
            clock.advance(10)
            store.compact()
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        for a, b in ((0, 2.5), (0.5, 2.25), (2.2, 2.4), (0.1, 0.101)):
            first, last = start + a * HOUR, start + b * HOUR
            expected = merged(one for at, one in made if first <= at < last)
            found = store.histogram(DB, "latency_us", "database", start=first, end=last)
            assert found.counts == expected.counts
            assert found.max == pytest.approx(expected.max)
            assert found.total == pytest.approx(expected.total)
        everything = store.histogram(DB, "latency_us", "database", start=0, end=start + 9 * HOUR)
        assert everything.count == 5 * len(made)
        quarter = store.quantiles(
            DB, "latency_us", "database", q=0.99, start=start, end=clock.now(), points=11
        )
        assert len(quarter) == 10
        for at, value in quarter:
            span = merged(one for t, one in made if at <= t < at + 900)
            assert value == pytest.approx(span.quantile(0.99))
        chart = store.range(DB, "latency_us", "database", start=start, end=clock.now(), points=11)
        assert [at for at, _, _, _ in chart] == [at for at, _ in quarter]
        assert store.quantiles(DB, "load", "database", q=0.5, start=0, end=9e9, points=3) == []
        assert store.recent(DB, "latency_us", "database", 3) == []


def test_a_histogram_is_kept_as_it_was_when_appended(
    store: SampleStore, clock: ManualClock
) -> None:
    histogram = record(random.Random(1), 3)
    tick(store, clock.now(), histogram, "latency_us")
    histogram.record(1.0)
    found = store.histogram(DB, "latency_us", "database", start=0, end=clock.now() + 1)
    assert found.count == 3


def test_only_so_many_series_hold_histograms(samples_path: Path, clock: ManualClock) -> None:
    config = SamplesConfig(histogram_series_max=2)
    with SampleStore.open(samples_path, clock=clock, config=config) as store:
        one = record(random.Random(1), 3)
        for _ in range(2):
            store.append(
                [
                    Sample(Subject(DB, name=f"op{i}"), "latency_us", clock.now(), one)
                    for i in range(4)
                ]
            )
            clock.advance(10)
        held = [label for _, label, _, _ in store.subjects(DB)]
        assert held == ["database:op0", "database:op1"]
        assert store.dropped == {"more than 2 histogram series": 4}
