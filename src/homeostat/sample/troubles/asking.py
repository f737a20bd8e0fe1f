"""What troubles of a statement share: their strength is the share of the requests that ask it.

Every n-th request asks, not each by chance: the load stays even, and what a mend brought can be
told after some seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from homeostat.sample.operations import Part


class AskingTrouble(ABC):
    """Spoils something in the database and asks what suffers from it.

    Attributes:
        parts: all that it may ask.
        pid: None, it is no process.
    """

    parts: tuple[Part, ...]
    pid = None

    def __init__(self, url: str) -> None:
        """Remember which database it is; nothing is done yet."""
        self.url = url
        self._strength: float | None = None
        self._due = 0.0

    @property
    def strength(self) -> float | None:
        """Return the share of the requests that ask; None: it is off."""
        return self._strength

    def start(self, strength: float) -> None:
        """Spoil it, unless that was done before, and let this share of the requests ask."""
        if self._strength is None:
            self.spoil()
        self._strength = strength

    def stop(self) -> None:
        """Ask no more, then put it right; does nothing when it is off."""
        if self._strength is not None:
            self._strength = None
            self.mend()

    def asks(self) -> Part | None:
        """Return what the next request asks instead of what it would; None: it is left alone."""
        self._due += self._strength or 0.0
        if self._due < 1:
            return None
        self._due -= 1
        return self.chosen()

    def chosen(self) -> Part:
        """Return what is asked this time."""
        return self.parts[0]

    @abstractmethod
    def spoil(self) -> None:
        """Make the database so that what is asked becomes slow."""

    @abstractmethod
    def mend(self) -> None:
        """Put it right: also what a traffic process that was killed left behind."""
