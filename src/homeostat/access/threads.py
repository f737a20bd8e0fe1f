"""Blocking work for an event loop: on worker threads, and stopped when its task is cancelled.

A job runs to its end even when nobody waits any more: a connection is in use until then. Its
threads are as many as the pool has connections, since only who has a connection gets one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from homeostat.errors import StatementCancelledError

T = TypeVar("T")
STOP_AGAIN_SECONDS = 0.02  # a stop before the statement has begun has no effect


class Job:
    """One piece of work on a thread, which can be told to stop while it runs and never after."""

    def __init__(self, stop: Callable[[], None] | None) -> None:
        """Take what stops the work; None: it cannot be stopped."""
        self._stop = stop
        self._lock = threading.Lock()
        self._over = False
        self._unwanted = False

    def run(self, work: Callable[[], T]) -> T:
        """Run the work, unless it was stopped before it began."""
        with self._lock:
            if self._unwanted and self._stop is not None:
                raise StatementCancelledError
        try:
            return work()
        finally:
            with self._lock:
                self._over = True

    def stop(self) -> None:
        """Stop the work if it runs."""
        with self._lock:
            self._unwanted = True
            if self._stop is not None and not self._over:
                self._stop()


class Threads:
    """Runs blocking work for one event loop."""

    def __init__(self, count_max: int) -> None:
        """Start none yet; at most `count_max`."""
        self._pool = ThreadPoolExecutor(count_max, thread_name_prefix="homeostat-access")

    async def run(self, work: Callable[[], T], *, stop: Callable[[], None] | None = None) -> T:
        """Run work on a thread and return what it returns.

        Args:
            work: may block.
            stop: stops it when the task is cancelled; None: it is waited for.

        Raises:
            CancelledError: the task was cancelled; the work has ended all the same.
        """
        job = Job(stop)
        future = asyncio.get_running_loop().run_in_executor(self._pool, job.run, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await _end(job, future)
            raise

    def close(self) -> None:
        """Let the threads end with their work."""
        self._pool.shutdown(wait=False)


async def _end(job: Job, future: asyncio.Future[T]) -> None:
    """Wait for the end of a job that nobody wants; further cancellations change nothing."""
    while not future.done():
        job.stop()
        try:
            await asyncio.wait({future}, timeout=STOP_AGAIN_SECONDS)
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()  # told to nobody
