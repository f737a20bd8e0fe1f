"""Every setting and limit, with its unit, default and reason; read from `homeostat.toml`.

Structs are frozen; an unknown key is refused with its path. Names carry their unit last. The
reference in docs/reference/config.md is generated from the descriptions here.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from homeostat.errors import ConfigError

Autonomy = Literal["observe", "approve", "auto"]
Seconds = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


def _about(text: str) -> Meta:
    return Meta(description=text)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections."""


class MonitorConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Intervals and thresholds of monitoring."""

    health_seconds: Annotated[Seconds, _about("Interval of the health check.")] = 30.0
    performance_seconds: Annotated[Seconds, _about("Interval of the performance probe.")] = 10.0
    promise_ms: Annotated[
        Seconds, _about("Promised p99 of an operation; the line in the chart.")
    ] = 50.0
    promise_ticks: Annotated[
        Count, _about("Ticks in a row past the promise before a finding opens.")
    ] = 3
    connections_share_warning: Annotated[
        Share, _about("Server connections used (PMM, pgEdge: 80 %).")
    ] = 0.8
    connections_seconds: Annotated[
        Seconds, _about("Past that share for so long (PMM, pgEdge: 5 min).")
    ] = 300.0
    idle_transaction_seconds: Annotated[Seconds, _about("Idle in transaction (pgEdge: 300 s).")] = (
        300.0
    )
    long_query_seconds: Annotated[
        Seconds, _about("A statement this long is a finding (PgHero: 60 s).")
    ] = 60.0
    lock_wait_share: Annotated[
        Share,
        _about(
            "Part of the time connections are held that goes into waiting for locks; past "
            "it the load is lock-bound."
        ),
    ] = 0.5
    blocked_sessions: Annotated[Count, _about("Sessions waiting for one holder (pgEdge: 5).")] = 5
    lock_wait_seconds: Annotated[
        Seconds, _about("A session waiting so long for a lock (pgEdge: 60 s).")
    ] = 60.0
    cache_hit_share_warning: Annotated[Share, _about("Buffer cache hits (postgres-mcp: 95 %).")] = (
        0.95
    )
    cache_hit_share_high: Annotated[Share, _about("Buffer cache hits (pgEdge: 90 %).")] = 0.9
    cache_hit_ticks: Annotated[
        Count, _about("Performance ticks whose buffer cache hits are judged together.")
    ] = 6
    cache_hit_reads_min: Annotated[
        Count, _about("Blocks read per tick below which hits say nothing.")
    ] = 1000
    disk_share_warning: Annotated[Share, _about("Disk used (pgEdge: 85 %).")] = 0.85
    disk_share_critical: Annotated[Share, _about("Disk used (pgEdge: 95 %).")] = 0.95
    xid_share_warning: Annotated[
        Share, _about("Transaction-id age of the limit (field practice: 50 %).")
    ] = 0.5
    xid_share_critical: Annotated[
        Share, _about("Transaction-id age of the limit (field practice: 80 %).")
    ] = 0.8
    wal_checkpoint_multiple: Annotated[
        float, _about("SQLite WAL size over its checkpoint target (SQLite documentation).")
    ] = 4.0
    wal_checkpoint_pages: Annotated[
        Count,
        _about("Checkpoint target in pages where nothing else is known (SQLite's default: 1000)."),
    ] = 1000
    wal_growing_seconds: Annotated[
        Seconds, _about("A SQLite WAL past its target that grows for so long (10 min).")
    ] = 600.0
    free_pages_share: Annotated[Share, _about("SQLite pages that are free (30 %).")] = 0.3
    free_pages_bytes_min: Annotated[
        Count, _about("Free pages below this size are left alone (postgres-mcp: 10 MB).")
    ] = 10_000_000
    agent_silent_seconds: Annotated[Seconds, _about("An agent unheard for so long is gone.")] = 15.0


class PoolConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the connection pool of an application grows and shrinks."""

    use_share_high: Annotated[Share, _about("Use of the pool that counts as exhausted (80 %).")] = (
        0.8
    )
    window_ticks: Annotated[Count, _about("Performance ticks that are judged together.")] = 5
    exhausted_ticks: Annotated[
        Count, _about("Exhausted ticks within the window that open a finding.")
    ] = 3
    wait_ms: Annotated[float, _about("Mean wait for a connection that counts as waiting.")] = 1.0
    cpu_share_max: Annotated[
        Share,
        _about(
            "CPU in use (of all cores, database side where seen) above which more connections only "
            "queue elsewhere."
        ),
    ] = 0.85
    growth: Annotated[float, Meta(gt=1), _about("Factor of one growth step.")] = 2.0
    limit_max: Annotated[Count, _about("No pool grows past this.")] = 64
    server_reserve: Annotated[
        Count,
        _about(
            "Server connections always left for people and tools; the sum of pool limits "
            "stays below the server's limit minus this."
        ),
    ] = 10
    shrink_after_seconds: Annotated[
        Seconds, _about("Low use for so long lets a grown pool shrink.")
    ] = 3600.0
    shrink_use_share: Annotated[Share, _about("Peak use of the limit that counts as low.")] = 0.4
    wait_reduction: Annotated[Share, _about("Least reduction of the mean wait worth keeping.")] = (
        0.3
    )


class OperateConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The loop: autonomy, leases, verification."""

    autonomy: Annotated[Autonomy, _about("What remedies may do unless named below.")] = "observe"
    remedies: Annotated[dict[str, Autonomy], _about("Autonomy by remedy key.")] = {}
    lease_seconds: Annotated[
        Seconds, _about("Ownership not renewed for so long may be taken over.")
    ] = 15.0
    verify_batches: Annotated[Count, _about("Batches measured on each side of a change.")] = 6
    batch_seconds: Annotated[
        Seconds, _about("Length of one batch; at least a performance tick.")
    ] = 10.0
    settle_seconds: Annotated[Seconds, _about("Left out after a change before measuring.")] = 10.0
    load_drift_share: Annotated[
        Share,
        _about("Change of the offered load between the two sides past which nothing can be told."),
    ] = 0.3
    cooldown_seconds: Annotated[Seconds, _about("Rest of a resource after a remedy ended.")] = 300.0
    distrust_seconds: Annotated[
        Seconds,
        _about("A remedy that did not help is not proposed again on like evidence for so long."),
    ] = 86_400.0
    retries_max: Annotated[
        int, Meta(ge=0), _about("Automatic retries of a failed step (VISION: 3).")
    ] = 3
    escalation_seconds: Annotated[
        Seconds, _about("A failure unresolved for so long goes to a person.")
    ] = 300.0
    budget_per_hour: Annotated[
        Count, _about("Remedies applied automatically per database and hour.")
    ] = 12


class CloneConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Copies of a database to try things on: where, how large, how long."""

    directory: Annotated[str, _about("For clones of SQLite files; empty: `clones` in --data.")] = ""
    bytes_max: Annotated[Count, _about("No clone is made of a larger database.")] = 20_000_000_000
    keep_seconds: Annotated[Seconds, _about("A clone that nobody dropped goes after so long.")] = (
        3600.0
    )
    count_max: Annotated[Count, _about("Clones of one database that may exist at once.")] = 4
    disk_reserve_bytes: Annotated[
        int, Meta(ge=0), _about("Left free on the disk that a clone is written to (1 GB).")
    ] = 1_000_000_000
    copy_bytes_per_second: Annotated[
        Count,
        _about(
            "SQLite: pace of a copy (50 MB/s), so that the application's own commits find the disk "
            "free; in rollback mode it is copied at full speed, since writers wait."
        ),
    ] = 50_000_000
    dump_bytes_per_second: Annotated[
        Count,
        _about("PostgreSQL: pace of a dump (20 MB/s), which keeps two of the server's cores busy."),
    ] = 20_000_000
    writers_wait_seconds_max: Annotated[
        Seconds,
        _about(
            "SQLite in rollback mode: writers wait while a clone is copied; a copy that takes "
            "longer is given up (0.5 s)."
        ),
    ] = 0.5
    url: Annotated[
        str,
        _about(
            "PostgreSQL: the server for clones, e.g. postgresql://homeostat@host/postgres; its "
            "role needs CREATEDB. Empty: no clones of PostgreSQL."
        ),
    ] = ""
    password: Annotated[
        str,
        _about("Reference to the password for `url`: env:NAME, file:PATH, command:..., pgpass."),
    ] = ""
    programs: Annotated[
        str, _about("Directory of pg_dump and pg_restore; empty: PATH, then Debian's newest.")
    ] = ""
    sample_bytes: Annotated[
        int,
        Meta(ge=0),
        _about(
            "PostgreSQL: above this size the clone holds a sample of the rows, whole by foreign "
            "keys, of about so many bytes; 0: always all rows."
        ),
    ] = 0
    seconds_max: Annotated[Seconds, _about("A copy that takes longer is given up (30 min).")] = (
        1800.0
    )


class SamplesConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long samples are kept."""

    fine_seconds: Annotated[Seconds, _about("Resolution of the finest samples.")] = 10.0
    fine_days: Annotated[float, _about("Days that the finest samples are kept.")] = 2.0
    minute_days: Annotated[float, _about("Days that one-minute samples are kept.")] = 14.0
    hour_days: Annotated[float, _about("Days that one-hour samples are kept.")] = 400.0
    histogram_series_max: Annotated[Count, _about("Series that may hold histograms.")] = 40


class AgentConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The channel to agents inside applications."""

    report_seconds: Annotated[Seconds, _about("How often agents report.")] = 2.0
    expires_seconds: Annotated[Seconds, _about("Settings hold for so long without a word.")] = 60.0
    agents_max: Annotated[Count, _about("Agents that may be registered at once.")] = 256


class WebConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The page and the API; always on 127.0.0.1."""

    port: Annotated[
        int, Meta(ge=0, le=65535), _about("0: a free one, kept for the next start.")
    ] = 0
    session_hours: Annotated[float, Meta(gt=0), _about("How long a sign-in lasts.")] = 168.0
    link_seconds: Annotated[Seconds, _about("How long a sign-in link is good.")] = 600.0
    streams_max: Annotated[Count, _about("Open event streams.")] = 32


class DatabaseConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A database that `homeostat up` attaches when it is given no URL; NAME is what people call it.

    `password` is a reference: `env:NAME`, `file:PATH`, `command:PROGRAM ...` or `pgpass`.
    """

    url: Annotated[
        str, _about("A path, `sqlite:///path` or `postgresql://...`, no password in it.")
    ]
    group: Annotated[str, _about("The heading under which the fleet page shows it.")] = ""
    labels: Annotated[
        dict[str, str], _about("Whatever helps to find it: team, region, stage.")
    ] = {}
    autonomy: Annotated[
        Autonomy | None,
        _about("What remedies may do here, at most; without it as `[operate]` says."),
    ] = None
    password: Annotated[str, _about("Where the password is, as a reference to a secret.")] = ""


class CapturesConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Calls that agents saw whole, kept encrypted to be replayed on a clone."""

    key: Annotated[
        str,
        _about(
            "Where the key of the encrypted file comes from (`env:`, `file:`, `command:`); empty: "
            "a 0600 file in the data directory."
        ),
    ] = ""
    bytes_max: Annotated[Count, _about("All captured calls together; the oldest go first.")] = (
        50_000_000
    )
    call_bytes_max: Annotated[Count, _about("A larger call is not kept.")] = 100_000
    calls_per_statement_max: Annotated[Count, _about("Newest calls kept of a statement.")] = 200
    keep_hours: Annotated[
        float, Meta(gt=0), _about("Calls are deleted after so long (parameters are user data).")
    ] = 24.0


class TuneConfig(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Slow statements, indexes and statistics."""

    queries_seconds: Annotated[
        Seconds, _about("How often statements are looked at for slow ones (VISION: 2 min).")
    ] = 120.0
    window_seconds: Annotated[
        Seconds, _about("Statements are judged by what they cost in the last so many seconds.")
    ] = 120.0
    mean_query_ms: Annotated[
        Seconds, _about("A statement this slow is a finding at any rate (VISION: 1000 ms).")
    ] = 1000.0
    slow_query_ms: Annotated[
        Seconds, _about("Mean from which a statement that costs much is slow (PgHero: 20 ms).")
    ] = 20.0
    cost_ms_per_second: Annotated[
        Seconds,
        _about("Time spent in a slow statement, ms per second of wall time (5 % of a core)."),
    ] = 50.0
    promise_missed_share: Annotated[
        Share, _about("Part of a statement's calls past `monitor.promise_ms` that makes it slow.")
    ] = 0.2
    calls_min: Annotated[Count, _about("Calls in the window below which nothing is said.")] = 5
    findings_max: Annotated[Count, _about("Statements that may be findings at once.")] = 5
    rows_read_per_row: Annotated[
        float,
        Meta(ge=1),
        _about("Rows read for each row needed from which an index is missing (5 % of the table)."),
    ] = 20.0
    rows_read_min: Annotated[
        Count, _about("A scan of fewer rows is no cause (PgHero: 500 rows).")
    ] = 500
    estimate_factor: Annotated[
        float, Meta(gt=1), _about("Rows expected and seen this far apart are misjudged (10).")
    ] = 10.0
    changed_share: Annotated[
        Share,
        _about("Rows changed since statistics were refreshed that make them stale (autovacuum)."),
    ] = 0.1
    rows_returned: Annotated[
        Count, _about("Rows returned by a call from which these are the cause.")
    ] = 1000
    blocks_read_share: Annotated[
        Share, _about("Part of the blocks that came from below the cache: I/O is the cause.")
    ] = 0.5
    calls_per_transaction: Annotated[
        Count, _about("The same statement so often in one transaction is N+1 (Sentry: 5).")
    ] = 10
    blocks_read_min: Annotated[
        Count, _about("Blocks read by a call below which I/O is no cause (8 MB of 8 kB).")
    ] = 1000
    plan_change_factor: Annotated[
        float, Meta(gt=1), _about("Slower by so much after its plan changed: the change did it.")
    ] = 2.0
    explained_max: Annotated[Count, _about("Statements whose plan is asked for at once.")] = 5
    explain_ms: Annotated[
        Seconds, _about("Longest time of one question about a statement on the live database.")
    ] = 1000.0
    index_benefit_share: Annotated[
        Share, _about("Measured benefit, net of writes, that an index must have (VISION: 0.3).")
    ] = 0.3
    worse_share: Annotated[
        Share, _about("No statement may become slower by more than this on the clone (15 %).")
    ] = 0.15
    worse_ms_min: Annotated[
        float, Meta(ge=0), _about("A slowdown below this is noise of the clone's clock.")
    ] = 0.05
    replay_seconds: Annotated[Seconds, _about("Longest replay of one side of a rehearsal.")] = 20.0
    replay_calls_max: Annotated[Count, _about("Calls of a statement that are replayed.")] = 20
    disk_free_share: Annotated[
        Share, _about("An index may take at most this part of the free disk.")
    ] = 0.5
    stall_ms_max: Annotated[
        Seconds,
        _about("Longest stall of SQLite's writers for a build (their busy time-out: often 5 s)."),
    ] = 2000.0
    build_seconds_max: Annotated[
        Seconds, _about("Longest build of an index that is begun (PostgreSQL, CONCURRENTLY).")
    ] = 600.0


class Config(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration."""

    monitor: MonitorConfig = MonitorConfig()
    pool: PoolConfig = PoolConfig()
    tune: TuneConfig = TuneConfig()
    captures: CapturesConfig = CapturesConfig()
    operate: OperateConfig = OperateConfig()
    samples: SamplesConfig = SamplesConfig()
    agent: AgentConfig = AgentConfig()
    web: WebConfig = WebConfig()
    clone: CloneConfig = CloneConfig()
    databases: dict[str, DatabaseConfig] = {}


def load(path: Path) -> Config:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, not TOML, or has an unknown key or a wrong value; the
            message names the setting.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = "The configuration file cannot be read. Check its path and rights."
        raise ConfigError(message, where=str(path), detail=error.strerror or "") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = "The configuration file is not TOML. Correct the place named."
        raise ConfigError(message, where=str(path), detail=str(error)) from None
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(where=str(path), detail=str(error)) from None


def data_directory(given: str | None = None, *, name: str = "default") -> Path:
    """Return where the operator keeps its memory.

    The given directory, else HOMEOSTAT_DATA, else `homeostat/<name>` below XDG_DATA_HOME or
    ~/.local/share.
    """
    if given:
        return Path(given).expanduser().absolute()
    if os.environ.get("HOMEOSTAT_DATA"):
        return Path(os.environ["HOMEOSTAT_DATA"]).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "homeostat" / name
