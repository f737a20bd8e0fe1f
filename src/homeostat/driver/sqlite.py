"""The wire to SQLite, through apsw with SQLite3 Multiple Ciphers.

Two modes. `own`: a file of ours or of the application that uses this data path; WAL, synchronous
and foreign keys are set. `foreign`: a file of others; nothing is changed: no pragma that writes, no
checkpoint, also none on closing, no file created (a -wal and -shm that our reading made are removed
again by the last handle). It never opens a file that this process has open through another library:
closing either would drop the other's locks.

Waiting for a lock sleeps in the busy handler, which keeps count and ends at `busy_ms`, at the
deadline or on cancel; a writer of this process wakes the next (see sqlite_patience.py). A running
statement is stopped by sqlite3_interrupt (see watch.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import apsw

from homeostat.driver import sqlite_errors, sqlite_files, sqlite_handles
from homeostat.driver.sqlite_files import FileId
from homeostat.driver.sqlite_line import Line, line_of
from homeostat.driver.sqlite_meter import Meter
from homeostat.driver.sqlite_patience import Patience, set_wal
from homeostat.driver.sqlite_texts import begins, keeps_columns, more_follows
from homeostat.driver.sqlite_tidy import remove_empty_wal
from homeostat.driver.tokens import quoted
from homeostat.driver.watch import Watch
from homeostat.driver.wire import NO_PARAMS, Params, Rows
from homeostat.errors import (
    CommitUnknownError,
    ConfigError,
    ConnectionLostError,
    DatabaseLockedError,
    DeadlineExceededError,
    HomeostatError,
    NotADatabaseError,
    PermissionRefusedError,
    ReadOnlyDatabaseError,
    StatementCancelledError,
    StatementError,
    StorageError,
)

MEMORY = ":memory:"
INTERRUPT_AGAIN_SECONDS = 0.005  # an interrupt before the first step of a statement has no effect
STATEMENTS_CACHED_MAX = 128
NOTHING = Meter()  # measures nothing, since nothing is wanted of it
Kind = tuple[tuple[str, ...], bool, bool]
"""Of a statement: its columns, whether it reads only, and whether it may change rows."""
UNKNOWN: Kind = ((), False, True)  # it has not been seen before

Mode = Literal["own", "foreign"]
Synchronous = Literal["FULL", "NORMAL"]
Trace = Callable[[apsw.Cursor, str, object], bool]


class SqliteWire:
    """One open SQLite connection; fulfils `driver.wire.Wire`."""

    dialect = "sqlite"
    pooled = False

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        label: str,
        file: FileId | None,
        busy_ms: float,
        tidy: Callable[[], None] | None = None,
    ) -> None:
        """Take an open connection; use `connect`."""
        self.label = label
        self.meter = NOTHING
        self.path: str = connection.filename
        self._connection: apsw.Connection | None = connection
        self._file = file
        self._tidy = tidy
        self._fatal = False
        self._watch = Watch(self._interrupt)
        self._line = Line() if file is None else line_of(file)
        self.patience = Patience(self._watch, self._line, busy_ms=busy_ms)
        self._writes = False  # it may hold the write lock
        self._sql = ""
        self._columns: tuple[str, ...] = ()
        self._reads = True
        self._known: dict[str, Kind] = {}
        self._cursor = connection.cursor()  # one for all: making one takes 1 us
        self._noting = self._cursor  # the last one that was made for one statement
        connection.set_busy_handler(self.patience.busy)

    @property
    def broken(self) -> bool:
        """Return whether the connection is closed or its file turned out damaged."""
        return self._connection is None or self._fatal

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""
        connection = self._connection
        return connection is not None and connection.in_transaction

    @property
    def lock_wait_seconds(self) -> float:
        """Return seconds slept in the busy handler since opening; any thread may ask."""
        return self.patience.seconds

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one statement to its end and return all its rows; see `Wire.execute`."""
        connection = self._connection or self.handle()
        known = self._known.get(sql)
        columns, reads, changes = known or UNKNOWN
        total = connection.total_changes() if known is None else 0
        meter, measured = self.meter, None
        if sql in meter.wanted:
            measured = meter.begin(sql, self.patience.seconds)
        self._watch.start(deadline_ms)
        try:
            if known is None:
                rows = self._first(sql, params)
                columns, reads = self._columns, self._reads
                changes = connection.total_changes() != total
            else:
                if not reads and self._line.waiting and not connection.in_transaction:
                    self.patience.queue_up(sql)
                rows = self._cursor.execute(sql, params).fetchall()
        except BaseException as error:  # noqa: BLE001  the driver's become ours
            raise self._failed(error) from None
        finally:
            self._watch.finish()
            if not reads or self._writes or self.patience.in_line:
                self._move_on(connection)
            if measured is not None:
                meter.end(sql, measured, self.patience.seconds)
        return Rows(columns, rows, connection.changes()) if changes else Rows(columns, rows)

    def execute_many(self, sql: str, rows: Sequence[Params]) -> int:
        """Run one statement for each set of parameters; return the rows changed.

        Begin a transaction first: each set is its own otherwise.
        """
        connection = self.handle()
        self._sql = sql
        changed = 0
        total = connection.total_changes()

        def count() -> None:
            nonlocal changed, total
            now = connection.total_changes()
            if now != total:  # what triggers and cascades change is in total_changes() only
                changed += connection.changes()
                total = now

        def before(cursor: apsw.Cursor, text: str, values: object) -> bool:
            count()
            return self._before(cursor, text, values)

        self._run_many(sql, rows, before)
        count()
        return changed

    def insert_rows(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> int:
        """Insert many rows, the values in the order of the columns; return how many.

        Begin a transaction first: each row is its own otherwise.
        """
        names = ", ".join(quoted(column) for column in columns)
        marks = ", ".join("?" * len(columns))
        count = 0

        def counted() -> Iterator[Sequence[object]]:
            nonlocal count
            for row in rows:
                count += 1
                yield row

        sql = f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks})"
        self._run_many(sql, counted(), None)
        return count

    def execute_script(self, sql: str) -> None:
        """Run several statements without parameters, e.g. a migration, to the end."""
        self._run_many(sql, (NO_PARAMS,), None)

    def begin(self, *, write: bool, deadline_ms: float | None = None) -> None:
        """Start a transaction; a writing one takes the write lock at once."""
        self._writes = write
        self.execute("BEGIN IMMEDIATE" if write else "BEGIN", deadline_ms=deadline_ms)

    def commit(self, *, deadline_ms: float | None = None) -> None:  # noqa: ARG002  nobody answers
        """Commit.

        Raises:
            CommitUnknownError: the disk failed during the commit.
            DatabaseLockedError: readers are in the way (rollback mode); the transaction stays open
                and the commit can be tried again.
        """
        try:
            self.execute("COMMIT")
        except StorageError as error:
            message = (
                "The disk failed while the transaction was committed, so it may or may not be "
                "stored. Check the disk, then ask the database."
            )
            raise CommitUnknownError(message, where=self.label, detail=error.detail) from None

    def rollback(self) -> None:
        """Roll back; does nothing when no transaction is open."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def cancel(self) -> None:
        """Stop the statement under way, from any thread; also one that waits for a lock."""
        self._watch.cancel()

    def close(self) -> None:
        """Close; an open transaction is rolled back. Closing twice is harmless."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.patience.in_line:
            self.patience.leave()
        if self._file is None:
            connection.close(force=True)
            return
        with sqlite_handles.lock:
            connection.close(force=True)
            left = sqlite_handles.closed(self._file)
            self._line.pass_on()
            if self._tidy and left.handles == 0 and not left.wal_was_there:
                self._tidy()

    def handle(self) -> apsw.Connection:
        """Return apsw's connection, for what only SQLite can do.

        Raises:
            ConnectionLostError: it is closed.
        """
        if self._connection is None:
            raise ConnectionLostError("The connection is closed. Open a new one.", where=self.label)
        return self._connection

    def _run_many(
        self, sql: str, rows: Iterable[Params | Sequence[object]], trace: Trace | None
    ) -> None:
        connection = self.handle()
        cursor = self._noting = connection.cursor()
        cursor.exec_trace = trace
        self._watch.start(None)
        try:
            cursor.executemany(sql, rows).fetchall()
        except BaseException as error:  # noqa: BLE001  the driver's become ours
            raise self._failed(error) from None
        finally:
            self._watch.finish()
            self._move_on(connection)

    def _move_on(self, connection: apsw.Connection) -> None:
        """Wait no longer; if no transaction is open, the write lock is free for the next."""
        if self.patience.in_line:
            self.patience.leave()
        self._writes = connection.in_transaction
        if not self._writes and self._line.waiting:
            self._line.pass_on()

    def noting(self, sql: str) -> apsw.Cursor:
        """Return a cursor for one statement, which notes its columns and refuses a second one."""
        self._sql = sql
        self._columns = ()
        self._reads = True
        cursor = self._noting = self.handle().cursor()
        cursor.exec_trace = self._before
        return cursor

    def _first(self, sql: str, params: Params) -> list[Any]:
        """Run a statement and note what it returns; keep that, if it is so at every run."""
        cursor = self.noting(sql).execute(sql, params)
        if keeps_columns(sql):
            if len(self._known) >= STATEMENTS_CACHED_MAX:
                self._known.clear()
            changes = not (self._reads or begins(sql))
            self._known[sql] = (self._columns, self._reads, changes)
        elif self._columns:  # noted before the first step, which sees that the schema has changed
            with suppress(apsw.ExecutionCompleteError):  # get_description() repeats its answer
                self._columns = tuple([column[0] for column in cursor.description])
        return cursor.fetchall()

    def _before(self, cursor: apsw.Cursor, text: str, _: object) -> bool:
        """Note the columns, which apsw no longer tells after an empty result."""
        columns = cursor.get_description()
        self._columns = tuple([column[0] for column in columns]) if columns else ()
        self._reads = cursor.is_readonly
        if self._line.waiting and not self._reads and not cursor.connection.in_transaction:
            self.patience.queue_up(text)
        return len(text) == len(self._sql) or not more_follows(self._sql, text)

    def _interrupt(self, _: int) -> float | None:
        """Stop what runs; called by the watch while the connection cannot be closed."""
        self.patience.interrupt()
        if self._connection is not None:
            self._connection.interrupt()
        return INTERRUPT_AGAIN_SECONDS

    def _failed(self, error: BaseException) -> HomeostatError:
        """End the watch and return our error for apsw's; raise what is neither's, as a signal's."""
        deadline = self._watch.deadline
        reason = self._watch.finish()
        if not isinstance(error, apsw.Error) and self._connection is not None:
            self._noting.close(True)  # a signal may have come between two steps, and a statement
            self._cursor.close(True)  # left open keeps its snapshot, whatever runs after it
            self._cursor = self._connection.cursor()
        if isinstance(error, apsw.ExecTraceAbort):
            message = "The text holds more than one statement. Give one statement at a time."
        elif isinstance(error, KeyError):
            message = f"The parameter :{error.args[0]} has no value. Give all parameters."
        elif isinstance(error, TypeError | OverflowError | ValueError | apsw.BindingsError):
            message = "A parameter's value cannot be stored. Give text, numbers, bytes or None."
        elif isinstance(error, apsw.Error):
            code = _code(error)
            if code & 0xFF in {sqlite_errors.INTERRUPT, sqlite_errors.BUSY}:
                if reason == "cancel":
                    return StatementCancelledError(where=self.label)
                if reason or (deadline is not None and monotonic() >= deadline):
                    detail = ""
                    if code & 0xFF == sqlite_errors.BUSY:
                        detail = "it waited for a lock" + sqlite_files.held_by(self.path)
                    return DeadlineExceededError(where=self.label, detail=detail)
            return self._coded(error, code)
        else:
            raise error
        return StatementError(message, where=self.label)

    def _coded(self, error: apsw.Error, code: int) -> HomeostatError:
        self._fatal = self._fatal or code & 0xFF in sqlite_errors.FATAL
        found = sqlite_errors.translated(code, str(error), where=self.label)
        if isinstance(found, DatabaseLockedError) and self._file is not None:
            found.detail += sqlite_files.held_by(self.path)
        return found


