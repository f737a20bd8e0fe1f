"""The operator is killed at every commit of a refresh of statistics, on both engines.

Whatever the point: a successor ends the remedy, SQLite's statistics are the new ones exactly if it
was kept and else what they were, no clone and no helper table is left, and no row has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from homeostat.driver.wire import Wire
from homeostat.logbook.rows import RemedyRecord
from tests.faults.killing import around, at_each, commits, end_of, operated
from tests.faults.tuned import clones, traffic
from tests.tune.application import Work, open_wire
from tests.tune.shop import customer, fill

VICTIM = "tests.faults.index_victim"
KEYS = {"sqlite": "refresh-statistics", "postgresql": "analyse-table"}
SOURCE = "SELECT count(*), sum(id), sum(customer_id), sum(total) FROM orders"
STATISTICS = "SELECT * FROM sqlite_stat1 ORDER BY 1, 2, 3"
PLAYS_AT_ONCE = 4
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
        return list(wire.execute(STATISTICS).rows) if wire.dialect == "sqlite" else []
    finally:
        wire.close()


def check(url: str, data: Path, rows: tuple[object, ...], before: object) -> None:
    key = KEYS["postgresql" if "://" in url else "sqlite"]
    record = end_of(data, key)
    assert record.state in {"kept", "reverted", "ineffective"}, (record.state, record.verdict)
    wire = open_wire(url)
    try:
        assert wire.execute(SOURCE).rows[0] == rows
        assert clones(wire, data, record) == []
        if wire.dialect == "sqlite":
            _check_sqlite(wire, record, before)
    finally:
        wire.close()


def _check_sqlite(wire: Wire, record: RemedyRecord, before: object) -> None:
    changed = list(wire.execute(STATISTICS).rows) != before
    assert changed == (record.state == "kept"), record.verdict
    asked = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'homeostat%'"
    assert wire.execute(asked).scalar() == 0


def play(url: str, data: Path, kill: tuple[str, ...] = ()) -> None:
    """Run an application and an operator that dies; let a successor finish; check the end."""
    data.mkdir(mode=0o700)
    rows, work = mislead(url), NEWEST if "://" in url else CLOSED
    before = statistics_of(url)
    with traffic(url, data, [work]), operated(VICTIM, url, str(data), kill=kill):
        check(url, data, rows, before)


@pytest.mark.long
def test_killed_at_every_commit(new_url: Callable[[], str], tmp_path: Path) -> None:
    play(new_url(), tmp_path / "whole")
    points = commits(tmp_path / "whole")
    assert len(points) >= POINTS_MIN

    def killed(when: str, number: int) -> None:
        play(new_url(), tmp_path / f"{when}-{number}", (when, str(number)))

    at_each(around(points)[:-1], killed, at_once=PLAYS_AT_ONCE)  # after the last, all is done
