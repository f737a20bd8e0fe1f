"""Points of a series: one reading, or what many readings were rolled up to.

A point holds how many readings it stands for, their sum, least, greatest and last. Points of plain
readings (each stands for itself) keep one column instead of five. Rolling up never makes a point
where nothing was read.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from homeostat.logbook.chunk import decode_column, encode_column

PLAIN, ROLLED = 0, 1  # the first byte of a chunk's data; histograms.py has the third kind
_COLUMNS = 5
_LENGTHS = struct.Struct("<BH5I")


@dataclass(slots=True)
class Points:
    """Points in order of time, column by column.

    Attributes:
        times: milliseconds since 1970 UTC; of a rolled-up point, the begin of its span.
        columns: count, sum, least, greatest and last of the readings of each point; of plain
            readings the last four are the same column.
        plain: whether every point is one reading.
    """

    times: Sequence[int]
    columns: tuple[Sequence[float], ...]
    plain: bool = False

    @property
    def counts(self) -> Sequence[float]:
        """Return how many readings each point stands for."""
        return self.columns[0]

    @property
    def sums(self) -> Sequence[float]:
        """Return the sums; of plain readings, the values."""
        return self.columns[1]

    @property
    def lows(self) -> Sequence[float]:
        """Return the least readings."""
        return self.columns[2]

    @property
    def highs(self) -> Sequence[float]:
        """Return the greatest readings."""
        return self.columns[3]

    @property
    def lasts(self) -> Sequence[float]:
        """Return the last readings."""
        return self.columns[4]

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.times)

    def cut(self, start: int, end: int) -> Points:
        """Return the points with start <= time < end."""
        a, b = bisect_left(self.times, start), bisect_left(self.times, end)
        if a == 0 and b == len(self.times):
            return self
        if self.plain:
            return plain(self.times[a:b], self.sums[a:b])
        return Points(self.times[a:b], tuple(column[a:b] for column in self.columns))


def plain(times: Sequence[int], values: Sequence[float]) -> Points:
    """Return readings as points."""
    ones = array("d", [1.0]) * len(times)
    return Points(times, (ones, values, values, values, values), plain=True)


def bounds_of(times: Sequence[int], step: int) -> list[int]:
    """Return where in the times (ascending) each span of `step` that holds any begins, and the end.

    Spans begin at whole multiples of the step.
    """
    bounds, index, count = [0], 0, len(times)
    while index < count:
        border = times[index] - times[index] % step + step
        index = bisect_left(times, border, index + 1)
        bounds.append(index)
    return bounds


def roll(points: Points, step: int, bounds: Sequence[int] | None = None) -> Points:
    """Roll points up to spans of `step` milliseconds; a point that is alone in its span stays.

    Args:
        points: in order of time.
        step: the span's length, ms.
        bounds: `bounds_of(points.times, step)`, if it is known already.
    """
    bounds = bounds_of(points.times, step) if bounds is None else bounds
    spans = list(pairwise(bounds))
    times = array("q", [points.times[a] - points.times[a] % step for a, _ in spans])
    if len(spans) == len(points):
        return Points(times, points.columns, points.plain)
    counts, sums, lows, highs, lasts = points.columns
    rolled = (
        [b - a for a, b in spans] if points.plain else _each(sum, counts, spans),
        _each(sum, sums, spans),
        _each(min, lows, spans),
        _each(max, highs, spans),
        [lasts[b - 1] for _, b in spans],
    )
    return Points(times, tuple(array("d", column) for column in rolled))


def _each(
    function: Callable[[Sequence[float]], float],
    column: Sequence[float],
    spans: list[tuple[int, int]],
) -> list[float]:
    return [function(column[a:b]) for a, b in spans]


def joined(pieces: Sequence[Points]) -> Points:
    """Return all points of the pieces in order of time; equal times stay apart."""
    pieces = sorted((piece for piece in pieces if len(piece)), key=lambda one: one.times[0])
    if len(pieces) == 1:
        return pieces[0]
    times = array("q")
    columns = [array("d") for _ in range(_COLUMNS)]
    for piece in pieces:
        times.extend(piece.times)
        for column, more in zip(columns, piece.columns, strict=True):
            column.extend(list(more))  # an array takes only arrays of its own type
    is_plain = all(piece.plain for piece in pieces)
    if all(a.times[-1] <= b.times[0] for a, b in pairwise(pieces)):
        return Points(times, tuple(columns), is_plain)
    order = sorted(range(len(times)), key=times.__getitem__)
    times = array("q", [times[i] for i in order])
    return Points(times, tuple(array("d", [c[i] for i in order]) for c in columns), is_plain)


def encode(points: Points) -> bytes:
    """Pack the columns of 1 to 65,535 points; the times are packed apart."""
    if points.plain:
        return struct.pack("<BH", PLAIN, len(points)) + encode_column(points.sums)
    packed = [encode_column(column) for column in points.columns]
    lengths = map(len, packed)
    return _LENGTHS.pack(ROLLED, len(points), *lengths) + b"".join(packed)


def decode(data: bytes, times: Sequence[int], *, columns_max: int = _COLUMNS) -> Points:
    """Unpack points whose times are known; a chart needs only the first four columns."""
    count = len(times)
    if data[0] == PLAIN:
        return plain(times, decode_column(data[3:], count))
    _, _, *lengths = _LENGTHS.unpack_from(data)
    columns, start = [], _LENGTHS.size
    for length in lengths[:columns_max]:
        columns.append(decode_column(data[start : start + length], count))
        start += length
    return Points(times, tuple(columns))
