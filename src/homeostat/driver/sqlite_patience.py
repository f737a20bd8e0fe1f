"""How a connection waits for a lock: SQLite's busy handler, with its end and its account.

It ends at `busy_ms`, at the statement's deadline or on cancel. Between two tries it sleeps, or is
woken by a writer of this process that is done (sqlite_line.py).
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from homeostat.driver.sqlite_line import Line
from homeostat.driver.watch import Watch
from homeostat.errors import DatabaseLockedError, StorageError

if TYPE_CHECKING:
    from homeostat.driver.sqlite import SqliteWire

# sleeps between two tries for a lock: SQLite's own busy time-out begins with 1, 2, 5, 10 ms too,
# but goes up to 100; an operation here is promised within 50 ms
STEPS_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.010)


class Patience:
    """The waiting of one connection.

    Attributes:
        busy_ms: how long it waits for a lock at most.
        in_line: whether the statement under way has had to wait.
    """

    __slots__ = ("_line", "_until", "_waited", "_wake", "_watch", "busy_ms", "in_line")

    def __init__(self, watch: Watch, line: Line, *, busy_ms: float) -> None:
        """Take what tells the deadline, and who waits for the same file."""
        self.busy_ms = busy_ms
        self.in_line = False
        self._watch = watch
        self._line = line
        self._wake = threading.Event()
        self._until = 0.0
        self._waited: tuple[float, float | None] = (0.0, None)  # sum, begin of the sleep under way

    @property
    def seconds(self) -> float:
        """Return the seconds slept so far, the sleep under way included; any thread may ask."""
        total, since = self._waited
        return total if since is None else total + monotonic() - since

    def busy(self, tries: int) -> bool:
        """Sleep before the next try for a lock; False gives up."""
        now = monotonic()
        if tries == 0:
            self._until = now + self.busy_ms / 1000
            if not self.in_line:
                self._wake.clear()
                self.in_line = True
                self._line.join(self._wake)
        until = self._until
        deadline = self._watch.deadline
        if deadline is not None and deadline < until:
            until = deadline
        if now >= until or self._watch.reason:
            return False
        step = STEPS_SECONDS[min(tries, len(STEPS_SECONDS) - 1)]
        self._sleep(min(step, until - now), now)
        return not self._watch.reason

    def _sleep(self, seconds: float, now: float) -> None:
        total, _ = self._waited
        self._waited = (total, now)
        if self._wake.wait(seconds):
            self._wake.clear()  # now, so that a wake while SQLite tries again is not lost
        self._waited = (total + monotonic() - now, None)

    def queue_up(self, text: str) -> None:
        """Before a statement writes, wait behind those who came earlier; then try as they do.

        For one step at most: handing the lock from thread to thread in strict order is fairer
        still, but takes a switch of threads a write, which halved the writes a second of 8 busy
        threads.
        """
        if self.in_line or text.lstrip()[:6].upper() == "PRAGMA":
            return  # of many rows each is a statement; and a new connection sets itself up at once
        self._wake.clear()
        self.in_line = True
        self._line.join(self._wake)
        self._sleep(STEPS_SECONDS[-1], monotonic())

    def interrupt(self) -> None:
        """End the sleep under way; the watch has said why before."""
        self._wake.set()

    def leave(self) -> None:
        """Wait no longer: the statement has ended."""
        self.in_line = False
        self._line.leave(self._wake)


def set_wal(wire: SqliteWire) -> None:
    """Set WAL mode; SQLite does not call the busy handler for it, so wait here.

    Raises:
        DatabaseLockedError: others kept it locked for `busy_ms`.
        StorageError: the file system cannot do it.
    """
    until = monotonic() + wire.patience.busy_ms / 1000
    pause = threading.Event()
    while True:
        try:
            mode = wire.execute("PRAGMA journal_mode = WAL").scalar()
        except DatabaseLockedError:
            if monotonic() >= until:
                raise
            pause.wait(STEPS_SECONDS[-1])
            continue
        if mode != "wal":
            message = (
                "This file system cannot hold a database in WAL mode (it lacks shared memory or "
                "locks). Put the file on a local disk."
            )
            raise StorageError(message, where=wire.label)
        return
