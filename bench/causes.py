"""Is the cause of a slow statement told right? Statements with known causes, on both engines.

    uv run python -m bench.causes [--quick] [--json]

An application runs all statements of `bench.planted` and `bench.planted_more` at once through
`Database.open`, whose agent reports to an operator that only observes; on PostgreSQL the server's
own statistics are read too; on SQLite two more run on a file that the machine's memory forgets.
After `SECONDS` the cause of each finding is compared with what was planted. `wrong` counts those
that name another cause than the right ones; a statement for which nothing is named is `silent`.
Intervals are short; all thresholds but those of time are the defaults.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter

from bench.harness import Figure, Options, main, progress
from bench.planted import PLANTED, Planted, fill, hold, opened
from bench.planted_more import COLD, MORE
from homeostat.access.agent import AgentOptions
from homeostat.access.database import Database
from homeostat.access.limits import PoolLimits
from homeostat.access.operation import Operation
from homeostat.clock import SystemClock
from homeostat.config import AgentConfig, Config, MonitorConfig, OperateConfig, TuneConfig
from homeostat.driver import sqlite
from homeostat.driver.wire import Wire
from homeostat.logbook.rows import Finding
from homeostat.main import Running, prepare_data, start
from homeostat.tune.causes import UNKNOWN
from homeostat.tune.slow import SLOW
from tests.servers import running_server

SECONDS = 24.0
LATER_SECONDS = 12.0
SLOW_MACHINE_SECONDS = 45.0
HELD_SECONDS = 0.4
RIGHT_SHARE = 17 / 20
CONFIG = Config(
    monitor=MonitorConfig(performance_seconds=0.25, health_seconds=2.0),
    operate=OperateConfig(autonomy="observe"),
    tune=TuneConfig(
        queries_seconds=1.0,
        window_seconds=6.0,
        slow_query_ms=2.0,
        cost_ms_per_second=4.0,
        findings_max=100,
        explained_max=100,
    ),
    agent=AgentConfig(report_seconds=0.25),
)
FORGET = """
import os, select, sys
file = os.open(sys.argv[1], os.O_RDONLY)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
"""
SETTINGS = {"shared_buffers": "16MB", "max_parallel_workers_per_gather": "0", "jit": "off"}


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of one planted statement; `cause` is empty when nothing was."""

    planted: Planted
    cause: str
    sentence: str

    @property
    def right(self) -> bool:
        """Return whether the cause is one of the right ones."""
        return self.cause in {self.planted.cause, *self.planted.also}

    @property
    def wrong(self) -> bool:
        """Return whether another cause is named."""
        return bool(self.cause) and self.cause != UNKNOWN and not self.right


def figures(options: Options) -> Iterator[Figure]:
    """Yield the figures of both engines."""
    every = PLANTED + MORE
    chosen = every[::3] if options.quick else every
    seconds = SECONDS / 2 if options.quick else SECONDS
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "app.db"
        found = told(str(path), Path(name) / "data", chosen, seconds=seconds)
        cold = Path(name) / "cold.db"
        sqlite.connect(cold, create=True).close()
        with forgetting(cold):
            found += told(str(cold), Path(name) / "data-cold", COLD, seconds=seconds / 2)
        yield from _figures("sqlite", found)
    with running_server(settings=SETTINGS) as server, tempfile.TemporaryDirectory() as name:
        url = server.url(server.create_database())
        found = told(url, Path(name) / "data", chosen, seconds=seconds)
        yield from _figures("postgresql", found)


def _figures(dialect: str, found: Sequence[Told]) -> Iterator[Figure]:
    for one in found:
        mark = "right" if one.right else "WRONG" if one.wrong else "missed"
        progress(
            f"{mark:<6} {one.planted.name:<26} {one.planted.cause}: {one.sentence or 'silent'}"
        )
    share = sum(one.right for one in found) / len(found)
    wrong = [one.planted.name for one in found if one.wrong]
    missed = [one.planted.name for one in found if not one.right and not one.wrong]
    parameters = {"statements": len(found), "goal": RIGHT_SHARE, "missed": missed}
    yield Figure("causes.right", share, "share", engine=dialect, parameters=parameters)
    wrongly = {"statements": len(found), "goal": "1 of 20", "which": wrong}
    yield Figure("causes.wrong", float(len(wrong)), "count", engine=dialect, parameters=wrongly)


