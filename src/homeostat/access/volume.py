"""How many bytes the values of a call take, counted alike on both engines and cheaply.

Text counts its bytes in UTF-8 and bytes theirs, NULL nothing, lists and objects what is in them,
all else 8: numbers, times, identifiers. What the protocol and the file need beside is left out.
Of a large result evenly spaced rows are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from homeostat.driver.wire import Params

FIXED_BYTES = 8
ROWS_COUNTED = 16  # of a result: 2 us for two columns
_NUMBERS = frozenset({int, float, bool})


def bytes_of(values: Iterable[object]) -> int:
    """Return how many bytes the values take."""
    total = 0
    for value in values:
        if type(value) in _NUMBERS:
            total += FIXED_BYTES
        elif isinstance(value, str):
            total += len(value) if value.isascii() else len(value.encode(errors="replace"))
        elif value is not None:
            total += _bytes_of_other(value)
    return total


def _bytes_of_other(value: object) -> int:
    if isinstance(value, bytes | bytearray | memoryview):
        return memoryview(value).nbytes  # a view may be of wider items
    if isinstance(value, Mapping):
        return bytes_of(value) + bytes_of(value.values())
    if isinstance(value, list | tuple):
        return bytes_of(value)
    return FIXED_BYTES


def bytes_of_rows(rows: Sequence[Iterable[object]]) -> float:
    """Return how many bytes the rows take: of at most so many they are counted, and scaled up."""
    count = len(rows)
    if count <= ROWS_COUNTED:
        return sum([bytes_of(row) for row in rows])
    counted = rows[:: -(-count // ROWS_COUNTED)]
    return sum([bytes_of(row) for row in counted]) * (count / len(counted))


class Moved:
    """Bytes that the statements of one transaction sent and received."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        """Begin with none."""
        self.received = 0.0
        self.sent = 0

    def add(self, params: Params, rows: Sequence[Iterable[object]]) -> None:
        """Add a statement's parameters and rows."""
        self.sent += bytes_of(params.values())
        self.received += bytes_of_rows(rows)
