"""A deadline that passes in every phase of a call: the named error, in time, nothing left taken.

Queueing, connecting, beginning, executing, fetching, committing; blocking and from asyncio.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from homeostat.access import AsyncDatabase, Database, ExecutionSettings, Operation
from homeostat.driver import postgres
from homeostat.errors import (
    CommitUnknownError,
    DeadlineExceededError,
    HomeostatError,
    PoolTimeoutError,
    ServerUnreachableError,
)
from tests.faults.writers import ADD, COUNT, LATE, open_wire, prepare
from tests.servers import PostgresServer, Proxy, wait_until

DEADLINE_MS = 250.0
ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000000) "
    "SELECT i FROM n WHERE i % 3000000000 = 2"
)
SLOW = Operation("slow", {"sqlite": ENDLESS, "postgresql": "SELECT pg_sleep(600)"})
SLOW_ROWS = Operation(
    "slow.rows",
    {"sqlite": ENDLESS, "postgresql": "SELECT i, pg_sleep(600) FROM generate_series(1, 9) i"},
)
SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_sleep(4); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION slow();
"""
OPERATIONS = [ADD, COUNT, SLOW, SLOW_ROWS]
Play = Callable[[AsyncDatabase], Awaitable[object]]


def soon(_operation: Operation, _caller: object) -> ExecutionSettings:
    return ExecutionSettings(deadline_ms=DEADLINE_MS)


class Blocking:
    """Makes calls of the blocking form."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def execute(self, name: str) -> None:
        self.database.execute(name)

    def add_in_transaction(self) -> None:
        with self.database.transaction() as held:
            held.execute(ADD, {"text": "a"})

    def stream(self, name: str) -> None:
        for _ in self.database.stream(name, size=1):
            pass


@asynccontextmanager
async def in_loop(core: Database) -> AsyncIterator[AsyncDatabase]:
    """Use an open handle from a loop that ends before it."""
    database = AsyncDatabase(core)
    try:
        yield database
    finally:
        database._threads.close()


class FromLoop:
    """Makes the same calls from an event loop."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def _run(self, play: Play) -> None:
        asyncio.run(asyncio.wait_for(self._play(play), 30))

    async def _play(self, play: Play) -> None:
        async with in_loop(self.database) as database:
            await play(database)

    def execute(self, name: str) -> None:
        self._run(lambda database: database.execute(name))

    def add_in_transaction(self) -> None:
        async def add(database: AsyncDatabase) -> None:
            async with database.transaction() as held:
                await held.execute(ADD, {"text": "a"})

        self._run(add)

    def stream(self, name: str) -> None:
        async def read(database: AsyncDatabase) -> None:
            async for _ in database.stream(name, size=1):
                pass

        self._run(read)


Form = Blocking | FromLoop
FORMS = pytest.mark.parametrize("form", [Blocking, FromLoop])


@contextmanager
def opened(url: str, *, pool: int = 1) -> Iterator[Database]:
    with Database.open(url, pool=pool, agent=None, operations=OPERATIONS, planner=soon) as database:
        yield database
        wait_until(lambda: (database.pool.in_use, database.pool.waiting) == (0, 0))


@contextmanager
def raises(*kinds: type[HomeostatError], within: float = LATE) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(kinds):
        yield
    assert DEADLINE_MS / 1000 - 0.02 <= time.monotonic() - began < within


@FORMS
def test_queueing(url: str, form: type[Form]) -> None:
    with opened(url) as database:
        with database.session(name="holder"), raises(PoolTimeoutError):
            form(database).execute("note.count")
        form(database).execute("note.count")


@FORMS
def test_connecting(
    pg_server: PostgresServer, pg_database: str, pg_proxy: Proxy, form: type[Form]
) -> None:
    prepare(pg_database)
    with opened(pg_database.replace(f":{pg_server.port}/", f":{pg_proxy.port}/")) as database:
        pg_proxy.cut()
        wait_until(lambda: lost(database))
        pg_proxy.freeze("down")
        with raises(ServerUnreachableError, PoolTimeoutError, within=3.0):
            form(database).execute("note.count")
        assert database.pool.size == 1, "the attempt goes on, and counts"
        pg_proxy.thaw()
        wait_until(lambda: works(database))
        assert database.pool.size == 1


