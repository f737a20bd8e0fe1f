"""How fast a copy goes: a budget in bytes a second, less of it while applications feel the copy.

As congestion control does (additive or slow increase, multiplicative decrease): the pace is halved
at every look at which applications are slower than usual, and grows again while they are not. It
never falls below a part of the budget, so a copy beside an application that is slow anyway ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter

# the applications' latency now over what is usual; None: nobody tells
Strain = Callable[[], float | None]
STRAIN_MAX = 1.1  # 1.2 is the goal while a clone is made; what is slower than this is felt already
LOOK_SECONDS = 0.5  # agents report every 2 s by default; a report is asked for soon after it came
SLOWER, FASTER = 0.5, 1.1  # a look
LEAST_SHARE = 0.25  # of the budget: a copy takes four times as long at worst


class Pace:
    """Holds a copy back; one for each copy."""

    def __init__(self, bytes_per_second: float, *, strain: Strain | None = None) -> None:
        """Start the clock.

        Args:
            bytes_per_second: the most.
            strain: says how much slower applications are; None: nobody tells, the most is used.
        """
        self._most = bytes_per_second
        self._strain = strain
        self.bytes_per_second = bytes_per_second
        self._moved = 0
        self._due = self._looked = perf_counter()
        self._pause = threading.Event()

    def keep(self, moved: int) -> None:
        """Wait until it is time to go on after so many bytes.

        Fewer than before are of a new part, which therefore begins with 0: its first bytes may be
        more than all of the part before.
        """
        now = perf_counter()
        if self._strain is not None and now >= self._looked + LOOK_SECONDS:
            self._looked = now
            self._follow(self._strain())
        # what was not used is not saved up: a burst is what applications feel
        self._due = max(self._due, now - LOOK_SECONDS)
        new = moved - self._moved if moved >= self._moved else moved
        self._due += new / self.bytes_per_second
        self._moved = moved
        self._pause.wait(max(0.0, self._due - now))

    def _follow(self, strain: float | None) -> None:
        if strain is None:
            return
        factor = SLOWER if strain > STRAIN_MAX else FASTER
        least = LEAST_SHARE * self._most
        self.bytes_per_second = min(self._most, max(least, factor * self.bytes_per_second))
