"""PostgreSQL as it can be asked: activity, health, performance, settings.

One reserved connection, READ ONLY, with lock_timeout and statement_timeout; a health check and a
performance tick are one statement each. What the role may not see is Unknown and says which grant
would help. Statement texts are redacted before they leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from homeostat.driver import postgres
from homeostat.driver.identity import identify
from homeostat.driver.redact import redact
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.engine import metrics
from homeostat.engine.disk import disk_readings
from homeostat.engine.engine import (
    SESSIONS_MAX,
    TABLES_MAX,
    Activity,
    ConnectionLimit,
    Control,
    Identity,
    LockHolder,
    Session,
    SettingInForce,
    TableUse,
    Target,
    Unsupported,
)
from homeostat.engine.facets import Clone, Workload
from homeostat.engine.pgbouncer import PgBouncer, find_pooler
from homeostat.engine.postgres_clone import PostgresClone, find_clone
from homeostat.engine.postgres_control import PostgresControl
from homeostat.engine.postgres_explain import PostgresExplain
from homeostat.engine.postgres_maintain import PostgresMaintain
from homeostat.engine.postgres_workload import PostgresWorkload, find_workload
from homeostat.engine.reserved import Reserved
from homeostat.engine.statements import statement
from homeostat.errors import DatabaseError
from homeostat.measure import Unknown
from homeostat.secret import Secret, with_password

METRICS = metrics.POSTGRESQL
APPLICATION_CHARACTERS_MAX = 63  # NAMEDATALEN - 1; the server cuts the rest off
# not the time-outs: this session has its own
SETTINGS = (
    "archive_mode", "autovacuum", "checkpoint_timeout", "data_checksums", "effective_cache_size",
    "fsync", "full_page_writes", "idle_in_transaction_session_timeout",
    "maintenance_work_mem", "max_connections", "max_wal_size", "password_encryption",
    "server_version", "shared_buffers", "shared_preload_libraries", "ssl",
    "superuser_reserved_connections", "synchronous_commit", "synchronous_standby_names",
    "track_io_timing", "wal_level", "work_mem",
)  # fmt: skip

_NO_STANDBY = Unknown("no standby is connected")
_NO_SLOT = Unknown("there is no replication slot")
_FIRST_READING = Unknown("needs two readings; this is the first")
_NO_BLOCKS = Unknown("no block was asked for since the reading before")
_NOT_COUNTED = Unknown("the server's statistics do not tell; see track_counts")
_LOCKED = Unknown("somebody holds or wants the table for himself alone; asking would wait for him")
_NO_INDEX = Unknown("the table has no index")
_FAR_DISK = Unknown("PostgreSQL does not tell; run Homeostat on the server, as its user")


class PostgresEngine:
    """One PostgreSQL database; fulfils `engine.Engine`."""

    dialect = "postgresql"

    def __init__(self, target: Target) -> None:
        """Connect.

        Raises:
            DatabaseError: and its subclasses, by what went wrong.
        """
        self._target = target
        self._wire = Reserved(self._open)
        try:
            found = identify(self._wire.wire())
        except BaseException:
            self._wire.close()
            raise
        self._identity = Identity(found.dialect, found.key, found.label, found.version)
        self.inspect = PostgresInspect(self.execute)
        self.explain = PostgresExplain(self.transaction)
        self.maintain = PostgresMaintain(self.transaction)
        self._control: Control | Unsupported | None = None
        self._workload: PostgresWorkload | None = None
        self._clone: PostgresClone | None = None
        self.pooler = find_pooler(target, application_name=self._name("pooler"))

    def identity(self) -> Identity:
        """Return which database this is: the server's system identifier and the database's oid."""
        return self._identity

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one reading statement; the server's statement_timeout holds if no deadline does."""
        return self._wire.execute(sql, params, deadline_ms=deadline_ms)

    @property
    def control(self) -> Control | Unsupported:
        """Return the Control facet; a pooler in between makes it Unsupported."""
        if self._control is None:
            self._control = self._make_control()
        return self._control

    @property
    def workload(self) -> Workload | Unsupported:
        """Return the Workload facet, or the exact line that makes it available."""
        if self._workload is None:
            found = find_workload(self.execute)
            if isinstance(found, Unsupported):
                return found
            self._workload = found
        return self._workload

    @property
    def clone(self) -> Clone | Unsupported:
        """Return the Clone facet, or what has to be configured for it."""
        if self._clone is None:
            found = find_clone(
                source=self._identity.key,
                url=self._url,
                connect=self._connect,
                config=self._target.clone,
                clock=self._target.clock,
            )
            if isinstance(found, Unsupported):
                return found
            self._clone = found
        return self._clone

    def transaction(self) -> AbstractContextManager[Wire]:
        """Return a reading transaction on the reserved connection: one moment for all of it."""
        return self._wire.transaction()

    def cancel(self) -> None:
        """Stop the reading statement under way, if there is one, from any thread."""
        self._wire.cancel()

    def close(self) -> None:
        """Close every connection."""
        self._wire.close()
        if isinstance(self.pooler, PgBouncer):
            self.pooler.close()
        if isinstance(self._control, PostgresControl):
            self._control.close()

    def _make_control(self) -> Control | Unsupported:
        pid = self.execute("SELECT pg_backend_pid()").scalar()  # first: it may open the wire anew
        if pid != self._wire.wire().backend_pid:
            return Unsupported(
                "The URL leads to a pooler, and two clients of a pooler can share one session.",
                "Give the server's own address for Homeostat; applications may use the pooler.",
            )
        return PostgresControl(
            self._connect,
            own_pids=lambda: (self._wire.wire().backend_pid,),
            statement_timeout_ms=self._target.statement_timeout_ms,
        )

    def _open(self) -> postgres.PostgresWire:
        if not self._target.session_settings:
            return self._connect("probe", prepare=False)
        return self._connect(
            "probe",
            readonly=True,
            lock_timeout_ms=self._target.lock_timeout_ms,
            statement_timeout_ms=self._target.statement_timeout_ms,
        )

    def _connect(self, purpose: str, **limits: Any) -> postgres.PostgresWire:
        return postgres.connect(
            self._url(),
            application_name=self._name(purpose),
            connect_timeout_seconds=self._target.connect_timeout_seconds,
            **limits,
        )

    def _name(self, purpose: str) -> str:
        head = self._target.application_name[: APPLICATION_CHARACTERS_MAX - len(purpose) - 1]
        return f"{head} {purpose}"

    def _url(self) -> str:
        reference = self._target.options.get("password")
        return with_password(
            self._target.url, Secret.parse(reference).resolve() if reference else None
        )


