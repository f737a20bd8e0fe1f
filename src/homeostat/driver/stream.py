"""Rows as they come, in batches: nothing holds a whole result, on the server or here.

SQLite steps the statement; the reading transaction around it is one moment of the database.
PostgreSQL keeps a cursor in a transaction and is asked for a batch at a time, so that a pooler in
transaction mode can do it too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count, islice
from typing import Protocol, Self

from homeostat.driver.sqlite import SqliteWire
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire

_numbers = count(1)


class Source(Protocol):
    """Batches of rows; empty ones are left out."""

    def __next__(self) -> Rows:
        """Return the next batch; the first begins the statement."""
        ...

    def close(self) -> None:
        """End the statement; does nothing when it has ended."""
        ...


def batches(
    wire: Wire,
    sql: str,
    params: Params = NO_PARAMS,
    *,
    size: int,
    deadline_ms: float | None = None,
) -> Source:
    """Return the rows of one reading statement in batches; closing it ends the statement.

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
    return _Declared(wire, sql, params, size=size, deadline_ms=deadline_ms)


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


class _Declared:
    """A cursor of PostgreSQL; no generator, which the garbage collector would close anywhere."""

    def __init__(
        self, wire: Wire, sql: str, params: Params, *, size: int, deadline_ms: float | None
    ) -> None:
        """Take what will be declared for the first batch."""
        self._wire = wire
        self._sql = sql
        self._params = params
        self._size = size
        self._deadline_ms = deadline_ms
        self._name = f"homeostat_{next(_numbers)}"
        self._open = self._ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Rows:
        if self._ended:
            raise StopIteration
        limit_ms = self._deadline_ms
        try:
            if not self._open:
                declare = f"DECLARE {self._name} NO SCROLL CURSOR FOR {self._sql}"
                self._wire.execute(declare, self._params, deadline_ms=limit_ms)
                self._open = True
            fetch = f"FETCH {self._size} FROM {self._name}"
            rows = self._wire.execute(fetch, deadline_ms=limit_ms)
        except BaseException:  # the failed transaction ends the cursor
            self._open, self._ended = False, True
            raise
        if len(rows.rows) < self._size:
            self.close()
        if not rows.rows:
            raise StopIteration
        return rows

    def close(self) -> None:
        """End the cursor; does nothing when it has ended."""
        is_open, self._open, self._ended = self._open, False, True
        if is_open:
            self._wire.execute(f"CLOSE {self._name}", deadline_ms=self._deadline_ms)
