"""One FIFO pool of connections for both engines, resized and measured at run time.

Invariants, held whenever the lock is free:
- `size` counts connections that are open or being opened; new ones are opened only below `limit`.
- While anyone waits, no connection is idle and `size` >= `limit`: whatever becomes free goes to
  the one who came first. A newcomer never overtakes a waiter.
- A lease is in `leases` from opening to closing; its `name` is empty exactly when it is idle.

The pool never opens, closes, rolls back or waits while it holds its lock. It never looks at the
operator: `resize` is called by the agent's thread. Connections inherited by a forked process are
set aside unused (`after_fork`), since neither engine allows sharing them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from homeostat.access.lease import INHERITED, Lease, Waiter, close_all, usable
from homeostat.access.protocol import PoolReport, pack
from homeostat.access.usage import Usage
from homeostat.clock import Clock, SystemClock
from homeostat.driver.wire import Wire
from homeostat.errors import PoolClosedError, PoolTimeoutError

WAIT_SECONDS = 5.0
DRAIN_SECONDS = 5.0
HOLDERS_NAMED = 5
LIMIT_MAX = 64  # as config.PoolConfig.limit_max, the operator's own bound


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections a pool may hold.

    Attributes:
        limit: the application's own limit, in force until an operator sets another.
        limit_max: no operator raises it past this.
        name: what the pool is called in reports.
    """

    limit: int = 4
    limit_max: int = LIMIT_MAX
    name: str = "main"

    def __post_init__(self) -> None:
        """Refuse limits that no connection fits in."""
        if not 1 <= self.limit <= self.limit_max:
            message = f"the pool's limit must be 1 to {self.limit_max}, not {self.limit}"
            raise ValueError(message)

    @classmethod
    def of(cls, limit: int) -> PoolLimits:
        """Return limits for a pool of this size; a large one is not cut to `limit_max`."""
        return cls(limit=limit, limit_max=max(LIMIT_MAX, limit))