class PostgresInspect:
    """Facet: what the server's statistics tell."""

    def __init__(self, execute: Callable[..., Rows]) -> None:
        """Take the reserved connection's execute."""
        self._execute = execute
        self._blocks: tuple[float, float] | None = None  # hit, read at the tick before
        self._data: Path | Unknown | None = None  # None: not looked for yet

    def activity(self) -> Activity:
        """Return who is connected and who waits for whom; statement texts are redacted."""
        limits, total = self._limits()
        rows = self._execute(statement("postgresql", "activity"), {"limit": SESSIONS_MAX}).dicts()
        sessions = tuple(_session(row) for row in rows)
        hidden = _hidden(total)
        return Activity(
            connections=limits[0].used,
            connections_max=limits[0].used_max,
            limits=limits,
            sessions=sessions,
            holders=_holders(sessions),
            waiting=hidden or cast("float", total["waiting"]),
        )

    def health(self) -> Mapping[str, float | Unknown]:
        """Return size, wraparound, replication and disk."""
        row = self._row("health")
        hidden = None if row["is_replica"] else _hidden(row)
        return {
            "database.size_bytes": _reading(row["database_bytes"]),
            "postgresql.xid_age_share": _reading(row["xid_age"]),
            "postgresql.multixact_age_share": _reading(row["mxid_age"]),
            "postgresql.replication_lag_seconds": hidden
            or _reading(row["replication_lag_seconds"], _NO_STANDBY),
            "postgresql.slot_retained_bytes": _reading(row["slot_retained_bytes"], _NO_SLOT),
            "postgresql.prepared_transactions": _reading(row["prepared_transactions"]),
            **self._disk(),
        }

    def performance(self) -> Mapping[str, float | Unknown]:
        """Return levels of this moment and running totals."""
        row = self._row("performance")
        limits, _ = self._limits()
        hidden = _hidden(row)
        return {
            "postgresql.connections_used": _reading(row["used"]),
            "postgresql.connections_used_share": limits[0].share,
            "postgresql.connections_active": hidden or _reading(row["active"]),
            "postgresql.blocked_sessions": hidden or _reading(row["blocked"]),
            "postgresql.idle_transactions": hidden or _reading(row["idle_transactions"]),
            "postgresql.longest_transaction_seconds": hidden or row["longest_transaction"] or 0.0,
            "postgresql.idle_transaction_seconds": hidden or row["idle_transaction"] or 0.0,
            "postgresql.cache_hit_share": self._hit_share(row["blocks_hit"], row["blocks_read"]),
            **{name: _reading(row[column]) for name, column in _TOTALS.items()},
        }

    def settings(self) -> Mapping[str, str]:
        """Return the settings in force that matter to durability and capacity."""
        rows = self._execute(statement("postgresql", "settings"), {"names": list(SETTINGS)}).rows
        return {str(name): str(value) for name, value in rows}

    def tables(self, *, limit: int = TABLES_MAX) -> Sequence[TableUse]:
        """Return how the largest tables are used, the largest first; parts for whole ones."""
        rows = self._execute(statement("postgresql", "table_use"), {"limit": limit}).dicts()
        return [_table_use(row) for row in rows]

    def settings_in_force(self) -> Sequence[SettingInForce]:
        """Return every setting that this role may see; those of our own session left out."""
        rows = self._execute(statement("postgresql", "settings_in_force")).dicts()
        return [_setting(row) for row in rows if row["source"] not in {"client", "session"}]

    def _limits(self) -> tuple[tuple[ConnectionLimit, ...], dict[str, Any]]:
        """Return the limits of connections, the nearest first, and the row of the nearest."""
        rows = self._execute(statement("postgresql", "connections")).dicts()
        return tuple(_limit(row) for row in rows), rows[0]

    def _row(self, name: str) -> dict[str, Any]:
        return self._execute(statement("postgresql", name)).dicts()[0]

    def _hit_share(self, hit: float, read: float) -> float | Unknown:
        before, self._blocks = self._blocks, (hit, read)
        if before is None or hit < before[0] or read < before[1]:  # the statistics were reset
            return _FIRST_READING
        asked = hit - before[0] + read - before[1]
        return (hit - before[0]) / asked if asked else _NO_BLOCKS

    def _disk(self) -> dict[str, float | Unknown]:
        if self._data is None:
            self._data = self._find_data()
        if isinstance(self._data, Unknown):
            return {"disk.used_share": self._data, "disk.free_bytes": self._data}
        return disk_readings(self._data)

    def _find_data(self) -> Path | Unknown:
        """Return the data directory if the server runs here, proven by its postmaster.pid."""
        try:
            row = self._row("data_directory")
            lines = (Path(row["directory"]) / "postmaster.pid").read_text().splitlines()
            same = abs(float(lines[2]) - row["started"]) < 2
        except (DatabaseError, OSError, IndexError, ValueError):
            return _FAR_DISK
        return Path(row["directory"]) if same else _FAR_DISK


