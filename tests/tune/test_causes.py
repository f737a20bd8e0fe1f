"""Planted slow statements, through an application and an operator: the cause that is told."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest

from bench.causes import RIGHT_SHARE, Told, forgetting, told
from bench.planted import PLANTED, Planted
from bench.planted_more import COLD, MORE, WARM
from homeostat.access.protocol import CostReport
from homeostat.config import TuneConfig
from homeostat.driver.sqlite import SqliteWire, connect
from homeostat.driver.sqlite_meter import Meter
from homeostat.operate.statements import Repeated, Spent, StatementView
from homeostat.tune.causes import (
    IO,
    MANY_ROWS,
    MEASURED_MIN,
    PAGES_MIN,
    Cause,
    many_rows,
    repeated,
    waiting_for_disk,
)
from tests.patience import joined

FEW = ("equality", "either", "view", "in_query", "order_by", "export", "one_by_one", "contains")
FEW_SECONDS = 6.0
ALL_SECONDS = 24.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = {"sqlite": "sqlite_path", "postgresql": "pg_database"}[request.param]
    return str(request.getfixturevalue(name))


def named(*names: str) -> list[Planted]:
    return [one for one in PLANTED if one.name in names]


def told_of(found: list[Told]) -> dict[str, str]:
    return {one.planted.name: one.sentence for one in found if not one.right}


@pytest.mark.slow
def test_causes_of_planted_statements_are_told(url: str, tmp_path: Path) -> None:
    found = told(url, tmp_path / "data", [*named(*FEW), *MORE], seconds=FEW_SECONDS)
    assert told_of(found) == {}
    both = next(one.sentence for one in found if one.planted.name == "either_of_three")
    assert "customer_id" in both
    assert "total" in both


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="nothing else tells what the disk gave")
def test_a_statement_of_sqlite_that_waits_for_the_disk_is_told(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with forgetting(sqlite_path):
        found = told(str(sqlite_path), tmp_path / "data", COLD, seconds=FEW_SECONDS)
    assert told_of(found) == {}


@pytest.mark.long
def test_pages_that_the_machine_remembers_are_no_io(sqlite_path: Path, tmp_path: Path) -> None:
    found = told(str(sqlite_path), tmp_path / "data", WARM, seconds=FEW_SECONDS)
    assert told_of(found) == {}


@pytest.mark.long
def test_at_most_one_in_twenty_is_told_wrongly(url: str, tmp_path: Path) -> None:
    found = told(url, tmp_path / "data", PLANTED + MORE, seconds=ALL_SECONDS)
    assert sum(one.right for one in found) >= RIGHT_SHARE * len(found), told_of(found)
    assert sum(one.wrong for one in found) <= len(found) // 20, told_of(found)


def returning(rows: float, mean_ms: float) -> StatementView:
    return StatementView(
        key="0" * 16,
        text="SELECT ...",
        sql="SELECT ...",
        write=False,
        operations=("export",),
        applications=("shop",),
        seconds=10.0,
        spent=Spent(0.0, 1.0, mean_ms, rows),
        source="agents",
        per_transaction={},
        waited_share=None,
        samples=(),
        plans=(),
        facts={},
        first_seen=0.0,
    )


def test_many_rows_are_no_cause_where_each_of_them_is_dear() -> None:
    found = many_rows(returning(2_000, 40.0), TuneConfig())
    assert found is not None
    assert found.kind == MANY_ROWS
    assert many_rows(returning(2_000, 2_000.0), TuneConfig()) is None, (
        "1 ms a row is something else"
    )


def test_one_run_of_calls_after_a_list_may_be_chance() -> None:
    one = replace(returning(1, 5.0), repeated=(Repeated("settings", 900.0, share=1.0, runs=1.0),))
    assert repeated(one, TuneConfig()) is None
    often = replace(returning(1, 5.0), repeated=(Repeated("orders", 90.0, share=0.9, runs=3.0),))
    assert repeated(often, TuneConfig()) == often.repeated[0]


PAGE = 4096
COLD_ROWS = 120  # two to a page
COLD_READ = CostReport(
    calls=10,
    seconds=2.0,
    cpu_seconds=0.5,
    queued_seconds=0.1,
    lock_seconds=0.0,
    disk_bytes=10 * 2_000 * PAGE,
    sleeps=10 * 2_000,
    others_cpu_seconds=0.2,
)


def read_from_disk(**changed: float) -> Cause | None:
    cost = msgspec.structs.replace(COLD_READ, **changed)
    return waiting_for_disk(replace(returning(1, 200.0), measured=cost), TuneConfig())


def test_io_on_sqlite_needs_sleep_that_the_disk_explains() -> None:
    found = read_from_disk()
    assert found is not None
    assert found.kind == IO
    assert "74%" in found.text
    assert read_from_disk(calls=3, disk_bytes=3 * 2_000 * PAGE) is None, "too few to tell"
    assert read_from_disk(cpu_seconds=1.5) is None, "it is busy"
    assert read_from_disk(lock_seconds=1.2) is None, "it waits for a lock"
    assert read_from_disk(queued_seconds=1.4) is None, "there is no processor free"
    assert read_from_disk(disk_bytes=0.0) is None, "it slept for something else"
    assert read_from_disk(sleeps=500_000) is None, "it slept for something else too"
    assert read_from_disk(others_cpu_seconds=0.8) is not None, "beside reads that take 0.1 ms"
    assert read_from_disk(others_cpu_seconds=0.8, sleeps=400) is None, "it slept for Python's lock"
    assert read_from_disk(others_cpu_seconds=1.2) is None, "another thread ran most of the time"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="nothing else tells what the disk gave")
def test_waiting_for_python_beside_busy_threads_is_no_io(sqlite_path: Path) -> None:
    with closing(connect(sqlite_path, create=True)) as wire:
        wire.execute("CREATE TABLE big (id integer PRIMARY KEY, note blob)")
        wire.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
            "INSERT INTO big SELECT i, randomblob(1900) FROM n"
        )
        wire.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        wire.execute("PRAGMA cache_size = -200")
        wire.meter = Meter()
        with busy_threads(2), sqlite_path.open("rb") as file:
            os.fsync(file.fileno())
            cost = cost_of_cold_calls(wire, file.fileno())
            wire.close()  # before the file, whose closing would drop SQLite's locks
    assert cost.disk_bytes >= PAGES_MIN * PAGE * cost.calls, "the disk was asked"
    one = replace(returning(COLD_ROWS, 1000 * cost.seconds / cost.calls), measured=cost)
    assert waiting_for_disk(one, TuneConfig()) is None


@contextmanager
def busy_threads(number: int) -> Iterator[None]:
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            sum(range(1_000))

    threads = [threading.Thread(target=count) for _ in range(number)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        stop.set()
        joined(*threads)


def cost_of_cold_calls(wire: SqliteWire, file: int) -> CostReport:
    sql = "SELECT id, length(note) FROM big WHERE id > :after ORDER BY id LIMIT :most"
    wire.meter.want([sql])
    for number in range(MEASURED_MIN):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        wire.execute(sql, {"after": number * 300, "most": COLD_ROWS})
    found = wire.meter.take(sql)
    assert found is not None
    return CostReport(**asdict(found))