def connect(
    path: str | Path,
    *,
    mode: Mode = "own",
    readonly: bool = False,
    create: bool = False,
    key: str | None = None,
    synchronous: Synchronous = "FULL",
    busy_ms: float = 1000,
    label: str | None = None,
) -> SqliteWire:
    """Open an SQLite database.

    Args:
        path: the file, or `:memory:`.
        mode: `own` sets WAL, synchronous and foreign keys; `foreign` changes nothing.
        readonly: refuse to write.
        create: make the file if it is missing (mode `own` only).
        key: the passphrase of an encrypted file (SQLite3 Multiple Ciphers, its default cipher).
        synchronous: FULL loses nothing at a power cut, NORMAL the last commits.
        busy_ms: how long to wait for a lock.
        label: for messages; else the path.

    Raises:
        DatabaseMissingError, PermissionRefusedError, NotADatabaseError, EncryptedDatabaseError,
        CorruptDatabaseError, ReadOnlyDatabaseError, DatabaseLockedError, OpenedTwiceError.
    """
    if create and (readonly or mode == "foreign"):
        raise ConfigError("Only an own file that is written can be created. Leave `create` away.")
    if str(path) == MEMORY:
        connection = apsw.Connection(MEMORY)
        wire = SqliteWire(connection, label=label or MEMORY, file=None, busy_ms=busy_ms)
        wire.execute("PRAGMA foreign_keys = ON")
        return wire
    shown = label or str(Path(path).absolute())
    where = Path(path).resolve()  # SQLite puts -wal and -shm beside the file, not beside a link
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
    if create:
        flags |= apsw.SQLITE_OPEN_CREATE
    tidy = partial(remove_empty_wal, where, key) if mode == "foreign" else None
    wire = _open(where, flags, label=shown, busy_ms=busy_ms, tidy=tidy)
    try:
        _prepare(wire, mode=mode, key=key, synchronous=synchronous)
    except NotADatabaseError:
        failure = _explain(wire, where, key_given=key is not None)
        wire.close()
        raise failure from None
    except BaseException:
        wire.close()
        raise
    return wire


