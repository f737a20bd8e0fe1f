"""Fill an empty database with the persona app: about 41 rows a user, the same for the same seed.

The rows are computed inside the database, a block of users in one transaction, which also moves the
marker on: an interrupted seeding goes on at the first block that is missing, and two at once share
the work. The marker says `seeded` only in the transaction that ends it. Nothing is changed in a
database that is neither empty nor the demo's own. Durability is never lowered while loading.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from homeostat.clock import Clock, SystemClock
from homeostat.driver.urls import is_postgres_url, sqlite_path
from homeostat.driver.wire import Wire
from homeostat.sample.address import connect, connect_reading
from homeostat.sample.schema import (
    FUNCTIONS,
    SCHEMA_VERSION,
    TABLES,
    TYPES,
    Marker,
    create,
    drop,
    read_marker,
    scores_of,
    statements,
)

USERS = 100_000
RANDOM_SEED = 42
SPAN_DAYS = 90
BLOCK_USERS = 5_000  # some 200,000 rows, 10 MB: a kill loses at most half a second of work
INDEX_SHARE = 0.15  # part of the time that indexes and statistics take, for the progress shown
SQLITE_CACHE_KIB = 65_536  # so that a block is written once
SQLITE_ANALYSIS_ROWS = 400  # per index; SQLite's documentation recommends 100 to 1000
POSTGRES_BUILD_MEMORY = "256MB"
APPLICATION_NAME = "homeostat-demo-seed"

Progress = Callable[[float, str], None]

_TIMES = re.compile(r"\{times:([^}]+)\}")
_DIALECT_PARTS = {
    "sqlite": {
        "times": "INNER JOIN number ON number.n < {count}",
        "users": (
            "(WITH RECURSIVE series (n) AS (SELECT CAST(:low AS INTEGER) UNION ALL "
            "SELECT n + 1 FROM series WHERE n < :high) SELECT n FROM series) AS series"
        ),
    },
    "postgresql": {
        "times": "CROSS JOIN LATERAL generate_series(0, {count} - 1) AS number (n)",
        "users": "generate_series(CAST(:low AS BIGINT), CAST(:high AS BIGINT)) AS series (n)",
    },
}


@dataclass(frozen=True, slots=True)
class Seeded:
    """What seeding came to.

    Attributes:
        users: the users that are in the database now.
        rows: the rows that this call wrote; 0 when all were there.
        outcome: `adopted` (it was empty), `continued` (half a seeding was finished), `anew` (half
            a seeding of another size was replaced) or `found` (everything was there).
    """

    users: int
    rows: int
    outcome: str


def seed(
    url: str,
    *,
    users: int = USERS,
    random_seed: int = RANDOM_SEED,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> Seeded:
    """Adopt an empty database and fill it, finish a half filled one, or find it filled.

    Args:
        url: a SQLite path, `sqlite:///path` or `postgresql://...`.
        users: how many users to make; a filled demo keeps the number it has.
        random_seed: the same seed, number of users and time make the same rows on both engines.
        clock: tells the present that the data leads up to.
        progress: called with a share (0 to 1) and a text after each block.

    Raises:
        DemoRefusedError: the database has tables and no marker; nothing was changed.
    """
    tell = progress or (lambda _share, _text: None)
    found = find(url)
    if found is not None and found.state == "seeded":
        return Seeded(users=found.users, rows=0, outcome="found")
    wanted = Marker(
        version=SCHEMA_VERSION,
        users=users,
        random_seed=random_seed,
        now_ms=int((clock or SystemClock()).now() * 1000),
        loaded=0,
        state="seeding",
    )
    with closing(connect(url, application_name=APPLICATION_NAME, create=True)) as wire:
        marker, outcome = _adopt(wire, wanted)
        _prepare(wire)
        rows = 0
        while marker.loaded < marker.users:
            share = (1 - INDEX_SHARE) * marker.loaded / marker.users
            tell(share, f"{marker.loaded:,} of {marker.users:,} users")
            marker, written = _load_block(wire)
            rows += written
        tell(1 - INDEX_SHARE, "indexes and statistics")
        _finish(wire)
        tell(1.0, f"{marker.users:,} users")
    return Seeded(users=marker.users, rows=rows, outcome=outcome)


def find(url: str) -> Marker | None:
    """Return the marker of a database without changing anything; None: it is empty or missing.

    Raises:
        DemoRefusedError: it has tables and no marker.
    """
    if not is_postgres_url(url):
        path = Path(sqlite_path(url))
        if not path.exists() or path.stat().st_size == 0:
            return None
    with closing(connect_reading(url, application_name=APPLICATION_NAME)) as wire:
        return read_marker(wire)


def _adopt(wire: Wire, wanted: Marker) -> tuple[Marker, str]:
    """Make sure that marker and tables are there; return the marker to load by, and how."""
    with _Transaction(wire):
        if wire.dialect == "postgresql":  # CREATE TABLE alone does not queue behind another seeder
            wire.execute("SELECT pg_advisory_xact_lock(hashtext('homeostat_demo'))")
        found = read_marker(wire)
        if found is None:
            create(wire, wanted)
            return wanted, "adopted"
        if (found.users, found.random_seed) == (wanted.users, wanted.random_seed):
            return found, "continued"
        if found.state == "seeded":
            return found, "found"
        drop(wire)
        create(wire, wanted)
        return wanted, "anew"


def _prepare(wire: Wire) -> None:
    """Set the loading connection up; its settings and helper tables vanish with it."""
    if wire.dialect == "sqlite":
        wire.execute(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")
        wire.execute("PRAGMA foreign_keys = OFF")  # every key is made here, parents first
    else:
        wire.execute("SET jit = off")  # compiling took longer than the statements
    for statement in statements(f"{wire.dialect}/scratch"):
        wire.execute(statement)
    columns = ("personality_type", *FUNCTIONS)
    wire.execute_many(
        f"INSERT INTO stack ({', '.join(columns)}) "
        f"VALUES ({', '.join(':' + column for column in columns)})",
        [{"personality_type": one, **scores_of(one)} for one in TYPES],
    )


def _load_block(wire: Wire) -> tuple[Marker, int]:
    """Write the next block of users with all their rows; return the marker and the rows."""
    with _Transaction(wire):
        marker = _locked_marker(wire)
        if marker.loaded >= marker.users:
            return marker, 0
        high = min(marker.loaded + BLOCK_USERS, marker.users)
        values = {
            "low": marker.loaded + 1,
            "high": high,
            "random_seed": marker.random_seed & 0x7FFFFFFF,
            "now_ms": marker.now_ms,
            "span_ms": SPAN_DAYS * 86_400_000,
        }
        wire.execute("DELETE FROM person")
        _fill(wire, "person", values)
        rows = sum(_fill(wire, table, values) for table in TABLES)
        wire.execute("UPDATE homeostat_demo SET loaded = :high", {"high": high})
    return replace(marker, loaded=high), rows


def _fill(wire: Wire, table: str, values: dict[str, int]) -> int:
    parts = _DIALECT_PARTS[wire.dialect]
    (text,) = statements(f"fill/{table}")
    text = text.replace("{users}", parts["users"])
    text = _TIMES.sub(lambda match: parts["times"].format(count=match[1]), text)
    used = {name: value for name, value in values.items() if f":{name}" in text}
    return wire.execute(text, used).changed


def _finish(wire: Wire) -> None:
    """Build indexes (and keys on PostgreSQL) and statistics, then say that it is seeded."""
    with _Transaction(wire):
        if _locked_marker(wire).state == "seeding":
            if wire.dialect == "postgresql":
                wire.execute(f"SET LOCAL maintenance_work_mem = '{POSTGRES_BUILD_MEMORY}'")
            for statement in statements(f"{wire.dialect}/constraints"):
                wire.execute(statement)
            wire.execute("UPDATE homeostat_demo SET state = 'seeded'")
    if wire.dialect == "sqlite":
        wire.execute(f"PRAGMA analysis_limit = {SQLITE_ANALYSIS_ROWS}")
    for table in TABLES:
        wire.execute(f"ANALYZE {table}")
    if wire.dialect == "sqlite":
        wire.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _locked_marker(wire: Wire) -> Marker:
    if wire.dialect == "postgresql":
        wire.execute("SELECT 1 FROM homeostat_demo FOR UPDATE")
    marker = read_marker(wire)
    assert marker is not None, "the marker stands since _adopt"  # noqa: S101
    return marker


class _Transaction:
    """A writing transaction: committed at the end, rolled back on an error."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __enter__(self) -> None:
        self._wire.begin(write=True)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._wire.commit()
        else:
            self._wire.rollback()
