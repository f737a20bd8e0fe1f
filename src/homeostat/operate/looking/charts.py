"""The charts of a database: which metrics belong on one, and their lines over a range.

Percentiles come from merged histograms where these are kept. Lines of one thing that came from
several starts of an application are joined. Counters are shown per second. A chart without a point
says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homeostat.errors import NotFoundError
from homeostat.logbook.charts import Point
from homeostat.measure import Kind, Unknown
from homeostat.operate.attached import Attached
from homeostat.operate.insights import Chart, Charts, Line, Mark, Reading
from homeostat.operate.operator import Operator

LINES_MAX = 6
STARTS_MAX = 24  # starts of applications whose lines are joined into one, the newest
REMEDIES_MAX = 500
WHOLE = "database"
LATENCY = "operation.latency_us"
QUANTILES = (("p50", 0.5), ("p99", 0.99))
_START = re.compile(r"-\d+$")  # agents are called APPLICATION-PID


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: its metrics have one unit. `whole`: only of the database itself."""

    name: str
    title: str
    metrics: tuple[str, ...]
    whole: bool = True
    unit: str = ""  # empty: of the metrics, of counters a second


LATENCIES = ("operation.p50_ms", "operation.p99_ms")
PANELS: tuple[Panel, ...] = (
    Panel("latency", "Latency", LATENCIES),
    Panel("throughput", "Operations", ("operation.rate",)),
    Panel(
        "bytes",
        "Values received and sent",
        ("operation.received_bytes", "operation.sent_bytes"),
        unit="bytes/s",
    ),
    Panel("errors", "Errors", ("operation.errors",)),
    Panel("pools", "Use of connection pools", ("pool.use_share",), whole=False),
    Panel("waits", "Wait for a connection", ("pool.wait_ms",), whole=False),
    Panel("locks", "Waiting for locks", ("postgresql.blocked_sessions", "locks.blocked_by_one")),
    Panel("lock-time", "Time held waiting for locks", ("pool.lock_share",), whole=False),
    Panel(
        "connections",
        "Connections",
        (
            "postgresql.connections_used",
            "postgresql.connections_active",
            "postgresql.idle_transactions",
        ),
    ),
    Panel("cpu", "CPU of applications", ("application.cpu_share",), whole=False),
    Panel("cache", "Found in cache", ("postgresql.cache_hit_share",)),
    Panel(
        "transactions",
        "Transactions",
        ("postgresql.transactions_committed", "postgresql.transactions_rolled_back"),
    ),
    Panel(
        "rows",
        "Rows",
        (
            "postgresql.rows_read",
            "postgresql.rows_fetched",
            "postgresql.rows_inserted",
            "postgresql.rows_updated",
            "postgresql.rows_deleted",
        ),
    ),
    Panel("storage", "Storage", ("database.size_bytes", "sqlite.wal_bytes")),
    Panel("disk", "Disk used", ("disk.used_share",)),
    Panel("free-pages", "Free pages", ("sqlite.free_pages_share",)),
    Panel("answer", "Answer of the health check", ("database.answer_ms", "sqlite.probe_ms")),
    Panel("available", "Answered", ("database.answered_share",)),
)
"""All charts, in the order of the page."""


def charts_of(
    operator: Operator,
    one: Attached,
    *,
    start: float,
    end: float,
    shift: float = 0.0,
    points: int = 240,
    only: str = "",
) -> Charts:
    """Return the charts of a database over start <= time < end.

    Args:
        operator: whose samples are read.
        one: the database.
        start: seconds since 1970 UTC.
        end: the same.
        shift: how many seconds earlier the range is that it is compared with; 0: none.
        points: of a line, at most.
        only: a chart's name; empty: all that the database can have.

    Raises:
        NotFoundError: there is no chart of this name.
    """
    if only and only not in {panel.name for panel in PANELS}:
        names = ", ".join(panel.name for panel in PANELS)
        raise NotFoundError(f"No chart has this name. There are: {names}.", where=only)
    shelf = _Shelf(operator, one, points)
    charts = [
        shelf.chart(panel, start, end, shift)
        for panel in PANELS
        if only == panel.name or (not only and shelf.ever(panel))
    ]
    return Charts(
        database=one.row.key,
        start=start,
        end=end,
        step_seconds=(end - start) / points,
        compared_start=start - shift if shift else None,
        charts=charts,
        marks=_marks(operator, one.row.key, start, end),
    )


