"""A trouble that does something again and again beside the traffic, on a thread of its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from homeostat.clock import Clock
from homeostat.errors import HomeostatError

JOIN_SECONDS = 1.0


class Background(ABC):
    """Takes a turn every `turn_seconds` while it is on; a subclass says what a turn does.

    Attributes:
        strength: None: off.
        pid: None, it is no process.
    """

    pid = None
    turn_seconds = 1.0

    def __init__(self, name: str, *, clock: Clock) -> None:
        """Start switched off."""
        self.name = name
        self.strength: float | None = None
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, strength: float) -> None:
        """Begin, or go on with another strength."""
        self.strength = strength
        if self._thread is not None:
            return
        self.begin()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, and put right what it did."""
        self.strength = None
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        thread.join(JOIN_SECONDS)
        self.end()

    def begin(self) -> None:  # noqa: B027  most need nothing
        """Prepare what the turns need."""

    @abstractmethod
    def turn(self, strength: float) -> None:
        """Do it once."""

    def end(self) -> None:  # noqa: B027  as begin
        """Put right what the turns did."""

    def _run(self) -> None:
        while not self._clock.wait(self._stop, self.turn_seconds):
            strength = self.strength
            if strength is None:
                return
            try:
                self.turn(strength)
            except HomeostatError:
                continue  # the database or the pool is in trouble already: the next turn tries
