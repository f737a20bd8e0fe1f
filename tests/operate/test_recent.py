from __future__ import annotations

import tracemalloc

from homeostat.measure import Histogram, Reading, Sample, Subject, Unknown
from homeostat.operate.recent import TICKS_MAX, Recent

POOL = Subject("db", "agent:a", "pool", "main")
METRIC = "operation.latency_us"


def latencies(tick: int) -> Histogram:
    made = Histogram()
    for value in range(1, 400):
        made.record(value * (tick + 1))
    return made


def filled(ticks: int) -> Recent:
    recent = Recent()
    for tick in range(ticks):
        recent.add([Sample(POOL, METRIC, float(tick), latencies(tick))])
    return recent


def test_what_was_added_is_read_back_in_order() -> None:
    recent = Recent()
    readings: list[Reading] = [1.5, Unknown("asleep"), latencies(3)]
    texts = {"holders": "a (60%)"}
    for at, reading in enumerate(readings):
        recent.add([Sample(POOL, METRIC, float(at), reading, texts if at == 0 else {})])
    window = recent.window(METRIC, POOL, ticks=3)
    assert [one.value for one in window] == readings
    assert [one.texts for one in window] == [texts, {}, {}]
    assert recent.last(METRIC, POOL) == window[-1]
    assert recent.values(METRIC, POOL, ticks=3) == [1.5]
    assert recent.between(METRIC, POOL, start=0.0, end=2.0) == readings[1:]


def test_a_reader_cannot_change_what_the_next_one_reads() -> None:
    recent = filled(1)
    for _ in range(2):
        read = recent.window(METRIC, POOL, ticks=1)[0].value
        assert isinstance(read, Histogram)
        assert read == latencies(0)
        read.record(10**9)


def test_the_oldest_ticks_fall_off() -> None:
    recent = filled(TICKS_MAX + 5)
    assert recent.window(METRIC, POOL, ticks=TICKS_MAX + 5)[0].at == 5.0


def test_histograms_cost_little_memory() -> None:
    """Kept as they are, those of 40 series would take more than half of the operator's 150 MB."""
    tracemalloc.start()
    try:
        recent = filled(TICKS_MAX)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(recent.window(METRIC, POOL, ticks=TICKS_MAX)) == TICKS_MAX
    assert held / TICKS_MAX < 1000


def test_a_series_that_fell_silent_is_not_among_the_recent() -> None:
    recent = filled(3)
    assert recent.subjects(METRIC, since=2.0) == [POOL]
    assert recent.subjects(METRIC, since=2.5) == []
    recent.forget(POOL.instance)
    assert recent.last(METRIC, POOL) is None
