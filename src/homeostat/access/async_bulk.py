"""What the asyncio form does with many rows; see `Bulk`, whose work it has done on a thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from homeostat.access import pages, relations
from homeostat.access.async_session import AsyncSession
from homeostat.access.bulk import write_all
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.database import Database
from homeostat.access.operation import Operation
from homeostat.access.pages import Page
from homeostat.access.relations import Ask, Record, answer
from homeostat.access.session import Isolation, Session
from homeostat.access.settings import page_size
from homeostat.access.shape import shaped
from homeostat.driver.wire import NO_PARAMS, Params, Rows


class AsyncBulk:
    """What `AsyncDatabase` does with many rows."""

    core: Database

    async def _run(self, operation: Operation, params: Params, caller: Caller) -> Rows:
        raise NotImplementedError

    def _session(
        self, name: str, caller: Caller, *, write: bool | None, isolation: Isolation | None = None
    ) -> AbstractAsyncContextManager[AsyncSession]:
        raise NotImplementedError

    def _known(self, operation: str | Operation) -> Operation:
        return self.core.operation(operation) if isinstance(operation, str) else operation

    async def page(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        after: str | None = None,
        size: int | None = None,
        caller: Caller = ANYONE,
    ) -> Page:
        """Read one page of an operation that declares an `order`; see `Database.page`."""
        one = self._known(operation)
        settings = self.core.executor.settings_of(one, caller)
        rows_max = page_size(settings, size)
        one = shaped(one, settings, self.core.dialect)
        reading = pages.paged(one, self.core.dialect, size=rows_max, continued=after is not None)
        if after is not None:
            params = {**params, **pages.keys_of(one, after)}
        return pages.cut(one, await self._run(reading, params, caller), size=rows_max)

    async def load(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        relations_of: Sequence[str],
        caller: Caller = ANYONE,
    ) -> list[Record]:
        """Read rows with what belongs to them; see `Database.load`.

        All are of one moment, unless the settings' `concurrency` has several connections read them.
        """
        one = self._known(operation)
        settings = self.core.executor.settings_of(one, caller)
        wishes = relations.wanted(one, relations_of, depth_max=settings.prefetch_depth)
        at_once = min(settings.concurrency, self.core.pool.limit)

        def loading(records: list[Record]) -> relations.Loading:
            dialect = self.core.dialect
            return relations.loading(records, wishes, settings, name=one.name, dialect=dialect)

        def work(session: Session) -> list[Record]:
            records = session.execute(one, params).dicts()
            answer(loading(records), lambda asks: [session.execute(*ask) for ask in asks])
            return records

        if at_once == 1:
            async with self._session(one.name, caller, write=False) as held:
                return await held.run(work)
        records = (await self._run(one, params, caller)).dicts()
        left = loading(records)
        with contextlib.suppress(StopIteration):
            asks = next(left)
            while True:
                asks = left.send(await self._together(asks, caller, at_once))
        return records

    async def _together(self, asks: list[Ask], caller: Caller, at_once: int) -> list[Rows]:
        """Return the rows of all statements, so many of which run at a time.

        Raises:
            DatabaseError: of the first that failed; the others have ended.
        """
        gate = asyncio.Semaphore(at_once)

        async def one(ask: Ask) -> Rows:
            async with gate:
                return await self._run(*ask, caller)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(ask)) for ask in asks]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def write_many(
        self, operation: str | Operation, rows: Iterable[Params], *, caller: Caller = ANYONE
    ) -> int:
        """Run a write for each set of parameters, all or none; see `Database.write_many`."""
        one = self._known(operation)
        size = self.core.executor.settings_of(one, caller).batch_size
        async with self._session(one.name, caller, write=True) as held:
            return await held.run(lambda session: write_all(session, one, rows, size=size))

    async def read_token(self) -> str:
        """Return a token for all that is committed now; see `Database.read_token`."""
        async with self._session("read_token", ANYONE, write=None) as held:
            return await held.run(lambda session: session.read_token(self.core.executor.key))
