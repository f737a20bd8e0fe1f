"""Actions on PostgreSQL's sessions: hold a lock, end what an operator before left behind.

Each lock has a direct connection of its own, since an advisory lock belongs to a session; it ends
with that session. Nothing here changes data or settings.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from homeostat.driver.postgres import PostgresWire
from homeostat.engine.statements import statement
from homeostat.errors import ConfigError, DatabaseError, DatabaseLockedError, RightMissingError

END_SECONDS_MAX = 10.0
END_LOOK_SECONDS = 0.02


class PostgresControl:
    """Facet: actions on sessions, over direct connections."""

    def __init__(
        self,
        connect: Callable[..., PostgresWire],
        *,
        own_pids: Callable[[], tuple[int, ...]],
        statement_timeout_ms: int,
    ) -> None:
        """Take what opens a direct connection, and the sessions that must never be ended.

        Args:
            connect: takes a purpose for the application_name, and limits of `postgres.connect`.
            own_pids: sessions that must never be ended.
            statement_timeout_ms: for locks and for ending sessions.
        """
        self._open = connect
        self._statement_timeout_ms = statement_timeout_ms
        self._own_pids = own_pids
        self._locks: dict[str, PostgresWire] = {}
        self._guard = threading.Lock()

    @contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """Hold the database's advisory lock of this name; yields False when it is taken.

        Raises:
            ConnectError: no connection could be opened for it.
        """
        wire = self._connect()
        try:
            params = {"number": lock_number(name)}
            wire.execute("SET idle_session_timeout = 0")  # the lock idles as long as it is held
            taken = bool(wire.execute(statement("postgresql", "try_lock"), params).scalar())
            if taken:
                with self._guard:
                    self._locks[name] = wire
            yield taken
        finally:
            with self._guard:
                if self._locks.get(name) is wire:
                    del self._locks[name]
            wire.close()

    def holds(self, name: str) -> bool:
        """Return whether the named lock is still held: its session has to answer."""
        with self._guard:
            wire = self._locks.get(name)
        if wire is None:
            return False
        try:
            wire.execute("SELECT 1", deadline_ms=self._statement_timeout_ms)
        except DatabaseError:
            return False
        return True

    @contextmanager
    def work(self, *, purpose: str, lock: str, statement_timeout_ms: int) -> Iterator[PostgresWire]:
        """Yield a direct connection to change things on, under the named advisory lock.

        Raises:
            DatabaseLockedError: another session has the lock.
            ConnectError: no connection could be opened.
        """
        wire = self._open(purpose, statement_timeout_ms=statement_timeout_ms)
        try:
            params = {"number": lock_number(lock)}
            if not wire.execute(statement("postgresql", "try_lock"), params).scalar():
                message = "Another session is changing the same thing. Wait until it has ended."
                raise DatabaseLockedError(message, where=wire.label, detail=lock)
            yield wire
        finally:
            wire.close()

    def end_work(self, application_prefix: str) -> int:
        """End every other session whose application_name starts so, and wait until all are gone.

        Raises:
            ConfigError: the prefix is empty, which would end everybody.
            RightMissingError: a session belongs to a role that this one may not signal.
            DatabaseError: a session did not end within END_SECONDS_MAX.
        """
        if not application_prefix:
            raise ConfigError("An empty application_name prefix would end every session.")
        wire = self._connect()
        try:
            return self._end_all(wire, application_prefix)
        finally:
            wire.close()

    def end_session(self, pid: int) -> bool:
        """End one session and wait for its end; return whether it was there.

        Raises:
            RightMissingError: it belongs to a role that this one may not signal.
            DatabaseError: it did not end within END_SECONDS_MAX.
        """
        wire = self._connect()
        try:
            ended = self._end(wire, pid, wait_ms=int(END_SECONDS_MAX * 1000))
        finally:
            wire.close()
        if ended is False:
            raise DatabaseError(
                "The session was told to end and did not. Look at its state in pg_stat_activity.",
                where=wire.label,
            )
        return ended is not None

    def _connect(self) -> PostgresWire:
        return self._open("control", statement_timeout_ms=self._statement_timeout_ms)

    def close(self) -> None:
        """Close the connections of the locks that are still held."""
        with self._guard:
            wires, self._locks = self._locks, {}
        for wire in wires.values():
            wire.close()

    def _end_all(self, wire: PostgresWire, prefix: str) -> int:
        with self._guard:
            own = [*self._own_pids(), *(lock.backend_pid for lock in self._locks.values())]
        params = {"prefix": prefix, "own": own}
        ended: set[tuple[object, ...]] = set()
        until = monotonic() + END_SECONDS_MAX
        pause = threading.Event()
        while True:
            found = wire.execute(statement("postgresql", "find_work"), params).rows
            if not found:
                return len(ended)
            if monotonic() > until:
                raise DatabaseError(
                    "Sessions were told to end and did not. Look at them in pg_stat_activity.",
                    where=wire.label,
                    detail=", ".join(f"process {row[0]}" for row in found),
                )
            for row in found:
                if row not in ended and self._end(wire, int(str(row[0])), wait_ms=0) is not None:
                    ended.add(row)
            pause.wait(END_LOOK_SECONDS)

    def _end(self, wire: PostgresWire, pid: int, *, wait_ms: int) -> bool | None:
        """Return whether the session was told (wait_ms 0) or has ended; None: there is none."""
        try:
            rows = wire.execute(
                statement("postgresql", "end_session"), {"pid": pid, "wait_ms": wait_ms}
            ).rows
        except RightMissingError as error:
            message = "This role may not end the session. GRANT pg_signal_backend TO it."
            raise RightMissingError(message, where=wire.label, detail=error.detail) from None
        return bool(rows[0][0]) if rows else None


def lock_number(name: str) -> int:
    """Return the 64-bit number of a named advisory lock."""
    digest = hashlib.sha256(f"homeostat:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
