"""How fast a copy goes: a budget in bytes a second, less of it while applications feel the copy.

As congestion control does (additive or slow increase, multiplicative decrease): the pace is halved
at every look at which applications are slower than usual, and grows again while they are not. It
never falls below a part of the budget, so a copy beside an application that is slow anyway ends;
one that nobody asked for is given up there, since what goes slower holds its locks for longer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import perf_counter

from homeostat.errors import CloneRefusedError

# the applications' latency now over what is usual; None: nobody tells
Strain = Callable[[], float | None]
STRAIN_MAX = 1.1  # 1.2 is the goal while a clone is made; what is slower than this is felt already
LOOK_SECONDS = 0.5  # agents report every 2 s by default; a report is asked for soon after it came
SLOWER, FASTER = 0.5, 1.1  # a look
LEAST_SHARE = 0.25  # of the budget: a copy takes four times as long at worst


def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What ends one copy earlier than the configuration of clones does.

    Attributes:
        bytes_max: no larger database is copied.
        seconds_max: a copy that takes longer is given up.
        felt_seconds_max: so is one that went at the least pace for so long, since it is felt.
        halted: says why it is not wanted any more, looked at about once a second; empty: it is.
    """

    bytes_max: float = inf
    seconds_max: float = inf
    felt_seconds_max: float = inf
    halted: Callable[[], str] = _nothing

    def check(self) -> None:
        """Look whether a copy is still wanted.

        Raises:
            CloneRefusedError: it is not; says why.
        """
        why = self.halted()
        if why:
            raise CloneRefusedError(f"The copy was given up: {why}.")


UNBOUNDED = Bounds()
TOO_LONG = (
    "The copy took longer than [clone] seconds_max, or, where nothing was allowed yet, "
    "operate.preview_seconds_max. Allow more, or wait."
)


class Pace:
    """Holds a copy back; one for each copy."""

    def __init__(
        self,
        bytes_per_second: float,
        *,
        strain: Strain | None = None,
        bounds: Bounds = UNBOUNDED,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Start the clock.

        Args:
            bytes_per_second: the most.
            strain: says how much slower applications are; None: nobody tells, the most is used.
            bounds: when it is given up.
            check: looks whether it goes on, and raises if not; None: as the bounds say.
        """
        self._most = bytes_per_second
        self._strain = strain
        self._bounds = bounds
        self._check = check or bounds.check
        self._slowest_since: float | None = None
        self.bytes_per_second = bytes_per_second
        self._moved = 0
        self._due = self._looked = perf_counter()
        self._pause = threading.Event()

    def keep(self, moved: int) -> None:
        """Wait until it is time to go on after so many bytes.

        Fewer than before are of a new part, which therefore begins with 0: its first bytes may be
        more than all of the part before.

        Raises:
            CloneRefusedError: it does not go on; says why.
        """
        now = perf_counter()
        self._look(now)
        # what was not used is not saved up: a burst is what applications feel
        self._due = max(self._due, now - LOOK_SECONDS)
        new = moved - self._moved if moved >= self._moved else moved
        self._due += new / self.bytes_per_second
        self._moved = moved
        while (left := self._due - now) > 0:
            self._pause.wait(min(left, LOOK_SECONDS))
            now = perf_counter()
            self._look(now)

    def _look(self, now: float) -> None:
        """Look, from time to time, whether it goes on and how fast."""
        if now < self._looked + LOOK_SECONDS:
            return
        self._looked = now
        self._check()
        if self._strain is not None:
            self._follow(self._strain(), now)

    def _follow(self, strain: float | None, now: float) -> None:
        if strain is None:
            return
        factor = SLOWER if strain > STRAIN_MAX else FASTER
        least = LEAST_SHARE * self._most
        self.bytes_per_second = min(self._most, max(least, factor * self.bytes_per_second))
        if self.bytes_per_second > least:
            self._slowest_since = None
        elif self._slowest_since is None:
            self._slowest_since = now
        elif now - self._slowest_since > self._bounds.felt_seconds_max:
            message = (
                "Applications stayed slower than usual while it was copied. Copy it when idle."
            )
            raise CloneRefusedError(message, detail=f"{now - self._slowest_since:.0f} s")
