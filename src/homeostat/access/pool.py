"""One fair pool of connections for both engines, resized and measured at run time.

Who gets what is decided in queue.py, under one lock; connections are opened in opening.py. The pool
never opens, closes, rolls back or waits while it holds that lock. It never looks at the operator:
`resize` is called by the agent's thread. Connections inherited by a forked process are set aside
unused (`after_fork`), since neither engine allows sharing them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from homeostat.access.caller import ANYONE, Caller
from homeostat.access.leak import NOWHERE, place, words
from homeostat.access.lease import INHERITED, Lease, Waiter, close_all, usable
from homeostat.access.limits import PoolLimits
from homeostat.access.opening import Opening
from homeostat.access.protocol import LeakReport, PoolReport
from homeostat.clock import Clock, SystemClock
from homeostat.driver.wire import Wire

WAIT_SECONDS = 5.0
DRAIN_SECONDS = 5.0
log = logging.getLogger("homeostat.pool")


class Pool(Opening):
    """A fair pool; safe to use from any thread."""

    def __init__(
        self,
        connect: Callable[[], Wire],
        *,
        limits: PoolLimits | None = None,
        clock: Clock | None = None,
        locks_seen: bool = True,
    ) -> None:
        """Start empty; connections are opened when they are needed.

        Args:
            connect: opens one connection; called from a thread of its own.
            limits: how many there may be.
            clock: tells the time.
            locks_seen: whether `Wire.lock_wait_seconds` tells the truth (SQLite) or the server
                alone knows (PostgreSQL), in which case reports say null.
        """
        self.limits = limits or PoolLimits()
        self._connect = connect
        self._clock = clock or SystemClock()
        self._now = self._clock.monotonic
        self._locks_seen = locks_seen
        self._begin(self.limits, self._clock.monotonic())

    # -- taking and returning ---------------------------------------------------------------

    def acquire(
        self,
        name: str,
        *,
        wait_seconds: float = WAIT_SECONDS,
        arrival: float | None = None,
        busy: bool = False,
        caller: Caller = ANYONE,
    ) -> Lease:
        """Take a connection; who waits for one is overtaken for OVERTAKEN_SECONDS at most.

        Args:
            name: the operation; time-outs and reports name it.
            wait_seconds: the longest wait.
            arrival: when the caller came, by the pool's clock; None: now.
            busy: whether a statement runs for the whole lease. Otherwise the lease is told when,
                and where it was taken is kept.
            caller: their criticality says who is refused first when there are too many, their
                segment under whom a wait is counted.

        Raises:
            PoolTimeoutError: nothing became free in time; names who holds the connections.
            OverloadedError: too many wait, and this caller is the least critical.
            PoolClosedError: the pool is closed.
            ConnectError: a connection had to be opened and could not be, or not in time.
        """
        now = self._now() if arrival is None else arrival
        taken_at = NOWHERE if busy else place()
        self._lock.acquire()  # `with` takes 0.1 us more, as in all that runs once a call
        try:
            if self._idle:
                lease = self._idle.pop()
                usage = self._usage
                number = usage.in_use
                if now > usage.at:  # as usage.taken and lease.begin, without two more calls
                    usage.in_use_seconds[number] += now - usage.at
                    usage.at = now
                usage.in_use = number = number + 1
                if number > usage.in_use_max:
                    usage.in_use_max = number
                    usage.in_use_seconds.append(0.0)
                usage.immediate += 1
                lease.name = name
                lease.since = lease.quiet_since = now
                lease.taken_at = taken_at
                lease.ran = (0.0, now if busy else None)
                lease.busy_counted = lease.idle_counted = 0.0
                return lease
            waiter = Waiter(name, now, busy=busy, caller=caller, taken_at=taken_at)
            self._line_up(waiter, self._now(), may_wait=wait_seconds)
        finally:
            self._lock.release()
        return (
            self.open_for(waiter, wait_seconds)
            if waiter.may_open
            else self._wait(waiter, wait_seconds)
        )

    def release(self, lease: Lease, *, now: float | None = None, suspect: bool = False) -> None:
        """Return a connection; who waits the longest gets it or is called to come for it.

        Args:
            lease: what `acquire` returned.
            now: the time by the pool's clock, if the caller has just read it.
            suspect: look at the connection first: a transaction left open is rolled back, a
                broken connection is closed. Without it the caller vouches for both.
        """
        if lease.inherited:
            return
        broken = suspect and not usable(lease.wire)
        if now is None:
            now = self._now()
        self._lock.acquire()
        try:
            usage = self._usage
            since = lease.ran[1]
            if since is not None and since == lease.since and not lease.busy_counted:
                usage.busy_seconds += now - since  # one statement all along: nothing was idle
            else:
                lease.count(usage, now)
            if not (broken or self._waiters or self._size > self._limit):
                number = usage.in_use
                if now > usage.at:  # as usage.returned
                    usage.in_use_seconds[number] += now - usage.at
                    usage.at = now
                usage.in_use = number - 1
                lease.name = ""
                self._idle.append(lease)
                return
            closing = self._part_with(lease, now, broken=broken)
        finally:
            self._lock.release()
        close_all(closing)

    # -- the cold parts ---------------------------------------------------------------------

    def _wait(self, waiter: Waiter, seconds: float) -> Lease:
        """Wait for a lease, or for leave to open one."""
        until = self._now() + seconds
        try:
            self._clock.wait(waiter.event, seconds)
            while self.overtaken(waiter, until):
                self._clock.wait(waiter.event, until - self._now())
        except BaseException:
            self.abandon(waiter)
            raise
        lease = self.granted(waiter)
        if lease is None:
            lease = self.open_for(waiter, seconds - (self._now() - waiter.arrival))
        return lease

    # -- the same in parts, for who may not block --------------------------------------------

    def enter(self, waiter: Waiter, *, may_wait: float) -> Lease | None:
        """Take an idle connection at once; else leave to open one, or a place in the queue.

        Who gets None looks at `waiter.may_open`: true, `begin_opening` opens one; false, the
        waiter's event tells when to ask `granted`. Who gives up meanwhile calls `abandon`.
        `may_wait`: the longest that the waiter will wait, in seconds.

        Raises:
            OverloadedError: too many wait, and this caller is the least critical.
            PoolClosedError: the pool is closed.
        """
        with self._lock:
            if self._idle:
                lease = self._idle.pop()
                lease.begin(waiter.name, waiter.arrival, busy=waiter.busy, taken_at=waiter.taken_at)
                self._usage.taken(waiter.arrival)
                self._usage.immediate += 1
                return lease
            self._line_up(waiter, self._now(), may_wait=may_wait)
        return None

    def take_idle(self, name: str, *, busy: bool, now: float) -> Lease | None:
        """Take a connection if one is idle; else None, and nobody waits. See `acquire`."""
        with self._lock:
            if not self._idle:
                return None
            lease = self._idle.pop()
            lease.begin(name, now, busy=busy, taken_at=NOWHERE if busy else place())
            self._usage.taken(now)
            self._usage.immediate += 1
        return lease

    def overtaken(self, waiter: Waiter, until: float) -> bool:
        """Take what a waiter was called for; return whether others did, so that it waits on.

        Args:
            waiter: has been woken, or its time has passed.
            until: when its time has passed, by the pool's clock.
        """
        with self._lock:
            now = self._now()
            if not waiter.called or waiter not in self._waiters:
                return False  # granted, refused, or told that the pool is closed
            waiter.called = False
            if self._idle:
                self._grant(waiter, now)
                return False
            waiter.event.clear()
            return now < until

    def granted(self, waiter: Waiter) -> Lease | None:
        """Return what a waiter got after its event or its time-out; None: leave to open one.

        Raises:
            PoolTimeoutError: nothing became free in time.
            PoolClosedError: the pool was closed meanwhile.
        """
        now = self._now()
        with self._lock:
            lease = waiter.lease
            if lease is not None:
                self._count_wait(waiter, now)
            elif not waiter.may_open:
                raise self._refusal(waiter, now, where=f"pool {self.limits.name}")
        return lease

    # -- from outside -----------------------------------------------------------------------

    def resize(self, limit: int) -> None:
        """Change the limit.

        Raising it serves waiters at once; lowering it closes idle connections now and taken ones
        as they return.

        Raises:
            ValueError: the limit is not 1 to `limits.limit_max`.
        """
        if not 1 <= limit <= self.limits.limit_max:
            message = f"the pool's limit must be 1 to {self.limits.limit_max}, not {limit}"
            raise ValueError(message)
        with self._lock:
            if self._closed:
                return
            self._limit = limit
            excess = max(0, self._size - limit)
            closing, self._idle = self._idle[:excess], self._idle[excess:]  # the coldest
            self._forget(closing)
            self._serve(self._now())
        close_all(closing)

    def report(self) -> PoolReport:
        """Return what happened since the last report, leases under way included."""
        now = self._now()
        with self._lock:
            for lease in self._leases:
                if lease.name:
                    lease.count(self._usage, now)
                if self._locks_seen:
                    lease.count_locks(self._usage)
            oldest = now - self._waiters[0].arrival if self._waiters else 0.0
            waiting, limit = len(self._waiters), self._limit
            leaks, new = self._leaks(now, self.limits.leak_seconds)
            usage = self._usage.restart(now)
        for leak in new:
            _warn(leak, self.limits.name)
        return usage.report(
            self.limits,
            limit=limit,
            waiting=waiting,
            waiting_oldest_seconds=oldest,
            locks_seen=self._locks_seen,
            leaks=leaks,
        )

    def lost(self, lease: Lease) -> None:
        """Note that nobody can return a lease any more; it will be returned in its place."""
        now = self._now()
        leak = LeakReport(lease.name, now - lease.quiet_since, words(lease.taken_at), lost=True)
        with self._lock:
            self._usage.leaked += 1
            self._lost.append((now, leak))
        _warn(leak, self.limits.name)

    def close(self, *, drain_seconds: float = DRAIN_SECONDS) -> tuple[tuple[str, float], ...]:
        """Refuse newcomers and waiters, wait for taken connections, then cancel what still runs.

        Returns:
            Who still holds a connection after the deadline, as (operation, seconds); theirs are
            closed when they are returned. Empty: all are closed.
        """
        with self._lock:
            self._closed = True
            self._limit = 0  # whatever comes back is closed
            closing, self._idle = self._idle, []
            self._forget(closing)
            waiters = list(self._waiters)
            self._waiters.clear()
            if not self._usage.in_use:
                self._drained.set()
        for waiter in waiters:
            waiter.event.set()
        close_all(closing)
        self._clock.wait(self._drained, drain_seconds)
        with self._lock:
            late = [lease for lease in self._leases if lease.name]
            now = self._now()
            holders = tuple((one.name, now - one.since) for one in self._holders())
        for lease in late:
            lease.wire.cancel()
        return holders

    def after_fork(self) -> None:
        """Start empty in a forked process; the parent's connections are kept, never touched."""
        for lease in self._leases:
            lease.inherited = True
        INHERITED.extend(self._leases)
        self._begin(self.limits, self._now())


def _warn(leak: LeakReport, pool: str) -> None:
    """Log a leak once."""
    log.warning(
        "Pool %s: %s held a connection for %.0f s without a statement%s; taken at %s.",
        pool,
        leak.name,
        leak.seconds,
        " and was lost; the connection was taken back" if leak.lost else "",
        " < ".join(leak.stack) or "an unknown place",
    )
