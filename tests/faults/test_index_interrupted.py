"""The operator is killed at every commit of an index's remedy, and while the index is built.

Whatever the point: a successor ends the remedy, the index is there exactly if it was kept, none is
invalid, no clone is left, and the application's rows and schema are what they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from homeostat.driver.wire import Wire
from homeostat.logbook.rows import RemedyRecord
from tests.faults.killing import (
    ENDS,
    SECONDS,
    Point,
    commits,
    end_of,
    judged_at_each,
    last,
    operated,
    words_of,
)
from tests.faults.processes import running
from tests.faults.tuned import clones, traffic
from tests.servers import wait_until
from tests.tune.application import open_wire
from tests.tune.shop import ORDERS_OF, fill, indexes_of

CREATE = "create-index"
VICTIM = "tests.faults.index_victim"
PLAYS_AT_ONCE = 4
ORDERS = 60_000
STEADY = replace(ORDERS_OF, rate=12)
# commits: 1 proposed, 2 rehearsal begun, 3 rehearsed (the clone is gone), 4 intent to build,
# 5 built, 6 measuring begun, 7 measured
EFFECTS = [("before", 3), ("after", 4), ("before", 5), ("before", 7)]
SOURCE = "SELECT count(*), sum(id), sum(customer_id), sum(total) FROM orders"


def check(url: str, data: Path, rows: tuple[object, ...]) -> RemedyRecord:
    record = end_of(data, CREATE)
    assert record.state in ENDS, record.verdict
    wire = open_wire(url)
    try:
        built = {record.parameters["index"]["name"]} if record.state == "kept" else set()
        assert indexes_of(wire) == built, record.verdict
        assert invalid(wire) == 0
        assert wire.execute(SOURCE).rows[0] == rows
        assert clones(wire, data, record) == []
    finally:
        wire.close()
    return record


def invalid(wire: Wire) -> object:
    if wire.dialect == "sqlite":
        return 0
    return wire.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").scalar()


def play(url: str, data: Path, kill: tuple[str, ...] = ()) -> RemedyRecord:
    """Run an application and an operator that dies; let a successor finish; check the end."""
    data.mkdir(mode=0o700)
    rows = seeded(url)
    with traffic(url, data, [STEADY]), operated(VICTIM, url, str(data), kill=kill):
        return check(url, data, rows)


def seeded(url: str) -> tuple[object, ...]:
    wire = open_wire(url)
    try:
        fill(wire, orders=ORDERS)
        return wire.execute(SOURCE).rows[0]
    finally:
        wire.close()


def kill_at(new_url: Callable[[], str], directory: Path, points: list[Point]) -> None:
    """Before a commit its effect is there and not recorded; after one, the next has not begun."""

    def killed(data: Path, point: Point) -> RemedyRecord:
        return play(new_url(), data, words_of(point))

    judged_at_each(points, killed, directory, at_once=PLAYS_AT_ONCE)


@pytest.mark.slow
def test_killed_around_every_effect(new_url: Callable[[], str], tmp_path: Path) -> None:
    kill_at(new_url, tmp_path, EFFECTS)


@pytest.mark.long
def test_killed_at_every_commit(new_url: Callable[[], str], tmp_path: Path) -> None:
    play(new_url(), tmp_path / "whole")
    points = commits(tmp_path / "whole")
    assert len(points) >= 7, "moves commit intent and observation apart"
    kill_at(new_url, tmp_path, [("before", number) for number in points])


@pytest.mark.slow
def test_killed_while_the_index_is_built(pg_database: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    rows = seeded(pg_database)
    holder = open_wire(pg_database)
    with traffic(pg_database, data, [STEADY]):
        with running(VICTIM, pg_database, str(data)) as victim:
            wait_until(lambda: state_of(data) == "rehearsing", SECONDS, "the rehearsal")
            holder.begin(write=True)  # CONCURRENTLY waits for transactions that hold the table
            holder.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
            wait_until(lambda: half_built(pg_database), SECONDS, "an index that is half built")
            victim.kill()
        assert half_built(pg_database)
        with running(VICTIM, pg_database, str(data)) as successor:
            successor.ready()
            holder.rollback()
            check(pg_database, data, rows)
    holder.close()


def state_of(data: Path) -> str:
    found = last(data, CREATE)
    return "" if found is None else found.state


def half_built(url: str) -> bool:
    wire = open_wire(url)
    try:
        return bool(invalid(wire))
    finally:
        wire.close()
