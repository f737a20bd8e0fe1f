"""The PostgreSQL wire: rows, transactions, deadlines, cancelling, and connections that break."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
import pytest

from homeostat.driver import postgres
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.postgres_plans import Plans
from homeostat.driver.wire import Wire
from homeostat.errors import (
    CommitUnknownError,
    ConnectionLostError,
    DeadlineExceededError,
    ReadOnlyDatabaseError,
    SerializationError,
    StatementCancelledError,
    StatementError,
)
from tests.servers import PostgresServer, Proxy, wait_until

pytestmark = pytest.mark.every_postgres


@pytest.fixture
def wire(pg_database: str) -> Iterator[PostgresWire]:
    wire = postgres.connect(pg_database)
    wire.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
    yield wire
    wire.close()


def through(url: str, server: PostgresServer, proxy: Proxy) -> str:
    return url.replace(f":{server.port}/", f":{proxy.port}/")


def count(url: str) -> object:
    wire = postgres.connect(url)
    try:
        return wire.execute("SELECT count(*) FROM t").scalar()
    finally:
        wire.close()


def test_label_shows_no_password(wire: PostgresWire, pg_server: PostgresServer) -> None:
    assert isinstance(wire, Wire)
    assert wire.label.endswith(f" on 127.0.0.1:{pg_server.port}")
    assert wire.server_version >= 140_000
    assert wire.lock_wait_seconds == 0


def test_rows_columns_and_changes(wire: PostgresWire) -> None:
    assert wire.execute("SELECT a, b AS name FROM t WHERE a > :a", {"a": 5}).columns == (
        "a",
        "name",
    )
    assert wire.execute("INSERT INTO t VALUES (:a, :b)", {"a": 1, "b": "100 %"}).changed == 1
    returned = wire.execute("INSERT INTO t VALUES (2, 'y') RETURNING a, b")
    assert (returned.dicts(), returned.changed) == ([{"a": 2, "b": "y"}], 1)
    assert wire.execute("SELECT a FROM t WHERE b LIKE '%0 %'").rows == [(1,)]
    assert wire.execute("SELECT * FROM t").changed == 0
    for _ in range(10):  # prepared meanwhile
        assert wire.execute("SELECT b FROM t WHERE a = :a", {"a": 1}).scalar() == "100 %"


def test_a_prepared_statement_outlives_a_change_of_its_columns(
    wire: PostgresWire, pg_database: str
) -> None:
    other = postgres.connect(pg_database)
    for number in range(3):
        for _ in range(8):
            columns = wire.execute("SELECT * FROM t").columns
        assert len(columns) == 2 + number
        other.execute(f"ALTER TABLE t ADD COLUMN c{number} int")
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM t'"
    assert len(wire.execute("SELECT * FROM t").columns) == 5
    for _ in range(8):
        wire.execute("SELECT * FROM t")
    assert wire.execute(prepared).scalar() == 1  # prepared again, not for ever without
    other.execute("ALTER TABLE t ADD COLUMN d int")
    wire.begin(write=True)
    with pytest.raises(SerializationError, match="Run the transaction again"):
        wire.execute("SELECT * FROM t")
    wire.rollback()
    wire.begin(write=True)
    assert len(wire.execute("SELECT * FROM t").columns) == 6
    wire.commit()
    other.close()


def test_many_rows_outlive_a_change_of_the_columns_they_return(
    wire: PostgresWire, pg_database: str
) -> None:
    add = "INSERT INTO t (a) VALUES (:a) RETURNING *"
    other = postgres.connect(pg_database)
    wire.execute_many(add, [{"a": 1}, {"a": 2}])
    other.execute("ALTER TABLE t ADD COLUMN c int")
    assert wire.execute_many(add, [{"a": 3}, {"a": 4}]) == 2
    assert wire.execute("SELECT count(*) FROM t WHERE a > 2").scalar() == 2  # once each
    for number in range(2):  # a text that is no longer prepared is not by executemany either
        other.execute(f"ALTER TABLE t ADD COLUMN d{number} int")
        wire.begin(write=True)
        if not number:
            with pytest.raises(SerializationError, match="Run the transaction again"):
                wire.execute_many(add, [{"a": 5}])
            wire.rollback()
            wire.begin(write=True)
        assert wire.execute_many(add, [{"a": 5 + number}]) == 1
        wire.commit()
    other.close()


def test_a_statement_prepared_anew_keeps_to_its_deadline(
    wire: PostgresWire, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change takes the table between the refusal and the second try."""
    other = postgres.connect(pg_database)
    for _ in range(8):
        wire.execute("SELECT * FROM t")
    other.execute("ALTER TABLE t ADD COLUMN c int")
    renewed = Plans.renewed
    left: list[float] = []

    @contextmanager
    def held_up(
        self: Plans, wire: PostgresWire, text: bytes, deadline: float | None
    ) -> Iterator[float | None]:
        other.begin(write=True)
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: deadline is None or deadline - time.monotonic() < 0.3)
        with renewed(self, wire, text, deadline) as left_ms:
            left.append(left_ms or 0.0)
            yield left_ms

    monkeypatch.setattr(Plans, "renewed", held_up)
    with pytest.raises(DeadlineExceededError):
        wire.execute("SELECT * FROM t", deadline_ms=600)
    assert 0 < left[0] < 300
    other.rollback()
    with pytest.raises(DeadlineExceededError), renewed(wire._plans, wire, b"", time.monotonic()):
        pytest.fail("no time was left")
    other.close()


