"""The data path for asyncio: the same operations, pool and statistics, and no thread per waiter.

A task that waits for a connection waits in the event loop; once it has one, its statement runs on a
worker thread. Only reads that are declared short run in the loop itself, on SQLite, since a hop
to a thread and back costs more than they do; one that turns out not to be short is stopped and
run on a thread.

A cancelled task stops its statement, and ends when the statement has. What was committed by then
stays committed: who has to know uses an idempotency key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any, Self, TypeVar

from homeostat.access.async_alone import Alone
from homeostat.access.async_bulk import AsyncBulk
from homeostat.access.async_queue import AsyncQueue
from homeostat.access.async_session import AsyncSession
from homeostat.access.async_transactions import AsyncTransactions
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.database import Database
from homeostat.access.executor import left_ms
from homeostat.access.operation import Operation
from homeostat.access.outcome import may_run_again, unknown
from homeostat.access.pool import DRAIN_SECONDS
from homeostat.access.results import ResultCounts
from homeostat.access.session import Isolation, WriteHook
from homeostat.access.settings import ExecutionSettings, within_budget
from homeostat.access.threads import Threads
from homeostat.driver.wire import NO_PARAMS, Params, Rows
from homeostat.errors import DeadlineExceededError, HomeostatError

T = TypeVar("T")
SHORT_MS = 1.0  # reads declared to take no longer run in the loop: a hop costs 0.06 ms
INLINE_MS_MAX = 10.0  # one that takes longer is stopped: the loop serves others too


class AsyncDatabase(AsyncTransactions, AsyncBulk):
    """One database as an asyncio application uses it; belongs to one event loop."""

    @classmethod
    async def open(cls, url: str | Path, **options: Any) -> AsyncDatabase:
        """Open a database; takes what `Database.open` takes, and raises what it raises."""
        core = await asyncio.to_thread(lambda: Database.open(url, **options))
        return cls(core)

    def __init__(self, core: Database) -> None:
        """Share an open blocking handle; closing this one closes it."""
        self.core = core
        self.pool = core.pool
        self._executor = core.executor
        self._threads = Threads(core.pool.limits.limit_max + 2)
        self._now = core.executor.now
        self._queue = AsyncQueue(core.pool, self._threads, now=self._now)
        self._alone = Alone(core.executor, self._queue, self._threads)
        self._not_short: set[str] = set()

    # -- operations -------------------------------------------------------------------------

    def register(self, operation: Operation) -> None:
        """Make an operation known by its name; see `Database.register`."""
        self.core.register(operation)

    def operation(self, name: str) -> Operation:
        """Return a registered operation; see `Database.operation`."""
        return self.core.operation(name)

    def on_write(
        self, hook: WriteHook, *, tables: Iterable[str] | None = None
    ) -> Callable[[], None]:
        """Run a blocking hook after every write operation, on its thread; see `Database`."""
        return self.core.on_write(hook, tables=tables)

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

    def transaction(
        self,
        *,
        write: bool = True,
        caller: Caller = ANYONE,
        name: str = "transaction",
        isolation: Isolation | None = None,
    ) -> AbstractAsyncContextManager[AsyncSession]:
        """Hold one connection in a transaction; see `Database.transaction`.

        It begins with its first statement, so that a hop to a thread is spared: until then it
        holds no lock. A commit that was begun is never cancelled: its outcome is waited for.
        """
        return self._session(name, caller, write=write, isolation=isolation)

    def session(
        self, *, caller: Caller = ANYONE, name: str = "session"
    ) -> AbstractAsyncContextManager[AsyncSession]:
        """Hold one connection without a transaction: each statement commits by itself."""
        return self._session(name, caller, write=None)

    async def stream(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        caller: Caller = ANYONE,
        size: int | None = None,
    ) -> AsyncGenerator[tuple[object, ...], None]:
        """Yield the rows of a reading operation as they come; see `Database.stream`."""
        if isinstance(operation, str):
            operation = self.core.operation(operation)
        settings = self._executor.settings_of(operation, caller)
        async with (
            self._session(operation.name, caller, write=False, settings=settings) as session,
            aclosing(session.stream(operation, params, size=size)) as rows,
        ):
            async for row in rows:
                yield row

    @property
    def results(self) -> ResultCounts:
        """Return what the cache of results did and holds; see `Database.results`."""
        return self.core.results

    async def close(self, *, drain_seconds: float = DRAIN_SECONDS) -> tuple[tuple[str, float], ...]:
        """Refuse new calls, let those under way end, report a last time; see `Database.close`."""
        late = await asyncio.to_thread(lambda: self.core.close(drain_seconds=drain_seconds))
        self._threads.close()
        return late

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    # -- how --------------------------------------------------------------------------------

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
