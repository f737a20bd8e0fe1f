from __future__ import annotations

import msgspec
import pytest

from homeostat.access.protocol import (
    DatabaseReport,
    HistogramWire,
    OperationReport,
    PoolReport,
    Report,
)
from homeostat.config import AgentConfig, Config
from homeostat.measure import Histogram, Sample, Unknown
from homeostat.operate.agents import METRICS, AgentBook

EMPTY = HistogramWire([], [], 0.0, 0.0)


def wire(*values: float) -> HistogramWire:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    buckets, counts = list(histogram.counts), list(histogram.counts.values())
    return HistogramWire(buckets, counts, histogram.total, histogram.max)


def pool(**changes: object) -> PoolReport:
    report = PoolReport(
        name="main",
        limit=4,
        limit_default=4,
        seconds=1.0,
        in_use=3,
        in_use_mean=3.0,
        in_use_max=4,
        waiting=2,
        wait=wire(10_000, 30_000),
        held_seconds=3.0,
        busy_seconds=0.6,
        lock_seconds=0.3,
        in_use_seconds=[0.0, 0.0, 0.25, 0.25, 0.5],
        timeouts=0,
        holders={"export": 2.4},
    )
    return msgspec.structs.replace(report, **changes)


def report(sequence: int = 1, **changes: object) -> Report:
    made = Report(
        v=1,
        agent="shop-1",
        boot="a",
        sequence=sequence,
        database=DatabaseReport("sqlite", "db", "app.db", "3.54.0"),
        application="shop",
        host="here",
        pid=1,
        capabilities=["pool.limit"],
        seconds=1.0,
        cpu_share=1.0,
        cores=2,
        pools=[pool()],
        operations=[OperationReport("read", "analysts", wire(1_000, 3_000), errors=1)],
        applied_version=0,
    )
    return msgspec.structs.replace(made, **changes)


def by_metric(samples: list[Sample]) -> dict[tuple[str, str], object]:
    return {(s.metric, s.subject.label): s.value for s in samples}


@pytest.fixture
def book() -> AgentBook:
    return AgentBook("db", Config(agent=AgentConfig(agents_max=2)))


def test_two_reports_make_one_tick(book: AgentBook) -> None:
    book.take(report(1), at=10.0)
    book.take(report(2), at=11.0)
    found = by_metric(book.drain(at=12.0))
    assert found["operation.rate", "database"] == 2.0
    assert found["operation.rate", "segment:analysts"] == 2.0
    assert found["operation.errors", "database"] == 2.0
    label = "agent:shop-1/pool:main"
    assert found["pool.use_share", label] == pytest.approx(0.75)
    assert found["pool.wait_ms", label] == pytest.approx(20.0)
    assert found["pool.idle_share", label] == pytest.approx(0.8)
    assert found["pool.lock_share", label] == pytest.approx(0.1)
    assert found["application.cpu_share", "agent:shop-1/application:shop"] == pytest.approx(0.5)
    in_use = found["pool.in_use_ms", label]
    assert isinstance(in_use, Histogram)
    assert in_use.above(2) / in_use.count == pytest.approx(0.75)


def test_a_report_sent_twice_counts_once(book: AgentBook) -> None:
    for _ in range(3):
        book.take(report(1), at=10.0)
    assert by_metric(book.drain(at=11.0))["operation.rate", "database"] == 2.0


def test_bytes_and_waits_are_added_up_by_operation_and_segment_of_agents_that_tell(
    book: AgentBook,
) -> None:
    told = OperationReport(
        "read", "free", wire(1_000), rows=2, received_bytes=500, sent_bytes=8, waits=1,
        waited_seconds=0.02,
    )  # fmt: skip
    book.take(report(1, operations=[told, msgspec.structs.replace(told, segment="paid")]), at=10.0)
    book.take(report(1, agent="older"), at=10.0)  # of read for analysts, without bytes and waits
    found = by_metric(book.drain(at=12.0))
    for label, times in (("database", 2), ("operation:read", 2), ("segment:paid", 1)):
        assert found["operation.received_bytes", label] == 500.0 * times
        assert found["operation.sent_bytes", label] == 8.0 * times
        assert found["operation.waits", label] == times
        assert found["operation.waited_ms", label] == pytest.approx(20.0 * times)
    assert found["operation.errors", "segment:analysts"] == 1.0
    assert ("operation.waits", "segment:analysts") not in found
    assert book.newest().sums["read", "analysts"].waits is None


def test_operations_are_shown_until_an_agent_reports_again_or_is_gone(book: AgentBook) -> None:
    book.take(report(1), at=10.0)
    book.drain(at=11.0)
    book.drain(at=12.0)
    assert book.newest().sums["read", "analysts"].latency.count == 2
    book.drain(at=1_000.0)
    assert not book.newest().sums


def test_a_report_of_no_time_is_refused(book: AgentBook) -> None:
    assert "more than 0 seconds" in book.take(report(1, seconds=0.0), at=10.0)
    book.drain(at=11.0)
    assert not book.newest().sums


def test_a_restarted_application_counts_from_its_first_sequence(book: AgentBook) -> None:
    book.take(report(900), at=10.0)
    book.drain(at=11.0)
    book.take(report(1, boot="b"), at=12.0)
    assert by_metric(book.drain(at=13.0))["operation.rate", "database"] == 2.0


def test_nothing_heard_is_unknown_with_what_would_help(book: AgentBook) -> None:
    value = by_metric(book.drain(at=1.0))["operation.p99_ms", "database"]
    assert isinstance(value, Unknown)
    assert "homeostat.access" in value.reason
    book.take(report(1), at=2.0)
    book.drain(at=3.0)
    quiet = by_metric(book.drain(at=100.0))["operation.p99_ms", "database"]
    assert isinstance(quiet, Unknown)
    assert "silent" in quiet.reason


def test_lock_time_that_the_agent_cannot_see_is_unknown(book: AgentBook) -> None:
    book.take(report(1, pools=[pool(lock_seconds=None)]), at=1.0)
    value = by_metric(book.drain(at=2.0))["pool.lock_share", "agent:shop-1/pool:main"]
    assert isinstance(value, Unknown)


def test_another_protocol_and_too_many_agents_are_refused(book: AgentBook) -> None:
    assert "version 1" in book.take(report(v=2), at=1.0)
    assert book.take(report(agent="one"), at=1.0) == ""
    assert book.take(report(agent="two"), at=1.0) == ""
    assert "2 agents" in book.take(report(agent="three"), at=1.0)


def test_a_silent_agent_is_forgotten(book: AgentBook) -> None:
    book.take(report(), at=10.0)
    assert [view.application for view in book.views(at=20.0)] == ["shop"]
    assert book.views(at=60.0) == []


def test_every_sample_has_a_registered_metric(book: AgentBook) -> None:
    book.take(report(), at=1.0)
    assert {s.metric for s in book.drain(at=2.0)} <= {spec.name for spec in METRICS}
