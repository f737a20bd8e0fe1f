"""One SQLite file of our own: a writer that takes turns, readers that never wait for it.

The file is in WAL mode. There is one writing connection, behind a lock; reading connections are
lent from a small stack, each sees what was last committed. A connection that failed is closed and
opened anew at the next use, so that a full disk or a lock that went away needs no restart. Driver
errors leave as `LogbookError`s. The file is never created again behind the back of who uses it: a
logbook that was moved or replaced while in use is refused until it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from homeostat.driver.sqlite import connect
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.errors import (
    ConstraintError,
    CorruptDatabaseError,
    DatabaseError,
    DatabaseLockedError,
    DatabaseMissingError,
    DiskFullError,
    EncryptedDatabaseError,
    LogbookCorruptError,
    LogbookError,
    LogbookFullError,
    LogbookLockedError,
    NotADatabaseError,
)
from homeostat.logbook.migrate import Migration, migrate, refuse_newer

READERS_IDLE_MAX = 4  # a page, the command line and the loop, and one to spare
TURN_SECONDS_MAX = 30.0  # nothing of ours holds the writer so long
QUICK_CHECK_BYTES_MAX = 64 << 20  # checked on opening: about 0.1 s

_NAMED: tuple[tuple[type[DatabaseError], type[LogbookError]], ...] = (
    (DiskFullError, LogbookFullError),
    (DatabaseLockedError, LogbookLockedError),
    (CorruptDatabaseError, LogbookCorruptError),
    (NotADatabaseError, LogbookCorruptError),
    (EncryptedDatabaseError, LogbookCorruptError),
)


def named(error: DatabaseError, path: Path) -> LogbookError:
    """Return the logbook's error for a driver's."""
    detail = error.detail or error.message
    for theirs, ours in _NAMED:
        if isinstance(error, theirs):
            return ours(where=str(path), detail=detail)
    return LogbookError(where=str(path), detail=detail)


class Session:
    """A connection while it is held; the driver's errors leave it as the logbook's."""

    __slots__ = ("_path", "damaged", "failed", "wire")

    def __init__(self, wire: Wire, path: Path) -> None:
        self.wire = wire
        self.failed = False  # the connection is not used again
        self.damaged = False  # the file is
        self._path = path

    def execute(self, sql: str, params: Params = NO_PARAMS) -> Rows:
        """Run one statement and return all its rows.

        Raises:
            LogbookError: one of its subclasses names what is wrong.
        """
        try:
            return self.wire.execute(sql, params)
        except DatabaseError as error:
            raise self._failed(error) from error

    def execute_many(self, sql: str, rows: Sequence[Params]) -> None:
        """Run one statement for each set of parameters; errors as from `execute`."""
        try:
            self.wire.execute_many(sql, rows)
        except DatabaseError as error:
            raise self._failed(error) from error

    def _failed(self, error: DatabaseError) -> LogbookError:
        ours = named(error, self._path)
        self.failed |= not isinstance(error, ConstraintError)
        self.damaged |= isinstance(ours, LogbookCorruptError)
        return ours


class LogFile:
    """One of our files; safe to use from any thread."""

    def __init__(
        self,
        path: Path,
        *,
        migrations: tuple[Migration, ...],
        synchronous: Literal["FULL", "NORMAL"],
        readonly: bool = False,
        on_connect: Callable[[Wire], None] | None = None,
    ) -> None:
        """Open, check and migrate the file; create it unless readonly.

        Args:
            path: the file; its directory must exist.
            migrations: all of this release, in order.
            synchronous: FULL: a commit survives the loss of power. NORMAL: it may not, the file
                stays whole.
            readonly: change nothing, not even the schema.
            on_connect: called with the writing connection each time it was opened.

        Raises:
            LogbookError: one of its subclasses names what is wrong.
        """
        self.path = path
        self.migrations = migrations
        self._synchronous = synchronous
        self._readonly = readonly
        self._on_connect = on_connect
        self._turn = threading.Lock()
        self._turn_of = 0
        self._writer: Wire | None = None
        self._idle: list[Wire] = []
        self._idle_lock = threading.Lock()
        self._closed = False
        self._suspect = False  # a reader found damage
        self._inode: tuple[int, int] | None = None
        if readonly:
            with self.reading() as session, self._naming():
                self._look(session.wire)
        else:
            with self._naming():
                self._writer = self._open_writer()

    def close(self) -> None:
        """Close every connection; closing twice is harmless."""
        with self._its_turn():
            self._closed = True
            with self._idle_lock:
                idle, self._idle = self._idle, []
            for wire in idle:
                wire.close()
            self._drop_writer()  # last: only a writer's close moves the -wal into the file

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Hold the writer in one transaction: committed at the end, rolled back on any error.

        Raises:
            LogbookFullError, LogbookLockedError, LogbookCorruptError, LogbookError: nothing was
                written.
        """
        with self._its_turn():
            session = Session(self._begin(), self.path)
            try:
                yield session
                self._commit(session)
            except BaseException:
                self._give_up(session)
                raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Borrow a connection that sees what was last committed."""
        with self._naming():
            session = Session(self._borrow(), self.path)
        try:
            yield session
        finally:
            self._give_back(session)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Borrow a connection on which all statements see the same state."""
        with self.reading() as session:
            session.execute("BEGIN")
            try:
                yield session
            finally:
                if not session.failed:
                    session.execute("ROLLBACK")

    @contextmanager
    def _its_turn(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._turn_of == me:
            message = "A write is already open in this thread. Use the transaction at hand."
            raise LogbookError(message, where=str(self.path))
        if not self._turn.acquire(timeout=TURN_SECONDS_MAX):
            detail = f"a thread of this process has been writing for {TURN_SECONDS_MAX:.0f} s"
            raise LogbookLockedError(where=str(self.path), detail=detail)
        self._turn_of = me
        try:
            yield
        finally:
            self._turn_of = 0
            self._turn.release()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise named(error, self.path) from error

    def _ready_writer(self) -> Wire:
        if self._readonly or self._closed:
            why = "closed" if self._closed else "opened for reading only"
            message = f"The logbook is {why}. Open it for writing first."
            raise LogbookError(message, where=str(self.path))
        self._refuse_replaced()
        if self._suspect:
            self._drop_writer()  # it may not have seen the damage: its pages are in memory
        if self._writer is None:
            self._writer = self._open_writer()
        return self._writer

    def _open_writer(self) -> Wire:
        wire = connect(self.path, mode="own", create=True, synchronous=self._synchronous)
        try:
            refuse_newer(wire, self.migrations)
            check(wire, self.path)
            migrate(wire, self.migrations)
            if self._on_connect is not None:
                self._on_connect(wire)
            self._remember()
        except BaseException:
            wire.close()
            raise
        self._suspect = False
        return wire

    def _begin(self) -> Wire:
        with self._naming():
            wire = self._ready_writer()
            try:
                wire.begin(write=True)
            except DatabaseError:
                self._drop_writer()
                raise
            return wire

    def _commit(self, session: Session) -> None:
        try:
            session.wire.commit()
        except DatabaseError as error:
            session.failed = True
            raise named(error, self.path) from error

    def _give_up(self, session: Session) -> None:
        try:
            session.wire.rollback()
        except DatabaseError:
            session.failed = True  # closing rolls back too
        if session.failed:
            self._drop_writer()

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _borrow(self) -> Wire:
        if self._closed:
            message = "The logbook is closed. Open it first."
            raise LogbookError(message, where=str(self.path))
        self._refuse_replaced()
        with self._idle_lock:
            if self._idle:
                return self._idle.pop()
        return connect(self.path, mode="own", readonly=True)

    def _give_back(self, session: Session) -> None:
        if session.damaged:
            self._suspect = True
        with self._idle_lock:
            usable = not (self._closed or session.failed or session.wire.in_transaction)
            if usable and len(self._idle) < READERS_IDLE_MAX:
                self._idle.append(session.wire)
                return
        session.wire.close()

    def _look(self, wire: Wire) -> None:
        level = refuse_newer(wire, self.migrations)
        if level < self.migrations[-1].level - 1:
            message = (
                "An older Homeostat wrote this logbook. Start the operator once to upgrade it."
            )
            raise LogbookError(message, where=str(self.path))
        self._remember()

    def _remember(self) -> None:
        try:
            found = self.path.stat()
        except OSError as error:
            raise DatabaseMissingError(detail=error.strerror or "") from error
        self._inode = (found.st_dev, found.st_ino)

    def _refuse_replaced(self) -> None:
        if self._inode is None:
            return
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._inode:
            message = (
                "The logbook was moved or replaced while in use, so nothing will be applied. Put "
                "it back, or restart."
            )
            raise LogbookCorruptError(message, where=str(self.path))


def check(wire: Wire, path: Path) -> None:
    """Run SQLite's quick_check; of a file past the byte budget only read the schema.

    Raises:
        LogbookCorruptError: the file is damaged; the detail is SQLite's first complaint.
    """
    if path.stat().st_size > QUICK_CHECK_BYTES_MAX:
        wire.execute("SELECT count(*) FROM sqlite_schema")
        return
    complaint = wire.execute("PRAGMA quick_check(1)").scalar()
    if complaint != "ok":
        raise LogbookCorruptError(where=str(path), detail=str(complaint))
