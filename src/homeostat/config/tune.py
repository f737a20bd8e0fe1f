"""Slow statements, clones to try mends on, and the calls that are replayed there."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from homeostat.config.section import Count, Seconds, Section, Share, about


class TuneConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Slow statements, indexes and statistics."""

    queries_seconds: Annotated[
        Seconds, about("How often statements are looked at for slow ones (VISION: 2 min).")
    ] = 120.0
    window_seconds: Annotated[
        Seconds, about("Statements are judged by what they cost in the last so many seconds.")
    ] = 120.0
    mean_query_ms: Annotated[
        Seconds, about("A statement this slow is a finding at any rate (VISION: 1000 ms).")
    ] = 1000.0
    slow_query_ms: Annotated[
        Seconds, about("Mean from which a statement that costs much is slow (PgHero: 20 ms).")
    ] = 20.0
    cost_ms_per_second: Annotated[
        Seconds,
        about("Time spent in a slow statement, ms per second of wall time (5 % of a core)."),
    ] = 50.0
    promise_missed_share: Annotated[
        Share, about("Part of a statement's calls past `monitor.promise_ms` that makes it slow.")
    ] = 0.2
    calls_min: Annotated[Count, about("Calls in the window below which nothing is said.")] = 5
    findings_max: Annotated[Count, about("Statements that may be findings at once.")] = 5
    rows_read_per_row: Annotated[
        float,
        Meta(ge=1),
        about("Rows read for each row needed from which an index is missing (5 % of the table)."),
    ] = 20.0
    rows_read_min: Annotated[
        Count, about("A scan of fewer rows is no cause (PgHero: 500 rows).")
    ] = 500
    estimate_factor: Annotated[
        float, Meta(gt=1), about("Rows expected and seen this far apart are misjudged (10).")
    ] = 10.0
    changed_share: Annotated[
        Share,
        about("Rows changed since statistics were refreshed that make them stale (autovacuum)."),
    ] = 0.1
    rows_returned: Annotated[
        Count, about("Rows returned by a call from which these are the cause.")
    ] = 1000
    blocks_read_share: Annotated[
        Share, about("Part of the blocks that came from below the cache: I/O is the cause.")
    ] = 0.5
    calls_per_transaction: Annotated[
        Count,
        about(
            "The same statement so often in one transaction, or after another one that returned as "
            "many rows, is N+1 (Sentry: 5)."
        ),
    ] = 10
    blocks_read_min: Annotated[
        Count, about("Blocks read by a call below which I/O is no cause (8 MB of 8 kB).")
    ] = 1000
    disk_wait_share: Annotated[
        Share,
        about("SQLite: part of its time that a statement waits for the disk: I/O is the cause."),
    ] = 0.5
    plan_change_factor: Annotated[
        float, Meta(gt=1), about("Slower by so much after its plan changed: the change did it.")
    ] = 2.0
    explained_max: Annotated[Count, about("Statements whose plan is asked for at once.")] = 5
    explain_ms: Annotated[
        Seconds, about("Longest time of one question about a statement on the live database.")
    ] = 1000.0
    index_benefit_share: Annotated[
        Share, about("Measured benefit, net of writes, that an index must have (VISION: 0.3).")
    ] = 0.3
    worse_share: Annotated[
        Share, about("No statement may become slower by more than this on the clone (15 %).")
    ] = 0.15
    worse_ms_min: Annotated[
        float, Meta(ge=0), about("A slowdown below this is noise of the clone's clock.")
    ] = 0.05
    replay_seconds: Annotated[Seconds, about("Longest replay of one side of a rehearsal.")] = 20.0
    replay_calls_max: Annotated[Count, about("Calls of a statement that are replayed.")] = 20
    disk_free_share: Annotated[
        Share, about("An index may take at most this part of the free disk.")
    ] = 0.5
    stall_ms_max: Annotated[
        Seconds,
        about("Longest stall of SQLite's writers for a build (their busy time-out: often 5 s)."),
    ] = 2000.0
    build_seconds_max: Annotated[
        Seconds, about("Longest build of an index that is begun (PostgreSQL, CONCURRENTLY).")
    ] = 600.0


class CloneConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Copies of a database to try things on: where, how large, how long."""

    directory: Annotated[str, about("For clones of SQLite files; empty: `clones` in --data.")] = ""
    bytes_max: Annotated[Count, about("No clone is made of a larger database.")] = 20_000_000_000
    keep_seconds: Annotated[Seconds, about("A clone that nobody dropped goes after so long.")] = (
        3600.0
    )
    count_max: Annotated[Count, about("Clones of one database that may exist at once.")] = 4
    disk_reserve_bytes: Annotated[
        int, Meta(ge=0), about("Left free on the disk that a clone is written to (1 GB).")
    ] = 1_000_000_000
    copy_bytes_per_second: Annotated[
        Count,
        about(
            "SQLite: pace of a copy (50 MB/s), so that the application's own commits find the disk "
            "free; in rollback mode it is copied at full speed, since writers wait."
        ),
    ] = 50_000_000
    dump_bytes_per_second: Annotated[
        Count,
        about("PostgreSQL: pace of a dump (20 MB/s), which keeps two of the server's cores busy."),
    ] = 20_000_000
    writers_wait_seconds_max: Annotated[
        Seconds,
        about(
            "SQLite in rollback mode: writers wait while a clone is copied; a copy that takes "
            "longer is given up (0.5 s)."
        ),
    ] = 0.5
    url: Annotated[
        str,
        about(
            "PostgreSQL: the server for clones, e.g. postgresql://homeostat@host/postgres; its "
            "role needs CREATEDB. Empty: no clones of PostgreSQL."
        ),
    ] = ""
    password: Annotated[
        str,
        about("Reference to the password for `url`: env:NAME, file:PATH, command:..., pgpass."),
    ] = ""
    programs: Annotated[
        str, about("Directory of pg_dump and pg_restore; empty: PATH, then Debian's newest.")
    ] = ""
    sample_bytes: Annotated[
        int,
        Meta(ge=0),
        about(
            "PostgreSQL: above this size the clone holds a sample of the rows, whole by foreign "
            "keys, of about so many bytes; 0: always all rows."
        ),
    ] = 0
    seconds_max: Annotated[Seconds, about("A copy that takes longer is given up (30 min).")] = (
        1800.0
    )


class CapturesConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Calls that agents saw whole, kept encrypted to be replayed on a clone."""

    key: Annotated[
        str,
        about(
            "Where the key of the encrypted file comes from (`env:`, `file:`, `command:`); empty: "
            "a 0600 file in the data directory."
        ),
    ] = ""
    bytes_max: Annotated[Count, about("All captured calls together; the oldest go first.")] = (
        50_000_000
    )
    call_bytes_max: Annotated[Count, about("A larger call is not kept.")] = 100_000
    calls_per_statement_max: Annotated[Count, about("Newest calls kept of a statement.")] = 200
    keep_hours: Annotated[
        float,
        Meta(gt=0),
        about(
            "Calls, and statistics kept to be put back, are deleted after so long (they hold user "
            "data)."
        ),
    ] = 24.0
