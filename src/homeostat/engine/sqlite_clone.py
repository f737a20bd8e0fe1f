"""Clones of an SQLite file: copied by the backup API at one moment into a directory of ours.

The source is read over a connection of its own and never written. Writers of a file in WAL mode go
on meanwhile; in rollback mode they wait, so such a copy is given up when it takes too long. The
files are their owner's alone, and encrypted when the source is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import msgspec

from homeostat.clock import Clock
from homeostat.config import CloneConfig
from homeostat.driver import sqlite
from homeostat.driver.sqlite import SqliteWire
from homeostat.driver.sqlite_backup import backup
from homeostat.engine.clone_shelf import CloneShelf, Manifest, me, new_name
from homeostat.engine.disk import disk_readings
from homeostat.engine.facets import CloneInfo
from homeostat.engine.pace import TOO_LONG, UNBOUNDED, Bounds, Pace, Strain
from homeostat.errors import CloneRefusedError, CorruptDatabaseError, NotFoundError
from homeostat.measure import Unknown

FILE = ".db"
_BESIDE = ("", "-wal", "-shm", "-journal")
BUSY_MS = 5_000


class SqliteClone:
    """Facet: copies to try things on."""

    def __init__(
        self,
        *,
        source: str,
        path: str,
        connect: Callable[..., SqliteWire],
        key: Callable[[], str | None],
        config: CloneConfig,
        clock: Clock,
    ) -> None:
        """Take the database's key and file.

        Args:
            source: the database's key.
            path: its file, for messages.
            connect: opens a connection to it; takes `readonly` and `busy_ms`.
            key: returns the passphrase of an encrypted file.
            config: where, how many, how large; `directory` is set.
            clock: tells when clones expire.
        """
        self._source = source
        self._path = path
        self._connect = connect
        self._key = key
        self._config = config
        self._clock = clock
        self._shelf = CloneShelf(Path(config.directory))
        self._making = threading.Lock()

    def create(
        self,
        *,
        owner: str,
        expires_seconds: float,
        bytes_max: int,
        strain: Strain | None = None,
        bounds: Bounds = UNBOUNDED,
    ) -> CloneInfo:
        """Copy the database; see `facets.Clone`."""
        bounds.check()
        bytes_max = int(min(bytes_max, bounds.bytes_max, self._config.bytes_max))
        with self._making:
            self.collect()
            self._shelf.prepare()
            there = sum(1 for one in self._shelf.all() if one.source == self._source)
            if there >= self._config.count_max:
                message = "There are as many clones as [clone] count_max allows. Drop one first."
                raise CloneRefusedError(message, where=self._path, detail=f"{there} clones")
            source = self._connect(readonly=True, busy_ms=BUSY_MS)
            try:
                limit = self._limit(source, bytes_max, strain, bounds)
                return self._create(source, owner, expires_seconds, bytes_max, limit)
            finally:
                source.close()

    def holds_up(self) -> str:
        """Return why writers would wait for a copy; see `facets.Clone`."""
        source = self._connect(readonly=True, busy_ms=BUSY_MS)
        try:
            return "in rollback mode writers wait for a copy" if _writers_wait(source) else ""
        finally:
            source.close()

    def list(self) -> Sequence[CloneInfo]:
        """Return the clones of this database that exist and are complete."""
        return [
            one.info()
            for one in self._shelf.all()
            if one.ready and one.source == self._source and self._file(one.name).exists()
        ]

    @contextmanager
    def connect(self, name: str) -> Iterator[SqliteWire]:
        """Yield a read-write connection to a clone.

        Raises:
            NotFoundError: there is no such clone.
        """
        if all(one.name != name for one in self.list()):
            raise NotFoundError("There is no clone of this name.", where=name)
        wire = sqlite.connect(self._file(name), key=self._key(), synchronous="NORMAL")
        try:
            yield wire
        finally:
            wire.close()

    def drop(self, name: str) -> bool:
        """Remove a clone and all that belongs to it; return whether it was there."""
        found = self._shelf.find(name)
        if found is None or found.source != self._source:
            return False
        self._remove(name)
        return True

    def collect(self, *, owners: frozenset[str] = frozenset()) -> int:
        """Remove expired clones, leftovers of killed copies, and clones of the owners given.

        Expired clones and leftovers of other files go too, since nobody else may look here again.
        """
        now = self._clock.now()
        self._shelf.remove_drafts()
        gone = 0
        for one in [one for one in self._shelf.all() if one.dialect == "sqlite"]:
            owned = one.source == self._source and one.owner in owners
            if owned or one.left_over or (one.ready and one.expires <= now):
                self._remove(one.name)
                gone += 1
        return gone

    def _create(
        self,
        source: SqliteWire,
        owner: str,
        expires_seconds: float,
        bytes_max: int,
        limit: Callable[[int], None],
    ) -> CloneInfo:
        size = _bytes(source)
        self._refuse_large(size, bytes_max)
        name = new_name(owner)
        path = self._file(name)
        pid, started = me()
        now = self._clock.now()
        manifest = Manifest(
            name=name, dialect="sqlite", source=self._source, label=self._path, url=str(path),
            owner=owner, created=now, expires=now + expires_seconds, pid=pid, pid_started=started,
        )  # fmt: skip
        self._shelf.save(manifest)
        try:
            began = perf_counter()
            copied = backup(source, path, key=self._key(), go_on=limit)
            seconds = perf_counter() - began
            self._check(path)
            done = msgspec.structs.replace(manifest, ready=True, bytes=copied, seconds=seconds)
            self._shelf.save(done)
        except BaseException:
            self._remove(name)
            raise
        return done.info()

    def _limit(
        self, source: SqliteWire, bytes_max: int, strain: Strain | None, bounds: Bounds
    ) -> Callable[[int], None]:
        """Return what ends a copy that takes too long or grows too large, and keeps its pace."""
        writers_wait = _writers_wait(source)
        seconds = (
            self._config.writers_wait_seconds_max if writers_wait else self._config.seconds_max
        )
        seconds = min(seconds, bounds.seconds_max)
        until = perf_counter() + seconds
        pace = Pace(self._config.copy_bytes_per_second, strain=strain, bounds=bounds)

        def check(copied: int) -> None:
            if copied > bytes_max:
                raise CloneRefusedError(where=self._path, detail=f"past {bytes_max} bytes")
            if perf_counter() <= until:
                if not writers_wait:
                    pace.keep(copied)
                return
            if writers_wait:
                message = (
                    "The file is in rollback mode, where writers wait for the copy, and it took "
                    "longer than [clone] writers_wait_seconds_max. Switch the file to WAL mode, "
                    "or allow a longer wait."
                )
            else:
                message = TOO_LONG
            raise CloneRefusedError(message, where=self._path, detail=f"{seconds:g} s")

        return check

    def _refuse_large(self, size: int, bytes_max: int) -> None:
        if size > bytes_max:
            message = "The database is larger than clones may be. Raise [clone] bytes_max."
            detail = f"{size} bytes, {bytes_max} allowed"
            raise CloneRefusedError(message, where=self._path, detail=detail)
        free = disk_readings(self._shelf.directory)["disk.free_bytes"]
        needed = size + self._config.disk_reserve_bytes
        if isinstance(free, Unknown) or free < needed:
            message = (
                "The disk has too little space for a clone. Free some, or set [clone] directory."
            )
            detail = (
                free.reason
                if isinstance(free, Unknown)
                else (
                    f"{size} bytes and {self._config.disk_reserve_bytes} in reserve, "
                    f"{free:.0f} free"
                )
            )
            raise CloneRefusedError(message, where=str(self._shelf.directory), detail=detail)

    def _check(self, path: Path) -> None:
        """Read the whole copy once.

        Raises:
            CorruptDatabaseError: SQLite finds it damaged; the source may be too.
        """
        wire = sqlite.connect(path, mode="foreign", readonly=True, key=self._key())
        try:
            said = str(wire.execute("PRAGMA quick_check(1)").scalar())
        finally:
            wire.close()
        if said != "ok":
            message = "The copy is damaged, so the source may be too. Check it: PRAGMA quick_check."
            raise CorruptDatabaseError(message, where=self._path)

    def _remove(self, name: str) -> None:
        for tail in _BESIDE:
            Path(f"{self._file(name)}{tail}").unlink(missing_ok=True)
        self._shelf.remove(name)

    def _file(self, name: str) -> Path:
        return self._shelf.directory / f"{name}{FILE}"


def _writers_wait(source: SqliteWire) -> bool:
    return source.execute("PRAGMA journal_mode").scalar() != "wal"


def _bytes(source: SqliteWire) -> int:
    asked = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    return int(str(source.execute(asked).scalar()))
