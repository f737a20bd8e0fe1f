"""The operator while nothing is wrong: its CPU and memory, alone and with 300 series.

Four operators run side by side, each `homeostat up` with its defaults on one small database: on
SQLite and PostgreSQL, with no agent and with an application of 20 worker processes whose reports
make about 300 series (bench/workers.py; only the reports are sent, no statement is run). No page
is open. CPU is that of the operator's process over a window of whole performance ticks (10 s), so
other work on the machine hardly changes it; with several windows the median is given.

Memory still grows while the newest 512 ticks fill up, which takes 85 minutes. `memory_hours` is of
an operator whose clock runs faster (bench/hastened.py), with the same workers; `--quick` only goes
part of the way and says how far.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness import Figure, Options, Repeats, main, progress, rounded
from bench.processes import RunningOperator, operator, small_sqlite, wait_for
from bench.workers import CALLS_A_SECOND, REPORT_SECONDS, WORKERS, Workers
from homeostat.access.protocol import DatabaseReport
from homeostat.clock import SystemClock
from homeostat.config import SamplesConfig
from homeostat.logbook import SampleStore
from homeostat.operate.recent import TICKS_MAX
from tests.servers import running_server

CPU_GOAL_PERCENT = 2.0
MEMORY_GOAL_MB = 150.0
TICK_SECONDS = 10.0  # monitor.performance_seconds
SPEED = 80.0
HASTENED_SECONDS_MAX = 240.0
REPORTS_A_SECOND = WORKERS / REPORT_SECONDS


@dataclass(slots=True)
class Scene:
    """One operator under measurement.

    Attributes:
        operator: the process.
        reporting: whether an application reports to it.
        shares: CPU in each window, of a core.
        resident_bytes: at the end of the last window.
    """

    operator: RunningOperator
    reporting: bool
    shares: list[float]
    resident_bytes: int = 0

    @property
    def median(self) -> float:
        """Return the median of the windows."""
        return Repeats(tuple(self.shares)).median


def identity(one: RunningOperator) -> DatabaseReport:
    """Return the database of an operator as agents name it."""
    found = one.client.status().databases[0]
    return DatabaseReport(found.dialect, found.key, found.label, found.version)


@contextmanager
def scenes(directory: Path) -> Iterator[list[Scene]]:
    """Run the four operators and the applications of two of them."""
    with ExitStack() as stack:
        progress("starting PostgreSQL and four operators")
        server = stack.enter_context(running_server())
        found = []
        for number, reporting in enumerate((False, True)):
            file = small_sqlite(directory / f"app-{number}.db")
            for kind, url in (("lite", file), ("pg", server.url(server.create_database()))):
                data = directory / f"{kind}-{number}"
                one = stack.enter_context(operator(url, data))
                if reporting:
                    stack.enter_context(Workers(data, identity(one)))
                found.append(Scene(one, reporting, []))
        yield found


def measure(found: list[Scene], *, seconds: float) -> None:
    """Add a window to every scene."""
    began = time.monotonic()
    before = [one.operator.cpu_seconds() for one in found]
    time.sleep(seconds)
    passed = time.monotonic() - began
    for one, cpu in zip(found, before, strict=True):
        one.shares.append((one.operator.cpu_seconds() - cpu) / passed)
        one.resident_bytes = one.operator.resident_bytes()


def series_count(one: RunningOperator) -> int:
    """Return how many series a stopped operator has stored."""
    store = SampleStore.open(one.data / "samples.db", clock=SystemClock(), config=SamplesConfig())
    with store:
        return len(store.subjects(one.key))


def scene_figures(found: list[Scene], *, seconds: float) -> Iterator[Figure]:
    """Yield CPU and memory of each scene, and what a report costs."""
    idle = {one.operator.version: one for one in found if not one.reporting}
    for one in found:
        engine = one.operator.version
        parameters: dict[str, object] = {"series": series_count(one.operator)}
        if one.reporting:
            parameters |= {
                "workers": WORKERS,
                "reports_a_second": REPORTS_A_SECOND,
                "calls_a_second": WORKERS * CALLS_A_SECOND,
            }
        name = "operator.reporting" if one.reporting else "operator.idle"
        cpu = Repeats(tuple(share * 100 for share in one.shares))
        yield cpu.figure(
            f"{name}.cpu",
            "% of a core",
            peer=f"the goal of at most {CPU_GOAL_PERCENT:g} %",
            ratio=cpu.median / CPU_GOAL_PERCENT,
            engine=engine,
            parameters={**parameters, "window_s": seconds},
        )
        yield memory(f"{name}.memory", one.resident_bytes, engine=engine, parameters=parameters)
        if one.reporting:
            added = one.median - idle[engine].median
            yield Figure(
                "operator.report_cpu",
                added / REPORTS_A_SECOND * 1000,
                "ms",
                engine=engine,
                parameters={"percent_of_a_core_an_agent": rounded(added / WORKERS * 100)},
            )


def memory(name: str, size: int, *, engine: str, parameters: dict[str, object]) -> Figure:
    """Return resident memory against the goal."""
    value = size / 1e6
    peer = f"the goal of at most {MEMORY_GOAL_MB:g} MB"
    return Figure(
        name, value, "MB", peer=peer, ratio=value / MEMORY_GOAL_MB, engine=engine,
        parameters=dict(parameters),
    )  # fmt: skip


def memory_after_hours(directory: Path, *, ticks: int) -> Figure:
    """Return memory after so many performance ticks with 300 series."""
    progress(f"an operator whose clock runs {SPEED:g} times faster, {ticks} ticks")
    url, data = small_sqlite(directory / "hastened.db"), directory / "hastened"
    command = [sys.executable, "-m", "bench.hastened", str(SPEED)]
    every = TICK_SECONDS / SPEED
    with (
        operator(url, data, command=command, stdout=subprocess.PIPE) as one,
        Workers(data, identity(one), seconds=TICK_SECONDS, every=every),
    ):
        wait_for(lambda: int(one.line()) >= ticks, HASTENED_SECONDS_MAX, "the ticks")
        size, tracked = one.resident_bytes(), one.process.memory_full_info().uss
    parameters: dict[str, object] = {
        "series": series_count(one),
        "ticks": ticks,
        "hours": rounded(ticks * TICK_SECONDS / 3600),
        "not_shared_MB": rounded(tracked / 1e6),
    }
    return memory("operator.memory_hours", size, engine=one.version, parameters=parameters)


def figures(options: Options) -> Iterator[Figure]:
    """Measure side by side, then the one that is ahead of time."""
    seconds, windows = (TICK_SECONDS, 1) if options.quick else (6 * TICK_SECONDS, 3)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with scenes(directory) as found:
            time.sleep(2.0 if options.quick else 3 * TICK_SECONDS)  # past what a start costs
            for number in range(windows):
                progress(f"window {number + 1} of {windows}, {seconds:g} s")
                measure(found, seconds=seconds)
        yield from scene_figures(found, seconds=seconds)
        yield memory_after_hours(directory, ticks=60 if options.quick else TICKS_MAX + 60)


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
