"""Misleading statistics are found and refreshed; what has no undo waits to be asked."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from homeostat.driver.wire import Wire
from tests.servers import PostgresServer
from tests.tune.application import Work, open_wire
from tests.tune.shop import CONFIG, customer, fill, shop, with_clones_on

PLAYS = 3  # a busy machine may blur the batches, which are short here
ENDS = ("kept", "reverted", "ineffective", "refused", "failed")
CLOSED = Work(
    "closed_of",
    "SELECT count(*), sum(total) FROM orders WHERE status = 'closed' AND customer_id = :customer",
    customer,
    rate=20,
)
SECRET = "value-of-a-user"
PG_STATISTICS = (
    "SELECT reltuples, null_frac, n_distinct, most_common_vals::text, most_common_freqs, "
    "histogram_bounds::text, correlation FROM pg_class LEFT JOIN pg_stats ON tablename = relname "
    "WHERE relname = 'events' ORDER BY attname"
)
STATISTICS = "SELECT * FROM sqlite_stat1 ORDER BY 1, 2, 3"


def mislead(wire: Wire) -> None:
    """Say that an order is found by its status, as when there were a hundred of them."""
    wire.execute("CREATE INDEX by_status ON orders (status)")
    wire.execute("CREATE INDEX by_customer ON orders (customer_id)")
    wire.execute("ANALYZE")
    for index, each in (("by_status", 1), ("by_customer", 50)):
        stat = {"stat": f"100 {each}", "index": index}
        wire.execute("UPDATE sqlite_stat1 SET stat = :stat WHERE idx = :index", stat)
    wire.execute("DELETE FROM sqlite_stat4")


@pytest.mark.slow
def test_misleading_statistics_are_refreshed_and_kept(sqlite_path: Path, tmp_path: Path) -> None:
    wire = open_wire(str(sqlite_path))
    fill(wire)
    mislead(wire)
    before = wire.execute(STATISTICS).rows
    for number in range(PLAYS):
        with shop(tmp_path / f"data{number}", str(sqlite_path), [CLOSED]) as one:
            finding = one.finding()
            assert finding.cause.startswith("stale statistics"), finding
            record = one.remedy("refresh-statistics", *ENDS)
            kept = record.state == "kept"
            assert (wire.execute(STATISTICS).rows != before) == kept, "the undo is exact"
            assert one.clones() == 0
        if kept:
            break
    wire.close()
    assert kept, record.verdict


def hot(chance: Random) -> dict[str, object]:
    return {"total": chance.randrange(1000)}


@pytest.mark.slow
@pytest.mark.every_postgres
def test_what_cannot_be_undone_waits_for_a_person_and_what_can_is_undone_exactly(
    pg_server: PostgresServer, pg_database: str, tmp_path: Path
) -> None:
    wire = open_wire(pg_database)
    wire.execute("CREATE TABLE events (id integer PRIMARY KEY, kind text, total integer)")
    wire.execute("ALTER TABLE events SET (autovacuum_enabled = false)")
    wire.execute(f"INSERT INTO events SELECT i, '{SECRET}', i FROM generate_series(1, 1000) i")
    wire.execute("ANALYZE events")
    wire.execute("INSERT INTO events SELECT i, 'hot', i % 1000 FROM generate_series(1001, 60000) i")
    wire.close()  # with its last session the server learns of the changes
    wire = open_wire(pg_database)
    major = "SELECT current_setting('server_version_num')::int / 10000"
    undoable = int(str(wire.execute(major).scalar())) >= 18
    before = wire.execute(PG_STATISTICS).rows
    work = Work(
        "count_hot",
        "SELECT count(*) FROM events WHERE kind = 'hot' AND total <> :total",
        hot,
        rate=20,
    )
    config = with_clones_on(CONFIG, pg_server)
    with closing(wire), shop(tmp_path / "data", pg_database, [work], config) as one:
        finding = one.finding()
        assert finding.cause.startswith("stale statistics"), finding
        if not undoable:
            record = one.remedy("analyse-table", "waiting")
            assert record.autonomy == "approve", "also where everything else is done by itself"
            return
        record = one.remedy("analyse-table-undoably", *ENDS)
        kept = record.state == "kept"
        assert (wire.execute(PG_STATISTICS).rows != before) == kept, "the undo is exact"
        if kept:
            one.console.decide(record.id, "revert", actor="tester")
            one.remedy("analyse-table-undoably", "reverted")
            assert wire.execute(PG_STATISTICS).rows == before
    written = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("*.db*"))
    assert b"homeostat" in written
    assert SECRET.encode() not in written, "most common values are values of users"
