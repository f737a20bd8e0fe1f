"""Dead rows are blamed on what holds them, and on nobody who does not."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg import pq

from homeostat.check.report import Finding
from homeostat.driver import postgres
from tests.check import planting
from tests.servers import PostgresServer, running_server, wait_until

DEAD = 20_000
SLOT_XMIN = "SELECT active, xmin IS NOT NULL FROM pg_replication_slots"


@contextmanager
def read_slot(server: PostgresServer, name: str) -> Iterator[None]:
    """Read a slot as a standby does that holds rows back (`hot_standby_feedback`)."""
    [(now,)] = server.execute("SELECT txid_current()::int8")
    assert isinstance(now, int)
    link = pq.PGconn.connect((server.url() + "?replication=true").encode())
    try:
        assert link.status == pq.ConnStatus.OK, link.error_message
        started = link.exec_(f"START_REPLICATION SLOT {name} PHYSICAL 0/1000000".encode())
        assert started.status == pq.ExecStatus.COPY_BOTH, started.error_message
        link.put_copy_data(b"h" + struct.pack("!qIIII", 0, now, 0, 0, 0))
        link.flush()
        wait_until(lambda: server.execute(SLOT_XMIN) == [(True, True)], what="the slot to hold")
        yield
    finally:
        link.finish()


def debt(server: PostgresServer, database: str) -> Finding:
    """Return the finding about the table with dead rows."""
    report = planting.looked(server.url(database), monitor=planting.IMPATIENT)
    [found] = [one for one in report.findings if one.rule == "vacuum_debt"]
    return found


@pytest.mark.slow
def test_dead_rows_are_blamed_on_what_holds_them_only() -> None:
    settings = {"max_prepared_transactions": "2", "wal_level": "replica"}
    with running_server(settings=settings) as server:
        name, other = server.create_database(), server.create_database()
        elsewhere = postgres.connect(server.url(other))
        elsewhere.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        elsewhere.execute("CREATE TABLE mine (id int)")
        server.execute("SELECT pg_create_physical_replication_slot('standby', true)")
        with read_slot(server, "standby"):
            server.execute(
                "CREATE TABLE held (id int PRIMARY KEY) WITH (autovacuum_enabled = off)",
                database=name,
            )
            server.execute(f"INSERT INTO held SELECT generate_series(1, {2 * DEAD})", database=name)
            server.execute("DELETE FROM held WHERE id % 2 = 0", database=name)
            dead = f"SELECT n_dead_tup >= {DEAD} FROM pg_stat_user_tables"
            wait_until(lambda: server.execute(dead, database=name) == [(True,)], what="dead rows")
            assert "autovacuum is turned off" in debt(server, name).cause  # a slot in use
        wait_until(lambda: server.execute(SLOT_XMIN) == [(False, True)], what="nobody to read it")
        young = debt(server, name)
        assert "autovacuum is turned off" in young.cause  # a few transactions explain nothing
        assert "terminate" not in young.mend_sql

        burn = "DO $$ BEGIN FOR i IN 1..2500 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$"
        server.execute(burn, database=name)
        old = debt(server, name)
        assert "replication slot standby" in old.cause
        assert "replication_slot" in old.mend_sql
        assert "pg_drop" not in old.mend_sql
        assert "removes nothing while the slot" in old.risk
        elsewhere.close()
