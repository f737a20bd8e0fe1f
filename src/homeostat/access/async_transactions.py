"""Transactions of the asyncio form that are run again when that is safe; see `Transactions`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from homeostat.access.async_session import AsyncSession
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.database import Database
from homeostat.access.idempotency import Once, Outcome, fingerprint, given, kept
from homeostat.access.operation import Operation
from homeostat.access.retry import Retries
from homeostat.access.session import Isolation, Session
from homeostat.access.settings import ExecutionSettings
from homeostat.driver.wire import Params, Rows
from homeostat.errors import HomeostatError

T = TypeVar("T")


class AsyncTransactions:
    """What `AsyncDatabase` does with whole transactions."""

    core: Database

    def _session(
        self,
        name: str,
        caller: Caller,
        *,
        write: bool | None,
        isolation: Isolation | None = None,
        settings: ExecutionSettings | None = None,
    ) -> AbstractAsyncContextManager[AsyncSession]:
        raise NotImplementedError

    async def _execute_once(
        self, operation: Operation, params: Params, caller: Caller, key: str
    ) -> Rows:
        once = Once(key, fingerprint(operation.name, params))

        def work(session: Session) -> Outcome:
            return once.through(
                session, lambda s: kept(s.execute(operation, params)), at=self.core.clock.now()
            )

        async def ask(session: AsyncSession) -> Outcome:
            return await session.run(work)

        outcome = await self._again(ask, name=operation.name, caller=caller, has_key=True)
        return given(outcome)

    async def run(
        self,
        work: Callable[[AsyncSession], Awaitable[T]],
        *,
        write: bool = True,
        caller: Caller = ANYONE,
        name: str = "transaction",
        isolation: Isolation | None = None,
        retries: int | None = None,
    ) -> T:
        """Run work in a transaction, and again when that is safe; see `Database.run`."""
        return await self._again(
            work, name=name, caller=caller, write=write, isolation=isolation, retries=retries
        )

    async def _again(
        self,
        work: Callable[[AsyncSession], Awaitable[T]],
        *,
        name: str,
        caller: Caller,
        write: bool = True,
        isolation: Isolation | None = None,
        retries: int | None = None,
        has_key: bool = False,
        settings: ExecutionSettings | None = None,
    ) -> T:
        left = Retries(retries, has_key=has_key)
        while True:
            try:
                async with self._session(
                    name, caller, write=write, isolation=isolation, settings=settings
                ) as session:
                    result = await work(session)
            except HomeostatError as error:
                pause = left.pause_after(error)
                if pause is None:
                    raise
            else:
                return result
            await asyncio.sleep(pause)
