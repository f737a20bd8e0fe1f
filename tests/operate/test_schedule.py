from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from homeostat.clock import ManualClock
from homeostat.operate.schedule import Routine, Scheduler, Task
from tests.servers import wait_until

YEAR_SECONDS = 365 * 86_400


class Log:
    def __init__(self) -> None:
        self.failed: list[str] = []
        self.recovered: list[str] = []

    def scheduler(
        self, clock: ManualClock, executor: ThreadPoolExecutor | None = None
    ) -> Scheduler:
        return Scheduler(
            clock,
            on_error=lambda _routine, task, _error: self.failed.append(task),
            on_success=lambda _routine, task: self.recovered.append(task),
            executor=executor,
        )


def test_a_year_of_daily_and_hourly_tasks_runs_without_drift() -> None:
    clock = ManualClock()
    start = clock.monotonic()
    at: dict[str, list[float]] = {"daily": [], "hourly": []}
    scheduler = Log().scheduler(clock)
    scheduler.add(
        Routine(
            "year",
            [
                Task("daily", 86_400.0, lambda: at["daily"].append(clock.monotonic() - start)),
                Task("hourly", 3_600.0, lambda: at["hourly"].append(clock.monotonic() - start)),
            ],
        )
    )
    while clock.monotonic() - start < YEAR_SECONDS:
        clock.advance(max(0.001, scheduler.step()))
    assert len(at["daily"]) == 365
    assert len(at["hourly"]) == 365 * 24
    assert at["hourly"][-1] == (365 * 24 - 1) * 3_600.0


def test_a_late_run_does_not_shift_the_next() -> None:
    clock = ManualClock()
    start = clock.monotonic()
    at: list[float] = []

    def slow() -> None:
        at.append(clock.monotonic() - start)
        clock.advance(4.0)

    scheduler = Log().scheduler(clock)
    scheduler.add(Routine("r", [Task("slow", 10.0, slow)]))
    for _ in range(4):
        clock.advance(scheduler.step())
    assert at == [0.0, 10.0, 20.0, 30.0]


def test_a_jump_of_the_clock_is_one_run_and_counted_as_missed() -> None:
    clock = ManualClock()
    runs: list[float] = []
    scheduler = Log().scheduler(clock)
    scheduler.add(Routine("r", [Task("t", 10.0, lambda: runs.append(clock.now()))]))
    scheduler.step()
    clock.advance(1_005.0)
    scheduler.step()
    assert len(runs) == 2
    assert scheduler.states()[0].missed == 99


def test_one_task_that_fails_is_told_and_the_others_go_on() -> None:
    clock = ManualClock()
    log = Log()
    calls = {"bad": 0, "good": 0}

    def bad() -> None:
        calls["bad"] += 1
        if calls["bad"] < 3:
            raise RuntimeError("broken")

    def good() -> None:
        calls["good"] += 1

    scheduler = log.scheduler(clock)
    scheduler.add(Routine("r", [Task("bad", 1.0, bad), Task("good", 1.0, good)]))
    for _ in range(4):
        clock.advance(scheduler.step())
    assert calls == {"bad": 4, "good": 4}
    assert log.failed == ["bad", "bad"]
    assert log.recovered == ["bad"]


def test_a_task_that_hangs_is_not_started_twice_and_holds_up_nobody() -> None:
    clock = ManualClock()
    release = threading.Event()
    calls: list[str] = []

    def hang() -> None:
        calls.append("hang")
        release.wait(10.0)

    def ran(name: str, times: int) -> bool:
        return calls.count(name) >= times

    with ThreadPoolExecutor(4) as executor:
        scheduler = Log().scheduler(clock, executor)
        tasks = [Task("hang", 1.0, hang), Task("other", 1.0, lambda: calls.append("other"))]
        scheduler.add(Routine("r", tasks))
        scheduler.step()
        for round_ in range(2, 6):
            clock.advance(1.0)
            scheduler.step()
            wait_until(partial(ran, "other", round_), 5.0, "the other task")
        assert calls.count("hang") == 1
        release.set()


def test_a_removed_routine_runs_no_more() -> None:
    clock = ManualClock()
    calls: list[int] = []
    scheduler = Log().scheduler(clock)
    scheduler.add(Routine("r", [Task("t", 1.0, lambda: calls.append(1))]))
    scheduler.step()
    scheduler.remove("r")
    clock.advance(5.0)
    scheduler.step()
    assert calls == [1]
