"""Foreign keys, and which of them a change of the parent has to ask.

Whoever deletes a row that others may refer to, or changes its key, has the database look for rows
that do, one search for each row. Neither engine makes an index for that (PostgreSQL documentation,
5.5.5; SQLite, "Foreign Key Support", 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from homeostat.engine.engine import Engine
from homeostat.engine.facets import IndexInfo, TableInfo
from homeostat.engine.maintain import plain_expression
from homeostat.engine.statements import statement
from homeostat.engine.texts import parsed

IS_SET = (" is not null", " notnull", " not null")  # the last two are SQLite's


def finds(
    columns: Sequence[str | None],
    key: Sequence[str],
    *,
    condition: str | None = None,
    unique: bool = False,
) -> bool:
    """Return whether an index finds the rows that have values in the columns of a key.

    It begins with these, in whatever order, or is unique by some of them. One that leaves out rows
    without a value is as good: both engines take it where a column equals something (PostgreSQL
    documentation, 11.8; SQLite, "Partial Indexes", 3).

    Args:
        columns: of the index; None: an expression.
        key: columns that the rows are looked up by.
        condition: of the index, SQL.
        unique: whether the index is.
    """
    wanted = {name.lower() for name in key}
    there = [(name or "").lower() for name in columns]
    if set(there[: len(wanted)]) != wanted and not (unique and wanted.issuperset(there)):
        return False
    if not condition:
        return True
    return all(_named_set(part) in wanted for part in plain_expression(condition).split(" and "))


def _named_set(condition: str) -> str:
    """Return the column of which a condition says that it has a value; nothing: it says more."""
    column = next((condition.removesuffix(end) for end in IS_SET if condition.endswith(end)), "")
    return column.strip('"`[]').lower()


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One foreign key.

    Attributes:
        parent_columns: empty where they are the parent's primary key.
        parts: schema and name of the tables that hold the rows, where the table is partitioned.
    """

    table: str
    schema: str
    columns: tuple[str, ...]
    parent: str
    parent_schema: str
    parent_columns: tuple[str, ...]

    parts: tuple[tuple[str, str], ...] = ()

    def served_by(self, indexes: Sequence[IndexInfo], tables: Sequence[TableInfo]) -> bool:
        """Return whether its rows are found: by an index of each part, or (SQLite) the rowid."""
        holders = set(self.parts or [(self.schema, self.table)])
        served = {
            (one.schema, one.table)
            for one in indexes
            if one.valid
            and (one.schema, one.table) in holders
            and finds(one.columns, self.columns, condition=one.where, unique=one.unique)
        }
        in_order = {
            (one.schema, one.name)
            for one in tables
            if any(column.is_rowid and column.name in self.columns for column in one.columns)
        }
        return holders <= served | in_order


def foreign_keys(engine: Engine) -> list[ForeignKey]:
    """Return the foreign keys of the user's tables; reads the catalogue only.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    found: dict[object, list[dict[str, Any]]] = {}
    for row in engine.execute(statement(engine.dialect, "foreign_keys")).dicts():
        found.setdefault(row["number"], []).append(dict(row))
    return [_key(rows) for rows in found.values()]


def _key(rows: Sequence[dict[str, Any]]) -> ForeignKey:
    first = rows[0]
    schemas, names = (first.get(column) or [] for column in ("part_schemas", "part_names"))
    return ForeignKey(
        str(first["table_name"]),
        str(first["schema_name"]),
        tuple(str(row["column_name"]) for row in rows),
        str(first["parent_name"]),
        str(first["parent_schema"]),
        tuple(str(row["parent_column"]) for row in rows if row["parent_column"] is not None),
        tuple(zip(schemas, names, strict=True)),
    )


def asked_by(sql: str, dialect: str, keys: Sequence[ForeignKey]) -> list[ForeignKey]:
    """Return the keys whose tables are searched for each row that a statement changes.

    An UPDATE asks those whose parent's columns it sets; where they are not named it asks none that
    could be told.
    """
    tree = parsed(sql, dialect)
    if not isinstance(tree, exp.Delete | exp.Update) or not isinstance(tree.this, exp.Table):
        return []
    name, schema = tree.this.name.lower(), tree.this.db.lower()
    mine = [
        one
        for one in keys
        if one.parent.lower() == name and schema in {"", one.parent_schema.lower()}
    ]
    if isinstance(tree, exp.Delete):
        return mine
    set_to = {
        one.this.name.lower()
        for one in tree.expressions
        if isinstance(one, exp.EQ) and isinstance(one.this, exp.Column)
    }
    return [one for one in mine if set_to & {column.lower() for column in one.parent_columns}]
