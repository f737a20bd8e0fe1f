"""How long a check may take, and how much of a core it may use.

Statements are counted by the clock. Between long ones it waits, so that a busy database gets its
turn; when time or load is used up, what is left of the check is not done.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
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

    @property
    def seconds(self) -> float:
        """Return how long it has been under way."""
        return self._clock.monotonic() - self._begun

    @property
    def left_seconds(self) -> float:
        """Return how long the next statement may run; 0 or less: nothing is left."""
        return min(self._seconds - self.seconds, self._busy_max - self.busy_seconds)

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
        begun = self._clock.monotonic()
        try:
            yield
        finally:
            ran = self._clock.monotonic() - begun
            self.busy_seconds += ran
            if ran >= PACED_FROM_SECONDS:
                self.wait(PACE_FACTOR * ran)

    def wait(self, seconds: float) -> None:
        """Wait, but not past the time given."""
        self._clock.wait(self._never, min(seconds, max(0.0, self._seconds - self.seconds)))
