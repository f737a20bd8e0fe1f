"""What operations did between two ticks, added up from the reports of all agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from homeostat.access.protocol import OperationReport, unpack
from homeostat.measure import Bad, Histogram, Kind, MetricSpec, Sample, Subject

Key = tuple[str, str]
"""An operation and a segment."""

_PARTS = "of the database, an operation or a segment"
METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "operation.latency_us",
        "us",
        Kind.HISTOGRAM,
        Bad.UP,
        "Time of operations from arrival to result: of the database, an operation, a segment or "
        "an application.",
        max_series=36,
    ),
    MetricSpec("operation.p50_ms", "ms", Kind.GAUGE, Bad.UP, "Median time of an operation."),
    MetricSpec("operation.p99_ms", "ms", Kind.GAUGE, Bad.UP, "99th percentile of an operation."),
    MetricSpec("operation.rate", "1/s", Kind.GAUGE, Bad.NONE, "Operations a second."),
    MetricSpec(
        "operation.errors", "count", Kind.COUNTER, Bad.UP, f"Operations that failed: {_PARTS}."
    ),
    MetricSpec(
        "operation.rows", "count", Kind.COUNTER, Bad.NONE, f"Rows returned or changed: {_PARTS}."
    ),
    MetricSpec(
        "operation.received_bytes",
        "bytes",
        Kind.COUNTER,
        Bad.NONE,
        f"Values of the rows returned, estimated from one call in 16: {_PARTS}.",
    ),
    MetricSpec(
        "operation.sent_bytes",
        "bytes",
        Kind.COUNTER,
        Bad.NONE,
        f"Values of parameters, estimated from one call in 16: {_PARTS}.",
    ),
    MetricSpec(
        "operation.waits",
        "count",
        Kind.COUNTER,
        Bad.UP,
        f"Calls that waited for a connection, those that got none included: {_PARTS}.",
    ),
    MetricSpec(
        "operation.waited_ms",
        "ms",
        Kind.COUNTER,
        Bad.UP,
        f"Time that calls waited for a connection: {_PARTS}.",
    ),
)


@dataclass(slots=True)
class OperationSum:
    """Sums of calls; None: no agent tells, since it is older."""

    latency: Histogram = field(default_factory=Histogram)
    errors: int = 0
    rows: int = 0
    received_bytes: float | None = None
    sent_bytes: float | None = None
    waits: float | None = None
    waited_ms: float | None = None

    @classmethod
    def of(cls, report: OperationReport) -> OperationSum:
        """Return what one report says."""
        waited = report.waited_seconds
        return cls(
            unpack(report.latency),
            report.errors,
            report.rows,
            report.received_bytes,
            report.sent_bytes,
            report.waits,
            None if waited is None else waited * 1000,
        )

    def merge(self, other: OperationSum) -> None:
        """Add another's."""
        self.latency.merge(other.latency)
        self.errors += other.errors
        self.rows += other.rows
        self.received_bytes = _both(self.received_bytes, other.received_bytes)
        self.sent_bytes = _both(self.sent_bytes, other.sent_bytes)
        self.waits = _both(self.waits, other.waits)
        self.waited_ms = _both(self.waited_ms, other.waited_ms)

    def samples(self, subject: Subject, at: float, *, seconds: float) -> Iterator[Sample]:
        """Yield what was measured in so many seconds; of a part only what is not 0."""
        yield Sample(subject, "operation.latency_us", at, self.latency)
        yield Sample(subject, "operation.rate", at, self.latency.count / seconds)
        whole = subject.kind == "database"
        for name, value in (
            ("errors", self.errors),
            ("rows", self.rows),
            ("received_bytes", self.received_bytes),
            ("sent_bytes", self.sent_bytes),
            ("waits", self.waits),
            ("waited_ms", self.waited_ms),
        ):
            if value or (whole and value is not None):
                yield Sample(subject, f"operation.{name}", at, float(value))


@dataclass(frozen=True, slots=True)
class Newest:
    """What operations did in the last tick in which agents reported: in so many seconds."""

    seconds: float
    sums: Mapping[Key, OperationSum]


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """One operation for one segment in the newest tick, by the reports of all agents.

    Attributes:
        rows_per_call: returned or changed.
        received_bytes_per_call: of the values of its rows, sent_bytes_per_call: of its parameters;
            estimated from one call in 16.
        waited_share: of the calls, how many waited for a connection.
        waited_ms_per_call: how long, over all calls.

    Of the last four, null: the agents are older and do not tell.
    """

    operation: str
    segment: str
    calls_per_second: float
    errors_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    rows_per_call: float
    received_bytes_per_call: float | None
    sent_bytes_per_call: float | None
    waited_share: float | None
    waited_ms_per_call: float | None


def _both(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else one + other
