"""samples.db: what was measured, at three resolutions; disposable.

A tick is one wide row. When an hour is over (or after 1,000 ticks, if they come faster than every
3.6 s) `compact` transposes the ticks into compressed chunks of each series at all three levels;
later it joins short chunks and forgets old ones. Ticks that come faster than `fine_seconds` are
kept one by one until then, and are rolled up to it when transposed; slower ones keep their exact
times. Numbers are as exact as chunk.py says, histogram counts are exact and are only ever added.

An unknown reading is a gap; its newest reason is kept by series. `Sample.texts` are not stored, but
what people call a measured statement is (statement_texts.py). The file has synchronous = NORMAL: a
power cut may take the last ticks, never more. A damaged file is moved aside and a new one begun;
`moved_aside` tells.
"""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec

from homeostat.clock import Clock
from homeostat.config import SamplesConfig
from homeostat.errors import LogbookError
from homeostat.logbook import histograms, shelf
from homeostat.logbook.charts import SampleReading
from homeostat.logbook.compaction import Piece, Transposition
from homeostat.logbook.file import Session
from homeostat.logbook.levels import HOUR, MINUTE, levels_of
from homeostat.logbook.registry import Registry
from homeostat.logbook.sample_file import SampleFile
from homeostat.logbook.series import Series
from homeostat.logbook.statement_texts import StatementTexts
from homeostat.measure import Histogram, Reading, Sample, Unknown

GRACE_SECONDS = 5.0  # an hour is transposed so long after its end: ticks may be under way
OPEN_TICKS_MAX = 1_000
JOINS_MAX = 50  # chunk groups joined by one call of compact: about 0.2 s

_TICK = "INSERT INTO ticks (at, readings, histograms) VALUES (:at, :readings, :histograms)"
_pack_histograms = histograms.pack


@dataclass(slots=True)
class _Tick:
    """The readings of one moment: series numbers and values, and packed histograms by number."""

    numbers: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    packed: dict[int, bytes] = field(default_factory=dict)


