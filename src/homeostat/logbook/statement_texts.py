"""What people call a measured statement, kept beside its samples, which outlive a start.

Texts are redacted by whoever hands them over. At most so many of a database; those unseen for the
longest go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from homeostat.clock import Clock
from homeostat.logbook.file import Session
from homeostat.logbook.levels import HOUR
from homeostat.logbook.sample_file import SampleFile

KEPT_MAX = 1_000
TEXT_CHARACTERS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class StatementText:
    """A statement's key, what people call it, and its redacted text."""

    statement: str
    name: str
    text: str


class StatementTexts:
    """The texts of all databases; safe to use from any thread."""

    def __init__(self, file: SampleFile, clock: Clock) -> None:
        """Use the file of samples; `clock` says when a text was seen."""
        self._file = file
        self._clock = clock
        # of each row of the file: a digest of it and the hour it was written, no texts
        self._known: dict[tuple[str, str], tuple[bytes, int]] = {}

    def note(self, database: str, texts: Iterable[StatementText]) -> None:
        """Keep these; what is known already is written again only in another hour.

        Raises:
            LogbookError: they are not on disk.
        """
        at = round(self._clock.now() * 1000)
        states = {one: (_digest(one), at // HOUR) for one in texts}
        new = [
            one for one, is_ in states.items() if self._known.get((database, one.statement)) != is_
        ]
        if not new:
            return

        def write(session: Session) -> list[str]:
            for one in new:
                session.execute(
                    "INSERT INTO statements (database, statement, name, text, seen_at) "
                    "VALUES (:database, :statement, :name, :text, :at) "
                    "ON CONFLICT (database, statement) DO UPDATE SET name = excluded.name, "
                    "text = excluded.text, seen_at = excluded.seen_at",
                    {
                        "database": database,
                        "statement": one.statement,
                        "name": one.name[:TEXT_CHARACTERS_MAX],
                        "text": one.text[:TEXT_CHARACTERS_MAX],
                        "at": at,
                    },
                )
            gone = session.execute(
                "DELETE FROM statements WHERE database = :database AND seen_at < (SELECT seen_at "
                "FROM statements WHERE database = :database ORDER BY seen_at DESC "
                "LIMIT 1 OFFSET :most) RETURNING statement",
                {"database": database, "most": KEPT_MAX - 1},
            )
            return [str(statement) for (statement,) in gone.rows]

        gone = self._file.write(write)
        self._known |= {(database, one.statement): states[one] for one in new}
        for statement in gone:
            self._known.pop((database, statement), None)

    def begin_anew(self) -> None:
        """Write everything again: the file is a new one."""
        self._known = {}

    def of(self, database: str) -> Mapping[str, StatementText]:
        """Return the texts of a database by statement."""

        def read(session: Session) -> dict[str, StatementText]:
            rows = session.execute(
                "SELECT statement, name, text FROM statements WHERE database = :database",
                {"database": database},
            ).rows
            return {str(s): StatementText(str(s), str(name), str(text)) for s, name, text in rows}

        return self._file.read(read)


def _digest(one: StatementText) -> bytes:
    return hashlib.blake2b(f"{one.name}\0{one.text}".encode(), digest_size=16).digest()
