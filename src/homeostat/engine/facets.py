"""Facets for tuning: what statements cost, how they are carried out, copies, and upkeep.

Each is present on an Engine or `Unsupported(reason, mend)`. `Workload` and `Explain` only read.
`Clone` never writes to the database it copies. `Maintain` changes the database that its Wire leads
to; on a managed database only a remedy's `Hands.work` gives it one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from homeostat.driver.pgbouncer import PoolerReading
from homeostat.driver.wire import NO_PARAMS, Params, Wire
from homeostat.engine.pace import UNBOUNDED, Bounds, Strain
from homeostat.measure import Unknown


@dataclass(frozen=True, slots=True)
class Statement:
    """One normalised statement and what it has cost since `since`; counters are running totals.

    Attributes:
        key: equal for the same normalised text (16 hex digits).
        text: redacted; constants replaced by placeholders.
        calls: how often it ran.
        total_ms: execution time of all calls.
        rows: rows returned or changed, all calls.
        blocks_hit: pages found in the cache, or Unknown.
        blocks_read: pages read from below, or Unknown.
        operations: the operation names under which agents ran it.
        blocks_temporary: pages written for sorts and hashes that did not fit into memory, or
            Unknown.
        since: when counting began, seconds since 1970 UTC, or Unknown.
    """

    key: str
    text: str
    calls: float
    total_ms: float
    rows: float
    blocks_hit: float | Unknown
    blocks_read: float | Unknown
    operations: tuple[str, ...] = ()
    since: float | Unknown = field(default_factory=lambda: Unknown("not said"))
    blocks_temporary: float | Unknown = field(default_factory=lambda: Unknown("not said"))


class Workload(Protocol):
    """Facet: what the server says of its statements."""

    @property
    def note(self) -> str:
        """Return what the last answer left out, and what would show it; empty: nothing."""
        ...

    def statements(self, *, limit: int = 200) -> Sequence[Statement]:
        """Return the statements of this database with the largest `total_ms`, the largest first."""
        ...


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One step of a plan; readings that the engine does not give are None.

    Attributes:
        kind: as the engine calls it: `Seq Scan`, `Index Scan`, `SCAN`, `SEARCH`, ...
        relation: the table it reads.
        index: the index it uses.
        detail: conditions and keys, redacted.
        rows_estimated: rows per loop that the planner expects.
        rows: rows per loop that came out.
        loops: how often it ran.
        removed: rows per loop that a filter threw away.
        cost: the planner's total cost.
        total_ms: time in it and below, all loops.
    """

    kind: str
    relation: str | None = None
    index: str | None = None
    detail: str = ""
    rows_estimated: float | None = None
    rows: float | None = None
    loops: float | None = None
    removed: float | None = None
    cost: float | None = None
    total_ms: float | None = None
    children: tuple[PlanNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a statement is carried out.

    Attributes:
        shape: equal for plans of the same steps, relations and indexes (16 hex digits).
        executed: whether it ran, or was only estimated.
        total_ms: how long it ran; None: it did not.
        rows_read: rows that its scans read, also those thrown away; None: not known.
            SQLite counts those of full scans only.
        blocks_read: pages read from below the cache; None: not known.
        counters: what else the engine counted: on SQLite `vm_step` (virtual machine instructions),
            `sort`, `autoindex` and others of sqlite3_stmt_status.
    """

    dialect: str
    root: PlanNode
    shape: str
    executed: bool = False
    total_ms: float | None = None
    rows_read: float | None = None
    blocks_hit: float | None = None
    blocks_read: float | None = None
    counters: Mapping[str, float] = field(default_factory=dict)


class Explain(Protocol):
    """Facet: plans as data."""

    def estimate(self, sql: str, params: Params | None = None, *, wire: Wire | None = None) -> Plan:
        """Return the plan without running the statement.

        Args:
            sql: one statement, with `:name` parameters or a server's `$1` placeholders.
            params: values; None: a generic plan.
            wire: where to ask; None: the engine's reserved connection.

        Raises:
            StatementError: the statement cannot be planned.
        """
        ...

    def execute(
        self,
        sql: str,
        params: Params = NO_PARAMS,
        *,
        wire: Wire,
        deadline_ms: float,
        timing: bool = False,
    ) -> Plan:
        """Run the statement in a transaction that is rolled back; return its plan with readings.

        `wire` leads to a clone, or is read-only. `timing` (PostgreSQL): time each step too, which
        makes the statement slower.
        """
        ...


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index to build.

    Attributes:
        columns: names, or expressions of one column.
        schema: PostgreSQL; empty: public.
        where: the condition of a partial one.
        expressions: those of the columns that are SQL expressions and no names.
        ordering: how the last column is compared, as SQL: `text_pattern_ops`, `COLLATE NOCASE`;
            empty: as usual.
    """

    table: str
    columns: tuple[str, ...]
    name: str
    schema: str = ""
    where: str | None = None
    unique: bool = False
    expressions: tuple[str, ...] = ()
    ordering: str = ""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """An index that is there.

    Attributes:
        definition: the SQL that makes it again.
        valid: False: a build that failed left it behind (PostgreSQL).
        scans: how often it was used since statistics were reset, or Unknown.
        constraint: whether it backs a primary key, a unique or an exclusion constraint.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    definition: str
    schema: str = ""
    unique: bool = False
    constraint: bool = False
    valid: bool = True
    where: str | None = None
    bytes: float | Unknown = field(default_factory=lambda: Unknown("not said"))
    scans: float | Unknown = field(default_factory=lambda: Unknown("not said"))


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """A view. `definition`: its SELECT, or the CREATE VIEW around it."""

    name: str
    definition: str
    schema: str = ""


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column.

    Attributes:
        distinct: number of values by statistics; negative: a share of the rows.
        is_rowid: SQLite: the table itself is in its order, so no index of it is needed or listed.
    """

    name: str
    type: str
    not_null: bool = False
    distinct: float | None = None
    is_rowid: bool = False


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table as the catalogue and its statistics say.

    Attributes:
        rows: by statistics, or Unknown where there are none.
        changed: rows changed since statistics were refreshed, or Unknown.
        analysed: when statistics were refreshed, seconds since 1970 UTC; None: never.
    """

    name: str
    columns: tuple[ColumnInfo, ...]
    schema: str = ""
    rows: float | Unknown = field(default_factory=lambda: Unknown("no statistics"))
    bytes: float | Unknown = field(default_factory=lambda: Unknown("not said"))
    changed: float | Unknown = field(default_factory=lambda: Unknown("not said"))
    analysed: float | Unknown | None = None


class Maintain(Protocol):
    """Facet: indexes and statistics. Methods that take a `wire` act where that leads."""

    def tables(self, *, wire: Wire | None = None) -> Sequence[TableInfo]:
        """Return the user's tables; reads only."""
        ...

    def indexes(self, table: str | None = None, *, wire: Wire | None = None) -> Sequence[IndexInfo]:
        """Return the user's indexes; reads only."""
        ...

    def views(self, *, wire: Wire | None = None) -> Sequence[ViewInfo]:
        """Return the user's views; reads only."""
        ...

    def create_index(self, spec: IndexSpec, *, wire: Wire, deadline_ms: float | None) -> float:
        """Build an index, CONCURRENTLY on PostgreSQL; return the seconds it took.

        An invalid index of this name, which a failed build left behind, is dropped first; a valid
        one of the same definition counts as built.

        Raises:
            DatabaseError: it was not built; nothing of it is left, if the wire still worked.
        """
        ...

    def drop_index(self, name: str, *, schema: str = "", wire: Wire) -> None:
        """Drop an index, CONCURRENTLY on PostgreSQL; does nothing when it is not there."""
        ...

    def rebuild_index(self, name: str, *, schema: str = "", wire: Wire) -> None:
        """Rebuild an index, CONCURRENTLY on PostgreSQL; leftovers of a failed one are removed."""
        ...

    def refresh_statistics(self, tables: Sequence[str], *, wire: Wire) -> None:
        """ANALYZE the tables (on SQLite: on a clone only, see `read_statistics`)."""
        ...

    def read_statistics(self, table: str = "", *, wire: Wire) -> dict[str, list[list[object]]]:
        """Return the planner's statistics rows by statistics table, JSON-ready.

        SQLite: of all tables. PostgreSQL, from 18 on: of the one that is named, in `public`; they
        hold values of users.

        Raises:
            UnsupportedError: PostgreSQL up to 17 cannot give or take them exactly, and no version
                those of a table in parts, or with extended statistics.
        """
        ...

    def write_statistics(self, rows: dict[str, list[list[object]]], *, wire: Wire) -> None:
        """Replace the planner's statistics rows by these, in one transaction.

        SQLite: other connections use them after `ANALYZE sqlite_schema` or when opened again.
        """
        ...


@dataclass(frozen=True, slots=True)
class CloneInfo:
    """A copy of a database: where, how complete, and until when.

    Attributes:
        name: unique among the clones of one operator.
        source: the key of the database it was made from.
        share: of the rows it holds (1.0: all).
        seconds: how long the copy took.
        created, expires: seconds since 1970 UTC.
        owner: the run that made it, or `person`.
    """

    name: str
    source: str
    url: str
    bytes: int
    share: float
    seconds: float
    created: float
    expires: float
    owner: str


class Clone(Protocol):
    """Facet: copies to try things on. Never opens the source for writing."""

    def create(
        self,
        *,
        owner: str,
        expires_seconds: float,
        bytes_max: int,
        strain: Strain | None = None,
        bounds: Bounds = UNBOUNDED,
    ) -> CloneInfo:
        """Copy the database; slower while `strain` says that applications feel it.

        Raises:
            CloneRefusedError: it is larger than the budget, the disk has too little space, no
                place for clones is configured, its bounds ended it, or a session of the
                application waited for it; says what to do.
        """
        ...

    def holds_up(self) -> str:
        """Return why the application would wait while the database is copied; empty: it does not.

        Raises:
            DatabaseError: the database cannot be asked.
        """
        ...

    def list(self) -> Sequence[CloneInfo]:
        """Return the clones of this database that exist."""
        ...

    def connect(self, name: str) -> AbstractContextManager[Wire]:
        """Yield a read-write connection to a clone.

        Raises:
            NotFoundError: there is no such clone.
        """
        ...

    def drop(self, name: str) -> bool:
        """Remove a clone and all that belongs to it; return whether it was there."""
        ...

    def collect(self, *, owners: frozenset[str] = frozenset()) -> int:
        """Remove expired clones, and all of the owners given; return how many were removed."""
        ...


@dataclass(frozen=True, slots=True)
class PoolSetting:
    """What a pooler's file says of a pool's size, as far as it has to be put back exactly.

    Attributes:
        size: in force when it was looked at.
        name: the database that the line is for; `*`: all without one of their own.
        token: the text about the size; empty: none.
        mark: our comment above the line; empty: none.
        digest: of the line, to see whether anybody changed it.
    """

    size: int
    name: str
    token: str
    mark: str
    digest: str


class Pooler(Protocol):
    """Facet: the pooler before the database; it changes the pooler's file, never the database."""

    database: str  # what the pooler calls it

    def reading(self) -> PoolerReading:
        """Return what its pools do now."""
        ...

    def cannot_size(self) -> str:
        """Return why the size cannot be changed, and what would let it; empty: it can."""
        ...

    def size_before(self) -> int | None:
        """Return the size from before it was first changed; None: it was not, or nobody knows."""
        ...

    def setting(self) -> PoolSetting:
        """Return what the file says now."""
        ...

    def changed_digest(self, size: int) -> str:
        """Return the digest that the line will have with another size."""
        ...

    def resize(self, size: int) -> None:
        """Write the file, then have it read; harmless when it says so already."""
        ...

    def restore(self, setting: PoolSetting, *, ours: str) -> None:
        """Put back what the file said, then have it read; harmless when it does already.

        Raises PoolerFileError when the line is neither this nor ours (by its digest).
        """
        ...
