"""Troubles of a statement: each makes what is asked slow, and is gone without a trace when off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from homeostat.access import Database
from homeostat.driver.wire import Wire
from homeostat.sample.address import connect
from homeostat.sample.counts import Second
from homeostat.sample.traffic import Traffic, TrafficOptions
from homeostat.sample.troubles import DROPPED_INDEX, HURTFUL_INDEX, STALE_STATISTICS
from tests.servers import wait_until

ONLINE_SQL = "SELECT user_id FROM sessions WHERE ended_ms IS NULL ORDER BY started_ms DESC LIMIT 5"
NOTICES_SQL = "SELECT count(*) FROM notices WHERE campaign = 'spring' AND user_id = 3"
SPOILED = (DROPPED_INDEX, STALE_STATISTICS, HURTFUL_INDEX)


@pytest.fixture
def wire(seeded_url: str) -> Iterator[Wire]:
    with closing(connect(seeded_url, application_name="test")) as opened:
        yield opened


@pytest.fixture
def traffic(seeded_url: str) -> Iterator[Traffic]:
    database = Database.open(seeded_url, pool=4, agent=None)
    made = Traffic(database, url=seeded_url, options=TrafficOptions(rate_per_second=200))
    made.start()
    yield made
    made.stop()


def plan(url: str, sql: str) -> str:
    """Return how the engine would run it now, as text; a new connection knows no old schema."""
    with closing(connect(url, application_name="test")) as wire:
        if wire.dialect == "sqlite":
            return " ".join(str(row[-1]) for row in wire.execute(f"EXPLAIN QUERY PLAN {sql}").rows)
        wire.execute("SET enable_seqscan = off")  # the tables of a test are small
        return " ".join(str(row[0]) for row in wire.execute(f"EXPLAIN {sql}").rows)


def tables(wire: Wire) -> set[str]:
    asked = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
        "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'r'",
    }[wire.dialect]
    return {str(row[0]) for row in wire.execute(asked).rows} & {"notices", "readings"}


def test_the_index_is_dropped_and_built_anew(traffic: Traffic, seeded_url: str) -> None:
    assert "sessions_open" in plan(seeded_url, ONLINE_SQL)
    traffic.set_trouble(DROPPED_INDEX, on=True)
    assert "sessions_open" not in plan(seeded_url, ONLINE_SQL)
    traffic.set_trouble(DROPPED_INDEX, on=False)
    assert "sessions_open" in plan(seeded_url, ONLINE_SQL)


def test_an_index_that_somebody_built_meanwhile_is_not_built_twice(
    traffic: Traffic, wire: Wire, seeded_url: str
) -> None:
    traffic.set_trouble(DROPPED_INDEX, on=True)
    wire.execute("CREATE INDEX theirs ON sessions (ended_ms, started_ms)")
    traffic.set_trouble(DROPPED_INDEX, on=False)
    assert "sessions_open" not in plan(seeded_url, ONLINE_SQL)
    traffic.set_trouble(DROPPED_INDEX, on=True)
    assert "theirs" not in plan(seeded_url, ONLINE_SQL), (
        "it goes as well, or nothing would be missing"
    )


def test_statistics_mislead_until_they_are_taken_anew(
    traffic: Traffic, wire: Wire, seeded_url: str
) -> None:
    traffic.set_trouble(STALE_STATISTICS, on=True)
    assert "notices_campaign" in plan(seeded_url, NOTICES_SQL)
    assert wire.execute(NOTICES_SQL).scalar() == 60
    wire.execute("ANALYZE notices")
    assert "notices_user" in plan(seeded_url, NOTICES_SQL)


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_asked_is_answered_and_nothing_is_left(
    name: str, traffic: Traffic, wire: Wire, seeded_url: str
) -> None:
    traffic.set_trouble(name, on=True, strength=0.5)
    assert traffic.set_trouble(name, on=True, strength=0.4).strength == 0.4
    traffic.report()
    found: list[Second] = []

    def enough() -> bool:
        found.append(traffic.report())
        return sum(one.completed for one in found) >= 60

    wait_until(enough, what="answers")
    assert sum(one.failed for one in found) == 0
    assert traffic.set_trouble(name, on=False).strength is None
    assert tables(wire) == set()
    assert "sessions_open" in plan(seeded_url, ONLINE_SQL)


@pytest.mark.parametrize("name", SPOILED)
def test_what_a_killed_traffic_process_left_is_put_right_at_the_next_start(
    name: str, seeded_url: str, wire: Wire
) -> None:
    with Database.open(seeded_url, pool=1, agent=None) as database:
        first = Traffic(database, url=seeded_url)
        first.set_trouble(name, on=True)  # and it never ends it
    second = Traffic(Database.open(seeded_url, pool=1, agent=None), url=seeded_url)
    second.start()
    second.stop()
    assert tables(wire) == set()
    assert "sessions_open" in plan(seeded_url, ONLINE_SQL)
