"""Transactions that are run again: what to do after a failure, the same for both forms.

Run again is what certainly had no effect: a serialisation failure, a deadlock, a busy lock, a
connection lost before COMMIT was sent. After CommitUnknownError only a transaction with an
idempotency key is.
"""

from __future__ import annotations

import random

from homeostat.errors import (
    CommitUnknownError,
    ConnectionLostError,
    DatabaseLockedError,
    HomeostatError,
    SerializationError,
)

RETRIES = 5
PAUSE_SECONDS = 0.005
PAUSE_SECONDS_MAX = 0.5


class Retries:
    """How often a transaction may still be run, and the pause before the next time."""

    def __init__(self, retries: int | None, *, has_key: bool) -> None:
        """Allow so many further tries; None: RETRIES."""
        self._left = RETRIES if retries is None else retries
        self._has_key = has_key
        self._pause = PAUSE_SECONDS

    def pause_after(self, error: HomeostatError) -> float | None:
        """Return how long to wait before running it again, in seconds; None: give up.

        The pause doubles, and half of it is chance, so that those who collided part.
        """
        kinds = (SerializationError, DatabaseLockedError, ConnectionLostError)
        again = isinstance(error, kinds)
        if isinstance(error, CommitUnknownError):
            again = self._has_key
        if not again or self._left < 1:
            return None
        self._left -= 1
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        self._pause = min(2 * self._pause, PAUSE_SECONDS_MAX)
        return pause
