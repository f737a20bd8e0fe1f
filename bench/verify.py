"""How often would a change that changes nothing be kept? A/A on real traffic, at three loads.

    uv run python -m bench.verify [--quick] [--json]

The sample app's traffic runs in its own process on SQLite, the operator measures it as it does for
a remedy, and nothing is changed. Every stretch of six batches, one to settle and six batches is
judged as if the pool had been grown in its middle. `kept` is what the operator would keep: the
mechanism (connections above the old limit) cannot be seen, so it should be 0. `by_numbers` sets
that guard aside: what the numbers alone would credit; at most 2 % is the goal. Stretches overlap,
so they are not independent. Batches are short (0.4 s) to have many; the operator's are 10 s.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from bench.harness import Figure, Options, main, progress
from homeostat.clock import SystemClock
from homeostat.config import AgentConfig, Config, MonitorConfig
from homeostat.main import Running, prepare_data, start
from homeostat.maintain.pool_remedy import GrowPool
from homeostat.operate.verify import Batch, Verdict, compare
from homeostat.sample.seed import seed
from homeostat.sample.traffic import APPLICATION, POOL_LIMIT

USERS = 2_000
TICK_SECONDS = 0.2
BATCH_SECONDS = 0.4
BATCHES = 6
STRETCH = 2 * BATCHES + 1
JUDGED = 200
WARM_UP_SECONDS = 6.0
WARM_UP_SECONDS_QUICK = 3.0
LOADS = {  # requests a second, and the share that holds a connection while idle
    "low": (40.0, None),
    "ordinary": (150.0, None),
    "saturated": (80.0, 0.25),
}
CONFIG = Config(
    monitor=MonitorConfig(performance_seconds=TICK_SECONDS, health_seconds=30.0),
    agent=AgentConfig(report_seconds=TICK_SECONDS / 2),
)


def batches(operator: Running, count: int, *, warm_up_seconds: float) -> list[Batch]:
    """Wait for so many batches, then return them as the remedy measures them."""
    clock = SystemClock()
    threading.Event().wait(warm_up_seconds)
    first = clock.now()
    threading.Event().wait(count * BATCH_SECONDS + TICK_SECONDS)
    view = next(iter(operator.operator.attached.values())).watch.view()
    parameters = {"application": APPLICATION, "pool": "main", "from": POOL_LIMIT}
    found = []
    for number in range(count):
        begin = first + number * BATCH_SECONDS
        batch = GrowPool().measure(parameters, view, start=begin, end=begin + BATCH_SECONDS)
        if batch is not None:
            found.append(batch)
    return found


def judged(found: list[Batch]) -> tuple[list[Verdict], list[Verdict]]:
    """Return the verdicts with the mechanism guard, and without it."""
    demand = GrowPool().demand
    alone = replace(demand, mechanism_min=0.0)
    stretches = [found[i : i + STRETCH] for i in range(len(found) - STRETCH + 1)]
    pairs = [(stretch[:BATCHES], stretch[BATCHES + 1 :]) for stretch in stretches]
    return (
        [compare(before, after, demand) for before, after in pairs],
        [compare(before, after, alone) for before, after in pairs],
    )


def at_load(name: str, options: Options, directory: Path) -> Iterator[Figure]:
    """Run one load and yield its figures."""
    rate, held = LOADS[name]
    file, data = directory / "app.db", directory / name
    prepare_data(data)
    stretches, warm_up = (8, WARM_UP_SECONDS_QUICK) if options.quick else (JUDGED, WARM_UP_SECONDS)
    with ExitStack() as stack:
        operator = start(data, url=str(file), config=CONFIG, clock=SystemClock(), stack=stack)
        traffic = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "homeostat.sample.traffic", str(file),
                 "--data", str(data), "--rate", str(rate)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
        )  # fmt: skip
        stack.callback(traffic.terminate)
        if held is not None and traffic.stdin is not None:
            command = {"trouble": "idle-holders", "on": True, "strength": held}
            traffic.stdin.write(msgspec.json.encode(command) + b"\n")
            traffic.stdin.flush()
        found = batches(operator, stretches + STRETCH - 1, warm_up_seconds=warm_up)
    guarded, alone = judged(found)
    parameters = {
        "stretches": len(alone),
        "requests_per_second": rate,
        "mean_latency_ms": round(sum(b.value for b in found) / max(1, len(found)), 2),
        "worse": sum(v.outcome == "worse" for v in alone),
        "cannot_tell": sum(v.outcome == "cannot tell" for v in alone),
    }
    for kind, verdicts in (("kept", guarded), ("by_numbers", alone)):
        better = sum(verdict.outcome == "better" for verdict in verdicts)
        share = better / max(1, len(verdicts))
        yield Figure(f"false_{kind}.{name}", share, "share", engine="sqlite", parameters=parameters)


def figures(options: Options) -> Iterator[Figure]:
    """Yield all figures."""
    with tempfile.TemporaryDirectory() as name:
        seed(str(Path(name) / "app.db"), users=USERS)
        for load in LOADS:
            progress(load)
            yield from at_load(load, options, Path(name))


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
