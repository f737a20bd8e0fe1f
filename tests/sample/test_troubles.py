"""Troubles: each does to the pool what it says, and nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from homeostat.access import Database
from homeostat.access.protocol import PoolReport, unpack
from homeostat.clock import ManualClock
from homeostat.driver.sqlite_files import writers
from homeostat.driver.urls import is_postgres_url
from homeostat.errors import ConfigError
from homeostat.sample.address import connect
from homeostat.sample.seed import seed
from homeostat.sample.traffic import Traffic
from homeostat.sample.troubles import (
    IDLE_HOLDERS,
    LOCK_HOLDER,
    REPORT_NAME,
    STORY,
    STRENGTHS,
    SYNC_OPERATION,
    IdleHolders,
    LockHolder,
)
from tests.sample.conftest import USERS
from tests.servers import wait_until

IDLE = STORY[0].idle_holders or 0.0
HELD = STORY[1].lock_holder or 0.0
WAITERS_SQL = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE application_name = 'application' AND wait_event_type = 'Lock'"
)


@dataclass(slots=True)
class Stage:
    """Traffic at the default rate on a database, and its pool."""

    url: str
    database: Database
    traffic: Traffic

    def watched(self, seconds: float) -> PoolReport:
        """Return the pool's report over the next seconds."""
        self.database.pool.report()
        threading.Event().wait(seconds)  # a stretch of load, not a wait for something to happen
        return self.database.pool.report()


@contextmanager
def stage(url: str, *, pool: int) -> Iterator[Stage]:
    database = Database.open(url, pool=pool, agent=None)
    traffic = Traffic(database, url=url)
    traffic.start()
    try:
        yield Stage(url, database, traffic)
    finally:
        traffic.stop()


def use(report: PoolReport) -> float:
    return report.in_use_mean / report.limit


def wait_ms(report: PoolReport) -> float:
    waits = unpack(report.wait)
    return waits.total / waits.count / 1000


def started(holder: LockHolder, strength: float) -> int:
    holder.start(strength)
    pid = holder.pid
    assert pid is not None
    return pid


def test_idle_holders_strike_the_share_that_is_asked_for() -> None:
    trouble = IdleHolders(random_seed=1, clock=ManualClock())
    assert trouble.strikes() is None
    trouble.start(0.28)
    struck = [trouble.strikes() for _ in range(1000)]
    taken = [seconds for seconds in struck if seconds is not None]
    assert len(taken) in {279, 280}
    assert all(0.150 <= seconds <= 0.250 for seconds in taken)


def test_the_published_story_is_the_one_that_is_told() -> None:
    text = (Path(__file__).parents[2] / "docs" / "explanation" / "sample.md").read_text("utf-8")
    for number, act in enumerate(STORY, 1):
        idle = f"{act.idle_holders:.2f}" if act.idle_holders else ""
        locks = f"{act.lock_holder:.2f}" if act.lock_holder else ""
        assert f"| {number} | {idle} | {locks} |".replace("|  |", "| |") in text


@pytest.mark.slow
@pytest.mark.timed
def test_idle_holders_exhaust_a_small_pool_and_a_larger_one_is_enough(seeded_url: str) -> None:
    act = STORY[0]
    with stage(seeded_url, pool=act.pool_short) as on:
        calm = on.watched(2)
        assert use(calm) < 0.5
        assert wait_ms(calm) < 5
        on.traffic.set_trouble(IDLE_HOLDERS, on=True, strength=act.idle_holders)
        on.watched(2)
        short = on.watched(3)
        assert use(short) > 0.8
        assert wait_ms(short) > 20
        assert short.busy_seconds < 0.2 * short.held_seconds
        assert next(iter(short.holders)) == SYNC_OPERATION
        if short.lock_seconds is not None:
            assert short.lock_seconds < 0.05 * short.held_seconds
        on.database.pool.resize(act.pool_enough or 0)
        on.watched(3)
        enough = on.watched(3)
        assert use(enough) < 0.8
        assert wait_ms(enough) < 0.3 * wait_ms(short)
        assert enough.in_use_max > act.pool_short


