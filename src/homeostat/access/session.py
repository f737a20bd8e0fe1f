"""A Session: one pooled connection held by application code, inside a transaction or not.

It is counted as one call under its name: waiting and statements (BEGIN and COMMIT too), but not
the time the application thinks between them; that is reported as held while idle, by name. A
session belongs to one thread; only `cancel` may be called from another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from homeostat.access.caller import ANYONE, Caller
from homeostat.access.freshness import token_of
from homeostat.access.lease import Lease
from homeostat.access.operation import Operation
from homeostat.access.settings import ExecutionSettings, at_least_one, within_budget
from homeostat.access.shape import shaped
from homeostat.access.streams import Batches
from homeostat.access.volume import Moved, bytes_of_rows
from homeostat.clock import Clock
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.errors import AccessError, ScopeRefusedError, StatementError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from homeostat.access.executor import Executor


Isolation = Literal["REPEATABLE READ", "SERIALIZABLE"]
"""Of a PostgreSQL transaction; without one a writing transaction is READ COMMITTED. SQLite's are
all serialisable."""

_PLAIN_READ = re.compile(r"\s*(SELECT|VALUES|SHOW)\b", re.IGNORECASE)
_ENDS = re.compile(
    r"(\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(COMMIT|END|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+((WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Write:
    """What a write hook is told: an operation that has just changed data, not yet committed."""

    operation: Operation
    params: Params
    caller: Caller
    changed: int

    @property
    def scope(self) -> object:
        """Return the value of the operation's scope column, or None if it declares none."""
        return None if self.operation.scope is None else self.params[self.operation.scope]


