"""What psycopg's cursors do too, in a third of the time: commands without values, names of columns.

And how a transaction or a connection ends. One statement at a time on a connection; what psycopg
raises passes unchanged.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import generators, pq

LAST_WORDS_MAX = 4  # a server that hangs up leaves a message and an end of file to read


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


def still_there(connection: psycopg.Connection[Any], poll: select.poll) -> bool:
    """Return whether a server that has said something unasked has not hung up."""
    pgconn = connection.pgconn
    with suppress(psycopg.Error):
        for _ in range(LAST_WORDS_MAX):
            if pgconn.status == pq.ConnStatus.OK and poll.poll(0):
                pgconn.consume_input()
    return pgconn.status == pq.ConnStatus.OK


def hang_up(connection: psycopg.Connection[Any]) -> None:
    """Close a connection under the thread that waits for it."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as twin:
        twin.shutdown(socket.SHUT_RDWR)


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
