"""How long a check may take, and how much of a core it may use.

Statements are counted by the CPU time of the server's process where that runs on this machine, else
by the clock, which is more on a busy server. Between long ones it waits, so that a busy database
gets its turn; when time or load is used up, what is left of the check is not done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from homeostat.clock import Clock

WINDOW_SECONDS = 60.0  # the share holds over a minute, however short the check is
PACED_FROM_SECONDS = 0.05
PACE_FACTOR = 2.0  # waits twice as long as the statement ran: at most a third of a core meanwhile


class Budget:
    """Time and load, and what is used of them."""

    def __init__(self, *, seconds: float, load_share: float, clock: Clock) -> None:
        """Begin now.

        Args:
            seconds: the whole check.
            load_share: of one core, over the longer of the check and a minute.
            clock: tells the time and waits.
        """
        self._clock = clock
        self._begun = clock.monotonic()
        self._seconds = seconds
        self._busy_max = load_share * max(seconds, WINDOW_SECONDS)
        self._never = threading.Event()
        self.busy_seconds = 0.0
        self._cpu_seconds: Callable[[], float | None] = lambda: None

    def measure_by(self, cpu_seconds: Callable[[], float | None]) -> None:
        """Count load by what this returns: CPU seconds of the process that works; None: unknown."""
        self._cpu_seconds = cpu_seconds

    @property
    def seconds(self) -> float:
        """Return how long it has been under way."""
        return self._clock.monotonic() - self._begun

    @property
    def left_seconds(self) -> float:
        """Return how long the next statement may run; 0 or less: nothing is left."""
        time_left = self._seconds - self.seconds
        load_left = self._busy_max - self.busy_seconds
        if load_left > 0 and self._cpu_seconds() is not None:
            return time_left  # by the clock it may take much longer than it works
        return min(time_left, load_left)

    @property
    def spent(self) -> str:
        """Return what is used up, in words; empty: there is something left."""
        if self._seconds - self.seconds <= 0:
            return f"the time given ({self._seconds:g} s) was used up"
        if self._busy_max - self.busy_seconds <= 0:
            return f"the load allowed ({self._busy_max:.1f} s of one core) was used up"
        return ""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count the time in the context as load, and wait afterwards in proportion."""
        begun, cpu_before = self._clock.monotonic(), self._cpu_seconds()
        try:
            yield
        finally:
            ran, cpu_after = self._clock.monotonic() - begun, self._cpu_seconds()
            if cpu_before is not None and cpu_after is not None:
                ran = min(ran, max(0.0, cpu_after - cpu_before))
            self.busy_seconds += ran
            if ran >= PACED_FROM_SECONDS:
                self.wait(PACE_FACTOR * ran)

    def wait(self, seconds: float) -> None:
        """Wait, but not past the time given."""
        self._clock.wait(self._never, min(seconds, max(0.0, self._seconds - self.seconds)))
