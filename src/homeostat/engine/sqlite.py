"""SQLite as it can be asked from outside: the file, its log, and who holds its write lock.

The reserved connection reads only and changes nothing in the database (driver mode `foreign`).
What happens inside the applications (statements, sessions, waiting) only an agent in them knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import perf_counter

import psutil

from homeostat.driver import sqlite, sqlite_files
from homeostat.driver.identity import identify, sqlite_key
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.engine import metrics
from homeostat.engine.disk import disk_readings
from homeostat.engine.engine import Activity, Identity, LockHolder, Target, Unsupported
from homeostat.engine.reserved import Reserved
from homeostat.engine.runtime_lock import RuntimeLocks
from homeostat.engine.sqlite_clone import SqliteClone
from homeostat.engine.sqlite_explain import SqliteExplain
from homeostat.engine.sqlite_maintain import SqliteMaintain
from homeostat.engine.statements import statement
from homeostat.errors import DatabaseLockedError, DatabaseMissingError
from homeostat.measure import Unknown
from homeostat.secret import Secret

METRICS = metrics.SQLITE

NO_WORKLOAD = Unsupported(
    "SQLite keeps no statistics of statements.",
    "Open the database in the application with homeostat.access: its agent reports them.",
)
NO_POOLER = Unsupported(
    "SQLite has no pooler before it.", "The pool is the application's; its agent sizes it."
)
_SCRIPTS = {".py", ".pyz", ".js", ".mjs", ".ts", ".rb", ".pl", ".php", ".sh", ".jar"}
_NO_SESSIONS = Unknown("SQLite keeps no list of connections; an agent in the application does")
_NO_LIMIT = Unknown("SQLite has no limit of connections; the application's pool has")


class SqliteEngine:
    """One SQLite file; fulfils `engine.Engine`."""

    dialect = "sqlite"

    def __init__(self, target: Target, path: str) -> None:
        """Open the file for reading.

        Raises:
            DatabaseError: and its subclasses, by what is wrong with the file.
        """
        self._target = target
        self._path = path
        self._wire = Reserved(self._open)
        try:
            found = identify(self._wire.wire(), path=path)
        except BaseException:
            self._wire.close()
            raise
        self._identity = Identity(found.dialect, found.key, found.label, found.version)
        self.inspect = SqliteInspect(self.execute, self._target, path)
        self.control = SqliteControl(found.key, path, self._connect)
        self.workload = NO_WORKLOAD
        self.explain = SqliteExplain(self.transaction)
        self.maintain = SqliteMaintain(self.transaction)
        self.clone = self._clone_facet()
        self.pooler = NO_POOLER

    def identity(self) -> Identity:
        """Return which file this is: its device and inode."""
        return self._identity

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one reading statement.

        Raises:
            DatabaseMissingError: the file was removed, or another one stands at its path.
        """
        if sqlite_key(self._path) != self._identity.key:
            message = (
                "Another file stands at this path since it was attached. Detach the database and "
                "attach it again."
            )
            raise DatabaseMissingError(message, where=self._identity.label)
        limit = self._target.statement_timeout_ms if deadline_ms is None else deadline_ms
        return self._wire.execute(sql, params, deadline_ms=limit)

    def transaction(self) -> AbstractContextManager[Wire]:
        """Return a reading transaction on the reserved connection: one moment for all of it."""
        return self._wire.transaction()

    def cancel(self) -> None:
        """Stop the reading statement under way, if there is one, from any thread."""
        self._wire.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def _clone_facet(self) -> SqliteClone | Unsupported:
        if not self._target.clone.directory:
            return Unsupported(
                "No directory for clones is configured.", "Set [clone] directory to one of yours."
            )
        return SqliteClone(
            source=self._identity.key,
            path=self._identity.label,
            connect=self._connect,
            key=self._key,
            config=self._target.clone,
            clock=self._target.clock,
        )

    def _open(self) -> sqlite.SqliteWire:
        return self._connect(readonly=True, busy_ms=self._target.lock_timeout_ms)

    def _connect(self, *, readonly: bool, busy_ms: float) -> sqlite.SqliteWire:
        return sqlite.connect(
            self._path, mode="foreign", readonly=readonly, key=self._key(), busy_ms=busy_ms
        )

    def _key(self) -> str | None:
        reference = self._target.options.get("key")
        return Secret.parse(reference).resolve() if reference else None


