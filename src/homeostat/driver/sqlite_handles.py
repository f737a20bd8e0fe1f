"""Counts this process's handles of SQLite files, so that no second library opens one of them.

POSIX advisory locks belong to the process: when any descriptor of a file is closed, the locks of
all others are gone, and SQLite keeps count of its own library's only. The bookkeeping here is
exact for handles of our driver; where there is no /proc it cannot see strangers and lets all pass.
It opens and closes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from homeostat.driver import sqlite_files
from homeostat.driver.sqlite_files import FileId
from homeostat.errors import OpenedTwiceError


class OpenFile:
    """What this process holds of one database file.

    Attributes:
        handles: open connections of our driver.
        descriptors: file descriptors that are known to be SQLite's own.
        wal_was_there: whether a -wal file stood there before the first of them.
    """

    __slots__ = ("descriptors", "handles", "wal_was_there")

    def __init__(self, *, wal_was_there: bool) -> None:
        """Begin without a handle."""
        self.handles = 0
        self.descriptors: frozenset[int] = frozenset()
        self.wal_was_there = wal_was_there


lock = threading.Lock()  # held while a handle is opened or closed
_open: dict[FileId, OpenFile] = {}


def refuse_strangers(file: FileId, *, label: str, count: Callable[[FileId], int]) -> None:
    """Raise when descriptors of the file are open that our SQLite library does not explain.

    Args:
        file: the database file.
        label: for the message.
        count: returns how many connections of our SQLite library lead to the file, those included
            that the application made itself.

    Raises:
        OpenedTwiceError: another library, or plain code, has it open in this process.
    """
    entry = _open.get(file)
    known = entry.descriptors if entry else frozenset()
    if not sqlite_files.open_descriptors(file) - known:
        return
    if count(file) <= (entry.handles if entry else 0):
        raise OpenedTwiceError(where=label)


def opened(path: Path, *, wal_was_there: bool) -> FileId:
    """Note a new handle; return its file."""
    status = path.stat()
    file = (status.st_dev, status.st_ino)
    entry = _open.setdefault(file, OpenFile(wal_was_there=wal_was_there))
    entry.handles += 1
    entry.descriptors = sqlite_files.open_descriptors(file)
    return file


def closed(file: FileId) -> OpenFile:
    """Note that a handle was closed; return what is left of the file."""
    entry = _open[file]
    entry.handles -= 1
    if entry.handles == 0:
        del _open[file]
    else:
        entry.descriptors &= sqlite_files.open_descriptors(file)
    return entry
