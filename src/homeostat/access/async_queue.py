"""A place in the pool's queue for a task: it waits in its event loop, not on a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from homeostat.access.caller import Caller
from homeostat.access.leak import NOWHERE, place
from homeostat.access.lease import Lease, Waiter
from homeostat.access.pool import Pool
from homeostat.access.session import Session
from homeostat.access.threads import Threads


class AsyncQueue:
    """Takes connections of a pool for tasks, and returns them."""

    def __init__(self, pool: Pool, threads: Threads, *, now: Callable[[], float]) -> None:
        self._pool = pool
        self._threads = threads
        self._now = now

    async def acquire(
        self, name: str, caller: Caller, seconds: float, arrival: float, *, busy: bool = False
    ) -> Lease:
        """Take a connection; see `Pool.acquire`."""
        lease = self._pool.take_idle(name, busy=busy, now=arrival)
        if lease is not None:
            return lease
        waiter = LoopWaiter(name, arrival, busy=busy, caller=caller)
        lease = self._pool.enter(waiter, may_wait=seconds)
        if lease is not None:
            return lease
        if not waiter.may_open:
            await self._woken(waiter, seconds - (self._now() - arrival))
            lease = self._pool.granted(waiter)
            if lease is not None:
                return lease
            waiter.renew()
        self._pool.begin_opening(waiter)
        await self._woken(waiter, seconds - (self._now() - arrival))
        return self._pool.opened(waiter)

    async def _woken(self, waiter: LoopWaiter, seconds: float) -> None:
        """Wait until a waiter is woken, or for the time to pass; a cancelled one leaves."""
        try:
            await waiter.wait(seconds)
        except BaseException:
            self._pool.abandon(waiter)
            raise

    async def give_back(self, session: Session) -> None:
        """Return a session's connection; what has to be rolled back is, on a thread."""
        if session.is_clean:
            session.end()
        else:
            await self._threads.run(session.end)


class LoopWaiter(Waiter):
    """A place in the queue for a task: it is woken in its own event loop."""

    __slots__ = ("_future", "_loop")
    comes = False

    def __init__(self, name: str, arrival: float, *, busy: bool, caller: Caller) -> None:
        taken_at = NOWHERE if busy else place()
        super().__init__(name, arrival, busy=busy, caller=caller, taken_at=taken_at)
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.event = _Waking(self)

    def renew(self) -> None:
        """Be ready to be woken once more."""
        self.event.clear()
        self._future = self._loop.create_future()

    def wake(self) -> None:
        """Wake the task, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._woken)
        except RuntimeError:  # the loop is closed: nobody waits
            return

    async def wait(self, seconds: float) -> None:
        """Wait to be woken, or for the time to pass."""
        await asyncio.wait({self._future}, timeout=max(0.0, seconds))

    def _woken(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class _Waking(threading.Event):
    """Wakes a task when it is set."""

    def __init__(self, waiter: LoopWaiter) -> None:
        super().__init__()
        self._waiter = waiter

    def set(self) -> None:
        """Set it and wake the task."""
        super().set()
        self._waiter.wake()