class SqliteInspect:
    """Facet: what the file and the system tell without asking the applications."""

    def __init__(self, execute: Callable[..., Rows], target: Target, path: str) -> None:
        """Take the reserved connection's execute and the file's path."""
        self._execute = execute
        self._target = target
        self._path = os.path.realpath(path)

    def activity(self) -> Activity:
        """Return who holds the write lock now; for how long, SQLite does not say."""
        pids = sqlite_files.writers(self._path)
        holders = () if isinstance(pids, Unknown) else tuple(_holder(pid) for pid in pids)
        return Activity(_NO_SESSIONS, _NO_LIMIT, holders=holders, waiting=_NO_SESSIONS)

    def health(self) -> Mapping[str, float | Unknown]:
        """Return sizes, free pages and disk space."""
        return {**self._pages(), **self._disk(), "sqlite.wal_bytes": self._wal_bytes()}

    def performance(self) -> Mapping[str, float | Unknown]:
        """Return the time of one small read, the log's size and whether somebody writes."""
        started = perf_counter()
        self._execute("SELECT 1 FROM sqlite_schema LIMIT 1")
        probe_ms = (perf_counter() - started) * 1000
        pids = sqlite_files.writers(self._path)
        return {
            "sqlite.probe_ms": probe_ms,
            "sqlite.wal_bytes": self._wal_bytes(),
            "sqlite.writers_count": pids if isinstance(pids, Unknown) else float(len(pids)),
        }

    def settings(self) -> Mapping[str, str]:
        """Return what the file itself carries; synchronous and others belong to connections."""
        row = self._execute(statement("sqlite", "settings")).dicts()[0]
        return {name: str(value) for name, value in row.items()}

    def _pages(self) -> dict[str, float | Unknown]:
        pages, page_bytes, free = map(_number, self._execute(statement("sqlite", "pages")).rows[0])
        share = free / pages if pages else 0.0
        return {"database.size_bytes": pages * page_bytes, "sqlite.free_pages_share": share}

    def _disk(self) -> dict[str, float | Unknown]:
        return disk_readings(Path(self._path).parent)

    def _wal_bytes(self) -> float | Unknown:
        try:
            return float(Path(f"{self._path}-wal").stat().st_size)
        except FileNotFoundError:
            return 0.0
        except OSError as error:
            return Unknown(f"the -wal file cannot be seen: {error.strerror}")


class SqliteControl:
    """Facet: one lock for operators of this machine and user.

    SQLite has no sessions that could be ended from outside, so `end_work` and `end_session` find
    none: what an operator had under way ends with its process, and a transaction left in the middle
    is rolled back by whoever opens the file next.
    """

    def __init__(self, key: str, path: str, connect: Callable[..., sqlite.SqliteWire]) -> None:
        """Take the database's key and file, and what opens it."""
        self._locks = RuntimeLocks(key)
        self._path = path
        self._connect = connect
        self.lock = self._locks.hold

    def holds(self, name: str) -> bool:  # noqa: ARG002  the facet's signature
        """Return True: flock lasts as long as its process."""
        return True

    @contextmanager
    def work(
        self,
        *,
        purpose: str,  # noqa: ARG002  the facet's signature
        lock: str,
        statement_timeout_ms: int,
    ) -> Iterator[sqlite.SqliteWire]:
        """Yield a writing connection under the named lock.

        Raises:
            DatabaseLockedError: another operator's process has the lock.
            ConnectError: the file cannot be opened.
        """
        with self._locks.hold(lock) as taken:
            if not taken:
                message = "Another process is changing the same thing. Wait until it has ended."
                raise DatabaseLockedError(message, where=self._path, detail=lock)
            wire = self._connect(readonly=False, busy_ms=statement_timeout_ms)
            try:
                yield wire
            finally:
                wire.close()

    def end_work(self, application_prefix: str) -> int:  # noqa: ARG002  the facet's signature
        """Return 0: there are no sessions."""
        return 0

    def end_session(self, pid: int) -> bool:  # noqa: ARG002  the facet's signature
        """Return False: there are no sessions, and a process is its owner's to end."""
        return False


def _holder(pid: int) -> LockHolder:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            command = program_name(process.cmdline()) or process.name()
            user = process.username()
    except psutil.Error:
        command, user = "a process that has ended or is hidden", ""
    return LockHolder(
        pid=pid,
        application=command,
        user=user,
        what="the write lock of the file",
        held_seconds=None,
        blocked=None,
    )


def program_name(command: Sequence[str]) -> str:
    """Return the program and, for an interpreter, its script or module; never other arguments.

    Arguments may hold passwords, so only `-m NAME` and a first argument that is no option are used.
    """
    if not command:
        return ""
    program = Path(command[0]).name
    arguments = command[1:]
    if len(arguments) > 1 and arguments[0] == "-m":
        return f"{program} -m {arguments[1]}"
    if arguments and Path(arguments[0]).suffix in _SCRIPTS:
        return f"{program} {Path(arguments[0]).name}"
    return program


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
