"""Histograms over time, packed bucket by bucket: what a chunk of a histogram series is made of.

Counts are exact at every level: rolling up adds them. Sum and maximum have the precision of
chunk.py. A bucket's counts over time stand together, so that rare buckets cost next to nothing.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain, pairwise

import msgspec

from homeostat.logbook.chunk import (
    COUNTS_LONG,
    POINTS_MAX,
    decode_column,
    decode_whole,
    encode_column,
    encode_counts,
)
from homeostat.logbook.points import Points
from homeostat.measure import Histogram, bucket_lower

HISTOGRAMS = 2  # the first byte of a chunk's data
_HEAD = struct.Struct("<BHH3I")  # kind, times, buckets, lengths of bucket numbers, sums, maxima

_Packed = tuple[list[int], list[int], float, float]
_decoder = msgspec.msgpack.Decoder(_Packed)
_encoder = msgspec.msgpack.Encoder()


def pack(histogram: Histogram) -> bytes:
    """Return one histogram as bytes, for the tick it was read in."""
    counts = histogram.counts
    packed = (list(counts), list(counts.values()), histogram.total, histogram.max)
    return _encoder.encode(packed)


def unpack(data: bytes) -> Histogram:
    """Return what was packed."""
    buckets, counts, total, maximum = _decoder.decode(data)
    return Histogram(dict(zip(buckets, counts, strict=True)), total=total, maximum=maximum)


class Histograms:
    """Histograms of one series in order of time, bucket by bucket.

    Attributes:
        times: milliseconds since 1970 UTC, as in Points.
        buckets: bucket index -> its counts, one for each time.
        totals, maxima: sum and greatest of the values of each histogram.
    """

    __slots__ = ("buckets", "maxima", "times", "totals")

    def __init__(
        self,
        times: Sequence[int],
        buckets: dict[int, Sequence[int]],
        totals: Sequence[float],
        maxima: Sequence[float],
    ) -> None:
        """Take the columns as they are."""
        self.times = times
        self.buckets = buckets
        self.totals = totals
        self.maxima = maxima

    def __len__(self) -> int:
        """Return the number of histograms."""
        return len(self.times)

    def between(self, a: int, b: int) -> Histogram:
        """Return one histogram of the values of those from index a up to b."""
        counts = {index: sum(column[a:b]) for index, column in self.buckets.items()}
        return Histogram(
            {index: count for index, count in counts.items() if count},
            total=sum(self.totals[a:b]),
            maximum=max(self.maxima[a:b], default=0.0),
        )

    def cut(self, start: int, end: int) -> Histograms:
        """Return those with start <= time < end."""
        return self.slice(bisect_left(self.times, start), bisect_left(self.times, end))

    def slice(self, a: int, b: int) -> Histograms:
        """Return those from index a up to b; buckets that are empty there are left out."""
        if a == 0 and b == len(self):
            return self
        columns = {index: column[a:b] for index, column in self.buckets.items()}
        return Histograms(
            self.times[a:b],
            {index: column for index, column in columns.items() if any(column)},
            self.totals[a:b],
            self.maxima[a:b],
        )

    def points(self) -> Points:
        """Return count, sum, least and greatest value (last: greatest too).

        The least is a bucket's lower bound. Empty histograms are left out: they say nothing about
        the values.
        """
        size = len(self.times)
        counts = list(map(sum, zip(*self.buckets.values(), strict=True))) or [0] * size
        kept = [i for i in range(size) if counts[i]]
        order = sorted(self.buckets)
        lows = [next(bucket_lower(b) for b in order if self.buckets[b][i]) for i in kept]
        maxima = array("d", [self.maxima[i] for i in kept])
        return Points(
            array("q", [self.times[i] for i in kept]),
            (
                array("d", [float(counts[i]) for i in kept]),
                array("d", [self.totals[i] for i in kept]),
                array("d", lows),
                maxima,
                maxima,
            ),
        )


def of_packed(times: Sequence[int], packed: Sequence[bytes]) -> Histograms:
    """Return single packed histograms, in order of time, as columns."""
    size = len(times)
    buckets: dict[int, list[int]] = {}
    totals, maxima = array("d"), array("d")
    for position, data in enumerate(packed):
        indexes, counts, total, maximum = _decoder.decode(data)
        for index, count in zip(indexes, counts, strict=True):
            column = buckets.get(index)
            if column is None:
                column = buckets[index] = [0] * size
            column[position] = count
        totals.append(total)
        maxima.append(maximum)
    return Histograms(times, dict(buckets), totals, maxima)


def roll(
    histograms: Histograms, spans: Sequence[tuple[int, int]], times: Sequence[int]
) -> Histograms:
    """Add up the histograms of each span of indexes; `times` are the spans' own."""
    if len(spans) == len(histograms):
        return Histograms(times, histograms.buckets, histograms.totals, histograms.maxima)
    return Histograms(
        times,
        {b: [sum(column[a:z]) for a, z in spans] for b, column in histograms.buckets.items()},
        array("d", [sum(histograms.totals[a:z]) for a, z in spans]),
        array("d", [max(histograms.maxima[a:z]) for a, z in spans]),
    )


