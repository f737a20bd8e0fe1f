"""The synchronous core of the data path: waits, runs, retries and counts.

A call costs two clock readings, one turn through the pool and one through the statistics. The
executor never talks to the operator and never waits for it.

What a failure means, and what is tried again, says outcome.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from homeostat.access import freshness
from homeostat.access.caller import Caller
from homeostat.access.counting import Counting
from homeostat.access.held import Held
from homeostat.access.lease import Lease
from homeostat.access.operation import Operation
from homeostat.access.outcome import may_run_again, unknown
from homeostat.access.pool import Pool
from homeostat.access.results import Asked, Results, remembering
from homeostat.access.sampling import Sampler
from homeostat.access.session import Isolation, Session, WriteHook, checked
from homeostat.access.settings import (
    DEFAULT_SETTINGS,
    ExecutionSettings,
    Planner,
    within_budget,
)
from homeostat.access.shape import shaped
from homeostat.access.statistics import Statistics
from homeostat.access.streams import HeldStream, Stream
from homeostat.clock import Clock
from homeostat.driver.wire import Params, Rows
from homeostat.errors import (
    DeadlineExceededError,
    HomeostatError,
)


class Executor(Counting):
    """Runs operations on a pool; safe to use from any thread."""

    def __init__(
        self,
        pool: Pool,
        *,
        dialect: str,
        clock: Clock,
        planner: Planner | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        """Take the pool; `planner` chooses the settings of each call, `sampler` keeps some."""
        self.pool = pool
        self.statistics = Statistics(sampler)
        pool.on_wait = self.statistics.waited
        self._dialect = dialect
        self.clock = clock
        self.now = clock.monotonic
        self._planner = planner
        self.results = None if planner is None else Results(dialect)
        self.key = ""  # the database's identity, once it is known
        self._hooks: tuple[WriteHook, ...] = ()

    def add_hook(self, hook: WriteHook) -> Callable[[], None]:
        """Call the hook after every write operation, in its transaction; return how to stop."""
        self._hooks = (*self._hooks, hook)

        def remove() -> None:
            self._hooks = tuple(one for one in self._hooks if one is not hook)

        return remove

    def after_fork(self) -> None:
        """Forget in a forked process what the parent counted and kept: it cannot see its writes."""
        self.statistics.after_fork()
        if self.results is not None:
            self.results = Results(self._dialect)

    def settings_of(self, operation: Operation, caller: Caller) -> ExecutionSettings:
        """Return how a call is carried out."""
        planner = self._planner
        return DEFAULT_SETTINGS if planner is None else planner(operation, caller)

    def settings_for(self, name: str, caller: Caller, *, write: bool) -> ExecutionSettings:
        """Return how a session of this name is carried out."""
        planner = self._planner
        if planner is None:
            return DEFAULT_SETTINGS
        return planner(Operation(name, "", write=write), caller)

    @property
    def hooks(self) -> tuple[WriteHook, ...]:
        """Return what runs after every write operation."""
        return self._hooks

    def run(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings | None = None,
    ) -> Rows:
        """Run one operation; see `Database.execute`. `settings` None: the planner is asked."""
        arrival = self.now()
        if settings is None:
            planner = self._planner
            settings = DEFAULT_SETTINGS if planner is None else planner(operation, caller)
        asked: Asked | None = None
        plain = self.results is None and not settings.shapes and operation.scope is None
        if not plain or tuple(params) != operation.parameters:
            operation, params, asked = self.prepared(operation, params, caller, settings, arrival)
        attempt = self._run_alone
        if settings.announce_caller or (operation.write and self._hooks):
            attempt = self._run_in_transaction
        if asked is not None:
            if asked.found is not None:
                self.count(operation, caller, self.now() - arrival, rows=asked.found)
                return asked.found
            attempt = remembering(attempt, asked)
        tries = 1 + settings.retries
        began = arrival
        while True:
            try:
                return attempt(operation, params, caller, settings, arrival, began)
            except HomeostatError as error:
                tries -= 1
                began = self.now()
                again = may_run_again(operation, error, hooked=bool(self._hooks))
                if not again or tries < 1 or left_ms(settings, began - arrival) == 0.0:
                    self.count(operation, caller, began - arrival, failed=True)
                    raise

    def prepared(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        now: float,
    ) -> tuple[Operation, Params, Asked | None]:
        """Return an operation as it is read, and the parameters that it runs with.

        The third: what the cache of results has to do with the call; None: nothing.

        Raises:
            StatementError, ScopeRefusedError: as `checked`.
        """
        if settings.shapes:
            operation = shaped(operation, settings, self._dialect)
        given = params
        params = checked(operation, params, caller, settings, self.clock)
        if self.results is None or not (settings.cache_seconds or operation.write):
            return operation, params, None
        return operation, params, self.results.asked(operation, given, caller, settings, now=now)

    def _run_alone(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        arrival: float,
        began: float,
    ) -> Rows:
        """Run an operation as a statement of its own."""
        deadline_ms = settings.deadline_ms
        lease = self.pool.acquire(
            operation.name,
            wait_seconds=settings.wait_seconds,
            arrival=began,
            busy=True,
            caller=caller,
        )
        try:
            began = lease.since
            if caller.read_token and not operation.write:
                self.freshen(lease, operation.name, caller, settings, arrival=arrival)
                began = self.now()
            if deadline_ms is not None:
                deadline_ms -= (began - arrival) * 1000
                if deadline_ms <= 0:
                    raise DeadlineExceededError(where=operation.name)  # noqa: TRY301
            sql = operation.sql
            if not isinstance(sql, str):
                sql = operation.sql_for(self._dialect)
            rows = lease.wire.execute(sql, params, deadline_ms=deadline_ms)
            if settings.rows_max is not None:
                within_budget(operation, rows, settings.rows_max)
        except BaseException as error:
            taken = lease.since
            uncertain = unknown(operation, error, lease.wire)
            self.pool.release(lease, suspect=True)
            if isinstance(error, DeadlineExceededError):
                self.keep_stopped(operation, params, caller, settings, taken)
            if uncertain is not None:
                raise uncertain from None
            raise
        now = self.now()
        taken = lease.since
        self.pool.release(lease, now=now)
        took_us = (now - arrival) * 1e6
        expected_ms = operation.expected_ms  # as in _count, without another call
        late = expected_ms is not None and took_us > expected_ms * 1000
        found = rows.rows
        count = len(found) + rows.changed
        tally = self.statistics.record(operation.name, caller, took_us, count, params, found, late)
        if tally is not None and self.statistics.sampler.on:
            call = self.seen(operation, sql, params, caller, settings, now - taken, rows)
            self.statistics.keep(tally, call)
        return rows

    def freshen(
        self,
        lease: Lease,
        name: str,
        caller: Caller,
        settings: ExecutionSettings,
        *,
        arrival: float,
    ) -> None:
        """Wait until a connection sees what the caller's read token stands for.

        Raises:
            ReadTokenError, ReplicaBehindError.
        """
        freshness.wait_for(
            lease,
            caller.read_token,
            key=self.key,
            seconds=settings.wait_seconds - (self.now() - arrival),
            clock=self.clock,
            where=name,
        )

    def freshening(
        self, name: str, caller: Caller, settings: ExecutionSettings, *, arrival: float
    ) -> Callable[[Lease], None]:
        """Return `freshen` for a session to call with its connection."""
        return lambda lease: self.freshen(lease, name, caller, settings, arrival=arrival)

    def _run_in_transaction(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        arrival: float,
        began: float,
    ) -> Rows:
        """Run an operation in a transaction of its own, with its write hooks."""
        session = self.take(operation.name, caller, settings, began)
        try:
            if caller.read_token and not operation.write:
                session.freshen(self.freshening(operation.name, caller, settings, arrival=arrival))
            session.begin(
                write=operation.write, deadline_ms=left_ms(settings, self.now() - arrival)
            )
            remaining_ms = left_ms(settings, self.now() - arrival)
            if remaining_ms == 0.0:
                raise DeadlineExceededError(where=operation.name)
            rows = session.execute(operation, params, deadline_ms=remaining_ms)
            session.commit()
        finally:
            session.end()
        self.count(operation, caller, self.now() - arrival, params=params, rows=rows)
        return rows

    def session(
        self,
        name: str,
        caller: Caller,
        *,
        write: bool | None,
        isolation: Isolation | None = None,
        settings: ExecutionSettings | None = None,
    ) -> AbstractContextManager[Session]:
        """Hold a connection; `write` None: no transaction. See `Database.transaction`."""
        return Held(self, name, caller, write=write, isolation=isolation, settings=settings)

    def stream(
        self, operation: Operation, params: Params, caller: Caller, size: int | None
    ) -> Stream:
        """Return an operation's rows in batches, all of one moment; see `Database.stream`."""
        settings = self.settings_of(operation, caller)
        name = operation.name
        held = HeldStream(self, name, caller, write=False, isolation=None, settings=settings)
        return Stream(held, lambda session: session.stream(operation, params, size=size))

    def take(
        self, name: str, caller: Caller, settings: ExecutionSettings, arrival: float
    ) -> Session:
        """Return a session with a connection of the pool; its `end` returns that."""
        lease = self.pool.acquire(
            name,
            wait_seconds=settings.wait_seconds,
            arrival=arrival,
            caller=caller,
        )
        return Session(self, lease, name=name, caller=caller, settings=settings)

    def adopt(
        self, lease: Lease, name: str, caller: Caller, settings: ExecutionSettings
    ) -> Session:
        """Return a session that holds a lease; its `end` returns that to the pool."""
        return Session(self, lease, name=name, caller=caller, settings=settings)


def left_ms(settings: ExecutionSettings, spent_seconds: float) -> float | None:
    """Return what is left of the deadline, 0 when it has passed, None when there is none."""
    if settings.deadline_ms is None:
        return None
    return max(0.0, settings.deadline_ms - spent_seconds * 1000)
