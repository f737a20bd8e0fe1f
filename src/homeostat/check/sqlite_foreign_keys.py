"""Foreign keys of SQLite: rows without a parent, parents without a key, no index on the child."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.check.sqlite_aside import BAIL, put_aside
from homeostat.check.sqlite_schema import ForeignKey, Table, at_least, tables_of
from homeostat.driver.tokens import comment, quoted
from homeostat.engine.foreign_keys import finds
from homeostat.engine.maintain import parts_of
from homeostat.measure import Severity


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(quoted(one) for one in columns)


def _lower(columns: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple((one or "").lower() for one in columns)


def _has_key(parent: Table, columns: tuple[str, ...]) -> bool:
    """Return whether the columns are unique in the parent, as a foreign key demands."""
    wanted = sorted(_lower(columns))
    if sorted(_lower(parent.key)) == wanted:
        return True
    return any(
        one.unique and not one.partial and sorted(_lower(one.names)) == wanted
        for one in parent.indexes
    )


def _violated(look: Look) -> Iterator[Finding]:
    tables = {one.name: one for one in tables_of(look)}
    keys = {(key.table, key.id): key for one in tables.values() for key in one.foreign_keys}
    sound = sorted(
        {
            table.name
            for table in tables.values()
            if table.foreign_keys
            and all(
                key.parent in tables and _has_key(tables[key.parent], key.parent_columns)
                for key in table.foreign_keys
            )
        }
    )
    if not sound:
        return
    for row in look.ask("orphans", {"tables": json.dumps(sound)}):
        key = keys[row["table_name"], row["id"]]
        yield Finding(
            severity=Severity.HIGH,
            what=f"{row['rows_count']:,} rows refer to rows of {quoted(key.parent)} that are not "
            "there",
            where=f"{quoted(key.table)} ({_names(key.child_columns)})",
            cause="they were written, or their parents deleted, by a connection that did not set "
            "PRAGMA foreign_keys = ON, which SQLite leaves off",
            evidence={"rows": row["rows_count"], "parent": key.parent},
            mend_sql=_put_aside(look, key, tables[key.table]),
            risk="The rows are kept in a table beside it and then cut loose or deleted. Look at "
            "them first: some parents may have to come back instead. Rows that refer to deleted "
            f"ones stay, and are found by the next check. {BAIL}",
            cost=Cost(kind="risk", amount=0.7),
        )


def _put_aside(look: Look, key: ForeignKey, child: Table) -> str:
    """Return SQL that keeps the orphans beside, then sets what refers to NULL or deletes them."""
    pairs = zip(key.child_columns, key.parent_columns, strict=True)
    there = " AND ".join(
        f"p.{quoted(parent)} = {quoted(key.table)}.{quoted(own)}" for own, parent in pairs
    )
    set_ = " AND ".join(f"{quoted(own)} IS NOT NULL" for own in key.child_columns)
    orphans = f"{set_} AND NOT EXISTS (SELECT 1 FROM {quoted(key.parent)} p WHERE {there})"
    found = [child.column(name) for name in key.child_columns]
    loose = all(one is not None and not one.not_null and not one.key for one in found)
    nulls = ", ".join(f"{quoted(own)} = NULL" for own in key.child_columns)
    change = (
        f"UPDATE {quoted(key.table)} SET {nulls}" if loose else f"DELETE FROM {quoted(key.table)}"
    )
    beside = f"{key.table}_orphans_{'_'.join(key.child_columns)}_{int(look.at)}"
    lines = put_aside(child, where=orphans, change=change, beside=beside)
    lines.append("-- And in every connection of the application: PRAGMA foreign_keys = ON;")
    return "\n".join(lines)


def _mismatch(look: Look) -> Iterator[Finding]:
    tables = {one.name: one for one in tables_of(look)}
    for table in tables.values():
        for key in table.foreign_keys:
            parent = tables.get(key.parent)
            if parent is not None and _has_key(parent, key.parent_columns):
                continue
            there = parent is not None and all(parent.column(c) for c in key.parent_columns)
            mend = comment(
                f"Create {quoted(key.parent)}, or make {quoted(table.name)} anew without the "
                "constraint."
            )
            if parent is not None and there and key.parent_columns:
                name = quoted(f"{parent.name}_{'_'.join(key.parent_columns)}_unique")
                columns = _names(key.parent_columns)
                mend = f"CREATE UNIQUE INDEX {name} ON {quoted(parent.name)} ({columns});"
            yield Finding(
                severity=Severity.HIGH,
                what="the foreign key leads to columns that are not unique"
                if there
                else "the foreign key leads nowhere: its parent is not there",
                where=f"{quoted(table.name)} ({_names(key.child_columns)})",
                cause="SQLite does not look at the parent when the constraint is made; with "
                "foreign_keys on, every write of the child fails",
                evidence={"parent": key.parent, "parent_columns": ", ".join(key.parent_columns)},
                mend_sql=mend,
                risk="Fails if values occur twice: then decide which row is right first.",
                cost=Cost(kind="risk", amount=0.6),
            )


def _without_index(look: Look) -> Iterator[Finding]:
    rows_min = look.config.check.sqlite_rows_min
    tables: Mapping[str, Table] = {one.name: one for one in tables_of(look)}
    for table in tables.values():
        for key in table.foreign_keys:
            if _served(table, key) or not at_least(look, table, rows_min):
                continue
            name = quoted(f"{table.name}_{'_'.join(key.child_columns)}")
            yield Finding(
                severity=Severity.WARNING,
                what=f"each delete or change of a key in {quoted(key.parent)} reads all of "
                f"{quoted(table.name)}",
                where=f"{quoted(table.name)} ({_names(key.child_columns)})",
                cause="a foreign key makes no index on the columns that refer",
                evidence={"parent": key.parent, "rows_at_least": rows_min},
                mend_sql=f"CREATE INDEX {name} ON {quoted(table.name)} "
                f"({_names(key.child_columns)});",
                risk="Writers wait while it is built; each write of the columns then costs a "
                "little more.",
                cost=Cost(kind="time", amount=0.0),
            )


def _served(table: Table, key: ForeignKey) -> bool:
    """Return whether an index, the primary key or the rowid finds the rows that refer."""
    in_order = table.without_rowid or len(table.key) == 1
    if in_order and finds(table.key, key.child_columns, unique=True):
        return True
    return any(
        finds(
            one.names,
            key.child_columns,
            condition=parts_of(one.sql)[1] if one.partial and one.sql else None,
            unique=one.unique,
        )
        for one in table.indexes
    )


CHECKS = (
    Check(
        rule="foreign_key_violated",
        dialect="sqlite",
        sees="whether foreign keys hold",
        help=(
            "Rows refer to parents that are not there: some connection wrote with foreign_keys "
            "off, which is SQLite's default. Put the rows aside, and switch it on everywhere."
        ),
        judge=_violated,
    ),
    Check(
        rule="foreign_key_mismatch",
        dialect="sqlite",
        sees="what foreign keys lead to",
        help=(
            "A foreign key leads to columns that are not unique, or to a table that is not there. "
            "With foreign_keys on, writes of the child fail with `foreign key mismatch`."
        ),
        judge=_mismatch,
    ),
    Check(
        rule="foreign_key_without_index",
        dialect="sqlite",
        sees="indexes of foreign keys",
        help=(
            "The columns of a foreign key have no index, in a table of at least `[check] "
            "sqlite_rows_min` rows: each delete of a parent reads the whole child."
        ),
        judge=_without_index,
    ),
)
