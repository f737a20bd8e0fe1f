"""Rows as they come, in batches: nothing holds a whole result, on the server or here.

SQLite steps the statement; the reading transaction around it is one moment of the database.
PostgreSQL keeps a cursor in a transaction and is asked for a batch at a time, so that a pooler in
transaction mode can do it too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count, islice

from homeostat.driver.sqlite import SqliteWire
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire

_numbers = count(1)


def batches(
    wire: Wire,
    sql: str,
    params: Params = NO_PARAMS,
    *,
    size: int,
    deadline_ms: float | None = None,
) -> Generator[Rows, None, None]:
    """Run one reading statement and yield its rows in batches; closing it ends the statement.

    Args:
        wire: has a transaction open.
        sql: one statement that returns rows.
        params: the values by name.
        size: rows of a batch.
        deadline_ms: the longest time for one batch.

    Raises:
        DatabaseError: as of `Wire.execute`.
    """
    if isinstance(wire, SqliteWire):
        return _stepped(wire, sql, params, size=size, deadline_ms=deadline_ms)
    return _cursor(wire, sql, params, size=size, deadline_ms=deadline_ms)


def _stepped(
    wire: SqliteWire, sql: str, params: Params, *, size: int, deadline_ms: float | None
) -> Generator[Rows, None, None]:
    with _guarded(wire, deadline_ms):
        cursor = wire.noting(sql).execute(sql, params)
        columns = wire._columns  # noqa: SLF001  this package's own
        rows = list(islice(cursor, size))
    try:
        while rows:
            yield Rows(columns, rows)
            if len(rows) < size:
                return
            with _guarded(wire, deadline_ms):
                rows = list(islice(cursor, size))
    finally:
        cursor.close(True)


@contextmanager
def _guarded(wire: SqliteWire, deadline_ms: float | None) -> Iterator[None]:
    """Have what runs stopped in time, and fail with our errors."""
    wire.handle()
    wire._watch.start(deadline_ms)  # noqa: SLF001  this package's own
    try:
        yield
    except BaseException as error:  # noqa: BLE001  the driver's become ours
        raise wire._failed(error) from None  # noqa: SLF001
    finally:
        wire._watch.finish()  # noqa: SLF001


def _cursor(
    wire: Wire, sql: str, params: Params, *, size: int, deadline_ms: float | None
) -> Generator[Rows, None, None]:
    name = f"homeostat_{next(_numbers)}"
    declare = f"DECLARE {name} NO SCROLL CURSOR FOR {sql}"
    wire.execute(declare, params, deadline_ms=deadline_ms)
    try:
        while True:
            rows = wire.execute(f"FETCH {size} FROM {name}", deadline_ms=deadline_ms)
            if rows.rows:
                yield rows
            if len(rows.rows) < size:
                break
    except GeneratorExit:  # left early; after an error the transaction ends the cursor
        wire.execute(f"CLOSE {name}", deadline_ms=deadline_ms)
        raise
    wire.execute(f"CLOSE {name}", deadline_ms=deadline_ms)
