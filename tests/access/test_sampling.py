"""Calls that are kept whole for the operator: which, with what, and what never leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from homeostat.access import (
    AgentOptions,
    AsyncDatabase,
    Caller,
    Database,
    ExecutionSettings,
    Operation,
    Relation,
)
from homeostat.access.plans import plan
from homeostat.access.protocol import REPORT_BYTES_MAX, CallSample
from homeostat.access.sampling import SAMPLES_MAX, Call
from homeostat.access.settings import Planner
from homeostat.access.values import decoded, encoded
from homeostat.driver import postgres
from homeostat.errors import DeadlineExceededError
from tests.access.helpers import SmallOperator, until

FIND = Operation("note.find", "SELECT id FROM note WHERE owner = :owner", ("owner",))
ADD = Operation(
    "note.add",
    "INSERT INTO note (id, owner, text) VALUES (:id, :owner, :text)",
    ("id", "owner", "text"),
    write=True,
    private=("owner",),
)
SLOW = Operation(
    "note.slow",
    "SELECT count(*) FROM note a, note b, note c WHERE a.owner = :owner AND b.text <> 'secret'",
    ("owner",),
    expected_ms=0.001,
    private=("owner",),
)
OPERATIONS = [FIND, ADD, SLOW]
PRIVATE = ExecutionSettings(privacy="enhanced")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Return a database with a table of notes, of each engine."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("file"))
    name = str(request.getfixturevalue("pg_database"))
    wire = postgres.connect(name)
    wire.execute("CREATE TABLE note (id bigint PRIMARY KEY, owner text, text text)")
    wire.close()
    return name


@contextmanager
def opened(
    url: str, operator: SmallOperator, *, planner: Planner | None = None, **options: object
) -> Iterator[Database]:
    """Open the database with an agent that has found its operator."""
    operator.start()
    agent = AgentOptions(directory=operator.directory, close_seconds=10.0, **options)  # type: ignore[arg-type]
    with Database.open(url, agent=agent, operations=OPERATIONS, planner=planner) as database:
        until(lambda: operator.taken)
        yield database


def samples(operator: SmallOperator, operation: str) -> list[CallSample]:
    """Return what was reported of an operation."""
    reports = list(operator.taken)
    return [one for report in reports for one in report.samples if one.operation == operation]


def test_weights_add_up_to_the_calls(url: str, operator: SmallOperator) -> None:
    with opened(url, operator, slow_ms=60_000.0) as database:
        for number in range(300):
            database.execute("note.find", {"owner": f"o{number}"}, caller=Caller(segment="free"))
    found = samples(operator, "note.find")
    assert 1 <= len(found) < 300
    assert sum(one.weight for one in found) == pytest.approx(300)
    one = found[-1]
    assert one.sql == FIND.sql
    assert str(one.parameters["owner"]).startswith("o")
    assert (one.write, one.slow, one.segment, one.transaction) == (False, False, "free", "")
    assert one.latency_us > 0
    for report in operator.taken:
        assert len(report.samples) <= SAMPLES_MAX


def test_each_call_has_the_same_chance(file: Path, operator: SmallOperator) -> None:
    """An operator that is away leaves one reservoir over all calls: late ones are in it too."""
    operator.start()
    kept: list[int] = []
    for _ in range(30):
        options = AgentOptions(directory=operator.directory / "nobody", slow_ms=60_000.0)
        with Database.open(file, agent=options, operations=OPERATIONS) as database:
            for number in range(200):
                database.execute("note.find", {"owner": number})
            calls = database.executor.statistics.take_calls({})
            kept += [int(str(call.params["owner"])) for call in calls]
    assert len(kept) == 60
    assert 60 < sum(kept) / len(kept) < 140  # 99.5; its deviation over 60 draws is 7.5


def test_private_values_and_large_ones_stay(url: str, operator: SmallOperator) -> None:
    with opened(url, operator) as database:
        database.execute("note.add", {"id": 1, "owner": "anastasia", "text": "x" * 5000})
    (one,) = samples(operator, "note.add")
    assert one.parameters == {"id": 1}
    assert (one.private, one.omitted, one.write, one.rows) == (["owner"], ["text"], True, 1)
    assert all(b"anastasia" not in msgspec.json.encode(report) for report in operator.taken)


def test_slow_calls_come_with_a_plan_without_values(url: str, operator: SmallOperator) -> None:
    with opened(url, operator) as database:
        database.execute("note.slow", {"owner": "anastasia"})
        until(lambda: samples(operator, "note.slow"))
    (one,) = samples(operator, "note.slow")
    assert one.slow
    assert "note" in one.plan or "SCAN" in one.plan
    assert ("cost=" in one.plan) == url.startswith("postgresql")
    assert "secret" not in one.plan
    assert "anastasia" not in str(one)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("owner", ["12 High Street\nanastasia", "anastasia (cost=1..2", "a'\n1: 2"])
def test_a_plan_tells_no_text_of_several_lines_or_like_a_node(url: str, owner: str) -> None:
    call = Call(SLOW, SLOW.name, str(SLOW.sql), {"owner": owner}, [], 0.0, 1.0, 0, write=False,
                segment="none")  # fmt: skip
    wire = postgres.connect(url)
    found = plan(wire, call)
    wire.close()
    assert "cost=" in found
    assert "Filter: (owner = ?::text)" in found
    assert all(line not in found for line in owner.splitlines())


@pytest.mark.parametrize("private", [("from",), ()])
def test_keys_that_the_data_path_makes_stay_where_the_operation_is_private(
    url: str, operator: SmallOperator, private: tuple[str, ...]
) -> None:
    people = Operation("people", "SELECT owner FROM note WHERE owner >= :from", ("from",),
                       order=("owner",), private=private,
                       relations=(Relation("notes", "note", "owner", "owner"),))  # fmt: skip
    with opened(url, operator) as database:
        for number in range(3):
            row = {"id": number, "owner": f"anastasia {number}", "text": "x"}
            database.execute("note.add", row)
        first = database.page(people, {"from": "a"}, size=1)
        database.page(people, {"from": "a"}, size=1, after=first.after)
        database.load(people, {"from": "a"}, relations_of=("notes",))
    assert samples(operator, "people.notes")[0].private == (["keys"] if private else [])
    told = any(b"anastasia" in msgspec.json.encode(report) for report in operator.taken)
    assert told is not bool(private)


def test_a_call_stopped_at_its_deadline_is_slow(file: Path, operator: SmallOperator) -> None:
    endless = Operation(
        "endless",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    )
    operator.start()
    options = AgentOptions(directory=operator.directory, close_seconds=10.0)
    settings = ExecutionSettings(deadline_ms=30)
    with Database.open(file, agent=options, planner=lambda *_: settings) as database:
        with pytest.raises(DeadlineExceededError):
            database.execute(endless)
        asyncio.run(stopped_in_a_loop(database, endless))
        names = ("endless", "endless.alone", "endless.fresh")
        until(lambda: all(samples(operator, name) for name in names))
    assert all(samples(operator, name)[0].slow for name in names)


async def stopped_in_a_loop(core: Database, endless: Operation) -> None:
    database = AsyncDatabase(core)
    wanted = Caller(read_token=await database.read_token())  # such a call has a session
    for name, caller in (("endless.alone", Caller()), ("endless.fresh", wanted)):
        with pytest.raises(DeadlineExceededError):
            await database.execute(dataclasses.replace(endless, name=name), caller=caller)
    database._threads.close()


def test_statements_of_a_transaction_name_it(url: str, operator: SmallOperator) -> None:
    with opened(url, operator) as database, database.transaction(name="import") as session:
        session.execute(ADD, {"id": 1, "owner": "ana", "text": "a"})
        session.execute("SELECT text FROM note WHERE id = :id", {"id": 1})
        session.execute("UPDATE note SET text = 'b' WHERE id = :id", {"id": 2})
    (add,) = samples(operator, "note.add")
    assert (add.transaction, add.private) == ("import", ["owner"])
    read, write = sorted(samples(operator, "import"), key=lambda one: one.write)
    assert (read.transaction, read.parameters, read.write, read.rows) == (
        "import", {"id": 1}, False, 1,
    )  # fmt: skip
    assert write.write


def test_shapes_hold_no_value(url: str, operator: SmallOperator) -> None:
    with opened(url, operator, capture="shapes") as database, database.transaction() as session:
        session.execute(ADD, {"id": 1, "owner": "ana", "text": "anastasia"})
        session.execute("SELECT id FROM note WHERE text = 'anastasia'")
    (add,) = samples(operator, "note.add")
    assert (add.parameters, add.omitted) == ({}, ["id", "text"])
    assert samples(operator, "transaction")[0].sql == "SELECT id FROM note WHERE text = ?"
    assert all(b"anastasia" not in msgspec.json.encode(report) for report in operator.taken)


def test_of_a_call_of_enhanced_privacy_no_value_leaves(url: str, operator: SmallOperator) -> None:
    def plan(_: Operation, caller: Caller) -> ExecutionSettings:
        return PRIVATE if caller.segment == "INFJ" else ExecutionSettings()

    who = Caller(segment="INFJ")
    with opened(url, operator, planner=plan) as database:
        database.execute("note.add", {"id": 1, "owner": "ana", "text": "anastasia"}, caller=who)
        database.execute("note.find", {"owner": "anastasia"}, caller=who)
        with database.transaction(caller=who, name="look") as session:
            session.execute("SELECT id FROM note WHERE text = 'anastasia'")
        asyncio.run(find_in_a_loop(database, who))
        database.execute("note.find", {"owner": "open"})
        database.execute("note.slow", {"owner": "anastasia"}, caller=who)
        until(lambda: samples(operator, "note.slow"))
    (add,) = samples(operator, "note.add")
    assert (add.parameters, add.private, add.segment) == ({}, ["id", "owner", "text"], "none")
    assert samples(operator, "look")[0].sql == "SELECT id FROM note WHERE text = ?"
    assert samples(operator, "note.slow")[0].plan  # asked here, told without values
    assert {"owner": "open"} in [one.parameters for one in samples(operator, "note.find")]
    assert all(b"anastasia" not in msgspec.json.encode(report) for report in operator.taken)


async def find_in_a_loop(core: Database, caller: Caller) -> None:
    database = AsyncDatabase(core)
    loop = dataclasses.replace(FIND, name="note.loop")  # a third of note.find may not be kept
    short = dataclasses.replace(FIND, name="note.short", expected_ms=0.5)
    for operation in (loop, short):
        await database.execute(operation, {"owner": "anastasia"}, caller=caller)
    database._threads.close()


def test_off_sends_no_call(file: Path, operator: SmallOperator) -> None:
    with opened(str(file), operator, capture="off") as database:
        database.execute("note.slow", {"owner": "ana"})
        with database.transaction() as session:
            session.execute(FIND, {"owner": "ana"})
    assert operator.count("note.slow") == 1
    assert not any(report.samples for report in operator.taken)


def test_a_report_stays_within_its_bytes(file: Path, operator: SmallOperator) -> None:
    names = [f"p{number}" for number in range(40)]
    sql = f"SELECT {', '.join(':' + name for name in names)}"
    wide = [Operation(f"wide.{number}", sql, tuple(names)) for number in range(60)]
    with opened(str(file), operator) as database:
        for operation in wide:
            for _ in range(5):
                database.execute(operation, dict.fromkeys(names, "v" * 900))
    assert sum(len(report.samples) for report in operator.taken) > 0
    for report in operator.taken:
        assert len(msgspec.json.encode(report)) < REPORT_BYTES_MAX / 2
    assert sum(operator.count(operation.name) for operation in wide) == 300  # counts are whole


def test_an_unknown_capture_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="capture is one of values, shapes, off"):
        Database.open(file, agent=AgentOptions(capture="all"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, 2.5, "text", b"\x00\xff", [1, [b"a"]], dt.date(2026, 1, 2),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.time(1, 2), Decimal("1.10"), UUID(int=7),
    ],
)  # fmt: skip
def test_values_come_back_as_they_went(value: object) -> None:
    carried = msgspec.json.decode(msgspec.json.encode(encoded(value)))
    assert decoded(carried) == value


@pytest.mark.parametrize("value", [2**64, float("nan"), object(), {"a": 1}])
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no value of JSON"):
        encoded(value)
