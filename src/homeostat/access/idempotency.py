"""Idempotency keys: a write with a key happens once, however often it is asked for.

The key, a fingerprint of what was asked and the outcome are stored in the write's own transaction,
so they are there exactly when the write is. Who asks again gets the stored outcome. The table is
made by `Database.prepare_idempotency`, never by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from homeostat.access.operation import Operation
from homeostat.access.session import Session
from homeostat.driver.wire import Params, Rows
from homeostat.errors import (
    AccessError,
    IdempotencyKeyReusedError,
    IdempotencyNotPreparedError,
    StatementError,
)

TABLE = "homeostat_idempotency"
KEY_CHARACTERS_MAX = 200
OUTCOME_BYTES_MAX = 65_536  # a larger outcome is refused, and its write with it
CREATE = {
    "sqlite": f"CREATE TABLE IF NOT EXISTS {TABLE} (key TEXT PRIMARY KEY, fingerprint TEXT NOT "
    "NULL, at REAL NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID",
    "postgresql": f"CREATE TABLE IF NOT EXISTS {TABLE} (key text PRIMARY KEY, fingerprint text NOT "
    "NULL, at double precision NOT NULL, outcome text NOT NULL)",
}
INDEX = f"CREATE INDEX IF NOT EXISTS {TABLE}_at ON {TABLE} (at)"
CLAIM = Operation(
    "idempotency.claim",
    f"INSERT INTO {TABLE} (key, fingerprint, at, outcome) VALUES (:key, :fingerprint, :at, '') "
    "ON CONFLICT (key) DO NOTHING",
    ("key", "fingerprint", "at"),
    write=True,
    tables=(TABLE,),  # so that no more of the results in memory end than those of the write itself
)
FIND = f"SELECT fingerprint, outcome FROM {TABLE} WHERE key = :key"
STORE = Operation(
    "idempotency.store",
    f"UPDATE {TABLE} SET outcome = :outcome WHERE key = :key",
    ("key", "outcome"),
    write=True,
    tables=(TABLE,),
)
FORGET = Operation(
    "idempotency.forget",
    f"DELETE FROM {TABLE} WHERE at < :before",
    ("before",),
    write=True,
    tables=(TABLE,),
)


class Outcome(msgspec.Struct, frozen=True):
    """What a write gave, as it is stored."""

    value: Any = None
    rows: tuple[list[str], list[list[Any]], int] | None = None


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is carried out once: its key, and what tells it from other requests."""

    key: str
    fingerprint: str

    def through(
        self, session: Session, work: Callable[[Session], Outcome], *, at: float
    ) -> Outcome:
        """Do the work in the session's transaction, unless the key was used: then return that."""
        found = claim(session, self.key, self.fingerprint, at=at)
        if found is not None:
            return found
        outcome = work(session)
        store(session, self.key, outcome)
        return outcome


def statements_to_prepare(dialect: str) -> tuple[str, str]:
    """Return the statements that make the table, if it is not there."""
    return CREATE[dialect], INDEX


def fingerprint(what: str, params: object) -> str:
    """Return what tells two requests with one key apart (SHA-256 of name and values)."""
    try:
        text = msgspec.json.encode([what, params], order="sorted")
    except TypeError as error:
        message = "The parameters of a write with an idempotency key have to be plain values."
        raise AccessError(message, where=what, detail=str(error)) from None
    return hashlib.sha256(text).hexdigest()


def claim(session: Session, key: str, print_: str, *, at: float) -> Outcome | None:
    """Take the key for this transaction; return the stored outcome if it was used before.

    On PostgreSQL who comes second waits until the first has committed or rolled back.

    Raises:
        IdempotencyKeyReusedError: it was used for something else.
        IdempotencyNotPreparedError: there is no table for keys.
    """
    if not 0 < len(key) <= KEY_CHARACTERS_MAX:
        message = f"An idempotency key has 1 to {KEY_CHARACTERS_MAX} characters."
        raise AccessError(message, where=key[:40])
    try:
        taken = _write(session, CLAIM, {"key": key, "fingerprint": print_, "at": at})
    except StatementError as error:
        if TABLE in error.detail:
            raise IdempotencyNotPreparedError(detail=error.detail) from None
        raise
    if taken:
        return None
    row = session.execute(FIND, {"key": key}).rows[0]
    if row[0] != print_:
        raise IdempotencyKeyReusedError(where=key)
    return msgspec.json.decode(str(row[1]), type=Outcome)


def store(session: Session, key: str, outcome: Outcome) -> None:
    """Store what the write gave.

    Raises:
        AccessError: it is too large, or no plain value; the write is rolled back with it.
    """
    try:
        text = msgspec.json.encode(outcome).decode()
    except TypeError as error:
        message = "The outcome of a write with an idempotency key has to be a plain value."
        raise AccessError(message, where=key, detail=str(error)) from None
    if len(text) > OUTCOME_BYTES_MAX:
        message = f"The outcome is larger than the {OUTCOME_BYTES_MAX} bytes stored for a key."
        raise AccessError(message, where=key)
    _write(session, STORE, {"key": key, "outcome": text})


def forget(session: Session, *, before: float) -> int:
    """Forget keys that were used before a time (seconds since 1970 UTC); return how many."""
    return _write(session, FORGET, {"before": before})


def _write(session: Session, operation: Operation, params: Params) -> int:
    """Run a write of ours, of which write hooks are not told; return the rows changed."""
    return session.execute_many(operation, [params])


def kept(rows: Rows) -> Outcome:
    """Return an operation's rows as they are stored."""
    return Outcome(rows=(list(rows.columns), [list(row) for row in rows.rows], rows.changed))


def given(outcome: Outcome) -> Rows:
    """Return the rows that were stored; bytes and dates come back as text."""
    columns, rows, changed = outcome.rows or ([], [], 0)
    return Rows(tuple(columns), [tuple(row) for row in rows], changed)