def _code(error: apsw.Error) -> int:
    return getattr(error, "extendedresult", 0) or getattr(error, "result", 0)


def _open(
    path: Path, flags: int, *, label: str, busy_ms: float, tidy: Callable[[], None] | None
) -> SqliteWire:
    """Open the file, with the checks that must come before, and note the handle."""
    create = bool(flags & apsw.SQLITE_OPEN_CREATE)
    with sqlite_handles.lock:
        file = sqlite_files.check_path(path, create=create, label=label)
        if file is not None:
            sqlite_handles.refuse_strangers(file, label=label, count=_connections_to)
        wal_was_there = Path(f"{path}-wal").exists()
        try:
            connection = apsw.Connection(
                str(path), flags=flags, statementcachesize=STATEMENTS_CACHED_MAX
            )
        except apsw.Error as error:
            raise sqlite_errors.translated(_code(error), str(error), where=label) from None
        file = sqlite_handles.opened(path, wal_was_there=wal_was_there)
    wire = SqliteWire(connection, label=label, file=file, busy_ms=busy_ms, tidy=tidy)
    if not flags & apsw.SQLITE_OPEN_READONLY and connection.readonly("main"):
        wire.close()
        raise ReadOnlyDatabaseError(where=label)
    return wire


def _connections_to(file: FileId) -> int:
    """Return how many connections of this SQLite library lead to the file."""
    count = 0
    for connection in apsw.connections():
        try:
            status = Path(connection.filename).stat()
        except (apsw.Error, OSError):
            continue
        count += (status.st_dev, status.st_ino) == file
    return count


