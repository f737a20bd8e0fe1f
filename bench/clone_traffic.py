"""A small application for `bench.clone`: reads and writes at a fixed rate, timed from when due.

    python -m bench.clone_traffic URL RATE

It prints `ready`, begins when a line comes, and prints every two seconds, as agents report, one
JSON line of its newest operations: when each was due (seconds since 1970 UTC) and its latency in
ms. It ends with its standard input.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from homeostat.driver import postgres, sqlite
from homeostat.driver.urls import is_postgres_url
from homeostat.driver.wire import Wire

ROWS = 10_000  # that are read and written, of many more
WRITES_SHARE = 0.2
REPORT_SECONDS = 2.0
QUANTILE = 0.95
SMALL = "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, balance INTEGER, note TEXT)"
ROOT = Path(__file__).resolve().parent.parent

Span = tuple[float, float]


def opened(url: str) -> Wire:
    """Return a connection as an application has it."""
    if is_postgres_url(url):
        return postgres.connect(url)
    return sqlite.connect(url, create=True, busy_ms=30_000)


def prepare(url: str) -> None:
    """Make the table that is read and written."""
    wire = opened(url)
    wire.execute(SMALL)
    wire.begin(write=True)
    rows = [{"id": number, "note": "x" * 60} for number in range(ROWS)]
    wire.execute_many("INSERT INTO account VALUES (:id, 0, :note)", rows)
    wire.commit()
    wire.close()


def run(url: str, rate: float, stop: threading.Event) -> None:
    """Work until told to stop."""
    wire = opened(url)
    chance = random.Random(4)
    told: list[tuple[float, float]] = []
    began = reported = time.time()
    number = 0
    while not stop.is_set():
        due = began + number / rate
        number += 1
        time.sleep(max(0.0, due - time.time()))
        key = {"id": chance.randrange(ROWS)}
        if chance.random() < WRITES_SHARE:
            wire.execute("UPDATE account SET balance = balance + 1 WHERE id = :id", key)
        else:
            wire.execute("SELECT balance, note FROM account WHERE id = :id", key)
        now = time.time()
        told.append((due, 1000 * (now - due)))
        if now >= reported + REPORT_SECONDS:
            print(json.dumps(told), flush=True)
            told, reported = [], now
    print(json.dumps(told), flush=True)
    wire.close()


class Traffic:
    """The application in its own process, and what it has told of itself."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        """Listen to it."""
        self._child = child
        self._lock = threading.Lock()
        self._told: list[list[tuple[float, float]]] = []
        self._seen = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def strain(self, calm: Span) -> float | None:
        """Return the p95 of its newest reports over that of a span; None: nothing is known."""
        with self._lock:
            new = [ms for report in self._told[self._seen :] for _, ms in report]
            self._seen = len(self._told)
        usual = self._during([calm])
        return p95(new) / p95(usual) if new and usual else None

    def p95(self, spans: Sequence[Span]) -> float:
        """Return the p95, in ms, of the operations that were due in any of the spans."""
        return p95(self._during(spans))

    def _during(self, spans: Sequence[Span]) -> list[float]:
        with self._lock:
            told = [one for report in self._told for one in report]
        return [ms for due, ms in told if any(start <= due < end for start, end in spans)]

    def end(self) -> None:
        """Stop it, and wait for its last words."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._thread.join(60)

    def _listen(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            report = json.loads(line)
            with self._lock:
                self._told.append(report)


@contextmanager
def traffic(url: str, rate: float) -> Iterator[Traffic]:
    """Run the application in the context."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.clone_traffic", url, str(rate)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        child.stdin.write("go\n")
        child.stdin.flush()
        yield Traffic(child)


def p95(latencies: Sequence[float]) -> float:
    """Return the 95th percentile."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(QUANTILE * len(ordered)))]


def main() -> None:
    """Work from the first line of standard input to its end."""
    print("ready", flush=True)
    sys.stdin.readline()
    stop = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    run(sys.argv[1], float(sys.argv[2]), stop)


if __name__ == "__main__":
    main()
