"""The pool: order, limits, time-outs and accounts, on real SQLite connections."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from homeostat.access.lease import Lease, Waiter
from homeostat.access.pool import Pool
from homeostat.access.protocol import PoolReport, unpack
from homeostat.access.queue import OVERTAKEN_SECONDS
from homeostat.clock import ManualClock
from homeostat.driver import sqlite
from homeostat.errors import (
    DatabaseMissingError,
    PoolClosedError,
    PoolTimeoutError,
    StatementCancelledError,
)
from tests.access.conftest import MakePool
from tests.access.helpers import in_thread, until


def queued(pool: Pool, count: int) -> tuple[list[int], list[Lease], list[threading.Thread]]:
    """Have so many threads wait for a connection, one after the other."""
    order: list[int] = []
    leases: list[Lease] = []
    threads: list[threading.Thread] = []

    def come(number: int) -> None:
        lease = pool.acquire(f"caller {number}", wait_seconds=20)
        order.append(number)
        leases.append(lease)

    for number in range(count):
        threads.append(in_thread(lambda number=number: come(number)))  # type: ignore[misc]
        until(lambda number=number: pool.waiting == number + 1)  # type: ignore[misc]
    return order, leases, threads


def test_connections_are_opened_only_when_needed(make_pool: MakePool) -> None:
    pool = make_pool(4)
    assert pool.size == 0
    for _ in range(10):
        pool.release(pool.acquire("read"))
    assert pool.size == 1
    first, second = pool.acquire("a"), pool.acquire("b")
    assert pool.size == 2
    pool.release(first)
    pool.release(second)


def test_who_came_first_is_served_first(make_pool: MakePool) -> None:
    pool = make_pool(1)
    held = pool.acquire("first")
    order, leases, threads = queued(pool, 5)
    pool.release(held)
    for served in range(1, 6):
        until(lambda served=served: len(leases) == served)  # type: ignore[misc]
        pool.release(leases[-1])
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4]


def in_line(pool: Pool, *names: str) -> list[Waiter]:
    """Have waiters in the queue, as threads that sleep until the test asks them to look."""
    waiters = [Waiter(name, pool._now(), busy=False) for name in names]
    for waiter in waiters:
        assert pool.enter(waiter, may_wait=5.0) is None
    return waiters


def test_who_runs_on_overtakes_a_sleeping_thread_for_so_long_at_most(
    make_pool: MakePool,
) -> None:
    clock = ManualClock()
    pool = make_pool(1, clock=clock)
    held = pool.acquire("first")
    (sleeping,) = in_line(pool, "sleeping")
    pool.release(held)
    assert sleeping.event.is_set()
    held = pool.acquire("runs on", wait_seconds=0.0)
    assert pool.overtaken(sleeping, until=pool._now() + 5.0)
    assert not sleeping.event.is_set()
    assert pool.waiting == 1
    clock.advance(OVERTAKEN_SECONDS + 0.001)
    pool.release(held)  # at this moment the connection is the waiter's
    with pytest.raises(PoolTimeoutError):
        pool.acquire("newcomer", wait_seconds=0.0)
    lease = pool.granted(sleeping)
    assert lease is held
    pool.release(lease)


def test_a_thread_that_is_called_takes_what_is_idle_and_its_wait_is_counted(
    make_pool: MakePool,
) -> None:
    clock = ManualClock()
    pool = make_pool(1, clock=clock)
    held = pool.acquire("first")
    (sleeping,) = in_line(pool, "sleeping")
    clock.advance(0.01)
    pool.release(held)
    clock.advance(0.03)
    assert not pool.overtaken(sleeping, until=pool._now())
    lease = pool.granted(sleeping)
    assert lease is held
    assert pool.in_use == 1
    pool.release(lease)
    wait = unpack(pool.report().wait)
    assert wait.max == pytest.approx(40_000)


def test_who_is_called_and_gives_up_leaves_the_connection_to_the_next(make_pool: MakePool) -> None:
    pool = make_pool(1)
    held = pool.acquire("first")
    gives_up, following = in_line(pool, "gives up", "following")
    pool.release(held)
    assert not following.event.is_set()
    pool.abandon(gives_up)
    lease = pool.granted(following)
    assert lease is held
    pool.release(lease)


def test_a_closing_pool_tells_who_was_called(make_pool: MakePool) -> None:
    pool = make_pool(1)
    held = pool.acquire("first")
    (called,) = in_line(pool, "called")
    pool.release(held)
    pool.close()
    assert not pool.overtaken(called, until=pool._now() + 5.0)
    with pytest.raises(PoolClosedError):
        pool.granted(called)


def test_fifty_threads_share_four_connections(make_pool: MakePool) -> None:
    pool = make_pool(4)
    done: list[int] = []
    together = threading.Semaphore(4)

    def work() -> None:
        for _ in range(20):
            lease = pool.acquire("read", wait_seconds=20, busy=True)
            assert together.acquire(blocking=False), "more than four have a connection"
            done.append(len(lease.wire.execute("SELECT 1").rows))
            together.release()
            pool.release(lease)

    held = [pool.acquire("holder") for _ in range(4)]
    threads = [in_thread(work) for _ in range(50)]
    until(lambda: pool.waiting == 50)
    for lease in held:
        pool.release(lease)
    for thread in threads:
        thread.join(30)
    assert len(done) == 1000
    assert (pool.in_use, pool.waiting) == (0, 0)
    report = pool.report()
    assert sum(report.wait.counts) == 1004
    assert report.in_use_max == 4
    assert pool.size <= 4


def test_raising_the_limit_lets_waiters_through_at_once(make_pool: MakePool) -> None:
    pool = make_pool(1)
    held = pool.acquire("holder")
    _, leases, _ = queued(pool, 3)
    began = time.monotonic()
    pool.resize(4)
    until(lambda: len(leases) == 3, seconds=1)
    assert time.monotonic() - began < 1
    assert pool.size == 4
    for lease in [held, *leases]:
        pool.release(lease)


def test_lowering_the_limit_closes_idle_connections_now_and_taken_ones_later(
    make_pool: MakePool,
) -> None:
    pool = make_pool(4)
    leases = [pool.acquire("read") for _ in range(4)]
    pool.release(leases.pop())
    pool.resize(2)
    assert pool.size == 3  # the idle one was closed, three are taken
    for lease in leases:
        assert not lease.wire.broken
    pool.release(leases[0])
    assert leases[0].wire.broken
    assert pool.size == 2
    pool.release(leases[1])
    pool.release(leases[2])
    assert pool.size == 2


def test_after_shrinking_waiters_are_served_by_what_is_left(make_pool: MakePool) -> None:
    pool = make_pool(3)
    held = [pool.acquire("holder") for _ in range(3)]
    _, leases, _ = queued(pool, 2)
    pool.resize(1)
    pool.release(held[0])
    pool.release(held[1])
    assert not leases  # both were over the limit
    assert pool.waiting == 2
    pool.release(held[2])
    until(lambda: len(leases) == 1)
    pool.release(leases[0])
    until(lambda: len(leases) == 2)
    pool.release(leases[1])
    assert pool.size == 1


def test_resizing_under_load_loses_nobody(make_pool: MakePool) -> None:
    pool = make_pool(4)
    stop = threading.Event()
    counts = [0] * 12

    def work(number: int) -> None:
        while not stop.is_set():
            lease = pool.acquire("read", wait_seconds=20, busy=True)
            lease.wire.execute("SELECT count(*) FROM note")
            pool.release(lease)
            counts[number] += 1

    threads = [in_thread(lambda n=n: work(n)) for n in range(12)]  # type: ignore[misc]
    chooser = random.Random(7)
    for _ in range(60):
        before = sum(counts)
        pool.resize(chooser.randint(1, 8))
        until(lambda before=before: sum(counts) > before)  # type: ignore[misc]
    pool.resize(2)
    stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert min(counts) > 0
    assert (pool.in_use, pool.waiting) == (0, 0)
    assert pool.size <= 2


def test_time_in_use_is_counted_exactly(make_pool: MakePool) -> None:
    clock = ManualClock()
    pool = make_pool(2, clock=clock)
    first = pool.acquire("thinker")
    clock.advance(1)
    second = pool.acquire("query", busy=True)
    clock.advance(2)
    pool.release(second)
    clock.advance(3)
    pool.release(first)
    clock.advance(4)
    report = pool.report()
    assert report.seconds == 10
    assert report.in_use_seconds == [4, 4, 2]
    assert report.in_use_mean == pytest.approx(0.8)
    assert (report.in_use, report.in_use_max) == (0, 2)
    assert report.held_seconds == 8
    assert report.busy_seconds == 2
    assert report.holders == {"thinker": 6}


def test_leases_under_way_are_in_each_report_and_nothing_counts_twice(make_pool: MakePool) -> None:
    clock = ManualClock()
    pool = make_pool(2, clock=clock)
    thinker = pool.acquire("thinker")
    query = pool.acquire("query", busy=True)
    clock.advance(5)
    first = pool.report()
    assert first.in_use == 2
    assert first.held_seconds == 10
    assert first.busy_seconds == 5
    assert first.holders == {"thinker": 5}
    clock.advance(1)
    thinker.start(clock.monotonic())
    clock.advance(2)
    second = pool.report()
    clock.advance(3)
    thinker.stop(clock.monotonic())
    clock.advance(4)
    pool.release(thinker)
    pool.release(query)
    third = pool.report()
    rest = [first, second, third]
    assert sum(report.held_seconds for report in rest) == 30  # 15 s each
    assert sum(report.busy_seconds for report in rest) == 15 + 5
    assert sum(report.holders.get("thinker", 0) for report in rest) == 10
    assert "query" not in third.holders
    assert second.in_use_seconds == [0, 0, 3]
    assert third.in_use_max == 2


def test_waits_are_measured_from_arrival_and_zero_waits_count(make_pool: MakePool) -> None:
    clock = ManualClock()
    pool = make_pool(1, clock=clock)
    pool.release(pool.acquire("opens"))
    pool.report()
    held = pool.acquire("holder")
    _, leases, _ = queued(pool, 1)
    clock.advance(2)
    assert pool.report().waiting_oldest_seconds == 2
    pool.release(held)
    until(lambda: leases)
    pool.release(leases[0])
    wait = unpack(pool.report().wait)
    assert wait.count == 1
    assert wait.total == 2e6
    pool.release(pool.acquire("at once"))
    assert unpack(pool.report().wait).counts == {0: 1}


def test_a_time_out_names_who_holds_the_connections(make_pool: MakePool) -> None:
    clock = ManualClock()
    pool = make_pool(2, clock=clock)
    leases = [pool.acquire("export.all")]
    clock.advance(10)
    leases.append(pool.acquire("user.profile"))
    failure: list[PoolTimeoutError] = []

    def come() -> None:
        with pytest.raises(PoolTimeoutError) as caught:
            pool.acquire("late.comer", wait_seconds=3)
        failure.append(caught.value)

    thread = in_thread(come)
    until(lambda: pool.waiting)
    clock.advance(3)
    thread.join(5)
    assert failure[0].holders == (("export.all", 13.0), ("user.profile", 3.0))
    text = str(failure[0])
    assert "late.comer got no connection within 3.0 s" in text
    assert "export.all for 13.0 s" in text
    report = pool.report()
    assert report.timeouts == 1
    assert unpack(report.wait).max == 3e6  # who gave up has waited too
    for lease in leases:
        pool.release(lease)


def test_a_connection_that_breaks_while_held_is_replaced(make_pool: MakePool) -> None:
    pool = make_pool(2)
    held = [pool.acquire("a"), pool.acquire("b")]
    _, leases, _ = queued(pool, 1)
    pool.release(held[1])
    until(lambda: leases)
    pool.release(leases[0])
    held[0].wire.close()
    pool.release(held[0], suspect=True)
    assert pool.size == 0  # the idle one has likely broken with it
    fresh = pool.acquire("c")
    assert fresh.wire.execute("SELECT 1").scalar() == 1
    pool.release(fresh)


def test_a_broken_connection_makes_room_for_a_waiter(make_pool: MakePool) -> None:
    pool = make_pool(1)
    held = pool.acquire("a")
    _, leases, _ = queued(pool, 1)
    held.wire.close()
    pool.release(held, suspect=True)
    until(lambda: leases)
    assert leases[0].wire.execute("SELECT 1").scalar() == 1
    pool.release(leases[0])


def test_a_transaction_left_open_is_rolled_back(make_pool: MakePool) -> None:
    pool = make_pool(1)
    lease = pool.acquire("a")
    lease.wire.begin(write=True)
    lease.wire.execute("INSERT INTO note (text) VALUES ('half done')")
    pool.release(lease, suspect=True)
    lease = pool.acquire("b")
    assert not lease.wire.in_transaction
    assert lease.wire.execute("SELECT count(*) FROM note").scalar() == 0
    pool.release(lease)


def test_who_cannot_open_leaves_room_for_the_next(make_pool: MakePool, tmp_path: Path) -> None:
    later = tmp_path / "later.db"
    pool = make_pool(1, connect=lambda: sqlite.connect(later))
    for _ in range(3):
        with pytest.raises(DatabaseMissingError):
            pool.acquire("early")
    assert pool.size == 0
    sqlite.connect(later, create=True).close()
    pool.release(pool.acquire("late"))


def test_lock_seconds_grow_while_a_writer_waits(make_pool: MakePool, file: Path) -> None:
    pool = make_pool(2)
    blocker = sqlite.connect(file)
    blocker.begin(write=True)

    def write() -> None:
        lease = pool.acquire("note.add", busy=True)
        lease.wire.execute("INSERT INTO note (text) VALUES ('x')")
        pool.release(lease)

    thread = in_thread(write)
    reports: list[PoolReport] = []

    def locked() -> bool:
        reports.append(pool.report())
        return sum(report.lock_seconds or 0 for report in reports) > 0.05

    until(locked)  # the wait under way is in the report
    blocker.rollback()
    blocker.close()
    thread.join(5)
    reports.append(pool.report())
    lock = sum(report.lock_seconds or 0 for report in reports)
    busy = sum(report.busy_seconds for report in reports)
    assert 0.05 < lock <= busy


def test_closing_waits_for_what_is_under_way_then_cancels_it(make_pool: MakePool) -> None:
    pool = make_pool(1)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    outcome: list[str] = []

    def work() -> None:
        lease = pool.acquire("endless", busy=True)
        try:
            lease.wire.execute(endless)
        except StatementCancelledError:
            outcome.append("cancelled")
        pool.release(lease, suspect=True)

    thread = in_thread(work)
    until(lambda: pool.in_use)
    waiter_outcome: list[type[BaseException]] = []

    def wait() -> None:
        try:
            pool.acquire("waiter")
        except PoolClosedError as error:
            waiter_outcome.append(type(error))

    waiter = in_thread(wait)
    until(lambda: pool.waiting)
    late = pool.close(drain_seconds=0.05)
    thread.join(5)
    waiter.join(5)
    assert [name for name, _ in late] == ["endless"]
    assert outcome == ["cancelled"]
    assert waiter_outcome == [PoolClosedError]
    assert pool.size == 0
    with pytest.raises(PoolClosedError):
        pool.acquire("too late")


def test_closing_ends_as_soon_as_all_are_returned(make_pool: MakePool) -> None:
    pool = make_pool(2)
    lease = pool.acquire("a")
    results: list[object] = []
    thread = in_thread(lambda: results.append(pool.close(drain_seconds=30)))
    until(lambda: pool.limit == 0)
    pool.release(lease)
    thread.join(5)
    assert results == [()]
    assert pool.size == 0


@pytest.mark.parametrize("limit", [0, -1, 65])
def test_a_limit_without_sense_is_refused(make_pool: MakePool, limit: int) -> None:
    pool = make_pool(4)
    with pytest.raises(ValueError, match="must be 1 to 64"):
        pool.resize(limit)
    assert pool.limit == 4
