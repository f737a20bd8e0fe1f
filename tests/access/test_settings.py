"""Each knob of ExecutionSettings, as a planner turns it, has an effect that a caller sees."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from homeostat.access import (
    AsyncDatabase,
    Caller,
    Database,
    ExecutionSettings,
    Operation,
    Relation,
    relations,
)
from homeostat.access.relations import Record
from homeostat.access.shape import shaped
from homeostat.clock import ManualClock
from homeostat.driver import postgres, sqlite
from homeostat.errors import (
    BudgetExceededError,
    ConnectionLostError,
    DeadlineExceededError,
    PoolTimeoutError,
    StatementError,
)
from tests.access.helpers import until
from tests.servers import PostgresServer

ADD = Operation("note.add", "INSERT INTO note (text) VALUES (:text)", ("text",), write=True)
BELOW = Relation("below", "note", "id", "id", relations=(Relation("more", "note", "id", "id"),))
ALL = Operation("note.all", "SELECT id, text FROM note", order=("id",), relations=(BELOW,))
LIMITED = Operation(
    "note.some", "SELECT id FROM note ORDER BY id LIMIT :limit", ("limit",), limit="limit"
)
SHORT = Operation("note.short", "SELECT id FROM note", expected_ms=0.5)
TOLD = Operation("told", "SELECT current_setting('homeostat.user', true)")
SLOW = Operation(
    "slow",
    {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 600000000) SELECT count(*) FROM n",
        "postgresql": "SELECT pg_sleep(600)",
    },
)
SINCE = Operation(
    "since",
    {
        "sqlite": "SELECT CAST(:since AS REAL)",
        "postgresql": "SELECT CAST(:since AS double precision)",
    },
    ("since",),
    since="since",
)
TIMED = Operation("note.timed", "SELECT id, text, at FROM note ORDER BY id  -- all", time="at")
WIDE = Operation(
    "note.wide", "SELECT id, text, at FROM note", columns=("id", "text", "at"), order=("id",)
)
TIMES = Relation("times", "note", "id", "id", columns=("text",), time="at")
SLOWLY = Relation("slowly", "slow", "id", "id")
FAMILY = Operation("note.family", "SELECT id FROM note", relations=(TIMES, SLOWLY))
ROWS = 10
START = 1_700_000_000.0
AT = {  # of the row n: n minutes after START
    "sqlite": "datetime(1700000000 + 60 * id, 'unixepoch')",
    "postgresql": "to_timestamp(1700000000 + 60 * id)",
}
SLOW_VIEW = {
    "sqlite": "CREATE VIEW slow AS SELECT id, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
    "SELECT i + 1 FROM n WHERE i < 60000) SELECT max(i) FROM n) AS x FROM note",
    "postgresql": "CREATE VIEW slow AS SELECT id, (SELECT pg_sleep(0.04)::text) AS x FROM note",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        path = tmp_path / "app.db"
        wire = sqlite.connect(path, create=True)
        wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT, at TEXT)")
        wire.close()
        return str(path)
    found: str = request.getfixturevalue("pg_database")
    pg = postgres.connect(found)
    pg.execute("CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text, "
               "at timestamptz)")  # fmt: skip
    pg.close()
    return found


@contextmanager
def planned(url: str, *, pool: int = 1, **knobs: Any) -> Iterator[Database]:
    """Open a database of ten rows whose planner turns these knobs."""
    with Database.open(url, agent=None, operations=[ADD]) as first:
        first.write_many("note.add", [{"text": str(number)} for number in range(ROWS)])
        with first.session() as held:
            held.execute(f"UPDATE note SET at = {AT[first.dialect]}")
    settings = ExecutionSettings(**knobs)
    with Database.open(url, pool=pool, agent=None, planner=lambda *_: settings) as database:
        yield database
        assert database.pool.in_use == 0


def deadline_ms(url: str) -> None:
    with planned(url, deadline_ms=80.0) as database:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            database.execute(SLOW)
        assert time.monotonic() - began < 3


def wait_ms(url: str) -> None:
    with planned(url, wait_ms=50.0) as database, database.session(name="holder"):
        began = time.monotonic()
        with pytest.raises(PoolTimeoutError):
            database.execute(ALL)
        assert time.monotonic() - began < 3


def page_size(url: str) -> None:
    with planned(url, page_size=4) as database:
        page = database.page(ALL)
        assert (len(page.rows.rows), page.has_more) == (4, True)
        assert len(database.execute(LIMITED).rows) == 4
        assert len(database.execute(LIMITED, {"limit": 9}).rows) == 9


def batch_size(url: str) -> None:
    with planned(url, batch_size=4) as database:
        batches = database.executor.stream(ALL, {}, Caller(), None)
        assert [len(batch.rows) for batch in batches] == [4, 4, 2]
        bad = [{"text": str(number)} for number in range(9)] + [{"wrong": 1}]
        with pytest.raises(StatementError, match="rows 8 to 9"):  # it names the batch
            database.write_many(ADD, bad)
        assert len(database.load(ALL, relations_of=["below"])) == ROWS


def rows_max(url: str) -> None:
    with planned(url, rows_max=4) as database:
        with pytest.raises(BudgetExceededError, match="10 rows, rows_max is 4"):
            database.execute(ALL)
        with pytest.raises(BudgetExceededError), database.transaction() as held:
            held.execute(ALL)
        assert len(database.page(ALL, size=9).rows.rows) == 4
        assert len(list(database.stream(ALL))) == ROWS
        asyncio.run(refused_in_a_loop(database))


async def refused_in_a_loop(core: Database) -> None:
    database = AsyncDatabase(core)
    for operation in (ALL, SHORT):
        with pytest.raises(BudgetExceededError):
            await database.execute(operation)
    database._threads.close()


def horizon_seconds(url: str) -> None:
    clock = ManualClock(start=1_000_000.0)
    with planned(url, horizon_seconds=100.0) as database:
        database.executor.clock = clock
        assert database.execute(SINCE).rows == [(999_900.0,)]
        assert database.execute(SINCE, {"since": 5.0}).rows == [(5.0,)]
        with database.transaction(write=False) as held:
            assert held.execute(SINCE).rows == [(999_900.0,)]
    with planned(url) as database:
        assert database.execute(SINCE).rows == [(0.0,)]
        assert len(database.execute(TIMED).rows) == 2 * ROWS
    with planned(url, horizon_seconds=120.0) as database:
        tell(database, START + 60 * ROWS)
        assert [row[0] for row in database.execute(TIMED).rows] == [8, 9, 10, *range(11, 31)]
        tell(database, START + 60 * 30)
        assert [row[0] for row in database.execute(TIMED).rows] == [28, 29, 30]
        with database.transaction(write=False) as held:
            assert [row[0] for row in held.execute(TIMED).rows] == [28, 29, 30]
            (last,) = held.stream(TIMED)
            assert len(last.rows) == 3
        family = database.load(FAMILY, relations_of=["times"])
        assert [one["id"] for one in family if one["times"]] == [28, 29, 30]
        assert len(asyncio.run(timed_in_a_loop(database))) == 3
        tell(database, START + 60 * 31)
        assert [row[0] for row in database.execute(TIMED).rows] == [29, 30]


def tell(database: Database, now: float) -> None:
    database.clock = database.executor.clock = ManualClock(start=now)


async def timed_in_a_loop(core: Database) -> Sequence[tuple[object, ...]]:
    database = AsyncDatabase(core)
    short = dataclasses.replace(TIMED, expected_ms=0.5)
    found, same = await database.execute(TIMED), await database.execute(short)
    database._threads.close()
    assert found.rows == same.rows
    return found.rows


def projection(url: str) -> None:
    """What is left out is not read: an index that holds the rest answers alone."""
    with planned(url, projection=("text", "of another operation"), pool=2) as database:
        with database.session() as held:
            held.execute("CREATE INDEX note_text ON note (text, id)")
        assert database.execute(WIDE).columns == ("id", "text")  # its order is read all the same
        assert database.page(WIDE, size=3).rows.columns == ("id", "text")
        assert database.execute(ALL).columns == ("id", "text")  # declares no columns
        with database.transaction(write=False) as held:
            assert held.execute(WIDE).columns == ("id", "text")
        if database.dialect == "sqlite":
            sql = shaped(WIDE, ExecutionSettings(projection=("text",)), "sqlite").sql_for("sqlite")
            with database.session() as held:
                plan = held.execute(f"EXPLAIN QUERY PLAN {sql} ORDER BY text").rows
            assert "COVERING INDEX note_text" in str(plan)
    with planned(url) as database:
        assert database.execute(WIDE).columns == ("id", "text", "at")


def concurrency(url: str) -> None:
    """Of eight statements of one load, three run at a time, and never more."""
    with planned(url, concurrency=3, batch_size=2, pool=8) as database:
        with database.session() as held:
            held.execute(SLOW_VIEW[database.dialect])
        for load in (load_blocking, load_in_a_loop):
            most: set[int] = set()

            def loaded(load: Load = load, most: set[int] = most) -> bool:
                database.pool.report()
                family = load(database)
                assert len(family) == ROWS
                assert all(one["slowly"] for one in family)
                most.add(database.pool.report().in_use_max)
                return 3 in most

            until(loaded, seconds=30)  # a busy machine may start the third when the first is done
            assert max(most) == 3
    with planned(url, batch_size=2, pool=8) as database:
        for load in (load_blocking, load_in_a_loop):
            database.pool.report()
            assert len(load(database)) == 2 * ROWS
            assert database.pool.report().in_use_max == 1


Load = Callable[[Database], list[Record]]


def load_blocking(database: Database) -> list[Record]:
    return database.load(FAMILY, relations_of=["slowly"])


def load_in_a_loop(core: Database) -> list[Record]:
    async def story() -> list[Record]:
        database = AsyncDatabase(core)
        found = await database.load(FAMILY, relations_of=["slowly"])
        database._threads.close()
        return found

    return asyncio.run(story())


def cache_seconds(url: str) -> None:
    counted = Operation("note.count", "SELECT count(*) FROM note", tables=("note",))
    with planned(url, cache_seconds=60.0) as database, Database.open(url, agent=None) as other:
        assert database.execute(counted).scalar() == ROWS
        other.execute(ADD, {"text": "of another handle"})
        assert database.execute(counted).scalar() == ROWS
    with planned(url) as database:
        assert database.execute(counted).scalar() == 2 * ROWS + 1
        other = Database.open(url, agent=None)
        other.execute(ADD, {"text": "seen at once"})
        other.close()
        assert database.execute(counted).scalar() == 2 * ROWS + 2


def prefetch_depth(url: str) -> None:
    with planned(url, prefetch_depth=1) as database:
        assert len(database.load(ALL, relations_of=["below"])) == ROWS
        with pytest.raises(StatementError, match="2 relations deep; the settings allow 1"):
            database.load(ALL, relations_of=["below.more"])


def retries(url: str, server: PostgresServer) -> None:
    """The read is tried again as often as set after its session was ended."""
    end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' "
    end = end.format(url.rsplit("/", 1)[1]) + "AND application_name = 'application'"
    with planned(url, retries=0) as database:
        assert database.execute(LIMITED).rows
        server.execute(end)
        with pytest.raises(ConnectionLostError):
            database.execute(LIMITED)
    settings = ExecutionSettings(retries=1)
    with Database.open(url, agent=None, planner=lambda *_: settings) as database:
        assert database.execute(LIMITED).rows
        server.execute(end)
        assert database.execute(LIMITED).rows


def announce_caller(url: str) -> None:
    for told, expected in ((True, "ana"), (False, None)):
        with planned(url, announce_caller=told) as database:
            assert database.execute(TOLD, caller=Caller(user="ana")).scalar() == expected


EFFECTS: dict[str, Callable[[str], None]] = {
    one.__name__: one
    for one in (
        deadline_ms,
        wait_ms,
        page_size,
        batch_size,
        rows_max,
        horizon_seconds,
        prefetch_depth,
        projection,
        concurrency,
        cache_seconds,
    )
}


@pytest.mark.parametrize("knob", EFFECTS)
def test_a_knob_has_an_effect(url: str, knob: str) -> None:
    EFFECTS[knob](url)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_knob_has_an_effect_on_a_server(url: str, pg_server: PostgresServer) -> None:
    retries(url, pg_server)
    announce_caller(url)


def test_every_knob_is_here() -> None:
    knobs = {one.name for one in dataclasses.fields(ExecutionSettings) if one.init}
    elsewhere = {"privacy"}  # test_sampling.py
    assert knobs == {*EFFECTS, *elsewhere, "retries", "announce_caller"}


@pytest.mark.parametrize(
    "knobs", [{"concurrency": 0}, {"page_size": 0}, {"retries": -1}, {"privacy": "secret"}]
)
def test_a_knob_without_sense_is_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(knobs))):
        ExecutionSettings(**knobs)


def test_what_a_planner_raises_reaches_the_caller_and_nothing_is_held(url: str) -> None:
    def plan(operation: Operation, _: Caller) -> ExecutionSettings:
        raise LookupError(operation.name)

    with planned(url):
        pass
    with Database.open(url, pool=1, agent=None, planner=plan) as database:
        with pytest.raises(LookupError, match=r"note\.all"):
            database.execute(ALL)
        with pytest.raises(LookupError, match="import"), database.transaction(name="import"):
            pass
        assert database.pool.in_use == 0


def test_a_planner_sees_the_operation_and_the_caller(url: str) -> None:
    def plan(operation: Operation, caller: Caller) -> ExecutionSettings:
        small = caller.segment == "phone" and operation.name == "note.all"
        return ExecutionSettings(page_size=2 if small else 5)

    with planned(url):
        pass
    with Database.open(url, agent=None, planner=plan) as database:
        sizes = [len(database.page(ALL, caller=Caller(segment=s)).rows.rows) for s in ("phone", "")]
        assert sizes == [2, 5]


def test_settings_hold_for_all_that_is_made_of_an_operation(url: str) -> None:
    """The planner sees what the application declared, never what pages and relations become."""
    usual, recent = ExecutionSettings(), ExecutionSettings(horizon_seconds=120.0)
    times = dataclasses.replace(TIMES, columns=("id", "at"))
    timed = dataclasses.replace(
        TIMED, sql="SELECT id, text, at FROM note", order=("id",), relations=(times,)
    )

    def plan(operation: Operation, _: Caller) -> ExecutionSettings:
        return recent if operation.time else usual

    async def in_a_loop(core: Database) -> list[int]:
        database = AsyncDatabase(core)
        page = await database.page(timed)
        loaded = await database.load(timed, relations_of=["times"])
        streamed = [row async for row in database.stream(timed)]
        database._threads.close()
        return [len(page.rows.rows), len(loaded), len(streamed)]

    with planned(url):
        pass
    with Database.open(url, agent=None, planner=plan) as database:
        tell(database, START + 60 * ROWS)
        page, loaded = database.page(timed), database.load(timed, relations_of=["times"])
        found = [len(page.rows.rows), len(loaded), len(list(database.stream(timed)))]
        assert found == asyncio.run(in_a_loop(database)) == [3, 3, 3]
        later = timed.sql_for("sqlite").replace("at FROM", f"{AT[database.dialect]} AS at FROM")
        with database.session() as held:
            held.execute("UPDATE note SET at = NULL WHERE id = 9")
        parents = database.load(dataclasses.replace(timed, sql=later), relations_of=["times"])
        assert [one["id"] for one in parents if not one["times"]] == [9]  # they are bounded too


@pytest.mark.parametrize("form", ["blocking", "asyncio"])
def test_what_load_reads_is_of_one_moment(
    url: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection adds to the related rows when the first statement has been run."""
    again = Relation("again", "note", "id", "id")
    family = Operation("note.family", "SELECT id, text FROM note", relations=(again,))
    answer, loads = relations.answer, {"blocking": load_again, "asyncio": load_again_in_a_loop}

    with planned(url, pool=2) as database, Database.open(url, agent=None) as other:

        def answered(*args: Any) -> None:
            with other.session() as held:
                held.execute("UPDATE note SET text = 'changed'")
            answer(*args)

        monkeypatch.setattr(relations, "answer", answered)
        loaded = loads[form](database, family)
        assert len(loaded) == ROWS
        assert all(one["again"][0]["text"] == one["text"] for one in loaded)


