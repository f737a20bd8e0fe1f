"""What the pages ask beside the state: activity, statements. On real engines, nothing made up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from homeostat.access.protocol import CallSample
from homeostat.driver import postgres, sqlite
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


def test_tables_show_size_dead_rows_use_and_growth(tmp_path: Path, pg_database: str) -> None:
    wire = postgres.connect(pg_database)
    for sql in (
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, at date)",
        "CREATE INDEX by_customer ON orders (customer)",
        "CREATE INDEX by_customer_at ON orders (customer, at)",
        "INSERT INTO orders SELECT n, n % 100, now() FROM generate_series(1, 5000) n",
        "ANALYZE orders",
        "DELETE FROM orders WHERE id <= 1000",
    ):
        wire.execute(sql)
    with ward(tmp_path / "data", pg_database) as one:
        console = OperatorConsole(one.operator)
        assert console.tables(one.key).reason.startswith("Tables were not read yet")

        def counted() -> bool:
            one.tick("tables")
            return console.tables(one.key).tables[0].dead_rows == 1000.0

        wait_until(counted, what="the server to count dead rows")
        wire.execute(
            "INSERT INTO orders SELECT n, n % 100, now() FROM generate_series(6000, 9999) n"
        )
        wire.close()
        one.clock.advance(14_400.0)  # a week has 50 points; growth is told between two
        one.tick("tables")
        [table] = console.tables(one.key).tables
        assert table.waste_bytes is not None
        assert 0 < table.waste_bytes < (table.bytes or 0.0)
        assert (table.grown_bytes or 0.0) > 0
        assert table.analysed is not None
        remarks = {index.name: index.remark for index in table.indexes}
        assert remarks["by_customer"] == "covered by by_customer_at"
        assert remarks["orders_pkey"] == ""
        assert "not used" in remarks["by_customer_at"]


def test_a_table_that_is_locked_does_not_hold_up_the_others(
    tmp_path: Path, pg_database: str
) -> None:
    wire = postgres.connect(pg_database)
    wire.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    wire.execute("CREATE TABLE stock (id int)")
    wire.begin(write=True)
    wire.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
    with ward(tmp_path / "data", pg_database) as one:
        one.tick("tables")
        found = OperatorConsole(one.operator).tables(one.key)
        assert one.watch.error == ""
        by_name = {table.name: table for table in found.tables}
        assert by_name["orders"].bytes is None
        assert "himself alone" in by_name["orders"].unknown["bytes"]
        assert by_name["stock"].bytes is not None
        wire.rollback()
        wire.close()


def test_tables_of_sqlite_say_what_it_does_not_count(tmp_path: Path, sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)")
    wire.execute("CREATE INDEX by_customer ON orders (customer)")
    wire.close()
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        one.tick("tables")
        [table] = OperatorConsole(one.operator).tables(one.key).tables
        assert (table.bytes, table.index_bytes) == (4096.0, 4096.0)
        assert (table.rows, table.dead_rows, table.full_scans) == (None, None, None)
        assert {"rows", "dead_rows", "full_scans"} <= table.unknown.keys()
        assert [index.name for index in table.indexes] == ["by_customer"]


def test_settings_say_where_they_come_from(tmp_path: Path, pg_database: str) -> None:
    wire = postgres.connect(pg_database)
    wire.execute("ALTER DATABASE " + pg_database.rsplit("/", 1)[1] + " SET work_mem = '7MB'")
    wire.close()
    with ward(tmp_path / "data", pg_database, promise_ms=20.0) as one:
        found = OperatorConsole(one.operator).settings(one.key)
        rows = {row.name: row for row in found.of_database}
        assert (rows["work_mem"].value, rows["work_mem"].source) == ("7168 kB", "database")
        assert rows["work_mem"].default == "4096 kB"
        assert "statement_timeout" not in rows  # of our own session
        own = {row.name: row for row in found.of_homeostat}
        assert (own["monitor.promise_ms"].value, own["monitor.promise_ms"].default) == ("20", "50")
        assert own["monitor.promise_ms"].source != "default"
        assert own["monitor.health_seconds"].source == "default"
        assert all(row.description for row in own.values())


def test_settings_of_connections_are_not_guessed(tmp_path: Path, sqlite_path: Path) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        rows = {r.name: r for r in OperatorConsole(one.operator).settings(one.key).of_database}
        assert (rows["journal_mode"].value, rows["journal_mode"].source) == ("wal", "the file")
        assert rows["synchronous"].value is None
        assert "not show from outside" in rows["synchronous"].description
