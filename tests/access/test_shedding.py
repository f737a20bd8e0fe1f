"""When more is asked than can be served: who is refused, who never is, and that it drains."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeostat.access import Caller, Database, ExecutionSettings, Operation, PoolLimits
from homeostat.access.caller import CRITICALITIES
from homeostat.access.lease import Lease, Waiter
from homeostat.access.shedding import NOBODY, Load
from homeostat.clock import ManualClock
from homeostat.errors import OverloadedError
from tests.access.helpers import READ, in_thread, until

WORK = Operation(
    "work",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) "
    "SELECT count(*) FROM n",
)


@contextmanager
def opened(file: Path, clock: ManualClock, **limits: float | None) -> Iterator[Database]:
    settings = ExecutionSettings(deadline_ms=60_000, wait_ms=5_000)
    with Database.open(
        file,
        agent=None,
        pool=PoolLimits(limit=1, **limits),  # type: ignore[arg-type]
        clock=clock,
        operations=[READ],
        planner=lambda *_: settings,
    ) as database:
        yield database


class Crowd:
    """Callers that come one after the other, each in a thread of its own."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock
        self.held: Lease | None = database.pool.acquire("holder")
        self.leases: list[tuple[str, Lease]] = []
        self.refused: list[tuple[str, OverloadedError]] = []

    def come(self, name: str, criticality: str = "normal", *, wait_seconds: float = 1e6) -> None:
        """Come and wait; returns when the caller is in the queue or refused."""
        known = len(self.refused)
        waiting = self.database.pool.waiting

        def work() -> None:
            try:
                lease = self.database.pool.acquire(
                    name, wait_seconds=wait_seconds, caller=Caller(criticality=criticality)
                )
            except OverloadedError as error:
                self.refused.append((name, error))
            else:
                self.leases.append((name, lease))

        in_thread(work)
        until(lambda: len(self.refused) > known or self.database.pool.waiting > waiting)

    def serve(self, count: int, *, seconds: float) -> None:
        """Serve so many waiters, each after so many seconds."""
        for _ in range(count):
            self.clock.advance(seconds)
            served = len(self.leases)
            lease = self.held if self.held is not None else self.leases[-1][1]
            self.held = None
            self.database.pool.release(lease)
            until(lambda served=served: len(self.leases) > served)  # type: ignore[misc]

    def end(self) -> None:
        """Serve everybody."""
        while self.database.pool.waiting:
            self.serve(1, seconds=0.0)
        self.database.pool.release(self.held or self.leases[-1][1])


def test_the_sheddable_are_refused_at_once_while_the_queue_stands(file: Path) -> None:
    clock = ManualClock()
    with opened(file, clock) as database:
        crowd = Crowd(database, clock)
        crowd.come("first")
        crowd.come("burst", "sheddable")  # a queue that has just begun is no overload
        clock.advance(0.6)
        for criticality in ("sheddable", "normal", "critical"):
            crowd.come(f"late {criticality}", criticality)
        ((name, error),) = crowd.refused
        assert name == "late sheddable"
        assert error.retry_after_seconds >= 0.5
        assert "Retry after" in str(error)
        assert database.pool.waiting == 4
        crowd.end()
        report = database.pool.report()
        assert report.shed == {"sheddable": 1}
        assert database.pool.report().shed == {}


def test_a_queue_that_drains_refuses_nobody(file: Path) -> None:
    clock = ManualClock()
    with opened(file, clock) as database:
        crowd = Crowd(database, clock)
        for number in range(30):
            crowd.come(f"{number}", "sheddable")
            crowd.serve(1, seconds=0.04)  # each waits less than the target
        assert crowd.refused == []
        crowd.end()


def test_who_would_wait_too_long_is_told_at_once_and_when_to_come_again(file: Path) -> None:
    clock = ManualClock()
    with opened(file, clock) as database:
        crowd = Crowd(database, clock)
        for number in range(9):
            crowd.come(f"{number}")
        crowd.serve(3, seconds=1.0)  # one a second; six wait
        crowd.come("patient", wait_seconds=8.0)
        crowd.come("impatient", wait_seconds=5.0)
        ((name, error),) = crowd.refused
        assert name == "impatient"
        assert error.retry_after_seconds == pytest.approx(8.0)
        crowd.end()