def _prepare(wire: SqliteWire, *, mode: Mode, key: str | None, synchronous: Synchronous) -> None:
    """Give the key, read the header, and set what the mode sets."""
    connection = wire.handle()
    if key is not None:
        connection.pragma("key", key)
    if mode == "foreign":
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.wal_autocheckpoint(0)
        sqlite_files.refuse_to_own_wal(_header(connection), wire.path)
    try:
        wire.execute("PRAGMA schema_version")
    except PermissionRefusedError as error:
        if sqlite_files.is_wal(_header(connection)):
            raise sqlite_errors.translated(
                sqlite_errors.READONLY_CANTINIT, error.detail, where=wire.label
            ) from None
        raise
    wire.execute("PRAGMA temp_store = MEMORY")
    if mode == "foreign":
        return
    if not connection.readonly("main"):
        set_wal(wire)
    wire.execute(f"PRAGMA synchronous = {synchronous}")
    wire.execute("PRAGMA foreign_keys = ON")


def _header(connection: apsw.Connection) -> bytes:
    """Return the first bytes of the file through SQLite's own handle; empty if that fails."""
    try:
        return connection.read("main", 0, 0, sqlite_files.HEADER_BYTES)[1]
    except apsw.Error:
        return b""


def _explain(wire: SqliteWire, path: Path, *, key_given: bool) -> HomeostatError:
    """Return the error for a file that SQLite does not take, by its first bytes."""
    header = _header(wire.handle())
    if not header:  # the cipher refuses to read on: look without the key
        with sqlite_handles.lock:
            plain = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            header = _header(plain)
            plain.close()
    size = path.stat().st_size
    return sqlite_files.not_a_database(header, size, key_given=key_given, label=wire.label)
