"""What a driver gives the rest of Homeostat: a Wire, one open connection to one database.

SQL takes named parameters written `:name` on both engines; the PostgreSQL driver rewrites them for
psycopg. A wire belongs to one thread at a time; only `cancel` may be called from another.
Every failure is one of `homeostat.errors`; the driver's own exceptions never leave `driver/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

Value = str | int | float | bytes | bool | None
Params = Mapping[str, object]
NO_PARAMS: Params = {}


class Rows(msgspec.Struct, frozen=True):
    """What a statement returned; a Struct, since one is made for every call.

    Attributes:
        columns: column names; empty for a statement that returns no rows.
        rows: tuples of plain Python values, all of them (a wire never streams lazily here).
        changed: rows inserted, updated or deleted.
    """

    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[object, ...]] = ()
    changed: int = 0

    def dicts(self) -> list[dict[str, object]]:
        """Return the rows as dictionaries by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def scalar(self) -> object:
        """Return the first column of the first row, or None if there is no row."""
        return self.rows[0][0] if self.rows else None


@runtime_checkable
class Wire(Protocol):
    """One open connection."""

    dialect: str  # "sqlite" or "postgresql"
    label: str  # where it leads, without secrets
    pooled: bool  # a pooler is in between: each transaction may be on another session or server

    @property
    def broken(self) -> bool:
        """Return whether the connection can no longer be used."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""
        ...

    @property
    def lock_wait_seconds(self) -> float:
        """Return seconds spent waiting for locks since opening, the wait under way included.

        SQLite: time in the busy handler. PostgreSQL: always 0 here; the server knows, ask
        `Inspect.activity`.
        """
        ...

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one statement to its end and return all its rows.

        Args:
            sql: one statement with `:name` parameters.
            params: the values by name.
            deadline_ms: stop the statement after this many milliseconds; None: no limit.

        Raises:
            DeadlineExceededError, StatementCancelledError, DatabaseLockedError, ConstraintError,
            SerializationError, StatementError, DiskFullError, ReadOnlyDatabaseError,
            CorruptDatabaseError, ConnectionLostError.
        """
        ...

    def execute_many(self, sql: str, rows: Sequence[Params]) -> int:
        """Run one statement for each set of parameters; return the rows changed."""
        ...

    def begin(self, *, write: bool, deadline_ms: float | None = None) -> None:
        """Start a transaction; on SQLite a writing one takes the write lock at once (IMMEDIATE).

        `deadline_ms` ends the waiting for the lock, or for the server's answer.
        """
        ...

    def commit(self, *, deadline_ms: float | None = None) -> None:
        """Commit; never cancelled.

        `deadline_ms` is how long to wait for a server's answer, 2 to 30 s.

        Raises:
            CommitUnknownError: the connection broke after COMMIT was sent.
        """
        ...

    def rollback(self) -> None:
        """Roll back; does nothing when no transaction is open."""
        ...

    def cancel(self) -> None:
        """Stop the statement under way, from any thread; it raises StatementCancelledError."""
        ...

    def close(self) -> None:
        """Close; closing twice is harmless."""
        ...
