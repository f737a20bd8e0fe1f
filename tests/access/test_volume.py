"""Bytes and waits of operations and transactions, by segment, on both engines and in both forms."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from homeostat.access import AsyncDatabase, Caller, Database, Operation
from homeostat.access.protocol import OperationReport, pack
from homeostat.access.statistics import Statistics, folded, reports
from homeostat.access.volume import bytes_of, bytes_of_rows
from homeostat.errors import PoolTimeoutError
from homeostat.measure import Histogram
from tests.access.helpers import in_thread, until

ADD = Operation(
    "doc.add", "INSERT INTO doc (id, text) VALUES (:id, :text)", ("id", "text"), write=True
)
ALL = Operation("doc.all", "SELECT id, text FROM doc WHERE id < :below", ("below",))
FREE, PAID = Caller(segment="free"), Caller(segment="paid")
TEXT = "grün" * 25  # 100 characters, 125 bytes
ROWS = 100


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_path" if request.param == "sqlite" else "pg_database"
    found = str(request.getfixturevalue(name))
    with Database.open(found, agent=None) as database, database.session() as session:
        session.execute("CREATE TABLE doc (id integer PRIMARY KEY, text text)")
    return found


def counted(database: Database) -> dict[tuple[str, str], OperationReport]:
    taken = reports(database.executor.statistics.take())
    return {(one.operation, one.segment): one for one in taken}


def test_bytes_are_told_by_operation_and_segment(url: str) -> None:
    with Database.open(url, agent=None, operations=[ADD, ALL]) as database:
        for number in range(ROWS):
            caller = FREE if number % 2 else PAID
            database.execute("doc.add", {"id": number, "text": TEXT}, caller=caller)
        for _ in range(50):
            database.execute("doc.all", {"below": ROWS}, caller=FREE)
            database.execute("doc.all", {"below": ROWS // 10}, caller=PAID)
        with database.transaction(name="doc.copy", caller=PAID) as session:
            session.execute(ALL, {"below": 20})
            session.execute_many(ADD, [{"id": ROWS + n, "text": TEXT} for n in range(40)])
        found = counted(database)
    for segment in ("free", "paid"):
        added = found["doc.add", segment]
        assert (added.sent_bytes, added.received_bytes) == (50 * 133, 0)
    assert found["doc.all", "free"].received_bytes == 50 * ROWS * 133
    assert found["doc.all", "paid"].received_bytes == 50 * ROWS // 10 * 133
    copied = found["doc.copy", "paid"]
    assert copied.rows == 60
    assert (copied.received_bytes, copied.sent_bytes) == (20 * 133, 40 * 133 + 8)


def test_waits_for_a_connection_are_told_by_operation_and_segment(url: str) -> None:
    with Database.open(url, agent=None, pool=1, operations=[ADD, ALL]) as database:
        database.execute("doc.all", {"below": 1}, caller=PAID)  # nobody is in its way
        held = database.pool.acquire("export")
        waiting = [
            in_thread(lambda: database.execute("doc.all", {"below": 1}, caller=FREE))
            for _ in range(2)
        ]
        until(lambda: database.pool.waiting == 2)
        before = counted(database)
        database.pool.release(held)
        for thread in waiting:
            thread.join(timeout=10)
        found = counted(database)
    waited = found["doc.all", "free"]
    assert waited.waits == 2
    assert 0 < (waited.waited_seconds or 0) * 1e6 <= waited.latency.total
    assert before["doc.all", "paid"].waits == 0
    assert ("doc.all", "free") not in before  # nothing had ended yet


def test_a_task_that_waits_is_counted_and_one_that_need_not_is_not(url: str) -> None:
    async def work() -> None:
        async with await AsyncDatabase.open(url, agent=None, pool=1) as database:
            await database.execute(ALL, {"below": 1}, caller=PAID)
            held = database.pool.acquire("export")
            task = asyncio.create_task(database.execute(ALL, {"below": 1}, caller=FREE))
            entering = asyncio.create_task(enter(database))
            await asyncio.to_thread(until, lambda: database.pool.waiting == 2)
            database.pool.release(held)
            await asyncio.gather(task, entering)
            found = counted(database.core)
            assert found["doc.all", "paid"].waits == 0
            assert found["doc.all", "free"].waits == 1
            assert found["doc.copy", "paid"].waits == 1

    async def enter(database: AsyncDatabase) -> None:
        async with database.transaction(name="doc.copy", caller=PAID) as session:
            await session.execute(ALL, {"below": 1})

    asyncio.run(work())


def test_a_wait_without_a_connection_counts_as_one(url: str) -> None:
    with Database.open(url, agent=None, pool=1) as database:
        held = database.pool.acquire("export")
        with pytest.raises(PoolTimeoutError):
            database.pool.acquire("doc.all", wait_seconds=0.01, caller=FREE)
        database.pool.release(held)
        database.execute(ALL, {"below": 1}, caller=FREE)
        found = counted(database)["doc.all", "free"]
    assert found.waits == 1
    assert (found.waited_seconds or 0) >= 0.01


def test_a_report_too_large_for_its_segments_tells_their_bytes_and_waits() -> None:
    statistics = Statistics()
    for caller in (FREE, PAID):
        statistics.waited("doc.all", caller.segment, 0.5)
        found = [(1, "x" * 92)] * 10
        statistics.record("doc.all", caller, 510_000.0, 10, params={"below": 10}, found=found)
    (whole,) = reports(folded(statistics.take()))
    assert (whole.received_bytes, whole.sent_bytes) == (2_000, 16)
    assert (whole.waits, whole.waited_seconds) == (2, 1.0)


def test_large_results_are_scaled_up_and_what_is_nested_is_counted() -> None:
    assert bytes_of_rows([(1, "x" * 92)] * 1000) == 100_000
    assert bytes_of_rows([]) == 0
    assert bytes_of([None, b"1234", True, {"key": [1, "ab"]}]) == 4 + 8 + 3 + 8 + 2


def test_a_report_of_an_older_agent_is_read_and_what_it_does_not_tell_is_unknown() -> None:
    told = msgspec.to_builtins(OperationReport("a", "none", pack(Histogram()), rows=3, waits=2))
    for name in ("received_bytes", "sent_bytes", "waits", "waited_seconds"):
        del told[name]
    found = msgspec.convert(told, OperationReport)
    assert (found.rows, found.waits, found.received_bytes) == (3, None, None)
