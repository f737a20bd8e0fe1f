"""PgBouncer's console: what it tells of a pool with more clients than connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from homeostat.access.connector import ServerConnector
from homeostat.driver import pgbouncer
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.wire import Wire
from homeostat.errors import ConnectionLostError, DatabaseMissingError, RightMissingError
from homeostat.secret import with_password
from tests.pgbouncer import PgBouncer, running_pgbouncer
from tests.servers import PostgresServer, wait_until


@pytest.fixture(scope="module")
def pooler(pg_server: PostgresServer) -> Iterator[PgBouncer]:
    with running_pgbouncer(pg_server, database="pool_size=2 max_db_connections=9") as one:
        yield one


@pytest.fixture
def console(pooler: PgBouncer, pg_server: PostgresServer) -> Iterator[PostgresWire]:
    url = with_password(pooler.console, pg_server.password)
    wire = pgbouncer.connect(url, application_name="tests")
    yield wire
    wire.close()


def test_who_uses_and_who_waits(pooler: PgBouncer, console: PostgresWire, pg_database: str) -> None:
    name = pg_database.rsplit("/", 1)[1]
    with pytest.raises(DatabaseMissingError, match="nobody came"):
        pgbouncer.reading(console, name)
    connect = ServerConnector(pooler.url(pg_database), "shop", 5000, None)
    wires = [connect() for _ in range(4)]
    for wire in wires[:2]:
        wire.begin(write=True)
    threads = [threading.Thread(target=once, args=(wire,)) for wire in wires[2:]]
    for thread in threads:
        thread.start()
    wait_until(lambda: pgbouncer.reading(console, name).waiting == 2)
    wait_until(lambda: pgbouncer.reading(console, name).waiting_oldest_seconds > 0.05)
    seen = pgbouncer.reading(console, name)
    assert (seen.size, seen.size_max, seen.pools) == (2, 9, 1)
    assert (seen.active, seen.active_most, seen.connected) == (2, 2, 2)
    for wire in wires[:2]:
        wire.rollback()
    for thread in threads:
        thread.join(10)
    after = pgbouncer.reading(console, name)
    assert (after.active, after.waiting) == (0, 0)
    assert after.transactions >= 8  # one each to see the pooler, one each here
    assert after.wait_seconds - seen.wait_seconds > 0.05
    for wire in wires:
        wire.close()


def once(wire: Wire) -> None:
    wire.execute("SELECT 1")


def test_a_user_that_may_only_look_is_told_so(pg_server: PostgresServer, pg_database: str) -> None:
    assert pg_database
    with running_pgbouncer(pg_server, admin_users="boss", stats_users="postgres") as pooler:
        wire = pgbouncer.connect(
            with_password(pooler.console, pg_server.password), application_name="tests"
        )
        assert not pgbouncer.may_reload(wire, "postgres")
        with pytest.raises(RightMissingError, match="admin_users"):
            pgbouncer.reload(wire)
        pooler.restart()
        with pytest.raises(ConnectionLostError):
            pgbouncer.reload(wire)
        wire.close()
