"""Calls of the Console, made in threads so that a slow one never holds up the event loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from homeostat.errors import TooManyRequestsError

THREADS_CALLS = 16
THREADS_REPORTS = 8  # of their own: pages that wait never hold up agents
THREADS_COPIES = 4  # of their own: a copy may take minutes
WAITING_MAX = 256  # as many as there may be agents; more are sent away, not kept waiting

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Calls:
    """Calls functions in threads, a bounded number at a time and a bounded number in the queue."""

    limiter: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(THREADS_CALLS)
    )
    waiting_max: int = WAITING_MAX

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns.

        Raises:
            TooManyRequestsError: too many wait already.
        """
        if self.limiter.statistics().tasks_waiting >= self.waiting_max:
            raise TooManyRequestsError
        return await anyio.to_thread.run_sync(
            lambda: function(*args, **kwargs), limiter=self.limiter
        )
