"""Operations of the asyncio form, one at a time: in the event loop, or on a thread.

Only reads that are declared short run in the loop itself, on SQLite, since a hop to a thread and
back costs more than they do; one that turns out not to be short is stopped and run on a thread.
"""

from __future__ import annotations

import asyncio

from homeostat.access.async_alone import Alone
from homeostat.access.async_transactions import AsyncTransactions
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.database import Database
from homeostat.access.executor import left_ms
from homeostat.access.operation import Operation
from homeostat.access.outcome import may_run_again, unknown
from homeostat.access.settings import ExecutionSettings, within_budget
from homeostat.driver.wire import NO_PARAMS, Params, Rows
from homeostat.errors import DeadlineExceededError, HomeostatError

SHORT_MS = 1.0  # reads declared to take no longer run in the loop: a hop costs 0.06 ms
INLINE_MS_MAX = 10.0  # one that takes longer is stopped: the loop serves others too


class AsyncCalls(AsyncTransactions):
    """What `AsyncDatabase` does with one operation."""

    def __init__(self, core: Database) -> None:
        """Share an open blocking handle."""
        super().__init__(core)
        self._now = core.executor.now
        self._alone = Alone(core.executor, self._queue, self._threads)
        self._not_short: set[str] = set()

    async def execute(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        caller: Caller = ANYONE,
        idempotency_key: str | None = None,
    ) -> Rows:
        """Run an operation and return all its rows; see `Database.execute`.

        Raises:
            CancelledError: the task was cancelled, and its statement has ended.
        """
        if isinstance(operation, str):
            operation = self.core.operation(operation)
        if idempotency_key is not None:
            return await self._execute_once(operation, params, caller, idempotency_key)
        if _is_short(operation, self.core.dialect) and operation.name not in self._not_short:
            rows = self._inline(operation, params, caller)
            if rows is not None:
                return rows
        return await self._run(operation, params, caller)

    def _inline(self, operation: Operation, params: Params, caller: Caller) -> Rows | None:
        """Run a short read in the loop; None: it has to go to a thread."""
        settings = self._executor.settings_of(operation, caller)
        if settings.announce_caller or settings.deadline_ms is None or settings.cache_seconds:
            return None
        arrival = self._now()
        lease = self.pool.take_idle(operation.name, busy=True, now=arrival)
        if lease is None:
            return None
        limit_ms = min(INLINE_MS_MAX, settings.deadline_ms)
        try:
            operation, params, _ = self._executor.prepared(
                operation, params, caller, settings, arrival
            )
            if caller.read_token:  # on SQLite it is looked at, and nothing is waited for
                name = operation.name
                self._executor.freshen(lease, name, caller, settings, arrival=arrival)
            text = operation.sql_for("sqlite")
            rows = lease.wire.execute(text, params, deadline_ms=limit_ms)
            if settings.rows_max is not None:
                within_budget(operation, rows, settings.rows_max)
        except BaseException as error:
            self.pool.release(lease, suspect=True)
            if isinstance(error, DeadlineExceededError) and limit_ms < settings.deadline_ms:
                self._not_short.add(operation.name)
                return None
            if isinstance(error, DeadlineExceededError):
                self._executor.keep_stopped(operation, params, caller, settings, arrival)
            self._executor.count(operation, caller, self._now() - arrival, failed=True)
            raise
        now = self._now()
        self.pool.release(lease, now=now)
        self._executor.finished(operation, params, caller, settings, now - arrival, rows)
        return rows

    async def _run(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings | None = None,
    ) -> Rows:
        executor = self._executor
        arrival = began = self._now()
        settings = settings or executor.settings_of(operation, caller)
        operation, params, asked = executor.prepared(operation, params, caller, settings, arrival)
        if asked is not None and asked.found is not None:
            executor.count(operation, caller, self._now() - arrival, rows=asked.found)
            return asked.found
        attempt = self._alone.way(operation, caller, settings, otherwise=self._attempt)
        tries = 1 + settings.retries
        while True:
            try:
                rows = await attempt(operation, params, caller, settings, arrival, began)
            except HomeostatError as error:
                tries -= 1
                began = self._now()
                again = may_run_again(operation, error, hooked=bool(executor.hooks)) and tries > 0
                if not again or left_ms(settings, began - arrival) == 0.0:
                    executor.count(operation, caller, began - arrival, failed=True)
                    raise
            except asyncio.CancelledError:
                executor.count(operation, caller, self._now() - arrival, failed=True)
                raise
            else:
                if asked is not None:
                    asked.ended(rows)
                return rows

    async def _attempt(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        arrival: float,
        began: float,
    ) -> Rows:
        executor = self._executor
        in_transaction = settings.announce_caller or (operation.write and bool(executor.hooks))
        lease = await self._queue.acquire(operation.name, caller, settings.wait_seconds, began)
        session = executor.adopt(lease, operation.name, caller, settings)
        taken = lease.since

        def work() -> Rows:
            if caller.read_token and not operation.write:
                executor.freshen(lease, operation.name, caller, settings, arrival=arrival)
            remaining_ms = left_ms(settings, self._now() - arrival)
            if in_transaction:
                session.begin(write=operation.write, deadline_ms=remaining_ms)
                remaining_ms = left_ms(settings, self._now() - arrival)
            if remaining_ms == 0.0:
                raise DeadlineExceededError(where=operation.name)
            try:
                rows = session.execute(operation, params, deadline_ms=remaining_ms)
            except HomeostatError as error:
                uncertain = None if in_transaction else unknown(operation, error, lease.wire)
                if uncertain is not None:
                    raise uncertain from None
                raise
            if in_transaction:
                session.commit()
            return rows

        try:
            rows = await self._threads.run(work, stop=lease.wire.cancel)
        except DeadlineExceededError:
            executor.keep_stopped(operation, params, caller, settings, taken)
            raise
        finally:
            await self._queue.give_back(session)
        executor.count(operation, caller, self._now() - arrival, params=params, rows=rows)
        return rows


def _is_short(operation: Operation, dialect: str) -> bool:
    """Return whether an operation is declared to be done sooner than a thread begins with it."""
    expected_ms = operation.expected_ms
    if expected_ms is None or operation.write or dialect != "sqlite":
        return False
    return expected_ms <= SHORT_MS
