"""What can be asked of a database, whichever engine it runs on.

An Engine executes, and offers facets: small sets of questions or actions. A facet is either there
or Unsupported(reason, mend). Facets only read unless their docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from homeostat.clock import Clock, SystemClock
from homeostat.config import CloneConfig
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.engine.facets import Clone, Explain, Maintain, Pooler, Workload
from homeostat.measure import Unknown


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database this is, whatever name or route leads to it.

    Attributes:
        dialect: `sqlite` or `postgresql`.
        key: stable and safe as a file name: `sqlite-<device>-<inode>` or
            `postgresql-<system_identifier>-<database oid>`.
        label: for people: the file's path, or `database on host:port`; no secrets.
        version: the engine's version, e.g. `3.54.0`, `15.8`.
    """

    dialect: str
    key: str
    label: str
    version: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A facet that is not there: why, and what would make it available."""

    reason: str
    mend: str


@dataclass(frozen=True, slots=True)
class Session:
    """One client connection as the server sees it; texts are redacted."""

    pid: int
    user: str
    application: str
    state: str  # active, idle, idle in transaction, ...
    state_seconds: float
    transaction_seconds: float | None
    wait: str  # "" or e.g. "Lock:transactionid"
    blocked_by: tuple[int, ...]
    query: str
    database: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """One limit that the next connection meets, and what counts against it now.

    Attributes:
        scope: whose limit it is.
        name: of the database or role; empty for the server.
        used: open connections of clients that count against it.
        used_max: how many it permits, those reserved for administrators taken off.
        idle: those of `used` that do nothing, as far as this role sees.
    """

    scope: Literal["server", "database", "role"]
    name: str
    used: float
    used_max: float
    idle: float = 0.0

    @property
    def share(self) -> float:
        """Return the part that is used; 1 where none is permitted."""
        return self.used / self.used_max if self.used_max > 0 else 1.0

    @property
    def whose(self) -> str:
        """Return whose limit it is, for people: `the server`, `database shop`."""
        return f"{self.scope} {self.name}" if self.name else "the server"

    def counts(self, session: Session) -> bool:
        """Return whether a session counts against it."""
        own = {"server": "", "database": session.database, "role": session.user}
        return own[self.scope] == self.name


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A connection that others wait for.

    `blocked` counts the sessions that wait for it, directly; None where the engine cannot say.
    """

    pid: int
    application: str
    user: str
    what: str  # its last statement, or what kind of lock it holds; redacted
    held_seconds: float | None
    blocked: int | None


NOT_SAID = Unknown("the engine does not say")


@dataclass(frozen=True, slots=True)
class Activity:
    """Who is connected and who waits for whom.

    Attributes:
        connections: open connections of clients that count against the limit used up most (the
            first of `limits`), or Unknown.
        connections_max: what that limit permits, or Unknown.
        sessions: at most `SESSIONS_MAX` of them, the longest transactions first.
        holders: who holds locks that others wait for, the most blocking first.
        waiting: sessions that wait for a lock now, or Unknown.
        limits: every limit that the next connection meets, by the part used, the largest first;
            a plan to open more has to fit into each of them.
    """

    connections: float | Unknown
    connections_max: float | Unknown
    sessions: tuple[Session, ...] = ()
    holders: tuple[LockHolder, ...] = ()
    waiting: float | Unknown = NOT_SAID
    limits: tuple[ConnectionLimit, ...] = ()


SESSIONS_MAX = 200


TABLES_MAX = 200  # the largest are told of


@dataclass(frozen=True, slots=True)
class TableUse:
    """One table as it is used; counters are since the server's statistics were reset.

    Attributes:
        rows: live rows by statistics, or Unknown.
        dead_rows: rows that are gone for everybody and still take space, or Unknown.
        bytes: of the table itself.
        index_bytes: of all its indexes.
        waste_bytes: of the table, held by nothing that is needed.
        changed: rows changed since statistics were refreshed.
        analysed: when that was, seconds since 1970 UTC; None: never.
        vacuumed: when it was last vacuumed; None: never.
        full_scans: how often all of it was read.
        full_scan_rows: rows read so.
        index_scans: how often it was read through an index.
    """

    name: str
    schema: str = ""
    rows: float | Unknown = NOT_SAID
    dead_rows: float | Unknown = NOT_SAID
    bytes: float | Unknown = NOT_SAID
    index_bytes: float | Unknown = NOT_SAID
    waste_bytes: float | Unknown = NOT_SAID
    changed: float | Unknown = NOT_SAID
    analysed: float | Unknown | None = NOT_SAID
    vacuumed: float | Unknown | None = NOT_SAID
    full_scans: float | Unknown = NOT_SAID
    full_scan_rows: float | Unknown = NOT_SAID
    index_scans: float | Unknown = NOT_SAID


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """One setting of the database: `source` is where its value comes from, `default` if nowhere.

    `value` is None where it cannot be seen; `description` then says why.
    """

    name: str
    value: str | None
    default: str
    unit: str = ""
    source: str = "default"
    description: str = ""
    category: str = ""
    restart: bool = False  # a changed value waits for a restart


