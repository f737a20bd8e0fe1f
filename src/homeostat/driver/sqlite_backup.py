"""Copies an SQLite database into a new file by the backup API, at one moment.

The source is read in one transaction that is held from the first page to the last, so the copy is
of one moment and a writer beside it never makes it start again. In WAL mode writers go on; in
rollback mode they wait for the end. Nothing is written to the source.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from homeostat.driver import sqlite, sqlite_errors
from homeostat.driver.sqlite import SqliteWire
from homeostat.errors import HomeostatError

STEP_BYTES = 256_000  # between two looks at the clock; below 1 ms of copying
FILE_MODE = 0o600


def backup(
    source: SqliteWire,
    path: Path,
    *,
    key: str | None = None,
    go_on: Callable[[int], None] | None = None,
) -> int:
    """Copy the database that `source` leads to into a new file; return its bytes.

    Args:
        source: not in a transaction; nothing else may use it meanwhile.
        path: must not exist; only its owner may read it.
        key: the passphrase of an encrypted source; the copy gets the same.
        go_on: called between steps with the bytes copied; what it raises ends the copy.

    Raises:
        FileExistsError: something stands at the path.
        DatabaseError: the source cannot be read, or the copy not be written.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    target = sqlite.connect(path, mode="foreign", key=key, label=str(path))
    try:
        # it is thrown away when the copy is not finished, so it needs neither journal nor syncs
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        source.begin(write=False)
        try:
            page_bytes = int(str(source.execute("PRAGMA page_size").scalar()))
            source.execute("SELECT count(*) FROM sqlite_schema")  # the moment begins here
            return _copy(source, target, page_bytes, go_on or _pass)
        finally:
            source.rollback()
    finally:
        target.close()


def _copy(
    source: SqliteWire, target: SqliteWire, page_bytes: int, go_on: Callable[[int], None]
) -> int:
    pages = max(1, STEP_BYTES // page_bytes)
    copied = 0
    try:
        with target.handle().backup("main", source.handle(), "main") as copying:
            while not copying.step(pages):
                go_on((copying.page_count - copying.remaining) * page_bytes)
            copied = int(copying.page_count) * page_bytes
    except HomeostatError:
        raise
    except Exception as error:
        code = getattr(error, "extendedresult", 0) or getattr(error, "result", 0)
        if not code:
            raise
        raise sqlite_errors.translated(code, str(error), where=target.label) from None
    return copied


def _pass(_: int) -> None:
    return
