"""Operations, transactions and statistics through the handle, on SQLite."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeostat.access import (
    AsyncDatabase,
    Caller,
    Database,
    ExecutionSettings,
    Operation,
    Session,
    Write,
)
from homeostat.access.caller import ANYONE
from homeostat.access.protocol import OperationReport, unpack
from homeostat.access.statistics import reports
from homeostat.clock import ManualClock
from homeostat.driver import sqlite
from homeostat.errors import (
    AccessError,
    ConfigError,
    ConstraintError,
    DatabaseMissingError,
    DeadlineExceededError,
    OperationUnknownError,
    PoolClosedError,
    PoolTimeoutError,
    ScopeRefusedError,
    StatementError,
)
from tests.access.helpers import in_thread, until

ADD = Operation(
    "note.add",
    "INSERT INTO note (owner, text) VALUES (:owner, :text)",
    ("owner", "text"),
    write=True,
    tables=("note",),
    scope="owner",
)
OF_OWNER = Operation(
    "note.of_owner",
    "SELECT text FROM note WHERE owner = :owner ORDER BY id LIMIT :page",
    ("owner", "page"),
    tables=("note",),
    scope="owner",
    limit="page",
)
ENDLESS = Operation(
    "endless",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
)
ANA = Caller(user="ana", segment="free", scopes=frozenset({"ana"}))


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    with Database.open(file, agent=None, operations=[ADD, OF_OWNER]) as one:
        yield one


def counted(database: Database) -> dict[tuple[str, str], OperationReport]:
    taken = reports(database.executor.statistics.take())
    return {(one.operation, one.segment): one for one in taken}


def texts(database: Database) -> list[object]:
    with database.session() as session:
        return [row[0] for row in session.execute("SELECT text FROM note ORDER BY id").rows]


def test_operations_run_by_name_and_are_counted_by_segment(database: Database) -> None:
    for text in ("one", "two", "three"):
        assert database.execute("note.add", {"owner": "ana", "text": text}, caller=ANA).changed == 1
    rows = database.execute("note.of_owner", {"owner": "ana"}, caller=Caller(segment="paid")).rows
    assert list(rows) == [("one",), ("two",), ("three",)]
    found = counted(database)
    assert sum(found["note.add", "free"].latency.counts) == 3
    assert found["note.add", "free"].rows == 3
    assert found["note.of_owner", "paid"].rows == 3
    assert unpack(found["note.of_owner", "paid"].latency).max > 0


def test_a_page_is_as_long_as_the_settings_say(file: Path) -> None:
    def planner(operation: Operation, caller: Caller) -> ExecutionSettings:
        return ExecutionSettings(page_size=2 if caller.segment == "free" else 50)

    with Database.open(file, agent=None, operations=[ADD, OF_OWNER], planner=planner) as database:
        for number in range(5):
            database.execute("note.add", {"owner": "ana", "text": str(number)})
        rows = database.execute("note.of_owner", {"owner": "ana"}, caller=ANA).rows
        assert len(rows) == 2
        assert len(database.execute("note.of_owner", {"owner": "ana"}).rows) == 5
        given = database.execute("note.of_owner", {"owner": "ana", "page": 3}, caller=ANA).rows
        assert len(given) == 3


def test_missing_and_unknown_parameters_are_named(database: Database) -> None:
    with pytest.raises(StatementError, match="Give the parameter 'text'"):
        database.execute("note.add", {"owner": "ana"})
    with pytest.raises(StatementError, match="Leave out the parameter 'txt'"):
        database.execute("note.add", {"owner": "ana", "text": "x", "txt": "y"})
    with pytest.raises(OperationUnknownError, match=r"note\.ad"):
        database.execute("note.ad")


def test_a_caller_cannot_touch_another_scope(database: Database) -> None:
    database.execute("note.add", {"owner": "ana", "text": "hers"}, caller=ANA)
    with pytest.raises(ScopeRefusedError, match="owner bob"):
        database.execute("note.add", {"owner": "bob", "text": "his"}, caller=ANA)
    with pytest.raises(ScopeRefusedError):
        transact(database, lambda session: session.execute(OF_OWNER, {"owner": "bob"}), caller=ANA)
    assert texts(database) == ["hers"]


def transact(
    database: Database, work: Callable[[Session], object], *, caller: Caller = ANYONE
) -> None:
    """Add a note, then do the work, in one transaction."""
    with database.transaction(name="two.notes", caller=caller) as session:
        session.execute("INSERT INTO note (owner, text) VALUES ('ana', 'to be rolled back')")
        work(session)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parameters": ("owner", "text", "missing")}, "no :missing"),
        ({"scope": "id"}, "id is not among the parameters"),
        ({"sql": "BEGIN"}, "one statement"),
        ({"sql": " -- first\n/* then */ commit"}, "one statement"),
        ({"sql": {"mysql": "SELECT 1"}}, "not for mysql"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"name": "x", "sql": ADD.sql, "parameters": ("owner",), **change}
    with pytest.raises(StatementError, match=words):
        Operation(**given)  # type: ignore[arg-type]


def test_an_operation_needs_sql_for_the_dialect(database: Database) -> None:
    with pytest.raises(StatementError, match="no SQL for sqlite"):
        database.register(Operation("only.there", {"postgresql": "SELECT 1"}))
    database.register(ADD)  # an equal one may come again
    with pytest.raises(ValueError, match="another operation"):
        database.register(Operation("note.add", "SELECT 1"))


def test_a_deadline_stops_the_statement(file: Path) -> None:
    settings = ExecutionSettings(deadline_ms=50)
    with Database.open(file, agent=None, planner=lambda *_: settings) as database:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            database.execute(ENDLESS)
        assert time.monotonic() - began < 2
        assert counted(database)["endless", "none"].errors == 1
        assert database.pool.in_use == 0


def test_the_wait_for_a_connection_ends_within_the_deadline(file: Path) -> None:
    settings = ExecutionSettings(deadline_ms=60, wait_ms=60_000)
    with Database.open(file, pool=1, agent=None, planner=lambda *_: settings) as database:
        with database.session(name="holder"), pytest.raises(PoolTimeoutError) as caught:
            database.execute(Operation("one", "SELECT 1"))
        assert [name for name, _ in caught.value.holders] == ["holder"]


def test_a_transaction_commits_or_leaves_nothing(database: Database) -> None:
    with database.transaction(name="two.notes") as session:
        session.execute(ADD, {"owner": "ana", "text": "a"})
        session.execute(ADD, {"owner": "ana", "text": "b"})
    with pytest.raises(ConstraintError):
        transact(database, lambda session: session.execute("INSERT INTO note (id) VALUES (1)"))
    with pytest.raises(ZeroDivisionError):
        transact(database, lambda _: 1 / 0)
    assert texts(database) == ["a", "b"]
    found = counted(database)["two.notes", "none"]
    assert sum(found.latency.counts) == 3
    assert found.errors == 1  # the application's own error is not the database's


def test_a_transactions_latency_leaves_out_the_applications_own_time(file: Path) -> None:
    clock = ManualClock()
    with Database.open(file, agent=None, operations=[ADD], clock=clock) as database:
        with database.transaction(name="thinks") as session:
            session.execute(ADD, {"owner": "ana", "text": "a"})
            clock.advance(30)
        assert counted(database)["thinks", "none"].latency.maximum == 0
        assert database.pool.report().holders == {"thinks": 30}


def test_a_session_cannot_be_used_after_its_end(database: Database) -> None:
    with database.session() as session:
        pass
    with pytest.raises(AccessError, match="has ended"):
        session.execute("SELECT 1")


def test_a_session_can_be_cancelled_from_another_thread(database: Database) -> None:
    failures: list[str] = []
    with database.session(name="report") as session:

        def work() -> None:
            try:
                session.execute(ENDLESS)
            except StatementError as error:
                failures.append(type(error).__name__)

        thread = in_thread(work)

        def stopped() -> bool:
            session.cancel()
            return bool(failures)

        until(stopped)
        thread.join(5)
    assert failures == ["StatementCancelledError"]


def test_write_hooks_run_in_the_transaction_of_the_write(database: Database) -> None:
    seen: list[Write] = []

    def log(session: Session, write: Write) -> None:
        seen.append(write)
        session.execute("INSERT INTO note (owner, text) VALUES ('log', 'logged')")

    stop = database.on_write(log, tables=["note"])
    database.execute("note.add", {"owner": "ana", "text": "a"}, caller=ANA)
    assert texts(database) == ["a", "logged"]
    assert (seen[0].operation, seen[0].scope, seen[0].caller.user) == (ADD, "ana", "ana")
    assert seen[0].changed == 1
    database.execute("note.of_owner", {"owner": "ana"})  # a read runs no hook
    assert len(seen) == 1
    stop()
    database.execute("note.add", {"owner": "ana", "text": "b"})
    assert len(seen) == 1


def test_a_write_hook_that_fails_rolls_the_write_back(database: Database) -> None:
    def refuse(session: Session, write: Write) -> None:
        raise AccessError("No.")

    database.on_write(refuse)
    with pytest.raises(AccessError, match="No"):
        database.execute("note.add", {"owner": "ana", "text": "a"})
    assert texts(database) == []
    assert counted(database)["note.add", "none"].errors == 1


def test_a_write_hook_can_be_for_some_tables_only(database: Database) -> None:
    seen: list[Write] = []
    database.on_write(lambda _, write: seen.append(write), tables=["other"])
    database.execute("note.add", {"owner": "ana", "text": "a"})
    assert seen == []


def test_calls_slower_than_expected_are_counted_late(file: Path) -> None:
    slow = Operation("slow", "SELECT 1", expected_ms=0.0001)
    quick = Operation("quick", "SELECT 1", expected_ms=60_000)
    with Database.open(file, agent=None, operations=[slow, quick]) as database:
        for _ in range(3):
            database.execute("slow")
            database.execute("quick")
        found = counted(database)
    assert (found["slow", "none"].late, found["quick", "none"].late) == (3, 0)


def test_a_wrong_path_shows_at_opening(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissingError):
        Database.open(tmp_path / "none.db", agent=None)
    with pytest.raises(ConfigError, match="kind of URL"):
        Database.open("mysql://localhost/shop", agent=None, create=True)
    with Database.open(f"sqlite:///{tmp_path}/new.db", agent=None, create=True) as database:
        assert database.identity is not None
        status = (tmp_path / "new.db").stat()
        assert database.identity.key == f"sqlite-{status.st_dev}-{status.st_ino}"


def test_a_large_pool_is_the_applications_own_choice(file: Path) -> None:
    with Database.open(file, agent=None, pool=100) as database:
        assert (database.pool.limits.limit, database.pool.limits.limit_max) == (100, 100)


def test_links_and_relative_names_lead_to_the_same_identity(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(file)
    monkeypatch.chdir(tmp_path)
    keys = set()
    for name in (file, link, "application.db", f"sqlite:///{file}", "sqlite:///application.db"):
        with Database.open(name, agent=None) as database:
            assert database.identity is not None
            keys.add(database.identity.key)
    assert len(keys) == 1


def test_a_closed_handle_refuses(file: Path) -> None:
    database = Database.open(file, agent=None, operations=[ADD])
    database.close()
    with pytest.raises(PoolClosedError):
        database.execute("note.add", {"owner": "ana", "text": "a"})


def test_the_application_file_is_in_wal_mode_and_durable(file: Path) -> None:
    with Database.open(file, agent=None) as database, database.session() as session:
        assert session.execute("PRAGMA journal_mode").scalar() == "wal"
        assert session.execute("PRAGMA synchronous").scalar() == 2
        assert session.execute("PRAGMA foreign_keys").scalar() == 1


def test_a_writer_waits_for_a_lock_of_another_process(database: Database, file: Path) -> None:
    blocker = sqlite.connect(file)
    blocker.begin(write=True)
    thread = in_thread(lambda: database.execute("note.add", {"owner": "ana", "text": "a"}))
    until(lambda: (database.pool.report().lock_seconds or 0) > 0)
    blocker.rollback()
    blocker.close()
    thread.join(5)
    assert texts(database) == ["a"]


def test_both_forms_have_the_same_methods_with_the_same_arguments() -> None:
    for name, method in inspect.getmembers(Database, inspect.isfunction):
        if not name.startswith("_"):
            same = getattr(AsyncDatabase, name)
            assert [*inspect.signature(same).parameters] == [*inspect.signature(method).parameters]