def told(url: str, data: Path, chosen: Sequence[Planted], *, seconds: float) -> list[Told]:
    """Return what an operator says of planted statements after so many seconds of traffic."""
    wire = opened(url)
    cases = [one for one in chosen if wire.dialect in one.engines]
    prepare(wire, cases)
    try:
        with ExitStack() as stack:
            operator = watching(url, data, stack)
            stack.enter_context(traffic(url, data, cases))
            pause = threading.Event()
            pause.wait(min(LATER_SECONDS, seconds / 2))
            for one in cases:
                for statement in (one.later or {}).get(wire.dialect, ()):
                    wire.execute(statement)
            pause.wait(seconds - min(LATER_SECONDS, seconds / 2))
            until = perf_counter() + SLOW_MACHINE_SECONDS
            while perf_counter() < until and _undecided(cases, operator.console.findings()):
                pause.wait(0.5)
            return [_told(one, operator.console.findings()) for one in cases]
    finally:
        wire.close()


def prepare(wire: Wire, cases: Sequence[Planted]) -> None:
    """Make the shop and spoil it."""
    fill(wire)
    for one in cases:
        for statement in (one.prepare or {}).get(wire.dialect, ()):
            wire.execute(statement)
    if wire.dialect == "postgresql":
        wire.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        wire.execute("ANALYZE customers, orders, items, events, stock, visits")


def watching(url: str, data: Path, stack: ExitStack) -> Running:
    """Start an operator that only observes; the stack stops it."""
    prepare_data(data)
    return start(data, url=url, config=CONFIG, clock=SystemClock(), stack=stack)


@contextmanager
def traffic(url: str, data: Path, cases: Sequence[Planted]) -> Iterator[None]:
    """Run every case at its rate, each in a thread, until the end."""
    stop = threading.Event()
    with ExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(2 * len(cases)))
        stack.callback(stop.set)
        databases = {
            locked: stack.enter_context(_database(url, data, locked, cases))
            for locked in (False, True)
        }
        running = [executor.submit(_run, databases[bool(one.locks)], one, stop) for one in cases]
        running += [
            executor.submit(hold, url, one.locks, stop, held_seconds=HELD_SECONDS)
            for one in cases
            if one.locks
        ]
        yield
        stop.set()
        for one in running:
            one.result()


@contextmanager
def forgetting(path: Path) -> Iterator[None]:
    """Have the machine's memory forget a file's pages, over and over, so that the disk is asked.

    A child does it: closing a descriptor of the file here would drop SQLite's locks.
    """
    child = subprocess.Popen([sys.executable, "-c", FORGET, str(path)], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        child.kill()
        child.communicate()


def _database(url: str, data: Path, locked: bool, cases: Sequence[Planted]) -> Database:  # noqa: FBT001
    mine = [one for one in cases if bool(one.locks) == locked]
    return Database.open(
        url,
        pool=PoolLimits(limit=len(mine) + 1, wait_target_ms=None),
        agent=AgentOptions(directory=data),
        application="locked" if locked else "shop",
        lock_wait_ms=30_000,
    )


def _run(database: Database, one: Planted, stop: threading.Event) -> None:
    chance = Random(one.name)
    sql = one.sql_for(database.dialect)
    names = tuple(one.draw(chance))
    operation = Operation(one.name, sql, names, write=one.write)
    leader = Operation(f"{one.name}_list", one.after)
    database.register(operation)
    due = perf_counter() + chance.random() / one.rate
    while not stop.wait(max(0.0, due - perf_counter())):
        due = max(due + 1 / one.rate, perf_counter() - 1 / one.rate)
        if one.times == 1:
            database.execute(operation, dict(one.draw(chance)))
            continue
        if one.after:
            database.execute(leader)
            for _ in range(one.times):
                database.execute(operation, dict(one.draw(chance)))
            continue
        with database.transaction(write=one.write, name=f"{one.name}_page") as session:
            for _ in range(one.times):
                session.execute(operation, dict(one.draw(chance)))


def _undecided(cases: Sequence[Planted], findings: Sequence[Finding]) -> bool:
    """Return whether a statement was not looked into yet: on a busy machine that takes longer."""
    known = {
        name
        for finding in findings
        if finding.rule == SLOW and finding.evidence.get("plan")
        for name in finding.evidence["operations"]
    }
    return any(one.name not in known for one in cases)


def _told(one: Planted, findings: Sequence[Finding]) -> Told:
    for finding in findings:
        if finding.rule == SLOW and one.name in finding.evidence.get("operations", ()):
            return Told(one, str(finding.evidence["cause"]), finding.cause)
    return Told(one, "", "")


if __name__ == "__main__":
    main(figures, about=__doc__)
