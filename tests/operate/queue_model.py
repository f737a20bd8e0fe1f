"""A pool in front of a database, simulated request by request: what verify is tried on.

Poisson arrivals, a bounded number of callers, a FIFO pool of connections, exponential holding
times, and now and then a burst or a slow stretch, as production has: batches of it are correlated
the way real ones are.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from homeostat.operate.verify import Batch


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the pool at a moment: arrivals a second, and seconds of one holding."""

    rate: float
    hold_seconds: float


def batches(
    *,
    seed: int,
    load_at: Callable[[float], Load],
    limit_at: Callable[[float], int],
    old_limit: int,
    batch_seconds: float,
    count: int,
    warm_up_seconds: float = 20.0,
    callers_max: int = 200,
) -> list[Batch]:
    """Return so many consecutive batches of mean latency (ms), arrivals/s and time above a limit.

    `load_at` and `limit_at` take seconds since the end of the warm-up.
    """
    return list(
        _simulate(
            random.Random(seed),
            load_at,
            limit_at,
            old_limit,
            batch_seconds,
            count,
            warm_up_seconds,
            callers_max,
        )
    )


def _simulate(
    chance: random.Random,
    load_at: Callable[[float], Load],
    limit_at: Callable[[float], int],
    old_limit: int,
    batch_seconds: float,
    count: int,
    warm_up_seconds: float,
    callers_max: int,
) -> Iterator[Batch]:
    now = -warm_up_seconds
    busy: list[float] = []  # when each connection in use becomes free
    queue: list[float] = []  # arrival times of those waiting
    latencies: list[float] = []
    arrivals = 0
    above = 0.0
    slow = 1.0
    end = batch_seconds
    next_arrival = now
    next_mood = now
    while end <= count * batch_seconds + 1e-9:
        upcoming = min(next_arrival, busy[0] if busy else float("inf"), next_mood, end)
        if len(busy) > old_limit and upcoming > max(now, 0.0):
            above += upcoming - max(now, 0.0)
        now = upcoming
        load = load_at(now)
        if now == next_mood:  # checkpoints, neighbours, garbage: slow and fast stretches
            slow = chance.choice((0.8, 1.0, 1.0, 1.3))
            next_mood = now + chance.expovariate(1 / 3.0)
        if now == end:
            value = sum(latencies) / len(latencies) if latencies else 0.0
            yield Batch(1000 * value, arrivals / batch_seconds, above / batch_seconds)
            latencies, arrivals, above = [], 0, 0.0
            end += batch_seconds
        if busy and now == busy[0]:
            heapq.heappop(busy)
        if now == next_arrival:
            if len(queue) + len(busy) < callers_max:
                queue.append(now)
                arrivals += now > 0
            next_arrival = now + chance.expovariate(load.rate)
        while queue and len(busy) < limit_at(now):
            arrived = queue.pop(0)
            hold = slow * chance.expovariate(1 / load.hold_seconds)
            heapq.heappush(busy, now + hold)
            if now > 0:
                latencies.append(now - arrived + hold)
