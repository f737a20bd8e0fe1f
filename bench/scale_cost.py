"""What one operation of the sample's mix costs at several numbers of users, one after the other.

The databases take turns, so that what else runs on the machine hits all of them alike; CPU is the
application's, and on PostgreSQL its server process's too.

Every operation reads as many rows at each size, so that their costs can be compared. One would not:
`show_type_trend` takes the 500 newest assessments of a personality type, of which 1,000 users have
65 to 227. Here it takes TREND_ROWS.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

from bench.processes import on_cpu_seconds
from bench.scale_place import Place, refuse_lowered_durability
from homeostat.access import Database, Operation
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.wire import Params
from homeostat.sample.arrivals import PEOPLE_SQL, Arrival, People, arrivals
from homeostat.sample.operations import MIX, OPERATIONS

TREND_ROWS = 64  # what every type has with 1,000 users


@dataclass(slots=True)
class Cost:
    """Microseconds an operation: CPU and wall clock, a value for each turn."""

    cpu_us: list[float] = field(default_factory=list)
    wall_us: list[float] = field(default_factory=list)

    def medians(self) -> tuple[float, float]:
        """Return CPU and wall clock."""
        return statistics.median(self.cpu_us), statistics.median(self.wall_us)


class _Bench:
    """One database, used over one connection."""

    def __init__(self, place: Place, users: int, stack: ExitStack) -> None:
        self.database = stack.enter_context(
            Database.open(place.url, pool=1, agent=None, operations=OPERATIONS)
        )
        lease = self.database.pool.acquire("look")
        refuse_lowered_durability(lease.wire)
        wire = lease.wire
        self._server = wire.backend_pid if isinstance(wire, PostgresWire) else None
        self.database.pool.release(lease)
        with self.database.session() as session:
            people = People.of(session.execute(PEOPLE_SQL, {"people_max": users}))
        self._arrivals: Iterator[Arrival] = arrivals(people, rate_per_second=1, random_seed=users)
        self.cost = Cost()

    def _cpu(self) -> float:
        server = 0.0 if self._server is None else on_cpu_seconds(self._server)
        return time.process_time() + server

    def turn(self, calls: int) -> None:
        """Run so many operations and note what they cost."""
        now_ms = int(time.time() * 1000)
        work = [_asked(one, now_ms) for one in islice(self._arrivals, calls)]
        execute: Callable[..., object] = self.database.execute
        cpu, wall = self._cpu(), time.perf_counter()
        for operation, params in work:
            execute(operation, params)
        self.cost.wall_us.append((time.perf_counter() - wall) / calls * 1e6)
        self.cost.cpu_us.append((self._cpu() - cpu) / calls * 1e6)


def _asked(arrival: Arrival, now_ms: int) -> tuple[Operation, Params]:
    """Return what an arrival asks, of as many rows at each size."""
    part = MIX[arrival.name]
    params = dict(part.draw(arrival.person, arrival.chance, now_ms))
    if arrival.name == "show_type_trend":
        params["page_size"] = TREND_ROWS
    return part.operation, params


def costs(places: dict[int, Place], *, turns: int, calls: int) -> dict[int, Cost]:
    """Return what an operation costs by number of users; the first turn is not counted."""
    with ExitStack() as stack:
        benches = {users: _Bench(place, users, stack) for users, place in places.items()}
        for bench in benches.values():
            bench.turn(calls)
            bench.cost = Cost()
        for _ in range(turns):
            for bench in benches.values():
                bench.turn(calls)
        return {users: bench.cost for users, bench in benches.items()}
