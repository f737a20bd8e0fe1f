"""What can be read from the logbook. Reading never waits for a write and never changes anything."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import msgspec

from homeostat.errors import LogbookCorruptError, NotFoundError
from homeostat.logbook import audit
from homeostat.logbook.file import LogFile
from homeostat.logbook.rows import (
    AuditEntry,
    DatabaseRow,
    Event,
    Finding,
    Owner,
    RemedyRecord,
    Run,
    Step,
    Tenure,
)

_Row = TypeVar("_Row")


def decoded(text: object, kind: type[_Row], *, where: str) -> _Row:
    """Return a stored JSON text as a row.

    Raises:
        LogbookCorruptError: it is not one; `where` names the table and number.
    """
    try:
        return msgspec.json.decode(str(text), type=kind)
    except msgspec.DecodeError as error:
        raise LogbookCorruptError(where=where, detail=str(error)) from error


class Reading:
    """The reading half of the Logbook; safe to use from any thread."""

    _file: LogFile

    def databases(self) -> list[DatabaseRow]:
        """Return the databases that were ever attached, the first first."""
        with self._file.reading() as session:
            rows = session.execute("SELECT row FROM databases ORDER BY rowid").rows
        return [decoded(row, DatabaseRow, where="databases") for (row,) in rows]

    def findings(
        self, database: str | None = None, *, open_only: bool = True, limit: int = 200
    ) -> list[Finding]:
        """Return findings, the newest first."""
        states = ("open",) if open_only else None
        return self._newest("findings", Finding, database, states, limit)

    def finding(self, number: int) -> Finding:
        """Return one finding.

        Raises:
            NotFoundError: there is none of this number.
        """
        return self._one("findings", Finding, number)

    def remedies(
        self,
        database: str | None = None,
        *,
        states: Collection[str] | None = None,
        limit: int = 100,
    ) -> list[RemedyRecord]:
        """Return remedies, the newest first."""
        return self._newest("remedies", RemedyRecord, database, states, limit)

    def remedy_states(self, database: str) -> dict[str, int]:
        """Return how many remedies of a database are in each state."""
        with self._file.reading() as session:
            rows = session.execute(
                "SELECT state, count(*) FROM remedies WHERE database = :database GROUP BY state",
                {"database": database},
            ).rows
        return {str(state): int(str(count)) for state, count in rows}

    def remedy(self, number: int) -> RemedyRecord:
        """Return one remedy.

        Raises:
            NotFoundError: there is none of this number.
        """
        return self._one("remedies", RemedyRecord, number)

    def runs(
        self,
        database: str | None = None,
        *,
        states: Collection[str] | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Return runs, the newest first."""
        return self._newest("runs", Run, database, states, limit)

    def run(self, number: int) -> Run:
        """Return one run.

        Raises:
            NotFoundError: there is none of this number.
        """
        return self._one("runs", Run, number)

    def steps(self, run: int) -> list[Step]:
        """Return the steps of a run in order; none if there is no such run."""
        with self._file.reading() as session:
            rows = session.execute(
                "SELECT number, row FROM steps WHERE run = :run ORDER BY number", {"run": run}
            ).rows
        return [decoded(row, Step, where=f"step {run}/{number}") for number, row in rows]

    def audit(
        self, *, limit: int = 100, before: int | None = None, database: str | None = None
    ) -> list[AuditEntry]:
        """Return audit entries, the newest first.

        Args:
            limit: at most so many.
            before: only those with a smaller number.
            database: only those that concern it, or none.
        """
        with self._file.reading() as session:
            rows = session.execute(
                "SELECT body, hash FROM audit WHERE (:before IS NULL OR sequence < :before) "
                "AND (:database IS NULL OR json_extract(body, '$.database') IN ('', :database)) "
                "ORDER BY sequence DESC LIMIT :limit",
                {"limit": limit, "before": before, "database": database},
            ).rows
        return [audit.entry(str(body), str(proof)) for body, proof in rows]

    def audit_about(self, subject: str, *, limit: int = 1_000) -> list[AuditEntry]:
        """Return the audit entries about a subject (`remedy 7`), the newest first."""
        with self._file.reading() as session:
            rows = session.execute(
                "SELECT body, hash FROM audit WHERE "  # as the index has it
                "CASE WHEN json_valid(body) THEN json_extract(body, '$.subject') END = :subject "
                "ORDER BY sequence DESC LIMIT :limit",
                {"subject": subject, "limit": limit},
            ).rows
        return [audit.entry(str(body), str(proof)) for body, proof in rows]

    def verify_audit(self) -> int:
        """Follow the audit chain from its first entry; return the number of entries.

        Raises:
            LogbookCorruptError: names the first entry that was changed, left out or put in.
        """
        with self._file.snapshot() as session:
            return audit.verify(session, where=str(self._file.path))

    def events(self, after: int, *, limit: int = 500) -> list[Event]:
        """Return events past a sequence number, the oldest first.

        The newest 50,000 are kept; compare with `first_sequence` to know whether some are missing.
        """
        with self._file.reading() as session:
            rows = session.execute(
                "SELECT sequence, at, kind, database, data FROM events WHERE sequence > :after "
                "ORDER BY sequence LIMIT :limit",
                {"after": after, "limit": limit},
            ).rows
        return [self._event(*row) for row in rows]

    def first_sequence(self) -> int:
        """Return the number of the oldest event that is kept, 0 if there is none."""
        with self._file.reading() as session:
            first: Any = session.execute("SELECT min(sequence) FROM events").scalar()
        return int(first or 0)

    def last_sequence(self) -> int:
        """Return the number of the newest event, 0 if there never was one."""
        with self._file.reading() as session:
            last: Any = session.execute("SELECT max(sequence) FROM events").scalar()
        return int(last or 0)

    def value(self, key: str) -> Any:
        """Return the value stored under a key, or None."""
        with self._file.reading() as session:
            sql = 'SELECT value FROM "values" WHERE key = :key'
            found = session.execute(sql, {"key": key}).scalar()
        return None if found is None else decoded(found, object, where=f"value {key}")

    def tenure(self, scope: str) -> Tenure | None:
        """Return who owns a scope, also past its expiry; None if nobody does."""
        with self._file.reading() as session:
            rows = session.execute(
                "SELECT scope, epoch, expires, owner FROM tenures "
                "WHERE scope = :scope AND expires IS NOT NULL",
                {"scope": scope},
            ).rows
        return tenure_of(rows[0]) if rows else None

    def _newest(
        self,
        table: str,
        kind: type[_Row],
        database: str | None,
        states: Collection[str] | None,
        limit: int,
    ) -> list[_Row]:
        conditions = [] if database is None else ["database = :database"]
        if states is not None and len(states) == 1:
            conditions.append(f"state = '{_plain(next(iter(states)))}'")  # a partial index needs it
        elif states is not None:
            names = ", ".join(f"'{_plain(state)}'" for state in states)
            conditions.append(f"state IN ({names})")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        given = {"limit": limit} | ({} if database is None else {"database": database})
        with self._file.reading() as session:
            sql = f"SELECT id, row FROM {table} {where} ORDER BY id DESC LIMIT :limit"
            rows = session.execute(sql, given).rows
        return [decoded(row, kind, where=f"{table} {number}") for number, row in rows]

    def _one(self, table: str, kind: type[_Row], number: int) -> _Row:
        with self._file.reading() as session:
            rows = session.execute(f"SELECT row FROM {table} WHERE id = :id", {"id": number}).rows
        if not rows:
            raise NotFoundError(where=f"{table} {number}")
        return decoded(rows[0][0], kind, where=f"{table} {number}")

    @staticmethod
    def _event(sequence: Any, at: Any, kind: Any, database: Any, data: object) -> Event:
        content: Any = decoded(data, dict, where=f"events {sequence}")
        return Event(sequence=sequence, at=at, kind=kind, database=database, data=content)


def tenure_of(row: tuple[Any, ...]) -> Tenure:
    """Return a stored row (scope, epoch, expires, owner) as a Tenure."""
    scope, epoch, expires, owner = row
    found = decoded(owner, Owner, where=f"tenures {scope}")
    return Tenure(scope=scope, owner=found, epoch=epoch, expires=expires or 0.0)


def _plain(state: str) -> str:
    if not state.isalpha():
        raise NotFoundError(where=f"state {state!r}")
    return state
