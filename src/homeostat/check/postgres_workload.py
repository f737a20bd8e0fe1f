"""The statements that cost PostgreSQL most, what they ask of tables, and their plans.

Read from pg_stat_statements once per look, and once more to see what happened meanwhile. Plans are
estimated, never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from homeostat.check.look import Look
from homeostat.check.postgres_catalogue import Row, indexes_of, key_columns, row_count, tables
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import ColumnInfo, IndexInfo, Plan, Statement, TableInfo
from homeostat.engine.postgres_explain import PostgresExplain
from homeostat.engine.postgres_workload import PostgresWorkload, find_workload
from homeostat.engine.texts import parsed, tables_of
from homeostat.errors import DatabaseError, RightMissingError

STATEMENTS_MAX = 200
EXPLAINED_MAX = 15
READS_AND_WRITES = ("select", "with", "insert", "update", "delete", "merge", "values")


@dataclass(slots=True)
class Workload:
    """What the statements have cost, when they were first looked at.

    Attributes:
        facet: asks again.
        begun: the budget's seconds at the first look.
        statements: the costliest first; only those that read or change rows of tables.
        explained: keys of statements whose cause another finding names.
        tables: the names, in lower case, of all that the statements ask.
        indexes: the names of indexes that another finding has built.
    """

    facet: PostgresWorkload
    begun: float
    statements: Sequence[Statement]
    explained: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)


def workload(look: Look) -> Workload | None:
    """Return the statements; None: the server does not tell, and the look says why."""
    return look.once("workload", lambda: _first_look(look))


def _first_look(look: Look) -> Workload | None:
    found = find_workload(look.execute)
    if isinstance(found, Unsupported):
        look.miss("what statements cost", reason=found.reason, mend=found.mend)
        return None
    statements = asked_for(found)
    if found.note:
        hidden, _, mend = found.note.partition("; ")
        look.miss("statements of other roles", reason=hidden, mend=f"{mend};")
    load = Workload(found, look.budget.seconds, statements)
    for one in statements:
        load.tables |= tables_of(one.text, "postgresql")
    return load


def asked_for(facet: PostgresWorkload) -> list[Statement]:
    """Return the statements that read or change rows, the costliest first."""
    return [
        one
        for one in facet.statements(limit=STATEMENTS_MAX)
        if one.text.lstrip("( \n").lower().startswith(READS_AND_WRITES)
        and any(not name.startswith("pg_") for name in tables_of(one.text, "postgresql"))
        and parsed(one.text, "postgresql") is not None
    ]


def plan_of(statement: Statement, look: Look) -> Plan | None:
    """Return how a statement would be carried out; None: it cannot be told."""
    plans: dict[str, Plan | None] = look.once("plans", dict)
    if statement.key not in plans:
        plans[statement.key] = _estimated(statement, look)
    return plans[statement.key]


def _estimated(statement: Statement, look: Look) -> Plan | None:
    try:
        return PostgresExplain(look.transaction).estimate(statement.text)
    except RightMissingError:
        look.miss(
            "plans of statements",
            reason="this role may not read the tables that they ask",
            mend=f"GRANT pg_read_all_data TO {look.role};",
        )
    except DatabaseError:
        pass  # a text cut off, or of objects that are gone: no plan, no finding
    return None


def tables_named(statements: Sequence[Statement], look: Look) -> list[TableInfo]:
    """Return the tables that statements name, with their columns."""
    names = sorted(
        {name for one in statements for name in tables_of(one.text, "postgresql")}
    )  # fmt: skip
    columns: list[Row] = look.once("columns", lambda: look.ask("columns", {"names": names}))
    known = tables(look)
    found: dict[int, list[Row]] = {}
    for row in columns:
        found.setdefault(row["oid"], []).append(row)
    return [_table(known[oid], listed) for oid, listed in found.items() if oid in known]


def _table(table: Row, columns: Sequence[Row]) -> TableInfo:
    return TableInfo(
        table["table_name"],
        tuple(
            ColumnInfo(row["column_name"], row["type"], row["not_null"], row["distinct_count"])
            for row in columns
        ),
        schema=table["schema_name"],
        rows=row_count(table),
    )


def indexes_there(look: Look) -> list[IndexInfo]:
    """Return the indexes of the tables that statements name, as facets tell them."""
    columns_named: list[Row] = look.once("columns", list)
    names = {(row["oid"], row["number"]): str(row["column_name"]) for row in columns_named}
    known, found = tables(look), []
    for oid, listed in indexes_of(look).items():
        table = known.get(oid)
        if table is None:
            continue
        for row in listed:
            if row["method"] != "btree":
                continue
            columns = tuple(names.get((oid, number), "") for number in key_columns(row))
            found.append(
                IndexInfo(
                    row["bare_name"],
                    table["table_name"],
                    columns,
                    "",
                    schema=table["schema_name"],
                    valid=row["is_valid"],
                    where=row["condition"] or None,
                )
            )
    return found