class Inspect(Protocol):
    """Facet: read-only questions, each within the probe connection's time-outs."""

    def activity(self) -> Activity:
        """Return who is connected and who waits for whom."""
        ...

    def health(self) -> Mapping[str, float | Unknown]:
        """Return the readings of a health check by metric name (see docs/reference/metrics.md)."""
        ...

    def performance(self) -> Mapping[str, float | Unknown]:
        """Return readings for this moment; counters as running totals, by metric name."""
        ...

    def settings(self) -> Mapping[str, str]:
        """Return the settings in force that matter to durability and capacity."""
        ...

    def tables(self, *, limit: int = TABLES_MAX) -> Sequence[TableUse]:
        """Return how the largest tables are used, the largest first."""
        ...

    def settings_in_force(self) -> Sequence[SettingInForce]:
        """Return every setting with its default, and where its value comes from."""
        ...


class Control(Protocol):
    """Facet: actions on sessions. Uses its own direct connection, never a pooler's."""

    def lock(self, name: str) -> AbstractContextManager[bool]:
        """Hold the named advisory lock while in the context; yields False when it is taken."""
        ...

    def holds(self, name: str) -> bool:
        """Return whether the named lock, taken by `lock`, is still held (asks the server)."""
        ...

    def work(
        self, *, purpose: str, lock: str, statement_timeout_ms: int
    ) -> AbstractContextManager[Wire]:
        """Yield a direct connection to change things on, under the named lock while in the context.

        Args:
            purpose: ends its application_name (PostgreSQL), e.g. `run 12 epoch 3`, by which a
                successor finds and ends it.
            lock: two at once are not possible; a session advisory lock on PostgreSQL.
            statement_timeout_ms: below the lease, so that nothing runs on past ownership.

        Raises:
            DatabaseLockedError: the lock is taken.
            ConnectError: no connection could be opened.
        """
        ...

    def end_work(self, application_prefix: str) -> int:
        """End every other session whose application_name starts so; return how many were ended."""
        ...

    def end_session(self, pid: int) -> bool:
        """End one session; return whether it was there."""
        ...


@dataclass(frozen=True, slots=True)
class PoolerTarget:
    """How to reach the PgBouncer before a PostgreSQL database.

    Attributes:
        url: of its console; empty: there is none.
        password: a secret's reference; empty: none, or in a pgpass file.
        ini: its file on this machine; empty: it is watched, never changed.
        database: what it calls the database; empty: as the server does.
    """

    url: str = ""
    password: str = ""
    ini: str = ""
    database: str = ""


@dataclass(slots=True)
class Target:
    """How to reach a database: what `open_engine` takes.

    Attributes:
        url: a file path, `sqlite:///path`, or `postgresql://...`; may hold no password in argv.
        application_name: prefix for every connection's name on PostgreSQL.
        statement_timeout_ms: for probes; below the probe's interval.
        lock_timeout_ms: for probes.
        connect_timeout_seconds: for opening.
        session_settings: False: the probe connection sets no time-outs and no READ ONLY for its
            session, which a pooler may refuse; the caller sets them in each transaction.
        clone: where clones go; without `directory` (SQLite) or `url` (PostgreSQL) there are none.
        clock: tells when clones expire.
        pooler: how to reach the pooler before a PostgreSQL database.
    """

    url: str
    application_name: str = "homeostat"
    statement_timeout_ms: int = 5_000
    lock_timeout_ms: int = 100
    connect_timeout_seconds: int = 5
    options: dict[str, str] = field(default_factory=dict)
    session_settings: bool = True
    clone: CloneConfig = field(default_factory=CloneConfig)
    clock: Clock = field(default_factory=SystemClock)
    pooler: PoolerTarget = field(default_factory=PoolerTarget)


class Engine(Protocol):
    """One database, reached over a reserved, always-open, direct, read-only connection.

    The reserved connection is opened again by itself after it broke; a question asked meanwhile
    raises ConnectError. All methods may be called from any thread; they take turns.
    """

    dialect: str

    def identity(self) -> Identity:
        """Return which database this is (asked once, then remembered)."""
        ...

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one reading statement on the reserved connection."""
        ...

    def transaction(self) -> AbstractContextManager[Wire]:
        """Return a reading transaction on the reserved connection: one moment for all of it."""
        ...

    def cancel(self) -> None:
        """Stop the reading statement under way, if there is one, from any thread."""
        ...

    @property
    def inspect(self) -> Inspect | Unsupported:
        """Return the Inspect facet."""
        ...

    @property
    def control(self) -> Control | Unsupported:
        """Return the Control facet."""
        ...

    @property
    def workload(self) -> Workload | Unsupported:
        """Return the Workload facet; asks the server, and again while it is not there."""
        ...

    @property
    def explain(self) -> Explain | Unsupported:
        """Return the Explain facet."""
        ...

    @property
    def maintain(self) -> Maintain | Unsupported:
        """Return the Maintain facet."""
        ...

    @property
    def clone(self) -> Clone | Unsupported:
        """Return the Clone facet."""
        ...

    @property
    def pooler(self) -> Pooler | Unsupported:
        """Return the Pooler facet, or what has to be configured for it."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
