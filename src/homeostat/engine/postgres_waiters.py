"""Whether anybody waits for the locks of a copy: it is ended rather than the application held up.

A dump holds ACCESS SHARE on every table until it ends. A change of a table waits for that, and
every statement on the table waits behind the change (PostgreSQL, Explicit Locking): what nobody
notices for an hour stops an application the moment somebody alters a table.
"""

from __future__ import annotations

import threading
from time import perf_counter

from homeostat.driver.postgres import PostgresWire
from homeostat.engine.statements import statement
from homeostat.errors import DatabaseError

LOOK_SECONDS = 1.0


class Waiters:
    """Looks for sessions that wait for the sessions of one copy; safe to use from any thread.

    `holder` is the process of another session that reads for the copy; 0: there is none.
    """

    def __init__(self, wire: PostgresWire, *, application: str) -> None:
        """Take a connection to the source, closed by `close`, and what the dump's is called."""
        self._wire = wire
        self._application = application
        self._turn = threading.Lock()
        self._looked = 0.0
        self.holder = 0

    def why(self) -> str:
        """Return that somebody waits, at most once a second; empty: nobody does."""
        with self._turn:
            now = perf_counter()
            if now < self._looked + LOOK_SECONDS:
                return ""
            self._looked = now
            asked = {"application": self._application, "holder": self.holder}
            try:
                waits = self._wire.execute(statement("postgresql", "waiters"), asked).scalar()
            except DatabaseError as error:
                return f"Whether anybody waits for the copy could not be asked: {error}"
        if not waits:
            return ""
        return (
            "A session waited for a lock that the copy held, as one that alters a table does, so "
            "the copy was given up. Copy it when no table is being changed."
        )

    def close(self) -> None:
        """Close the connection."""
        with self._turn:
            self._wire.close()
