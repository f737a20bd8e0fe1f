"""The file of samples: like the logbook's, but disposable. A damaged one is moved aside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import gmtime, strftime
from typing import TypeVar

from homeostat.clock import Clock
from homeostat.driver.wire import Wire
from homeostat.errors import LogbookCorruptError, LogbookError
from homeostat.logbook.file import LogFile, Session
from homeostat.logbook.migrate import migrations_of

MOVED_ASIDE_MAX = 2  # damaged files that are kept

_T = TypeVar("_T")


class SampleFile:
    """samples.db; safe to use from any thread.

    Attributes:
        moved_aside: where a damaged file was moved to since opening, the newest; None: none was.
    """

    def __init__(self, path: Path, *, clock: Clock, on_new: Callable[[], None]) -> None:
        """Open or create the file.

        Args:
            path: of the file.
            clock: names the file that is moved aside.
            on_new: called (under the lock) when a damaged file was replaced by an empty one.
        """
        self.moved_aside: Path | None = None
        self.lock = threading.RLock()
        self._path = path
        self._clock = clock
        self._on_new = on_new
        self._file = self._open()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def read(self, action: Callable[[Session], _T]) -> _T:
        """Run it on a reading connection; run it again if the file had to be replaced."""

        def reading(file: LogFile) -> _T:
            with file.reading() as session:
                return action(session)

        return self._guarded(reading)

    def write(self, action: Callable[[Session], _T]) -> _T:
        """Run it in one transaction; run it again if the file had to be replaced."""

        def writing(file: LogFile) -> _T:
            with file.writing() as session:
                return action(session)

        return self._guarded(writing)

    def size_bytes(self) -> int:
        """Return the size of the file and its -wal."""
        files = (self._path, Path(f"{self._path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _guarded(self, action: Callable[[LogFile], _T]) -> _T:
        file = self._file
        try:
            return action(file)
        except LogbookCorruptError:
            self._replace(file)
        except LogbookError:
            if file is self._file:
                raise  # else: another thread replaced it meanwhile
        return action(self._file)

    def _replace(self, damaged: LogFile) -> None:
        with self.lock:
            if self._file is not damaged:
                return  # another thread was faster
            damaged.close()
            self.moved_aside = move_aside(self._path, at=self._clock.now())
            self._file = self._open()
            self._on_new()

    def _open(self) -> LogFile:
        try:
            return _opened(self._path)
        except LogbookCorruptError:
            self.moved_aside = move_aside(self._path, at=self._clock.now())
            return _opened(self._path)


def move_aside(path: Path, *, at: float) -> Path | None:
    """Rename a damaged file and its -wal; delete the oldest that were moved before.

    Nobody may have it open. Returns its new path, `NAME.corrupt-YYYYMMDDTHHMMSSZ`, or None if it
    was gone.
    """
    stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(at))
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    was_there = path.exists()
    for end in ("", "-wal"):
        source = Path(f"{path}{end}")
        if source.exists():
            source.replace(f"{aside}{end}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    before = sorted(path.parent.glob(f"{path.name}.corrupt-*Z"))
    for old in before[:-MOVED_ASIDE_MAX]:
        for end in ("", "-wal"):
            Path(f"{old}{end}").unlink(missing_ok=True)
    return aside if was_there else None


def _opened(path: Path) -> LogFile:
    migrations = migrations_of("samples")
    return LogFile(path, migrations=migrations, synchronous="NORMAL", on_connect=_prepare)


def _prepare(wire: Wire) -> None:
    """Leave freed pages as they are: nothing in this file is secret, and zeroing them is work."""
    wire.execute("PRAGMA secure_delete = OFF")
