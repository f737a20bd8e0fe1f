"""Counts: histograms by operation that add up over seconds and processes."""

from __future__ import annotations

import random
import threading

import pytest

from homeostat.measure import merged
from homeostat.sample.counts import Counts, Second, merged_latency
from tests.patience import joined


def counted(values_ms: list[float], *, name: str = "open_home") -> Second:
    counts = Counts(0.0)
    for value in values_ms:
        assert counts.offer(room=1_000_000)
        counts.end(name, value / 1000)
    return counts.take(1.0)


def test_merged_seconds_tell_the_quantiles_of_all_requests() -> None:
    """Within one bucket (6.25 %) of the exact ones, which no mean of percentiles would be."""
    chance = random.Random(3)
    busy = [chance.lognormvariate(3.0, 1.0) for _ in range(4000)]
    calm = [chance.lognormvariate(0.0, 0.5) for _ in range(40_000)]
    whole = merged(merged_latency([counted(busy), counted(calm)]).values())
    exact = sorted(busy + calm)
    for q in (0.5, 0.95, 0.99, 0.999):
        found = whole.quantile(q)
        assert isinstance(found, float)
        assert exact[int(q * len(exact)) - 1] <= found / 1000 * 1.001
        assert found / 1000 <= exact[int(q * len(exact))] * 1.0626


def test_operations_are_told_apart_and_failures_are_counted_by_name() -> None:
    counts = Counts(0.0)
    for name, failure in (("read", ""), ("read", ""), ("write", "DatabaseLockedError")):
        assert counts.offer(room=10)
        counts.end(name, 0.002, failure=failure)
    second = counts.take(2.0)
    found = merged_latency([second])
    assert {name: one.count for name, one in found.items()} == {"read": 2, "write": 1}
    assert (second.completed, second.failed, second.waiting) == (2, 1, 0)
    assert second.failures == {"DatabaseLockedError": 1}
    assert second.p99_ms == pytest.approx(2.0, rel=0.0625)
    assert merged_latency([counts.take(3.0)]) == {}, "each second is told once"


def test_nothing_is_lost_between_two_seconds() -> None:
    counts = Counts(0.0)
    done = threading.Event()

    def work() -> None:
        for _ in range(5000):
            counts.offer(room=1_000_000)
            counts.end("read", 0.001)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    seconds = []
    while not done.is_set():
        seconds.append(counts.take(1.0))
    joined(thread)
    seconds.append(counts.take(1.0))
    assert sum(one.offered for one in seconds) == sum(one.completed for one in seconds) == 5000
    assert merged_latency(seconds)["read"].count == 5000
