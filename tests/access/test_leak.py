"""Connections that are not given back are named, with the place that took them."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager

import pytest

from homeostat.access import AsyncDatabase, Database, Operation, PoolLimits, Session
from homeostat.access.protocol import LeakReport
from homeostat.clock import ManualClock
from homeostat.errors import AccessError, PoolTimeoutError
from tests.access.helpers import in_thread, until


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Database]:
    name = "file" if request.param == "sqlite" else "pg_database"
    limits = PoolLimits(limit=2, leak_seconds=30.0)
    url = str(request.getfixturevalue(name))
    with Database.open(url, agent=None, pool=limits, clock=clock) as one:
        yield one


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Importer:
    """Application code that forgets to leave its transaction."""

    def __init__(self, database: Database) -> None:
        self.context: AbstractContextManager[Session] = database.transaction(name="import")
        self.me = self  # a cycle: only the garbage collector frees it

    def begin(self) -> None:
        self.session = self.context.__enter__()
        self.session.execute("SELECT 1")


def leaks(database: Database) -> list[LeakReport]:
    return database.pool.report().leaks


def test_a_connection_held_too_long_is_named_with_its_place(
    database: Database, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    importer = Importer(database)
    importer.begin()
    clock.advance(20.0)
    assert leaks(database) == []
    clock.advance(11.0)
    (leak,) = leaks(database)
    assert (leak.name, leak.lost) == ("import", False)
    assert leak.seconds == pytest.approx(31.0)
    assert leak.stack[0].startswith("access/test_leak.py:")
    assert leak.stack[0].endswith(" begin")
    assert "test_a_connection_held" in leak.stack[1]
    leaks(database)
    warned = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warned) == 1  # once, not at every report
    assert "import held a connection for 31 s" in warned[0].getMessage()
    importer.session.execute("SELECT 1")  # it is used again: no leak
    assert leaks(database) == []
    importer.context.__exit__(None, None, None)


def test_who_leaks_a_connection_that_leaked_before_is_told_too(
    database: Database, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("first", "second"):
        with database.session(name=name):
            clock.advance(31.0)
            assert [leak.name for leak in leaks(database)] == [name]
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert [text.split()[2] for text in told] == ["first", "second"]


def test_a_statement_under_way_is_no_leak(database: Database, clock: ManualClock) -> None:
    lease = database.pool.acquire("long", busy=True)
    clock.advance(100.0)
    assert leaks(database) == []
    database.pool.release(lease)


def test_a_block_is_entered_once_at_a_time(database: Database) -> None:
    with database.transaction() as session:
        session.execute("CREATE TABLE t (i int)")
    held = database.transaction()
    for number in (1, 2):  # one after the other it may be
        with held as session:
            session.execute("INSERT INTO t VALUES (:i)", {"i": number})
            with pytest.raises(AccessError, match="entered already"):
                held.__enter__()
    with database.session() as session:
        assert session.execute("SELECT count(*) FROM t").scalar() == 2
    assert database.pool.in_use == 0


@pytest.mark.parametrize("in_cycle", [False, True])
def test_a_lost_stream_waits_for_no_lock_and_is_no_leak(
    database: Database, *, in_cycle: bool
) -> None:
    with database.transaction() as session:
        session.execute("CREATE TABLE t (i int)")
        session.execute_many("INSERT INTO t VALUES (:i)", [{"i": i} for i in range(9)])
    rows = database.stream(Operation("all", "SELECT i FROM t ORDER BY i"), size=2)
    assert next(rows) == (0,)
    holder: list[object] = [rows]
    if in_cycle:
        holder.append(holder)
    del rows

    def collect() -> None:
        nonlocal holder
        with database.pool._lock:  # as when an allocation under it starts a collection
            holder = []
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(10.0)
    assert not thread.is_alive()
    until(lambda: database.pool.in_use == 0)
    with database.transaction() as session:  # nothing reads on
        session.execute("DROP TABLE t")
    assert leaks(database) == []


def test_a_lost_session_is_rolled_back_and_its_connection_returns(
    database: Database, clock: ManualClock
) -> None:
    with database.transaction() as session:
        session.execute("CREATE TABLE t (i int)")
    importer = Importer(database)
    importer.begin()
    importer.session.execute("INSERT INTO t VALUES (1)")
    clock.advance(5.0)
    del importer
    gc.collect()
    until(lambda: database.pool.in_use == 0)
    with database.session() as session:
        assert session.execute("SELECT count(*) FROM t").scalar() == 0
    report = database.pool.report()
    assert report.leaked == 1
    (leak,) = report.leaks
    assert (leak.name, leak.lost) == ("import", True)
    assert leak.stack[0].endswith(" begin")
    clock.advance(100.0)
    assert leaks(database) == []


Work = Callable[[AsyncDatabase, asyncio.Event], Coroutine[None, None, None]]


async def by_hand(database: AsyncDatabase, written: asyncio.Event) -> None:
    held = database.transaction(name="import")
    session = await held.__aenter__()
    await session.execute("INSERT INTO t VALUES (1)")
    written.set()


async def block(database: AsyncDatabase, written: asyncio.Event) -> None:
    async with database.transaction(name="import") as session:
        await session.execute("INSERT INTO t VALUES (1)")
        written.set()
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("work", [by_hand, block])
@pytest.mark.parametrize("lock", ["pool", "statistics"])
def test_a_session_that_a_task_lost_is_rolled_back_and_told(
    database: Database, work: Work, lock: str
) -> None:
    with database.transaction() as session:
        session.execute("CREATE TABLE t (i int)")

    async def lose() -> None:
        written = asyncio.Event()
        lost = asyncio.create_task(work(AsyncDatabase(database), written))
        await written.wait()
        del lost

    def collect() -> None:
        with locked:  # as when an allocation under it starts a collection
            gc.collect()

    locked = database.pool._lock if lock == "pool" else database.executor.statistics._lock
    loop = asyncio.new_event_loop()
    loop.run_until_complete(lose())
    loop.close()

    def returned() -> bool:  # the thread that ran the INSERT may hold the task for a moment more
        thread = in_thread(collect)
        thread.join(10.0)
        assert not thread.is_alive()
        return database.pool.in_use == 0

    until(returned)
    with database.session() as session:
        assert session.execute("SELECT count(*) FROM t").scalar() == 0
    (leak,) = database.pool.report().leaks
    assert (leak.name, leak.lost) == ("import", True)
    assert leak.stack[0].endswith(f" {work.__name__}")


def test_collecting_while_the_pool_is_locked_blocks_nobody(database: Database) -> None:
    """The garbage collector may run anywhere, so a lost session is ended elsewhere."""
    importer = Importer(database)
    importer.begin()
    done = threading.Event()

    def collect() -> None:
        nonlocal importer
        with database.pool._lock:
            del importer
            gc.collect()
        done.set()

    threading.Thread(target=collect, daemon=True).start()
    assert done.wait(30)
    until(lambda: database.pool.in_use == 0)


def test_an_ordinary_end_is_no_leak(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        _ = 1 / 0
    with database.session() as session:
        session.execute("SELECT 1")
    report = database.pool.report()
    assert (report.leaked, report.leaks, database.pool.in_use) == (0, [], 0)


def test_who_waits_in_vain_is_told_where_the_connections_were_taken(database: Database) -> None:
    with (
        database.session(name="a"),
        database.session(name="b"),
        pytest.raises(PoolTimeoutError, match=r"a for 0.0 s \(taken at access/test_leak.py:\d+"),
    ):
        database.pool.acquire("c", wait_seconds=0)
