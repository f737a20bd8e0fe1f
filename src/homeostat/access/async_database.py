"""The data path for asyncio: the same operations, pool and statistics, and no thread per waiter.

A task that waits for a connection waits in the event loop; once it has one, its statement runs on a
worker thread (async_calls.py, which also tells what runs in the loop itself).

A cancelled task stops its statement, and ends when the statement has. What was committed by then
stays committed: who has to know uses an idempotency key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any, Self

from homeostat.access.async_bulk import AsyncBulk
from homeostat.access.async_session import AsyncSession
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.database import Database
from homeostat.access.operation import Operation
from homeostat.access.pool import DRAIN_SECONDS
from homeostat.access.results import ResultCounts
from homeostat.access.session import Isolation, WriteHook
from homeostat.driver.wire import NO_PARAMS, Params


class AsyncDatabase(AsyncBulk):
    """One database as an asyncio application uses it; belongs to one event loop."""

    @classmethod
    async def open(cls, url: str | Path, **options: Any) -> AsyncDatabase:
        """Open a database; takes what `Database.open` takes, and raises what it raises."""
        core = await asyncio.to_thread(lambda: Database.open(url, **options))
        return cls(core)

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
