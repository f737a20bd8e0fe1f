"""A statement that was mended is cheap: the use of its index is seen all the same."""

from __future__ import annotations

from pathlib import Path

from homeostat.access.protocol import CallSample
from homeostat.config import Config
from homeostat.engine import open_engine
from homeostat.engine.engine import Target
from homeostat.operate.probe import Watched
from homeostat.tune.probes import FollowProbe
from tests.operate.test_agents import report
from tests.tune.application import open_wire

NOW = 1_000.0
CHEAP = "SELECT b FROM things WHERE a = :a"
DEAR = [f"SELECT b AS x{n} FROM things WHERE b = :a" for n in range(12)]
INDEX = "homeostat_things_a"


def called(sql: str, ms: float) -> CallSample:
    """Return a call within a transaction: what it cost counts by itself."""
    return CallSample(
        operation=sql[:20],
        sql=sql,
        parameters={"a": 1},
        at=NOW,
        latency_us=1000 * ms,
        rows=1,
        write=False,
        transaction="work",
    )


def test_a_statement_that_was_slow_is_followed_when_others_cost_more(sqlite_path: Path) -> None:
    wire = open_wire(str(sqlite_path))
    wire.execute("CREATE TABLE things (a integer, b integer)")
    wire.execute(f"CREATE INDEX {INDEX} ON things (a)")
    wire.close()
    engine = open_engine(Target(str(sqlite_path), application_name="test"))
    watched = Watched(engine, engine.identity(), NOW)
    calls = [called(CHEAP, 0.1), *(called(sql, 90.0) for sql in DEAR)]
    watched.statements.take_report(report(samples=calls), NOW)
    found = {one.sql: one for one in watched.statements.views(start=0.0, end=NOW)}
    assert len(found) == 1 + len(DEAR)

    def uses() -> float:
        samples = {one.subject.name: one.value for one in FollowProbe(Config()).read(watched)}
        value = samples[INDEX]
        assert isinstance(value, float)
        return value

    watched.statements.follow([found[DEAR[0]].key], NOW)
    assert uses() == 0.0, "it costs too little to be looked at"
    watched.statements.follow([found[CHEAP].key], NOW)
    assert uses() > 0.0
    engine.close()
