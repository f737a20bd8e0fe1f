"""Columns, points and histograms come back from chunks as exactly as promised."""

from __future__ import annotations

import math
from array import array
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.logbook import histograms, points
from homeostat.logbook.chunk import (
    POINTS_MAX,
    decode_column,
    decode_whole,
    encode_column,
    encode_counts,
    encode_whole,
)
from homeostat.logbook.histograms import Histograms
from homeostat.logbook.points import Points
from homeostat.measure import Histogram, merged

MINUTE = 60_000
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**53) + 1, 2**53 - 1)
EXACT = 1e-6


def columns(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    return st.lists(values, min_size=1, max_size=300)


@given(columns(finite))
def test_any_column_comes_back_within_its_precision(values: list[float]) -> None:
    packed = encode_column(array("d", values))
    for before, after in zip(values, decode_column(packed, len(values)), strict=True):
        assert abs(after - before) <= abs(before) * EXACT


@given(columns(whole.map(float)))
def test_whole_numbers_come_back_exactly(values: list[float]) -> None:
    assert list(decode_column(encode_column(array("d", values)), len(values))) == values


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=300))
def test_three_decimals_come_back_exactly(thousandths: list[int]) -> None:
    values = array("d", [number / 1000 for number in thousandths])
    assert list(decode_column(encode_column(values), len(values))) == list(values)


@given(columns(st.floats(1e39, 1e300) | st.floats(1e-300, 1e-39)))
def test_the_very_large_and_small_come_back_exactly(values: list[float]) -> None:
    assert list(decode_column(encode_column(array("d", values)), len(values))) == values


@given(st.lists(st.integers(-(2**61), 2**61), min_size=1, max_size=300))
def test_times_come_back_exactly(numbers: list[int]) -> None:
    numbers.sort()
    assert list(decode_whole(encode_whole(numbers), len(numbers))) == numbers


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=600))
def test_counts_come_back_exactly(numbers: list[int]) -> None:
    assert list(decode_whole(encode_counts(numbers), len(numbers))) == numbers


@pytest.mark.parametrize("size", [1, 2, POINTS_MAX])
@pytest.mark.parametrize("step", [0.0, 1.0, 0.001, math.pi])
def test_short_and_long_columns(size: int, step: float) -> None:
    values = array("d", [7.0 + step * (index % 1000) for index in range(size)])
    after = decode_column(encode_column(values), size)
    assert all(abs(a - b) <= a * EXACT for a, b in zip(values, after, strict=True))


@pytest.mark.parametrize("size", [0, POINTS_MAX + 1])
def test_what_a_column_cannot_hold_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        encode_column(array("d", [1.0]) * size)


