"""Counts rows of a live database within a bound: how many a table has, and how many match.

Reading statements on the reserved connection, each with a row limit and a deadline. A count that
did not end is told from a part of the table (SQLite) or by the planner (PostgreSQL), and says so;
else there is none, never a guess. How long a count took tells how long it takes to read the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Params
from homeostat.engine.engine import Engine, Unsupported
from homeostat.errors import DatabaseError
from homeostat.operate.views import COUNTED_MAX
from homeostat.tune.values import used_by

PART_ROWS = 20_000  # of a table whose count did not end


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of rows. `ms`: how long it took; None: it is an estimate."""

    rows: float
    ms: float | None


def target_of(table: str, schema: str = "") -> str:
    """Return a table as an SQL name."""
    return f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)


def count_rows(
    engine: Engine, table: str, *, schema: str = "", deadline_ms: float
) -> Counted | None:
    """Return how many rows a table has, at most `COUNTED_MAX`; None: it took too long."""
    return _count(engine, matching_sql(target_of(table, schema), []), {}, deadline_ms)


def count_matching(
    engine: Engine,
    table: str,
    conditions: Sequence[str],
    params: Params | None,
    *,
    rows: float,
    schema: str = "",
    deadline_ms: float,
) -> Counted | None:
    """Return how many rows match all conditions, at most `COUNTED_MAX`.

    Args:
        engine: the live database.
        table: its name.
        conditions: SQL.
        params: of the call; None: not known, so the planner is asked (PostgreSQL).
        rows: how many the table has.
        schema: PostgreSQL.
        deadline_ms: for the count.
    """
    target = target_of(table, schema)
    sql = matching_sql(target, conditions)
    if params is not None:
        found = _count(engine, sql, params, deadline_ms)
        if found is not None:
            return found
    if engine.dialect == "postgresql":
        expected = expected_rows(engine, sql, params)
        return None if expected is None else Counted(expected, None)
    if params is None:
        return None
    part = f"(SELECT * FROM {target} LIMIT {PART_ROWS})"
    found = _count(engine, matching_sql(part, conditions), params, deadline_ms)
    if found is None:
        return None
    return Counted(found.rows * max(1.0, rows / PART_ROWS), None)


def expected_rows(engine: Engine, sql: str, params: Params | None) -> float | None:
    """Return how many rows the planner expects of a statement; None where it says not."""
    explain = engine.explain
    if isinstance(explain, Unsupported) or engine.dialect != "postgresql":
        return None
    try:
        used = None if params is None else used_by(sql, params)
        return explain.estimate(sql, used).root.rows_estimated
    except DatabaseError:
        return None


def matching_sql(target: str, conditions: Sequence[str]) -> str:
    """Return the statement whose rows are those that match."""
    where = f" WHERE {' AND '.join(f'({one})' for one in conditions)}" if conditions else ""
    return f"SELECT 1 FROM {target}{where}"


def _count(engine: Engine, inner: str, params: Params, deadline_ms: float) -> Counted | None:
    sql = f"SELECT count(*) FROM ({inner} LIMIT {COUNTED_MAX}) AS counted"
    began = perf_counter()
    try:
        found = engine.execute(sql, used_by(sql, params), deadline_ms=deadline_ms).scalar()
    except DatabaseError:
        return None
    ms = 1000 * (perf_counter() - began)
    return Counted(float(found), ms) if isinstance(found, int | float) else None
