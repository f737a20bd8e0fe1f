"""From ticks to chunks: transposed, rolled up to every level, packed.

Pure functions on what was read; the tables are in shelf.py.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from homeostat.logbook import histograms, points
from homeostat.logbook.histograms import Histograms
from homeostat.logbook.levels import Level
from homeostat.logbook.points import Points, bounds_of


@dataclass(frozen=True, slots=True)
class Piece:
    """What becomes one row of `chunks`: points of one series within one span of one level."""

    series: int
    level: int
    start: int  # the first point's time, ms
    stop: int  # the end of the last point's span, ms
    times: Sequence[int]
    data: bytes


class Transposition:
    """Turns readings of many series into pieces; series read in the same ticks share the work."""

    def __init__(self, levels: tuple[Level, ...]) -> None:
        """Make pieces for these levels."""
        self._levels = levels
        self._bounds: dict[tuple[bytes, int], list[int]] = {}

    def values(self, series: int, times: array[int], values: Sequence[float]) -> Iterator[Piece]:
        """Return the pieces of plain readings, one or more."""
        rolled = points.plain(times, values)
        for level in self._levels:
            rolled = self.level_points(rolled, level)
            yield from self.cut_points(series, level, rolled)

    def histograms(
        self, series: int, times: array[int], packed: Sequence[bytes]
    ) -> Iterator[Piece]:
        """Return the pieces of packed histograms, one or more."""
        rolled = histograms.of_packed(times, packed)
        for level in self._levels:
            rolled = self.level_histograms(rolled, level)
            yield from self.cut_histograms(series, level, rolled)

    def level_points(self, given: Points, level: Level) -> Points:
        """Roll points up to a level; the finest keeps the exact times of single readings."""
        bounds = self._bounds_of(given.times, level.step)
        if level.number == 0 and len(bounds) == len(given) + 1:
            return given
        return points.roll(given, level.step, bounds)

    def level_histograms(self, given: Histograms, level: Level) -> Histograms:
        """Roll histograms up to a level, as `level_points`."""
        bounds = self._bounds_of(given.times, level.step)
        if level.number == 0 and len(bounds) == len(given) + 1:
            return given
        spans = list(pairwise(bounds))
        starts = array("q", [given.times[a] - given.times[a] % level.step for a, _ in spans])
        return histograms.roll(given, spans, starts)

    def cut_points(
        self, series: int, level: Level, given: Points, *, span: int = 0
    ) -> Iterator[Piece]:
        """Return a piece for each span (the level's shortest unless given) that holds points."""
        for a, b in pairwise(self._bounds_of(given.times, span or level.spans[0])):
            part = given.cut(given.times[a], given.times[b - 1] + 1)
            yield _piece(series, level, part.times, points.encode(part))

    def cut_histograms(
        self, series: int, level: Level, given: Histograms, *, span: int = 0
    ) -> Iterator[Piece]:
        """Return a piece for each span, as `cut_points`."""
        for a, b in pairwise(self._bounds_of(given.times, span or level.spans[0])):
            part = given.slice(a, b)
            yield _piece(series, level, part.times, histograms.encode(part))

    def _bounds_of(self, times: Sequence[int], step: int) -> list[int]:
        key = (array("q", times).tobytes(), step)
        found = self._bounds.get(key)
        if found is None:
            found = self._bounds[key] = bounds_of(times, step)
        return found


def joined_pieces(
    series: int, level: Level, span: int, stored: Iterable[tuple[bytes, Sequence[int]]]
) -> list[Piece]:
    """Return what stored chunks of one series become when joined to chunks of a longer span."""
    transposition = Transposition((level,))
    chunks = list(stored)
    if chunks[0][0][0] == histograms.HISTOGRAMS:
        whole = histograms.joined([histograms.decode(data, times) for data, times in chunks])
        rolled = transposition.level_histograms(whole, level)
        return list(transposition.cut_histograms(series, level, rolled, span=span))
    merged = points.joined([points.decode(data, times) for data, times in chunks])
    return list(
        transposition.cut_points(
            series, level, transposition.level_points(merged, level), span=span
        )
    )


def _piece(series: int, level: Level, times: Sequence[int], data: bytes) -> Piece:
    last = times[-1]
    return Piece(series, level.number, times[0], last - last % level.step + level.step, times, data)
