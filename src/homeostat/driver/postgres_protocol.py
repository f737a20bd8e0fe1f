"""What psycopg's cursors do too, in a third of the time: commands without values, names of columns.

And how a transaction ends, and with it what was prepared. One statement at a time on a connection;
what psycopg raises passes unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import generators, pq

# as psycopg's _preparing.py: the same object may be made again, with another number
_ENDING = ("ROLLBACK", "DROP", "ALTER", "DISCARD ALL", "DEALLOCATE ALL")
_WITHIN = (
    b"SAVEPOINT homeostat_forget; ROLLBACK TO SAVEPOINT homeostat_forget; "
    b"RELEASE SAVEPOINT homeostat_forget"
)


def command(connection: psycopg.Connection[Any], statement: bytes) -> str:
    """Run a command that returns no rows, or several; return the last one's tag."""
    connection.pgconn.send_query(statement)
    results = connection.wait(generators.execute(connection.pgconn))
    for result in results:
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result, encoding=connection.info.encoding)
    return (results[-1].command_status or b"").decode()


def roll_back(connection: psycopg.Connection[Any]) -> str:
    """Roll back, and forget what was prepared: the types that it knows may be gone.

    psycopg's own rollback does both, but only where a transaction is open.
    """
    if connection.info.transaction_status == pq.TransactionStatus.IDLE:
        command(connection, b"BEGIN")
    connection.rollback()
    return "ROLLBACK"


def tag_of(
    connection: psycopg.Connection[Any], cursor: psycopg.Cursor[tuple[Any, ...]], *, pooled: bool
) -> str:
    """Return the tag of what a cursor has run, after which psycopg may have to forget."""
    tag = cursor.statusmessage or ""
    if tag.startswith(_ENDING) and not pooled:  # a pooler keeps what it prepared
        _forget(connection)
    return tag


def _forget(connection: psycopg.Connection[Any]) -> None:
    """Have psycopg forget what it prepared, also what the server has forgotten already.

    It does so itself after such a statement, but looks for that only when it first runs a text, and
    where nothing is prepared then, never again. Of several statements in one text it always looks.
    """
    if connection.info.transaction_status != pq.TransactionStatus.IDLE:
        connection.execute(_WITHIN)
        return
    with suppress(psycopg.Error):  # what ran is committed; the next tells of a lost connection
        connection.execute(b"BEGIN; ROLLBACK")


def rows_of(
    connection: psycopg.Connection[Any], cursor: psycopg.Cursor[tuple[Any, ...]]
) -> tuple[tuple[str, ...], Sequence[tuple[object, ...]]]:
    """Return the columns and rows of what a cursor has run; the cursor keeps none of them."""
    result = cursor.pgresult
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[object, ...]] = ()
    if result is not None:
        if result.status == pq.ExecStatus.TUPLES_OK:
            columns = _names(connection, result)
            rows = cursor.fetchall()
        result.clear()
    return columns, rows


def _names(connection: psycopg.Connection[Any], result: pq.abc.PGresult) -> tuple[str, ...]:
    """Return the names of a result's columns; a cursor's description takes 3 us more."""
    if not result.nfields:
        return ()
    names = b"\0".join([result.fname(number) or b"" for number in range(result.nfields)])
    encoding = "ascii" if names.isascii() else connection.info.encoding
    return tuple(names.decode(encoding).split("\0"))
