"""Opening connections: on a thread of its own each, so that who needs one can stop waiting.

A server that does not answer holds up the thread that connects, until the driver gives up; the
caller leaves at its own deadline, or when its task is cancelled. What is opened then all the same
goes to whoever waits the longest. Until the attempt has ended it counts as a connection, so a
server that is gone has at most as many attempts under way as the pool has places.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from homeostat.access.lease import Lease, Waiter, close_all
from homeostat.access.queue import Queue
from homeostat.clock import Clock
from homeostat.driver.wire import Wire
from homeostat.errors import PoolClosedError, ServerUnreachableError


class Opening(Queue):
    """A queue that opens the connections it gives leave for."""

    _connect: Callable[[], Wire]
    _clock: Clock
    _now: Callable[[], float]

    def open_for(self, waiter: Waiter, seconds: float) -> Lease:
        """Open the connection that a waiter has leave for.

        Raises:
            ConnectError: it could not be opened; the next in the queue gets the leave.
            ServerUnreachableError: not within the seconds.
            PoolClosedError: the pool was closed meanwhile.
        """
        waiter.event.clear()
        self.begin_opening(waiter)
        try:
            self._clock.wait(waiter.event, seconds)
        except BaseException:
            self.abandon(waiter)
            raise
        return self.opened(waiter)

    def begin_opening(self, waiter: Waiter) -> None:
        """Begin to open; the waiter's event tells when to ask `opened`."""
        waiter.opening = True
        try:
            threading.Thread(
                target=self._open, args=(waiter,), name="homeostat-connect", daemon=True
            ).start()
        except BaseException:  # the system has no thread left: the place is the next one's
            waiter.opening = False
            self.abandon(waiter)
            raise

    def opened(self, waiter: Waiter) -> Lease:
        """Return what was opened for a waiter, after its event or its time-out; as `open_for`."""
        now = self._now()
        with self._lock:
            lease, error = waiter.lease, waiter.error
            if lease is None and error is None:
                waiter.gone = True
                self._usage.timeouts += 1
                self._count_wait(waiter, now)
        if error is not None:
            raise error
        if lease is None:
            message = (
                f"{waiter.name} got no connection within {now - waiter.arrival:.1f} s: the "
                "database has not answered yet. Check of a server host, port and firewall, and "
                "whether it is overloaded; of a file, who holds it locked."
            )
            raise ServerUnreachableError(message)
        return lease

    def abandon(self, waiter: Waiter) -> None:
        """Leave the queue after an interrupt; what was or will be granted goes to the next."""
        closing: list[Lease] = []
        with self._lock:
            now, lease = self._now(), waiter.lease
            waiter.gone = True
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._serve(now)  # what it was called for
            if waiter.may_open and not waiter.opening:
                self._size -= 1
                self._serve(now)
            if lease is not None and not lease.inherited:
                lease.count(self._usage, now)
                closing = self._part_with(lease, now, broken=False)
        close_all(closing)

    def _open(self, waiter: Waiter) -> None:
        try:
            lease = Lease(self._connect())
        except BaseException as error:  # noqa: BLE001  it belongs to who waits
            now = self._now()
            with self._lock:
                waiter.error = error
                waiter.opening = waiter.may_open = False
                self._size -= 1
                self._serve(now)
            waiter.event.set()
            return
        now = self._now()
        with self._lock:
            closing = self._hand_over(lease, waiter, now)
        waiter.event.set()
        close_all(closing)

    def _hand_over(self, lease: Lease, waiter: Waiter, now: float) -> list[Lease]:
        """Give a new connection to its waiter, or to the next; return what to close. Lock held."""
        waiter.opening = waiter.may_open = False
        if self._closed or (waiter.gone and self._size > self._limit):
            self._size -= 1
            waiter.error = PoolClosedError()
            self._serve(now)
            return [lease]
        self._leases.add(lease)
        if waiter.gone:
            self._idle.append(lease)
            self._serve(now)
            return []
        lease.begin(waiter.name, now, busy=waiter.busy, taken_at=waiter.taken_at)
        waiter.lease = lease
        self._usage.taken(now)
        self._count_wait(waiter, now)
        return []
