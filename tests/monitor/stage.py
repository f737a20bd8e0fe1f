"""A real operator on a real database, with a clock that the test moves: no thread, no waiting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from homeostat.access.protocol import (
    DatabaseReport,
    HistogramWire,
    OperationReport,
    PoolReport,
    Report,
)
from homeostat.clock import ManualClock
from homeostat.config import Config, MonitorConfig, OperateConfig
from homeostat.engine.engine import Identity
from homeostat.logbook.rows import Finding
from homeostat.measure import Histogram, Reading, Sample, Subject
from homeostat.monitor import ProductionMonitoring
from homeostat.operate.operator import Operator
from homeostat.operate.recent import Recent
from homeostat.operate.rule import AgentView, Judgement, Rule, Undecided, View

TICK_SECONDS = 10.0
EMPTY = HistogramWire([], [], 0.0, 0.0)
IDENTITY = Identity("postgresql", "pg-1-2", "shop on host:5432", "15.8")


def monitor(**thresholds: Any) -> Config:
    """Return the configuration with some thresholds of monitoring changed."""
    return Config(
        monitor=msgspec.structs.replace(MonitorConfig(), **thresholds),
        operate=OperateConfig(lease_seconds=1e9),  # the test moves the clock, nobody renews
    )


class Ward:
    """One watched database."""

    def __init__(self, data: Path, url: str, config: Config) -> None:
        self.clock = ManualClock()
        self.room = ProductionMonitoring(config).room()
        self.operator = Operator(data, rooms=[self.room], config=config, clock=self.clock)
        self.key = self.operator.attach(url).key
        self.watch = self.operator.attached[self.key].watch
        self.sequence = 0

    def tick(self, probe: str = "performance", *, times: int = 1) -> None:
        """Let a probe read, and its rules judge, as often as asked; time moves by ticks."""
        [found] = [one for one in self.room.probes if one.name == probe]
        for _ in range(times):
            self.clock.advance(TICK_SECONDS)
            self.watch.tick(found)

    def open(self, rule: str) -> Finding | None:
        """Return the open finding of a rule."""
        found = [one for one in self.watch.findings.open() if one.rule == rule]
        assert len(found) <= 1, found
        return found[0] if found else None

    def reading(self, metric: str) -> Reading | None:
        """Return the newest reading of a metric of the database itself."""
        sample = self.watch.recent.last(metric, Subject(self.key))
        return None if sample is None else sample.value

    def report(
        self,
        *,
        latency_ms: float = 1.0,
        lock_share: float | None = 0.0,
        segment: str = "free",
    ) -> None:
        """Let an agent report one operation latency and one pool of 8, all in use."""
        self.sequence += 1
        reply = self.watch.report(
            Report(
                v=1,
                agent="shop-1",
                boot="boot",
                sequence=self.sequence,
                database=DatabaseReport("sqlite", self.key, "app.db", "3.54.0"),
                application="shop",
                host="here",
                pid=2**22 + 1,  # no process has it
                capabilities=["pool.limit"],
                seconds=TICK_SECONDS,
                cpu_share=0.1,
                cores=2,
                pools=[_pool(lock_share)],
                operations=[OperationReport("report.read", segment, _wire(latency_ms))],
                applied_version=0,
            )
        )
        assert reply.error == ""


@contextmanager
def ward(data: Path, url: str, **thresholds: Any) -> Iterator[Ward]:
    """Watch a database under the given thresholds."""
    data.mkdir()
    made = Ward(data, url, monitor(**thresholds))
    try:
        yield made
    finally:
        made.operator.stop()


def judged(
    rule: Rule,
    series: Mapping[str, list[Reading]],
    *,
    texts: Mapping[str, str] | None = None,
    config: Config | None = None,
    **known: Any,
) -> list[Judgement | Undecided]:
    """Return what a rule says of recorded readings of the database itself, a tick apart."""
    recent = Recent()
    longest = max(map(len, series.values()), default=0)
    for metric, values in series.items():
        start = longest - len(values)
        for tick, value in enumerate(values, start=start):
            subject = Subject(IDENTITY.key)
            recent.add([Sample(subject, metric, tick * TICK_SECONDS, value, texts or {})])
    view = View(
        at=longest * TICK_SECONDS,
        identity=known.pop("identity", IDENTITY),
        config=config or Config(),
        recent=recent,
        **known,
    )
    return list(rule.judge(view))


def agent() -> AgentView:
    """Return an agent that has been heard."""
    report = Report(
        1, "shop-1", "boot", 1, DatabaseReport("postgresql", IDENTITY.key, "", ""), "shop", "here",
        1, [], 1.0, None, 1, [], [], 0,
    )  # fmt: skip
    return AgentView("shop-1", "shop", 1, "here", (), 0, 0.0, report)


def histogram(*milliseconds: float) -> Histogram:
    """Return a histogram of latencies."""
    made = Histogram()
    for value in milliseconds:
        made.record(value * 1000)
    return made


def _wire(milliseconds: float) -> HistogramWire:
    made = histogram(*[milliseconds] * 100)
    return HistogramWire(list(made.counts), list(made.counts.values()), made.total, made.max)


def _pool(lock_share: float | None) -> PoolReport:
    held = 8 * TICK_SECONDS
    return PoolReport(
        name="main",
        limit=8,
        limit_default=8,
        seconds=TICK_SECONDS,
        in_use=8,
        in_use_mean=8.0,
        in_use_max=8,
        waiting=0,
        wait=EMPTY,
        held_seconds=held,
        busy_seconds=held,
        lock_seconds=None if lock_share is None else lock_share * held,
        in_use_seconds=[0.0] * 8 + [TICK_SECONDS],
        timeouts=0,
        holders={},
    )
