"""The charts of a database: percentiles are merged, counters are rates, nothing is made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.errors import NotFoundError
from homeostat.measure import Histogram, Sample, Subject
from homeostat.operate.console import OperatorConsole
from homeostat.operate.insights import Chart
from tests.monitor.stage import TICK_SECONDS, Ward, ward


@pytest.fixture
def one(tmp_path: Path, sqlite_path: Path) -> Iterator[Ward]:
    with ward(tmp_path / "data", str(sqlite_path)) as made:
        yield made


def chart(one: Ward, name: str, *, seconds: float = 3600.0, shift: float = 0.0) -> Chart:
    now = one.clock.now()
    found = OperatorConsole(one.operator).charts(
        one.key, start=now - seconds, end=now + 1, shift=shift, points=20, only=name
    )
    return found.charts[0]


def store(one: Ward, metric: str, *values: float, subject: Subject | None = None) -> None:
    about = subject or Subject(one.key)
    for value in values:
        one.clock.advance(TICK_SECONDS)
        one.operator.samples.append([Sample(about, metric, one.clock.now(), value)])


def test_bytes_are_told_a_second(one: Ward) -> None:
    store(one, "operation.received_bytes", *[5_000.0] * 3)
    found = chart(one, "bytes")
    assert found.unit == "bytes/s"
    assert found.lines[0].mean == pytest.approx(5_000.0 / TICK_SECONDS)


def test_percentiles_are_of_all_calls_and_no_mean_of_percentiles(one: Ward) -> None:
    quick, slow = Histogram(), Histogram()
    quick.record(1000.0, times=990)
    slow.record(90_000.0, times=10)
    for made in (quick, slow):
        one.clock.advance(TICK_SECONDS)
        sample = Sample(Subject(one.key), "operation.latency_us", one.clock.now(), made)
        one.operator.samples.append([sample])
    found = OperatorConsole(one.operator).charts(
        one.key, start=one.clock.now() - 3600, end=one.clock.now() + 1, points=1, only="latency"
    )
    p50, p99 = found.charts[0].lines
    # 10 of 1,000 calls took 90 ms: the 99th percentile is still 1 ms; a mean of both would be 45
    assert p50.points[0].mean == pytest.approx(1.0, rel=0.07)
    assert p99.points[0].mean == pytest.approx(1.0, rel=0.07)


def test_starts_of_one_application_are_one_line(one: Ward) -> None:
    for pid in (17, 4711):
        subject = Subject(one.key, f"agent:shop-{pid}", "pool", "main")
        store(one, "pool.use_share", 0.2, 0.4, subject=subject)
    found = chart(one, "pools")
    assert [line.name for line in found.lines] == ["shop: main"]
    assert (found.lines[0].low, found.lines[0].high) == (0.2, 0.4)


def test_a_counter_is_shown_per_second(one: Ward) -> None:
    store(one, "operation.errors", 20.0)
    found = chart(one, "errors")
    assert found.unit == "1/s"
    assert found.lines[0].mean == 20.0 / one.operator.config.monitor.performance_seconds


def test_an_earlier_range_stands_beside_with_its_own_times(one: Ward) -> None:
    store(one, "operation.rate", 100.0)
    then = one.clock.now()
    one.clock.advance(86_400)
    store(one, "operation.rate", 50.0)
    found = chart(one, "throughput", shift=86_400)
    assert [line.mean for line in found.lines] == [50.0]
    assert [line.mean for line in found.before] == [100.0]
    assert found.before[0].points[0].at == pytest.approx(then)


def test_an_empty_chart_says_why(one: Ward) -> None:
    one.tick()
    found = chart(one, "throughput")
    assert (found.lines, found.known_since) == ([], None)
    assert "homeostat.access" in found.reason
    store(one, "operation.rate", 1.0)
    one.clock.advance(7200)
    found = chart(one, "throughput")
    assert found.reason == "nothing was measured in this time"
    assert found.known_since is not None


def test_only_charts_of_what_the_engine_has_are_drawn(one: Ward) -> None:
    one.tick("health")
    now = one.clock.now()
    console = OperatorConsole(one.operator)
    names = {c.name for c in console.charts(one.key, start=now - 60, end=now).charts}
    assert {"storage", "disk", "answer"} <= names
    assert "connections" not in names
    with pytest.raises(NotFoundError, match="latency"):
        console.charts(one.key, start=now - 60, end=now, only="nothing")
