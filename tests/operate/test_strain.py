"""How much slower applications are while their database is copied, by what agents report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homeostat.access.protocol import (
    PROTOCOL_VERSION,
    DatabaseReport,
    OperationReport,
    Report,
    pack,
)
from homeostat.config import Config
from homeostat.engine.engine import Identity
from homeostat.measure import Histogram, Sample, Subject
from homeostat.operate.recent import Recent
from homeostat.operate.rule import AgentView, View
from homeostat.operate.strain import strain_of

NOW = 1_000.0


def histogram(ms: float, *, calls: int = 100) -> Histogram:
    found = Histogram()
    for _ in range(calls):
        found.record(1000 * ms)
    return found


def agent(ms: float, *, heard: float, calls: int = 100) -> AgentView:
    report = Report(
        v=PROTOCOL_VERSION, agent="shop-1", boot="boot", sequence=1,
        database=DatabaseReport("sqlite", "key", "shop.db", "3"), application="shop", host="here",
        pid=1, capabilities=[], seconds=2.0, cpu_share=0.1, cores=2, pools=[],
        operations=[OperationReport("read", "none", pack(histogram(ms, calls=calls)))],
        applied_version=0, samples=[],
    )  # fmt: skip
    return AgentView("shop-1", "shop", 1, "here", (), 0, heard, report)


@pytest.fixture
def view() -> View:
    recent = Recent()
    subject = Subject("key")
    recent.add([Sample(subject, "operation.latency_us", NOW - 500, histogram(90))])
    recent.add([Sample(subject, "operation.latency_us", NOW - 5, histogram(10))])
    identity = Identity("sqlite", "key", "shop.db", "3")
    return View(
        at=NOW, identity=identity, config=Config(), recent=recent, agents=[agent(10, heard=NOW)]
    )


def test_new_reports_are_compared_with_the_minute_before_the_copy(view: View) -> None:
    seen = view
    strain = strain_of(lambda: seen)
    assert strain() is None, "what was reported before the copy says nothing about it"
    seen = replace(view, agents=[agent(15, heard=NOW + 2)])
    assert strain() == pytest.approx(1.5, rel=0.13)  # a histogram's buckets are 6.25 % wide
    assert strain() is None, "a report counts once"


def test_where_nobody_tells_nothing_is_guessed(view: View) -> None:
    seen = replace(view, recent=Recent())
    strain = strain_of(lambda: seen)
    seen = replace(seen, agents=[agent(15, heard=NOW + 2)])
    assert strain() is None
    seen = view
    strain = strain_of(lambda: seen)
    seen = replace(view, agents=[agent(15, heard=NOW + 2, calls=3)])
    assert strain() is None, "three calls have no p95"
