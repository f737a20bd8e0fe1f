"""Indexes and statistics of PostgreSQL.

Indexes are built, dropped and rebuilt CONCURRENTLY, so that nobody waits for them. A concurrent
build that fails leaves an invalid index, which is dropped, here or by the next attempt. Where a
table is partitioned, its parts get the index one by one. Waits for locks are bounded.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from time import perf_counter
from typing import Any

from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Wire
from homeostat.engine import postgres_statistics
from homeostat.engine.facets import ColumnInfo, IndexInfo, IndexSpec, TableInfo, ViewInfo
from homeostat.engine.maintain import definition_of, part_name, refuse_other
from homeostat.engine.statements import statement
from homeostat.errors import HomeostatError, StatementError
from homeostat.measure import Unknown

# a build waits for transactions older than it; nobody queues behind it meanwhile, so this is longer
# than for statements that others wait for
LOCK_TIMEOUT_MS = 10_000
QUEUE_TIMEOUT_MS = 1_000
# nobody waits for what is built CONCURRENTLY, so it need not be quick: one process builds it and
# not three, and what it writes goes to the disk bit by bit (commits wait behind a burst)
GENTLE = {"max_parallel_maintenance_workers": "0", "backend_flush_after": "256kB"}
PUBLIC = "public"
NO_STATISTICS = Unknown("the table was never analysed; run ANALYZE")
LOCKED = Unknown("somebody holds or wants the table for himself alone; asking would wait for him")
IN_PARTS = Unknown("the table is partitioned; its parts say")
_PARTS = """
SELECT n.nspname, c.relname FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = to_regclass(:name) ORDER BY 1, 2
"""
_LEFTOVER = re.compile(r"_cc(new|old)[0-9]*\Z")


class PostgresMaintain:
    """Facet: indexes and statistics."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Wire]]) -> None:
        """Take what yields the reserved connection in a reading transaction."""
        self._transaction = transaction

    def tables(self, *, wire: Wire | None = None) -> Sequence[TableInfo]:
        """Return the user's tables; reads only."""
        with self._reading(wire) as given:
            rows = given.execute(statement("postgresql", "tables")).dicts()
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault((str(row["schema_name"]), str(row["table_name"])), []).append(row)
        return [_table(listed) for listed in found.values()]

    def indexes(self, table: str | None = None, *, wire: Wire | None = None) -> Sequence[IndexInfo]:
        """Return the user's indexes; `table` is a name, or `schema.name`; reads only.

        Raises:
            DatabaseLockedError: somebody holds a table for himself alone; definitions wait for him.
        """
        with self._reading(wire) as given:
            rows = given.execute(statement("postgresql", "indexes")).dicts()
        found = [_index(row) for row in rows]
        return [one for one in found if table in {None, one.table, f"{one.schema}.{one.table}"}]

    def views(self, *, wire: Wire | None = None) -> Sequence[ViewInfo]:
        """Return the user's views; reads only."""
        with self._reading(wire) as given:
            rows = given.execute(statement("postgresql", "views")).rows
        return [ViewInfo(str(name), str(made), str(schema)) for schema, name, made in rows]

    def create_index(self, spec: IndexSpec, *, wire: Wire, deadline_ms: float | None) -> float:
        """Build an index CONCURRENTLY; return the seconds it took.

        Raises:
            DatabaseLockedError: transactions older than the build did not end in time.
            DatabaseError: it was not built; nothing of it is left, if the wire still worked.
        """
        return self._create(spec, wire, deadline_ms, whole=spec.name)

    def _create(
        self, spec: IndexSpec, wire: Wire, deadline_ms: float | None, *, whole: str
    ) -> float:
        """Build an index, or that of a part of the table whose index is `whole`."""
        schema = spec.schema or PUBLIC
        known = self._find(schema, spec.name, wire)
        if known is not None and known.valid:
            refuse_other(known, spec, where=wire.label)
            return 0.0
        started = perf_counter()
        with _limited(wire, deadline_ms):
            if known is not None:
                _drop(schema, spec.name, wire)
            try:
                if _kind(schema, spec.table, wire) == "p":
                    self._create_in_parts(schema, spec, wire, deadline_ms, whole)
                else:
                    target = f"{quoted(schema)}.{quoted(spec.table)}"
                    text = definition_of(spec, target=target, how="CONCURRENTLY")
                    wire.execute(text, deadline_ms=deadline_ms)
            except HomeostatError:
                self._drop_invalid(schema, spec.name, wire)
                raise
        return perf_counter() - started

    def _create_in_parts(
        self, schema: str, spec: IndexSpec, wire: Wire, deadline_ms: float | None, whole: str
    ) -> None:
        """Build the index of each part CONCURRENTLY, then join them: the whole cannot be built so.

        The whole is invalid until the last part has joined; dropping it drops those that have.
        """
        target = f"{quoted(schema)}.{quoted(spec.table)}"
        above = f"{quoted(schema)}.{quoted(spec.name)}"
        wire.execute(definition_of(spec, target=f"ONLY {target}"))
        for part_schema, part_table in wire.execute(_PARTS, {"name": target}).rows:
            part = dataclasses.replace(
                spec,
                table=str(part_table),
                schema=str(part_schema),
                name=part_name(whole, f"{part_schema}.{part_table}"),
            )
            self._create(part, wire, deadline_ms, whole=whole)
            name = f"{quoted(part.schema)}.{quoted(part.name)}"
            try:
                wire.execute(f"ALTER INDEX {above} ATTACH PARTITION {name}")
            except HomeostatError:
                with suppress(HomeostatError):
                    _drop(part.schema, part.name, wire)
                raise

    def drop_index(self, name: str, *, schema: str = "", wire: Wire) -> None:
        """Drop an index CONCURRENTLY; does nothing when it is not there."""
        with _limited(wire, None):
            _drop(schema or PUBLIC, name, wire)

    def rebuild_index(self, name: str, *, schema: str = "", wire: Wire) -> None:
        """Rebuild an index CONCURRENTLY; leftovers of one that failed are removed first and after.

        Raises:
            StatementError: there is no such index.
        """
        space = schema or PUBLIC
        if self._find(space, name, wire) is None:
            message = "There is no index of this name. List what exists, then try again."
            raise StatementError(message, where=wire.label, detail=f"{space}.{name}")
        with _limited(wire, None):
            self._drop_leftovers(space, name, wire)
            try:
                wire.execute(f"REINDEX INDEX CONCURRENTLY {quoted(space)}.{quoted(name)}")
            except HomeostatError:
                with suppress(HomeostatError):
                    self._drop_leftovers(space, name, wire)
                raise

    def refresh_statistics(self, tables: Sequence[str], *, wire: Wire) -> None:
        """ANALYZE the tables, given as `name` (in public) or `schema.name`."""
        names = {(one.schema, one.name) for one in self.tables(wire=wire)}
        with _limited(wire, None):
            for table in tables:
                schema, _, name = table.partition(".")
                if (PUBLIC, table) in names or (schema, name) not in names:
                    schema, name = PUBLIC, table
                wire.execute(f"ANALYZE {quoted(schema)}.{quoted(name)}")

    def read_statistics(self, table: str = "", *, wire: Wire) -> postgres_statistics.Statistics:
        """Return the statistics of a table of the schema `public` (from version 18 on)."""
        place = f"{PUBLIC}.{quoted(table)}"
        return postgres_statistics.read(wire, schema=PUBLIC, name=table, place=place)

    def write_statistics(self, rows: postgres_statistics.Statistics, *, wire: Wire) -> None:
        """Put back what `read_statistics` returned."""
        schema, name = rows[postgres_statistics.RELATION][0][:2]
        postgres_statistics.write(wire, rows, schema=str(schema), name=str(name))

    def _reading(self, wire: Wire | None) -> AbstractContextManager[Wire]:
        return self._transaction() if wire is None else nullcontext(wire)

    def _find(self, schema: str, name: str, wire: Wire) -> IndexInfo | None:
        for info in self.indexes(wire=wire):
            if (info.schema, info.name) == (schema, name):
                return info
        return None

    def _drop_invalid(self, schema: str, name: str, wire: Wire) -> None:
        """Drop what a failed build left; without a connection the next attempt does it."""
        with suppress(HomeostatError):
            found = self._find(schema, name, wire)
            if found is not None and not found.valid:
                _drop(schema, name, wire)

    def _drop_leftovers(self, schema: str, name: str, wire: Wire) -> None:
        """Drop invalid indexes that REINDEX CONCURRENTLY left (`name_ccnew`, `name_ccold1`...)."""
        for info in self.indexes(wire=wire):
            match = _LEFTOVER.search(info.name)
            if match is None or info.valid or info.schema != schema:
                continue
            if name.startswith(info.name[: match.start()]):  # a long name was cut to fit
                _drop(schema, info.name, wire)