_TOTALS = {
    "postgresql.transactions_committed": "commits",
    "postgresql.transactions_rolled_back": "rollbacks",
    "postgresql.rows_read": "rows_read",
    "postgresql.rows_fetched": "rows_fetched",
    "postgresql.rows_inserted": "rows_inserted",
    "postgresql.rows_updated": "rows_updated",
    "postgresql.rows_deleted": "rows_deleted",
    "postgresql.blocks_read": "blocks_read",
    "postgresql.blocks_hit": "blocks_hit",
    "postgresql.temporary_bytes": "temp_bytes",
    "postgresql.deadlocks": "deadlocks",
    "postgresql.recovery_conflicts": "conflicts",
    "postgresql.wal_bytes": "wal_bytes",
}


def _reading(value: float | None, otherwise: Unknown | None = None) -> float | Unknown:
    if value is None:
        return otherwise or Unknown("the server does not tell")
    return float(value)


def _hidden(row: Mapping[str, Any]) -> Unknown | None:
    """Return why other users' sessions are not seen, or None if they are."""
    if row["sees_all"]:
        return None
    return Unknown("this role sees its own sessions only; GRANT pg_monitor TO it")


def _table_use(row: Mapping[str, Any]) -> TableUse:
    live, dead, size = row["row_count"], row["dead_rows"], row["bytes"]
    waste: float | Unknown = _NOT_COUNTED
    if size is None:
        waste = _LOCKED
    elif dead is not None:
        waste = size * dead / (live + dead) if live else 0.0
    return TableUse(
        name=row["table_name"],
        schema=row["schema_name"],
        rows=_reading(live, _NOT_COUNTED),
        dead_rows=_reading(dead, _NOT_COUNTED),
        bytes=_reading(size, _LOCKED),
        index_bytes=_reading(row["index_bytes"], _LOCKED),
        waste_bytes=waste,
        changed=_reading(row["changed"], _NOT_COUNTED),
        analysed=row["analysed"],
        vacuumed=row["vacuumed"],
        full_scans=_reading(row["full_scans"], _NOT_COUNTED),
        full_scan_rows=_reading(row["full_scan_rows"], _NOT_COUNTED),
        index_scans=_reading(row["index_scans"], _NO_INDEX),
    )


