"""Which tables grow, and how fast.

PostgreSQL tells sizes, which the probe of tables reads and compares with what it read before.
SQLite tells sizes only by reading the whole file, so there the probe `capacity` estimates: rows
inserted, as agents report them, times the mean size of a few of the newest rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from homeostat.driver.tokens import quoted
from homeostat.engine.engine import Engine, TableUse
from homeostat.measure import Bad, Kind, MetricSpec, Sample, Subject
from homeostat.operate.probe import Watched
from homeostat.operate.statements import StatementBook

TABLES_MAX = 20
ROWS_LOOKED_AT = 50
RATE_SECONDS_MIN = 10.0  # rows a second are taken over so long at least: agents report in steps
TABLE_GROWTH = "table.growth_bytes"

METRICS = (
    MetricSpec(
        TABLE_GROWTH,
        "bytes/s",
        Kind.GAUGE,
        Bad.NONE,
        "Growth of a table a second, of those that are written to. PostgreSQL: with indexes and "
        "long values; SQLite: rows inserted by agents' operations times the size of newest rows.",
        max_series=TABLES_MAX,
    ),
)

_INSERT = re.compile(
    r'\s*(?:insert|replace)\b(?:\s+or\s+\w+)?\s+into\s+((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)',
    re.IGNORECASE,
)


@dataclass(slots=True)
class Inserts:
    """What was inserted into one table: rows a second, and who did."""

    rows: float = 0.0
    operations: list[str] = field(default_factory=list)
    applications: list[str] = field(default_factory=list)


def inserts(book: StatementBook, *, start: float, end: float) -> dict[str, Inserts]:
    """Return what was inserted in a stretch of time, by table."""
    found: dict[str, Inserts] = {}
    for view in book.views(start=start, end=end):
        match = _INSERT.match(view.sql)
        if match is None or view.seconds <= 0:
            continue
        one = found.setdefault(match[1].replace('"', "").removeprefix("public."), Inserts())
        one.rows += view.spent.rows / view.seconds
        one.operations += [name for name in view.operations if name not in one.operations]
        one.applications += [name for name in view.applications if name not in one.applications]
    return found


@dataclass(frozen=True, slots=True)
class _Size:
    """What a table took when it was last read, with indexes, and whether that ever changed."""

    at: float
    bytes: float
    moves: bool


@dataclass(frozen=True, slots=True)
class GrowthProbe:
    """Asks at `monitor.capacity_seconds`."""

    interval_seconds: float
    name: str = "capacity"
    help: str = "How fast the tables grow that are written to; PostgreSQL: see `tables`."

    def read(self, watched: Watched) -> Iterable[Sample]:
        """Read.

        Raises:
            DatabaseError: the database does not answer.
        """
        if watched.identity.dialect == "sqlite":
            for table, growth in self._estimated(watched):
                yield growth_of(watched, table, growth)

    def _estimated(self, watched: Watched) -> Iterator[tuple[str, float]]:
        start = watched.at - max(RATE_SECONDS_MIN, 2 * self.interval_seconds)
        found = inserts(watched.statements, start=start, end=watched.at)
        most = sorted(found.items(), key=lambda one: -one[1].rows)[:TABLES_MAX]
        for table, one in most:
            size = row_bytes(watched.engine, table)
            if size is not None:
                yield table, one.rows * size


def growth_of(watched: Watched, table: str, growth: float) -> Sample:
    """Return the growth of a table, in bytes a second, as it is stored."""
    subject = Subject(watched.identity.key, kind="table", name=table)
    return Sample(subject, TABLE_GROWTH, watched.at, growth)


def grown(watched: Watched, tables: Iterable[TableUse]) -> Iterator[Sample]:
    """Yield how fast the tables grew since they were read before: of those that ever did."""
    before: dict[str, _Size] = watched.memory.get("sizes", {})
    now: dict[str, _Size] = {}
    rates: dict[str, float] = {}
    for table in tables:
        name = f"{table.schema}.{table.name}".removeprefix("public.").removeprefix(".")
        known = before.get(name)
        if not isinstance(table.bytes, float) or not isinstance(table.index_bytes, float):
            if known is not None:  # somebody has it for himself alone just now
                now[name] = known
            continue
        size = table.bytes + table.index_bytes
        now[name] = _Size(watched.at, size, moves=known is not None and known.moves)
        if known is not None and watched.at > known.at:
            rates[name] = (size - known.bytes) / (watched.at - known.at)
            now[name] = _Size(watched.at, size, moves=known.moves or size != known.bytes)
    watched.memory["sizes"] = now
    moving = [name for name in rates if now[name].moves]
    for name in sorted(moving, key=lambda name: -rates[name])[:TABLES_MAX]:
        yield growth_of(watched, name, rates[name])


def row_bytes(engine: Engine, table: str) -> float | None:
    """Return the mean size of a few of the newest rows of an SQLite table; None: it has none.

    Long values are not read for it: SQLite keeps their length beside the row.
    """
    columns = engine.execute("SELECT name, pk FROM pragma_table_info(:name)", {"name": table}).rows
    if not columns:
        return None
    key = [str(name) for name, place in sorted(columns, key=lambda one: int(str(one[1]))) if place]
    order = ", ".join(f"{quoted(name)} DESC" for name in key) or "rowid DESC"
    size = " + ".join(f"ifnull(octet_length({quoted(str(name))}), 1)" for name, _ in columns)
    text = (
        f"SELECT avg(size) FROM (SELECT {size} AS size FROM {quoted(table)} "
        f"ORDER BY {order} LIMIT {ROWS_LOOKED_AT})"
    )
    mean = engine.execute(text).scalar()
    return None if mean is None else float(str(mean))
