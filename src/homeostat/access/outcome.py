"""What a failed attempt means: whether it may have happened, and whether it may be made again.

Made again is what certainly had no effect (the connection was lost before, or a concurrent
transaction got in the way), and reads. A write that may have been committed is CommitUnknownError,
and is made again only if the operation is declared idempotent and no write hook would run twice.
"""

from __future__ import annotations

from homeostat.access.operation import Operation
from homeostat.driver.wire import Wire
from homeostat.errors import (
    CommitUnknownError,
    ConnectionLostError,
    DatabaseError,
    HomeostatError,
    SerializationError,
)


def may_run_again(operation: Operation, error: HomeostatError, *, hooked: bool) -> bool:
    """Return whether an attempt that failed so may be made again; `hooked`: with write hooks."""
    if isinstance(error, CommitUnknownError):
        return operation.idempotent and not hooked
    return isinstance(error, ConnectionLostError | SerializationError)


def unknown(operation: Operation, error: BaseException, wire: Wire) -> CommitUnknownError | None:
    """Return the error for a statement of its own that may have been committed all the same.

    That is a write on PostgreSQL whose connection broke under it, also because it was hung up on a
    server that did not react at the deadline: the statement may have arrived.
    """
    if not operation.write or wire.dialect != "postgresql" or not wire.broken:
        return None
    if not isinstance(error, DatabaseError) or getattr(error, "undone", False):
        return None
    return CommitUnknownError(where=operation.name, detail=error.detail)