def load_again(database: Database, family: Operation) -> list[Any]:
    return database.load(family, relations_of=["again"])


def load_again_in_a_loop(core: Database, family: Operation) -> list[Any]:
    async def story() -> list[Record]:
        database = AsyncDatabase(core)
        found = await database.load(family, relations_of=["again"])
        database._threads.close()
        return found

    return asyncio.run(story())


def test_a_declared_column_that_does_not_exist_is_an_error(url: str) -> None:
    """SQLite would take its quoted name for a text, and answer with that."""
    wide = Operation("wide", "SELECT * FROM note", columns=("id", "txet", "text"))
    timed = Operation("timed", "SELECT id FROM note", time="made")
    related = dataclasses.replace(ALL, relations=(Relation("below", "note", "id", "id_"),))
    with planned(url, projection=("id", "txet"), horizon_seconds=60.0) as database:
        for operation in (wide, timed):
            with pytest.raises(StatementError, match=r"txet|made"):
                database.execute(operation)
        with pytest.raises(StatementError, match="id_"):
            database.load(related, relations_of=["below"])
        with pytest.raises(StatementError, match="nothing"):
            database.page(dataclasses.replace(ALL, order=("nothing",)))


@pytest.mark.parametrize("end", ["LIMIT :n", "limit 5 -- all", "FETCH FIRST 5 ROWS ONLY"])
def test_rows_cut_by_a_limit_are_not_bounded_after_it(end: str) -> None:
    names = ("n",) if ":n" in end else ()
    text = f"SELECT id, at FROM note WHERE id IN (SELECT id FROM note LIMIT 3) ORDER BY at {end}"
    with pytest.raises(StatementError, match="Declare a `since` parameter instead"):
        Operation("note.last", text, names, time="at")
    assert Operation("note.last", text.removesuffix(end).replace(":n", "3"), time="at")
