from __future__ import annotations

from pathlib import Path

from homeostat.config import Config
from homeostat.logbook.rows import Finding
from homeostat.measure import Reading, Sample, Subject, Unknown
from homeostat.monitor.latency import NoAgent, PromiseBroken
from homeostat.operate.recent import Recent
from homeostat.operate.rule import Judgement, Undecided, View
from tests.monitor.stage import IDENTITY, agent, histogram, judged, ward


def test_a_broken_promise_is_found_after_three_ticks_and_clears_after_three(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        for tick in range(3):
            assert one.open("promise-broken") is None, tick
            one.report(latency_ms=80.0)
            one.tick()
        found = one.open("promise-broken")
        assert found is not None
        assert found.severity == "high"
        assert "past the promised 50 ms at 3 readings" in found.what
        assert found.cause == "unknown"
        [slowest] = found.evidence["slowest"]
        assert slowest["operation"] == "report.read"
        assert 80 <= slowest["p99_ms"] <= 85  # a bucket of the histogram is 6.25 % wide
        for _ in range(2):
            one.report(latency_ms=5.0)
            one.tick()
        assert one.open("promise-broken") is not None
        one.report(latency_ms=5.0)
        one.tick()
        assert one.open("promise-broken") is None


def test_the_promise_itself_is_no_breach() -> None:
    for p99_ms, opens in ((50.0, False), (50.1, True)):
        said = judged(PromiseBroken(), {"operation.p99_ms": [p99_ms] * 3}, agents=[agent()])
        assert bool(said) is opens
    one_good = judged(PromiseBroken(), {"operation.p99_ms": [90.0, 40.0, 90.0]}, agents=[agent()])
    assert one_good == []


def test_a_silent_tick_neither_opens_nor_clears_and_no_agent_clears() -> None:
    series: dict[str, list[Reading]] = {
        "operation.p99_ms": [90.0, 90.0, Unknown("no agent has reported since the last tick")]
    }
    [said] = judged(PromiseBroken(), series, agents=[agent()])
    assert isinstance(said, Undecided)
    assert judged(PromiseBroken(), series, agents=[]) == []


def explained(*, wait_ms: float, finding: str = "pool-exhausted") -> str:
    """Return the cause of a broken promise while a pool is exhausted and callers wait so long."""
    recent = Recent()
    database = Subject(IDENTITY.key)
    pool = Subject(IDENTITY.key, "agent:shop-1", "pool", "main")
    for tick in range(3):
        at = tick * 10.0
        recent.add(
            [
                Sample(database, "operation.p99_ms", at, 200.0),
                Sample(database, "operation.latency_us", at, histogram(*[100.0] * 50)),
                Sample(pool, "pool.wait_ms", at, wait_ms),
                Sample(pool, "pool.acquired", at, 50.0),
                Sample(pool, "pool.lock_share", at, 0.0),
            ]
        )
    other = Finding(
        id=7,
        database=IDENTITY.key,
        rule=finding,
        severity="high",
        what="the pool is exhausted",
        cause="connections are held while idle by `export`",
        opened=0.0,
        updated=0.0,
    )
    view = View(30.0, IDENTITY, Config(), recent, agents=[agent()], findings=[other])
    [said] = PromiseBroken().judge(view)
    assert isinstance(said, Judgement)
    return said.cause


def test_the_cause_is_named_only_when_the_numbers_agree_with_it() -> None:
    waiting = explained(wait_ms=80.0)
    assert "operations wait for 80% of their time" in waiting
    assert "connections are held while idle by `export`" in waiting
    assert explained(wait_ms=20.0) == "unknown"
    assert explained(wait_ms=80.0, finding="free-pages") == "unknown"


def test_a_database_that_no_application_reports_about_says_what_stays_unknown(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        one.tick(times=2)
        assert one.open("no-agent") is None  # agents have 15 s to come back after a start
        one.tick()
        found = one.open("no-agent")
        assert found is not None
        assert found.severity == "info"
        assert "latency" in found.evidence["unknown"]
        assert "homeostat.access" in found.mend
        one.report()
        one.tick()
        assert one.open("no-agent") is None


def test_an_agent_that_was_there_is_not_called_missing_at_once() -> None:
    last: list[Reading] = [1.0, Unknown("silent"), Unknown("silent")]
    assert judged(NoAgent(), {"operation.p99_ms": last}) == []
