"""The metrics that monitoring makes itself, beside those that engines read."""

from __future__ import annotations

from homeostat.engine import metrics as engine_metrics
from homeostat.measure import Bad, Kind, MetricSpec
from homeostat.monitor import growing

ANSWERED = "database.answered_share"
ANSWER_MS = "database.answer_ms"
TABLE_BYTES = "table.size_bytes"
TABLE_ROWS = "table.rows"
TABLES_KEPT = 40  # whose growth is remembered, the largest
HOLDERS = "locks.holders"
BLOCKED = "locks.blocked_by_one"

METRICS: tuple[MetricSpec, ...] = (
    *engine_metrics.METRICS,
    *growing.METRICS,
    MetricSpec(
        ANSWERED,
        "share",
        Kind.GAUGE,
        Bad.DOWN,
        "1 when the database answered the health check, 0 when not; its mean is the availability.",
    ),
    MetricSpec(
        ANSWER_MS,
        "ms",
        Kind.GAUGE,
        Bad.UP,
        "Time of the health check's smallest statement, connecting again included where needed.",
    ),
    MetricSpec(
        HOLDERS,
        "count",
        Kind.GAUGE,
        Bad.NONE,
        "Who holds a lock that others wait for (PostgreSQL) or the write lock (SQLite).",
    ),
    MetricSpec(
        TABLE_BYTES,
        "bytes",
        Kind.GAUGE,
        Bad.NONE,
        "Size of a table with its indexes: of the largest ones.",
        max_series=2 * TABLES_KEPT,
    ),
    MetricSpec(
        TABLE_ROWS,
        "count",
        Kind.GAUGE,
        Bad.NONE,
        "Rows of a table by statistics: of the largest ones.",
        max_series=2 * TABLES_KEPT,
    ),
    MetricSpec(
        BLOCKED, "count", Kind.GAUGE, Bad.UP, "Sessions that wait for the same holder, the most."
    ),
)
"""All metrics of this room."""

COUNTERS: frozenset[str] = frozenset(m.name for m in METRICS if m.kind is Kind.COUNTER)
"""Metrics that engines read as running totals."""
