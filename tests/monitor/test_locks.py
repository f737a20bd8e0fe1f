from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homeostat.driver import postgres, sqlite
from homeostat.engine.engine import Activity, LockHolder, Session
from homeostat.errors import DatabaseError
from homeostat.measure import Severity, Unknown
from homeostat.monitor.locks import LockHolderRule
from homeostat.operate.rule import Judgement, Undecided
from tests.monitor.stage import Ward, judged, ward
from tests.patience import line_of
from tests.servers import wait_until

HOLD = """
import sys
from homeostat.driver import sqlite
wire = sqlite.connect(sys.argv[1], mode="foreign")
wire.begin(write=True)
print("held", flush=True)
sys.stdin.read()
wire.rollback()
wire.close()
"""


@contextmanager
def row_lock(url: str, *, waiters: int) -> Iterator[int]:
    """Hold a row's lock in one session while others wait for it; yield the holder's pid."""
    holder = postgres.connect(url, application_name="nightly-report")
    holder.execute("CREATE TABLE IF NOT EXISTS stock (id int PRIMARY KEY, n int)")
    holder.execute("INSERT INTO stock VALUES (1, 1) ON CONFLICT DO NOTHING")
    holder.begin(write=True)
    holder.execute("UPDATE stock SET n = 4711 WHERE id = 1")
    wires = [postgres.connect(url, application_name="shop") for _ in range(waiters)]

    def wait(wire: postgres.PostgresWire) -> None:
        try:
            wire.execute("UPDATE stock SET n = n + 1 WHERE id = 1")
        except DatabaseError:
            return

    threads = [threading.Thread(target=wait, args=(wire,)) for wire in wires]
    for thread in threads:
        thread.start()
    try:
        yield holder.backend_pid
    finally:
        holder.rollback()
        for thread in threads:
            thread.join(10)
        for wire in (holder, *wires):
            wire.close()


def blocked(one: Ward) -> object:
    one.tick()
    return one.reading("postgresql.blocked_sessions")


def test_the_holder_is_named_with_its_statement_and_how_long(
    tmp_path: Path, pg_database: str
) -> None:
    with (
        ward(tmp_path / "data", pg_database, blocked_sessions=3) as one,
        row_lock(pg_database, waiters=3) as pid,
    ):
        wait_until(lambda: blocked(one) == 3.0, what="three sessions to wait")
        one.tick(times=2)
        found = one.open("lock-holder")
        assert found is not None
        assert found.severity == "high"
        assert "3 sessions wait for one lock holder" in found.what
        assert f"pid {pid} (nightly-report" in found.cause
        assert "UPDATE stock" in found.cause
        assert "4711" not in found.cause  # literals are redacted
        assert f"pg_terminate_backend({pid})" in found.mend
        holder = found.evidence["holders"][0]
        assert holder["blocked"] == 3
        assert holder["held_seconds"] > 0


def test_the_finding_clears_only_after_some_quiet_ticks(tmp_path: Path, pg_database: str) -> None:
    with ward(tmp_path / "data", pg_database, blocked_sessions=1) as one:
        with row_lock(pg_database, waiters=1):
            wait_until(lambda: blocked(one) == 1.0, what="a session to wait")
            one.tick(times=2)
        one.tick(times=2)
        assert one.open("lock-holder") is not None
        one.tick()
        assert one.open("lock-holder") is None


def test_one_session_that_waits_long_is_enough(tmp_path: Path, pg_database: str) -> None:
    with (
        ward(tmp_path / "data", pg_database, lock_wait_seconds=0.3) as one,
        row_lock(pg_database, waiters=1),
    ):
        wait_until(lambda: blocked(one) == 1.0, what="a session to wait")
        wait_until(
            lambda: blocked(one) == 1.0 and one.open("lock-holder"), what="the wait to be long"
        )
        found = one.open("lock-holder")
        assert found is not None
        assert found.severity == "warning"
        assert found.what.startswith("1 session waits for a lock")


def test_a_crowd_at_a_single_reading_is_no_finding(tmp_path: Path, pg_database: str) -> None:
    with ward(tmp_path / "data", pg_database, blocked_sessions=1) as one:
        with row_lock(pg_database, waiters=1) as _:
            wait_until(lambda: _waits(one), what="a session to wait")
            one.tick()
            assert one.open("lock-holder") is None
        one.tick()
        assert one.open("lock-holder") is None


