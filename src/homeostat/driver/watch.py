"""Deadlines and cancelling for the wires: one sleeping thread rings the alarms of a whole process.

A Watch belongs to one wire and guards the statement under way. At its deadline, or when another
thread asks, it calls the driver's `stop`. It never touches a connection by itself.

A stop never hits the statement after: who is about to stop says so before looking whether the
statement still runs, and `finish` says that it does not before looking whether somebody is about to
stop it, and only then waits for the lock. It is called for every statement, and a lock would be a
tenth of what all of this costs.

SQLite's progress handler would do the same without a thread, but it takes the interpreter's lock
every few thousand steps: a scan of 300,000 rows took 21 instead of 17.5 ms on an idle process and
220 to 560 ms beside two busy Python threads; an alarm costs a statement nothing measurable.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from time import monotonic
from typing import Literal

from homeostat.driver.fork import FORKED

Reason = Literal["", "deadline", "cancel"]


class _Bell:
    """The one thread that sleeps until the next alarm."""

    def __init__(self) -> None:
        self._after_fork()
        FORKED.add(self)

    def _after_fork(self) -> None:
        """Begin without a thread: it does not survive a fork, nor do the statements it guards."""
        self._condition = threading.Condition()
        self._queue: list[tuple[float, int, Watch]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def put(self, at: float, watch: Watch) -> None:
        """Ring the watch at the monotonic time."""
        with self._condition:
            watch.queued_at = at
            heapq.heappush(self._queue, (at, next(self._numbers), watch))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="homeostat-deadlines", daemon=True
                )
                self._thread.start()
            elif self._queue[0][2] is watch:
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._queue or self._queue[0][0] > monotonic():
                    wait = self._queue[0][0] - monotonic() if self._queue else None
                    self._condition.wait(wait)
                _, _, watch = heapq.heappop(self._queue)
                watch.queued_at = None
            watch.ring()


_bell = _Bell()


class Watch:
    """The statement under way on one wire.

    Attributes:
        reason: why it was stopped, or empty.
        generation: rises with each statement.
        queued_at: when the bell will look at this watch; None: it will not.
        deadline: monotonic time of the deadline of the statement under way; None: no limit.
    """

    __slots__ = (
        "_attempt", "_cancellable", "_lock", "_ring_at", "_running", "_stop", "_stopping",
        "deadline", "generation", "queued_at", "reason",
    )  # fmt: skip

    def __init__(self, stop: Callable[[int], float | None]) -> None:
        """Take the driver's stop.

        Args:
            stop: called under the lock while a statement runs, with the number of earlier calls
                for this statement; returns in how many seconds to call again, or None.
        """
        self._stop = stop
        self._lock = threading.Lock()
        self._running = False
        self._stopping = False  # somebody has the lock and may stop the statement
        self._cancellable = True
        self._attempt = 0
        self._ring_at: float | None = None
        self.deadline: float | None = None
        self.queued_at: float | None = None
        self.reason: Reason = ""
        self.generation = 0

    def start(self, deadline_ms: float | None, *, cancellable: bool = True) -> None:
        """Begin to guard a statement; `deadline_ms` counts from now."""
        self.reason = ""
        self._attempt = 0
        self._cancellable = cancellable
        self.generation += 1
        if deadline_ms is None:
            self.deadline = self._ring_at = None
            self._running = True
        else:
            self.deadline = at = monotonic() + deadline_ms / 1000
            self._ring_at = at  # before `_running`, which `ring` reads first
            self._running = True
            queued = self.queued_at  # as `_set`
            if queued is None or at < queued:
                _bell.put(at, self)

    def finish(self) -> Reason:
        """End guarding, after any stop under way; return why the statement was stopped."""
        self._running = False
        self.deadline = None
        if self._stopping:
            with self._lock:
                pass
        return self.reason

    def running(self, generation: int) -> bool:
        """Return whether the statement of this generation still runs."""
        with self._lock:
            return self._running and self.generation == generation

    def cancel(self) -> None:
        """Stop the statement under way, if there is one that may be stopped."""
        with self._lock:
            self._stopping = True  # before `_running` is read
            if self._running and self._cancellable and not self.reason:
                self.reason = "cancel"
                self._stop_now()
            self._stopping = False

    def ring(self) -> None:
        """Be woken by the bell: stop what is past its deadline, or go back to sleep."""
        with self._lock:
            self._stopping = True  # before `_running` is read
            if self._running:
                self._ring()
            self._stopping = False

    def _ring(self) -> None:
        at = self._ring_at
        if at is None:
            return
        if at > monotonic():
            self._set(at)
            return
        self.reason = self.reason or "deadline"
        self._stop_now()

    def _stop_now(self) -> None:
        again = self._stop(self._attempt)
        self._attempt += 1
        self._ring_at = None
        if again is not None:
            self._set(monotonic() + again)

    def _set(self, at: float) -> None:
        """Have the bell ring at the time; an earlier entry in its queue serves as well."""
        self._ring_at = at  # before queued_at is read: the bell clears that before it reads this
        queued = self.queued_at
        if queued is None or at < queued:
            _bell.put(at, self)