class Session:
    """What `Database.transaction` and `Database.session` yield."""

    def __init__(
        self,
        executor: Executor,
        lease: Lease,
        *,
        name: str,
        caller: Caller,
        settings: ExecutionSettings,
    ) -> None:
        """Take over a lease; see `Executor.session` for how one is made."""
        self.dialect = lease.wire.dialect
        self.caller = caller
        self.rows = 0  # returned and changed, for the statistics
        self.returned = 0  # of these
        self.busy_seconds = 0.0
        self.moved = Moved() if executor.statistics.sizes(name, caller.segment) else None
        self._executor = executor
        self._now = executor.now
        self._lease: Lease | None = lease
        self.settings = settings
        self._hooks = executor.hooks
        self._name = name
        self._results = executor.results
        self._written: set[tuple[str, ...]] = set()  # tables; none: unknown which
        self._clock = executor.clock
        self._took_seconds = 0.0  # by the last statement
        self._savepoints = 0
        self._committed = False  # and nothing was run since
        self._sampled = executor.statistics.sampler.on

    def execute(
        self, sql: str | Operation, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one statement or operation on the held connection.

        Args:
            sql: SQL with `:name` parameters, or an Operation, whose checks and write hooks run.
                Plain SQL passes no write hook.
            params: the values by name.
            deadline_ms: stop the statement after this; None: the settings' `deadline_ms`.

        Raises:
            AccessError: the session has ended.
            ScopeRefusedError: the caller may not touch the operation's scope.
            StatementError: plain SQL that would end the transaction.
            DatabaseError: as of `Wire.execute`.
        """
        limit_ms = self.settings.deadline_ms if deadline_ms is None else deadline_ms
        if isinstance(sql, str):
            rows = self._execute_plain(sql, params, limit_ms)
            self._count(None, sql, params, rows)
            return rows
        if self.settings.shapes:
            sql = shaped(sql, self.settings, self.dialect)
        if tuple(params) != sql.parameters or sql.scope is not None:
            params = checked(sql, params, self.caller, self.settings, self._clock)
        text = sql.sql if isinstance(sql.sql, str) else sql.sql_for(self.dialect)
        lease, began = self.start_statement()  # as _Statement, without an object for it
        try:
            if sql.write and self._results is not None:
                self._written.add(sql.tables)
            rows = lease.wire.execute(text, params, deadline_ms=limit_ms)
        finally:
            self.finish_statement(lease, began)
        self._count(sql, text, params, rows)
        if self.settings.rows_max is not None:
            within_budget(sql, rows, self.settings.rows_max)
        for hook in self._hooks if sql.write else ():
            hook(self, Write(sql, params, self.caller, rows.changed))
        return rows

    def _execute_plain(self, sql: str, params: Params, limit_ms: float | None) -> Rows:
        """Run plain SQL, which may have written anything."""
        with _Statement(self) as wire:
            _refuse_end(wire, sql, self._name)
            try:
                rows = wire.execute(sql, params, deadline_ms=limit_ms)
            except BaseException:
                self._written.add(())
                raise
            if _may_have_written(sql, rows, self.dialect):
                self._written.add(())
        return rows

    def execute_many(self, sql: str | Operation, rows: Sequence[Params]) -> int:
        """Run one statement for each set of parameters; return the rows changed.

        Write hooks do not run. One set keeps to the settings' `deadline_ms`, many have none.

        Raises:
            AccessError: the session has ended.
            ScopeRefusedError: the caller may not touch the scope of one of an operation's rows.
            DatabaseError: as of `Wire.execute`.
        """
        tables: tuple[str, ...] = ()
        text = sql
        if not isinstance(sql, str):
            text, tables = sql.sql_for(self.dialect), sql.tables
            for row in rows if sql.scope is not None else ():
                checked(sql, row, self.caller, self.settings, self._clock)
        with _Statement(self) as wire:
            self._written.add(tables)
            changed = _written_rows(wire, str(text), rows, self.settings.deadline_ms)
        self.rows += changed
        if self.moved is not None:
            self.moved.sent += round(bytes_of_rows([row.values() for row in rows]))
        return changed

    def stream(
        self,
        sql: str | Operation,
        params: Params = NO_PARAMS,
        *,
        size: int | None = None,
        deadline_ms: float | None = None,
    ) -> Batches:
        """Return the rows of a reading statement in batches; needs a transaction.

        Args:
            sql: SQL with `:name` parameters, or an Operation.
            params: the values by name.
            size: rows of a batch; None: the settings' `batch_size`.
            deadline_ms: the longest time for one batch; None: the settings' `deadline_ms`.

        Raises:
            AccessError: the session has ended.
            StatementError: the operation writes.
            DatabaseError: as of `Wire.execute`.
        """
        text = sql
        if isinstance(sql, str):
            if _PLAIN_READ.match(sql) is None:
                self._written.add(())
        else:
            if sql.write:
                message = "A stream only reads. Run an operation that writes with `execute`."
                raise StatementError(message, where=sql.name)
            if self.settings.shapes:
                sql = shaped(sql, self.settings, self.dialect)
            params = checked(sql, params, self.caller, self.settings, self._clock)
            text = sql.sql_for(self.dialect)
        limit_ms = self.settings.deadline_ms if deadline_ms is None else deadline_ms
        size = at_least_one(size, self.settings.batch_size)
        return Batches(self, str(text), params, size=size, deadline_ms=limit_ms)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done inside if it raises, and only that; the transaction goes on.

        May be nested. What it raises is passed on: catch it outside to continue.

        Raises:
            AccessError: the session has ended.
            StatementError: no transaction is open.
        """
        self._savepoints += 1
        name = f"homeostat_{self._savepoints}"
        with _Statement(self) as wire:
            if not wire.in_transaction:
                raise StatementError("A savepoint needs a transaction. Use Database.transaction.")
            wire.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            with _Statement(self) as wire:
                if wire.in_transaction and not wire.broken:
                    wire.execute(f"ROLLBACK TO SAVEPOINT {name}")
                    wire.execute(f"RELEASE SAVEPOINT {name}")
            raise
        with _Statement(self) as wire:
            wire.execute(f"RELEASE SAVEPOINT {name}")

    def cancel(self) -> None:
        """Stop the statement under way, from any thread."""
        if self._lease is not None:
            self._lease.wire.cancel()

    # -- for the executor -------------------------------------------------------------------

    def begin(
        self,
        *,
        write: bool,
        isolation: Isolation | None = None,
        deadline_ms: float | None = None,
    ) -> None:
        """Begin the transaction; PostgreSQL is told the caller."""
        limit_ms = self.settings.deadline_ms if deadline_ms is None else deadline_ms
        lease, began = self.start_statement()  # as _Statement, here and in commit
        wire = lease.wire
        try:
            wire.begin(write=write, deadline_ms=limit_ms)
            if self.dialect == "postgresql":
                if isolation is not None:
                    text = f"SET TRANSACTION ISOLATION LEVEL {isolation}"
                    wire.execute(text, deadline_ms=limit_ms)
                if self.caller is not ANYONE:
                    announce(wire, self.caller, deadline_ms=limit_ms)
        finally:
            self.finish_statement(lease, began)

    def read_token(self, key: str) -> str:
        """Return a token for all that is committed now; see `Database.read_token`."""
        with _Statement(self) as wire:
            return token_of(wire, key)

    def freshen(self, wait: Callable[[Lease], None]) -> None:
        """Wait until the connection is fresh enough."""
        with _Statement(self):
            if self._lease is not None:
                wait(self._lease)

    def commit(self) -> None:
        """Commit."""
        lease, began = self.start_statement()
        try:
            lease.wire.commit(deadline_ms=self.settings.deadline_ms)
            self._committed = True
        finally:
            self.finish_statement(lease, began)

    @property
    def has_ended(self) -> bool:
        """Return whether the connection was returned."""
        return self._lease is None

    @property
    def is_clean(self) -> bool:
        """Return whether the connection can be returned as it is, with nothing to roll back."""
        lease = self._lease
        return lease is None or not (lease.wire.broken or lease.wire.in_transaction)

    def lost(self) -> None:
        """Note that nobody can end the session any more; whoever noticed ends it."""
        if self._lease is not None:
            self._executor.pool.lost(self._lease)

    def end(self) -> None:
        """Return the connection; the session can't be used any more."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._executor.pool.release(lease, suspect=not self._committed)
            self._forget_written()

    def start_statement(self) -> tuple[Lease, float]:
        """Note that a statement begins; return whose connection it runs on, and when.

        Raises:
            AccessError: the session has ended, or is the parent process's.
        """
        lease = self._lease
        if lease is None:
            raise AccessError("The session has ended. Use it inside its `with` block only.")
        if lease.inherited:
            raise AccessError("The session is the parent process's. Open one after the fork.")
        self._committed = False
        now = self._now()
        lease.ran = (lease.ran[0], now)  # as lease.start, without another call
        return lease, now

    def finish_statement(self, lease: Lease, began: float) -> None:
        """Note that a statement has ended."""
        lease.quiet_since = now = self._now()  # as lease.stop
        self._took_seconds = took = now - began
        lease.ran = (lease.ran[0] + took, None)
        self.busy_seconds += took
        if self._results is not None and self._written and not lease.wire.in_transaction:
            self._forget_written()

    def _forget_written(self) -> None:
        """Drop the results that are kept of what was written here, or may have been."""
        if self._results is not None:
            written, self._written = self._written, set()
            for tables in written:
                self._results.forget(tables)

    def _count(self, operation: Operation | None, sql: str, params: Params, rows: Rows) -> None:
        """Count a statement's rows; keep it for the operator if it is chosen."""
        returned = len(rows.rows)
        self.rows += returned + rows.changed
        self.returned += returned
        if self.moved is not None:
            self.moved.add(params, rows.rows)
        if not self._sampled:
            return
        statistics = self._executor.statistics
        seconds = self._took_seconds
        expected_ms = None if operation is None else operation.expected_ms
        tally = statistics.see(
            (self._name, sql if operation is None else operation.name),
            seconds * 1e6,
            expected_ms is not None and seconds * 1000 > expected_ms,
        )
        if tally is not None:
            about = operation, sql, params, self.caller, self.settings, seconds, rows
            call = self._executor.seen(*about, transaction=self._name)
            statistics.keep(tally, call)


def _may_have_written(sql: str, rows: Rows, dialect: str) -> bool:
    """Return whether plain SQL may have changed data: not if it gave rows and changed none.

    PostgreSQL does not tell what WITH and EXPLAIN ANALYZE have changed.
    """
    tells = dialect == "sqlite" or _PLAIN_READ.match(sql) is not None
    return bool(rows.changed or not rows.columns or not tells)


def _refuse_end(wire: Wire, sql: str, name: str) -> None:
    """Refuse plain SQL that ends the transaction around it."""
    if wire.in_transaction and _ENDS.match(sql) is not None:
        message = (
            "The statement would end the transaction, so what follows could not be undone. "
            "Leave the block to commit, raise in it to roll back, or use savepoint()."
        )
        raise StatementError(message, where=name)


class _Statement:
    """One statement of a session: a context without a generator, which would cost twice as much."""

    __slots__ = ("_began", "_lease", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Wire:
        self._lease, self._began = self._session.start_statement()
        return self._lease.wire

    def __exit__(self, *_: object) -> None:
        self._session.finish_statement(self._lease, self._began)


WriteHook = Callable[[Session, Write], None]
"""Runs after each write operation, in its transaction; what it raises rolls the write back."""


def _written_rows(wire: Wire, sql: str, rows: Sequence[Params], deadline_ms: float | None) -> int:
    if len(rows) == 1:
        return wire.execute(sql, rows[0], deadline_ms=deadline_ms).changed
    return wire.execute_many(sql, rows)


def announce(wire: Wire, caller: Caller, *, deadline_ms: float | None) -> None:
    """Tell PostgreSQL the caller, for this transaction (SET LOCAL by `set_config`)."""
    values = caller.announced()
    names = ", ".join(f"set_config('{name}', :v{i}, true)" for i, name in enumerate(values))
    params = {f"v{i}": value for i, value in enumerate(values.values())}
    wire.execute(f"SELECT {names}", params, deadline_ms=deadline_ms)


def checked(
    operation: Operation,
    params: Params,
    caller: Caller,
    settings: ExecutionSettings,
    clock: Clock,
) -> Params:
    """Return the parameters that an operation runs with.

    Raises:
        StatementError: a parameter is missing or unknown.
        ScopeRefusedError: the caller may not touch the scope.
    """
    if params.keys() != operation.names:
        if operation.limit is not None and operation.limit not in params:
            params = {**params, operation.limit: settings.page_size}
        if operation.since is not None and operation.since not in params:
            horizon = settings.horizon_seconds
            since = 0.0 if horizon is None else clock.now() - horizon
            params = {**params, operation.since: since}
        for name in sorted(operation.names ^ params.keys()):
            word = "Give" if name in operation.names else "Leave out"
            raise StatementError(f"{word} the parameter {name!r}.", where=operation.name)
    if operation.scope is not None and caller.scopes:
        value = str(params[operation.scope])
        if value not in caller.scopes:
            raise ScopeRefusedError(where=operation.name, detail=f"{operation.scope} {value}")
    return params
