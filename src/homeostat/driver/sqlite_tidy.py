"""Removes the files that our reading of somebody else's SQLite database made beside it."""

from __future__ import annotations

from pathlib import Path

import apsw


def remove_empty_wal(path: Path, key: str | None) -> None:
    """Let SQLite remove the -wal and -shm that our reading made, if nobody wrote or uses them.

    A read-only handle cannot take the lock that this needs, so a writing one is opened; it closes
    without a checkpoint unless the -wal is empty, and SQLite removes nothing that others have open.
    """
    wal = Path(f"{path}-wal")
    try:
        if wal.stat().st_size > 0:
            return
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        try:
            if key is not None:
                connection.pragma("key", key)
            connection.execute("PRAGMA schema_version").fetchall()
        finally:  # also when the file is damaged: an empty log holds nothing that could be lost
            if wal.stat().st_size == 0:
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            connection.close()
    except (apsw.Error, OSError):
        return  # not ours to write: the application's next close removes them
