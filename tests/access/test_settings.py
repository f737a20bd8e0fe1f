"""Each knob of ExecutionSettings, as a planner turns it, has an effect that a caller sees."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from homeostat.access import AsyncDatabase, Caller, Database, ExecutionSettings, Operation, Relation
from homeostat.clock import ManualClock
from homeostat.driver import postgres, sqlite
from homeostat.errors import (
    BudgetExceededError,
    ConnectionLostError,
    DeadlineExceededError,
    PoolTimeoutError,
    StatementError,
)
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
        "WHERE i < 3000000000) SELECT count(*) FROM n",
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
ROWS = 10


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        path = tmp_path / "app.db"
        wire = sqlite.connect(path, create=True)
        wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
        wire.close()
        return str(path)
    found: str = request.getfixturevalue("pg_database")
    pg = postgres.connect(found)
    pg.execute("CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)")
    pg.close()
    return found


@contextmanager
def planned(url: str, *, pool: int = 1, **knobs: Any) -> Iterator[Database]:
    """Open a database of ten rows whose planner turns these knobs."""
    with Database.open(url, agent=None, operations=[ADD]) as first:
        first.write_many("note.add", [{"text": str(number)} for number in range(ROWS)])
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
        database.executor._clock = clock
        assert database.execute(SINCE).rows == [(999_900.0,)]
        assert database.execute(SINCE, {"since": 5.0}).rows == [(5.0,)]
        with database.transaction(write=False) as held:
            assert held.execute(SINCE).rows == [(999_900.0,)]
    with planned(url) as database:
        assert database.execute(SINCE).rows == [(0.0,)]


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
    assert knobs == {*EFFECTS, "retries", "announce_caller"}


def test_a_planner_sees_the_operation_and_the_caller(url: str) -> None:
    def plan(operation: Operation, caller: Caller) -> ExecutionSettings:
        small = caller.segment == "phone" and operation.name == "note.all"
        return ExecutionSettings(page_size=2 if small else 5)

    with planned(url):
        pass
    with Database.open(url, agent=None, planner=plan) as database:
        sizes = [len(database.page(ALL, caller=Caller(segment=s)).rows.rows) for s in ("phone", "")]
        assert sizes == [2, 5]
