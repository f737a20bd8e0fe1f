"""What people call a measured statement, kept beside its samples, which outlive a start.

Texts are redacted by whoever hands them over. At most so many of a database; the oldest go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from homeostat.clock import Clock
from homeostat.logbook.file import Session
from homeostat.logbook.levels import DAY
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
        self._known: dict[tuple[str, str], tuple[StatementText, int]] = {}  # and the day

    def note(self, database: str, texts: Iterable[StatementText]) -> None:
        """Keep these; what is known already is written again only on another day.

        Raises:
            LogbookError: they are not on disk.
        """
        at = round(self._clock.now() * 1000)
        day = at // DAY
        new = [one for one in texts if self._known.get((database, one.statement)) != (one, day)]
        if not new:
            return

        def write(session: Session) -> None:
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
            session.execute(
                "DELETE FROM statements WHERE database = :database AND seen_at < (SELECT seen_at "
                "FROM statements WHERE database = :database ORDER BY seen_at DESC "
                "LIMIT 1 OFFSET :most)",
                {"database": database, "most": KEPT_MAX - 1},
            )

        self._file.write(write)
        self._known |= {(database, one.statement): (one, day) for one in new}

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
