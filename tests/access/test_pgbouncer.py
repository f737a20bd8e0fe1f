"""The data path through a real PgBouncer in transaction mode, with fewer connections than callers.

Whatever is set or prepared outside a transaction would be found by another client there.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from homeostat.access import AsyncDatabase, Caller, Database, ExecutionSettings, Operation
from homeostat.access.connector import ServerConnector
from homeostat.driver import postgres
from homeostat.errors import DatabaseLockedError, DeadlineExceededError, HomeostatError
from tests.access.helpers import in_thread, until
from tests.pgbouncer import PgBouncer, running_pgbouncer
from tests.servers import PostgresServer

ADD = Operation("note.add", "INSERT INTO note (text) VALUES (:text)", ("text",), write=True)
COUNT = Operation("note.count", "SELECT count(*) FROM note")
TOLD = Operation("told", "SELECT current_setting('homeostat.user', true)")
PREPARED = Operation("prepared", "SELECT count(*) FROM pg_prepared_statements")
PAGES = Operation("note.page", "SELECT id, text FROM note", order=("id",))
OPERATIONS = [ADD, COUNT, TOLD, PREPARED, PAGES]
ANA = Caller(user="ana")


@pytest.fixture(scope="module")
def pooler(pg_server: PostgresServer) -> Iterator[PgBouncer]:
    """Run a PgBouncer that has two connections to each database."""
    with running_pgbouncer(pg_server, database="pool_size=2") as one:
        yield one


@pytest.fixture
def url(pooler: PgBouncer, pg_database: str) -> str:
    """Return the URL through the pooler of a database with a table."""
    wire = postgres.connect(pg_database)
    wire.execute("CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                 "text text)")  # fmt: skip
    wire.close()
    return pooler.url(pg_database)


def opened(url: str, **more: object) -> Database:
    return Database.open(url, agent=None, operations=OPERATIONS, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def preparing(pg_server: PostgresServer) -> Iterator[PgBouncer]:
    """Run one that keeps the prepared statements of its clients apart."""
    with running_pgbouncer(
        pg_server, newest=True, database="pool_size=2", max_prepared_statements="50"
    ) as one:
        yield one


def prepared(database: Database) -> object:
    """Return how many statements a server connection has prepared, after asking often enough."""
    return [database.execute("prepared").scalar() for _ in range(8)][-1]


@pytest.mark.slow
def test_statements_are_prepared_through_a_pooler_that_keeps_them(
    preparing: PgBouncer, url: str, pg_database: str, pg_server: PostgresServer
) -> None:
    """They outlive what takes them away: other servers, DISCARD ALL, eviction, a deploy."""
    assert url
    name = pg_database.rsplit("/", 1)[1]
    star = Operation("star", "SELECT * FROM note")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    end += f"WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    with opened(preparing.url(pg_database), pool=4, prepare=True) as database:

        def call(number: int) -> None:
            for _ in range(12):
                database.execute("note.add", {"text": str(number)})
                assert len(database.execute(star).columns) in {2, 3}

        def many() -> None:
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(call, range(4)))
            assert prepared(database)

        many()
        pg_server.execute(end)
        many()
        preparing.command("RECONNECT")
        many()
        for word in ("DISCARD ALL", "DEALLOCATE ALL"):
            with database.session() as held:
                held.execute(word)
            many()
        for number in range(120):  # more than psycopg and the pooler keep
            for _ in range(6):
                database.execute(Operation("some", f"SELECT {number}"))
        pg_server.execute("ALTER TABLE note ADD COLUMN more text", database=name)
        many()
        preparing.restart()
        many()
        assert database.execute("note.count").scalar() == 7 * 4 * 12
        assert database.pool.in_use == 0


def test_more_callers_than_connections_share_statements_without_preparing(url: str) -> None:
    with opened(url, pool=8) as database:

        def call(number: int) -> None:
            for _ in range(12):  # psycopg prepares from the fifth use on
                database.execute("note.add", {"text": str(number)})
                database.execute("note.count")

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(call, range(8)))
        assert database.execute("note.count").scalar() == 96
        assert database.execute("prepared").scalar() == 0
        assert database.pool.in_use == 0


@pytest.mark.parametrize(("prepare", "found"), [(None, True), (True, True), (False, False)])
def test_directly_statements_are_prepared_unless_told_not_to(
    pg_database: str, *, prepare: bool | None, found: bool
) -> None:
    with Database.open(pg_database, agent=None, pool=1, prepare=prepare) as database:
        for _ in range(10):
            count = database.execute(PREPARED).scalar()
        assert bool(count) is found


def test_a_pooler_is_seen_whether_it_refuses_settings_or_ignores_them(
    pg_server: PostgresServer, pg_database: str, url: str
) -> None:
    def seen(address: str) -> bool:
        connector = ServerConnector(address, "shop", 5000, None)
        connector().close()
        return connector.pooled

    with running_pgbouncer(pg_server, ignore_startup_parameters="options") as silent:
        assert [seen(one) for one in (pg_database, url, silent.url(pg_database))] == [
            False, True, True,
        ]  # fmt: skip


def test_the_caller_is_told_to_its_own_transaction_only(url: str) -> None:
    settings = ExecutionSettings(announce_caller=True)
    with opened(url, pool=4, planner=lambda *_: settings) as one, opened(url, pool=4) as other:
        for _ in range(4):  # every connection that the pooler has, at least once
            assert one.execute("told", caller=ANA).scalar() == "ana"
            with one.transaction(caller=ANA) as held:
                assert held.execute(TOLD).scalar() == "ana"
                assert other.execute("told").scalar() in {None, ""}
            assert other.execute("told").scalar() in {None, ""}


def test_a_transaction_waits_for_locks_as_long_as_told_and_leaves_no_setting(url: str) -> None:
    with opened(url, pool=2, lock_wait_ms=50) as database, opened(url, pool=1) as other:
        with database.transaction(name="holder") as holder:
            holder.execute("LOCK TABLE note")
            with pytest.raises(DatabaseLockedError), database.transaction() as waiting:
                waiting.execute(COUNT)
        for _ in range(4):
            assert other.execute(Operation("x", "SHOW lock_timeout")).scalar() == "0"


def test_pages_streams_batches_and_savepoints(url: str) -> None:
    with opened(url, pool=3) as database:
        rows = [{"text": str(number)} for number in range(700)]
        assert database.write_many("note.add", rows) == 700
        assert len(list(database.stream(PAGES, size=100))) == 700
        after, seen = None, 0
        while True:
            page = database.page("note.page", after=after, size=150)
            seen += len(page.rows.rows)
            after = page.after
            if after is None:
                break
        assert seen == 700
        with database.transaction() as held:
            held.execute(ADD, {"text": "kept"})
            with contextlib.suppress(ZeroDivisionError), held.savepoint():
                held.execute(ADD, {"text": "gone"})
                raise ZeroDivisionError
        assert database.execute("note.count").scalar() == 701


def test_a_deadline_stops_the_statement_on_the_server(url: str, pg_server: PostgresServer) -> None:
    settings = ExecutionSettings(deadline_ms=150)
    name = url.rsplit("/", 1)[1]
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%sleep(30%' "
        f"AND datname = '{name}' AND pid <> pg_backend_pid()"
    )
    with opened(url, pool=2, planner=lambda *_: settings) as database:
        with pytest.raises(DeadlineExceededError):
            database.execute(Operation("sleep", "SELECT pg_sleep(30)"))
        until(lambda: pg_server.execute(running) == [(0,)])
        assert database.execute("note.count").scalar() == 0
        assert database.pool.in_use == 0


def test_a_key_writes_once_however_many_ask_at_once(url: str, pg_server: PostgresServer) -> None:
    async def story() -> None:
        database = await AsyncDatabase.open(url, agent=None, operations=OPERATIONS, pool=8)
        database.core.prepare_idempotency()
        given = await asyncio.gather(
            *(database.execute("note.add", {"text": "a"}, idempotency_key="k") for _ in range(20))
        )
        assert {one.changed for one in given} == {1}
        assert (await database.execute("note.count")).scalar() == 1
        await database.close()

    asyncio.run(asyncio.wait_for(story(), 30))
    assert pg_server.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


class Writer:
    """Writes with keys until it is stopped, again with the same key after an error."""

    def __init__(self, database: Database, name: str) -> None:
        self.acknowledged: list[str] = []
        self.errors: list[HomeostatError] = []
        self.stop = threading.Event()
        self._database = database
        self._name = name

    def run(self) -> None:
        """Write."""
        number = 0
        while not self.stop.wait(0.001):
            text = f"{self._name}-{number}"
            try:
                self._database.execute("note.add", {"text": text}, idempotency_key=text)
            except HomeostatError as error:
                self.errors.append(error)
                continue
            self.acknowledged.append(text)
            number += 1


@pytest.mark.slow
def test_a_restart_of_the_pooler_loses_nothing_and_writes_nothing_twice(
    pg_server: PostgresServer, pg_database: str, url: str
) -> None:
    assert url
    with (
        running_pgbouncer(pg_server, database="pool_size=2") as own,
        opened(own.url(pg_database), pool=4) as database,
    ):
        database.prepare_idempotency()
        writers = [Writer(database, f"writer-{number}") for number in range(4)]
        threads = [in_thread(writer.run) for writer in writers]
        for _ in range(3):
            before = [len(one.acknowledged) for one in writers]
            until(lambda b=before: all(  # type: ignore[misc]
                len(one.acknowledged) > n + 20 for one, n in zip(writers, b, strict=True)
            ), seconds=20)  # fmt: skip
            own.restart()
        for writer in writers:
            writer.stop.set()
        for thread in threads:
            thread.join(20)
        assert database.pool.in_use == 0
        with database.session() as session:
            found = session.execute("SELECT text, count(*) FROM note GROUP BY text").rows
        assert {n for _, n in found} == {1}, "a write happened twice with its key"
        acknowledged = {text for writer in writers for text in writer.acknowledged}
        assert acknowledged <= {text for text, _ in found}, "an acknowledged write is lost"
        kinds = {type(error).__name__ for writer in writers for error in writer.errors}
        assert kinds <= {"ServerUnreachableError", "ConnectionLostError", "CommitUnknownError"}
