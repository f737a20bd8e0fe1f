"""The peer of `bench.scale`: the same traffic through the bare driver, in a process of its own.

The same arrivals, threads and histograms; instead of the data path a queue of connections by
psycopg (in autocommit, prepared statements as it makes them) or apsw (with the data path's
settings): no deadline, no statistics, no agent, no tokens. So it tells what driver, engine, disk
and the traffic generator itself take.

    python -m bench.scale_peer --rate 1000 --seconds 10 --pool 8 --people 100000 < URL
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import LifoQueue
from typing import Any, cast

import apsw
import psycopg
from psycopg.raw_cursor import RawCursor

from homeostat.access import Database, Operation
from homeostat.clock import SystemClock
from homeostat.driver.placeholders import compile_named
from homeostat.driver.urls import is_postgres_url
from homeostat.driver.wire import Params, Rows
from homeostat.sample.process import Parent
from homeostat.sample.traffic import Commands, Traffic, TrafficOptions, serve

SQLITE_SETTINGS = ("synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY")
LOCK_WAIT_MS = 5_000
Run = Callable[[str, Params], list[Any]]


def through_apsw(path: str) -> Run:
    """Return what runs a statement on a connection of its own."""
    connection = apsw.Connection(path)
    connection.set_busy_timeout(LOCK_WAIT_MS)
    for pragma in SQLITE_SETTINGS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return lambda sql, params: connection.execute(sql, params).fetchall()


def through_psycopg(url: str) -> Run:
    """Return what runs a statement on a connection of its own."""
    connection = psycopg.connect(url, autocommit=True)

    def run(sql: str, params: Params) -> list[Any]:
        compiled = compile_named(sql)  # psycopg's own `%(name)s` takes as long
        cursor = RawCursor(connection)
        cursor.execute(compiled.text, [params[name] for name in compiled.names] or None)
        return cursor.fetchall() if cursor.description is not None else []

    return run


class Bare:
    """What traffic asks of a `Database`, with nothing between it and the driver."""

    def __init__(self, url: str, pool: int) -> None:
        """Open the connections."""
        self.dialect = "postgresql" if is_postgres_url(url) else "sqlite"
        connect = through_psycopg if self.dialect == "postgresql" else through_apsw
        self._idle: LifoQueue[Run] = LifoQueue()
        for _ in range(pool):
            self._idle.put(connect(url))

    def register(self, operation: Operation) -> None:
        """Do nothing."""

    def execute(self, operation: Operation | str, params: Params, **_: object) -> Rows:
        """Run one statement on the connection that was returned last."""
        sql = operation if isinstance(operation, str) else operation.sql_for(self.dialect)
        run = self._idle.get()
        try:
            return Rows((), run(sql, params))
        finally:
            self._idle.put(run)

    @contextmanager
    def session(self, **_: object) -> Iterator[Bare]:
        """Yield itself."""
        yield self

    def close(self, **_: object) -> tuple[()]:
        """Leave the connections to the end of the process."""
        return ()


def main() -> None:
    """Run the traffic and print its seconds as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("rate", float), ("seconds", float), ("pool", int), ("people", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args()
    commands = Commands(sys.stdin.fileno())
    url = commands.first()
    options = TrafficOptions(rate_per_second=given.rate, people_max=given.people)
    bare = cast("Database", Bare(url, given.pool))
    traffic = Traffic(bare, url=url, options=options)
    serve(traffic, commands, stop=threading.Event(), parent=Parent(None),
          seconds=given.seconds, json=True, clock=SystemClock())  # fmt: skip


if __name__ == "__main__":
    main()
