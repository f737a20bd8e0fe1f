"""What a rehearsal makes of what it measured: benefit, price, disk, and how long others wait."""

from __future__ import annotations

import pytest

from homeostat.config import Config
from homeostat.engine.facets import CloneInfo, IndexSpec
from homeostat.engine.maintain import IndexTrial
from homeostat.operate.remedy import Rehearsed
from homeostat.tune.rehearsal import Trial, does_less, judge_trial
from homeostat.tune.replay import Chosen, Compared

SPEC = IndexSpec("orders", ("customer_id",), "homeostat_orders_customer_id")
READ, WRITE = "read", "write"
RATES = {READ: 10.0, WRITE: 10.0}


def compared(key: str, before_ms: float, after_ms: float) -> Compared:
    return Compared(key, f"{key}_it", key == WRITE, 5, before_ms, after_ms, equal=True)


def judged(
    *measured: Compared,
    rates: dict[str, float] = RATES,
    seconds: float = 0.1,
    size: float = 1e6,
    share: float = 1.0,
    free_bytes: float | None = 1e9,
    dialect: str = "postgresql",
) -> Rehearsed:
    clone = CloneInfo(
        name="clone",
        source="sqlite-1-2",
        owner="run-1",
        url="clone.db",
        bytes=10**7,
        share=share,
        seconds=1.0,
        created=0.0,
        expires=60.0,
    )
    chosen = Chosen((), captured=sum(one.calls for one in measured), private=0)
    trial = Trial(clone, IndexTrial(seconds, size), chosen, list(measured))
    return judge_trial(SPEC, READ, trial, rates, Config(), free_bytes=free_bytes, dialect=dialect)


def test_a_gain_that_costs_others_little_is_worth_it() -> None:
    found = judged(compared(READ, 10.0, 6.0), compared(WRITE, 1.0, 1.1))
    assert found.ok
    assert "net of writes 39% less; 10 of 10 captured calls replayed" in found.reason


def test_a_write_that_becomes_slower_by_a_fifth_refuses_it_and_is_named() -> None:
    found = judged(compared(READ, 10.0, 6.0), compared(WRITE, 1.0, 1.2))
    assert not found.ok
    said = "write_it became slower by 20%, from 1.00 to 1.20 ms; 15% is allowed"
    assert found.reason == f"on the clone: {said}"


def test_writes_that_are_many_eat_up_the_gain() -> None:
    found = judged(compared(READ, 10.0, 6.0), compared(WRITE, 1.0, 1.1), rates={READ: 1, WRITE: 20})
    assert not found.ok
    assert "net of writes that is 20%, and 30% is asked for" in found.reason


def test_a_small_gain_is_refused() -> None:
    assert not judged(compared(READ, 10.0, 7.5)).ok
    assert "could be replayed" in judged(compared(WRITE, 1.0, 1.0)).reason


@pytest.mark.parametrize(
    ("share", "said"), [(1.0, "takes 1 MB of 2 MB free"), (0.1, "takes 12 MB of 2 MB free")]
)
def test_a_disk_that_is_too_small_refuses_it(share: float, said: str) -> None:
    """Of a clone that holds a tenth of the rows, size and time are taken ten times."""
    found = judged(compared(READ, 10.0, 1.0), share=share, free_bytes=2e6)
    assert not found.ok
    assert said in found.reason


def test_writers_of_sqlite_wait_for_a_build_and_only_so_long() -> None:
    found = judged(compared(READ, 10.0, 1.0), seconds=2.5, dialect="sqlite")
    assert not found.ok
    assert "writers would wait 2,500 ms while orders is read" in found.reason
    assert "tune.stall_ms_max" in found.reason
    assert judged(compared(READ, 10.0, 1.0), seconds=2.5).ok, "PostgreSQL builds beside writers"
    long = judged(compared(READ, 10.0, 1.0), seconds=601.0)
    assert "the build takes 601 s, and 600 are allowed" in long.reason


def test_less_work_is_told_by_rows_pages_or_steps() -> None:
    plan = {"rows_read": 100, "blocks_hit": 40, "blocks_read": 10, "counters": {}}
    assert not does_less(plan, plan)
    assert does_less(plan, {**plan, "rows_read": 3})
    assert does_less(plan, {**plan, "blocks_hit": 20})
    steps = {"rows_read": None, "counters": {"vm_step": 900}}
    assert does_less(steps, {**steps, "counters": {"vm_step": 90}})
    assert not does_less({}, plan), "where nothing is known, nothing is said"
