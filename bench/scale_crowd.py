"""How many operations a crowd of threads gets through a few connections, and how long each waits.

A closed loop: every thread asks for the next operation when the last has ended, so that most of
them wait for a connection all the time. The peer is a queue of connections without any turns, as in
`bench.scale_peer`: the most that the connections give, and who waits there may wait for seconds.
"""

from __future__ import annotations

import threading
import time
from itertools import islice
from typing import cast

from bench.scale_load import POOL
from bench.scale_peer import Bare
from bench.scale_place import Place
from homeostat.access import Database
from homeostat.measure import Histogram
from homeostat.sample.arrivals import PEOPLE_SQL, People, arrivals
from homeostat.sample.operations import MIX, OPERATIONS

THREADS = 128
WARM_SECONDS = 0.5
DRAWN = 50  # operations of each thread, again and again


class Crowd:
    """Threads that use a database, all at once.

    Attributes:
        latency: of each operation, in microseconds, waiting included.
        seconds: for which it was measured.
    """

    def __init__(self, place: Place, *, users: int) -> None:
        self.latency = Histogram()
        self.seconds = 0.0
        self._lock = threading.Lock()
        with Database.open(place.url, agent=None) as database, database.session() as session:
            people = People.of(session.execute(PEOPLE_SQL, {"people_max": users}))
        drawn = arrivals(people, rate_per_second=1, random_seed=users)
        now_ms = int(time.time() * 1000)
        self._work = [
            [(MIX[one.name].operation, MIX[one.name].draw(one.person, one.chance, now_ms))
             for one in islice(drawn, DRAWN)]
            for _ in range(THREADS)
        ]  # fmt: skip

    def use(self, database: Database, seconds: float) -> None:
        """Use a database for so long after a warm-up."""
        begin = time.monotonic() + WARM_SECONDS
        threads = [
            threading.Thread(target=self._run, args=(database, number, begin, begin + seconds))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seconds += seconds

    @property
    def rate(self) -> float:
        """Return the operations a second."""
        return self.latency.count / self.seconds

    def _run(self, database: Database, number: int, begin: float, end: float) -> None:
        latency = Histogram()
        while time.monotonic() < end:
            for operation, params in self._work[number]:
                since = time.monotonic()
                database.execute(operation, params)
                if begin <= since < end:
                    latency.record((time.monotonic() - since) * 1e6)
        with self._lock:
            self.latency.merge(latency)


def crowds(place: Place, *, users: int, seconds: float, turns: int) -> tuple[Crowd, Crowd]:
    """Return what ours and the bare driver gave, in turns."""
    ours, bare = Crowd(place, users=users), Crowd(place, users=users)
    queue = cast("Database", Bare(place.url, POOL))
    with Database.open(place.url, pool=POOL, agent=None, operations=OPERATIONS) as database:
        for _ in range(turns):
            ours.use(database, seconds / turns)
            bare.use(queue, seconds / turns)
    return ours, bare
