"""A session as a `with` block: it takes a connection, begins, commits or rolls back, and counts.

A block that is lost, so that nobody can leave it any more, is left from a thread of its own: the
garbage collector runs anywhere, also where locks are held. It is a class and not a generator,
which would take three times as long and be closed by the collector where that happens to run.
"""

from __future__ import annotations

import _thread
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, NoReturn

from homeostat.errors import AccessError, HomeostatError

if TYPE_CHECKING:
    from types import TracebackType

    from homeostat.access.caller import Caller
    from homeostat.access.executor import Executor
    from homeostat.access.session import Isolation, Session
    from homeostat.access.settings import ExecutionSettings


class Held(AbstractContextManager["Session"]):
    """One session of an executor; see `Executor.session`."""

    __slots__ = (
        "_arrival", "_caller", "_entered", "_executor", "_isolation", "_name", "_session",
        "_settings", "_waited", "_write",
    )  # fmt: skip

    def __init__(
        self,
        executor: Executor,
        name: str,
        caller: Caller,
        *,
        write: bool | None,
        isolation: Isolation | None,
        settings: ExecutionSettings | None = None,
    ) -> None:
        """Take what it will be; nothing is held before it is entered.

        `settings` None: the planner is asked, with an empty operation of this name.
        """
        self._executor = executor
        self._name = name
        self._caller = caller
        self._write = write
        self._isolation = isolation
        self._settings = settings
        self._entered = False
        self._session: Session | None = None  # while it is held
        self._arrival = self._waited = 0.0

    def __enter__(self) -> Session:
        """Take a connection and begin.

        Raises:
            AccessError: it is entered already, here or by another thread.
        """
        if self._entered:
            refuse_again(self._name)
        self._entered = True  # no call between the look and this, so no other thread
        executor, name, caller, write = self._executor, self._name, self._caller, self._write
        self._arrival = arrival = executor.now()
        session = None
        try:
            settings = self._settings
            if settings is None:
                settings = executor.settings_for(name, caller, write=bool(write))
            session = executor.take(name, caller, settings, arrival)
            self._waited = executor.now() - arrival
            if caller.read_token and not write:
                session.freshen(executor.freshening(name, caller, settings, arrival=arrival))
            if write is not None:
                session.begin(write=write, isolation=self._isolation)
        except BaseException as error:
            if session is None:
                self._waited = executor.now() - arrival
            self._end(session, failed=isinstance(error, HomeostatError))
            raise
        self._session = session
        return session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or after an error return the connection, which rolls back."""
        session, self._session = self._session, None
        if session is None:
            return
        failed = isinstance(error, HomeostatError)
        try:
            if kind is None and self._write is not None:
                session.commit()
        except HomeostatError:
            failed = True
            raise
        finally:
            self._end(session, failed=failed)

    def _end(self, session: Session | None, *, failed: bool) -> None:
        """Return the connection and count the call."""
        self._entered = False
        if session is not None:
            session.end()
        self._executor.count_session(self._name, self._caller, session, self._waited, failed=failed)

    def _lost(self, session: Session) -> None:
        """Note that nobody can leave it any more."""
        session.lost()

    def __del__(self) -> None:
        """Leave from another thread, if nobody did."""
        if self._session is not None:
            with suppress(RuntimeError):  # the interpreter is ending
                _thread.start_new_thread(_leave, (self, self._session))


def refuse_again(name: str) -> NoReturn:
    """Refuse to enter a block that is entered already: it would lose the session it holds."""
    message = "The block is entered already. Ask the database for one of its own each time."
    raise AccessError(message, where=name)


def _leave(held: Held, session: Session) -> None:
    with suppress(Exception):
        held._lost(session)  # noqa: SLF001  this module's own
    with suppress(Exception):
        held.__exit__(GeneratorExit, GeneratorExit(), None)
