"""A session of the asyncio form: each statement runs on a thread, and stops with its task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from homeostat.access.caller import Caller
from homeostat.access.lease import Lease
from homeostat.access.operation import Operation
from homeostat.access.session import Session
from homeostat.access.threads import Threads
from homeostat.driver.wire import NO_PARAMS, Params, Rows

T = TypeVar("T")


class AsyncSession:
    """What `AsyncDatabase.transaction` and `session` yield; see `Session`."""

    def __init__(
        self, session: Session, threads: Threads, lease: Lease, begin: Callable[[], object] | None
    ) -> None:
        """Take a session; `begin` is run before the first work, on its thread: a hop is spared."""
        self._session = session
        self._threads = threads
        self._lease = lease
        self._begin = begin
        self._turn = asyncio.Lock()  # tasks of one block take turns on its connection

    @property
    def caller(self) -> Caller:
        """Return on whose behalf."""
        return self._session.caller

    async def execute(
        self, sql: str | Operation, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one statement or operation on the held connection; see `Session.execute`."""
        return await self.run(lambda s: s.execute(sql, params, deadline_ms=deadline_ms))

    async def execute_many(self, sql: str | Operation, rows: list[Params]) -> int:
        """Run one statement for each set of parameters; see `Session.execute_many`."""
        return await self.run(lambda s: s.execute_many(sql, rows))

    async def stream(
        self,
        sql: str | Operation,
        params: Params = NO_PARAMS,
        *,
        size: int | None = None,
        deadline_ms: float | None = None,
    ) -> AsyncGenerator[tuple[object, ...], None]:
        """Yield the rows of a reading statement as they come; see `Session.stream`."""
        source = self._session.stream(sql, params, size=size, deadline_ms=deadline_ms)
        try:
            while True:
                batch = await self.run(lambda _: next(source, None))
                if batch is None:
                    return
                for row in batch.rows:
                    yield row
        finally:
            await self._ended(source.close)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what is done inside if it raises, and only that; see `Session.savepoint`."""
        point = self._session.savepoint()
        entered = False

        def enter(_: Session) -> None:
            nonlocal entered
            point.__enter__()
            entered = True

        try:
            await self.run(enter)
        except BaseException as error:
            if entered:  # and cancelled in the same moment
                why = error
                await self._ended(lambda: point.__exit__(type(why), why, why.__traceback__))
            raise
        try:
            yield
        except BaseException as error:
            why = error
            await self._ended(lambda: point.__exit__(type(why), why, why.__traceback__))
            raise
        await self._ended(lambda: point.__exit__(None, None, None))

    async def run(self, work: Callable[[Session], T]) -> T:
        """Run blocking work with the session on its thread; cancelling stops its statement.

        Of several tasks that use one session each waits for the one before it.
        """
        session = self._session

        def first() -> T:
            if self._begin is not None:
                self._begin()
                self._begin = None
            return work(session)

        async with self._turn:
            whole = first if self._begin is not None else lambda: work(session)
            return await self._threads.run(whole, stop=self._lease.wire.cancel)

    async def _ended(self, end: Callable[[], object]) -> None:
        """Run what ends a part of the session; a cancelled task waits for its outcome."""
        cancelled = await self.settle()
        try:
            await self._threads.run(end)
        finally:
            self.over()
        if cancelled is not None:
            raise cancelled

    async def settle(self) -> asyncio.CancelledError | None:
        """Wait until no other task uses the session any more, and let none do so until `over`.

        Returns:
            What the task was told meanwhile; then the statement it waited for was stopped.
        """
        cancelled = None
        while True:
            try:
                await self._turn.acquire()
            except asyncio.CancelledError as error:
                cancelled = error
                self._lease.wire.cancel()
            else:
                return cancelled

    def over(self) -> None:
        """Let tasks that still wait go on; a session that has ended refuses them."""
        self._turn.release()

    @property
    def has_begun(self) -> bool:
        """Return whether there is a transaction to commit."""
        return self._begin is None or self._lease.wire.in_transaction