def test_many_rows(wire: PostgresWire) -> None:
    rows = [{"a": number, "b": "x"} for number in range(10)]
    assert wire.execute_many("INSERT INTO t VALUES (:a, :b)", rows) == 10
    assert wire.insert_rows("t", ["a", "b"], ((n, None) for n in range(100, 105))) == 5
    assert wire.execute("SELECT count(*) FROM t WHERE b IS NULL").scalar() == 5


def test_names_of_columns_that_are_not_ascii_and_rows_without_columns(wire: PostgresWire) -> None:
    assert wire.execute('SELECT 1 AS "größe", 2 AS "b"').columns == ("größe", "b")
    found = wire.execute("SELECT FROM generate_series(1, 3)")
    assert (found.columns, list(found.rows)) == ((), [(), (), ()])


def test_a_script_runs_whole_or_not_at_all(wire: PostgresWire) -> None:
    wire.execute_script("CREATE TABLE one (a int); INSERT INTO one VALUES (1), (2);")
    assert wire.execute("SELECT count(*) FROM one").scalar() == 2
    with pytest.raises(StatementError):
        wire.execute_script("CREATE TABLE two (a int); nonsense")
    assert wire.execute("SELECT to_regclass('two')").scalar() is None


def test_transactions(wire: PostgresWire) -> None:
    wire.begin(write=True)
    wire.execute("INSERT INTO t VALUES (1, 'x')")
    open_now = wire.in_transaction
    wire.rollback()
    wire.rollback()
    assert (open_now, wire.in_transaction) == (True, False)
    with pytest.raises(StatementError, match="No transaction is open"):
        wire.commit()
    wire.begin(write=False)
    with pytest.raises(ReadOnlyDatabaseError):
        wire.execute("INSERT INTO t VALUES (1, 'x')")
    wire.rollback()


def test_commit_of_a_failed_transaction_is_no_success(wire: PostgresWire) -> None:
    wire.begin(write=True)
    wire.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(StatementError):
        wire.execute("SELECT 1 / 0")
    with pytest.raises(StatementError, match="rolled it back"):
        wire.commit()
    assert wire.execute("SELECT count(*) FROM t").scalar() == 0


