"""What all of the asyncio form stands on: an open handle, and sessions held on its connections."""

from __future__ import annotations

import _thread
import asyncio
import weakref
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING

from homeostat.access.async_queue import AsyncQueue
from homeostat.access.async_session import AsyncSession
from homeostat.access.caller import Caller
from homeostat.access.database import Database
from homeostat.access.held import refuse_again
from homeostat.access.session import Isolation, Session
from homeostat.access.settings import ExecutionSettings
from homeostat.access.threads import Threads
from homeostat.errors import HomeostatError

if TYPE_CHECKING:
    from types import TracebackType

FAILURES = (HomeostatError, asyncio.CancelledError)
CLOSING = "async_generator_athrow"  # what `aclose()` of an asynchronous generator returns


class AsyncBase:
    """One database for one event loop: its threads, and the connections that tasks hold."""

    def __init__(self, core: Database) -> None:
        """Share an open blocking handle; closing this one closes it."""
        self.core = core
        self.pool = core.pool
        self._executor = core.executor
        self._threads = Threads(core.pool.limits.limit_max + 2)
        self._queue = AsyncQueue(core.pool, self._threads, now=core.executor.now)

    def _session(
        self,
        name: str,
        caller: Caller,
        *,
        write: bool | None,
        isolation: Isolation | None = None,
        settings: ExecutionSettings | None = None,
    ) -> AsyncHeld:
        """Hold a connection; `write` None: no transaction."""
        return AsyncHeld(self, name, caller, write=write, isolation=isolation, settings=settings)


class AsyncHeld(AbstractAsyncContextManager[AsyncSession]):
    """One session as an `async with` block; as `Held`, but it begins with its first statement."""

    __slots__ = (
        "_base", "_caller", "_entered", "_held", "_isolation", "_name", "_session", "_settings",
        "_task", "_waited", "_write",
    )  # fmt: skip

    def __init__(
        self,
        base: AsyncBase,
        name: str,
        caller: Caller,
        *,
        write: bool | None,
        isolation: Isolation | None,
        settings: ExecutionSettings | None,
    ) -> None:
        """Take what it will be; nothing is held before it is entered."""
        self._base = base
        self._name = name
        self._caller = caller
        self._write = write
        self._isolation = isolation
        self._settings = settings
        self._waited = 0.0
        self._entered = False
        self._session: Session
        self._task: weakref.ref[asyncio.Task[object]] | None = None  # that entered it
        self._held: AsyncSession | None = None  # while it holds a connection

    async def __aenter__(self) -> AsyncSession:
        """Take a connection.

        Raises:
            AccessError: it is entered already.
        """
        if self._entered:
            refuse_again(self._name)
        self._entered = True
        base, name, caller = self._base, self._name, self._caller
        executor = base._executor  # noqa: SLF001  this module's own
        arrival = executor.now()
        try:
            settings = self._settings
            if settings is None:
                settings = executor.settings_for(name, caller, write=bool(self._write))
            lease = await base._queue.acquire(name, caller, settings.wait_seconds, arrival)  # noqa: SLF001  as above
        except BaseException as error:
            self._entered = False
            waited = executor.now() - arrival
            executor.count_session(name, caller, None, waited, failed=isinstance(error, FAILURES))
            raise
        task = asyncio.current_task()
        self._task = None if task is None else weakref.ref(task)
        self._waited = executor.now() - arrival
        self._session = session = executor.adopt(lease, name, caller, settings)
        begins = self._write is not None or bool(caller.read_token)
        threads = base._threads  # noqa: SLF001  as above
        self._held = AsyncSession(session, threads, lease, self._begin if begins else None)
        return self._held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or after an error return the connection, which rolls back."""
        held = self._held
        if held is None:
            return
        if kind is GeneratorExit and not self._is_awaited():
            return  # closed by the collector: `__del__` ends it, since nothing can be awaited
        failed = isinstance(error, FAILURES)
        try:
            cancelled = await held.settle()
            await self._leave(held, commit=kind is None and cancelled is None)
            if cancelled is not None:
                raise cancelled
        except FAILURES:
            failed = True
            raise
        finally:
            self._base._executor.count_session(  # noqa: SLF001  as above
                self._name, self._caller, self._session, self._waited, failed=failed
            )

    async def _leave(self, held: AsyncSession, *, commit: bool) -> None:
        """Commit, if anything was begun, and return the connection."""
        base, session = self._base, self._session
        try:
            if commit and self._write is not None and held.has_begun:
                await base._threads.run(session.commit)  # noqa: SLF001  as above
        finally:
            try:
                await base._queue.give_back(session)  # noqa: SLF001  as above
            finally:
                held.over()
                if session.has_ended:
                    self._held, self._entered = None, False

    def _is_awaited(self) -> bool:
        """Return whether a task leaves it: its own, or one that closes a generator around it.

        The collector closes lost ones wherever it happens to run.
        """
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no loop runs here
            return False
        if task is None or self._task is None:
            return False
        return self._task() is task or type(task.get_coro()).__name__ == CLOSING

    def __del__(self) -> None:
        """End the session from another thread, if nobody left the block; see held.py."""
        if self._held is not None:
            with suppress(RuntimeError):  # the interpreter is ending
                _thread.start_new_thread(_end, (self._session,))

    def _begin(self) -> None:
        """Begin; runs on a thread before the first work."""
        session, caller = self._session, self._caller
        if caller.read_token and not self._write:
            executor = self._base._executor  # noqa: SLF001  as above
            arrival = executor.now() - self._waited  # what the application did since is its own
            settings = session.settings
            session.freshen(executor.freshening(self._name, caller, settings, arrival=arrival))
        if self._write is not None:
            session.begin(write=self._write, isolation=self._isolation)


def _end(session: Session) -> None:
    with suppress(Exception):
        session.lost()
    with suppress(Exception):
        session.end()
