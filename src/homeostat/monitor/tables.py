"""The probe of tables and indexes: their sizes, use and waste, now and then.

The statistics views and the catalogue are asked, no table is read (on SQLite, pages of a file below
a budget are). What it sees is kept for those who look; the growth of the largest goes to samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from homeostat.engine.engine import TableUse, Unsupported
from homeostat.engine.facets import IndexInfo
from homeostat.errors import ConnectError, ConnectionLostError, DatabaseError
from homeostat.measure import Sample, Subject, Unknown
from homeostat.monitor.growing import grown
from homeostat.monitor.metrics import TABLE_BYTES, TABLE_ROWS, TABLES_KEPT
from homeostat.operate.probe import Holdings, Watched

NAME = "tables"
INDEXES_MAX = 1000


@dataclass(frozen=True, slots=True)
class TablesProbe:
    """Asks at `monitor.capacity_seconds`."""

    interval_seconds: float
    name: str = NAME
    help: str = "Tables and indexes: sizes, rows, dead rows, scans, when they were analysed."

    def read(self, watched: Watched) -> Iterator[Sample]:
        """Read; a table that is locked or a question that takes too long fails nothing else.

        Raises:
            DatabaseError: the database does not answer at all.
        """
        inspect = watched.engine.inspect
        if isinstance(inspect, Unsupported):
            return
        try:
            tables = inspect.tables()
        except (ConnectError, ConnectionLostError):
            raise
        except DatabaseError as error:
            reason = Unknown(f"tables could not be read: {error}")
            yield Sample(Subject(watched.identity.key), TABLE_BYTES, watched.at, reason)
            return
        indexes, reason_ = _indexes(watched)
        watched.holdings = Holdings(watched.at, tables, indexes, reason_)
        for table in tables[:TABLES_KEPT]:
            yield from _samples(watched, table)
        if watched.identity.dialect == "postgresql":
            yield from grown(watched, tables)


def _indexes(watched: Watched) -> tuple[list[IndexInfo], str]:
    maintain = watched.engine.maintain
    if isinstance(maintain, Unsupported):
        return [], f"{maintain.reason} {maintain.mend}"
    try:
        return list(maintain.indexes())[:INDEXES_MAX], ""
    except (ConnectError, ConnectionLostError):
        raise
    except DatabaseError as error:
        before = watched.holdings
        return list(before.indexes) if before is not None else [], str(error)


def _samples(watched: Watched, table: TableUse) -> Iterator[Sample]:
    name = f"{table.schema}.{table.name}" if table.schema else table.name
    subject = Subject(watched.identity.key, kind="table", name=name)
    if isinstance(table.bytes, float) and isinstance(table.index_bytes, float):
        yield Sample(subject, TABLE_BYTES, watched.at, table.bytes + table.index_bytes)
    if isinstance(table.rows, float):
        yield Sample(subject, TABLE_ROWS, watched.at, table.rows)
