"""The trouble `dropped-index`: the index by which it is told who is online is gone.

A share of the requests asks `list_online`, which reads the few open sessions in order of time, and
without the index all sessions there ever were. The index that this very question needs mends it.
"""

from __future__ import annotations

from contextlib import closing

from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Wire
from homeostat.sample.address import connect
from homeostat.sample.operations import MIX
from homeostat.sample.schema import statements
from homeostat.sample.troubles.asking import AskingTrouble
from homeostat.sample.troubles.catalogue import DROPPED_INDEX

CREATES = "CREATE INDEX sessions_open "
INDEXES_SQL = {  # of sessions, besides the primary key: there only is what serves the question
    "sqlite": (
        "SELECT name FROM sqlite_schema "
        "WHERE type = 'index' AND tbl_name = 'sessions' AND sql IS NOT NULL"
    ),
    "postgresql": (
        "SELECT relname FROM pg_index INNER JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE indrelid = 'sessions'::regclass AND NOT indisprimary"
    ),
}


class DroppedIndex(AskingTrouble):
    """Drops the index, whoever made it; puts the application's own back when none is there."""

    parts = (MIX["list_online"],)

    def spoil(self) -> None:
        """Drop the index."""
        with closing(connect(self.url, application_name=DROPPED_INDEX)) as wire:
            for name in _indexes(wire):
                wire.execute(f"DROP INDEX {quoted(name)}")

    def mend(self) -> None:
        """Build it anew, unless it or another one for the question is there."""
        with closing(connect(self.url, application_name=DROPPED_INDEX)) as wire:
            if not _indexes(wire):
                for statement in statements(f"{wire.dialect}/constraints"):
                    if statement.startswith(CREATES):
                        wire.execute(statement)


def _indexes(wire: Wire) -> list[str]:
    return [str(row[0]) for row in wire.execute(INDEXES_SQL[wire.dialect]).rows]
