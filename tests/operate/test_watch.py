"""What an operator remembers of applications that come and go."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from homeostat.access.protocol import DatabaseReport, PoolReport, Report
from homeostat.config import Config, MonitorConfig, OperateConfig, PoolConfig
from homeostat.main import rooms
from tests.operate.stage import Stage, stage
from tests.operate.test_agents import EMPTY, pool, report, wire

CONFIG = Config(operate=OperateConfig(lease_seconds=1e9))  # the test moves the clock, nobody renews
TICK_SECONDS = CONFIG.monitor.performance_seconds
EXHAUSTED = {"held_seconds": 40.0, "seconds": 10.0, "wait": wire(50_000)}


def told(stage: Stage, pid: int, sequence: int, **changes: object) -> Report:
    made: PoolReport = pool(**changes)
    identity = stage.one.watch.identity
    return msgspec.structs.replace(
        report(sequence),
        agent=f"shop-{pid}",
        boot=str(pid),
        pid=pid,
        database=DatabaseReport(identity.dialect, identity.key, identity.label, identity.version),
        pools=[made],
    )


def test_an_application_restarted_many_times_is_still_measured(
    sqlite_path: Path, tmp_path: Path
) -> None:
    """Every start is a new agent; the series of those that went away make room for it."""
    with stage(tmp_path / "data", str(sqlite_path), rooms(CONFIG), CONFIG) as one:
        recent = one.one.watch.recent
        for pid in range(1, 101):
            one.console.report(told(one, pid, 1))
            one.tick(seconds=TICK_SECONDS)
            one.tick(seconds=2 * CONFIG.monitor.agent_silent_seconds)
        one.console.report(told(one, 101, 1))
        one.tick(seconds=TICK_SECONDS)
        for metric in ("pool.in_use_ms", "pool.use_share", "operation.latency_us"):
            [found] = [s for s in recent.subjects(metric) if s.instance == "agent:shop-101"]
            assert recent.last(metric, found) is not None
        assert {s.instance for s in recent.subjects("pool.limit")} == {"agent:shop-101"}


def test_a_finding_about_an_application_that_ended_clears(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with stage(tmp_path / "data", str(sqlite_path), rooms(CONFIG), CONFIG) as one:

        def open_now() -> bool:
            return any(f.rule == "pool-exhausted" for f in one.console.findings())

        for sequence in range(1, 6):
            one.console.report(told(one, 1, sequence, **EXHAUSTED))
            one.tick(seconds=TICK_SECONDS)
        assert open_now()
        for _ in range(20):
            one.tick(seconds=TICK_SECONDS)
        assert not open_now(), "its process is gone for good"


def test_an_agent_that_was_held_up_keeps_its_past(sqlite_path: Path, tmp_path: Path) -> None:
    """It was silent for longer than allowed, but reports again before the next tick."""
    with stage(tmp_path / "data", str(sqlite_path), rooms(CONFIG), CONFIG) as one:
        one.console.report(told(one, 1, 1, wait=EMPTY))
        one.tick(seconds=TICK_SECONDS)
        one.clock.advance(2 * CONFIG.monitor.agent_silent_seconds)
        one.console.status()
        one.console.report(told(one, 1, 2))
        one.tick(seconds=1.0)
        [subject] = one.one.watch.recent.subjects("pool.limit")
        assert len(one.one.watch.recent.window("pool.limit", subject, ticks=9)) == 2


@pytest.mark.slow
def test_a_pool_is_found_oversized_however_short_the_ticks_are(
    sqlite_path: Path, tmp_path: Path
) -> None:
    monitor = MonitorConfig(performance_seconds=1.0)
    config = Config(
        monitor=monitor, pool=PoolConfig(shrink_after_seconds=600.0), operate=CONFIG.operate
    )
    with stage(tmp_path / "data", str(sqlite_path), rooms(config), config) as one:
        for sequence in range(1, 603):
            one.console.report(told(one, 1, sequence, limit=16, in_use_max=1))
            one.tick(seconds=1.0)
        assert "pool-oversized" in {finding.rule for finding in one.console.findings()}


def test_what_is_too_much_to_be_kept_apart_is_told(sqlite_path: Path, tmp_path: Path) -> None:
    with stage(tmp_path / "data", str(sqlite_path), rooms(CONFIG), CONFIG) as one:

        def told_of() -> set[str]:
            found = [f for f in one.console.findings() if f.rule == "series-dropped"]
            return {finding.name for finding in found}

        for pid in range(1, 7):
            one.console.report(told(one, pid, 1))
        one.tick(seconds=TICK_SECONDS)
        assert told_of() == {"pool.in_use_ms"}, "it is kept of four pools"
        for sequence in (2, 3, 4):
            one.console.report(told(one, 1, sequence))
            one.tick(seconds=TICK_SECONDS)
        assert told_of() == set()