@contextmanager
def _limited(wire: Wire, deadline_ms: float | None) -> Iterator[None]:
    """Bound waits for locks, the whole, and its share of the server; then all is as before."""
    wanted = {
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "statement_timeout": "0" if deadline_ms is None else str(int(deadline_ms)),
        **GENTLE,
    }
    before = {
        name: wire.execute("SELECT current_setting(:name)", {"name": name}).scalar()
        for name in wanted
    }
    for name, value in wanted.items():
        wire.execute(f"SET {name} = '{value}'")
    try:
        yield
    finally:
        if not wire.broken:
            with suppress(HomeostatError):
                for name, old in before.items():
                    wire.execute(f"SET {name} = '{old}'")


def _drop(schema: str, name: str, wire: Wire) -> None:
    """Drop an index if it is there; that of a table in parts cannot be dropped CONCURRENTLY."""
    how = "" if _kind(schema, name, wire) == "I" else "CONCURRENTLY "
    if not how:  # others queue behind this one's wait for its lock
        wire.execute(f"SET lock_timeout = {QUEUE_TIMEOUT_MS}")
    wire.execute(f"DROP INDEX {how}IF EXISTS {quoted(schema)}.{quoted(name)}")
    wire.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")


def _kind(schema: str, name: str, wire: Wire) -> object:
    asked = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:name)"
    return wire.execute(asked, {"name": f"{quoted(schema)}.{quoted(name)}"}).scalar()


def _table(rows: Sequence[Mapping[str, Any]]) -> TableInfo:
    first = rows[0]
    in_parts = first["kind"] == "p"
    count = first["row_count"]
    changed = first["changed"]
    return TableInfo(
        first["table_name"],
        tuple(
            ColumnInfo(row["column_name"], row["type"], row["not_null"], row["distinct_count"])
            for row in rows
            if row["column_name"] is not None
        ),
        schema=first["schema_name"],
        rows=NO_STATISTICS if count is None or count < 0 else count,
        bytes=IN_PARTS if in_parts else LOCKED if first["bytes"] is None else first["bytes"],
        changed=IN_PARTS if in_parts or changed is None else changed,
        analysed=first["analysed"],
    )


def _index(row: Mapping[str, Any]) -> IndexInfo:
    return IndexInfo(
        row["name"],
        row["table_name"],
        tuple(row["columns"]),
        row["definition"],
        schema=row["schema_name"],
        unique=row["is_unique"],
        constraint=row["is_constraint"],
        valid=row["is_valid"],
        where=row["condition"],
        bytes=row["bytes"],
        scans=Unknown("statistics of it are not kept") if row["scans"] is None else row["scans"],
    )
