"""Who waits for the write lock of an SQLite file in this process, so that its release wakes them.

SQLite tells nobody when the lock gets free: whoever wants it tries again after a while, and who
comes at the right moment overtakes all. Here a writer of this process that is done wakes the one
that has waited the longest, and later ones queue up behind. Other processes cannot be heard, so a
waiter still tries by itself too. Nothing here takes or grants the lock.
"""

from __future__ import annotations

import threading
from collections import deque
from weakref import WeakValueDictionary

from homeostat.driver.fork import FORKED
from homeostat.driver.sqlite_files import FileId


class Line:
    """The waiters for one file, the first come first; safe to use from any thread.

    Attributes:
        waiting: who waits; only to be looked at from outside, most of the time it is empty.
    """

    __slots__ = ("__weakref__", "_lock", "waiting")

    def __init__(self) -> None:
        """Begin empty."""
        self._after_fork()
        FORKED.add(self)

    def _after_fork(self) -> None:
        """Let nobody wait: the threads of the parent's waiters are not in the child."""
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


class _Lines:
    """The lines of the files that are open; all connections of a process to a file share one."""

    def __init__(self) -> None:
        self._of_file: WeakValueDictionary[FileId, Line] = WeakValueDictionary()
        self._after_fork()
        FORKED.add(self)

    def _after_fork(self) -> None:
        """Have a lock that nobody holds."""
        self._lock = threading.Lock()

    def of(self, file: FileId) -> Line:
        with self._lock:
            line = self._of_file.get(file)
            if line is None:
                line = self._of_file[file] = Line()
            return line


line_of = _Lines().of
"""Return the line of a file; all connections of this process share it."""