class SampleStore(SampleReading):
    """Samples by series; safe to use from any thread."""

    def __init__(self, path: Path, *, clock: Clock, config: SamplesConfig) -> None:
        """Use `SampleStore.open`."""
        self._clock = clock
        self._levels = levels_of(config)
        self._compacting = threading.Lock()
        self._generation = 0
        self._ticks_open = 0
        self._forgot_hour = 0
        self._joined: dict[tuple[int, int], int] = {}  # (level, span) -> joined before, ms
        self._registry = Registry(histograms_max=config.histogram_series_max)
        self._file = SampleFile(path, clock=clock, on_new=self._begun_anew)
        self.statement_texts = StatementTexts(self._file, clock)
        self._load()

    @classmethod
    def open(cls, path: str | Path, *, clock: Clock, config: SamplesConfig) -> Self:
        """Open the file, created if missing; a damaged one is moved aside, see `moved_aside`.

        Raises:
            LogbookNewerError, LogbookLockedError, LogbookFullError, LogbookError: as for Logbook.
        """
        return cls(Path(path), clock=clock, config=config)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    @property
    def moved_aside(self) -> Path | None:
        """Return where a damaged file was moved to since opening, the newest; None: none was."""
        return self._file.moved_aside

    @property
    def dropped(self) -> dict[str, int]:
        """Return how many readings were not kept since opening, by reason."""
        with self._file.lock:
            return dict(self._registry.dropped)

    # Writing

    def append(self, samples: Sequence[Sample]) -> None:
        """Store one tick.

        When writing fails the readings stay in memory (at most 12 hours of 10 s) and get into
        chunks with the next `compact` that succeeds.

        Raises:
            LogbookFullError, LogbookLockedError, LogbookError: the tick is not on disk.
        """
        with self._file.lock:
            ticks = self._take(samples)
            self._ticks_open += len(ticks)
            rows = [_row(at, tick) for at, tick in ticks.items()]

            def write(session: Session) -> None:
                self._registry.save(session, self._registry.changed)
                for row in rows:
                    session.execute(_TICK, row)

            try:
                self._file.write(write)
            except LogbookError:
                for series in self._registry:
                    series.bound()
                raise
            self._registry.changed.clear()

    def compact(self) -> int:
        """Transpose ticks that are due, join chunks, forget what is old; return chunks written.

        Cheap when nothing is due: call it every minute or so. At most some 0.2 s of joining is done
        by one call, the rest by the next.

        Raises:
            LogbookFullError, LogbookLockedError, LogbookError: nothing was changed.
        """
        with self._compacting:
            now = round(self._clock.now() * 1000)
            settled = now - round(GRACE_SECONDS * 1000)
            written = self._transpose(settled)
            if now // HOUR != self._forgot_hour:
                self._forget(now)
                self._forgot_hour = now // HOUR
            return written + self._join(settled)

    def _take(self, samples: Sequence[Sample]) -> dict[int, _Tick]:
        """Put readings into memory; return what goes to disk, by time in ms."""
        ticks: dict[int, _Tick] = {}
        registry, finite = self._registry, math.isfinite
        at, tick, at_seconds = 0, _Tick(), math.nan
        for sample in samples:
            series = registry.of(sample)
            if series is None:
                continue
            if sample.at != at_seconds:
                at_seconds = sample.at
                at = round(at_seconds * 1000)
                tick = ticks.setdefault(at, _Tick())
            value = sample.value
            if series.histogram is False and type(value) is float and finite(value):
                tick.numbers.append(series.number)  # nearly always: the others look closer
                tick.values.append(value)
                series.add(at, value)
            else:
                self._take_other(series, at, value, tick)
        return ticks

    def _take_other(self, series: Series, at: int, value: Reading, tick: _Tick) -> None:
        """Take the first reading of a series, a histogram, or one that is not known."""
        registry = self._registry
        if isinstance(value, Histogram):
            if series.histogram or registry.becomes(series, histogram=True):
                packed = tick.packed[series.number] = _pack_histograms(value)
                series.add(at, packed)
        elif isinstance(value, Unknown):
            self._unknown(series, at, value.reason)
        elif not math.isfinite(value):
            self._unknown(series, at, f"the reading was {value}")
        elif registry.becomes(series, histogram=False):
            tick.numbers.append(series.number)
            tick.values.append(float(value))
            series.add(at, float(value))

    def _unknown(self, series: Series, at: int, reason: str) -> None:
        if series.reason != reason:
            self._registry.changed.add(series)
        series.reason = reason
        series.reason_at = at

    def _transpose(self, settled: int) -> int:
        with self._file.lock:
            step = MINUTE if self._ticks_open > OPEN_TICKS_MAX else HOUR
            boundary = settled - settled % step
            parts = [part for s in self._registry if (part := _part(s, boundary)) is not None]
        if not parts:
            return 0
        transposition = Transposition(self._levels)
        pieces: list[Piece] = []
        for part in parts:
            if part.series.histogram:
                pieces += transposition.histograms(part.series.number, part.times, part.packed)
            else:
                pieces += transposition.values(part.series.number, part.times, part.values)
        with self._file.lock:
            if any(part.series.open_before(boundary) != part.until for part in parts):
                return 0  # a reading came late meanwhile; the next call takes it along
            self._put(pieces, boundary, {part.series for part in parts})
            for part in parts:
                part.series.close(part.until)
            self._generation += 1
        return len(pieces)

    def _put(self, pieces: list[Piece], boundary: int, seen: set[Series]) -> None:
        def put(session: Session) -> int:
            shelf.put(session, pieces)
            session.execute("DELETE FROM ticks WHERE at < :boundary", {"boundary": boundary})
            self._registry.save(session, seen | self._registry.changed)
            left: Any = session.execute("SELECT count(*) FROM ticks").scalar()
            return int(left)

        self._ticks_open = self._file.write(put)
        self._registry.changed.clear()

    def _forget(self, now: int) -> None:
        with self._file.lock:
            gone = self._registry.forget(now - self._levels[-1].keep)
            self._registry.retry_refused()

            def forget(session: Session) -> None:
                for level in self._levels:
                    shelf.forget(session, level, now=now)
                for series in gone:
                    session.execute("DELETE FROM series WHERE id = :id", {"id": series.number})

            self._file.write(forget)

    def _join(self, settled: int) -> int:
        """Join the chunks of spans that are over, the shortest spans first."""
        for level in self._levels:
            for span in level.spans:
                key = (level.number, span)
                end = settled - settled % span
                begin = self._joined.get(key, 0)
                if begin >= end:
                    continue
                join = partial(
                    shelf.join, level=level, span=span, begin=begin, end=end, limit=JOINS_MAX
                )
                count = self._file.write(join)
                if count == JOINS_MAX:
                    return count  # the rest with the next call
                self._joined[key] = end
        return 0

    # Beginning

    def _load(self) -> None:
        def load(session: Session) -> list[tuple[int, bytes, bytes]]:
            self._registry.load(session)
            rows: Any = session.execute("SELECT at, readings, histograms FROM ticks").rows
            return list(rows)

        rows = self._file.read(load)
        by_number = {series.number: series for series in self._registry}
        for at, readings, packed in rows:
            for number, reading in _readings(readings, packed):
                if number in by_number:
                    by_number[number].add(at, reading)
        self._ticks_open = len(rows)

    def _begun_anew(self) -> None:
        """Go on in an empty file: what is in memory gets into its chunks later."""
        for series in self._registry:
            series.first_at = series.times[series.closed] if series.is_open else None
            self._registry.changed.add(series)
        self._joined.clear()
        self.statement_texts.begin_anew()
        self._generation += 1


@dataclass(frozen=True, slots=True)
class _Part:
    """The readings of a series that are to be transposed."""

    series: Series
    until: int
    times: array[int]
    values: array[float]
    packed: list[bytes]


def _part(series: Series, boundary: int) -> _Part | None:
    a, b = series.closed, series.open_before(boundary)
    if a == b:
        return None
    return _Part(series, b, series.times[a:b], series.values[a:b], series.packed[a:b])


def _row(at: int, tick: _Tick) -> dict[str, object]:
    readings = array("I", tick.numbers).tobytes() + array("d", tick.values).tobytes()
    packed = msgspec.msgpack.encode(tick.packed) if tick.packed else b""
    return {"at": at, "readings": readings, "histograms": packed}


def _readings(readings: bytes, packed: bytes) -> Iterator[tuple[int, float | bytes]]:
    count = len(readings) // 12
    yield from zip(
        array("I", readings[: 4 * count]), array("d", readings[4 * count :]), strict=True
    )
    if packed:
        yield from msgspec.msgpack.decode(packed, type=dict[int, bytes]).items()
