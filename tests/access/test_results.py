"""Results that reads are answered with again: how old they may be, and what ends them sooner."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.access import AsyncDatabase, Caller, Database, ExecutionSettings, Operation, results
from homeostat.access.results import Results
from homeostat.clock import ManualClock
from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Rows
from homeostat.errors import ConstraintError, ScopeRefusedError, StatementError

NOTES = Operation("note.texts", "SELECT text FROM note WHERE owner = :owner", ("owner",),
                  scope="owner", tables=("note",))  # fmt: skip
OTHERS = Operation("tag.count", "SELECT count(*) FROM tag", tables=("tag",))
ADD = Operation(
    "note.add",
    "INSERT INTO note (owner, text) VALUES (:owner, :text)",
    ("owner", "text"),
    write=True,
    tables=("note",),
)
TOLD = Operation("told", "SELECT current_setting('homeostat.user', true)", tables=("note",))
ANA = {"owner": "ana"}
SECONDS = 60.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        found = str(tmp_path / "app.db")
        wire: sqlite.SqliteWire | postgres.PostgresWire = sqlite.connect(found, create=True)
    else:
        found = request.getfixturevalue("pg_database")
        wire = postgres.connect(found)
    wire.execute("CREATE TABLE note (owner TEXT NOT NULL, text TEXT NOT NULL)")
    wire.execute("CREATE TABLE tag (name TEXT NOT NULL)")
    wire.close()
    return found


def plan(_: Operation, caller: Caller) -> ExecutionSettings:
    """Answer from memory, unless the segment says otherwise."""
    settings = ExecutionSettings(cache_seconds=SECONDS)
    if caller.segment == "private":
        return dataclasses.replace(settings, privacy="enhanced")
    if caller.segment == "told":
        return dataclasses.replace(settings, announce_caller=True)
    return settings


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database.open(url, pool=3, agent=None, planner=plan) as opened:
        yield opened
        assert opened.pool.in_use == 0


def behind(url: str, sql: str) -> None:
    """Write as another process would."""
    wire: sqlite.SqliteWire | postgres.PostgresWire = (
        postgres.connect(url) if "://" in url else sqlite.connect(url)
    )
    wire.execute(sql)
    wire.close()


def texts(database: Database, caller: Caller | None = None) -> list[str]:
    found = database.execute(NOTES, ANA, caller=caller or Caller())
    return sorted(str(row[0]) for row in found.rows)


def test_an_answer_is_as_old_as_allowed_and_no_older(database: Database, url: str) -> None:
    clock = ManualClock(start=0.0)
    database.executor.now = clock.monotonic
    database.pool._now = clock.monotonic
    assert texts(database) == []
    behind(url, "INSERT INTO note VALUES ('ana', 'a')")
    clock.advance(SECONDS - 1)
    assert texts(database) == []
    assert (database.results.hits, database.results.misses, database.results.kept) == (1, 1, 1)
    clock.advance(1)
    assert texts(database) == ["a"]
    assert database.execute(NOTES, {"owner": "bob"}).rows == []  # other parameters, other answer


def test_every_kind_of_write_of_this_process_is_seen_at_once(database: Database) -> None:
    expected: list[str] = []
    assert texts(database) == expected
    database.execute(ADD, {**ANA, "text": "a"})
    assert texts(database) == ["a"]
    database.write_many(ADD, [{**ANA, "text": "b"}])
    assert texts(database) == ["a", "b"]
    with database.transaction() as held:
        held.execute(ADD, {**ANA, "text": "c"})
        assert texts(database) == ["a", "b"]  # not committed, and kept again meanwhile
    assert texts(database) == ["a", "b", "c"]
    with database.session() as held:
        held.execute("INSERT INTO note VALUES ('ana', 'd')")
        assert texts(database) == ["a", "b", "c", "d"]
    database.prepare_idempotency()
    for _ in range(2):
        database.execute(ADD, {**ANA, "text": "e"}, idempotency_key="k")
    assert texts(database) == ["a", "b", "c", "d", "e"]
    asyncio.run(in_a_loop(database))


async def in_a_loop(core: Database) -> None:
    database = AsyncDatabase(core)
    hits = core.results.hits
    assert len((await database.execute(NOTES, ANA)).rows) == 5
    assert core.results.hits == hits + 1
    await database.execute(ADD, {**ANA, "text": "f"})
    assert len((await database.execute(NOTES, ANA)).rows) == 6
    async with database.transaction() as held:
        await held.execute(ADD, {**ANA, "text": "g"})
    short = dataclasses.replace(NOTES, expected_ms=0.5)
    assert len((await database.execute(short, ANA)).rows) == 7
    await database.write_many(ADD, [{**ANA, "text": "h"}])
    assert len((await database.execute(NOTES, ANA)).rows) == 8
    database._threads.close()


def test_a_write_to_another_table_changes_nothing(database: Database) -> None:
    texts(database)
    database.execute(OTHERS)
    database.execute(Operation("tag.add", "INSERT INTO tag VALUES ('x')", write=True,
                               tables=("tag",)))  # fmt: skip
    assert database.results.kept == 1
    assert database.execute(OTHERS).scalar() == 1
    database.execute(Operation("any", "DELETE FROM tag", write=True))  # says not what it changes
    assert database.results.kept == 0


def test_a_write_with_a_key_ends_what_it_writes_and_no_more(database: Database) -> None:
    database.prepare_idempotency()
    heard: list[object] = []
    database.on_write(lambda _, write: heard.append(write.operation))
    assert texts(database) == []
    database.execute(OTHERS)
    for kept in (1, 2):  # the second time nothing is written
        database.execute(ADD, {"owner": "ana", "text": "x"}, idempotency_key="k")
        assert database.results.kept == kept
        assert texts(database) == ["x"]
    assert heard == [ADD]  # of the table for keys no hook is told
    assert database.forget_idempotency_keys(older_than_seconds=-1) == 1
    assert database.results.kept == 2


def test_an_answer_can_be_changed_without_harm(database: Database) -> None:
    database.execute(ADD, {**ANA, "text": "a"})
    for _ in range(2):
        rows = database.execute(NOTES, ANA).rows
        assert rows == [("a",)]
        assert isinstance(rows, list)
        rows.clear()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_json_and_arrays_belong_to_whom_they_were_given(database: Database) -> None:
    sql = """SELECT '{"role": "user"}'::jsonb, ARRAY['a'], count(*) FROM tag"""
    document = Operation("document", sql, tables=("tag",))
    for _ in range(3):
        found, listed, _count = database.execute(document).rows[0]
        assert (found, listed) == ({"role": "user"}, ["a"])
        assert isinstance(found, dict)
        assert isinstance(listed, list)
        found["role"] = "admin"
        listed.append("b")
    assert database.results.hits == 2


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_what_with_writes_is_seen_at_once(database: Database) -> None:
    assert texts(database) == []
    with database.transaction() as held:
        held.execute(
            "WITH new AS (INSERT INTO note VALUES ('ana', 'a') RETURNING text) SELECT * FROM new"
        )
    assert texts(database) == ["a"]
    with database.transaction() as held:
        held.execute("SELECT text FROM note")
    assert database.results.kept == 1  # a plain read ends nothing


def test_a_stream_writes_nothing_unseen(database: Database) -> None:
    assert texts(database) == []
    row = {**ANA, "text": "a"}
    with database.transaction() as held, pytest.raises(StatementError, match="only reads"):
        held.stream(ADD, row)
    if database.dialect == "sqlite":
        with database.transaction() as held:
            list(held.stream(f"{ADD.sql} RETURNING text", row))
        assert texts(database) == ["a"]


def test_a_table_is_known_by_other_spellings(database: Database) -> None:
    everything = dataclasses.replace(NOTES, tables=("Note",))
    assert database.execute(everything, ANA).rows == []
    database.execute(dataclasses.replace(ADD, tables=('main."note"',)), {**ANA, "text": "a"})
    assert len(database.execute(everything, ANA).rows) == 1


def test_a_write_that_fails_takes_nothing_for_granted(database: Database) -> None:
    texts(database)
    with pytest.raises(ConstraintError):
        database.execute(ADD, {**ANA, "text": None})
    assert database.results.kept == 0
    with contextlib.suppress(ZeroDivisionError), database.transaction() as held:
        held.execute(ADD, {**ANA, "text": "gone"})
        raise ZeroDivisionError
    assert texts(database) == []


def test_who_must_not_be_answered_from_memory_is_not(database: Database, url: str) -> None:
    private, fresh = Caller(segment="private"), Caller(read_token=database.read_token())
    for caller in (Caller(), private, fresh):
        assert texts(database, caller) == []
    behind(url, "INSERT INTO note VALUES ('ana', 'a')")
    assert [texts(database, one) for one in (Caller(), private, fresh)] == [[], ["a"], ["a"]]
    with pytest.raises(ScopeRefusedError):
        database.execute(NOTES, ANA, caller=Caller(scopes=frozenset({"bob"})))


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_callers_whom_the_database_is_told_share_nothing(database: Database) -> None:
    for user in ("ana", "bob", "ana"):
        told = database.execute(TOLD, caller=Caller(user=user, segment="told")).scalar()
        assert told == user
    assert database.results.hits == 1


def test_what_was_read_before_a_write_ended_is_not_kept() -> None:
    kept = Results("sqlite")
    before = kept.stamp()
    kept.forget(["note"])
    kept.keep(("old",), Rows(), ["note"], stamp=before, at=0.0)
    kept.keep(("other",), Rows(), ["tag"], stamp=before, at=0.0)
    kept.forget(())
    kept.keep(("any",), Rows(), ["tag"], stamp=before, at=0.0)
    assert kept.counts.kept == 0
    kept.keep(("new",), Rows(), ["note"], stamp=kept.stamp(), at=0.0)
    assert kept.find(("new",), now=1.0, seconds=2.0) is not None


def test_memory_is_bounded_and_the_least_used_goes_first() -> None:
    kept = Results("sqlite")
    large = Rows(("text",), [("x" * (results.RESULT_BYTES_MAX // 2),)])
    for number in range(100):
        kept.keep((number,), large, ["note"], stamp=0, at=0.0)
        kept.find((0,), now=0.0, seconds=1.0)
    assert results.BYTES_MAX // 2 < kept.counts.bytes <= results.BYTES_MAX
    assert kept.find((0,), now=0.0, seconds=1.0) is not None
    assert kept.find((1,), now=0.0, seconds=1.0) is None
    for number in range(200):  # what a call was asked with counts as well
        kept.keep((number, (("x" * 500_000,),)), Rows(), ["note"], stamp=0, at=0.0)
    assert kept.counts.kept <= results.BYTES_MAX // 500_000
    too_large = Rows(("text",), [("x" * results.RESULT_BYTES_MAX,)])
    kept.keep(("large",), too_large, ["note"], stamp=0, at=0.0)
    assert kept.find(("large",), now=0.0, seconds=1.0) is None
    for number in range(2 * results.RESULTS_MAX):
        kept.keep((number,), Rows(), ["tag"], stamp=0, at=0.0)
    assert kept.counts.kept <= results.RESULTS_MAX
