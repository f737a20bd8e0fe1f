"""Counts rows of a live database within a bound: how many a table has, and how many match.

Two reading statements on the reserved connection, each with a row limit and a deadline. A count
that did not end is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Params
from homeostat.engine.engine import Engine
from homeostat.errors import DatabaseError
from homeostat.tune.values import used_by

COUNTED_MAX = 500_000  # rows; a larger table counts as this large


def target_of(table: str, schema: str = "") -> str:
    """Return a table as an SQL name."""
    return f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)


def count_rows(engine: Engine, table: str, *, schema: str = "", deadline_ms: float) -> float | None:
    """Return how many rows a table has, at most `COUNTED_MAX`; None: it took too long."""
    return _count(engine, target_of(table, schema), [], {}, deadline_ms)


def count_matching(
    engine: Engine,
    table: str,
    conditions: Sequence[str],
    params: Params,
    *,
    schema: str = "",
    deadline_ms: float,
) -> float | None:
    """Return how many rows match all conditions, at most `COUNTED_MAX`.

    None: it took too long, or the conditions cannot be asked by themselves.
    """
    return _count(engine, target_of(table, schema), conditions, params, deadline_ms)


def matching_sql(target: str, conditions: Sequence[str]) -> str:
    """Return the statement whose rows are those that match."""
    where = f" WHERE {' AND '.join(f'({one})' for one in conditions)}" if conditions else ""
    return f"SELECT 1 FROM {target}{where}"


def _count(
    engine: Engine, target: str, conditions: Sequence[str], params: Params, deadline_ms: float
) -> float | None:
    inner = f"{matching_sql(target, conditions)} LIMIT {COUNTED_MAX}"
    sql = f"SELECT count(*) FROM ({inner}) AS counted"
    try:
        found = engine.execute(sql, used_by(sql, params), deadline_ms=deadline_ms).scalar()
    except DatabaseError:
        return None
    return float(found) if isinstance(found, int | float) else None
