"""Troubles beside the traffic: a leak that is named with its place, growth that is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
import pytest

from homeostat.access import Database, PoolLimits
from homeostat.access.protocol import PROTOCOL_VERSION, DatabaseReport, PoolReport, Report
from homeostat.config import Config
from homeostat.engine.engine import Identity
from homeostat.maintain.leak import ConnectionLeak as LeakRule
from homeostat.operate.recent import Recent
from homeostat.operate.rule import AgentView, Judgement, View
from homeostat.sample.address import connect
from homeostat.sample.traffic import Traffic, TrafficOptions
from homeostat.sample.troubles import (
    CONNECTION_LEAK,
    DISK_GROWTH,
    EXPORT_NAME,
    TABLE,
    disk_growth,
)
from tests.servers import wait_until


@contextmanager
def traffic(url: str) -> Iterator[tuple[Traffic, Database]]:
    limits = PoolLimits(limit=4, leak_seconds=0.2)
    database = Database.open(url, pool=limits, agent=None)
    made = Traffic(database, url=url, options=TrafficOptions(rate_per_second=20))
    made.start()
    try:
        yield made, database
    finally:
        made.stop()


def judged(pool: PoolReport) -> list[Judgement]:
    """Return what the operator's rule says of a pool's report."""
    report = Report(
        v=PROTOCOL_VERSION, agent="a", boot="b", sequence=1,
        database=DatabaseReport("sqlite", "key", "app.db", "3.54.0"), application="persona-app",
        host="here", pid=1, capabilities=[], seconds=1.0, cpu_share=0.1, cores=2, pools=[pool],
        operations=[], applied_version=0,
    )  # fmt: skip
    agent = AgentView("a", "persona-app", 1, "here", (), 0, 0.0, report)
    identity = Identity("sqlite", "key", "app.db", "3.54.0")
    view = View(at=0.0, identity=identity, config=Config(), recent=Recent(), agents=(agent,))
    return [one for one in LeakRule().judge(view) if isinstance(one, Judgement)]


def test_a_leak_is_named_with_the_place_that_took_the_connection(seeded_url: str) -> None:
    with traffic(seeded_url) as (running, database):
        running.set_trouble(CONNECTION_LEAK, on=True, strength=0.5)
        reports: list[PoolReport] = []

        def both_leaked() -> bool:
            reports.append(database.pool.report())
            return len(reports[-1].leaks) == 2

        wait_until(both_leaked, what="half of the pool to be leaked")
        [found] = judged(reports[-1])
        assert EXPORT_NAME in found.what
        assert "connection_leak.py" in found.cause
        assert "_export" in found.cause
        before = running.report()
        wait_until(lambda: running.report().completed > 0, what="the traffic to go on")
        assert before.failed == 0
        running.set_trouble(CONNECTION_LEAK, on=False)
        wait_until(lambda: judged(database.pool.report()) == [], what="the leak to be over")


def test_a_leak_that_is_switched_off_gives_all_connections_back(seeded_url: str) -> None:
    with traffic(seeded_url) as (running, database):
        running.set_trouble(CONNECTION_LEAK, on=True, strength=0.9)
        wait_until(lambda: database.pool.in_use >= 3, what="connections to be leaked")
        running.set_trouble(CONNECTION_LEAK, on=False)
        wait_until(lambda: database.pool.in_use == 0, what="the connections to be back")


def written(url: str) -> int | None:
    """Return the bytes in the debug log; None: there is no such table."""
    with closing(connect(url, application_name="test")) as wire:
        if wire.dialect == "postgresql":
            there = f"SELECT to_regclass('{TABLE}') IS NOT NULL"
        else:
            there = f"SELECT count(*) FROM sqlite_schema WHERE name = '{TABLE}'"
        if not wire.execute(there).scalar():
            return None
        size = wire.execute(f"SELECT coalesce(sum(length(body)), 0) FROM {TABLE}").scalar()
        return int(str(size))


def test_a_table_grows_up_to_its_bound_and_is_dropped_at_the_end(
    seeded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 10 * disk_growth.ROW_BYTES
    monkeypatch.setattr(disk_growth, "BYTES_MAX", bound)
    with traffic(seeded_url) as (running, _):
        state = running.set_trouble(DISK_GROWTH, on=True, strength=0.9)
        assert msgspec.to_builtins(state) == {
            "trouble": DISK_GROWTH, "on": True, "strength": 0.9, "pid": None,
        }  # fmt: skip
        wait_until(lambda: written(seeded_url) == bound, what="the bound")
        turns: list[int] = []
        wait_until(lambda: turns.append(running.report().offered) or sum(turns) > 10)  # type: ignore[func-returns-value]
        assert written(seeded_url) == bound
        running.set_trouble(DISK_GROWTH, on=False)
        assert written(seeded_url) is None
