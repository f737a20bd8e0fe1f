"""Prometheus can read what is measured, and reads nothing that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from homeostat.access.protocol import (
    DatabaseReport,
    HistogramWire,
    OperationReport,
    PoolReport,
    Report,
)
from homeostat.clock import ManualClock
from homeostat.config import Config, OperateConfig
from homeostat.driver import sqlite
from homeostat.main import rooms
from homeostat.measure import Histogram
from homeostat.operate.console import OperatorConsole
from homeostat.operate.operator import Operator
from homeostat.operate.readings import octaves
from homeostat.operate.views import SeriesNow
from homeostat.web.prometheus import exposition
from tests.web.fake import KEY, FakeConsole
from tests.web.site import Site
from tests.web.test_roles import ask, make

EMPTY = HistogramWire([], [], 0.0, 0.0)
Families = dict[str, Any]
REPORT_SECONDS = 10.0


def parsed(text: str) -> Families:
    families = list(text_string_to_metric_families(text))
    named = {family.name: family for family in families}
    assert len(named) == len(families), "each family comes once"
    assert all(family.documentation for family in families)
    return named


def value(families: Families, sample: str, **labels: str) -> float:
    [found] = [
        one.value
        for family in families.values()
        for one in family.samples
        if one.name == sample and labels.items() <= one.labels.items()
    ]
    return float(found)


class Watched:
    """A real operator on a SQLite file, on a clock that the test moves, and an agent."""

    def __init__(self, place: Path) -> None:
        self.clock = ManualClock()
        path, data = place / 'the "app" \\ file.db', place / "data"
        sqlite.connect(path, create=True).close()
        data.mkdir(mode=0o700)
        config = Config(operate=OperateConfig(lease_seconds=1e9))
        self.operator = Operator(data, rooms=rooms(config), config=config, clock=self.clock)
        self.key = self.operator.attach(str(path)).key
        self.console = OperatorConsole(self.operator)
        self.sequence = 0

    def tick(self, *latencies_us: float, errors: int = 0) -> None:
        """Let an agent report these calls, and every probe read."""
        self.sequence += 1
        latency = Histogram()
        for micros in latencies_us:
            latency.record(micros)
        wire = HistogramWire(
            list(latency.counts), list(latency.counts.values()), latency.total, latency.max
        )
        pool = PoolReport(
            name="main", limit=8, limit_default=8, seconds=REPORT_SECONDS, in_use=1,
            in_use_mean=1.0, in_use_max=1, waiting=0, wait=EMPTY, held_seconds=1.0,
            busy_seconds=1.0, lock_seconds=None, in_use_seconds=[9.0, 1.0], timeouts=0, holders={},
        )  # fmt: skip
        self.console.report(
            Report(
                v=1, agent="shop-1", boot="b", sequence=self.sequence,
                database=DatabaseReport("sqlite", self.key, "app.db", "3"), application="shop",
                host="here", pid=2**22 + 1, capabilities=[], seconds=REPORT_SECONDS, cpu_share=None,
                cores=2, pools=[pool],
                operations=[OperationReport("user.read", "free", wire, errors=errors)],
                applied_version=0,
            )
        )  # fmt: skip
        self.clock.advance(REPORT_SECONDS)
        for one in self.operator.attached.values():
            for room in one.watch.rooms:
                for probe in room.probes:
                    one.watch.tick(probe)

    def scrape(self) -> Families:
        return parsed(exposition(self.console.status(), self.console.readings()))


@pytest.fixture
def watched(tmp_path: Path) -> Any:
    one = Watched(tmp_path)
    yield one
    one.operator.stop()


def test_counters_and_histograms_grow_from_scrape_to_scrape(watched: Watched) -> None:
    watched.tick(100, 1500, errors=1)
    first = watched.scrape()
    watched.tick(100, 70_000_000, errors=2)
    second = watched.scrape()
    where = {"subject": "operation", "name": "user.read"}
    errors = "homeostat_operation_errors_total"
    assert first["homeostat_operation_errors"].type == "counter"
    assert value(second, errors, subject="database") - value(
        first, errors, subject="database"
    ) == 2.0  # fmt: skip
    latency = "homeostat_operation_latency_seconds"
    assert first[latency].type == "histogram"
    assert value(first, f"{latency}_count", **where) == 2
    assert value(second, f"{latency}_count", **where) == 4
    assert value(second, f"{latency}_sum", **where) == pytest.approx(70.0017)
    assert value(second, f"{latency}_bucket", le="0.000128", **where) == 2
    assert value(second, f"{latency}_bucket", le="0.002048", **where) == 3
    assert value(second, f"{latency}_bucket", le="67.108864", **where) == 3
    assert value(second, f"{latency}_bucket", le="+Inf", **where) == 4


def test_buckets_are_the_same_for_all_and_add_up() -> None:
    one, other = Histogram(), Histogram()
    for number in range(0, 3000, 7):
        one.record(number)
        other.record(number * 31)
    both = octaves(one)
    one.merge(other)
    added = [a + b for a, b in zip(both.counts, octaves(other).counts, strict=True)]
    assert octaves(one).counts == added
    assert both.counts == [len([n for n in range(0, 3000, 7) if n < bound]) for bound in both.below]


def test_what_is_unknown_is_absent(watched: Watched) -> None:
    watched.tick(100)
    unknown = {one.metric: one.reason for one in watched.console.readings() if one.reason}
    assert "pool.lock_share" in unknown
    assert all(unknown.values())
    families = watched.scrape()
    assert "homeostat_pool_lock_ratio" not in families
    assert value(families, "homeostat_pool_limit", name="main") == 8
    watched.clock.advance(3600)  # nothing was read for an hour: what was read then is not now
    assert "homeostat_pool_limit" not in watched.scrape()


def test_labels_survive_any_name(watched: Watched) -> None:
    watched.tick(100)
    [about] = watched.scrape()["homeostat_database_info"].samples
    assert about.labels["database"].endswith('the "app" \\ file.db')
    assert about.labels["dialect"] == "sqlite"


def test_units_are_those_that_prometheus_wants(watched: Watched) -> None:
    watched.tick(100)
    for name in watched.scrape():
        assert not name.endswith(("_ms", "_us", "_share")), name


def test_it_takes_a_viewers_token(site: Site, console: FakeConsole) -> None:
    console.series_now = [
        SeriesNow(
            database=KEY, metric="pool.wait_ms", unit="ms", kind="gauge", help="A\nwait \\ it.",
            instance="agent:a\nb", subject="pool", name="main", at=1.0, value=2.5,
        )
    ]  # fmt: skip
    assert site.request("GET", "/metrics").status == 401
    assert ask(site, make(site, "an-agent", "agent").token, "GET", "/metrics").status == 403
    answer = ask(site, make(site, "scraper", "viewer").token, "GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = parsed(answer.text)
    where = {"place": "agent:a\nb", "database": "shop.db"}
    assert value(families, "homeostat_pool_wait_seconds", **where) == 0.0025
    site.program("POST", "/api/v1/tokens/scraper/revoke")
    site.program("POST", "/api/v1/tokens/an-agent/revoke")
