"""An operation of the asyncio form as a statement of its own: one hop to a thread, no session.

What a session keeps for the statements that may follow (places, marks, what was written) took as
long as the hop itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from homeostat.access.async_queue import AsyncQueue
from homeostat.access.caller import Caller
from homeostat.access.executor import Executor, left_ms
from homeostat.access.lease import Lease
from homeostat.access.operation import Operation
from homeostat.access.outcome import unknown
from homeostat.access.settings import ExecutionSettings, within_budget
from homeostat.access.threads import Threads
from homeostat.driver.wire import Params, Rows
from homeostat.errors import DeadlineExceededError, HomeostatError

Way = Callable[
    [Operation, Params, Caller, ExecutionSettings, float, float], Coroutine[Any, Any, Rows]
]
"""Runs an operation once; the last two: when the call came, and when this attempt began."""


class Alone:
    """Runs statements of their own for one event loop."""

    def __init__(self, executor: Executor, queue: AsyncQueue, threads: Threads) -> None:
        self._executor = executor
        self._queue = queue
        self._threads = threads

    def way(
        self, operation: Operation, caller: Caller, settings: ExecutionSettings, *, otherwise: Way
    ) -> Way:
        """Return `run` for an operation that needs no session around its statement."""
        if settings.announce_caller or (caller.read_token and not operation.write):
            return otherwise
        if operation.write and (self._executor.hooks or self._executor.results is not None):
            return otherwise
        return self.run

    async def run(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        arrival: float,
        began: float,
    ) -> Rows:
        """Run an operation once, and count it if it succeeds; see `Executor.run`."""
        executor, name = self._executor, operation.name
        lease = await self._queue.acquire(name, caller, settings.wait_seconds, began, busy=True)
        taken = lease.since

        def work() -> Rows:
            return self._statement(
                lease, operation, params, left_ms(settings, executor.now() - arrival)
            )

        try:
            rows = await self._threads.run(work, stop=lease.wire.cancel)
            if settings.rows_max is not None:
                within_budget(operation, rows, settings.rows_max)
        except BaseException as error:
            if isinstance(error, DeadlineExceededError):
                executor.keep_stopped(operation, params, caller, settings, taken)
            release = partial(executor.pool.release, lease, suspect=True)
            if lease.wire.broken or lease.wire.in_transaction:  # that may have to wait
                await self._threads.run(release)
            else:
                release()
            raise
        now = executor.now()
        executor.pool.release(lease, now=now)
        executor.finished(
            operation, params, caller, settings, now - arrival, rows, alone_seconds=now - taken
        )
        return rows

    def _statement(
        self, lease: Lease, operation: Operation, params: Params, remaining_ms: float | None
    ) -> Rows:
        """Run the statement on its thread."""
        if remaining_ms == 0.0:
            raise DeadlineExceededError(where=operation.name)
        text = operation.sql_for(lease.wire.dialect)
        try:
            return lease.wire.execute(text, params, deadline_ms=remaining_ms)
        except HomeostatError as error:
            uncertain = unknown(operation, error, lease.wire)
            if uncertain is not None:
                raise uncertain from None
            raise
