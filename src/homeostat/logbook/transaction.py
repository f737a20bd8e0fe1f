"""What can be written into the logbook; all of one transaction or nothing.

Each save also appends an Event with the row as JSON, so that whoever follows the events sees every
state that was ever committed, in order. A row with id 0 is new and gets the next number.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from homeostat.errors import LogbookError, NotFoundError
from homeostat.logbook import audit
from homeostat.logbook.file import Session
from homeostat.logbook.rows import (
    AuditEntry,
    DatabaseRow,
    Finding,
    Json,
    RemedyRecord,
    Run,
    Step,
)

EVENTS_KEPT = 50_000  # a browser that was away for longer loads the page anew
_TRIM_EVERY = 500

_encode = msgspec.json.Encoder().encode
_Numbered = TypeVar("_Numbered", Finding, RemedyRecord, Run)


class Transaction:
    """One open write; use it only inside its `with` block."""

    def __init__(self, session: Session, *, at: float) -> None:
        """Write through the session; `at` (seconds since 1970 UTC) stamps events and entries."""
        self._session: Session | None = session
        self._at = at
        self.sequence = 0  # of the newest event, 0 while there is none

    def end(self) -> None:
        """Refuse whatever comes after the `with` block."""
        self._session = None

    def save_database(self, row: DatabaseRow) -> DatabaseRow:
        """Insert or replace a database by its key."""
        data = _encode(row).decode()
        self._open().execute(
            "INSERT INTO databases (key, row) VALUES (:key, :row) "
            "ON CONFLICT (key) DO UPDATE SET row = excluded.row",
            {"key": row.key, "row": data},
        )
        self._event("database", row.key, data)
        return row

    def save_finding(self, row: Finding) -> Finding:
        """Insert (id 0) or update a finding; return it with its id."""
        return self._save("findings", "finding", row)

    def save_remedy(self, row: RemedyRecord) -> RemedyRecord:
        """Insert (id 0) or update a remedy; return it with its id."""
        return self._save("remedies", "remedy", row)

    def save_run(self, row: Run) -> Run:
        """Insert (id 0) or update a run; return it with its id."""
        return self._save("runs", "run", row)

    def save_step(self, row: Step) -> Step:
        """Insert or update a step by its run and number.

        Raises:
            NotFoundError: there is no such run.
        """
        session = self._open()
        database = session.execute("SELECT database FROM runs WHERE id = :id", {"id": row.run})
        if not database.rows:
            raise NotFoundError(where=f"run {row.run}")
        data = _encode(row).decode()
        session.execute(
            "INSERT INTO steps (run, number, row) VALUES (:run, :number, :row) "
            "ON CONFLICT (run, number) DO UPDATE SET row = excluded.row",
            {"run": row.run, "number": row.number, "row": data},
        )
        self._event("step", str(database.scalar()), data)
        return row

    def audit(
        self, *, actor: str, action: str, database: str, subject: str, detail: Json
    ) -> AuditEntry:
        """Append an entry to the audit chain."""
        entry = audit.append(
            self._open(),
            at=self._at,
            actor=actor,
            action=action,
            database=database,
            subject=subject,
            detail=detail,
        )
        self._event("audit", database, _encode(entry).decode())
        return entry

    def note(self, *, database: str, data: Json) -> None:
        """Append an event that belongs to no row."""
        self._event("note", database, _encode(data).decode())

    def set_value(self, key: str, value: Any) -> None:
        """Set a value by key; anything that is JSON. No event is appended."""
        self._open().execute(
            'INSERT INTO "values" (key, value, updated) VALUES (:key, :value, :at) '
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated = excluded.updated",
            {"key": key, "value": _encode(value).decode(), "at": self._at},
        )

    def _open(self) -> Session:
        if self._session is None:
            raise LogbookError("This transaction has ended. Write inside its with block.")
        return self._session

    def _save(self, table: str, kind: str, row: _Numbered) -> _Numbered:
        session = self._open()
        if row.id:
            sql = f"UPDATE {table} SET database = :database, state = :state, row = :row "
            sql += "WHERE id = :id"
        else:
            row = msgspec.structs.replace(row, id=self._next_id(table))
            sql = f"INSERT INTO {table} (id, database, state, row) "
            sql += "VALUES (:id, :database, :state, :row)"
        data = _encode(row).decode()
        given = {"id": row.id, "database": row.database, "state": row.state, "row": data}
        if not session.execute(sql, given).changed:
            raise NotFoundError(where=f"{kind} {row.id}")
        self._event(kind, row.database, data)
        return row

    def _next_id(self, table: str) -> int:
        last: Any = self._open().execute(
            "SELECT seq FROM sqlite_sequence WHERE name = :table", {"table": table}
        )
        return int(last.scalar() or 0) + 1

    def _event(self, kind: str, database: str, data: str) -> None:
        session = self._open()
        sequence: Any = session.execute(
            "INSERT INTO events (at, kind, database, data) VALUES (:at, :kind, :database, :data) "
            "RETURNING sequence",
            {"at": self._at, "kind": kind, "database": database, "data": data},
        ).scalar()
        self.sequence = int(sequence)
        if self.sequence % _TRIM_EVERY == 0:
            session.execute(
                "DELETE FROM events WHERE sequence <= :until",
                {"until": self.sequence - EVENTS_KEPT},
            )
