"""Where `bench.scale` measures: a seeded database of either engine, larger than its cache.

SQLite keeps 2 MB of pages a connection (its default) of a file of 229 MB at 100,000 users.
PostgreSQL keeps `shared_buffers`, here 32 MB, of a database of some 700 MB. What an engine does not
keep, the kernel may: `forgetting` makes it drop the files' pages again and again, so that reads go
to the disk.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.harness import progress
from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire
from homeostat.sample.seed import seed
from tests.servers import PostgresServer, running_server

ENGINES = ("sqlite", "postgresql")
SHARED_BUFFERS_MB = 32
SQLITE_CACHE_MB = 2  # its default: PRAGMA cache_size = -2000
FORGET_SECONDS = 1.0  # until every page was dropped once
SLICES = 20  # that it is done in: a burst of misses would tell of itself only


@dataclass(frozen=True, slots=True)
class Place:
    """A seeded database.

    Attributes:
        url: where it is.
        engine: with its version.
        files: the directory that holds its files.
        disk: a directory beside them, for files of the benchmark's own.
        size_mb: of the data, in 10**6 bytes.
        cache_mb: what the engine keeps of it at most.
    """

    url: str
    engine: str
    files: Path
    disk: Path
    size_mb: float
    cache_mb: float


class Ground:
    """Makes places of one engine, in a directory of their own."""

    def __init__(self, dialect: str, directory: Path, server: PostgresServer | None) -> None:
        """Use `ground`."""
        self.dialect = dialect
        self._directory = directory
        self._server = server

    def place(self, users: int) -> Place:
        """Return a database with so many users; made when it is asked for the first time."""
        progress(f"{self.dialect}: seeding {users:,} users")
        if self._server is None:
            path = self._directory / f"{users}.db"
            seed(str(path), users=users)
            with closing(sqlite.connect(path)) as wire:
                version = wire.execute("SELECT sqlite_version()").scalar()
            size = path.stat().st_size
            return Place(
                str(path), f"sqlite {version}", path.parent, path.parent, size / 1e6,
                SQLITE_CACHE_MB,
            )  # fmt: skip
        url = self._server.url(self._server.create_database())
        seed(url, users=users)
        with closing(postgres.connect(url)) as wire:
            wire.execute("VACUUM")  # as it is in use, not as it is just after loading
            wire.execute("CHECKPOINT")
            version = wire.execute("SHOW server_version").scalar()
            found = wire.execute("SELECT oid, pg_database_size(oid) FROM pg_database "
                                 "WHERE datname = current_database()").rows[0]  # fmt: skip
        files = self._server.data / "base" / str(found[0])
        return Place(
            url, f"postgresql {version}", files, self._directory, int(str(found[1])) / 1e6,
            SHARED_BUFFERS_MB,
        )  # fmt: skip


@contextmanager
def ground(dialect: str) -> Iterator[Ground]:
    """Yield where databases of an engine can be made: on a disk, synced as in production."""
    directory = Path(tempfile.mkdtemp(prefix="homeostat-scale-"))
    try:
        if dialect == "sqlite":
            yield Ground(dialect, directory, None)
            return
        settings = {"shared_buffers": f"{SHARED_BUFFERS_MB}MB", "synchronous_commit": "on"}
        with running_server(fsync=True, settings=settings) as server:
            yield Ground(dialect, directory, server)
    finally:
        shutil.rmtree(directory)


def refuse_lowered_durability(wire: Wire) -> None:
    """Raise RuntimeError unless a commit waits for the disk on this connection."""
    if wire.dialect == "sqlite":
        safe = wire.execute("PRAGMA synchronous").scalar() == 2  # FULL
    else:
        names = ("fsync", "synchronous_commit")
        safe = all(wire.execute(f"SHOW {name}").scalar() == "on" for name in names)
    if not safe:
        message = "commits do not wait for the disk here"
        raise RuntimeError(message)


@contextmanager
def forgetting(files: Path) -> Iterator[None]:
    """Have the kernel drop its pages of the files, slice by slice, each every FORGET_SECONDS.

    This process must hold no SQLite connection to them: closing a file drops its locks.
    """
    stop = threading.Event()

    def forget() -> None:
        for turn in itertools.count():
            if stop.wait(FORGET_SECONDS / SLICES):
                return
            for path in files.iterdir():
                with suppress(OSError):
                    _drop_slice(path, turn % SLICES)

    thread = threading.Thread(target=forget, name="forgetting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _drop_slice(path: Path, number: int) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        length = os.fstat(descriptor).st_size // SLICES + 1
        os.posix_fadvise(descriptor, number * length, length, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
