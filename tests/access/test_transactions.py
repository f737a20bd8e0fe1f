"""Transactions on both engines: one moment, savepoints, running again, and keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from homeostat.access import AsyncDatabase, AsyncSession, Database, Operation, Session
from homeostat.driver import postgres
from homeostat.errors import (
    AccessError,
    CommitUnknownError,
    ConstraintError,
    HomeostatError,
    IdempotencyKeyReusedError,
    IdempotencyNotPreparedError,
    SerializationError,
    StatementError,
)
from tests.access.helpers import in_thread, until
from tests.servers import PostgresServer, Proxy

ADD = Operation(
    "note.add",
    "INSERT INTO note (text) VALUES (:text) RETURNING text",
    ("text",),
    write=True,
)
COUNT = Operation("note.count", "SELECT count(*) FROM note")


def prepared(url: str) -> str:
    wire = postgres.connect(url)
    wire.execute(
        "CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)"
    )
    wire.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("file"))
    return prepared(request.getfixturevalue("pg_database"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database.open(url, agent=None, operations=[ADD, COUNT], pool=8) as one:
        yield one


def notes(database: Database) -> object:
    return database.execute("note.count").scalar()


def test_a_reading_transaction_sees_one_moment(database: Database) -> None:
    with database.transaction(write=False) as held:
        assert held.execute(COUNT).scalar() == 0
        database.execute("note.add", {"text": "later"})
        assert held.execute(COUNT).scalar() == 0
    assert notes(database) == 1


def fail(held: Session) -> None:
    with held.savepoint():
        held.execute(ADD, {"text": "gone"})
        held.execute("INSERT INTO note (id, nothing) VALUES (1, 2)")


def test_a_savepoint_undoes_its_own_part_only(database: Database) -> None:
    with database.transaction() as held:
        held.execute(ADD, {"text": "before"})
        with held.savepoint():
            held.execute(ADD, {"text": "inside"})
            with pytest.raises(StatementError):
                fail(held)
            held.execute(ADD, {"text": "still inside"})
        held.execute(ADD, {"text": "after"})
    assert notes(database) == 4


def test_a_savepoint_needs_a_transaction(database: Database) -> None:
    with (
        database.session() as held,
        pytest.raises(StatementError, match="needs a transaction"),
        held.savepoint(),
    ):
        pass


@pytest.mark.parametrize("sql", ["COMMIT", " -- done\nrollback", "/* so */ END", "ABORT"])
def test_plain_sql_cannot_end_the_transaction_around_it(database: Database, sql: str) -> None:
    def work(held: Session) -> None:
        held.execute(ADD, {"text": "undone"})
        held.execute(sql)

    with pytest.raises(StatementError, match="Leave the block"):
        database.run(work)
    assert notes(database) == 0


def test_plain_savepoints_may_be_used(database: Database) -> None:
    with database.transaction(name="note.some") as held:
        held.execute("SAVEPOINT mine")
        held.execute(ADD, {"text": "undone"})
        held.execute("ROLLBACK TO mine")
    assert notes(database) == 0


def test_who_loses_a_race_runs_again(database: Database) -> None:
    """Ten threads add one to a number that each has read before."""
    database.execute("note.add", {"text": "0"})

    def bump(held: Session) -> None:
        number = int(str(held.execute("SELECT text FROM note").scalar()))
        held.execute("UPDATE note SET text = :text", {"text": str(number + 1)})

    def work() -> None:
        for _ in range(5):
            database.run(bump, isolation="SERIALIZABLE", retries=100)

    threads = [in_thread(work) for _ in range(10)]
    for thread in threads:
        thread.join(60)
    with database.session() as held:
        assert held.execute("SELECT text FROM note").scalar() == "50"


def test_what_cannot_succeed_is_not_run_again(database: Database) -> None:
    runs = []

    def work(held: Session) -> None:
        runs.append(1)
        held.execute("SELECT * FROM nothing_of_this_name")

    with pytest.raises(StatementError):
        database.run(work)
    assert len(runs) == 1
    assert database.pool.in_use == 0


def test_retries_end(database: Database) -> None:
    runs = []

    def work(_held: Session) -> None:
        runs.append(1)
        raise SerializationError

    with pytest.raises(SerializationError):
        database.run(work, retries=3)
    assert len(runs) == 4


def test_a_key_makes_a_write_happen_once(database: Database) -> None:
    with pytest.raises(IdempotencyNotPreparedError, match="prepare_idempotency"):
        database.execute("note.add", {"text": "a"}, idempotency_key="k1")
    database.prepare_idempotency()
    database.prepare_idempotency()
    first = database.execute("note.add", {"text": "a"}, idempotency_key="k1")
    again = database.execute("note.add", {"text": "a"}, idempotency_key="k1")
    assert first == again
    assert first.rows == [("a",)]
    assert notes(database) == 1
    database.execute("note.add", {"text": "a"}, idempotency_key="k2")
    assert notes(database) == 2
    with pytest.raises(IdempotencyKeyReusedError, match="k1"):
        database.execute("note.add", {"text": "b"}, idempotency_key="k1")
    assert notes(database) == 2


def test_a_write_that_failed_leaves_its_key_free(database: Database) -> None:
    database.prepare_idempotency()

    def work(held: Session) -> str:
        held.execute(ADD, {"text": "a"})
        if not tried:
            tried.append(1)
            raise ConstraintError
        return "done"

    tried: list[int] = []
    with pytest.raises(ConstraintError):
        database.run(work, idempotency_key="k")
    assert notes(database) == 0
    assert database.run(work, idempotency_key="k") == "done"
    assert database.run(work, idempotency_key="k") == "done"
    assert notes(database) == 1


def test_many_at_once_with_one_key_write_once(database: Database) -> None:
    database.prepare_idempotency()
    given: list[object] = []

    def work() -> None:
        given.append(database.execute("note.add", {"text": "a"}, idempotency_key="k").rows)

    threads = [in_thread(work) for _ in range(8)]
    for thread in threads:
        thread.join(30)
    assert given == [[("a",)]] * 8
    assert notes(database) == 1


def test_old_keys_are_forgotten(database: Database) -> None:
    database.prepare_idempotency()
    database.execute("note.add", {"text": "a"}, idempotency_key="k")
    assert database.forget_idempotency_keys(older_than_seconds=3600) == 0
    assert database.forget_idempotency_keys(older_than_seconds=-1) == 1
    database.execute("note.add", {"text": "a"}, idempotency_key="k")
    assert notes(database) == 2


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_has_a_sensible_length(database: Database, key: str) -> None:
    database.prepare_idempotency()
    with pytest.raises(AccessError, match="1 to 200 characters"):
        database.execute("note.add", {"text": "a"}, idempotency_key=key)


SLOW_COMMIT = (
    (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$"
    ),
    (
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION slow()"
    ),
)
COMMITTING = "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'"


def lose_the_answer(near: Database, proxy: Proxy) -> threading.Thread:
    """Let the next commit through the proxy happen, and cut the connection before it is told."""
    before = notes(near)

    def lose() -> None:
        with near.session() as looking:
            until(lambda: looking.execute(COMMITTING).scalar() == 1, seconds=20)
            proxy.freeze("down")
            until(lambda: looking.execute(COUNT).scalar() != before, seconds=20)
        proxy.cut()
        proxy.thaw()

    return in_thread(lose)


def test_a_commit_whose_answer_is_lost_is_made_once_with_a_key(
    pg_server: PostgresServer, pg_database: str, pg_proxy: Proxy
) -> None:
    url = prepared(pg_database).replace(f":{pg_server.port}/", f":{pg_proxy.port}/")
    with (
        Database.open(url, agent=None, operations=[ADD, COUNT], pool=1) as far,
        Database.open(pg_database, agent=None, operations=[ADD, COUNT], pool=2) as near,
    ):
        near.prepare_idempotency()
        with near.session() as session:
            for statement in SLOW_COMMIT:
                session.execute(statement)
        losing = lose_the_answer(near, pg_proxy)
        assert far.execute("note.add", {"text": "a"}, idempotency_key="k").rows == [("a",)]
        losing.join(20)
        assert notes(near) == 1
        losing = lose_the_answer(near, pg_proxy)
        with pytest.raises(CommitUnknownError):
            far.run(lambda held: held.execute(ADD, {"text": "b"}))
        losing.join(20)
        assert notes(near) == 2
        assert far.pool.in_use == 0


async def add_later(held: AsyncSession) -> list[object]:
    rows = await held.execute(ADD, {"text": "later"})
    return [row[0] for row in rows.rows]


async def fail_later(held: AsyncSession) -> None:
    async with held.savepoint():
        await held.execute(ADD, {"text": "gone"})
        await held.execute("SELECT * FROM nothing_of_this_name")


def test_the_same_from_asyncio(url: str) -> None:
    async def story() -> None:
        async with await AsyncDatabase.open(
            url, agent=None, operations=[ADD, COUNT], pool=2
        ) as database:
            await database.prepare_idempotency()
            given = await asyncio.gather(
                *(
                    database.execute("note.add", {"text": "a"}, idempotency_key="k")
                    for _ in range(10)
                )
            )
            assert {tuple(rows.rows) for rows in given} == {(("a",),)}
            assert (await database.execute("note.count")).scalar() == 1
            async with database.transaction() as held:
                with pytest.raises(HomeostatError):
                    await fail_later(held)
                await held.execute(ADD, {"text": "kept"})
            assert (await database.execute("note.count")).scalar() == 2
            for _ in range(2):
                assert await database.run(add_later, idempotency_key="r", request=1) == ["later"]
            with pytest.raises(IdempotencyKeyReusedError):
                await database.run(add_later, idempotency_key="r", request=2)
            assert (await database.execute("note.count")).scalar() == 3
            assert await database.forget_idempotency_keys(older_than_seconds=-1) == 2
            assert database.pool.in_use == 0

    asyncio.run(asyncio.wait_for(story(), 30))
