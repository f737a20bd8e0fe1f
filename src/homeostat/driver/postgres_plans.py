"""Prepared statements whose plan has become stale: a table's columns changed under them.

The server refuses such a statement before it does anything, again and again on each connection that
prepared it, so after a deploy an application would have to be started anew. Here the statement is
prepared anew instead and run again. A pooler keeps what it prepared, also when it is told to forget
it: behind one, the statement is not prepared any more on this connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg

from homeostat.errors import DeadlineExceededError, SerializationError

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
    def preparing(self, connection: psycopg.Connection[Any], text: bytes) -> Iterator[None]:
        """Let psycopg's `executemany`, which prepares whatever it is given, prepare or not."""
        before = connection.prepare_threshold
        if text in self._unprepared:
            connection.prepare_threshold = None
        try:
            yield
        finally:
            connection.prepare_threshold = before

    @contextmanager
    def renewed(
        self, wire: PostgresWire, text: bytes, deadline: float | None = None
    ) -> Iterator[float | None]:
        """Forget the stale plan of a statement, which then may be run again inside.

        Args:
            wire: the connection.
            text: the statement.
            deadline: monotonic time until which the statement may take; None: no limit.

        Yields:
            How many milliseconds of the deadline are left.

        Raises:
            SerializationError: a transaction was open, which the refusal has ended.
            DeadlineExceededError: no time is left.
        """
        in_transaction = wire.in_transaction
        if in_transaction or wire.pooled:
            self._unprepared.add(text)
        else:
            wire.execute("DEALLOCATE ALL", deadline_ms=_left_ms(wire, deadline))
            self._unprepared.clear()
        if in_transaction:
            message = (
                "A table's columns changed since this connection prepared the statement, which "
                "ended the transaction. Run the transaction again."
            )
            raise SerializationError(message, where=wire.label)
        left_ms = _left_ms(wire, deadline)
        self._renewing = True
        try:
            yield left_ms
        finally:
            self._renewing = False


def _left_ms(wire: PostgresWire, deadline: float | None) -> float | None:
    """Return how many milliseconds are left until the deadline, None if there is none.

    Raises:
        DeadlineExceededError: it has passed.
    """
    if deadline is None:
        return None
    left = deadline - monotonic()
    if left <= 0:
        raise DeadlineExceededError(where=wire.label)
    return left * 1000