def test_idle_holders_lock_nobody_out(seeded_url: str) -> None:
    with stage(seeded_url, pool=4) as on:
        on.traffic.set_trouble(IDLE_HOLDERS, on=True, strength=0.9)
        wait_until(lambda: on.database.pool.waiting > 20, what="the pool to be exhausted")
        with closing(connect(seeded_url, application_name="test")) as wire:
            wire.execute("UPDATE users SET region = 'asia'")
            assert wire.lock_wait_seconds < 0.5


def test_the_lock_holder_is_a_process_with_a_name_that_is_gone_after_stop(seeded_url: str) -> None:
    holder = LockHolder(seeded_url)
    pid = started(holder, HELD)
    try:
        process = psutil.Process(pid)
        assert process.parent() == psutil.Process(os.getpid())
        wait_until(lambda: process.name() == REPORT_NAME, what="the report's name")
        with closing(connect(seeded_url, application_name="test")) as wire:
            if is_postgres_url(seeded_url):
                sql = (
                    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE "
                    "mode = 'ShareRowExclusiveLock' AND application_name = :name"
                )
                wait_until(lambda: wire.execute(sql, {"name": REPORT_NAME}).scalar())
            else:
                wait_until(lambda: writers(seeded_url) == (pid,), what="the lock")
        assert started(holder, HELD) == pid
        again = started(holder, 0.5)
        assert again != pid
        assert not process.is_running()
    finally:
        holder.stop()
    assert holder.pid is None
    assert not psutil.pid_exists(again)
    with closing(connect(seeded_url, application_name="test")) as wire:
        wire.execute("UPDATE users SET region = 'asia' WHERE id = 1")


@pytest.mark.slow
@pytest.mark.timed
def test_a_lock_holder_fills_the_pool_at_any_size(seeded_url: str) -> None:
    """Act 2: the pool that was enough is exhausted; at first not by locks alone, later by locks."""
    act = STORY[1]
    with stage(seeded_url, pool=act.pool_short) as on:
        on.traffic.set_trouble(IDLE_HOLDERS, on=True, strength=STRENGTHS[IDLE_HOLDERS])
        before = on.watched(3)
        assert use(before) < 0.8
        on.traffic.set_trouble(IDLE_HOLDERS, on=True, strength=act.idle_holders)
        on.traffic.set_trouble(LOCK_HOLDER, on=True, strength=act.lock_holder)
        first = on.watched(5)
        assert use(first) > 0.75
        assert wait_ms(first) > 10
        if first.lock_seconds is not None and before.lock_seconds is not None:
            assert first.lock_seconds < 0.5 * first.held_seconds
        on.database.pool.resize(2 * act.pool_short)
        on.watched(4)  # until the report holds its lock for long
        grown = on.watched(9)  # three of its periods
        assert use(grown) > 0.75
        assert wait_ms(grown) > 0.5 * wait_ms(first)  # twice the pool would mend it, if anything
        if grown.lock_seconds is not None and first.lock_seconds is not None:
            share = grown.lock_seconds / grown.held_seconds
            assert share > 0.3, "what was added waits for the lock"
            assert share > first.lock_seconds / first.held_seconds
        on.traffic.set_trouble(LOCK_HOLDER, on=False)
        wait_until(lambda: on.database.pool.waiting == 0, what="the queue to drain")
        on.traffic.report()
        after = on.watched(3)
        assert use(after) < 0.9
        assert on.traffic.report().failed == 0


def test_writers_wait_for_the_report_on_postgresql(pg_database: str) -> None:
    """The pool cannot see it there; the server can. SQLite's waits are in the pool's report."""
    seed(pg_database, users=USERS)
    with (
        stage(pg_database, pool=8) as on,
        closing(connect(pg_database, application_name="test")) as wire,
    ):
        on.traffic.set_trouble(LOCK_HOLDER, on=True, strength=0.95)
        wait_until(
            lambda: int(str(wire.execute(WAITERS_SQL).scalar())) >= 2, what="writers waiting"
        )


@pytest.mark.parametrize(
    ("name", "strength"), [("flood", 0.5), (IDLE_HOLDERS, 0.0), (LOCK_HOLDER, 1.0)]
)
def test_unknown_troubles_and_strengths_are_refused(
    seeded_url: str, name: str, strength: float
) -> None:
    with stage(seeded_url, pool=2) as on, pytest.raises(ConfigError):
        on.traffic.set_trouble(name, on=True, strength=strength)