def _waits(one: Ward) -> bool:
    count = one.watch.engine.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    ).scalar()
    return bool(count)


def test_a_process_that_sits_on_a_sqlite_file_is_named_when_operations_wait(
    tmp_path: Path, sqlite_path: Path
) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE t (a)")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(sqlite_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert line_of(holder.stdout) == b"held\n"
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        for _ in range(3):
            one.report(lock_share=0.8)
            one.tick()
        found = one.open("lock-holder")
        assert found is not None
        assert "80%" in found.what
        assert "pool main" in found.what
        assert f"pid {holder.pid} (" in found.cause
        assert "held the write lock at 3 of 3 readings" in found.cause
        holder.communicate(timeout=10)
        for _ in range(8):
            one.report(lock_share=0.0)
            one.tick()
        assert one.open("lock-holder") is None
    wire.close()


def test_writing_alone_is_no_trouble(tmp_path: Path, sqlite_path: Path) -> None:
    """A write lock that nobody waits for is what a database is for."""
    wire = sqlite.connect(sqlite_path)
    wire.begin(write=True)
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        for _ in range(6):
            one.report(lock_share=0.49)
            one.tick()
        assert one.open("lock-holder") is None
    wire.rollback()
    wire.close()


# -- recorded readings


def session(pid: int, *, blocked_by: tuple[int, ...] = (), seconds: float = 1.0) -> Session:
    return Session(pid, "app", "shop", "active", seconds, seconds, "", blocked_by, "UPDATE t")


def locked(*, held_seconds: float = 5.0, waiting: int = 5, seconds: float = 1.0) -> Activity:
    sessions = tuple(session(n, blocked_by=(99,), seconds=seconds) for n in range(waiting))
    holder = LockHolder(99, "report", "app", "SELECT 1", held_seconds, waiting)
    return Activity(10.0, 97.0, (session(99), *sessions), (holder,), float(waiting))


def test_the_edge_of_blocked_sessions_is_five() -> None:
    for count, opens in ((4, False), (5, True)):
        said = judged(
            LockHolderRule(),
            {"locks.blocked_by_one": [float(count)] * 2},
            activity=locked(waiting=count),
        )
        assert bool(said) is opens


def test_the_edge_of_a_long_wait_is_sixty_seconds() -> None:
    for seconds, opens in ((59.9, False), (60.0, True)):
        said = judged(LockHolderRule(), {}, activity=locked(waiting=1, seconds=seconds))
        assert bool(said) is opens


def test_a_prepared_transaction_is_told_as_one() -> None:
    holder = LockHolder(0, "", "", "a prepared transaction", None, 5)
    activity = Activity(9.0, 97.0, (session(1, blocked_by=(0,), seconds=61.0),), (holder,), 1.0)
    [said] = judged(LockHolderRule(), {}, activity=activity)
    assert isinstance(said, Judgement)
    assert said.cause == "a prepared transaction"
    assert "roll back" in said.mend


def test_without_a_reading_nothing_is_decided() -> None:
    [said] = judged(LockHolderRule(), {"locks.blocked_by_one": [Unknown("down")]})
    assert isinstance(said, Undecided)


def test_on_postgresql_lock_bound_load_is_seen_from_the_server() -> None:
    from homeostat.config import Config
    from homeostat.measure import Sample, Subject
    from homeostat.operate.recent import Recent
    from homeostat.operate.rule import View
    from tests.monitor.stage import IDENTITY

    for waiting, opens in ((3.9, False), (4.0, True)):
        recent = Recent()
        pool = Subject(IDENTITY.key, "agent:shop-1", "pool", "main")
        for tick in range(5):
            at = tick * 10.0
            recent.add(
                [
                    Sample(Subject(IDENTITY.key), "postgresql.blocked_sessions", at, waiting),
                    Sample(pool, "pool.lock_share", at, Unknown("only the server sees")),
                    Sample(pool, "pool.in_use_mean", at, 8.0),
                ]
            )
        view = View(40.0, IDENTITY, Config(), recent, activity=locked(waiting=4))
        said = list(LockHolderRule().judge(view))
        assert bool(said) is opens
        if opens:
            assert isinstance(said[0], Judgement)
            assert said[0].severity is Severity.HIGH
            assert "pid 99 (report" in said[0].cause
