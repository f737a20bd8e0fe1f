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
from homeostat.engine.engine import (
    TABLES_MAX,
    Activity,
    Identity,
    LockHolder,
    SettingInForce,
    TableUse,
    Target,
    Unsupported,
)
from homeostat.engine.reserved import Reserved
from homeostat.engine.runtime_lock import RuntimeLocks
from homeostat.engine.sqlite_clone import SqliteClone
from homeostat.engine.sqlite_explain import SqliteExplain
from homeostat.engine.sqlite_maintain import (
    DBSTAT_BYTES_MAX,
    NO_CHANGES,
    NO_SCANS,
    NO_STATISTICS,
    NO_TIME,
    NOT_MEASURED,
    SqliteMaintain,
)
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
FILE_SETTINGS, CONNECTION_SETTINGS = "Of the file", "Of each connection"
_OWN = "Belongs to each connection of an application, which SQLite does not show from outside."
PRAGMAS: dict[str, tuple[str, str]] = {
    "journal_mode": ("delete", "How a commit is made safe; with wal, readers and a writer go on."),
    "page_size": ("4096", "Bytes of a page."),
    "auto_vacuum": ("0", "Whether free pages are given back: 0 no, 1 at commit, 2 when asked."),
    "encoding": ("UTF-8", "How texts are stored."),
    "schema_version": ("0", "Counts changes of the schema."),
    "user_version": ("0", "A number that the application keeps for itself."),
    "application_id": ("0", "Which application's format the file has."),
    "synchronous": ("2", f"When a commit waits for the disk. {_OWN}"),
    "foreign_keys": ("0", f"Whether foreign keys are held. {_OWN}"),
    "busy_timeout": ("0", f"How long a statement waits for a lock, in ms. {_OWN}"),
    "cache_size": ("-2000", f"Pages, or kB when negative, that are kept in memory. {_OWN}"),
    "wal_autocheckpoint": ("1000", f"Pages of WAL after which a commit checkpoints. {_OWN}"),
}
"""Default and meaning of each setting, from SQLite's "PRAGMA Statements"."""
_SIZES = ("bytes", "index_bytes", "unused")
_NO_DEAD = Unknown("SQLite has no dead rows: what is deleted is free at once")
_NO_VACUUM = Unknown("SQLite does not keep when VACUUM ran")
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

    def tables(self, *, limit: int = TABLES_MAX) -> Sequence[TableUse]:
        """Return the tables, the largest first; sizes of a file that is small enough to read."""
        names = [str(name) for (name,) in self._execute(statement("sqlite", "table_names")).rows]
        sizes = self._sizes()
        rows = self._rows_by_statistics()
        found = [_table_use(name, sizes, rows) for name in names]
        found.sort(key=lambda one: -one.bytes if isinstance(one.bytes, float) else 0.0)
        return found[:limit]

    def settings_in_force(self) -> Sequence[SettingInForce]:
        """Return what the file carries, and what belongs to each connection and is not seen."""
        values = self.settings()
        return [
            SettingInForce(
                name=name,
                value=values.get(name),
                default=default,
                source="default" if values.get(name, default) == default else "the file",
                description=text,
                category=FILE_SETTINGS if name in values else CONNECTION_SETTINGS,
            )
            for name, (default, text) in PRAGMAS.items()
        ]

    def _sizes(self) -> Mapping[str, Mapping[str, float]] | None:
        """Return bytes, index bytes and unused bytes by table; None: it would read too much."""
        size = self._pages()["database.size_bytes"]
        if not isinstance(size, float) or size > DBSTAT_BYTES_MAX:
            return None
        found: dict[str, dict[str, float]] = {}
        for row in self._execute(statement("sqlite", "table_sizes")).dicts():
            table = found.setdefault(str(row["table_name"]), dict.fromkeys(_SIZES, 0.0))
            if row["kind"] == "index":
                table["index_bytes"] += _number(row["bytes"])
            else:
                table["bytes"] += _number(row["bytes"])
                table["unused"] += _number(row["unused"])
        return found

    def _rows_by_statistics(self) -> dict[str, float]:
        asked = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'"
        if not self._execute(asked).scalar():
            return {}
        found = self._execute("SELECT tbl, stat FROM sqlite_stat1 WHERE stat IS NOT NULL").rows
        return {str(table): float(str(text).split()[0]) for table, text in found}

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


def _table_use(
    name: str, sizes: Mapping[str, Mapping[str, float]] | None, rows: Mapping[str, float]
) -> TableUse:
    one = None if sizes is None else sizes.get(name, dict.fromkeys(_SIZES, 0.0))
    return TableUse(
        name=name,
        rows=rows.get(name, NO_STATISTICS),
        dead_rows=_NO_DEAD,
        bytes=NOT_MEASURED if one is None else one["bytes"],
        index_bytes=NOT_MEASURED if one is None else one["index_bytes"],
        waste_bytes=NOT_MEASURED if one is None else one["unused"],
        changed=NO_CHANGES,
        analysed=NO_TIME if name in rows else None,
        vacuumed=_NO_VACUUM,
        full_scans=NO_SCANS,
        full_scan_rows=NO_SCANS,
        index_scans=NO_SCANS,
    )


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
