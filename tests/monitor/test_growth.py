"""Data that grows so fast that the disk will be full: how fast, until when, what, by whom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.access.protocol import (
    PROTOCOL_VERSION,
    CallSample,
    DatabaseReport,
    OperationReport,
    Report,
    pack,
)
from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire
from homeostat.logbook.rows import Finding
from homeostat.measure import Histogram, Reading, Unknown
from homeostat.monitor.growth import DataGrowing
from homeostat.operate.rule import Judgement
from tests.monitor.stage import TICK_SECONDS, Ward, judged, monitor, ward

GB = 1e9
SQL = "INSERT INTO log (body) VALUES (:body)"
EVER = 1e6  # hours: any growth fills the disk within them


def said(sizes: list[Reading], free: Reading) -> list[Judgement]:
    config = monitor(growth_seconds=40.0, health_seconds=TICK_SECONDS)
    readings = {"database.size_bytes": sizes, "disk.free_bytes": [free]}
    found = judged(DataGrowing(), readings, config=config)
    return [one for one in found if isinstance(one, Judgement)]


def growing(bytes_a_second: float, *, ticks: int = 5) -> list[Reading]:
    return [GB + bytes_a_second * TICK_SECONDS * number for number in range(ticks)]


@pytest.mark.parametrize(
    ("bytes_a_second", "severity"), [(1e5, None), (1e6, "warning"), (1e7, "high")]
)
def test_it_is_told_by_the_time_until_the_disk_is_full(
    bytes_a_second: float, severity: str | None
) -> None:
    """With 100 GB free: 11.6 days, 28 hours, 2.8 hours."""
    found = said(growing(bytes_a_second), 100 * GB)
    assert [str(one.severity) for one in found] == ([] if severity is None else [severity])
    if found:
        assert "disk is full in" in found[0].what
        assert found[0].cause == "unknown"


def test_one_bulk_load_is_no_trend() -> None:
    assert said([GB, GB, GB + 5e8, GB + 5e8, GB + 5e8], 10 * GB) == []


def test_too_few_readings_tell_nothing() -> None:
    assert said(growing(1e7, ticks=4), 10 * GB) == []


def test_without_the_free_space_it_is_told_by_the_time_until_it_doubles() -> None:
    [found] = said(growing(1e6), Unknown("another machine"))
    assert "doubles in" in found.what
    assert found.severity == "warning"


# -- real databases


def insert(one: Ward, wire: Wire, rows: int) -> None:
    """Insert rows as the application's operation `write_log`, and let its agent report them."""
    body = b"x" * 10_000
    for _ in range(rows):
        wire.execute(SQL, {"body": body})
    one.sequence += 1
    latency = Histogram()
    latency.record(500.0, rows)
    sample = CallSample("write_log", SQL, {}, one.clock.now(), 500.0, 1, write=True, omitted=["b"])
    reply = one.watch.report(
        Report(
            v=PROTOCOL_VERSION, agent="shop-1", boot="boot", sequence=one.sequence,
            database=DatabaseReport(wire.dialect, one.key, "app", "1"), application="shop",
            host="here", pid=2**22 + 1, capabilities=[], seconds=TICK_SECONDS, cpu_share=0.1,
            cores=2, pools=[], applied_version=0, samples=[sample],
            operations=[OperationReport("write_log", "free", pack(latency), rows=rows)],
        )
    )  # fmt: skip
    assert reply.error == ""


def watched_growth(data: Path, url: str, wire: Wire, settle: Callable[[], object]) -> Finding:
    """Watch a database while its log grows and another table hardly does."""
    probes = ("tables", "capacity") if wire.dialect == "postgresql" else ("capacity",)
    limits = {
        "growth_seconds": 40.0, "health_seconds": TICK_SECONDS, "capacity_seconds": TICK_SECONDS,
        "growth_full_hours": EVER,
    }  # fmt: skip
    with ward(data, url, **limits) as one:
        for _ in range(8):
            wire.execute("INSERT INTO quiet (text) VALUES ('a')")
            insert(one, wire, 40)
            settle()
            for probe in probes:
                one.tick(probe)
            one.tick("health")
        found = one.open("data-growing")
        assert found is not None
        for _ in range(8):
            one.tick("health")
            one.tick("capacity")
        assert one.open("data-growing") is None
        return found


def test_a_growing_table_of_sqlite_is_named_with_who_writes_it(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with closing(sqlite.connect(sqlite_path)) as wire:
        wire.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, body BLOB)")
        wire.execute("CREATE TABLE quiet (text TEXT)")
        found = watched_growth(tmp_path / "data", str(sqlite_path), wire, lambda: None)
    assert "the table log takes" in found.cause
    assert "write_log of shop inserts" in found.cause
    assert found.evidence["tables"]["log"] == pytest.approx(20_000, rel=0.2)


def test_a_growing_table_of_postgresql_is_named(tmp_path: Path, pg_database: str) -> None:
    with closing(postgres.connect(pg_database)) as wire:
        wire.execute("CREATE TABLE log (id bigserial PRIMARY KEY, body bytea)")
        wire.execute("ALTER TABLE log ALTER body SET STORAGE EXTERNAL")
        wire.execute("CREATE TABLE quiet (text text)")
        flush = "SELECT pg_stat_force_next_flush()" if wire.server_version >= 150000 else "SELECT 1"
        found = watched_growth(tmp_path / "data", pg_database, wire, lambda: wire.execute(flush))
    assert "the table log takes" in found.cause
    assert "write_log of shop" in found.cause