def test_usual_columns_are_small() -> None:
    steady = array("d", [20.0] * 360)
    assert len(encode_column(steady)) < 10
    gauge = array("d", [float(index // 30 % 7) for index in range(360)])
    assert len(encode_column(gauge)) / 360 < 0.4
    growing = array("d", [1e12 + 8192.0 * index for index in range(360)])
    assert len(encode_column(growing)) / 360 < 0.2


readings = st.lists(
    st.tuples(st.integers(1, 400_000), st.floats(-1e6, 1e6)), min_size=1, max_size=120
)


def series(gaps: list[tuple[int, float]]) -> Points:
    times = accumulate(gap for gap, _ in gaps)
    return points.plain(array("q", times), array("d", [value for _, value in gaps]))


@given(readings)
def test_rolling_up_is_what_each_span_holds(gaps: list[tuple[int, float]]) -> None:
    given_points = series(gaps)
    rolled = points.roll(given_points, MINUTE)
    spans: dict[int, list[float]] = {}
    for at, value in zip(given_points.times, given_points.sums, strict=True):
        spans.setdefault(at // MINUTE * MINUTE, []).append(value)
    assert list(rolled.times) == list(spans)
    held = list(spans.values())
    assert list(rolled.counts) == list(map(len, held))
    assert list(rolled.sums) == list(map(sum, held))
    assert list(rolled.lows) == list(map(min, held))
    assert list(rolled.highs) == list(map(max, held))
    assert list(rolled.lasts) == [values[-1] for values in held]


@given(readings)
def test_rolling_up_in_two_steps_is_rolling_up_in_one(gaps: list[tuple[int, float]]) -> None:
    given_points = series(gaps)
    once = points.roll(given_points, 10 * MINUTE)
    twice = points.roll(points.roll(given_points, MINUTE), 10 * MINUTE)
    assert once.times == twice.times
    for one, two in zip(once.columns, twice.columns, strict=True):
        assert list(two) == pytest.approx(list(one), abs=1e-6)


@given(readings, st.booleans())
def test_points_come_back_from_their_chunk(gaps: list[tuple[int, float]], roll: bool) -> None:  # noqa: FBT001 - hypothesis passes by position
    before = points.roll(series(gaps), MINUTE) if roll else series(gaps)
    after = points.decode(points.encode(before), before.times)
    assert after.plain == before.plain
    for one, two in zip(before.columns, after.columns, strict=True):
        assert all(abs(a - b) <= abs(a) * EXACT for a, b in zip(one, two, strict=True))


@given(readings, st.lists(st.integers(0, 120), max_size=4))
def test_joined_pieces_are_the_whole(gaps: list[tuple[int, float]], cuts: list[int]) -> None:
    before = series(gaps)
    borders = sorted({0, len(gaps), *(min(cut, len(gaps)) for cut in cuts)})
    ends = [*before.times, before.times[-1] + 1]
    pieces = [before.cut(ends[a] if a else 0, ends[b]) for a, b in pairwise(borders)]
    after = points.joined(pieces[::-1])
    assert list(after.times) == list(before.times)
    assert list(after.sums) == list(before.sums)


values_us = st.lists(st.integers(0, 2**40), max_size=40)


def recorded(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(float(value))
    return histogram


def over_time(each: list[list[int]]) -> Histograms:
    times = array("q", [10_000 * index for index in range(len(each))])
    return histograms.of_packed(times, [histograms.pack(recorded(one)) for one in each])


@given(values_us)
def test_a_histogram_comes_back_from_its_tick(values: list[int]) -> None:
    before = recorded(values)
    after = histograms.unpack(histograms.pack(before))
    assert (after, after.count, after.total) == (before, before.count, before.total)


@given(st.lists(values_us, min_size=1, max_size=20))
def test_histograms_come_back_from_their_chunk(each: list[list[int]]) -> None:
    before = over_time(each)
    after = histograms.decode(histograms.encode(before), before.times)
    for index, values in enumerate(each):
        one = after.between(index, index + 1)
        assert one.counts == recorded(values).counts
        assert one.max == pytest.approx(max(values, default=0), rel=EXACT)
        assert one.total == pytest.approx(sum(values), rel=EXACT)


@given(st.lists(values_us, min_size=1, max_size=20), st.integers(1, 7))
def test_rolled_up_histograms_hold_every_value_once(each: list[list[int]], size: int) -> None:
    before = over_time(each)
    spans = [(a, min(a + size, len(each))) for a in range(0, len(each), size)]
    rolled = histograms.roll(before, spans, array("q", [before.times[a] for a, _ in spans]))
    for index, (a, b) in enumerate(spans):
        expected = recorded([value for values in each[a:b] for value in values])
        assert rolled.between(index, index + 1) == expected
    assert rolled.between(0, len(rolled)) == merged(recorded(values) for values in each)


@given(st.lists(values_us, min_size=2, max_size=20), st.integers(1, 19))
def test_joined_histograms_are_the_whole(each: list[list[int]], cut: int) -> None:
    whole_given = over_time(each)
    cut = min(cut, len(each))
    pieces = [whole_given.slice(cut, len(each)), whole_given.slice(0, cut)]
    after = histograms.joined(pieces)
    assert list(after.times) == list(whole_given.times)
    for index in range(len(each)):
        assert after.between(index, index + 1) == whole_given.between(index, index + 1)


def test_a_long_run_of_histograms_comes_back() -> None:
    each = [[100 * index, 5000, 5000] for index in range(1440)]
    before = over_time(each)
    data = histograms.encode(before)
    after = histograms.decode(data, before.times)
    assert after.between(0, 1440) == before.between(0, 1440)
    assert after.between(700, 701).counts == recorded(each[700]).counts


def test_points_of_histograms_leave_out_empty_ones() -> None:
    chart = over_time([[10, 30], [], [205]]).points()
    assert list(chart.times) == [0, 20_000]
    assert list(chart.counts) == [2, 1]
    assert list(chart.sums) == [40, 205]
    assert list(chart.lows) == [10, 200]  # 205 lies in the bucket from 200
    assert list(chart.highs) == [30, 205]
