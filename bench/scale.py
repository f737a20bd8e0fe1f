"""The sample application at scale: latency at a fixed rate, the highest rate, and cost by users.

    uv run python -m bench.scale --users 100000 --engine sqlite --rate 1000 --seconds 30

The traffic runs in its own process as an open loop, `homeostat up` watches it, every commit waits
for the disk. Latency runs from the moment an operation was to begin, so what is late by the traffic
generator itself counts too; a quantile is at most 6.25 % too high. The data is larger than the
engine's cache (`cache_mb`); the kernel's cache holds what the engine's does not, except for
`scale.cold`, during which it is made to drop every page of the files once a second.

The peer is the same traffic through the bare driver (`bench.scale_peer`), in turns with ours;
`scale.disk` is what one sync of a file beside the data takes meanwhile, the least of every commit.
`scale.crowd` is how much a crowd of threads gets through the few connections of a pool.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Figure, Options, main, progress
from bench.processes import RunningOperator, operator, wait_for
from bench.scale_cost import costs
from bench.scale_crowd import THREADS, Crowd, crowds
from bench.scale_disk import syncs
from bench.scale_load import POOL, Load, Source, milliseconds, quantiles, together
from bench.scale_place import ENGINES, Ground, Place, forgetting, ground

PROMISED_MS = 50.0
SIZES = (1_000, 10_000, 100_000)
SIZES_QUICK = (50, 500, 5_000)
RATE_MAX = 20_000.0  # of the traffic generator
STEP = 1.5  # the rate grows by it until it is too high
TURNS = 4  # of ours and of the bare driver, one after the other
HALVINGS = 3  # then the gap is halved so often


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be chosen."""
    parser.add_argument("--users", type=int, help="100000; with --quick 5000")
    parser.add_argument("--engine", choices=ENGINES, help="one of them; else both")
    parser.add_argument("--rate", type=float, default=1_000.0, help="operations a second")
    parser.add_argument("--seconds", type=float, help="at that rate: 30; with --quick 1")


def figures(options: Options) -> Iterator[Figure]:
    """Yield all figures."""
    engines = ENGINES if options.given.engine is None else (options.given.engine,)
    sizes = SIZES_QUICK if options.quick else SIZES
    users = options.given.users or sizes[-1]
    for dialect in engines:
        with ground(dialect) as on:
            place = on.place(users)
            with tempfile.TemporaryDirectory() as name:
                data = Path(name) / "data"
                with operator(place.url, data) as running:
                    warm = 1 if options.quick else 3
                    source = Source(place.url, data, users=users, warm_seconds=warm)
                    yield from at_rate(place, running, source, options)
                    yield from highest(place, source, options)
                yield from crowded(place, users, options)
            yield from by_users(on, {users: place}, sizes, options)


def at_rate(
    place: Place, running: RunningOperator, source: Source, options: Options
) -> Iterator[Figure]:
    """Yield the latency at the rate that was asked for, in all and by operation."""
    rate = options.given.rate
    seconds = options.given.seconds or (1.0 if options.quick else 30.0)
    about = {"rate": rate, "users": source.users, "size_mb": round(place.size_mb),
             "cache_mb": place.cache_mb, "pool": POOL, "cores": os.cpu_count()}  # fmt: skip
    turns = 1 if options.quick else TURNS
    progress(
        f"{place.engine}: {rate:g} operations a second for {seconds:g} s, then the bare driver"
    )
    ours, bare, cpu = [], [], 0.0
    with syncs(place.disk) as disk:
        for number in range(2 * turns):
            if number % 4 in {0, 3}:  # in turns, each as often the first: checkpoints come and go
                began = running.cpu_seconds()
                ours.append(source.run(rate=rate, seconds=seconds / turns))
                cpu += running.cpu_seconds() - began
            else:
                bare.append(source.run_bare(rate=rate, seconds=seconds / turns))
    load, peer = together(ours), together(bare)
    about["operator_cpu_share"] = round(cpu / seconds, 3)
    wait_for(lambda: running.client.status().databases[0].p99_ms is not None, 10, "the operator")
    yield latency("scale.all", load, place, {**about, **shares(load)}, peer=peer)
    yield Figure(
        "scale.disk", milliseconds(disk, 0.99), "ms", engine=place.engine,
        parameters={**quantiles(disk), "count": disk.count},
    )  # fmt: skip
    with forgetting(place.files):
        progress(f"{place.engine}: the same while the kernel forgets")
        cold = source.run(rate=rate, seconds=seconds)
    yield latency("scale.cold", cold, place, {**about, **shares(cold)})
    for name, histogram in sorted(load.latency.items()):
        yield Figure(
            f"scale.{name}", milliseconds(histogram, 0.99), "ms", engine=place.engine,
            parameters={**quantiles(histogram), "count": histogram.count},
        )  # fmt: skip


