"""captures.db: calls that agents saw whole, kept to be replayed on a clone; encrypted at rest.

Parameters are the application's data, so the file is encrypted (SQLite3 Multiple Ciphers) with a
key that lies in a 0600 file beside it, or comes from where the configuration says. It is bounded in
bytes, calls of a statement, and age. Nothing decides by it but rehearsals: a file that is damaged,
or whose key is gone, is moved aside and begun anew.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from homeostat.clock import Clock
from homeostat.config import CapturesConfig
from homeostat.driver import sqlite
from homeostat.driver.wire import Wire
from homeostat.errors import DatabaseError, SecretError
from homeostat.logbook.sample_file import move_aside
from homeostat.secret import Secret

FILE = "captures.db"
KEY_FILE = "captures.key"
KEY_BYTES = 32
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS capture (
        id INTEGER PRIMARY KEY,
        database TEXT NOT NULL,
        statement TEXT NOT NULL,
        at REAL NOT NULL,
        bytes INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS capture_statement ON capture (database, statement, id)",
    """CREATE TABLE IF NOT EXISTS undo (
        run INTEGER PRIMARY KEY,
        database TEXT NOT NULL,
        at REAL NOT NULL,
        body BLOB NOT NULL
    )""",
)


@dataclass(frozen=True, slots=True)
class Capture:
    """One call: its statement's key, when it was (seconds since 1970 UTC), and all of it."""

    statement: str
    at: float
    body: bytes


class CaptureStore:
    """Captured calls of all databases of an operator; safe to use from any thread."""

    def __init__(self, wire: Wire, *, clock: Clock, config: CapturesConfig) -> None:
        """Take an open file; use `open`."""
        self._wire = wire
        self._clock = clock
        self._config = config
        self._lock = threading.Lock()
        self._bytes = _number(wire.execute("SELECT coalesce(sum(bytes), 0) FROM capture").scalar())

    @classmethod
    def open(cls, directory: Path, *, clock: Clock, config: CapturesConfig) -> CaptureStore:
        """Open or begin the file of a data directory.

        Raises:
            SecretError: the configured key cannot be read.
            DatabaseError: the file cannot be made.
        """
        path = directory / FILE
        key = _key(directory, config)
        try:
            wire = _open(path, key)
        except (DatabaseError, OSError):
            move_aside(path, at=clock.now())
            wire = _open(path, key)
        return cls(wire, clock=clock, config=config)

    def add(self, database: str, calls: Iterable[Capture]) -> None:
        """Keep calls; what is past a bound goes, the oldest first.

        Raises:
            DatabaseError: nothing was kept.
        """
        rows = [
            _row(database, call) for call in calls if len(call.body) <= self._config.call_bytes_max
        ]
        if not rows:
            return
        with self._lock:
            self._wire.begin(write=True)
            try:
                self._wire.execute_many(
                    "INSERT INTO capture (database, statement, at, bytes, body) "
                    "VALUES (:database, :statement, :at, :bytes, :body)",
                    rows,
                )
                self._bound(database, {str(row["statement"]) for row in rows})
                self._wire.commit()
            except BaseException:
                self._wire.rollback()
                raise

    def of(self, database: str) -> list[Capture]:
        """Return the captured calls of a database, the oldest first."""
        with self._lock:
            rows = self._wire.execute(
                "SELECT statement, at, body FROM capture WHERE database = :database ORDER BY id",
                {"database": database},
            ).rows
        return [
            Capture(str(key), float(at), body)
            for key, at, body in rows
            if isinstance(at, float) and isinstance(body, bytes)
        ]

    def keep_undo(self, database: str, run: int, body: bytes) -> None:
        """Keep what a run needs to undo its change and what may hold values; it goes by age.

        Raises:
            DatabaseError: it was not kept.
        """
        now = self._clock.now()
        with self._lock:
            self._wire.execute(
                "INSERT OR REPLACE INTO undo (run, database, at, body) "
                "VALUES (:run, :database, :at, :body)",
                {"run": run, "database": database, "at": now, "body": body},
            )
            self._forget_undo(now)

    def undo_of(self, database: str, run: int) -> bytes | None:
        """Return what was kept for a run, or None when it went."""
        with self._lock:
            self._forget_undo(self._clock.now())
            found = self._wire.execute(
                "SELECT body FROM undo WHERE database = :database AND run = :run",
                {"database": database, "run": run},
            ).scalar()
        return found if isinstance(found, bytes) else None

    def _forget_undo(self, now: float) -> None:
        oldest = now - self._config.keep_hours * 3600
        self._wire.execute("DELETE FROM undo WHERE at < :oldest", {"oldest": oldest})

    def forget(self, database: str) -> None:
        """Drop all calls of a database.

        Raises:
            DatabaseError: they are still there.
        """
        with self._lock:
            self._wire.execute(
                "DELETE FROM capture WHERE database = :database", {"database": database}
            )
            self._wire.execute(
                "DELETE FROM undo WHERE database = :database", {"database": database}
            )
            self._bytes = self._sum()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._wire.close()

    def _bound(self, database: str, statements: set[str]) -> None:
        config = self._config
        for statement in statements:
            self._wire.execute(
                "DELETE FROM capture WHERE id IN (SELECT id FROM capture WHERE "
                "database = :database AND statement = :statement "
                "ORDER BY id DESC LIMIT -1 OFFSET :most)",
                {
                    "database": database,
                    "statement": statement,
                    "most": config.calls_per_statement_max,
                },
            )
        oldest = self._clock.now() - config.keep_hours * 3600
        self._wire.execute("DELETE FROM capture WHERE at < :oldest", {"oldest": oldest})
        self._forget_undo(self._clock.now())
        self._bytes = self._sum()
        while self._bytes > config.bytes_max:
            self._wire.execute(
                "DELETE FROM capture WHERE id IN (SELECT id FROM capture ORDER BY id LIMIT "
                "(SELECT 1 + count(*) / 10 FROM capture))"
            )
            self._bytes = self._sum()

    def _sum(self) -> int:
        return _number(self._wire.execute("SELECT coalesce(sum(bytes), 0) FROM capture").scalar())


def _row(database: str, call: Capture) -> dict[str, object]:
    return {
        "database": database,
        "statement": call.statement,
        "at": float(call.at),
        "bytes": len(call.body),
        "body": call.body,
    }


def _open(path: Path, key: str) -> Wire:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    os.close(descriptor)  # made before SQLite opens it, so that nobody else can ever read it
    wire = sqlite.connect(path, create=True, key=key, synchronous="NORMAL")
    try:
        for statement in _SCHEMA:
            wire.execute(statement)
    except BaseException:
        wire.close()
        raise
    return wire


def _key(directory: Path, config: CapturesConfig) -> str:
    if config.key:
        value = Secret.parse(config.key).resolve()
        if not value:
            raise SecretError(where="captures.key")
        return value
    path = directory / KEY_FILE
    if not path.exists():
        draft = path.with_name(f"{KEY_FILE}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
        draft.replace(path)
    return Secret("file", str(path)).resolve() or ""


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
