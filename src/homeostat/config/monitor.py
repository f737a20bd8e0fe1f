"""What is watched, how often, and from where on it is a finding."""

from __future__ import annotations

from typing import Annotated

from homeostat.config.section import Count, Seconds, Section, Share, about


class MonitorConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Intervals and thresholds of monitoring."""

    health_seconds: Annotated[Seconds, about("Interval of the health check.")] = 30.0
    performance_seconds: Annotated[Seconds, about("Interval of the performance probe.")] = 10.0
    capacity_seconds: Annotated[
        Seconds, about("Interval of the look at tables: sizes, use, growth.")
    ] = 300.0
    promise_ms: Annotated[
        Seconds, about("Promised p99 of an operation; the line in the chart.")
    ] = 50.0
    promise_ticks: Annotated[
        Count, about("Ticks in a row past the promise before a finding opens.")
    ] = 3
    connections_share_warning: Annotated[
        Share, about("Server connections used (PMM, pgEdge: 80 %).")
    ] = 0.8
    connections_seconds: Annotated[
        Seconds, about("Past that share for so long (PMM, pgEdge: 5 min).")
    ] = 300.0
    idle_transaction_seconds: Annotated[Seconds, about("Idle in transaction (pgEdge: 300 s).")] = (
        300.0
    )
    long_query_seconds: Annotated[
        Seconds, about("A statement this long is a finding (PgHero: 60 s).")
    ] = 60.0
    lock_wait_share: Annotated[
        Share,
        about(
            "Part of the time connections are held that goes into waiting for locks; past "
            "it the load is lock-bound."
        ),
    ] = 0.5
    blocked_sessions: Annotated[Count, about("Sessions waiting for one holder (pgEdge: 5).")] = 5
    lock_wait_seconds: Annotated[
        Seconds, about("A session waiting so long for a lock (pgEdge: 60 s).")
    ] = 60.0
    cache_hit_share_warning: Annotated[Share, about("Buffer cache hits (postgres-mcp: 95 %).")] = (
        0.95
    )
    cache_hit_share_high: Annotated[Share, about("Buffer cache hits (pgEdge: 90 %).")] = 0.9
    cache_hit_ticks: Annotated[
        Count, about("Performance ticks whose buffer cache hits are judged together.")
    ] = 6
    cache_hit_reads_min: Annotated[
        Count, about("Blocks read per tick below which hits say nothing.")
    ] = 1000
    disk_share_warning: Annotated[Share, about("Disk used (pgEdge: 85 %).")] = 0.85
    disk_share_critical: Annotated[Share, about("Disk used (pgEdge: 95 %).")] = 0.95
    growth_seconds: Annotated[
        Seconds, about("The data's growth is judged over so long (30 min).")
    ] = 1800.0
    growth_full_hours: Annotated[
        Seconds,
        about("The disk is full so soon at this growth (kubernetes-mixin: 4 days)."),
    ] = 96.0
    growth_full_hours_high: Annotated[
        Seconds, about("The same, where it is urgent (node-exporter mixin: 24 hours).")
    ] = 24.0
    xid_share_warning: Annotated[
        Share, about("Transaction-id age of the limit (field practice: 50 %).")
    ] = 0.5
    xid_share_critical: Annotated[
        Share, about("Transaction-id age of the limit (field practice: 80 %).")
    ] = 0.8
    wal_checkpoint_multiple: Annotated[
        float, about("SQLite WAL size over its checkpoint target (SQLite documentation).")
    ] = 4.0
    wal_checkpoint_pages: Annotated[
        Count,
        about("Checkpoint target in pages where nothing else is known (SQLite's default: 1000)."),
    ] = 1000
    wal_growing_seconds: Annotated[
        Seconds, about("A SQLite WAL past its target that grows for so long (10 min).")
    ] = 600.0
    free_pages_share: Annotated[Share, about("SQLite pages that are free (30 %).")] = 0.3
    free_pages_bytes_min: Annotated[
        Count, about("Free pages below this size are left alone (postgres-mcp: 10 MB).")
    ] = 10_000_000
    agent_silent_seconds: Annotated[Seconds, about("An agent unheard for so long is gone.")] = 15.0
