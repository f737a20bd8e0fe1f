"""A task that is cancelled at every await of every kind of call, one after the other.

The call is driven by hand: at its n-th pause it is cancelled, once while it waits and once when
what it waited for has just come. Whatever the point: no connection stays taken, nobody waits, and
the data is whole or not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest

from homeostat.access import AsyncDatabase, Caller, ExecutionSettings, Operation
from homeostat.access.async_session import AsyncSession
from homeostat.errors import HomeostatError
from tests.faults.writers import ADD, COUNT

PAGES = Operation("note.page", "SELECT id, text FROM note", order=("id",))
OPERATIONS = [ADD, COUNT, PAGES]
PAUSES_MAX = 60
ANA = Caller(user="ana")
Call = Callable[[AsyncDatabase], Awaitable[object]]


@dataclass
class CancelledAt:
    """An awaitable that is cancelled at one of its pauses.

    Attributes:
        pause: the number of the pause, from 0.
        late: cancel when what it waited for has come, not while it waits.
        reached: whether it came to this pause.
    """

    call: Awaitable[object]
    pause: int
    late: bool
    reached: bool = False

    def __await__(self) -> Generator[Any, Any, object]:
        inner = self.call.__await__()
        number = 0
        try:
            waits = next(inner)
            while True:
                if number == self.pause and not self.late:
                    self.reached = True
                    if isinstance(waits, asyncio.Future):
                        waits.cancel()
                    waits = inner.throw(asyncio.CancelledError())
                else:
                    came = yield waits
                    if number == self.pause:
                        self.reached = True
                        waits = inner.throw(asyncio.CancelledError())
                    else:
                        waits = inner.send(came)
                number += 1
        except StopIteration as end:
            return end.value


async def write(database: AsyncDatabase) -> None:
    await database.execute("note.add", {"text": "a"})


async def told(database: AsyncDatabase) -> None:
    await database.execute("note.add", {"text": "a"}, caller=ANA)


async def read(database: AsyncDatabase) -> None:
    await database.execute("note.count")


async def both(held: AsyncSession) -> None:
    await held.execute(ADD, {"text": "one of two"})
    await held.execute(ADD, {"text": "two of two"})


async def transaction(database: AsyncDatabase) -> None:
    async with database.transaction() as held:
        await both(held)


async def again(database: AsyncDatabase) -> None:
    await database.run(both)


async def savepoint(database: AsyncDatabase) -> None:
    async with database.transaction() as held:
        await held.execute(ADD, {"text": "one of two"})
        async with held.savepoint():
            await held.execute(ADD, {"text": "two of two"})


async def session(database: AsyncDatabase) -> None:
    async with database.session() as held:
        await held.execute("SELECT 1")


async def stream(database: AsyncDatabase) -> None:
    async for _ in database.stream("note.page", size=2):
        pass


async def page(database: AsyncDatabase) -> None:
    await database.page("note.page", size=2)


async def load(database: AsyncDatabase) -> None:
    await database.load("note.page", relations_of=())


async def many(database: AsyncDatabase) -> None:
    rows = [{"text": "one of two"}, {"text": "two of two"}]
    await database.write_many("note.add", rows)


CALLS = [write, told, read, transaction, again, savepoint, session, stream, page, load, many]


async def at_every_pause(
    database: AsyncDatabase, call: Call, check: Callable[[bool], Awaitable[None]]
) -> int:
    """Make a call again and again, cancelled at each pause; return how many pauses it has."""
    for pause in range(PAUSES_MAX):
        for late in (False, True):
            one = CancelledAt(call(database), pause, late)
            ended = True
            try:
                await one
            except asyncio.CancelledError:
                ended = False
            assert (database.pool.in_use, database.pool.waiting) == (0, 0), (pause, late)
            await check(ended)
            if not one.reached:
                assert ended
                return pause
    raise AssertionError("it never came to its end")


async def opened(url: str, call: Call) -> AsyncDatabase:
    settings = ExecutionSettings(announce_caller=call is told)
    return await AsyncDatabase.open(
        url, pool=1, agent=None, operations=OPERATIONS, planner=lambda *_: settings
    )


@pytest.mark.parametrize("call", CALLS)
def test_at_every_await_of(url: str, call: Call) -> None:
    async def story() -> None:
        database = await opened(url, call)
        await database.write_many("note.add", [{"text": "before"} for _ in range(5)])
        done = 0

        async def check(ended: bool) -> None:  # noqa: FBT001
            nonlocal done
            done += ended
            async with database.session() as held:
                rows = await held.execute(
                    "SELECT count(CASE WHEN text = 'one of two' THEN 1 END), "
                    "count(CASE WHEN text = 'two of two' THEN 1 END), "
                    "count(CASE WHEN text = 'a' THEN 1 END) FROM note"
                )
            first, second, single = rows.rows[0]
            assert first == second, "half a transaction is there"
            writes = max(int(str(first)), int(str(single)))
            if call in {read, session, stream, page, load}:
                assert writes == 0
            else:
                assert writes >= done, "an acknowledged write is lost"

        assert await at_every_pause(database, call, check) >= 1
        await database.close(drain_seconds=1)

    asyncio.run(asyncio.wait_for(story(), 60))


def test_at_every_await_of_a_write_with_a_key(url: str) -> None:
    """Whoever was cancelled asks again with the key: each happened once."""

    async def story() -> None:
        database = await opened(url, write)
        keys: list[str] = []

        def next_call(db: AsyncDatabase) -> Awaitable[object]:
            keys.append(f"key {len(keys)}")
            return db.execute("note.add", {"text": keys[-1]}, idempotency_key=keys[-1])

        async def check(ended: bool) -> None:  # noqa: FBT001
            del ended
            await database.execute("note.add", {"text": keys[-1]}, idempotency_key=keys[-1])
            assert (await database.execute("note.count")).scalar() == len(keys)

        await at_every_pause(database, next_call, check)
        await database.close(drain_seconds=1)

    asyncio.run(asyncio.wait_for(story(), 60))


def test_at_every_await_of_opening_and_queueing(url: str) -> None:
    """A connection has to be opened, or another task has the only one."""

    async def story() -> None:
        database = await opened(url, read)

        async def first(db: AsyncDatabase) -> None:
            lease = db.pool.acquire("breaks it")
            lease.wire.close()
            db.pool.release(lease, suspect=True)  # the next call opens one
            await db.execute("note.add", {"text": "a"})

        async def queued(db: AsyncDatabase) -> None:
            async with db.session(name="holder") as held:
                waits = asyncio.ensure_future(db.execute("note.count"))
                await asyncio.sleep(0)
                await held.execute("SELECT 1")
            try:
                await waits
            finally:
                waits.cancel()
                await asyncio.wait({waits})

        async def check(ended: bool) -> None:  # noqa: FBT001
            del ended
            assert database.pool.size <= 1
            assert (await database.execute("note.count")).rows

        for call in (first, queued):
            with_pauses = await at_pauses_that_settle(database, call, check)
            assert with_pauses >= 1
        await database.close(drain_seconds=1)

    asyncio.run(asyncio.wait_for(story(), 60))


async def at_pauses_that_settle(
    database: AsyncDatabase, call: Call, check: Callable[[bool], Awaitable[None]]
) -> int:
    """As `at_every_pause`, where tasks beside the call, or a thread that connects, end later."""
    for pause in range(PAUSES_MAX):
        for late in (False, True):
            one = CancelledAt(call(database), pause, late)
            ended = True
            try:
                await one
            except (asyncio.CancelledError, HomeostatError):
                ended = False
            while (database.pool.in_use, database.pool.waiting) != (0, 0):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await check(ended)
            if not one.reached:
                return pause
    raise AssertionError("it never came to its end")
