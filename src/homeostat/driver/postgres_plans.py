"""Prepared statements whose plan has become stale: a table's columns changed under them.

The server refuses such a statement before it does anything, again and again on each connection that
prepared it, so after a deploy an application would have to be started anew. Here the statement is
prepared anew instead and run again. A pooler keeps what it prepared, also when it is told to forget
it: behind one, the statement is not prepared any more on this connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from homeostat.errors import SerializationError

if TYPE_CHECKING:
    from homeostat.driver.postgres import PostgresWire


class Plans:
    """What one connection may prepare."""

    def __init__(self) -> None:
        """Let everything be prepared."""
        self._unprepared: set[bytes] = set()
        self._renewing = False

    def prepare(self, text: bytes) -> bool | None:
        """Return psycopg's `prepare` for a statement; None: when it was used often enough."""
        return False if text in self._unprepared else None

    def is_stale(self, error: Exception) -> bool:
        """Return whether a statement was refused since it was planned for other columns.

        The message, "cached plan must not change result type", may be translated; the function that
        refuses (RevalidateCachedQuery of PostgreSQL's utils/cache/plancache.c) is not. What is
        refused again after it was prepared anew is a plan within a function.
        """
        if self._renewing or not isinstance(error, psycopg.errors.FeatureNotSupported):
            return False
        return error.diag.source_function == "RevalidateCachedQuery"

    @contextmanager
    def renewed(self, wire: PostgresWire, text: bytes) -> Iterator[None]:
        """Forget the stale plan of a statement, which then may be run again inside.

        Raises:
            SerializationError: a transaction was open, which the refusal has ended.
        """
        in_transaction = wire.in_transaction
        if in_transaction or wire.pooled:
            self._unprepared.add(text)
        else:
            wire.execute("DEALLOCATE ALL")
            self._unprepared.clear()
        if in_transaction:
            message = (
                "A table's columns changed since this connection prepared the statement, which "
                "ended the transaction. Run the transaction again."
            )
            raise SerializationError(message, where=wire.label)
        self._renewing = True
        try:
            yield
        finally:
            self._renewing = False
