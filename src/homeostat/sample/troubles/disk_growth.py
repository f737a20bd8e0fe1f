"""The trouble `disk-growth`: a debug log that somebody left on, in a table nobody cleans up.

It only ever adds rows, so the data grows steadily. It is bounded: it stops at BYTES_MAX, and drops
its table when it ends; one that was killed leaves it, and the next start drops it.
"""

from __future__ import annotations

import os
from contextlib import closing

from homeostat.access import Caller, Database, Operation
from homeostat.clock import Clock
from homeostat.errors import HomeostatError
from homeostat.sample.address import connect
from homeostat.sample.troubles.background import Background
from homeostat.sample.troubles.catalogue import DISK_GROWTH

TABLE = "debug_log"
WRITE_NAME = "write_debug_log"
BYTES_A_SECOND_MAX = 4_000_000  # at strength 1
BYTES_MAX = 300_000_000
ROW_BYTES = 20_000
MAKE = {
    "sqlite": f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, at_ms INTEGER, body BLOB)",
    "postgresql": (
        f"CREATE TABLE {TABLE} "
        "(id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at_ms BIGINT, body BYTEA)"
    ),
}
WRITE = Operation(
    WRITE_NAME,
    f"INSERT INTO {TABLE} (at_ms, body) VALUES (:at_ms, :body)",
    ("at_ms", "body"),
    write=True,
    tables=(TABLE,),
    private=("body",),
)
CALLER = Caller(source="debug-log", criticality="sheddable")


class DiskGrowth(Background):
    """The debug log; `strength` is the share of BYTES_A_SECOND_MAX that it writes."""

    turn_seconds = 0.1

    def __init__(self, database: Database, *, url: str, clock: Clock) -> None:
        """Start switched off."""
        super().__init__(DISK_GROWTH, clock=clock)
        self._database = database
        self._url = url
        self._written = 0
        self._owed = 0.0

    def begin(self) -> None:
        """Make the table."""
        self._written = 0
        with closing(connect(self._url, application_name=DISK_GROWTH)) as wire:
            wire.execute(f"DROP TABLE IF EXISTS {TABLE}")
            wire.execute(MAKE[wire.dialect])

    def turn(self, strength: float) -> None:
        """Write what is due since the last turn, unless it is enough."""
        self._owed += strength * BYTES_A_SECOND_MAX * self.turn_seconds
        while self._owed >= ROW_BYTES and self._written < BYTES_MAX and self.strength is not None:
            self._owed -= ROW_BYTES
            at_ms = int(self._clock.now() * 1000)
            params = {"at_ms": at_ms, "body": os.urandom(ROW_BYTES)}
            self._database.execute(WRITE, params, caller=CALLER)
            self._written += ROW_BYTES

    def end(self) -> None:
        """Drop the table; it is left for the next start if the database cannot be reached."""
        try:
            with closing(connect(self._url, application_name=DISK_GROWTH)) as wire:
                wire.execute(f"DROP TABLE IF EXISTS {TABLE}")
        except HomeostatError:
            return
