"""N+1 as the application's side sees it: an operation that runs once for each row of another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path

import pytest

from homeostat.access import AsyncDatabase, Caller, Database, Operation
from homeostat.access.protocol import RepeatReport

ROWS = 40
LIST = Operation("list", "SELECT id FROM item ORDER BY id LIMIT :most", ("most",))
GET = Operation("get", "SELECT text FROM item WHERE id = :id", ("id",))
RENAME = Operation(
    "rename", "UPDATE item SET text = 'new' WHERE id <= :most", ("most",), write=True
)
PARTS = Operation("parts", "SELECT id FROM item WHERE id > :id LIMIT 12", ("id",))
ANN, BOB = Caller(user="ann"), Caller(user="bob")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "app.db", agent=None, create=True) as one:
        with one.transaction() as session:
            session.execute("CREATE TABLE item (id integer PRIMARY KEY, text text)")
            session.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
                "INSERT INTO item SELECT i, 'text' FROM n"
            )
        yield one


def repeats(database: Database) -> dict[tuple[str, str], tuple[int, int]]:
    found: list[RepeatReport] = database.executor.statistics.take_repeats()
    return {(one.operation, one.after): (one.runs, one.calls) for one in found if one.calls}


def get(database: Database, times: int, *, caller: Caller = ANN) -> None:
    for number in range(times):
        database.execute(GET, {"id": number}, caller=caller)


def request(work: Callable[[], object]) -> None:
    """Do something as a server does: in a context of its own, of which nothing is left."""
    copy_context().run(work)


def page(database: Database, *, times: int = ROWS, caller: Caller = ANN) -> None:
    database.execute(LIST, {"most": ROWS}, caller=ANN)
    get(database, times, caller=caller)


def test_calls_for_each_row_of_a_list_are_counted(database: Database) -> None:
    for _ in range(3):
        request(lambda: page(database))
    assert repeats(database) == {("get", "list"): (3, 3 * ROWS)}
    assert repeats(database) == {}, "told once"


def test_calls_are_counted_when_no_more_can_follow(database: Database) -> None:
    for _ in range(3):  # one after the other in the same thread
        page(database)
    assert repeats(database) == {("get", "list"): (2, 2 * ROWS)}
    get(database, 1)
    assert repeats(database) == {}, "it goes on"
    database.execute(LIST, {"most": ROWS}, caller=ANN)
    assert repeats(database) == {}, "more than the list had rows"


def test_other_calls_in_between_do_not_hide_them(database: Database) -> None:
    def work() -> None:
        database.execute(LIST, {"most": ROWS}, caller=ANN)
        for number in range(ROWS):
            get(database, 1)
            with database.transaction(write=False, caller=ANN, name="touch") as session:
                session.execute(GET, {"id": number})

    request(work)
    assert repeats(database) == {("get", "list"): (1, ROWS), ("touch", "list"): (1, ROWS)}


def test_a_list_for_each_row_of_a_list_is_counted(database: Database) -> None:
    def work() -> None:
        for _ in range(2):
            database.execute(LIST, {"most": ROWS}, caller=ANN)
            for number in range(ROWS):
                database.execute(PARTS, {"id": number}, caller=ANN)

    request(work)
    assert repeats(database) == {("parts", "list"): (2, 2 * ROWS)}


def test_what_only_looks_alike_is_not_counted(database: Database) -> None:
    def few() -> None:
        database.execute(LIST, {"most": 5}, caller=ANN)
        get(database, 5)

    request(lambda: get(database, 500))
    assert repeats(database) == {}, "over and over, and no list"
    request(lambda: page(database, times=ROWS // 2 - 1))
    assert repeats(database) == {}, "a few of a list"
    request(lambda: page(database, times=3 * ROWS))
    assert repeats(database) == {}, "more than the list has rows"
    request(lambda: page(database, caller=BOB))
    assert repeats(database) == {}, "somebody else's"
    request(few)
    assert repeats(database) == {}, "too few to matter"


def test_changed_rows_are_not_a_list(database: Database) -> None:
    def work() -> None:
        database.execute(RENAME, {"most": ROWS}, caller=ANN)
        get(database, ROWS)
        with database.transaction(caller=ANN, name="renaming") as session:
            session.execute(RENAME, {"most": ROWS})
        get(database, ROWS)

    request(work)
    assert repeats(database) == {}


def test_requests_do_not_follow_what_their_server_read_when_it_started(database: Database) -> None:
    async def run() -> None:
        shared = AsyncDatabase(database)
        await shared.execute(LIST, {"most": ROWS}, caller=ANN)
        started = copy_context()  # in which the event loop begins the task of each request
        for _ in range(3):
            for number in range(ROWS):
                call = shared.execute(GET, {"id": number}, caller=ANN)
                await asyncio.create_task(call, context=started.copy())
            await shared.execute(LIST, {"most": ROWS}, caller=ANN)  # has it changed?

    asyncio.run(run())
    assert repeats(database) == {}


def test_tasks_that_one_task_starts_for_each_row_are_counted_and_others_are_not(
    database: Database,
) -> None:
    async def run() -> None:
        shared = AsyncDatabase(database)

        async def request() -> None:
            await shared.execute(LIST, {"most": ROWS}, caller=ANN)
            calls = [shared.execute(GET, {"id": n}, caller=ANN) for n in range(ROWS)]
            await asyncio.gather(*calls)

        async def other() -> None:
            for number in range(ROWS):
                await shared.execute(GET, {"id": number}, caller=ANN)

        await asyncio.gather(request(), other())

    asyncio.run(run())
    assert repeats(database) == {("get", "list"): (1, ROWS)}
