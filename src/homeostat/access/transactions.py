"""Transactions of the blocking form: held by a `with` block, or run again when that is safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from homeostat.access.caller import ANYONE, Caller
from homeostat.access.executor import Executor
from homeostat.access.idempotency import (
    Once,
    Outcome,
    fingerprint,
    forget,
    given,
    kept,
    statements_to_prepare,
)
from homeostat.access.operation import Operation
from homeostat.access.retry import Retries
from homeostat.access.session import Isolation, Session
from homeostat.access.settings import ExecutionSettings
from homeostat.clock import Clock
from homeostat.driver.wire import Params, Rows
from homeostat.errors import HomeostatError

T = TypeVar("T")


class Transactions:
    """What `Database` does with whole transactions."""

    executor: Executor
    clock: Clock
    dialect: str

    def transaction(
        self,
        *,
        write: bool = True,
        caller: Caller = ANYONE,
        name: str = "transaction",
        isolation: Isolation | None = None,
    ) -> AbstractContextManager[Session]:
        """Hold one connection in a transaction: committed at the end, rolled back on an error.

        It counts as one call of the name, without the time that the application itself takes.

        Args:
            write: whether it changes data; on SQLite it takes the write lock at once. One that
                only reads sees one moment of the database.
            caller: on whose behalf; PostgreSQL is told.
            name: what statistics, time-outs and findings call it.
            isolation: of a writing transaction on PostgreSQL; None: READ COMMITTED.

        Raises:
            PoolTimeoutError: no connection became free in time.
            CommitUnknownError: it may or may not have been committed.
            DatabaseError: as of `Wire.execute`.
        """
        return self.executor.session(name, caller, write=write, isolation=isolation)

    def run(
        self,
        work: Callable[[Session], T],
        *,
        write: bool = True,
        caller: Caller = ANYONE,
        name: str = "transaction",
        isolation: Isolation | None = None,
        retries: int | None = None,
        idempotency_key: str | None = None,
        request: object = None,
    ) -> T:
        """Run work in a transaction, and again when that is safe; return what it returns.

        Args:
            work: gets the session. It may run several times, so it has no effect but on the
                database.
            write: as `transaction`.
            caller: as `transaction`.
            name: as `transaction`.
            isolation: as `transaction`.
            retries: further tries after serialisation failures, deadlocks, busy locks and
                connections lost before COMMIT; None: 5, with growing random pauses.
            idempotency_key: the work is done once for this key, also after an unknown commit. Who
                asks again gets the value that was stored, as JSON gives it.
            request: tells requests with one key apart, with the name: plain values.

        Raises:
            as `transaction`; IdempotencyKeyReusedError: the key was used for another request.
        """
        if idempotency_key is None:
            return self._again(
                work, name=name, caller=caller, write=write, isolation=isolation, retries=retries
            )
        once = Once(idempotency_key, fingerprint(name, request))
        outcome: Outcome = self._run(
            lambda session: Outcome(value=work(session)),
            once,
            name=name,
            caller=caller,
            write=write,
            isolation=isolation,
            retries=retries,
        )
        value: T = outcome.value
        return value

    def _run(self, work: Callable[[Session], Outcome], once: Once, **how: Any) -> Outcome:
        return self._again(
            lambda session: once.through(session, work, at=self.clock.now()), has_key=True, **how
        )

    def _again(
        self,
        work: Callable[[Session], T],
        *,
        name: str,
        caller: Caller,
        write: bool,
        isolation: Isolation | None = None,
        retries: int | None = None,
        has_key: bool = False,
        settings: ExecutionSettings | None = None,
    ) -> T:
        left = Retries(retries, has_key=has_key)
        while True:
            try:
                with self.executor.session(
                    name, caller, write=write, isolation=isolation, settings=settings
                ) as session:
                    result = work(session)
            except HomeostatError as error:
                pause = left.pause_after(error)
                if pause is None:
                    raise
            else:
                return result
            self.clock.wait(threading.Event(), pause)

    def prepare_idempotency(self) -> None:
        """Make the table for idempotency keys, if it is not there; call it once.

        Raises:
            DatabaseError: the table cannot be made.
        """
        with self.session(name="prepare_idempotency") as session:
            for statement in statements_to_prepare(self.dialect):
                session.execute(statement)

    def forget_idempotency_keys(self, *, older_than_seconds: float) -> int:
        """Forget old keys; return how many. A request that comes after that runs again."""
        before = self.clock.now() - older_than_seconds
        with self.session(name="forget_idempotency_keys") as session:
            return forget(session, before=before)

    def read_token(self) -> str:
        """Return a token for all that is committed now: `Caller(read_token=...)` reads that.

        Take it after a write, on the primary, and give it to reads that go to a replica, which
        lags behind; they wait for it, at most `wait_ms`. Keep it as long as the user's session.
        """
        with self.session(name="read_token") as session:
            return session.read_token(self.executor.key)

    def session(
        self, *, caller: Caller = ANYONE, name: str = "session"
    ) -> AbstractContextManager[Session]:
        """Hold one connection without a transaction: each statement commits by itself."""
        return self.executor.session(name, caller, write=None)

    def _execute_once(self, operation: Operation, params: Params, caller: Caller, key: str) -> Rows:
        """Run an operation once for this key; see `Database.execute`."""
        once = Once(key, fingerprint(operation.name, params))

        def work(session: Session) -> Outcome:
            return kept(session.execute(operation, params))

        return given(self._run(work, once, name=operation.name, caller=caller, write=True))
