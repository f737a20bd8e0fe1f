from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.config import Config
from homeostat.driver import postgres, sqlite
from homeostat.measure import Subject, Unknown
from homeostat.monitor import ProductionMonitoring
from homeostat.operate.schedule import Task
from tests.monitor.stage import ward
from tests.servers import PostgresServer, wait_until

pytestmark = pytest.mark.every_postgres


def test_monitoring_runs_at_the_promised_intervals_and_says_what_is_in_force() -> None:
    configuration = ProductionMonitoring(Config()).start_continuous_monitoring()
    intervals = {task.name: task.interval_seconds for task in configuration.tasks}
    assert intervals == {"health": 30.0, "performance": 10.0, "capacity": 300.0, "tables": 300.0}
    assert configuration.promise_ms == 50.0
    assert "unreachable" in configuration.rules


def test_every_interval_becomes_a_task_of_the_operator(tmp_path: Path, sqlite_path: Path) -> None:
    with ward(tmp_path / "data", str(sqlite_path), health_seconds=7.0) as one:
        tasks: list[Task] = list(one.watch.routine().tasks)
    assert {(task.name, task.interval_seconds) for task in tasks} == {
        ("health", 7.0),
        ("performance", 10.0),
        ("capacity", 300.0),
        ("tables", 300.0),
    }


def test_a_healthy_answer_is_timed_and_carries_the_settings(
    tmp_path: Path, pg_database: str, sqlite_path: Path
) -> None:
    for number, (url, setting) in enumerate(
        ((pg_database, "fsync"), (str(sqlite_path), "journal_mode"))
    ):
        with ward(tmp_path / f"data-{number}", url) as one:
            one.tick("health")
            assert one.reading("database.answered_share") == 1.0
            answer_ms, size_bytes = (
                one.reading("database.answer_ms"),
                one.reading("database.size_bytes"),
            )
            assert isinstance(answer_ms, float)
            assert answer_ms > 0
            assert isinstance(size_bytes, float)
            sample = one.watch.recent.last("database.answered_share", Subject(one.key))
            assert sample is not None
            assert setting in sample.texts


def test_every_reading_is_a_registered_metric(
    tmp_path: Path, pg_database: str, sqlite_path: Path
) -> None:
    registered = {metric.name for metric in ProductionMonitoring(Config()).room().metrics}
    for number, url in enumerate((pg_database, str(sqlite_path))):
        with ward(tmp_path / f"data-{number}", url) as one:
            one.tick("health")
            one.tick("performance")
            own = {n for n in one.watch.recent.metrics() if not n.startswith(("operation", "pool"))}
        assert own
        assert own <= registered


def test_running_totals_become_increases(tmp_path: Path, pg_database: str) -> None:
    with ward(tmp_path / "data", pg_database) as one:
        one.tick()
        first = one.reading("postgresql.rows_inserted")
        assert isinstance(first, Unknown)
        assert "first time" in first.reason
        wire = postgres.connect(pg_database)
        wire.execute("CREATE TABLE numbers (n int)")
        wire.execute("INSERT INTO numbers SELECT generate_series(1, 1000)")
        wire.close()
        increases: list[float] = []

        def all_seen() -> bool:
            one.tick()
            value = one.reading("postgresql.rows_inserted")
            assert isinstance(value, float)
            increases.append(value)
            return sum(increases) >= 1000

        wait_until(all_seen, what="the server's statistics")
        one.tick()
        assert one.reading("postgresql.rows_inserted") == 0.0


def test_totals_that_start_anew_are_unknown_for_one_reading(
    tmp_path: Path, pg_database: str
) -> None:
    counters = {m.name for m in ProductionMonitoring(Config()).room().metrics}
    assert "postgresql.rows_inserted" in counters
    with ward(tmp_path / "data", pg_database) as one:
        one.tick(times=2)
        totals = one.watch._watched["performance"].memory["totals"]
        totals["postgresql.rows_inserted"] += 1_000_000
        one.tick()
        value = one.reading("postgresql.rows_inserted")
        assert isinstance(value, Unknown)
        assert "started anew" in value.reason
        one.tick()
        assert one.reading("postgresql.rows_inserted") == 0.0


def test_what_cannot_be_read_is_unknown_and_never_the_last_value(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        one.tick("health")
        one.tick("performance")
        sqlite_path.rename(tmp_path / "away.db")
        one.tick("health")
        one.tick("performance")
        assert one.reading("database.answered_share") == 0.0
        for metric in ("database.answer_ms", "database.size_bytes", "sqlite.probe_ms"):
            value = one.reading(metric)
            assert isinstance(value, Unknown), metric
            assert "did not answer" in value.reason


def test_a_role_without_rights_leaves_waits_unknown_with_the_grant(
    tmp_path: Path, pg_server: PostgresServer, pg_database: str
) -> None:
    pg_server.execute("CREATE ROLE narrow LOGIN PASSWORD 'narrow'")
    name = pg_database.rpartition("/")[2]
    try:
        with ward(tmp_path / "data", pg_server.url(name, user="narrow", password="narrow")) as one:
            one.tick()
            value = one.reading("locks.blocked_by_one")
            assert isinstance(value, Unknown)
            assert "pg_monitor" in value.reason
    finally:
        pg_server.execute("DROP ROLE narrow")


def test_probes_change_nothing_in_a_sqlite_file(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    wire = sqlite.connect(path, create=True)
    wire.execute("CREATE TABLE t (a)")
    wire.close()
    before = path.read_bytes()
    with ward(tmp_path / "data", str(path)) as one:
        one.tick("health", times=3)
        one.tick("performance", times=3)
    assert path.read_bytes() == before
