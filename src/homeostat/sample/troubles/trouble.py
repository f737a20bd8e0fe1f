"""What every trouble can do: begin, change its strength, end."""

from __future__ import annotations

from typing import Protocol


class Trouble(Protocol):
    """A fault that can be switched on and off while the traffic runs."""

    @property
    def strength(self) -> float | None:
        """Return how strong it is, above 0 and below 1; None: it is off."""
        ...

    @property
    def pid(self) -> int | None:
        """Return the process that it is, if it is one and runs."""
        ...

    def start(self, strength: float) -> None:
        """Begin, or go on with another strength."""
        ...

    def stop(self) -> None:
        """End it; does nothing when it is off."""
        ...
