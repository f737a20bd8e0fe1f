"""The reserved connection: always open, read only, for probes; it opens itself again.

Threads take turns on it. It never writes, and holds a transaction only while its caller asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.errors import ConnectionLostError

SomeWire = TypeVar("SomeWire", bound=Wire)


class Reserved(Generic[SomeWire]):
    """One connection that is opened at once, and again after it broke."""

    def __init__(self, open_wire: Callable[[], SomeWire]) -> None:
        """Open the connection.

        Args:
            open_wire: opens a new one; called again after a loss.

        Raises:
            DatabaseError: it cannot be opened.
        """
        self._open = open_wire
        self._lock = threading.RLock()
        self._closed = False
        self._wire: SomeWire = open_wire()

    def wire(self) -> SomeWire:
        """Return the connection, opened again if it broke.

        Raises:
            ConnectError: it cannot be opened now.
            ConnectionLostError: `close` was called.
        """
        with self._lock:
            if self._closed:
                raise ConnectionLostError(
                    "This engine is closed. Open it again.", where=self._wire.label
                )
            if self._wire.broken:
                self._wire.close()
                self._wire = self._open()
            return self._wire

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one reading statement; a connection that broke meanwhile is opened again once.

        Raises:
            ConnectError: the database cannot be reached.
            DatabaseError: as of `Wire.execute`.
        """
        with self._lock:
            wire = self.wire()
            try:
                return wire.execute(sql, params, deadline_ms=deadline_ms)
            except ConnectionLostError:
                if self._closed:
                    raise
            return self.wire().execute(sql, params, deadline_ms=deadline_ms)

    @contextmanager
    def transaction(self) -> Iterator[Wire]:
        """Yield the connection in one reading transaction; other threads wait for its end.

        All statements in it see the database at one moment (REPEATABLE READ on PostgreSQL).
        """
        with self._lock:
            wire = self.wire()
            wire.begin(write=False)
            try:
                if wire.dialect == "postgresql":
                    wire.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                yield wire
            finally:
                if not wire.broken:
                    wire.rollback()

    def cancel(self) -> None:
        """Stop the statement under way, if there is one, from any thread."""
        self._wire.cancel()

    def close(self) -> None:
        """Close; what runs is stopped first. Closing twice is harmless."""
        self._closed = True
        self._wire.cancel()
        with self._lock:
            self._wire.close()