def _setting(row: Mapping[str, Any]) -> SettingInForce:
    return SettingInForce(
        name=row["name"],
        value=row["value"],
        default=row["default_value"],
        unit=row["unit"],
        source=row["place"] or row["source"],
        description=row["description"],
        category=row["category"],
        restart=bool(row["pending_restart"]),
    )


def _limit(row: Mapping[str, Any]) -> ConnectionLimit:
    return ConnectionLimit(row["scope"], row["name"], row["used"], row["used_max"], row["idle"])


def _session(row: Mapping[str, Any]) -> Session:
    wait = f"{row['wait_type']}:{row['wait_event']}" if row["wait_type"] else ""
    return Session(
        pid=row["pid"],
        user=row["user_name"],
        application=row["application"],
        state=row["state"],
        state_seconds=row["state_seconds"],
        transaction_seconds=row["transaction_seconds"],
        wait="" if row["wait_type"] == "Client" else wait,
        blocked_by=tuple(row["blocked_by"]),
        query=redact(row["query"]),
        database=row["database_name"],
    )


def _holders(sessions: tuple[Session, ...]) -> tuple[LockHolder, ...]:
    """Return who blocks others: those who do not wait themselves first, then by how many wait."""
    blocked = Counter(pid for session in sessions for pid in set(session.blocked_by))
    known = {session.pid: session for session in sessions}
    found = []
    for pid, count in blocked.items():
        session = known.get(pid)
        if session is None:  # 0: a prepared transaction; else it has just gone
            what = "a prepared transaction" if pid == 0 else "it has ended or is not shown"
            holder = LockHolder(pid, "", "", what, None, count)
        else:
            holder = LockHolder(
                pid,
                session.application,
                session.user,
                session.query or session.state,
                session.transaction_seconds,
                count,
            )
        found.append((bool(session and session.blocked_by), -count, holder))
    found.sort(key=lambda entry: entry[:2])
    return tuple(holder for _, _, holder in found)
