"""How fast a copy goes: within its budget, and slower while applications feel it."""

from __future__ import annotations

from itertools import count
from time import perf_counter

from homeostat.engine.pace import LEAST_SHARE, LOOK_SECONDS, STRAIN_MAX, Pace

BUDGET = 10_000_000
STEP = 100_000
SECONDS = 20.0


def test_a_copy_takes_as_long_as_its_budget_says_also_in_several_parts() -> None:
    pace = Pace(BUDGET)
    began = perf_counter()
    for _ in range(2):
        for moved in range(STEP, 11 * STEP, STEP):
            pace.keep(moved)
    assert perf_counter() - began >= 2 * 10 * STEP / BUDGET - STEP / BUDGET


def test_a_copy_that_is_felt_goes_slower_and_faster_again_but_never_stands() -> None:
    felt = 2 * STRAIN_MAX
    asked = 0

    def strain() -> float | None:
        nonlocal asked
        asked += 1
        return None if asked == 1 else felt  # at first nobody has told

    pace = Pace(BUDGET, strain=strain)
    until = perf_counter() + SECONDS
    for number in count(1):
        pace.keep(number * STEP)
        if asked == 1:
            assert pace.bytes_per_second == BUDGET
        if pace.bytes_per_second <= LEAST_SHARE * BUDGET or perf_counter() > until:
            break
    assert pace.bytes_per_second == LEAST_SHARE * BUDGET
    felt = 1.0
    for more in count(number + 1):
        pace.keep(more * STEP)
        if pace.bytes_per_second > LEAST_SHARE * BUDGET or perf_counter() > until:
            break
    assert pace.bytes_per_second > LEAST_SHARE * BUDGET
    assert asked * LOOK_SECONDS < SECONDS
