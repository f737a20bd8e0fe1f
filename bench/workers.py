"""Applications that report as agents do, without doing anything else: for benchmarks.

One application of so many worker processes, each with a pool and an agent of its own. Each reports
every 2 s, through the agents' own channel, over the time between their reports: calls spread at
random over operations and segments, with log-normal latencies.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Self

import msgspec

from homeostat.access.channel import Channel
from homeostat.access.protocol import (
    PROTOCOL_VERSION,
    DatabaseReport,
    OperationReport,
    PoolReport,
    Report,
    pack,
)
from homeostat.measure import Histogram

WORKERS = 20  # with the numbers below: about 300 series
OPERATIONS = 24
SEGMENTS = 8
CALLS_A_SECOND = 50  # of each worker
REPORT_SECONDS = 2.0
PREPARED = 8  # different reports; they are sent in turn
LIMIT = 8  # connections of each pool


def calls(rng: random.Random, count: int) -> list[OperationReport]:
    """Return the statistics of so many calls: latencies around 3 ms, up to 50."""
    found: dict[tuple[str, str], Histogram] = {}
    for _ in range(count):
        key = f"operation-{rng.randrange(OPERATIONS)}", f"segment-{rng.randrange(SEGMENTS)}"
        found.setdefault(key, Histogram()).record(rng.lognormvariate(8.0, 0.8))
    return [OperationReport(*key, pack(histogram)) for key, histogram in found.items()]


def pool(rng: random.Random, seconds: float, acquired: int) -> PoolReport:
    """Return the report of a pool in moderate use."""
    wait = Histogram()
    for _ in range(acquired):
        wait.record(rng.expovariate(1 / 20))
    shares = [rng.random() for _ in range(LIMIT + 1)]
    in_use = [seconds * share / sum(shares) for share in shares]
    held = sum(number * spent for number, spent in enumerate(in_use))
    return PoolReport(
        name="main",
        limit=LIMIT,
        limit_default=LIMIT,
        seconds=seconds,
        in_use=rng.randrange(LIMIT),
        in_use_mean=held / seconds,
        in_use_max=LIMIT,
        waiting=0,
        wait=pack(wait),
        held_seconds=held,
        busy_seconds=held * 0.8,
        lock_seconds=held * 0.05,
        in_use_seconds=in_use,
        timeouts=0,
        holders={f"operation-{number}": held / 50 for number in range(4)},
        limit_max=LIMIT,
    )


class Workers:
    """All workers of one application, reporting to one operator from a thread; a context."""

    def __init__(
        self,
        data: Path,
        database: DatabaseReport,
        *,
        seconds: float = REPORT_SECONDS,
        every: float = REPORT_SECONDS,
    ) -> None:
        """Prepare the reports.

        Args:
            data: the operator's data directory.
            database: which database they use.
            seconds: how much time a report covers.
            every: seconds between two reports of a worker.
        """
        rng = random.Random(7)
        count = round(CALLS_A_SECOND * seconds)
        self._seconds, self._every = seconds, every
        self._statistics = [(calls(rng, count), pool(rng, seconds, count)) for _ in range(PREPARED)]
        self._database = database
        self._channels = [Channel(data, timeout_seconds=5.0) for _ in range(WORKERS)]
        self._sequence = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workers", daemon=True)
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        """Begin to report."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reporting.

        Raises:
            RuntimeError: a report was not taken.
        """
        self._stop.set()
        self._thread.join()
        for channel in self._channels:
            channel.close()
        if self.error is not None:
            message = "a report was not taken"
            raise RuntimeError(message) from self.error

    def report_all(self) -> None:
        """Let every worker report once."""
        self._sequence += 1
        for number in range(WORKERS):
            self._report(number)

    def _run(self) -> None:
        """Report, the workers spread evenly over the interval."""
        start = time.monotonic()
        sent = 0
        try:
            while True:
                number = sent % WORKERS
                if number == 0:
                    self._sequence += 1
                self._report(number)
                sent += 1
                due = start + sent * self._every / WORKERS
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
        except Exception as error:  # noqa: BLE001  # told at the end of the context
            self.error = error

    def _report(self, number: int) -> None:
        operations, one = self._statistics[(self._sequence + number) % PREPARED]
        report = Report(
            v=PROTOCOL_VERSION,
            agent=f"shop-{number}",
            boot=f"boot-{number}",
            sequence=self._sequence,
            database=self._database,
            application="shop",
            host="bench",
            pid=100_000 + number,
            capabilities=["pool.limit"],
            seconds=self._seconds,
            cpu_share=0.1,
            cores=2,
            pools=[one],
            operations=operations,
            applied_version=0,
        )
        self._channels[number].post(msgspec.json.encode(report))
