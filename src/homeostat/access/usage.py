"""What a pool was used for since the last report: the sums behind protocol.PoolReport.

A Usage is a plain record; the pool changes it under its own lock, so it takes none. Time in use is
kept as the seconds spent with exactly n connections taken, from which the mean, the time held and
the time above any limit follow; so leases under way are in the sums at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from homeostat.access.limits import PoolLimits
from homeostat.access.protocol import LeakReport, PoolReport, pack
from homeostat.measure import Histogram

HOLDERS_MAX = 8
HOLDER_NAMES_MAX = 256  # more than any application names; bounds the memory of one interval
OTHER_HOLDERS = "(others)"


@dataclass(slots=True)
class Usage:
    """Sums since `since` (all times: seconds of the pool's clock).

    Attributes:
        since: when the sums began.
        at: up to when `in_use_seconds` is summed.
        in_use: connections taken now.
        in_use_max: the most at one moment.
        in_use_seconds: seconds spent with exactly n taken, index n.
        busy_seconds: time with a statement under way, of leases that ended.
        lock_seconds: time waiting for locks, of connections that were closed.
        immediate: acquisitions that did not wait.
        wait: waits of the others, those that gave up included, in microseconds.
        timeouts: acquisitions that gave up.
        idle: seconds held without a statement, by operation, of leases that ended.
        leaked: connections taken back because nobody could return them any more.
        shed: callers refused because of overload, by criticality.
    """

    since: float
    at: float
    in_use: int = 0
    in_use_max: int = 0
    in_use_seconds: list[float] = field(default_factory=lambda: [0.0])
    busy_seconds: float = 0.0
    lock_seconds: float = 0.0
    immediate: int = 0
    wait: Histogram = field(default_factory=Histogram)
    timeouts: int = 0
    idle: dict[str, float] = field(default_factory=dict)
    leaked: int = 0
    shed: dict[str, int] = field(default_factory=dict)

    def advance(self, now: float) -> None:
        """Count the time up to now for the number in use; time never counts backwards."""
        if now > self.at:
            self.in_use_seconds[self.in_use] += now - self.at
            self.at = now

    def taken(self, now: float) -> None:
        """Count one more connection as taken."""
        number = self.in_use
        if now > self.at:  # as in advance, without another call
            self.in_use_seconds[number] += now - self.at
            self.at = now
        self.in_use = number = number + 1
        if number > self.in_use_max:
            self.in_use_max = number
            self.in_use_seconds.append(0.0)  # it always has in_use_max + 1 places

    def returned(self, now: float) -> None:
        """Count one connection less as taken."""
        number = self.in_use
        if now > self.at:
            self.in_use_seconds[number] += now - self.at
            self.at = now
        self.in_use = number - 1

    def held_idle(self, name: str, seconds: float) -> None:
        """Count time that an operation held a connection without using it."""
        if name not in self.idle and len(self.idle) >= HOLDER_NAMES_MAX:
            name = OTHER_HOLDERS
        self.idle[name] = self.idle.get(name, 0.0) + seconds

    def shed_one(self, criticality: str) -> None:
        """Count a caller refused because of overload."""
        self.shed[criticality] = self.shed.get(criticality, 0) + 1

    def restart(self, now: float) -> Usage:
        """Return these sums and begin new ones; what is taken stays taken."""
        self.advance(now)
        old = Usage(
            self.since,
            self.at,
            self.in_use,
            self.in_use_max,
            self.in_use_seconds,
            self.busy_seconds,
            self.lock_seconds,
            self.immediate,
            self.wait,
            self.timeouts,
            self.idle,
            self.leaked,
            self.shed,
        )
        self.since = now
        self.in_use_max = self.in_use
        self.in_use_seconds = [0.0] * (self.in_use + 1)
        self.busy_seconds = self.lock_seconds = 0.0
        self.immediate = self.timeouts = self.leaked = 0
        self.wait, self.idle, self.shed = Histogram(), {}, {}
        return old

    def waits(self) -> Histogram:
        """Return the waits of all acquisitions, in microseconds."""
        whole = self.wait.copy()
        if self.immediate:
            whole.record(0, self.immediate)
        return whole

    def largest_idle(self) -> dict[str, float]:
        """Return the names that held connections idle the longest, at most HOLDERS_MAX."""
        largest = sorted(self.idle.items(), key=lambda item: -item[1])[:HOLDERS_MAX]
        return dict(largest)

    def report(
        self,
        limits: PoolLimits,
        *,
        limit: int,
        waiting: int,
        waiting_oldest_seconds: float,
        locks_seen: bool,
        leaks: list[LeakReport],
    ) -> PoolReport:
        """Return the sums as they go over the wire."""
        seconds = max(self.at - self.since, 1e-9)
        held = sum(number * part for number, part in enumerate(self.in_use_seconds))
        return PoolReport(
            name=limits.name,
            limit=limit,
            limit_default=limits.limit,
            limit_max=limits.limit_max,
            seconds=seconds,
            in_use=self.in_use,
            in_use_mean=held / seconds,
            in_use_max=self.in_use_max,
            waiting=waiting,
            waiting_oldest_seconds=waiting_oldest_seconds,
            wait=pack(self.waits()),
            held_seconds=held,
            busy_seconds=self.busy_seconds,
            lock_seconds=self.lock_seconds if locks_seen else None,
            in_use_seconds=self.in_use_seconds,
            timeouts=self.timeouts,
            holders=self.largest_idle(),
            leaks=leaks,
            leaked=self.leaked,
            shed=self.shed,
        )