@dataclass(slots=True)
class _Shelf:
    """The series of one database."""

    operator: Operator
    one: Attached
    points: int

    def ever(self, panel: Panel) -> bool:
        """Return whether a metric of this chart was read, or tried, on this database."""
        recent = self.one.watch.recent.metrics()
        known = {metric for metric, *_ in self._subjects()}
        return any(metric in known or metric in recent for metric in panel.metrics)

    def chart(self, panel: Panel, start: float, end: float, shift: float) -> Chart:
        lines, more = self._lines(panel, start, end)
        before = self._lines(panel, start - shift, end - shift)[0] if shift else []
        spec = self.operator.registry.spec(panel.metrics[-1])
        counted = spec is not None and spec.kind is Kind.COUNTER
        since = [
            first
            for metric, label, first, _ in self._subjects()
            if self._fits(panel, metric, label)
        ]
        known_since = min(since, default=None)
        return Chart(
            name=panel.name,
            title=panel.title,
            unit=panel.unit or ("1/s" if counted else spec.unit if spec else ""),
            help=spec.help if spec else "",
            bad=str(spec.bad) if spec else "none",
            lines=lines,
            before=before,
            more=more,
            known_since=known_since,
            reason="" if lines else self._reason(panel, known_since),
        )

    def _subjects(self) -> list[tuple[str, str, float, float]]:
        return self.operator.samples.subjects(self.one.row.key)

    def _fits(self, panel: Panel, metric: str, label: str) -> bool:
        return metric in panel.metrics and (label == WHOLE or not panel.whole)

    def _reason(self, panel: Panel, known_since: float | None) -> str:
        if known_since is not None:
            return "nothing was measured in this time"
        for metric in panel.metrics:
            found = self.operator.samples.unknown(self.one.row.key, metric, WHOLE)
            if found is not None:
                return found[1]
        for subject in self.one.watch.recent.subjects(panel.metrics[0]):
            last = self.one.watch.recent.last(panel.metrics[0], subject)
            if last is not None and isinstance(last.value, Unknown):
                return last.value.reason
        return "nothing was measured yet"

    def _lines(self, panel: Panel, start: float, end: float) -> tuple[list[Line], int]:
        if panel.metrics == LATENCIES and (found := self._latencies(start, end)):
            return found, 0
        lines: list[Line] = []
        for metric in panel.metrics:
            groups: dict[str, list[str]] = {}
            for name, label, first, last in sorted(self._subjects(), key=lambda s: -s[3]):
                inside = first < end and last >= start
                if name == metric and self._fits(panel, name, label) and inside:
                    groups.setdefault(_thing(label), []).append(label)
            for thing, labels in groups.items():
                points = self._joined(metric, labels[:STARTS_MAX], start, end)
                if points:
                    lines.append(_line(metric, thing, points))
        return lines[:LINES_MAX], max(0, len(lines) - LINES_MAX)

    def _latencies(self, start: float, end: float) -> list[Line]:
        merged = self.operator.samples.histograms(
            self.one.row.key, LATENCY, WHOLE, start=start, end=end, points=self.points
        )
        lines = []
        for name, q in QUANTILES:
            values = [(at, whole.quantile(q)) for at, whole in merged]
            points = [
                Reading(at, value / 1000, value / 1000, value / 1000)
                for at, value in values
                if not isinstance(value, Unknown)
            ]
            if points:
                lines.append(_line(f"operation.{name}_ms", "", points))
        return lines

    def _joined(
        self, metric: str, labels: Sequence[str], start: float, end: float
    ) -> list[Reading]:
        spec = self.operator.registry.spec(metric)
        counted = spec is not None and spec.kind is Kind.COUNTER
        seconds = self.operator.config.monitor.performance_seconds if counted else 1.0
        found: list[Point] = []
        for label in labels:
            found += self.operator.samples.range(
                self.one.row.key, metric, label, start=start, end=end, points=self.points
            )
        if len(labels) > 1:
            found = _merged(found, (end - start) / self.points)
        return [Reading(at, *(value / seconds for value in rest)) for at, *rest in found]


def _merged(points: Iterable[Point], step: float) -> list[Point]:
    """Return one point for each step: the mean of those in it, their least and greatest."""
    spans: dict[int, list[Point]] = {}
    for point in points:
        spans.setdefault(int(point[0] // step), []).append(point)
    return [
        (
            min(one[0] for one in inside),
            sum(one[1] for one in inside) / len(inside),
            min(one[2] for one in inside),
            max(one[3] for one in inside),
        )
        for _, inside in sorted(spans.items())
    ]


def _line(metric: str, name: str, points: list[Reading]) -> Line:
    return Line(
        metric=metric,
        name=name,
        points=points,
        mean=sum(point.mean for point in points) / len(points),
        low=min(point.low for point in points),
        high=max(point.high for point in points),
    )


def _thing(label: str) -> str:
    """Return what a subject is called on a chart: a pool or application, not the start of it."""
    if label == WHOLE:
        return ""
    instance, _, rest = label.rpartition("/")
    kind, _, name = rest.partition(":")
    who = _START.sub("", instance.removeprefix("agent:"))
    if kind == "application":
        return name
    return f"{who}: {name}" if who else name


def _marks(operator: Operator, database: str, start: float, end: float) -> list[Mark]:
    records = operator.logbook.remedies(database=database, limit=REMEDIES_MAX)
    return [
        Mark(
            remedy=record.id,
            title=record.title,
            state=record.state,
            applied=record.applied,
            ended=record.ended,
        )
        for record in records
        if record.applied is not None
        and record.applied < end
        and (record.ended or record.applied) >= start
    ]
