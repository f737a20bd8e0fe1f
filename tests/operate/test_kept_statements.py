"""What statements cost is told over any range, also by an operator that was started anew."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from homeostat.access.protocol import (
    CallSample,
    DatabaseReport,
    OperationReport,
    Report,
    pack,
)
from homeostat.clock import ManualClock
from homeostat.config import Config, OperateConfig
from homeostat.measure import Histogram
from homeostat.operate.insights import StatementRow
from homeostat.operate.looking.statements import EARLIER_UNKNOWN
from homeostat.tune import PerformanceOperations
from tests.operate.stage import Quiet, Stage, stage

HOUR, DAY = 3600.0, 86_400.0
CONFIG = Config(operate=OperateConfig(lease_seconds=1e9))  # nobody renews
SQL = "SELECT id FROM orders WHERE customer = :customer AND note = 'secret'"


def calls(one: Stage, sequence: int, *, ms: float, count: int) -> None:
    """Let an agent report calls of one statement; the probe looks two minutes later."""
    one.clock.advance(1.0)
    latency = Histogram()
    latency.record(ms * 1000, times=count)
    sample = CallSample(
        operation="orders_of", sql=SQL, parameters={}, at=one.clock.now(), latency_us=ms * 1000,
        rows=3, write=False, slow=False, weight=1.0, transaction="",
    )  # fmt: skip
    report = Report(
        v=1, agent="shop-1", boot=str(sequence), sequence=sequence,
        database=DatabaseReport("sqlite", one.key, "app.db", "3.54.0"), application="shop",
        host="here", pid=2**22 + 1, capabilities=[], seconds=10.0, cpu_share=0.1, cores=2,
        pools=[], operations=[OperationReport("orders_of", "free", pack(latency), rows=3 * count)],
        applied_version=0, samples=[sample],
    )  # fmt: skip
    assert one.one.watch.report(report).error == ""
    one.tick(seconds=10.0)
    one.tick("statements", seconds=100.0)
    one.operator.samples.compact()
    one.clock.advance(1.0)


def open_stage(
    tmp_path: Path, clock: ManualClock, sqlite_path: Path
) -> AbstractContextManager[Stage]:
    room = PerformanceOperations(CONFIG).room()
    quiet = type(room)("quiet", probes=(Quiet(),))
    return stage(tmp_path / "data", str(sqlite_path), [room, quiet], CONFIG, clock)


def only(rows: list[StatementRow]) -> StatementRow:
    [row] = rows
    return row


def test_a_range_is_told_after_a_restart_and_beside_an_earlier_one(
    tmp_path: Path, sqlite_path: Path
) -> None:
    clock = ManualClock()
    with open_stage(tmp_path, clock, sqlite_path) as one:
        calls(one, 1, ms=10.0, count=100)
        calls(one, 2, ms=10.0, count=100)
        clock.advance(7 * DAY)
        calls(one, 3, ms=40.0, count=50)
    with open_stage(tmp_path, clock, sqlite_path) as one:
        found = one.console.statements(one.key, seconds=DAY, order="grown", shift=7 * DAY)
        row = only(found.rows)
        assert (row.name, row.source) == ("orders_of", "samples")
        assert "secret" not in row.text
        assert "FROM orders" in row.text
        assert row.mean_ms == pytest.approx(40.0, rel=0.01)
        assert (row.calls_per_second or 0) * DAY == pytest.approx(50.0, rel=0.01)
        assert row.rows_per_call == pytest.approx(3.0, rel=0.01)
        assert row.p99_ms == pytest.approx(40.0, rel=0.07)
        assert row.before is not None
        assert row.before.mean_ms == pytest.approx(10.0, rel=0.01)
        earlier = found.compared_known_seconds or 0.0
        assert row.before.calls_per_second * earlier == pytest.approx(200.0, rel=0.01)
        assert earlier < 300.0  # two looks, not a day
        assert row.before.p99_ms == pytest.approx(10.0, rel=0.07)
        found = one.console.statements(one.key, seconds=366 * DAY)
        year = only(found.rows)
        assert (year.calls_per_second or 0) * found.known_seconds == pytest.approx(250.0, rel=0.01)
        assert found.known_seconds == pytest.approx(7 * DAY, rel=0.01)


def test_a_statement_that_did_not_run_before_has_nothing_beside_it(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with open_stage(tmp_path, ManualClock(), sqlite_path) as one:
        calls(one, 1, ms=10.0, count=100)
        found = one.console.statements(one.key, seconds=600.0, shift=HOUR)
        assert only(found.rows).before is None
        assert found.compared_start == pytest.approx(one.clock.now() - 600 - HOUR)
        assert found.compared_known_seconds == 0
        assert EARLIER_UNKNOWN in found.reason


def test_the_same_load_costs_the_same_over_any_range(tmp_path: Path, sqlite_path: Path) -> None:
    with open_stage(tmp_path, ManualClock(), sqlite_path) as one:
        for sequence in range(1, 26):
            calls(one, sequence, ms=10.0, count=1000)
        rates = {
            seconds: only(one.console.statements(one.key, seconds=seconds).rows).calls_per_second
            for seconds in (1800.0, DAY, 30 * DAY)
        }
        beside = one.console.statements(one.key, seconds=1200.0, shift=1800.0, order="grown")
        before = only(beside.rows).before
        assert rates == {seconds: pytest.approx(1000 / 112, rel=0.03) for seconds in rates}
        assert before is not None
        assert before.calls_per_second == pytest.approx(1000 / 112, rel=0.03)
        assert beside.known_since is not None
        assert beside.known_since > (beside.compared_start or 0)