@pytest.mark.parametrize("end", ["rollback", "failed statement", "failed commit"])
def test_a_type_made_again_after_its_transaction_failed_is_found(
    wire: PostgresWire, end: str
) -> None:
    """The server never finds the first one again, which prepared statements know by its number."""

    def moods() -> None:
        wire.execute("CREATE TYPE mood AS ENUM ('fine')")
        for _ in range(8):  # prepared meanwhile
            assert wire.execute("SELECT :mood::mood", {"mood": "fine"}).scalar() == "fine"

    wire.execute("CREATE TABLE late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    for _ in range(2):  # the first rollback has nothing to forget
        wire.begin(write=True)
        wire.rollback()
    for _ in range(2):
        wire.begin(write=True)
        moods()
        if end == "rollback":
            wire.rollback()
            continue
        if end == "failed statement":
            with pytest.raises(StatementError):
                wire.execute("SELECT 1 / 0")
        else:
            wire.execute("INSERT INTO late VALUES (1), (1)")
        with pytest.raises(StatementError):
            wire.commit()
    moods()
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%mood'"
    assert wire.execute(prepared).scalar() == 1  # as before, none is left over


@pytest.mark.parametrize("text", ["ROLLBACK TO twice", "DROP TYPE mood", "DISCARD ALL"])
def test_what_ends_prepared_statements_does_so_each_time(wire: PostgresWire, text: str) -> None:
    """psycopg looks at a text the first time only, when there may be nothing to forget yet."""
    within = text == "ROLLBACK TO twice"
    uses = (2, 8, 8)  # the first time nothing is prepared
    if within:
        wire.begin(write=True)
        wire.execute("SAVEPOINT twice")  # hidden by those of the same name below, and found again
    for count in uses:
        if within:
            wire.execute("SAVEPOINT twice")
        wire.execute("CREATE TYPE mood AS ENUM ('fine')")
        for _ in range(count):
            assert wire.execute("SELECT :mood::mood", {"mood": "fine"}).scalar() == "fine"
        wire.execute(text)
        if text == "DISCARD ALL":
            assert wire.execute("SELECT :mood::mood", {"mood": "fine"}).scalar() == "fine"
            wire.execute("DROP TYPE mood")
    if within:
        wire.execute("RELEASE twice")
        wire.execute("ROLLBACK TO twice")
        wire.commit()
    assert wire.execute("SELECT count(*) FROM pg_type WHERE typname = 'mood'").scalar() == 0


def test_a_pooler_is_not_told_to_forget(pg_database: str) -> None:
    wire = postgres.connect(pg_database, pooled=True)
    for failed in (False, True):
        wire.begin(write=True)
        for _ in range(8):
            wire.execute("SELECT :a::int", {"a": 1})
        if failed:
            with pytest.raises(StatementError):
                wire.execute("SELECT 1 / 0")
            with pytest.raises(StatementError):
                wire.commit()
        else:
            wire.rollback()
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%::int'"
        assert wire.execute(prepared).scalar() == 1
    wire.close()


def test_a_time_zone_ends_with_its_transaction(wire: PostgresWire) -> None:
    midnight = "SELECT '2020-01-01 00:00+00'::timestamptz"

    def hour() -> int:
        found = [wire.execute(midnight).scalar() for _ in range(2)][1]
        assert isinstance(found, datetime)
        return found.hour

    wire.execute_script("SET TimeZone = 'UTC'")
    for end in (wire.commit, wire.rollback):
        wire.begin(write=True)
        wire.execute("SET LOCAL TimeZone = 'Asia/Tokyo'")
        assert hour() == 9
        end()
        assert hour() == 0
    wire.execute_script("SET TimeZone = 'Asia/Tokyo'")
    assert hour() == 9


def test_deadline_and_cancel_hit_their_own_statement_only(wire: PostgresWire) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        wire.execute("SELECT pg_sleep(10)", deadline_ms=100)
    assert 0.1 <= time.monotonic() - started < 5
    threading.Timer(0.1, wire.cancel).start()
    with pytest.raises(StatementCancelledError):
        wire.execute("SELECT pg_sleep(10)")
    stopped = 0
    for _ in range(60):  # deadlines that pass just as the statement ends
        try:
            wire.execute("SELECT pg_sleep(0.01)", deadline_ms=10.5)
        except DeadlineExceededError:
            stopped += 1
        assert wire.execute("SELECT 1").scalar() == 1
    assert wire.execute("SELECT 2").scalar() == 2


def test_a_server_that_does_not_answer_is_left(
    pg_database: str, pg_server: PostgresServer, pg_proxy: Proxy
) -> None:
    wire = postgres.connect(through(pg_database, pg_server, pg_proxy))
    pg_proxy.freeze("down")
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="did not react"):
        wire.execute("SELECT 1", deadline_ms=100)
    assert time.monotonic() - started < 10
    assert wire.broken
    wire.close()


