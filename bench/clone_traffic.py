"""A small application for `bench.clone`: reads and writes at a fixed rate, timed from when due.

    python -m bench.clone_traffic URL SECONDS RATE

It prints `ready`, begins when a line comes, and prints its latencies in ms as one JSON line.
"""

from __future__ import annotations

import json
import random
import sys
import time

from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire

ROWS = 10_000  # that are read and written, of many more
WRITES_SHARE = 0.2
SMALL = "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, balance INTEGER, note TEXT)"


def opened(url: str) -> Wire:
    """Return a connection as an application has it."""
    if postgres.is_postgres_url(url):
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


def run(url: str, seconds: float, rate: float) -> list[float]:
    """Return the latency of every operation, in ms from the moment it was due."""
    wire = opened(url)
    chance = random.Random(4)
    latencies = []
    began = time.perf_counter()
    for number in range(int(seconds * rate)):
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        key = {"id": chance.randrange(ROWS)}
        if chance.random() < WRITES_SHARE:
            wire.execute("UPDATE account SET balance = balance + 1 WHERE id = :id", key)
        else:
            wire.execute("SELECT balance, note FROM account WHERE id = :id", key)
        latencies.append(1000 * (time.perf_counter() - due))
    wire.close()
    return latencies


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(run(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))), flush=True)