def lost(database: Database) -> bool:
    """Return whether the pool has noticed that its connections broke."""
    lease = database.pool.acquire("look")
    try:
        lease.wire.execute("SELECT 1")
    except HomeostatError:
        return True
    finally:
        database.pool.release(lease, suspect=True)
    return False


def works(database: Database) -> bool:
    try:
        return database.execute("note.count").scalar() == 0
    except HomeostatError:
        return False


@FORMS
def test_beginning_while_another_process_has_the_write_lock(
    sqlite_path: Path, form: type[Form]
) -> None:
    prepare(str(sqlite_path))
    holder = open_wire(str(sqlite_path))
    with opened(str(sqlite_path)) as database:
        holder.begin(write=True)
        with raises(DeadlineExceededError, within=4.0):
            form(database).add_in_transaction()
        holder.rollback()
        form(database).add_in_transaction()
    holder.close()


@FORMS
@pytest.mark.parametrize("direction", ["up", pytest.param("down", marks=pytest.mark.long)])
def test_beginning_while_the_network_is_cut(
    pg_server: PostgresServer,
    pg_database: str,
    pg_proxy: Proxy,
    form: type[Form],
    direction: str,
) -> None:
    prepare(pg_database)
    with opened(pg_database.replace(f":{pg_server.port}/", f":{pg_proxy.port}/")) as database:
        pg_proxy.freeze(direction)
        with raises(DeadlineExceededError):
            form(database).add_in_transaction()
        pg_proxy.thaw()
        wait_until(lambda: works(database))


@FORMS
def test_executing(url: str, form: type[Form]) -> None:
    with opened(url) as database:
        with raises(DeadlineExceededError):
            form(database).execute("slow")
        form(database).execute("note.count")


@FORMS
def test_fetching(url: str, form: type[Form]) -> None:
    with opened(url) as database:
        with raises(DeadlineExceededError):
            form(database).stream("slow.rows")
        form(database).execute("note.count")


@pytest.mark.slow
@pytest.mark.parametrize("form", [Blocking, pytest.param(FromLoop, marks=pytest.mark.long)])
def test_committing(pg_database: str, form: type[Form]) -> None:
    """Nothing is cancelled after COMMIT was sent; whoever needs to know uses a key."""
    prepare(pg_database)
    wire = postgres.connect(pg_database)
    wire.execute_script(SLOW_COMMIT)
    with opened(pg_database) as database:
        with raises(CommitUnknownError):
            form(database).add_in_transaction()
        wait_until(lambda: wire.execute(COUNT.sql_for("postgresql")).scalar() == 1, 20)
    wire.close()


def test_a_blocked_loop_delays_the_answer_and_nothing_else(url: str) -> None:
    """While application code blocks the loop, deadlines still stop statements on the server."""

    async def story(core: Database) -> None:
        async with in_loop(core) as database:
            slow = asyncio.create_task(database.execute("slow"))
            await asyncio.sleep(0.05)
            waiting = asyncio.create_task(database.execute("note.count"))
            await asyncio.sleep(0)
            time.sleep(3 * DEADLINE_MS / 1000)  # noqa: ASYNC251  what is tested
            assert running(url) == 0, "it went on past its deadline"
            with pytest.raises(DeadlineExceededError):
                await slow
            with pytest.raises((PoolTimeoutError, DeadlineExceededError)):  # its time has passed
                await waiting
            assert (await database.execute("note.count")).scalar() == 0

    with opened(url) as database:
        asyncio.run(asyncio.wait_for(story(database), 30))


def running(url: str) -> object:
    """Return how many slow statements a server still runs."""
    if "://" not in url:
        return 0
    wire = open_wire(url)
    try:
        return wire.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
            "AND query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
        ).scalar()
    finally:
        wire.close()
