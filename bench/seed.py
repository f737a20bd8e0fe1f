"""Seeding the sample app against bare inserts of the same rows, on both engines.

The seed computes its rows, keeps its progress and ends with the same tables, keys, indexes and
durability as the peers, which only insert rows that are there already: on SQLite from memory by a
prepared statement, and from an attached copy with INSERT ... SELECT; on PostgreSQL by COPY into the
finished tables with their foreign keys, and by COPY into bare tables with the keys afterwards. On
SQLite the three take turns, three times, and medians are compared.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.harness import Figure, Options, main, progress, spent
from homeostat.clock import ManualClock
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.postgres import connect as connect_postgres
from homeostat.driver.sqlite import SqliteWire
from homeostat.driver.sqlite import connect as connect_sqlite
from homeostat.driver.wire import Wire
from homeostat.sample.schema import TABLES, statements
from homeostat.sample.seed import SQLITE_CACHE_KIB, seed
from tests.servers import running_server

USERS = 100_000
USERS_QUICK = 10_000
SQLITE_TURNS = 3
FROM_MEMORY = "prepared inserts from memory"
FROM_COPY = "INSERT ... SELECT from an attached copy"

Rows = dict[str, tuple[tuple[str, ...], list[tuple[object, ...]]]]
BulkWire = SqliteWire | PostgresWire


def run(wire: Wire, names: tuple[str, ...]) -> None:
    """Run the statements of SQL files of the sample."""
    for name in names:
        for statement in statements(f"{wire.dialect}/{name}"):
            wire.execute(statement)


def all_rows(wire: Wire) -> Rows:
    """Return every row of the sample, in the order of the keys."""
    found: Rows = {}
    for table in TABLES:
        rows = wire.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
        found[table] = (rows.columns, list(rows.rows))
    return found


def insert_all(wire: BulkWire, rows: Rows) -> None:
    """Insert all rows in one transaction a table, as fast as the driver can."""
    for table, (columns, values) in rows.items():
        wire.begin(write=True)
        wire.insert_rows(table, columns, values)
        wire.commit()


def load(wire: BulkWire, rows: Rows, after: tuple[str, ...]) -> None:
    """Insert all rows, then run the statements of some files."""
    insert_all(wire, rows)
    run(wire, after)


def figures(options: Options) -> Iterator[Figure]:
    """Measure both engines."""
    users = USERS_QUICK if options.quick else USERS
    yield from sqlite_figures(users)
    yield from postgres_figures(users)


def compared(
    name: str, seconds: float, peers: dict[str, float], *, engine: str, rows: int, users: int
) -> Iterator[Figure]:
    """Yield a figure for each peer."""
    for peer, peer_seconds in peers.items():
        yield Figure(
            name,
            seconds,
            "s",
            peer=f"{peer}, {peer_seconds:.2f} s",
            ratio=seconds / peer_seconds,
            engine=engine,
            parameters={"users": users, "rows": rows, "rows_a_second": round(rows / seconds)},
        )


def sqlite_figures(users: int) -> Iterator[Figure]:
    """Seed a file, then insert the same rows into new ones."""
    ours: list[float] = []
    peers: dict[str, list[float]] = {FROM_MEMORY: [], FROM_COPY: []}
    for turn in range(SQLITE_TURNS):
        with tempfile.TemporaryDirectory() as directory:
            seeded = str(Path(directory) / "seeded.db")
            progress(f"sqlite: turn {turn + 1} of {SQLITE_TURNS}, {users} users")
            with spent() as one:
                written = seed(seeded, users=users, clock=ManualClock())
            ours.append(one.wall)
            with closing(connect_sqlite(seeded)) as wire:
                engine = f"sqlite {wire.execute('SELECT sqlite_version()').scalar()}"
                rows = all_rows(wire)
            with closing(empty_sqlite(Path(directory) / "memory.db")) as wire:
                with spent() as one:
                    load(wire, rows, ("constraints",))
                peers[FROM_MEMORY].append(one.wall)
            with closing(empty_sqlite(Path(directory) / "copy.db")) as wire:
                wire.execute("ATTACH :path AS seeded", {"path": seeded})
                with spent() as one:
                    copy_attached(wire)
                peers[FROM_COPY].append(one.wall)
    yield from compared(
        "seed.sqlite",
        statistics.median(ours),
        {peer: statistics.median(seconds) for peer, seconds in peers.items()},
        engine=engine,
        rows=written.rows,
        users=users,
    )


def empty_sqlite(path: Path) -> SqliteWire:
    """Return a connection to a new file with the sample's tables, set up as seeding sets it up."""
    wire = connect_sqlite(path, create=True)
    wire.execute(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")
    wire.execute("PRAGMA foreign_keys = OFF")
    run(wire, ("tables",))
    return wire


def copy_attached(wire: SqliteWire) -> None:
    """Copy all rows inside SQLite, then build the indexes."""
    for table in TABLES:
        wire.execute(f"INSERT INTO main.{table} SELECT * FROM seeded.{table} ORDER BY 1, 2")
    run(wire, ("constraints",))


def postgres_figures(users: int) -> Iterator[Figure]:
    """Seed a database, then COPY the same rows into new ones."""
    with running_server() as server:
        url = server.url(server.create_database())
        progress(f"postgresql: seeding {users} users")
        with spent() as ours:
            written = seed(url, users=users, clock=ManualClock())
        with closing(connect_postgres(url)) as wire:
            engine = f"postgresql {wire.execute('SHOW server_version').scalar()}"
            rows = all_rows(wire)
        peers = {}
        for peer, before, after in (
            ("COPY into tables with foreign keys", ("tables", "constraints"), ()),
            ("COPY, keys afterwards", ("tables",), ("constraints",)),
        ):
            progress(f"postgresql: {peer}")
            with closing(connect_postgres(server.url(server.create_database()))) as wire:
                run(wire, before)
                with spent() as one:
                    load(wire, rows, after)
                peers[peer] = one.wall
    yield from compared(
        "seed.postgresql", ours.wall, peers, engine=engine, rows=written.rows, users=users
    )


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
