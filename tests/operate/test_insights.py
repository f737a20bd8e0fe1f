"""What the pages ask beside the state: activity, statements. On real engines, nothing made up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from homeostat.access.protocol import CallSample
from homeostat.driver import sqlite
from homeostat.errors import ConfigError, NotFoundError
from homeostat.operate.console import OperatorConsole
from tests.monitor.stage import Ward, ward
from tests.monitor.test_locks import row_lock
from tests.servers import wait_until


def call(sql: str, *, latency_us: float = 2000.0, rows: int = 3) -> CallSample:
    return CallSample(
        operation="orders_of",
        sql=sql,
        parameters={"id": 7},
        at=0.0,
        latency_us=latency_us,
        rows=rows,
        write=False,
        slow=False,
        weight=50.0,
        transaction="checkout",
    )


def heard(one: Ward, *samples: CallSample) -> OperatorConsole:
    """Let an agent report calls that it saw whole."""
    one.report()
    view = one.watch.agents.views(one.clock.now())[0]
    one.clock.advance(10.0)
    report = msgspec.structs.replace(view.report, samples=list(samples))
    one.watch.statements.take_report(report, one.clock.now())
    return OperatorConsole(one.operator)


def test_the_lock_tree_shows_who_waits_for_whom(tmp_path: Path, pg_database: str) -> None:
    with ward(tmp_path / "data", pg_database) as one, row_lock(pg_database, waiters=3) as pid:
        console = OperatorConsole(one.operator)

        def seen() -> bool:
            one.tick()
            return console.activity(one.key).waiting == 3.0

        wait_until(seen, what="three sessions to wait")
        found = console.activity(one.key)
        assert found.sessions is not None
        assert {"nightly-report", "shop"} <= {one.application for one in found.sessions}
        [holder] = found.locks
        assert (holder.pid, holder.who) == (pid, "nightly-report")
        [first] = holder.waiting  # the first waits for the holder, the others for the first
        assert len(first.waiting) == 2
        assert "4711" not in msgspec.json.encode(found).decode()  # literals are redacted
        assert found.connections_max is not None


def test_what_sqlite_does_not_tell_is_unknown_with_its_reason(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        console = OperatorConsole(one.operator)
        assert console.activity(one.key).unknown["sessions"] == "nothing was seen yet"
        one.report()
        one.tick()
        found = console.activity(one.key)
        assert (found.sessions, found.connections, found.waiting) == (None, None, None)
        assert "agent" in found.unknown["sessions"]
        [agent] = found.agents
        assert (agent.application, agent.limit, agent.in_use) == ("shop", 8, 8.0)


def test_statements_are_ordered_and_planned_when_looked_at(
    tmp_path: Path, sqlite_path: Path
) -> None:

    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)")
    wire.close()
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        console = heard(
            one,
            call("SELECT id FROM orders WHERE customer = :id", latency_us=9000.0, rows=1),
            call("SELECT id FROM orders WHERE id = :id AND customer = 'secret'", rows=40),
        )
        by_mean = console.statements(one.key, order="mean").rows
        by_rows = console.statements(one.key, order="rows").rows
        assert [row.mean_ms for row in by_mean] == [9.0, 2.0]
        assert [row.rows_per_call for row in by_rows] == [40.0, 1.0]
        assert sum(row.share for row in by_mean) == pytest.approx(1.0)
        assert "secret" not in by_rows[0].text
        assert by_mean[0].pages_per_call is None
        found = console.statement(one.key, by_mean[0].statement)
        assert found.plan is not None
        assert found.plan["root"]["children"][0]["relation"] == "orders"
        with pytest.raises(ConfigError, match="total, mean"):
            console.statements(one.key, order="colour")
        with pytest.raises(NotFoundError):
            console.statement(one.key, "nothing")


def test_a_database_without_statements_says_what_would_show_them(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        found = OperatorConsole(one.operator).statements(one.key)
        assert found.rows == []
        assert "homeostat.access" in found.reason
