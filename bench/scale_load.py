"""The load of `bench.scale`: the sample's traffic in its own process, and what it measured.

Latency runs from the moment an operation was to begin. An operation that was dropped or failed has
none, so a run that has any does not hold.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from homeostat.measure import Histogram, Unknown, merged
from homeostat.sample.counts import Second, merged_latency

ROOT = Path(__file__).resolve().parent.parent
POOL = 8
LAST_SECONDS = 0.5  # so that the last whole second is told before the end
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}


@dataclass(frozen=True, slots=True)
class Load:
    """What a run gave, without its first seconds.

    Attributes:
        latency: by operation, in microseconds.
        completed: operations that ended well, a second.
        lost: operations that were dropped or failed.
        cpu_share: of a core, that the application used, the traffic's own work included.
    """

    latency: dict[str, Histogram]
    completed: float
    lost: int
    cpu_share: float

    @property
    def whole(self) -> Histogram:
        """Return the latency of all operations."""
        return merged(self.latency.values())

    def holds(self, p99_ms: float) -> bool:
        """Return whether nothing was lost and p99 is within a limit."""
        return self.lost == 0 and milliseconds(self.whole, 0.99) <= p99_ms


def together(loads: Sequence[Load]) -> Load:
    """Return several runs as one."""
    latency: dict[str, Histogram] = {}
    for load in loads:
        for name, one in load.latency.items():
            latency.setdefault(name, Histogram()).merge(one)
    return Load(
        latency=latency,
        completed=statistics.mean(load.completed for load in loads),
        lost=sum(load.lost for load in loads),
        cpu_share=statistics.mean(load.cpu_share for load in loads),
    )


def milliseconds(latency: Histogram, q: float) -> float:
    """Return a quantile, at most 6.25 % too high; infinite if nothing ended."""
    value = latency.quantile(q)
    return float("inf") if isinstance(value, Unknown) else value / 1000


def quantiles(latency: Histogram) -> dict[str, float]:
    """Return the QUANTILES in milliseconds, rounded to microseconds."""
    return {name: round(milliseconds(latency, q), 3) for name, q in QUANTILES.items()}


@dataclass(frozen=True, slots=True)
class Source:
    """Where traffic comes from and goes to.

    Attributes:
        url: the database.
        data: of the operator that its agent reports to.
        users: that it acts for.
        warm_seconds: at the begin, that are not counted.
    """

    url: str
    data: Path
    users: int
    warm_seconds: int

    def run(self, *, rate: float, seconds: float) -> Load:
        """Run traffic for a time after the warm-up."""
        ours = ["homeostat.sample.traffic", "-", "--json", "--data", str(self.data)]
        return self._run(ours, rate=rate, seconds=seconds)

    def run_bare(self, *, rate: float, seconds: float) -> Load:
        """Run the same traffic through the driver alone."""
        return self._run(["bench.scale_peer"], rate=rate, seconds=seconds)

    def _run(self, module: list[str], *, rate: float, seconds: float) -> Load:
        command = [
            sys.executable, "-m", *module, "--rate", f"{rate:g}",
            "--seconds", f"{seconds + self.warm_seconds + LAST_SECONDS:g}",
            "--pool", str(POOL), "--people", str(self.users),
        ]  # fmt: skip
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(self.url.encode() + b"\n")
            process.stdin.flush()
            usage = psutil.Process(process.pid)
            found: list[Second] = []
            marks: list[tuple[float, float]] = []
            for line in process.stdout:
                found.append(msgspec.json.decode(line, type=Second))
                times = usage.cpu_times()
                marks.append((time.monotonic(), times.user + times.system))
        if process.returncode:
            message = f"the traffic ended with {process.returncode}"
            raise RuntimeError(message)
        return _load(found[self.warm_seconds :], marks[self.warm_seconds - 1 :])


def _load(seconds: list[Second], marks: list[tuple[float, float]]) -> Load:
    (began, cpu_began), (ended, cpu_ended) = marks[0], marks[-1]
    return Load(
        latency=merged_latency(seconds),
        completed=sum(one.completed for one in seconds) / (ended - began),
        lost=sum(one.dropped + one.failed for one in seconds),
        cpu_share=(cpu_ended - cpu_began) / (ended - began),
    )
