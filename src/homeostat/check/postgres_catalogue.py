"""What several checks of PostgreSQL want: the tables, indexes and foreign keys, and since when.

Rows are those of sql/postgresql/*.sql: database, tables, indexes, foreign_keys and the parts of
these.
"""

from __future__ import annotations

from typing import Any

from homeostat.check.look import Look
from homeostat.engine.foreign_keys import finds

Row = dict[str, Any]
ROW_MS = 1e-4  # a scan reads some 10 million cached rows a second on one core


def tables(look: Look) -> dict[int, Row]:
    """Return the user's tables by oid."""
    return {row["oid"]: row for row in look.rows("tables")}


def indexes_of(look: Look) -> dict[int, list[Row]]:
    """Return the indexes of each table, by the table's oid."""
    found: dict[int, list[Row]] = {}
    for row in look.rows("indexes"):
        found.setdefault(row["table_oid"], []).append(row)
    return found


def index_scans(look: Look) -> dict[int, float]:
    """Return how often the indexes of each table were scanned, by the table's oid."""
    return {oid: sum(row["scans"] for row in rows) for oid, rows in indexes_of(look).items()}


def row_count(table: Row) -> float:
    """Return how many rows a table has: what is counted as they come and go, else at ANALYZE."""
    return float(table["live"] or table["rows_counted"])


def key_columns(index: Row) -> list[int]:
    """Return the numbers of an index's key columns; 0 stands for an expression."""
    return [int(number) for number in index["columns"].split()][: index["key_count"]]


def holders_of(key: Row, look: Look) -> list[Row]:
    """Return the tables that hold a foreign key's rows, each with the numbers of its columns."""
    parts = [one for one in look.rows("foreign_key_parts") if one["key_oid"] == key["oid"]]
    return parts or [key]


def serves(index: Row, key: Row, numbers: list[int]) -> bool:
    """Return whether an index finds rows by the columns of a foreign key.

    Args:
        index: of the table that holds the rows.
        key: the foreign key.
        numbers: those of its columns in that table.
    """
    names = dict(zip(numbers, key["bare_columns"], strict=True))
    columns = [names.get(number) for number in key_columns(index)]
    usable = index["is_valid"] and index["method"] == "btree"
    return usable and finds(
        columns, key["bare_columns"], condition=index["condition"], unique=index["is_unique"]
    )


def counted_seconds(look: Look) -> float:
    """Return for how long statistics have been counting, at least."""
    return max(1.0, look.at - float(look.row("database")["since"]))


def drop_index(index: Row) -> str:
    """Return how to drop an index: nobody waits for it, unless it is one in parts."""
    if index["kind"] == "I":  # CONCURRENTLY is not possible for these
        return f"DROP INDEX {index['name']};"
    return f"DROP INDEX CONCURRENTLY {index['name']};"
