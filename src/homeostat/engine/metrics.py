"""The metrics that engines read by themselves, without an agent.

Kinds: a gauge is the level of this moment; a counter is read as a running total, from which the
monitor takes the increase.
"""

from __future__ import annotations

from homeostat.measure import Bad, Kind, MetricSpec


def _gauge(name: str, unit: str, bad: Bad, text: str) -> MetricSpec:
    return MetricSpec(name, unit, Kind.GAUGE, bad, text)


def _counter(name: str, unit: str, bad: Bad, text: str) -> MetricSpec:
    return MetricSpec(name, unit, Kind.COUNTER, bad, text)


_COMMON = (
    _gauge("database.size_bytes", "bytes", Bad.NONE, "Size of the database without its log."),
    _gauge("disk.used_share", "share", Bad.UP, "Used part of the file system that holds the data."),
    _gauge(
        "disk.free_bytes", "bytes", Bad.DOWN, "Free space for this user where the data is stored."
    ),
)

SQLITE: tuple[MetricSpec, ...] = (
    *_COMMON,
    _gauge("sqlite.wal_bytes", "bytes", Bad.UP, "Size of the -wal file."),
    _gauge(
        "sqlite.free_pages_share", "share", Bad.UP, "Part of the file's pages that hold nothing."
    ),
    _gauge(
        "sqlite.writers_count",
        "count",
        Bad.NONE,
        "Processes that hold the write lock at the moment of the reading (0 or 1).",
    ),
    _gauge("sqlite.probe_ms", "ms", Bad.UP, "Time of one small read, waiting for locks included."),
)

POSTGRESQL: tuple[MetricSpec, ...] = (
    *_COMMON,
    _gauge("postgresql.connections_used", "count", Bad.UP, "Open connections of clients."),
    _gauge(
        "postgresql.connections_used_share",
        "share",
        Bad.UP,
        "Open connections of what the server and database permit, reserved ones taken off.",
    ),
    _gauge(
        "postgresql.connections_active", "count", Bad.NONE, "Connections with a statement running."
    ),
    _gauge("postgresql.blocked_sessions", "count", Bad.UP, "Sessions that wait for a lock."),
    _gauge(
        "postgresql.idle_transactions",
        "count",
        Bad.UP,
        "Sessions that hold a transaction open and do nothing.",
    ),
    _gauge(
        "postgresql.longest_transaction_seconds",
        "s",
        Bad.UP,
        "Age of the oldest open transaction; 0 when none is open.",
    ),
    _gauge(
        "postgresql.idle_transaction_seconds",
        "s",
        Bad.UP,
        "Longest time that a session has been idle in a transaction; 0 when none is.",
    ),
    _gauge(
        "postgresql.cache_hit_share",
        "share",
        Bad.DOWN,
        "Part of the blocks asked for since the reading before that was in shared buffers.",
    ),
    _gauge(
        "postgresql.xid_age_share",
        "share",
        Bad.UP,
        "Age of the oldest transaction id, of the 2^31 at which the server stops writing.",
    ),
    _gauge(
        "postgresql.multixact_age_share",
        "share",
        Bad.UP,
        "The same for multixact ids of row locks.",
    ),
    _gauge(
        "postgresql.replication_lag_seconds",
        "s",
        Bad.UP,
        "On a primary how far the slowest standby is behind, on a standby how far this one is.",
    ),
    _gauge(
        "postgresql.slot_retained_bytes",
        "bytes",
        Bad.UP,
        "WAL that the furthest-behind replication slot keeps from being removed.",
    ),
    _gauge(
        "postgresql.prepared_transactions",
        "count",
        Bad.UP,
        "Two-phase transactions that are prepared and not ended.",
    ),
    _counter("postgresql.transactions_committed", "count", Bad.NONE, "Transactions committed."),
    _counter("postgresql.transactions_rolled_back", "count", Bad.UP, "Transactions rolled back."),
    _counter("postgresql.rows_read", "count", Bad.NONE, "Rows read by scans, returned or not."),
    _counter("postgresql.rows_fetched", "count", Bad.NONE, "Rows fetched by index scans."),
    _counter("postgresql.rows_inserted", "count", Bad.NONE, "Rows inserted."),
    _counter("postgresql.rows_updated", "count", Bad.NONE, "Rows updated."),
    _counter("postgresql.rows_deleted", "count", Bad.NONE, "Rows deleted."),
    _counter("postgresql.blocks_read", "count", Bad.UP, "Blocks that were not in shared buffers."),
    _counter("postgresql.blocks_hit", "count", Bad.NONE, "Blocks that were in shared buffers."),
    _counter(
        "postgresql.temporary_bytes", "bytes", Bad.UP, "Written to temporary files by statements."
    ),
    _counter("postgresql.deadlocks", "count", Bad.UP, "Deadlocks that the server resolved."),
    _counter(
        "postgresql.recovery_conflicts",
        "count",
        Bad.UP,
        "Statements on a standby that were cancelled because the primary's changes came first.",
    ),
    _counter("postgresql.wal_bytes", "bytes", Bad.NONE, "WAL written by the whole server."),
)

METRICS: tuple[MetricSpec, ...] = tuple(
    {spec.name: spec for spec in (*SQLITE, *POSTGRESQL)}.values()
)