class Pool:
    """A FIFO pool; safe to use from any thread."""

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
            connect: opens one connection; called from the thread that needs it.
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
        self._empty()

    def _empty(self) -> None:
        now = self._now()
        self._lock = threading.Lock()
        self._limit = self.limits.limit
        self._size = 0
        self._closed = False
        self._drained = threading.Event()
        self._idle: list[Lease] = []  # the last returned is taken first: its cache is warm
        self._leases: set[Lease] = set()
        self._waiters: deque[Waiter] = deque()
        self._usage = Usage(now, now)

    @property
    def limit(self) -> int:
        """Return the most connections it may hold now."""
        return self._limit

    @property
    def in_use(self) -> int:
        """Return how many connections are taken."""
        return self._usage.in_use

    @property
    def waiting(self) -> int:
        """Return how many callers wait."""
        return len(self._waiters)

    @property
    def size(self) -> int:
        """Return how many connections are open or being opened."""
        return self._size

    # -- taking and returning ---------------------------------------------------------------

    def acquire(
        self,
        name: str,
        *,
        wait_seconds: float = WAIT_SECONDS,
        arrival: float | None = None,
        busy: bool = False,
    ) -> Lease:
        """Take a connection, after everyone who came earlier.

        Args:
            name: the operation; time-outs and reports name it.
            wait_seconds: the longest wait.
            arrival: when the caller came, by the pool's clock; None: now.
            busy: whether a statement runs for the whole lease. Otherwise `mark` tells when.

        Raises:
            PoolTimeoutError: nothing became free in time; names who holds the connections.
            PoolClosedError: the pool is closed.
            ConnectError: a connection had to be opened and could not be.
        """
        now = self._now() if arrival is None else arrival
        with self._lock:
            if self._idle:
                lease = self._idle.pop()
                usage = self._usage
                usage.taken(now)
                usage.immediate += 1
                lease.name = name
                lease.since = now
                lease.busy_since = now if busy else None
                lease.busy_seconds = lease.busy_counted = lease.idle_counted = 0.0
                return lease
            if self._closed:
                raise PoolClosedError
            waiter = Waiter(name, now, busy=busy)
            if self._size < self._limit:
                self._size += 1
                waiter.may_open = True
            else:
                self._waiters.append(waiter)
        return self._open(waiter) if waiter.may_open else self._wait(waiter, wait_seconds)

    def release(self, lease: Lease, *, now: float | None = None, suspect: bool = False) -> None:
        """Return a connection; who waits the longest gets it at once.

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
        with self._lock:
            usage = self._usage
            since = lease.busy_since
            if since is not None and since == lease.since and not lease.busy_counted:
                usage.busy_seconds += now - since  # one statement all along: nothing was idle
            else:
                lease.count(usage, now)
            if not (broken or self._waiters or self._size > self._limit):
                usage.returned(now)
                lease.name = ""
                self._idle.append(lease)
                return
            closing = self._part_with(lease, now, broken=broken)
        close_all(closing)

    def mark(self, lease: Lease, *, busy: bool) -> float:
        """Note that a statement begins or has ended on a lease; return the time now."""
        now = self._now()
        with self._lock:
            if lease.busy_since is not None:
                lease.busy_seconds += max(0.0, now - lease.busy_since)
            lease.busy_since = now if busy else None
        return now

    # -- the cold parts ---------------------------------------------------------------------

    def _part_with(self, lease: Lease, now: float, *, broken: bool) -> list[Lease]:
        """Hand a returned lease on, or take it out; return what to close. Lock held."""
        self._usage.returned(now)
        closing: list[Lease] = []
        if broken:  # whatever broke it (a restart) has likely broken the idle ones too
            closing = [lease, *self._idle]
            self._idle.clear()
        elif self._size > self._limit:
            closing = [lease]
        else:
            lease.name = ""
            self._idle.append(lease)
        self._forget(closing)
        self._serve(now)
        if self._closed and not self._usage.in_use:
            self._drained.set()
        return closing

    def _forget(self, closing: list[Lease]) -> None:
        """Take connections out of the accounts before they are closed. Lock held."""
        for lease in closing:
            lease.count_locks(self._usage)
            self._leases.discard(lease)
        self._size -= len(closing)

    def _serve(self, now: float) -> None:
        """Give what is free to those who wait, in the order they came. Lock held."""
        while self._waiters and (self._idle or self._size < self._limit):
            waiter = self._waiters.popleft()
            if self._idle:
                waiter.lease = self._idle.pop()
                waiter.lease.begin(waiter.name, now, busy=waiter.busy)
                self._usage.taken(now)
            else:
                self._size += 1
                waiter.may_open = True
            waiter.event.set()

    def _open(self, waiter: Waiter) -> Lease:
        """Open the connection that a waiter has leave for."""
        try:
            lease = Lease(self._connect())
        except BaseException:
            with self._lock:
                self._size -= 1
                self._serve(self._now())
            raise
        now = self._now()
        with self._lock:
            lease.begin(waiter.name, now, busy=waiter.busy)
            self._leases.add(lease)
            self._usage.taken(now)
            self._usage.wait.record((now - waiter.arrival) * 1e6)
        return lease

    def _wait(self, waiter: Waiter, seconds: float) -> Lease:
        """Wait for a lease, or for leave to open one."""
        try:
            self._clock.wait(waiter.event, seconds)
        except BaseException:
            self._abandon(waiter)
            raise
        now = self._now()
        with self._lock:
            lease = waiter.lease
            if lease is not None:
                self._usage.wait.record((now - waiter.arrival) * 1e6)
                return lease
            if not waiter.may_open:
                raise self._refusal(waiter, now)
        return self._open(waiter)

    def _refusal(self, waiter: Waiter, now: float) -> PoolTimeoutError | PoolClosedError:
        """Return why a waiter gets nothing, and take it out of the queue. Lock held."""
        if waiter not in self._waiters:
            return PoolClosedError()
        self._waiters.remove(waiter)
        self._usage.timeouts += 1
        self._usage.wait.record((now - waiter.arrival) * 1e6)
        holders = self._holders(now)
        named = ", ".join(f"{name} for {seconds:.1f} s" for name, seconds in holders)
        message = (
            f"{waiter.name} got no connection within {now - waiter.arrival:.1f} s: "
            f"{self._usage.in_use} of {self._limit} are taken, {len(self._waiters)} more wait. "
            f"Retry later, or let the holders return theirs: {named or 'none'}."
        )
        return PoolTimeoutError(message, where=f"pool {self.limits.name}", holders=holders)

    def _holders(self, now: float) -> tuple[tuple[str, float], ...]:
        held = [(one.name, now - one.since) for one in self._leases if one.name]
        return tuple(sorted(held, key=lambda pair: -pair[1])[:HOLDERS_NAMED])

    def _abandon(self, waiter: Waiter) -> None:
        """Leave the queue after an interrupt; what was just granted goes to the next."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if waiter.may_open:
                self._size -= 1
                self._serve(self._now())
        if waiter.lease is not None:
            self.release(waiter.lease)

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
            usage = self._usage.restart(now)
        seconds = max(usage.at - usage.since, 1e-9)
        held = sum(number * part for number, part in enumerate(usage.in_use_seconds))
        return PoolReport(
            name=self.limits.name,
            limit=limit,
            limit_default=self.limits.limit,
            limit_max=self.limits.limit_max,
            seconds=seconds,
            in_use=usage.in_use,
            in_use_mean=held / seconds,
            in_use_max=usage.in_use_max,
            waiting=waiting,
            waiting_oldest_seconds=oldest,
            wait=pack(usage.waits()),
            held_seconds=held,
            busy_seconds=usage.busy_seconds,
            lock_seconds=usage.lock_seconds if self._locks_seen else None,
            in_use_seconds=usage.in_use_seconds,
            timeouts=usage.timeouts,
            holders=usage.largest_idle(),
        )

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
            waiters, self._waiters = self._waiters, deque()
            if not self._usage.in_use:
                self._drained.set()
        for waiter in waiters:
            waiter.event.set()
        close_all(closing)
        self._clock.wait(self._drained, drain_seconds)
        with self._lock:
            late = [lease for lease in self._leases if lease.name]
            holders = self._holders(self._now())
        for lease in late:
            lease.wire.cancel()
        return holders

    def after_fork(self) -> None:
        """Start empty in a forked process; the parent's connections are kept, never touched."""
        for lease in self._leases:
            lease.inherited = True
        INHERITED.extend(self._leases)
        self._empty()
