"""Blocking work for an event loop: on worker threads, and stopped when its task is cancelled.

A job runs to its end even when nobody waits any more: a connection is in use until then. There are
as many threads as jobs at one time, and jobs are at most as many as the pool has connections.
A plain queue and one call into the loop take half the time of an executor's futures. A forked child
has none of the threads, and starts its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from homeostat.driver.fork import FORKED
from homeostat.errors import StatementCancelledError

T = TypeVar("T")
STOP_AGAIN_SECONDS = 0.02  # a stop before the statement has begun has no effect


class Job:
    """One piece of work on a thread, which can be told to stop while it runs and never after.

    It can be awaited, as a future: what asyncio asks of one (`asyncio.isfuture`) is enough for a
    task, and the thread wakes the task itself. A future of the loop's would be told first and then
    wake the task in the loop's next turn, which takes 7 us.
    """

    _asyncio_future_blocking = False

    def __init__(
        self,
        work: Callable[[], Any],
        stop: Callable[[], None] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take the work, and what stops it; None: it cannot be stopped."""
        self._work = work
        self._stop = stop
        self._loop = loop
        self._lock = threading.Lock()
        self._over = False
        self._unwanted = False
        self._cancelled = False
        self._wake: Callable[..., object] | None = None
        self._context: Context | None = None
        self._result: Any = None
        self._error: BaseException | None = None

    # -- on the thread

    def run(self) -> None:
        """Run the work, unless it was stopped before it began."""
        try:
            with self._lock:
                unwanted = self._unwanted and self._stop is not None
            if unwanted:
                raise StatementCancelledError  # noqa: TRY301
            self._result = self._work()
        except BaseException as failed:  # noqa: BLE001  it belongs to who waits
            self._error = failed

    def tell(self) -> None:
        """Wake who waits; the last that a thread does, since the loop wakes at once."""
        with self._lock:
            self._over = True
            wake = self._wake
        if wake is not None and not self._cancelled:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(wake, self, context=self._context)

    def run_and_tell(self) -> None:
        """Run the work and wake who waits."""
        self.run()
        self.tell()

    # -- in the loop

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the end; raise what the work raised, or that the task was cancelled."""
        if not self._over:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the task that waits."""
        return self._loop

    def add_done_callback(
        self, wake: Callable[..., object], *, context: Context | None = None
    ) -> None:
        """Take what wakes the task."""
        with self._lock:
            self._context = context
            self._wake = wake
            over = self._over
        if over:
            self._loop.call_soon(wake, self, context=context)

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002  as a future's
        """Have the task wake with CancelledError; the work goes on until `end`."""
        with self._lock:
            if self._over or self._cancelled or self._wake is None:
                return False
            self._cancelled = True
        self._loop.call_soon(self._wake, self, context=self._context)
        return True

    def result(self) -> Any:
        """Return what the work returned, or raise what it raised."""
        if self._cancelled:
            raise asyncio.CancelledError
        error, self._error = self._error, None  # whose traceback leads back here
        if error is not None:
            raise error
        return self._result

    async def end(self) -> None:
        """Stop the work and wait for its end; further cancellations of the task change nothing."""
        while True:
            ended: asyncio.Future[None] = self._loop.create_future()
            with self._lock:
                if self._over:
                    return
                self._unwanted = True
                self._cancelled = False
                self._wake, self._context = partial(_end, ended), None
                if self._stop is not None:
                    self._stop()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({ended}, timeout=STOP_AGAIN_SECONDS)


def _end(ended: asyncio.Future[None], _: Job) -> None:
    if not ended.done():
        ended.set_result(None)


class Threads:
    """Runs blocking work for one event loop."""

    def __init__(self, count_max: int) -> None:
        """Start none yet; at most `count_max`."""
        self._count_max = count_max
        self._closed = False
        self._after_fork()
        FORKED.add(self)

    def _after_fork(self) -> None:
        """Have no thread and no job."""
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._under_way = 0
        self._started = 0

    async def run(self, work: Callable[[], T], *, stop: Callable[[], None] | None = None) -> T:
        """Run work on a thread and return what it returns.

        Args:
            work: may block.
            stop: stops it when the task is cancelled; None: it is waited for.

        Raises:
            CancelledError: the task was cancelled; the work has ended all the same.
            RuntimeError: the system gives no thread, and there is none yet; nothing was run.
        """
        loop = asyncio.get_running_loop()
        job = Job(work, stop, loop)
        with self._lock:
            start = self._under_way >= self._started < self._count_max
            self._started += start
        if start:
            self._start()
        with self._lock:
            closed = self._closed
            if not closed:
                self._under_way += 1
                self._jobs.put(job)
        if closed:  # a task that outlived the drain still has to roll back and close
            threading.Thread(
                target=job.run_and_tell, name="homeostat-access-late", daemon=True
            ).start()
        try:
            result: T = await job
        except asyncio.CancelledError:
            await job.end()
            raise
        return result

    def _start(self) -> None:
        """Start a thread that is counted already; one that cannot be is done without."""
        name = f"homeostat-access-{self._started}"
        try:
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._started -= 1
                alone = self._started == 0
            if alone:  # nobody would ever run the job
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
            job.tell()
            del job  # and with it what it returned
