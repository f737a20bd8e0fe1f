"""The SQLite wire: rows, transactions, deadlines, cancelling and the account of waiting."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.driver import sqlite
from homeostat.driver.sqlite import SqliteWire
from homeostat.driver.sqlite_texts import keeps_columns
from homeostat.driver.wire import Wire
from homeostat.errors import (
    ConnectionLostError,
    DatabaseLockedError,
    DeadlineExceededError,
    SerializationError,
    StatementCancelledError,
    StatementError,
)
from tests.driver.children import Writer
from tests.patience import joined
from tests.servers import wait_until

ENDLESS = """
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c
"""
SLOW = "SELECT a FROM t UNION ALL SELECT sum(n) FROM c UNION ALL SELECT 2"  # reads the file first


@pytest.fixture
def wire(sqlite_path: Path) -> Iterator[SqliteWire]:
    wire = sqlite.connect(sqlite_path, busy_ms=10_000)
    wire.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    yield wire
    wire.close()


def test_own_file_is_safe_to_commit_to(wire: SqliteWire) -> None:
    assert isinstance(wire, Wire)
    settings = {name: wire.execute(f"PRAGMA {name}").scalar() for name in
                ("journal_mode", "synchronous", "foreign_keys")}  # fmt: skip
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_rows_have_columns_even_when_there_are_none(wire: SqliteWire) -> None:
    empty = wire.execute("SELECT a, b AS name FROM t WHERE a > :a", {"a": 5})
    assert (empty.columns, list(empty.rows)) == (("a", "name"), [])
    assert wire.execute("INSERT INTO t VALUES (:a, :b)", {"a": 1, "b": "x"}).changed == 1
    returned = wire.execute("INSERT INTO t VALUES (2, 'y') RETURNING a, b")
    assert returned.dicts() == [{"a": 2, "b": "y"}]
    assert returned.changed == 1
    assert wire.execute("SELECT * FROM t ORDER BY a").rows == [(1, "x"), (2, "y")]
    assert wire.execute("SELECT * FROM t").changed == 0
    assert wire.execute("CREATE TABLE u (a)").changed == 0


def test_a_statement_run_again_tells_the_rows_it_changed_itself(wire: SqliteWire) -> None:
    wire.execute("CREATE TABLE k (a PRIMARY KEY)")
    ignoring = "INSERT INTO k VALUES (:a) ON CONFLICT DO NOTHING"
    counting = "WITH n(i) AS (VALUES (1), (2)) UPDATE k SET a = a WHERE a IN (SELECT i FROM n)"
    for _ in range(2):
        wire.execute("DELETE FROM k")
        assert [wire.execute(ignoring, {"a": a}).changed for a in (1, 2, 2)] == [1, 1, 0]
        assert wire.execute(counting).changed == 2
        assert wire.execute("WITH n AS (SELECT a FROM k) SELECT a FROM n").changed == 0
        assert wire.execute("BEGIN IMMEDIATE").changed == 0
        assert wire.execute("COMMIT").changed == 0
    assert wire.execute("DELETE FROM k").changed == 2


def test_a_statement_run_again_has_the_columns_of_now(wire: SqliteWire, sqlite_path: Path) -> None:
    wire.execute("INSERT INTO t VALUES (1, 'x')")
    named = "SELECT a * 2 AS a, b AS name FROM t WHERE a = :a"
    starred = ("*", "t.*", "DISTINCT *", "ALL\n*", "/* all */ *", "-- all\n*", "t. *")
    texts = (named, *(f"SELECT {star} FROM t WHERE a = :a" for star in starred))
    assert wire.execute("SELECT max(a), * FROM t").columns == ("max(a)", "a", "b")
    for text in texts:
        assert wire.execute(text, {"a": 1}).columns[1] == ("name" if text == named else "b")
    assert [text for text in texts if keeps_columns(text)] == [named]
    with closing(sqlite.connect(sqlite_path)) as other:
        other.execute("ALTER TABLE t ADD COLUMN c")
    for key in (1, 2):  # one has a row, one has none
        found = [wire.execute(text, {"a": key}).columns for text in texts]
        assert found == [("a", "name"), *[("a", "b", "c")] * len(starred)]
    assert wire.execute("SELECT max(a), * FROM t").columns == ("max(a)", "a", "b", "c")


def test_a_statement_that_fails_leaves_no_lock(wire: SqliteWire, sqlite_path: Path) -> None:
    wire.execute("INSERT INTO t VALUES (1, '{}')")
    text = "SELECT json(b) AS b FROM t WHERE a >= :a ORDER BY a"
    assert len(wire.execute(text, {"a": 1}).rows) == 1
    wire.execute("INSERT INTO t VALUES (2, 'no {')")
    with pytest.raises(StatementError):
        wire.execute(text, {"a": 1})
    with closing(sqlite.connect(sqlite_path)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").rows == [(0, 0, 0)]


def test_many_rows_are_counted_without_what_triggers_change(wire: SqliteWire) -> None:
    wire.execute("CREATE TABLE log (a)")
    wire.execute("CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END")
    rows = [{"a": number, "b": "x"} for number in range(10)]
    assert wire.execute_many("INSERT INTO t VALUES (:a, :b)", rows) == 10
    assert wire.insert_rows("t", ["a", "b"], ((n, "y") for n in range(100, 105))) == 5
    assert wire.execute("SELECT count(*) FROM log").scalar() == 15
    assert wire.execute_many("UPDATE t SET b = :b WHERE a < :a", [{"a": 3, "b": "z"}]) == 3


def test_a_script_runs_to_its_end(wire: SqliteWire) -> None:
    wire.execute_script(
        "CREATE TABLE one (a); -- ;\n INSERT INTO one VALUES (1), (2); DELETE FROM t;"
    )
    assert wire.execute("SELECT count(*) FROM one").scalar() == 2
    with pytest.raises(StatementError):
        wire.execute_script("CREATE TABLE two (a); nonsense; CREATE TABLE three (a)")


def test_a_transaction_is_kept_or_undone(wire: SqliteWire) -> None:
    wire.begin(write=True)
    wire.execute("INSERT INTO t VALUES (1, 'x')")
    open_now = wire.in_transaction
    wire.rollback()
    wire.rollback()
    assert (open_now, wire.in_transaction) == (True, False)
    assert wire.execute("SELECT count(*) FROM t").scalar() == 0
    wire.begin(write=True)
    wire.execute("INSERT INTO t VALUES (1, 'x')")
    wire.commit()
    assert wire.execute("SELECT count(*) FROM t").scalar() == 1
    with pytest.raises(StatementError):
        wire.commit()


def test_a_deadline_stops_a_running_statement(wire: SqliteWire) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        wire.execute(ENDLESS, deadline_ms=100)
    assert 0.1 <= time.monotonic() - started < 5
    assert wire.execute("SELECT 1", deadline_ms=1000).scalar() == 1


def test_a_deadline_hits_only_its_own_statement(wire: SqliteWire) -> None:
    for _ in range(50):
        with pytest.raises(DeadlineExceededError):
            wire.execute(ENDLESS, deadline_ms=2)
        assert wire.execute("SELECT 1").scalar() == 1  # an alarm that came late would hit this


class TimeUpError(Exception):
    """What a task queue raises from a signal, at its time limit."""


@pytest.mark.parametrize("known", [False, True])
def test_a_signal_ends_the_statement_and_passes_unchanged(wire: SqliteWire, *, known: bool) -> None:
    def stop(*_: object) -> None:
        raise TimeUpError("whoever waits")

    count = "SELECT count(*) FROM t"
    slow = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT :rows) {SLOW}"
    if known:
        wire.execute(slow, {"rows": 1})
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)  # in the first step, which takes longer
        with pytest.raises(TimeUpError, match="whoever waits"):
            wire.execute(slow, {"rows": 1_000_000})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with closing(sqlite.connect(wire.path)) as other:
        other.execute("INSERT INTO t VALUES (1, 'x')")
    assert wire.execute(count).scalar() == 1  # the snapshot of the statement is gone
    wire.execute("INSERT INTO t VALUES (2, 'y')")
    assert wire.execute(count).scalar() == 2


def test_what_the_source_of_rows_raises_passes_unchanged(wire: SqliteWire) -> None:
    def rows() -> Iterator[tuple[int, str]]:
        yield 1, "x"
        raise TimeUpError("the source")

    wire.begin(write=True)
    with pytest.raises(TimeUpError, match="the source"):
        wire.insert_rows("t", ("a", "b"), rows())
    wire.rollback()
    assert wire.execute("SELECT count(*) FROM t").scalar() == 0


def test_cancel_from_another_thread(wire: SqliteWire) -> None:
    wire.cancel()  # nothing runs: no effect
    timer = threading.Timer(0.05, wire.cancel)
    timer.start()
    with pytest.raises(StatementCancelledError):
        wire.execute(ENDLESS)
    assert wire.execute("SELECT 1").scalar() == 1


def test_waiting_for_a_lock_is_counted_while_it_lasts(wire: SqliteWire, sqlite_path: Path) -> None:
    writer = Writer(sqlite_path)
    assert writer.ask("hold") == "held"
    assert wire.lock_wait_seconds == 0
    thread = threading.Thread(target=wire.execute, args=("INSERT INTO t VALUES (1, 'x')",))
    started = time.monotonic()
    thread.start()
    wait_until(lambda: wire.lock_wait_seconds > 0.1, 5, "the wait under way to be seen")
    assert writer.ask("release") == "released"
    joined(thread)
    waited = wire.lock_wait_seconds
    assert 0.1 < waited <= time.monotonic() - started
    assert wire.execute("SELECT count(*) FROM t").scalar() == 1
    assert wire.lock_wait_seconds == waited
    writer.end()


def test_waiting_for_a_lock_ends_at_busy_deadline_or_cancel(
    wire: SqliteWire, sqlite_path: Path
) -> None:
    writer = Writer(sqlite_path)
    assert writer.ask("hold") == "held"
    insert = "INSERT INTO t VALUES (1, 'x')"
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=f"held by process {writer.pid}"):
        wire.execute(insert, deadline_ms=100)
    timer = threading.Timer(0.1, wire.cancel)
    timer.start()
    with pytest.raises(StatementCancelledError):
        wire.execute(insert)
    wire.patience.busy_ms = 100
    with pytest.raises(DatabaseLockedError):
        wire.execute(insert)
    elapsed = time.monotonic() - started
    assert 0.25 <= wire.lock_wait_seconds <= elapsed < 8  # the busy time-out itself is 10 s
    writer.end()


def test_writing_on_an_old_snapshot_asks_for_the_whole_transaction(
    wire: SqliteWire, sqlite_path: Path
) -> None:
    other = sqlite.connect(sqlite_path)
    other.begin(write=False)
    other.execute("SELECT * FROM t")
    wire.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(SerializationError):
        other.execute("INSERT INTO t VALUES (2, 'y')")
    other.close()


def test_a_closed_wire_says_so(wire: SqliteWire) -> None:
    wire.close()
    wire.close()
    assert wire.broken
    with pytest.raises(ConnectionLostError):
        wire.execute("SELECT 1")
    wire.cancel()
