"""Transactions of the asyncio form that are run again when that is safe; see `Transactions`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from homeostat.access.async_base import AsyncBase
from homeostat.access.async_session import AsyncSession
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.idempotency import (
    Once,
    Outcome,
    claim,
    fingerprint,
    forget,
    given,
    kept,
    statements_to_prepare,
    store,
)
from homeostat.access.operation import Operation
from homeostat.access.retry import Retries
from homeostat.access.session import Isolation, Session
from homeostat.access.settings import ExecutionSettings
from homeostat.driver.wire import Params, Rows
from homeostat.errors import HomeostatError

T = TypeVar("T")


class AsyncTransactions(AsyncBase):
    """What `AsyncDatabase` does with whole transactions."""

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
        idempotency_key: str | None = None,
        request: object = None,
    ) -> T:
        """Run work in a transaction, and again when that is safe; see `Database.run`."""
        if idempotency_key is None:
            return await self._again(
                work, name=name, caller=caller, write=write, isolation=isolation, retries=retries
            )
        once = Once(idempotency_key, fingerprint(name, request))

        async def ask(session: AsyncSession) -> Outcome:
            at = self.core.clock.now()
            found = await session.run(lambda s: claim(s, once.key, once.fingerprint, at=at))
            if found is not None:
                return found
            outcome = Outcome(value=await work(session))
            await session.run(lambda s: store(s, once.key, outcome))
            return outcome

        outcome = await self._again(
            ask,
            name=name,
            caller=caller,
            write=write,
            isolation=isolation,
            retries=retries,
            has_key=True,
        )
        value: T = outcome.value
        return value

    async def prepare_idempotency(self) -> None:
        """Make the table for idempotency keys; see `Database.prepare_idempotency`."""
        async with self._session("prepare_idempotency", ANYONE, write=None) as held:
            for statement in statements_to_prepare(self.core.dialect):
                await held.execute(statement)

    async def forget_idempotency_keys(self, *, older_than_seconds: float) -> int:
        """Forget old keys; return how many. See `Database.forget_idempotency_keys`."""
        before = self.core.clock.now() - older_than_seconds
        async with self._session("forget_idempotency_keys", ANYONE, write=None) as held:
            return await held.run(lambda session: forget(session, before=before))

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
