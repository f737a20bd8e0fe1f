"""How fast a copy goes: within its budget, and slower while applications feel it."""

from __future__ import annotations

from itertools import count
from time import perf_counter

import pytest

from homeostat.engine.pace import LEAST_SHARE, LOOK_SECONDS, STRAIN_MAX, Bounds, Pace
from homeostat.engine.postgres_programs import CHUNK_BYTES, Child, pump
from homeostat.errors import CloneRefusedError

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


def test_a_part_counts_in_full_though_its_first_bytes_are_more_than_the_part_before() -> None:
    pace = Pace(2 * CHUNK_BYTES)
    url = "postgresql://nobody@127.0.0.1/none"
    began = perf_counter()
    for size in (CHUNK_BYTES // 2, CHUNK_BYTES, CHUNK_BYTES):
        command = ["sh", "-c", f"head -c {size} /dev/zero"]
        source = Child(command, url=url, reads=False, writes=True)
        target = Child(["sh", "-c", "cat > /dev/null"], url=url, reads=True, writes=False)
        pump(source, target, pace.keep, seconds_max=SECONDS)
    assert perf_counter() - began >= 2.5 / 2


def test_a_copy_that_is_felt_for_long_is_given_up_where_nobody_asked_for_it() -> None:
    pace = Pace(BUDGET, strain=lambda: 2 * STRAIN_MAX, bounds=Bounds(felt_seconds_max=0.0))
    until = perf_counter() + SECONDS

    def copy() -> None:
        for number in count(1):
            assert perf_counter() < until
            pace.keep(number * STEP)

    with pytest.raises(CloneRefusedError, match="stayed slower"):
        copy()
