"""Foreign keys, and which of them a change of the parent has to ask.

Whoever deletes a row that others may refer to, or changes its key, has the database look for rows
that do, one search for each row. Neither engine makes an index for that (PostgreSQL documentation,
5.5.5; SQLite, "Foreign Key Support", 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from homeostat.engine.engine import Engine
from homeostat.engine.facets import IndexInfo
from homeostat.engine.statements import statement
from homeostat.engine.texts import parsed


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One foreign key; `parent_columns` is empty where it is the parent's primary key."""

    table: str
    schema: str
    columns: tuple[str, ...]
    parent: str
    parent_schema: str
    parent_columns: tuple[str, ...]

    def served_by(self, indexes: Sequence[IndexInfo]) -> bool:
        """Return whether an index begins with its columns, in whatever order."""
        return any(
            (one.schema, one.table) == (self.schema, self.table)
            and one.valid
            and one.where is None
            and set(one.columns[: len(self.columns)]) == set(self.columns)
            for one in indexes
        )


def foreign_keys(engine: Engine) -> list[ForeignKey]:
    """Return the foreign keys of the user's tables; reads the catalogue only.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    found: dict[object, list[dict[str, object]]] = {}
    for row in engine.execute(statement(engine.dialect, "foreign_keys")).dicts():
        found.setdefault(row["number"], []).append(dict(row))
    return [_key(rows) for rows in found.values()]


def _key(rows: Sequence[dict[str, object]]) -> ForeignKey:
    first = rows[0]
    return ForeignKey(
        str(first["table_name"]),
        str(first["schema_name"]),
        tuple(str(row["column_name"]) for row in rows),
        str(first["parent_name"]),
        str(first["parent_schema"]),
        tuple(str(row["parent_column"]) for row in rows if row["parent_column"] is not None),
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