def joined(pieces: Sequence[Histograms]) -> Histograms:
    """Return all histograms of the pieces in order of time; equal times stay apart."""
    pieces = sorted((piece for piece in pieces if len(piece)), key=lambda one: one.times[0])
    if len(pieces) == 1:
        return pieces[0]
    times, totals, maxima = array("q"), array("d"), array("d")
    buckets: dict[int, list[int]] = {}
    for piece in pieces:
        for index in piece.buckets:
            if index not in buckets:
                buckets[index] = [0] * len(times)
        for index, column in buckets.items():
            column.extend(piece.buckets.get(index) or [0] * len(piece))
        times.extend(piece.times)
        totals.extend(list(piece.totals))  # an array takes only arrays of its own type
        maxima.extend(list(piece.maxima))
    whole = Histograms(times, dict(buckets), totals, maxima)
    if all(a.times[-1] <= b.times[0] for a, b in pairwise(pieces)):
        return whole
    return _ordered(whole)


def _ordered(given: Histograms) -> Histograms:
    order = sorted(range(len(given)), key=given.times.__getitem__)
    return Histograms(
        array("q", [given.times[i] for i in order]),
        {index: [column[i] for i in order] for index, column in given.buckets.items()},
        array("d", [given.totals[i] for i in order]),
        array("d", [given.maxima[i] for i in order]),
    )


def encode(histograms: Histograms) -> bytes:
    """Pack the columns of 1 to 65,535 histograms; the times are packed apart."""
    indexes = sorted(histograms.buckets)
    numbers = array("H", indexes).tobytes()
    totals = encode_column(histograms.totals)
    maxima = encode_column(histograms.maxima)
    size = len(histograms)
    lengths = len(numbers), len(totals), len(maxima)
    parts = [_HEAD.pack(HISTOGRAMS, size, len(indexes), *lengths), numbers, totals, maxima]
    for group in _groups(indexes, size):
        packed = encode_counts(_cells(histograms, group))
        parts += [len(packed).to_bytes(4, "little"), packed]
    return b"".join(parts)


def decode(data: bytes, times: Sequence[int]) -> Histograms:
    """Unpack histograms whose times are known."""
    _, size, _, *lengths = _HEAD.unpack_from(data)
    ends = [_HEAD.size]
    for length in lengths:
        ends.append(ends[-1] + length)
    numbers, totals, maxima = (data[a:b] for a, b in pairwise(ends))
    indexes = array("H", numbers)
    buckets: dict[int, Sequence[int]] = {}
    start = ends[-1]
    for group in _groups(indexes, size):
        length = int.from_bytes(data[start : start + 4], "little")
        start += 4
        cells = decode_whole(data[start : start + length], size * len(group))
        start += length
        for position, index in enumerate(group):
            buckets[index] = cells[position * size : (position + 1) * size]
    return Histograms(times, buckets, decode_column(totals, size), decode_column(maxima, size))


def _cells(histograms: Histograms, group: Sequence[int]) -> Sequence[int]:
    if len(group) == 1:
        return histograms.buckets[group[0]]
    return list(chain.from_iterable(histograms.buckets[index] for index in group))


def _groups(indexes: Sequence[int], size: int) -> list[Sequence[int]]:
    """Return which buckets are packed together: each by itself where that is a quarter smaller."""
    many = 1 if size >= COUNTS_LONG else max(1, POINTS_MAX // size)
    return [indexes[i : i + many] for i in range(0, len(indexes), many)]
