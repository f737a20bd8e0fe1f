"""What the asyncio form does with many rows; see `Bulk`, whose work it has done on a thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

from homeostat.access import pages, relations
from homeostat.access.async_calls import AsyncCalls
from homeostat.access.bulk import load_in, write_all, writing
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.operation import Operation
from homeostat.access.pages import Page
from homeostat.access.relations import Ask, Record
from homeostat.access.settings import ExecutionSettings, page_size
from homeostat.access.shape import shaped
from homeostat.driver.wire import NO_PARAMS, Params, Rows


class AsyncBulk(AsyncCalls):
    """What `AsyncDatabase` does with many rows."""

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
        return pages.cut(one, await self._run(reading, params, caller, settings), size=rows_max)

    async def load(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        relations_of: Sequence[str],
        caller: Caller = ANYONE,
    ) -> list[Record]:
        """Read rows with what belongs to them; see `Database.load`."""
        one = self._known(operation)
        settings = self.core.executor.settings_of(one, caller)
        wishes = relations.wanted(one, relations_of, depth_max=settings.prefetch_depth)
        at_once = min(settings.concurrency, self.core.pool.limit)
        if wishes and at_once == 1 and not settings.cache_seconds:
            executor = self.core.executor
            return await self._again(
                lambda held: held.run(
                    lambda session: load_in(session, executor, one, params, wishes, settings)
                ),
                name=one.name,
                caller=caller,
                write=False,
                retries=settings.retries,
                settings=settings,
            )
        records = (await self._run(one, params, caller, settings)).dicts()
        left = relations.loading(
            records,
            wishes,
            settings,
            name=one.name,
            private=bool(one.private),
            dialect=self.core.dialect,
        )
        with contextlib.suppress(StopIteration):
            asks = next(left)
            while True:
                asks = left.send(await self._together(asks, caller, settings, at_once))
        return records

    async def _together(
        self, asks: list[Ask], caller: Caller, settings: ExecutionSettings, at_once: int
    ) -> list[Rows]:
        """Return the rows of all statements, so many of which run at a time.

        Raises:
            DatabaseError: of the first that failed; the others have ended.
        """
        gate = asyncio.Semaphore(at_once)

        async def one(ask: Ask) -> Rows:
            async with gate:
                return await self._run(*ask, caller, settings)

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
        one = writing(self._known(operation))
        settings = self.core.executor.settings_of(one, caller)
        size = settings.batch_size
        async with self._session(one.name, caller, write=True, settings=settings) as held:
            return await held.run(lambda session: write_all(session, one, rows, size=size))

    async def read_token(self) -> str:
        """Return a token for all that is committed now; see `Database.read_token`."""
        async with self._session("read_token", ANYONE, write=None) as held:
            return await held.run(lambda session: session.read_token(self.core.executor.key))
