"""The application never waits for a copy of its database, whatever the copy is in the middle of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest

from homeostat.config import CloneConfig
from homeostat.driver import postgres
from homeostat.driver.postgres import PostgresWire
from homeostat.engine import Target, Unsupported, open_engine
from homeostat.engine.facets import Clone
from homeostat.errors import CloneRefusedError, StatementError
from tests.engine.test_postgres_clone import FILL, HOUR, PLENTY, clones_on
from tests.servers import PostgresServer, client_programs, wait_until

BOUND = "2s"  # docs/reference/engines.md: how long anybody waits for a copy at most
SECONDS = 30.0
ROWS = 2000
LESS = 5_000_000  # fewer bytes than an empty database has: the clone is a sample, of all rows
# a row takes 50 ms to be read as text: what is read at once takes four minutes
SLOW = (
    "CREATE TYPE mood AS ENUM ('ok')",
    """CREATE FUNCTION told(mood) RETURNS text LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_sleep(0.05); RETURN 'ok'; END $$""",
    "CREATE CAST (mood AS text) WITH FUNCTION told(mood)",
    "ALTER TABLE note ADD COLUMN felt mood DEFAULT 'ok'",
)


@pytest.fixture
def source(pg_database: str) -> Iterator[PostgresWire]:
    """Yield a connection to a database with a table that is copied."""
    with closing(postgres.connect(pg_database)) as wire:
        wire.execute("CREATE TABLE note (id int PRIMARY KEY, count int, text text)")
        wire.execute(f"INSERT INTO note SELECT i, 0, {FILL} FROM generate_series(1, {ROWS}) i")
        yield wire


@contextmanager
def facet_of(url: str, server: PostgresServer, *, sample_bytes: int) -> Iterator[Clone]:
    """Yield the facet of a database of which a clone would take minutes."""
    config = CloneConfig(
        url=server.url(),
        programs=str(client_programs(server.version)),
        sample_bytes=sample_bytes,
        dump_bytes_per_second=ROWS,
    )
    with closing(open_engine(Target(url, clone=config))) as engine:
        assert not isinstance(engine.clone, Unsupported)
        yield engine.clone


def work(url: str, until: threading.Event) -> int:
    """Read and write the table as an application does; return how often it did."""
    count = 0
    with closing(postgres.connect(url)) as wire:
        wire.execute(f"SET lock_timeout = '{BOUND}'")
        while not until.is_set() and wire.execute("SELECT to_regclass('note')").scalar():
            with suppress(StatementError):  # it may be dropped just now
                wire.execute("SELECT text FROM note WHERE id = 7")
                wire.execute("UPDATE note SET count = count + 1 WHERE id = 7")
                count += 1
    return count


def sessions(wire: PostgresWire, *, at: str = "") -> bool:
    """Return whether a copy holds the table, in a statement that begins with these words."""
    held = (
        "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE relation = 'note'::regclass AND application_name ~ '^homeostat clone .' "
        "AND starts_with(query, :at)"
    )
    return bool(wire.execute(held, {"at": at}).rows)


@pytest.mark.parametrize(
    ("sample_bytes", "prepared", "at", "change"),
    [
        pytest.param(0, (), "COPY", "ALTER TABLE note ADD COLUMN more int", id="in a dump"),
        pytest.param(LESS, SLOW, "FETCH", "DROP TABLE note", id="in one long batch"),
        pytest.param(
            LESS, (), "FETCH", "CREATE INDEX CONCURRENTLY ON note (count)", id="between batches"
        ),
    ],
)
def test_nobody_waits_for_a_copy(
    pg_database: str,
    pg_server: PostgresServer,
    source: PostgresWire,
    sample_bytes: int,
    prepared: tuple[str, ...],
    at: str,
    change: str,
) -> None:
    for sql in (*prepared, "ANALYZE"):
        source.execute(sql)
    done = threading.Event()
    copies = facet_of(pg_database, pg_server, sample_bytes=sample_bytes)
    with copies as facet, ThreadPoolExecutor(2) as pool:
        working = pool.submit(work, pg_database, done)
        making = pool.submit(facet.create, owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
        try:
            wait_until(lambda: sessions(source, at=at) or making.done(), SECONDS, "the copy")
            source.execute(f"SET lock_timeout = '{BOUND}'")  # the copy would take minutes
            source.execute(change)
            with pytest.raises(CloneRefusedError, match="waited for a lock that the copy held"):
                making.result(SECONDS)
        finally:
            done.set()
        assert working.result(SECONDS) > 0
    assert clones_on(pg_server) == []
