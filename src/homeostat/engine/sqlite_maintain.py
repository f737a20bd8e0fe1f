"""Indexes and statistics of SQLite.

Building an index holds the write lock for its whole time, so writers wait that long: try it on a
clone first (`maintain.try_index`). ANALYZE stalls writers too, so statistics are refreshed on a
clone and its rows are installed here, which takes milliseconds; the rows that were there before are
the exact undo. Connections that are open use new rows after `ANALYZE sqlite_schema`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Wire
from homeostat.engine.facets import ColumnInfo, IndexInfo, IndexSpec, TableInfo, ViewInfo
from homeostat.engine.maintain import definition_of, parts_of, refuse_other
from homeostat.engine.statements import statement
from homeostat.errors import DatabaseError, StatementError
from homeostat.measure import Unknown

STATISTICS = ("sqlite_stat1", "sqlite_stat4")
EXPRESSION = "\1"  # see indexes.sql
DBSTAT_BYTES_MAX = 64_000_000  # dbstat reads every page of the file
NO_STATISTICS = Unknown("the table was never analysed; ANALYZE on a clone, then install its rows")
NO_CHANGES = Unknown("SQLite does not count changes since ANALYZE")
NO_TIME = Unknown("SQLite does not keep when ANALYZE ran")
NO_SCANS = Unknown("SQLite does not count the uses of an index")
_DIRECTION = re.compile(r"\s+(asc|desc)\Z", re.IGNORECASE)
NOT_MEASURED = Unknown("the file is too large to read all of it for its tables' sizes")


class SqliteMaintain:
    """Facet: indexes and statistics."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Wire]]) -> None:
        """Take what yields the reserved connection in a reading transaction."""
        self._transaction = transaction

    def tables(self, *, wire: Wire | None = None) -> Sequence[TableInfo]:
        """Return the user's tables, virtual ones and their shadows left out; reads only."""
        with self._reading(wire) as given:
            columns = given.execute(statement("sqlite", "columns")).rows
            statistics = _statistics(given)
            sizes = _sizes(given)
        found: dict[str, list[ColumnInfo]] = {}
        for table, name, kind, not_null, is_rowid in columns:
            distinct = statistics.get(str(table), _NONE).distinct.get(str(name))
            column = ColumnInfo(
                str(name), str(kind), bool(not_null), distinct, is_rowid=bool(is_rowid)
            )
            found.setdefault(str(table), []).append(column)
        return [
            TableInfo(
                name,
                tuple(listed),
                rows=statistics[name].rows if name in statistics else NO_STATISTICS,
                bytes=NOT_MEASURED if sizes is None else sizes.get(name, 0.0),
                changed=NO_CHANGES,
                analysed=NO_TIME if name in statistics else None,
            )
            for name, listed in found.items()
        ]

    def indexes(self, table: str | None = None, *, wire: Wire | None = None) -> Sequence[IndexInfo]:
        """Return the user's indexes; reads only."""
        with self._reading(wire) as given:
            sizes = _sizes(given)
            found = _indexes(given, sizes)
        return [one for one in found if table in {None, one.table}]

    def views(self, *, wire: Wire | None = None) -> Sequence[ViewInfo]:
        """Return the user's views; reads only."""
        asked = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name"
        with self._reading(wire) as given:
            rows = given.execute(asked).rows
        return [ViewInfo(str(name), str(made)) for name, made in rows]

    def create_index(self, spec: IndexSpec, *, wire: Wire, deadline_ms: float | None) -> float:
        """Build an index; return the seconds it took, in which writers had to wait."""
        for info in _indexes(wire, None):
            if info.name == spec.name:
                refuse_other(info, spec, where=wire.label)
                return 0.0
        text = definition_of(spec, target=quoted(spec.table))
        started = perf_counter()
        wire.execute(text, deadline_ms=deadline_ms)
        return perf_counter() - started

    def drop_index(self, name: str, *, schema: str = "", wire: Wire) -> None:
        """Drop an index; does nothing when it is not there."""
        _refuse_schema(schema)
        wire.execute(f"DROP INDEX IF EXISTS {quoted(name)}")

    def rebuild_index(self, name: str, *, schema: str = "", wire: Wire) -> None:
        """Rebuild an index; writers wait meanwhile.

        Raises:
            StatementError: there is no such index.
        """
        _refuse_schema(schema)
        if all(info.name != name for info in _indexes(wire, None)):
            message = "There is no index of this name. List what exists, then try again."
            raise StatementError(message, where=wire.label, detail=name)
        wire.execute(f"REINDEX {quoted(name)}")

    def refresh_statistics(self, tables: Sequence[str], *, wire: Wire) -> None:
        """ANALYZE the tables; for a clone, since writers wait meanwhile."""
        for table in tables:
            wire.execute(f"ANALYZE {quoted(table)}")

    def read_statistics(self, table: str = "", *, wire: Wire) -> dict[str, list[list[object]]]:
        """Return the rows of sqlite_stat1 and sqlite_stat4; one that is not there is left out.

        They are those of all tables, whichever is named.

        Rows are JSON-ready: the samples, which are bytes, stand as `{"hex": ...}`.
        """
        del table
        return {
            one: [[_as_json(value) for value in row] for row in wire.execute(_all(one)).rows]
            for one in _there(wire)
        }

    def write_statistics(self, rows: dict[str, list[list[object]]], *, wire: Wire) -> None:
        """Replace the planner's statistics rows by these, in one transaction.

        A table that is not among them is dropped, so that reading before and writing after leaves
        exactly what was there. Nothing is analysed.

        Raises:
            StatementError: rows of a table that SQLite does not keep statistics in.
        """
        if strange := set(rows) - set(STATISTICS):
            message = "SQLite keeps no statistics in this table. Give rows of read_statistics."
            raise StatementError(message, where=wire.label, detail=", ".join(sorted(strange)))
        wire.begin(write=True)
        try:
            if set(rows) - set(_there(wire)):
                wire.execute("ANALYZE sqlite_schema")  # makes the empty tables, reads no data
            for table in _there(wire):
                if table in rows:
                    wire.execute(f"DELETE FROM {table}")
                    _insert(wire, table, rows[table])
                else:
                    wire.execute(f"DROP TABLE {table}")
            wire.commit()
        except BaseException:
            if not wire.broken:
                wire.rollback()
            raise

    def _reading(self, wire: Wire | None) -> AbstractContextManager[Wire]:
        return self._transaction() if wire is None else nullcontext(wire)


