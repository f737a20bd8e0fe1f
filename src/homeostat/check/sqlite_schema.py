"""The tables, columns, indexes and foreign keys of an SQLite file, as several checks need them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary

from homeostat.check.look import Look
from homeostat.driver.tokens import quoted

ROWID_NAMES = ("rowid", "_rowid_", "oid")
CHUNK = 200  # terms of one compound SELECT; SQLite permits 500
GENERATED = {2, 3}


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `key` is its place in the primary key, 0: not part of it."""

    name: str
    type: str
    not_null: bool
    key: int
    generated: bool

    @property
    def affinity(self) -> str:
        """Return the affinity of its declared type (https://www.sqlite.org/datatype3.html, 3.1)."""
        declared = self.type.upper()
        if "INT" in declared:
            return "INTEGER"
        if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
            return "TEXT"
        if "BLOB" in declared or not declared:
            return "BLOB"
        if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
            return "REAL"
        return "NUMERIC"


@dataclass(frozen=True, slots=True)
class Index:
    """An index; `columns` are (name, descending, collation), the name of an expression is None.

    `origin` is c (CREATE INDEX), u (UNIQUE) or pk (PRIMARY KEY).
    """

    name: str
    table: str
    unique: bool
    origin: str
    partial: bool
    sql: str | None
    columns: tuple[tuple[str | None, bool, str], ...]

    @property
    def names(self) -> tuple[str | None, ...]:
        """Return the names of its columns."""
        return tuple(name for name, _, _ in self.columns)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: columns of the child, and those of the parent they are to be found in."""

    table: str
    id: int
    parent: str
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what belongs to it."""

    name: str
    sql: str
    without_rowid: bool
    strict: bool
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Return the names of the primary key's columns."""
        ordered = sorted((one for one in self.columns if one.key), key=lambda one: one.key)
        return tuple(one.name for one in ordered)

    @property
    def rowid(self) -> str | None:
        """Return a name under which the rowid can be asked for; None: there is none."""
        names = {one.name.lower() for one in self.columns}
        free = [name for name in ROWID_NAMES if name not in names]
        return None if self.without_rowid or not free else free[0]

    def column(self, name: str) -> Column | None:
        """Return a column by its name, whatever its letters' case."""
        found = [one for one in self.columns if one.name.lower() == name.lower()]
        return found[0] if found else None


@dataclass(slots=True)
class _Known:
    """What was read of a file in one look: the schema is asked for once."""

    tables: list[Table] | None = None
    spans: dict[str, int] | None = None


_KNOWN: WeakKeyDictionary[Look, _Known] = WeakKeyDictionary()


def tables_of(look: Look) -> list[Table]:
    """Return the user's tables by name."""
    known = _KNOWN.setdefault(look, _Known())
    if known.tables is None:
        known.tables = _read(look)
    return known.tables


def _read(look: Look) -> list[Table]:
    columns: dict[str, list[Column]] = defaultdict(list)
    for row in look.rows("columns"):
        if row["hidden"] == 1:
            continue
        generated = row["hidden"] in GENERATED
        column = Column(row["name"], row["type"], bool(row["not_null"]), row["pk"], generated)
        columns[row["table_name"]].append(column)
    indexes: dict[str, list[Index]] = defaultdict(list)
    for one in _indexes(look.rows("indexes")):
        indexes[one.table].append(one)
    keys = _foreign_keys(look.rows("foreign_keys"), columns)
    return [
        Table(
            row["name"],
            row["sql"],
            bool(row["without_rowid"]),
            bool(row["strict"]),
            tuple(columns[row["name"]]),
            tuple(indexes[row["name"]]),
            tuple(keys[row["name"]]),
        )
        for row in look.rows("tables")
    ]


def _indexes(rows: list[dict[str, Any]]) -> list[Index]:
    found = []
    for (table, name), listed in groupby(rows, lambda row: (row["table_name"], row["name"])):
        parts = list(listed)
        keys = tuple(
            (one["column_name"], bool(one["descending"]), one["collation"]) for one in parts
        )
        head = parts[0]
        unique, partial = bool(head["is_unique"]), bool(head["partial"])
        found.append(Index(name, table, unique, head["origin"], partial, head["sql"], keys))
    return found


def _foreign_keys(
    rows: list[dict[str, Any]], columns: dict[str, list[Column]]
) -> dict[str, list[ForeignKey]]:
    lower = {name.lower(): name for name in columns}
    found: dict[str, list[ForeignKey]] = defaultdict(list)
    for (table, number), listed in groupby(rows, lambda row: (row["table_name"], row["id"])):
        parts = list(listed)
        parent = lower.get(parts[0]["parent"].lower(), parts[0]["parent"])
        given = tuple(one["parent_column"] for one in parts)
        if None in given:
            keyed = sorted((one for one in columns.get(parent, ()) if one.key), key=lambda c: c.key)
            given = tuple(one.name for one in keyed)
        child = tuple(one["child_column"] for one in parts)
        found[table].append(ForeignKey(table, number, parent, child, given))
    return found


def at_least(look: Look, table: Table, rows: int) -> bool:
    """Return whether a table has so many rows; it reads no more than that."""
    known = _KNOWN.setdefault(look, _Known())
    if known.spans is None:
        known.spans = {
            name: largest - smallest + 1
            for name, (smallest, largest) in rowid_ranges(look, tables_of(look)).items()
        }
    if table.rowid and known.spans.get(table.name, 0) < rows:
        return False  # more rows than numbers there cannot be
    asked = f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table.name)} LIMIT {int(rows)})"
    return int(str(look.execute(asked).scalar())) >= rows


def rowid_ranges(look: Look, tables: list[Table]) -> dict[str, tuple[int, int]]:
    """Return the smallest and largest rowid of each table that has rowids and rows."""
    asked = [(one.name, one.rowid) for one in tables if one.rowid]
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(asked), CHUNK):
        terms = [
            f"SELECT {text(name)}, (SELECT min({rowid}) FROM {quoted(name)}),"
            f" (SELECT max({rowid}) FROM {quoted(name)})"
            for name, rowid in asked[start : start + CHUNK]
        ]
        for name, smallest, largest in look.execute(" UNION ALL ".join(terms)).rows:
            if isinstance(smallest, int) and isinstance(largest, int):
                found[str(name)] = (smallest, largest)
    return found


def text(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
