"""Who gets which connection: the state of a pool, and its moves.

Invariants, held whenever the lock is free:
- `size` counts connections that are open or being opened; new ones are opened only below `limit`.
- While anyone waits, `size` >= `limit`, and an idle connection has a waiter that was called for it.
- A lease is in `leases` from opening to closing; its `name` is empty exactly when it is idle.

Who is fair at every move is slow: a connection handed to a sleeping thread lies idle until that
thread runs, and while all wait in turn each one does, so a queue that came of a short stall took
seconds to drain (a lock convoy: Blasgen, Gray, Mitoma and Price, "The Convoy Phenomenon", 1979).
So the first thread in the queue is called, and who runs already may take the connection before it
comes. A thread that has waited for OVERTAKEN_SECONDS is handed one all the same, as locks do that
are fair in the end (Go's `sync.Mutex`, WebKit's `ParkingLot`). A task is handed one at once: its
event loop runs anyway.

Every move is made with the lock held by the pool; none opens, closes or waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from homeostat.access.leak import LEAKS_NAMED, LOST_TOLD_SECONDS, words
from homeostat.access.lease import Lease, Waiter, timed_out
from homeostat.access.limits import PoolLimits
from homeostat.access.protocol import LeakReport
from homeostat.access.shedding import NOBODY, Load
from homeostat.access.usage import Usage
from homeostat.errors import OverloadedError, PoolClosedError, PoolTimeoutError

HOLDERS_NAMED = 5
OVERTAKEN_SECONDS = 0.02  # of a wait: less lets queues stand, more lets a few wait so long


class Queue:
    """Connections, who has them, and who waits.

    Attributes:
        on_wait: told each wait that has ended: the operation, the caller's segment, and seconds.
            Called with the lock held, so it must not wait.
    """

    on_wait: Callable[[str, str, float], None] = staticmethod(
        lambda _name, _segment, _seconds: None
    )

    def _begin(self, limits: PoolLimits, now: float) -> None:
        """Start empty, with the application's own limit."""
        self._lock = threading.Lock()
        self._limit = limits.limit
        self._size = 0
        self._closed = False
        self._drained = threading.Event()
        self._idle: list[Lease] = []  # the last returned is taken first: its cache is warm
        self._leases: set[Lease] = set()
        self._waiters: deque[Waiter] = deque()
        self._usage = Usage(now, now)
        self._lost: deque[tuple[float, LeakReport]] = deque(maxlen=LEAKS_NAMED)
        target_ms = limits.wait_target_ms
        self._load = None if target_ms is None else Load(target_ms / 1000, now)

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
        if closing or not self._call(now):
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

    def _call(self, now: float) -> bool:
        """See that threads come for what is idle; False: hand it over instead. Lock held."""
        if self._waiters and now - self._waiters[0].arrival > OVERTAKEN_SECONDS:
            return False
        for coming, waiter in enumerate(self._waiters):
            if coming == len(self._idle):
                return True
            if not waiter.called:
                waiter.called = waiter.comes
                if waiter.comes:
                    waiter.event.set()
                return waiter.comes
        return False

    def _serve(self, now: float) -> None:
        """Give what is free to those who wait, in the order they came. Lock held."""
        while self._waiters and (self._idle or self._size < self._limit):
            waiter = self._waiters[0]
            self._grant(waiter, now)
            waiter.event.set()

    def _grant(self, waiter: Waiter, now: float) -> None:
        """Give one of those who wait what is idle, or leave to open one. Lock held."""
        self._waiters.remove(waiter)
        if self._load is not None:
            self._load.grant(now, now - waiter.arrival)
        if self._idle:
            waiter.lease = self._idle.pop()
            waiter.lease.begin(waiter.name, now, busy=waiter.busy, taken_at=waiter.taken_at)
            self._usage.taken(now)
        else:
            self._size += 1
            waiter.may_open = True

    def _refusal(
        self, waiter: Waiter, now: float, *, where: str
    ) -> PoolTimeoutError | PoolClosedError | OverloadedError:
        """Return why a waiter gets nothing, and take it out of the queue. Lock held."""
        if waiter.retry_after_seconds is not None:
            return self._overloaded(waiter)
        if waiter not in self._waiters:
            return PoolClosedError()
        self._waiters.remove(waiter)
        self._usage.timeouts += 1
        self._count_wait(waiter, now)
        return timed_out(
            waiter,
            now,
            where=where,
            taken=f"{self._usage.in_use} of {self._limit} are taken",
            waiting=len(self._waiters),
            leases=self._holders(),
        )

    def _holders(self) -> list[Lease]:
        """Return who holds connections, the longest first. Lock held."""
        held = [one for one in self._leases if one.name]
        return sorted(held, key=lambda one: one.since)[:HOLDERS_NAMED]

    def _line_up(self, waiter: Waiter, now: float, *, may_wait: float) -> None:
        """Give a newcomer leave to open a connection, or a place in the queue. Lock held.

        Raises:
            PoolClosedError: the pool is closed.
            OverloadedError: somebody is to be refused, and it is the newcomer.
        """
        if self._closed:
            raise PoolClosedError
        if self._size < self._limit:
            self._size += 1
            waiter.may_open = True
            return
        load = self._load
        if load is not None:
            load.look(now, self._waiters)
            victim = load.victim(waiter, self._waiters, may_wait=may_wait)
            if victim is not NOBODY:
                self._usage.shed_one(victim.criticality)
                victim.retry_after_seconds = load.retry_after_seconds(len(self._waiters))
                if victim is waiter:
                    raise self._overloaded(waiter)
                self._waiters.remove(victim)
                self._count_wait(victim, now)
                victim.event.set()
        self._waiters.append(waiter)

    def _count_wait(self, waiter: Waiter, now: float) -> None:
        """Count a wait that has ended, also one that ended without a connection. Lock held."""
        seconds = now - waiter.arrival
        self._usage.wait.record(seconds * 1e6)
        self.on_wait(waiter.name, waiter.segment, seconds)

    def _overloaded(self, waiter: Waiter) -> OverloadedError:
        seconds = waiter.retry_after_seconds or 0.0
        message = (
            f"{waiter.name} ({waiter.criticality}) was refused: {self._usage.in_use} of "
            f"{self._limit} connections are taken and {len(self._waiters)} callers wait. "
            f"Retry after {seconds:.1f} s."
        )
        return OverloadedError(message, retry_after_seconds=seconds)

    def _leaks(self, now: float, seconds: float) -> tuple[list[LeakReport], list[LeakReport]]:
        """Return who seems to leak a connection, and those of them not told before. Lock held."""
        quiet = [
            one
            for one in self._leases
            if one.name and one.ran[1] is None and now - one.quiet_since > seconds
        ]
        quiet.sort(key=lambda one: one.quiet_since)
        leaks: list[LeakReport] = []
        new: list[LeakReport] = []
        for lease in quiet[:LEAKS_NAMED]:
            leak = LeakReport(lease.name, now - lease.quiet_since, words(lease.taken_at))
            leaks.append(leak)
            if lease.leak_told != lease.since:
                lease.leak_told = lease.since
                new.append(leak)
        while self._lost and now - self._lost[0][0] > LOST_TOLD_SECONDS:
            self._lost.popleft()
        return leaks + [leak for _, leak in self._lost], new
