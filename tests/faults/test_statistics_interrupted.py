"""The operator is killed at every commit of a refresh of statistics, on both engines.

Whatever the point: a successor ends the remedy, the statistics are new if it was kept and else
exactly what they were (SQLite, PostgreSQL from 18 on), no clone and no helper table is left, and no
row has changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from homeostat.driver import sqlite
from homeostat.driver.wire import Wire
from tests.faults.killing import around, at_each, commits, end_of, ended, operated
from tests.faults.tuned import clones, traffic
from tests.servers import PostgresServer, wait_until
from tests.tune.application import Work, open_wire
from tests.tune.shop import customer, fill

VICTIM = "tests.faults.index_victim"
UNDOABLE = 18  # the first PostgreSQL whose statistics can be put back
SOURCE = "SELECT count(*), sum(id), sum(customer_id), sum(total) FROM orders"
STATISTICS = {
    "sqlite": "SELECT * FROM sqlite_stat1 ORDER BY 1, 2, 3",
    "postgresql": "SELECT relname, relpages, reltuples, relallvisible, s.* FROM pg_class c "
    "LEFT JOIN (SELECT tablename, attname, null_frac, avg_width, n_distinct, "
    "most_common_vals::text, most_common_freqs, histogram_bounds::text, correlation "
    "FROM pg_stats) s ON s.tablename = c.relname "
    "WHERE c.relname IN ('orders', 'orders_pkey') ORDER BY relname, attname",
}
# `refused`: to a successor that was slow to come up the trouble seemed to have ended by itself
ENDS = {"kept", "reverted", "ineffective", "refused"}
ROWS = 62_000  # of the orders on PostgreSQL, of which its old statistics know 2,000
PLAYS_AT_ONCE = 3
SECONDS = 180.0  # in which a remedy ends, with others beside it
POINTS_MIN = 7  # moves commit intent and observation apart
CLOSED = Work(
    "closed_of",
    "SELECT count(*), sum(total) FROM orders WHERE status = 'closed' AND customer_id = :customer",
    customer,
    rate=12,
)


def _total(chance: Random) -> dict[str, object]:
    return {"total": chance.randrange(1000)}


NEWEST = Work(
    "newest_open",
    "SELECT count(*) FROM orders WHERE status = 'open' AND total <> :total",
    _total,
    rate=12,
)


def mislead(url: str) -> tuple[object, ...]:
    """Make a shop whose statistics are wrong; return what of it must stay."""
    wire = open_wire(url)
    try:
        if wire.dialect == "sqlite":
            fill(wire)
            wire.execute("CREATE INDEX by_status ON orders (status)")
            wire.execute("CREATE INDEX by_customer ON orders (customer_id)")
            wire.execute("ANALYZE")
            wire.execute("UPDATE sqlite_stat1 SET stat = '100 1' WHERE idx = 'by_status'")
            wire.execute("UPDATE sqlite_stat1 SET stat = '100 50' WHERE idx = 'by_customer'")
            wire.execute("DELETE FROM sqlite_stat4")
        else:
            fill(wire, orders=2_000)
            wire.execute("ALTER TABLE orders SET (autovacuum_enabled = false)")
            wire.execute(
                "INSERT INTO orders SELECT 10000 + i, 1, 'open', i % 1000, i, 'a note' "
                "FROM generate_series(1, 60000) i"
            )
        return wire.execute(SOURCE).rows[0]
    finally:
        wire.close()


def statistics_of(url: str) -> list[tuple[object, ...]]:
    wire = open_wire(url)
    try:
        return list(wire.execute(STATISTICS[wire.dialect]).rows)
    finally:
        wire.close()


def key_of(wire: Wire) -> str:
    """Return which remedy refreshes statistics here."""
    if wire.dialect == "sqlite":
        return "refresh-statistics"
    major = wire.execute("SELECT current_setting('server_version_num')::int / 10000").scalar()
    return "analyse-table-undoably" if int(str(major)) >= UNDOABLE else "analyse-table"


def check(url: str, data: Path, rows: tuple[object, ...], before: object) -> None:
    wire = open_wire(url)
    try:
        key = key_of(wire)
        record = end_of(data, key, seconds=SECONDS)
        assert record.state in ENDS, (record.state, record.verdict)
        assert wire.execute(SOURCE).rows[0] == rows
        # the next remedy may be making one just now
        wait_until(lambda: clones(wire, data, record) == [], SECONDS, "the end of all clones")
        changed = statistics_of(url) != before
        if key != "analyse-table" or record.state == "kept":
            assert changed == (record.state == "kept"), (record.state, record.verdict)
        if changed and wire.dialect == "postgresql":
            asked = "SELECT reltuples FROM pg_class WHERE relname = 'orders'"
            told = float(str(wire.execute(asked).scalar()))
            assert told == pytest.approx(ROWS, rel=0.05), "either the old ones or the new ones"
        if wire.dialect == "sqlite":
            asked = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'homeostat%'"
            assert wire.execute(asked).scalar() == 0
    finally:
        wire.close()


def play(url: str, data: Path, kill: tuple[str, ...] = ()) -> bool:
    """Run an application and an operator that dies; let a successor finish; check the end.

    Returns whether it died: a remedy that is kept ends in fewer commits than one that is undone.
    """
    data.mkdir(mode=0o700)
    rows, work = mislead(url), NEWEST if "://" in url else CLOSED
    before = statistics_of(url)
    wire = open_wire(url)
    key = key_of(wire)
    wire.close()
    with (
        traffic(url, data, [work]),
        operated(
            VICTIM, url, str(data), kill=kill, seconds=SECONDS, over=lambda: ended(data, key)
        ) as died,
    ):
        check(url, data, rows, before)
    return died


def at_every_commit(new_url: Callable[[], str], tmp_path: Path) -> None:
    """Play once to the end, then once for each point at which to die."""
    play(new_url(), tmp_path / "whole")
    points = commits(tmp_path / "whole")
    assert len(points) >= POINTS_MIN

    died: list[bool] = []

    def killed(when: str, number: int) -> None:
        died.append(play(new_url(), tmp_path / f"{when}-{number}", (when, str(number))))

    at_each(around(points)[:-1], killed, at_once=PLAYS_AT_ONCE)  # after the last, all is done
    assert sum(died) >= 2 * POINTS_MIN - 1


@pytest.mark.long
def test_killed_at_every_commit_on_sqlite(tmp_path: Path) -> None:
    numbers = itertools.count()

    def new_file() -> str:
        path = tmp_path / f"app-{next(numbers)}.db"
        sqlite.connect(path, create=True).close()
        return str(path)

    at_every_commit(new_file, tmp_path)


@pytest.mark.long
@pytest.mark.every_postgres
def test_killed_at_every_commit_on_postgres(pg_server: PostgresServer, tmp_path: Path) -> None:
    at_every_commit(lambda: pg_server.url(pg_server.create_database()), tmp_path)
