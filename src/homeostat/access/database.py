"""The handle that an application opens: operations, transactions, statistics and the agent.

Opening connects once, so that a wrong URL or password shows here and not later. A database handle
survives fork: the child starts with an empty pool, empty statistics and an agent of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, TypeVar

from homeostat.access.agent import Agent, AgentOptions
from homeostat.access.bulk import Bulk
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.connector import connector
from homeostat.access.executor import Executor
from homeostat.access.limits import PoolLimits
from homeostat.access.operation import Operation
from homeostat.access.pool import DRAIN_SECONDS, Pool
from homeostat.access.protocol import DatabaseReport
from homeostat.access.results import ResultCounts
from homeostat.access.sampling import Sampler
from homeostat.access.session import Session, Write, WriteHook
from homeostat.access.settings import Planner
from homeostat.access.streams import RowStream
from homeostat.clock import Clock, SystemClock
from homeostat.driver.fork import FORKED
from homeostat.driver.identity import identify
from homeostat.driver.sqlite_meter import Meter
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire

T = TypeVar("T")
DEFAULT_AGENT = AgentOptions()
DEFAULT_LIMITS = PoolLimits()
LOCK_WAIT_MS = 5_000.0
OPEN_SECONDS = 60.0  # longer than the driver tries: it says better what is wrong


class Database(Bulk):
    """One database as an application uses it; safe to use from any thread."""

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        pool: PoolLimits | int = DEFAULT_LIMITS,
        agent: AgentOptions | None = DEFAULT_AGENT,
        application: str = "application",
        operations: Iterable[Operation] = (),
        planner: Planner | None = None,
        clock: Clock | None = None,
        create: bool = False,
        lock_wait_ms: float = LOCK_WAIT_MS,
        prepare: bool | None = None,
    ) -> Database:
        """Open a database and begin to report to an operator, if there is one.

        Args:
            url: a file path, `sqlite:///path`, or `postgresql://...`.
            pool: the limits of the pool, or just its limit (an operator may raise it to 64).
            agent: how to find the operator; None: no agent, no reports.
            application: the name in reports, and PostgreSQL's application_name. Settings that an
                operator keeps belong to this name.
            operations: what to register at once.
            planner: chooses the ExecutionSettings of each call.
            clock: tells the time.
            create: make the SQLite file if it is missing.
            lock_wait_ms: how long a statement waits for a lock of another connection. Behind a
                pooler this holds within transactions; a statement of its own waits until its
                deadline.
            prepare: whether PostgreSQL prepares statements; None: not behind a pooler. True behind
                one that keeps them apart (PgBouncer 1.21 with max_prepared_statements).

        Raises:
            ConfigError: the URL is of no engine that is known.
            ConnectError: the database can't be reached; the subclass says why.
            NotADatabaseError, EncryptedDatabaseError, CorruptDatabaseError, ReadOnlyDatabaseError.
        """
        limits = pool if isinstance(pool, PoolLimits) else PoolLimits.of(pool)
        text = str(url)
        connect, path = connector(
            text,
            application=application,
            create=create,
            lock_wait_ms=lock_wait_ms,
            prepare=prepare,
        )
        database = cls(
            connect,
            path=path,
            meter=connect.meter,
            limits=limits,
            application=application,
            options=agent,
            planner=planner,
            clock=clock or SystemClock(),
        )
        for operation in operations:
            database.register(operation)
        try:
            database._begin()
        except BaseException:
            database.close()
            raise
        return database

    def __init__(
        self,
        connect: Callable[[], Wire],
        *,
        path: str | None,
        meter: Meter | None = None,
        limits: PoolLimits,
        application: str,
        options: AgentOptions | None,
        planner: Planner | None,
        clock: Clock,
    ) -> None:
        """Use `open`."""
        self.application = application
        super().__init__("postgresql" if path is None else "sqlite")
        self._connect = connect
        self._path = path
        self._meter = meter
        self.clock = clock
        self._options = options
        self._identity: DatabaseReport | None = None
        self.pool = Pool(
            self._opened, limits=limits, clock=clock, locks_seen=self.dialect == "sqlite"
        )
        self.executor = Executor(
            self.pool,
            dialect=self.dialect,
            clock=clock,
            planner=planner,
            sampler=Sampler(capture=options.capture, slow_ms=options.slow_ms) if options else None,
        )
        self._agent = self._new_agent()
        self._agent_began = False
        FORKED.add(self)

    # -- operations -------------------------------------------------------------------------

    def execute(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        caller: Caller = ANYONE,
        idempotency_key: str | None = None,
    ) -> Rows:
        """Run an operation and return all its rows.

        Args:
            operation: a registered name, or the operation itself.
            params: the values by name.
            caller: on whose behalf.
            idempotency_key: the write happens once for this key, however often it is asked for;
                who asks again gets what the first gave. It is run again by itself after an
                unknown commit. Needs `prepare_idempotency`.

        Raises:
            OperationUnknownError: nothing of this name is registered.
            IdempotencyKeyReusedError: the key was used for another operation or other parameters.
            PoolTimeoutError: no connection became free in time.
            DeadlineExceededError: it took longer than the settings' `deadline_ms`.
            CommitUnknownError: it may or may not have happened.
            DatabaseError: as of `Wire.execute`.
        """
        if isinstance(operation, str):
            operation = self.operation(operation)
        if idempotency_key is None:
            return self.executor.run(operation, params, caller)
        return self._execute_once(operation, params, caller, idempotency_key)

    def stream(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        caller: Caller = ANYONE,
        size: int | None = None,
    ) -> RowStream:
        """Return the rows of a reading operation as they come, all of one moment.

        A connection is held from the first row until the iteration ends or is closed; memory holds
        one batch. The iterator has `close`; one that is dropped is closed a moment later.

        Args:
            operation: a registered name, or the operation itself.
            params: the values by name.
            caller: on whose behalf.
            size: rows fetched at a time; None: the settings' `batch_size`.

        Raises:
            as `execute`; `deadline_ms` is for each batch.
        """
        if isinstance(operation, str):
            operation = self.operation(operation)
        return RowStream.of(self.executor.stream(operation, params, caller, size))

    def on_write(
        self, hook: WriteHook, *, tables: Iterable[str] | None = None
    ) -> Callable[[], None]:
        """Run a hook after every write operation, in its transaction; return how to stop.

        Args:
            hook: gets the session (to write more in the same transaction) and the Write. What it
                raises rolls the write back.
            tables: only for operations that declare one of these tables; None: for all.
        """
        if tables is None:
            return self.executor.add_hook(hook)
        wanted = frozenset(tables)

        def filtered(session: Session, write: Write) -> None:
            if not wanted.isdisjoint(write.operation.tables):
                hook(session, write)

        return self.executor.add_hook(filtered)

    # -- life -------------------------------------------------------------------------------

    @property
    def identity(self) -> DatabaseReport | None:
        """Return which database this is; None as long as no connection was opened."""
        return self._identity

    @property
    def agent(self) -> Agent | None:
        """Return the agent that reports on this handle."""
        return self._agent

    @property
    def results(self) -> ResultCounts:
        """Return what the cache of results did so far, and what it holds; see `cache_seconds`."""
        results = self.executor.results
        return ResultCounts() if results is None else results.counts

    def close(self, *, drain_seconds: float = DRAIN_SECONDS) -> tuple[tuple[str, float], ...]:
        """Refuse new calls, let those under way end, report a last time, close.

        Returns:
            Who held a connection past the deadline, as (name, seconds); their statements were
            cancelled and their connections are closed when they return them.
        """
        FORKED.discard(self)
        late = self.pool.close(drain_seconds=drain_seconds)
        if self._agent is not None:
            self._agent.stop()
        return late

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _begin(self) -> None:
        """Open the first connection, which tells the identity and starts the agent."""
        self.pool.release(self.pool.acquire("open", wait_seconds=OPEN_SECONDS, busy=True))

    def _opened(self) -> Wire:
        wire = self._connect()
        try:
            if self._identity is None:
                found = identify(wire, path=self._path)
                self._identity = DatabaseReport(
                    found.dialect, found.key, found.label, found.version
                )
                self.executor.key = found.key
        except BaseException:
            wire.close()
            raise
        if self._agent is not None and not self._agent_began:
            self._agent_began = True
            self._agent.start()
        return wire

    def _new_agent(self) -> Agent | None:
        if self._options is None:
            return None
        return Agent(
            self._options,
            application=self.application,
            pool=self.pool,
            statistics=self.executor.statistics,
            database=lambda: self._identity,
            connect=self._connect,
            meter=self._meter,
            clock=self.clock,
        )

    def _after_fork(self) -> None:
        """Begin anew in a forked process, with neither connections nor an agent."""
        self.pool.after_fork()
        self.executor.after_fork()
        self._agent = self._new_agent()
        self._agent_began = False  # it starts with the child's first connection
