"""The wire to PostgreSQL, through psycopg 3; the only importer of psycopg.

A connection is in autocommit, transactions are explicit. Statements are sent with `$1` parameters
and prepared by psycopg after some uses (unless `prepare=False`, for poolers that cannot).

A deadline costs no round trip: a cancel request is sent when it has passed (see watch.py), and a
server that does not react within CANCEL_SECONDS_MAX has the connection closed from this side. After
COMMIT was sent nothing is cancelled; one that is not answered is CommitUnknownError.
No message, label or repr holds a password.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq
from psycopg import sql as composed
from psycopg.raw_cursor import RawCursor

from homeostat.driver import postgres_errors
from homeostat.driver.placeholders import Compiled, compile_named
from homeostat.driver.postgres_hangup import hang_up, still_there
from homeostat.driver.postgres_plans import Plans
from homeostat.driver.postgres_protocol import command, roll_back, rows_of, tag_of
from homeostat.driver.postgres_url import label_of, parsed
from homeostat.driver.watch import Watch
from homeostat.driver.wire import NO_PARAMS, Params, Rows
from homeostat.errors import (
    CommitUnknownError,
    ConnectionLostError,
    DatabaseError,
    DeadlineExceededError,
    HomeostatError,
    StatementCancelledError,
    StatementError,
    UnsupportedVersionError,
)

VERSION_MIN = 140_000
CANCEL_SECONDS_MAX = 2.0  # how long a server may take to react to a cancel request
CONTROL_SECONDS_MAX = 30.0  # how long BEGIN and COMMIT wait for an answer
ROLLBACK_SECONDS_MAX = (
    5.0  # it costs a server nothing; one that is silent has the connection closed
)
KEEPALIVE_IDLE_SECONDS = 30
KEEPALIVE_INTERVAL_SECONDS = 10
KEEPALIVE_COUNT = 3
PREPARE_AFTER_USES = 5  # psycopg's default

_CHANGING = ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY")
_IN_TRANSACTION = {pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR}

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresWire:
    """One open PostgreSQL connection; fulfils `driver.wire.Wire`."""

    dialect = "postgresql"

    def __init__(
        self, connection: Connection, *, label: str, on_begin: str = "", pooled: bool = False
    ) -> None:
        """Take an open connection in autocommit; use `connect`."""
        self.label = label
        self.pooled = pooled
        self._on_begin = on_begin
        self._connection = connection
        self._watch = Watch(self._stop)
        self._poll = select.poll()
        self._poll.register(connection.pgconn.socket, select.POLLIN)
        self._cancelling = threading.Lock()  # held while a cancel request is on its way
        self._committing = False
        self._plans = Plans()
        self._cursor = RawCursor(connection)  # one for all: making one takes 3 us

    @property
    def broken(self) -> bool:
        """Return whether the connection can no longer be used."""
        return self._connection.closed

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is open (an aborted one too)."""
        return self._connection.pgconn.transaction_status in _IN_TRANSACTION

    @property
    def lock_wait_seconds(self) -> float:
        """Return 0: the server knows, ask `Inspect.activity`."""
        return 0.0

    @property
    def backend_pid(self) -> int:
        """Return the server process of this connection (a pooler's, behind one)."""
        return self._connection.pgconn.backend_pid

    def is_pooled(self) -> bool:
        """Return whether a pooler is in between; it gives its clients numbers of its own."""
        return self.execute("SELECT pg_backend_pid()").scalar() != self.backend_pid

    @property
    def server_version(self) -> int:
        """Return the version as a number, e.g. 150008 for 15.8."""
        return self._connection.pgconn.server_version

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one statement to its end and return all its rows; see `Wire.execute`."""
        compiled = self._compiled(sql)
        values = self._values(compiled, params)
        connection = self._opened()
        if not self.in_transaction:
            self._notice_loss()
        self._watch.start(deadline_ms)
        cursor = self._cursor
        try:
            cursor.execute(compiled.text, values, prepare=self._plans.prepare(compiled.text))
            columns, rows = rows_of(connection, cursor)
            tag = tag_of(connection, cursor, pooled=self.pooled)
        except Exception as error:  # noqa: BLE001  everything becomes one of our errors
            self._cursor = RawCursor(connection)
            stale = self._plans.is_stale(error)
            deadline = self._watch.deadline
            if not stale:
                raise self._failed(error) from None
        else:
            stale = False
        finally:
            self._finish()
        if stale:  # the server refused it before it did anything
            with self._plans.renewed(self, compiled.text, deadline) as left_ms:
                return self.execute(sql, params, deadline_ms=left_ms)
        changed = max(cursor.rowcount, 0) if tag.startswith(_CHANGING) else 0
        return Rows(columns, rows, changed)

    def execute_many(self, sql: str, rows: Sequence[Params]) -> int:
        """Run one statement for each set of parameters, all or none; return the rows changed."""
        compiled = self._compiled(sql)
        values = [self._values(compiled, params) or () for params in rows]
        connection = self._opened()
        self._watch.start(None)
        try:
            cursor = RawCursor(connection)
            with self._plans.preparing(connection, compiled.text):
                cursor.executemany(compiled.text, values)
            return max(cursor.rowcount, 0)
        except Exception as error:  # noqa: BLE001  everything becomes one of our errors
            if not self._plans.is_stale(error):
                raise self._failed(error) from None
        finally:
            self._finish()
        with self._plans.renewed(self, compiled.text):  # refused at the first row, or all undone
            return self.execute_many(sql, rows)

    def insert_rows(
        self,
        table: str | tuple[str, ...],
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
    ) -> int:
        """Insert many rows by COPY, the values in the order of the columns; return how many.

        `table` is `name` or `schema.name`, or the two apart when they may hold dots.
        """
        statement = composed.SQL("COPY {} ({}) FROM STDIN").format(
            composed.Identifier(*(table.split(".") if isinstance(table, str) else table)),
            composed.SQL(", ").join(composed.Identifier(column) for column in columns),
        )
        connection = self._opened()
        self._watch.start(None)
        try:
            cursor = connection.cursor()
            with cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
            return max(cursor.rowcount, 0)
        except psycopg.Error as error:
            raise self._failed(error) from None
        finally:
            self._finish()

    def execute_script(self, sql: str) -> None:
        """Run several statements without parameters, in one transaction of their own."""
        connection = self._opened()
        self._watch.start(None)
        try:
            connection.execute(sql.encode())
            self._cursor = RawCursor(connection)  # see `_control`
        except Exception as error:  # noqa: BLE001  everything becomes one of our errors
            raise self._failed(error) from None
        finally:
            self._finish()

    def begin(self, *, write: bool, deadline_ms: float | None = None) -> None:
        """Start a transaction; one that does not write sees one moment (REPEATABLE READ)."""
        words = "BEGIN" if write else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self._control((words + self._on_begin).encode(), deadline_ms=deadline_ms)

    def commit(self, *, deadline_ms: float | None = None) -> None:
        """Commit.

        Args:
            deadline_ms: how long to wait for the answer, within CANCEL_SECONDS_MAX (an unknown
                outcome costs more than a late one) and CONTROL_SECONDS_MAX.

        Raises:
            CommitUnknownError: the connection broke, or nothing was heard in time, after COMMIT was
                sent.
            ConnectionLostError: it was already broken before, so nothing was committed.
            StatementError: an earlier statement failed, so the transaction was rolled back.
        """
        self._opened()
        self._notice_loss()
        if not self.in_transaction:
            message = "No transaction is open, so there is nothing to commit. Call begin() first."
            raise StatementError(message, where=self.label)
        self._committing = True
        try:
            if deadline_ms is not None:
                deadline_ms = max(deadline_ms, 1000 * CANCEL_SECONDS_MAX)
            answer = self._control(b"COMMIT", deadline_ms=deadline_ms)
        except DatabaseError as error:
            if self.broken or isinstance(error, ConnectionLostError):
                raise CommitUnknownError(where=self.label, detail=error.detail) from None
            self._forget()
            raise
        finally:
            self._committing = False
        if answer == "ROLLBACK":
            self._forget()
            message = (
                "An earlier statement of the transaction failed, so the server rolled it back. "
                "Run the whole transaction again."
            )
            raise StatementError(message, where=self.label)

    def rollback(self) -> None:
        """Roll back; does nothing when no transaction is open."""
        if not self.broken and self.in_transaction:
            self._control(b"ROLLBACK", deadline_ms=1000 * ROLLBACK_SECONDS_MAX)

    def _forget(self) -> None:
        """Forget after a COMMIT that failed what a rollback would have forgotten."""
        if not self.pooled:
            with suppress(DatabaseError):  # then it is closed
                self._control(b"ROLLBACK", deadline_ms=1000 * ROLLBACK_SECONDS_MAX)

    def cancel(self) -> None:
        """Stop the statement under way, from any thread."""
        self._watch.cancel()

    def close(self) -> None:
        """Close; closing twice is harmless."""
        with suppress(psycopg.Error):
            self._connection.close()

    def _opened(self) -> Connection:
        if self._connection.closed:
            message = "The connection is closed. Open a new one."
            raise ConnectionLostError(message, where=self.label)
        return self._connection

    def _compiled(self, sql: str) -> Compiled:
        compiled = compile_named(sql)
        if compiled.several:
            message = "The text holds more than one statement. Give one statement at a time."
            raise StatementError(message, where=self.label)
        return compiled

    def _values(self, compiled: Compiled, params: Params) -> list[object] | None:
        if not compiled.names:
            return None
        try:
            return [params[name] for name in compiled.names]
        except KeyError as error:
            message = f"The parameter :{error.args[0]} has no value. Give all parameters."
            raise StatementError(message, where=self.label) from None

    def _control(self, statement: bytes, *, deadline_ms: float | None = None) -> str:
        """Run BEGIN, COMMIT or ROLLBACK; return the server's command tag."""
        connection = self._opened()
        limit_ms = 1000 * CONTROL_SECONDS_MAX
        if deadline_ms is not None:
            limit_ms = min(limit_ms, deadline_ms)
        if not statement.startswith(b"BEGIN"):  # as what knows a SET LOCAL of the time zone
            self._cursor = RawCursor(connection)
        self._watch.start(limit_ms, cancellable=False)
        try:
            if statement == b"ROLLBACK" and not self.pooled:  # a pooler keeps what it prepared
                return roll_back(connection)
            return command(connection, statement)
        except Exception as error:  # noqa: BLE001  everything becomes one of our errors
            raise self._failed(error) from None
        finally:
            self._finish()

    def _notice_loss(self) -> None:
        """Raise ConnectionLostError if the server has hung up already, seen without asking it."""
        if not self._poll.poll(0):
            return  # nothing was said, so nothing was ended: one system call a statement
        if not still_there(self._connection, self._poll):
            raise _undone(ConnectionLostError(where=self.label))

    def _stop(self, attempt: int) -> float | None:
        """Have the statement stopped; called under the watch's lock, so it must not wait."""
        if attempt == 0 and not self._committing:
            threading.Thread(
                target=self._send_cancel,
                args=(self._watch.generation,),
                name="homeostat-cancel",
                daemon=True,
            ).start()
            return CANCEL_SECONDS_MAX
        with suppress(OSError, psycopg.Error):
            hang_up(self._connection)
        return None

    def _send_cancel(self, generation: int) -> None:
        """Send a cancel request; `_finish` waits for it, so that it cannot hit what follows."""
        with self._cancelling, suppress(psycopg.Error, OSError):
            if self._watch.running(generation):
                self._connection.cancel_safe(timeout=CANCEL_SECONDS_MAX)

    def _finish(self) -> str:
        reason = self._watch.finish()
        if reason:
            with self._cancelling:
                pass
        return reason

    def _failed(self, error: Exception) -> HomeostatError:
        """End the watch and return our error for psycopg's."""
        reason = self._finish()
        if self._connection.pgconn.pipeline_status != pq.PipelineStatus.OFF:
            self.close()  # an `executemany` that could not be ended: nothing else can be sent
        state = error.sqlstate if isinstance(error, psycopg.Error) else None
        if state is None and isinstance(error, psycopg.OperationalError):
            self.close()  # of libpq or psycopg, not of the server; libpq may not have noticed it
        if not isinstance(error, psycopg.Error) or (state is None and _is_value_error(error)):
            message = "A parameter's value cannot be sent. Give text, numbers, bytes or None."
            return StatementError(message, where=self.label, detail=type(error).__name__)
        if reason and (self.broken or state == postgres_errors.QUERY_CANCELED):
            detail = "the server did not react, so the connection was closed" if self.broken else ""
            if reason == "cancel":
                return StatementCancelledError(where=self.label, detail=detail)
            return DeadlineExceededError(where=self.label, detail=detail)
        text = error.diag.message_primary or str(error)
        if state == postgres_errors.QUERY_CANCELED and "timeout" in text:
            return DeadlineExceededError(where=self.label, detail="the server's statement_timeout")
        if self.broken:
            lost = ConnectionLostError(where=self.label, detail=state or "")
            return _undone(lost) if state == postgres_errors.ADMIN_SHUTDOWN else lost
        return postgres_errors.statement_error(state, text, where=self.label)


