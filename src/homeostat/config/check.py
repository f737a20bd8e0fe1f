"""Settings of `homeostat check`: its limits, and thresholds that monitoring does not have."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from homeostat.config.check_sqlite import SqliteCheckConfig
from homeostat.config.section import Count, Seconds, Share, about

Bytes = Annotated[int, Meta(ge=0)]


class CheckConfig(SqliteCheckConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`homeostat check`: its limits, and thresholds that monitoring does not have."""

    load_share: Annotated[
        Share, about("Of one core, over a minute: the most that its statements may use (3 %).")
    ] = 0.03
    statement_seconds: Annotated[Seconds, about("No single statement of it runs longer.")] = 5.0
    findings_max: Annotated[Count, about("Findings of one rule that are listed.")] = 20
    watch_seconds: Annotated[
        float,
        Meta(ge=0),
        about("How long statements are watched for being slower than before; 0: not at all."),
    ] = 5.0
    rows_min: Annotated[Count, about("Tables below this many rows are left alone.")] = 1_000
    unused_days: Annotated[
        float, Meta(ge=0), about("Statistics count for so long before an index is called unused.")
    ] = 7.0
    unused_activity_min: Annotated[
        Count, about("Scans and rows written of a table below which its indexes are not judged.")
    ] = 1_000
    unused_bytes_min: Annotated[Bytes, about("Smaller indexes are not called unused (1 MB).")] = (
        1_000_000
    )
    bloat_share: Annotated[
        Share,
        about("Part of an index or table that a rebuild gives back (founding document: 30 %)."),
    ] = 0.3
    bloat_share_estimated: Annotated[
        Share, about("The same where it can only be estimated from statistics.")
    ] = 0.5
    bloat_bytes_min: Annotated[
        Bytes, about("Less than this given back is left alone (PgHero, postgres-mcp: 10 MB).")
    ] = 10_000_000
    measured_bytes_max: Annotated[
        Bytes, about("A larger index is not read to measure it (pgstattuple; 100 MB).")
    ] = 100_000_000
    foreign_key_rows_min: Annotated[
        Count, about("Foreign keys of smaller tables need no index.")
    ] = 10_000
    dead_rows_share: Annotated[Share, about("Dead rows of a table (PMM: 10 %).")] = 0.1
    dead_rows_min: Annotated[Count, about("And more than so many of them (PMM: 10,000).")] = 10_000
    scanned_rows_min: Annotated[
        Count, about("Scans of smaller tables are no trouble (PgHero: 10,000 rows).")
    ] = 10_000
    sequential_scans_min: Annotated[
        Count, about("So many scans from end to end, since statistics count, are often.")
    ] = 50
    sequential_scans_share: Annotated[
        Share, about("Part of all scans of a table that read it whole (PgHero: 5 %).")
    ] = 0.05
    sequence_share: Annotated[Share, about("Part of a sequence's numbers that are used.")] = 0.75
    slow_query_calls: Annotated[
        Count, about("Calls below which a slow statement is left alone (PgHero: 100).")
    ] = 50
    slow_query_ms: Annotated[
        Seconds, about("Mean that is a warning; below, from [tune] slow_query_ms (pganalyze).")
    ] = 50.0
    regressed_ms_min: Annotated[
        Seconds, about("A statement that got slower is a finding only from this mean on.")
    ] = 5.0
    replication_lag_warning_seconds: Annotated[Seconds, about("PgHero: 5 s.")] = 5.0
    replication_lag_high_seconds: Annotated[Seconds, about("pgEdge: 30 s.")] = 30.0
    replication_lag_bytes: Annotated[Bytes, about("Not sent or replayed (pgEdge: 100 MB).")] = (
        100_000_000
    )
    memory_share_low: Annotated[
        Share, about("Of the machine's memory: less for shared_buffers is little (manual: 25 %).")
    ] = 0.1
    memory_share_high: Annotated[
        Share, about("More for shared_buffers leaves too little (manual: above 40 % seldom helps).")
    ] = 0.6
    checkpoints_min: Annotated[Count, about("Checkpoints before their cause is judged.")] = 20
    database_bytes_min: Annotated[
        Bytes, about("Memory and archiving of smaller databases are not judged (1 GB).")
    ] = 1_000_000_000
