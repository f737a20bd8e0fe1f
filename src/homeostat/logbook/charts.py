"""What can be read from samples.db: charts, histograms, the newest readings. Changes nothing.

A range is answered from the coarsest level that is fine enough for the points asked for; where that
level forgot, from the next; what is not in chunks yet, from memory. A point is never made up: it
stands for readings that were made, its time is that of the first of them (for rolled-up ones, the
begin of their span).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import ceil
from typing import TypeVar

from homeostat.clock import Clock
from homeostat.logbook import histograms, points, shelf
from homeostat.logbook.file import Session
from homeostat.logbook.histograms import Histograms
from homeostat.logbook.levels import Level, Section, sections_of
from homeostat.logbook.points import Points, bounds_of
from homeostat.logbook.registry import Registry
from homeostat.logbook.sample_file import SampleFile
from homeostat.logbook.series import TAIL_MAX, Series
from homeostat.measure import Histogram, Unknown, merged

HISTOGRAM_PARTS = 500  # a histogram's window is exact to this part of its length
TRIES_MAX = 3

_Memory = TypeVar("_Memory")
_Sum = tuple[int, float, float, float, float]  # time, count, sum, least, greatest
Point = tuple[float, float, float, float]  # time, mean, least, greatest
SectionChunks = list[tuple[Section, list[shelf.Stored]]]


class SampleReading:
    """The reading half of the SampleStore; safe to use from any thread."""

    _clock: Clock
    _levels: tuple[Level, ...]
    _registry: Registry
    _file: SampleFile
    _generation: int  # changes when readings move from memory into chunks

    def range(
        self,
        database: str,
        metric: str,
        subject_label: str,
        *,
        start: float,
        end: float,
        points: int,
    ) -> list[Point]:
        """Return a series over start <= time < end with at most so many points.

        Returns:
            (time, mean, least, greatest) of each point in order of time; times in seconds since
            1970 UTC. Of a histogram series the least is a bucket's lower bound. Empty: nothing was
            read.
        """
        series = self._named(database, metric, subject_label)
        first, last = ceil(start * 1000), ceil(end * 1000)
        if series is None or points < 1 or last <= first:
            return []
        sections = self._sections(first, last, (last - first) / points)
        if series.histogram:
            parts = [part.points() for part in self._histograms(series, sections)]
        else:
            parts = self._points(series, sections)
        width = _width(sum(map(len, parts)), points, sections)
        return _chart(parts, width)

    def total(
        self, database: str, metric: str, subject_label: str, *, start: float, end: float
    ) -> float | None:
        """Return the sum of a counter's readings over start <= time < end; None: there are none.

        Exact to a 500th of the length, as `histogram`.
        """
        series = self._named(database, metric, subject_label)
        first, last = ceil(start * 1000), ceil(end * 1000)
        if series is None or series.histogram or last <= first:
            return None
        sections = self._sections(first, last, (last - first) / HISTOGRAM_PARTS)
        parts = self._points(series, sections, columns_max=2)
        return sum(sum(part.columns[1]) for part in parts) if parts else None

    def quantiles(
        self,
        database: str,
        metric: str,
        subject_label: str,
        *,
        q: float,
        start: float,
        end: float,
        points: int,
    ) -> list[tuple[float, float]]:
        """Return a quantile (0 to 1) of a histogram series over time, as `range`.

        The histograms of each point are added first; quantiles are never averaged. Points without
        any value are left out. Empty for a series that holds no histograms.
        """
        merged = self.histograms(
            database, metric, subject_label, start=start, end=end, points=points
        )
        values = ((at, whole.quantile(q)) for at, whole in merged)
        return [(at, value) for at, value in values if not isinstance(value, Unknown)]

    def histograms(
        self,
        database: str,
        metric: str,
        subject_label: str,
        *,
        start: float,
        end: float,
        points: int,
    ) -> list[tuple[float, Histogram]]:
        """Return a histogram series over time, as `range`: those of each point added up."""
        series = self._named(database, metric, subject_label)
        first, last = ceil(start * 1000), ceil(end * 1000)
        if series is None or not series.histogram or points < 1 or last <= first:
            return []
        sections = self._sections(first, last, (last - first) / points)
        parts = self._histograms(series, sections)
        width = _width(sum(map(len, parts)), points, sections)
        found: dict[int, tuple[int, Histogram]] = {}
        for part in parts:
            for a, b in _spans(part.times, width):
                at, one = part.times[a], part.between(a, b)
                first_at, whole = found.setdefault(at // width, (at, Histogram()))
                whole.merge(one)
                found[at // width] = (min(at, first_at), whole)
        ordered = sorted(found.values(), key=lambda one: one[0])
        return [(at / 1000, whole) for at, whole in ordered]

    def histogram(
        self, database: str, metric: str, subject_label: str, *, start: float, end: float
    ) -> Histogram:
        """Return all values over start <= time < end as one histogram, empty if there are none.

        Up to 500 ticks back to back are exact; a longer window is exact to a 500th of its length,
        since spans of a minute or hour count where they begin.
        """
        series = self._named(database, metric, subject_label)
        first, last = ceil(start * 1000), ceil(end * 1000)
        if series is None or not series.histogram or last <= first:
            return Histogram()
        sections = self._sections(first, last, (last - first) / HISTOGRAM_PARTS)
        return merged(part.between(0, len(part)) for part in self._histograms(series, sections))

    def recent(
        self, database: str, metric: str, subject_label: str, count: int
    ) -> list[tuple[float, float]]:
        """Return the newest so many (at most 512) readings as (time, value), the oldest first.

        From memory; only the first call after a start may look into the file. Histogram series
        have none.
        """
        series = self._named(database, metric, subject_label)
        if series is None or series.histogram or count < 1:
            return []
        count = min(count, TAIL_MAX)
        if len(series.times) < count and not series.primed:
            self._prime(series)
        with self._file.lock:
            times, values = series.times[-count:], series.values[-count:]
        return [(at / 1000, value) for at, value in zip(times, values, strict=True)]

    def subjects(self, database: str) -> list[tuple[str, str, float, float]]:
        """Return (metric, subject label, first time, last time) of series with known readings."""
        with self._file.lock:
            return sorted(
                (series.metric, series.subject, series.first_at / 1000, series.last_at / 1000)
                for series in self._registry
                if series.database == database
                and series.first_at is not None
                and series.last_at is not None
            )

    def unknown(self, database: str, metric: str, subject_label: str) -> tuple[float, str] | None:
        """Return when and why the newest unknown reading of a series was unknown; None: none."""
        series = self._named(database, metric, subject_label)
        if series is None or series.reason is None or series.reason_at is None:
            return None
        return series.reason_at / 1000, series.reason

    def size_bytes(self) -> int:
        """Return the size of the file and its -wal."""
        return self._file.size_bytes()

    def _named(self, database: str, metric: str, subject: str) -> Series | None:
        with self._file.lock:
            return self._registry.named(database, metric, subject)

    def _sections(self, start: int, end: int, width: float) -> list[Section]:
        now = round(self._clock.now() * 1000)
        return sections_of(self._levels, start=start, end=end, width=width, now=now)

    def _points(
        self, series: Series, sections: list[Section], *, columns_max: int = 4
    ) -> list[Points]:
        def open_readings() -> Points:
            a = series.closed
            return points.plain(series.times[a:], series.values[a:])

        newest, chunks = self._read(series, sections, open_readings)
        parts = [newest.cut(sections[0].start, sections[-1].end)]
        for section, stored in chunks:
            parts += [
                points.decode(data, times, columns_max=columns_max).cut(section.start, section.end)
                for data, times in stored
            ]
        return [part for part in parts if len(part)]

    def _histograms(self, series: Series, sections: list[Section]) -> list[Histograms]:
        def open_readings() -> tuple[array[int], list[bytes]]:
            a = series.closed
            return series.times[a:], series.packed[a:]

        (times, packed), chunks = self._read(series, sections, open_readings)
        parts = [histograms.of_packed(times, packed).cut(sections[0].start, sections[-1].end)]
        for section, stored in chunks:
            parts += [
                histograms.decode(data, at).cut(section.start, section.end) for data, at in stored
            ]
        return [part for part in parts if len(part)]

    def _read(
        self, series: Series, sections: list[Section], from_memory: Callable[[], _Memory]
    ) -> tuple[_Memory, SectionChunks]:
        """Read memory and chunks, so that no reading is seen twice or missed."""

        def from_chunks(session: Session) -> SectionChunks:
            return [
                (
                    s,
                    shelf.read(
                        session, series=series.number, level=s.level, start=s.start, end=s.end
                    ),
                )
                for s in sections
            ]

        for _ in range(TRIES_MAX):
            with self._file.lock:
                generation, memory = self._generation, from_memory()
            chunks = self._file.read(from_chunks)
            with self._file.lock:
                if generation == self._generation:
                    return memory, chunks
        with self._file.lock:  # nothing can move meanwhile
            chunks = self._file.read(from_chunks)
            return from_memory(), chunks

    def _prime(self, series: Series) -> None:
        """Fill the tail in memory with the newest single readings from chunks."""
        fine = self._levels[0]
        times, values = array("q"), array("d")
        with self._file.lock:
            end = (series.last_at or 0) + 1
            section = Section(fine, end - fine.keep, end)
            _, chunks = self._read(series, [section], lambda: None)
            for data, at in chunks[0][1]:
                part = points.decode(data, at)
                if part.plain:
                    times.extend(part.times)
                    values.extend(list(part.sums))
            series.prime(times[-TAIL_MAX:], values[-TAIL_MAX:])


def _width(count: int, points_max: int, sections: list[Section]) -> int:
    """Return the length of a point's span (ms) so that there are at most `points_max`.

    1 if every point can stay. Else whole steps of the finest level in use, so that points stand for
    equally many.
    """
    if count <= points_max:
        return 1
    length = sections[-1].end - sections[0].start
    if points_max == 1:
        return sections[-1].end  # from 1970 on: all in one
    step = sections[-1].level.step
    return ceil(length / (points_max - 1) / step) * step


def _spans(times: Sequence[int], width: int) -> Iterable[tuple[int, int]]:
    """Return the index ranges that fall into spans of a width (ms)."""
    if width == 1:
        return ((index, index + 1) for index in range(len(times)))
    return pairwise(bounds_of(times, width))


def _chart(parts: list[Points], width: int) -> list[Point]:
    """Return a point for each span that holds any, in order of time."""
    found: dict[int, _Sum] = {}
    for part in parts:
        times, (counts, sums, lows, highs) = part.times, part.columns[:4]
        for a, b in _spans(times, width):
            one = (times[a], sum(counts[a:b]), sum(sums[a:b]), min(lows[a:b]), max(highs[a:b]))
            key = one[0] // width
            before = found.get(key)
            found[key] = one if before is None else _added(before, one)
    return sorted(
        (at / 1000, total / count, low, high) for at, count, total, low, high in found.values()
    )


def _added(one: _Sum, other: _Sum) -> _Sum:
    return (
        min(one[0], other[0]),
        one[1] + other[1],
        one[2] + other[2],
        min(one[3], other[3]),
        max(one[4], other[4]),
    )
