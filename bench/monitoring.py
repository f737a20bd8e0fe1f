"""What watching PostgreSQL costs PostgreSQL.

- CPU of the operator's own sessions (application_name begins with `homeostat`), from
  /proc/PID/schedstat, over windows of whole performance ticks at the default intervals; on an idle
  server and under pgbench.
- Throughput and CPU a transaction of pgbench with the operator attached, over the mean of the runs
  without it before and after; each run with it has a performance tick in it. CPU is that of all
  pgbench's sessions, which the postmaster adds up when they have ended; the operator's sessions
  and the operator itself are not in it.

pgbench runs its usual script with prepared statements on 4 connections; fsync and autovacuum are
off, so that neither the disk nor a vacuum is measured. Both cores are busy then, and what else runs
on the machine moves throughput by more than the operator does: read the ratio beside
`alike_minimum` and `alike_maximum`, the ratios of neighbouring runs that both had no operator.
`--quick` has one pair of runs and so tells nothing about the noise.
"""

from __future__ import annotations

import itertools
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.harness import Figure, Options, Repeats, main, progress, rounded
from bench.processes import on_cpu_seconds, operator, wait_for
from homeostat.driver.postgres import connect
from homeostat.secret import split_password
from tests.servers import PostgresServer, running_server

GOAL_PERCENT = 3.0
TICK_SECONDS = 10.0  # monitor.performance_seconds
SETTLE_SECONDS = 2.0
CLIENTS = 4
SCALE = 10
OWN = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'homeostat%'"


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of pgbench: transactions a second, and the CPU of one in its sessions, in us."""

    rate: float
    transaction_us: float


@dataclass(slots=True)
class Turns:
    """All runs of pgbench, and the CPU of the operator's sessions meanwhile, of a core."""

    without: list[Turn] = field(default_factory=list)
    attached: list[Turn] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Bench:
    """A server with a pgbench database.

    Attributes:
        server: the server.
        url: of the database, with the password.
        seconds: how long a run of pgbench takes.
        scale: of pgbench's tables, in 100,000 rows.
    """

    server: PostgresServer
    url: str
    seconds: float
    scale: int

    def prepare(self) -> None:
        """Make pgbench's tables."""
        self._run("-i", "-q", "-s", str(self.scale))

    def turn(self) -> Turn:
        """Run pgbench once."""
        server = psutil.Process(self.server.pid)
        known, before = set(server.children()), ended_cpu_seconds(server)
        said = self._run(
            "-n", "-c", str(CLIENTS), "-j", "1", "-M", "prepared", "-T", f"{self.seconds:.0f}"
        )
        # its sessions end a moment after it, and only then the postmaster has their times
        wait_for(lambda: known.issuperset(server.children()), 5.0, "the end of its sessions")
        spent = ended_cpu_seconds(server) - before
        count = int(found(r"actually processed: (\d+)", said))
        return Turn(float(found(r"^tps = ([\d.]+)", said)), spent / count * 1e6)

    def _run(self, *options: str) -> str:
        bare, password = split_password(self.url)
        command = [str(self.server.bin / "pgbench"), *options, bare]
        environment = {**os.environ, "PGPASSWORD": password or "", "LC_ALL": "C"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout


def found(pattern: str, text: str) -> str:
    """Return what a pattern's group matches.

    Raises:
        RuntimeError: nothing.
    """
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise RuntimeError(text)
    return match[1]


def ended_cpu_seconds(postmaster: psutil.Process) -> float:
    """Return the CPU of all sessions of a server that have ended."""
    times = postmaster.cpu_times()
    return float(times.children_user + times.children_system)


def own_cpu_seconds(url: str) -> dict[int, float]:
    """Return the CPU of each of the operator's sessions so far, by pid."""
    with closing(connect(url, application_name="bench")) as wire:
        return {int(str(pid)): on_cpu_seconds(int(str(pid))) for (pid,) in wire.execute(OWN).rows}


def watched(url: str, action: Callable[[], object]) -> float:
    """Return the CPU of the operator's sessions while something runs, of a core.

    Raises:
        RuntimeError: its sessions are not those of before, so the figure would miss some.
    """
    before, began = own_cpu_seconds(url), time.monotonic()
    action()
    after, passed = own_cpu_seconds(url), time.monotonic() - began
    if set(before) != set(after) or not before:
        message = "the operator's sessions changed meanwhile"
        raise RuntimeError(message)
    return sum(after[pid] - before[pid] for pid in after) / passed


def idle_figures(bench: Bench, data: Path, *, windows: int, ticks: int) -> Iterator[Figure]:
    """Yield the CPU of the operator's sessions on an idle server."""
    seconds = ticks * TICK_SECONDS
    with operator(bench.url, data) as one:
        time.sleep(SETTLE_SECONDS)  # connecting and the first ticks are not in it
        shares = []
        for number in range(windows):
            progress(f"idle, window {number + 1} of {windows}, {seconds:g} s")
            shares.append(watched(bench.url, lambda: time.sleep(seconds)))
        sessions = len(own_cpu_seconds(bench.url))
    parameters = {"window_s": seconds, "sessions": sessions}
    yield share_figure("monitoring.idle.cpu", shares, engine=one.version, parameters=parameters)


def share_figure(
    name: str, shares: list[float], *, engine: str, parameters: Mapping[str, object]
) -> Figure:
    """Return the median share of a core against the goal."""
    repeats = Repeats(tuple(share * 100 for share in shares))
    return repeats.figure(
        name,
        "% of a core",
        peer=f"the goal of at most {GOAL_PERCENT:g} %",
        ratio=repeats.median / GOAL_PERCENT,
        engine=engine,
        parameters=dict(parameters),
    )


def load_figures(bench: Bench, directory: Path, *, pairs: int) -> Iterator[Figure]:
    """Yield what pgbench does with the operator, between runs without it."""
    turns = Turns()
    engine = ""
    runs = 2 * pairs + (0 if pairs == 1 else 1)
    for number in range(runs):
        progress(f"pgbench, run {number + 1} of {runs}, {bench.seconds:g} s")
        if number % 2 == 0:
            turns.without.append(bench.turn())
            continue
        with operator(bench.url, directory / "data") as one:
            engine = one.version
            time.sleep(SETTLE_SECONDS)
            share = watched(bench.url, lambda: turns.attached.append(bench.turn()))
            turns.shares.append(share)
    parameters: dict[str, object] = {
        "clients": CLIENTS,
        "scale": bench.scale,
        "run_s": bench.seconds,
    }
    yield share_figure("monitoring.load.cpu", turns.shares, engine=engine, parameters=parameters)
    yield ratio_figure("rate", "1/s", turns, engine=engine, parameters=parameters)
    yield ratio_figure("transaction_us", "us", turns, engine=engine, parameters=parameters)


def ratio_figure(
    attribute: str, unit: str, turns: Turns, *, engine: str, parameters: Mapping[str, object]
) -> Figure:
    """Return the median with the operator; the ratio is the median of each run's ratio."""
    attached = Repeats(tuple(getattr(one, attribute) for one in turns.attached))
    without = Repeats(tuple(getattr(one, attribute) for one in turns.without))
    around = [statistics.mean(without.values[i : i + 2]) for i in range(len(attached.values))]
    pairs = zip(attached.values, around, strict=True)
    ratios = Repeats(tuple(ours / theirs for ours, theirs in pairs))
    spread = {
        "runs": len(ratios.values),
        "ratio_minimum": rounded(ratios.minimum),
        "ratio_maximum": rounded(ratios.maximum),
    }
    alike = [after / before for before, after in itertools.pairwise(without.values)]
    if alike:
        spread |= {"alike_minimum": rounded(min(alike)), "alike_maximum": rounded(max(alike))}
    name = {"rate": "monitoring.pgbench.rate", "transaction_us": "monitoring.pgbench.cpu"}
    return Figure(
        name[attribute],
        attached.median,
        unit,
        peer=f"no operator, {rounded(without.median):g} {unit}",
        ratio=ratios.median,
        engine=engine,
        parameters={**parameters, **spread},
    )


def figures(options: Options) -> Iterator[Figure]:
    """Measure an idle server, then one under load."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        progress("starting PostgreSQL")
        server = stack.enter_context(running_server(fsync=False, settings={"autovacuum": "off"}))
        url = server.url(server.create_database())
        bench = Bench(server, url, 9.0 if options.quick else 15.0, 1 if options.quick else SCALE)
        bench.prepare()
        windows, ticks = (1, 1) if options.quick else (5, 3)
        yield from idle_figures(bench, directory / "data", windows=windows, ticks=ticks)
        yield from load_figures(bench, directory, pairs=1 if options.quick else 8)


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