def connect(
    url: str,
    *,
    application_name: str = "homeostat",
    readonly: bool = False,
    lock_timeout_ms: int | None = None,
    statement_timeout_ms: int | None = None,
    connect_timeout_seconds: int = 5,
    prepare: bool = True,
    pooled: bool = False,
    version_min: int = VERSION_MIN,
) -> PostgresWire:
    """Open a connection in autocommit.

    Args:
        url: `postgresql://user@host:port/database?...`; a password that is not in it is looked up
            where libpq does (PGPASSWORD, pgpass file).
        application_name: what pg_stat_activity shows; at most 63 bytes.
        readonly: transactions are READ ONLY unless they say otherwise.
        lock_timeout_ms: the server's lock_timeout; None: its default.
        statement_timeout_ms: the server's statement_timeout; None: its default.
        connect_timeout_seconds: for each address of the host.
        prepare: False never prepares statements (poolers that cannot).
        pooled: a pooler in transaction mode is in between. A session setting would be refused, or
            left behind for other clients: `lock_timeout_ms` is set in each transaction instead, and
            a statement of its own has none.
        version_min: of the server, as a number.

    Raises:
        ConfigError: the URL cannot be read.
        PoolerRefusedError: a pooler is in between, and it refuses the session settings.
        ConnectError: and its subclasses, by what went wrong.
        UnsupportedVersionError: the server is older than `version_min` (14).
    """
    given = parsed(url)
    label = label_of(given)
    options = [str(given["options"])] if given.get("options") else []
    on_begin = ""
    if pooled and lock_timeout_ms is not None:
        on_begin, lock_timeout_ms = f"; SET LOCAL lock_timeout = {lock_timeout_ms}", None
    for name, value in (
        ("default_transaction_read_only", "on" if readonly else None),
        ("lock_timeout", lock_timeout_ms),
        ("statement_timeout", statement_timeout_ms),
    ):
        if value is not None:
            options.append(f"-c {name}={value}")
    if options:
        given["options"] = " ".join(options)
    given["application_name"] = application_name
    given["connect_timeout"] = max(2, connect_timeout_seconds)  # libpq takes 1 for 2
    given.setdefault("client_encoding", "UTF8")
    given.setdefault("keepalives_idle", KEEPALIVE_IDLE_SECONDS)
    given.setdefault("keepalives_interval", KEEPALIVE_INTERVAL_SECONDS)
    given.setdefault("keepalives_count", KEEPALIVE_COUNT)
    try:
        connection = psycopg.connect(
            autocommit=True, prepare_threshold=PREPARE_AFTER_USES if prepare else None, **given
        )
    except psycopg.Error as error:
        tls_off = (given.get("sslmode") or os.environ.get("PGSSLMODE")) == "disable"
        raise postgres_errors.connect_error(str(error), where=label, tls_off=tls_off) from None
    version = connection.pgconn.server_version
    if version < version_min:
        connection.close()
        raise UnsupportedVersionError(where=label, detail=f"the server is {version // 10000}")
    return PostgresWire(connection, label=label, on_begin=on_begin, pooled=pooled)


def _undone(error: ConnectionLostError) -> ConnectionLostError:
    error.undone = True
    return error


def _is_value_error(error: psycopg.Error) -> bool:
    """Return whether psycopg refused a parameter before sending anything."""
    return isinstance(error, psycopg.ProgrammingError | psycopg.DataError)
