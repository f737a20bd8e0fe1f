"""The asyncio form, on both engines: right results, many waiters on few threads, cancelling."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from homeostat.access import AsyncDatabase, Caller, ExecutionSettings, Operation
from homeostat.access.async_session import AsyncSession
from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Rows
from homeostat.errors import (
    AccessError,
    ConstraintError,
    DatabaseLockedError,
    DeadlineExceededError,
    PoolClosedError,
    PoolTimeoutError,
)

ADD = Operation("note.add", "INSERT INTO note (text) VALUES (:text)", ("text",), write=True)
COUNT = Operation("note.count", "SELECT count(*) FROM note", expected_ms=0.5)
ALL = Operation("note.all", "SELECT id, text FROM note ORDER BY id")
NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
    "SELECT i FROM n",
    "postgresql": "SELECT generate_series(1, :count::int) AS i",
}
SERIES = Operation("series", NUMBERS, ("count",))
SLOW = Operation(
    "slow",
    {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 3000000000) SELECT count(*) FROM n",
        "postgresql": "SELECT pg_sleep(600)",
    },
)
OPERATIONS = [ADD, COUNT, ALL, SERIES, SLOW]
Opened = Callable[..., "AsyncOpened"]
AsyncOpened = AsyncIterator[AsyncDatabase]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("file"))
    found: str = request.getfixturevalue("pg_database")
    wire = postgres.connect(found)
    wire.execute(
        "CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)"
    )
    wire.close()
    return found


@asynccontextmanager
async def opened(url: str, *, limit: int = 4, **more: object) -> AsyncIterator[AsyncDatabase]:
    database = await AsyncDatabase.open(url, pool=limit, agent=None, operations=OPERATIONS, **more)
    try:
        yield database
    finally:
        await database.close(drain_seconds=5)


def play(url: str, story: Callable[[AsyncDatabase], Awaitable[None]], **more: object) -> None:
    """Run a story on a database; no connection may be left taken."""

    async def run() -> None:
        async with opened(url, **more) as database:  # type: ignore[arg-type]
            await story(database)
            assert database.pool.in_use == 0
            assert database.pool.waiting == 0

    asyncio.run(asyncio.wait_for(run(), 60))


async def count(database: AsyncDatabase) -> int:
    found = (await database.execute("note.count")).scalar()
    assert isinstance(found, int)
    return found


async def failing(database: AsyncDatabase) -> None:
    async with database.transaction() as held:
        await held.execute(ADD, {"text": "three"})
        raise ZeroDivisionError


async def come(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a condition holds; `play` has the deadline."""
    while not condition():  # noqa: ASYNC110  the pool has no event to wait for
        await asyncio.sleep(0)


