"""Clients of a PgBouncer that hold transactions open for a moment, so that its pool runs out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from homeostat.access.connector import ServerConnector
from homeostat.errors import DatabaseError

HOLD_SECONDS = 0.02


@contextmanager
def clients(url: str, *, count: int = 8, hold_seconds: float = HOLD_SECONDS) -> Iterator[None]:
    """Run so many clients, each of which begins, reads, thinks and commits, again and again."""
    stop = threading.Event()

    def work() -> None:
        connect = ServerConnector(url, "shop", 5000, None)
        while not stop.is_set():
            with suppress(DatabaseError):
                wire = connect()
                try:
                    while not stop.is_set():
                        wire.begin(write=True)
                        wire.execute("SELECT 1")
                        stop.wait(hold_seconds)
                        wire.commit()
                finally:
                    wire.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
