"""Who waits for the write lock of an SQLite file in this process, so that its release wakes them.

SQLite tells nobody when the lock gets free: whoever wants it tries again after a while, and who
comes at the right moment overtakes all. Here a writer of this process that is done wakes the one
that has waited the longest, and later ones queue up behind. Other processes cannot be heard, so a
waiter still tries by itself too. Nothing here takes or grants the lock.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque

from homeostat.driver.sqlite_files import FileId


class Line:
    """The waiters for one file, the first come first; safe to use from any thread.

    Attributes:
        waiting: who waits; only to be looked at from outside, most of the time it is empty.
    """

    __slots__ = ("__weakref__", "_lock", "waiting")

    def __init__(self) -> None:
        """Begin empty."""
        self.clear()

    def clear(self) -> None:
        """Forget who waits."""
        self._lock = threading.Lock()
        self.waiting: deque[threading.Event] = deque()

    def join(self, wake: threading.Event) -> None:
        """Queue up; the event is set when it is worth to try."""
        with self._lock:
            self.waiting.append(wake)

    def leave(self, wake: threading.Event) -> None:
        """Wait no longer."""
        with self._lock:
            if wake in self.waiting:
                self.waiting.remove(wake)

    def pass_on(self) -> None:
        """Wake the first: the lock was given back."""
        if self.waiting:  # seen without the lock
            with self._lock:
                if self.waiting:
                    self.waiting[0].set()


_lock = threading.Lock()
_lines: weakref.WeakValueDictionary[FileId, Line] = weakref.WeakValueDictionary()


def line_of(file: FileId) -> Line:
    """Return the line of a file; all connections of this process share it."""
    with _lock:
        line = _lines.get(file)
        if line is None:
            line = _lines[file] = Line()
        return line


def _after_fork() -> None:
    """Forget the parent's waiters: their threads are not in the child."""
    global _lock  # noqa: PLW0603  it may have been held in the parent
    _lock = threading.Lock()
    for line in list(_lines.values()):
        line.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