def test_nobody_is_refused_before_somebody_less_critical(file: Path) -> None:
    clock = ManualClock()
    with opened(file, clock) as database:
        crowd = Crowd(database, clock)
        crowd.come("sheddable 1", "sheddable")
        crowd.come("sheddable 2", "sheddable")
        for number in range(9):
            crowd.come(f"normal {number}")
        crowd.serve(2, seconds=1.0)  # both sheddable ones are served
        clock.advance(0.1)
        crowd.come("critical 1", "critical", wait_seconds=5.0)
        assert [name for name, _ in crowd.refused] == ["normal 8"]  # the newest below it
        crowd.come("normal 9", wait_seconds=5.0)
        assert [name for name, _ in crowd.refused] == ["normal 8", "normal 9"]
        crowd.come("critical 2", "critical", wait_seconds=5.0)
        assert crowd.refused[-1][0] == "normal 7"
        crowd.end()
        assert {name for name, _ in crowd.leases} >= {"critical 1", "critical 2"}
        assert database.pool.report().shed == {"normal": 3}


def test_the_victim_is_always_the_least_critical() -> None:
    chooser = random.Random(5)
    for _ in range(500):
        waiters = [
            Waiter(
                str(number),
                0.0,
                busy=True,
                caller=Caller(criticality=chooser.choice(CRITICALITIES)),
            )
            for number in range(chooser.randrange(6))
        ]
        newcomer = Waiter(
            "new", 0.0, busy=True, caller=Caller(criticality=chooser.choice(CRITICALITIES))
        )
        load = Load(0.05, 0.0, standing=True, rate=chooser.choice([0.0, 1.0, 100.0]))
        victim = load.victim(newcomer, waiters, may_wait=2.0)
        if victim is NOBODY:
            continue
        present = [CRITICALITIES.index(one.criticality) for one in [*waiters, newcomer]]
        assert victim.criticality != "critical"
        assert CRITICALITIES.index(victim.criticality) == max(present)


def test_the_segment_makes_no_difference(file: Path) -> None:
    clock = ManualClock()
    with opened(file, clock) as database:
        crowd = Crowd(database, clock)
        crowd.come("first")
        clock.advance(0.6)
        results: list[object] = []
        for segment in ("gold", "free", "none"):
            with pytest.raises(OverloadedError):
                database.execute(READ, caller=Caller(segment=segment, criticality="sheddable"))
            caller = Caller(segment=segment, criticality="critical")
            waiting = database.pool.waiting
            in_thread(lambda caller=caller: results.append(database.execute(READ, caller=caller)))  # type: ignore[misc]
            until(lambda waiting=waiting: database.pool.waiting > waiting)  # type: ignore[misc]
        crowd.serve(1, seconds=0.1)
        database.pool.release(crowd.leases[-1][1])
        until(lambda: len(results) == 3)
        assert database.pool.report().shed == {"sheddable": 3}


def test_a_pool_without_a_target_refuses_nobody(file: Path) -> None:
    clock = ManualClock()
    with opened(file, clock, wait_target_ms=None) as database:
        crowd = Crowd(database, clock)
        for number in range(5):
            crowd.come(str(number), "sheddable")
            clock.advance(10.0)
        assert crowd.refused == []
        crowd.end()


def test_under_real_load_the_critical_are_served_and_the_rest_give_way(file: Path) -> None:
    limits = PoolLimits(limit=1, wait_target_ms=2.0)
    stop = threading.Event()
    served = dict.fromkeys(CRITICALITIES, 0)
    refused = dict.fromkeys(CRITICALITIES, 0)
    with Database.open(file, agent=None, pool=limits, operations=[WORK]) as database:

        def work(criticality: str) -> None:
            caller = Caller(criticality=criticality)
            while not stop.is_set():
                try:
                    database.execute("work", caller=caller)
                    served[criticality] += 1
                except OverloadedError as error:
                    refused[criticality] += 1
                    stop.wait(min(error.retry_after_seconds, 0.05))

        kinds = ["critical"] * 4 + ["sheddable"] * 6
        threads = [in_thread(lambda kind=kind: work(kind)) for kind in kinds]  # type: ignore[misc]
        until(lambda: refused["sheddable"] > 20 and served["critical"] > 100, seconds=30)
        stop.set()
        for thread in threads:
            thread.join(20)
        assert refused["critical"] == 0
        assert database.pool.report().shed == {"sheddable": refused["sheddable"]}
        assert (database.pool.in_use, database.pool.waiting) == (0, 0)
        database.execute("work", caller=Caller(criticality="sheddable"))  # it is over
