"""Columns of numbers packed small: what a chunk of samples is made of.

A column is written in the first of four ways that fits:

- constant: one double for all;
- scaled: whole numbers below 2**53, or decimals with at most three places, exactly, as integers of
  the least width, either less their minimum or as differences;
- rounded: everything else to 20 significant bits (relative error below one in a million; a reading
  of a live system is not that precise);
- double: exactly, when a number is too large or small for the rounded way.

Integers and floats are split into byte planes (all first bytes, all second bytes, ...), each
deflated by run lengths and Huffman codes, or left as it is if that is shorter. On noise this took
2.1 to 2.8 bytes a point against 2.7 to 3.2 for one deflate stream and 6.5 to 7 for doubles with
XOR; on counts and gauges 0.2 to 1. Numbers are in the machine's byte order: the file stays on it.

Nothing here knows what the numbers mean.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise

POINTS_MAX = 65_535  # a plane's length is written in 16 bits
ROUNDED_BITS = 20
MEMORY_LEVEL = 7  # of zlib: from 8 on each stream maps new pages, 80 us instead of 4
COUNTS_LONG = 512  # from so many on it pays to look for the least
DECIMALS = (0, 3)  # tried in this order

_CONSTANT, _SCALED, _ROUNDED, _DOUBLE = range(4)
_DROP = 24 - ROUNDED_BITS  # of a 32-bit float's 24 significant bits
_HALF = 1 << (_DROP - 1)
_MASK = 0xFFFFFFFF ^ ((1 << _DROP) - 1)
_FLOAT_MAX, _FLOAT_MIN = 1e38, 1e-37  # well inside what a normal 32-bit float holds
_EXACT_MAX = float(1 << 53)
_SCALED_HEAD = struct.Struct("<BcBBq")  # way, array type, decimals, differences?, base
_CONSTANT_HEAD = struct.Struct("<Bd")
_LENGTH = struct.Struct("<H")


def encode_column(values: Sequence[float]) -> bytes:
    """Pack 1 to 65,535 finite numbers."""
    if not 1 <= len(values) <= POINTS_MAX:
        message = f"a column holds 1 to {POINTS_MAX} numbers, not {len(values)}"
        raise ValueError(message)
    low, high = min(values), max(values)
    if low == high:
        return _CONSTANT_HEAD.pack(_CONSTANT, low)
    for decimals in DECIMALS:
        limit = _EXACT_MAX / 10**decimals
        scaled = _scaled(values, decimals) if low > -limit and high < limit else None
        if scaled is not None:
            return _encode_integers(scaled, decimals)
    if low > -_FLOAT_MAX and high < _FLOAT_MAX and _no_tiny(values):
        floats = array("I", array("f", values).tobytes())
        rounded = array("I", [(bits + _HALF) & _MASK for bits in floats])
        return bytes([_ROUNDED]) + _encode_planes(rounded)
    return bytes([_DOUBLE]) + _encode_planes(array("d", values))


def decode_column(data: bytes, count: int) -> array[float]:
    """Unpack a column of so many numbers, into an array of doubles or floats."""
    way = data[0]
    if way == _CONSTANT:
        return array("d", [_CONSTANT_HEAD.unpack(data)[1]]) * count
    if way == _SCALED:
        return _decode_scaled(data, count)
    if way == _ROUNDED:
        return array("f", _decode_planes(data, 1, 4, count))
    return array("d", _decode_planes(data, 1, 8, count))


def encode_whole(numbers: Sequence[int]) -> bytes:
    """Pack 1 to 65,535 whole numbers below 2**62, exactly."""
    if len(numbers) == 1:
        return _SCALED_HEAD.pack(_SCALED, b"B", 0, 0, numbers[0])
    return _encode_integers(numbers, 0)


def encode_counts(counts: Sequence[int]) -> bytes:
    """Pack 1 to 65,535 whole numbers from 0, quicker than `encode_whole`; unpacked the same way."""
    low = min(counts) if len(counts) >= COUNTS_LONG else 0
    packed = _narrowest([count - low for count in counts] if low else counts)
    return _SCALED_HEAD.pack(_SCALED, packed.typecode.encode(), 0, 0, low) + _encode_planes(packed)


def decode_whole(data: bytes, count: int) -> Sequence[int]:
    """Unpack so many whole numbers."""
    if len(data) == _SCALED_HEAD.size:
        return [_SCALED_HEAD.unpack_from(data)[4]]
    return _decode_integers(data, count)


def _no_tiny(values: Sequence[float]) -> bool:
    return min(map(abs, filter(None, values)), default=1.0) > _FLOAT_MIN


def _scaled(values: Sequence[float], decimals: int) -> list[int] | None:
    if decimals == 0:
        return [int(v) for v in values] if all(map(float.is_integer, values)) else None
    scale = 10.0**decimals
    scaled = []
    for value in values:  # noise leaves at the first value
        whole = round(value * scale)
        if whole / scale != value:
            return None
        scaled.append(whole)
    return scaled


def _encode_integers(numbers: Sequence[int], decimals: int) -> bytes:
    """Write the numbers less their minimum, or the differences less theirs, whichever is narrower.

    Differences have to be four times narrower: they add the noise of two numbers.
    """
    low = min(numbers)
    steps = [after - before for before, after in pairwise(numbers)]
    step_low = min(steps)
    if (max(steps) - step_low) * 4 < max(numbers) - low:
        packed = _narrowest([step - step_low for step in steps])
        head = _SCALED_HEAD.pack(_SCALED, packed.typecode.encode(), decimals, 1, numbers[0])
        return head + struct.pack("<q", step_low) + _encode_planes(packed)
    packed = _narrowest([number - low for number in numbers])
    head = _SCALED_HEAD.pack(_SCALED, packed.typecode.encode(), decimals, 0, low)
    return head + _encode_planes(packed)


def _decode_scaled(data: bytes, count: int) -> array[float]:
    decimals = data[2]
    numbers = _decode_integers(data, count)
    if decimals:
        scale = 10.0**decimals
        return array("d", [number / scale for number in numbers])
    return array("d", numbers)


def _decode_integers(data: bytes, count: int) -> Sequence[int]:
    _, code, _, differences, base = _SCALED_HEAD.unpack_from(data)
    start = _SCALED_HEAD.size
    width = array(code.decode()).itemsize
    if not differences:
        packed = array(code.decode(), _decode_planes(data, start, width, count))
        return [base + number for number in packed] if base else packed
    (step_low,) = struct.unpack_from("<q", data, start)
    packed = array(code.decode(), _decode_planes(data, start + 8, width, count - 1))
    steps = [step_low + number for number in packed] if step_low else packed
    return list(accumulate(steps, initial=base))


def _narrowest(numbers: Sequence[int]) -> array[int]:
    high = max(numbers)
    for code in "BHI":
        if high < 1 << (8 * array(code).itemsize):
            return array(code, numbers)
    return array("Q", numbers)


def _encode_planes(packed: array[int] | array[float]) -> bytes:
    raw = packed.tobytes()
    width = packed.itemsize
    return b"".join(_encode_plane(raw[index::width]) for index in range(width))


def _encode_plane(plane: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15, MEMORY_LEVEL, zlib.Z_RLE)
    small = deflate.compress(plane) + deflate.flush()
    if len(small) >= len(plane):
        small = plane  # told from a deflated one by its length
    return _LENGTH.pack(len(small)) + small


def _decode_planes(data: bytes, start: int, width: int, count: int) -> bytes:
    raw = bytearray(width * count)
    for index in range(width):
        (length,) = _LENGTH.unpack_from(data, start)
        start += 2
        plane = data[start : start + length]
        start += length
        raw[index::width] = plane if length == count else zlib.decompress(plane, -15, count)
    return bytes(raw)