def test_a_loss_that_libpq_has_not_noticed_is_one(pg_database: str) -> None:
    """As psycopg tells it of a socket that was hung up on before anything was read from it."""
    wire = postgres.connect(pg_database)
    assert isinstance(
        wire._failed(psycopg.OperationalError("connection socket closed")), ConnectionLostError
    )
    assert wire.broken


def test_a_connection_that_breaks_in_a_statement_is_lost(
    pg_database: str, pg_server: PostgresServer, pg_proxy: Proxy
) -> None:
    wire = postgres.connect(through(pg_database, pg_server, pg_proxy))
    threading.Timer(0.1, pg_proxy.cut).start()
    with pytest.raises(ConnectionLostError):
        wire.execute("SELECT pg_sleep(5)")
    assert wire.broken
    with pytest.raises(ConnectionLostError):
        wire.execute("SELECT 1")
    wire.rollback()
    wire.close()


@pytest.mark.parametrize(("frozen", "kept"), [("down", 1), ("up", 0)])
def test_a_commit_whose_answer_is_lost_is_unknown(
    wire: PostgresWire,
    pg_database: str,
    pg_server: PostgresServer,
    pg_proxy: Proxy,
    frozen: str,
    kept: int,
) -> None:
    broken = postgres.connect(through(pg_database, pg_server, pg_proxy))
    broken.begin(write=True)
    broken.execute("INSERT INTO t VALUES (1, 'x')")
    pg_proxy.freeze(frozen)
    pid = broken.backend_pid
    threading.Timer(0.3, pg_proxy.cut).start()
    broken.cancel()
    with pytest.raises(CommitUnknownError):
        broken.commit()
    gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"
    wait_until(lambda: wire.execute(gone, {"pid": pid}).scalar() == 0, 10, "the backend to end")
    assert count(pg_database) == kept
    broken.close()


def test_a_commit_that_is_never_answered_is_unknown(
    wire: PostgresWire,
    pg_database: str,
    pg_server: PostgresServer,
    pg_proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen = postgres.connect(through(pg_database, pg_server, pg_proxy))
    frozen.begin(write=True)
    frozen.execute("INSERT INTO t VALUES (1, 'x')")
    pg_proxy.freeze("down")
    monkeypatch.setattr(postgres, "CONTROL_SECONDS_MAX", 0.2)
    with pytest.raises(CommitUnknownError):
        frozen.commit()
    assert frozen.broken
    wait_until(lambda: count(pg_database) == 1, 10, "the commit, which had arrived")
    frozen.close()


def test_a_connection_that_broke_before_commit_committed_nothing(
    wire: PostgresWire, pg_database: str
) -> None:
    other = postgres.connect(pg_database)
    other.begin(write=True)
    other.execute("INSERT INTO t VALUES (1, 'x')")
    wire.execute("SELECT pg_terminate_backend(:pid, 5000)", {"pid": other.backend_pid})
    with pytest.raises(ConnectionLostError):
        other.commit()
    assert count(pg_database) == 0
    other.close()


def test_a_deferred_constraint_fails_the_commit(wire: PostgresWire) -> None:
    wire.execute("CREATE TABLE child (a int REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    wire.begin(write=True)
    wire.execute("INSERT INTO child VALUES (99)")
    with pytest.raises(StatementError, match="child_a_fkey"):
        wire.commit()
    assert not wire.in_transaction
    assert not wire.broken


def test_parameters_reach_every_type(wire: PostgresWire) -> None:
    row = wire.execute(
        "SELECT :i + 1, :f::float8, :t || '%', :b::bytea, :n::int IS NULL, :l::int[], :y::bool",
        {"i": 1, "f": 0.5, "t": "a:b", "b": b"\0\1", "n": None, "l": [1, 2], "y": True},
    ).rows[0]
    assert row == (2, 0.5, "a:b%", b"\0\1", True, [1, 2], True)
    with pytest.raises(StatementError, match="cannot be sent"):
        wire.execute("SELECT :o", {"o": object()})
    with pytest.raises(StatementError):
        wire.execute("SELECT :t::text", {"t": "nul \0 byte"})
    assert wire.execute("SELECT 1").scalar() == 1
