"""What SQLite's result codes mean to a person: the mapping to homeostat.errors.

The numbers are those of https://www.sqlite.org/rescode.html, which promises that they stay.
"""

from __future__ import annotations

from typing import Final

from homeostat.driver.redact import redact_message
from homeostat.errors import (
    ConstraintError,
    CorruptDatabaseError,
    DatabaseError,
    DatabaseLockedError,
    DiskFullError,
    NotADatabaseError,
    PermissionRefusedError,
    ReadOnlyDatabaseError,
    SerializationError,
    StatementCancelledError,
    StatementError,
    StorageError,
)

PERM: Final = 3
BUSY: Final = 5
LOCKED: Final = 6
READONLY: Final = 8
INTERRUPT: Final = 9
IOERR: Final = 10
CORRUPT: Final = 11
FULL: Final = 13
CANTOPEN: Final = 14
SCHEMA: Final = 17
CONSTRAINT: Final = 19
AUTH: Final = 23
NOTADB: Final = 26
FATAL = {CORRUPT, NOTADB, IOERR}  # the connection is of no use any more

BUSY_SNAPSHOT: Final = 517
READONLY_RECOVERY: Final = 264
READONLY_CANTLOCK: Final = 520
READONLY_ROLLBACK: Final = 776
READONLY_DBMOVED: Final = 1032
READONLY_CANTINIT: Final = 1288
READONLY_DIRECTORY: Final = 1544

_PLAIN: dict[int, type[DatabaseError]] = {
    PERM: PermissionRefusedError,
    BUSY: DatabaseLockedError,
    LOCKED: DatabaseLockedError,
    READONLY: ReadOnlyDatabaseError,
    INTERRUPT: StatementCancelledError,
    IOERR: StorageError,
    CORRUPT: CorruptDatabaseError,
    FULL: DiskFullError,
    CANTOPEN: PermissionRefusedError,
    CONSTRAINT: ConstraintError,
    AUTH: StatementError,
    NOTADB: NotADatabaseError,
}

_WAL_NEEDS_DIRECTORY = (
    "The database is in WAL mode, and its -wal and -shm files cannot be made here. Let this user "
    "write to the directory, or keep the application running while it is read."
)
_SPECIAL: dict[int, tuple[type[DatabaseError], str]] = {
    BUSY_SNAPSHOT: (
        SerializationError,
        (
            "Another connection wrote since this transaction began to read. Run the whole "
            "transaction again, and begin it as a writing one."
        ),
    ),
    READONLY_RECOVERY: (ReadOnlyDatabaseError, _WAL_NEEDS_DIRECTORY),
    READONLY_CANTLOCK: (ReadOnlyDatabaseError, _WAL_NEEDS_DIRECTORY),
    READONLY_CANTINIT: (ReadOnlyDatabaseError, _WAL_NEEDS_DIRECTORY),
    READONLY_DIRECTORY: (ReadOnlyDatabaseError, _WAL_NEEDS_DIRECTORY),
    READONLY_ROLLBACK: (
        ReadOnlyDatabaseError,
        (
            "A program died in the middle of a transaction, and its journal must be rolled back "
            "first. Open the database once with its own application."
        ),
    ),
    READONLY_DBMOVED: (
        ReadOnlyDatabaseError,
        "The database file was moved or replaced while it was open. Open it again.",
    ),
}


def translated(code: int, message: str, *, where: str) -> DatabaseError:
    """Return the error for an extended result code.

    Args:
        code: the extended result code; its lowest byte is the primary one.
        message: SQLite's text.
        where: the database's label.
    """
    detail = redact_message(message)
    if code in _SPECIAL:
        kind, text = _SPECIAL[code]
        return kind(text, where=where, detail=detail)
    kind = _PLAIN.get(code & 0xFF, StatementError)
    return kind(where=where, detail=detail)
