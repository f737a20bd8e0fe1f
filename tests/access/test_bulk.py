"""Pages by key, related rows, and many writes at once, on both engines."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import msgspec
import pytest

from homeostat.access import (
    AsyncDatabase,
    Caller,
    Database,
    ExecutionSettings,
    Operation,
    Relation,
    pages,
)
from homeostat.driver import postgres, sqlite
from homeostat.errors import ConstraintError, PageTokenError, StatementError

TABLES = (
    "CREATE TABLE person (id INTEGER PRIMARY KEY, grade INTEGER NOT NULL, name TEXT NOT NULL)",
    "CREATE TABLE visit (id INTEGER PRIMARY KEY, person INTEGER NOT NULL, place TEXT NOT NULL)",
    "CREATE TABLE photo (id INTEGER PRIMARY KEY, visit INTEGER NOT NULL, file TEXT NOT NULL)",
    "CREATE INDEX person_grade ON person (grade DESC, id)",
)
PHOTOS = Relation("photos", "photo", "id", "visit", columns=("file",), order=("id",))
VISITS = Relation("visits", "visit", "id", "person", order=("id DESC",), relations=(PHOTOS,))
ALL = Operation("person.all", "SELECT id, grade, name FROM person", relations=(VISITS,))
ADD = Operation(
    "person.add",
    "INSERT INTO person (id, grade, name) VALUES (:id, :grade, :name)",
    ("id", "grade", "name"),
    write=True,
)
PEOPLE = 100


def ordered(*order: str) -> Operation:
    return Operation("person.page", "SELECT id, grade, name FROM person", order=order)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        found = str(request.getfixturevalue("sqlite_path"))
        wire: sqlite.SqliteWire | postgres.PostgresWire = sqlite.connect(found)
    else:
        found = request.getfixturevalue("pg_database")
        wire = postgres.connect(found)
    for table in TABLES:
        wire.execute(table)
    wire.close()
    return found


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database.open(url, agent=None, operations=[ALL, ADD]) as one:
        people = [{"id": n, "grade": n % 7, "name": f"p{n % 3}"} for n in range(PEOPLE)]
        assert one.write_many("person.add", people) == PEOPLE
        yield one


def walk(database: Database, operation: Operation, size: int) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    after: str | None = None
    while True:
        page = database.page(operation, after=after, size=size)
        found += page.rows.rows
        assert len(page.rows.rows) == size or not page.has_more
        if page.after is None:
            return found
        after = page.after


@pytest.mark.parametrize("order", [
    ("id",), ("id desc",), ("grade", "id"), ("grade desc", "id"), ("name desc", "grade", "id desc"),
])  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_pages_hold_every_row_once_in_order(
    database: Database, order: tuple[str, ...], size: int
) -> None:
    with database.session() as held:
        text = ", ".join(order)
        want = held.execute(f"SELECT id, grade, name FROM person ORDER BY {text}").rows
    assert walk(database, ordered(*order), size) == list(want)


def test_rows_that_come_and_go_shift_nothing(database: Database) -> None:
    first = database.page(ordered("id"), size=10)
    with database.session() as held:
        held.execute("DELETE FROM person WHERE id < 5")
        held.execute("INSERT INTO person (id, grade, name) VALUES (-1, 0, 'new')")
    second = database.page(ordered("id"), after=first.after, size=10)
    assert [row[0] for row in second.rows.rows] == list(range(10, 20))


def test_a_deep_page_reads_no_more_rows_than_the_first(database: Database) -> None:
    """The plan of a page begins at its key in the index and reads no row before it."""
    operation = ordered("grade desc", "id")
    token = database.page(operation, size=50).after
    assert token is not None
    with database.session() as held:
        explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
        if database.dialect == "postgresql":
            held.execute("SET enable_seqscan = off")
            held.execute("SET enable_bitmapscan = off")
            held.execute("SET enable_sort = off")
        one = pages.paged(operation, database.dialect, size=50, continued=True)
        text = one.sql_for(database.dialect)
        plan = held.execute(explain + text, pages.keys_of(operation, token)).rows
    told = " ".join(str(value) for row in plan for value in row)
    assert "person_grade" in told
    assert ("Index Cond" in told) or ("grade<" in told.replace(" ", ""))
    assert "Sort" not in told
    assert "TEMP B-TREE" not in told


@pytest.mark.parametrize("token", ["", "x", "AAAA", "\u00e9", "W10", "x" * 5000])
def test_a_token_that_is_none_is_refused(database: Database, token: str) -> None:
    with pytest.raises(PageTokenError, match="Begin with the first page"):
        database.page(ordered("id"), after=token)


@pytest.mark.parametrize("size", [0, -1])
def test_a_page_of_no_rows_is_refused(database: Database, size: int) -> None:
    with pytest.raises(StatementError, match="at least 1 row"):
        database.page(ordered("id"), size=size)


def test_a_token_of_another_order_is_refused(database: Database) -> None:
    token = database.page(ordered("id"), size=5).after
    assert token is not None
    with pytest.raises(PageTokenError):
        database.page(ordered("id desc"), after=token)
    mark, values = msgspec.json.decode(base64.urlsafe_b64decode(token + "=="))
    forged = base64.urlsafe_b64encode(msgspec.json.encode([mark, [*values, 1]])).decode()
    with pytest.raises(PageTokenError):
        database.page(ordered("id"), after=forged)


def test_an_operation_without_an_order_has_no_pages(database: Database) -> None:
    with pytest.raises(StatementError, match="declares no order"):
        database.page(ALL)
    with pytest.raises(StatementError, match="is no order"):
        database.page(ordered("id sideways"))


def add_visits(database: Database) -> None:
    with database.transaction() as held:
        for person in range(0, PEOPLE, 2):
            for number in (0, 1):
                visit = {"id": 10 * person + number, "person": person, "place": f"place {number}"}
                held.execute("INSERT INTO visit VALUES (:id, :person, :place)", visit)
                photo = {"id": visit["id"], "visit": visit["id"], "file": f"{visit['id']}.jpg"}
                held.execute("INSERT INTO photo VALUES (:id, :visit, :file)", photo)


def test_related_rows_come_with_one_statement_each(database: Database) -> None:
    add_visits(database)
    database.executor.statistics.take()
    people = database.load("person.all", relations_of=("visits", "visits.photos"))
    calls = {
        name: one.latency.count for (name, _), one in database.executor.statistics.take().items()
    }
    assert calls == {"person.all": 1, "person.all.visits": 1, "person.all.visits.photos": 1}
    by_id = {person["id"]: person for person in people}
    assert by_id[1]["visits"] == []
    assert by_id[4]["visits"] == [
        {"id": 41, "person": 4, "place": "place 1", "photos": [{"visit": 41, "file": "41.jpg"}]},
        {"id": 40, "person": 4, "place": "place 0", "photos": [{"visit": 40, "file": "40.jpg"}]},
    ]


def test_keys_go_in_batches(url: str) -> None:
    settings = ExecutionSettings(batch_size=30, prefetch_depth=1)

    def planner(_operation: Operation, _caller: Caller) -> ExecutionSettings:
        return settings

    with Database.open(url, agent=None, operations=[ALL, ADD], planner=planner) as database:
        people = [{"id": n, "grade": 1, "name": "x"} for n in range(PEOPLE)]
        database.write_many("person.add", people)
        add_visits(database)
        database.executor.statistics.take()
        loaded = database.load("person.all", relations_of=("visits",))
        visits = [one["visits"] for one in loaded]
        assert sum(len(each) for each in visits if isinstance(each, list)) == PEOPLE
        taken = database.executor.statistics.take()
        assert taken["person.all.visits", "none"].latency.count == 4
        with pytest.raises(StatementError, match="settings allow 1"):
            database.load("person.all", relations_of=("visits.photos",))


def test_an_unknown_relation_names_those_there_are(database: Database) -> None:
    with pytest.raises(StatementError, match=r"no relation 'friends'.*visits"):
        database.load("person.all", relations_of=("friends",))


def test_many_writes_are_all_or_none_and_the_error_says_where(database: Database) -> None:
    people = [{"id": 1000 + n, "grade": 1, "name": "x"} for n in range(1200)]
    people.append({"id": 1000, "grade": 1, "name": "twice"})
    with pytest.raises(ConstraintError, match=r"person.add, rows 1000 to 1200"):
        database.write_many("person.add", people)
    with database.session() as held:
        assert held.execute("SELECT count(*) FROM person").scalar() == PEOPLE
    with pytest.raises(StatementError, match="does not write"):
        database.write_many("person.all", [])


def test_the_same_from_asyncio(url: str) -> None:
    async def story() -> None:
        async with await AsyncDatabase.open(url, agent=None, operations=[ALL, ADD]) as database:
            people = [{"id": n, "grade": 1, "name": "x"} for n in range(30)]
            assert await database.write_many("person.add", people) == 30
            with pytest.raises(StatementError, match="does not write"):
                await database.write_many("person.all", people)
            first = await database.page(ordered("id"), size=20)
            second = await database.page(ordered("id"), after=first.after, size=20)
            assert [row[0] for row in second.rows.rows] == list(range(20, 30))
            assert not second.has_more
            loaded = await database.load("person.all", relations_of=("visits",))
            assert [one["visits"] for one in loaded] == [[]] * 30
            assert database.pool.in_use == 0

    asyncio.run(asyncio.wait_for(story(), 30))
