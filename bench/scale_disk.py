"""What the disk takes for one sync while a load runs beside it: the floor under every commit.

As `pg_test_fsync` does: 8 kB are written into a file that has its full length, then fdatasync.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homeostat.measure import Histogram

BLOCK_BYTES = 8_192
BLOCKS = 512
PAUSE_SECONDS = 0.02  # 50 a second at most: few beside the load's own


@contextmanager
def syncs(directory: Path) -> Iterator[Histogram]:
    """Sync a file in the directory again and again; yield how long each took, in microseconds."""
    path = directory / "sync.tmp"
    taken = Histogram()
    stop = threading.Event()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def sync() -> None:
        number = 0
        while not stop.wait(PAUSE_SECONDS):
            os.pwrite(descriptor, b"x" * BLOCK_BYTES, number % BLOCKS * BLOCK_BYTES)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            taken.record((time.perf_counter() - began) * 1e6)
            number += 1

    thread = threading.Thread(target=sync, name="syncs", daemon=True)
    try:
        os.write(descriptor, bytes(BLOCK_BYTES * BLOCKS))
        os.fsync(descriptor)
        thread.start()
        yield taken
    finally:
        stop.set()
        if thread.ident is not None:
            thread.join()
        os.close(descriptor)
        path.unlink()
