"""The operator's side of the agents inside applications: take reports, turn them into samples.

Reports arrive at their own pace and are added up until the next performance tick drains them.
A report whose sequence was seen before is dropped, so one that was sent twice counts once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from homeostat.access.protocol import PROTOCOL_VERSION, HistogramWire, PoolReport, Report
from homeostat.config import Config
from homeostat.measure import Bad, Histogram, Kind, MetricSpec, Sample, Subject, Unknown
from homeostat.operate.operation_sums import METRICS as OPERATION_METRICS
from homeostat.operate.operation_sums import Key, Newest, OperationSum
from homeostat.operate.rule import AgentView

METRICS: tuple[MetricSpec, ...] = (
    *OPERATION_METRICS,
    MetricSpec("pool.limit", "count", Kind.GAUGE, Bad.NONE, "Connections the pool may hold."),
    MetricSpec("pool.in_use_mean", "count", Kind.GAUGE, Bad.UP, "Connections in use, mean."),
    MetricSpec("pool.in_use_max", "count", Kind.GAUGE, Bad.UP, "Connections in use, most."),
    MetricSpec(
        "pool.in_use_ms",
        "ms",
        Kind.HISTOGRAM,
        Bad.NONE,
        "Milliseconds spent with exactly n connections in use, by n.",
        max_series=4,
    ),
    MetricSpec("pool.use_share", "share", Kind.GAUGE, Bad.UP, "Mean use of the pool's limit."),
    MetricSpec("pool.waiting", "count", Kind.GAUGE, Bad.UP, "Callers waiting for a connection."),
    MetricSpec("pool.wait_ms", "ms", Kind.GAUGE, Bad.UP, "Mean wait for a connection."),
    MetricSpec("pool.acquired", "count", Kind.COUNTER, Bad.NONE, "Connections taken."),
    MetricSpec("pool.timeouts", "count", Kind.COUNTER, Bad.UP, "Callers that gave up waiting."),
    MetricSpec("pool.shed", "count", Kind.COUNTER, Bad.UP, "Callers refused when overloaded."),
    MetricSpec("pool.leaks", "count", Kind.GAUGE, Bad.UP, "Connections not given back in time."),
    MetricSpec(
        "pool.idle_share", "share", Kind.GAUGE, Bad.UP, "Time held without a statement, of held."
    ),
    MetricSpec(
        "pool.lock_share", "share", Kind.GAUGE, Bad.UP, "Time held waiting for locks, of held."
    ),
    MetricSpec(
        "application.cpu_share", "share", Kind.GAUGE, Bad.UP, "CPU of the process, of its cores."
    ),
)


def from_wire(wire: HistogramWire) -> Histogram:
    """Return the histogram of a report."""
    counts = dict(zip(wire.buckets, wire.counts, strict=True))
    return Histogram(counts, total=wire.total, maximum=wire.maximum)


@dataclass(slots=True)
class _PoolSum:
    last: PoolReport
    seconds: float = 0.0
    wait: Histogram = field(default_factory=Histogram)
    held: float = 0.0
    busy: float = 0.0
    lock: float | None = 0.0
    in_use: Histogram = field(default_factory=Histogram)
    in_use_max: int = 0
    timeouts: int = 0
    shed: int = 0
    holders: dict[str, float] = field(default_factory=dict)

    def add(self, report: PoolReport) -> None:
        self.last = report
        self.seconds += report.seconds
        self.wait.merge(from_wire(report.wait))
        self.held += report.held_seconds
        self.busy += report.busy_seconds
        if report.lock_seconds is None or self.lock is None:
            self.lock = None
        else:
            self.lock += report.lock_seconds
        for number, seconds in enumerate(report.in_use_seconds):
            milliseconds = round(seconds * 1000)
            if milliseconds:
                self.in_use.record(number, times=milliseconds)
        self.in_use_max = max(self.in_use_max, report.in_use_max)
        self.timeouts += report.timeouts
        self.shed += sum(report.shed.values())
        for operation, seconds in report.holders.items():
            self.holders[operation] = self.holders.get(operation, 0.0) + seconds


@dataclass(slots=True)
class _Agent:
    report: Report
    heard: float
    sequence: int
    pools: dict[str, _PoolSum] = field(default_factory=dict)
    operations: dict[Key, OperationSum] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float | None = None
    reports: int = 0

    def add(self, report: Report, at: float) -> None:
        self.report, self.heard, self.sequence = report, at, report.sequence
        self.reports += 1
        self.seconds += report.seconds
        if report.cpu_share is not None:
            self.cpu_seconds = (self.cpu_seconds or 0.0) + report.cpu_share * report.seconds
        for pool in report.pools:
            self.pools.setdefault(pool.name, _PoolSum(pool)).add(pool)
        for one in report.operations:
            key = (one.operation, one.segment)
            self.operations.setdefault(key, OperationSum()).merge(OperationSum.of(one))

    def clear(self) -> None:
        self.pools, self.operations = {}, {}
        self.seconds, self.cpu_seconds, self.reports = 0.0, None, 0


class AgentBook:
    """The agents of one database; safe to use from any thread."""

    def __init__(
        self,
        database: str,
        config: Config,
        *,
        on_report: Callable[[Report, float], None] = lambda _report, _at: None,
    ) -> None:
        """Begin without agents; `on_report` hears of each report once, under no lock."""
        self._database = database
        self._config = config
        self._on_report = on_report
        self._lock = threading.Lock()
        self._agents: dict[str, _Agent] = {}
        self._gone: set[str] = set()
        self._ever = False
        self._newest = Newest(0.0, {})

    def take(self, report: Report, at: float) -> str:
        """Take a report; return why it was refused, or nothing."""
        if report.v != PROTOCOL_VERSION:
            return f"this operator speaks version {PROTOCOL_VERSION} of the agent protocol"
        if report.seconds <= 0:
            return "a report is of more than 0 seconds"
        with self._lock:
            known = self._agents.get(report.agent)
            if known is None and len(self._agents) >= self._config.agent.agents_max:
                return f"{self._config.agent.agents_max} agents are registered already"
            if known is not None and known.report.boot != report.boot:
                known = None
            if known is None:
                known = self._agents[report.agent] = _Agent(report, at, -1)
            new = report.sequence > known.sequence
            if new:
                known.add(report, at)
            known.heard = at
            self._ever = True
        if new:
            self._on_report(report, at)
        return ""

    def views(self, at: float) -> list[AgentView]:
        """Return the agents heard of lately; forget the silent ones."""
        oldest = at - self._config.monitor.agent_silent_seconds
        with self._lock:
            for name in [n for n, agent in self._agents.items() if agent.heard < oldest]:
                del self._agents[name]
                self._gone.add(name)
            return [_view(agent) for agent in self._agents.values()]

    def gone(self) -> list[str]:
        """Return the instances of agents that went away since the last call and are not back."""
        with self._lock:
            gone, self._gone = self._gone - self._agents.keys(), set()
        return [f"agent:{name}" for name in gone]

    def drain(self, at: float) -> list[Sample]:
        """Return the samples of everything reported since the last call."""
        self.views(at)
        samples: list[Sample] = []
        sums: dict[Key, OperationSum] = {}
        seconds = 0.0
        with self._lock:
            for agent in self._agents.values():
                if not agent.reports:
                    continue
                samples += self._agent_samples(agent, at)
                seconds = max(seconds, agent.seconds)
                for key, one in agent.operations.items():
                    sums.setdefault(key, OperationSum()).merge(one)
                agent.clear()
            reason = _why_unknown(self._ever, bool(self._agents))
            if seconds or not self._agents:
                self._newest = Newest(seconds, sums)
        return samples + self._operation_samples(sums, seconds, at, reason)

    def newest(self) -> Newest:
        """Return what operations did, by operation and segment; nothing where no agent is left."""
        return self._newest

    def _operation_samples(
        self, sums: Mapping[Key, OperationSum], seconds: float, at: float, reason: str
    ) -> list[Sample]:
        database = Subject(self._database)
        if not seconds:
            unknown = Unknown(reason)
            names = ("operation.p50_ms", "operation.p99_ms", "operation.rate")
            return [Sample(database, name, at, unknown) for name in names]
        everything = OperationSum()
        parts: dict[tuple[str, str], OperationSum] = {}
        for (operation, segment), one in sums.items():
            everything.merge(one)
            parts.setdefault(("operation", operation), OperationSum()).merge(one)
            parts.setdefault(("segment", segment), OperationSum()).merge(one)
        samples = [
            *everything.samples(database, at, seconds=seconds),
            Sample(database, "operation.p50_ms", at, _ms(everything.latency.quantile(0.5))),
            Sample(database, "operation.p99_ms", at, _ms(everything.latency.quantile(0.99))),
        ]
        for (kind, name), one in parts.items():
            subject = Subject(self._database, kind=kind, name=name)
            samples += one.samples(subject, at, seconds=seconds)
        return samples

    def _agent_samples(self, agent: _Agent, at: float) -> list[Sample]:
        report = agent.report
        instance = f"agent:{report.agent}"
        application = Subject(self._database, instance, "application", report.application)
        latency = Histogram()
        for one in agent.operations.values():
            latency.merge(one.latency)
        cpu: float | Unknown = Unknown("the agent cannot see the CPU time of its process")
        if agent.cpu_seconds is not None and agent.seconds:
            cpu = agent.cpu_seconds / agent.seconds / max(1, report.cores)
        samples = [
            Sample(application, "operation.latency_us", at, latency),
            Sample(application, "application.cpu_share", at, cpu),
        ]
        for name, pool in agent.pools.items():
            subject = Subject(self._database, instance, "pool", name)
            samples += _pool_samples(subject, pool, at)
        return samples


def _pool_samples(subject: Subject, pool: _PoolSum, at: float) -> list[Sample]:
    last = pool.last
    seconds = pool.seconds or 1.0
    mean = pool.held / seconds
    wait = pool.wait.mean
    idle: float | Unknown = Unknown("no connection was held")
    lock: float | Unknown = Unknown("only the server sees who waits for locks")
    if pool.held > 0:
        idle = max(0.0, 1 - pool.busy / pool.held)
    if pool.lock is not None:
        lock = min(1.0, pool.lock / pool.held) if pool.held > 0 else 0.0
    holders = sorted(pool.holders.items(), key=lambda item: -item[1])
    idle_seconds = sum(pool.holders.values()) or 1.0
    named = (f"{name} ({held / idle_seconds:.0%})" for name, held in holders[:3])
    texts = {"holders": ", ".join(named)}
    readings: dict[str, float | Histogram | Unknown] = {
        "pool.limit": float(last.limit),
        "pool.in_use_mean": mean,
        "pool.in_use_max": float(pool.in_use_max),
        "pool.in_use_ms": pool.in_use,
        "pool.use_share": min(1.0, mean / last.limit) if last.limit else 0.0,
        "pool.waiting": float(last.waiting),
        "pool.wait_ms": wait / 1000 if isinstance(wait, float) else 0.0,
        "pool.acquired": float(pool.wait.count),
        "pool.timeouts": float(pool.timeouts),
        "pool.shed": float(pool.shed),
        "pool.leaks": float(len(last.leaks)),
        "pool.idle_share": idle,
        "pool.lock_share": lock,
    }
    return [Sample(subject, name, at, value, texts) for name, value in readings.items()]


def _view(agent: _Agent) -> AgentView:
    report = agent.report
    return AgentView(
        report.agent,
        report.application,
        report.pid,
        report.host,
        tuple(report.capabilities),
        report.applied_version,
        agent.heard,
        report,
    )


def _ms(microseconds: float | Unknown) -> float | Unknown:
    return microseconds if isinstance(microseconds, Unknown) else microseconds / 1000


def _why_unknown(ever: bool, now: bool) -> str:  # noqa: FBT001  # two facts, one sentence
    if now:
        return "no agent has reported since the last tick"
    if ever:
        return "the application's agent is silent"
    return "no agent: open the database through homeostat.access in the application"
