"""Blocking work for an event loop: on worker threads, and stopped when its task is cancelled.

A job runs to its end even when nobody waits any more: a connection is in use until then. There are
as many threads as jobs at one time, and jobs are at most as many as the pool has connections.
A plain queue and one call into the loop take half the time of an executor's futures.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from homeostat.errors import StatementCancelledError

T = TypeVar("T")
STOP_AGAIN_SECONDS = 0.02  # a stop before the statement has begun has no effect


class Job:
    """One piece of work on a thread, which can be told to stop while it runs and never after."""

    __slots__ = ("_ended", "_future", "_lock", "_loop", "_over", "_stop", "_unwanted", "_work")

    def __init__(
        self,
        work: Callable[[], Any],
        stop: Callable[[], None] | None,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
    ) -> None:
        """Take the work, what stops it (None: it cannot be stopped) and who waits."""
        self._work = work
        self._stop = stop
        self._loop = loop
        self._future = future
        self._lock = threading.Lock()
        self._over = False
        self._unwanted = False
        self._ended: asyncio.Future[None] | None = None

    def run(self) -> None:
        """Run the work on this thread, unless it was stopped before it began; tell the loop."""
        result: object = None
        error: BaseException | None = None
        try:
            with self._lock:
                unwanted = self._unwanted and self._stop is not None
            if unwanted:
                raise StatementCancelledError  # noqa: TRY301
            result = self._work()
        except BaseException as failed:  # noqa: BLE001  it belongs to who waits
            error = failed
        with self._lock:
            self._over = True
        try:
            self._loop.call_soon_threadsafe(self._tell, result, error)
        except RuntimeError:  # the loop is closed: nobody waits
            return

    async def end(self) -> None:
        """Stop the work and wait for its end; further cancellations of the task change nothing."""
        while not self._over:
            self._ended = self._loop.create_future()
            with self._lock:
                self._unwanted = True
                if self._stop is not None and not self._over:
                    self._stop()
            try:
                await asyncio.wait({self._ended}, timeout=STOP_AGAIN_SECONDS)
            except asyncio.CancelledError:
                continue

    def _tell(self, result: object, error: BaseException | None) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        if self._future.done():
            return
        if error is None:
            self._future.set_result(result)
        else:
            self._future.set_exception(error)


class Threads:
    """Runs blocking work for one event loop."""

    def __init__(self, count_max: int) -> None:
        """Start none yet; at most `count_max`."""
        self._count_max = count_max
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._under_way = 0
        self._started = 0
        self._closed = False

    async def run(self, work: Callable[[], T], *, stop: Callable[[], None] | None = None) -> T:
        """Run work on a thread and return what it returns.

        Args:
            work: may block.
            stop: stops it when the task is cancelled; None: it is waited for.

        Raises:
            CancelledError: the task was cancelled; the work has ended all the same.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = Job(work, stop, loop, future)
        with self._lock:
            closed = self._closed
            self._under_way += 1
            start = self._under_way > self._started < self._count_max
            self._started += start
            if not closed:
                self._jobs.put(job)
        if closed:  # a task that outlived the drain still has to roll back and close
            threading.Thread(target=job.run, name="homeostat-access-late", daemon=True).start()
        elif start:
            name = f"homeostat-access-{self._started}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        try:
            return await future
        except asyncio.CancelledError:
            await job.end()
            raise

    def close(self) -> None:
        """Let the threads end with their work."""
        with self._lock:
            started, self._count_max, self._closed = self._started, 0, True
            for _ in range(started):
                self._jobs.put(None)

    def _serve(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job.run()
            with self._lock:
                self._under_way -= 1
