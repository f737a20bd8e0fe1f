"""The pool's smallest parts: a Lease of one connection, and a Waiter in the queue.

Plain records; the pool changes them under its lock. Only what a lease has run is written without:
by who holds the lease, as one value, so that a report sees it whole.
"""

from __future__ import annotations

import threading

from homeostat.access.caller import ANYONE, Caller
from homeostat.access.leak import NOWHERE, Place, words
from homeostat.access.usage import Usage
from homeostat.driver.wire import Wire
from homeostat.errors import DatabaseError, PoolTimeoutError


class Lease:
    """One connection and who has it.

    Attributes:
        wire: the connection; use it only while the lease is yours.
        name: the operation that took it; empty while it is idle.
        since: when it was taken.
        ran: time of finished statements in this lease, and when the one under way began, or None.
        quiet_since: when its last statement ended, or when it was taken.
        leak_told: the `since` of the last lease of it that was told to leak.
        taken_at: where in the application it was taken; empty: for a single operation.
        fresh: how far in the log it has shown to see; see freshness.py.
    """

    __slots__ = (
        "busy_counted",
        "fresh",
        "idle_counted",
        "inherited",
        "leak_told",
        "lock_counted",
        "name",
        "quiet_since",
        "ran",
        "since",
        "taken_at",
        "wire",
    )

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.name = ""
        self.fresh = 0
        self.inherited = False  # belongs to the process that this one was forked from
        self.since = self.quiet_since = 0.0
        self.taken_at = NOWHERE
        self.leak_told = -1.0
        self.ran: tuple[float, float | None] = (0.0, None)
        self.busy_counted = 0.0  # what earlier reports already hold of this lease
        self.idle_counted = 0.0
        self.lock_counted = wire.lock_wait_seconds

    def begin(self, name: str, now: float, *, busy: bool, taken_at: Place) -> None:
        """Give it to an operation."""
        self.name = name
        self.since = self.quiet_since = now
        self.taken_at = taken_at
        self.ran = (0.0, now if busy else None)
        self.busy_counted = self.idle_counted = 0.0

    def start(self, now: float) -> None:
        """Note that a statement begins."""
        self.ran = (self.ran[0], now)

    def stop(self, now: float) -> float:
        """Note that the statement under way has ended; return how long it took."""
        seconds, since = self.ran
        took = 0.0 if since is None else now - since
        self.quiet_since = now
        self.ran = (seconds + took, None)
        return took

    def count(self, usage: Usage, now: float) -> None:
        """Add what is not yet counted of this lease, the statement under way included."""
        busy, since = self.ran
        if since is not None:
            busy += max(0.0, now - since)
        idle = max(0.0, now - self.since - busy)
        usage.busy_seconds += busy - self.busy_counted
        if idle > self.idle_counted:
            usage.held_idle(self.name, idle - self.idle_counted)
            self.idle_counted = idle
        self.busy_counted = busy

    def count_locks(self, usage: Usage) -> None:
        """Add the time spent waiting for locks that is not yet counted."""
        waited = self.wire.lock_wait_seconds
        if waited > self.lock_counted:
            usage.lock_seconds += waited - self.lock_counted
            self.lock_counted = waited


class Waiter:
    """Someone in the queue: gets a lease, or leave to open one, or neither (closed, refused).

    Attributes:
        comes: can be called, to come for what is idle then; else it is handed what it gets.
        called: was, and has not come yet.
        may_open: has leave to open a connection.
        opening: a thread does so.
        error: why it could not.
        gone: nobody waits for it any more.
    """

    __slots__ = (
        "arrival",
        "busy",
        "called",
        "criticality",
        "error",
        "event",
        "gone",
        "lease",
        "may_open",
        "name",
        "opening",
        "retry_after_seconds",
        "segment",
        "taken_at",
    )
    comes = True

    def __init__(
        self,
        name: str,
        arrival: float,
        *,
        busy: bool,
        caller: Caller = ANYONE,
        taken_at: Place = NOWHERE,
    ) -> None:
        self.name = name
        self.arrival = arrival
        self.busy = busy
        self.criticality = caller.criticality
        self.segment = caller.segment
        self.taken_at = taken_at
        self.retry_after_seconds: float | None = None  # set: refused, because of overload
        self.event = threading.Event()
        self.lease: Lease | None = None
        self.called = False
        self.may_open = False
        self.opening = False
        self.error: BaseException | None = None
        self.gone = False


INHERITED: list[Lease] = []  # closing one here would speak on the parent's socket


def timed_out(
    waiter: Waiter,
    now: float,
    *,
    where: str,
    taken: str,
    waiting: int,
    leases: list[Lease],
) -> PoolTimeoutError:
    """Return the error of a waiter that gave up: who holds the connections, and for how long."""
    holders = tuple((lease.name, now - lease.since) for lease in leases)
    named = ", ".join(
        f"{lease.name} for {now - lease.since:.1f} s"
        + (f" (taken at {words(lease.taken_at)[0]})" if lease.taken_at else "")
        for lease in leases
    )
    message = (
        f"{waiter.name} got no connection within {now - waiter.arrival:.1f} s: {taken}, "
        f"{waiting} more wait. Retry later, or let the holders return theirs: {named or 'none'}."
    )
    return PoolTimeoutError(message, where=where, holders=holders)


def usable(wire: Wire) -> bool:
    """Roll back what was left open; return whether the connection can be used again."""
    try:
        if not wire.broken and wire.in_transaction:
            wire.rollback()
    except DatabaseError:
        return False
    return not wire.broken


def close_all(leases: list[Lease]) -> None:
    """Close connections."""
    for lease in leases:
        lease.wire.close()