def shares(load: Load) -> dict[str, float]:
    """Return what else a run tells."""
    return {"lost": load.lost, "completed_a_second": round(load.completed, 1),
            "application_cpu_share": round(load.cpu_share, 3)}  # fmt: skip


def latency(
    name: str, load: Load, place: Place, about: dict[str, object], *, peer: Load | None = None
) -> Figure:
    """Return p99 of all operations, with the other quantiles, and the peer's."""
    value = milliseconds(load.whole, 0.99)
    words, ratio = "", None
    if peer is not None:
        least = milliseconds(peer.whole, 0.99)
        words, ratio = f"bare driver {least:.1f} ms", value / least
        about = {**about, "peer": {**quantiles(peer.whole), "lost": peer.lost,
                                   "cpu_share": round(peer.cpu_share, 3)}}  # fmt: skip
    return Figure(
        name, value, "ms", peer=words, ratio=ratio, engine=place.engine,
        parameters={**quantiles(load.whole), **about},
    )  # fmt: skip


def highest(place: Place, source: Source, options: Options) -> Iterator[Figure]:
    """Yield the highest rate at which p99 is as promised and nothing is lost."""
    seconds = 1.0 if options.quick else 6.0
    held, failed = 0.0, None
    tried: dict[str, float] = {}
    rate = options.given.rate
    for _ in range(1 if options.quick else 8 + HALVINGS):
        progress(f"{place.engine}: does {rate:.0f} a second hold {PROMISED_MS:g} ms?")
        load = source.run(rate=rate, seconds=seconds)
        tried[f"{rate:.0f}"] = round(milliseconds(load.whole, 0.99), 1)
        if load.holds(PROMISED_MS) and load.completed > 0.95 * rate:
            held = rate
        else:
            failed = rate
        if failed is None:
            rate = min(rate * STEP, RATE_MAX)
        elif failed - held < held * (STEP - 1) / 2**HALVINGS or held == RATE_MAX:
            break
        else:
            rate = (held + failed) / 2
    yield Figure(
        "scale.rate_max", held, "1/s", engine=place.engine,
        parameters={"p99_ms_by_rate": tried, "seconds": seconds, "too_high": failed or "not found"},
    )  # fmt: skip


def crowded(place: Place, users: int, options: Options) -> Iterator[Figure]:
    """Yield what a crowd of threads gets through the pool's few connections."""
    seconds = 1.0 if options.quick else 12.0
    progress(f"{place.engine}: {THREADS} threads on {POOL} connections for {seconds:g} s")
    ours, bare = crowds(place, users=users, seconds=seconds, turns=1 if options.quick else 4)
    yield Figure(
        "scale.crowd", ours.rate, "1/s", engine=place.engine,
        peer=f"bare driver {bare.rate:.0f}", ratio=ours.rate / bare.rate,
        parameters={"threads": THREADS, "pool": POOL, **waits(ours), "peer": waits(bare)},
    )  # fmt: skip


def waits(crowd: Crowd) -> dict[str, float]:
    """Return how long its operations took."""
    return {**quantiles(crowd.latency), "max": round(crowd.latency.max / 1000, 1)}


def by_users(
    on: Ground, made: dict[int, Place], sizes: tuple[int, ...], options: Options
) -> Iterator[Figure]:
    """Yield what an operation costs at each number of users, against the least."""
    places = {users: made.get(users) or on.place(users) for users in sizes}
    progress(f"{on.dialect}: cost of an operation")
    found = costs(places, turns=4 if options.quick else 25, calls=200 if options.quick else 1_000)
    cpu_first, wall_first = found[sizes[0]].medians()
    for users in sizes:
        times = f"x{users // sizes[0]}"
        cpu, wall = found[users].medians()
        for what, value, first in (("cpu", cpu, cpu_first), ("time", wall, wall_first)):
            yield Figure(
                f"scale.{what}.{times}", value, "us", engine=places[users].engine,
                peer=f"{sizes[0]} users {first:.0f} us", ratio=value / first,
                parameters={"users": users, "size_mb": round(places[users].size_mb, 1)},
            )  # fmt: skip


if __name__ == "__main__":
    main(figures, about=__doc__ or "", arguments=arguments)
