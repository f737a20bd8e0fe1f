"""What is measured: subjects, samples, unknowns, metric specifications and mergeable histograms.

A reading is a float, a Histogram or Unknown(reason); it is never 0 for want of knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ROUNDED_UP = 0.9995  # of a unit: with three digits that is 1
SUB_BUCKET_BITS = 4  # 16 sub-buckets an octave: a bucket is at most 6.25 % wide
_SUB_BUCKETS = 1 << SUB_BUCKET_BITS


class Severity(StrEnum):
    """The one scale for findings, alerts and incidents."""

    INFO = "info"
    WARNING = "warning"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return 0 (info) to 3 (critical)."""
        return list(Severity).index(self)


class Kind(StrEnum):
    """How a metric behaves over time."""

    GAUGE = "gauge"  # a level; merged by count, sum, min, max, last
    COUNTER = "counter"  # the increase since the last tick, not a running total
    HISTOGRAM = "histogram"  # a Histogram of what happened since the last tick


class Bad(StrEnum):
    """Which direction of a metric hurts."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A reading that could not be made, and why; the reason says what would make it known."""

    reason: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a reading or finding is about.

    Attributes:
        database: the database's key (`Identity.key`).
        instance: where it was seen: `primary`, `replica:NAME`, or `agent:NAME`.
        kind: `database`, `pool`, `operation`, `segment`, `session`, `table`, ...
        name: the name within the kind; empty for the database itself.
    """

    database: str
    instance: str = "primary"
    kind: str = "database"
    name: str = ""

    @property
    def label(self) -> str:
        """Return `instance/kind:name`, with the usual parts left out."""
        head = "" if self.instance == "primary" else f"{self.instance}/"
        return f"{head}{self.kind}" + (f":{self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric in the registry.

    Attributes:
        name: dotted, unit last, e.g. `pool.wait_ms`.
        unit: `ms`, `bytes`, `share` (0 to 1), `1/s`, `count`, ...
        kind: gauge, counter or histogram.
        bad: the direction that hurts.
        help: one sentence for the reference.
        max_series: how many subjects of a database may carry it; more are dropped and a finding
            says so.
        unseen_seconds: a subject unseen for so long gives up its place when there is none left.
    """

    name: str
    unit: str
    kind: Kind
    bad: Bad
    help: str
    max_series: int = 64
    unseen_seconds: float = math.inf


class Histogram:
    """A mergeable log-linear histogram of non-negative numbers (HDR layout).

    A value v is kept in whole units (callers use microseconds): below 16 exactly, above with 16
    buckets an octave, so a quantile is at most 6.25 % too high (Tene, HdrHistogram). Histograms are
    merged by adding counts; percentiles are never averaged.
    """

    __slots__ = ("count", "counts", "max", "total")

    def __init__(
        self, counts: Mapping[int, int] | None = None, *, total: float = 0.0, maximum: float = 0.0
    ) -> None:
        """Start empty, or from bucket counts with the sum and maximum of what they hold."""
        self.counts: dict[int, int] = dict(counts or {})
        self.count = sum(self.counts.values())
        self.total = total
        self.max = maximum

    def record(self, value: float, times: int = 1) -> None:
        """Add a value so many times (its unit is the metric's; fractions are dropped)."""
        index = bucket(int(value))
        counts = self.counts
        counts[index] = counts.get(index, 0) + times
        self.count += times
        self.total += value * times
        if value > self.max:
            self.max = value

    def merge(self, other: Histogram) -> None:
        """Add another histogram's values to this one."""
        counts = self.counts
        for index, count in other.counts.items():
            counts[index] = counts.get(index, 0) + count
        self.count += other.count
        self.total += other.total
        self.max = max(self.max, other.max)

    def copy(self) -> Histogram:
        """Return an independent copy."""
        return Histogram(self.counts, total=self.total, maximum=self.max)

    def quantile(self, q: float) -> float | Unknown:
        """Return the upper bound of the bucket that holds quantile q (0 to 1), or Unknown if empty.

        The rank is ceil(q * count), as in HdrHistogram's valueAtPercentile; the answer never
        exceeds the recorded maximum.
        """
        if not self.count:
            return Unknown("nothing was recorded in this window")
        rank = max(1, math.ceil(q * self.count))
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return min(bucket_upper(index), self.max)
        return self.max

    @property
    def mean(self) -> float | Unknown:
        """Return the mean, or Unknown if empty."""
        if not self.count:
            return Unknown("nothing was recorded in this window")
        return self.total / self.count

    def above(self, value: float) -> int:
        """Return how many recorded values lie in buckets wholly above the value."""
        return sum(n for index, n in self.counts.items() if bucket_lower(index) > value)

    def __eq__(self, other: object) -> bool:
        """Compare bucket counts and maximum."""
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.counts == other.counts and self.max == other.max

    __hash__ = None  # type: ignore[assignment]  # mutable


def bucket(value: int) -> int:
    """Return the index of the bucket that holds a whole value."""
    if value < _SUB_BUCKETS:
        return max(value, 0)
    shift = value.bit_length() - SUB_BUCKET_BITS - 1
    return (shift << SUB_BUCKET_BITS) + (value >> shift)


def bucket_lower(index: int) -> float:
    """Return the smallest whole value that falls into the bucket."""
    if index < 2 * _SUB_BUCKETS:
        return float(index)
    shift = (index >> SUB_BUCKET_BITS) - 1
    return float((index - (shift << SUB_BUCKET_BITS)) << shift)


def bucket_upper(index: int) -> float:
    """Return the largest whole value that falls into the bucket."""
    return bucket_lower(index + 1) - 1


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return one histogram that holds the values of all."""
    whole = Histogram()
    for one in histograms:
        whole.merge(one)
    return whole


Reading = float | Histogram | Unknown


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one metric of one subject.

    `at` is seconds since 1970 UTC. A reading may carry a text that a rule may quote as evidence.
    """

    subject: Subject
    metric: str
    at: float
    value: Reading
    texts: Mapping[str, str] = field(default_factory=dict)


def size_text(size_bytes: float) -> str:
    """Return bytes in the unit (powers of 1000) that leaves three digits: `12.3 MB`, `7 bytes`."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        count = size_bytes / 10**power
        if count >= ROUNDED_UP:
            return f"{count:,.0f} {unit}" if count >= 100 * ROUNDED_UP else f"{count:.3g} {unit}"
    return f"{size_bytes:.0f} bytes"