def test_it_writes_reads_and_rolls_back(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        assert (await database.execute("note.add", {"text": "one"})).changed == 1
        async with database.transaction() as held:
            await held.execute(ADD, {"text": "two"})
            assert (await held.execute("SELECT count(*) FROM note")).scalar() == 2
        with pytest.raises(ZeroDivisionError):
            await failing(database)
        assert await count(database) == 2

    play(url, story)


def test_a_transaction_begins_with_its_first_statement(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        async with database.transaction() as held:
            assert (await database.execute("note.add", {"text": "one"})).changed == 1  # no lock yet
            assert (await held.execute("SELECT count(*) FROM note")).scalar() == 1
        async with database.transaction(write=False) as held:
            await database.execute("note.add", {"text": "two"})
            assert (await held.execute("SELECT count(*) FROM note")).scalar() == 2
            await database.execute("note.add", {"text": "three"})
            assert (await held.execute("SELECT count(*) FROM note")).scalar() == 2
        async with database.transaction():
            pass
        assert await count(database) == 3

    play(url, story)


def test_a_transaction_that_cannot_begin_says_so_at_its_first_statement_and_may_try_again(
    sqlite_path: Path,
) -> None:
    async def story(database: AsyncDatabase) -> None:
        writer = sqlite.connect(sqlite_path)
        try:
            writer.begin(write=True)
            async with database.transaction() as held:
                with pytest.raises(DatabaseLockedError):
                    await held.execute(ADD, {"text": "one"})
                writer.rollback()
                await held.execute(ADD, {"text": "one"})
        finally:
            writer.close()
        assert await count(database) == 1

    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
    wire.close()
    play(str(sqlite_path), story, lock_wait_ms=50.0)


def test_an_error_of_a_statement_leaves_the_connection_usable(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        double = Operation(
            "double", "INSERT INTO note (id, text) VALUES (1, 'x'), (1, 'y')", write=True
        )
        if database.core.dialect == "postgresql":
            double = Operation(
                "double",
                "INSERT INTO note (id, text) OVERRIDING SYSTEM VALUE VALUES (1, 'x'), (1, 'y')",
                write=True,
            )
        for _ in range(3):
            with pytest.raises(ConstraintError):
                await database.execute(double)
        assert await count(database) == 0

    play(url, story, limit=1)


def test_five_hundred_callers_share_eight_connections_and_few_threads(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        await asyncio.gather(*(database.execute("note.add", {"text": str(n)}) for n in range(500)))
        names = [one.name for one in threading.enumerate()]
        assert sum(name.startswith("homeostat-access") for name in names) <= 12
        assert await count(database) == 500

    play(url, story, limit=8)


def test_who_comes_first_is_served_first(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        served: list[int] = []

        async def one(number: int) -> None:
            await database.execute("note.add", {"text": str(number)})
            served.append(number)

        await asyncio.gather(*(one(number) for number in range(50)))
        assert served == sorted(served)

    play(url, story, limit=1)


def test_waiting_gives_up_in_time_and_names_the_holder(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        async with database.session(name="holder"):
            with pytest.raises(PoolTimeoutError) as caught:
                await database.execute("note.all")
            assert caught.value.holders[0][0] == "holder"
        assert (await database.execute("note.all")).rows == []

    def quick(_operation: Operation, _caller: Caller) -> ExecutionSettings:
        return ExecutionSettings(wait_ms=50)

    play(url, story, limit=1, planner=quick)


def test_the_loop_goes_on_while_a_statement_runs(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        running = asyncio.create_task(database.execute("slow"))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    play(url, story)


def test_a_deadline_stops_the_statement(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await database.execute("slow")
        assert time.monotonic() - began < 5
        assert await count(database) == 0

    def quick(operation: Operation, _caller: Caller) -> ExecutionSettings:
        return ExecutionSettings(deadline_ms=100 if operation.name == "slow" else 5000)

    play(url, story, limit=1, planner=quick)


def test_a_read_that_is_not_as_short_as_declared_leaves_the_loop(file: Path) -> None:
    long = Operation("long", SLOW.sql, expected_ms=0.1)

    async def story(database: AsyncDatabase) -> None:
        await count(database)
        began = time.monotonic()
        running = asyncio.create_task(database.execute(long))
        await asyncio.sleep(0)
        assert time.monotonic() - began < 2  # stopped in the loop, and not run there to its end
        await asyncio.sleep(0.05)
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    play(str(file), story)


def moments() -> Iterator[float]:
    """Return when to cancel: after so many seconds; from nothing begun to all done."""
    yield from (n * 0.0001 for n in range(30))
    yield from (0.003 + n * 0.001 for n in range(10))


async def cancelled_after(seconds: float, work: Awaitable[object]) -> bool:
    """Cancel a task after a time; return whether it had ended well by then."""
    task = asyncio.ensure_future(work)
    if seconds:
        await asyncio.sleep(seconds)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


def test_cancelled_at_any_moment_a_write_is_whole_or_not_there(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        acknowledged = 0
        for seconds in moments():
            write = database.execute("note.add", {"text": "x"})
            acknowledged += await cancelled_after(seconds, write)
            assert database.pool.in_use == 0
        assert acknowledged <= await count(database) <= 40

    play(url, story, limit=2)


def test_cancelled_at_any_moment_a_transaction_is_whole_or_not_there(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        async def both() -> None:
            async with database.transaction() as held:
                await held.execute(ADD, {"text": "first"})
                await held.execute(ADD, {"text": "second"})

        acknowledged = 0
        for seconds in moments():
            acknowledged += await cancelled_after(seconds, both())
            assert database.pool.in_use == 0
        found = await count(database)
        assert found % 2 == 0
        assert found // 2 >= acknowledged

    play(url, story, limit=2)


def test_cancelled_while_it_waits_it_leaves_the_queue(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        async with database.session(name="holder"):
            waiting = [asyncio.create_task(database.execute("note.all")) for _ in range(20)]
            await come(lambda: database.pool.waiting == 20)
            for task in waiting[::2]:
                task.cancel()
            await come(lambda: database.pool.waiting == 10)
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(end, asyncio.CancelledError) for end in ends) == 10

    play(url, story, limit=1)


def test_granted_and_cancelled_in_one_turn_the_connection_goes_on(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        for _ in range(50):
            holder = database.pool.acquire("holder")
            first = asyncio.create_task(database.execute("note.all"))
            second = asyncio.create_task(database.execute("note.all"))
            await come(lambda: database.pool.waiting == 2)
            database.pool.release(holder)  # granted to the first, which does not know it yet
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await second

    play(url, story, limit=1)


def test_a_stream_holds_one_batch_and_ends_when_it_is_left(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        seen = [row async for row in database.stream("series", {"count": 2500}, size=100)]
        assert seen == [(n,) for n in range(1, 2501)]
        stream = database.stream("series", {"count": 2_000_000_000}, size=10)
        async for row in stream:
            if row == (25,):
                break
        await stream.aclose()
        assert database.pool.in_use == 0
        assert [row async for row in database.stream("note.all")] == []

    play(url, story, limit=1)


def test_a_blocking_stream_ends_when_it_is_left(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        stream = database.core.stream("series", {"count": 2_000_000_000}, size=7)
        assert [next(stream) for _ in range(20)] == [(n,) for n in range(1, 21)]
        stream.close()
        assert database.pool.in_use == 0

    play(url, story, limit=1)


def test_closing_lets_what_runs_end_and_refuses_the_rest(url: str) -> None:
    async def run() -> None:
        async with opened(url, limit=1) as database:
            async with database.transaction() as held:
                await held.execute(ADD, {"text": "kept"})
                waiting = asyncio.create_task(database.execute("note.all"))
                await come(lambda: database.pool.waiting == 1)
                closing = asyncio.create_task(database.close(drain_seconds=20))
                with pytest.raises(PoolClosedError):
                    await waiting
                await held.execute(ADD, {"text": "also"})
            assert await closing == ()
            with pytest.raises(PoolClosedError):
                await database.execute("note.all")
        async with opened(url) as again:
            assert await count(again) == 2

    asyncio.run(asyncio.wait_for(run(), 60))


def test_tasks_of_one_transaction_take_turns(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        async with database.transaction(name="note.both") as held:
            await asyncio.gather(*(held.execute(ADD, {"text": f"{i}"}) for i in range(8)))
        assert (await database.execute("note.count")).scalar() == 8

    play(url, story)


def test_a_block_that_fails_waits_for_its_other_tasks_and_refuses_what_comes_later(
    url: str,
) -> None:
    async def story(database: AsyncDatabase) -> None:
        async def fail() -> tuple[AsyncSession, asyncio.Task[Rows]]:
            with suppress(ZeroDivisionError):
                async with database.transaction(name="note.both") as held:
                    await held.execute(ADD, {"text": "undone"})
                    slow = asyncio.create_task(held.execute(SERIES, {"count": 200_000}))
                    await asyncio.sleep(0)
                    _ = 1 / 0
            return held, slow

        held, slow = await fail()
        assert slow.done()
        assert len(slow.result().rows) == 200_000
        with pytest.raises(AccessError, match="ended"):
            await held.execute(ADD, {"text": "late"})
        assert (await database.execute("note.count")).scalar() == 0

    play(url, story)


def test_a_block_entered_twice_at_once_is_refused_once(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        async with database.session():
            block = database.transaction(name="note.both")
            entering = asyncio.create_task(block.__aenter__())
            await asyncio.sleep(0)
            with pytest.raises(AccessError, match="entered already"):
                await block.__aenter__()
        await entering
        await block.__aexit__(None, None, None)

    play(url, story, limit=1)


def test_a_block_whose_only_statement_was_given_up_has_nothing_to_commit(file: Path) -> None:
    async def story(database: AsyncDatabase) -> None:
        writer = sqlite.connect(file)
        writer.begin(write=True)
        async with database.transaction(name="note.none") as held:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await held.execute(ADD, {"text": "never"})
        writer.close()
        assert (await database.execute("note.count")).scalar() == 0

    play(str(file), story)


def test_a_session_that_ended_refuses(url: str) -> None:
    async def story(database: AsyncDatabase) -> None:
        async with database.session() as held:
            pass
        with pytest.raises(AccessError, match="has ended"):
            await held.execute("SELECT 1")

    play(url, story)


def test_a_transaction_that_outlives_the_drain_is_rolled_back_and_its_task_ends(url: str) -> None:
    async def run() -> None:
        database = await AsyncDatabase.open(url, agent=None, operations=OPERATIONS)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def late() -> None:
            async with database.transaction() as held:
                await held.execute(ADD, {"text": "late"})
                begun.set()
                await go_on.wait()

        task = asyncio.create_task(late())
        await begun.wait()
        await database.close(drain_seconds=0.05)
        go_on.set()
        await asyncio.wait({task}, timeout=10)
        assert task.done(), "it waits for a thread that is gone"
        task.exception()  # whether its commit came through is told by it
        assert database.pool.in_use == 0

    asyncio.run(asyncio.wait_for(run(), 60))
