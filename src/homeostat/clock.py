"""Time as a parameter: everything that waits or stamps takes a Clock.

SystemClock is real time. ManualClock moves only when told, and wakes its waiters in order, so a
test lives through a year of schedules in seconds.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> float:
        """Return wall-clock time, in seconds since 1970 UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards; the zero is arbitrary."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set (True) or the seconds have passed (False)."""
        ...


class SystemClock:
    """Real time."""

    def now(self) -> float:
        """Return wall-clock time, in seconds since 1970 UTC."""
        return time.time()

    monotonic = staticmethod(time.monotonic)  # read several times a call: no frame of our own

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set (True) or the seconds have passed (False)."""
        return event.wait(max(0.0, seconds))


class ManualClock:
    """Time that moves only by `advance`; for tests and simulations."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        """Start at the given seconds since 1970 UTC."""
        self._now = start
        self._condition = threading.Condition()

    def now(self) -> float:
        """Return the time it was advanced to, in seconds since 1970 UTC."""
        with self._condition:
            return self._now

    def monotonic(self) -> float:
        """Return the same as `now`."""
        return self.now()

    def advance(self, seconds: float) -> None:
        """Move time forward by the seconds and wake who waits."""
        if seconds < 0:
            message = f"a clock cannot be advanced by {seconds} s"
            raise ValueError(message)
        with self._condition:
            self._now += seconds
            self._condition.notify_all()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set (True) or time was advanced past the seconds (False)."""
        with self._condition:
            until = self._now + seconds
            while self._now < until and not event.is_set():
                self._condition.wait(0.05)  # an Event cannot wake this condition
        return event.is_set()