class _Statistics:
    """What sqlite_stat1 says of one table."""

    def __init__(self) -> None:
        self.rows: float | Unknown = NO_STATISTICS
        self.distinct: dict[str, float] = {}


_NONE = _Statistics()


def _statistics(wire: Wire) -> dict[str, _Statistics]:
    """Return by table the rows, and by column that leads an index how many values it has."""
    if "sqlite_stat1" not in _there(wire):
        return {}
    found: dict[str, _Statistics] = {}
    leading = {
        str(row["name"]): str(row["columns"]).split("\0", 1)[0]
        for row in wire.execute(statement("sqlite", "indexes")).dicts()
    }
    for table, index, text in wire.execute("SELECT tbl, idx, stat FROM sqlite_stat1").rows:
        numbers = [float(word) for word in str(text).split() if word.isdecimal()]
        if not numbers:
            continue
        one = found.setdefault(str(table), _Statistics())
        one.rows = numbers[0]
        column = leading.get(str(index))
        if column and column != EXPRESSION and len(numbers) > 1 and numbers[1] > 0:
            one.distinct[column] = max(1.0, numbers[0] / numbers[1])
    return found


def _sizes(wire: Wire) -> dict[str, float] | None:
    """Return bytes by table and index; None: the file is too large to ask."""
    pages = wire.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    total = pages.scalar()
    if not isinstance(total, int | float) or total > DBSTAT_BYTES_MAX:
        return None
    rows = wire.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").rows
    return {str(name): float(str(size)) for name, size in rows}


def _indexes(wire: Wire, sizes: Mapping[str, float] | None) -> list[IndexInfo]:
    return [_index(row, sizes) for row in wire.execute(statement("sqlite", "indexes")).dicts()]


def _index(row: Mapping[str, Any], sizes: Mapping[str, float] | None) -> IndexInfo:
    definition = row["definition"] or ""
    parts, where = parts_of(definition) if definition else ((), None)
    columns = str(row["columns"]).split("\0")
    if len(parts) == len(columns):
        columns = [
            _DIRECTION.sub("", part) if column == EXPRESSION else column
            for part, column in zip(parts, columns, strict=True)
        ]
    return IndexInfo(
        row["name"],
        row["table_name"],
        tuple(columns),
        definition,
        unique=bool(row["is_unique"]),
        constraint=row["origin"] != "c",
        where=where,
        bytes=NOT_MEASURED if sizes is None else sizes.get(row["name"], 0.0),
        scans=NO_SCANS,
    )


def _there(wire: Wire) -> list[str]:
    asked = (
        "SELECT name FROM sqlite_schema WHERE name IN ('sqlite_stat1', 'sqlite_stat4') ORDER BY 1"
    )
    return [str(name) for (name,) in wire.execute(asked).rows]


def _all(table: str) -> str:
    columns = "tbl, idx, stat" if table == "sqlite_stat1" else "tbl, idx, neq, nlt, ndlt, sample"
    return f"SELECT {columns} FROM {table} ORDER BY rowid"


def _insert(wire: Wire, table: str, rows: Sequence[Sequence[object]]) -> None:
    for row in rows:
        marks = ", ".join(f":p{number}" for number in range(len(row)))
        values = {f"p{number}": _as_value(value) for number, value in enumerate(row)}
        wire.execute(f"INSERT INTO {table} VALUES ({marks})", values)


def _as_json(value: object) -> object:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _as_value(value: object) -> object:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def _refuse_schema(schema: str) -> None:
    if schema not in {"", "main"}:
        raise DatabaseError("An SQLite file has no schemas. Leave the schema away.")
