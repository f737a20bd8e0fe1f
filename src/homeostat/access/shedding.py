"""Refuse at once what would only wait: by criticality, never by who asks.

The queue is judged as CoDel judges a router's (Nichols and Jacobson, "Controlling Queue Delay",
ACM Queue 2012; RFC 8289): a queue is standing when over a whole interval even the shortest wait was
above a target; a burst that drains is no overload. RFC 8289, 4.3: the target is 5 to 10 % of the
interval. How long a newcomer would wait follows from Little's law: who stands before it, by the
rate at which connections were handed on in the last interval.

While the queue stands, `sheddable` callers are refused, and `normal` ones whose predicted wait is
longer than they may wait. `critical` callers are never refused here. A caller that would have to go
while someone less critical waits takes that one's place in the queue: the newest of the least
critical is refused instead, so nobody is shed before somebody lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.access.caller import CRITICALITIES, Caller
from homeostat.access.lease import Waiter

INTERVALS = 10  # the target is 10 % of the interval
RETRY_SECONDS_MAX = 30.0
CRITICAL, NORMAL, SHEDDABLE = CRITICALITIES


@dataclass(slots=True)
class Load:
    """How the queue moved in the last interval; the pool changes it under its lock."""

    target_seconds: float
    began: float
    shortest: float = float("inf")
    granted: int = 0
    standing: bool = False
    rate: float = 0.0  # connections handed on, a second; 0: not known

    def grant(self, now: float, waited: float) -> None:
        """Count a connection handed to someone who waited."""
        self.granted += 1
        self.shortest = min(self.shortest, waited)
        if waited <= self.target_seconds:
            self.standing = False  # as CoDel leaves its dropping state
        took = now - self.began
        if took >= self.target_seconds * INTERVALS:
            self.standing = self.shortest > self.target_seconds
            self.rate = self.granted / took
            self._restart(now)

    def look(self, now: float, waiters: Sequence[Waiter]) -> None:
        """Notice that the queue was empty, or that nothing moved for an interval."""
        interval = self.target_seconds * INTERVALS
        if not waiters:
            self.standing = False
            self.rate = 0.0
            self._restart(now)
        elif now - waiters[0].arrival > interval and now - self.began > interval:
            self.standing = True
            self.rate = self.granted / (now - self.began)
            self._restart(now)

    def _restart(self, now: float) -> None:
        self.began, self.granted, self.shortest = now, 0, float("inf")

    def wait_seconds(self, before: int) -> float | None:
        """Return how long a newcomer would wait behind so many; None: not known."""
        return (before + 1) / self.rate if self.rate > 0 else None

    def retry_after_seconds(self, before: int) -> float:
        """Return when to ask again: when who waits now will have been served."""
        wait = self.wait_seconds(before)
        least = self.target_seconds * INTERVALS
        return least if wait is None else min(max(wait, least), RETRY_SECONDS_MAX)

    def victim(self, newcomer: Waiter, waiters: Sequence[Waiter], *, may_wait: float) -> Waiter:
        """Return who is to be refused now that a newcomer has come; see the module.

        Args:
            newcomer: is not in the queue yet.
            waiters: the queue.
            may_wait: the longest that the newcomer waits, in seconds.

        Returns:
            One of them; a waiter whose `criticality` is `critical` means nobody.
        """
        if not self.standing:
            return NOBODY
        if newcomer.criticality != SHEDDABLE:
            predicted = self.wait_seconds(len(waiters))
            if predicted is None or predicted <= may_wait:
                return NOBODY
        rank = CRITICALITIES.index(newcomer.criticality)
        least, victim = rank, newcomer
        for waiter in waiters:  # the newest of the least critical
            lower = CRITICALITIES.index(waiter.criticality)
            if lower > rank and lower >= least:
                least, victim = lower, waiter
        return NOBODY if victim.criticality == CRITICAL else victim


NOBODY = Waiter("", 0.0, busy=False, caller=Caller(criticality=CRITICAL))
